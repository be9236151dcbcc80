//! Agents' own hook configurations: which file, which events, and how our
//! command is put in and taken out. Other people's hooks stay byte for byte.
//!
//! Forms as the agents' documentation gives them in 2026: Claude Code, Codex,
//! Gemini CLI, Qwen Code, Factory's Droid and Windsurf and Cursor keep JSON,
//! Copilot reads every file of a folder, Cline runs executables of a name, and
//! OpenCode loads plugins.

pub mod json;

use json::{Kind, Node, NotJson, append, parse, remove};

/// Where a configuration holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This repository, for everybody who works in it.
    Project,
    /// This user, in every repository.
    User,
}

/// An agent that can be connected.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The agent's id in the catalogue.
    pub agent: &'static str,
    /// The user's file, or the folder of scripts: `~` is the home, `$NAME` a variable; the first whose
    /// variable is set.
    pub user: &'static [&'static str],
    /// The project's, below the top of the work tree.
    pub project: &'static str,
    /// The file at which another form than ours would stand.
    pub instead: Option<&'static str>,
    pub form: Form,
    /// What is left to do for the person.
    pub then: &'static str,
}

/// How hooks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"hooks":{EVENT:[{"matcher":M,"hooks":[{"type":"command","command":C}]}]}}`
    Matched { events: &'static [&'static str], matcher: &'static str },
    /// `{"version":1,"hooks":{EVENT:[{"command":C}]}}`, without a version for Windsurf.
    Listed { events: &'static [&'static str], version: bool },
    /// A file of our own, in Copilot's form.
    Copilot,
    /// Executables of our own, one for each event.
    Scripts,
    /// A plugin of our own.
    Plugin,
}

const RESTART: &str = "start a new session of the agent: it reads its hooks at the beginning";

/// The agents that can be connected.
pub const ROWS: &[Row] = &[
    Row {
        agent: "claude-code",
        user: &["$CLAUDE_CONFIG_DIR/settings.json", "~/.claude/settings.json"],
        project: ".claude/settings.json",
        instead: None,
        form: Form::Matched {
            events: &["PreToolUse", "PostToolUse"],
            matcher: "Edit|MultiEdit|Write|NotebookEdit|Bash",
        },
        then: RESTART,
    },
    Row {
        agent: "codex",
        user: &["$CODEX_HOME/hooks.json", "~/.codex/hooks.json"],
        project: ".codex/hooks.json",
        instead: None,
        form: Form::Matched {
            events: &["PreToolUse", "PostToolUse"],
            matcher: "apply_patch|Edit|Write|Bash",
        },
        then: "start a new session of Codex, and trust the hooks when it asks (`/hooks`)",
    },
    Row {
        agent: "cursor",
        user: &["~/.cursor/hooks.json"],
        project: ".cursor/hooks.json",
        instead: None,
        form: Form::Listed {
            events: &["afterFileEdit", "beforeShellExecution", "afterShellExecution"],
            version: true,
        },
        then: RESTART,
    },
    Row {
        agent: "gemini-cli",
        user: &["$GEMINI_CLI_HOME/.gemini/settings.json", "~/.gemini/settings.json"],
        project: ".gemini/settings.json",
        instead: None,
        form: Form::Matched {
            events: &["BeforeTool", "AfterTool"],
            matcher: "write_file|replace|run_shell_command",
        },
        then: "start a new session; older versions want `tools.enableHooks` in the same file",
    },
    Row {
        agent: "qwen-code",
        user: &["~/.qwen/settings.json"],
        project: ".qwen/settings.json",
        instead: None,
        form: Form::Matched { events: &["PreToolUse", "PostToolUse"], matcher: "*" },
        then: RESTART,
    },
    Row {
        agent: "github-copilot",
        user: &["$COPILOT_HOME/hooks/countersign.json", "~/.copilot/hooks/countersign.json"],
        project: ".github/hooks/countersign.json",
        instead: None,
        form: Form::Copilot,
        then: RESTART,
    },
    Row {
        agent: "windsurf",
        user: &["~/.codeium/windsurf/hooks.json"],
        project: ".windsurf/hooks.json",
        instead: None,
        form: Form::Listed {
            events: &["pre_write_code", "post_write_code", "pre_run_command", "post_run_command"],
            version: false,
        },
        then: RESTART,
    },
    Row {
        agent: "factory-droid",
        user: &["~/.factory/settings.json"],
        project: ".factory/settings.json",
        // It has precedence, and its form is not known well enough.
        instead: Some("hooks.json"),
        form: Form::Matched {
            events: &["PreToolUse", "PostToolUse"],
            matcher: "Create|Edit|MultiEdit|ApplyPatch|Write|Execute",
        },
        then: RESTART,
    },
    Row {
        agent: "opencode",
        user: &[
            "$XDG_CONFIG_HOME/opencode/plugins/countersign.js",
            "~/.config/opencode/plugins/countersign.js",
        ],
        project: ".opencode/plugins/countersign.js",
        instead: None,
        form: Form::Plugin,
        then: RESTART,
    },
    Row {
        agent: "cline",
        user: &["~/Documents/Cline/Hooks"],
        project: ".clinerules/hooks",
        instead: None,
        form: Form::Scripts,
        then: "switch hooks on in Cline's settings",
    },
];

/// Why an agent that we know cannot be connected.
pub fn reason(agent: &str) -> Option<&'static str> {
    Some(match agent {
        "amp" => "its plugins are marked as experimental and change without notice",
        "pi" => "its extensions are TypeScript programs, whose interface is not known well enough",
        "kiro" => "its hooks get no session's id, and changed with version 1",
        "continue" | "antigravity" => "the file of its hooks is not known for certain",
        "roo-code" | "kilo-code" | "aider" | "zed" | "devin" | "jules" => {
            "it has no hooks that are known"
        }
        _ => return None,
    })
}

/// The row of an agent.
pub fn row(agent: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.agent == agent)
}

/// What cannot be edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(transparent)]
    NotJson(#[from] NotJson),
    #[error("`{0}` holds something else than hooks")]
    Shape(String),
    #[error("another program's hook of this name stands there already")]
    Taken,
}

/// The command of a hook: `program` may hold a path.
pub fn command(program: &str, agent: &str, guard: bool) -> String {
    let program = shlex::try_quote(program).map_or_else(|_| program.to_owned(), Into::into);
    let guard = if guard { " --guard" } else { "" };
    format!("{program} record --agent {agent}{guard}")
}

/// Whether a hook's command is ours, wherever the program lies and whatever it
/// is named there.
fn is_ours(command: &str) -> bool {
    let words = shlex::split(command).unwrap_or_default();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [_, "record", "--agent", ..] => true,
        [program, "record", ..] => {
            let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
            name.strip_suffix(".exe").unwrap_or(name) == "countersign"
        }
        _ => false,
    }
}

/// The file with our hooks in it: what stood there before (`None`: no file),
/// without our own hooks of an earlier time, and ours. `event` is the name of a
/// script's event.
pub fn connect(
    form: Form,
    before: Option<&str>,
    command: &str,
    event: &str,
) -> Result<String, Unfit> {
    match form {
        Form::Matched { events, matcher } => {
            let hook = |_: &str| {
                format!(
                    "{{\n  \"matcher\": {},\n  \"hooks\": [\n    {{\n      \"type\": \"command\",\n      \"command\": {}\n    }}\n  ]\n}}",
                    quoted(matcher),
                    quoted(command)
                )
            };
            put_in(before, events, "{}\n", hook)
        }
        Form::Listed { events, version } => {
            let begin = if version { "{\n  \"version\": 1\n}\n" } else { "{}\n" };
            put_in(before, events, begin, |_| format!("{{\n  \"command\": {}\n}}", quoted(command)))
        }
        Form::Copilot => own(before, copilot(command)),
        Form::Scripts => own(before, script(command, event)),
        Form::Plugin => own(before, plugin(command)),
    }
}

/// The file without our hooks; `None` where nothing but ours stood in it.
pub fn disconnect(form: Form, before: &str) -> Result<Option<String>, Unfit> {
    match form {
        Form::Matched { .. } | Form::Listed { .. } => {
            let text = take_out(before)?;
            Ok(Some(text).filter(|text| text == before || !is_empty(text)))
        }
        Form::Copilot | Form::Scripts | Form::Plugin if is_own(before) => Ok(None),
        Form::Copilot | Form::Scripts | Form::Plugin => Ok(Some(before.to_owned())),
    }
}

/// How our hook stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Absent,
    Connected { guard: bool },
}

/// Whether our hooks stand in a file.
pub fn state(form: Form, text: &str) -> State {
    let commands = match form {
        Form::Matched { .. } | Form::Listed { .. } => {
            parse(text).map(|root| commands(&root)).unwrap_or_default()
        }
        Form::Copilot | Form::Scripts | Form::Plugin if is_own(text) => vec![text.to_owned()],
        Form::Copilot | Form::Scripts | Form::Plugin => Vec::new(),
    };
    match commands.first() {
        Some(command) => State::Connected { guard: command.contains("--guard") },
        None => State::Absent,
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn put_in(
    before: Option<&str>,
    events: &[&str],
    begin: &str,
    hook: impl Fn(&str) -> String,
) -> Result<String, Unfit> {
    let before = before.filter(|it| !it.trim().is_empty()).unwrap_or(begin);
    let mut text = take_out(before)?;
    for event in events {
        let root = parse(&text)?;
        if !matches!(root.kind, Kind::Object(_)) {
            return Err(Unfit::Shape("the file".to_owned()));
        }
        let child = hook(event);
        text = match root.get("hooks") {
            None => {
                let list = child.replace('\n', "\n    ");
                append(
                    &text,
                    &root,
                    &format!("\"hooks\": {{\n  {}: [\n    {list}\n  ]\n}}", quoted(event)),
                )
            }
            Some(hooks) => match (hooks.get(event), &hooks.kind) {
                (None, Kind::Object(_)) => {
                    let list = child.replace('\n', "\n  ");
                    append(&text, hooks, &format!("{}: [\n  {list}\n]", quoted(event)))
                }
                (Some(list @ Node { kind: Kind::Array(_), .. }), _) => append(&text, list, &child),
                (Some(_), _) => return Err(Unfit::Shape(format!("hooks.{event}"))),
                (None, _) => return Err(Unfit::Shape("hooks".to_owned())),
            },
        };
    }
    Ok(text)
}

/// Takes our hooks out, and the lists that only held them.
fn take_out(before: &str) -> Result<String, Unfit> {
    let mut text = before.to_owned();
    while let Some(shorter) = take_one(&text, &parse(&text)?) {
        text = shorter;
    }
    Ok(text)
}

fn take_one(text: &str, root: &Node) -> Option<String> {
    let Kind::Object(parts) = &root.kind else { return None };
    let at = parts.iter().position(|it| it.key == "hooks")?;
    let hooks = &parts.get(at)?.value;
    let Kind::Object(events) = &hooks.kind else { return None };
    for (number, event) in events.iter().enumerate() {
        let list = event.value.items();
        for (index, entry) in list.iter().enumerate() {
            let inner = entry.get("hooks");
            let ours = |it: &Node| it.get("command").and_then(Node::text).is_some_and(is_ours);
            let only = match inner {
                Some(inner) => {
                    let Some(place) = inner.items().iter().position(ours) else { continue };
                    // Somebody put theirs beside ours.
                    if inner.items().len() > 1 {
                        return Some(remove(text, inner, place));
                    }
                    true
                }
                None => ours(entry),
            };
            if only {
                return Some(match (list.len(), events.len()) {
                    (1, 1) => remove(text, root, at),
                    (1, _) => remove(text, hooks, number),
                    (_, _) => remove(text, &event.value, index),
                });
            }
        }
    }
    None
}

/// The commands of ours in a file.
fn commands(root: &Node) -> Vec<String> {
    let Some(Kind::Object(events)) = root.get("hooks").map(|it| &it.kind) else {
        return Vec::new();
    };
    let entries = events.iter().flat_map(|event| event.value.items());
    let inner = entries
        .flat_map(|entry| entry.get("hooks").map_or(std::slice::from_ref(entry), Node::items));
    let all = inner.filter_map(|it| it.get("command").and_then(Node::text));
    all.filter(|it| is_ours(it)).map(str::to_owned).collect()
}

/// Whether nothing of anybody is in a file: no members, or the version alone.
fn is_empty(text: &str) -> bool {
    let Ok(root) = parse(text) else { return false };
    match &root.kind {
        Kind::Object(members) => members.iter().all(|it| it.key == "version"),
        Kind::Array(_) | Kind::Text(_) | Kind::Other => false,
    }
}

/// What a file of our own holds, so that we know it again.
const OURS: &str = "countersign agents connect";

fn is_own(text: &str) -> bool {
    text.contains(OURS)
}

fn own(before: Option<&str>, text: String) -> Result<String, Unfit> {
    match before {
        Some(before) if !is_own(before) && !before.trim().is_empty() => Err(Unfit::Taken),
        Some(_) | None => Ok(text),
    }
}

fn copilot(command: &str) -> String {
    let hook = format!(
        "[\n      {{\n        \"type\": \"command\",\n        \"bash\": {0},\n        \"powershell\": {0},\n        \"timeoutSec\": 30,\n        \"comment\": \"written by {OURS}\"\n      }}\n    ]",
        quoted(command)
    );
    format!(
        "{{\n  \"version\": 1,\n  \"hooks\": {{\n    \"preToolUse\": {hook},\n    \"postToolUse\": {hook}\n  }}\n}}\n"
    )
}

fn script(command: &str, event: &str) -> String {
    format!(
        "#!/bin/sh\n# {event} of Cline, written by {OURS}; `countersign agents disconnect cline` removes it.\nexec {command}\n"
    )
}

fn plugin(command: &str) -> String {
    let words = shlex::split(command).unwrap_or_default();
    let words: Vec<String> = words.iter().map(|it| quoted(it)).collect();
    format!(
        r#"// Written by {OURS} opencode; `countersign agents disconnect opencode` removes it.
// Tells countersign of each call of a tool before and after it is made.
import {{ spawnSync }} from "node:child_process"

const command = [{words}]
const tools = ["edit", "write", "patch", "multiedit", "apply_patch", "bash"]

function tell(event, input, args, directory) {{
  if (!tools.includes(input.tool)) return
  const payload = {{
    session_id: input.sessionID,
    cwd: directory,
    hook_event_name: event,
    tool_name: input.tool,
    tool_use_id: input.callID,
    tool_input: args ?? {{}},
  }}
  return spawnSync(command[0], command.slice(1), {{ input: JSON.stringify(payload), timeout: 10000, encoding: "utf8" }})
}}

export const Countersign = async ({{ directory }}) => {{
  const calls = new Map()
  return {{
    "tool.execute.before": async (input, output) => {{
      calls.set(input.callID, output.args)
      const answer = tell("PreToolUse", input, output.args, directory)
      if (answer?.status === 2) throw new Error(answer.stderr)
    }},
    "tool.execute.after": async (input) => {{
      const args = calls.get(input.callID) ?? input.args
      calls.delete(input.callID)
      tell("PostToolUse", input, args, directory)
    }},
  }}
}}
"#,
        words = words.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::signal::catalogue::Catalogue;

    fn form(agent: &str) -> Form {
        row(agent).unwrap().form
    }

    /// Connects, and disconnects again: what stood there must come back.
    #[track_caller]
    fn check(agent: &str, before: Option<&str>, expected: &str) {
        let ours = command("countersign", agent, false);
        let text = connect(form(agent), before, &ours, "PreToolUse").unwrap();
        assert_eq!(text, expected);
        assert_eq!(state(form(agent), &text), State::Connected { guard: false });
        // A second time changes nothing, and the guard replaces ours.
        assert_eq!(connect(form(agent), Some(&text), &ours, "PreToolUse").unwrap(), text);
        let guarded = command("/opt/my tools/countersign", agent, true);
        let other = connect(form(agent), Some(&text), &guarded, "PreToolUse").unwrap();
        assert_eq!(state(form(agent), &other), State::Connected { guard: true });
        for text in [text, other] {
            assert_eq!(disconnect(form(agent), &text).unwrap().as_deref(), before);
        }
    }

    const CLAUDE: &str = r#"{
  "hooks": {
    "PreToolUse": [
      {
        "matcher": "Edit|MultiEdit|Write|NotebookEdit|Bash",
        "hooks": [
          {
            "type": "command",
            "command": "countersign record --agent claude-code"
          }
        ]
      }
    ],
    "PostToolUse": [
      {
        "matcher": "Edit|MultiEdit|Write|NotebookEdit|Bash",
        "hooks": [
          {
            "type": "command",
            "command": "countersign record --agent claude-code"
          }
        ]
      }
    ]
  }
}
"#;

    #[test]
    fn a_file_of_our_own_is_removed_whole() {
        check("claude-code", None, CLAUDE);
        check(
            "cursor",
            None,
            "{\n  \"version\": 1,\n  \"hooks\": {\n    \"afterFileEdit\": [\n      {\n        \"command\": \"countersign record --agent cursor\"\n      }\n    ],\n    \"beforeShellExecution\": [\n      {\n        \"command\": \"countersign record --agent cursor\"\n      }\n    ],\n    \"afterShellExecution\": [\n      {\n        \"command\": \"countersign record --agent cursor\"\n      }\n    ]\n  }\n}\n",
        );
    }

    #[test]
    fn what_others_wrote_stays_byte_for_byte() {
        let others = "{\n\t\"model\": \"opus\", // mine\n\t\"hooks\": {\n\t\t\"PreToolUse\": [{ \"matcher\": \"Bash\", \"hooks\": [{\"type\":\"command\",\"command\":\"git-ai checkpoint claude\"}] }],\n\t\t\"Stop\": []\n\t}\n}";
        let ours = command("countersign", "claude-code", false);
        let text = connect(form("claude-code"), Some(others), &ours, "").unwrap();
        assert!(text.contains("git-ai checkpoint claude") && text.contains("// mine"), "{text}");
        assert_eq!(text.matches("countersign record").count(), 2, "{text}");
        assert_eq!(disconnect(form("claude-code"), &text).unwrap().as_deref(), Some(others));
        let plain = "{\n    \"permissions\": {\n        \"allow\": []\n    }\n}\n";
        let text = connect(form("claude-code"), Some(plain), &ours, "").unwrap();
        assert_eq!(disconnect(form("claude-code"), &text).unwrap().as_deref(), Some(plain));
        // Nothing of ours: nothing happens.
        assert_eq!(disconnect(form("claude-code"), others).unwrap().as_deref(), Some(others));
        assert_eq!(disconnect(form("claude-code"), "{}").unwrap().as_deref(), Some("{}"));
    }

    #[test]
    fn a_hook_that_somebody_put_beside_ours_stays() {
        let text = CLAUDE.replace(
            "            \"command\": \"countersign record --agent claude-code\"\n          }\n",
            "            \"command\": \"countersign record --agent claude-code\"\n          },\n          {\n            \"type\": \"command\",\n            \"command\": \"theirs\"\n          }\n",
        );
        let left = disconnect(form("claude-code"), &text).unwrap().unwrap();
        assert_eq!(
            (left.matches("theirs").count(), left.matches("countersign").count()),
            (2, 0),
            "{left}"
        );
        assert!(parse(&left).is_ok());
    }

    #[test]
    fn what_is_of_another_form_is_left_alone() {
        let ours = command("countersign", "claude-code", false);
        let connect =
            |text| connect(form("claude-code"), Some(text), &ours, "").map_err(|it| it.to_string());
        assert_eq!(connect("{"), Err("line 1 is no JSON".to_owned()));
        assert_eq!(connect("[]"), Err("`the file` holds something else than hooks".to_owned()));
        assert_eq!(
            connect(r#"{"hooks":[]}"#),
            Err("`hooks` holds something else than hooks".to_owned())
        );
        assert_eq!(
            connect(r#"{"hooks":{"PreToolUse":{}}}"#),
            Err("`hooks.PreToolUse` holds something else than hooks".to_owned())
        );
    }

    #[test]
    fn files_of_our_own_are_known_again() {
        for agent in ["github-copilot", "opencode", "cline"] {
            let ours = command("/opt/countersign", agent, true);
            let text = connect(form(agent), None, &ours, "PreToolUse").unwrap();
            assert_eq!(state(form(agent), &text), State::Connected { guard: true }, "{text}");
            assert_eq!(disconnect(form(agent), &text), Ok(None));
            assert_eq!(connect(form(agent), Some("theirs"), &ours, ""), Err(Unfit::Taken));
            assert_eq!(disconnect(form(agent), "theirs"), Ok(Some("theirs".to_owned())));
        }
        assert!(parse(&copilot("a \"b\"")).is_ok());
    }

    #[test]
    fn our_command_is_known_under_every_name() {
        let known = [
            "countersign record",
            "'/opt/my tools/countersign-0.1' record --agent codex --guard",
            r"'C:\bin\countersign.exe' record",
            "git-ai checkpoint claude",
            "other record",
            "record --agent x",
        ];
        assert_eq!(known.map(is_ours), [true, true, true, false, false, false]);
    }

    #[test]
    fn every_row_is_of_a_known_agent() {
        for row in ROWS {
            assert!(Catalogue::built_in().knows(row.agent), "{}", row.agent);
            assert_eq!(reason(row.agent), None);
        }
    }
}
