//! Lines that agents recorded: a plain commit by a person marks exactly them,
//! and every later form of the commit does so, on any machine.

use serde_json::{Value, json};

use crate::fixture::{TestRepo, is_below_an_agent};

const POLICY: &str = r#"schema = 1

[trust]
repo_id = "lines"

[people.ana]
kind = "human"
emails = ["ana@example.com"]

[people.bo]
kind = "human"
emails = ["bo@example.com"]

[groups]
senior = ["bo"]

[[rule]]
id = "mostly-assisted"
when = { share = ">0.3" }
require.approvals = [{ count = 1, from = ["senior"] }]
"#;

const BEFORE: &str = "fn first() {\n    one();\n}\n";
const AGENTS: &str = "fn agents() {\n    work_hard();\n    work_more();\n}\n";
const AFTER: &str = "fn people() {\n    think();\n}\n\nfn agents() {\n    work_hard();\n    work_more();\n}\nfn first() {\n    one();\n}\n";

/// A clone of a remote with this policy on `main`, our hooks, and a branch
/// `work` whose next commit has lines of a person and of an agent.
fn prepared() -> (TestRepo, TestRepo) {
    let repo = TestRepo::new();
    let remote = repo.bare_remote();
    repo.write("countersign.toml", POLICY).write("src/a.rs", BEFORE).commit("ana", "begin");
    repo.git(&["push", "-q", "-u", "origin", "main"]);
    repo.git(&["remote", "set-head", "origin", "main"]);
    repo.git(&["config", "user.name", "ana"]);
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["checkout", "-q", "-b", "work"]);
    assert!(repo.countersign(&["install"]).status.success());
    record(&repo, "s1", "src/a.rs", "fn first() {\n", &format!("{AGENTS}fn first() {{\n"));
    repo.write("src/a.rs", AFTER).git(&["add", "-A"]);
    (repo, remote)
}

/// Writes what Claude Code keeps of an edit.
fn record(repo: &TestRepo, session: &str, path: &str, old: &str, new: &str) {
    let folder = repo.home().join(".claude/projects/-shop");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |value: Value| format!("{value}\n");
    let common = |kind: &str| json!({ "type": kind, "cwd": repo.path(), "sessionId": session, "version": "2.1.0", "timestamp": "2026-05-20T10:04:00.000Z" });
    let mut call = common("assistant");
    call["message"] = json!({ "role": "assistant", "model": "claude-opus-4-5", "content": [{ "type": "tool_use", "id": "t1", "name": "Edit", "input": { "file_path": repo.path().join(path), "old_string": old, "new_string": new } }] });
    let mut result = common("user");
    result["message"] = json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t1", "content": "done" }] });
    result["toolUseResult"] = json!({ "filePath": repo.path().join(path), "oldString": old, "newString": new, "structuredPatch": [] });
    std::fs::write(folder.join(format!("{session}.jsonl")), line(call) + &line(result)).unwrap();
}

/// The assisted lines of `src/a.rs` in a range, as `start-end` of each run by
/// agent and strength, and the number of added and of assisted ones.
#[track_caller]
fn check(repo: &TestRepo, range: &str, expected: &[&str]) {
    let output = repo.countersign(&["check", range, "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let files = report["attribution"]["files"].as_array().unwrap();
    let file = files.iter().find(|it| it["path"] == "src/a.rs").unwrap();
    let ranges: Vec<String> = file["ranges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            format!(
                "{}-{} {} {}",
                it["start"],
                it["end"],
                it["agent"].as_str().unwrap(),
                it["strength"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(ranges, expected, "{report:#}");
}

#[test]
fn a_plain_commit_marks_exactly_the_agents_lines_everywhere() {
    if is_below_an_agent() {
        return;
    }
    let (repo, remote) = prepared();
    const LINES: &[&str] = &["5-8 claude-code recorded"];
    repo.git(&["commit", "-q", "-m", "Work"]);
    check(&repo, "origin/main..work", LINES);
    repo.git(&["push", "-q", "origin", "work"]);
    // The agent's own record is gone: what is left are hashes.
    std::fs::remove_dir_all(repo.home().join(".claude")).unwrap();
    let other = remote.clone_as("other", &["-b", "work"]);
    check(&other, "origin/main..work", LINES);
    let ledger =
        other.git(&["grep", "-l", "countersign:attribution:v1", "origin/countersign-ledger"]);
    assert_eq!(ledger.lines().count(), 1, "{ledger}");
    let text = other.git(&["grep", "-h", "", "origin/countersign-ledger"]);
    assert!(!text.contains("work_hard"), "{text}");

    // Reworded, amended, moved, squashed, picked.
    other.git(&["commit", "-q", "--amend", "-m", "Reworded"]);
    check(&other, "origin/main..work", LINES);
    other.write("src/a.rs", format!("// A person's.\n{AFTER}"));
    other.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    check(&other, "origin/main..work", &["6-9 claude-code recorded"]);
    other.git(&["checkout", "-q", "-b", "base", "origin/main"]);
    other.write("b", "1\n").commit("bo", "Elsewhere");
    other.git(&["rebase", "-q", "base", "work"]);
    check(&other, "base..work", &["6-9 claude-code recorded"]);
    other.git(&["checkout", "-q", "-b", "squashed", "base"]);
    other.git(&["merge", "-q", "--squash", "work"]);
    other.git(&["commit", "-q", "-m", "Squashed"]);
    check(&other, "base..squashed", &["6-9 claude-code recorded"]);
    other.git(&["checkout", "-q", "-b", "picked", "origin/main"]);
    other.git(&["cherry-pick", "work"]);
    check(&other, "origin/main..picked", &["6-9 claude-code recorded"]);

    // A formatter's work, and a person's own lines.
    let formatted = AFTER.replace("    ", "\t");
    other.write("src/a.rs", formatted).git(&["commit", "-q", "-a", "-m", "Format"]);
    check(&other, "origin/main..picked", LINES);
}

#[test]
fn what_is_staged_alone_is_matched_and_rules_see_the_share() {
    if is_below_an_agent() {
        return;
    }
    let (repo, _remote) = prepared();
    // Only half of the agent's work is staged.
    let half = AFTER.replace("    work_more();\n", "");
    repo.write("src/a.rs", &half).git(&["add", "-A"]);
    repo.write("src/a.rs", AFTER);
    check(&repo, "--staged", &["5-7 claude-code recorded"]);
    repo.git(&["commit", "-q", "-m", "Half"]);
    check(&repo, "origin/main..work", &["5-7 claude-code recorded"]);
    let verdict =
        || repo.countersign(&["check", "origin/main..work", "--target", "main"]).status.code();
    assert_eq!(verdict(), Some(1));
    let fewer = half.replace("    work_hard();\n", "    of_a_person();\n");
    repo.write("src/a.rs", fewer).git(&["commit", "-q", "-a", "-m", "Rewrite"]);
    check(&repo, "origin/main..work", &["5-5 claude-code recorded"]);
    assert_eq!(
        verdict(),
        Some(0),
        "{:?}",
        repo.countersign(&["check", "origin/main..work", "--target", "main"])
    );
}

#[test]
fn a_note_of_git_ai_marks_its_lines() {
    if is_below_an_agent() {
        return;
    }
    let (repo, _remote) = prepared();
    std::fs::remove_dir_all(repo.home().join(".claude")).unwrap();
    repo.git(&["commit", "-q", "-m", "Work"]);
    check(&repo, "origin/main..work", &[]);
    let note = |lines: &str| {
        let json = r#"{"schema_version":"authorship/3.0.0","base_commit_sha":"","prompts":{},"sessions":{"s_f8fd3067c13536":{"agent_id":{"tool":"codex","id":"s1","model":"gpt-5"}}}}"#;
        format!(
            "src/a.rs\n  {lines}\nsrc/gone.rs\n  s_f8fd3067c13536::t_9f8e7d6c5b4a32 1-3\n---\n{json}"
        )
    };
    let add = |text: &str| {
        repo.git(&["notes", "--ref", "ai", "add", "-f", "-m", text]);
    };
    add(&note("h_8c5faf10a72cb5 1-8"));
    check(&repo, "origin/main..work", &[]);
    add(&note("s_f8fd3067c13536::t_9f8e7d6c5b4a32 5-6,99-120"));
    check(&repo, "origin/main..work", &["5-6 codex recorded"]);
    // With many notes, git splits ids into folders.
    let fan_out = |path: &str| {
        let blob = repo.git(&["rev-parse", &format!("refs/notes/ai:{}", repo.oid("HEAD"))]);
        let input = format!(
            "commit refs/notes/deep\ncommitter git-ai <git-ai@local> 1 +0000\ndata 0\nM 100644 {blob} {path}\n"
        );
        repo.git_with_input(&["fast-import", "--quiet", "--force"], input.as_bytes());
        repo.git(&["update-ref", "refs/notes/ai", "refs/notes/deep"]);
    };
    let id = repo.oid("HEAD").to_string();
    fan_out(&format!("{}/{}/{}", &id[..2], &id[2..4], &id[4..]));
    check(&repo, "origin/main..work", &["5-6 codex recorded"]);
    // A later commit moves the lines; the range still has the note's commit.
    repo.write("src/a.rs", format!("// A person's.\n{AFTER}"))
        .git(&["commit", "-q", "-a", "-m", "Move"]);
    check(&repo, "origin/main..work", &["6-7 codex recorded"]);
}

#[test]
fn a_commit_whose_recorded_lines_are_lost_counts_whole() {
    if is_below_an_agent() {
        return;
    }
    let (repo, _remote) = prepared();
    repo.git(&["commit", "-q", "-m", "Work"]);
    std::fs::remove_dir_all(repo.path().join(".git/countersign/records")).unwrap();
    check(&repo, "origin/main..work", &["1-8 claude-code recorded"]);
}

#[test]
fn a_record_of_other_files_or_times_marks_nothing() {
    if is_below_an_agent() {
        return;
    }
    let (repo, _remote) = prepared();
    record(&repo, "s1", "src/b.rs", "", AGENTS);
    repo.git(&["commit", "-q", "-m", "Work"]);
    check(&repo, "origin/main..work", &[]);
}
