//! Runs required tests on exactly the head's tree, and records the results;
//! plans them for CI's jobs, and takes those jobs' results back.
//!
//! Commands of a policy run only in a clone where `install` was run, or in CI,
//! where a job says `countersign test` in so many words. A push runs them by
//! itself only for commits that this clone had checked out.

mod keeping;
mod plan;
mod results;
mod signing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keeping::{as_run, is_proven, keep_outcome, reusable, reuse};

use super::ambient::Surroundings;
use super::judgement::Judgement;
use super::world::World;
use super::{Error, check, install};
use crate::adapters::checkout::{CheckoutError, Origin, Slots};
use crate::adapters::env::Env;
use crate::adapters::git::Git;
use crate::adapters::hooks_dir::HooksDir;
use crate::adapters::runner::{self, Order};
use crate::adapters::store::Store;
use crate::gate::change::{Oid, printable};
use crate::gate::evidence::Deferred;
use crate::gate::obligation::obligations;
use crate::gate::order;
use crate::gate::policy::{Accept, Stage, TestCommand, Tier};
use crate::gate::record::{Run, SignedRecord};
use crate::gate::requirement::Requirement;
use crate::gate::requirement::coverage::{sources, tells};
use crate::gate::run::{self, Counting};
use crate::gate::time::{Timestamp, parse_length, write_length};

pub use crate::adapters::runner::{End, Event};
pub use crate::adapters::supervise::interruption;
pub(super) use keeping::keep_body;
pub use keeping::last_duration;
pub use plan::{Plan, Planned};
pub use results::{import, read_results, write_results};
pub use signing::Signing;
pub(super) use signing::signer;

/// How long a push may spend on tests, unless git config `countersign.pushBudget` says otherwise.
const PUSH_BUDGET: Duration = Duration::from_secs(45);
/// How many of HEAD's former places are looked at.
const REFLOG: &str = "--max-count=20000";
/// The most bytes of a file whose hunks are taken out.
const MAX_SOURCE: u64 = 16 << 20;

/// Where tests are run and recorded.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub env: &'a Env,
    pub git: &'a Git,
    pub store: &'a Store,
}

impl<'a> From<&'a World> for Place<'a> {
    fn from(world: &'a World) -> Place<'a> {
        Place { env: &world.env, git: &world.git, store: &world.store }
    }
}

/// A change, and what has to be run for it.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub judgement: Judgement,
    pub plan: Plan,
    /// Whether a person should be asked first: the commit was never checked out
    /// here, and others wrote it.
    pub foreign: bool,
}

/// What came of one test.
#[derive(Clone, Debug)]
pub struct Report {
    pub test: String,
    pub end: End,
    /// Safe to print.
    pub summary: String,
    pub duration: Duration,
    /// How the attempts before the one that decided ended.
    pub retried: Vec<String>,
    /// An earlier pass on this machine stands for it.
    pub reused: bool,
    /// The id of the record that says so.
    pub record: Option<String>,
    pub log: Option<PathBuf>,
    /// The end of the output; not safe to print.
    pub tail: String,
    /// The unsigned record's bytes, for `--output`.
    pub result: Option<Vec<u8>>,
}

/// How tests are run.
#[derive(Clone, Copy, Debug)]
pub struct Execution<'a> {
    /// The records that this clone knows, for reuse.
    pub records: &'a [SignedRecord],
    pub signing: Option<&'a Signing>,
    pub budget: Option<Duration>,
    pub interrupted: &'a AtomicBool,
}

/// What a push did about the tests that it misses.
#[derive(Clone, Debug)]
pub enum WithinBudget {
    Ran(Vec<Report>),
    Interrupted,
    /// The commit was never checked out here, so its tests run only when asked for.
    NotOurs,
    /// `install` was not run here, so no command of the policy may run.
    NotAllowed,
    /// By their last durations the tests take longer than a push may.
    TooLong {
        expected: Duration,
        budget: Duration,
    },
}

/// The same, and what was left to the server.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub within: WithinBudget,
    pub deferred: Deferred,
}

impl Report {
    /// Whether only the budget was in its way.
    fn is_out_of_time(&self) -> bool {
        self.end == End::NotRun && self.summary == runner::OUT_OF_TIME
    }
}

impl Prepared {
    /// Judges the change, and plans the tests that its rules require at any
    /// stage, or those named.
    pub fn new(
        world: &World,
        options: &check::Options,
        only: &[String],
    ) -> Result<Prepared, Error> {
        let judgement = check::check(world, options, &Surroundings::default())?;
        let names = if only.is_empty() {
            required(&judgement, Stage::Merge)
        } else {
            only.iter().cloned().collect()
        };
        let mut plan = Plan::new(
            &world.git,
            &judgement.policy,
            &judgement.change,
            &names,
            &judgement.evidence,
        )?;
        plan.prove(&world.git, &judgement)?;
        let foreign = is_foreign(world, &judgement)?;
        Ok(Prepared { judgement, plan, foreign })
    }

    /// The records that this clone knows.
    pub fn records(&self) -> &[SignedRecord] {
        known_records(&self.judgement)
    }

    /// A key that signs the results.
    pub fn signing(&self, world: &World, key: Option<&Path>) -> Result<Signing, Error> {
        let ledger = self.judgement.evidence.ledger.as_ref().ok();
        let tip = ledger.and_then(|view| view.shared.clone());
        Signing::new(world.into(), &self.judgement.policy, key, tip)
    }
}

/// Whether others wrote the change, and it was never checked out here.
pub(super) fn is_foreign(world: &World, judgement: &Judgement) -> Result<bool, Error> {
    let user = world.git.config()?.get("user.email").map(str::to_lowercase);
    let by_user = |email: &str| user.as_deref() == Some(email.to_lowercase().as_str());
    let others = !judgement.change.commits.iter().all(|it| by_user(&it.author.email));
    Ok(others && !is_own(&world.git, &judgement.change.head)?)
}

fn known_records(judgement: &Judgement) -> &[SignedRecord] {
    judgement.evidence.ledger.as_ref().map_or(&[], |view| view.records.as_slice())
}

/// The tests that the matching rules require up to a stage, and those whose
/// reports tell of the coverage that they require.
fn required(judgement: &Judgement, stage: Stage) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for obligation in &obligations(&judgement.case()) {
        for staged in obligation.rule.require.iter().filter(|it| it.stage <= stage) {
            match &staged.requirement {
                Requirement::Tests(tests) => names.extend(tests.iter().cloned()),
                Requirement::Coverage(_) => {
                    let tests = sources(&judgement.policy, obligation);
                    names.extend(tests.iter().map(|test| test.name.clone()));
                }
                Requirement::Approvals(_) | Requirement::Preview(_) | Requirement::Disclosure => {}
            }
        }
    }
    names
}

/// What pre-push does about a judged change by itself: runs the required tests
/// for which nothing counts yet and a local result would. `None`: there are none.
pub fn run_for_push(
    world: &World,
    judgement: &Judgement,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<Option<Pushed>, Error> {
    let (policy, stage) = (&judgement.policy, judgement.stage);
    let names = required(judgement, stage);
    let mut plan = Plan::new(&world.git, policy, &judgement.change, &names, &judgement.evidence)?;
    plan.prove(&world.git, judgement)?;
    let records = known_records(judgement);
    let counting = Counting { policy, stage, ledger_cuts: &judgement.evidence.ledger_cuts };
    let files = std::mem::take(&mut plan.files);
    let proofs = std::mem::take(&mut plan.proofs);
    plan.tests.retain(|planned| {
        let passes = run::counting_passes(records, &planned.key, &planned.test, &counting);
        let local_counts =
            run::accepted(&planned.test.accept, policy, stage).contains(&Accept::Local);
        // A report that could not be read is not read better the next time.
        let told = |run: &Run| {
            matches!(run.coverage, Some(Err(_)))
                || tells(run.coverage.as_ref(), &planned.test, &files)
        };
        let proof = proofs.get(&planned.test.name);
        local_counts && !passes.iter().any(|(_, run)| told(run) && is_proven(run, proof))
    });
    (plan.files, plan.proofs) = (files, proofs);
    plan.proofs.retain(|name, _| plan.tests.iter().any(|it| it.test.name == *name));
    if plan.tests.is_empty() {
        return Ok(None);
    }
    order::sort_by_key(&mut plan.tests, |planned| planned.test.tier);
    let budget = push_budget(&world.git)?;
    let may_defer = |planned: &Planned| stage == Stage::Push && planned.test.tier == Tier::Slow;
    let mut deferred = Deferred::new();
    if is_too_long(&plan, records, budget) {
        for planned in plan.tests.extract_if(.., |it| may_defer(it)) {
            let took = last_duration(records, &planned.test.name);
            let took = took.map(|it| format!(" (it took {} the last time)", write_length(it)));
            let why = format!(
                "a push may spend {} on tests{}",
                write_length(budget),
                took.unwrap_or_default()
            );
            deferred.insert(planned.test.name, why);
        }
    }
    let within = run_within_budget(world.into(), &plan, records, &interruption(), tell)?;
    match &within {
        WithinBudget::Ran(reports) => {
            let late = |planned: &&Planned| {
                let late = |it: &Report| it.test == planned.test.name && it.is_out_of_time();
                may_defer(planned) && reports.iter().any(late)
            };
            let why = format!("a push may spend {} on tests", write_length(budget));
            let late = plan.tests.iter().filter(late);
            deferred.extend(late.map(|planned| (planned.test.name.clone(), why.clone())));
        }
        WithinBudget::TooLong { .. } => {}
        // What was not left out for want of time is not left out.
        WithinBudget::Interrupted | WithinBudget::NotOurs | WithinBudget::NotAllowed => {
            deferred.clear();
        }
    }
    Ok(Some(Pushed { within, deferred }))
}

/// Whether the tests take longer than a push may spend, as far as is known.
fn is_too_long(plan: &Plan, records: &[SignedRecord], budget: Duration) -> bool {
    !plan.tests.is_empty() && (budget.is_zero() || expected_duration(plan, records) > budget)
}

/// Refuses where commands of a policy may not run: in a clone whose owner did
/// not say so by `countersign install`, unless CI runs us.
pub fn may_run(env: &Env) -> Result<(), Error> {
    if is_ci(env) || is_allowed(env)? {
        return Ok(());
    }
    let message = "commands of a policy run only in a clone where countersign was installed";
    Err(Error::usage(message)
        .hint("`countersign install` allows them here, and installs the hooks"))
}

/// Whether CI runs us, as `CI` says.
pub fn is_ci(env: &Env) -> bool {
    env.get("CI").is_some_and(|value| !matches!(value, "" | "0" | "false"))
}

/// Whether `install` was run in this clone.
fn is_allowed(env: &Env) -> Result<bool, Error> {
    Ok(install::was_run(&HooksDir::find(&env.dir)?))
}

/// Whether this clone has or had the commit checked out.
pub fn is_own(git: &Git, commit: &Oid) -> Result<bool, Error> {
    let Some(head) = &git.layout().head else { return Ok(false) };
    if head == commit {
        return Ok(true);
    }
    let call = git.call().args(["log", "--walk-reflogs", "--format=%H", REFLOG, "HEAD", "--"]);
    let listing = git.output(call)?;
    Ok(listing.split(|byte| *byte == b'\n').any(|line| line == commit.as_str().as_bytes()))
}

/// Runs the planned tests, or finds that they passed here before on the same
/// inputs and surroundings, and records what came of each.
pub fn execute(
    place: Place<'_>,
    plan: &Plan,
    execution: Execution<'_>,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Report>, Error> {
    let order = Order {
        tests: &[],
        commit: &plan.commit,
        tree: &plan.tree,
        base: Some(&plan.base),
        files: &plan.files,
        variables: &place.env.variables,
        parallel: runner::parallelism(),
        budget: execution.budget,
        interrupted: execution.interrupted,
        dry: None,
        proofs: &plan.proofs,
        packages: &plan.packages,
    };
    let earlier: BTreeMap<&str, &SignedRecord> = plan
        .tests
        .iter()
        .filter_map(|planned| {
            let order = at(plan, &planned.test, order);
            Some((planned.test.name.as_str(), reusable(planned, &order, execution.records)?))
        })
        .collect();
    let to_run: Vec<&TestCommand> = plan
        .tests
        .iter()
        .map(|planned| &planned.test)
        .filter(|test| !earlier.contains_key(test.name.as_str()))
        .collect();
    let (on_merge, on_head): (Vec<&TestCommand>, Vec<&TestCommand>) =
        to_run.into_iter().partition(|test| plan.merge_of(test).is_some());
    let start = runner::Clock::start(execution.budget);
    let mut outcomes = BTreeMap::new();
    for tests in [on_head, on_merge] {
        let Some(first) = tests.first() else { continue };
        let order = Order { tests: &tests, budget: start.left(), ..at(plan, first, order) };
        for outcome in runner::run(&slots(place)?, &order, tell) {
            outcomes.insert(outcome.test.clone(), outcome);
        }
    }
    let mut reports = Vec::new();
    for planned in &plan.tests {
        let name = planned.test.name.as_str();
        if let Some(record) = earlier.get(name) {
            reports.push(reuse(place, record, execution.signing)?);
        } else if let Some(outcome) = outcomes.remove(name) {
            let order = at(plan, &planned.test, order);
            reports.push(keep_outcome(place, plan, planned, &order, outcome, execution.signing)?);
        }
    }
    Ok(reports)
}

/// The order as it stands for a test that may run on the result of a merge.
fn at<'a>(plan: &'a Plan, test: &TestCommand, order: Order<'a>) -> Order<'a> {
    match plan.merge_of(test) {
        Some(merged) => {
            let base = if merged.onto == plan.commit { &plan.base } else { &merged.onto };
            Order { commit: &merged.commit, tree: &merged.tree, base: Some(base), ..order }
        }
        None => order,
    }
}

/// What pre-push does by itself: runs the tests of a commit that this clone had
/// checked out, as long as a push may take. Nothing is asked of anybody.
pub fn run_within_budget(
    place: Place<'_>,
    plan: &Plan,
    records: &[SignedRecord],
    interrupted: &AtomicBool,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<WithinBudget, Error> {
    if !is_allowed(place.env)? {
        return Ok(WithinBudget::NotAllowed);
    }
    if !is_own(place.git, &plan.commit)? {
        return Ok(WithinBudget::NotOurs);
    }
    let budget = push_budget(place.git)?;
    if is_too_long(plan, records, budget) {
        let expected = expected_duration(plan, records);
        return Ok(WithinBudget::TooLong { expected, budget });
    }
    let execution = Execution { records, signing: None, budget: Some(budget), interrupted };
    let reports = execute(place, plan, execution, tell)?;
    Ok(if interrupted.load(Ordering::Relaxed) {
        WithinBudget::Interrupted
    } else {
        WithinBudget::Ran(reports)
    })
}

/// git config `countersign.pushBudget`: a length of time, or a number of seconds.
pub fn push_budget(git: &Git) -> Result<Duration, Error> {
    let Some(text) = git.config()?.get("countersign.pushBudget") else { return Ok(PUSH_BUDGET) };
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| parse_length(text)).ok_or_else(|| {
        let message = format!(
            "git config countersign.pushBudget is `{}`, no length of time",
            printable(text)
        );
        Error::usage(message).hint("`git config countersign.pushBudget 45s`")
    })
}

/// How long the tests take by their last recorded durations; a test that was
/// never recorded counts nothing, since nothing is known.
fn expected_duration(plan: &Plan, records: &[SignedRecord]) -> Duration {
    let mut last: BTreeMap<&str, (Timestamp, Duration)> = BTreeMap::new();
    for run in records.iter().filter(|it| it.own).filter_map(as_run) {
        let proof = run.proof.as_ref().map_or(0, |it| it.duration_ms);
        let latest = (run.by.at, Duration::from_millis(run.duration_ms.saturating_add(proof)));
        let known = last.entry(run.test.as_str()).or_insert(latest);
        *known = latest.max(*known);
    }
    let known = plan.tests.iter().filter_map(|planned| last.get(planned.test.name.as_str()));
    let lengths: Vec<Duration> = known.map(|(_, length)| *length).collect();
    let workers = u32::try_from(runner::parallelism()).unwrap_or(u32::MAX);
    let shared = lengths.iter().sum::<Duration>() / workers.max(1);
    lengths.into_iter().max().unwrap_or_default().max(shared)
}

/// This program, as records name it.
pub(super) fn client() -> String {
    concat!("countersign ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// The kept checkouts.
pub(super) fn slots(place: Place<'_>) -> Result<Slots, Error> {
    let cache = place.env.cache_home().ok_or_else(|| {
        Error::repository("it is not known where this user's caches live")
            .hint("set XDG_CACHE_HOME or HOME")
    })?;
    Ok(Slots::below(&cache, Origin::of(place.git)?)?)
}

impl From<CheckoutError> for Error {
    fn from(error: CheckoutError) -> Error {
        Error::repository(error)
    }
}
