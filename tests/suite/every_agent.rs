//! What a plain commit by a person is worth, for every form in which agents
//! keep records: the same story on each.

use std::process::Command;

use countersign::gate::record::canonical::sha256;
use countersign::gate::trace::source::SOURCES;
use serde_json::{Value, json};

use crate::blame::record_claude_code;
use crate::databases::{open_code, zed};
use crate::fixture::{TestRepo, feed, is_below_an_agent};
use crate::shop::judged;

/// Half of the added lines are assisted: more than `mostly` lets pass; and of
/// those the tests execute all that have code, and none of the others.
const POLICY: &str = r#"schema = 1
[trust]
repo_id = "lines"
[people.ana]
kind = "human"
emails = ["ana@example.com"]
[people.bo]
kind = "human"
emails = ["bo@example.com"]
keys = [{ key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC7J062zgmHM2YXh3jS24mLalUhck2f3FetsVJzDGtu4" }]
[groups]
senior = ["bo"]
[[rule]]
id = "mostly"
when = { share = ">=0.5" }
require.approvals = [{ from = ["senior"] }]
[[rule]]
id = "all"
when = { share = ">0.5" }
deny = true
[[rule]]
id = "covered"
when = { assisted = true }
require.coverage = { min = 1.0 }
[test.unit]
run = "sh cover"
reports = { coverage = "target/report" }
"#;

const COVER: &str = "mkdir -p target\nprintf 'TN:\\nSF:src/a.rs\\nDA:1,0\\nDA:2,0\\nDA:6,1\\nDA:7,1\\nend_of_record\\n' >target/report\n";

const BEFORE: &str = "fn first() {\n    one();\n}\n";
const OLD: &str = "fn first() {\n";
const NEW: &str = "fn agents() {\n    work_hard();\n    work_more();\n}\nfn first() {\n";
const AFTER: &str = "fn people() {\n    think();\n}\n\nfn agents() {\n    work_hard();\n    work_more();\n}\nfn first() {\n    one();\n}\n";

/// What was typed to the agent: it never leaves the agent's own file.
const PROMPT: &str = "a prompt with a password";

/// Writes an agent's record of the edit; `false`: it cannot be made here.
type Write = fn(&TestRepo) -> bool;

fn story(agent: &str, write: Write) {
    if is_below_an_agent() {
        return;
    }
    let repo = TestRepo::new();
    let remote = repo.bare_remote();
    repo.write("countersign.toml", POLICY).write("cover", COVER);
    repo.write(".gitignore", "/target/\n.aider*\n.agent-trace/\n");
    repo.write("src/a.rs", BEFORE).commit("ana", "begin");
    repo.git(&["push", "-q", "-u", "origin", "main"]);
    repo.git(&["remote", "set-head", "origin", "main"]);
    repo.git(&["config", "user.name", "ana"]);
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["checkout", "-q", "-b", "work"]);
    assert!(repo.countersign(&["install"]).status.success());
    repo.write("src/a.rs", AFTER);
    if !write(&repo) {
        return;
    }

    // A person commits, as ever.
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Work"]);
    check(&repo, agent, "origin/main..work", 5);
    repo.git(&["push", "-q", "origin", "work"]);

    // In another clone, where the agent never was.
    std::fs::remove_dir_all(repo.home()).unwrap();
    std::fs::create_dir(repo.home()).unwrap();
    let other = remote.clone_as("other", &["-b", "work"]);
    other.git(&["config", "user.name", "bo"]);
    other.git(&["config", "user.email", "bo@example.com"]);
    check(&other, agent, "origin/main..work", 5);
    let ledger = other.git(&["grep", "-h", "", "origin/countersign-ledger"]);
    for text in ["work_hard", PROMPT, "think", &*repo.home().to_string_lossy()] {
        assert!(!ledger.contains(text), "{text}: {ledger}");
    }
    assert!(other.countersign(&["install"]).status.success());
    assert!(other.countersign(&["test", "origin/main..work"]).status.success());
    let rules = judged(&other, &["origin/main..work"]);
    assert_eq!(rules, ["block", "mostly approvals missing", "covered coverage satisfied"]);
    other.git(&["config", "core.hooksPath", "/dev/null"]);

    // Amended; moved, joined and reworded in an interactive rebase; squashed; picked.
    other.write("src/a.rs", format!("// A person's.\n{AFTER}"));
    other.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    check(&other, agent, "origin/main..work", 6);
    other.write("b", "1\n").commit("bo", "Beside");
    other.git(&["checkout", "-q", "-b", "base", "origin/main"]);
    other.write("c", "1\n").commit("bo", "Elsewhere");
    let mut rebase = other.git_command(&["rebase", "-q", "-i", "base", "work"]);
    rebase.env("GIT_SEQUENCE_EDITOR", "sed -i.bak -e 1s/pick/reword/ -e 2s/pick/squash/");
    assert_runs(rebase);
    assert_eq!(other.git(&["rev-list", "--count", "base..work"]), "1");
    check(&other, agent, "base..work", 6);
    other.git(&["checkout", "-q", "-b", "squashed", "base"]);
    other.git(&["merge", "-q", "--squash", "work"]);
    other.git(&["commit", "-q", "-m", "Squashed"]);
    check(&other, agent, "base..squashed", 6);
    other.git(&["checkout", "-q", "-b", "picked", "origin/main"]);
    other.git(&["cherry-pick", "work"]);
    check(&other, agent, "origin/main..picked", 6);
}

fn assert_runs(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The agent's four lines, and nothing else, are marked in the report and in
/// `blame`, from this line on.
#[track_caller]
fn check(repo: &TestRepo, agent: &str, range: &str, first: usize) {
    let output = repo.countersign(&["check", range, "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let files = report["attribution"]["files"].as_array().unwrap();
    let file = files.iter().find(|it| it["path"] == "src/a.rs").unwrap();
    let range =
        json!([{ "start": first, "end": first + 3, "agent": agent, "strength": "recorded" }]);
    assert_eq!(file["ranges"], range, "{report:#}");
    let output = repo.countersign(&["blame", "--format", "json", "src/a.rs"]);
    let blame: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let lines = blame["lines"].as_array().unwrap();
    for (number, line) in (1..).zip(lines) {
        let expected = (first..first + 4).contains(&number).then_some(agent);
        assert_eq!(line["agent"].as_str(), expected, "{number}: {blame:#}");
        assert_eq!(line["strength"].as_str(), expected.map(|_| "recorded"), "{number}: {blame:#}");
    }
}

/// Writes a file of the fake home: lines of JSON.
fn put(repo: &TestRepo, path: &str, lines: &[Value]) -> bool {
    let text: String = lines.iter().map(|it| format!("{it}\n")).collect();
    put_text(repo, path, &text)
}

fn put_text(repo: &TestRepo, path: &str, text: &str) -> bool {
    let path = repo.home().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    true
}

const TIME: &str = "2026-05-22T09:00:00.000Z";
const MILLISECONDS: i64 = 1_779_440_000_000;

fn file(repo: &TestRepo) -> String {
    repo.path().join("src/a.rs").to_str().unwrap().to_owned()
}

fn claude_code(repo: &TestRepo) -> bool {
    record_claude_code(repo, "s1", "src/a.rs", OLD, NEW);
    true
}

fn codex(repo: &TestRepo) -> bool {
    let added: String = NEW.lines().take(4).map(|it| format!("+{it}\n")).collect();
    let patch = format!(
        "*** Begin Patch\n*** Update File: src/a.rs\n@@\n{added} fn first() {{\n*** End Patch"
    );
    let row =
        |kind: &str, payload: Value| json!({ "timestamp": TIME, "type": kind, "payload": payload });
    put(
        repo,
        ".codex/sessions/2026/05/22/rollout-2026-05-22T09-00-00-t1.jsonl",
        &[
            row(
                "session_meta",
                json!({ "id": "t1", "cwd": repo.path(), "cli_version": "0.142.4" }),
            ),
            row("turn_context", json!({ "cwd": repo.path(), "model": "gpt-5-codex" })),
            row(
                "response_item",
                json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": PROMPT }] }),
            ),
            row(
                "response_item",
                json!({ "type": "custom_tool_call", "status": "completed", "call_id": "c1", "name": "apply_patch", "input": patch }),
            ),
            row(
                "response_item",
                json!({ "type": "custom_tool_call_output", "call_id": "c1", "output": "{\"output\":\"Success\",\"metadata\":{\"exit_code\":0}}" }),
            ),
        ],
    )
}

fn copilot_events(arguments: Value, tool: &str, start: Value) -> Vec<Value> {
    let row = |kind: &str, data: Value| json!({ "type": kind, "data": data, "id": "e", "timestamp": TIME });
    vec![
        row("session.start", start),
        row("user.message", json!({ "content": PROMPT })),
        row(
            "tool.execution_start",
            json!({ "toolCallId": "c1", "toolName": tool, "arguments": arguments }),
        ),
        row("tool.execution_complete", json!({ "toolCallId": "c1", "success": true })),
    ]
}

fn copilot_cli(repo: &TestRepo) -> bool {
    let arguments = json!({ "path": file(repo), "old_str": OLD, "new_str": NEW });
    let start = json!({ "sessionId": "c", "version": 1, "context": { "cwd": repo.path() } });
    put(repo, ".copilot/session-state/c/events.jsonl", &copilot_events(arguments, "edit", start))
}

fn copilot_vscode(repo: &TestRepo) -> bool {
    let arguments = json!({ "filePath": file(repo), "oldString": OLD, "newString": NEW });
    let events = copilot_events(arguments, "replace_string_in_file", json!({ "sessionId": "v" }));
    put(
        repo,
        ".config/Code/User/workspaceStorage/h/GitHub.copilot-chat/transcripts/v.jsonl",
        &events,
    )
}

fn cursor(repo: &TestRepo) -> bool {
    let row =
        |role: &str, content: Value| json!({ "role": role, "message": { "content": content } });
    let input = json!({ "path": file(repo), "old_string": OLD, "new_string": NEW });
    put(
        repo,
        ".cursor/projects/shop/agent-transcripts/c/c.jsonl",
        &[
            row("user", json!([{ "type": "text", "text": PROMPT }])),
            row("assistant", json!([{ "type": "tool_use", "name": "StrReplace", "input": input }])),
        ],
    )
}

fn gemini(repo: &TestRepo) -> bool {
    let args = json!({ "file_path": file(repo), "old_string": OLD, "new_string": NEW });
    put(
        repo,
        ".gemini/tmp/hash/chats/session-2026-05-22T09-00-g1.jsonl",
        &[
            json!({ "sessionId": "g1", "projectHash": "hash", "startTime": TIME, "kind": "main" }),
            json!({ "id": "u", "timestamp": TIME, "type": "user", "content": [{ "text": PROMPT }] }),
            json!({ "id": "m", "timestamp": TIME, "type": "gemini", "content": "", "model": "gemini-2.5-pro",
                "toolCalls": [{ "id": "r", "name": "replace", "args": args, "status": "success", "timestamp": TIME }] }),
        ],
    )
}

fn qwen(repo: &TestRepo) -> bool {
    let row = |kind: &str, further: Value| {
        let mut row = json!({ "uuid": kind, "sessionId": "q", "timestamp": TIME, "type": kind, "cwd": repo.path(), "version": "0.18.0" });
        row.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        row
    };
    let args = json!({ "file_path": file(repo), "old_string": OLD, "new_string": NEW });
    put(
        repo,
        ".qwen/projects/shop/chats/q.jsonl",
        &[
            row("user", json!({ "message": { "role": "user", "parts": [{ "text": PROMPT }] } })),
            row(
                "assistant",
                json!({ "model": "qwen3-coder-plus", "message": { "role": "model", "parts": [{ "functionCall": { "id": "c1", "name": "edit", "args": args } }] } }),
            ),
            row(
                "tool_result",
                json!({ "toolCallResult": { "callId": "c1", "status": "success" }, "message": { "role": "user", "parts": [{ "functionResponse": { "id": "c1", "name": "edit", "response": { "output": "ok" } } }] } }),
            ),
        ],
    )
}

fn droid(repo: &TestRepo) -> bool {
    let row = |role: &str, content: Value| json!({ "type": "message", "timestamp": TIME, "message": { "role": role, "content": content } });
    let input = json!({ "file_path": file(repo), "old_str": OLD, "new_str": NEW });
    put(
        repo,
        ".factory/sessions/-shop/d.jsonl",
        &[
            json!({ "type": "session_start", "id": "d", "cwd": repo.path() }),
            row("user", json!([{ "type": "text", "text": PROMPT }])),
            row(
                "assistant",
                json!([{ "type": "tool_use", "id": "t1", "name": "Edit", "input": input }]),
            ),
            row(
                "user",
                json!([{ "type": "tool_result", "tool_use_id": "t1", "is_error": false, "content": "edited" }]),
            ),
        ],
    )
}

fn pi(repo: &TestRepo) -> bool {
    let row = |message: Value| json!({ "type": "message", "timestamp": TIME, "message": message });
    let arguments = json!({ "path": "src/a.rs", "edits": [{ "oldText": OLD, "newText": NEW }] });
    put(
        repo,
        ".pi/agent/sessions/--shop--/2026_p.jsonl",
        &[
            json!({ "type": "session", "version": 3, "id": "p", "timestamp": TIME, "cwd": repo.path() }),
            row(json!({ "role": "user", "content": [{ "type": "text", "text": PROMPT }] })),
            row(
                json!({ "role": "assistant", "model": "claude-sonnet-4-5", "content": [{ "type": "toolCall", "id": "p1", "name": "edit", "arguments": arguments }] }),
            ),
            row(
                json!({ "role": "toolResult", "toolCallId": "p1", "toolName": "edit", "content": [], "isError": false }),
            ),
        ],
    )
}

fn windsurf(repo: &TestRepo) -> bool {
    let action = json!({ "acknowledgement_type": "ACKNOWLEDGEMENT_TYPE_ACCEPT", "path": format!("file://{}", file(repo)),
        "original_content": BEFORE, "new_content": BEFORE.replace(OLD, NEW) });
    put(
        repo,
        ".windsurf/transcripts/w.jsonl",
        &[
            json!({ "type": "user_input", "status": "done", "user_input": { "user_response": PROMPT } }),
            json!({ "type": "code_action", "status": "done", "code_action": action }),
        ],
    )
}

fn tasks(repo: &TestRepo, folder: &str, heading: &str, call: Value) -> bool {
    let folder_of = format!(
        "<environment_details>\n# Current {heading} Directory ({}) Files\n</environment_details>",
        repo.path().display()
    );
    let task = json!([
        { "role": "user", "ts": MILLISECONDS, "content": [{ "type": "text", "text": PROMPT }, { "type": "text", "text": folder_of }] },
        { "role": "assistant", "ts": MILLISECONDS + 1000, "content": [call] },
    ]);
    put_text(
        repo,
        &format!("{folder}/tasks/1779440000000/api_conversation_history.json"),
        &task.to_string(),
    )
}

fn cline(repo: &TestRepo) -> bool {
    let diff = format!("------- SEARCH\n{OLD}=======\n{NEW}+++++++ REPLACE\n");
    let call = json!({ "type": "tool_use", "id": "t1", "name": "replace_in_file", "input": { "path": "src/a.rs", "diff": diff } });
    tasks(repo, ".config/Code/User/globalStorage/saoudrizwan.claude-dev", "Working", call)
}

fn written_whole() -> Value {
    let content = BEFORE.replace(OLD, NEW);
    json!({ "type": "text", "text": format!("<write_to_file>\n<path>src/a.rs</path>\n<content>\n{content}</content>\n</write_to_file>") })
}

fn roo(repo: &TestRepo) -> bool {
    tasks(
        repo,
        ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline",
        "Workspace",
        written_whole(),
    )
}

fn kilo(repo: &TestRepo) -> bool {
    tasks(repo, ".config/Code/User/globalStorage/kilocode.kilo-code", "Workspace", written_whole())
}

fn continue_dev(repo: &TestRepo) -> bool {
    let arguments =
        json!({ "filepath": "src/a.rs", "old_string": OLD, "new_string": NEW }).to_string();
    let call = json!({ "id": "c1", "type": "function", "function": { "name": "single_find_and_replace", "arguments": arguments } });
    let session = json!({ "sessionId": "c", "workspaceDirectory": repo.path(), "history": [
        { "message": { "role": "user", "content": PROMPT } },
        { "message": { "role": "assistant", "content": "", "toolCalls": [call] },
          "toolCallStates": [{ "toolCallId": "c1", "toolCall": call, "status": "done" }] } ] });
    put_text(repo, ".continue/sessions/c.json", &session.to_string())
}

fn amp(repo: &TestRepo) -> bool {
    let input = json!({ "path": file(repo), "old_str": OLD, "new_str": NEW });
    let thread = json!({ "v": 85, "id": "T-1", "created": MILLISECONDS, "messages": [
        { "role": "user", "content": [{ "type": "text", "text": PROMPT }] },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "TU-1", "name": "edit_file", "input": input }], "usage": { "model": "claude-opus-4-6", "timestamp": TIME } },
        { "role": "user", "content": [{ "type": "tool_result", "toolUseID": "TU-1", "run": { "status": "done" } }] } ],
        "env": { "initial": { "trees": [{ "uri": format!("file://{}", repo.path().display()) }] } } });
    put_text(repo, ".local/share/amp/threads/T-1.json", &thread.to_string())
}

fn open_code_files(repo: &TestRepo) -> bool {
    let part = json!({ "id": "prt", "sessionID": "ses", "messageID": "msg", "type": "tool", "tool": "edit", "state": {
        "status": "completed", "input": { "filePath": file(repo), "oldString": OLD, "newString": NEW },
        "time": { "start": MILLISECONDS, "end": MILLISECONDS + 1000 } } });
    put_text(repo, ".local/share/opencode/storage/part/msg/prt.json", &part.to_string())
}

fn open_code_database(repo: &TestRepo) -> bool {
    open_code(repo, "ses", &[("src/a.rs", OLD, NEW)]).is_some()
}

fn zeds_database(repo: &TestRepo) -> bool {
    zed(repo, "src/a.rs", BEFORE, &BEFORE.replace(OLD, NEW)).is_some()
}

fn aider(repo: &TestRepo) -> bool {
    let chat = format!(
        "\n# aider chat started at 2026-05-22 07:02:20\n\n> Aider v0.86.1  \n> Main model: claude-sonnet-4-5 with diff edit format  \n\n#### {PROMPT}\n\nsrc/a.rs\n```rust\n<<<<<<< SEARCH\n{OLD}=======\n{NEW}>>>>>>> REPLACE\n```\n\n> Applied edit to src/a.rs  \n"
    );
    repo.write(".aider.chat.history.md", chat);
    true
}

fn git_ai(repo: &TestRepo) -> bool {
    let blob = sha256(AFTER.as_bytes());
    let log = repo.path().join(".git/ai/working_logs").join(repo.oid("HEAD").as_str());
    std::fs::create_dir_all(log.join("blobs")).unwrap();
    std::fs::write(log.join("blobs").join(&blob), AFTER).unwrap();
    let lines = [
        json!({ "start_line": 1, "end_line": 4, "author_id": "human", "overrode": null }),
        json!({ "start_line": 5, "end_line": 8, "author_id": "s_f8fd3067c13536::t_c76cb06422514a", "overrode": null }),
    ];
    let checkpoint = json!({ "kind": "AiAgent", "entries": [{ "file": "src/a.rs", "blob_sha": blob, "line_attributions": lines }],
        "timestamp": 1_795_402_964, "agent_id": { "tool": "claude", "id": "sess-1", "model": "m" }, "api_version": "checkpoint/1.0.0" });
    std::fs::write(log.join("checkpoints.jsonl"), format!("{checkpoint}\n")).unwrap();
    true
}

fn agent_trace(repo: &TestRepo) -> bool {
    let now = countersign::adapters::env::now().to_string();
    let range = json!({ "start_line": 5, "end_line": 8 });
    let trace = json!({ "version": "1.0", "id": "x", "timestamp": now, "tool": { "name": "cursor" }, "files": [{ "path": "src/a.rs", "conversations": [{ "contributor": { "type": "ai" }, "ranges": [range] }] }] });
    repo.write(".agent-trace/traces.jsonl", format!("{trace}\n"));
    true
}

fn told_by_a_hook(repo: &TestRepo) -> bool {
    let input = json!({ "file_path": file(repo), "old_string": OLD, "new_string": NEW });
    let payload = json!({ "session_id": "s1", "cwd": repo.path(), "hook_event_name": "PostToolUse", "tool_name": "Edit", "tool_input": input, "tool_use_id": "t1", "prompt": PROMPT });
    let told = repo.countersign_command(&["record", "--agent", "claude-code"]);
    feed(told, payload.to_string().as_bytes()).status.success()
}

macro_rules! stories {
    ($($test:ident: $agent:literal $write:ident,)*) => {
        $(#[test] fn $test() { story($agent, $write); })*

        /// Each row of the table of formats has its story.
        #[test]
        fn every_agent_of_the_table_has_its_story() {
            let told = [$($agent),*];
            for source in SOURCES {
                let rows = SOURCES.iter().filter(|it| it.agent == source.agent);
                let forms: Vec<_> = rows.map(|it| format!("{:?}", it.format)).collect();
                let different = forms.iter().collect::<std::collections::BTreeSet<_>>().len();
                let stories = told.iter().filter(|it| **it == source.agent).count();
                assert!(stories >= different, "{}: {stories} of {different}", source.agent);
            }
        }
    };
}

stories! {
    claude_codes_lines: "claude-code" claude_code,
    codexs_lines: "codex" codex,
    copilots_lines_on_the_command_line: "github-copilot" copilot_cli,
    copilots_lines_in_vs_code: "github-copilot" copilot_vscode,
    cursors_lines: "cursor" cursor,
    geminis_lines: "gemini-cli" gemini,
    qwens_lines: "qwen-code" qwen,
    droids_lines: "factory-droid" droid,
    pis_lines: "pi" pi,
    windsurfs_lines: "windsurf" windsurf,
    clines_lines: "cline" cline,
    roos_lines: "roo-code" roo,
    kilos_lines: "kilo-code" kilo,
    continues_lines: "continue" continue_dev,
    amps_lines: "amp" amp,
    opencodes_lines_in_files: "opencode" open_code_files,
    opencodes_lines_in_its_database: "opencode" open_code_database,
    zeds_lines: "zed" zeds_database,
    aiders_lines: "aider" aider,
    lines_that_git_ai_logged: "claude-code" git_ai,
    lines_that_agent_trace_tells: "cursor" agent_trace,
    lines_that_a_hook_told: "claude-code" told_by_a_hook,
}
