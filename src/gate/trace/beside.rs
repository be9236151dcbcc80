//! What other recorders say of commits without naming lines: Qwen Code's notes
//! (`refs/notes/ai-attribution`), which count letters, and Entire's checkpoints,
//! which name a session and the files that it touched.

use serde_json::Value;

use super::super::change::RepoPath;
use super::super::signal::catalogue::{Catalogue, UNKNOWN};
use super::super::trailer;

/// The most files that are taken of one note or checkpoint.
const FILES: usize = 20_000;

/// A file that Qwen Code wrote in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub path: RepoPath,
    /// Nothing of what the commit brings there is a person's.
    pub whole: bool,
}

/// Reads a note of Qwen Code, version 1: the files of which it wrote a part.
pub fn shares(note: &[u8]) -> Vec<Share> {
    let note: Value = serde_json::from_slice(note).unwrap_or_default();
    let files = note.get("files").and_then(Value::as_object);
    let letters = |file: &Value, name: &str| file.get(name).and_then(Value::as_f64);
    let share = |(path, file): (&String, &Value)| {
        let by_agent = letters(file, "aiChars").is_some_and(|it| it > 0.0);
        let whole = letters(file, "humanChars") == Some(0.0);
        by_agent.then(|| Share { path: RepoPath::new(path.as_str()), whole })
    };
    files.into_iter().flatten().take(FILES).filter_map(share).collect()
}

/// What names a checkpoint in a commit's message.
const KEY: &str = "Entire-Checkpoint";

/// The checkpoints that a message names: twelve digits, or a ULID
/// (<https://github.com/ulid/spec>).
pub fn checkpoints(message: &str) -> Vec<String> {
    if !trailer::may_hold(message, &[KEY]) {
        return Vec::new();
    }
    let is_id = |id: &str| match id.len() {
        12 => id.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f')),
        26 => id.bytes().all(|it| it.is_ascii_digit() || it.is_ascii_uppercase()),
        _ => false,
    };
    let lines = message.lines().filter_map(trailer::split);
    lines
        .filter(|(key, value)| key.eq_ignore_ascii_case(KEY) && is_id(value.trim()))
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// One session of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The agent's id in the catalogue.
    pub agent: String,
    pub session: String,
    pub files: Vec<RepoPath>,
}

/// Reads a checkpoint's `metadata.json`; `None` if it tells of no session.
pub fn checkpoint(metadata: &[u8]) -> Option<Checkpoint> {
    let metadata: Value = serde_json::from_slice(metadata).ok()?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    let session: String = text("session_id")?.chars().take(250).collect();
    let files = metadata.get("files_touched").and_then(Value::as_array).into_iter().flatten();
    let files = files.take(FILES).filter_map(Value::as_str).map(RepoPath::new);
    let agent = text("agent").map_or(UNKNOWN.to_owned(), agent_of);
    Some(Checkpoint { agent, session, files: files.collect() })
}

/// The catalogue's id for an agent as Entire names it.
fn agent_of(name: &str) -> String {
    let id: String = name.trim().to_ascii_lowercase().replace(' ', "-");
    let id = match id.as_str() {
        "copilot-cli" => "github-copilot",
        "factory-ai-droid" | "droid" => "factory-droid",
        "gemini" => "gemini-cli",
        "claude" => "claude-code",
        other => other,
    };
    match Catalogue::built_in().knows(id) {
        true => id.to_owned(),
        false => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_letters_names_files() {
        let note = br#"{"version":1,"generator":"Qwen-Coder","files":{"a.rs":{"aiChars":10,"humanChars":0,"percent":100},"b.rs":{"aiChars":3.5,"humanChars":9},"c.rs":{"aiChars":0,"humanChars":4},"d.rs":7},"summary":{}}"#;
        let share = |path: &str, whole| Share { path: RepoPath::new(path), whole };
        assert_eq!(shares(note), [share("a.rs", true), share("b.rs", false)]);
        assert_eq!(shares(b"{"), []);
        assert_eq!(shares(b"[]"), []);
    }

    #[test]
    fn a_checkpoint_is_named_by_its_id() {
        let message = "work\n\nEntire-Checkpoint: a3b2c4d5e6f7\nEntire-Checkpoint: 01ARZ3NDEKTSV4RRFFQ69G5FAV\nEntire-Checkpoint: ../../etc\n";
        assert_eq!(checkpoints(message), ["a3b2c4d5e6f7", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    }

    #[track_caller]
    fn check(metadata: &str, expected: Option<(&str, &str, usize)>) {
        let found = checkpoint(metadata.as_bytes());
        let found =
            found.as_ref().map(|it| (it.agent.as_str(), it.session.as_str(), it.files.len()));
        assert_eq!(found, expected, "{metadata}");
    }

    #[test]
    fn a_checkpoints_metadata_names_the_session() {
        check(
            r#"{"session_id":"s1","agent":"Claude Code","files_touched":["a","b"]}"#,
            Some(("claude-code", "s1", 2)),
        );
        check(r#"{"session_id":"s1","agent":"Gemini CLI"}"#, Some(("gemini-cli", "s1", 0)));
        check(r#"{"session_id":"s1","agent":"New One"}"#, Some((UNKNOWN, "s1", 0)));
        check(r#"{"checkpoint_id":"a3b2c4d5e6f7","files_touched":["a"]}"#, None);
        check("null", None);
    }
}
