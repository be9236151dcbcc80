//! Coverage of the assisted lines: from a test's report to the verdict.

use serde_json::Value;

use crate::fixture::TestRepo;
use crate::shop::{BY_CLAUDE, Said, Shop, countersign, make_key};

/// A rule that asks for four lines of five, and a test that writes what `cover`
/// says as its report.
const POLICY: &str = r#"
[[rule]]
id = "covered"
why = "assisted lines are executed by tests"
when = { assisted = true }
require.coverage = { min = 0.8 }

[test.unit]
run = ["sh", "-c", "mkdir -p target && sh ./cover >target/report"]
inputs = ["/src/**", "/cover"]
reports = { coverage = "target/report" }
"#;

/// A clone in which the tests may run, with the policy on `main` and a change
/// of ten lines by an agent on `topic`, of which `report` is the coverage.
fn changed(policy: &str, files: &[(&str, &str)], report: &str) -> TestRepo {
    let repo = TestRepo::new();
    repo.write("countersign.toml", policy).write(".gitignore", "/target/\n");
    repo.write("src/pay.py", "import os\n").commit("ana", "start");
    repo.git(&["switch", "-q", "-c", "topic"]);
    repo.write("cover", format!("cat <<'END'\n{report}END\n")).commit("ana", "the report");
    for (path, content) in files {
        repo.write(path, content);
    }
    repo.commit("ana", &format!("pay{BY_CLAUDE}"));
    repo.git(&["config", "user.email", "ana@example.com"]);
    assert!(countersign(&repo, &["install"]).passes());
    repo
}

/// `src/pay.py` with ten more lines.
const PAY: &str = "import os\n\ndef pay(x):\n    if x:\n        return 1\n    # nothing\n    a = 2\n    b = 3\n    c = 4\n    return a\x1b[31m\n";

fn lcov(data: &str) -> String {
    format!("TN:\nSF:src/pay.py\n{data}end_of_record\n")
}

/// The report of `check` at `push`, as JSON.
fn judged(repo: &TestRepo) -> Value {
    let said = countersign(repo, &["--format", "json", "check", "--stage", "push"]);
    serde_json::from_str(&said.text).unwrap_or_else(|_| panic!("{}", said.text))
}

/// `code path:line-end`, for each finding that blocks.
fn findings(report: &Value) -> Vec<String> {
    let blocks = |it: &&Value| it["level"] == "block";
    let line = |it: &Value| {
        let code = it["code"].as_str().unwrap();
        match it["path"].as_str() {
            Some(path) => format!("{code} {path}:{}-{}", it["line"], it["end_line"]),
            None => code.to_owned(),
        }
    };
    report["findings"].as_array().unwrap().iter().filter(blocks).map(line).collect()
}

fn detail(report: &Value) -> &str {
    report["obligations"][0]["detail"].as_str().unwrap()
}

/// Who moves a file writes nothing; what they change in it they do write.
#[test]
fn lines_that_were_only_moved_are_not_asked_about() {
    let old: String = (1..=20).map(|number| format!("x = {number}\n")).collect();
    let data: String = (1..=20).map(|line| format!("DA:{line},0\n")).collect();
    let report = format!("SF:src/new.py\n{data}end_of_record\n");
    let moved = |new: &str| {
        let repo = TestRepo::new();
        repo.write("countersign.toml", POLICY).write(".gitignore", "/target/\n");
        repo.write("src/old.py", &old).commit("ana", "start");
        repo.git(&["switch", "-q", "-c", "topic"]);
        repo.write("cover", format!("cat <<'END'\n{report}END\n")).commit("ana", "the report");
        repo.git(&["mv", "src/old.py", "src/new.py"]);
        repo.write("src/new.py", new).commit("ana", &format!("move{BY_CLAUDE}"));
        repo.git(&["config", "user.email", "ana@example.com"]);
        assert!(countersign(&repo, &["install"]).passes());
        assert!(countersign(&repo, &["test"]).passes());
        findings(&judged(&repo))
    };
    assert_eq!(moved(&old), [""; 0]);
    let changed = old.replace("x = 7\n", "x = 70\ny = 7\n");
    assert_eq!(moved(&changed), ["coverage-low", "coverage-low src/new.py:7-8"]);
    // Another file altogether: all of it is new.
    let other: String = (1..=20).map(|number| format!("y = {number}\n")).collect();
    assert_eq!(moved(&other), ["coverage-low", "coverage-low src/new.py:1-20"]);
}

#[test]
fn lines_that_no_test_executes_block_and_are_shown() {
    let data = "DA:1,1\nDA:3,1\nDA:4,1\nDA:5,0\nDA:7,1\nDA:8,1\nDA:9,0\nDA:10,0\n";
    let repo = changed(POLICY, &[("src/pay.py", PAY)], &lcov(data));

    // Nothing was run yet: the command that helps is named.
    let before = judged(&repo);
    assert_eq!(findings(&before), ["coverage-unmeasured"]);
    assert_eq!(before["obligations"][0]["next"], "countersign test main..HEAD");

    let test = countersign(&repo, &["test"]);
    assert!(test.passes(), "{}", test.text);
    let report = judged(&repo);
    assert_eq!(
        findings(&report),
        ["coverage-low", "coverage-low src/pay.py:5-5", "coverage-low src/pay.py:9-10"]
    );
    assert_eq!(
        detail(&report),
        "tests execute 4 of 7 assisted lines, 57.1 %, 2 without code (80 % asked)"
    );
    let text = countersign(&repo, &["check", "--stage", "push"]).text;
    let text = text.replace(&repo.oid("main").to_string()[..12], "BASE");
    snapbox::assert_data_eq!(
        text,
        snapbox::str![[r#"
countersign: BLOCKED main..HEAD for main
  assisted by claude-code in 1 of 2 files · policy BASE:countersign.toml

  ✗ covered: tests execute 4 of 7 assisted lines, 57.1 %, 2 without code (80 % asked)  [coverage-low]
      files: cover, src/pay.py
      why:   assisted lines are executed by tests
      next:  countersign explain main..HEAD --rule covered
      src/pay.py
           5 -         return 1
           9 -     c = 4
          10 -     return a/u{1b}[31m

"#]]
    );
    let explained = countersign(&repo, &["explain"]).text;
    let line =
        "    src/pay.py: 4 covered, 3 missed, 0 unmeasured, 2 without code; missed: 5,9-10\n";
    assert!(explained.contains(line), "{explained}");
    for (format, wanted) in [
        ("github", "file=src/pay.py,line=9,endLine=10::no test executes lines 9-10"),
        ("sarif", "\"endLine\": 10"),
        ("gitlab", "\"end\": 10"),
    ] {
        let said = countersign(&repo, &["--format", format, "check", "--stage", "push"]);
        assert!(said.text.contains(wanted), "{}", said.text);
    }
}

#[test]
fn enough_executed_lines_pass_silently_and_stand_for_another_tree() {
    let data = "DA:1,1\nDA:3,1\nDA:4,1\nDA:5,1\nDA:7,1\nDA:8,1\nDA:9,0\nDA:10,1\n";
    let repo = changed(POLICY, &[("src/pay.py", PAY)], &lcov(data));
    assert!(countersign(&repo, &["test"]).passes());
    let report = judged(&repo);
    assert_eq!(findings(&report), [""; 0]);
    assert_eq!(detail(&report), "tests execute 6 of 7 assisted lines, 85.7 %, 2 without code");
    // What the test does not depend on changes: its record counts as before.
    repo.commit_file("ana", "README.md", "pay\n", &format!("readme{BY_CLAUDE}"));
    assert_eq!(findings(&judged(&repo)), [""; 0]);
    // What it depends on changes: the record is about another content.
    repo.commit_file("ana", "src/pay.py", &format!("{PAY}d = 5\n"), &format!("more{BY_CLAUDE}"));
    assert_eq!(findings(&judged(&repo)), ["coverage-unmeasured"]);
}

/// Runs the test on a change of these files, and judges.
#[track_caller]
fn check(files: &[(&str, &str)], report: &str, expected: &[&str], what: &str) {
    let repo = changed(POLICY, files, report);
    let test = countersign(&repo, &["test"]);
    assert!(test.passes(), "{}", test.text);
    let report = judged(&repo);
    assert_eq!(findings(&report), expected, "{report:#}");
    assert!(detail(&report).contains(what), "{}", detail(&report));
}

#[test]
fn a_file_that_no_report_names_is_never_covered() {
    let other = "TN:\nSF:src/other.py\nDA:1,1\nend_of_record\n";
    check(
        &[("src/pay.py", PAY)],
        other,
        &[
            "coverage-unmeasured",
            "coverage-unmeasured src/pay.py:3-5",
            "coverage-unmeasured src/pay.py:7-10",
        ],
        "not measured: src/pay.py (7 assisted lines: no report names it)",
    );
    check(
        &[("src/pay.py", PAY)],
        "nothing\n",
        &[
            "coverage-unmeasured",
            "coverage-unmeasured src/pay.py:3-5",
            "coverage-unmeasured src/pay.py:7-10",
        ],
        "the report of `unit` could not be read: `target/report`: its format is not known",
    );
    check(
        &[("src/pay.py", PAY), ("a/src/pay.py", PAY)],
        "TN:\nSF:/app/src/pay.py\nDA:1,1\nend_of_record\nSF:/lib/a/src/pay.py\nDA:1,1\nend_of_record\n",
        &[
            "coverage-unmeasured",
            "coverage-unmeasured a/src/pay.py:1-1",
            "coverage-unmeasured a/src/pay.py:3-5",
            "coverage-unmeasured a/src/pay.py:7-10",
            "coverage-unmeasured src/pay.py:3-5",
            "coverage-unmeasured src/pay.py:7-10",
        ],
        "a report names `/app/src/pay.py`: it lies outside the checkout",
    );
}

#[test]
fn documents_settings_tests_and_declarations_need_no_report() {
    let data = "DA:1,1\nDA:3,1\n";
    check(
        &[
            ("src/pay.py", "import os\n\ndef pay(x): return 1\n"),
            ("README.md", "pay\n"),
            ("settings.toml", "a = 1\n"),
            ("tests/test_pay.py", "assert True\n"),
            ("src/lib.rs", "//! Pays.\n\npub mod pay;\n"),
        ],
        &lcov(data),
        &[],
        "tests execute 1 of 1 assisted lines, 100 %",
    );
    // A report that measures such a file once is expected to measure it always.
    check(
        &[("src/pay.sh", "true\n")],
        "TN:\nSF:cover\nDA:1,1\nend_of_record\nSF:src/pay.py\nDA:1,1\nend_of_record\n",
        &[],
        "no assisted line is measured",
    );
    check(
        &[("src/pay.sh", "true\n"), ("src/other.sh", "true\n")],
        "TN:\nSF:src/other.sh\nDA:1,1\nend_of_record\n",
        &["coverage-unmeasured", "coverage-unmeasured src/pay.sh:1-1"],
        "src/pay.sh (1 assisted line: no report names it)",
    );
}

#[test]
fn a_report_from_before_the_run_is_refused() {
    let repo = changed(POLICY, &[("src/pay.py", PAY)], &lcov("DA:3,1\n"));
    repo.write("cover", "touch -d 2001-01-01 target/report; exec >/dev/null\n");
    let policy = POLICY.replace("sh ./cover >target/report", "sh ./cover; true");
    repo.write("countersign.toml", policy).commit("ana", "keep the report");
    repo.git(&["branch", "-f", "main", "HEAD"]);
    repo.commit_file("ana", "src/pay.py", &format!("{PAY}d = 5\n"), &format!("more{BY_CLAUDE}"));
    let test = countersign(&repo, &["test"]);
    assert!(
        test.text.contains("the report `target/report` is older than the run"),
        "{}",
        test.text
    );
    let report = judged(&repo);
    assert_eq!(findings(&report), ["coverage-unmeasured"]);
    assert!(detail(&report).contains("`unit` has no counted pass for this tree"));
}

#[test]
fn a_clone_judges_by_the_record_that_another_made() {
    let Some(shop) = Shop::open(POLICY) else { return };
    let ana = &shop.ana;
    ana.git(&["switch", "-q", "-c", "topic"]);
    let data = "DA:3,1\nDA:4,1\nDA:5,0\n";
    ana.write("cover", format!("cat <<'END'\n{}END\n", lcov(data))).write("src/pay.py", PAY);
    ana.commit("ana", &format!("pay{BY_CLAUDE}"));
    assert!(countersign(ana, &["install"]).passes());
    let sign = |repo: &TestRepo| {
        let key = repo.home().join("ana");
        countersign(repo, &["test", "--sign", "--key", key.to_str().unwrap()])
    };
    let said: Said = sign(ana);
    assert!(said.passes(), "{}", said.text);
    let here = judged(ana);
    assert_eq!(findings(&here)[0], "coverage-low");
    ana.git(&["push", "-q", "--no-verify", "origin", "topic"]);
    let synced = countersign(ana, &["ledger", "sync"]);
    assert!(synced.passes(), "{}", synced.text);

    let bo = shop.hub.clone_as("bo", &[]);
    bo.git(&["fetch", "-q", "origin", "refs/heads/*:refs/remotes/origin/*"]);
    bo.git(&["switch", "-q", "topic"]);
    let there = judged(&bo);
    assert_eq!(findings(&there), findings(&here));
    assert_eq!(there["obligations"], here["obligations"]);
    assert!(make_key(&bo, "unused").is_some());
}
