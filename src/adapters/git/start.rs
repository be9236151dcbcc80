//! Where a change begins: the merge base, and what a criss-cross puts beside it.
//!
//! Two branches that were merged into each other have several merge bases, and
//! from each of them the difference holds work of the other ones, which has
//! landed long ago. Git's three-way merge makes a base of its own from them;
//! here the one is taken that knows most of what stands on the target, and what
//! the change leaves as it stands there is no part of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Detail, Git, GitError};
use crate::gate::change::{Entry, FileChange, Oid, RepoPath};

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

impl Start {
    /// A change that is told from one commit or tree alone.
    pub fn at(base: Oid) -> Start {
        Start { base, landed: None }
    }
}

impl Git {
    /// Returns where a change begins that is made of what `head` has and
    /// `target` has not; the empty tree where they have nothing in common.
    pub fn start(&self, target: &Oid, head: &Oid) -> Result<Start, GitError> {
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

    /// The base from which the fewest files differ that the target holds in
    /// another form: their old side is what stands on the target then.
    fn nearest(&self, bases: &[Oid], target: &Oid, head: &Oid) -> Result<Oid, GitError> {
        let changed: BTreeMap<RepoPath, Option<Entry>> = self
            .differences(target, head, Detail::Files)?
            .into_iter()
            .map(|file| (file.path, file.old))
            .collect();
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
        let differing: BTreeSet<RepoPath> = self
            .differences(landed, head, Detail::Files)?
            .into_iter()
            .map(|file| file.path)
            .collect();
        Ok(files.into_iter().filter(|file| differing.contains(&file.path)).collect())
    }
}
