//! What a branch held: its first-parent history, path by path.

use std::collections::BTreeMap;

use super::objects::Kind;
use super::{Git, GitError, unexpected};
use crate::gate::change::{Entry, Oid, RepoPath};

impl Git {
    /// Returns what stood at each of the paths after every first-parent commit
    /// of `base..tip` that changed it, the newest first: one process for all of
    /// them. A path that none of them changed has no row. `base` may be the
    /// empty tree: then all of the history is meant.
    pub fn held_since(
        &self,
        base: &Oid,
        tip: &Oid,
        paths: &[RepoPath],
    ) -> Result<BTreeMap<RepoPath, Vec<Option<Entry>>>, GitError> {
        let mut held: BTreeMap<RepoPath, Vec<Option<Entry>>> = BTreeMap::new();
        if paths.is_empty() {
            return Ok(held);
        }
        let range = match *base == self.empty_tree() {
            true => tip.to_string(),
            false => format!("{base}..{tip}"),
        };
        let call = self
            .call()
            .args(["log", "--first-parent", "-m", "--root", "--format=", "-z", "--raw"])
            .args(["--no-abbrev", "--no-renames", "--no-relative", "--no-color"])
            .args(["--no-show-signature", "--ignore-submodules=none"])
            .args(["--end-of-options", range.as_str(), "--"])
            .args(paths.iter().map(|path| super::objects::os_path(path.as_bytes())));
        let bytes = self.output(call.clone())?;
        let mut words = bytes.split(|&byte| byte == 0).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let header = std::str::from_utf8(word).ok().and_then(new_side);
            let (Some(entry), Some(path)) = (header, words.next()) else {
                return Err(unexpected(&call, String::from_utf8_lossy(word)));
            };
            held.entry(RepoPath::new(path)).or_default().push(entry);
        }
        Ok(held)
    }

    /// Returns the messages of the newest first-parent commits of `tip`.
    pub fn newest_messages(&self, tip: &Oid, most: usize) -> Result<Vec<(Oid, String)>, GitError> {
        if let Some(messages) = self.known_messages(tip, most) {
            return Ok(messages);
        }
        let count = format!("--max-count={most}");
        let call = self
            .call()
            .args(["log", "--first-parent", "-z", "--no-color", "--no-show-signature"])
            .args(["--no-decorate", "--no-notes", "--no-patch", "--encoding=UTF-8"])
            .args(["--format=%H%n%B", &count, "--end-of-options", tip.as_str(), "--"]);
        let bytes = self.output(call.clone())?;
        let commits = bytes.split(|&byte| byte == 0).filter(|commit| !commit.is_empty());
        commits
            .map(|commit| {
                let text = String::from_utf8_lossy(commit);
                let (id, message) = text.split_once('\n').unwrap_or((&text, ""));
                let id = Oid::parse(id).ok_or_else(|| unexpected(&call, id))?;
                Ok((id, message.to_owned()))
            })
            .collect()
    }

    /// The same in process; `None`: git has to say.
    fn known_messages(&self, tip: &Oid, most: usize) -> Option<Vec<(Oid, String)>> {
        let mut messages = Vec::new();
        let mut next = Some(tip.clone());
        while let Some(id) = next.filter(|_| messages.len() < most) {
            let (Kind::Commit, commit) = self.engine_object(&id, COMMIT_LIMIT).ok()?? else {
                return None;
            };
            // git puts other encodings into UTF-8.
            if header(&commit, b"encoding ").is_some() {
                return None;
            }
            next = first_parent(&commit);
            let text = String::from_utf8_lossy(&commit);
            let message = text.split_once("\n\n").map_or("", |(_, message)| message);
            messages.push((id, message.to_owned()));
        }
        Some(messages)
    }

    /// Returns `tip` and its first parents, the newest first, each with its
    /// committer's time in seconds since the epoch: down to the first that was
    /// made before `until` (it included), or as far as this clone has them.
    pub fn first_parents(&self, tip: &Oid, until: i64) -> Result<Vec<(Oid, i64)>, GitError> {
        let mut chain: Vec<(Oid, i64)> = Vec::new();
        let mut next = Some(tip.clone());
        while let Some(id) = next {
            let bytes = match self.object(&id, COMMIT_LIMIT) {
                Ok((Kind::Commit, bytes)) => bytes,
                Ok(_) => break,
                // A shallow history ends with a parent that is not here.
                Err(GitError::Missing(_)) if !chain.is_empty() => break,
                Err(error) => return Err(error),
            };
            let time = committer_time(&bytes);
            next = first_parent(&bytes);
            chain.push((id, time));
            if time < until {
                break;
            }
        }
        Ok(chain)
    }
}

/// The longest commit that is read.
const COMMIT_LIMIT: u64 = 32 << 20;

fn header<'c>(commit: &'c [u8], name: &[u8]) -> Option<&'c str> {
    let mut lines = commit.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
    std::str::from_utf8(lines.find_map(|line| line.strip_prefix(name))?).ok()
}

fn first_parent(commit: &[u8]) -> Option<Oid> {
    Oid::parse(header(commit, b"parent ")?)
}

/// The committer's time; 0 where the commit does not tell.
fn committer_time(commit: &[u8]) -> i64 {
    let time = header(commit, b"committer ")
        .and_then(|line| line.rsplit_once("> ")?.1.split(' ').next()?.parse().ok());
    time.unwrap_or(0)
}

/// The new side of `:<old mode> <new mode> <old id> <new id> <status>`.
fn new_side(header: &str) -> Option<Option<Entry>> {
    let mut words = header.strip_prefix(':')?.split(' ');
    let mode = u32::from_str_radix(words.nth(1)?, 8).ok()?;
    let oid = Oid::parse(words.nth(1)?)?;
    Some((mode != 0).then_some(Entry { mode, oid }))
}
