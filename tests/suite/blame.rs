//! `countersign blame`: git's blame with what is known of each line.

use serde_json::{Value, json};

use crate::fixture::{TestRepo, feed};
use crate::shop::{BY_CLAUDE, Said, Shop, approve, redacted, sync};

const POLICY: &str = r#"
[trust]
repo_id = "shop"

[groups]
senior = ["bo"]

[[rule]]
id = "assisted"
when = { assisted = true }
require.approvals = [{ count = 1, from = ["senior"] }]
"#;

/// Writes what Claude Code keeps of an edit.
pub(crate) fn record_claude_code(repo: &TestRepo, session: &str, path: &str, old: &str, new: &str) {
    let folder = repo.home().join(".claude/projects/-shop");
    std::fs::create_dir_all(&folder).unwrap();
    let common = |kind: &str| json!({ "type": kind, "cwd": repo.path(), "sessionId": session, "version": "2.1.0", "timestamp": "2026-05-20T10:04:00.000Z" });
    let mut call = common("assistant");
    call["message"] = json!({ "role": "assistant", "model": "claude-opus-4-5", "content": [{ "type": "tool_use", "id": "t1", "name": "Edit", "input": { "file_path": repo.path().join(path), "old_string": old, "new_string": new } }] });
    let mut result = common("user");
    result["message"] = json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t1", "content": "done" }] });
    result["toolUseResult"] = json!({ "filePath": repo.path().join(path), "oldString": old, "newString": new, "structuredPatch": [] });
    std::fs::write(folder.join(format!("{session}.jsonl")), format!("{call}\n{result}\n")).unwrap();
}

/// A file with lines of three origins: a person's, ones that an agent recorded
/// and bo approved, and a declared commit's.
fn story() -> Option<Shop> {
    let shop = Shop::open(POLICY)?;
    let ana = &shop.ana;
    ana.commit_file("ana", "cart.py", "def total(items):\n    return sum(items)\n", "Add the cart");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "-c", "topic"]);
    assert!(ana.countersign(&["install"]).status.success());
    let agents =
        "def rounded(items):\n    cents = sum(items) * 100\n    return round(cents) / 100\n";
    record_claude_code(ana, "5b1f6d0e", "cart.py", "", &format!("\n\n{agents}"));
    ana.write("cart.py", format!("def total(items):\n    return sum(items)\n\n\n{agents}"));
    ana.git(&["commit", "-q", "-a", "-m", "Round the total"]);
    approve(ana, "bo", Some("origin/main..topic"));
    sync(ana);
    ana.git(&["push", "-q", "origin", "topic"]);
    let text = std::fs::read_to_string(ana.path().join("cart.py")).unwrap();
    let declared = format!("{text}\n\ndef is_empty(items):\n    return not items\n");
    ana.commit_file("ana", "cart.py", &declared, &format!("Add is_empty{BY_CLAUDE}"));
    Some(shop)
}

/// The picture in the README is what the program prints, but for the ids that
/// follow from keys.
#[test]
fn the_readme_shows_a_real_blame() {
    let Some(shop) = story() else { return };
    let page = std::fs::read_to_string("README.md").unwrap();
    let picture = page
        .split("```console\n$ countersign blame cart.py\n")
        .nth(1)
        .and_then(|it| it.split("```").next())
        .unwrap_or_default();
    let said = Said::new(&shop.ana.countersign(&["blame", "cart.py"]));
    let names = ["HEAD~2", "HEAD~1", "HEAD"].map(|it| shop.ana.oid(it).to_string()[..8].to_owned());
    let said = redacted(
        &said.text,
        &[(&names[0], "1f0c2a7e"), (&names[1], "8d3b95c4"), (&names[2], "e6a4710b")],
    );
    snapbox::assert_data_eq!(said, picture.to_owned());
}

#[test]
fn a_clone_shows_who_approved_the_content_that_brought_a_line() {
    let Some(shop) = story() else { return };
    let bo = shop.hub.clone_as("bo", &["-b", "topic"]);
    let lines = |repo: &TestRepo| -> Vec<String> {
        let output = repo.countersign(&["blame", "cart.py", "--format", "json"]);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", Said::new(&output).text));
        let lines = report["lines"].as_array().unwrap();
        let text = |line: &Value| {
            format!("{} {}", line["agent"].as_str().unwrap_or("-"), line["approved"])
        };
        lines.iter().map(text).collect()
    };
    let approved = r#"claude-code ["bo"]"#;
    let expected = ["- []", "- []", approved, approved, approved, approved, approved];
    assert_eq!(lines(&bo), expected);
    // Squashed on main as it was approved, then changed by a person.
    bo.git(&["switch", "-q", "main"]);
    bo.git(&["merge", "-q", "--squash", "topic"]);
    bo.commit("bo", "Squash");
    assert_eq!(lines(&bo), expected);
    let text = std::fs::read_to_string(bo.path().join("cart.py")).unwrap();
    bo.commit_file("bo", "cart.py", &text.replace("* 100", "* 1000"), "Change");
    let changed = ["- []", "- []", approved, approved, approved, "- []", approved];
    assert_eq!(lines(&bo), changed);
}

#[test]
fn porcelain_is_gits_own_with_further_headers() {
    let Some(shop) = story() else { return };
    let repo = &shop.ana;
    repo.git(&["mv", "cart.py", "basket.py"]);
    repo.commit("ana", "Move");
    let ours = repo.countersign(&["blame", "--porcelain", "basket.py", "-L", "2,+4"]);
    assert!(ours.status.success(), "{}", Said::new(&ours).text);
    let ours = String::from_utf8(ours.stdout).unwrap();
    let same = repo.countersign(&["blame", "--format", "porcelain", "basket.py", "-L2,+4"]);
    assert_eq!(ours, String::from_utf8(same.stdout).unwrap());
    assert!(ours.contains("\ncountersign-agent claude-code\ncountersign-session 5b1f6d0e\n"));
    assert!(ours.contains("\ncountersign-approved bo\n\t"), "{ours}");
    // Each line begins a group of its own, as it has headers of its own.
    let plain = |text: &str| -> Vec<String> {
        let kept = text
            .lines()
            .filter(|line| !line.starts_with("countersign-") && !line.starts_with("filename "));
        kept.map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let is_place = words[0].len() == 40 && words.len() == 4;
            if is_place { words[..3].join(" ") } else { line.to_owned() }
        })
        .collect()
    };
    let git = repo.git(&["blame", "--porcelain", "-L", "2,+4", "basket.py"]);
    assert_eq!(plain(&ours), plain(&git));
}

#[test]
fn hostile_names_and_content_are_shown_and_not_obeyed() {
    let repo = TestRepo::new();
    let name = "a\n\x1b[2J\"b.rs";
    let hostile = "\x1b]0;title\x07let a = \u{202e}1;\r\nplain\n";
    repo.write(".gitattributes", "* diff=evil textconv=evil filter=evil\n");
    repo.git(&["config", "diff.evil.textconv", "false"]);
    repo.write(name, hostile).commit("Ana\x1b[31m <ana@example.com>", "Add");
    for format in ["text", "json"] {
        let output = repo.countersign(&["blame", "--format", format, name]);
        assert!(output.status.success(), "{}", Said::new(&output).text);
        let text = String::from_utf8(output.stdout).unwrap();
        let bad = |it: char| it != '\n' && (it.is_control() || it == '\u{202e}');
        assert!(!text.contains(bad), "{text:?}");
        assert!(text.contains("let a = "), "{text}");
    }
    // A record may say anything of itself.
    record_claude_code(&repo, "\x1b[2J", "c.rs", "", "let agent = 1;\n");
    repo.write("c.rs", "let agent = 1;\n").git(&["add", "c.rs"]);
    let text = Said::new(&repo.countersign(&["blame", "c.rs"])).text;
    assert!(!text.contains('\x1b'), "{text:?}");
}

/// Arguments and what is printed, in part; exit 2.
#[track_caller]
fn check_refused(repo: &TestRepo, arguments: &[&str], expected: &str) {
    let said = Said::new(&repo.countersign(&[&["blame"], arguments].concat()));
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains(expected), "{}", said.text);
}

#[test]
fn what_is_no_file_of_the_repository_is_refused() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "src/a.rs", "one\n", "Add");
    check_refused(&repo, &["src/b.rs"], "src/b.rs");
    check_refused(&repo, &["../a.rs"], "is not in this repository");
    check_refused(&repo, &["src/a.rs", "--rev", "nothing"], "`nothing` names no commit");
    check_refused(&repo, &["src/a.rs", "--rev", "--output=x"], "");
    check_refused(&repo, &["src/a.rs", "-L", "5,9"], "has only 1 line");
    check_refused(&repo, &["src/a.rs", "--format", "sarif"], "does not print sarif");
    // From a folder below the top, and of a bare repository.
    let mut below = repo.countersign_command(&["blame", "a.rs"]);
    below.current_dir(repo.path().join("src"));
    let said = Said::new(&feed(below, b""));
    assert!(said.passes() && said.text.ends_with(" one\n"), "{}", said.text);
    let bare = repo.clone_as("bare", &["--bare"]);
    let output = bare.countersign(&["blame", "src/a.rs"]);
    assert!(output.stdout.ends_with(b" one\n"), "{}", Said::new(&output).text);
}

/// What is exported comes in elsewhere, once, and marks the same lines there.
#[test]
fn attribution_goes_out_and_comes_in_again() {
    let Some(shop) = story() else { return };
    let export = |repo: &TestRepo, words: &[&str]| {
        let output = repo.countersign(&[&["export"], words].concat());
        assert!(output.status.success(), "{}", Said::new(&output).text);
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = |repo: &TestRepo| {
        let text = String::from_utf8(repo.countersign(&["blame", "cart.py"]).stdout).unwrap();
        text.lines().filter(|line| line.contains(" 5b1f6d0e recorded")).count()
    };
    let traces = export(&shop.ana, &[]);
    let trace: Value = serde_json::from_str(traces.lines().next().unwrap()).unwrap();
    assert_eq!(trace["version"], "0.1.0");
    assert_eq!(trace["vcs"]["revision"], shop.ana.oid("HEAD~1").as_str());
    let range = &trace["files"][0]["conversations"][0]["ranges"][0];
    assert_eq!((&range["start_line"], &range["end_line"]), (&json!(3), &json!(7)));
    assert_eq!(export(&shop.ana, &["main~1..main"]), "");
    assert_eq!(export(&shop.ana, &["main..topic", "--format", "agent-trace"]), traces);

    // A clone of the code alone: nothing is known there, until it comes in.
    let bare = shop.ana.clone_as("bare.git", &["--bare", "--single-branch", "-b", "topic"]);
    for (format, content) in
        [("agent-trace", traces), ("jsonl", export(&shop.ana, &["--format", "jsonl"]))]
    {
        let clone = bare.clone_as(format, &["-b", "topic"]);
        clone.git(&["branch", "main", "HEAD~2"]);
        clone.git(&["remote", "remove", "origin"]);
        assert_eq!(lines(&clone), 0);
        let file = clone.home().join(format);
        std::fs::write(&file, content + "no attribution\n").unwrap();
        let words = ["import", "--format", format, file.to_str().unwrap()];
        let said = Said::new(&clone.countersign(&words));
        assert!(said.passes() && said.text.contains("in 1 new record"), "{}", said.text);
        assert!(said.text.contains("1 were passed over"), "{}", said.text);
        assert_eq!(lines(&clone), 5, "{format}");
        let said = Said::new(&clone.countersign(&words));
        assert!(said.text.contains("in 0 new records"), "{}", said.text);
    }

    // As notes of git-ai: only where none stands, and read from there.
    let clone = bare.clone_as("notes", &["-b", "topic"]);
    let note = export(&shop.ana, &["--format", "git-ai"]);
    assert!(note.contains("cart.py\n  s_") && note.contains(" 3-7\n---\n{\n"), "{note}");
    shop.ana.git(&["notes", "--ref=ai", "add", "-m", "of somebody", "main"]);
    let said = Said::new(&shop.ana.countersign(&["export", "--write-notes"]));
    assert!(said.text.contains("1 notes written"), "{}", said.text);
    let said = Said::new(&shop.ana.countersign(&["export", "--write-notes"]));
    assert!(said.text.contains("0 notes written"), "{}", said.text);
    assert_eq!(shop.ana.git(&["notes", "--ref=ai", "show", "main"]), "of somebody");
    let written = shop.ana.git(&["notes", "--ref=ai", "show", "HEAD~1"]);
    assert!(note.contains(written.trim_end()), "{written}");
    clone.git(&["branch", "main", "HEAD~2"]);
    clone.git(&["remote", "remove", "origin"]);
    let source = shop.ana.path().to_str().unwrap().to_owned();
    clone.git(&["fetch", "-q", &source, "refs/notes/ai:refs/notes/ai"]);
    assert_eq!(lines(&clone), 5);
    let said = Said::new(&clone.countersign(&["import", "--format", "git-ai"]));
    assert!(said.passes() && said.text.contains("in 1 new record"), "{}", said.text);
    clone.git(&["update-ref", "-d", "refs/notes/ai"]);
    assert_eq!(lines(&clone), 5);
}
