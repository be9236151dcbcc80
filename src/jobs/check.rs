//! Judges a commit range or the index, as CI, the server's admin and people ask.

use crate::gate::obligation::POLICY_FILE;
use crate::gate::policy::Stage;

use super::ambient::Surroundings;
use super::judgement::{Judgement, Question};
use super::range::Range;
use super::trusted::{Trusted, Vantage, full_name};
use super::world::World;
use super::{Error, ErrorKind, pre_commit};

/// What to judge, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `A..B`; `None`: from the target to HEAD.
    pub range: Option<String>,
    pub staged: bool,
    pub target: Option<String>,
    pub policy_from: Option<String>,
    pub require_policy: bool,
    /// `None`: merge, or commit for the index.
    pub stage: Option<Stage>,
    /// Whether the report shows lines.
    pub lines: bool,
}

/// Judges what the options name.
pub fn check(
    world: &World,
    options: &Options,
    surroundings: &Surroundings,
) -> Result<Judgement, Error> {
    let trusted = Trusted::read(world, options.policy_from.as_deref(), Vantage::Clone)?;
    if trusted.absent && options.require_policy {
        return Err(no_policy(&trusted));
    }
    let stage = options.stage.unwrap_or(if options.staged { Stage::Commit } else { Stage::Merge });
    let target =
        options.target.as_deref().map_or_else(|| trusted.policy.trust.target.clone(), full_name);
    if options.staged {
        return pre_commit::judge(world, &trusted, stage, target, options.lines, surroundings);
    }
    let range = change_range(world, &trusted, options.range.as_deref(), &target)?;
    let question = Question {
        deferred: Default::default(),
        trusted: &trusted,
        stage,
        target,
        range: range.text,
        server: false,
        lines: options.lines,
        pusher: None,
        vantage: Vantage::Clone,
    };
    question.judge_range(world, &range.start, &range.head)
}

/// Resolves a range; without one, from where `target` stands to HEAD.
pub fn change_range(
    world: &World,
    trusted: &Trusted,
    range: Option<&str>,
    target: &str,
) -> Result<Range, Error> {
    let explicit =
        range.is_some_and(|range| range.split_once("..").is_some_and(|(from, _)| !from.is_empty()));
    let tip = if explicit { None } else { trusted.tip(world, target, Vantage::Clone)? };
    Range::resolve(&world.git, range, tip.as_ref(), target)
}

fn no_policy(trusted: &Trusted) -> Error {
    let place = match &trusted.commit {
        Some(commit) => format!("the trusted ref's commit {}", commit.short()),
        None => "the trusted ref".to_owned(),
    };
    Error::new(ErrorKind::Policy, format!("{place} holds no {POLICY_FILE}"))
        .hint("`countersign init` writes one; leave out --require-policy while there is none")
}
