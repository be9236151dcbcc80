//! What agents write to their hooks' standard input: one JSON object a call.
//!
//! Most agents share one shape, `{session_id, cwd, hook_event_name, tool_name,
//! tool_input, tool_response, tool_use_id}`, in snake or camel case (Claude Code,
//! Codex, Droid, Gemini CLI, Qwen Code, VS Code, Kiro, Continue). Cursor, Copilot's
//! command line, Windsurf and Cline have their own, and other programs may send
//! git-ai's `agent-v1`. Shapes as the agents' documentation and git-ai 1.6.24
//! give them.

use serde_json::Value;
use serde_json::value::to_raw_value;

use super::super::record::canonical::sha256;
use super::super::trace::git_ai::agent_of;
use super::super::trace::{Texts, tool};

/// The longest name or id that is kept, in characters.
const NAME: usize = 200;

/// The most files of one call.
const FILES: usize = 512;

/// One call of an agent's tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The agent's id in the catalogue.
    pub agent: String,
    pub session: String,
    pub model: Option<String>,
    /// The agent's own record of the session, where it says.
    pub transcript: Option<String>,
    /// What tells this call from others of the session, before and after alike.
    pub call: String,
    /// Whether `call` is the agent's own id of the call.
    pub named: bool,
    /// The working directory, as written.
    pub cwd: Option<String>,
    pub phase: Phase,
    pub act: Act,
    /// Which way the agent takes a refusal.
    pub form: Form,
}

/// When the hook was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Before,
    After,
}

/// What the call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It puts these texts into files.
    Edit(Vec<Write>),
    /// It changes these files; what it writes is not said.
    Files(Vec<File>),
    /// It runs a command, which may change any file.
    Shell(String),
    /// It changes no file, or failed.
    Nothing,
}

/// A text for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub texts: Texts,
    /// The text was replaced wherever it stood.
    pub everywhere: bool,
}

/// A file that is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: String,
    /// Its content in an editor, not yet on the disk.
    pub buffer: Option<String>,
}

/// The shape of a payload, by which a refusal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Claude Code's, and those that took it over.
    Common,
    Cursor,
    Copilot,
    Windsurf,
    Cline,
    AgentV1,
}

/// The payload is not one that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("the hook's input is not a JSON object")]
    NotJson,
    #[error("the hook's input is of no known shape")]
    UnknownShape,
}

/// Reads a payload. `agent` is the id under which the hook was connected.
/// `Ok(None)`: another hook tells of the same call.
pub fn read(agent: Option<&str>, bytes: &[u8]) -> Result<Option<Payload>, Unread> {
    let value = parse(bytes).filter(Value::is_object).ok_or(Unread::NotJson)?;
    let fields = Fields(&value);
    let read = None
        .or_else(|| agent_v1(&fields))
        .or_else(|| windsurf(&fields))
        .or_else(|| cline(&fields))
        .or_else(|| cursor(&fields))
        .or_else(|| copilot(&fields))
        .or_else(|| common(&fields));
    let mut payload = read.ok_or(Unread::UnknownShape)?;
    // Cursor and VS Code also run the hooks of Claude Code's settings: there
    // they would count as Claude Code.
    let foreign = payload.form == Form::Cursor
        || fields.text(&["cursor_version"]).is_some()
        || payload.transcript.as_deref().is_some_and(is_copilots);
    if agent == Some("claude-code") && foreign {
        return Ok(None);
    }
    match agent {
        Some(agent) if payload.form != Form::AgentV1 || payload.agent == UNKNOWN => {
            payload.agent = agent_of(agent);
        }
        Some(_) | None => {}
    }
    Ok(Some(payload))
}

/// The agent whose name is not told.
const UNKNOWN: &str = "unknown-ai";

/// Some agents write control characters into strings as they are.
fn parse(bytes: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Some(value);
    }
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len() + 64);
    let (mut inside, mut escaped) = (false, false);
    for character in text.trim_start_matches('\u{feff}').chars() {
        if inside && (character as u32) < 0x20 {
            plain.push_str(&format!("\\u{:04x}", character as u32));
            escaped = false;
            continue;
        }
        match character {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && character == '\\' && !escaped;
        plain.push(character);
    }
    serde_json::from_str(&plain).ok()
}

fn is_copilots(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.contains("github.copilot") || path.contains("/.copilot/")
}

/// The fields of an object, under any of several names.
struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    fn get(&self, names: &[&str]) -> Option<&'a Value> {
        names.iter().find_map(|name| self.0.get(name)).filter(|it| !it.is_null())
    }

    fn text(&self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.0.get(name)?.as_str()).filter(|it| !it.is_empty())
    }

    fn inner(&self, names: &[&str]) -> Fields<'a> {
        Fields(self.get(names).unwrap_or(&Value::Null))
    }
}

/// What is the same of every form.
fn payload(form: Form, agent: &str, fields: &Fields<'_>, phase: Phase, act: Act) -> Payload {
    const SESSION: [&str; 6] =
        ["session_id", "sessionId", "conversation_id", "trajectory_id", "taskId", "completion_id"];
    let model = fields.get(&["model"]).and_then(|model| {
        let parts = Fields(model);
        model.as_str().or_else(|| parts.text(&["slug", "id", "modelId", "name"]))
    });
    let model = model.or_else(|| fields.text(&["model_name", "model_id"]));
    let cwd = fields.text(&["cwd", "repo_working_dir", "workspacePath"]);
    let roots = fields.get(&["workspace_roots", "workspaceRoots"]);
    let root = roots.and_then(|it| it.as_array()?.first()?.as_str());
    let id =
        fields.text(&["tool_use_id", "toolUseId", "tool_call_id", "toolCallId", "execution_id"]);
    // Some name calls by what they do only, which is the same before and after.
    let call = id.map_or_else(|| digest(fields), short);
    Payload {
        agent: agent.to_owned(),
        session: fields.text(&SESSION).map_or_else(|| "unknown".to_owned(), short),
        model: model.filter(|it| !matches!(*it, "unknown" | "default" | "auto")).map(short),
        transcript: fields.text(&["transcript_path", "transcriptPath"]).map(str::to_owned),
        call,
        named: id.is_some(),
        cwd: cwd.or(root).map(str::to_owned),
        phase,
        act,
        form,
    }
}

/// A name for the call: its tool and arguments.
fn digest(fields: &Fields<'_>) -> String {
    const ARGUMENTS: [&str; 9] = [
        "tool_name",
        "toolName",
        "tool_input",
        "toolInput",
        "toolArgs",
        "command",
        "tool_info",
        "file_path",
        "edits",
    ];
    let mut text = String::new();
    for name in ARGUMENTS {
        if let Some(value) = fields.get(&[name]) {
            text.push_str(&value.to_string());
            text.push('\n');
        }
    }
    let inner = fields.inner(&["preToolUse", "postToolUse"]);
    for name in ["toolName", "parameters"] {
        text.extend(inner.get(&[name]).map(Value::to_string));
    }
    sha256(text.as_bytes()).chars().take(16).collect()
}

fn short(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(NAME).collect()
}

/// git-ai's form for other programs.
fn agent_v1(fields: &Fields<'_>) -> Option<Payload> {
    fields.text(&["repo_working_dir"])?;
    let buffers = fields.get(&["dirty_files"]).and_then(Value::as_object);
    let files = |name: &str| {
        let paths = fields.get(&[name]).and_then(Value::as_array).into_iter().flatten();
        let paths = paths.filter_map(Value::as_str).take(FILES);
        let buffer = |path: &str| buffers?.get(path)?.as_str().map(str::to_owned);
        paths.map(|path| File { path: path.to_owned(), buffer: buffer(path) }).collect()
    };
    let command = fields.text(&["command"]).unwrap_or_default().to_owned();
    let (phase, act) = match fields.text(&["type"])? {
        "human" => (Phase::Before, Act::Files(files("will_edit_filepaths"))),
        "ai_agent" => (Phase::After, Act::Files(files("edited_filepaths"))),
        "pre_shell_command" => (Phase::Before, Act::Shell(command)),
        "post_shell_command" => (Phase::After, Act::Shell(command)),
        _ => return None,
    };
    let agent = fields.text(&["agent_name"]).map_or_else(|| UNKNOWN.to_owned(), agent_of);
    let mut payload = payload(Form::AgentV1, &agent, fields, phase, act);
    // What stood there before is told without a session and without a call.
    if matches!(payload.act, Act::Files(_)) {
        payload.call = "files".to_owned();
        payload.named = fields.text(&["tool_use_id"]).is_some();
        if let Some(id) = fields.text(&["tool_use_id"]).filter(|_| phase == Phase::After) {
            payload.call = short(id);
        }
    }
    Some(payload)
}

fn windsurf(fields: &Fields<'_>) -> Option<Payload> {
    let (phase, what) = match fields.text(&["agent_action_name"])? {
        "pre_write_code" => (Phase::Before, "edit"),
        "post_write_code" => (Phase::After, "edit"),
        "pre_run_command" => (Phase::Before, "shell"),
        "post_run_command" => (Phase::After, "shell"),
        _ => (Phase::After, "other"),
    };
    let call = fields.inner(&["tool_info"]);
    let act = match what {
        "edit" => act("edit", call.0, fields),
        "shell" => Act::Shell(command(&call)),
        _ => Act::Nothing,
    };
    let mut payload = payload(Form::Windsurf, "windsurf", fields, phase, act);
    payload.cwd = payload.cwd.or_else(|| call.text(&["cwd"]).map(str::to_owned));
    // An execution has several calls.
    payload.call = digest(fields);
    payload.named = false;
    Some(payload)
}

fn cline(fields: &Fields<'_>) -> Option<Payload> {
    let phase = match fields.text(&["hookName"])? {
        "PreToolUse" => Phase::Before,
        _ => Phase::After,
    };
    let call = fields.inner(&["preToolUse", "postToolUse"]);
    let tool = call.text(&["toolName", "tool"]).unwrap_or_default();
    let failed = call.get(&["success"]).and_then(Value::as_bool) == Some(false);
    let parameters = call.inner(&["parameters"]);
    let act = match (is_shell(tool), failed) {
        (true, _) => Act::Shell(command(&parameters)),
        (false, true) => Act::Nothing,
        (false, false) => act(tool, parameters.0, fields),
    };
    Some(payload(Form::Cline, "cline", fields, phase, act))
}

fn cursor(fields: &Fields<'_>) -> Option<Payload> {
    fields.text(&["conversation_id"])?;
    let (phase, act) = match event(fields)? {
        "afterFileEdit" | "afterTabFileEdit" => (Phase::After, act("edit", fields.0, fields)),
        "beforeShellExecution" => (Phase::Before, Act::Shell(command(fields))),
        "afterShellExecution" => (Phase::After, Act::Shell(command(fields))),
        "preToolUse" => (Phase::Before, of_tool(fields)),
        "postToolUse" => (Phase::After, of_tool(fields)),
        _ => (Phase::After, Act::Nothing),
    };
    Some(payload(Form::Cursor, "cursor", fields, phase, act))
}

/// The command line's and the cloud agent's own form, which names no event.
fn copilot(fields: &Fields<'_>) -> Option<Payload> {
    fields.get(&["toolArgs"])?;
    let after = fields.get(&["toolResult"]);
    let phase = if after.is_some() { Phase::After } else { Phase::Before };
    Some(payload(Form::Copilot, "github-copilot", fields, phase, of_tool(fields)))
}

fn common(fields: &Fields<'_>) -> Option<Payload> {
    let phase = match event(fields)? {
        "PreToolUse" | "preToolUse" | "BeforeTool" => Phase::Before,
        _ => Phase::After,
    };
    let named = fields.text(&["tool_name", "toolName"]).is_some();
    let act = if named { of_tool(fields) } else { Act::Nothing };
    let agent = agent_of_transcript(fields.text(&["transcript_path", "transcriptPath"]));
    Some(payload(Form::Common, agent, fields, phase, act))
}

/// Whose hook this is where nobody said.
fn agent_of_transcript(path: Option<&str>) -> &'static str {
    let path = path.unwrap_or_default().replace('\\', "/");
    let known = [
        ("/.claude/", "claude-code"),
        ("/.codex/", "codex"),
        ("/.gemini/", "gemini-cli"),
        ("/.qwen/", "qwen-code"),
        ("/.factory/", "factory-droid"),
        ("/.copilot/", "github-copilot"),
        ("GitHub.copilot", "github-copilot"),
    ];
    known.iter().find(|(part, _)| path.contains(part)).map_or(UNKNOWN, |(_, agent)| agent)
}

fn event<'a>(fields: &Fields<'a>) -> Option<&'a str> {
    fields.text(&["hook_event_name", "hookEventName", "event"])
}

/// What a call of a named tool does.
fn of_tool(fields: &Fields<'_>) -> Act {
    let tool = fields.text(&["tool_name", "toolName"]).unwrap_or_default();
    let input = fields.get(&["tool_input", "toolInput", "toolArgs"]).unwrap_or(&Value::Null);
    // Copilot may write the arguments as a text that holds JSON.
    let parsed: Option<Value> = input.as_str().and_then(|text| serde_json::from_str(text).ok());
    let input = parsed.as_ref().unwrap_or(input);
    if is_shell(tool) {
        return Act::Shell(match input.as_str() {
            Some(line) => line.to_owned(),
            None => command(&Fields(input)),
        });
    }
    if failed(fields) {
        return Act::Nothing;
    }
    act(tool, input, fields)
}

fn failed(fields: &Fields<'_>) -> bool {
    let response = fields.inner(&["tool_response", "toolResponse", "toolResult", "tool_result"]);
    let is =
        |names: &[&str], value: bool| response.get(names).and_then(Value::as_bool) == Some(value);
    let outcome = response.text(&["resultType", "status"]);
    let bad = matches!(outcome, Some("failure" | "error" | "denied" | "rejected" | "cancelled"));
    let event = event(fields).is_some_and(|it| it.ends_with("Failure"));
    is(&["success"], false) || is(&["is_error", "isError"], true) || bad || event
}

/// What a tool that edits files does with these arguments.
fn act(tool: &str, input: &Value, fields: &Fields<'_>) -> Act {
    let arguments = Fields(input);
    let raw = to_raw_value(input).ok();
    let edits = raw.map(|raw| tool::edits(tool, &raw)).unwrap_or_default();
    let everywhere = arguments
        .get(&["replace_all", "replaceAll", "expected_replacements"])
        .is_some_and(|it| it.as_bool() == Some(true) || it.as_u64().is_some_and(|count| count > 1));
    if edits.is_empty() {
        return Act::Files(if edits_files(tool) { paths(&arguments) } else { Vec::new() });
    }
    // What stood in a file that is written whole, where the agent says.
    let response = fields.inner(&["tool_response", "toolResponse"]);
    let original = response.text(&["originalFile"]).filter(|_| edits.len() == 1);
    let write = |mut texts: Texts| {
        if texts.old.is_none() {
            texts.old = original.map(str::to_owned);
        }
        Write { texts, everywhere }
    };
    Act::Edit(edits.into_iter().map(write).collect())
}

/// Whether a tool changes files, of which it may name the paths alone.
fn edits_files(tool: &str) -> bool {
    const TOOLS: [&str; 14] = [
        "applypatch",
        "applydiff",
        "create",
        "createfile",
        "edit",
        "editfiles",
        "editnotebook",
        "editnotebookfile",
        "insertedit",
        "multiedit",
        "notebookedit",
        "patch",
        "write",
        "delete",
    ];
    let plain: String = tool.chars().filter(|it| !matches!(it, '_' | '-')).collect();
    TOOLS.contains(&plain.to_lowercase().as_str())
}

fn paths(arguments: &Fields<'_>) -> Vec<File> {
    const PATH: [&str; 6] =
        ["file_path", "filePath", "path", "notebook_path", "notebookPath", "target_file"];
    let one = arguments.text(&PATH).map(str::to_owned);
    let many = arguments.get(&["files", "paths", "file_paths", "filePaths"]);
    let many = many.and_then(Value::as_array).into_iter().flatten();
    let many = many.filter_map(|it| it.as_str().or_else(|| Fields(it).text(&PATH)));
    let all = one.into_iter().chain(many.map(str::to_owned)).take(FILES);
    all.map(|path| File { path, buffer: None }).collect()
}

fn is_shell(tool: &str) -> bool {
    const TOOLS: [&str; 16] = [
        "bash",
        "shell",
        "sh",
        "powershell",
        "execute",
        "executecommand",
        "executebash",
        "execcommand",
        "runshellcommand",
        "runinterminal",
        "runterminalcommand",
        "runterminalcmd",
        "runcommand",
        "localshell",
        "shellcommand",
        "terminal",
    ];
    let plain: String = tool.chars().filter(|it| !matches!(it, '_' | '-')).collect();
    TOOLS.contains(&plain.to_lowercase().as_str())
}

/// The command line; words of a list are put together so that they split again.
fn command(arguments: &Fields<'_>) -> String {
    const NAMES: [&str; 6] = ["command", "cmd", "command_line", "commandLine", "script", "input"];
    match arguments.get(&NAMES) {
        Some(Value::String(line)) => line.clone(),
        Some(Value::Array(words)) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            shlex::try_join(words.iter().copied()).unwrap_or_else(|_| words.join(" "))
        }
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: `agent|session|model|call|cwd|phase|act`, with the call as
    /// `-` where the agent does not name it.
    #[track_caller]
    fn check(agent: Option<&str>, text: &str, expected: &str) {
        let said = match read(agent, text.as_bytes()) {
            Ok(Some(it)) => {
                let call = if it.named { it.call.as_str() } else { "-" };
                let model = it.model.as_deref().unwrap_or("-");
                let cwd = it.cwd.as_deref().unwrap_or("-");
                let act = shown(&it.act);
                format!("{}|{}|{model}|{call}|{cwd}|{:?}|{act}", it.agent, it.session, it.phase)
            }
            Ok(None) => "told elsewhere".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{text}");
    }

    fn shown(act: &Act) -> String {
        match act {
            Act::Edit(writes) => {
                let one = |it: &Write| {
                    let Texts { path, old, new, .. } = &it.texts;
                    let all = if it.everywhere { " everywhere" } else { "" };
                    format!("{path}: {:?} -> {new:?}{all}", old.as_deref().unwrap_or("-"))
                };
                writes.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            Act::Files(files) => {
                let one = |it: &File| match &it.buffer {
                    Some(buffer) => format!("{}={buffer:?}", it.path),
                    None => it.path.clone(),
                };
                format!("files {}", files.iter().map(one).collect::<Vec<_>>().join(", "))
            }
            Act::Shell(line) => format!("$ {line}"),
            Act::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn claude_code_and_its_kin_are_read() {
        let claude = |tool: &str, input: &str, more: &str| {
            format!(
                r#"{{"session_id":"s1","transcript_path":"/h/.claude/projects/x.jsonl","cwd":"/r","hook_event_name":"PostToolUse","tool_name":"{tool}","tool_use_id":"toolu_1","tool_input":{input}{more}}}"#
            )
        };
        let begin = "claude-code|s1|-|toolu_1|/r|After|";
        let edit = r#"{"file_path":"/r/a","old_string":"x","new_string":"y"}"#;
        check(None, &claude("Edit", edit, ""), &format!("{begin}/r/a: \"x\" -> \"y\""));
        let all = edit.replace('}', r#","replace_all":true}"#);
        check(None, &claude("Edit", &all, ""), &format!("{begin}/r/a: \"x\" -> \"y\" everywhere"));
        let multi = r#"{"file_path":"/r/a","edits":[{"old_string":"1","new_string":"2"},{"old_string":"3","new_string":"4"}]}"#;
        check(
            None,
            &claude("MultiEdit", multi, ""),
            &format!("{begin}/r/a: \"1\" -> \"2\", /r/a: \"3\" -> \"4\""),
        );
        let whole = r#"{"file_path":"/r/a","content":"n\n"}"#;
        check(None, &claude("Write", whole, ""), &format!("{begin}/r/a: \"-\" -> \"n\\n\""));
        let known = r#","tool_response":{"type":"update","originalFile":"o\n"}"#;
        check(None, &claude("Write", whole, known), &format!("{begin}/r/a: \"o\\n\" -> \"n\\n\""));
        let cell = r#"{"notebook_path":"/r/n.ipynb","new_source":"x"}"#;
        check(None, &claude("NotebookEdit", cell, ""), &format!("{begin}files /r/n.ipynb"));
        let line = r#"{"command":"sed -i s/a/b/ a","description":"d"}"#;
        check(None, &claude("Bash", line, ""), &format!("{begin}$ sed -i s/a/b/ a"));
        let failed = r#","tool_response":{"success":false}"#;
        check(None, &claude("Edit", edit, failed), &format!("{begin}nothing"));
        check(None, &claude("Read", r#"{"file_path":"/r/a"}"#, ""), &format!("{begin}files "));
        check(
            Some("claude-code"),
            &claude("Edit", edit, r#","cursor_version":"2.1""#),
            "told elsewhere",
        );
    }

    #[test]
    fn every_other_shape_is_read() {
        check(
            Some("codex"),
            r#"{"session_id":"s","turn_id":"t","transcript_path":null,"cwd":"/r","hook_event_name":"PreToolUse","model":"gpt-5-codex","permission_mode":"default","tool_name":"Bash","tool_input":{"command":["bash","-lc","ls > a"]},"tool_use_id":"call_1"}"#,
            "codex|s|gpt-5-codex|call_1|/r|Before|$ bash -lc 'ls > a'",
        );
        check(
            Some("codex"),
            r#"{"session_id":"s","cwd":"/r","hook_event_name":"PostToolUse","model":"m","tool_name":"apply_patch","tool_input":{"command":"*** Begin Patch\n*** Add File: b\n+n\n*** End Patch"},"tool_use_id":"c"}"#,
            "codex|s|m|c|/r|After|b: \"-\" -> \"n\\n\"",
        );
        check(
            None,
            r#"{"conversation_id":"c","generation_id":"g","hook_event_name":"afterFileEdit","workspace_roots":["/r"],"model":"gpt-5","file_path":"/r/m.go","edits":[{"old_string":"a","new_string":"b"}]}"#,
            "cursor|c|gpt-5|-|/r|After|/r/m.go: \"a\" -> \"b\"",
        );
        check(
            None,
            r#"{"conversation_id":"c","hook_event_name":"beforeShellExecution","command":"ls","cwd":"/r/x","workspace_roots":["/r"]}"#,
            "cursor|c|-|-|/r/x|Before|$ ls",
        );
        check(
            Some("gemini-cli"),
            r#"{"session_id":"s","transcript_path":"/h/.gemini/x","cwd":"/r","hook_event_name":"AfterTool","timestamp":"t","tool_name":"replace","tool_input":{"file_path":"/r/a","old_string":"1","new_string":"2"},"tool_response":{"llmContent":"x","returnDisplay":"y"}}"#,
            "gemini-cli|s|-|-|/r|After|/r/a: \"1\" -> \"2\"",
        );
        check(
            None,
            r#"{"session_id":"s","transcript_path":"/h/.qwen/x","cwd":"/r","hook_event_name":"BeforeTool","tool_name":"run_shell_command","tool_input":{"command":"make"}}"#,
            "qwen-code|s|-|-|/r|Before|$ make",
        );
        check(
            None,
            r#"{"timestamp":1704614400000,"cwd":"/r","sessionId":"s","toolName":"create","toolArgs":"{\"path\":\"/r/a\",\"file_text\":\"x\"}","toolResult":{"resultType":"success"}}"#,
            "github-copilot|s|-|-|/r|After|/r/a: \"-\" -> \"x\"",
        );
        check(
            None,
            r#"{"timestamp":1,"cwd":"/r","toolName":"bash","toolArgs":{"command":"ls"}}"#,
            "github-copilot|unknown|-|-|/r|Before|$ ls",
        );
        check(
            Some("github-copilot"),
            r#"{"timestamp":"t","cwd":"/r","sessionId":"s","hookEventName":"PostToolUse","tool_name":"editFiles","tool_input":{"files":["src/main.ts"]},"tool_use_id":"tool-123","tool_response":"File edited successfully"}"#,
            "github-copilot|s|-|tool-123|/r|After|files src/main.ts",
        );
        check(
            None,
            "{\"agent_action_name\":\"post_write_code\",\"trajectory_id\":\"t\",\"execution_id\":\"e\",\"model_name\":\"swe-1\",\"tool_info\":{\"file_path\":\"/r/a\",\"edits\":[{\"old_string\":\"a\\\\\n\",\"new_string\":\"b\tc\"}]}}",
            "windsurf|t|swe-1|-|-|After|/r/a: \"a\\\\\\n\" -> \"b\\tc\"",
        );
        check(
            None,
            r#"{"agent_action_name":"pre_run_command","trajectory_id":"t","tool_info":{"command_line":"ls","cwd":"/r"}}"#,
            "windsurf|t|-|-|/r|Before|$ ls",
        );
        check(
            Some("factory-droid"),
            r#"{"session_id":"s","cwd":"/r","permission_mode":"off","hookEventName":"PostToolUse","tool_name":"Create","tool_input":{"file_path":"/r/a","content":"x"},"tool_response":{"success":true}}"#,
            "factory-droid|s|-|-|/r|After|/r/a: \"-\" -> \"x\"",
        );
        check(
            None,
            r#"{"hookName":"PostToolUse","clineVersion":"3","taskId":"17","workspaceRoots":["/r"],"model":{"provider":"p","slug":"m"},"postToolUse":{"toolName":"write_to_file","parameters":{"path":"a","content":"x"},"success":true}}"#,
            "cline|17|m|-|/r|After|a: \"-\" -> \"x\"",
        );
        check(
            None,
            r#"{"hookName":"PreToolUse","taskId":"17","workspaceRoots":["/r"],"preToolUse":{"toolName":"execute_command","parameters":{"command":"ls"}}}"#,
            "cline|17|-|-|/r|Before|$ ls",
        );
        check(
            Some("kiro"),
            r#"{"hook_event_name":"postToolUse","cwd":"/r","tool_name":"fs_write","tool_input":{"command":"strReplace","path":"/r/a","oldStr":"1","newStr":"2"}}"#,
            "kiro|unknown|-|-|/r|After|/r/a: \"1\" -> \"2\"",
        );
        check(
            Some("opencode"),
            r#"{"session_id":"s","cwd":"/r","hook_event_name":"PostToolUse","tool_name":"edit","tool_use_id":"c","tool_input":{"filePath":"/r/a","oldString":"1","newString":"2"}}"#,
            "opencode|s|-|c|/r|After|/r/a: \"1\" -> \"2\"",
        );
    }

    #[test]
    fn agent_v1_is_read() {
        check(
            None,
            r#"{"type":"human","repo_working_dir":"/r","will_edit_filepaths":["a"],"dirty_files":{"a":"x"}}"#,
            "unknown-ai|unknown|-|-|/r|Before|files a=\"x\"",
        );
        check(
            Some("house-bot"),
            r#"{"type":"ai_agent","repo_working_dir":"/r","edited_filepaths":["a","b"],"agent_name":"claude","model":"m","conversation_id":"c","tool_use_id":"t"}"#,
            "claude-code|c|m|t|/r|After|files a, b",
        );
        check(
            Some("house-bot"),
            r#"{"type":"post_shell_command","repo_working_dir":"/r","conversation_id":"c","tool_use_id":"t","command":"make"}"#,
            "house-bot|c|-|t|/r|After|$ make",
        );
    }

    #[test]
    fn before_and_after_have_one_name() {
        let call = |event: &str, more: &str| {
            let text = format!(
                r#"{{"session_id":"s","cwd":"/r","hook_event_name":"{event}","tool_name":"write_file","tool_input":{{"file_path":"a","content":"x"}}{more}}}"#
            );
            read(None, text.as_bytes()).unwrap().unwrap().call
        };
        assert_eq!(call("BeforeTool", ""), call("AfterTool", r#","tool_response":{}"#));
    }

    #[test]
    fn what_is_no_payload_is_said_to_be_none() {
        for text in ["", "7", "[]", "{", "\u{0}", "\"x\""] {
            check(None, text, "the hook's input is not a JSON object");
        }
        check(None, "{}", "the hook's input is of no known shape");
        check(None, r#"{"hook_event_name":7}"#, "the hook's input is of no known shape");
        check(
            Some("../x"),
            r#"{"hook_event_name":"PostToolUse","session_id":"a\u001bb"}"#,
            "unknown-ai|ab|-|-|-|After|nothing",
        );
    }
}
