//! What became of files on a branch: the changes of its first-parent history.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use super::objects::os_path;
use super::{Git, GitError, unexpected};
use crate::gate::change::{Oid, RepoPath};
use crate::gate::evidence::{Moved, Moves};
use crate::gate::order;

/// As many bytes of paths go into one call; beyond it git names every file.
const ARGUMENTS: usize = 64 << 10;

/// The longest token: a path of git's own limit.
const TOKEN_LIMIT: u64 = 64 << 10;

/// The most changes that are kept.
const MOST_LANDINGS: usize = 100_000;

impl Git {
    /// Returns every change of these paths in the first-parent history of
    /// `tip` that `since` (a commit, or the empty tree for all of it) does not
    /// reach, the oldest first: one process for all of them. A shallow clone
    /// whose boundary cuts it short is an error.
    pub fn landings(
        &self,
        since: &Oid,
        tip: &Oid,
        paths: &BTreeSet<RepoPath>,
    ) -> Result<Moves, GitError> {
        let mut landings: Moves = order::map(paths.iter().map(|path| (path.clone(), Vec::new())));
        if since == tip {
            return Ok(landings);
        }
        self.is_uncut(since, tip)?;
        let mut call = self.call().args(["log", "--first-parent", "-m", "--raw", "-z"]);
        call = call.args(["--no-abbrev", "--no-renames", "--no-relative", "--no-color"]);
        call = call.args(["--ignore-submodules=none", "--no-show-signature", "--no-mailmap"]);
        call = call.args(["--no-decorate", "--no-notes", "--format=commit %H", tip.as_str()]);
        if *since != self.empty_tree() {
            call = call.arg(format!("^{since}"));
        }
        call = call.arg("--");
        if paths.iter().map(|path| path.as_bytes().len() + 1).sum::<usize>() <= ARGUMENTS {
            call = call.args(paths.iter().map(|path| os_path(path.as_bytes())));
        }
        let broken = || unexpected(&call, "a broken change");
        let mut kept = 0;
        self.stream(call.clone(), |reader| {
            let mut commit = None;
            while let Some(token) = token(reader).map_err(|_| broken())? {
                let text = token.strip_prefix(b"\n").unwrap_or(&token);
                if let Some(id) = text.strip_prefix(b"commit ") {
                    commit = std::str::from_utf8(id).ok().and_then(Oid::parse);
                } else if text.starts_with(b":") {
                    let path = self::token(reader).map_err(|_| broken())?.ok_or_else(broken)?;
                    let change = parse(text).ok_or_else(broken)?;
                    let commit = commit.clone().ok_or_else(broken)?;
                    let Some(known) = landings.get_mut(&RepoPath::new(path)) else { continue };
                    let (old, new) = change;
                    known.push(Moved { commit, old, new });
                    kept += 1;
                    if kept > MOST_LANDINGS {
                        let what = format!("the number of changes between {since} and {tip}");
                        return Err(GitError::TooLarge { what, limit: MOST_LANDINGS as u64 });
                    }
                } else if !text.is_empty() {
                    return Err(broken());
                }
            }
            Ok(())
        })?;
        landings.values_mut().for_each(|known| known.reverse());
        Ok(landings)
    }

    fn is_uncut(&self, since: &Oid, tip: &Oid) -> Result<(), GitError> {
        let boundary = self.shallow_boundary()?;
        if boundary.is_empty() {
            return Ok(());
        }
        let mut call = self.call().args(["rev-list", "--first-parent", tip.as_str()]);
        if *since != self.empty_tree() {
            call = call.arg(format!("^{since}"));
        }
        self.stream(call, |reader| {
            for line in reader.lines() {
                let id = line.ok().and_then(|line| Oid::parse(&line));
                if id.is_some_and(|id| boundary.contains(&id)) {
                    return Err(GitError::Shallow(format!("what landed since {}", since.short())));
                }
            }
            Ok(())
        })
    }
}

type Sides = (Option<crate::gate::change::Entry>, Option<crate::gate::change::Entry>);

/// `:<old mode> <new mode> <old id> <new id> <status>`
fn parse(text: &[u8]) -> Option<Sides> {
    let mut words = std::str::from_utf8(text).ok()?.strip_prefix(':')?.split(' ');
    let (old_mode, new_mode) = (words.next()?, words.next()?);
    let (old, new) = (words.next()?, words.next()?);
    Some((super::diff::entry(old_mode, old)?, super::diff::entry(new_mode, new)?))
}

fn token(reader: &mut dyn BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut token = Vec::new();
    if reader.take(TOKEN_LIMIT).read_until(0, &mut token)? == 0 {
        return Ok(None);
    }
    match token.pop() {
        Some(0) => Ok(Some(token)),
        Some(_) | None => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
