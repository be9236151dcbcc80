//! The proofs that tests notice the assisted lines. The mutation proof hands them
//! to a tool that changes them; the revert proof runs a test that passed once more, without the assisted
//! hunks. It happens in the slot of the run, after all that the run left was
//! read; the slot is brought back to the tree afterwards.

use std::path::Path;
use std::time::Duration;

use super::checkout::CheckoutError;
use super::fs;
use super::runner::{Attempt, Event, Step, chain};
use crate::gate::junit::Names;
use crate::gate::language::Languages;
use crate::gate::mutation;
use crate::gate::policy::MutationTool;
use crate::gate::proof::{
    Answer, Part, Proof, Result as ProofResult, Source, compare, conclude, parts,
};

/// How often a test runs for one proof, at most.
const MAX_ATTEMPTS: usize = 12;
/// How long the usual mutation tool may take.
const MUTATION_TIMEOUT: Duration = Duration::from_secs(1200);
/// How far ahead of the clock a changed file is dated, in seconds: caches that
/// know files by size and time (Python's, say) have never seen such a file, and
/// builds see that it is new.
const AHEAD: u64 = 3600;

impl Attempt<'_> {
    /// Which tests passed, by the reports that the run just left.
    pub(super) fn names(&self, started: &Path) -> Result<Names, String> {
        let mut names = Names::default();
        for pattern in &self.test.reports.junit {
            for path in self.fresh(pattern, started)? {
                let bytes = self.report(&path)?;
                names.add(&bytes).map_err(|error| format!("`{pattern}`: {error}"))?;
            }
        }
        Ok(names)
    }

    /// Takes the hunks out, all of them and then in smaller parts, until the
    /// tests notice. `None`: it was not done to its end.
    pub(super) fn prove(
        &self,
        subject: &str,
        sources: &[Source],
        head: &Names,
    ) -> Result<Option<Proof>, CheckoutError> {
        let parts = parts(sources);
        let mut answers = Vec::new();
        let (mut spent, mut runs) = (Duration::ZERO, 0);
        for (number, part) in parts.iter().enumerate() {
            let over = spent >= self.test.timeout || runs >= MAX_ATTEMPTS;
            if number > 0 && over {
                break;
            }
            (self.tell)(Event::Proving {
                test: self.test.name.clone(),
                attempt: number + 1,
                of: parts.len().min(MAX_ATTEMPTS),
            });
            let (answer, took, more) = self.surely_without(part, number, head)?;
            (spent, runs) = (spent + took, runs + more);
            let Some(answer) = answer else {
                self.slot.bring(self.order.commit, self.order.tree, self.order.interrupted)?;
                return Ok(None);
            };
            let done = match answer {
                Answer::Noticed(_) => true,
                Answer::NotNoticed => number == 0,
                Answer::Inconclusive(_) => false,
            };
            answers.push(answer);
            if done {
                break;
            }
        }
        self.slot.bring(self.order.commit, self.order.tree, self.order.interrupted)?;
        let mut proof = conclude(subject, &parts, &answers);
        proof.attempts = runs as u64;
        proof.duration_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        Ok(Some(proof))
    }

    /// One attempt, and how many runs it took. Where the policy knows that the
    /// test fails at times (`retries`), it has to fail as often as it may be tried.
    fn surely_without(
        &self,
        part: &Part<'_>,
        number: usize,
        head: &Names,
    ) -> Result<(Option<Answer>, Duration, usize), CheckoutError> {
        let (mut answer, mut spent) = self.without(part, number, head)?;
        let mut runs = 1;
        while runs <= self.test.retries
            && let Some(Answer::Noticed(_)) = &answer
        {
            let (again, took) = self.without(part, number, head)?;
            (spent, runs) = (spent + took, runs + 1);
            answer = answer.zip(again).map(|(answer, again)| answer.and(again));
        }
        Ok((answer, spent, runs))
    }

    /// One run; `None`: it was interrupted, or the time ran out.
    fn without(
        &self,
        part: &Part<'_>,
        number: usize,
        head: &Names,
    ) -> Result<(Option<Answer>, Duration), CheckoutError> {
        self.slot.bring(self.order.commit, self.order.tree, self.order.interrupted)?;
        let started = self.begin()?;
        let now = fs::modified(&started)?;
        for (source, hunks) in part {
            let path = self.checkout.join(super::checkout::os_path(&source.path));
            match source.without(hunks) {
                Some(bytes) => {
                    if let Some(folder) = path.parent() {
                        fs::create_folder(folder)?;
                    }
                    fs::write(&path, &bytes)?;
                    let ahead = Duration::from_secs(AHEAD + number as u64);
                    if let Some(at) = now.and_then(|now| now.checked_add(ahead)) {
                        fs::set_modified(&path, at)?;
                    }
                }
                None => fs::remove_file(&path)?,
            }
        }
        let (step, took) = self.command(&self.test.run)?;
        let exit = match step {
            Step::NotRun(_) => return Ok((None, took)),
            Step::Done => Some(0),
            Step::Failed { exit, .. } => exit,
        };
        let answer = match self.names(&started) {
            Ok(names) => compare(head, &names, exit),
            Err(why) => Answer::Inconclusive(why),
        };
        Ok((Some(answer), took))
    }

    /// Hands the assisted hunks to the mutation tool, and reads its report. Its
    /// exit status says little: most fail where a mutant survives. `None`: it
    /// was not done to its end.
    pub(super) fn mutate(
        &self,
        subject: &str,
        sources: &[Source],
    ) -> Result<Option<Proof>, CheckoutError> {
        (self.tell)(Event::Mutating { test: self.test.name.clone() });
        let Some(tool) = self.tool()? else {
            let why = "`mutate` does not say which tool is to be run, and none is usual here";
            return Ok(Some(mutation::conclude(subject, sources, Err(why.to_owned()))));
        };
        let started = self.begin()?;
        for path in self.reports(&tool.report) {
            fs::remove_file(&path)?;
        }
        let words = self.with_lines(&tool.run, sources)?;
        let (step, took) = self.command_within(&words, tool.timeout)?;
        let (ended, summary) = match &step {
            Step::NotRun(_) => {
                self.slot.bring(self.order.commit, self.order.tree, self.order.interrupted)?;
                return Ok(None);
            }
            Step::Done => (true, None),
            Step::Failed { exit, summary } => (exit.is_some(), Some(summary.clone())),
        };
        let paths = self.fresh(&tool.report, &started);
        let report = paths.and_then(|paths| {
            let mut mutants = Vec::new();
            for path in &paths {
                mutants.extend(mutation::parse(&self.report(path)?)?);
            }
            Ok(mutants)
        });
        let report = report.map_err(|why| match &summary {
            Some(summary) => format!("{why} ({summary})"),
            None => why,
        });
        // Nothing in the report explains a failure: it may not be all of it.
        let unexplained =
            summary.is_some() && report.as_ref().is_ok_and(|it| !mutation::has_losses(it));
        self.slot.bring(self.order.commit, self.order.tree, self.order.interrupted)?;
        let mut proof = mutation::conclude(subject, sources, report);
        // What was not tried, for want of time say, may survive.
        if (!ended || unexplained) && proof.result == ProofResult::Noticed {
            (proof.result, proof.why) = (ProofResult::Inconclusive, summary);
        }
        proof.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Ok(Some(proof))
    }

    /// The policy's tool, or the usual one.
    fn tool(&self) -> Result<Option<MutationTool>, CheckoutError> {
        if self.test.mutate.is_some() {
            return Ok(self.test.mutate.clone());
        }
        for usual in Languages::built_in().mutations() {
            for mark in &usual.marks {
                if fs::modified(&self.checkout.join(mark))?.is_some() {
                    let (run, report) = (usual.run.clone(), usual.report.clone());
                    return Ok(Some(MutationTool { run, report, timeout: MUTATION_TIMEOUT }));
                }
            }
        }
        Ok(None)
    }

    /// A command with the assisted lines put in.
    fn with_lines(
        &self,
        words: &[String],
        sources: &[Source],
    ) -> Result<Vec<String>, CheckoutError> {
        let diff = self.slot.aside("assisted.diff");
        fs::write(&diff, &mutation::diff(sources))?;
        let (lines, files) =
            (mutation::ranges(sources).join(","), mutation::files(sources).join(","));
        let diff = diff.to_string_lossy();
        let put = |word: &String| {
            word.replace("{diff}", &diff).replace("{lines}", &lines).replace("{files}", &files)
        };
        Ok(words.iter().map(put).collect())
    }

    fn report(&self, path: &Path) -> Result<Vec<u8>, String> {
        let bytes = fs::read(path, super::runner::MAX_REPORT).map_err(|error| chain(&error))?;
        Ok(bytes.unwrap_or_default())
    }
}
