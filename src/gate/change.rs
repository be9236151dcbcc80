//! What is being judged: commits, files, lines.

use std::fmt;

/// A git object id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
/// A long history holds many: they take no memory of their own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oid {
    /// Zeros behind the digits, so that ids compare as their texts do.
    digits: [u8; 64],
    length: u8,
}

impl Oid {
    /// Parses a full object id; abbreviations and upper case are refused.
    pub fn parse(text: &str) -> Option<Oid> {
        let length = match text.len() {
            length @ (40 | 64) => length,
            _ => return None,
        };
        let hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let mut digits = [0; 64];
        digits[..length].copy_from_slice(text.as_bytes());
        hex.then_some(Oid { digits, length: length as u8 })
    }

    /// Writes a raw id (20 or 32 bytes, as trees and packs hold it) in digits.
    pub fn from_raw(id: &[u8]) -> Option<Oid> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        if !matches!(id.len(), 20 | 32) {
            return None;
        }
        let mut digits = [0; 64];
        for (two, byte) in digits.chunks_exact_mut(2).zip(id) {
            two.copy_from_slice(&[byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)]));
        }
        Some(Oid { digits, length: id.len() as u8 * 2 })
    }

    /// Returns the whole id.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits and letters are UTF-8")
    }

    /// Returns the first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.as_str()[..12]
    }

    /// Whether this is git's "no object" (all zeros).
    pub fn is_zero(&self) -> bool {
        self.as_bytes().iter().all(|byte| *byte == b'0')
    }

    fn as_bytes(&self) -> &[u8] {
        &self.digits[..usize::from(self.length)]
    }
}

impl std::hash::Hash for Oid {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Oid({:?})", self.as_str())
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A path below the repository's root: bytes, `/`-separated, as git stores it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// Wraps git's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> RepoPath {
        RepoPath(bytes.into())
    }

    /// Returns git's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path for reports and records: the text itself if it is
    /// UTF-8 (and does not begin with a double quote), else quoted as git
    /// quotes it (`core.quotePath`), so that two paths never share a text.
    pub fn to_text(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with('"') => text.to_owned(),
            Ok(_) | Err(_) => self.quoted(),
        }
    }

    /// Reads what [`RepoPath::to_text`] wrote. `None` for a broken quotation.
    pub fn from_text(text: &str) -> Option<RepoPath> {
        let Some(rest) = text.strip_prefix('"') else { return Some(RepoPath::new(text)) };
        let mut bytes = Vec::new();
        let mut rest = rest.bytes();
        loop {
            match rest.next()? {
                b'"' => return rest.next().is_none().then_some(RepoPath(bytes)),
                b'\\' => bytes.push(unescape(&mut rest)?),
                byte => bytes.push(byte),
            }
        }
    }

    /// Returns the path for a terminal: control characters, bidirectional
    /// overrides and invalid UTF-8 are escaped.
    pub fn to_display(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with('"') && !text.chars().any(unsafe_for_terminals) => {
                text.to_owned()
            }
            Ok(_) | Err(_) => self.quoted(),
        }
    }

    fn quoted(&self) -> String {
        let mut text = String::from('"');
        for &byte in &self.0 {
            match byte {
                b'"' => text.push_str("\\\""),
                b'\\' => text.push_str("\\\\"),
                b'\n' => text.push_str("\\n"),
                b'\t' => text.push_str("\\t"),
                0x20..=0x7e => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\{byte:03o}")),
            }
        }
        text.push('"');
        text
    }
}

fn unescape(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    match rest.next()? {
        b'n' => Some(b'\n'),
        b't' => Some(b'\t'),
        byte @ (b'"' | b'\\') => Some(byte),
        first @ b'0'..=b'3' => {
            let mut value = u32::from(first - b'0');
            for _ in 0..2 {
                let digit = rest.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                value = value * 8 + u32::from(digit - b'0');
            }
            u8::try_from(value).ok()
        }
        _ => None,
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.quoted())
    }
}

/// Whether a character could move the cursor, change colours or reorder text
/// when a terminal shows it: C0 and C1 controls, DEL, bidirectional controls
/// and the zero-width marks that hide text (Unicode TR36).
pub fn unsafe_for_terminals(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// Returns `text` in one line that is safe to print: every character that
/// [`unsafe_for_terminals`] names is written as `\u{…}`, a line break as `\n`.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push(' '),
            it if unsafe_for_terminals(it) => safe.extend(it.escape_unicode()),
            it => safe.push(it),
        }
    }
    safe
}

/// All that is judged together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where the change starts: a commit, or the empty tree.
    pub base: Oid,
    /// Where it ends: a commit; for a staged change the index's tree.
    pub head: Oid,
    /// The tree of `head`.
    pub head_tree: Oid,
    /// The commits, oldest first; empty for a staged change.
    pub commits: Vec<Commit>,
    /// The net difference from `base` to `head`, sorted by path, without
    /// rename detection: a rename is a deletion and an addition.
    pub files: Vec<FileChange>,
}

/// One commit's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub id: Oid,
    pub tree: Oid,
    pub parents: Vec<Oid>,
    pub author: Identity,
    pub committer: Identity,
    /// Seconds since the epoch, as the committer's clock had them.
    pub committed: i64,
    /// Whether it holds a signature, good or bad.
    pub signed: bool,
    /// The whole message, without blanks at the ends of lines; bytes that are
    /// not UTF-8 were replaced.
    pub message: String,
}

/// A name and an address as they stand in a commit; neither is proof of anything.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Identity {
    pub name: String,
    pub email: String,
}

/// One file of the net difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    pub path: RepoPath,
    /// What stood there before; `None` for an added file.
    pub old: Option<Entry>,
    /// What stands there now; `None` for a deleted file.
    pub new: Option<Entry>,
    /// The added lines, as line numbers in the new file, ascending; empty for
    /// symlinks and submodules. What git would call binary has lines as well,
    /// or a NUL byte in a source file would hide them.
    pub added: Vec<LineRange>,
    /// Number of removed lines.
    pub removed: u64,
    /// Whether a changed line holds a NUL byte.
    pub binary: bool,
}

/// A tree entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// git's mode: 0o100644, 0o100755, 0o120000 (symlink) or 0o160000 (submodule).
    pub mode: u32,
    pub oid: Oid,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    Added,
    Deleted,
    Modified,
    /// A file became a symlink or a submodule, or the other way round.
    Typechange,
}

impl FileChange {
    /// What happened to the file.
    pub fn status(&self) -> FileStatus {
        match (&self.old, &self.new) {
            (None, _) => FileStatus::Added,
            (Some(_), None) => FileStatus::Deleted,
            (Some(old), Some(new)) if old.mode & 0o170000 != new.mode & 0o170000 => {
                FileStatus::Typechange
            }
            (Some(_), Some(_)) => FileStatus::Modified,
        }
    }

    /// Number of added lines.
    pub fn added_lines(&self) -> u64 {
        self.added.iter().map(LineRange::lines).sum()
    }
}

/// Line numbers from `start` to `end`, both included, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct LineRange {
    pub start: u64,
    pub end: u64,
}

impl LineRange {
    /// Number of lines.
    pub fn lines(&self) -> u64 {
        (self.end + 1).saturating_sub(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], text: &str, display: &str) {
        let path = RepoPath::new(bytes);
        assert_eq!(path.to_text(), text);
        assert_eq!(path.to_display(), display);
        assert_eq!(RepoPath::from_text(text), Some(path));
    }

    #[test]
    fn paths_survive_reports_and_terminals() {
        check(b"src/a.rs", "src/a.rs", "src/a.rs");
        check("src/ä.rs".as_bytes(), "src/ä.rs", "src/ä.rs");
        check(b"a\nb", "a\nb", "\"a\\nb\"");
        check(b"a\x1b[31mb", "a\u{1b}[31mb", "\"a\\033[31mb\"");
        check(b"a\xff", "\"a\\377\"", "\"a\\377\"");
        check(b"\"a\"", "\"\\\"a\\\"\"", "\"\\\"a\\\"\"");
    }

    #[test]
    fn a_broken_quotation_is_no_path() {
        for text in ["\"a", "\"a\\9\"", "\"a\\777\"", "\"a\"b"] {
            assert_eq!(RepoPath::from_text(text), None, "{text}");
        }
    }
}
