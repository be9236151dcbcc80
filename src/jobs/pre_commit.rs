//! Judges the index before a commit, and keeps what its surroundings told.

use crate::adapters::git::Detail;
use crate::adapters::marks::{Foreseen, Messages, Pending, Staged};
use crate::adapters::{ancestors, fs};
use crate::gate::change::{Change, Oid};
use crate::gate::policy::{Policy, Stage};
use crate::gate::recorded::RecordedLines;
use crate::gate::requirement::Requirement;

use super::ambient::Surroundings;
use super::commit_msg::being_made;
use super::judgement::{Judgement, Question, catalogue};
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, narrow, recorded};

/// Judges what is staged at the commit stage, and keeps the marks until the
/// commit has an id.
pub fn pre_commit(world: &World, surroundings: &Surroundings) -> Result<Judgement, Error> {
    let trusted = Trusted::read(world, None, Vantage::Commit)?;
    let target = trusted.policy.trust.target.clone();
    // Before it is read: a later change then shows.
    let index = fs::stamp(&world.git.layout().index);
    let (judgement, lines) =
        judge_with_lines(world, &trusted, Stage::Commit, target, false, surroundings)?;
    world.marks.keep_pending(&Pending {
        tree: judgement.change.head_tree.clone(),
        signals: judgement.attribution.staged.clone(),
        lines,
        written: Vec::new(),
        signs: narrow::is_wanted(world)?,
        process: ancestors::parent_process(),
        staged: index.as_deref().and_then(|index| Staged::of(&judgement.change, index)),
        foreseen: foresee(world, &judgement, index)?,
    })?;
    Ok(judgement)
}

/// What commit-msg of the same git will answer to which messages, if that can
/// be told already: `None` leaves it to commit-msg.
fn foresee(
    world: &World,
    judgement: &Judgement,
    index: Option<String>,
) -> Result<Option<Foreseen>, Error> {
    let Some(index) = index else { return Ok(None) };
    let policy = &judgement.policy;
    if !asks_at_commit(policy) {
        return Ok(Some(Foreseen { index, messages: Messages::All }));
    }
    // A message may name people whose approval then does not count.
    let by_people = policy.rules.iter().flat_map(|rule| &rule.require).any(|staged| {
        staged.stage == Stage::Commit && !matches!(staged.requirement, Requirement::Disclosure)
    });
    if by_people || !policy.agents.is_empty() || !judgement.attribution.staged.is_empty() {
        return Ok(None);
    }
    let commit = being_made(world, String::new())?;
    let messages =
        Messages::Unmarked { author: commit.author.clone(), committer: commit.committer.clone() };
    let passes = judgement.passes_as(commit);
    Ok(passes.then_some(Foreseen { index, messages }))
}

/// Judges what is staged.
pub fn judge(
    world: &World,
    trusted: &Trusted,
    stage: Stage,
    target: String,
    lines: bool,
    surroundings: &Surroundings,
) -> Result<Judgement, Error> {
    Ok(judge_with_lines(world, trusted, stage, target, lines, surroundings)?.0)
}

fn judge_with_lines(
    world: &World,
    trusted: &Trusted,
    stage: Stage,
    target: String,
    lines: bool,
    surroundings: &Surroundings,
) -> Result<(Judgement, Vec<RecordedLines>), Error> {
    let question = Question {
        deferred: Default::default(),
        trusted,
        stage,
        target,
        range: "--staged".to_owned(),
        server: false,
        lines,
        pusher: None,
        vantage: Vantage::Commit,
    };
    let change = staged(world, question.detail())?;
    let marks = surroundings.marks(&catalogue(&trusted.policy));
    let mut recorded = recorded::staged(world, &change, trusted.policy.trust.reformatted, &marks)?;
    recorded.extend(recorded::moved(world, trusted, &change)?);
    Ok((question.judge_staged(world, change, marks, &recorded)?, recorded))
}

/// What the commit being made changes. In a merge, only what differs from
/// every parent: the rest was judged where it came from.
pub fn staged(world: &World, detail: Detail) -> Result<Change, Error> {
    let mut change = world.git.staged(None, detail)?;
    let mut parents = world.git.merge_heads()?;
    if parents.is_empty() {
        parents = heads_being_merged(world);
    }
    for parent in parents {
        let other = world.git.staged(Some(&parent), Detail::Files)?;
        change.files.retain(|file| other.files.iter().any(|it| it.path == file.path));
    }
    Ok(change)
}

/// What `git merge` is about to merge: it writes MERGE_HEAD only after
/// pre-merge-commit, but names every head in a variable, `GITHEAD_<id>`.
fn heads_being_merged(world: &World) -> Vec<Oid> {
    let names = world.env.variables.iter().filter_map(|(name, _)| name.to_str());
    names.filter_map(|name| Oid::parse(name.strip_prefix("GITHEAD_")?)).collect()
}

/// Whether the policy asks for anything before a commit is made, so that
/// commit-msg has to judge a message.
pub fn asks_at_commit(policy: &Policy) -> bool {
    use crate::gate::policy::DisclosureTrailer;
    policy.disclosure.trailer != DisclosureTrailer::Allow
        || policy.disclosure.write
        || policy.rules.iter().any(|rule| {
            (rule.deny && rule.deny_stage == Stage::Commit)
                || rule.require.iter().any(|staged| {
                    staged.stage == Stage::Commit
                        || matches!(staged.requirement, Requirement::Disclosure)
                })
        })
}
