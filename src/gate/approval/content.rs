//! Which content a sign-off covers, file by file.

use std::collections::BTreeMap;

use super::super::change::{Entry, FileChange, RepoPath};
use super::super::evidence::Answer;
use super::super::record::{Content, FileDelta, Side};
use super::Reason;
use super::carry::{self, Obstacle, Proofs};
use crate::gate::order;

/// Returns a file's change by content. `sha256` is that of the new blob's
/// bytes, where it is known.
pub fn delta(file: &FileChange, sha256: Option<String>) -> FileDelta {
    let side = |entry: &Entry, sha256| Side { mode: entry.mode, oid: entry.oid.clone(), sha256 };
    FileDelta {
        path: file.path.clone(),
        old: file.old.as_ref().map(|entry| side(entry, None)),
        new: file.new.as_ref().map(|entry| side(entry, sha256)),
    }
}

/// Whether what was approved of a file is exactly what it is now: the path,
/// both modes, both object ids, and the new blob's SHA-256 where both know it.
pub fn covers(approved: &FileDelta, now: &FileDelta) -> bool {
    approved.path == now.path
        && same(approved.old.as_ref(), now.old.as_ref())
        && same(approved.new.as_ref(), now.new.as_ref())
}

/// How an approval covers a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cover {
    /// The file is exactly as it was approved.
    Exact,
    /// The file is what a clean merge of the approved change gives.
    Carried,
}

/// Whether an approval counts as the whole that it was: every file that it
/// lists and that `in_scope` names is in the change and covered, or already
/// stands on the target as it was approved. Approving a whole never lands a
/// part.
pub fn counts_whole(
    approved: &Content,
    in_scope: impl Fn(&RepoPath) -> bool,
    now: &[FileDelta],
    standing: &BTreeMap<RepoPath, Answer<Option<Entry>>>,
) -> Result<(), Reason> {
    whole(approved, in_scope, now, standing, None).map(drop)
}

/// The same, where an approval may also carry over clean merges, for which
/// there are `proofs`. Returns the files of the change that it covers.
pub(super) fn whole<'a>(
    approved: &'a Content,
    in_scope: impl Fn(&RepoPath) -> bool,
    now: &[FileDelta],
    standing: &BTreeMap<RepoPath, Answer<Option<Entry>>>,
    proofs: Option<&Proofs<'_>>,
) -> Result<Vec<(&'a FileDelta, Cover)>, Reason> {
    let now = by_path(now);
    let mut covered = Vec::new();
    for file in approved.files.iter().filter(|file| in_scope(&file.path)) {
        let obstacle = match now.get(&file.path).map(|now| cover(file, now, proofs)) {
            Some(Ok(cover)) => {
                covered.push((file, cover));
                continue;
            }
            Some(Err(obstacle)) => Some(obstacle),
            None => None,
        };
        let path = file.path.to_display();
        match (standing.get(&file.path), obstacle) {
            (Some(Ok(entry)), _) if stands(file, entry.as_ref(), proofs) => {}
            (_, Some(None)) => return Err(Reason::ContentDiffers { path }),
            (_, Some(Some(obstacle))) => return Err(Reason::NotCarried { path, obstacle }),
            (Some(Ok(_)), None) => return Err(Reason::PartMissing { path }),
            (Some(Err(why)), None) => {
                return Err(Reason::TargetUnreadable { path, why: why.clone() });
            }
            (None, None) => {
                let why = "it was not asked for".to_owned();
                return Err(Reason::TargetUnreadable { path, why });
            }
        }
    }
    Ok(covered)
}

/// How what was approved of a file covers what it is now; `Err(None)` where
/// only the very same could, and it is not.
pub(super) fn cover(
    approved: &FileDelta,
    now: &FileDelta,
    proofs: Option<&Proofs<'_>>,
) -> Result<Cover, Option<Obstacle>> {
    if covers(approved, now) {
        return Ok(Cover::Exact);
    }
    let Some(proofs) = proofs else { return Err(None) };
    carry::carries(approved, now, proofs).map(|()| Cover::Carried).map_err(Some)
}

/// Returns the files of the change that an approval covers one by one, under
/// `in_scope`, whatever became of the others that it lists.
pub(super) fn covered_files(
    approved: &Content,
    now: &[FileDelta],
    proofs: Option<&Proofs<'_>>,
    in_scope: impl Fn(&RepoPath) -> bool,
) -> Vec<RepoPath> {
    let now = by_path(now);
    let files = approved.files.iter().filter(|file| in_scope(&file.path));
    files
        .filter(|file| now.get(&file.path).is_some_and(|now| cover(file, now, proofs).is_ok()))
        .map(|file| file.path.clone())
        .collect()
}

fn by_path(files: &[FileDelta]) -> BTreeMap<&RepoPath, &FileDelta> {
    order::map(files.iter().map(|file| (&file.path, file)))
}

fn same(one: Option<&Side>, other: Option<&Side>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let digests_agree = match (&one.sha256, &other.sha256) {
                (Some(one), Some(other)) => one == other,
                (None, _) | (_, None) => true,
            };
            one.mode == other.mode && one.oid == other.oid && digests_agree
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whether what stands on the target already is what was approved: the very
/// blob, or one that holds the approved change, so that merging it in once
/// more changes nothing.
fn stands(approved: &FileDelta, entry: Option<&Entry>, proofs: Option<&Proofs<'_>>) -> bool {
    if is_entry(approved.new.as_ref(), entry) {
        return true;
    }
    let (Some(proofs), Some(entry)) = (proofs, entry) else { return false };
    let unmoved = carry::unmoved(&approved.path, entry);
    carry::carries(approved, &unmoved, proofs).is_ok()
}

/// Whether a side is what stands somewhere.
pub(super) fn is_entry(side: Option<&Side>, entry: Option<&Entry>) -> bool {
    match (side, entry) {
        (None, None) => true,
        (Some(side), Some(entry)) => side.mode == entry.mode && side.oid == entry.oid,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
