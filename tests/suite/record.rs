//! What agents' hooks tell: the lines of edits and of shell commands, marked at
//! the next commit; a hook that never fails its agent; the guard.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::fixture::{TestRepo, feed, is_below_an_agent};

/// Runs `countersign record` with this payload.
fn tell(repo: &TestRepo, options: &[&str], payload: &Value) -> Output {
    tell_text(repo, options, payload.to_string().as_bytes())
}

fn tell_text(repo: &TestRepo, options: &[&str], payload: &[u8]) -> Output {
    feed(repo.countersign_command(&[&["record"], options].concat()), payload)
}

/// Tells a payload, which says nothing and does not fail.
#[track_caller]
fn told(repo: &TestRepo, options: &[&str], payload: &Value) {
    let output = tell(repo, options, payload);
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

/// What Claude Code writes to its hooks.
fn claude(repo: &TestRepo, event: &str, call: &str, tool: &str, input: Value) -> Value {
    json!({
        "session_id": "s1",
        "transcript_path": repo.home().join(".claude/projects/-shop/s1.jsonl"),
        "cwd": repo.path(),
        "permission_mode": "default",
        "hook_event_name": event,
        "tool_name": tool,
        "tool_input": input,
        "tool_use_id": call,
    })
}

/// Runs a shell command as an agent does, with its hooks before and after.
#[track_caller]
fn shell(repo: &TestRepo, call: &str, line: &str) {
    let payload = |event| claude(repo, event, call, "Bash", json!({ "command": line }));
    told(repo, &["--agent", "claude-code"], &payload("PreToolUse"));
    let status = repo.command("sh").args(["-c", line]).status().unwrap();
    assert!(status.success(), "{line}");
    told(repo, &["--agent", "claude-code"], &payload("PostToolUse"));
}

/// A repository with our hooks, on a branch whose target has these files.
fn prepared(files: &[(&str, &str)]) -> TestRepo {
    let repo = TestRepo::new();
    for (path, content) in files {
        repo.write(path, content);
    }
    repo.commit("ana", "begin");
    repo.git(&["config", "user.name", "ana"]);
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["checkout", "-q", "-b", "work"]);
    assert!(repo.countersign(&["install"]).status.success());
    repo
}

/// Commits all by hand; `expected` are the marked lines of the change,
/// `path:start-end agent` each.
#[track_caller]
fn check(repo: &TestRepo, expected: &[&str]) -> Value {
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Work"]);
    let output = repo.countersign(&["check", "main..work", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let mut ranges = Vec::new();
    for file in report["attribution"]["files"].as_array().unwrap() {
        for range in file["ranges"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let (path, agent) = (text(&file["path"]), text(&range["agent"]));
            ranges.push(format!("{path}:{}-{} {agent}", range["start"], range["end"]));
        }
    }
    assert_eq!(ranges, expected, "{report:#}");
    report
}

#[test]
fn a_told_edit_marks_its_lines_at_the_next_commit() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("src/a.rs", "fn first() {\n    one();\n}\n")]);
    let folder = repo.home().join(".claude/projects/-shop");
    std::fs::create_dir_all(&folder).unwrap();
    let transcript = r#"{"type":"assistant","message":{"model":"claude-opus-4-5","content":[]}}"#;
    std::fs::write(folder.join("s1.jsonl"), format!("{transcript}\n")).unwrap();
    let edit = json!({
        "file_path": repo.path().join("src/a.rs"),
        "old_string": "    one();\n",
        "new_string": "    one();\n    two_by_agent();\n",
    });
    let payload = claude(&repo, "PostToolUse", "toolu_1", "Edit", edit);
    told(&repo, &["--agent", "claude-code"], &payload);
    // The same call again: another hook of the same settings.
    told(&repo, &[], &payload);
    repo.write("src/a.rs", "fn first() {\n    one();\n    two_by_agent();\n    by_hand();\n}\n");
    let rows = repo.countersign(&["scan", "--sessions"]);
    let rows = String::from_utf8_lossy(&rows.stdout).into_owned();
    assert!(rows.contains("claude-code  claude-opus-4-5  1 line  session s1"), "{rows}");
    // Before it is committed as well.
    let blame = repo.countersign(&["blame", "--format", "json", "src/a.rs"]);
    let blame: Value = serde_json::from_slice(&blame.stdout).unwrap();
    let agents: Vec<Option<&str>> =
        blame["lines"].as_array().unwrap().iter().map(|it| it["agent"].as_str()).collect();
    assert_eq!(agents, [None, None, Some("claude-code"), None, None]);
    let report = check(&repo, &["src/a.rs:3-3 claude-code"]);
    let agent = &report["attribution"]["agents"][0];
    assert_eq!((&agent["models"][0], &agent["added"]), (&json!("claude-opus-4-5"), &json!(1)));
    // Nothing of the text is kept.
    let kept = Command::new("grep")
        .args(["-r", "two_by_agent", "."])
        .current_dir(repo.path().join(".git/countersign"))
        .output()
        .unwrap();
    assert!(kept.stdout.is_empty(), "{}", String::from_utf8_lossy(&kept.stdout));
}

#[test]
fn what_the_session_tells_as_well_counts_once() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("a.rs", "fn first() {}\n")]);
    let path = repo.path().join("a.rs");
    let input = json!({ "file_path": path, "old_string": "fn first() {}\n", "new_string": "fn first() {}\nprint_total();\n" });
    told(
        &repo,
        &["--agent", "claude-code"],
        &claude(&repo, "PostToolUse", "toolu_1", "Edit", input.clone()),
    );
    let folder = repo.home().join(".claude/projects/-shop");
    std::fs::create_dir_all(&folder).unwrap();
    let call = json!({ "type": "assistant", "cwd": repo.path(), "sessionId": "s1", "timestamp": "2026-05-20T10:04:00.000Z",
        "message": { "role": "assistant", "model": "m", "content": [{ "type": "tool_use", "id": "toolu_1", "name": "Edit", "input": input }] } });
    std::fs::write(folder.join("s1.jsonl"), format!("{call}\n")).unwrap();
    repo.write("a.rs", "fn first() {}\nprint_total();\nby_hand();\nprint_total();\n");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Work"]);
    // What is kept for the ledger: the second line of the same text is a person's.
    let folder = repo.path().join(".git/countersign/records");
    let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let records: Vec<Value> =
        files.map(|it| serde_json::from_slice(&std::fs::read(it).unwrap()).unwrap()).collect();
    let ranges: Vec<String> =
        records.iter().map(|it| it["predicate"]["files"].to_string()).collect();
    assert_eq!(ranges.len(), 1, "{records:#?}");
    assert_eq!(ranges[0].matches("start_line").count(), 1, "{ranges:?}");
}

#[test]
fn what_an_agents_command_wrote_is_marked() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[
        ("a.rs", "let first = 1;\nlet second = 2;\nlet third = 3;\n"),
        ("b.rs", "let other = 1;\n"),
        ("moved.rs", "fn moved_only() {\n    as_it_was();\n}\n"),
        (".gitignore", "ignored.rs\n"),
    ]);
    // A person's own change, not committed yet.
    repo.write("b.rs", "let other = 1;\nlet by_hand = 2;\n");
    shell(
        &repo,
        "toolu_1",
        "sed -i 's/second = 2/second = 22/' a.rs && echo 'let by_agent = 3;' >> b.rs",
    );
    shell(
        &repo,
        "toolu_2",
        "cat > made.rs <<'END'\nfn generated() {\n    by_command();\n}\nEND\nprintf 'x_y_z_1\\n' > ignored.rs",
    );
    shell(&repo, "toolu_3", "mv moved.rs elsewhere.rs");
    // What a person writes between two commands is nobody's.
    let made = std::fs::read_to_string(repo.path().join("made.rs")).unwrap();
    repo.write("made.rs", made + "fn by_hand_again() {}\n");
    shell(&repo, "toolu_4", "ls");
    check(&repo, &["a.rs:2-2 claude-code", "b.rs:3-3 claude-code", "made.rs:1-3 claude-code"]);
}

#[test]
fn a_command_that_writes_and_commits_in_one_call_is_marked() {
    if is_below_an_agent() {
        return;
    }
    let mut repo = prepared(&[("a.rs", "fn first() {}\n"), ("b.rs", "fn other() {}\n")]);
    repo.write("a.rs", "fn first() {}\nfn by_hand() {}\n");
    // Somebody else commits beside a command that runs.
    let line = "printf 'fn generated() {\\n    by_command();\\n}\\n' >>a.rs && git add -A && git commit -qm Generate";
    let payload = |event| claude(&repo, event, "t0", "Bash", json!({ "command": "sleep 9" }));
    told(&repo, &["--agent", "claude-code"], &payload("PreToolUse"));
    repo.write("b.rs", "fn other() {}\nfn by_hand_too() {}\n");
    repo.git(&["commit", "-q", "-m", "By hand", "b.rs"]);
    told(&repo, &["--agent", "claude-code"], &payload("PostToolUse"));
    repo.set_variable("CLAUDE_CODE_CHILD_SESSION", "1");
    shell(&repo, "t1", line);
    // In a clone nobody saw who ran the commit: only the recorded lines are left.
    repo.git(&["remote", "add", "origin", "."]);
    let remote = repo.beside("origin.git");
    repo.git(&["clone", "-q", "--bare", ".", remote.path().to_str().unwrap()]);
    repo.git(&["remote", "set-url", "origin", remote.path().to_str().unwrap()]);
    repo.git(&["fetch", "-q", "origin"]);
    assert!(repo.countersign(&["ledger", "sync"]).status.success());
    let other = remote.clone_as("other", &["-b", "work"]);
    let output = other.countersign(&["check", "origin/main..work", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let files = report["attribution"]["files"].as_array().unwrap();
    let ranges = |path: &str| files.iter().find(|it| it["path"] == path).unwrap()["ranges"].clone();
    let expected =
        json!([{ "start": 3, "end": 5, "agent": "claude-code", "strength": "recorded" }]);
    assert_eq!(ranges("a.rs"), expected, "{report:#}");
    assert_eq!(ranges("b.rs"), json!([]), "{report:#}");
}

#[test]
fn what_git_brings_back_is_not_the_agents() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("a.rs", "let first = 1;\n")]);
    repo.write("a.rs", "let first = 1;\nlet by_hand = 2;\n")
        .write("new.rs", "let new_by_hand = 1;\n");
    repo.git(&["stash", "-q", "-u"]);
    shell(&repo, "toolu_1", "git stash pop -q");
    check(&repo, &[]);
}

#[test]
fn a_file_written_whole_keeps_a_persons_lines() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("a.rs", "let first = 1;\n")]);
    repo.write("a.rs", "let first = 1;\nlet by_hand = 2;\n");
    let content = "let first = 1;\nlet by_hand = 2;\nlet by_agent = 3;\n";
    // Qwen Code names no call: before and after are told from the arguments.
    let payload = |event: &str| json!({ "session_id": "q1", "cwd": repo.path(), "hook_event_name": event, "tool_name": "write_file", "tool_input": { "file_path": repo.path().join("a.rs"), "content": content } });
    told(&repo, &["--agent", "qwen-code"], &payload("BeforeTool"));
    repo.write("a.rs", content);
    told(&repo, &["--agent", "qwen-code"], &payload("AfterTool"));
    check(&repo, &["a.rs:3-3 qwen-code"]);
}

#[test]
fn agent_v1_tells_of_files_alone() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("a.rs", "let first = 1;\n")]);
    repo.write("a.rs", "let first = 1;\nlet by_hand = 2;\n");
    told(
        &repo,
        &[],
        &json!({ "type": "human", "repo_working_dir": repo.path(), "will_edit_filepaths": ["a.rs"] }),
    );
    repo.write("a.rs", "let first = 1;\nlet by_agent = 3;\nlet by_hand = 2;\n");
    told(
        &repo,
        &[],
        &json!({ "type": "ai_agent", "repo_working_dir": repo.path(), "edited_filepaths": ["a.rs"], "agent_name": "house-bot", "model": "m", "conversation_id": "c" }),
    );
    check(&repo, &["a.rs:2-2 house-bot"]);
}

#[test]
fn files_are_found_through_links_and_from_work_trees() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("src/a.rs", "let first = 1;\n")]);
    let tree = repo.beside("tree");
    repo.git(&["worktree", "add", "-q", "-b", "other", tree.path().to_str().unwrap()]);
    let edit = |path: std::path::PathBuf, new: &str| {
        let input = json!({ "file_path": path, "old_string": "let first = 1;\n", "new_string": format!("let first = 1;\n{new}\n") });
        // The agent was started elsewhere.
        let mut payload = claude(&repo, "PostToolUse", new, "Edit", input);
        payload["cwd"] = json!("/");
        told(&repo, &["--agent", "claude-code"], &payload);
    };
    edit(tree.path().join("src/a.rs"), "let in_a_work_tree = 2;");
    #[cfg(unix)]
    {
        let link = repo.beside("link");
        std::os::unix::fs::symlink(repo.path().join("src"), link.path()).unwrap();
        edit(link.path().join("a.rs"), "let through_a_link = 2;");
        repo.write("src/a.rs", "let first = 1;\nlet through_a_link = 2;\n");
        check(&repo, &["src/a.rs:2-2 claude-code"]);
    }
    edit(repo.path().join(".git/hooks/a"), "let in_git = 2;");
    tree.write("src/a.rs", "let first = 1;\nlet in_a_work_tree = 2;\n").git(&["add", "-A"]);
    tree.git(&["commit", "-q", "-m", "Work"]);
    let output = tree.countersign(&["check", "main..other", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["attribution"]["assisted_added"], 1, "{report:#}");
}

#[test]
fn files_are_found_as_other_systems_spell_them() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("src/a.rs", "let first = 1;\n")]);
    let edit = |path: String, cwd: &str, new: &str| {
        let input = json!({ "file_path": path, "old_string": "let first = 1;\n", "new_string": format!("let first = 1;\n{new}\n") });
        let mut payload = claude(&repo, "PostToolUse", new, "Edit", input);
        payload["cwd"] = json!(cwd);
        told(&repo, &["--agent", "claude-code"], &payload);
    };
    let top = repo.path().to_str().unwrap();
    // An editor on Windows, of a file in WSL.
    let path = format!(r"\\wsl.localhost\Debian{}\src\a.rs", top.replace('/', r"\"));
    edit(path, top, "let seen_from_windows = 2;");
    edit(format!("file://{top}/src/a.rs"), top, "let by_address = 3;");
    edit("a.rs".to_owned(), &format!("{top}/src"), "let from_the_folder = 4;");
    // Another case is another file, but where git says that it is not.
    edit(format!("{top}/SRC/A.rs"), top, "let in_capitals = 5;");
    let added = "let seen_from_windows = 2;\nlet by_address = 3;\nlet from_the_folder = 4;\n";
    repo.write("src/a.rs", format!("let first = 1;\n{added}let in_capitals = 5;\n"));
    repo.git(&["add", "-A"]);
    let rows = || {
        let output = repo.countersign(&["scan", "--sessions", "--format", "json"]);
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    repo.git(&["config", "core.ignorecase", "false"]);
    assert_eq!(rows(), 3);
    repo.git(&["config", "core.ignorecase", "true"]);
    assert_eq!(rows(), 4);
    check(&repo, &["src/a.rs:2-5 claude-code"]);
}

#[test]
fn a_hook_never_fails_its_agent_and_failures_are_counted() {
    let repo = prepared(&[("a.rs", "let first = 1;\n")]);
    let silent = |output: Output| {
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    };
    let failures = || {
        let output = repo.countersign(&["agents", "list", "--format", "json"]);
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        list["failures"]["count"].as_u64().unwrap_or(0)
    };
    // In no repository there is nothing to keep.
    let input = json!({ "file_path": repo.home().join("x"), "content": "let here = 1;\n" });
    let mut payload = claude(&repo, "PostToolUse", "toolu_1", "Write", input);
    payload["cwd"] = json!(repo.home());
    silent(tell(&repo, &[], &payload));
    assert_eq!(failures(), 0);
    for garbage in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{}", b"{\"hook_event_name\":{}}"] {
        silent(tell_text(&repo, &["--agent", "codex"], garbage));
    }
    assert_eq!(failures(), 6);
    // The place where it would be kept cannot be written.
    let kept = repo.path().join(".git/countersign/told");
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    std::fs::write(&kept, "").unwrap();
    let input = json!({ "file_path": repo.path().join("a.rs"), "old_string": "", "new_string": "let x = 1;\n" });
    silent(tell(&repo, &[], &claude(&repo, "PostToolUse", "toolu_1", "Edit", input)));
    assert_eq!(failures(), 7);
    std::fs::remove_file(&kept).unwrap();
    // A command of which only the end is told.
    silent(tell(
        &repo,
        &[],
        &claude(&repo, "PostToolUse", "toolu_2", "Bash", json!({ "command": "ls" })),
    ));
    assert_eq!(failures(), 8);
    let doctor = repo.countersign(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("8 of the calls of agents' hooks could not be kept"), "{doctor}");
    // Words that a newer or older version wrote into the agent's configuration.
    let output = tell_text(&repo, &["--unknown"], b"{}");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_guard_refuses_in_the_agents_own_way() {
    let repo = prepared(&[("a.rs", "let first = 1;\n")]);
    let payload =
        |line: &str| claude(&repo, "PreToolUse", "toolu_1", "Bash", json!({ "command": line }));
    let guarded = ["--agent", "claude-code", "--guard"];
    for line in [
        "git commit --no-verify -m x",
        "cd src && git push --no-verify",
        "countersign approve",
        "terraform apply",
    ] {
        let output = tell(&repo, &guarded, &payload(line));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains("is refused here") && output.stdout.is_empty(), "{said}");
        // Without the guard nothing is refused.
        told(&repo, &guarded[..2], &payload(line));
    }
    told(&repo, &guarded, &payload("git commit -m 'not --no-verify'"));
    let cursor = json!({ "conversation_id": "c", "hook_event_name": "beforeShellExecution", "command": "git push --no-verify", "cwd": repo.path(), "workspace_roots": [repo.path()] });
    let output = tell(&repo, &["--agent", "cursor", "--guard"], &cursor);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &answer["permission"]), (Some(0), &json!("deny")));
}

/// Every agent, connected and disconnected, for the user and for the project.
#[test]
fn an_agent_is_connected_and_disconnected() {
    let repo = prepared(&[("a.rs", "let first = 1;\n")]);
    let run = |words: &[&str]| {
        let output = repo.countersign(&[&["agents"], words].concat());
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let all = [
        "claude-code",
        "codex",
        "cursor",
        "gemini-cli",
        "qwen-code",
        "github-copilot",
        "windsurf",
        "factory-droid",
        "opencode",
        "cline",
    ];
    let files = |folder: &std::path::Path| {
        let found = Command::new("find")
            .arg(folder)
            .args(["-type", "f", "-not", "-path", "*/.git/*", "-not", "-path", "*/.cache/*"])
            .output()
            .unwrap();
        let mut lines: Vec<String> =
            String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for (scope, folder) in [("user", repo.home()), ("project", repo.path().to_owned())] {
        let before = files(&folder);
        for agent in all {
            let (_, diff) = run(&["connect", agent, "--scope", scope, "--dry-run"]);
            assert!(diff.contains("record") && diff.contains("+++"), "{diff}");
            assert_eq!(files(&folder), before, "a dry run changes nothing");
            let (code, said) = run(&["connect", agent, "--scope", scope]);
            assert!(code == Some(0) && said.contains("is connected:"), "{agent} {said}");
            let (_, said) = run(&["connect", agent, "--scope", scope]);
            assert!(said.contains("connected already"), "{said}");
            let (_, list) = run(&["list", "--format", "json"]);
            let list: Value = serde_json::from_str(&list).unwrap();
            assert_eq!(
                (&list["connected"][0]["agent"], &list["connected"][0]["scope"]),
                (&json!(agent), &json!(scope))
            );
            let (_, said) = run(&["disconnect", agent]);
            assert!(said.contains("is disconnected"), "{said}");
            assert_eq!(files(&folder), before, "{agent}");
        }
    }
    assert!(run(&["disconnect", "codex"]).1.contains("is not connected"));
    let (code, said) = run(&["connect", "amp"]);
    assert!(code == Some(2) && said.contains("experimental"), "{said}");
    let (code, said) = run(&["connect", "claude-cod"]);
    assert!(code == Some(2) && said.contains("agents connect claude-code"), "{said}");
}

#[test]
fn others_settings_stay_as_they_are() {
    let repo = prepared(&[("a.rs", "let first = 1;\n")]);
    let run = |words: &[&str]| repo.countersign(&[&["agents"], words].concat());
    let path = repo.home().join(".claude/settings.json");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let theirs = "{\n    \"hooks\": {\n        \"PostToolUse\": [\n            {\"matcher\": \"*\", \"hooks\": [{\"type\": \"command\", \"command\": \"theirs\"}]}\n        ]\n    }\n}\n";
    std::fs::write(&path, theirs).unwrap();
    assert!(run(&["connect", "claude-code", "--guard"]).status.success());
    let both = std::fs::read_to_string(&path).unwrap();
    let hooks: Value = serde_json::from_str(&both).unwrap();
    assert_eq!(hooks["hooks"]["PostToolUse"].as_array().unwrap().len(), 2, "{both}");
    // What was written runs: the guard of the very command refuses.
    let command = hooks["hooks"]["PreToolUse"][0]["hooks"][0]["command"].as_str().unwrap();
    let payload = claude(
        &repo,
        "PreToolUse",
        "toolu_1",
        "Bash",
        json!({ "command": "git push --no-verify" }),
    );
    let mut shell = repo.command("sh");
    shell.args(["-c", command]);
    assert_eq!(feed(shell, payload.to_string().as_bytes()).status.code(), Some(2));
    assert!(run(&["disconnect", "claude-code"]).status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), theirs);
    std::fs::write(&path, "{ no json").unwrap();
    let output = run(&["connect", "claude-code"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ no json");
    // Settings that are kept elsewhere stay a link; a repository's do not lead out of it.
    #[cfg(unix)]
    {
        let kept = repo.home().join("dotfiles.json");
        std::fs::write(&kept, theirs).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&kept, &path).unwrap();
        assert!(run(&["connect", "claude-code"]).status.success());
        assert!(
            path.is_symlink() && std::fs::read_to_string(&kept).unwrap().contains("record --agent")
        );
        std::os::unix::fs::symlink(repo.home(), repo.path().join(".codex")).unwrap();
        let output = run(&["connect", "codex", "--scope", "project"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!repo.home().join("hooks.json").exists());
    }
}

#[test]
fn what_git_ai_and_agent_trace_recorded_is_marked() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("a.rs", "let first = 1;\n"), ("b.rs", "let other = 1;\n")]);
    let content = "let first = 1;\nlet by_agent = 2;\nlet by_hand = 3;\n";
    let blob = countersign::gate::record::canonical::sha256(content.as_bytes());
    let log = repo.path().join(".git/ai/working_logs").join(repo.oid("HEAD").as_str());
    std::fs::create_dir_all(log.join("blobs")).unwrap();
    std::fs::write(log.join("blobs").join(&blob), content).unwrap();
    let checkpoint = json!({ "kind": "AiAgent", "entries": [{ "file": "a.rs", "blob_sha": blob, "line_attributions": [
        { "start_line": 2, "end_line": 2, "author_id": "s_f8fd3067c13536::t_c76cb06422514a", "overrode": null } ] }],
        "timestamp": 1_795_402_964, "agent_id": { "tool": "claude", "id": "sess-1", "model": "m" }, "api_version": "checkpoint/1.0.0" });
    std::fs::write(log.join("checkpoints.jsonl"), format!("{checkpoint}\n")).unwrap();
    repo.write("a.rs", content.replace("let first", "let above = 0;\nlet first"));
    repo.write("b.rs", "let other = 1;\nlet by_agent = 2;\nlet by_agent_too = 3;\n");
    let now = countersign::adapters::env::now().to_string();
    let trace = json!({ "version": "1.0", "id": "x", "timestamp": now, "tool": { "name": "cursor" }, "files": [{ "path": "b.rs", "conversations": [
        { "contributor": { "type": "ai" }, "ranges": [{ "start_line": 2, "end_line": 3 }] }] }] });
    repo.write(".agent-trace/traces.jsonl", format!("{trace}\n"));
    check(&repo, &["a.rs:3-3 claude-code", "b.rs:2-3 cursor"]);
}

#[test]
fn what_aider_applied_is_marked() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&[("src/a.rs", "fn total() {}\n"), (".gitignore", ".aider*\n")]);
    let history = std::fs::read_to_string("tests/fixtures/traces/aider-0.86.md").unwrap();
    repo.write(".aider.chat.history.md", history);
    repo.write("src/a.rs", "fn total() {\n    count();\n}\nfn by_hand() {}\n");
    repo.write("src/b.rs", "fn refused() {}\n");
    check(&repo, &["src/a.rs:1-3 aider"]);
}
