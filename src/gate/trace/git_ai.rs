//! git-ai's notes (`refs/notes/ai`, authorship/3.0.0): which lines of a commit
//! an agent wrote.
//!
//! Keys that begin with `s_`, and the older ones of hexadecimal digits alone,
//! name an agent's session. A key that begins with `h_` is no evidence of a
//! person: git-ai writes it for every line of which it knows nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::change::{LineRange, RepoPath};

/// The most ranges that are read of one note.
const RANGES: usize = 100_000;

/// Lines of one file that a note gives to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub path: RepoPath,
    /// The agent's id in the catalogue, or git-ai's name of it.
    pub agent: String,
    pub session: String,
    pub model: Option<String>,
    /// As they stand at the commit, in the note's order.
    pub ranges: Vec<LineRange>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    prompts: BTreeMap<String, Session>,
    #[serde(default)]
    sessions: BTreeMap<String, Session>,
}

#[derive(Deserialize)]
struct Session {
    agent_id: Agent,
}

#[derive(Clone, Deserialize)]
struct Agent {
    tool: String,
    id: String,
    #[serde(default)]
    model: Option<String>,
}

/// Reads a note. A line that is malformed costs only itself, and metadata that
/// does not parse costs the agents' names: the lines stay an agent's.
pub fn read(note: &str) -> Vec<Noted> {
    let (text, metadata) = match note.split_once("\n---\n") {
        Some((text, metadata)) => (text, metadata),
        None => (note.strip_suffix("\n---").unwrap_or(note), ""),
    };
    if text.starts_with("---\n") {
        return Vec::new();
    }
    let metadata: Metadata = serde_json::from_str(metadata).unwrap_or_default();
    let mut found: Vec<Noted> = Vec::new();
    let mut path = None;
    let mut count = 0;
    for line in text.lines() {
        let Some(entry) = line.strip_prefix("  ") else {
            path = path_of(line);
            continue;
        };
        let (Some(path), Some((key, ranges))) = (&path, entry.split_once(' ')) else { continue };
        let Some(session) = session_of(key) else { continue };
        let ranges: Vec<LineRange> = ranges.split(',').filter_map(range_of).collect();
        count += ranges.len();
        if count > RANGES {
            return found;
        }
        let known = metadata.sessions.get(session).or_else(|| metadata.prompts.get(session));
        let agent = known.map(|it| it.agent_id.clone());
        found.push(Noted {
            path: RepoPath::new(path.as_str()),
            agent: agent.as_ref().map_or("unknown-ai".to_owned(), |it| agent_of(&it.tool)),
            session: agent.as_ref().map_or(session.to_owned(), |it| short(&it.id)),
            model: agent.and_then(|it| it.model).filter(|it| it != "unknown").map(|it| short(&it)),
            ranges,
        });
    }
    found
}

/// A path stands at the line's beginning, in double quotes where it holds a blank.
fn path_of(line: &str) -> Option<String> {
    let line = line.trim_end();
    let path = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(line);
    (!path.is_empty() && !path.starts_with(' ')).then(|| path.to_owned())
}

fn session_of(key: &str) -> Option<&str> {
    let is_hex = |text: &str| text.len() >= 7 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let session = key.split_once("::").map_or(key, |(session, _)| session);
    match session.strip_prefix("s_") {
        Some(digits) => is_hex(digits).then_some(session),
        None => is_hex(session).then_some(session),
    }
}

/// `START` or `START-END`, from 1, the end included.
fn range_of(text: &str) -> Option<LineRange> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (1 <= start && start <= end).then_some(LineRange { start, end })
}

/// The catalogue's id for git-ai's name of a tool.
pub fn agent_of(tool: &str) -> String {
    let known = match tool {
        "claude" | "claude-web" => "claude-code",
        "codex-cloud" => "codex",
        "copilot" | "github-copilot-cli" => "github-copilot",
        "cursor-agent" => "cursor",
        "gemini" => "gemini-cli",
        "droid" => "factory-droid",
        "continue-cli" => "continue",
        other => other,
    };
    let plain = known.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
    match plain && (1..=64).contains(&known.len()) {
        true => known.to_ascii_lowercase(),
        false => "unknown-ai".to_owned(),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"{"schema_version":"authorship/3.0.0","git_ai_version":"1.6.24","base_commit_sha":"aa","prompts":{"0123456789abcdef":{"agent_id":{"tool":"cursor","id":"c1","model":"unknown"},"total_additions":1}},"humans":{"h_8c5faf10a72cb5":{"author":"Ana <ana@example.com>"}},"sessions":{"s_f8fd3067c13536":{"agent_id":{"tool":"claude","id":"sess-1","model":"claude-sonnet-4-5"}}}}"#;

    /// `path agent session model ranges` of every entry.
    #[track_caller]
    fn check(text: &str, json: &str, expected: &[&str]) {
        let said: Vec<String> = read(&format!("{text}---\n{json}"))
            .iter()
            .map(|it| {
                let ranges: Vec<String> =
                    it.ranges.iter().map(|it| format!("{}-{}", it.start, it.end)).collect();
                let model = it.model.as_deref().unwrap_or("-");
                format!(
                    "{} {} {} {model} {}",
                    it.path.to_text(),
                    it.agent,
                    it.session,
                    ranges.join(",")
                )
            })
            .collect();
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn sessions_are_evidence_and_people_are_none() {
        check(
            "src/main.rs\n  s_f8fd3067c13536::t_9f8e7d6c5b4a32 1-10,15-20\n  h_8c5faf10a72cb5 42-50\n\"a b.rs\"\n  0123456789abcdef 3\n",
            JSON,
            &[
                "src/main.rs claude-code sess-1 claude-sonnet-4-5 1-10,15-20",
                "a b.rs cursor c1 - 3-3",
            ],
        );
    }

    #[test]
    fn what_is_malformed_costs_only_itself() {
        check(
            "a\n  s_f8fd3067c13536::t_1 5-2,0,x,7\n  s_zz 1\n  1\nb\n",
            JSON,
            &["a claude-code sess-1 claude-sonnet-4-5 7-7"],
        );
        check("a\n  s_aaaaaaaaaaaaaa::t_1 1\n", "{", &["a unknown-ai s_aaaaaaaaaaaaaa - 1-1"]);
        check("  s_f8fd3067c13536::t_1 1\n", JSON, &[]);
        check("", JSON, &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(text in "(a\n|  s_[0-9a-f]{14}::t_1 |[0-9]{1,20}|-|,|\n|---\n|[^\n]{0,9})*") {
            read(&text);
        }
    }
}
