//! Attribution in the forms that other tools read and write: Agent Trace 0.1
//! (<https://agent-trace.dev>), git-ai's notes (`authorship/3.0.0`), and a line
//! of JSON for each run of lines.
//!
//! What comes in is somebody's word: it can only add lines to what is assisted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blame::Known;
use super::change::{LineRange, Oid, RepoPath};
use super::record::canonical::sha256;
use super::recorded::{RecordedLines, Run};
use crate::gate::order;

/// The longest name or id that is taken over, in characters.
const NAME: usize = 250;

/// One run of lines, as a line of JSON tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub commit: Option<String>,
    pub path: String,
    pub agent: String,
    pub session: String,
    #[serde(default)]
    pub model: Option<String>,
    /// The first and the last line, at the commit.
    pub start: u64,
    pub end: u64,
    /// A hash for each line: see [`super::recorded::hash`].
    pub lines: Vec<String>,
}

/// The rows of what is known.
pub fn rows(known: &[Known]) -> Vec<Row> {
    let of = |it: &Known| -> Vec<Row> {
        let row = |run: &Run| Row {
            commit: it.commit.as_ref().map(Oid::to_string),
            path: it.lines.path.clone(),
            agent: it.lines.agent.clone(),
            session: it.lines.session.clone(),
            model: it.lines.model.clone(),
            start: run.start,
            end: end_of(run),
            lines: run.lines.clone(),
        };
        it.lines.runs.iter().map(row).collect()
    };
    known.iter().flat_map(of).collect()
}

/// Reads one row. `None`: it is no row, or its parts contradict each other.
pub fn parse_row(line: &str) -> Option<Known> {
    let row: Row = serde_json::from_str(line).ok()?;
    let is_hash = |it: &String| it.len() == 16 && it.bytes().all(|it| it.is_ascii_hexdigit());
    let run = Run { start: row.start, reformatted: false, lines: row.lines };
    let sound = run.start > 0
        && !run.lines.is_empty()
        && end_of(&run) == row.end
        && run.lines.iter().all(is_hash)
        && RepoPath::from_text(&row.path).is_some();
    let commit = match &row.commit {
        Some(commit) => Some(Oid::parse(commit)?),
        None => None,
    };
    sound.then(|| Known {
        commit,
        lines: RecordedLines {
            path: row.path,
            agent: short(&row.agent),
            session: short(&row.session),
            model: row.model.as_deref().map(short),
            moved: false,
            runs: vec![run],
        },
        noted: false,
    })
}

fn end_of(run: &Run) -> u64 {
    run.start.saturating_add(run.lines.len() as u64).saturating_sub(1)
}

fn short(text: &str) -> String {
    text.chars().take(NAME).collect()
}

/// Ranges of lines that an Agent Trace record gives to a machine: numbers at
/// its revision, without a hash of each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    pub commit: Oid,
    pub path: RepoPath,
    pub agent: String,
    pub session: String,
    pub model: Option<String>,
    pub ranges: Vec<LineRange>,
}

/// Reads an Agent Trace record, tolerating the `"version": "1.0"` of its
/// reference writer. Pseudo-paths, people and what is unknown are left out.
pub fn parse_trace(record: &Value) -> Option<Vec<Traced>> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(short);
    record.get("version")?.as_str()?;
    let commit = Oid::parse(record.get("vcs")?.get("revision")?.as_str()?)?;
    let tool = record.get("tool").and_then(|tool| text(tool, "name"));
    let mut traced = Vec::new();
    for file in record.get("files")?.as_array()? {
        let path = file.get("path")?.as_str()?;
        if matches!(path, ".shell-history" | ".sessions" | ".unknown") {
            continue;
        }
        for conversation in
            file.get("conversations").and_then(Value::as_array).into_iter().flatten()
        {
            let contributor = |it: &Value| it.get("contributor").cloned();
            let of = contributor(conversation);
            let session = text(conversation, "url").or_else(|| text(record, "id"))?;
            for range in conversation.get("ranges").and_then(Value::as_array).into_iter().flatten()
            {
                let by = contributor(range).or_else(|| of.clone()).unwrap_or_default();
                let kind = by.get("type").and_then(Value::as_str);
                let number = |name: &str| range.get(name).and_then(Value::as_u64);
                let (Some(start), Some(end)) = (number("start_line"), number("end_line")) else {
                    continue;
                };
                if matches!(kind, Some("ai" | "mixed")) && 0 < start && start <= end {
                    traced.push(Traced {
                        commit: commit.clone(),
                        path: RepoPath::new(path),
                        agent: tool.clone().unwrap_or_else(|| "unknown-agent".to_owned()),
                        session: session.clone(),
                        model: text(&by, "model_id"),
                        ranges: vec![LineRange { start, end }],
                    });
                }
            }
        }
    }
    Some(traced)
}

/// The part of a note of git-ai that is JSON, in the order of its keys.
#[derive(Serialize)]
struct NoteJson {
    schema_version: &'static str,
    base_commit_sha: String,
    prompts: BTreeMap<String, Value>,
    sessions: BTreeMap<String, NoteSession>,
}

#[derive(Serialize)]
struct NoteSession {
    agent_id: NoteAgent,
}

#[derive(Serialize)]
struct NoteAgent {
    tool: String,
    id: String,
    model: String,
}

/// Writes a commit's note as git-ai writes it (`authorship/3.0.0`). `None`:
/// nothing of it can be told in that grammar, which knows no path with a double
/// quote, none that is not UTF-8, and none called `---`.
pub fn note(commit: &Oid, known: &[&Known]) -> Option<String> {
    let mut files: BTreeMap<&str, BTreeMap<String, Vec<LineRange>>> = BTreeMap::new();
    let mut sessions = BTreeMap::new();
    for it in known {
        let lines = &it.lines;
        let unwritable = |it: char| it == '"' || it == '\r' || it == '\0';
        if lines.path.contains(unwritable)
            || lines.path == "---"
            || lines.path.trim_end() != lines.path
        {
            continue;
        }
        let tool = tool_of(&lines.agent).to_owned();
        let session = format!("s_{}", first(&format!("{tool}:{}", lines.session), 14));
        let trace = first(&format!("{commit} {} {}", lines.path, lines.session), 14);
        let ranges = files
            .entry(&lines.path)
            .or_default()
            .entry(format!("{session}::t_{trace}"))
            .or_default();
        ranges
            .extend(lines.runs.iter().map(|run| LineRange { start: run.start, end: end_of(run) }));
        let agent_id = NoteAgent {
            tool,
            id: lines.session.clone(),
            model: lines.model.clone().unwrap_or_else(|| "unknown".to_owned()),
        };
        sessions.insert(session, NoteSession { agent_id });
    }
    if files.is_empty() {
        return None;
    }
    let mut note = String::new();
    for (path, entries) in files {
        let quoted = path.contains([' ', '\t', '\n']);
        note.push_str(&if quoted { format!("\"{path}\"\n") } else { format!("{path}\n") });
        for (key, ranges) in entries {
            note.push_str(&format!("  {key} {}\n", written(ranges)));
        }
    }
    let json = NoteJson {
        schema_version: "authorship/3.0.0",
        base_commit_sha: commit.to_string(),
        prompts: BTreeMap::new(),
        sessions,
    };
    note.push_str("---\n");
    note.push_str(&serde_json::to_string_pretty(&json).ok()?);
    Some(note)
}

/// Ascending, without overlap: `1-10,15`.
fn written(mut ranges: Vec<LineRange>) -> String {
    order::sort(&mut ranges);
    let mut joined: Vec<LineRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(1) => {
                last.end = last.end.max(range.end)
            }
            Some(_) | None => joined.push(range),
        }
    }
    let text = |range: &LineRange| match range.start == range.end {
        true => range.start.to_string(),
        false => format!("{}-{}", range.start, range.end),
    };
    joined.iter().map(text).collect::<Vec<_>>().join(",")
}

fn first(text: &str, digits: usize) -> String {
    sha256(text.as_bytes()).chars().take(digits).collect()
}

/// What git-ai calls an agent.
fn tool_of(agent: &str) -> &str {
    match agent {
        "claude-code" => "claude",
        "gemini-cli" => "gemini",
        "github-copilot" => "copilot",
        "factory-droid" => "droid",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::recorded::hash;
    use crate::gate::trace::git_ai;

    fn known(path: &str, agent: &str, start: u64, lines: &[&str]) -> Known {
        let run =
            Run { start, reformatted: false, lines: lines.iter().map(|it| hash(it)).collect() };
        let lines = RecordedLines {
            path: path.to_owned(),
            agent: agent.to_owned(),
            session: "sess-1".to_owned(),
            model: Some("claude-sonnet-4-5".to_owned()),
            moved: false,
            runs: vec![run],
        };
        Known { commit: Oid::parse(&"a".repeat(40)), lines, noted: false }
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let known = known("src/a.rs", "codex", 7, &["one();", "two();"]);
        let rows = rows(std::slice::from_ref(&known));
        let line = serde_json::to_string(&rows[0]).unwrap();
        assert_eq!(parse_row(&line), Some(known));
        for (from, to) in [
            ("\"end\":8", "\"end\":9"),
            ("\"start\":7", "\"start\":0"),
            ("src/a.rs", "\\\"a"),
            ("aaaa", "zzzz"),
        ] {
            assert_eq!(parse_row(&line.replace(from, to)), None, "{from}");
        }
    }

    #[test]
    fn a_note_is_in_git_ais_grammar_and_reads_as_it_was_meant() {
        let commit = Oid::parse(&"a".repeat(40)).unwrap();
        let all = [
            known("src/a.rs", "claude-code", 5, &["x", "y"]),
            known("src/a.rs", "claude-code", 7, &["z"]),
            known("a b.rs", "codex", 1, &["w"]),
            known("a\"b", "codex", 1, &["w"]),
            known("---", "codex", 1, &["w"]),
        ];
        let note = note(&commit, &all.iter().collect::<Vec<_>>()).unwrap();
        let (text, json) = note.split_once("---\n").unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "\"a b.rs\"");
        assert!(lines[1].starts_with("  s_") && lines[1].ends_with(" 1"), "{text}");
        assert_eq!(lines[2], "src/a.rs");
        // The id that git-ai gives to the session `sess-1` of `claude`.
        assert!(lines[3].starts_with("  s_f8fd3067c13536::t_"), "{text}");
        assert!(lines[3].ends_with(" 5-7") && lines.len() == 4, "{text}");
        let order: Vec<usize> = ["schema_version", "base_commit_sha", "prompts", "sessions"]
            .iter()
            .map(|key| json.find(&format!("\n  \"{key}\"")).unwrap())
            .collect();
        assert!(order.is_sorted(), "{json}");
        let read = git_ai::read(&note);
        assert_eq!(read.len(), 2);
        assert!(
            read.iter().any(|it| it.path == RepoPath::new("src/a.rs")
                && it.session == "sess-1"
                && it.agent == "claude-code"),
            "{read:?}"
        );
        assert_eq!(super::note(&commit, &[]), None);
    }

    #[test]
    fn a_record_of_another_tool_gives_its_machines_ranges() {
        let record = serde_json::json!({
            "version": "1.0", "id": "1", "timestamp": "2026-01-01T00:00:00Z",
            "vcs": { "type": "git", "revision": "b".repeat(40) },
            "tool": { "name": "cursor" },
            "files": [
                { "path": "a.rs", "conversations": [
                    { "url": "u", "contributor": { "type": "ai", "model_id": "x/y" }, "ranges": [
                        { "start_line": 3, "end_line": 5 },
                        { "start_line": 0, "end_line": 5 },
                        { "start_line": 9, "end_line": 9, "contributor": { "type": "human" } },
                    ] },
                    { "contributor": { "type": "unknown" }, "ranges": [{ "start_line": 1, "end_line": 1 }] },
                ] },
                { "path": ".sessions", "conversations": [{ "contributor": { "type": "ai" }, "ranges": [{ "start_line": 1, "end_line": 1 }] }] },
            ],
        });
        let traced = parse_trace(&record).unwrap();
        assert_eq!(traced.len(), 1);
        assert_eq!(traced[0].ranges, [LineRange { start: 3, end: 5 }]);
        assert_eq!((traced[0].agent.as_str(), traced[0].session.as_str()), ("cursor", "u"));
        assert_eq!(traced[0].model.as_deref(), Some("x/y"));
        assert_eq!(parse_trace(&serde_json::json!({ "version": "0.1.0" })), None);
    }
}
