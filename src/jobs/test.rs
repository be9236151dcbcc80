//! Runs required tests on exactly the head's tree, and records the results;
//! plans them for CI's jobs, and takes those jobs' results back.
//!
//! Commands of a policy run only in a clone where `install` was run, or in CI,
//! where a job says `countersign test` in so many words. A push runs them by
//! itself only for commits that this clone had checked out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::adapters::checkout::{CheckoutError, Origin, Slots};
use crate::adapters::env::{self, Env};
use crate::adapters::fs;
use crate::adapters::git::Git;
use crate::adapters::hooks_dir::HooksDir;
use crate::adapters::runner::{self, Order};
use crate::adapters::signature::{self, KeySource};
use crate::adapters::store::{Store, Unpublished};
use crate::gate::approval::signatory;
use crate::gate::change::{Change, Oid, RepoPath, printable};
use crate::gate::evidence::{Deferred, Evidence, MergeResult};
use crate::gate::junit;
use crate::gate::obligation::obligations;
use crate::gate::order;
use crate::gate::packages::Affected;
use crate::gate::policy::{Accept, Policy, Stage, TestCommand, Tier};
use crate::gate::proof::{Source, subject};
use crate::gate::record::{Body, Record, Run, SignedRecord, Signer};
use crate::gate::requirement::Requirement;
use crate::gate::requirement::coverage::{sources, tells};
use crate::gate::run::{self, Counting};
use crate::gate::time::{Timestamp, parse_length, write_length};

pub use crate::adapters::runner::{End, Event};
pub use crate::adapters::supervise::interruption;

use super::ambient::Surroundings;
use super::inputs::{self, Depends, Head};
use super::judgement::Judgement;
use super::world::World;
use super::{Error, ErrorKind, check, install};

/// How long a push may spend on tests, unless git config `countersign.pushBudget` says otherwise.
const PUSH_BUDGET: Duration = Duration::from_secs(45);
/// How many of HEAD's former places are looked at.
const REFLOG: &str = "--max-count=20000";
/// The most bytes of a file whose hunks are taken out.
const MAX_SOURCE: u64 = 16 << 20;
/// The most bytes of a file of results.
const MAX_RESULTS: u64 = 64 << 20;

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

/// What is to be run, on what.
#[derive(Clone, Debug)]
pub struct Plan {
    pub commit: Oid,
    pub tree: Oid,
    pub base: Oid,
    /// The change's files that stand at `commit`.
    pub files: Vec<RepoPath>,
    pub tests: Vec<Planned>,
    /// By a test's name what it has to notice: the digest, and the assisted hunks.
    pub proofs: BTreeMap<String, (String, Vec<Source>)>,
    /// By a test's name the packages that it runs for; absent: for all there are.
    pub packages: BTreeMap<String, Affected>,
    /// What is tested by tests that run on the result of a merge.
    pub merged: Option<MergeResult>,
    pub repo: Option<String>,
    /// SHA-256 of the policy's bytes.
    pub policy: Option<String>,
}

/// A test, and the key under which its results are recorded.
#[derive(Clone, Debug)]
pub struct Planned {
    pub test: TestCommand,
    pub key: String,
    /// The words of `run`, with the packages filled in.
    pub words: Vec<String>,
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

/// A key that signs results, known to the policy.
#[derive(Clone, Debug)]
pub struct Signing {
    key: KeySource,
    fingerprint: String,
    who: String,
    /// ssh-keygen may ask there for a passphrase or a touch.
    terminal: bool,
    ledger: Option<Oid>,
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

impl Plan {
    /// Plans the named tests of the policy for a change's head; fails on a name
    /// that the policy does not have. `evidence` holds the digests of inputs that
    /// were looked up already, and the result of the merge where one is tested.
    pub fn new(
        git: &Git,
        policy: &Policy,
        change: &Change,
        names: &BTreeSet<String>,
        evidence: &Evidence,
    ) -> Result<Plan, Error> {
        let mut tests = Vec::new();
        let merged = evidence.merge_result.as_ref();
        let merged_tree = merged.and_then(|it| it.as_ref().ok()).map(|it| &it.tree);
        let mut head = Head::new(git, change, &change.head_tree);
        let mut merge = Head::new(git, change, merged_tree.unwrap_or(&change.head_tree));
        let mut packages = BTreeMap::new();
        for name in names {
            let Some(test) = policy.tests.get(name) else {
                let known: Vec<_> = policy.tests.keys().map(String::as_str).collect();
                let error = Error::usage(format!("the policy has no test `{}`", printable(name)));
                return Err(error.hint(format!("it has: {}", printable(&known.join(", ")))));
            };
            let head = match (test.on_merge, merged) {
                (false, _) | (true, Some(Ok(_))) => {
                    if test.on_merge {
                        &mut merge
                    } else {
                        &mut head
                    }
                }
                (true, Some(Err(why))) => return Err(inputs::unknown(name, why)),
                (true, None) => {
                    let why =
                        "it runs on the result of a merge, and no rule asks this change for it";
                    return Err(inputs::unknown(name, why));
                }
            };
            let depends = match evidence.inputs.get(name) {
                Some(Ok(digest)) if test.packages.is_none() => {
                    Depends { digest: digest.clone(), packages: None }
                }
                Some(_) | None => head.depends(test).map_err(|why| inputs::unknown(name, &why))?,
            };
            let words = inputs::words(test, depends.packages.as_ref());
            packages.extend(depends.packages.map(|affected| (name.clone(), affected)));
            tests.push(Planned { key: run::key(test, &depends.digest), test: test.clone(), words });
        }
        let stands = |mode: u32| mode != 0o160_000;
        let files =
            change.files.iter().filter(|file| file.new.as_ref().is_some_and(|it| stands(it.mode)));
        Ok(Plan {
            commit: change.head.clone(),
            tree: change.head_tree.clone(),
            base: change.base.clone(),
            files: files.map(|file| file.path.clone()).collect(),
            tests,
            proofs: BTreeMap::new(),
            packages,
            merged: merged.and_then(|it| it.clone().ok()),
            repo: policy.trust.repo_id.clone(),
            policy: policy.source.sha256.clone(),
        })
    }

    /// Notes which hunks have to be taken out for which test.
    fn prove(&mut self, git: &Git, judgement: &Judgement) -> Result<(), Error> {
        for planned in &self.tests {
            let test = &planned.test;
            let Some(subject) = subject(&judgement.change, &judgement.attribution, test) else {
                continue;
            };
            let mut sources = Vec::new();
            for file in &subject.files {
                let read = |oid: &Option<Oid>| {
                    oid.as_ref().map(|oid| git.blob(oid, MAX_SOURCE)).transpose()
                };
                sources.extend(Source::new(file, read(&file.old)?, read(&file.new)?));
            }
            self.proofs.insert(test.name.clone(), (subject.digest, sources));
        }
        Ok(())
    }

    /// The tree on which a test runs.
    fn tree_of(&self, test: &TestCommand) -> &Oid {
        self.merge_of(test).map_or(&self.tree, |it| &it.tree)
    }

    /// The merge on whose result a test runs, if it does.
    fn merge_of(&self, test: &TestCommand) -> Option<&MergeResult> {
        self.merged.as_ref().filter(|_| test.on_merge)
    }

    /// The packages that a test runs for; empty: for all there are.
    fn packages_of(&self, test: &str) -> Vec<String> {
        let affected = self.packages.get(test);
        affected.into_iter().flat_map(Affected::names).map(str::to_owned).collect()
    }

    /// The matrix for CI's jobs.
    pub fn matrix(&self) -> serde_json::Value {
        let row = |planned: &Planned| {
            let mut row = serde_json::json!({
                "test": planned.test.name,
                "commit": self.commit.as_str(),
                "tree": self.tree_of(&planned.test).as_str(),
                "key": planned.key,
                "run": planned.words,
            });
            if let Some(affected) = self.packages.get(&planned.test.name) {
                row["packages"] = affected.names().collect();
            }
            row
        };
        serde_json::json!({ "include": self.tests.iter().map(row).collect::<Vec<_>>() })
    }
}

impl Signing {
    /// Chooses the key and finds its owner in the policy; nothing is signed or
    /// unlocked yet. A key that nobody in the policy owns is refused, since what
    /// it signs would never count.
    pub fn new(
        place: Place<'_>,
        policy: &Policy,
        given: Option<&Path>,
        ledger: Option<Oid>,
    ) -> Result<Signing, Error> {
        let configured = place.git.config()?.get("user.signingkey");
        let home = place.env.home();
        let key = KeySource::choose(given, configured, home.as_deref(), &place.env.dir)
            .map_err(signing_error)?;
        let signature = signature::signature_to_come(&key).map_err(signing_error)?;
        let fingerprint = signature.fingerprint.clone();
        let Some((person, _)) = signatory(policy, &signature) else {
            let error = format!("no person of the policy owns the key {fingerprint}");
            return Err(Error::usage(error)
                .hint("`countersign policy show` lists the people and their keys"));
        };
        let terminal = place.env.stdin_is_terminal && place.env.stderr_is_terminal;
        Ok(Signing { who: person.name.clone(), key, fingerprint, terminal, ledger })
    }

    fn signer(&self, at: Timestamp) -> Signer {
        Signer {
            who: Some(self.who.clone()),
            key: Some(self.fingerprint.clone()),
            at,
            ledger: self.ledger.clone(),
            nonce: env::nonce(),
        }
    }
}

fn signing_error(error: signature::SignatureError) -> Error {
    let hints = error.hints();
    hints.into_iter().fold(Error::repository(error), Error::hint)
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

/// How long this clone's last run of a test took, proofs aside.
pub fn last_duration(records: &[SignedRecord], test: &str) -> Option<Duration> {
    let runs = records.iter().filter(|it| it.own).filter_map(as_run).filter(|it| it.test == test);
    runs.max_by_key(|run| run.by.at).map(|run| Duration::from_millis(run.duration_ms))
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

/// A pass that this clone recorded for the same inputs in the same surroundings.
fn reusable<'a>(
    planned: &Planned,
    order: &Order<'_>,
    records: &'a [SignedRecord],
) -> Option<&'a SignedRecord> {
    let environment =
        runner::environment_digests(&runner::environment(order.variables, &planned.test));
    let wanted = run::reuse_key(
        &planned.key,
        &run::Surroundings {
            environment: &environment,
            platform: &runner::platform(),
            client: &client(),
            argv: &runner::recorded_words(&planned.test, order),
        },
    );
    let same = |run: &Run| {
        let surroundings = run::Surroundings {
            environment: &run.environment,
            platform: &run.platform,
            client: &run.client,
            argv: &run.argv,
        };
        run.passed
            && run.key == planned.key
            && run.sandbox.network == planned.test.network
            && tells(run.coverage.as_ref(), &planned.test, order.files)
            && is_proven(run, order.proofs.get(&planned.test.name))
            && run::reuse_key(&run.key, &surroundings) == wanted
    };
    let own = records.iter().filter(|record| record.own);
    // The signed one of two is worth more.
    own.filter(|record| as_run(record).is_some_and(same))
        .max_by_key(|record| as_run(record).map(|run| (run.by.key.is_some(), run.by.at)))
}

/// Whether a run says whether it notices what it has to.
fn is_proven(run: &Run, wanted: Option<&(String, Vec<Source>)>) -> bool {
    let found = run.proof.as_ref().map(|it| &it.subject);
    wanted.is_none_or(|(subject, _)| found == Some(subject))
}

fn as_run(record: &SignedRecord) -> Option<&Run> {
    match &record.record.body {
        Body::Run(run) => Some(run),
        Body::Approval(_)
        | Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => None,
    }
}

/// An earlier pass stands; where a signature is wanted and it has none, it is
/// recorded once more, signed.
fn reuse(
    place: Place<'_>,
    record: &SignedRecord,
    signing: Option<&Signing>,
) -> Result<Report, Error> {
    let Some(run) = as_run(record) else {
        return Err(Error::new(ErrorKind::Internal, "a record that is no run was reused"));
    };
    let (id, result) = match signing {
        Some(signing) if run.by.key.is_none() => keep(place, run.clone(), Some(signing))?,
        Some(_) | None => (record.record.id.clone(), unsigned(run)?),
    };
    Ok(Report {
        test: run.test.clone(),
        end: End::Passed,
        summary: printable(&run.summary),
        duration: Duration::from_millis(run.duration_ms),
        retried: run.retried.clone(),
        reused: true,
        record: Some(id),
        log: None,
        tail: String::new(),
        result: Some(result),
    })
}

/// Records an outcome that says something about the tree.
fn keep_outcome(
    place: Place<'_>,
    plan: &Plan,
    planned: &Planned,
    order: &Order<'_>,
    outcome: runner::Outcome,
    signing: Option<&Signing>,
) -> Result<Report, Error> {
    let mut retried = Vec::new();
    let (record, result) = match outcome.end {
        End::NotRun => (None, None),
        End::Passed | End::Failed => {
            let run = Run {
                repo: plan.repo.clone(),
                test: planned.test.name.clone(),
                key: planned.key.clone(),
                commit: plan.commit.clone(),
                tree: order.tree.clone(),
                merged: (order.commit != &plan.commit).then(|| Box::new(order.commit.clone())),
                passed: outcome.end == End::Passed,
                exit: outcome.exit,
                summary: outcome.summary.clone(),
                duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
                argv: runner::recorded_words(&planned.test, order),
                environment: outcome.environment,
                platform: runner::platform(),
                client: client(),
                policy: plan.policy.clone(),
                packages: plan.packages_of(&planned.test.name),
                retried: outcome.retried,
                sandbox: Box::new(outcome.sandbox),
                tests: outcome.counts,
                coverage: outcome.coverage,
                proof: outcome.proof.map(Box::new),
                by: nobody(),
            };
            retried = run.retried.clone();
            let (id, result) = keep(place, run, signing)?;
            (Some(id), Some(result))
        }
    };
    Ok(Report {
        test: outcome.test,
        end: outcome.end,
        summary: outcome.summary,
        duration: outcome.duration,
        retried,
        reused: false,
        record,
        log: outcome.log,
        tail: outcome.tail,
        result,
    })
}

/// Keeps a run as a record; returns its id, and the unsigned record's bytes.
fn keep(
    place: Place<'_>,
    mut run: Run,
    signing: Option<&Signing>,
) -> Result<(String, Vec<u8>), Error> {
    let result = unsigned(&run)?;
    run.by = signer(signing);
    Ok((keep_body(place, &Body::Run(run), signing)?, result))
}

/// Keeps a record, signed if there is a key; returns its id.
pub(super) fn keep_body(
    place: Place<'_>,
    body: &Body,
    signing: Option<&Signing>,
) -> Result<String, Error> {
    let (record, bytes) = write(body)?;
    let signature = match signing {
        None => None,
        Some(signing) => {
            let namespace = record.record_type().namespace();
            let armoured = signature::sign(&bytes, &namespace, &signing.key, signing.terminal);
            Some(armoured.map_err(signing_error)?.into_bytes())
        }
    };
    place.store.keep(&Unpublished { id: record.id.clone(), bytes, signature })?;
    Ok(record.id)
}

fn unsigned(run: &Run) -> Result<Vec<u8>, Error> {
    write(&Body::Run(Run { by: nobody(), ..run.clone() })).map(|(_, bytes)| bytes)
}

/// Who signs a record that is made now.
pub(super) fn signer(signing: Option<&Signing>) -> Signer {
    signing.map_or_else(nobody, |signing| signing.signer(env::now()))
}

/// The signer of an unsigned record, made now.
fn nobody() -> Signer {
    Signer { who: None, key: None, at: env::now(), ledger: None, nonce: env::nonce() }
}

fn write(body: &Body) -> Result<(Record, Vec<u8>), Error> {
    Record::write(body).map_err(|error| Error::new(ErrorKind::Internal, error))
}

/// Takes results that another job wrote, after comparing each with the plan:
/// the test is one of the policy's, and commit, tree and key are those of this
/// change as this clone sees it. Nothing of the change is run or checked out.
/// All of them hold, or none is taken.
pub fn import(
    place: Place<'_>,
    plan: &Plan,
    results: &[u8],
    signing: &Signing,
) -> Result<Vec<Report>, Error> {
    let lines = results.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut runs: Vec<Run> = Vec::new();
    for line in lines {
        let run = parse_result(line).and_then(|run| matching(plan, run).map_err(Error::usage))?;
        if runs.iter().any(|it| it.test == run.test) {
            return Err(Error::usage(format!(
                "there are two results of `{}`",
                printable(&run.test)
            )));
        }
        runs.push(run);
    }
    if runs.is_empty() && !plan.tests.is_empty() {
        return Err(Error::usage("there is no result to import")
            .hint("`countersign test --output FILE` writes one"));
    }
    let mut reports = Vec::new();
    for run in runs {
        let mut report = Report {
            test: run.test.clone(),
            end: if run.passed { End::Passed } else { End::Failed },
            summary: printable(&run.summary),
            duration: Duration::from_millis(run.duration_ms),
            retried: run.retried.clone(),
            reused: false,
            record: None,
            log: None,
            tail: String::new(),
            result: None,
        };
        report.record = Some(keep(place, run, Some(signing))?.0);
        reports.push(report);
    }
    Ok(reports)
}

/// Reads files that [`write_results`] wrote, or folders of such files.
pub fn read_results(env: &Env, places: &[PathBuf]) -> Result<Vec<u8>, Error> {
    let mut results = Vec::new();
    for place in places {
        let place = env.dir.join(place);
        let files = if place.is_dir() { fs::list(&place)? } else { vec![place] };
        for path in files {
            // Another job made them: a link or a pipe is not followed.
            if path.symlink_metadata().is_ok_and(|it| !it.is_file()) {
                return Err(Error::usage(format!("`{}` is no regular file", path.display())));
            }
            let Some(bytes) = fs::read(&path, MAX_RESULTS)? else {
                return Err(Error::usage(format!("there is no file `{}`", path.display())));
            };
            results.extend(bytes);
            if results.len() as u64 > MAX_RESULTS {
                return Err(Error::usage(format!("the results exceed {MAX_RESULTS} bytes")));
            }
        }
    }
    Ok(results)
}

/// Writes the unsigned results, a record a line, for a job that imports them.
pub fn write_results(env: &Env, file: &Path, reports: &[Report]) -> Result<(), Error> {
    let results = reports.iter().filter_map(|report| report.result.as_deref());
    Ok(fs::write_atomically(&env.dir.join(file), &results.collect::<Vec<_>>().concat(), 0o644)?)
}

fn parse_result(line: &[u8]) -> Result<Run, Error> {
    let record = Record::parse(&[line, b"\n"].concat()).map_err(Error::usage)?;
    match record.body {
        Body::Run(run) => Ok(run),
        Body::Approval(_)
        | Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => Err(Error::usage("the file holds a record that is no test result")),
    }
}

/// The run, if it is about what the plan asks and does not contradict itself.
fn matching(plan: &Plan, run: Run) -> Result<Run, String> {
    let name = printable(&run.test);
    let Some(planned) = plan.tests.iter().find(|it| it.test.name == run.test) else {
        return Err(format!("the result of `{name}` is about no test that this change needs"));
    };
    let differs = |what: &str, found: &str, wanted: &str| {
        Err(format!("the result of `{name}` is about {what} {}, not {wanted}", printable(found)))
    };
    if run.commit != plan.commit {
        return differs("commit", run.commit.as_str(), plan.commit.as_str());
    }
    let tree = plan.tree_of(&planned.test);
    if run.tree != *tree {
        return differs("tree", run.tree.as_str(), tree.as_str());
    }
    if run.key != planned.key {
        return differs("key", &run.key, &planned.key);
    }
    let packages = plan.packages_of(&run.test);
    if run.packages != packages {
        return differs("packages", &run.packages.join(" "), &packages.join(" "));
    }
    if run.repo != plan.repo {
        let word = |repo: &Option<String>| repo.clone().unwrap_or_else(|| "none".to_owned());
        return differs("repository", &word(&run.repo), &word(&plan.repo));
    }
    let failed = run.tests.as_ref().is_some_and(|it| it.failed > 0 || junit::nothing_ran(it));
    let reported = planned.test.reports.junit.is_empty() || run.tests.is_some();
    let proof = run.proof.as_ref().map(|it| it.subject.as_str());
    if let (Some(found), Some((wanted, _))) = (proof, plan.proofs.get(&run.test))
        && found != wanted
    {
        return differs("assisted lines", found, wanted);
    }
    if run.passed && (run.exit != Some(0) || failed || !reported) {
        return Err(format!(
            "the result of `{name}` says that it passed, and its own figures say no"
        ));
    }
    Ok(run)
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
