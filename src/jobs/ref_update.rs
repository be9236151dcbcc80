//! Judges one move of one ref, as a push asks for it: for the clone that
//! pushes and for the server that receives, by the same lines.

use crate::adapters::git::{Revisions, Start};
use crate::adapters::ledger::Ledger;
use crate::gate::change::{Oid, printable};
use crate::gate::evidence::Deferred;
use crate::gate::policy::Stage;
use crate::gate::verdict::{Code, Finding, Level, State};

use super::judgement::{Judgement, Question};
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, rewrite};

/// A ref that is to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefUpdate {
    /// The full name where it is pushed to.
    pub name: String,
    /// What stands there; `None` for a new ref.
    pub old: Option<Oid>,
    /// What is to stand there, not peeled; `None` for a deletion.
    pub new: Option<Oid>,
}

/// A ref of a push, judged.
#[derive(Clone, Debug)]
pub struct JudgedRef {
    /// The full ref name on the remote.
    pub name: String,
    /// `None`: there was no content to judge (a deletion, the ledger, nothing new).
    pub judgement: Option<Judgement>,
    /// What was found beside the rules.
    pub findings: Vec<Finding>,
}

impl JudgedRef {
    fn bare(name: &str, findings: Vec<Finding>) -> JudgedRef {
        JudgedRef { name: name.to_owned(), judgement: None, findings }
    }

    /// Whether nothing blocks.
    pub fn passes(&self) -> bool {
        self.judgement.as_ref().is_none_or(|judgement| judgement.verdict.passes())
            && self.findings.iter().all(|finding| finding.level < Level::Block)
    }
}

impl JudgedRef {
    /// Whether it is blocked by what a record could still mend.
    pub fn awaits_records(&self) -> bool {
        let awaits = |judgement: &Judgement| {
            judgement.verdict.obligations.iter().any(|it| match it.state {
                State::Missing | State::Failed | State::Error => true,
                State::Satisfied | State::Waived | State::Deferred | State::Unsatisfiable => false,
            }) || self.findings.iter().any(|it| it.code == Code::RefRewrite)
        };
        !self.passes() && self.judgement.as_ref().is_some_and(awaits)
    }
}

/// What all refs of one push share.
#[derive(Clone, Copy)]
pub struct Receiver<'a> {
    pub world: &'a World,
    pub trusted: &'a Trusted,
    pub vantage: Vantage<'a>,
    /// The push goes to the repository whose refs are protected.
    pub is_trusted: bool,
    /// Of the remote, for the commands that findings name.
    pub remote: &'a str,
    pub server: bool,
    pub pusher: Option<&'a str>,
    /// The tests that a push leaves to the server.
    pub deferred: Option<&'a Deferred>,
}

impl Receiver<'_> {
    /// Judges one ref of the push.
    pub fn judge(&self, update: &RefUpdate) -> Result<JudgedRef, Error> {
        let name = &update.name;
        let trust = &self.trusted.policy.trust;
        if self.is_trusted && *name == trust.ledger {
            return Ok(JudgedRef::bare(name, self.ledger(update)?));
        }
        let protected = self.is_trusted && trust.protect.matches(name);
        let Some(new) = &update.new else {
            return Ok(JudgedRef::bare(
                name,
                if protected { vec![deletion(name)] } else { Vec::new() },
            ));
        };
        // A server judges what lands; other branches have to be pushable before review.
        if !protected && (self.server || holds_no_work(name)) {
            return Ok(JudgedRef::bare(name, Vec::new()));
        }
        let Some(head) = self.world.git.resolve_commit(new.as_str())? else {
            return Ok(JudgedRef::bare(name, vec![no_commit(name, protected)]));
        };
        if protected { self.protected(update, &head) } else { self.feature(name, &head) }
    }

    /// A push of the ledger may only add well-formed records.
    fn ledger(&self, update: &RefUpdate) -> Result<Vec<Finding>, Error> {
        let Some(new) = &update.new else { return Ok(vec![deletion(&update.name)]) };
        if let Some(old) = &update.old
            && self.world.git.resolve_commit(old.as_str())?.is_none()
        {
            return Ok(vec![remote_moved(&update.name, old, self.remote)]);
        }
        let ledger = Ledger::new(&self.world.git, &self.world.store, &update.name, None);
        let rewinds = match &update.old {
            Some(old) => !self.world.git.is_ancestor(old, new)?,
            None => false,
        };
        let code = if rewinds { Code::RefRewrite } else { Code::LedgerMalformed };
        let problems = ledger.check_push(update.old.as_ref(), new)?;
        Ok(problems.into_iter().map(|problem| Finding::block(code, problem)).collect())
    }

    /// An update of a protected ref is judged from its old tip, tree to tree.
    fn protected(&self, update: &RefUpdate, head: &Oid) -> Result<JudgedRef, Error> {
        let name = &update.name;
        let start = match &update.old {
            Some(old) => match self.world.git.resolve_commit(old.as_str())? {
                Some(commit) => Start::at(commit),
                None => {
                    return Ok(JudgedRef::bare(name, vec![remote_moved(name, old, self.remote)]));
                }
            },
            None => self.start_of_new(name, head)?,
        };
        let judgement = self
            .question(Stage::Merge, name, &start.base, head)
            .judge_range(self.world, &start, head)?;
        let grows = judgement.change.commits.iter().any(|it| it.parents.contains(&start.base));
        let rewinds =
            update.old.is_some() && !grows && !self.world.git.is_ancestor(&start.base, head)?;
        let findings = if rewinds {
            rewrite::findings(self.world, self.trusted, self.vantage, &judgement)?
        } else {
            Vec::new()
        };
        Ok(JudgedRef { name: name.clone(), judgement: Some(judgement), findings })
    }

    /// A new protected ref is judged from its merge base with the target, or whole.
    fn start_of_new(&self, name: &str, head: &Oid) -> Result<Start, Error> {
        let target = &self.trusted.policy.trust.target;
        if name == target {
            return Ok(Start::at(self.world.git.empty_tree()));
        }
        self.start_from(target, head)
    }

    /// Where a change that lands on `target` begins; the empty tree where there is no such ref.
    fn start_from(&self, target: &str, head: &Oid) -> Result<Start, Error> {
        let git = &self.world.git;
        Ok(match self.trusted.tip(self.world, target, self.vantage)? {
            Some(tip) => git.start(&tip, head)?,
            None => Start::at(git.empty_tree()),
        })
    }

    /// Any other ref is judged as what it would bring to the target. What the
    /// trusted remote has already is not judged again: not at all if that is
    /// everything, and from there on where there is one such place.
    fn feature(&self, name: &str, head: &Oid) -> Result<JudgedRef, Error> {
        let target = self.trusted.policy.trust.target.clone();
        let Some(start) = self.start_of_feature(&target, head)? else {
            return Ok(JudgedRef::bare(name, Vec::new()));
        };
        let judgement = self
            .question(Stage::Push, &target, &start.base, head)
            .judge_range(self.world, &start, head)?;
        Ok(JudgedRef { name: name.to_owned(), judgement: Some(judgement), findings: Vec::new() })
    }

    /// `None`: the trusted remote has everything.
    fn start_of_feature(&self, target: &str, head: &Oid) -> Result<Option<Start>, Error> {
        let git = &self.world.git;
        let Some(remote) = &self.trusted.remote else {
            return Ok(Some(self.start_from(target, head)?));
        };
        // One walk finds the place where there is one, and the merge base behind it.
        if let Some(tip) = self.trusted.tip(self.world, target, self.vantage)?
            && let Some(known) = git.grown_from(&tip, head, remote)?
        {
            if known == tip {
                return Ok(Some(Start::at(known)));
            }
            return Ok(Some(Start { base: known, ..git.start_at_bases(&tip, head)? }));
        }
        let new = Revisions {
            from: vec![head.clone()],
            not_on_remote: Some(remote.clone()),
            ..Revisions::default()
        };
        let Some(known) = git.boundary(&new)? else { return Ok(None) };
        let mut start = self.start_from(target, head)?;
        let base = &start.base;
        // Several places (main was merged, say) have no one tree to start from.
        if let [known] = known.as_slice()
            && known != base
            && (*base == git.empty_tree() || git.is_ancestor(base, known)?)
        {
            start.base = known.clone();
        }
        Ok(Some(start))
    }

    fn question(&self, stage: Stage, target: &str, base: &Oid, head: &Oid) -> Question<'_> {
        Question {
            deferred: self.deferred.cloned().unwrap_or_default(),
            trusted: self.trusted,
            stage,
            target: target.to_owned(),
            range: range_text(self.world, base, head),
            server: self.server,
            lines: false,
            pusher: self.pusher.map(str::to_owned),
            vantage: self.vantage,
        }
    }
}

/// Notes and our own bookkeeping hold nothing of the work tree.
fn holds_no_work(name: &str) -> bool {
    name.starts_with("refs/notes/") || name.starts_with("refs/countersign/")
}

/// `<short base>..<short head>`, with `HEAD` where that is what is pushed.
fn range_text(world: &World, base: &Oid, head: &Oid) -> String {
    let head_text =
        if world.git.layout().head.as_ref() == Some(head) { "HEAD" } else { head.short() };
    let base_text = if *base == world.git.empty_tree() { base.as_str() } else { base.short() };
    format!("{base_text}..{head_text}")
}

fn deletion(name: &str) -> Finding {
    let message = format!("the push deletes {}, which the policy protects", printable(name));
    Finding::block(Code::RefRewrite, message)
        .next("take the ref out of [trust] in countersign.toml first, if it is to go")
}

fn no_commit(name: &str, protected: bool) -> Finding {
    let message = format!("{} would not point to a commit, so it was not judged", printable(name));
    let level = if protected { Level::Block } else { Level::Note };
    Finding::block(Code::NotChecked, message).at(level)
}

fn remote_moved(name: &str, old: &Oid, remote: &str) -> Finding {
    let message = format!(
        "{} on the remote is at {}, which this clone does not have",
        printable(name),
        old.short()
    );
    Finding::block(Code::RemoteMoved, message).next(format!("git fetch {}", printable(remote)))
}
