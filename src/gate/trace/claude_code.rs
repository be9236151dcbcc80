//! Claude Code's session files: `projects/<folder>/<session>.jsonl`, and beside
//! them `<session>/subagents/agent-*.jsonl`. One JSON object a line.
//!
//! An assistant's line holds `tool_use` blocks with the call's input; a later
//! user's line holds the `tool_result` of the same id and, beside the message,
//! `toolUseResult` with what was done to which file. What was done is preferred
//! to what was asked for, except where a person changed the proposal before it
//! was accepted (`userModified`). A failed or refused call is no edit.
//! Shapes as others published them of their own sessions, of the versions 1.0 and 2.1.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    EDITS, Found, Reader, Skipped, Texts, TracedEdit, flag, name, part, script, text, wait,
};
use crate::gate::time::Timestamp;

/// Reads one session file.
#[derive(Debug)]
pub struct ClaudeCode {
    agent: &'static str,
    /// Where no line tells the session.
    session: String,
    calls: Vec<Call>,
}

/// A call whose result was not read yet.
#[derive(Debug)]
struct Call {
    id: String,
    at: u64,
    head: Head,
    edits: Vec<Texts>,
}

/// What a line says about all its edits.
#[derive(Clone, Debug)]
struct Head {
    session: String,
    model: Option<String>,
    time: Option<Timestamp>,
    cwd: Option<String>,
}

/// What every one of the interesting lines holds.
static TOOL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"tool_use"));
static CALL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"tool_use\""));
static EDIT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("Edit\""));
static SHELL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"Bash\""));
static WRITE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"Write\""));
static PATCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"structuredPatch\""));
static CELL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"new_source\""));
static CWD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"cwd\""));

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "sessionId", default, deserialize_with = "name")]
    session: Option<String>,
    #[serde(default, deserialize_with = "name")]
    timestamp: Option<String>,
    #[serde(default, deserialize_with = "name")]
    cwd: Option<String>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
    #[serde(rename = "toolUseResult", default, borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, deserialize_with = "name")]
    model: Option<String>,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
}

/// A block of a message, of either kind.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "name")]
    tool_use_id: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    is_error: Option<bool>,
}

/// A call's input, and a result: the same facts under two spellings.
#[derive(Deserialize)]
struct Facts<'a> {
    #[serde(alias = "filePath", alias = "notebook_path", default, deserialize_with = "name")]
    file_path: Option<String>,
    #[serde(alias = "oldString", default, deserialize_with = "text")]
    old_string: Option<String>,
    #[serde(alias = "newString", default, deserialize_with = "text")]
    new_string: Option<String>,
    #[serde(default, deserialize_with = "text")]
    content: Option<String>,
    #[serde(default, borrow)]
    edits: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "text")]
    old_source: Option<String>,
    #[serde(default, deserialize_with = "text")]
    new_source: Option<String>,
    #[serde(default, deserialize_with = "text")]
    command: Option<String>,
    #[serde(rename = "replace_all", alias = "replaceAll", default, deserialize_with = "flag")]
    everywhere: Option<bool>,
    #[serde(rename = "userModified", default, deserialize_with = "flag")]
    modified: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    error: Option<String>,
}

/// One replacement of several.
#[derive(Deserialize)]
struct Pair {
    #[serde(alias = "oldString")]
    old_string: String,
    #[serde(alias = "newString")]
    new_string: String,
    #[serde(rename = "replace_all", alias = "replaceAll", default, deserialize_with = "flag")]
    everywhere: Option<bool>,
}

impl ClaudeCode {
    /// A reader of one file of `agent`; `session` is the name it has where no
    /// line tells one.
    pub fn new(agent: &'static str, session: &str) -> ClaudeCode {
        ClaudeCode { agent, session: session.to_owned(), calls: Vec::new() }
    }

    fn found(&self, head: &Head, texts: Texts, lines: Vec<u64>) -> Found {
        let Head { session, model, time, cwd } = head.clone();
        let Texts { path, old, new, everywhere, from } = texts;
        let agent = self.agent.to_owned();
        Found {
            edit: TracedEdit { agent, session, model, time, cwd, path, old, new, everywhere, from },
            lines,
        }
    }

    /// The call of this id and what is known of it, which waits no more.
    fn answered(&mut self, id: &str) -> Option<Call> {
        let at = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.remove(at))
    }

    fn answer(
        &mut self,
        at: u64,
        block: &Block<'_>,
        result: Option<&RawValue>,
        mut head: Head,
        found: &mut Vec<Found>,
    ) {
        let call = block.tool_use_id.as_deref().and_then(|id| self.answered(id));
        // In place of the facts, a failure has its message.
        let failure: Option<String> = part(result);
        if block.is_error == Some(true) || failure.is_some() {
            return;
        }
        let facts: Option<Facts<'_>> = part(result);
        if facts.as_ref().is_some_and(|it| it.error.as_deref().is_some_and(|it| !it.is_empty())) {
            return;
        }
        let by_hand = facts.as_ref().is_some_and(|facts| facts.modified == Some(true));
        let done = if by_hand { None } else { facts.and_then(|facts| facts.texts()) };
        let mut lines = vec![at];
        let mut edits = done.unwrap_or_default();
        if let Some(call) = call {
            head.model = call.head.model;
            lines.insert(0, call.at);
            if edits.is_empty() {
                edits = call.edits;
            }
        }
        for texts in edits {
            found.push(self.found(&head, texts, lines.clone()));
        }
    }
}

impl Reader for ClaudeCode {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        let has = |finder: &Finder<'_>| finder.find(line).is_some();
        if !has(&TOOL) {
            return Ok(());
        }
        let shell = || has(&SHELL) && script::may_write(line);
        let calls = has(&CALL) && (has(&EDIT) || has(&WRITE) || shell());
        if !calls && self.calls.is_empty() && !has(&PATCH) && !has(&CELL) {
            return Ok(());
        }
        let parsed: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let Some(message) = part::<Message<'_>>(parsed.message) else { return Ok(()) };
        let Some(blocks) = part::<Vec<Block<'_>>>(message.content) else { return Ok(()) };
        let head = Head {
            session: parsed.session.unwrap_or_else(|| self.session.clone()),
            model: message.model,
            time: parsed.timestamp.as_deref().and_then(Timestamp::parse),
            cwd: parsed.cwd,
        };
        // One result beside several blocks would be anybody's.
        let results = blocks.iter().filter(|it| it.tool_use_id.is_some()).count();
        let result = parsed.result.filter(|_| results == 1);
        for block in &blocks {
            match block.kind.as_deref() {
                Some("tool_use") => {
                    let Some(id) = block.id.clone() else { continue };
                    let edits = asked_for(block.name.as_deref(), block.input);
                    if !edits.is_empty() {
                        let call = Call { id, at, head: head.clone(), edits };
                        wait(&mut self.calls, call, |call| &call.edits);
                    }
                }
                Some("tool_result") => self.answer(at, block, result, head.clone(), found),
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&self) -> Vec<Found> {
        let of = |call: &Call| {
            let texts = call.edits.iter().cloned();
            texts.map(|it| self.found(&call.head, it, vec![call.at])).collect::<Vec<_>>()
        };
        self.calls.iter().flat_map(of).collect()
    }

    fn needs(&self) -> Vec<u64> {
        let mut needs: Vec<u64> = self.calls.iter().map(|call| call.at).collect();
        needs.dedup();
        needs
    }

    fn directory(&self, line: &[u8]) -> Option<String> {
        CWD.find(line)?;
        serde_json::from_slice::<Line<'_>>(line).ok()?.cwd
    }
}

/// The edits that a call asks for.
fn asked_for(tool: Option<&str>, input: Option<&RawValue>) -> Vec<Texts> {
    match tool {
        Some("Edit" | "MultiEdit" | "Write" | "NotebookEdit") => {
            part::<Facts<'_>>(input).and_then(|facts| facts.texts()).unwrap_or_default()
        }
        Some("Bash") => {
            let command = part::<Facts<'_>>(input).and_then(|facts| facts.command);
            command.as_deref().map(script::written).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

impl Facts<'_> {
    /// `None` where the facts are not those of an edit.
    fn texts(self) -> Option<Vec<Texts>> {
        let path = self.file_path?;
        let texts =
            |old, new| Texts { path: path.clone(), old, new, everywhere: false, from: None };
        if let Some(new) = self.new_source {
            return Some(vec![texts(self.old_source.map(|it| cell(&it)), cell(&new))]);
        }
        if let Some(pairs) = part::<Vec<Pair>>(self.edits).filter(|it| !it.is_empty()) {
            let pairs = pairs.into_iter().take(EDITS);
            let pair = |it: Pair| Texts {
                everywhere: it.everywhere == Some(true),
                ..texts(Some(it.old_string), it.new_string)
            };
            return Some(pairs.map(pair).collect());
        }
        match (self.new_string, self.content) {
            (Some(new), _) => {
                let everywhere = self.everywhere == Some(true);
                Some(vec![Texts { everywhere, ..texts(self.old_string, new) }])
            }
            (None, Some(content)) => Some(vec![texts(None, content)]),
            (None, None) => None,
        }
    }
}

/// A notebook's cell as its file spells it: a JSON string in one line, as the
/// agent writes it, then a string for each line, as a notebook server rewrites it.
fn cell(source: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = format!("\"source\": {}\n", quoted(source));
    for line in source.split_inclusive('\n') {
        let comma = if line.ends_with('\n') { "," } else { "" };
        lines.push_str(&format!("{}{comma}\n", quoted(line)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the lines tell: `path|old|new|model|lines`, then `?` for what waits.
    #[track_caller]
    fn check(lines: &[&str], expected: &[&str]) {
        let mut reader = ClaudeCode::new("claude-code", "file");
        let mut found = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            reader.line(at as u64, line.as_bytes(), &mut found).expect("a line of JSON");
        }
        let show = |it: &Found, mark: &str| {
            let TracedEdit { path, old, new, model, .. } = &it.edit;
            let (old, model) = (old.as_deref().unwrap_or("-"), model.as_deref().unwrap_or("-"));
            format!("{path}|{old}|{new}|{model}|{:?}{mark}", it.lines)
        };
        let mut said: Vec<_> = found.iter().map(|it| show(it, "")).collect();
        said.extend(reader.open().iter().map(|it| show(it, "?")));
        assert_eq!(said, expected);
    }

    const ASKED: &str = r#"{"type":"assistant","message":{"model":"claude-opus-4-5","role":"assistant","content":[{"type":"tool_use","id":"t1","name":"Edit","input":{"file_path":"/r/a.rs","old_string":"a","new_string":"b"}}]}}"#;

    fn answered(result: &str, more: &str) -> String {
        format!(
            r#"{{"type":"user","message":{{"role":"user","content":[{{"tool_use_id":"t1","type":"tool_result","content":"x"{more}}}]}},"toolUseResult":{result}}}"#
        )
    }

    #[test]
    fn what_is_replaced_everywhere_is_known() {
        let everywhere = |result: &str| {
            let line = format!(
                r#"{{"message":{{"content":[{{"type":"tool_result","tool_use_id":"t"}}]}},"toolUseResult":{result},"structuredPatch":[]}}"#
            );
            let mut found = Vec::new();
            let mut reader = ClaudeCode::new("claude-code", "file");
            reader.line(0, line.as_bytes(), &mut found).expect("a line of JSON");
            found.iter().map(|it| it.edit.everywhere).collect::<Vec<_>>()
        };
        let one = r#"{"filePath":"a","oldString":"x","newString":"y","replaceAll":true}"#;
        assert_eq!(everywhere(one), [true]);
        let several = r#"{"filePath":"a","edits":[{"old_string":"x","new_string":"y","replace_all":true},{"old_string":"v","new_string":"w"}]}"#;
        assert_eq!(everywhere(several), [true, false]);
    }

    #[test]
    fn a_result_is_believed_before_the_request() {
        let done = r#"{"filePath":"/r/a.rs","oldString":"a","newString":"c","structuredPatch":[]}"#;
        check(&[ASKED, &answered(done, "")], &["/r/a.rs|a|c|claude-opus-4-5|[0, 1]"]);
        check(&[&answered(done, "")], &["/r/a.rs|a|c|-|[0]"]);
        check(&[ASKED, &answered("{}", "")], &["/r/a.rs|a|b|claude-opus-4-5|[0, 1]"]);
        check(&[ASKED, &answered("null", "")], &["/r/a.rs|a|b|claude-opus-4-5|[0, 1]"]);
        let by_hand = done.replace("\"structured", "\"userModified\":true,\"structured");
        check(&[ASKED, &answered(&by_hand, "")], &["/r/a.rs|a|b|claude-opus-4-5|[0, 1]"]);
        check(&[&answered(&by_hand, "")], &[]);
    }

    #[test]
    fn what_failed_is_no_edit() {
        check(&[ASKED, &answered("{}", r#","is_error":true"#)], &[]);
        check(&[ASKED, &answered("\"Error: String to replace not found\"", "")], &[]);
        check(&[ASKED], &["/r/a.rs|a|b|claude-opus-4-5|[0]?"]);
    }

    #[test]
    fn every_tool_that_edits_is_read() {
        let done = r#"{"type":"create","filePath":"/r/a","content":"x\n","structuredPatch":[]}"#;
        check(&[&answered(done, "")], &["/r/a|-|x\n|-|[0]"]);
        let done = r#"{"filePath":"/r/a","edits":[{"old_string":"1","new_string":"2","replace_all":false},{"old_string":"3","new_string":"4"}],"structuredPatch":[]}"#;
        check(&[&answered(done, "")], &["/r/a|1|2|-|[0]", "/r/a|3|4|-|[0]"]);
        let done = r#"{"new_source":"a\nb","cell_type":"code","edit_mode":"replace","notebook_path":"/r/n.ipynb","error":""}"#;
        check(
            &[&answered(done, "")],
            &["/r/n.ipynb|-|\"source\": \"a\\nb\"\n\"a\\n\",\n\"b\"\n|-|[0]"],
        );
        let read = r#"{"type":"text","file":{"filePath":"/r/a","content":"\"structuredPatch\""}}"#;
        check(&[&answered(read, "")], &[]);
    }

    #[test]
    fn a_line_of_another_shape_is_no_edit() {
        let mut reader = ClaudeCode::new("claude-code", "file");
        let mut found = Vec::new();
        for line in [
            r#"{"message":{"content":"\"tool_use\" \"Edit\""},"x":["tool_use","Edit"]}"#,
            r#"{"message":{"content":[{"type":"tool_use","name":"Edit","id":7}]}}"#,
            r#"{"message":7,"x":["tool_use","Edit"]}"#,
        ] {
            assert_eq!(reader.line(0, line.as_bytes(), &mut found), Ok(()), "{line}");
        }
        let cut = &ASKED.as_bytes()[..ASKED.len() - 1];
        assert_eq!(reader.line(0, cut, &mut found), Err(Skipped));
        assert_eq!((found.len(), reader.open().len()), (0, 0));
    }
}
