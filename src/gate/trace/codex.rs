//! Codex's session files: `rollout-<time>-<thread>.jsonl`. One JSON object a
//! line: `{"timestamp", "type", "payload"}`; files of 2025 and before hold the
//! payload bare.
//!
//! `session_meta` names the session and its folder, `turn_context` the model
//! and the folder from there on. A patch stands in a `function_call` named
//! `apply_patch` (`input` or `patch` of its arguments), in a
//! `custom_tool_call`, or in a shell's command as a heredoc; what a command
//! writes into a file by its own words counts as well. The call's output
//! says how it ended. Newer versions also write `patch_apply_end`, or
//! `item_completed` with a `FileChange`, which name what was changed; they are
//! all there is where the patch was made by a script of the `exec` tool.
//! Source: openai/codex, codex-rs/apply-patch, for patches and the commands that
//! hold them; the lines as others published them of their own sessions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::apply_patch::{self, in_script};
use super::session::{End, Session};
use super::{EDITS, Found, NAME, Reader, Skipped, Texts, flag, name, part, script, text};
use crate::gate::time::Timestamp;

/// Reads one session file.
#[derive(Debug)]
pub struct Codex(Session);

static PATCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("apply_patch"));
static JOINED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("applypatch"));
static EVENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("patch_apply_end"));
static ITEM: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"FileChange\""));
static META: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"session_meta\""));
static TURN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"turn_context\""));
static ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"call_id\""));
static CWD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"cwd\""));
static CALL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("_call\""));

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "name")]
    timestamp: Option<String>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "name")]
    id: Option<String>,
    #[serde(default, deserialize_with = "name")]
    cwd: Option<String>,
    #[serde(default, deserialize_with = "name")]
    model: Option<String>,
    #[serde(default, deserialize_with = "name")]
    name: Option<String>,
    #[serde(default, deserialize_with = "name")]
    call_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    arguments: Option<String>,
    #[serde(default, deserialize_with = "text")]
    input: Option<String>,
    #[serde(default, borrow)]
    action: Option<&'a RawValue>,
    #[serde(default, borrow)]
    output: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "flag")]
    success: Option<bool>,
    #[serde(default, deserialize_with = "name")]
    status: Option<String>,
    #[serde(default, borrow)]
    changes: Option<&'a RawValue>,
    #[serde(default, borrow)]
    item: Option<&'a RawValue>,
}

/// A call's arguments, of whatever tool.
#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(alias = "patch", default, deserialize_with = "text")]
    input: Option<String>,
    #[serde(alias = "cmd", default, borrow)]
    command: Option<&'a RawValue>,
    #[serde(alias = "working_directory", default, deserialize_with = "name")]
    workdir: Option<String>,
}

/// What was done to one file; older versions wrap it in the kind's name.
#[derive(Deserialize)]
struct Changed<'a> {
    #[serde(default, deserialize_with = "text")]
    content: Option<String>,
    #[serde(default, deserialize_with = "text")]
    unified_diff: Option<String>,
    #[serde(default, deserialize_with = "name")]
    move_path: Option<String>,
    #[serde(rename = "type", default, deserialize_with = "name")]
    kind: Option<String>,
    #[serde(default, borrow)]
    add: Option<&'a RawValue>,
    #[serde(default, borrow)]
    update: Option<&'a RawValue>,
}

/// An output that is an object, or text that holds one.
#[derive(Deserialize)]
struct Output<'a> {
    #[serde(alias = "content", default, borrow)]
    output: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "flag")]
    success: Option<bool>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    exit_code: Option<i64>,
}

/// A part of an output given as a list.
#[derive(Deserialize)]
struct Piece {
    #[serde(default, deserialize_with = "text")]
    text: Option<String>,
}

impl Codex {
    /// A reader of one file of `agent`; `session` is the name it has where no
    /// line tells one.
    pub fn new(agent: &'static str, session: &str) -> Codex {
        Codex(Session::new(agent, session))
    }
}

impl Reader for Codex {
    fn line(&mut self, at: u64, line: &[u8], found: &mut Vec<Found>) -> Result<(), Skipped> {
        let has = |finder: &Finder<'_>| finder.find(line).is_some();
        let candidate = [&PATCH, &TURN, &EVENT, &META, &ITEM, &JOINED].iter().any(|it| has(it))
            || (has(&CALL) && script::may_write(line))
            || (self.0.waits() && has(&ID))
            || (at == 0 && !self.0.is_named());
        if !candidate {
            return Ok(());
        }
        let parsed: Line<'_> = serde_json::from_slice(line).map_err(|_| Skipped)?;
        let time = parsed.timestamp.as_deref().and_then(Timestamp::parse);
        let payload: Option<Payload<'_>> = match parsed.payload {
            Some(payload) => part(Some(payload)),
            None => serde_json::from_slice(line).ok(),
        };
        let Some(payload) = payload else { return Ok(()) };
        let kind = match (parsed.payload.is_some(), parsed.kind.as_deref()) {
            (true, Some(kind @ ("session_meta" | "turn_context"))) => Some(kind),
            (false, None) if at == 0 => Some("session_meta"),
            _ => payload.kind.as_deref(),
        };
        match kind {
            Some("session_meta") => self.0.begins(at, payload.id, payload.cwd),
            Some("turn_context") => self.0.turns(at, payload.model, payload.cwd),
            Some("function_call" | "custom_tool_call" | "local_shell_call") => {
                let edits = payload.asked_for();
                let id = payload.call_id.or(payload.id).unwrap_or_default();
                self.0.call(Some(id), at, time, edits, found);
            }
            Some(
                "function_call_output" | "custom_tool_call_output" | "local_shell_call_output",
            ) => {
                let id = payload.call_id.unwrap_or_default();
                let failed = payload.output.is_some_and(has_failed);
                self.0.end(End { id: &id, at, time, failed, changes: Vec::new() }, found);
            }
            Some("patch_apply_end") => {
                let id = payload.call_id.clone().unwrap_or_default();
                let (failed, changes) = (payload.has_failed(), changed(payload.changes));
                self.0.end(End { id: &id, at, time, failed, changes }, found);
            }
            Some("item_completed") => {
                let Some(item) = part::<Payload<'_>>(payload.item) else { return Ok(()) };
                if item.kind.as_deref() == Some("FileChange") {
                    let id = item.call_id.clone().or(item.id.clone()).unwrap_or_default();
                    let (failed, changes) = (item.has_failed(), changed(item.changes));
                    self.0.end(End { id: &id, at, time, failed, changes }, found);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&self) -> Vec<Found> {
        self.0.open()
    }

    fn needs(&self) -> Vec<u64> {
        self.0.needs()
    }

    fn directory(&self, line: &[u8]) -> Option<String> {
        CWD.find(line)?;
        let parsed: Line<'_> = serde_json::from_slice(line).ok()?;
        part::<Payload<'_>>(parsed.payload)?.cwd
    }
}

impl Payload<'_> {
    fn has_failed(&self) -> bool {
        self.success == Some(false) || matches!(self.status.as_deref(), Some("failed" | "declined"))
    }

    /// The edits that a call asks for.
    fn asked_for(&self) -> Vec<Texts> {
        let is_patch = matches!(self.name.as_deref(), Some("apply_patch" | "applypatch"));
        if let Some(text) = self.input.as_deref().filter(|_| is_patch) {
            return patch(text);
        }
        let arguments: Option<Arguments<'_>> = match &self.arguments {
            Some(text) => serde_json::from_str(text).ok(),
            None => part(self.action),
        };
        let Some(arguments) = arguments else {
            // Some models write the patch itself where its JSON should be.
            return self.arguments.as_deref().filter(|_| is_patch).map(patch).unwrap_or_default();
        };
        if let Some(text) = arguments.input.as_deref().filter(|_| is_patch) {
            return patch(text);
        }
        let mut edits = match part::<Vec<String>>(arguments.command).as_deref() {
            Some([program, text, ..])
                if matches!(program.as_str(), "apply_patch" | "applypatch") =>
            {
                patch(text)
            }
            Some(words) => words.last().map(|script| applied(script)).unwrap_or_default(),
            None => part::<String>(arguments.command).map(|it| applied(&it)).unwrap_or_default(),
        };
        if let Some(folder) = &arguments.workdir {
            edits = edits.into_iter().map(|it| it.below(folder)).collect();
        }
        edits
    }
}

fn patch(text: &str) -> Vec<Texts> {
    apply_patch::body(text).map(apply_patch::edits).unwrap_or_default()
}

/// The edits of the patches that a script applies, and what it writes itself.
fn applied(text: &str) -> Vec<Texts> {
    let mut edits = Vec::new();
    for patch in in_script(text) {
        if edits.len() >= EDITS {
            break;
        }
        let found = apply_patch::edits(patch.text);
        edits.extend(found.into_iter().map(|texts| match &patch.folder {
            Some(folder) => texts.below(folder),
            None => texts,
        }));
    }
    edits.extend(script::written(text));
    edits.truncate(EDITS);
    edits
}

/// What the changes of an event say was put where.
fn changed(changes: Option<&RawValue>) -> Vec<Texts> {
    let Some(files) = part::<BTreeMap<String, &RawValue>>(changes) else { return Vec::new() };
    let mut edits = Vec::new();
    for (path, raw) in files {
        let Some(outer) = part::<Changed<'_>>(Some(raw)) else { continue };
        let inner = outer.add.or(outer.update);
        let is_add = outer.add.is_some() || outer.kind.as_deref() == Some("add");
        if path.len() > NAME || edits.len() > EDITS {
            break;
        }
        let Some(change) = inner.map_or(Some(outer), |it| part(Some(it))) else { continue };
        let path = match change.move_path {
            Some(target) => {
                edits.push(Texts::moved(path, target.clone()));
                target
            }
            None => path,
        };
        match (change.unified_diff, change.content) {
            (Some(diff), _) => edits.extend(apply_patch::hunks(&path, &diff)),
            (None, Some(new)) if is_add => {
                edits.push(Texts { path, old: None, new, everywhere: false, from: None })
            }
            (None, _) => {}
        }
    }
    edits
}

/// Whether a call's output says that nothing was applied. An output that does
/// not tell counts as success: its text must still be found in the change.
fn has_failed(output: &RawValue) -> bool {
    let object = |text: &str| -> Option<(Option<String>, bool)> {
        let output: Output<'_> = serde_json::from_str(text).ok()?;
        let code = output.metadata.and_then(|it| it.exit_code);
        let failed = output.success == Some(false) || code.is_some_and(|code| code != 0);
        Some((part::<String>(output.output), failed))
    };
    let (said, failed) = match serde_json::from_str::<String>(output.get()) {
        Ok(text) => match object(&text) {
            Some((said, failed)) => (said.unwrap_or_default(), failed),
            None => (text, false),
        },
        Err(_) => match object(output.get()) {
            Some((said, failed)) => (said.unwrap_or_default(), failed),
            None => {
                let pieces: Vec<Piece> = part(Some(output)).unwrap_or_default();
                (pieces.into_iter().filter_map(|it| it.text).collect(), false)
            }
        },
    };
    // A command after the patch may fail: the patch is applied all the same.
    if said.contains("Success. Updated the following files") {
        return false;
    }
    failed
        || said.contains("apply_patch verification failed")
        || ["Exit code: ", "Process exited with code "].iter().any(|words| {
            let code = said.split_once(words).map(|(_, rest)| rest.trim_start());
            code.is_some_and(|rest| !rest.starts_with('0'))
        })
        || ["aborted", "patch rejected", "rejected", "failed", "error", "execution error"]
            .iter()
            .any(|word| {
                let start = said.get(..word.len()).unwrap_or_default();
                start.eq_ignore_ascii_case(word)
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::trace::TracedEdit;

    const META: &str = r#"{"timestamp":"2026-05-13T01:00:00Z","type":"session_meta","payload":{"id":"thread","cwd":"/r","cli_version":"0.142.4"}}"#;
    const TURN: &str = r#"{"timestamp":"2026-05-13T01:00:01Z","type":"turn_context","payload":{"cwd":"/r","model":"gpt-5-codex"}}"#;

    fn item(payload: &serde_json::Value) -> String {
        let line = serde_json::json!({"timestamp": "2026-05-13T01:00:02Z", "type": "response_item", "payload": payload});
        line.to_string()
    }

    fn call(name: &str, arguments: &serde_json::Value) -> String {
        item(
            &serde_json::json!({"type": "function_call", "name": name, "call_id": "c", "arguments": arguments.to_string()}),
        )
    }

    fn output(text: &str) -> String {
        item(&serde_json::json!({"type": "function_call_output", "call_id": "c", "output": text}))
    }

    /// What the lines after the session's first two tell.
    #[track_caller]
    fn check(lines: &[String], expected: &[&str]) {
        let mut reader = Codex::new("codex", "file");
        let mut found = Vec::new();
        let lines = [META, TURN].into_iter().chain(lines.iter().map(String::as_str));
        for (at, line) in lines.enumerate() {
            reader.line(at as u64, line.as_bytes(), &mut found).expect("a line of JSON");
        }
        let show = |it: &Found, mark: &str| {
            let TracedEdit { path, old, new, model, session, .. } = &it.edit;
            assert_eq!((session.as_str(), model.as_deref()), ("thread", Some("gpt-5-codex")));
            if let Some(from) = &it.edit.from {
                return format!("{from} to {path}|{:?}{mark}", it.lines);
            }
            let old = old.as_deref().unwrap_or("-");
            format!("{path}|{old}|{new}|{:?}{mark}", it.lines)
        };
        let mut said: Vec<_> = found.iter().map(|it| show(it, "")).collect();
        said.extend(reader.open().iter().map(|it| show(it, "?")));
        assert_eq!(said, expected);
    }

    const TEXT: &str = "*** Begin Patch\n*** Update File: a\n@@\n-b\n+c\n*** End Patch\n";
    const DONE: &str = r#"{"output":"Success. Updated the following files:\nM a\n","metadata":{"exit_code":0,"duration_seconds":0.1}}"#;

    #[test]
    fn a_patch_is_read_in_every_form() {
        use serde_json::json;
        let heredoc = format!("apply_patch <<'EOF'\n{TEXT}EOF\n");
        for request in [
            call("apply_patch", &json!({"input": TEXT})),
            call("apply_patch", &json!({"patch": TEXT})),
            call("shell", &json!({"command": ["apply_patch", TEXT]})),
            call("shell", &json!({"command": ["apply_patch", format!("<<'EOF'\n{TEXT}EOF")]})),
            call("shell", &json!({"command": ["bash", "-lc", heredoc]})),
            call("shell_command", &json!({"command": heredoc})),
            call("exec_command", &json!({"cmd": heredoc})),
            item(
                &json!({"type": "custom_tool_call", "status": "completed", "call_id": "c", "name": "apply_patch", "input": TEXT}),
            ),
            item(
                &json!({"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["bash", "-lc", heredoc]}}),
            ),
            item(
                &json!({"type": "function_call", "call_id": "c", "name": "apply_patch", "arguments": TEXT}),
            ),
        ] {
            let lines = [request, output(DONE)];
            check(&lines[..1], &["a|b\n|c\n|[0, 1, 2]?"]);
            check(&lines, &["a|b\n|c\n|[0, 1, 2, 3]"]);
        }
        let below = call("shell", &json!({"command": ["bash", "-lc", heredoc], "workdir": "/r/s"}));
        check(&[below], &["/r/s/a|b\n|c\n|[0, 1, 2]?"]);
        check(&[call("shell", &json!({"command": ["bash", "-lc", "rg apply_patch"]}))], &[]);
        let other =
            json!({"type": "custom_tool_call", "call_id": "c", "name": "other", "input": TEXT});
        check(&[item(&other)], &[]);
    }

    #[test]
    fn a_call_that_failed_is_no_edit() {
        let request = call("apply_patch", &serde_json::json!({"input": TEXT}));
        for text in [
            "{\"output\":\"apply_patch verification failed: no such line\",\"metadata\":{\"exit_code\":1}}",
            "{\"output\":\"no\",\"metadata\":{\"exit_code\":1}}",
            "{\"content\":\"no\",\"success\":false}",
            "apply_patch verification failed: Failed to find expected lines in a",
            "Exit code: 1\nWall time: 0 seconds\nOutput:\n",
            "Chunk ID: 1\nProcess exited with code 127\n",
            "aborted by user after 3.1s",
            "patch rejected by user",
        ] {
            check(&[request.clone(), output(text)], &[]);
        }
        for text in [
            "Done!",
            "Exit code: 0\nWall time: 0 seconds",
            "Exit code: 1\nOutput:\nSuccess. Updated the following files:\nM a\n1 test failed",
        ] {
            check(&[request.clone(), output(text)], &["a|b\n|c\n|[0, 1, 2, 3]"]);
        }
        let pieces = serde_json::json!({"type": "custom_tool_call_output", "call_id": "c",
            "output": [{"type": "input_text", "text": "Script failed\n"}]});
        check(&[request, item(&pieces)], &["a|b\n|c\n|[0, 1, 2, 3]"]);
    }

    #[test]
    fn an_event_says_what_was_changed() {
        use serde_json::json;
        let event = |more: serde_json::Value| {
            let mut payload = json!({"type": "patch_apply_end", "call_id": "c"});
            for (key, value) in more.as_object().expect("an object") {
                payload[key] = value.clone();
            }
            json!({"type": "event_msg", "payload": payload}).to_string()
        };
        let diff = "@@ -1 +1 @@\n-b\n+d\n";
        let changes = json!({"/r/a": {"type": "update", "unified_diff": diff, "move_path": null},
            "/r/n": {"type": "add", "content": "n"}, "/r/x": {"type": "delete", "content": "x"}});
        let good = event(json!({"success": true, "changes": changes}));
        let edits = ["/r/a|b\n|d\n|[0, 1, 2]", "/r/n|-|n|[0, 1, 2]"];
        check(std::slice::from_ref(&good), &edits);
        let request = call("apply_patch", &json!({"input": TEXT}));
        let edits = ["/r/a|b\n|d\n|[0, 1, 3]", "/r/n|-|n|[0, 1, 3]"];
        check(&[request.clone(), good.clone(), output(DONE)], &edits);
        check(&[request.clone(), output(DONE), good], &["a|b\n|c\n|[0, 1, 2, 3]"]);
        check(
            &[request.clone(), event(json!({"success": false, "changes": changes})), output("x")],
            &[],
        );
        let names = event(json!({"success": true, "changes": {"a": "update"}}));
        check(&[request.clone(), names], &["a|b\n|c\n|[0, 1, 2, 3]"]);
        let old = json!({"/r/a": {"update": {"unified_diff": diff, "move_path": "/r/m"}}, "/r/n": {"add": {"content": "n"}}});
        let edits = ["/r/a to /r/m|[0, 1, 2]", "/r/m|b\n|d\n|[0, 1, 2]", "/r/n|-|n|[0, 1, 2]"];
        check(&[event(json!({"changes": old}))], &edits);
        let item = json!({"type": "FileChange", "id": "c", "changes": {"/r/n": {"type": "add", "content": "n"}}});
        let completed =
            json!({"type": "event_msg", "payload": {"type": "item_completed", "item": item}});
        check(&[completed.to_string()], &["/r/n|-|n|[0, 1, 2]"]);
    }

    #[test]
    fn the_files_of_old_versions_are_bare() {
        let mut reader = Codex::new("codex", "file");
        let mut found = Vec::new();
        for (at, line) in [
            r#"{"id":"thread","timestamp":"2025-08-01T00:00:00Z","instructions":null}"#.to_owned(),
            serde_json::json!({"type": "function_call", "name": "shell", "call_id": "c",
                "arguments": serde_json::json!({"command": ["apply_patch", TEXT]}).to_string()})
            .to_string(),
            serde_json::json!({"type": "function_call_output", "call_id": "c", "output": DONE})
                .to_string(),
        ]
        .iter()
        .enumerate()
        {
            reader.line(at as u64, line.as_bytes(), &mut found).expect("a line of JSON");
        }
        let said: Vec<_> = found.iter().map(|it| (&*it.edit.session, &*it.edit.path)).collect();
        assert_eq!(said, [("thread", "a")]);
    }
}
