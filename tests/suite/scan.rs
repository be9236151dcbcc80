//! `scan` on real git.

use super::fixture::TestRepo;

fn story() -> TestRepo {
    let repo = TestRepo::new();
    repo.write("a", "1\n").commit("ana", "Start");
    repo.write("a", "2\n")
        .commit("bo", "Tidy\n\nCo-Authored-By: Claude Opus 4.6 <noreply@anthropic.com>\n\nwip\n");
    repo.write("a", "3\n")
        .commit("Cursor Agent <cursoragent@cursor.com>", "Split the \u{1b}[31mloop");
    repo.write("a", "4\n").commit("chi", "Join\n\nReviewed-by: Claude <noreply@anthropic.com>\n");
    repo
}

#[track_caller]
fn check(repo: &TestRepo, arguments: &[&str], expected: &str) {
    let output = repo.countersign(&[&["scan"], arguments].concat());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let found = String::from_utf8_lossy(&output.stdout).into_owned();
    let ids = repo.git(&["log", "--format=%H"]);
    let found = ids.lines().rev().enumerate().fold(found, |text, (number, id)| {
        text.replace(id, &format!("<{number}>")).replace(&id[..12], &format!("<{number}>"))
    });
    assert_eq!(found, expected);
}

#[test]
fn a_history_is_a_table_and_a_summary() {
    check(
        &story(),
        &[],
        "\
<3> 2025-10-09 -                Join
<2> 2025-10-09 cursor           Split the \\u{1b}[31mloop
<1> 2025-10-09 claude-code      Tidy
<0> 2025-10-09 -                Start

4 commits, 2 assisted (50.0 %)
The others are unattributed: that a mark is absent proves nothing.

agent               commits
claude-code               1
cursor                    1

month    commits  assisted
2025-10        4         2  50.0 %
",
    );
}

#[test]
fn json_is_one_object_a_line() {
    check(
        &story(),
        &["HEAD~3..HEAD", "--format", "json"],
        r#"{"commit":"<3>","assisted":false,"agents":[],"signals":[{"agent":"claude-code","kind":"review","strength":"declared","value":"Reviewed-by: Claude <noreply@anthropic.com>","in_trailer_block":true}]}
{"commit":"<2>","assisted":true,"agents":["cursor"],"signals":[{"agent":"cursor","kind":"identity","strength":"declared","value":"Cursor Agent <cursoragent@cursor.com>"}]}
{"commit":"<1>","assisted":true,"agents":["claude-code"],"signals":[{"agent":"claude-code","kind":"trailer","strength":"declared","value":"Co-Authored-By: Claude Opus 4.6 <noreply@anthropic.com>","model":"Claude Opus 4.6","in_trailer_block":false}]}
"#,
    );
}

#[test]
fn every_ref_is_looked_at_when_asked() {
    let repo = story();
    repo.git(&["checkout", "-q", "-b", "other", "HEAD~3"]);
    repo.write("b", "1\n").commit("ana", "Aside\n\nMade-with: Cursor\n");
    let last = |arguments: &[&str]| {
        let output = repo.countersign(&[&["scan", "-q"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(last(&[]), "2 commits, 1 assisted (50.0 %)");
    assert_eq!(last(&["--all"]), "5 commits, 3 assisted (60.0 %)");
    assert_eq!(last(&["main"]), "4 commits, 2 assisted (50.0 %)");
    assert_eq!(last(&["main..HEAD"]), "1 commit, 1 assisted (100.0 %)");
}

#[test]
fn what_cannot_be_read_is_no_empty_answer() {
    let repo = story();
    for range in ["nowhere..HEAD", "HEAD...main", "--output=x..HEAD", "HEAD..-x"] {
        let output = repo.countersign(&["scan", "--", range]);
        assert_eq!(output.status.code(), Some(2), "{range}");
        assert!(output.stdout.is_empty(), "{range}");
    }
    let shallow = repo.clone_as("shallow", &["--depth", "1"]);
    let output = shallow.countersign(&["scan"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("countersign scan --all"));
    assert!(shallow.countersign(&["scan", "--all"]).status.success());
}

#[test]
fn an_unborn_branch_has_no_commits() {
    let output = TestRepo::new().countersign(&["scan"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 commits, 0 assisted (0.0 %)\n");
    assert!(output.status.success());
}
