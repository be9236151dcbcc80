//! One test, or one dry run, in its slot.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::checkout::{CheckoutError, Slot, Slots};
use super::super::process::Call;
use super::super::supervise::{Ended, Limits, Supervised, supervise};
use super::super::{coverage, fs, sandbox};
use super::engine_plan::{EnginePlan, MAX_PLAN, show};
use super::environment::{environment, environment_digests};
use super::log::Log;
use super::{
    Clock, Dry, DryOutput, End, Event, MAX_REPORT, OUT_OF_TIME, Order, Outcome, before, chain,
    file_name, passed, tests,
};
use crate::gate::change::{Oid, RepoPath, printable};
use crate::gate::coverage::measured::Measured;
use crate::gate::policy::{Prove, TestCommand};
use crate::gate::preview::{is_plan_file, matches_stars};
use crate::gate::proof::Proof;
use crate::gate::record::{Sandbox, TestCounts};
use crate::gate::time::write_length;
use crate::gate::{junit, order, packages, run};

/// One test in one checkout.
pub(in crate::adapters) struct Attempt<'a> {
    pub(in crate::adapters) slot: &'a Slot,
    pub(in crate::adapters) test: &'a TestCommand,
    pub(in crate::adapters) order: &'a Order<'a>,
    clock: &'a Clock,
    pub(in crate::adapters) tell: &'a (dyn Fn(Event) + Sync),
    environment: Vec<(OsString, OsString)>,
    pub(in crate::adapters) checkout: PathBuf,
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
pub(in crate::adapters) enum Step {
    Done,
    Failed { exit: Option<i32>, summary: String },
    NotRun(String),
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
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
    pub(super) fn keep_away(&mut self) -> Result<(), String> {
        if !self.test.network {
            self.apart = sandbox::without_network(&self.checkout, &self.environment)?;
        }
        Ok(())
    }

    pub(super) fn run(&self) -> Result<Outcome, CheckoutError> {
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
    pub(in crate::adapters) fn begin(&self) -> Result<PathBuf, CheckoutError> {
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
    pub(in crate::adapters) fn command(
        &self,
        words: &[String],
    ) -> Result<(Step, Duration), CheckoutError> {
        self.command_within(words, self.test.timeout)
    }

    /// The same with another limit.
    pub(in crate::adapters) fn command_within(
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
    pub(in crate::adapters) fn fresh(
        &self,
        pattern: &str,
        started: &Path,
    ) -> Result<Vec<PathBuf>, String> {
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
    pub(in crate::adapters) fn reports(&self, pattern: &str) -> Vec<PathBuf> {
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
pub(super) fn with_packages(words: &[String], test: &str, order: &Order<'_>) -> Vec<String> {
    match order.packages.get(test) {
        Some(affected) => packages::fill(words, affected),
        None => words.to_vec(),
    }
}

pub(super) fn fill_oids(word: &str, order: &Order<'_>) -> String {
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
