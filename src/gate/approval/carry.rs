//! Which approvals outlive a rewrite, by proof: a driver-free three-way merge
//! of what was approved gives exactly what is there now. And which are spent,
//! because what they approved has stood on the target and was taken back.
//!
//! The merges themselves are questions to the outside
//! ([`Need::Merges`](super::super::evidence::Need::Merges)): here is only what
//! is asked, and what the answers mean.

use std::collections::{BTreeMap, BTreeSet};

use super::super::change::{Change, Entry, Oid, RepoPath};
use super::super::evidence::{Answer, BlobMerge, Merged, Moved, Moves};
use super::super::record::{FileDelta, Side};
use super::Reason;
use crate::gate::order;

/// The name of the files that tell git how to merge others.
const ATTRIBUTES: &[u8] = b".gitattributes";

/// What was proven about blobs and about the target's history.
#[derive(Clone, Copy, Debug)]
pub struct Proofs<'a> {
    pub merges: &'a BTreeMap<BlobMerge, Answer<Merged>>,
    /// By the commit since when.
    pub history: &'a BTreeMap<Oid, Answer<Moves>>,
    /// See [`attribute_folders`].
    pub attributes: &'a BTreeSet<Vec<u8>>,
}

/// Why an approval of a file does not carry over to what the file is now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error(
        "added, deleted and renamed files, symlinks, submodules and changed modes carry only unchanged"
    )]
    OnlyExact,
    #[error("the same lines changed on the target")]
    Conflict,
    #[error("it differs from what a clean merge of the approved change gives")]
    Differs,
    #[error("a `.gitattributes` above it changed")]
    Attributes,
    #[error("a binary file carries only unchanged")]
    Binary,
    #[error("it is too large for a proof")]
    TooLarge,
    #[error("the approved bytes are not those that the record names")]
    OtherBytes,
    #[error("whether it merges cleanly cannot be told: {0}")]
    Unknown(String),
}

/// Returns the folders (with a final `/`; empty for the root) whose
/// `.gitattributes` a change touches.
pub fn attribute_folders(change: &Change) -> BTreeSet<Vec<u8>> {
    let folder = |path: &RepoPath| {
        let folder = path.as_bytes().strip_suffix(ATTRIBUTES)?;
        (folder.is_empty() || folder.ends_with(b"/")).then(|| folder.to_vec())
    };
    order::set(change.files.iter().filter_map(|file| folder(&file.path)))
}

/// Returns the merge that would prove that an approval of a file carries over
/// to what it is now, or why there is none to ask for.
pub fn question(approved: &FileDelta, now: &FileDelta) -> Result<BlobMerge, Obstacle> {
    let sides = (&approved.old, &approved.new, &now.old, &now.new);
    let (Some(old), Some(new), Some(now_old), Some(now_new)) = sides else {
        return Err(Obstacle::OnlyExact);
    };
    let modes = [old, new, now_old, now_new].map(|side| side.mode);
    let regular = modes[0] & 0o170_000 == 0o100_000;
    if approved.path != now.path || !regular || modes.iter().any(|mode| *mode != modes[0]) {
        return Err(Obstacle::OnlyExact);
    }
    // On the old blob itself, the merge gives the approved blob and nothing else.
    if old.oid == now_old.oid {
        return Err(Obstacle::Differs);
    }
    Ok(BlobMerge {
        base: old.oid.clone(),
        ours: new.oid.clone(),
        theirs: now_old.oid.clone(),
        result: now_new.oid.clone(),
    })
}

/// Whether an approval of a file carries over to what it is now.
pub(super) fn carries(
    approved: &FileDelta,
    now: &FileDelta,
    proofs: &Proofs<'_>,
) -> Result<(), Obstacle> {
    let merge = question(approved, now)?;
    if proofs.attributes.iter().any(|folder| now.path.as_bytes().starts_with(folder)) {
        return Err(Obstacle::Attributes);
    }
    let digest = approved.new.as_ref().and_then(|side| side.sha256.as_deref());
    match proofs.merges.get(&merge) {
        Some(Ok(Merged::Equal { ours_sha256 })) if digest == Some(ours_sha256) => Ok(()),
        Some(Ok(Merged::Equal { .. })) => Err(Obstacle::OtherBytes),
        Some(Ok(Merged::Differs)) => Err(Obstacle::Differs),
        Some(Ok(Merged::Conflict)) => Err(Obstacle::Conflict),
        Some(Ok(Merged::Binary)) => Err(Obstacle::Binary),
        Some(Ok(Merged::TooLarge)) => Err(Obstacle::TooLarge),
        Some(Err(why)) => Err(Obstacle::Unknown(why.clone())),
        None => Err(Obstacle::Unknown("too many merges would have to be tried".to_owned())),
    }
}

/// A file that stands on the target, as a change that leaves it as it is.
pub fn unmoved(path: &RepoPath, entry: &Entry) -> FileDelta {
    let side = Some(Side { mode: entry.mode, oid: entry.oid.clone(), sha256: None });
    FileDelta { path: path.clone(), old: side.clone(), new: side }
}

/// A change of a file on the target.
pub fn landed(path: &RepoPath, landing: &Moved) -> FileDelta {
    let side = |entry: &Entry| Side { mode: entry.mode, oid: entry.oid.clone(), sha256: None };
    FileDelta {
        path: path.clone(),
        old: landing.old.as_ref().map(side),
        new: landing.new.as_ref().map(side),
    }
}

/// Refuses what is spent: after `since`, the target's history has held the
/// approved blob at that path (or, where approvals carry, a clean merge of
/// it), and later something else. What was approved once and taken back
/// needs a new approval to land again.
pub(super) fn unspent(
    approved: &FileDelta,
    since: &Oid,
    carries_too: bool,
    proofs: &Proofs<'_>,
) -> Result<(), Reason> {
    let path = || approved.path.to_display();
    let unreadable = |why: String| Reason::HistoryUnreadable { path: path(), why };
    let landings = match proofs.history.get(since) {
        Some(Ok(landings)) => landings,
        Some(Err(why)) => return Err(unreadable(why.clone())),
        None => return Err(unreadable("it was not looked at".to_owned())),
    };
    let Some(landings) = landings.get(&approved.path) else {
        return Err(unreadable("it was not looked at".to_owned()));
    };
    for pair in landings.windows(2) {
        let [landing, next] = pair else { continue };
        let blob = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.oid.clone());
        if blob(&landing.new) == blob(&next.new) {
            continue;
        }
        let approved_blob = approved.new.as_ref().map(|side| side.oid.clone());
        let held = approved_blob == blob(&landing.new)
            || (carries_too && held_merged(approved, landing, proofs).map_err(unreadable)?);
        if held {
            return Err(Reason::Spent { path: path(), by: next.commit.clone() });
        }
    }
    Ok(())
}

/// Whether a commit of the target brought a clean merge of what was approved.
fn held_merged(approved: &FileDelta, landing: &Moved, proofs: &Proofs<'_>) -> Result<bool, String> {
    let Ok(merge) = question(approved, &landed(&approved.path, landing)) else { return Ok(false) };
    match proofs.merges.get(&merge) {
        Some(Ok(Merged::Equal { .. })) => Ok(true),
        Some(Ok(Merged::Differs | Merged::Conflict | Merged::Binary | Merged::TooLarge)) => {
            Ok(false)
        }
        Some(Err(why)) => Err(why.clone()),
        None => Err("too many merges would have to be tried".to_owned()),
    }
}
