//! Differences between trees, and between HEAD and the index: names, modes and
//! lines.
//!
//! One `git diff-tree` (or `diff-index`) prints the list of files and then their
//! patches. The list alone names files; of a patch only the line numbers in
//! hunk headers are read, and as many content lines are passed over as the
//! header announces, so that no content can pose as a header.

use std::io::{BufRead, Read};

use super::one_hunk::{self, one_hunk};
use super::{Call, Git, GitError, Revisions, Start, unexpected};
use crate::gate::change::{Change, Entry, FileChange, LineRange, Oid, RepoPath};
use crate::gate::order;

/// How much of a difference is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Paths, modes and object ids; no content is read.
    Files,
    /// Added lines, the number of removed ones and the binary mark as well.
    Lines,
}

/// A header line's longest. What git prints beyond (a function's name after a
/// hunk's numbers) is passed over.
const HEADER_LIMIT: u64 = 64 << 10;

/// The longest line of the list: a path of git's own limit, every byte escaped.
const LIST_LIMIT: u64 = 256 << 10;

/// The most ranges kept for one file. Further ones join the last: more lines
/// count as added then, never fewer.
const RANGE_LIMIT: usize = 1 << 20;

/// The largest text that is compared in process, in bytes.
const TEXT_LIMIT: u64 = 1 << 20;

/// As many files are left to git by their paths, even where they are most.
const FEW: usize = 16;

/// As many bytes of paths go into one call.
const ARGUMENTS: usize = 64 << 10;

/// Every option that configuration or attributes could otherwise set.
const PLAIN: &[&str] = &[
    "--raw",
    "--no-abbrev",
    "--no-renames",
    "--no-relative",
    "--no-color",
    "--ignore-submodules=none",
];
const PATCH: &[&str] = &[
    "-p",
    "-U0",
    "--inter-hunk-context=0",
    "--text",
    "--no-ext-diff",
    "--no-textconv",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--submodule=short",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

impl Git {
    /// Returns the net difference from where the change starts to `head` (a
    /// commit), and the commits that it brings, oldest first.
    pub fn change(&self, start: &Start, head: &Oid, detail: Detail) -> Result<Change, GitError> {
        let base = &start.base;
        let mut files = self.differences(base, head, detail)?;
        let mut revisions = Revisions::between(base, head);
        if *base == self.empty_tree() {
            revisions.not.clear();
        }
        if let Some(landed) = &start.landed {
            files = self.without_landed(files, landed, head)?;
            revisions.not.push(landed.clone());
        }
        let walked = match start.landed {
            None => self.take_walked(base, head),
            Some(_) => None,
        };
        let commits = match walked {
            Some(commits) => commits,
            None => self.commits(&revisions)?,
        };
        let head_tree = match commits.last().filter(|last| last.id == *head) {
            Some(last) => last.tree.clone(),
            None => self.tree_of(head)?,
        };
        Ok(Change { base: base.clone(), head: head.clone(), head_tree, commits, files })
    }

    /// Returns the net difference between two commits or trees, sorted by path.
    pub fn differences(
        &self,
        old: &Oid,
        new: &Oid,
        detail: Detail,
    ) -> Result<Vec<FileChange>, GitError> {
        if let Some(files) = self.known_differences(old, new, detail) {
            return Ok(files);
        }
        let call = self.call().args(["diff-tree", "-r"]);
        let call = with_detail(call, detail).args([old.as_str(), new.as_str(), "--"]);
        self.read_differences(call, detail)
    }

    /// Returns what is staged, against `base` (HEAD's commit unless told; the
    /// empty tree before the first commit). `head` is the index's tree.
    /// Entries of `git add -N` are not staged.
    pub fn staged(&self, base: Option<&Oid>, detail: Detail) -> Result<Change, GitError> {
        let base = match base.or(self.layout().head.as_ref()) {
            Some(base) => base.clone(),
            None => self.empty_tree(),
        };
        let cached = self.cached_tree()?;
        let known = cached.as_ref().and_then(|tree| self.known_differences(&base, tree, detail));
        let files = match known {
            Some(files) => files,
            None => {
                let call = self.call().args(["diff-index", "--cached", "--ita-invisible-in-index"]);
                let call = with_detail(call, detail).args([base.as_str(), "--"]);
                self.read_differences(call, detail)?
            }
        };
        let tree = match cached {
            Some(tree) => tree,
            None => self.written_tree()?,
        };
        Ok(Change { base, head: tree.clone(), head_tree: tree, commits: Vec::new(), files })
    }

    /// The files that differ between two commits or trees, where they can be told
    /// without git.
    fn known_differences(&self, old: &Oid, new: &Oid, detail: Detail) -> Option<Vec<FileChange>> {
        let mut files = self.compare_trees(&self.tree_of(old).ok()?, &self.tree_of(new).ok()?)?;
        match detail {
            Detail::Files => Some(files),
            Detail::Lines => {
                self.tell_lines(old, new, &mut files)?;
                Some(files)
            }
        }
    }

    /// Tells the lines of these files, git those of whatever changed in several
    /// places; `None` where that is most of them.
    fn tell_lines(&self, old: &Oid, new: &Oid, files: &mut [FileChange]) -> Option<()> {
        let mut asked: Vec<usize> = Vec::new();
        for (place, file) in files.iter_mut().enumerate() {
            if self.tell_hunk(file).is_none() {
                asked.push(place);
            }
            if asked.len() > FEW && asked.len() * 2 > place {
                return None;
            }
        }
        if asked.is_empty() {
            return Some(());
        }
        // git reads paths from where it was started.
        let path = |place: &usize| [self.up.as_bytes(), files[*place].path.as_bytes()].concat();
        let paths: Vec<Vec<u8>> = asked.iter().map(path).collect();
        if paths.iter().map(|path| path.len() + 1).sum::<usize>() > ARGUMENTS {
            return None;
        }
        let call = with_detail(self.call().args(["diff-tree", "-r"]), Detail::Lines);
        let call = call.args([old.as_str(), new.as_str(), "--"]);
        let call = call.args(paths.iter().map(|path| super::objects::os_path(path)));
        let told = self.read_differences(call, Detail::Lines).ok()?;
        for place in asked {
            let file = &mut files[place];
            *file = told.iter().find(|it| it.path == file.path)?.clone();
        }
        Some(())
    }

    /// Tells the lines of a file that changed in one place.
    fn tell_hunk(&self, file: &mut FileChange) -> Option<()> {
        let side = |entry: &Option<Entry>, keep: bool| match entry {
            None => Some(Vec::new()),
            Some(entry) if entry.mode & 0o170000 != 0o100000 => None,
            Some(entry) => self.engine_blob(&entry.oid, TEXT_LIMIT, keep).ok()?,
        };
        // Whoever asks for lines reads the new ones again.
        let (old, new) = (side(&file.old, false)?, side(&file.new, true)?);
        let hunk = if old == new { one_hunk::Change::default() } else { one_hunk(&old, &new)? };
        file.added = hunk.added.into_iter().collect();
        (file.removed, file.binary) = (hunk.removed, hunk.binary);
        Some(())
    }

    fn read_differences(&self, call: Call, detail: Detail) -> Result<Vec<FileChange>, GitError> {
        let mut files = Vec::new();
        self.stream(call.clone(), |reader| {
            files = read_list(reader, &call)?;
            match detail {
                Detail::Files => Ok(()),
                Detail::Lines => read_patches(reader, &mut files, &call),
            }
        })?;
        // git sorts a path as a tree does (`a/` as if it ended in `/`).
        order::sort_by(&mut files, |one, other| one.path.cmp(&other.path));
        Ok(files)
    }
}

fn with_detail(call: Call, detail: Detail) -> Call {
    let call = call.args(PLAIN);
    match detail {
        Detail::Files => call,
        Detail::Lines => call.args(PATCH),
    }
}

/// Reads `:<mode> <mode> <oid> <oid> <status>\t<path>` lines up to the empty
/// line before the patches, or to the end.
fn read_list(reader: &mut dyn BufRead, call: &Call) -> Result<Vec<FileChange>, GitError> {
    let mut files = Vec::new();
    while let Some(line) = read_line(reader, LIST_LIMIT, call)? {
        if line.is_empty() {
            break;
        }
        let text = || crate::gate::change::printable(&String::from_utf8_lossy(&line));
        let parsed = parse_listed(&line).ok_or_else(|| unexpected(call, text()))?;
        let Listed::File(file) = parsed else {
            let Listed::Unmerged(path) = parsed else { continue };
            return Err(GitError::Unmerged(path.to_display()));
        };
        files.push(*file);
    }
    Ok(files)
}

enum Listed {
    File(Box<FileChange>),
    Unmerged(RepoPath),
}

fn parse_listed(line: &[u8]) -> Option<Listed> {
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let path = unquote(&line[tab + 1..])?;
    let fields = std::str::from_utf8(line[..tab].strip_prefix(b":")?).ok()?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let [old_mode, new_mode, old, new, status] = fields[..] else { return None };
    if status == "U" {
        return Some(Listed::Unmerged(path));
    }
    let file = FileChange {
        path,
        old: entry(old_mode, old)?,
        new: entry(new_mode, new)?,
        added: Vec::new(),
        removed: 0,
        binary: false,
    };
    Some(Listed::File(Box::new(file)))
}

/// `Some(None)`: nothing stands on that side.
pub(super) fn entry(mode: &str, oid: &str) -> Option<Option<Entry>> {
    let mode = u32::from_str_radix(mode, 8).ok()?;
    let oid = Oid::parse(oid)?;
    Some((mode != 0).then_some(Entry { mode, oid }))
}

/// Undoes git's quotation of a path (`quote_c_style`); a path that needed none stands as it is.
pub(super) fn unquote(text: &[u8]) -> Option<RepoPath> {
    let Some(rest) = text.strip_prefix(b"\"") else { return Some(RepoPath::new(text)) };
    let inner = rest.strip_suffix(b"\"")?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next()? {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            byte @ (b'"' | b'\\') => byte,
            first @ b'0'..=b'3' => {
                let mut digit = || rest.next().filter(|digit| (b'0'..=b'7').contains(digit));
                let (second, third) = (digit()?, digit()?);
                (first - b'0') * 64 + (second - b'0') * 8 + (third - b'0')
            }
            _ => return None,
        });
    }
    Some(RepoPath::new(bytes))
}

/// Reads the patches, in the order of the list. A change of type is printed as
/// two patches: a deletion, then an addition.
fn read_patches(
    reader: &mut dyn BufRead,
    files: &mut [FileChange],
    call: &Call,
) -> Result<(), GitError> {
    let order: Vec<usize> = (0..files.len())
        .flat_map(|index| std::iter::repeat_n(index, patches_of(&files[index])))
        .collect();
    let mut order = order.into_iter();
    let mut current = None;
    while let Some(line) = read_line(reader, HEADER_LIMIT, call)? {
        if line.starts_with(b"diff --git ") {
            let index = order.next().ok_or_else(|| unexpected(call, "a patch for no file"))?;
            current = Some(index);
        } else if line.starts_with(b"@@ ") {
            let hunk = parse_hunk(&line).ok_or_else(|| unexpected(call, "a broken hunk"))?;
            let index = current.ok_or_else(|| unexpected(call, "a hunk of no file"))?;
            let binary = pass_over(reader, hunk.removed + hunk.added.1, call)?;
            note(&mut files[index], &hunk, binary);
        }
    }
    match order.next() {
        Some(_) => Err(unexpected(call, "fewer patches than files")),
        None => Ok(()),
    }
}

fn patches_of(file: &FileChange) -> usize {
    match (&file.old, &file.new) {
        (Some(old), Some(new)) if old.mode & 0o170000 != new.mode & 0o170000 => 2,
        _ => 1,
    }
}

/// A hunk's numbers: lines removed, and the first added line with their count.
struct Hunk {
    removed: u64,
    added: (u64, u64),
}

/// Parses `@@ -<start>[,<count>] +<start>[,<count>] @@`.
fn parse_hunk(line: &[u8]) -> Option<Hunk> {
    let end = line[3..].windows(3).position(|three| three == b" @@")?;
    let numbers = std::str::from_utf8(&line[3..3 + end]).ok()?;
    let (old, new) = numbers.split_once(' ')?;
    let (_, removed) = start_and_count(old.strip_prefix('-')?)?;
    let added = start_and_count(new.strip_prefix('+')?)?;
    Some(Hunk { removed, added })
}

fn start_and_count(text: &str) -> Option<(u64, u64)> {
    let (start, count) = text.split_once(',').unwrap_or((text, "1"));
    Some((start.parse().ok()?, count.parse().ok()?))
}

fn note(file: &mut FileChange, hunk: &Hunk, binary: bool) {
    let is_file =
        |side: &Option<Entry>| side.as_ref().is_some_and(|entry| entry.mode & 0o170000 == 0o100000);
    file.binary |= binary;
    if is_file(&file.old) {
        file.removed += hunk.removed;
    }
    let (start, count) = hunk.added;
    if count == 0 || !is_file(&file.new) {
        return;
    }
    let end = start + count - 1;
    let full = file.added.len() >= RANGE_LIMIT;
    match file.added.last_mut() {
        Some(last) if full || last.end + 1 == start => last.end = end,
        _ => file.added.push(LineRange { start, end }),
    }
}

/// Passes over a hunk's content lines, holding none of them; says whether one
/// holds a NUL byte. `\ No newline at end of file` is not counted by the header.
fn pass_over(reader: &mut dyn BufRead, mut lines: u64, call: &Call) -> Result<bool, GitError> {
    let broken = |error: std::io::Error| unexpected(call, error.to_string());
    let mut nul = false;
    while lines > 0 {
        let first = reader.fill_buf().map_err(broken)?.first().copied();
        match first {
            Some(b'+' | b'-') => lines -= 1,
            Some(b'\\') => {}
            Some(_) | None => return Err(unexpected(call, "a hunk that ends early")),
        }
        nul |= pass_over_line(reader, call)?;
    }
    Ok(nul)
}

fn pass_over_line(reader: &mut dyn BufRead, call: &Call) -> Result<bool, GitError> {
    let mut nul = false;
    loop {
        let buffer = reader.fill_buf().map_err(|error| unexpected(call, error.to_string()))?;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let line = &buffer[..end.unwrap_or(buffer.len())];
        nul |= line.contains(&0);
        let used = end.map_or(line.len(), |end| end + 1);
        let done = end.is_some() || buffer.is_empty();
        reader.consume(used);
        if done {
            return Ok(nul);
        }
    }
}

/// Reads one line without its line break; what is longer than `limit` is cut.
fn read_line(
    reader: &mut dyn BufRead,
    limit: u64,
    call: &Call,
) -> Result<Option<Vec<u8>>, GitError> {
    let broken = |error: std::io::Error| unexpected(call, error.to_string());
    let mut line = Vec::new();
    (&mut *reader).take(limit).read_until(b'\n', &mut line).map_err(broken)?;
    match line.last() {
        None => return Ok(None),
        Some(b'\n') => {
            line.pop();
        }
        Some(_) => {
            pass_over_line(reader, call)?;
        }
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = ":100644 100644 1111111111111111111111111111111111111111 2222222222222222222222222222222222222222 M\ta\n";

    #[track_caller]
    fn read(text: &str) -> Result<Vec<FileChange>, GitError> {
        let call = Call::new("git", std::path::Path::new("."));
        let mut reader = text.as_bytes();
        let mut files = read_list(&mut reader, &call)?;
        read_patches(&mut reader, &mut files, &call)?;
        Ok(files)
    }

    #[test]
    fn content_cannot_pose_as_a_header() {
        let patch = "\ndiff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1 +1,3 @@ diff --git\n-@@ -1 +1 @@\n++ diff --git a/b b/b\n+@@ -1 +900,9 @@\n+diff --git a/a b/a\n\\ No newline at end of file\n";
        let files = read(&format!("{LIST}{patch}")).expect("well-formed");
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].added, [LineRange { start: 1, end: 3 }]);
        assert_eq!(files[0].removed, 1);
    }

    #[test]
    fn a_broken_patch_is_an_error() {
        for patch in [
            "\n@@ -1 +1 @@\n-a\n+b\n",
            "\ndiff --git a/a b/a\n@@ -1 +1 @@\n-a\n",
            "\ndiff --git a/a b/a\n@@ nonsense @@\n",
            "\ndiff --git a/a b/a\ndiff --git a/b b/b\n",
            "garbage\n",
        ] {
            assert!(read(&format!("{LIST}{patch}")).is_err(), "{patch}");
        }
        assert!(read(&format!("{LIST}{LIST}\ndiff --git a/a b/a\n")).is_err());
        assert!(read(LIST).is_err());
    }

    #[test]
    fn paths_are_unquoted_as_git_quotes_them() {
        let check = |text: &[u8], path: Option<&[u8]>| {
            assert_eq!(unquote(text), path.map(RepoPath::new), "{text:?}");
        };
        check(b"src/a.rs", Some(b"src/a.rs"));
        check(br#""a\nb\t\"\\\a\r\033\377""#, Some(b"a\nb\t\"\\\x07\r\x1b\xff"));
        check(br#""a"#, None);
        check(br#""a\9""#, None);
        check(br#""a\4""#, None);
        check(br#""a\400""#, None);
    }
}
