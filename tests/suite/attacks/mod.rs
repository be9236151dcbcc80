//! Ways round the gate that somebody could try, or stumble into, on real
//! repositories: each is a change that must block, beside one that must not.

use std::process::Output;

use serde_json::Value;

use crate::fixture::{TestRepo, feed};

mod certificates;
mod ledgers;
mod narrow;
mod people;
mod policies;
mod records;
mod refs;
pub(crate) mod scene;

const ASSISTED: &str = "work\n\nCo-authored-by: Claude <noreply@anthropic.com>\n";

/// A repository without remotes that stands on a branch beside `main`, where
/// the policy with these rules lies.
fn repository(rules: &str) -> TestRepo {
    let repo = TestRepo::new();
    let policy = format!("schema = 1\n[trust]\nrepo_id = \"shop\"\n{rules}");
    repo.write("countersign.toml", policy);
    repo.write("src/a.rs", "fn a() {}\n").commit("ana", "start");
    repo.git(&["checkout", "-q", "-b", "topic"]);
    repo
}

/// The exit status, and each finding that blocks: its code and rule.
fn outcome(output: &Output) -> String {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let mut words = vec![output.status.code().unwrap_or(-1).to_string()];
    for finding in report["findings"].as_array().into_iter().flatten() {
        if finding["level"] == "block" {
            let rule = finding["rule"].as_str().unwrap_or("-");
            words.push(format!("{} {rule}", finding["code"].as_str().unwrap_or("-")));
        }
    }
    words.join(", ")
}

#[track_caller]
fn check(repo: &TestRepo, arguments: &[&str], expected: &str) {
    let words = [&["check", "--format", "json"], arguments].concat();
    let output = repo.countersign(&words);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(outcome(&output), expected, "{shown}{}", String::from_utf8_lossy(&output.stderr));
}

const SRC_DENIED: &str =
    "[[rule]]\nid = \"src\"\npaths = [\"src/**\"]\nwhen = { assisted = true }\ndeny = true\n";

#[test]
fn a_commit_without_marks_does_not_carry_assisted_files_away() {
    // The same line with and without counting lines, which asks git otherwise.
    for rules in [SRC_DENIED.to_owned(), SRC_DENIED.replace("true }", "true, share = \">0.5\" }")] {
        let repo = repository(&rules);
        repo.commit_file(
            "chi",
            "draft/b.rs",
            "fn one() {}\nfn two() {}\nfn three() {}\n",
            ASSISTED,
        );
        check(&repo, &[], "0");
        std::fs::create_dir_all(repo.path().join("src/deep")).unwrap();
        repo.git(&["mv", "draft/b.rs", "src/deep/b.rs"]);
        repo.commit("chi", "move it");
        check(&repo, &[], "1, denied src");
        let output = repo.countersign(&["check", "--format", "sarif"]);
        assert_eq!(output.status.code(), Some(1));
    }
    // What had the name before the assisted commit is another file.
    let repo = repository(SRC_DENIED);
    repo.commit_file("chi", "draft/b.rs", "fn one() {}\nfn two() {}\nfn three() {}\n", "by hand");
    repo.git(&["mv", "draft/b.rs", "src/b.rs"]);
    repo.commit("chi", "move it");
    repo.commit_file("chi", "draft/b.rs", "fn four() {}\n", ASSISTED);
    repo.git(&["rm", "-q", "draft/b.rs"]);
    repo.commit("chi", "no draft");
    check(&repo, &[], "0");
}

#[test]
fn only_what_an_assisted_commit_touched_is_assisted() {
    let repo = repository(SRC_DENIED);
    repo.commit_file("chi", "docs/a.md", "text\n", ASSISTED);
    repo.commit_file("chi", "src/b.rs", "fn b() {}\n", "by hand");
    check(&repo, &[], "0");
    // And only what a commit without marks touched is unattributed.
    let by_hand = SRC_DENIED.replace("assisted", "unattributed");
    for (src, expected) in [(ASSISTED, "0"), ("by hand", "1, denied src")] {
        let other = if src == ASSISTED { "by hand" } else { ASSISTED };
        let repo = repository(&by_hand);
        repo.commit_file("chi", "docs/a.md", "text\n", other);
        repo.commit_file("chi", "src/b.rs", "fn b() {}\n", src);
        check(&repo, &[], expected);
    }
    // A deletion is all that is left of it.
    let repo = repository(SRC_DENIED);
    repo.commit_file("chi", "docs/a.md", "text\n", "by hand");
    repo.git(&["rm", "-q", "src/a.rs"]);
    repo.commit("chi", ASSISTED);
    check(&repo, &[], "1, denied src");
}

#[test]
fn a_server_whose_head_names_nothing_still_judges() {
    let repo = repository(SRC_DENIED);
    let server = repo.beside("server.git");
    let path = server.path().to_str().unwrap().to_owned();
    repo.git(&["init", "-q", "--bare", "-b", "master", &path]);
    let pushed = repo.commit_file("chi", "src/b.rs", "fn b() {}\n", ASSISTED);
    repo.git(&["push", "-q", &path, "main", "topic"]);
    let installed = server.countersign(&["install", "--server"]);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let receives = |line: String| {
        let output = feed(server.countersign_command(&["hook", "pre-receive"]), line.as_bytes());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let main = repo.oid("main");
    let (code, text) = receives(format!("{main} {pushed} refs/heads/main\n"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("[denied]"), "{text}");
    let (code, text) = receives(format!("{main} {main} refs/heads/main\n"));
    assert_eq!(code, Some(0), "{text}");
}

/// The first command in backticks that a report's hints or findings name and
/// that begins with `git fetch`.
fn fetch_command(output: &Output) -> Option<Vec<String>> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let hints = report["error"]["hints"].as_array().into_iter().flatten();
    let nexts = report["findings"].as_array().into_iter().flatten().map(|it| &it["next"]);
    let texts: Vec<&str> = hints.chain(nexts).filter_map(Value::as_str).collect();
    let command = texts
        .iter()
        .flat_map(|text| text.split('`'))
        .find_map(|text| text.strip_prefix("git fetch"))?;
    Some(command.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn the_named_commands_lead_from_a_shallow_clone_of_one_branch_to_the_verdict() {
    let repo = repository(
        "[[rule]]\nid = \"any\"\nrequire.tests = [\"unit\"]\n[test.unit]\nrun = \"true\"\n",
    );
    let topic = repo.commit_file("chi", "src/b.rs", "fn b() {}\n", "by hand");
    repo.git(&["branch", "countersign-ledger", "main"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.commit_file("ana", "src/c.rs", "fn c() {}\n", "by hand");
    let clone = repo.clone_as("clone", &["--depth=1", "--branch=topic"]);
    assert_eq!(clone.oid("HEAD"), topic);
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let output = clone.countersign(&["check", "--format", "json"]);
        outcomes.push(outcome(&output));
        let Some(words) = fetch_command(&output) else { break };
        let words: Vec<&str> =
            std::iter::once("fetch").chain(words.iter().map(String::as_str)).collect();
        clone.git(&words);
    }
    assert_eq!(outcomes, ["2", "2", "1, tests-missing any", "1, tests-missing any"]);
}

#[test]
fn an_agent_does_not_hide_behind_what_a_person_began() {
    let mut repo = repository(SRC_DENIED);
    repo.write("src/b.rs", "fn b() {}\n").git(&["add", "-A"]);
    // A person's attempt is judged, and given up in the editor.
    let tried = hook_of_a_git_of_its_own(&repo, "pre-commit");
    assert_ne!(tried.status.code(), Some(2), "{}", String::from_utf8_lossy(&tried.stderr));
    // An agent commits the same index past the hooks that could refuse.
    repo.commit("chi", "by hand");
    repo.set_variable("CLAUDECODE", "1");
    assert!(hook_of_a_git_of_its_own(&repo, "post-commit").status.success());
    check(&repo, &[], "1, denied src");
}

/// Runs a hook below a process that runs no other: two runs of git are two processes.
fn hook_of_a_git_of_its_own(repo: &TestRepo, event: &str) -> Output {
    let mut shell = repo.command("sh");
    shell.args(["-c", "\"$0\" hook \"$1\"; exit $?", env!("CARGO_BIN_EXE_countersign"), event]);
    shell.output().unwrap()
}

#[test]
fn a_protected_ref_is_judged_whatever_it_is_called() {
    let rules = format!("protect = [\"refs/heads/main\", \"refs/notes/deploy\"]\n{SRC_DENIED}");
    let repo = repository(&rules);
    let pushed = repo.commit_file("chi", "src/b.rs", "fn b() {}\n", ASSISTED);
    let server = repo.clone_as("server", &["--bare"]);
    let main = repo.oid("main");
    let zero = "0".repeat(40);
    for (name, expected) in [("deploy", 1), ("other", 0)] {
        let line = format!("{zero} {pushed} refs/notes/{name}\n{main} {main} refs/heads/main\n");
        let output = feed(server.countersign_command(&["hook", "pre-receive"]), line.as_bytes());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(expected), "{name}: {text}");
    }
}

#[test]
fn what_the_trusted_remote_has_already_is_not_judged_again() {
    let repo = repository(&SRC_DENIED.replace("when = { assisted = true }\n", ""));
    let remote = repo.bare_remote();
    repo.git(&["push", "-q", "origin", "main"]);
    repo.git(&["fetch", "-q"]);
    let pushes = |name: &str| {
        let head = repo.oid("HEAD");
        let old = match name {
            "main" => repo.oid("main").to_string(),
            _ => "0".repeat(head.as_str().len()),
        };
        let line = format!("refs/heads/topic {head} refs/heads/{name} {old}\n");
        let url = remote.path().to_str().unwrap();
        let command = repo.countersign_command(&["hook", "pre-push", "origin", url]);
        feed(command, line.as_bytes()).status.code()
    };
    repo.commit_file("chi", "src/b.rs", "fn b() {}\n", "somebody else's");
    assert_eq!(pushes("topic"), Some(1));
    repo.git(&["push", "-q", "--no-verify", "origin", "HEAD:refs/heads/theirs"]);
    repo.git(&["fetch", "-q"]);
    assert_eq!(pushes("topic"), Some(0));
    repo.commit_file("chi", "docs/a.md", "text\n", "mine, on top of theirs");
    assert_eq!(pushes("topic"), Some(0));
    // Where it lands it is judged whole, whoever brought what.
    assert_eq!(pushes("main"), Some(1));
    repo.commit_file("chi", "src/c.rs", "fn c() {}\n", "mine");
    assert_eq!(pushes("topic"), Some(1));
}

#[test]
fn no_format_hands_a_terminal_what_it_would_obey() {
    let repo = repository(SRC_DENIED);
    // Escape, the C1 control that means the same, and a mark that reorders text.
    let name = "src/\u{1b}[31m\u{9b}31m\u{202e}b.rs";
    repo.commit_file("chi", name, "fn b() {}\n", ASSISTED);
    for format in ["text", "json", "sarif", "junit", "github", "gitlab"] {
        let output = repo.countersign(&["check", "--format", format]);
        assert_eq!(output.status.code(), Some(1));
        let shown = [output.stdout.clone(), output.stderr].concat();
        let shown = String::from_utf8(shown).unwrap();
        assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{format}: {shown:?}");
        if format == "json" {
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["attribution"]["files"][0]["path"], name);
        }
    }
}

#[test]
fn what_stands_in_the_policys_place_is_no_absence() {
    for kind in ["folder", "symlink"] {
        let repo = repository(SRC_DENIED);
        repo.git(&["checkout", "-q", "main"]);
        let place = repo.path().join("countersign.toml");
        std::fs::remove_file(&place).unwrap();
        match kind {
            "folder" => {
                repo.write("countersign.toml/policy", "mode = \"observe\"\n");
            }
            _ => std::os::unix::fs::symlink("elsewhere.toml", &place).unwrap(),
        }
        repo.commit("ana", "hide the policy");
        repo.git(&["checkout", "-q", "topic"]);
        repo.commit_file("chi", "src/b.rs", "fn b() {}\n", ASSISTED);
        check(&repo, &[], "2");
    }
}

#[test]
fn a_remote_that_was_never_fetched_is_not_an_empty_one() {
    let repo = repository(SRC_DENIED);
    repo.git(&["init", "-q", "--bare", "-b", "main", "../hub.git"]);
    repo.git(&["push", "-q", "../hub.git", "main"]);
    repo.git(&["remote", "add", "origin", "../hub.git"]);
    let installed = repo.countersign(&["install"]);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    repo.commit_file("chi", "src/b.rs", "fn b() {}\n", ASSISTED);
    let push = || repo.git_command(&["push", "origin", "topic"]).output().unwrap();
    let refused = push();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("failed to resolve the trusted ref"), "{said}");
    assert!(said.contains("git fetch origin"), "{said}");
    // An empty remote has no policy yet, and is pushed to.
    repo.git(&["init", "-q", "--bare", "-b", "main", "../empty.git"]);
    repo.git(&["remote", "set-url", "origin", "../empty.git"]);
    let output = push();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
