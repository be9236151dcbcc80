//! Files that were moved before they were ever committed: git sees no rename, and
//! what agents recorded stands under a name that no commit has.

use serde_json::{Value, json};

use crate::fixture::{TestRepo, is_below_an_agent};

/// A repository with our hooks, on a branch `work`.
fn prepared() -> TestRepo {
    let repo = TestRepo::new();
    repo.write("countersign.toml", "schema = 1\n").write("src/lib.rs", "pub fn lib() {}\n");
    repo.commit("ana", "begin");
    repo.git(&["config", "user.name", "ana"]);
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["checkout", "-q", "-b", "work"]);
    assert!(repo.countersign(&["install"]).status.success());
    repo
}

/// Adds a call of Claude Code's and its result to the record of a session.
fn call(repo: &TestRepo, session: &str, name: &str, input: Value, result: Value) {
    let folder = repo.home().join(".claude/projects/-shop");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{session}.jsonl"));
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let id = format!("toolu_{}", before.len());
    let second = before.lines().count();
    let line = |kind: &str| json!({ "type": kind, "cwd": repo.path(), "sessionId": session, "version": "2.1.0", "timestamp": format!("2026-05-20T10:{:02}:{:02}.000Z", second / 60, second % 60) });
    let mut asked = line("assistant");
    asked["message"] = json!({ "role": "assistant", "model": "claude-opus-4-5", "content": [{ "type": "tool_use", "id": id, "name": name, "input": input }] });
    let mut answer = line("user");
    answer["message"] = json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": id, "content": "done" }] });
    answer["toolUseResult"] = result;
    std::fs::write(&path, format!("{before}{asked}\n{answer}\n")).unwrap();
}

/// The agent writes a file, which then stands in the work tree.
fn write(repo: &TestRepo, session: &str, path: &str, text: &str) {
    let file = repo.path().join(path);
    let input = json!({ "file_path": file, "content": text });
    let result =
        json!({ "type": "create", "filePath": file, "content": text, "structuredPatch": [] });
    call(repo, session, "Write", input, result);
    repo.write(path, text);
}

/// The agent edits a file.
fn edit(repo: &TestRepo, session: &str, path: &str, old: &str, new: &str) {
    let file = repo.path().join(path);
    let input = json!({ "file_path": file, "old_string": old, "new_string": new });
    let result =
        json!({ "filePath": file, "oldString": old, "newString": new, "structuredPatch": [] });
    call(repo, session, "Edit", input, result);
    let text = std::fs::read_to_string(&file).unwrap();
    repo.write(path, text.replacen(old, new, 1));
}

/// The agent runs a command in the repository.
fn run(repo: &TestRepo, session: &str, command: &str) {
    let result = json!({ "stdout": "", "stderr": "", "interrupted": false });
    call(repo, session, "Bash", json!({ "command": command }), result);
    let status = std::process::Command::new("sh")
        .args(["-ec", command])
        .current_dir(repo.path())
        .env_clear()
        .envs(repo.variables())
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
}

fn rename(repo: &TestRepo, from: &str, to: &str) {
    let to = repo.path().join(to);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(repo.path().join(from), to).unwrap();
}

fn text(name: &str, count: usize) -> String {
    let body: String = (0..count).map(|at| format!("    let {name}_{at} = {at};\n")).collect();
    format!("fn {name}() {{\n{body}}}\n")
}

/// Commits everything; `expected`: `path start-end session` of each run of
/// assisted lines of that commit, as the record of the commit has it.
#[track_caller]
fn check(repo: &TestRepo, expected: &[&str]) {
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Work"]);
    let base = repo.git(&["rev-parse", "HEAD~1"]);
    let output =
        repo.countersign(&["check", &format!("{}..HEAD", base.trim()), "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let mut found = Vec::new();
    for file in report["attribution"]["files"].as_array().unwrap() {
        for range in file["ranges"].as_array().unwrap() {
            assert_eq!(range["strength"], "recorded");
            found.push(format!(
                "{} {}-{}",
                file["path"].as_str().unwrap(),
                range["start"],
                range["end"]
            ));
        }
    }
    assert_eq!(found, expected, "{report:#}");
}

#[test]
fn a_file_that_was_moved_before_its_first_commit_is_still_the_agents() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    write(&repo, "s1", "src/a.rs", &text("agents", 8));
    write(&repo, "s1", "src/other.rs", &text("others", 8));
    edit(&repo, "s1", "src/a.rs", "let agents_3 = 3;", "let edited_3 = 3;");
    rename(&repo, "src/a.rs", "lib/b.rs");
    let file = std::fs::read_to_string(repo.path().join("lib/b.rs")).unwrap();
    repo.write("lib/b.rs", format!("// Hers.\n{file}\nfn hers() {{\n    think();\n}}\n"));
    repo.write("lib/hers.rs", text("hers", 9));
    let session_of_line_5 = || {
        let blame = repo.countersign(&["blame", "--format", "json", "lib/b.rs"]);
        let report: Value = serde_json::from_slice(&blame.stdout).unwrap();
        report["lines"][4]["session"].clone()
    };
    repo.git(&["add", "-A"]);
    assert_eq!(session_of_line_5(), "s1");
    check(&repo, &["lib/b.rs 2-11", "src/other.rs 1-10"]);
    assert_eq!(session_of_line_5(), "s1");
}

#[test]
fn a_folder_that_was_moved_before_its_first_commit_is_still_the_agents() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    let mut expected = Vec::new();
    for at in 0..10 {
        write(&repo, "s1", &format!("src/old/part_{at}.rs"), &text(&format!("part_{at}"), 5));
        expected.push(format!("src/new/part_{at}.rs 1-7"));
    }
    rename(&repo, "src/old", "src/new");
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&repo, &expected);
}

#[test]
fn a_move_that_the_agent_made_is_followed_however_little_is_left() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    // Too short to be known by its text, and edited under both names.
    write(&repo, "s1", "a.rs", "fn agents() {\n    work();\n}\n");
    run(&repo, "s1", "mkdir -p lib/in && mv a.rs lib");
    edit(&repo, "s1", "lib/a.rs", "    work();\n", "    work();\n    more_work();\n");
    run(&repo, "s1", "cd lib && mv a.rs in/b.rs");
    // Another file of the old name, afterwards.
    repo.write("a.rs", "fn hers() {\n    work();\n}\n");
    let file = std::fs::read_to_string(repo.path().join("lib/in/b.rs")).unwrap();
    repo.write("lib/in/b.rs", format!("{file}{}", text("hers", 12)));
    check(&repo, &["lib/in/b.rs 1-4"]);
    write(&repo, "s1", "src/one/x.rs", "fn one() {\n    work();\n}\n");
    run(&repo, "s1", "git add src && git mv src/one src/two");
    check(&repo, &["src/two/x.rs 1-3"]);
}

#[test]
fn a_new_file_that_is_like_one_that_is_gone_is_still_a_persons() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    write(&repo, "s1", "a.rs", &text("agents", 12));
    write(&repo, "s1", "stays.rs", &text("stays", 12));
    write(&repo, "s1", "empty/__init__.py", "");
    std::fs::remove_file(repo.path().join("a.rs")).unwrap();
    std::fs::remove_file(repo.path().join("empty/__init__.py")).unwrap();
    // One line of it, and a copy of one that stands where it was written.
    repo.write("b.rs", text("hers", 12).replace("let hers_3 = 3;", "let agents_3 = 3;"));
    repo.write("c.rs", text("stays", 12));
    repo.write("__init__.py", "");
    check(&repo, &["stays.rs 1-14"]);
}

/// Tells what an agent's own hook tells of a file that it writes.
fn tell(repo: &TestRepo, event: &str, path: &str, text: &str) {
    let payload = json!({
        "session_id": "told", "cwd": repo.path(), "hook_event_name": event, "tool_name": "Write",
        "tool_input": { "file_path": repo.path().join(path), "content": text }, "tool_use_id": path,
    });
    let record = repo.countersign_command(&["record", "--agent", "claude-code"]);
    assert!(crate::fixture::feed(record, payload.to_string().as_bytes()).status.success());
}

#[test]
fn what_only_a_hook_told_is_followed_as_well() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    for at in 0..3 {
        let (path, text) = (format!("src/old/part_{at}.rs"), text(&format!("part_{at}"), 8));
        tell(&repo, "PreToolUse", &path, &text);
        repo.write(&path, &text);
        tell(&repo, "PostToolUse", &path, &text);
    }
    assert!(!repo.home().join(".claude").exists());
    rename(&repo, "src/old", "src/new");
    std::fs::remove_file(repo.path().join("src/new/part_2.rs")).unwrap();
    repo.write("src/new/hers.rs", text("hers", 8).replace("let hers_3 = 3;", "let part_2_3 = 3;"));
    check(&repo, &["src/new/part_0.rs 1-10", "src/new/part_1.rs 1-10"]);
}

#[test]
fn a_copy_of_a_file_that_was_moved_is_not_the_agents() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    write(&repo, "s1", "a.rs", &text("agents", 12));
    rename(&repo, "a.rs", "b.rs");
    write(&repo, "s1", "x.rs", &text("others", 12));
    run(&repo, "s1", "mv x.rs y.rs");
    check(&repo, &["b.rs 1-14", "y.rs 1-14"]);
    repo.write("c.rs", text("agents", 12)).write("z.rs", text("others", 12));
    check(&repo, &[]);
    // The commit is made again, and then under another name.
    repo.git(&["reset", "-q", "--hard", "HEAD~2"]);
    repo.write("b.rs", text("agents", 12));
    check(&repo, &["b.rs 1-14"]);
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    repo.write("d.rs", text("agents", 12));
    check(&repo, &["d.rs 1-14"]);
}

#[test]
fn a_file_of_the_very_first_commit_is_followed_too() {
    if is_below_an_agent() {
        return;
    }
    let repo = TestRepo::new();
    repo.git(&["config", "user.name", "ana"]);
    repo.git(&["config", "user.email", "ana@example.com"]);
    assert!(repo.countersign(&["install"]).status.success());
    write(&repo, "s1", "a.rs", &text("agents", 6));
    rename(&repo, "a.rs", "b.rs");
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Begin"]);
    let blame = repo.countersign(&["blame", "--format", "json", "b.rs"]);
    let report: Value = serde_json::from_slice(&blame.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&blame.stderr)));
    assert_eq!(report["lines"][2]["session"], "s1", "{report:#}");
}

#[test]
fn a_moved_file_that_is_committed_in_parts_is_the_agents_in_all_of_them() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    let whole = text("agents", 12);
    write(&repo, "s1", "a.rs", &whole);
    rename(&repo, "a.rs", "b.rs");
    let part: String = whole.split_inclusive('\n').take(5).collect();
    let blob = repo.git_with_input(&["hash-object", "-w", "--stdin"], part.as_bytes());
    let info = format!("100644,{},b.rs", blob.trim());
    repo.git(&["update-index", "--add", "--cacheinfo", &info]);
    repo.git(&["commit", "-q", "-m", "Part"]);
    check(&repo, &["b.rs 6-14"]);
    let blame = repo.countersign(&["blame", "--format", "json", "b.rs"]);
    let report: Value = serde_json::from_slice(&blame.stdout).unwrap();
    let lines = report["lines"].as_array().unwrap();
    assert!(lines.iter().all(|it| it["session"] == "s1"), "{report:#}");
}

#[test]
fn of_two_sessions_that_wrote_the_same_neither_is_named() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared();
    for session in ["s1", "s2"] {
        write(&repo, session, &format!("{session}.rs"), &text("same", 12));
        std::fs::remove_file(repo.path().join(format!("{session}.rs"))).unwrap();
    }
    repo.write("b.rs", text("same", 12));
    check(&repo, &[]);
}
