//! Which content a sign-off covers, file by file.

use std::collections::BTreeMap;

use super::super::change::{Entry, FileChange, RepoPath};
use super::super::evidence::Answer;
use super::super::record::{Content, FileDelta, Side};
use super::Reason;

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
    let now = by_path(now);
    for file in approved.files.iter().filter(|file| in_scope(&file.path)) {
        let in_change = now.get(&file.path);
        if in_change.is_some_and(|now| covers(file, now)) {
            continue;
        }
        let path = file.path.to_display();
        match (standing.get(&file.path), in_change) {
            (Some(Ok(entry)), _) if stands(file, entry.as_ref()) => {}
            (_, Some(_)) => return Err(Reason::ContentDiffers { path }),
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
    Ok(())
}

/// Returns the files of the change that an approval covers, under `in_scope`.
pub(super) fn covered_files(
    approved: &Content,
    now: &[FileDelta],
    in_scope: impl Fn(&RepoPath) -> bool,
) -> Vec<RepoPath> {
    let now = by_path(now);
    let files = approved.files.iter().filter(|file| in_scope(&file.path));
    files
        .filter(|file| now.get(&file.path).is_some_and(|now| covers(file, now)))
        .map(|file| file.path.clone())
        .collect()
}

fn by_path(files: &[FileDelta]) -> BTreeMap<&RepoPath, &FileDelta> {
    files.iter().map(|file| (&file.path, file)).collect()
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

fn stands(approved: &FileDelta, entry: Option<&Entry>) -> bool {
    match (&approved.new, entry) {
        (None, None) => true,
        (Some(new), Some(entry)) => new.mode == entry.mode && new.oid == entry.oid,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
