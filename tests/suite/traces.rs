//! Agents' session records: found in a fake home, read as far as they are new,
//! whatever they hold.

use std::path::{Path, PathBuf};
use std::process::Output;

use countersign::adapters::env::Env;
use countersign::adapters::store::Store;
use countersign::adapters::traces::{self, Limits, Notes, Wanted};
use countersign::gate::change::RepoPath;
use countersign::gate::time::Timestamp;
use countersign::gate::trace::source::{Format, SOURCES};
use countersign::gate::trace::{Found, Skipped};
use proptest::prelude::*;

use super::fixture::TestRepo;

/// Records written by hand in the shapes that others published. A version in the
/// name is that of the agent that is known to write so; without one it is not known.
fn fixture(name: &str) -> String {
    let ending = if name.ends_with(".json") || name.ends_with(".md") { "" } else { ".jsonl" };
    std::fs::read_to_string(format!("tests/fixtures/traces/{name}{ending}")).unwrap()
}

/// All edits of a file, and how many of its lines were skipped.
fn read(agent: &str, bytes: &[u8]) -> (Vec<Found>, u64) {
    let source = SOURCES.iter().find(|it| it.agent == agent).unwrap();
    let mut reader = source.reader("file");
    let (mut found, mut skipped, mut at) = (Vec::new(), 0, 0);
    if matches!(source.format, Format::Document(_)) {
        skipped += u64::from(reader.line(0, bytes, &mut found) == Err(Skipped));
        return (found, skipped);
    }
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(whole) = line.strip_suffix(b"\n") {
            skipped += u64::from(reader.line(at, whole, &mut found) == Err(Skipped));
        }
        at += line.len() as u64;
    }
    (found, skipped)
}

/// `path: old -> new (model, time)` of every edit.
#[track_caller]
fn check(agent: &str, name: &str, session: &str, expected: &[&str]) {
    let (found, skipped) = read(agent, fixture(name).as_bytes());
    let said: Vec<String> = found
        .iter()
        .map(|Found { edit, .. }| {
            assert_eq!((edit.agent.as_str(), edit.session.as_str()), (agent, session));
            let cwd = edit.cwd.as_deref().map(|it| it.trim_start_matches("file://"));
            assert!(cwd.is_none_or(|it| it == "/home/ana/shop"));
            let time = edit.time.map(|it| it.to_string()).unwrap_or_default();
            let model = edit.model.as_deref().unwrap_or("-");
            if let Some(from) = &edit.from {
                return format!("{from} to {} ({model}, {time})", edit.path);
            }
            format!("{}: {:?} -> {:?} ({model}, {time})", edit.path, edit.old, edit.new)
        })
        .collect();
    assert_eq!(said, expected);
    assert_eq!(skipped, 0);
}

#[test]
fn claude_code_is_read_with_and_without_results_of_its_own() {
    let session = "01b5c3aa-7d0e-4c43-9a55-3f2f5b1f7a10";
    check(
        "claude-code",
        "claude-code-2.1",
        session,
        &[
            r#"/home/ana/shop/src/cart.rs: Some("fn cart() {}") -> "fn cart() {\n    total();\n}" (claude-opus-4-5-20251101, 2026-05-20T10:04:00Z)"#,
            r#"/home/ana/shop/src/total.rs: None -> "pub fn total() -> u32 {\n    0\n}\n" (claude-sonnet-4-5-20250929, 2026-05-20T10:06:00Z)"#,
            r#"/home/ana/notes.txt: None -> "elsewhere\n" (claude-opus-4-5-20251101, 2026-05-20T10:12:00Z)"#,
        ],
    );
    check(
        "claude-code",
        "claude-code-2.1-subagent",
        session,
        &[
            r#"/home/ana/shop/tests/cart.rs: Some("one") -> "uno" (claude-haiku-4-5-20251001, 2026-05-20T10:22:00Z)"#,
            r#"/home/ana/shop/tests/cart.rs: Some("two") -> "dos" (claude-haiku-4-5-20251001, 2026-05-20T10:22:00Z)"#,
        ],
    );
    check(
        "claude-code",
        "claude-code-plain",
        session,
        &[r#"src/name.rs: Some("a") -> "b" (claude-sonnet-4-20250514, 2026-05-20T10:32:00Z)"#],
    );
}

#[test]
fn codex_is_read_by_its_events_and_by_its_commands() {
    check(
        "codex",
        "codex-0.142",
        "019e0525-5611-7202-87ca-812ea5b71a01",
        &[
            r#"/home/ana/shop/src/cart.rs: Some("fn cart() {\n    total();\n}\n") -> "fn cart() {\n    total(1);\n}\n" (gpt-5-codex, 2026-05-21T11:04:00Z)"#,
            r#"/home/ana/shop/src/tax.rs: None -> "pub fn tax() {}\n" (gpt-5-codex, 2026-05-21T11:04:00Z)"#,
        ],
    );
    check(
        "codex",
        "codex-shell",
        "0199aaaa-5611-7202-87ca-812ea5b71a01",
        &[
            "/home/ana/shop/src/cart.rs to /home/ana/shop/src/basket.rs (gpt-5, 2026-05-21T11:12:00Z)",
            r#"/home/ana/shop/src/basket.rs: Some("fn cart() {\n") -> "fn basket() {\n" (gpt-5, 2026-05-21T11:12:00Z)"#,
        ],
    );
}

#[test]
fn copilot_is_read_on_the_command_line_and_in_the_editor() {
    check(
        "github-copilot",
        "copilot-cli-1.0",
        "b7809992-26bc-4fc3-86ab-21e27421cee8",
        &[
            r#"/home/ana/shop/hello.py: None -> "print('hello')\n" (claude-sonnet-4.6, 2026-05-22T09:03:00Z)"#,
            r#"/home/ana/shop/hello.py: Some("hello") -> "good day" (claude-sonnet-4.6, 2026-05-22T09:05:00Z)"#,
        ],
    );
    check(
        "github-copilot",
        "copilot-vscode",
        "4d1c",
        &[r#"/home/ana/shop/jokes.csv: Some("A") -> "B" (-, 2026-05-22T09:12:00Z)"#],
    );
}

#[test]
fn other_agents_are_read() {
    check(
        "cursor",
        "cursor",
        "file",
        &[
            r#"/home/ana/shop/a.txt: None -> "one\n" (-, )"#,
            r#"/home/ana/shop/a.txt: Some("one") -> "two" (-, )"#,
        ],
    );
    check(
        "gemini-cli",
        "gemini-cli",
        "g-1",
        &[
            r#"/home/ana/shop/index.ts: Some("let") -> "const" (gemini-2.5-pro, 2026-05-22T09:21:02Z)"#,
        ],
    );
    check(
        "qwen-code",
        "qwen-code-0.18",
        "q-session",
        &[
            r#"/home/ana/shop/probe.txt: None -> "hello\n" (qwen3-coder-plus, 2026-05-22T09:32:00Z)"#,
        ],
    );
    check(
        "factory-droid",
        "factory-droid",
        "d-session",
        &[r#"/home/ana/shop/c.txt: None -> "c\n" (-, 2026-05-22T09:42:00Z)"#],
    );
    check(
        "pi",
        "pi",
        "p-session",
        &[
            r#"src/main.rs: Some("before") -> "after" (claude-sonnet-4-5, 2026-05-22T09:53:00Z)"#,
            r#"src/main.rs: Some("b") -> "c" (claude-sonnet-4-5, 2026-05-22T09:53:00Z)"#,
        ],
    );
    check(
        "windsurf",
        "windsurf",
        "file",
        &[r#"file:///home/ana/shop/x%20y.md: Some("a\n") -> "a\nb\n" (-, )"#],
    );
}

#[test]
fn sessions_that_are_documents_are_read() {
    check(
        "cline",
        "cline.json",
        "file",
        &[r#"src/a.ts: Some("let a\n") -> "const a\n" (claude-sonnet-4-5, 2026-05-22T08:53:21Z)"#],
    );
    check(
        "roo-code",
        "roo-code.json",
        "file",
        &[r#"src/b.ts: None -> "export {}\n" (-, 2026-05-22T08:53:23Z)"#],
    );
    check("continue", "continue.json", "0f1e", &[r#"src/a.py: Some("foo") -> "bar" (GPT-4o, )"#]);
    check(
        "amp",
        "amp.json",
        "T-019ca1f6-7d0e-4c43-9a55-3f2f5b1f7a10",
        &[r#"/home/ana/shop/a.go: Some("x") -> "y" (claude-opus-4-6, 2026-05-22T09:10:00Z)"#],
    );
    check(
        "opencode",
        "opencode.json",
        "ses_1",
        &[r#"/home/ana/shop/index.ts: Some("a") -> "b" (-, 2026-05-22T08:53:21Z)"#],
    );
}

#[test]
fn a_document_that_is_cut_off_holds_nothing() {
    for (agent, name) in [
        ("cline", "cline.json"),
        ("continue", "continue.json"),
        ("amp", "amp.json"),
        ("opencode", "opencode.json"),
    ] {
        let text = fixture(name);
        for end in 0..text.trim_end().len() {
            assert_eq!(read(agent, &text.as_bytes()[..end]), (Vec::new(), 1), "{name} at {end}");
        }
        for other in
            ["[]", "{}", "7", "null", "[[{}]]", r#"{"history":7,"messages":{},"state":[]}"#]
        {
            assert_eq!(read(agent, other.as_bytes()), (Vec::new(), 0), "{agent} {other}");
        }
    }
}

/// The fixtures, with their agent.
fn all_fixtures() -> Vec<(&'static str, String)> {
    let names = [
        ("claude-code", "claude-code-plain"),
        ("claude-code", "claude-code-2.1"),
        ("claude-code", "claude-code-2.1-subagent"),
        ("codex", "codex-0.142"),
        ("codex", "codex-shell"),
        ("cursor", "cursor"),
        ("factory-droid", "factory-droid"),
        ("gemini-cli", "gemini-cli"),
        ("github-copilot", "copilot-cli-1.0"),
        ("github-copilot", "copilot-vscode"),
        ("pi", "pi"),
        ("qwen-code", "qwen-code-0.18"),
        ("windsurf", "windsurf"),
    ];
    names.map(|(agent, name)| (agent, fixture(name))).to_vec()
}

#[test]
fn a_cut_off_record_loses_only_the_cut_line() {
    for (agent, text) in all_fixtures() {
        let (all, _) = read(agent, text.as_bytes());
        for end in 0..text.len() {
            let cut = &text.as_bytes()[..end];
            let whole = cut.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let (expected, _) = read(agent, &cut[..whole]);
            assert_eq!(read(agent, cut), (expected.clone(), 0), "{agent} at {end}");
            assert_eq!(expected, all[..expected.len()], "{agent} at {end}");
            // The same where the line was ended all the same.
            let (found, skipped) = read(agent, &[cut, b"\n"].concat());
            assert!(skipped <= 1 && found.len() >= expected.len(), "{agent} at {end}");
            assert_eq!(found[..expected.len()], expected, "{agent} at {end}");
        }
    }
}

#[test]
fn an_edit_is_found_again_from_its_lines_alone() {
    for (agent, text) in all_fixtures() {
        let source = SOURCES.iter().find(|it| it.agent == agent).unwrap();
        for original in read(agent, text.as_bytes()).0 {
            let mut reader = source.reader("file");
            let mut found = Vec::new();
            for at in &original.lines {
                let line = text[usize::try_from(*at).unwrap()..].lines().next().unwrap();
                reader.line(*at, line.as_bytes(), &mut found).unwrap();
            }
            assert!(found.contains(&original), "{agent}: {original:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for source in SOURCES {
            read(source.agent, &bytes);
        }
    }

    /// Damage of any kind to one line costs no edit that other lines tell of.
    #[test]
    fn damage_costs_only_its_lines(
        which in 0usize..13,
        line in 0usize..20,
        at in 0usize..400,
        put in prop_oneof!["[\"{}\\[\\],:\\\\]{0,3}", "\"(cwd|type|payload|message|call_id)\":", "\u{0}|ä|null|[0-9]{1,30}"],
        cut in 0usize..60,
    ) {
        let (agent, text) = all_fixtures().swap_remove(which);
        let mut lines: Vec<Vec<u8>> = text.lines().map(|it| it.as_bytes().to_vec()).collect();
        let number = line % lines.len();
        let damaged = &mut lines[number];
        let at = at.min(damaged.len());
        let end = (at + cut).min(damaged.len());
        damaged.splice(at..end, put.bytes().filter(|byte| *byte != b'\n'));
        let original = read(agent, text.as_bytes()).0;
        let begin: usize = text.lines().take(number).map(|it| it.len() + 1).sum();
        let kept = original.iter().filter(|it| it.lines.iter().all(|at| *at < begin as u64));
        let found = read(agent, &lines.join(&b'\n')).0;
        for edit in kept {
            prop_assert!(found.contains(edit));
        }
    }
}

/// What a line of some megabytes makes of a reader is bounded.
#[test]
fn hostile_lines_cost_little() {
    let begins = "apply_patch *** Begin Patch\\n".repeat(50_000);
    let command = serde_json::json!({"command": begins}).to_string();
    let lines = [
        (
            "codex",
            serde_json::json!({"payload": {"type": "function_call", "call_id": "c", "arguments": command}}),
        ),
        (
            "codex",
            serde_json::json!({"payload": {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch",
            "input": format!("*** Begin Patch\n{}", "*** Add File: a\n+b\n".repeat(50_000))}}),
        ),
        (
            "claude-code",
            serde_json::json!({"message": {"content": [{"type": "tool_use", "id": "t", "name": "Edit",
            "input": {"file_path": "a", "edits": vec![serde_json::json!({"old_string": "", "new_string": ""}); 50_000]}}]}}),
        ),
        (
            "claude-code",
            serde_json::json!({"message": {"content": [{"type": "tool_use", "id": "t", "name": "Write",
            "input": {"file_path": "a".repeat(100_000), "content": "x"}}]}}),
        ),
        (
            "claude-code",
            serde_json::json!({"message": {"content": vec![serde_json::json!({"type": "tool_use", "id": "t",
            "name": "Write", "input": {"file_path": "a", "content": "x".repeat(100)}}); 50_000]}}),
        ),
    ];
    let counts = lines.map(|(agent, line)| {
        let source = SOURCES.iter().find(|it| it.agent == agent).unwrap();
        let mut reader = source.reader("file");
        reader.line(0, line.to_string().as_bytes(), &mut Vec::new()).unwrap();
        reader.open().len()
    });
    assert_eq!(counts, [0, 1024, 1024, 0, 64]);
    let deep = format!("{{\"tool_use\":\"Edit\",\"message\":{}", "[".repeat(100_000));
    for source in SOURCES {
        assert_eq!(read(source.agent, format!("{deep}\n").as_bytes()).0, []);
    }
}

/// A repository with a fake home, in which agents keep records.
struct Machine {
    repo: TestRepo,
}

const SESSION: &str = "01b5c3aa-7d0e-4c43-9a55-3f2f5b1f7a10";
const THREAD: &str = "019e0525-5611-7202-87ca-812ea5b71a01";

impl Machine {
    fn new() -> Machine {
        let repo = TestRepo::new();
        repo.commit_file("ana", "README.md", "shop\n", "Begin");
        Machine { repo }
    }

    /// Puts a fixture below the home, as written by a session in this repository.
    fn keep(&self, place: &str, name: &str) -> PathBuf {
        self.put(place, &self.told(name))
    }

    /// A fixture, as written by a session in this repository.
    fn told(&self, name: &str) -> String {
        fixture(name).replace("/home/ana/shop", self.repo.path().to_str().unwrap())
    }

    fn put(&self, place: &str, text: &str) -> PathBuf {
        let path = self.repo.home().join(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    #[track_caller]
    fn scan(&self) -> Output {
        let output = self.repo.countersign(&["scan", "--sessions"]);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        output
    }

    /// The rows of `scan --sessions`, as `path agent lines`.
    #[track_caller]
    fn rows(&self) -> Vec<String> {
        let output = self.repo.countersign(&["scan", "--sessions", "--format", "json"]);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        let rows = String::from_utf8(output.stdout).unwrap();
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("path"), text("agent"), row["lines"])
        };
        rows.lines().map(row).collect()
    }

    /// The remembered offsets, as bytes.
    fn cache(&self) -> Vec<u8> {
        std::fs::read(self.repo.path().join(".git/countersign/cache/sessions")).unwrap()
    }
}

fn project(name: &str) -> String {
    format!(".claude/projects/-home-ana-shop/{name}.jsonl")
}

fn rollout(name: &str) -> String {
    format!(".codex/sessions/2026/05/21/rollout-2026-05-21T11-00-00-{name}.jsonl")
}

/// Makes a file or folder as if it was last written so many days before the first commit.
fn age(path: &Path, days: u64) {
    let file = match path.is_dir() {
        true => std::fs::File::open(path).unwrap(),
        false => std::fs::File::options().append(true).open(path).unwrap(),
    };
    let now = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_760_000_000);
    file.set_modified(now - std::time::Duration::from_secs(days * 86_400)).unwrap();
}

#[test]
fn what_agents_recorded_of_the_change_is_shown() {
    let machine = Machine::new();
    machine.keep(&project(SESSION), "claude-code-2.1");
    let place = format!(".claude/projects/-home-ana-shop/{SESSION}/subagents/agent-a1b2c3.jsonl");
    machine.keep(&place, "claude-code-2.1-subagent");
    machine.keep(&rollout(THREAD), "codex-0.142");
    machine.repo.write("src/cart.rs", "x\n").write("tests/cart.rs", "x\n").git(&["add", "-A"]);
    machine.repo.write("src/tax.rs", "x\n");
    let said = String::from_utf8(machine.scan().stdout).unwrap();
    snapbox::assert_data_eq!(
        said,
        "\
src/cart.rs  2026-05-20T10:04:00Z  claude-code  claude-opus-4-5-20251101  3 lines  session 01b5c3aa-7d0e-4c43-9a55-3f2f5b1f7a10
src/cart.rs  2026-05-21T11:04:00Z  codex  gpt-5-codex  1 line  session 019e0525-5611-7202-87ca-812ea5b71a01
src/tax.rs  2026-05-21T11:04:00Z  codex  gpt-5-codex  1 line  session 019e0525-5611-7202-87ca-812ea5b71a01  (not staged)
tests/cart.rs  2026-05-20T10:22:00Z  claude-code  claude-haiku-4-5-20251001  1 line  session 01b5c3aa-7d0e-4c43-9a55-3f2f5b1f7a10
tests/cart.rs  2026-05-20T10:22:00Z  claude-code  claude-haiku-4-5-20251001  1 line  session 01b5c3aa-7d0e-4c43-9a55-3f2f5b1f7a10
5 recorded edits, 3 sessions
"
    );
}

#[test]
fn a_session_of_the_environment_is_the_only_one_opened() {
    let mut machine = Machine::new();
    machine.keep(&project(SESSION), "claude-code-2.1");
    machine.keep(&rollout(THREAD), "codex-0.142");
    machine.repo.write("src/cart.rs", "x\n").git(&["add", "-A"]);
    assert_eq!(machine.rows(), ["src/cart.rs claude-code 3", "src/cart.rs codex 1"]);
    machine.repo.set_variable("CODEX_THREAD_ID", THREAD);
    assert_eq!(machine.rows(), ["src/cart.rs codex 1"]);
    // A name that leads elsewhere, or to nothing, names no session.
    for id in ["../x", "*", "0000"] {
        machine.repo.set_variable("CODEX_THREAD_ID", id);
        assert_eq!(machine.rows().len(), 2, "{id}");
    }
}

#[test]
fn old_records_and_those_of_other_repositories_are_not_read() {
    let machine = Machine::new();
    machine.put(&project(SESSION), &fixture("claude-code-2.1"));
    let codex = machine.keep(&rollout(THREAD), "codex-0.142");
    machine.repo.write("src/cart.rs", "x\n").git(&["add", "-A"]);
    age(&codex, 2);
    assert_eq!(machine.rows(), [""; 0]);
    age(&codex, 0);
    assert_eq!(machine.rows(), ["src/cart.rs codex 1"]);
    // What was read once is known, however old it grows.
    age(&codex, 2);
    assert_eq!(machine.rows(), ["src/cart.rs codex 1"]);
}

#[test]
fn a_record_is_read_on_from_where_it_was_left() {
    let machine = Machine::new();
    machine.repo.write("src/cart.rs", "x\n").write("src/total.rs", "x\n").git(&["add", "-A"]);
    for name in ["claude-code-2.1", "codex-0.142", "codex-shell"] {
        let text = machine.told(name);
        let path = match name {
            "claude-code-2.1" => project(SESSION),
            _ => rollout(name),
        };
        let whole = {
            machine.put(&path, &text);
            machine.rows()
        };
        for end in (0..text.len()).step_by(307) {
            let file = machine.put(&path, &text[..end]);
            machine.rows();
            std::fs::write(&file, &text).unwrap();
            assert_eq!(machine.rows(), whole, "{name} at {end}");
        }
    }
}

#[test]
fn a_document_is_read_anew_when_it_was_written_anew() {
    let machine = Machine::new();
    machine.repo.write("src/a.ts", "x\n").write("src/c.ts", "x\n").git(&["add", "-A"]);
    let place = ".cline/data/tasks/1/api_conversation_history.json";
    let text = machine.told("cline.json");
    machine.put(place, &text);
    assert_eq!(machine.rows(), ["src/a.ts cline 1"]);
    machine.put(place, &text[..text.len() / 2]);
    assert_eq!(machine.rows(), [""; 0]);
    machine.put(place, &text.replace("src/a.ts", "src/c.ts"));
    assert_eq!(machine.rows(), ["src/c.ts cline 1"]);
    // The task's folder names the session.
    let said = String::from_utf8(machine.scan().stdout).unwrap();
    assert!(said.contains("session 1\n"), "{said}");
    machine.put(place, &text.replace(machine.repo.path().to_str().unwrap(), "/elsewhere"));
    assert_eq!(machine.rows(), [""; 0]);
}

/// OpenCode leaves a file for each part of each message: a tree that is older
/// than what is asked for is not walked through.
#[cfg(unix)]
#[test]
fn a_tree_of_written_files_is_not_entered_again() {
    let machine = Machine::new();
    machine.repo.write("index.ts", "x\n").git(&["add", "-A"]);
    machine.keep(".local/share/opencode/storage/part/m/p.json", "opencode.json");
    let folder = machine.repo.home().join(".local/share/opencode/storage/part");
    age(&folder, 2);
    assert_eq!(machine.rows(), [""; 0]);
    age(&folder, 0);
    assert_eq!(machine.rows(), ["index.ts opencode 1"]);
    age(&folder.join("m"), 2);
    assert_eq!(machine.rows(), [""; 0]);
}

#[test]
fn a_call_without_its_result_counts_for_now() {
    let machine = Machine::new();
    machine.repo.write("src/cart.rs", "x\n").git(&["add", "-A"]);
    let text = machine.told("codex-0.142");
    let lines: Vec<&str> = text.lines().collect();
    let until = |count: usize| format!("{}\n", lines[..count].join("\n"));
    // The patch that fails: open, until its output is there.
    let file = machine.put(&rollout(THREAD), &until(8));
    assert_eq!(machine.rows(), ["src/cart.rs codex 1", "src/cart.rs codex 1"]);
    std::fs::write(&file, until(9)).unwrap();
    assert_eq!(machine.rows(), ["src/cart.rs codex 1"]);
}

#[test]
fn a_record_that_was_written_anew_is_read_anew() {
    let machine = Machine::new();
    machine.repo.write("src/cart.rs", "x\n").write("src/name.rs", "x\n").git(&["add", "-A"]);
    let file = machine.keep(&project(SESSION), "claude-code-2.1");
    assert_eq!(machine.rows(), ["src/cart.rs claude-code 3"]);
    machine.keep(&project(SESSION), "claude-code-plain");
    assert_eq!(machine.rows(), ["src/name.rs claude-code 1"]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(machine.rows(), [""; 0]);
}

#[test]
fn nothing_of_a_record_is_kept_but_hashes() {
    let machine = Machine::new();
    machine.keep(&project(SESSION), "claude-code-2.1");
    machine.keep(&rollout(THREAD), "codex-0.142");
    machine.repo.write("src/cart.rs", "x\n").git(&["add", "-A"]);
    assert_eq!(machine.rows().len(), 2);
    let kept = String::from_utf8(machine.cache()).unwrap();
    for word in ["total", "please", "cart", "src", "home", "jsonl", "codex", SESSION] {
        assert!(!kept.contains(word), "{word}: {kept}");
    }
    let objects = machine.repo.git(&["count-objects", "-v"]);
    assert!(!objects.contains("please"));
}

#[test]
fn what_cannot_be_read_is_counted_and_costs_nothing_else() {
    let machine = Machine::new();
    machine.repo.write("src/cart.rs", "x\n").git(&["add", "-A"]);
    let told = machine.told("claude-code-2.1");
    let broken = format!("{{\"tool_use\" \"Edit\"\n{told}\u{0}\n");
    machine.put(&project("broken"), &broken);
    std::fs::create_dir_all(machine.repo.home().join(".claude/projects/-x/a.jsonl")).unwrap();
    #[cfg(unix)]
    {
        let secret = machine.put("secret.jsonl", &told);
        let link = machine.repo.home().join(project("link"));
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        let folder = machine.repo.home().join(".claude/projects/-linked");
        std::os::unix::fs::symlink(machine.repo.home(), &folder).unwrap();
        let pipe = machine.repo.home().join(project("pipe"));
        assert!(machine.repo.command("mkfifo").arg(pipe).status().unwrap().success());
    }
    let long = format!(
        "{{\"cwd\":\"{}\",\"x\":\"{}\n",
        machine.repo.path().display(),
        "y".repeat(9 << 20)
    );
    machine.put(&project("long"), &format!("{long}{told}"));
    assert_eq!(machine.rows(), ["src/cart.rs claude-code 3", "src/cart.rs claude-code 3"]);
    let said = String::from_utf8(machine.scan().stderr).unwrap();
    assert_eq!(said, "note: 2 malformed or over-long lines were passed over\n");
}

#[cfg(unix)]
#[test]
fn links_and_linked_work_trees_are_the_same_repository() {
    let machine = Machine::new();
    machine.repo.git(&["worktree", "add", "-q", "../other"]);
    let other = machine.repo.beside("other");
    let link = machine.repo.home().join("link");
    std::os::unix::fs::symlink(machine.repo.path(), &link).unwrap();
    let spelled =
        |at: &Path| fixture("claude-code-2.1").replace("/home/ana/shop", at.to_str().unwrap());
    machine.put(&project("one"), &spelled(other.path()));
    machine.put(&project("two"), &spelled(&link));
    machine.put(&project("three"), &spelled(&machine.repo.path().join("../repo")));
    machine.repo.write("src/total.rs", "x\n").git(&["add", "-A"]);
    assert_eq!(machine.rows(), vec!["src/total.rs claude-code 3"; 3]);
    // They read on through the link, too.
    let more = spelled(&link).replace("src/total.rs", "src/more.rs");
    machine.put(&project("two"), &format!("{}{more}", spelled(&link)));
    machine.repo.write("src/more.rs", "x\n").git(&["add", "-A"]);
    assert_eq!(machine.rows().iter().filter(|it| it.starts_with("src/more")).count(), 1);
}

/// Every row of the table, with a file of each of its patterns.
#[test]
fn every_agent_is_found_where_it_keeps_its_records() {
    for (place, name, path) in [
        (".claude/projects/-shop/s.jsonl", "claude-code-2.1", "src/cart.rs claude-code 3"),
        (".config/claude/projects/-shop/s.jsonl", "claude-code-2.1", "src/cart.rs claude-code 3"),
        (".codex/archived_sessions/rollout-1.jsonl", "codex-0.142", "src/cart.rs codex 1"),
        (".copilot/session-state/s/events.jsonl", "copilot-cli-1.0", "hello.py github-copilot 1"),
        (
            ".config/Code/User/workspaceStorage/h/GitHub.copilot-chat/transcripts/s.jsonl",
            "copilot-vscode",
            "jokes.csv github-copilot 1",
        ),
        (".cursor/projects/shop/agent-transcripts/s/s.jsonl", "cursor", "a.txt cursor 1"),
        (".gemini/tmp/h/chats/session-1.jsonl", "gemini-cli", "index.ts gemini-cli 1"),
        (".qwen/projects/shop/chats/s.jsonl", "qwen-code-0.18", "probe.txt qwen-code 1"),
        (".factory/sessions/-shop/s.jsonl", "factory-droid", "c.txt factory-droid 1"),
        (".pi/agent/sessions/-shop/1_s.jsonl", "pi", "src/main.rs pi 1"),
        (".windsurf/transcripts/s.jsonl", "windsurf", "x y.md windsurf 1"),
        (
            ".config/Code/User/globalStorage/saoudrizwan.claude-dev/tasks/1/api_conversation_history.json",
            "cline.json",
            "src/a.ts cline 1",
        ),
        (".cline/data/tasks/1/api_conversation_history.json", "cline.json", "src/a.ts cline 1"),
        (
            ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/tasks/1/api_conversation_history.json",
            "roo-code.json",
            "src/b.ts roo-code 1",
        ),
        (
            ".config/Code/User/globalStorage/kilocode.kilo-code/tasks/1/api_conversation_history.json",
            "roo-code.json",
            "src/b.ts kilo-code 1",
        ),
        (".continue/sessions/0f1e.json", "continue.json", "src/a.py continue 1"),
        (".local/share/amp/threads/T-1.json", "amp.json", "a.go amp 1"),
        (".local/share/opencode/storage/part/m/p.json", "opencode.json", "index.ts opencode 1"),
    ] {
        let machine = Machine::new();
        machine.keep(place, name);
        let file = path.rsplitn(3, ' ').last().unwrap();
        machine.repo.write(file, "x\n").git(&["add", "-A"]);
        let rows = machine.rows();
        assert_eq!(rows.first().map(String::as_str), Some(path), "{place}");
    }
}

/// What a reading with these limits finds of `src/cart.rs`: the session and time
/// of each edit, and the notes.
fn limited(machine: &Machine, limits: Limits) -> (Vec<String>, Notes) {
    let variables = machine.repo.variables().into_iter();
    let env = Env {
        dir: machine.repo.path().to_owned(),
        variables: variables.map(|(name, value)| (name.into(), value.into())).collect(),
        now: Timestamp(1_760_000_000),
        stdin_is_terminal: false,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        executable: None,
    };
    let git = machine.repo.open();
    let folder = tempfile::tempdir().unwrap();
    let path = RepoPath::new("src/cart.rs");
    let wanted =
        Wanted { paths: vec![&path], new: Vec::new(), names: &[], since: Timestamp(0), limits };
    let found = traces::read(&env, &git, &Store::new(folder.path()), &wanted);
    let edits = found.edits.iter().map(|it| {
        let time = it.edit.time.map(|time| time.to_string()).unwrap_or_default();
        format!("{} {time}", it.edit.session)
    });
    (edits.collect(), found.notes)
}

#[test]
fn limits_leave_the_oldest_out() {
    let machine = Machine::new();
    let text = machine.told("claude-code-2.1");
    let edit = text.lines().skip(4).take(2).fold(String::new(), |text, it| text + it + "\n");
    let (first, last) = (edit.replace(SESSION, "first"), edit.replace(SESSION, "last"));
    let between = edit.replace("src/cart.rs", "src/other.rs").repeat(100);
    let old = machine.put(&project("old"), &edit.replace(SESSION, "old"));
    let new = machine.put(&project("new"), &format!("{first}{between}{last}"));
    age(&old, 1);
    age(&new, 0);
    let all = Limits::default();
    let time = "2026-05-20T10:04:00Z";
    let expected =
        |names: &[&str]| names.iter().map(|it| format!("{it} {time}")).collect::<Vec<_>>();
    let (edits, notes) = limited(&machine, all);
    assert_eq!(edits, expected(&["first", "last", "old"]));
    let read = (old.metadata().unwrap().len(), new.metadata().unwrap().len());
    assert_eq!(notes, Notes { sessions: 2, read: read.0 + read.1, ..Notes::default() });
    let (edits, notes) = limited(&machine, Limits { files: 1, ..all });
    assert_eq!((edits, notes.left), (expected(&["first", "last"]), 1));
    let (edits, notes) = limited(&machine, Limits { texts: 100, ..all });
    assert_eq!((edits, notes.left), (expected(&["first", "last"]), 1));
    let (edits, notes) = limited(&machine, Limits { bytes: 5000, ..all });
    // How a file begins tells where, so that it is read in any case.
    assert_eq!(edits, ["old 2026-05-20T10:03:00Z".to_owned(), format!("last {time}")]);
    assert_eq!(notes.left, 2);
    assert!(notes.read < 20_000, "{notes:?}");
    let (edits, notes) = limited(&machine, Limits { line: 100, ..all });
    assert_eq!((edits, notes.skipped), (Vec::new(), 206));
}

#[test]
fn agents_are_listed_with_what_they_keep() {
    let mut machine = Machine::new();
    let list = |machine: &Machine, words: &[&str]| {
        let output = machine.repo.countersign(&[&["agents"], words].concat());
        assert!(output.status.success());
        let home = machine.repo.home().to_str().unwrap().to_owned();
        String::from_utf8(output.stdout).unwrap().replace(&home, "~")
    };
    machine.put(".config/Code/User/globalStorage/other/tasks/1/x.json", "{}");
    machine.put(".codex/config.toml", "");
    let nothing = "no agent that countersign can read keeps records here\n";
    assert_eq!(list(&machine, &["list"]), nothing);
    age(&machine.keep(&project(SESSION), "claude-code-2.1"), 1);
    age(&machine.keep(&rollout(THREAD), "codex-0.142"), 0);
    machine.put("elsewhere/archived_sessions/rollout-1.jsonl", "12345");
    age(&machine.repo.home().join("elsewhere/archived_sessions/rollout-1.jsonl"), 0);
    let elsewhere = machine.repo.home().join("elsewhere");
    machine.repo.set_variable("CODEX_HOME", elsewhere.to_str().unwrap());
    let sizes = |text: String| text.replace(char::is_numeric, "0");
    let sized = sizes(list(&machine, &[]));
    assert!(
        sized.contains(
            "claude-code               0    0.0 kB  0000-00-00T00:00:00Z  ~/.claude/projects"
        ),
        "{sized}"
    );
    let listed: serde_json::Value =
        serde_json::from_str(&list(&machine, &["list", "--format", "json"])).unwrap();
    assert_eq!(listed["schema"], "countersign.agents/1");
    let rows = listed["agents"].as_array().unwrap();
    let rows: Vec<String> = rows
        .iter()
        .map(|it| format!("{} {} {} {}", it["id"], it["folder"], it["sessions"], it["newest"]))
        .collect();
    assert_eq!(
        rows,
        [
            r#""claude-code" "~/.claude/projects" 1 "2025-10-08T08:53:20Z""#,
            r#""codex" "~/elsewhere" 1 "2025-10-09T08:53:20Z""#,
            r#""codex" "~/.codex" 1 "2025-10-09T08:53:20Z""#,
        ]
    );
}
