//! The revert proof: runs a test that passed once more, without the assisted
//! hunks. It happens in the slot of the run, after all that the run left was
//! read; the slot is brought back to the tree afterwards.

use std::path::Path;
use std::time::Duration;

use super::checkout::CheckoutError;
use super::fs;
use super::runner::{Attempt, Event, Step, chain};
use crate::gate::junit::Names;
use crate::gate::proof::{Answer, Part, Proof, Source, compare, conclude, parts};

/// How often a test runs for one proof, at most.
const MAX_ATTEMPTS: usize = 12;
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
        let mut spent = Duration::ZERO;
        for (number, part) in parts.iter().enumerate() {
            let over = spent >= self.test.timeout || answers.len() >= MAX_ATTEMPTS;
            if number > 0 && over {
                break;
            }
            (self.tell)(Event::Proving {
                test: self.test.name.clone(),
                attempt: number + 1,
                of: parts.len().min(MAX_ATTEMPTS),
            });
            let (answer, took) = self.without(part, number, head)?;
            spent += took;
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
        proof.duration_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        Ok(Some(proof))
    }

    /// One attempt; `None`: it was interrupted, or the time ran out.
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

    fn report(&self, path: &Path) -> Result<Vec<u8>, String> {
        let bytes = fs::read(path, super::runner::MAX_REPORT).map_err(|error| chain(&error))?;
        Ok(bytes.unwrap_or_default())
    }
}
