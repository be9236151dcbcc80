//! What agents recorded about the files that are not committed yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::adapters::git::Detail;
use crate::adapters::told::{self, ToldStore};
use crate::adapters::traces::{self, Limits, Notes, Traces, Wanted};
use crate::gate::change::{FileChange, RepoPath};
use crate::gate::order;
use crate::gate::time::Timestamp;
use crate::gate::told::lines::{Told, added, folded_path_key, once, path_key};

use super::Error;
use super::world::World;

/// How much older than the last commit a record may be: an edit waits for its
/// own commit while others' commits come in.
const GRACE: i64 = 24 * 60 * 60;

/// One recorded edit. The shape of a line of `scan --sessions --format json`.
#[derive(Debug, Serialize)]
pub struct Row {
    pub path: String,
    /// Whether the file is staged; else it differs in the work tree only.
    pub staged: bool,
    pub agent: String,
    pub session: String,
    pub model: Option<String>,
    /// When the edit was made (RFC 3339).
    pub time: Option<String>,
    /// How many lines the agent put there.
    pub lines: usize,
}

/// The recorded edits of what is staged or differs in the work tree, by path,
/// oldest first.
pub fn uncommitted(world: &World) -> Result<(Vec<Row>, Notes), Error> {
    let staged = world.git.staged(None, Detail::Files)?;
    let staged: BTreeSet<RepoPath> = order::set(staged.files.into_iter().map(|file| file.path));
    let unstaged = world.git.unstaged()?;
    let paths: BTreeSet<&RepoPath> = order::set(staged.iter().chain(&unstaged));
    let paths: Vec<&RepoPath> = paths.into_iter().collect();
    let found = recorded(world, paths.clone(), Vec::new(), &[])?;
    let mut rows: Vec<(RepoPath, Row)> = Vec::new();
    for recorded in found.edits {
        let edit = recorded.edit;
        let row = Row {
            path: recorded.path.to_text(),
            staged: staged.contains(&recorded.path),
            agent: edit.agent,
            session: edit.session,
            model: edit.model,
            time: edit.time.map(|time| time.to_string()),
            lines: written(edit.old.as_deref().unwrap_or_default(), &edit.new),
        };
        rows.push((recorded.path, row));
    }
    let (told, skipped) = told(world, &paths)?;
    for (path, told) in told {
        for one in told {
            let row = Row {
                path: path.to_text(),
                staged: staged.contains(&path),
                lines: added(&one),
                time: Some(Timestamp(one.time).to_string()),
                agent: one.agent,
                session: one.session,
                model: one.model,
            };
            rows.push((path.clone(), row));
        }
    }
    let mut notes = found.notes;
    notes.skipped += skipped;
    order::sort_by(&mut rows, |one, other| one.0.cmp(&other.0));
    Ok((rows.into_iter().map(|(_, row)| row).collect(), notes))
}

/// What the agents recorded about these files since the last commit; of those
/// of them that are `new` also what was recorded under other names. `names`:
/// see [`Wanted`].
pub fn recorded(
    world: &World,
    paths: Vec<&RepoPath>,
    new: Vec<&RepoPath>,
    names: &[(String, RepoPath)],
) -> Result<Traces, Error> {
    let wanted = Wanted { paths, new, names, since: since(world)?, limits: Limits::default() };
    Ok(traces::read(&world.env, &world.git, &world.store, &wanted))
}

/// Since when records may be of what is not committed yet.
fn since(world: &World) -> Result<Timestamp, Error> {
    Ok(match &world.git.layout().head {
        Some(head) => Timestamp(world.git.committed(head)?.saturating_sub(GRACE)),
        None => Timestamp(0),
    })
}

/// What agents' own hooks told of these files since the last commit, by path,
/// each edit once and in order; and how many lines of the store could not be read.
pub fn told(
    world: &World,
    paths: &[&RepoPath],
) -> Result<(BTreeMap<RepoPath, Vec<Told>>, u64), Error> {
    let store = ToldStore::new(&world.git.layout().common_dir);
    let folded: BTreeSet<String> =
        order::set(paths.iter().map(|path| folded_path_key(path.as_bytes())));
    let (others, mut skipped) = told::of_others(world.git.layout(), paths, world.env.now);
    if others.is_empty() && !store.is_used() {
        return Ok((BTreeMap::new(), skipped));
    }
    let (mut told, bad) = store.edits(&folded, since(world)?)?;
    skipped += bad;
    told.extend(others);
    let ignore_case = ignores_case(world)?;
    let key = |path: &RepoPath| name_key(path, ignore_case);
    let by_key: BTreeMap<String, &RepoPath> =
        order::map(paths.iter().map(|path| (key(path), *path)));
    let mut found: BTreeMap<RepoPath, Vec<Told>> = BTreeMap::new();
    for one in once(told) {
        let key = if ignore_case { &one.folded } else { &one.path };
        if let Some(path) = by_key.get(key) {
            found.entry((*path).clone()).or_default().push(one);
        }
    }
    Ok((found, skipped))
}

/// Whether git does not tell cases apart here.
pub(super) fn ignores_case(world: &World) -> Result<bool, Error> {
    Ok(world.git.config()?.bool("core.ignorecase")?.unwrap_or(false))
}

/// The key of a name, as git tells it from others.
pub(super) fn name_key(path: &RepoPath, ignore_case: bool) -> String {
    match ignore_case {
        true => folded_path_key(path.as_bytes()),
        false => path_key(path.as_bytes()),
    }
}

/// What the hooks told of files that stand nowhere any more, by their keys:
/// neither among those that git tracks or would track, nor among `changed`.
pub fn told_of_gone(
    world: &World,
    changed: &[FileChange],
) -> Result<BTreeMap<String, Vec<Told>>, Error> {
    let mut gone: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    let store = ToldStore::new(&world.git.layout().common_dir);
    let mut known: BTreeSet<String> =
        order::set(changed.iter().map(|it| folded_path_key(it.path.as_bytes())));
    let others = if store.is_used() { store.others(&known, since(world)?) } else { Vec::new() };
    if others.is_empty() {
        return Ok(gone);
    }
    let ignore_case = ignores_case(world)?;
    let standing = world.git.tracked_and_new()?;
    known.extend(standing.iter().map(|it| folded_path_key(it.as_bytes())));
    for one in once(others) {
        if !known.contains(&one.folded) {
            let key = if ignore_case { &one.folded } else { &one.path };
            gone.entry(key.clone()).or_default().push(one);
        }
    }
    Ok(gone)
}

/// How many lines of `new` are left when those that both texts begin and end
/// with are put aside.
fn written(old: &str, new: &str) -> usize {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let rest = old.len().min(new.len()) - same;
    let ends = old.iter().rev().zip(new.iter().rev()).take(rest);
    new.len() - same - ends.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_counts_as_written() {
        let cases = [("", "a\nb\n"), ("a\nb\nc", "a\nx\ny\nc"), ("a", "a"), ("a\na", "a\na\na")];
        assert_eq!(cases.map(|(old, new)| written(old, new)), [2, 2, 0, 1]);
    }
}
