//! Reads a policy that somebody is working on, and looks for mistakes in it.

use std::path::{Path, PathBuf};

use crate::adapters::fs;
use crate::adapters::git::Git;
use crate::gate::change::{Oid, RepoPath};
use crate::gate::policy::lint::{LintFinding, lint};
use crate::gate::policy::{FILE_NAME, Policy, PolicyError};

use super::{Env, Error, ErrorKind};

/// The largest policy file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// The most nested policies that are read.
const MOST_NESTED: usize = 1000;

/// Which policy is meant.
#[derive(Clone, Debug)]
pub enum Source {
    /// `countersign.toml` at the root of the work tree, with its nested files.
    WorkTree,
    /// A file, alone.
    File(PathBuf),
    /// What stands at a revision, with its nested files.
    Revision(String),
}

/// A policy and the files it is for.
#[derive(Clone, Debug)]
pub struct Found {
    pub policy: Policy,
    /// The repository's files; empty for a file alone.
    pub tracked: Vec<RepoPath>,
}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Error {
        let hints = error.help.clone().into_iter().collect();
        let plain = PolicyError { help: None, ..error };
        Error { kind: ErrorKind::Policy, source: Box::new(plain), hints }
    }
}

/// Reads the policy that is meant.
pub fn read(env: &Env, source: &Source) -> Result<Found, Error> {
    match source {
        Source::File(path) => {
            let text = file(&env.dir.join(path))?.ok_or_else(|| absent(&path.to_string_lossy()))?;
            let policy = Policy::parse(&text, &path.to_string_lossy())?;
            Ok(Found { policy, tracked: Vec::new() })
        }
        Source::WorkTree => work_tree(env),
        Source::Revision(revision) => {
            let git = Git::open(&env.dir)?;
            let commit = git
                .resolve_commit(revision)?
                .ok_or_else(|| Error::usage(format!("`{revision}` is no commit here")))?;
            at(&git, &commit)
        }
    }
}

/// Reads the policy that is meant and looks for mistakes.
pub fn check(env: &Env, source: &Source) -> Result<(Policy, Vec<LintFinding>), Error> {
    let found = read(env, source)?;
    let findings = lint(&found.policy, &found.tracked);
    Ok((found.policy, findings))
}

/// Returns the policy's keys as an `allowed_signers` file.
pub fn allowed_signers(env: &Env, source: &Source) -> Result<String, Error> {
    Ok(crate::adapters::signature::allowed_signers(&read(env, source)?.policy))
}

fn work_tree(env: &Env) -> Result<Found, Error> {
    let git = Git::open(&env.dir)?;
    let top = git.layout().toplevel.clone().ok_or_else(|| {
        Error::usage("there is no work tree here")
            .hint("name a revision: `countersign policy show --policy-from main`")
    })?;
    let text = file(&top.join(FILE_NAME))?.ok_or_else(|| absent(FILE_NAME))?;
    let policy = Policy::parse(&text, FILE_NAME)?;
    let mut nested = Vec::new();
    for path in named(&policy, git.tracked_and_new()?)? {
        // A tracked file that is not in the work tree is not part of what is being written.
        if let Some(text) = file(&top.join(os_path(&path)))? {
            nested.push((path, text));
        }
    }
    let mut tracked = git.tracked()?;
    // The policy itself may still be about to be added.
    tracked.push(RepoPath::new(FILE_NAME));
    Ok(Found { policy: policy.with_nested(&nested)?, tracked })
}

fn at(git: &Git, commit: &Oid) -> Result<Found, Error> {
    let tracked = git.list(commit, &RepoPath::new(""))?;
    let blob = |path: &RepoPath, oid: &Oid| {
        let bytes = git.blob(oid, LIMIT)?;
        utf8(bytes, &format!("{commit}:{}", path.to_display()))
    };
    let root = RepoPath::new(FILE_NAME);
    let from = format!("{commit}:{FILE_NAME}");
    let (_, entry) = tracked.iter().find(|(path, _)| *path == root).ok_or_else(|| absent(&from))?;
    let policy = Policy::parse(&blob(&root, &entry.oid)?, &from)?;
    let paths = tracked.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    let wanted = named(&policy, paths.clone())?;
    let nested = tracked
        .iter()
        .filter(|(path, _)| wanted.contains(path))
        .map(|(path, entry)| Ok((path.clone(), blob(path, &entry.oid)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(Found { policy: policy.with_nested(&nested)?, tracked: paths })
}

fn named(policy: &Policy, mut paths: Vec<RepoPath>) -> Result<Vec<RepoPath>, Error> {
    paths.retain(|path| policy.is_nested_file(path));
    if paths.len() > MOST_NESTED {
        let message = format!("`nested.files` matches more than {MOST_NESTED} policies");
        return Err(Error::new(ErrorKind::Policy, message));
    }
    Ok(paths)
}

fn file(path: &Path) -> Result<Option<String>, Error> {
    fs::read(path, LIMIT)?.map(|bytes| utf8(bytes, &path.to_string_lossy())).transpose()
}

fn utf8(bytes: Vec<u8>, from: &str) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Policy, format!("`{from}` is not UTF-8")))
}

fn absent(name: &str) -> Error {
    Error::new(ErrorKind::Policy, format!("there is no policy at `{name}`"))
        .hint("`countersign init` writes one from what the repository shows")
}

#[cfg(unix)]
fn os_path(path: &RepoPath) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(path.as_bytes()).into()
}

#[cfg(not(unix))]
fn os_path(path: &RepoPath) -> PathBuf {
    String::from_utf8_lossy(path.as_bytes()).into_owned().into()
}
