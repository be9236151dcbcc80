//! The modules of Terraform and OpenTofu in a commit: a folder's sources, and
//! which folders a root is made of.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::git::{Git, GitError};
use crate::gate::change::{Oid, RepoPath};
use crate::gate::evidence::Answer;
use crate::gate::order;
use crate::gate::preview::{LOCK_FILE, is_source, joined, local_calls};

use super::Error;

/// A source larger than this is not read.
const MAX_SOURCE: u64 = 16 << 20;
/// The most folders that a root is followed into.
const MAX_FOLDERS: usize = 5_000;
/// How many links may lead to one another.
const MAX_LINKS: usize = 8;

/// The sources and the lock file that stand in a folder of a commit, by name;
/// links within the repository are followed, as the engine follows them.
/// `None`: there is no such folder.
pub fn sources(
    git: &Git,
    tree: &Oid,
    folder: &str,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, GitError> {
    let Some(entries) = git.folder(tree, &RepoPath::new(folder))? else { return Ok(None) };
    let mut files = BTreeMap::new();
    for (name, entry) in entries {
        let Ok(name) = String::from_utf8(name) else { continue };
        if !is_source(&name) && name != LOCK_FILE {
            continue;
        }
        let content = match entry.mode & 0o170_000 {
            0o100_000 => Some(git.blob(&entry.oid, MAX_SOURCE)?),
            0o120_000 => linked(git, tree, folder, &entry.oid)?,
            _ => None,
        };
        if let Some(content) = content {
            files.insert(name, content);
        }
    }
    Ok(Some(files))
}

/// What a link in a folder leads to; `None`: nothing within the commit.
fn linked(git: &Git, tree: &Oid, folder: &str, link: &Oid) -> Result<Option<Vec<u8>>, GitError> {
    let (mut folder, mut link) = (folder.to_owned(), link.clone());
    for _ in 0..MAX_LINKS {
        let Ok(target) = String::from_utf8(git.blob(&link, 4 << 10)?) else { return Ok(None) };
        let Some(path) = joined(&folder, &target) else { return Ok(None) };
        let Some(entry) = git.entry_at(tree, &RepoPath::new(path.as_str()))? else {
            return Ok(None);
        };
        match entry.mode & 0o170_000 {
            0o100_000 => return git.blob(&entry.oid, MAX_SOURCE).map(Some),
            0o120_000 => {
                folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                link = entry.oid;
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The folders of the local modules that a root uses in a commit, and those
/// that these use; without the root's own. A root that is not there uses none.
pub fn closure(git: &Git, tree: &Oid, root: &str) -> Answer<BTreeSet<String>> {
    let root = joined("", root).ok_or_else(|| format!("`{root}` lies outside the repository"))?;
    let mut seen = order::set([root.clone()]);
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        let files = sources(git, tree, &folder).map_err(|error| Error::from(error).chain())?;
        for (name, content) in files.into_iter().flatten() {
            let calls = local_calls(&name, &content)
                .map_err(|why| format!("`{folder}/{name}` cannot be read: {why}"))?;
            let folders = calls.iter().filter_map(|source| joined(&folder, source));
            open.extend(folders.filter(|it| seen.insert(it.clone())));
        }
        if seen.len() > MAX_FOLDERS {
            return Err(format!("`{root}` uses more than {MAX_FOLDERS} modules"));
        }
    }
    seen.remove(&root);
    Ok(seen)
}
