//! Where a change begins: the merge base, and what a criss-cross puts beside it.
//!
//! Two branches that were merged into each other have several merge bases, and
//! from each of them the difference holds work of the other ones, which has
//! landed long ago. Git's three-way merge makes a base of its own from them;
//! here the one is taken that knows most of what stands on the target, and what
//! the change leaves as it stands there is no part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::{Detail, Git, GitError, Revisions};
use crate::gate::change::{Commit, Entry, FileChange, Oid, RepoPath};
use crate::gate::order;

/// The most merge bases that are compared; of more, git's first ones are.
const MOST_BASES: usize = 8;

/// Where a change begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// A commit, or the empty tree: what the net difference is taken from.
    pub base: Oid,
    /// The commit on which the change lands, where `base` does not hold all
    /// that both have in common. Neither its commits nor the files that it
    /// holds in the very same form are part of the change.
    pub landed: Option<Oid>,
}

/// Commits, oldest first, and those just outside.
type Walked = (Vec<Commit>, Vec<Oid>);

/// The commits `base..head`, oldest first, which were walked to find the base.
#[derive(Debug)]
pub(super) struct Walk {
    base: Oid,
    head: Oid,
    commits: Vec<Commit>,
}

impl Start {
    /// A change that is told from one commit or tree alone.
    pub fn at(base: Oid) -> Start {
        Start { base, landed: None }
    }
}

impl Git {
    /// Returns where a change begins that is made of what `head` has and
    /// `target` has not; the empty tree where they have nothing in common.
    ///
    /// The commits are walked first, since most walks show the merge base as well.
    pub fn start(&self, target: &Oid, head: &Oid) -> Result<Start, GitError> {
        let Some((commits, outside)) = self.walked_beside(target, head, None)? else {
            return self.start_at_bases(target, head);
        };
        let start = match outside.as_slice() {
            _ if outside.contains(target) => Start::at(target.clone()),
            [only] => Start::at(only.clone()),
            _ => self.start_at_bases(target, head)?,
        };
        if start.landed.is_none() && start.base != self.empty_tree() {
            self.keep_walk(Walk { base: start.base.clone(), head: head.clone(), commits });
        }
        Ok(start)
    }

    /// Returns the one commit from which everything grew that `head` has beyond
    /// `target` and beyond the remote-tracking refs of `remote`; every merge base
    /// with `target` is this commit or lies behind it. `None`: there are several
    /// such commits, or none.
    pub fn grown_from(
        &self,
        target: &Oid,
        head: &Oid,
        remote: &str,
    ) -> Result<Option<Oid>, GitError> {
        let Some((commits, outside)) = self.walked_beside(target, head, Some(remote))? else {
            return Ok(None);
        };
        let Ok([base]) = <[Oid; 1]>::try_from(outside) else { return Ok(None) };
        self.keep_walk(Walk { base: base.clone(), head: head.clone(), commits });
        Ok(Some(base))
    }

    /// The same from merge bases alone, for whoever walked already.
    pub fn start_at_bases(&self, target: &Oid, head: &Oid) -> Result<Start, GitError> {
        let bases = self.merge_bases(target, head)?;
        match bases.as_slice() {
            [] => Ok(Start::at(self.empty_tree())),
            [base] => Ok(Start::at(base.clone())),
            several => {
                let base = self.nearest(&several[..several.len().min(MOST_BASES)], target, head)?;
                Ok(Start { base, landed: Some(target.clone()) })
            }
        }
    }

    /// The commits that `head` has beyond `target` (and `remote`), oldest first,
    /// and those just outside, all merge bases among them. `None`: no commits, or
    /// a shallow history in which it matters first whether there is a merge base.
    ///
    /// git finds the merge bases before it walks `target...head`, and walks from
    /// none of them: no commit's date can hide one.
    fn walked_beside(
        &self,
        target: &Oid,
        head: &Oid,
        remote: Option<&str>,
    ) -> Result<Option<Walked>, GitError> {
        let revisions = Revisions {
            from: vec![head.clone()],
            beside: Some(target.clone()),
            not_on_remote: remote.map(str::to_owned),
            boundary: true,
            oldest_first: true,
            ..Revisions::default()
        };
        match self.commits_and_boundary(&revisions) {
            Ok((commits, _)) if commits.is_empty() => Ok(None),
            Ok(walked) => Ok(Some(walked)),
            Err(GitError::Shallow(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn keep_walk(&self, walk: Walk) {
        *self.walk.lock().unwrap_or_else(PoisonError::into_inner) = Some(walk);
    }

    /// The commits of this range, if it was the last one that was walked. They
    /// are given away: nobody asks twice.
    pub(super) fn take_walked(&self, base: &Oid, head: &Oid) -> Option<Vec<Commit>> {
        let mut walk = self.walk.lock().unwrap_or_else(PoisonError::into_inner);
        let walk = walk.take_if(|walk| walk.base == *base && walk.head == *head)?;
        Some(walk.commits)
    }

    /// The base from which the fewest files differ that the target holds in
    /// another form: their old side is what stands on the target then.
    fn nearest(&self, bases: &[Oid], target: &Oid, head: &Oid) -> Result<Oid, GitError> {
        let changed: BTreeMap<RepoPath, Option<Entry>> = order::map(
            self.differences(target, head, Detail::Files)?
                .into_iter()
                .map(|file| (file.path, file.old)),
        );
        let mut found: Option<(usize, &Oid)> = None;
        for base in bases {
            let differs = |file: &FileChange| {
                changed.get(&file.path).is_some_and(|on_target| *on_target != file.old)
            };
            let files = self.differences(base, head, Detail::Files)?;
            let distance = files.iter().filter(|file| differs(file)).count();
            if found.is_none_or(|(nearest, _)| distance < nearest) {
                found = Some((distance, base));
            }
        }
        Ok(found.map_or_else(|| self.empty_tree(), |(_, base)| base.clone()))
    }

    /// Leaves out what stands on the target as the change has it.
    pub(super) fn without_landed(
        &self,
        files: Vec<FileChange>,
        landed: &Oid,
        head: &Oid,
    ) -> Result<Vec<FileChange>, GitError> {
        let differing: BTreeSet<RepoPath> = order::set(
            self.differences(landed, head, Detail::Files)?.into_iter().map(|file| file.path),
        );
        Ok(files.into_iter().filter(|file| differing.contains(&file.path)).collect())
    }
}
