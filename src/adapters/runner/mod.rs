//! Runs a policy's tests on a checkout of exactly the tree that is judged, and
//! says what came of it.
//!
//! A test sees no variable that is neither on the list in `environment` nor
//! named by the policy, so that its result depends on what its record says. It
//! may write where it likes in its checkout, but a run that changes tracked
//! files did not test the tree, and fails.

mod attempt;
mod engine_plan;
mod environment;
mod log;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use attempt::{fill_oids, with_packages};

use super::checkout::{CheckoutError, Slot, Slots};
use crate::gate::change::{Oid, RepoPath, printable};
use crate::gate::coverage::measured::Measured;
use crate::gate::packages::Affected;
use crate::gate::policy::TestCommand;
use crate::gate::proof::{Proof, Source};
use crate::gate::record::canonical::sha256;
use crate::gate::record::{Sandbox, TestCounts};

pub(super) use attempt::{Attempt, Step};
pub use engine_plan::{EnginePlan, MAX_PLAN, show};
pub use environment::{ALLOWED, environment, environment_digests, platform};

/// The summary of a test that the budget had no time for.
pub const OUT_OF_TIME: &str = "the time for it ran out";
/// A report larger than this is not read.
pub(super) const MAX_REPORT: u64 = 64 << 20;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    pub tests: &'a [&'a TestCommand],
    pub commit: &'a Oid,
    pub tree: &'a Oid,
    pub base: Option<&'a Oid>,
    /// The change's files that stand at `commit`, for `{files}` and `{files_from}`.
    pub files: &'a [RepoPath],
    /// All variables of this process; tests see those that are allowed.
    pub variables: &'a [(OsString, OsString)],
    /// How many tests run at the same time.
    pub parallel: usize,
    /// After this time everything is ended, and what had not finished was not run.
    pub budget: Option<Duration>,
    pub interrupted: &'a AtomicBool,
    /// The commands are dry runs: `{out}` is a file, and what they write there is taken.
    pub dry: Option<Dry<'a>>,
    /// By a test's name what it has to notice: the digest, and the assisted hunks.
    pub proofs: &'a BTreeMap<String, (String, Vec<Source>)>,
    /// By a test's name the packages that it runs for; absent: for all there are.
    pub packages: &'a BTreeMap<String, Affected>,
}

/// Where a dry run is made, and how its plan is shown.
#[derive(Clone, Copy, Debug)]
pub struct Dry<'a> {
    /// The folder below the checkout in which the command runs.
    pub root: Option<&'a str>,
    /// The program that prints an engine's own plan (a zip) as JSON: `PROGRAM show -json PLAN`.
    pub show: Option<&'a str>,
}

/// What a dry run wrote.
#[derive(Clone, Debug)]
pub struct DryOutput {
    /// The engine's own plan, if there was one.
    pub plan: Option<EnginePlan>,
    /// The plan as JSON, as far as can be told.
    pub json: Vec<u8>,
}

/// What came of one test.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub test: String,
    pub end: End,
    /// `None`: killed, timed out or not started.
    pub exit: Option<i32>,
    /// One line, safe to print: `12 tests passed`, `timed out after 10m`.
    pub summary: String,
    pub duration: Duration,
    pub counts: Option<TestCounts>,
    /// What the coverage reports of a pass say; the reason, if one cannot be read.
    pub coverage: Option<Result<Measured, String>>,
    /// Of a pass that had to be proven.
    pub proof: Option<Proof>,
    /// How the attempts before this one ended; safe to print.
    pub retried: Vec<String>,
    /// What was in force.
    pub sandbox: Sandbox,
    /// Names and SHA-256 of the values of the environment that the command saw.
    pub environment: Vec<(String, String)>,
    /// Where the output stands.
    pub log: Option<PathBuf>,
    /// The end of the output; not safe to print.
    pub tail: String,
    /// Of a dry run that passed.
    pub dry: Option<DryOutput>,
}

/// Whether a test says something about the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Passed,
    Failed,
    /// It was not run to its end, and nothing is known; the summary says why.
    NotRun,
}

/// What happens while tests run.
#[derive(Clone, Debug)]
pub enum Event {
    /// The checkout is being brought to the tree.
    Preparing {
        test: String,
    },
    SettingUp {
        test: String,
    },
    Started {
        test: String,
    },
    /// The test failed, and the policy lets it try again.
    Retrying {
        test: String,
        attempt: usize,
        of: usize,
        /// How it failed; safe to print.
        summary: String,
    },
    /// The test passed, and a tool changes the assisted lines to see whether it fails then.
    Mutating {
        test: String,
    },
    /// The test passed, and runs again without the assisted lines.
    Proving {
        test: String,
        attempt: usize,
        of: usize,
    },
    Finished {
        test: String,
        end: End,
        summary: String,
        duration: Duration,
    },
}

/// How many tests to run at the same time on this machine.
pub fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// The command as records keep it, and as it decides about reuse: the words of
/// `run` with their placeholders filled, except for places on this machine;
/// where the command asks for the change's files, a digest of their names.
pub fn recorded_words(test: &TestCommand, order: &Order<'_>) -> Vec<String> {
    let run = with_packages(&test.run, &test.name, order);
    let mut words: Vec<String> = run.iter().map(|word| fill_oids(word, order)).collect();
    if test.run.iter().any(|word| word.contains("{files")) {
        let names: Vec<&[u8]> = order.files.iter().map(RepoPath::as_bytes).collect();
        words.push(format!("{{files}}=sha256:{}", sha256(&names.join(&0))));
    }
    words
}

/// Runs the tests, each in a slot of its own, at most `parallel` at a time. One
/// outcome per test, in the order given; what could not be run says so.
pub fn run(slots: &Slots, order: &Order<'_>, tell: &(dyn Fn(Event) + Sync)) -> Vec<Outcome> {
    let clock = Clock::start(order.budget);
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<Outcome>>> =
        order.tests.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        let mut slot = None;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(command) = order.tests.get(number) else { return };
            let outcome = one(slots, &mut slot, command, order, &clock, tell);
            tell(Event::Finished {
                test: outcome.test.clone(),
                end: outcome.end,
                summary: outcome.summary.clone(),
                duration: outcome.duration,
            });
            *outcomes[number].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..order.parallel.clamp(1, order.tests.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    let rows = outcomes.into_iter().zip(order.tests);
    rows.map(|(outcome, test)| {
        let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.unwrap_or_else(|| Outcome::not_run(test, "it was never reached".to_owned()))
    })
    .collect()
}

/// When everything must be done.
pub struct Clock {
    start: Instant,
    budget: Option<Duration>,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the budget is measured here")]
    pub fn start(budget: Option<Duration>) -> Clock {
        Clock { start: Instant::now(), budget }
    }

    /// What is left of the budget; `None`: there is none.
    pub fn left(&self) -> Option<Duration> {
        self.budget.map(|budget| budget.saturating_sub(self.start.elapsed()))
    }
}

impl Outcome {
    fn not_run(test: &TestCommand, why: String) -> Outcome {
        Outcome {
            test: test.name.clone(),
            end: End::NotRun,
            exit: None,
            summary: printable(&why),
            duration: Duration::ZERO,
            counts: None,
            coverage: None,
            proof: None,
            retried: Vec::new(),
            sandbox: Sandbox::default(),
            environment: Vec::new(),
            log: None,
            tail: String::new(),
            dry: None,
        }
    }
}

/// Runs one test, taking a slot first if this worker has none.
fn one(
    slots: &Slots,
    slot: &mut Option<Slot>,
    test: &TestCommand,
    order: &Order<'_>,
    clock: &Clock,
    tell: &(dyn Fn(Event) + Sync),
) -> Outcome {
    if order.interrupted.load(Ordering::Relaxed) {
        return Outcome::not_run(test, "interrupted".to_owned());
    }
    if clock.left().is_some_and(|left| left.is_zero()) {
        return Outcome::not_run(test, OUT_OF_TIME.to_owned());
    }
    tell(Event::Preparing { test: test.name.clone() });
    let mut prepare = || -> Result<(), CheckoutError> {
        if slot.is_none() {
            *slot = Some(slots.take(order.interrupted)?);
        }
        slot.as_ref().map_or(Ok(()), |slot| slot.bring(order.commit, order.tree, order.interrupted))
    };
    if let Err(error) = prepare() {
        return Outcome::not_run(test, chain(&error));
    }
    let Some(slot) = slot else { return Outcome::not_run(test, "there is no checkout".to_owned()) };
    let attempt = Attempt::new(slots, slot, test, order, clock, tell).and_then(|mut attempt| {
        if let Err(why) = attempt.keep_away() {
            let why = format!("it shall have no network, and that cannot be had here: {why}");
            return Ok(Outcome::not_run(test, why));
        }
        attempt.run()
    });
    match attempt {
        Ok(outcome) => outcome,
        Err(error) => Outcome::not_run(test, chain(&error)),
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A test's name as part of a file's name.
fn file_name(test: &str) -> String {
    let plain =
        |it: char| if it.is_ascii_alphanumeric() || matches!(it, '-' | '_') { it } else { '_' };
    let readable: String = test.chars().take(60).map(plain).collect();
    format!("{readable}-{}", &sha256(test.as_bytes())[..8])
}

fn tests(count: u64) -> String {
    if count == 1 { "1 test".to_owned() } else { format!("{count} tests") }
}

fn passed(counts: Option<&TestCounts>) -> String {
    match counts {
        None => "exit status 0".to_owned(),
        Some(counts) if counts.skipped == 0 => format!("{} passed", tests(counts.passed)),
        Some(counts) => format!("{} passed, {} skipped", tests(counts.passed), counts.skipped),
    }
}

/// What is said of attempts that failed before.
fn before(retried: &[String]) -> String {
    match retried {
        [] => String::new(),
        [one] => format!(" at the second attempt (the first: {one})"),
        more => format!(" at attempt {} (before: {})", more.len() + 1, more.join("; ")),
    }
}
