//! Judges the commit being made once it has a message, and writes the
//! disclosure that the policy asks for.

use std::path::Path;

use crate::adapters::env::Env;
use crate::adapters::git::{Detail, Glance};
use crate::adapters::marks::{Marks, Messages, Pending};
use crate::adapters::{ancestors, fs};
use crate::gate::attribution::{CommitAttribution, attribute_staged};
use crate::gate::change::{Change, Commit, Identity, Oid};
use crate::gate::disclosure;
use crate::gate::narrow;
use crate::gate::policy::{DisclosureTrailer, Narrow, Policy, Stage};
use crate::gate::recorded::RecordedLines;
use crate::gate::signal::catalogue::Catalogue;
use crate::gate::signal::{Signal, SignalKind, detect};

use super::ambient::Surroundings;
use super::judgement::{Judgement, Question, catalogue};
use super::pre_commit::{asks_at_commit, staged};
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, recorded};

/// The longest message that is read, in bytes.
const MESSAGE_LIMIT: u64 = 32 << 20;

/// A message, judged together with the index.
#[derive(Clone, Debug)]
pub struct JudgedMessage {
    pub judgement: Judgement,
    /// Only the message says that the commit is assisted: before it was
    /// written, less was known of what will be asked.
    pub newly_assisted: bool,
}

/// Whether pre-commit, in the same run of git and of the same index, told
/// already that this message passes. git is not asked for it, and above us
/// stands what stood above pre-commit. Whatever is missing or odd is a "no",
/// which means: judge.
pub fn is_foreseen(env: &Env, file: &Path) -> bool {
    foreseen(env, file).unwrap_or(false)
}

fn foreseen(env: &Env, file: &Path) -> Option<bool> {
    let glance = Glance::new(env)?;
    let marks = Marks::open(&glance.common_dir, &glance.git_dir);
    let pending = marks.pending().ok()??;
    let foreseen = pending.foreseen?;
    let run = ancestors::parent_process()?;
    if pending.process? != run || foreseen.index != fs::stamp(&glance.index)? {
        return Some(false);
    }
    let (author, committer) = match foreseen.messages {
        Messages::All => {
            let quiet = pending.signals.is_empty()
                && pending.lines.is_empty()
                && Surroundings::near(env).marks(Catalogue::built_in()).is_empty();
            if quiet && glance.git_dir == glance.common_dir {
                marks.settle(run).ok();
            }
            return Some(true);
        }
        Messages::Unmarked { author, committer } => (author, committer),
    };
    let bytes = fs::read(file, MESSAGE_LIMIT).ok()??;
    let zero = Oid::parse(&"0".repeat(pending.tree.as_str().len()))?;
    let commit = Commit {
        tree: zero.clone(),
        id: zero,
        parents: Vec::new(),
        author,
        committer,
        committed: env.now.0,
        signed: false,
        message: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let catalogue = Catalogue::built_in();
    let marked = !pending.signals.is_empty()
        || !Surroundings::near(env).marks(catalogue).is_empty()
        || !detect(catalogue, &commit).is_empty();
    // The tree that git commits now is that of the index which pre-commit judged.
    if !marked && pending.lines.is_empty() && glance.git_dir == glance.common_dir {
        marks.settle(run).ok();
    }
    Some(!marked)
}

/// Judges message and index together. `None`: the policy asks for nothing
/// before the push.
pub fn commit_msg(
    world: &World,
    file: &Path,
    surroundings: &Surroundings,
) -> Result<Option<JudgedMessage>, Error> {
    let trusted = Trusted::read(world, None, Vantage::Commit)?;
    let policy = &trusted.policy;
    if !asks_at_commit(policy) {
        return Ok(None);
    }
    let Some(bytes) = fs::read(file, MESSAGE_LIMIT)? else {
        return Err(Error::usage(format!("there is no message file `{}`", file.display())));
    };
    let pending = world.marks.pending()?;
    let known = pending.as_ref().and_then(|pending| staged_of_this_run(world, pending));
    let signs = pending.as_ref().is_none_or(|pending| pending.signs);
    let (marks, lines) = match &pending {
        Some(pending) => (pending.signals.clone(), pending.lines.clone()),
        None => (surroundings.marks(&catalogue(policy)), Vec::new()),
    };
    let mut written = Vec::new();
    let mut message = String::from_utf8_lossy(&bytes).into_owned();
    // Only a message that can be written back byte for byte is added to.
    if policy.disclosure.write && std::str::from_utf8(&bytes).is_ok() {
        // With `#`, adding a trailer knows what git cuts off; else it is put aside.
        let comment = comment(world)?;
        let end = match comment.as_deref() {
            Some("#") => message.len(),
            other => disclosure::end_of_text(&message, other),
        };
        let (text, cut_off) = message.split_at(end);
        let seen = signals(world, policy, text, &marks)?;
        if let Some(disclosed) = disclosure::add(&policy.disclosure, text, &seen) {
            let disclosed = match cut_off {
                "" => disclosed,
                _ => format!("{}\n\n{cut_off}", disclosed.trim_end_matches('\n')),
            };
            fs::write(file, disclosed.as_bytes())?;
            let without = signals(world, policy, &message, &[])?;
            written = narrow::added(&without, &signals(world, policy, &disclosed, &[])?);
            message = disclosed;
        }
    }
    // Of an earlier attempt, something else may stand there.
    if let Some(pending) = pending.filter(|it| it.written != written) {
        world.marks.keep_pending(&Pending { written: written.clone(), ..pending })?;
    }
    if !judges_messages(policy) {
        return Ok(None);
    }
    let seen = signals(world, policy, &message, &marks)?;
    let newly_assisted = marks.is_empty() && seen.iter().any(Signal::assists);
    // What stands in the message, the commit itself holds: only what was seen
    // beside it would have to be bound to the commit.
    let beside = signs
        || !(marks.is_empty() && lines.is_empty() && written.is_empty())
        || !surroundings.marks(Catalogue::built_in()).is_empty();
    if known.is_some() && !beside {
        settle(world);
    }
    let judgement = judge(world, &trusted, message, seen, &lines, &written, known)?;
    Ok(Some(JudgedMessage { judgement, newly_assisted }))
}

/// What pre-commit of the same run of git saw staged in the same index, which
/// in a large repository takes long to find.
fn staged_of_this_run(world: &World, pending: &Pending) -> Option<Change> {
    let same_run = pending.process? == ancestors::parent_process()?;
    let index = fs::stamp(&world.git.layout().index).filter(|_| same_run)?;
    pending.staged.as_ref()?.change(&pending.tree, &index)
}

/// Leaves nothing to do for post-commit of this run of git.
fn settle(world: &World) {
    let layout = world.git.layout();
    if let Some(run) = ancestors::parent_process()
        && layout.git_dir == layout.common_dir
    {
        world.marks.settle(run).ok();
    }
}

/// What git's comments begin with; `None`: git chooses.
fn comment(world: &World) -> Result<Option<String>, Error> {
    let config = world.git.config()?;
    // The later of the two wins, as git reads them in order.
    let set = config.last_of(&["core.commentchar", "core.commentstring"]);
    Ok(match set {
        None => Some("#".to_owned()),
        Some("auto") => None,
        Some(comment) => Some(comment.to_owned()),
    })
}

fn judges_messages(policy: &Policy) -> bool {
    let silent = crate::gate::policy::Disclosure {
        write: false,
        trailer: policy.disclosure.trailer,
        key: policy.disclosure.key.clone(),
        strict: policy.disclosure.strict,
    };
    silent.trailer != DisclosureTrailer::Allow
        || asks_at_commit(&Policy { disclosure: silent, ..policy.clone() })
}

fn judge(
    world: &World,
    trusted: &Trusted,
    message: String,
    seen: Vec<Signal>,
    lines: &[RecordedLines],
    written: &[String],
    known: Option<Change>,
) -> Result<Judgement, Error> {
    let question = Question {
        deferred: Default::default(),
        trusted,
        stage: Stage::Commit,
        target: trusted.policy.trust.target.clone(),
        range: "--staged".to_owned(),
        server: false,
        lines: false,
        pusher: None,
        vantage: Vantage::Commit,
    };
    let mut change = match known.filter(|_| question.detail() == Detail::Files) {
        Some(known) => known,
        None => staged(world, question.detail())?,
    };
    let commit = being_made(world, message)?;
    // Lines that are known are marked below, and no others for their sake; nor
    // for the sake of our own trailer, where a person's word may narrow it.
    let narrows = trusted.policy.trust.narrow == Narrow::Signed
        && narrow::may_narrow(&seen, written, lines).is_ok();
    let covering = seen.iter().filter(|it| match it.kind {
        SignalKind::Session => lines.is_empty(),
        SignalKind::Trailer => !narrows,
        SignalKind::Identity
        | SignalKind::Footer
        | SignalKind::Branch
        | SignalKind::Environment
        | SignalKind::Process
        | SignalKind::Note
        | SignalKind::Review => true,
    });
    let mut attribution = attribute_staged(&change, covering.cloned().collect());
    recorded::add(world, &change, lines, &recorded::OldNames::new(), &mut attribution)?;
    attribution.staged = seen.clone();
    attribution.commits = vec![CommitAttribution {
        commit: commit.id.clone(),
        assisted: attribution.assisted(),
        signals: seen,
        narrowed_by: None,
    }];
    change.commits = vec![commit];
    question.judge_attributed(
        world,
        change,
        attribution,
        vec!["commits".to_owned(), "environment".to_owned()],
    )
}

fn signals(
    world: &World,
    policy: &Policy,
    message: &str,
    marks: &[Signal],
) -> Result<Vec<Signal>, Error> {
    let mut signals = detect(&catalogue(policy), &being_made(world, message.to_owned())?);
    signals.extend(marks.iter().cloned());
    Ok(signals)
}

/// The commit being made, as far as it is known: git gives hooks the author in
/// the environment, and the committer where it is not configured.
pub fn being_made(world: &World, message: String) -> Result<Commit, Error> {
    let zero = Oid::parse(&world.git.zero()).expect("git's null id is as long as any other id");
    let config = world.git.config()?;
    let identity = |role: &str| {
        let part = |key: &str| {
            let variable =
                world.env.get(&format!("GIT_{}_{}", role.to_uppercase(), key.to_uppercase()));
            let configured = || {
                config.get(&format!("{role}.{key}")).or_else(|| config.get(&format!("user.{key}")))
            };
            variable.or_else(configured).unwrap_or_default().to_owned()
        };
        Identity { name: part("name"), email: part("email") }
    };
    Ok(Commit {
        tree: zero.clone(),
        id: zero,
        parents: Vec::new(),
        author: identity("author"),
        committer: identity("committer"),
        committed: world.env.now.0,
        signed: false,
        message,
    })
}
