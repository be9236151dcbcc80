//! Commits and their messages: one `git log` for a whole range, however long.

use std::borrow::Cow;
use std::io::BufRead;

use super::{Git, GitError, unexpected};
use crate::gate::change::{Commit, Identity, Oid};
use crate::gate::narrow;

/// The most that one commit (its message, above all) may hold. A longer one is an
/// error: a shortened message would hide its trailers.
const COMMIT_LIMIT: u64 = 32 << 20;

/// Which commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revisions {
    /// These and their ancestors.
    pub from: Vec<Oid>,
    /// But not these, nor their ancestors.
    pub not: Vec<Oid>,
    /// Nor what the remote-tracking refs of this remote reach.
    pub not_on_remote: Option<String>,
    /// Nor what the one commit of `from` shares with this one.
    pub beside: Option<Oid>,
    /// Also the commits just outside these: parents that were left out.
    pub boundary: bool,
    /// Also all refs and HEAD, but for stashes, notes and countersign's own refs.
    pub all: bool,
    /// With `all`: further refs to leave out, as full names.
    pub except_refs: Vec<String>,
    /// Parents before children; else as they come, the newest first.
    pub oldest_first: bool,
    /// Not the ancestors of `from`: these alone.
    pub alone: bool,
}

impl Revisions {
    /// The commits `base..head`, oldest first.
    pub fn between(base: &Oid, head: &Oid) -> Revisions {
        Revisions {
            from: vec![head.clone()],
            not: vec![base.clone()],
            oldest_first: true,
            ..Revisions::default()
        }
    }

    /// Every commit that any ref reaches.
    pub fn everything() -> Revisions {
        Revisions { all: true, ..Revisions::default() }
    }

    /// Whether it names nothing to start from; git would take HEAD then.
    fn is_empty(&self) -> bool {
        self.from.is_empty() && !self.all
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.alone {
            arguments.push("--no-walk=unsorted".to_owned());
        }
        if self.oldest_first {
            arguments.extend(["--topo-order".to_owned(), "--reverse".to_owned()]);
        }
        if self.all {
            let own = ["refs/stash", "refs/notes/*", "refs/countersign/*"];
            let except = self.except_refs.iter().map(|name| literal(name));
            arguments.extend(
                own.map(str::to_owned)
                    .into_iter()
                    .chain(except)
                    .map(|it| format!("--exclude={it}")),
            );
            arguments.push("--all".to_owned());
        }
        if let Some(remote) = &self.not_on_remote {
            let remotes = format!("--remotes={}/*", literal(remote));
            arguments.extend(["--not".to_owned(), remotes, "--not".to_owned()]);
        }
        if self.boundary {
            arguments.push("--boundary".to_owned());
        }
        if self.beside.is_some() {
            arguments.push("--right-only".to_owned());
        }
        arguments.push("--stdin".to_owned());
        arguments
    }

    fn input(&self) -> String {
        let from = self.from.iter().map(|id| match &self.beside {
            Some(other) => format!("{other}...{id}\n"),
            None => format!("{id}\n"),
        });
        from.chain(self.not.iter().map(|id| format!("^{id}\n"))).collect()
    }
}

/// A ref's name as a glob that matches nothing else.
fn literal(name: &str) -> String {
    let mut pattern = String::new();
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

impl Git {
    /// Hands over one commit after the other, in memory that does not grow with
    /// their number (unless `oldest_first`: git then holds their ids). A commit
    /// at which a shallow clone's history ends is an error: what lies
    /// behind it might belong to the range.
    pub fn for_each_commit(
        &self,
        revisions: &Revisions,
        each: &mut dyn FnMut(Commit) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let mut outside = Vec::new();
        self.walk(revisions, each, &mut outside)
    }

    /// The same; the commits just outside, where they are asked for, are named apart.
    fn walk(
        &self,
        revisions: &Revisions,
        each: &mut dyn FnMut(Commit) -> Result<(), GitError>,
        outside: &mut Vec<Oid>,
    ) -> Result<(), GitError> {
        if revisions.is_empty() {
            return Ok(());
        }
        let boundary = match revisions.all || revisions.alone {
            // All that this clone has was asked for, not all there is.
            true => Default::default(),
            false => self.shallow_boundary()?,
        };
        let call = self
            .call()
            .args(["log", "-z", "--no-color", "--no-show-signature", "--no-mailmap"])
            .args(["--no-decorate", "--no-notes", "--no-patch", "--encoding=UTF-8"])
            .args(["--format=raw", "--no-expand-tabs"])
            // Git writes whole buffers then, not every commit by itself.
            .env("GIT_FLUSH", "0")
            .args(revisions.arguments())
            .stdin(revisions.input());
        self.stream(call.clone(), |reader| {
            let mut bytes = Vec::with_capacity(4096);
            while let Some((is_outside, commit)) = next_commit(reader, &mut bytes, &call)? {
                if is_outside {
                    outside.push(commit.id);
                    continue;
                }
                if boundary.contains(&commit.id) {
                    return Err(GitError::Shallow(format!("all commits behind {}", commit.id)));
                }
                each(commit)?;
            }
            Ok(())
        })
    }

    /// Returns the commits.
    pub fn commits(&self, revisions: &Revisions) -> Result<Vec<Commit>, GitError> {
        let mut commits = Vec::new();
        self.for_each_commit(revisions, &mut |commit| {
            commits.push(commit);
            Ok(())
        })?;
        Ok(commits)
    }

    /// Returns the commits, and those just outside if `revisions` ask for them.
    pub(super) fn commits_and_boundary(
        &self,
        revisions: &Revisions,
    ) -> Result<(Vec<Commit>, Vec<Oid>), GitError> {
        let (mut commits, mut outside) = (Vec::new(), Vec::new());
        let mut each = |commit| {
            commits.push(commit);
            Ok(())
        };
        self.walk(revisions, &mut each, &mut outside)?;
        Ok((commits, outside))
    }

    /// Whether any commit that `tip` reaches touched a file. A shallow history
    /// answers for what is there.
    pub fn was_ever_touched(&self, tip: &Oid, path: &str) -> Result<bool, GitError> {
        let call = self.call().args(["rev-list", "--max-count=1", tip.as_str(), "--", path]);
        Ok(!self.output(call)?.is_empty())
    }

    /// Returns the commits just outside these: those of their parents that the
    /// walk left out. `None`: there are no commits at all.
    pub fn boundary(&self, revisions: &Revisions) -> Result<Option<Vec<Oid>>, GitError> {
        if revisions.is_empty() {
            return Ok(None);
        }
        let call = self
            .call()
            .args(["rev-list", "--boundary"])
            .args(revisions.arguments())
            .stdin(revisions.input());
        let mut boundary = Vec::new();
        let mut any = false;
        self.stream(call.clone(), |reader| {
            for line in reader.lines() {
                let line = line.map_err(|error| unexpected(&call, error.to_string()))?;
                match line.strip_prefix('-') {
                    Some(id) => {
                        boundary.push(Oid::parse(id).ok_or_else(|| unexpected(&call, id))?);
                    }
                    None => any = true,
                }
            }
            Ok(())
        })?;
        Ok(any.then_some(boundary))
    }

    /// Returns when a commit was made, by its committer's clock (seconds since
    /// the epoch); 0 where the commit does not tell.
    pub fn committed(&self, commit: &Oid) -> Result<i64, GitError> {
        let (_, bytes) = self.object(commit, COMMIT_LIMIT)?;
        let mut header = bytes.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
        let committer = header.find_map(|line| line.strip_prefix(b"committer "));
        let time = committer.and_then(|line| {
            let text = String::from_utf8_lossy(line);
            text.rsplit_once("> ")?.1.split(' ').next()?.parse().ok()
        });
        Ok(time.unwrap_or(0))
    }

    /// Returns a hash of who made a commit and when, see [`narrow::author`].
    pub fn author(&self, commit: &Oid) -> Result<String, GitError> {
        let (_, bytes) = self.object(commit, COMMIT_LIMIT)?;
        let mut header = bytes.split(|&byte| byte == b'\n').take_while(|line| !line.is_empty());
        let author = header.find_map(|line| line.strip_prefix(b"author "));
        Ok(narrow::author(author.unwrap_or_default()))
    }

    /// Returns how many commits there are.
    pub fn count(&self, revisions: &Revisions) -> Result<u64, GitError> {
        if revisions.is_empty() {
            return Ok(0);
        }
        let call = self
            .call()
            .args(["rev-list", "--count"])
            .args(revisions.arguments())
            .stdin(revisions.input());
        let text = String::from_utf8_lossy(&self.output(call.clone())?).into_owned();
        text.trim_end().parse().map_err(|_| unexpected(&call, text))
    }
}

/// Reads one commit; `None` at the end. Also says whether it stands just outside the range.
fn next_commit(
    reader: &mut dyn BufRead,
    bytes: &mut Vec<u8>,
    call: &super::Call,
) -> Result<Option<(bool, Commit)>, GitError> {
    bytes.clear();
    next_record(reader, bytes, call)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    // Which is UTF-8 is told much faster than what in it is not.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    let commit = parse(&text).ok_or_else(|| unexpected(call, "a commit that is none"))?;
    Ok(Some(commit))
}

/// Takes a commit apart as `git log --format=raw` prints it: `commit ID`, with a
/// `-` before the id of a commit outside; the headers as they are stored; a
/// blank line; the message, indented by four blanks and without blanks at the
/// ends of its lines.
fn parse(text: &str) -> Option<(bool, Commit)> {
    let (first, mut rest) = next_line(text);
    let first = first.strip_prefix("commit ")?;
    let id = first.strip_prefix(['-', '>', '<', '=']).map_or(first, str::trim_start);
    let mut tree = None;
    let (mut author, mut committer) = (None, None);
    let id = Oid::parse(id)?;
    let mut commit = Commit {
        tree: id.clone(),
        id,
        parents: Vec::with_capacity(1),
        author: Identity::default(),
        committer: Identity::default(),
        committed: 0,
        signed: false,
        message: String::new(),
    };
    while !rest.is_empty() {
        let (line, after) = next_line(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        // A header's further lines begin with a blank.
        let Some((key, value)) = line.split_once(' ') else { continue };
        match key {
            "tree" => tree = tree.or(Some(Oid::parse(value)?)),
            "parent" => commit.parents.push(Oid::parse(value)?),
            "author" => author = author.or(Some(value)),
            "committer" => committer = committer.or(Some(value)),
            // The hash's own name may follow it.
            _ if key.starts_with("gpgsig") => commit.signed = true,
            _ => {}
        }
    }
    commit.tree = tree?;
    commit.author = identity(author.unwrap_or_default());
    let committer = committer.unwrap_or_default();
    commit.committer = identity(committer);
    // A commit whose date is no number is dated to the epoch, as git shows it.
    commit.committed = committer
        .rsplit_once('>')
        .and_then(|(_, date)| date.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    commit.message.reserve(rest.len());
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end + 1);
        let (line, after) = rest.split_at(end);
        commit.message.push_str(line.strip_prefix("    ").unwrap_or(line));
        rest = after;
    }
    Some((first.starts_with('-'), commit))
}

/// The first line, and what comes behind its end.
fn next_line(text: &str) -> (&str, &str) {
    match memchr::memchr(b'\n', text.as_bytes()) {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, ""),
    }
}

/// Name and address as git takes them apart: the address stands between the
/// first `<` and the next `>`; where there is none, nobody is named.
fn identity(line: &str) -> Identity {
    let Some((name, rest)) = line.split_once('<') else { return Identity::default() };
    let Some((email, _)) = rest.split_once('>') else { return Identity::default() };
    Identity { name: name.trim().to_owned(), email: email.to_owned() }
}

/// Appends a commit and the NUL that ends it, but the last; nothing at the end.
fn next_record(
    reader: &mut dyn BufRead,
    bytes: &mut Vec<u8>,
    call: &super::Call,
) -> Result<(), GitError> {
    let mut limited = std::io::Read::take(reader, COMMIT_LIMIT + 1);
    let length =
        limited.read_until(0, bytes).map_err(|error| unexpected(call, error.to_string()))?;
    if length as u64 > COMMIT_LIMIT {
        let what = "a commit's message".to_owned();
        return Err(GitError::TooLarge { what, limit: COMMIT_LIMIT });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let id = "1".repeat(40);
        let text = format!("commit {text}").replace('@', &id);
        let found = parse(&text).map(|(outside, it)| {
            let of = |it: &Identity| format!("{}/{}", it.name, it.email);
            format!(
                "{outside} {} {} {} {} {} {:?}",
                it.parents.len(),
                of(&it.author),
                of(&it.committer),
                it.committed,
                it.signed,
                it.message
            )
        });
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn commits_are_taken_apart() {
        check(
            "@\ntree @\nparent @\nparent @\nauthor Ana B <a%x> 1 +0000\ncommitter bo <> 22 -0100\n\n    a\n    \n      b\n",
            Some("false 2 Ana B/a%x bo/ 22 false \"a\\n\\n  b\\n\""),
        );
        check(
            "- @\ntree @\nauthor a <b> c> 1 +0\ncommitter <x>\nmergetag object\n gpgsig 1\n",
            Some("true 0 a/b /x 0 false \"\""),
        );
        check(
            "@\ntree @\nauthor nobody\ngpgsig-sha256 A\n \n author b <b>\nauthor c <c>\n\n    author d <d>",
            Some("false 0 / / 0 true \"author d <d>\""),
        );
        check("@\nauthor a <a> 1 +0\n\n", None);
        check("12\ntree @\n", None);
    }
}
