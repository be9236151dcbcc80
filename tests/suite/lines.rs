//! Lines that agents recorded: a plain commit by a person marks exactly them,
//! and every later form of the commit does so, on any machine.

use serde_json::Value;

use crate::blame::record_claude_code as record;
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
    prepared_with(POLICY)
}

fn prepared_with(policy: &str) -> (TestRepo, TestRepo) {
    let repo = TestRepo::new();
    let remote = repo.bare_remote();
    repo.write("countersign.toml", policy).write("src/a.rs", BEFORE).commit("ana", "begin");
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

/// The assisted lines of `src/a.rs` in a range, as `start-end` of each run by
/// agent and strength, and the number of added and of assisted ones.
#[track_caller]
fn check(repo: &TestRepo, range: &str, expected: &[&str]) {
    check_file(repo, range, "src/a.rs", expected);
}

/// The same of another file.
#[track_caller]
fn check_file(repo: &TestRepo, range: &str, path: &str, expected: &[&str]) {
    let output = repo.countersign(&["check", range, "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let files = report["attribution"]["files"].as_array().unwrap();
    let file = files.iter().find(|it| it["path"] == path).unwrap();
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

/// What `blame` says of each line: agent/session/strength, or nothing.
#[track_caller]
fn check_blame(repo: &TestRepo, arguments: &[&str], expected: &[&str]) -> Value {
    let output = repo.countersign(&[&["blame", "--format", "json"], arguments].concat());
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or("-").to_owned();
    let lines: Vec<String> = report["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| match line["agent"].is_null() {
            true => String::new(),
            false => ["agent", "session", "strength", "matched"].map(|it| text(line, it)).join(" "),
        })
        .collect();
    assert_eq!(lines, expected, "{report:#}");
    report
}

#[test]
fn blame_shows_the_agents_lines_before_and_after_they_are_committed() {
    if is_below_an_agent() {
        return;
    }
    let (repo, remote) = prepared();
    const RECORDED: &str = "claude-code s1 recorded exact";
    let agents = ["", "", "", "", RECORDED, RECORDED, RECORDED, RECORDED, "", "", ""];
    check_blame(&repo, &["src/a.rs"], &agents);
    repo.git(&["commit", "-q", "-m", "Work"]);
    check_blame(&repo, &["src/a.rs"], &agents);
    check_blame(&repo, &["src/a.rs", "--rev", "HEAD~1"], &["", "", ""]);
    check_blame(&repo, &["src/a.rs", "-L", "4,6"], &["", RECORDED, RECORDED]);
    repo.git(&["push", "-q", "origin", "work"]);
    std::fs::remove_dir_all(repo.home().join(".claude")).unwrap();
    let other = remote.clone_as("other", &["-b", "work"]);
    let report = check_blame(&other, &["src/a.rs"], &agents);
    let oracle = other.git(&["blame", "-s", "-l", "HEAD", "--", "src/a.rs"]);
    let commits: Vec<&str> =
        oracle.lines().map(|it| it.trim_start_matches('^').split(' ').next().unwrap()).collect();
    for (line, commit) in report["lines"].as_array().unwrap().iter().zip(commits) {
        assert!(line["commit"].as_str().unwrap().starts_with(commit), "{line}");
    }

    // A person's copy of the agent's line stays a person's, and what moved with
    // its file, and was rewritten since, is found.
    other.write("src/a.rs", format!("    work_hard();\n{AFTER}")).commit("ana", "Copy");
    let copied = [&[""], &agents[..]].concat();
    check_blame(&other, &["src/a.rs"], &copied);
    other.git(&["mv", "src/a.rs", "src/b.rs"]);
    other.commit("ana", "Move");
    check_blame(&other, &["src/b.rs"], &copied);
    other.git(&["reset", "-q", "--hard", "HEAD~2"]);
    other.git(&["commit", "-q", "--amend", "-m", "Reworded"]);
    let content =
        agents.map(|it| if it.is_empty() { it } else { "claude-code s1 recorded content" });
    check_blame(&other, &["src/a.rs"], &content);

    // Under a declared mark the finer lines still show.
    let mark = "Work\n\nCo-authored-by: Claude <noreply@anthropic.com>";
    repo.git(&["commit", "-q", "--amend", "-m", mark]);
    check_blame(
        &repo,
        &["src/a.rs"],
        &agents.map(|it| match it {
            "" => "claude-code - declared mark",
            _ => "claude-code s1 recorded content",
        })[..8]
            .iter()
            .copied()
            .chain(["", "", ""])
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_renamed_file_keeps_what_was_recorded_under_its_old_name() {
    if is_below_an_agent() {
        return;
    }
    let (repo, remote) = prepared();
    repo.git(&["mv", "src/a.rs", "src/moved.rs"]);
    let expected = &["5-8 claude-code recorded"];
    check_file(&repo, "--staged", "src/moved.rs", expected);
    repo.git(&["commit", "-q", "-m", "Work and move"]);
    check_file(&repo, "origin/main..work", "src/moved.rs", expected);
    // Moved again by somebody else, who keeps no records; then rewritten.
    repo.git(&["push", "-q", "origin", "work"]);
    let other = remote.clone_as("other", &["-b", "work"]);
    other.git(&["mv", "src/moved.rs", "b.rs"]);
    other.commit("bo", "Move again");
    check_file(&other, "origin/main..work", "b.rs", expected);
    const RECORDED: &str = "claude-code s1 recorded exact";
    let agents = ["", "", "", "", RECORDED, RECORDED, RECORDED, RECORDED, "", "", ""];
    check_blame(&other, &["b.rs"], &agents);
}

#[test]
fn a_squash_keeps_the_lines_of_a_file_that_was_made_and_moved_on_the_branch() {
    if is_below_an_agent() {
        return;
    }
    let (repo, remote) = prepared();
    record(&repo, "s2", "src/new.rs", "", AGENTS);
    repo.git(&["checkout", "-q", "src/a.rs", "-f"]);
    repo.write("src/new.rs", format!("fn people() {{\n    think();\n}}\n{AGENTS}"));
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-q", "-m", "Work"]);
    repo.git(&["mv", "src/new.rs", "src/moved.rs"]);
    repo.git(&["commit", "-q", "-m", "Move"]);
    // A move is nobody's assistance.
    let scan = repo.countersign(&["scan", "HEAD~1..HEAD", "--format", "json"]);
    let row: Value = serde_json::from_slice(&scan.stdout).unwrap();
    assert_eq!(row["assisted"], false, "{row}");
    let expected = &["4-7 claude-code recorded"];
    check_file(&repo, "origin/main..work", "src/moved.rs", expected);
    repo.git(&["push", "-q", "origin", "work"]);
    std::fs::remove_dir_all(repo.home().join(".claude")).unwrap();
    let other = remote.clone_as("other", &["-b", "work"]);
    check_file(&other, "origin/main..work", "src/moved.rs", expected);
    other.git(&["checkout", "-q", "-b", "squashed", "origin/main"]);
    other.git(&["merge", "-q", "--squash", "work"]);
    other.git(&["commit", "-q", "-m", "Squashed"]);
    other.git(&["push", "-q", "origin", "squashed"]);
    let fresh = remote.clone_as("fresh", &["-b", "squashed", "--single-branch"]);
    fresh.git(&["fetch", "-q", "origin", "main:refs/remotes/origin/main"]);
    fresh.git(&[
        "fetch",
        "-q",
        "origin",
        "countersign-ledger:refs/remotes/origin/countersign-ledger",
    ]);
    check_file(&fresh, "origin/main..squashed", "src/moved.rs", expected);
    const FOUND: &str = "claude-code s2 recorded content";
    check_blame(&fresh, &["src/moved.rs"], &["", "", "", FOUND, FOUND, FOUND, FOUND]);
    // The same line by a person, in the same file, stays a person's.
    other.git(&["checkout", "-q", "work"]);
    other.write(
        "src/moved.rs",
        format!("fn people() {{\n    think();\n}}\n{AGENTS}fn more() {{\n    work_hard();\n}}\n"),
    );
    other.commit("bo", "Copy a line");
    check_file(&other, "origin/main..work", "src/moved.rs", expected);
}

/// Puts a note on a commit.
fn note(repo: &TestRepo, name: &str, text: &str) {
    repo.git(&["notes", "--ref", name, "add", "-f", "-m", text]);
}

#[test]
fn a_note_that_counts_letters_marks_the_files_it_names() {
    let repo = TestRepo::new();
    repo.write("countersign.toml", POLICY).write("a.rs", "one\n").commit("ana", "begin");
    repo.git(&["checkout", "-q", "-b", "work"]);
    repo.write("a.rs", "one\ntwo_more\n").write("b.rs", "three_more\n");
    repo.write("c.rs", "four_more\n").commit("ana", "work");
    note(
        &repo,
        "ai-attribution",
        r#"{"version":1,"generator":"Qwen-Coder","files":{"a.rs":{"aiChars":9,"humanChars":0,"percent":100},"b.rs":{"aiChars":3,"humanChars":8}},"summary":{"aiPercent":60}}"#,
    );
    check_file(&repo, "main..work", "a.rs", &["2-2 qwen-code recorded"]);
    for (path, assisted) in [("a.rs", true), ("b.rs", true), ("c.rs", false)] {
        let output = repo.countersign(&["check", "main..work", "--format", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let files = report["attribution"]["files"].as_array().unwrap();
        let file = files.iter().find(|it| it["path"] == path).unwrap();
        assert_eq!(file["assisted"], assisted, "{report:#}");
        assert_eq!(report["attribution"]["commits"][0]["signals"][0]["kind"], "note");
    }
    // A malformed one tells nothing.
    note(&repo, "ai-attribution", "{\"version\":1,\"files\":7}");
    check_file(&repo, "main..work", "a.rs", &[]);
}

#[test]
fn a_checkpoint_of_entire_names_the_agent() {
    let agents = |repo: &TestRepo, range: &str| {
        let output = repo.countersign(&["check", range, "--format", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let agents = report["attribution"]["agents"].as_array().unwrap();
        agents.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let repo = TestRepo::new();
    repo.write("countersign.toml", POLICY).write("a.rs", "one\n").commit("ana", "begin");
    repo.git(&["checkout", "-q", "-b", "work"]);
    let message = "work\n\nEntire-Checkpoint: a3b2c4d5e6f7\n";
    repo.write("a.rs", "one\ntwo\n").commit("ana", message);
    assert_eq!(agents(&repo, "main..work"), "entire");
    // The branch of checkpoints, with two sessions, as a remote has it.
    repo.git(&["checkout", "-q", "--orphan", "entire/checkpoints/v1"]);
    repo.git(&["rm", "-rfq", "."]);
    repo.write(
        "a3/b2c4d5e6f7/metadata.json",
        r#"{"checkpoint_id":"a3b2c4d5e6f7","files_touched":["a.rs"]}"#,
    );
    for (number, agent) in ["Claude Code", "Gemini CLI"].iter().enumerate() {
        let metadata = format!(
            r#"{{"checkpoint_id":"a3b2c4d5e6f7","session_id":"s{number}","strategy":"manual-commit","files_touched":["a.rs"],"agent":"{agent}"}}"#
        );
        repo.write(format!("a3/b2c4d5e6f7/{number}/metadata.json"), metadata);
    }
    repo.commit("ana", "Checkpoint: a3b2c4d5e6f7");
    repo.git(&["update-ref", "refs/remotes/origin/entire/checkpoints/v1", "HEAD"]);
    repo.git(&["checkout", "-q", "work"]);
    repo.git(&["branch", "-D", "entire/checkpoints/v1"]);
    assert_eq!(agents(&repo, "main..work"), "claude-code entire gemini-cli");
    // A ref of its own, by a ULID.
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    repo.write("a.rs", "three\n").commit("ana", &format!("more\n\nEntire-Checkpoint: {id}\n"));
    let metadata = r#"{"session_id":"s9","agent":"OpenCode","files_touched":["a.rs"]}"#;
    let blob = repo.git_with_input(&["hash-object", "-w", "--stdin"], metadata.as_bytes());
    let tree =
        repo.git_with_input(&["mktree"], format!("100644 blob {blob}\tmetadata.json\n").as_bytes());
    let commit = repo.git(&["commit-tree", &tree, "-m", "checkpoint"]);
    repo.git(&["update-ref", &format!("refs/entire/checkpoints/AV/{id}"), &commit]);
    assert_eq!(agents(&repo, "work~1..work"), "entire opencode");
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
    // The bracket still closes the agent's block.
    const BLOCK: &[&str] = &["5-5 claude-code recorded", "7-7 claude-code recorded"];
    check(&repo, "origin/main..work", BLOCK);
    assert_eq!(
        verdict(),
        Some(0),
        "{:?}",
        repo.countersign(&["check", "origin/main..work", "--target", "main"])
    );
}

#[test]
fn lines_that_a_formatter_changed_count_unless_the_policy_says_otherwise() {
    if is_below_an_agent() {
        return;
    }
    let formatted = AFTER.replace("    work_hard();", "\twork_hard()");
    let strict = POLICY.replace("[people.ana]", "reformatted = false\n\n[people.ana]");
    let strict = strict.replace("repo_id = \"lines\"\n\n", "repo_id = \"lines\"\n");
    const WHOLE: &str = "5-8 claude-code recorded";
    const PARTS: [&str; 2] = ["5-5 claude-code recorded", "7-8 claude-code recorded"];
    for (policy, expected) in [(POLICY, &[WHOLE][..]), (&strict, &PARTS)] {
        let (repo, _remote) = prepared_with(policy);
        repo.write("src/a.rs", &formatted).git(&["add", "-A"]);
        repo.git(&["commit", "-q", "-m", "Formatted"]);
        check(&repo, "origin/main..work", expected);
        let blame = repo.countersign(&["blame", "--format", "json", "--rev", "HEAD", "src/a.rs"]);
        let blame: Value = serde_json::from_slice(&blame.stdout).unwrap();
        let how = blame["lines"][5]["matched"].as_str();
        assert_eq!(how, (policy == POLICY).then_some("reformatted"));
    }
}

#[test]
fn short_lines_are_marked_as_well_on_every_machine() {
    if is_below_an_agent() {
        return;
    }
    let (repo, remote) = prepared();
    repo.git(&["reset", "-q", "--hard"]);
    repo.write("src/b.py", "x = 1\ny = 2\n").git(&["add", "-A"]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "By hand"]);
    record(&repo, "s2", "src/b.py", "x = 1", "x = 10");
    repo.write("src/b.py", "x = 10\ny = 3\n");
    repo.git(&["commit", "-q", "-a", "-m", "Both"]);
    repo.git(&["push", "-q", "origin", "work"]);
    let other = remote.clone_as("other", &["-b", "work"]);
    for clone in [repo, other] {
        check_file(&clone, "origin/main..work", "src/b.py", &["1-1 claude-code recorded"]);
    }
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
