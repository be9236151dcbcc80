//! Runs a policy's tests on a checkout of exactly the tree that is judged, and
//! says what came of it.
//!
//! A test sees no variable that is neither on the list below nor named by the
//! policy, so that its result depends on what its record says. It may write
//! where it likes in its checkout, but a run that changes tracked files did not
//! test the tree, and fails.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::checkout::{CheckoutError, Slot, Slots};
use super::coverage;
use super::fs;
use super::plan_file::{self, PlanZipError};
use super::process::Call;
use super::sandbox;
use super::supervise::{Ended, Limits, Supervised, supervise};
use crate::gate::change::{Oid, RepoPath, printable};
use crate::gate::coverage::measured::Measured;
use crate::gate::junit;
use crate::gate::order;
use crate::gate::packages::{self, Affected};
use crate::gate::policy::{Prove, TestCommand};
use crate::gate::preview::{PlanFile, is_plan_file, matches_stars};
use crate::gate::proof::{Proof, Source};
use crate::gate::record::canonical::sha256;
use crate::gate::record::{Sandbox, TestCounts};
use crate::gate::run;
use crate::gate::time::write_length;

/// Variables that every test may see, with their values: what tools need to
/// find themselves, their caches and the user's language.
pub const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOMODCACHE",
    "JAVA_HOME",
    "M2_HOME",
    "MAVEN_HOME",
    "GRADLE_USER_HOME",
    "ANDROID_HOME",
    "NVM_DIR",
    "VOLTA_HOME",
    "PNPM_HOME",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "ASDF_DATA_DIR",
    "DOTNET_ROOT",
    "NIX_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    // Windows programs do not start without these.
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
];

/// The summary of a test that the budget had no time for.
pub const OUT_OF_TIME: &str = "the time for it ran out";

/// A report larger than this is not read.
pub(super) const MAX_REPORT: u64 = 64 << 20;
/// A plan larger than this is not read.
pub const MAX_PLAN: u64 = 512 << 20;
/// How much of a log's beginning is kept.
const LOG_HEAD: usize = 1 << 20;
/// How much of a log's end is kept.
const LOG_TAIL: usize = 256 << 10;
/// How much of a log's end is handed upwards.
const SHOWN_TAIL: usize = 4 << 10;

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

/// An engine's own plan: a file that it can apply.
#[derive(Clone, Debug)]
pub struct EnginePlan {
    pub sha256: String,
    pub file: PlanFile,
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

/// Names and values of the variables that a test sees, sorted by name. git puts
/// its own programs' folder in front of `PATH` for hooks; it is dropped, so that
/// a test sees the same whoever started it.
pub fn environment(
    variables: &[(OsString, OsString)],
    test: &TestCommand,
) -> Vec<(OsString, OsString)> {
    let allowed = |name: &str| {
        ALLOWED.contains(&name) || name.starts_with("LC_") || test.env.iter().any(|it| it == name)
    };
    let mut seen: Vec<(OsString, OsString)> = variables
        .iter()
        .filter(|(name, _)| name.to_str().is_some_and(allowed))
        .filter(|(name, _)| !super::process::GIT_LOCAL_VARIABLES.iter().any(|git| name == git))
        .map(|(name, value)| match name.to_str() {
            Some("PATH") => (name.clone(), without_git_core(value)),
            _ => (name.clone(), value.clone()),
        })
        .collect();
    order::sort(&mut seen);
    seen.dedup_by(|later, earlier| later.0 == earlier.0);
    seen
}

fn without_git_core(path: &OsString) -> OsString {
    let kept = std::env::split_paths(path).filter(|folder| !folder.ends_with("git-core"));
    std::env::join_paths(kept).unwrap_or_else(|_| path.clone())
}

/// The same as records keep it: the values' digests.
pub fn environment_digests(environment: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let row = |(name, value): &(OsString, OsString)| {
        (name.to_string_lossy().into_owned(), sha256(value.as_encoded_bytes()))
    };
    environment.iter().map(row).collect()
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

/// The platform that records name: `linux x86_64`.
pub fn platform() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
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

/// One test in one checkout.
pub(super) struct Attempt<'a> {
    pub(super) slot: &'a Slot,
    pub(super) test: &'a TestCommand,
    pub(super) order: &'a Order<'a>,
    clock: &'a Clock,
    pub(super) tell: &'a (dyn Fn(Event) + Sync),
    environment: Vec<(OsString, OsString)>,
    pub(super) checkout: PathBuf,
    out: PathBuf,
    files_from: PathBuf,
    /// What stands in front of the test's command, for no network.
    apart: Vec<OsString>,
    log_path: PathBuf,
    log: Arc<Mutex<Log>>,
}

/// What the JUnit reports say; `None`: the policy names none.
type Counted = Option<Result<TestCounts, String>>;

/// How a command ended, as far as it decides.
pub(super) enum Step {
    Done,
    Failed { exit: Option<i32>, summary: String },
    NotRun(String),
}

impl<'a> Attempt<'a> {
    fn new(
        slots: &Slots,
        slot: &'a Slot,
        test: &'a TestCommand,
        order: &'a Order<'a>,
        clock: &'a Clock,
        tell: &'a (dyn Fn(Event) + Sync),
    ) -> Result<Attempt<'a>, CheckoutError> {
        let (out, files_from) = (slot.aside("out"), slot.aside("files"));
        fs::remove_tree(&out)?;
        fs::create_folder(&out)?;
        let mut list = Vec::new();
        for path in order.files {
            list.extend_from_slice(b"./");
            list.extend_from_slice(path.as_bytes());
            list.push(b'\n');
        }
        fs::write(&files_from, &list)?;
        // One log for a test and slot: the next run overwrites it, so that they stay few.
        let log_path =
            slots.logs().join(format!("{}-{}.log", file_name(&test.name), slot.number()));
        let log = Arc::new(Mutex::new(Log::new(fs::create(&log_path)?)));
        Ok(Attempt {
            environment: environment(order.variables, test),
            checkout: slot.checkout(),
            slot,
            test,
            order,
            clock,
            tell,
            apart: Vec::new(),
            out: if order.dry.is_some() { out.join("plan") } else { out },
            files_from,
            log_path,
            log,
        })
    }

    /// Finds out how the test is kept away from the network, if it shall be.
    fn keep_away(&mut self) -> Result<(), String> {
        if !self.test.network {
            self.apart = sandbox::without_network(&self.checkout, &self.environment)?;
        }
        Ok(())
    }

    fn run(&self) -> Result<Outcome, CheckoutError> {
        let mut retried = Vec::new();
        let mut flaky = BTreeSet::new();
        let (step, duration, counts) = loop {
            let (step, duration, counts) = self.once()?;
            match step {
                Step::Failed { summary, .. } if retried.len() < self.test.retries => {
                    let summary = printable(&summary);
                    retried.push(summary.clone());
                    flaky
                        .extend(self.names(&self.slot.aside("started")).unwrap_or_default().failed);
                    let (attempt, of) = (retried.len() + 1, self.test.retries + 1);
                    let test = self.test.name.clone();
                    (self.tell)(Event::Retrying { test, attempt, of, summary });
                    self.again()?;
                }
                step => break (step, duration, counts),
            }
        };
        let mut dry = None;
        let step = match (step, self.order.dry) {
            (Step::Done, Some(how)) => match self.dry_output(how) {
                Ok(output) => {
                    dry = Some(output);
                    Step::Done
                }
                Err(summary) => Step::Failed { exit: Some(0), summary },
            },
            (step, _) => step,
        };
        let (coverage, proof) = match step {
            Step::Done => (self.coverage()?, self.proof(&flaky)?),
            Step::Failed { .. } | Step::NotRun(_) => (None, None),
        };
        let counts = counts.and_then(Result::ok);
        let (end, exit, summary) = match step {
            Step::Done => (End::Passed, Some(0), passed(counts.as_ref()) + &before(&retried)),
            Step::Failed { exit, summary } => (End::Failed, exit, summary + &before(&retried)),
            Step::NotRun(why) => (End::NotRun, None, why),
        };
        let tail = self.log.lock().unwrap_or_else(PoisonError::into_inner).finish();
        Ok(Outcome {
            test: self.test.name.clone(),
            end,
            exit,
            summary: printable(&summary),
            duration,
            counts,
            coverage,
            proof,
            retried,
            sandbox: Sandbox { network: self.apart.is_empty(), wrap: self.test.wrap.clone() },
            environment: environment_digests(&self.environment),
            log: Some(self.log_path.clone()),
            tail,
            dry,
        })
    }

    /// Sets up and runs the test once: how it ended, how long it took, and what
    /// its reports say.
    fn once(&self) -> Result<(Step, Duration, Counted), CheckoutError> {
        match self.set_up()? {
            Step::Done => {
                let started = self.begin()?;
                (self.tell)(Event::Started { test: self.test.name.clone() });
                let (step, duration) = self.command(&self.test.run)?;
                let counts = self.counts(&started);
                Ok((self.after(step, &counts)?, duration, counts))
            }
            step => Ok((step, Duration::ZERO, None)),
        }
    }

    /// Brings everything to where it was before the test.
    fn again(&self) -> Result<(), CheckoutError> {
        self.slot.bring(self.order.commit, self.order.tree, self.order.interrupted)?;
        fs::remove_tree(&self.out)?;
        Ok(fs::create_folder(&self.out)?)
    }

    /// Takes earlier reports away, and notes when the run begins.
    pub(super) fn begin(&self) -> Result<PathBuf, CheckoutError> {
        for pattern in self.test.reports.junit.iter().chain(&self.test.reports.coverage) {
            for path in self.reports(pattern) {
                fs::remove_file(&path)?;
            }
        }
        let started = self.slot.aside("started");
        fs::write(&started, b"")?;
        Ok(started)
    }

    /// Lets a test that passed show that it notices the assisted lines. What failed
    /// in an earlier attempt would fail without them as well, at times.
    fn proof(&self, flaky: &BTreeSet<String>) -> Result<Option<Proof>, CheckoutError> {
        let Some((subject, sources)) = self.order.proofs.get(&self.test.name) else {
            return Ok(None);
        };
        if self.test.prove == Some(Prove::Mutate) {
            return self.mutate(subject, sources);
        }
        // The run just passed by these reports.
        match self.names(&self.slot.aside("started")) {
            Ok(mut head) => {
                head.passed.retain(|it| !flaky.contains(it));
                head.failed.clone_from(flaky);
                self.prove(subject, sources, &head)
            }
            Err(_) => Ok(None),
        }
    }

    /// Runs the policy's `setup`, unless it ran in this slot for the same inputs.
    fn set_up(&self) -> Result<Step, CheckoutError> {
        let Some(setup) = &self.test.setup else { return Ok(Step::Done) };
        let inputs = match &self.test.setup_inputs {
            Some(globs) => run::inputs_digest(&self.slot.entries(|path| globs.matches(path))?),
            None => run::tree_digest(self.order.tree),
        };
        let key = run::setup_key(setup, &inputs, &environment_digests(&self.environment));
        let marker = self.slot.aside("setup");
        if fs::read(&marker, 1 << 10)?.as_deref() == Some(key.as_bytes()) {
            return Ok(Step::Done);
        }
        fs::remove_tree(&marker)?;
        (self.tell)(Event::SettingUp { test: self.test.name.clone() });
        let (step, _) = self.start(self.fill(setup), self.test.timeout)?;
        // What is neither tracked nor ignored is removed before the next run,
        // so a setup that leaves such files must run again.
        if matches!(step, Step::Done) && !self.slot.has_untracked()? {
            fs::write(&marker, key.as_bytes())?;
        }
        Ok(match step {
            Step::Failed { exit, summary } => {
                Step::Failed { exit, summary: format!("the setup failed: {summary}") }
            }
            step => step,
        })
    }

    /// The folder in which commands run.
    fn folder(&self) -> PathBuf {
        let root = self.order.dry.and_then(|dry| dry.root);
        root.map_or_else(|| self.checkout.clone(), |root| self.checkout.join(root))
    }

    /// What the dry run wrote to `{out}`; an engine's own plan is printed as JSON.
    fn dry_output(&self, how: Dry<'_>) -> Result<DryOutput, String> {
        let written = fs::read(&self.out, MAX_PLAN).map_err(|error| chain(&error))?;
        let written = written.ok_or("the command wrote no plan to `{out}`")?;
        let (Some(program), true) = (how.show, is_plan_file(&written)) else {
            return Ok(DryOutput { plan: None, json: written });
        };
        let plan = EnginePlan::of_own_run(&written)?;
        drop(written);
        let json = show(program, &self.out, &self.folder(), &self.environment)?;
        Ok(DryOutput { plan, json })
    }

    /// Runs a command of the test to its end, kept away from what the policy says.
    pub(super) fn command(&self, words: &[String]) -> Result<(Step, Duration), CheckoutError> {
        self.command_within(words, self.test.timeout)
    }

    /// The same with another limit.
    pub(super) fn command_within(
        &self,
        words: &[String],
        limit: Duration,
    ) -> Result<(Step, Duration), CheckoutError> {
        let wrapped = self.fill(&self.test.wrap).and_then(|wrap| {
            let mut words = self.fill(words)?;
            words.splice(0..0, wrap);
            words.splice(0..0, self.apart.iter().cloned());
            Ok(words)
        });
        self.start(wrapped, limit)
    }

    /// Runs a command, its placeholders filled, to its end.
    fn start(
        &self,
        words: Result<Vec<OsString>, String>,
        limit: Duration,
    ) -> Result<(Step, Duration), CheckoutError> {
        let words = match words {
            Ok(words) => words,
            Err(summary) => return Ok((Step::Failed { exit: None, summary }, Duration::ZERO)),
        };
        let Some((program, arguments)) = words.split_first() else {
            let summary = "the command is empty".to_owned();
            return Ok((Step::Failed { exit: None, summary }, Duration::ZERO));
        };
        let mut call = Call::new(program, &self.folder()).only_these_variables().args(arguments);
        for (name, value) in &self.environment {
            call = call.env(name, value);
        }
        call = call
            .env("COUNTERSIGN_HEAD", self.order.commit.as_str())
            .env("COUNTERSIGN_TREE", self.order.tree.as_str())
            .env("COUNTERSIGN_BASE", self.order.base.map_or("", Oid::as_str))
            .env("COUNTERSIGN_OUT", &self.out)
            .env("COUNTERSIGN_FILES_FROM", &self.files_from);
        if let Some(affected) = self.order.packages.get(&self.test.name) {
            let names: Vec<&str> = affected.names().collect();
            call = call.env("COUNTERSIGN_PACKAGES", names.join("\n"));
        }
        let left = self.clock.left();
        let timeout = left.map_or(limit, |left| left.min(limit));
        let limits = Limits { timeout, interrupted: self.order.interrupted };
        let log = self.log.clone();
        let write =
            move |bytes: &[u8]| log.lock().unwrap_or_else(PoisonError::into_inner).write(bytes);
        match supervise(&call, limits, write) {
            Ok(Supervised { ended, duration }) => Ok((self.step(ended, timeout, limit), duration)),
            Err(error) => Ok((Step::Failed { exit: None, summary: chain(&error) }, Duration::ZERO)),
        }
    }

    fn step(&self, ended: Ended, timeout: Duration, limit: Duration) -> Step {
        match ended {
            Ended::Exited(0) => Step::Done,
            Ended::Exited(code) => {
                Step::Failed { exit: Some(code), summary: format!("exit status {code}") }
            }
            Ended::Killed(signal) => {
                Step::Failed { exit: None, summary: format!("ended by signal {signal}") }
            }
            Ended::TimedOut if timeout < limit => Step::NotRun(OUT_OF_TIME.to_owned()),
            Ended::TimedOut => {
                let summary = format!("timed out after {}", write_length(timeout));
                Step::Failed { exit: None, summary }
            }
            Ended::Interrupted => Step::NotRun("interrupted".to_owned()),
        }
    }

    /// What must hold beyond the exit status: the reports are there, are new, and
    /// say that tests ran and none failed; the tracked files are untouched.
    fn after(
        &self,
        step: Step,
        counts: &Option<Result<TestCounts, String>>,
    ) -> Result<Step, CheckoutError> {
        let failed = |summary: String| Ok(Step::Failed { exit: Some(0), summary });
        match (&step, counts) {
            (Step::Failed { exit: Some(code), .. }, Some(Ok(counts))) if counts.failed > 0 => {
                let (failed, ran) = (counts.failed, counts.failed + counts.passed);
                let summary = format!("{failed} of {} failed (exit status {code})", tests(ran));
                return Ok(Step::Failed { exit: Some(*code), summary });
            }
            (Step::Failed { .. } | Step::NotRun(_), _) => return Ok(step),
            (Step::Done, _) => {}
        }
        let modified = self.slot.modified()?;
        if let Some(first) = modified.first() {
            let more = modified.len() - 1;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            return failed(format!("the run changed tracked files: {}{more}", first.to_display()));
        }
        match counts {
            Some(Err(why)) => failed(why.clone()),
            Some(Ok(counts)) if counts.failed > 0 => {
                let (failures, ran) = (counts.failed, counts.failed + counts.passed);
                failed(format!("{failures} of {} failed (exit status 0)", tests(ran)))
            }
            Some(Ok(counts)) if junit::nothing_ran(counts) => {
                failed(format!("no tests ran ({} skipped)", counts.skipped))
            }
            Some(Ok(_)) | None => Ok(step),
        }
    }

    /// What the JUnit reports say; `None`: the policy names no report at all. A
    /// coverage report must be there and new, too.
    fn counts(&self, started: &Path) -> Option<Result<TestCounts, String>> {
        let reports = &self.test.reports;
        let others = reports
            .coverage
            .iter()
            .try_for_each(|pattern| self.fresh(pattern, started).map(|_| ()));
        if let Err(why) = others {
            return Some(Err(why));
        }
        if reports.junit.is_empty() {
            return None;
        }
        let mut total = TestCounts::default();
        for pattern in &reports.junit {
            let added = self.fresh(pattern, started).and_then(|paths| {
                for path in paths {
                    let bytes = fs::read(&path, MAX_REPORT).map_err(|error| chain(&error))?;
                    let counts = junit::parse(&bytes.unwrap_or_default()).map_err(|error| {
                        format!("the report `{pattern}` cannot be read: {error}")
                    })?;
                    junit::add(&mut total, counts);
                }
                Ok(())
            });
            if let Err(why) = added {
                return Some(Err(why));
            }
        }
        Some(Ok(total))
    }

    /// What the coverage reports say, which are known to be there and new.
    fn coverage(&self) -> Result<Option<Result<Measured, String>>, CheckoutError> {
        let patterns = &self.test.reports.coverage;
        if patterns.is_empty() {
            return Ok(None);
        }
        let reports: BTreeSet<PathBuf> =
            order::set(patterns.iter().flat_map(|pattern| self.reports(pattern)));
        let reports: Vec<PathBuf> = reports.into_iter().collect();
        coverage::read(self.slot, &reports, self.order.files).map(Some)
    }

    /// The report files of one pattern: at least one, each written by this run
    /// and lying where it seems to lie.
    pub(super) fn fresh(&self, pattern: &str, started: &Path) -> Result<Vec<PathBuf>, String> {
        let paths = self.reports(pattern);
        if paths.is_empty() {
            return Err(format!("the report `{pattern}` was not written"));
        }
        let when = |path: &Path| fs::modified(path).map_err(|error| chain(&error));
        let start = when(started)?;
        for path in &paths {
            let place = fs::resolve(path).map_err(|error| chain(&error))?;
            let inside = [&self.checkout, &self.out]
                .into_iter()
                .any(|root| fs::resolve(root).is_ok_and(|root| place.starts_with(root)));
            if !inside {
                return Err(format!("the report `{pattern}` lies outside the checkout"));
            }
            if when(path)? < start {
                return Err(format!("the report `{pattern}` is older than the run"));
            }
        }
        Ok(paths)
    }

    /// The files that a report's path names; `*` stands for any part of a file's name.
    pub(super) fn reports(&self, pattern: &str) -> Vec<PathBuf> {
        let (root, below) = match pattern.strip_prefix("{out}/") {
            Some(below) => (&self.out, below),
            None => (&self.checkout, pattern),
        };
        let below = Path::new(below);
        let ordinary = |it: Component<'_>| matches!(it, Component::Normal(_) | Component::CurDir);
        if !below.components().all(ordinary) {
            return Vec::new();
        }
        let path = root.join(below);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Vec::new();
        };
        let name = name.to_string_lossy();
        if !name.contains('*') {
            return if path.is_file() { vec![path] } else { Vec::new() };
        }
        let mut files = fs::list(folder).unwrap_or_default();
        files.retain(|file| {
            let file_name = file.file_name().unwrap_or_default().to_string_lossy();
            file.is_file() && matches_stars(&name, &file_name)
        });
        files
    }

    /// The command's words with their placeholders filled.
    fn fill(&self, words: &[String]) -> Result<Vec<OsString>, String> {
        let mut filled = Vec::new();
        for word in &with_packages(words, &self.test.name, self.order) {
            if word == "{files}" {
                filled.extend(self.order.files.iter().map(dotted));
                continue;
            }
            if word.contains("{files}") {
                return Err(format!("`{{files}}` must be a word of its own, not part of `{word}`"));
            }
            if word.contains("{files_from}")
                && let Some(path) =
                    self.order.files.iter().find(|it| it.as_bytes().contains(&b'\n'))
            {
                return Err(format!("a list of files cannot hold {}", path.to_display()));
            }
            let word = fill_oids(word, self.order)
                .replace("{out}", &self.out.to_string_lossy())
                .replace("{checkout}", &self.checkout.to_string_lossy())
                .replace("{files_from}", &self.files_from.to_string_lossy());
            filled.push(OsString::from(word));
        }
        Ok(filled)
    }
}

/// The words with `{packages}` filled; a test that has none stays as it is.
fn with_packages(words: &[String], test: &str, order: &Order<'_>) -> Vec<String> {
    match order.packages.get(test) {
        Some(affected) => packages::fill(words, affected),
        None => words.to_vec(),
    }
}

fn fill_oids(word: &str, order: &Order<'_>) -> String {
    word.replace("{base}", order.base.map_or("", Oid::as_str))
        .replace("{head}", order.commit.as_str())
        .replace("{tree}", order.tree.as_str())
}

/// A path that no program takes for an option.
fn dotted(path: &RepoPath) -> OsString {
    let mut bytes = b"./".to_vec();
    bytes.extend_from_slice(path.as_bytes());
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    return String::from_utf8_lossy(&bytes).into_owned().into();
}

impl EnginePlan {
    /// Reads a plan's sources. Fails with a reason that is not safe to print.
    pub fn read(bytes: &[u8]) -> Result<EnginePlan, String> {
        let file = plan_file::read(bytes).map_err(|error| chain(&error))?;
        Ok(EnginePlan::of(bytes, file))
    }

    /// The same of what a command of the policy wrote here, on this very tree:
    /// `None` for a file that is no zip at all. It is for its engine to tell
    /// then; there are no sources to compare, and the run alone binds it. A zip
    /// that breaks off, or exceeds a limit, is refused as everywhere.
    fn of_own_run(bytes: &[u8]) -> Result<Option<EnginePlan>, String> {
        match plan_file::read(bytes) {
            Ok(file) => Ok(Some(EnginePlan::of(bytes, file))),
            Err(PlanZipError::NoZip(_)) => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }

    fn of(bytes: &[u8], file: PlanFile) -> EnginePlan {
        EnginePlan { sha256: sha256(bytes), file }
    }
}

/// Has an engine print its own plan as JSON, in the folder where its providers
/// are installed.
pub fn show(
    program: &str,
    plan: &Path,
    folder: &Path,
    environment: &[(OsString, OsString)],
) -> Result<Vec<u8>, String> {
    let mut call = Call::new(program, folder).only_these_variables().limit(MAX_PLAN);
    for (name, value) in environment {
        call = call.env(name, value);
    }
    let output = call.args(["show", "-json"]).arg(plan).run().map_err(|error| chain(&error))?;
    if !output.success() {
        return Err(format!("`{program} show -json` failed: {}", output.complaint()));
    }
    Ok(output.stdout)
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

/// The output of a run: its beginning and its end, however much there is between.
struct Log {
    file: std::fs::File,
    written: usize,
    /// What came after the beginning, the last of it.
    tail: VecDeque<u8>,
    dropped: u64,
    /// The very last bytes, for people.
    shown: VecDeque<u8>,
}

impl Log {
    fn new(file: std::fs::File) -> Log {
        Log { file, written: 0, tail: VecDeque::new(), dropped: 0, shown: VecDeque::new() }
    }

    fn write(&mut self, bytes: &[u8]) {
        keep(&mut self.shown, bytes, SHOWN_TAIL);
        let room = LOG_HEAD.saturating_sub(self.written).min(bytes.len());
        // A log that cannot be written, on a full disk say, does not decide a test.
        self.file.write_all(&bytes[..room]).ok();
        self.written += room;
        self.dropped += keep(&mut self.tail, &bytes[room..], LOG_TAIL);
    }

    /// Writes the end, and returns the last lines.
    fn finish(&mut self) -> String {
        if self.dropped > 0 {
            let note = format!("\n[countersign left out {} bytes here]\n", self.dropped);
            self.file.write_all(note.as_bytes()).ok();
        }
        self.file.write_all(self.tail.make_contiguous()).ok();
        self.tail.clear();
        String::from_utf8_lossy(self.shown.make_contiguous()).into_owned()
    }
}

/// Appends to a buffer that keeps its last `limit` bytes; returns how many it lost.
fn keep(buffer: &mut VecDeque<u8>, bytes: &[u8], limit: usize) -> u64 {
    buffer.extend(bytes);
    let excess = buffer.len().saturating_sub(limit);
    buffer.drain(..excess);
    excess as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_its_beginning_and_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = Log::new(file.reopen().unwrap());
        log.write(&vec![b'a'; LOG_HEAD]);
        log.write(&vec![b'b'; LOG_TAIL]);
        log.write(b"the end");
        assert!(log.finish().ends_with("bthe end"));
        let text = std::io::read_to_string(file.reopen().unwrap()).unwrap();
        assert!(text.starts_with("aaa") && text.ends_with("bthe end"));
        assert!(text.contains("[countersign left out 7 bytes here]"));
        assert!(text.len() < LOG_HEAD + LOG_TAIL + 100);
    }
}
