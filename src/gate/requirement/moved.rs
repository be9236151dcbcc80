//! Lines that a change only moved: a file that is new may be one that is gone,
//! and what stood there before is no line that anybody wrote now.

use std::collections::{BTreeMap, BTreeSet};

use crate::gate::change::{Entry, FileChange, LineRange, Oid};
use crate::gate::coverage::measured::kind_of;
use crate::gate::diff;
use crate::gate::evidence::Evidence;
use crate::gate::obligation::Case;

/// With how many files that are gone one that is new is compared.
const MAX_COMPARED: usize = 20;
/// Which part of the longer file's lines both have to have, so that one became
/// the other: in percent, as git's own.
const SAME_PERCENT: usize = 50;

/// Whether a new file holds exactly what one did that is gone.
pub(super) fn is_moved(case: &Case<'_>, file: &FileChange) -> bool {
    let Some(new) = file.new.as_ref().filter(|_| file.old.is_none()) else { return false };
    gone(case).any(|(_, old)| old.oid == new.oid)
}

/// The contents that have to be looked at to tell what was moved into this file.
pub(super) fn texts(case: &Case<'_>, file: &FileChange) -> BTreeSet<Oid> {
    candidates(case, file).map(|old| old.oid.clone()).collect()
}

/// The lines of a new file that stood in one that is gone.
pub(super) fn lines(case: &Case<'_>, file: &FileChange, evidence: &Evidence) -> Vec<LineRange> {
    let text = |entry: &Entry| evidence.texts.get(&entry.oid)?.as_deref().ok();
    let Some(new) = file.new.as_ref().and_then(text) else { return Vec::new() };
    let new: Vec<&str> = new.lines().collect();
    let olds = candidates(case, file).filter_map(text).map(|it| it.lines().collect::<Vec<_>>());
    let best = olds.max_by_key(|old| shared(old, &new));
    match best {
        Some(old) if shared(&old, &new) * 100 >= old.len().max(new.len()) * SAME_PERCENT => {
            standing(&old, &new)
        }
        Some(_) | None => Vec::new(),
    }
}

/// What this new file may have been, by its kind.
fn candidates<'c>(case: &'c Case<'_>, file: &FileChange) -> impl Iterator<Item = &'c Entry> {
    let kind = file.old.is_none().then(|| kind_of(&file.path));
    gone(case)
        .filter(move |(it, _)| kind.as_ref().is_some_and(|kind| *kind == kind_of(&it.path)))
        .map(|(_, old)| old)
        .take(MAX_COMPARED)
}

fn gone<'c>(case: &'c Case<'_>) -> impl Iterator<Item = (&'c FileChange, &'c Entry)> {
    let gone = case.change.files.iter().filter(|it| it.new.is_none());
    gone.filter_map(|it| Some((it, it.old.as_ref()?)))
        .filter(|(_, old)| old.mode & 0o170_000 == 0o100_000)
}

/// How many lines both have, wherever they stand.
fn shared(old: &[&str], new: &[&str]) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    old.iter().for_each(|it| *counts.entry(it).or_default() += 1);
    let is_there = |line: &&&str| match counts.get_mut(**line) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        Some(_) | None => false,
    };
    new.iter().filter(is_there).count()
}

/// The lines of the new text, from 1, that stand in the old one in this order.
fn standing(old: &[&str], new: &[&str]) -> Vec<LineRange> {
    let operations = diff::operations(old, new);
    let equal = operations.iter().filter(|it| matches!(it, similar::DiffOp::Equal { .. }));
    equal
        .map(|it| it.new_range())
        .map(|it| LineRange { start: it.start as u64 + 1, end: it.end as u64 })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_both_was_not_written_now() {
        let old = ["a", "b", "c", "d"];
        let new = ["a", "x", "c", "d", "a"];
        assert_eq!(shared(&old, &new), 3);
        let range = |start, end| LineRange { start, end };
        assert_eq!(standing(&old, &new), [range(1, 1), range(3, 4)]);
        assert_eq!(shared(&["a"], &["a", "a"]), 1);
    }
}
