//! What an agent's own record says it wrote: bytes of a log in, edits out.
//!
//! A format is a file here with a [`Reader`]; where an agent keeps such files is
//! a row of [`source::SOURCES`]. Readers take one line after the other. A line
//! that is malformed, cut off or hostile costs only itself.

pub mod aider;
pub mod apply_patch;
pub mod beside;
pub mod claude_code;
pub mod codex;
pub mod copilot;
pub mod documents;
pub mod gemini;
pub mod git_ai;
pub mod messages;
pub mod moved;
pub mod place;
mod script;
mod session;
pub mod source;
pub mod stored;
pub mod tool;
pub mod windsurf;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use super::time::Timestamp;

/// One edit that an agent recorded. The text stays in memory: only ids,
/// ranges and hashes of it are ever kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedEdit {
    /// The agent's id in the catalogue.
    pub agent: String,
    /// The agent's own name of the session or conversation.
    pub session: String,
    /// The model's name, where the record tells.
    pub model: Option<String>,
    /// When the edit was made; `None` where the record has no time.
    pub time: Option<Timestamp>,
    /// The working directory the record tells, as written there.
    pub cwd: Option<String>,
    /// The file, as written in the record: absolute, or relative to `cwd`.
    pub path: String,
    /// The replaced text; `None` where the whole file was written.
    pub old: Option<String>,
    /// The text that the agent put there.
    pub new: String,
    /// It was put there wherever the old one stood.
    pub everywhere: bool,
    /// The file came here from there, spelled as `path` is: no text was written.
    pub from: Option<String>,
}

/// An edit, and where it stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub edit: TracedEdit,
    /// Offsets of the lines that tell of it, ascending: a new reader that is
    /// given these lines alone finds the edit again.
    pub lines: Vec<u64>,
}

/// The line could not be read although it may have told of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped;

/// Reads one file of an agent's records, line by line.
pub trait Reader {
    /// Takes the line that stands at this offset of the file, without its line
    /// break, and adds the edits that are certain now.
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped>;

    /// The edits that were begun and whose outcome is not told yet.
    fn open(&self) -> Vec<Found>;

    /// Offsets of the lines, ascending, that a new reader has to be given
    /// before it goes on behind the last line.
    fn needs(&self) -> Vec<u64>;

    /// The working directory of the session that this line names, if it does.
    fn directory(&self, line: &[u8]) -> Option<String>;
}

/// The texts of one edit: a path, the replaced text and the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// As written in the record.
    pub path: String,
    /// `None` where the whole file was written.
    pub old: Option<String>,
    pub new: String,
    /// The old text was replaced wherever it stood.
    pub everywhere: bool,
    /// See [`TracedEdit::from`].
    pub from: Option<String>,
}

impl Texts {
    /// A file that was moved.
    fn moved(from: String, to: String) -> Texts {
        let (old, new) = (Some(String::new()), String::new());
        Texts { path: to, old, new, everywhere: false, from: Some(from) }
    }

    /// The same, seen from outside of the folder that its paths are relative to.
    fn below(self, folder: &str) -> Texts {
        let from = self.from.as_deref().map(|it| below(folder, it));
        Texts { path: below(folder, &self.path), from, ..self }
    }
}

/// A path as seen from outside of the folder that it is relative to.
fn below(folder: &str, path: &str) -> String {
    if folder.is_empty() || place::is_absolute(path) {
        path.to_owned()
    } else {
        format!("{}/{path}", folder.trim_end_matches('/'))
    }
}

/// The most calls that wait for their outcome in one reader, and the bytes of
/// their texts; further ones push out the oldest.
const WAITING: usize = 64;
const WAITING_BYTES: usize = 16 << 20;

/// The longest path, name or id that is one, in bytes.
const NAME: usize = 4096;

/// The most edits that one line tells of.
const EDITS: usize = 1024;

/// Reads a string; anything else reads as `None`.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// Reads a string that is short enough to be a name; anything else reads as `None`.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text(deserializer)?.filter(|it| it.len() <= NAME))
}

/// Reads a truth value; anything else reads as `None`.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

/// Parses what a field holds; `None` if it is not there or of another shape.
fn part<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// Adds a call that waits, and drops the oldest beyond the bounds.
fn wait<T>(calls: &mut Vec<T>, call: T, edits: fn(&T) -> &[Texts]) {
    calls.push(call);
    let weight = |call: &T| -> usize {
        edits(call).iter().map(|it| it.new.len() + it.old.as_deref().map_or(0, str::len)).sum()
    };
    let mut bytes: usize = calls.iter().map(weight).sum();
    while calls.len() > WAITING || (calls.len() > 1 && bytes > WAITING_BYTES) {
        bytes -= weight(&calls.remove(0));
    }
}
