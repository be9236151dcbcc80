//! What the result of a test depends on at a commit, and which packages it is
//! run for there: read from the commit's tree, without running anything.

use std::collections::BTreeMap;

use crate::adapters::git::Git;
use crate::gate::change::{Change, Entry, Oid, RepoPath, printable};
use crate::gate::evidence::Answer;
use crate::gate::packages::{Affected, LARGEST_MANIFEST, MOST_MANIFESTS, Selection};
use crate::gate::policy::TestCommand;
use crate::gate::run::{inputs_digest, packages_digest, tree_digest};

use super::Error;

/// What a test depends on.
#[derive(Clone, Debug)]
pub struct Depends {
    /// See `gate::run`.
    pub digest: String,
    /// `None`: it runs for all there is.
    pub packages: Option<Affected>,
}

/// A change's head, whose files are listed at most once.
pub struct Head<'a> {
    git: &'a Git,
    change: &'a Change,
    /// The tree that is tested.
    tree: &'a Oid,
    entries: Option<Vec<(RepoPath, Entry)>>,
}

impl<'a> Head<'a> {
    /// The change's head, or the result of its merge.
    pub fn new(git: &'a Git, change: &'a Change, tree: &'a Oid) -> Head<'a> {
        Head { git, change, tree, entries: None }
    }

    /// What a test depends on here.
    pub fn depends(&mut self, test: &TestCommand) -> Answer<Depends> {
        let digest = match &test.inputs {
            None => tree_digest(self.tree),
            Some(globs) => {
                let rows = self.entries()?.iter().filter(|(path, _)| globs.matches(path));
                inputs_digest(rows.map(|(path, entry)| (path, entry)))
            }
        };
        let Some(selection) = &test.packages else { return Ok(Depends { digest, packages: None }) };
        let manifests = self.manifests(selection)?;
        let workspace = selection
            .read(&manifests)
            .map_err(|why| format!("which packages `{}` is for is not known: {why}", test.name))?;
        let changed = self.change.files.iter().map(|file| &file.path);
        let matter = |path: &&RepoPath| test.inputs.as_ref().is_none_or(|it| it.matches(path));
        let affected = workspace.affected(changed.filter(matter));
        Ok(Depends { digest: packages_digest(&digest, &affected), packages: Some(affected) })
    }

    fn entries(&mut self) -> Answer<&[(RepoPath, Entry)]> {
        if self.entries.is_none() {
            let list = self.git.list(self.tree, &RepoPath::new(""));
            self.entries = Some(list.map_err(|error| Error::from(error).chain())?);
        }
        Ok(self.entries.as_deref().unwrap_or_default())
    }

    /// The bytes of the manifests, by path.
    fn manifests(&mut self, selection: &Selection) -> Answer<BTreeMap<String, Vec<u8>>> {
        let git = self.git;
        let is_file = |entry: &Entry| entry.mode & 0o170_000 == 0o100_000;
        let rows = self.entries()?.iter();
        let rows: Vec<_> = rows
            .filter(|(path, entry)| is_file(entry) && selection.is_manifest(path))
            .take(MOST_MANIFESTS + 1)
            .collect();
        if rows.len() > MOST_MANIFESTS {
            return Err(format!("there are more than {MOST_MANIFESTS} manifests of packages"));
        }
        let mut manifests = BTreeMap::new();
        for (path, entry) in rows {
            let bytes = git.blob(&entry.oid, LARGEST_MANIFEST);
            let bytes = bytes.map_err(|error| {
                format!("`{}`: {}", path.to_display(), Error::from(error).chain())
            })?;
            manifests.insert(String::from_utf8_lossy(path.as_bytes()).into_owned(), bytes);
        }
        Ok(manifests)
    }
}

/// The words of a command with the packages filled in, for people and CI.
pub fn words(test: &TestCommand, packages: Option<&Affected>) -> Vec<String> {
    match packages {
        Some(affected) => crate::gate::packages::fill(&test.run, affected),
        None => test.run.clone(),
    }
}

/// What stands instead of a result: nothing can be run without the packages.
pub fn unknown(test: &str, why: &str) -> Error {
    Error::repository(format!("`{}` cannot be planned: {}", printable(test), printable(why)))
}
