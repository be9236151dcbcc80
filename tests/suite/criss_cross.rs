//! Branches that were merged into each other: what landed long ago is no part
//! of the change, whichever merge base git names first.

use countersign::adapters::git::Detail;
use serde_json::Value;

use super::fixture::TestRepo;

/// `main` and `topic` were merged into each other: `one` came from main, `two`
/// (assisted) from topic, and each holds both.
fn crossed() -> TestRepo {
    let repo = TestRepo::new();
    repo.commit_file("ana", "base.txt", "base\n", "Begin");
    repo.git(&["checkout", "-q", "-b", "topic"]);
    repo.commit_file("bo", "two.txt", "2\n", "Add two\n\nAssisted-by: claude-code:opus");
    repo.git(&["checkout", "-q", "main"]);
    repo.commit_file("ana", "one.txt", "1\n", "Add one\n\nAssisted-by: claude-code:opus");
    let (main, topic) = (repo.oid("main"), repo.oid("topic"));
    repo.git(&["merge", "-q", "--no-edit", topic.as_str()]);
    repo.git(&["checkout", "-q", "topic"]);
    repo.git(&["merge", "-q", "--no-edit", main.as_str()]);
    repo
}

/// The files and the commits that `main..topic` brings, both sorted.
#[track_caller]
fn check(repo: &TestRepo, files: &str, subjects: &[&str]) {
    let git = repo.open();
    let (target, head) = (repo.oid("main"), repo.oid("topic"));
    assert_eq!(git.merge_bases(&target, &head).unwrap().len(), 2, "no criss-cross");
    let change = git.change(&git.start(&target, &head).unwrap(), &head, Detail::Files).unwrap();
    let old = |side: &Option<countersign::gate::change::Entry>| {
        side.as_ref().map_or("-".to_owned(), |entry| {
            repo.git(&["cat-file", "blob", entry.oid.as_str()]).trim_end().replace('\n', "|")
        })
    };
    let found: Vec<String> = change
        .files
        .iter()
        .map(|file| format!("{}: {} -> {}", file.path.to_text(), old(&file.old), old(&file.new)))
        .collect();
    assert_eq!(found.join("\n"), files);
    let mut found: Vec<&str> =
        change.commits.iter().filter_map(|it| it.message.lines().next()).map(subject).collect();
    found.sort_unstable();
    assert_eq!(found, subjects);
    // git merges the same: what the change leaves out, the merge does not touch.
    let merged = repo.git(&["merge-tree", "--write-tree", "main", "topic"]);
    let touched = repo.git(&["diff-tree", "-r", "--name-only", "main", merged.trim_end()]);
    let touched: Vec<&str> = touched.lines().collect();
    let named: Vec<String> = change.files.iter().map(|file| file.path.to_text()).collect();
    assert_eq!(named, touched);
}

/// Git names the merged commit in the subject of a merge.
fn subject(line: &str) -> &str {
    if line.starts_with("Merge ") { "Merge" } else { line }
}

#[test]
fn what_both_sides_hold_is_no_part_of_the_change() {
    let repo = crossed();
    check(&repo, "", &["Merge"]);
}

#[test]
fn a_further_change_starts_from_what_stands_on_the_target() {
    for file in ["one.txt", "two.txt"] {
        let repo = crossed();
        let first = if file == "one.txt" { "1" } else { "2" };
        repo.commit_file("bo", file, &format!("{first}\nmore\n"), "Add more");
        let expected = format!("{file}: {first} -> {first}|more");
        check(&repo, &expected, &["Add more", "Merge"]);
    }
}

/// The whole program: no mark of a landed commit reaches the report.
#[test]
fn the_marks_of_landed_commits_are_not_judged_again() {
    let repo = crossed();
    repo.commit_file("bo", "three.txt", "3\n", "Add three");
    let output = repo.countersign(&["check", "main..topic", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["attribution"]["assisted"], false, "{report}");
    let files = report["attribution"]["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{report}");
    assert_eq!(files[0]["path"], "three.txt");
}
