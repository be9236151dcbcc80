//! The command line as scripts see it: exit statuses, streams and error documents.

use super::fixture::TestRepo;

/// Starts the binary in the repository, and returns its assertions.
#[track_caller]
fn run(repo: &TestRepo, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let command = repo.countersign_command(arguments);
    assert_cmd::Command::from_std(command).assert()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_and_version_are_no_mistakes() {
    let repo = TestRepo::new();
    for arguments in [["--help", "-q"], ["--version", "-q"], ["check", "--help"]] {
        run(&repo, &arguments).code(0).stderr("");
    }
    run(&repo, &["--version"]).stdout(format!("countersign {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_mistake_in_the_call_is_two_and_leaves_standard_output_empty() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a.txt", "a\n", "Add a");
    for arguments in [
        &["chekc"][..],
        &["check", "--stage", "later"],
        &["check", "--staged", "HEAD~1..HEAD"],
        &["check", "no-such-revision"],
        &["check", "--policy-from", "--help"],
        &["scan", "no-such..HEAD"],
        &["explain", "--rule", "no-such-rule"],
        &["withdraw", "0000"],
        &["-C", "no-such-folder", "check"],
        &["scan", "--format", "sarif"],
    ] {
        let run = run(&repo, arguments).code(2);
        let output = run.get_output();
        assert!(!output.stderr.is_empty(), "{arguments:?} says nothing");
        let json = arguments.contains(&"sarif");
        assert_eq!(output.stdout.is_empty(), !json, "{arguments:?}: {}", text(&output.stdout));
    }
}

#[test]
fn an_error_in_a_data_format_is_a_document() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a.txt", "a\n", "Add a");
    let run = run(&repo, &["check", "no-such-revision", "--format", "json"]).code(2);
    let document: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(document["schema"], "countersign.report/1");
    assert_eq!(document["verdict"], "error");
    assert_eq!(document["error"]["kind"], "repository");
    assert!(document["error"]["message"].as_str().unwrap().contains("no-such-revision"));
    assert!(document["error"]["hints"].is_array());
}

#[test]
fn a_mistake_in_the_call_is_a_document_where_json_was_asked_for() {
    let repo = TestRepo::new();
    for arguments in [
        &["check", "--stage", "later", "--format", "json"][..],
        &["--format=json", "chekc"],
        &["scan", "--format", "json", "--no-such-option"],
        &["policy", "--format", "json"],
    ] {
        let run = run(&repo, arguments).code(2).stderr("");
        let document: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
        assert_eq!(document["schema"], "countersign.report/1", "{arguments:?}");
        assert_eq!(document["verdict"], "error", "{arguments:?}");
        assert_eq!(document["error"]["kind"], "usage", "{arguments:?}");
        assert!(!document["error"]["message"].as_str().unwrap().is_empty(), "{arguments:?}");
    }
    // Behind `--`, or of another option, the words are no wish for JSON.
    run(&repo, &["chekc", "--", "--format", "json"]).code(2).stdout("");
}

#[test]
fn no_colour_unless_it_is_wanted() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a.txt", "a\n", "Add a");
    let coloured = |arguments: &[&str]| {
        text(&run(&repo, arguments).code(0).get_output().stdout).contains('\u{1b}')
    };
    assert!(!coloured(&["check", "HEAD..HEAD"]));
    assert!(coloured(&["check", "HEAD..HEAD", "--color", "always"]));
    assert!(!coloured(&["check", "HEAD..HEAD", "--color", "never"]));
}

#[test]
fn what_is_staged_has_a_next_command_that_works() {
    let repo = TestRepo::new();
    let policy = "schema = 1\n[trust]\nrepo_id = \"x\"\n[people.bo]\nkind = \"human\"\n\
        keys = [{ key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC7J062zgmHM2YXh3jS24mLalUhck2f3FetsVJzDGtu4\" }]\n\
        [[rule]]\nid = \"all\"\nrequire.approvals = [{}]\nrequire.tests = [\"unit\"]\n[test.unit]\nrun = \"true\"\n";
    repo.commit_file("ana", "countersign.toml", policy, "policy");
    repo.write("a", "1\n").git(&["add", "-A"]);
    let output = repo.countersign(&["check", "--staged", "--stage", "merge", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let next = |it: &serde_json::Value| it["next"].as_str().unwrap_or_default().to_owned();
    let next: Vec<String> = report["obligations"].as_array().unwrap().iter().map(next).collect();
    assert_eq!(
        next,
        ["git commit, then countersign review", "git commit, then countersign test"],
        "{report:#}"
    );
}
