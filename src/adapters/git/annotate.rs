//! git's own blame of a file, line by line, and the commits that touched it.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use super::{Git, GitError, diff, objects, unexpected};
use crate::gate::blame::{History, Version};
use crate::gate::change::{Oid, RepoPath};

/// The longest line of a file that is shown, in bytes.
const LINE_LIMIT: u64 = 64 << 20;

/// A file as git blames it.
#[derive(Clone, Debug, Default)]
pub struct Annotated {
    pub lines: Vec<AnnotatedLine>,
    pub commits: BTreeMap<Oid, AnnotatedCommit>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotatedLine {
    /// All zeros: it is not committed.
    pub commit: Oid,
    /// The file in that commit.
    pub path: RepoPath,
    /// The line's number there, counted from 1.
    pub original: u64,
    /// The line's number here.
    pub number: u64,
    /// Without the line break.
    pub text: Vec<u8>,
}

/// What git tells of a commit beside its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnotatedCommit {
    pub author: String,
    /// With its angle brackets.
    pub author_mail: String,
    /// Seconds since the epoch, and the zone as `+0200`.
    pub author_time: i64,
    pub author_zone: String,
    pub summary: String,
    /// The history that was asked about ends here.
    pub boundary: bool,
    /// git's own headers, as printed the first time.
    pub headers: Vec<Vec<u8>>,
}

impl Git {
    /// Blames a file at a revision, or (`None`) as it stands in the work tree.
    /// `ranges` are what `-L` takes.
    pub fn annotate(
        &self,
        path: &RepoPath,
        revision: Option<&Oid>,
        ranges: &[String],
    ) -> Result<Annotated, GitError> {
        // An empty name clears the lists of commits to be ignored that
        // configuration may hold: a line's commit is the one that brought it.
        let mut call = self
            .call()
            .args(["blame", "--line-porcelain", "--no-textconv", "--no-progress"])
            .args(["--diff-algorithm=myers", "--encoding=UTF-8", "--ignore-revs-file="]);
        call = ranges.iter().fold(call, |call, range| call.arg(format!("-L{range}")));
        call = revision.iter().fold(call, |call, revision| call.arg(revision.as_str()));
        // git reads the path from where it was started.
        let from_here = [self.up.as_bytes(), path.as_bytes()].concat();
        let call = call.arg("--").arg(objects::os_path(&from_here));
        let mut annotated = Annotated::default();
        self.stream(call.clone(), |reader| {
            while let Some(line) = next_line(reader)? {
                let text = String::from_utf8_lossy(&line);
                let (commit, original, number) =
                    parse_line(&text).ok_or_else(|| unexpected(&call, text.clone()))?;
                let (path, text) =
                    read_headers(reader, annotated.commits.entry(commit.clone()).or_default())?
                        .ok_or_else(|| unexpected(&call, "a line without its file"))?;
                annotated.lines.push(AnnotatedLine { commit, path, original, number, text });
            }
            Ok(())
        })?;
        Ok(annotated)
    }

    /// Returns the commits below `revision` that touched one of these paths,
    /// merges with them, and what stood at the paths in each.
    pub fn history(&self, revision: &Oid, paths: &[RepoPath]) -> Result<History, GitError> {
        let mut call =
            self.call().args(["rev-list", "--full-history", "--parents", revision.as_str(), "--"]);
        for path in paths {
            call = call.arg(objects::os_path(&[self.up.as_bytes(), path.as_bytes()].concat()));
        }
        let text = self.output(call)?;
        let mut versions = Vec::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut ids = line.split(' ').filter_map(Oid::parse);
            let Some(commit) = ids.next() else { continue };
            let mut blobs = BTreeMap::new();
            for path in paths {
                if let Some(entry) = self.entry_at(&commit, path)? {
                    blobs.insert(path.clone(), entry.oid);
                }
            }
            versions.push(Version { commit, parents: ids.collect(), blobs });
        }
        Ok(History::new(versions))
    }
}

/// `<commit> <line there> <line here> [<count>]`
fn parse_line(line: &str) -> Option<(Oid, u64, u64)> {
    let mut words = line.split(' ');
    let commit = Oid::parse(words.next()?)?;
    Some((commit, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Reads up to the line's text: headers, then the text behind a tabulator.
fn read_headers(
    reader: &mut dyn BufRead,
    commit: &mut AnnotatedCommit,
) -> Result<Option<(RepoPath, Vec<u8>)>, GitError> {
    let first = commit.headers.is_empty();
    let mut path = None;
    while let Some(header) = next_line(reader)? {
        if let Some(text) = header.strip_prefix(b"\t") {
            return Ok(path.map(|path| (path, text.to_vec())));
        }
        if let Some(name) = header.strip_prefix(b"filename ") {
            path = diff::unquote(name);
        } else if first {
            note(commit, &header);
            commit.headers.push(header);
        }
    }
    Ok(None)
}

fn note(commit: &mut AnnotatedCommit, header: &[u8]) {
    let text = String::from_utf8_lossy(header);
    let (name, value) = text.split_once(' ').unwrap_or((&text, ""));
    match name {
        "author" => commit.author = value.to_owned(),
        "author-mail" => commit.author_mail = value.to_owned(),
        "author-time" => commit.author_time = value.parse().unwrap_or_default(),
        "author-tz" => commit.author_zone = value.to_owned(),
        "summary" => commit.summary = value.to_owned(),
        "boundary" => commit.boundary = true,
        _ => {}
    }
}

fn next_line(reader: &mut dyn BufRead) -> Result<Option<Vec<u8>>, GitError> {
    let mut line = Vec::new();
    let read = (&mut *reader).take(LINE_LIMIT).read_until(b'\n', &mut line);
    let failed = |what: String| GitError::Unexpected { command: "git blame".to_owned(), what };
    read.map_err(|error| failed(error.to_string()))?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(last) if (line.len() as u64) < LINE_LIMIT - 1 => {
            // A file's last line may lack its line break.
            line.push(last);
            Ok(Some(line))
        }
        Some(_) => Err(failed("a line that is too long".to_owned())),
    }
}
