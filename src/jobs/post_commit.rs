//! Binds what was seen when a commit was made to the commit, now that it has an id.

use super::ambient::Surroundings;
use super::judgement::catalogue;
use super::world::World;
use super::{Error, recorded};
use crate::adapters::ancestors;
use crate::adapters::env::Env;
use crate::adapters::git::Glance;
use crate::adapters::marks::Marks;
use crate::gate::narrow::{Written, is_ambient};
use crate::gate::policy::Policy;
use crate::gate::signal::Signal;

/// Does the same without asking git, where pre-commit of this very run of git
/// saw the surroundings, and the new commit is easily seen and has the tree
/// that pre-commit judged. `false`: nothing was done.
pub fn is_settled(env: &Env) -> bool {
    settle(env).is_some()
}

fn settle(env: &Env) -> Option<()> {
    let glance = Glance::new(env)?;
    let marks = Marks::open(&glance.common_dir, &glance.git_dir);
    let pending = marks.pending().ok()??;
    let head = glance.head()?;
    let same_run = pending.process? == ancestors::parent_process()?;
    // What is kept of lines, and what is signed, goes the long way.
    if !same_run
        || pending.signs
        || !pending.lines.is_empty()
        || glance.tree_of(&head)? != pending.tree
    {
        return None;
    }
    let near = Surroundings::near(env);
    marks.bind(&head, &with_surroundings(pending.signals, &near), true).ok()?;
    marks.forget_pending().ok()
}

/// Keeps the marks on the new commit. A tree that pre-commit did not see is
/// kept as unchecked, silently: cherry-pick and revert do this innocently, and
/// pre-push judges every commit anyway.
pub fn post_commit(world: &World, surroundings: &Surroundings) -> Result<(), Error> {
    let Some(head) = world.git.layout().head.clone() else { return Ok(()) };
    let tree = world.git.tree_of(&head)?;
    let pending = world.marks.pending()?;
    let checked = pending.as_ref().is_some_and(|pending| pending.tree == tree);
    let (marks, lines, written) = match pending {
        Some(pending) if checked => (pending.signals, pending.lines, pending.written),
        Some(_) | None => Default::default(),
    };
    let marks = with_surroundings(marks, surroundings);
    // What an agent commits itself is its own as a whole, whoever signs for it.
    let written = match written.is_empty() || marks.iter().any(is_ambient) {
        true => None,
        false => Some(Written { author: world.git.author(&head)?, trailers: written }),
    };
    recorded::bind(world, &head, &lines, written.as_ref())?;
    world.marks.bind(&head, &marks, checked)?;
    world.marks.forget_pending()?;
    Ok(())
}

/// Adds what is seen now: what pre-commit saw may be of an earlier attempt, by
/// somebody else, on the same index.
fn with_surroundings(mut marks: Vec<Signal>, surroundings: &Surroundings) -> Vec<Signal> {
    for mark in surroundings.marks(&catalogue(&Policy::built_in())) {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    marks
}
