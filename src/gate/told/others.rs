//! What other recorders keep of changes that are not committed yet: git-ai's
//! working log, `<git common folder>/ai/working_logs/<HEAD>/` (git-ai 1.6.24,
//! checkpoint/1.0.0), and Agent Trace's `.agent-trace/traces.jsonl` (0.1.0, and its
//! reference writer, which says "1.0"). Both tell numbers of lines of a content,
//! and become edits of that content.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::change::LineRange;
use super::super::record::canonical::sha256;
use super::super::time::Timestamp;
use super::super::trace::git_ai::agent_of;
use super::lines::{Mark, Told, folded_path_key, keys, path_key, written};

/// The most ranges of one file.
const RANGES: usize = 20_000;

/// Who wrote which lines of one content of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lined {
    /// The SHA-256 of the content; `None` where it is not told.
    pub content: Option<String>,
    pub time: Option<Timestamp>,
    pub ranges: Vec<Range>,
}

/// Lines that an agent wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub lines: LineRange,
    pub agent: String,
    pub session: String,
    pub model: Option<String>,
}

#[derive(Deserialize)]
struct Checkpoint {
    #[serde(default)]
    entries: Vec<Entry>,
    #[serde(default)]
    timestamp: i64,
    #[serde(default)]
    agent_id: Option<Agent>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    blob_sha: String,
    #[serde(default)]
    line_attributions: Vec<Attribution>,
}

#[derive(Clone, Deserialize)]
struct Agent {
    tool: String,
    id: String,
    #[serde(default)]
    model: Option<String>,
}

#[derive(Deserialize)]
struct Attribution {
    start_line: u64,
    end_line: u64,
    author_id: String,
}

#[derive(Default, Deserialize)]
struct Initial {
    #[serde(default)]
    files: BTreeMap<String, Vec<Attribution>>,
    #[serde(default)]
    file_blobs: BTreeMap<String, String>,
    #[serde(default)]
    sessions: BTreeMap<String, Known>,
    #[serde(default)]
    prompts: BTreeMap<String, Known>,
}

#[derive(Deserialize)]
struct Known {
    agent_id: Agent,
}

/// Reads git-ai's `INITIAL` and `checkpoints.jsonl`: the newest of each file, and
/// how many lines could not be read.
pub fn working_log(initial: &[u8], checkpoints: &[u8]) -> (BTreeMap<String, Lined>, u64) {
    let (mut files, mut skipped) = (BTreeMap::new(), 0);
    let mut agents: BTreeMap<String, Agent> = BTreeMap::new();
    let mut raw: Vec<(String, String, i64, Vec<Attribution>)> = Vec::new();
    let before: Initial = match serde_json::from_slice(initial) {
        Ok(before) => before,
        Err(_) => {
            skipped += u64::from(!initial.is_empty());
            Initial::default()
        }
    };
    for (id, known) in before.sessions.into_iter().chain(before.prompts) {
        agents.insert(id, known.agent_id);
    }
    for (file, attributions) in before.files {
        let blob = before.file_blobs.get(&file).cloned().unwrap_or_default();
        raw.push((file, blob, 0, attributions));
    }
    for line in checkpoints.split(|&byte| byte == b'\n').filter(|it| !it.is_empty()) {
        let Ok(checkpoint) = serde_json::from_slice::<Checkpoint>(line) else {
            skipped += 1;
            continue;
        };
        if let Some(agent) = checkpoint.agent_id {
            let digest = sha256(format!("{}:{}", agent.tool, agent.id).as_bytes());
            let part = |length| digest.get(..length).unwrap_or_default();
            agents.insert(format!("s_{}", part(14)), agent.clone());
            agents.insert(part(16).to_owned(), agent);
        }
        for entry in checkpoint.entries {
            raw.push((entry.file, entry.blob_sha, checkpoint.timestamp, entry.line_attributions));
        }
    }
    for (file, blob, time, attributions) in raw {
        let ranges = attributions.iter().take(RANGES).filter_map(|it| range_of(it, &agents));
        let ranges = ranges.collect();
        let time = Some(Timestamp(time)).filter(|it| it.0 > 0);
        files.insert(file, Lined { content: Some(blob), time, ranges });
    }
    (files, skipped)
}

/// `None` for a person's lines, and for what is no evidence of an agent.
fn range_of(it: &Attribution, agents: &BTreeMap<String, Agent>) -> Option<Range> {
    let id = it.author_id.split("::").next().unwrap_or_default();
    let is_hex = |text: &str| text.len() >= 7 && text.bytes().all(|it| it.is_ascii_hexdigit());
    if !is_hex(id.strip_prefix("s_").unwrap_or(id))
        || it.start_line == 0
        || it.end_line < it.start_line
    {
        return None;
    }
    let agent = agents.get(id);
    Some(Range {
        lines: LineRange { start: it.start_line, end: it.end_line },
        agent: agent.map_or_else(|| "unknown-ai".to_owned(), |it| agent_of(&it.tool)),
        session: short(agent.map_or(id, |it| &it.id)),
        model: agent.and_then(|it| it.model.as_deref()).filter(|it| *it != "unknown").map(short),
    })
}

/// Reads Agent Trace's records: the newest of each file, with its time, and how
/// many lines could not be read. Paths that name no file are passed over.
pub fn agent_trace(records: &[u8]) -> (BTreeMap<String, Lined>, u64) {
    let (mut files, mut skipped) = (BTreeMap::new(), 0);
    for line in records.split(|&byte| byte == b'\n').filter(|it| !it.trim_ascii().is_empty()) {
        let Ok(record) = serde_json::from_slice::<Value>(line) else {
            skipped += 1;
            continue;
        };
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let time = text(&record, "timestamp").and_then(|it| Timestamp::parse(&it));
        let tool = record.get("tool").and_then(|it| text(it, "name"));
        let agent = tool.map_or_else(|| "unknown-ai".to_owned(), |it| agent_of(&it));
        for file in list(&record, "files") {
            const NO_FILES: [&str; 3] = [".shell-history", ".sessions", ".unknown"];
            let Some(path) = text(file, "path").filter(|it| !NO_FILES.contains(&it.as_str()))
            else {
                continue;
            };
            let mut lined = Lined { content: None, time, ranges: Vec::new() };
            for conversation in list(file, "conversations") {
                let session = text(conversation, "url").unwrap_or_else(|| "agent-trace".to_owned());
                for range in list(conversation, "ranges").iter().take(RANGES) {
                    let contributor = range.get("contributor").or(conversation.get("contributor"));
                    let kind = contributor.and_then(|it| text(it, "type"));
                    let number = |key: &str| range.get(key).and_then(Value::as_u64);
                    let (Some(start), Some(end)) = (number("start_line"), number("end_line"))
                    else {
                        continue;
                    };
                    // What it does not know, the reference writer writes as 1-1.
                    let known = start > 0 && start <= end && (start, end) != (1, 1);
                    if !known || !matches!(kind.as_deref(), Some("ai" | "mixed")) {
                        continue;
                    }
                    lined.ranges.push(Range {
                        lines: LineRange { start, end },
                        agent: agent.clone(),
                        session: short(&session),
                        model: contributor.and_then(|it| text(it, "model_id")).map(|it| short(&it)),
                    });
                }
            }
            files.insert(path, lined);
        }
    }
    (files, skipped)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn short(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(200).collect()
}

/// The edits that made this content, one for each session: its lines were
/// added to all the others. `now` stands for a time that is not told.
pub fn edits(path: &[u8], content: &[u8], lined: &Lined, now: Timestamp) -> Vec<Told> {
    let Some(keys) = keys(content) else { return Vec::new() };
    let mut sessions: BTreeMap<(&str, &str, Option<&str>), Vec<bool>> = BTreeMap::new();
    for range in &lined.ranges {
        let who = (range.agent.as_str(), range.session.as_str(), range.model.as_deref());
        let own = sessions.entry(who).or_insert_with(|| vec![false; keys.len()]);
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(keys.len());
        let lines = place(range.lines.start.saturating_sub(1))..place(range.lines.end);
        own.get_mut(lines).into_iter().flatten().for_each(|it| *it = true);
    }
    let told = |((agent, session, model), own): ((&str, &str, Option<&str>), Vec<bool>)| {
        let mark = |own: bool| if own { Mark::Added } else { Mark::Kept };
        let lines: Vec<_> = own.into_iter().map(mark).zip(keys.iter().copied()).collect();
        Told {
            folded: folded_path_key(path),
            path: path_key(path),
            time: lined.time.unwrap_or(now).0,
            agent: agent.to_owned(),
            session: session.to_owned(),
            model: model.map(str::to_owned),
            call: None,
            lines: written(&lines),
        }
    };
    sessions.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shortened from one that git-ai 1.6.24 wrote.
    const LOG: &str = r#"{"kind":"AiAgent","author":"Ana Example <ana@example.com>","entries":[{"file":"a.rs","blob_sha":"d6adf9","attributions":[{"start":0,"end":31,"author_id":"human","ts":1795402964152}],"line_attributions":[{"start_line":1,"end_line":4,"author_id":"human","overrode":null},{"start_line":5,"end_line":6,"author_id":"s_f8fd3067c13536::t_c76cb06422514a","overrode":null},{"start_line":7,"end_line":7,"author_id":"h_8c5faf10a72cb5","overrode":null}]}],"timestamp":1795402964,"agent_id":{"tool":"claude","id":"sess-1","model":"claude-sonnet-4-5-20250929"},"agent_metadata":{},"line_stats":{"additions":2},"api_version":"checkpoint/1.0.0","git_ai_version":"1.6.24"}"#;

    fn shown(files: &BTreeMap<String, Lined>) -> Vec<String> {
        let one = |(path, lined): (&String, &Lined)| {
            let range = |it: &Range| {
                let model = it.model.as_deref().unwrap_or("-");
                format!(" {}-{} {} {} {model}", it.lines.start, it.lines.end, it.agent, it.session)
            };
            path.clone() + &lined.ranges.iter().map(range).collect::<String>()
        };
        files.iter().map(one).collect()
    }

    #[test]
    fn a_working_log_tells_the_agents_lines() {
        let (files, skipped) = working_log(b"", format!("{LOG}\n{{cut").as_bytes());
        assert_eq!(shown(&files), ["a.rs 5-6 claude-code sess-1 claude-sonnet-4-5-20250929"]);
        assert_eq!((skipped, files["a.rs"].content.as_deref()), (1, Some("d6adf9")));
        let initial = r#"{"files":{"b.rs":[{"start_line":1,"end_line":2,"author_id":"0123456789abcdef","overrode":null}]},"prompts":{"0123456789abcdef":{"agent_id":{"tool":"cursor","id":"c1","model":"unknown"}}},"file_blobs":{"b.rs":"aa"},"humans":{},"sessions":{}}"#;
        let (files, _) = working_log(initial.as_bytes(), b"");
        assert_eq!(shown(&files), ["b.rs 1-2 cursor c1 -"]);
    }

    #[test]
    fn an_agent_trace_is_read_with_its_writers_mistakes() {
        let line = r#"{"version":"1.0","id":"x","timestamp":"2026-05-20T10:04:00Z","vcs":{"type":"git","revision":"aa"},"tool":{"name":"cursor"},"files":[{"path":".shell-history","conversations":[]},{"path":"a.ts","conversations":[{"url":"u","contributor":{"type":"ai","model_id":"anthropic/claude-opus-4-5"},"ranges":[{"start_line":2,"end_line":3},{"start_line":1,"end_line":1},{"start_line":9,"end_line":4}]},{"contributor":{"type":"human"},"ranges":[{"start_line":5,"end_line":6}]}]}]}"#;
        let (files, skipped) = agent_trace(format!("{line}\nx\n").as_bytes());
        assert_eq!(shown(&files), ["a.ts 2-3 cursor u anthropic/claude-opus-4-5"]);
        assert_eq!(skipped, 1);
    }

    #[test]
    fn ranges_become_an_edit_of_their_content() {
        let (files, _) =
            working_log(b"", LOG.replace("5,\"end_line\":6", "2,\"end_line\":99").as_bytes());
        let edits = edits(b"a.rs", b"one\ntwo\nthree\n", &files["a.rs"], Timestamp(0));
        let [edit] = &edits[..] else { panic!("{edits:?}") };
        let marks: Vec<u8> = edit.lines.bytes().step_by(21).collect();
        assert_eq!(String::from_utf8(marks).unwrap(), " ++");
        assert_eq!(edit.time, 1_795_402_964);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in "[{}\\[\\]\",:a1\n]{0,80}") {
            working_log(bytes.as_bytes(), bytes.as_bytes());
            agent_trace(bytes.as_bytes());
        }
    }
}
