//! Detection only: what the commits of a range say about themselves. Needs no policy.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Env, Error};

use crate::adapters::git::{Git, GitError, Revisions};
use crate::gate::change::Commit;
use crate::gate::signal::catalogue::Catalogue;
use crate::gate::signal::{Detector, Signal, SignalKind};
use crate::gate::time::Timestamp;

/// Which commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// HEAD and all before it.
    Head,
    /// `A..B`, or one revision and all before it.
    Range(String),
    /// What any ref reaches.
    All,
}

/// One commit. The shape of a line of `scan --format json`, but for the parts
/// that only people want.
#[derive(Debug, Serialize)]
pub struct Row {
    pub commit: String,
    pub assisted: bool,
    /// Who assisted, each once, in order of appearance; reviewers are not among them.
    pub agents: Vec<String>,
    pub signals: Vec<Signal>,
    /// The first line of the message, as it stands there.
    #[serde(skip)]
    pub subject: String,
    /// When it was committed.
    #[serde(skip)]
    pub committed: Timestamp,
}

/// What all commits together show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub commits: u64,
    pub assisted: u64,
    /// Agent to the number of its commits.
    pub agents: BTreeMap<String, u64>,
    /// Year and month (UTC) to the number of commits and of assisted ones.
    pub months: BTreeMap<(i16, i8), (u64, u64)>,
}

/// Hands over one commit after the other, in memory that does not grow with
/// their number, and sums up.
pub fn run(env: &Env, which: &Which, each: &mut dyn FnMut(Row)) -> Result<Summary, Error> {
    let git = Git::open(&env.dir)?;
    let revisions = revisions(&git, which)?;
    let mut detector = Detector::new(Catalogue::built_in());
    let mut summary = Summary::default();
    let outcome = git.for_each_commit(&revisions, &mut |commit| {
        let row = row(&mut detector, commit);
        summary.count(&row);
        each(row);
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(summary),
        Err(error @ GitError::Shallow(_)) => {
            Err(Error::from(error).hint("or look at what this clone has: `countersign scan --all`"))
        }
        Err(error) => Err(error.into()),
    }
}

fn revisions(git: &Git, which: &Which) -> Result<Revisions, Error> {
    let resolve = |name: &str| {
        git.resolve_commit(name)?.ok_or_else(|| {
            let name = crate::gate::change::printable(name);
            Error::usage(format!("`{name}` names no commit of this repository"))
        })
    };
    Ok(match which {
        Which::All => Revisions::everything(),
        Which::Head => {
            Revisions { from: git.layout().head.iter().cloned().collect(), ..Revisions::default() }
        }
        Which::Range(range) => match range.split_once("..") {
            Some((_, head)) if head.starts_with('.') => {
                return Err(Error::usage("a range is written A..B, with two dots"));
            }
            // An empty side is HEAD, as in git.
            Some((base, head)) => {
                let side = |name: &str| resolve(if name.is_empty() { "HEAD" } else { name });
                let (base, head) = (side(base)?, side(head)?);
                Revisions { from: vec![head], not: vec![base], ..Revisions::default() }
            }
            None => Revisions { from: vec![resolve(range)?], ..Revisions::default() },
        },
    })
}

fn row(detector: &mut Detector<'_>, commit: Commit) -> Row {
    let signals = detector.detect(&commit);
    let mut agents: Vec<String> = Vec::new();
    for signal in signals.iter().filter(|it| it.kind != SignalKind::Review) {
        if !agents.contains(&signal.agent) {
            agents.push(signal.agent.clone());
        }
    }
    Row {
        commit: commit.id.as_str().to_owned(),
        assisted: signals.iter().any(Signal::assists),
        agents,
        signals,
        subject: commit.message.lines().next().unwrap_or_default().to_owned(),
        committed: Timestamp(commit.committed),
    }
}

impl Summary {
    fn count(&mut self, row: &Row) {
        let (year, month, _) = row.committed.date();
        let of_month = self.months.entry((year, month)).or_default();
        self.commits += 1;
        of_month.0 += 1;
        if row.assisted {
            self.assisted += 1;
            of_month.1 += 1;
            for agent in &row.agents {
                *self.agents.entry(agent.clone()).or_default() += 1;
            }
        }
    }
}
