//! `prove = "revert"`: whether the required tests notice the assisted lines.

use serde_json::Value;

use crate::fixture::{TestRepo, skipped};
use crate::shop::{BY_CLAUDE, countersign};

const POLICY: &str = r#"
[[rule]]
id = "noticed"
when = { assisted = true }
require.tests = ["unit"]

[test.unit]
run = RUN
reports = { junit = "out/junit.xml" }
prove = "revert"
"#;

const MUTATE: &str = r#"
[[rule]]
id = "noticed"
when = { assisted = true }
require.tests = ["unit"]

[test.unit]
run = RUN
prove = "mutate"
mutate = { run = ["sh", "-c", 'sh mutate.sh "$1" "$2" >"$COUNTERSIGN_OUT/mutants.json"', "sh", "{lines}", "{diff}"], report = "{out}/mutants.json" }
"#;

/// A test in POSIX sh: `price.sh` prints a price, `tests/*` are tests that exit
/// with 0 or not, and each is a test case of the report.
const RUNNER: &str = r#"
mkdir -p out
{
    echo '<testsuite>'
    status=0
    for test in tests/*; do
        if sh "$test" >/dev/null 2>&1; then
            echo "<testcase name=\"$test\"/>"
        else
            echo "<testcase name=\"$test\"><failure/></testcase>"
            status=1
        fi
    done
    echo '</testsuite>'
} >out/junit.xml
exit $status
"#;

/// Paths and contents.
type Files<'a> = &'a [(&'a str, &'a str)];

/// A change by an agent of these files, before and after, with the tests run.
fn changed(run: &str, before: Files<'_>, after: Files<'_>) -> (TestRepo, String) {
    changed_by(&POLICY.replace("RUN", run), before, after)
}

/// The same by another policy.
fn changed_by(policy: &str, before: Files<'_>, after: Files<'_>) -> (TestRepo, String) {
    let repo = TestRepo::new();
    repo.write("countersign.toml", policy).write(".gitignore", "/out/\n__pycache__/\n");
    repo.write("run.sh", RUNNER);
    for (path, text) in before {
        repo.write(path, text);
    }
    repo.commit("ana", "before");
    repo.git(&["switch", "-q", "-c", "topic"]);
    for (path, text) in after {
        repo.write(path, text);
    }
    repo.commit("ana", &format!("after{BY_CLAUDE}"));
    repo.git(&["config", "user.email", "ana@example.com"]);
    assert!(countersign(&repo, &["install"]).passes());
    let said = countersign(&repo, &["test"]);
    assert!(said.passes(), "{}", said.text);
    (repo, said.text)
}

const SHELL: &str = r#"["sh", "run.sh"]"#;

fn judged(repo: &TestRepo) -> Value {
    let said = countersign(repo, &["--format", "json", "check", "--stage", "push"]);
    serde_json::from_str(&said.text).unwrap_or_else(|_| panic!("{}", said.text))
}

/// `level code path:line-end` of each finding of the rule.
fn findings(report: &Value) -> Vec<String> {
    let line = |it: &Value| {
        let (level, code) = (it["level"].as_str().unwrap(), it["code"].as_str().unwrap());
        match it["path"].as_str() {
            Some(path) => format!("{level} {code} {path}:{}-{}", it["line"], it["end_line"]),
            None => format!("{level} {code}"),
        }
    };
    let of_rule = |it: &&Value| it["rule"] == "noticed";
    report["findings"].as_array().unwrap().iter().filter(of_rule).map(line).collect()
}

/// What the change is judged, and what is said of it.
#[track_caller]
fn check((run, before, after): (&str, Files<'_>, Files<'_>), expected: &[&str], detail: &str) {
    let (repo, said) = changed(run, before, after);
    assert!(said.contains("`unit` runs again without the assisted lines"), "{said}");
    let report = judged(&repo);
    assert_eq!(findings(&report), expected, "{said}{report:#}");
    let found = report["obligations"][0]["detail"].as_str().unwrap();
    assert!(found.contains(detail), "{found}");
}

const PRICE: (&str, &str) = ("price.sh", "amount=100\necho $amount\n");
const DEARER: (&str, &str) = ("price.sh", "amount=120\necho $amount\n");

#[test]
fn a_test_that_fails_without_the_lines_notices_them() {
    let before = [PRICE, ("tests/runs", "sh price.sh\n")];
    let asserts = ("tests/price", "test \"$(sh price.sh)\" = 120\n");
    check(
        (SHELL, &before, &[DEARER, asserts]),
        &[],
        "without the assisted lines `tests/price` fails",
    );
}

#[test]
fn a_test_that_asserts_nothing_is_caught_and_the_hunks_are_shown() {
    let before = [PRICE, ("tests/runs", "sh price.sh\n")];
    let after = [DEARER, ("tests/price", "sh price.sh\n"), ("notes.md", "dearer\n")];
    check(
        (SHELL, &before, &after),
        &["block tests-do-not-notice", "block tests-do-not-notice price.sh:1-1"],
        "`unit` passes without the assisted hunk as well",
    );
    let (repo, _) = changed(SHELL, &before, &after);
    let said = countersign(&repo, &["check", "--stage", "push"]);
    assert_eq!(said.codes(), ["tests-do-not-notice"]);
    assert!(said.text.contains("      price.sh\n           1 - amount=120\n"), "{}", said.text);
    // Nothing of it is run again, and the slot is whole: the head still passes.
    let again = countersign(&repo, &["test"]);
    assert!(again.text.contains("passed: unit: 2 tests passed (earlier)"), "{}", again.text);
    // A test that looks is enough.
    repo.write("tests/price", "test \"$(sh price.sh)\" = 120\n").commit("ana", "assert");
    assert!(countersign(&repo, &["test"]).passes());
    assert_eq!(findings(&judged(&repo)), [""; 0]);
}

/// A new function breaks the build without it: that says nothing about the test.
#[test]
fn a_broken_build_is_no_proof() {
    let run =
        r#"["sh", "-c", "grep -q base lib.sh && grep -q tax lib.sh && exec sh run.sh; exit 101"]"#;
    let before = [("lib.sh", "base=1\n"), ("tests/runs", "true\n")];
    let after = [("lib.sh", "base=1\ntax=2\n")];
    check(
        (run, &before, &after),
        &["warn proof-inconclusive"],
        "is not clear: the report `out/junit.xml` was not written",
    );
}

/// Two hunks, of which one breaks the build: the other is tried alone.
#[test]
fn smaller_parts_are_tried() {
    let run = r#"["sh", "-c", "grep -q tax lib.sh || exit 101; exec sh run.sh"]"#;
    let lines = "one\ntwo\nthree\nfour\n";
    let before =
        [("lib.sh", format!("# a\n{lines}amount=1\n")), ("tests/runs", "true\n".to_owned())];
    let before: Vec<(&str, &str)> =
        before.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let lib = format!("# tax\n{lines}amount=2\n");
    let asserts = ("tests/amount", "grep -q amount=2 lib.sh\n");
    check((run, &before, &[("lib.sh", &lib), asserts]), &[], "`tests/amount` fails");
}

#[test]
fn a_missing_test_is_no_proof() {
    let run = r#"["sh", "-c", "cp src/inline tests/inline; sh run.sh; status=$?; rm tests/inline; exit $status"]"#;
    let before = [("src/inline", "true\n"), ("tests/runs", "true\n")];
    // The test is written into the source, as in Rust, and goes with it.
    let after = [("src/inline", "true\n# more\n"), ("tests/more", "true\n")];
    check(
        (run, &before, &after),
        &["block tests-do-not-notice", "block tests-do-not-notice src/inline:2-2"],
        "as well",
    );
    let run = r#"["sh", "-c", "grep -q more src/inline && cp src/inline tests/inline; sh run.sh; status=$?; rm -f tests/inline; exit $status"]"#;
    check((run, &before, &after), &["warn proof-inconclusive"], "`tests/inline` is not reported");
}

/// A test that fails at times fails without the lines as well, at times: that is
/// no proof. Where the policy lets it try again, it has to fail each time.
#[test]
fn a_flaky_test_is_no_proof() {
    let policy = POLICY.replace("RUN", SHELL).replace("prove", "retries = 2\nprove");
    let before = [PRICE, ("tests/runs", "sh price.sh\n")];
    // Fails in those of its runs that are named, counted from 0.
    let fails_in = |runs: &str| {
        format!(
            "n=$(cat \"$HOME/runs\" 2>/dev/null || echo 0)\necho $((n + 1)) >\"$HOME/runs\"\ncase ' {runs} ' in *\" $n \"*) exit 1;; esac\n"
        )
    };
    let unnoticed = ["block tests-do-not-notice", "block tests-do-not-notice price.sh:1-1"];
    // At the head in run 0, or also in run 1; without the lines in those after it.
    let cases: [(&str, &[&str]); 3] =
        [("1", &unnoticed), ("1 2", &unnoticed), ("0 2 3 4 5", &unnoticed)];
    for (runs, expected) in cases {
        let flaky = fails_in(runs);
        let after = [DEARER, ("tests/price", flaky.as_str())];
        let (repo, said) = changed_by(&policy, &before, &after);
        let report = judged(&repo);
        let found: Vec<String> = findings(&report);
        let found: Vec<&String> = found.iter().filter(|it| !it.contains("flaky")).collect();
        assert_eq!(found, expected, "{runs}: {said}{report:#}");
    }
    // Beside it, a test that looks is proof: it fails each time.
    let flaky = fails_in("1");
    let after = [
        DEARER,
        ("tests/flaky", flaky.as_str()),
        ("tests/price", "test \"$(sh price.sh)\" = 120\n"),
    ];
    let (repo, _) = changed_by(&policy, &before, &after);
    let report = judged(&repo);
    assert_eq!(findings(&report), [""; 0], "{report:#}");
    let detail = report["obligations"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("without the assisted lines `tests/price` fails"), "{detail}");
}

/// A file that is added is taken away, one that is deleted comes back.
#[test]
fn added_and_deleted_files_are_reverted() {
    let before = [("old.sh", "echo old\n"), ("tests/runs", "true\n")];
    let after = [("new.sh", "echo new\n"), ("tests/new", "test -e new.sh\n")];
    let (repo, _) = changed(SHELL, &before, &after);
    repo.git(&["rm", "-q", "old.sh"]);
    repo.write("tests/new", "test -e new.sh && test ! -e old.sh\n");
    repo.commit("ana", &format!("gone{BY_CLAUDE}"));
    assert!(countersign(&repo, &["test"]).passes());
    let report = judged(&repo);
    assert_eq!(findings(&report), [""; 0], "{report:#}");
}

/// The tool is handed the very lines, and its report is read as it is left.
#[test]
fn mutants_of_the_assisted_lines() {
    // A tool that changes nothing and says what came of it: one mutant a word.
    let tool = r#"
test "$1" = price.sh:1-2 || exit 3
grep -q '^+tax=20' "$2" || exit 4
printf '{"schemaVersion":"1.0","files":{"price.sh":{"mutants":['
comma=
for fate in $(cat fates); do
    line=${fate%%:*}
    printf '%s{"id":"%s","mutatorName":"Number","replacement":"0","status":"%s","location":{"start":{"line":%s,"column":1},"end":{"line":%s,"column":2}}}' "$comma" "$line" "${fate#*:}" "$line" "$line"
    comma=,
done
printf ']}}}'
"#;
    let policy = MUTATE.replace("RUN", SHELL);
    let survived = ["block tests-do-not-notice", "block tests-do-not-notice price.sh:2-2"];
    let unclear = ["warn proof-inconclusive"];
    let cases: [(&str, &[&str], &str); 6] = [
        ("1:Killed 2:Killed 3:Survived", &[], "it fails with each of 2 mutants"),
        ("1:Killed 2:Survived 2:NoCoverage", &survived, "passes with mutants of 1 of the assisted"),
        ("1:Killed 2:Timeout", &[], "it fails with each of 2 mutants"),
        ("1:Timeout", &unclear, "is not clear: the tests did not end with a mutant"),
        ("1:Killed 2:Pending", &unclear, "is not clear: the tool did not try a mutant"),
        ("", &unclear, "is not clear: the tool tried no mutant"),
    ];
    for (fates, expected, detail) in cases {
        let before = [
            ("price.sh", "amount=100\necho $amount\n"),
            ("mutate.sh", tool),
            ("fates", fates),
            ("tests/runs", "sh price.sh\n"),
        ];
        let after = [("price.sh", "amount=100 rate=1\ntax=20\necho $amount\n")];
        let (repo, said) = changed_by(&policy, &before, &after);
        assert!(said.contains("a mutation tool changes the assisted lines"), "{said}");
        let report = judged(&repo);
        assert_eq!(findings(&report), expected, "{said}{report:#}");
        let found = report["obligations"][0]["detail"].as_str().unwrap();
        assert!(found.contains(detail), "{found}");
    }
    // A tool that fails though nothing in its report tells why says nothing, either.
    let tool = "printf '{\"files\":{\"price.sh\":{\"mutants\":[{\"status\":\"Killed\",\"location\":{\"start\":{\"line\":1}}}]}}}'; exit $(cat status)\n";
    for (status, expected) in [("0", &[][..]), ("70", &unclear)] {
        let before = [
            ("price.sh", "a=1\n"),
            ("mutate.sh", tool),
            ("status", status),
            ("tests/runs", "true\n"),
        ];
        let (repo, said) = changed_by(&policy, &before, &[("price.sh", "a=2\n")]);
        assert_eq!(findings(&judged(&repo)), expected, "{said}");
    }
    // A tool that fails, and leaves no report, says nothing.
    let before = [("price.sh", "a=1\n"), ("mutate.sh", "exit 7\n"), ("tests/runs", "true\n")];
    let after = [("price.sh", "a=2\n")];
    let (repo, _) = changed_by(&policy, &before, &after);
    assert_eq!(findings(&judged(&repo)), unclear);
    // No tool is usual for shell scripts.
    let policy = POLICY.replace("revert", "mutate").replace("RUN", SHELL);
    let (repo, _) = changed_by(&policy, &before, &after);
    let said = countersign(&repo, &["check", "--stage", "push"]);
    assert!(said.text.contains("none is usual here"), "{}", said.text);
}

/// Python keeps compiled files by size and time: the very same size within the
/// same second has to be seen.
#[test]
fn python_s_unittest() {
    let run = r#"["sh", "-c", "mkdir -p out && python3 junit.py"]"#;
    let mut probe = std::process::Command::new("python3");
    if !probe.arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skipped("python3 is not installed");
    }
    let junit = r#"
import sys, unittest
class Result(unittest.TextTestResult):
    names = []
    def addSuccess(self, test): super().addSuccess(test); self.names.append((test.id(), ""))
    def addFailure(self, test, error): super().addFailure(test, error); self.names.append((test.id(), "<failure/>"))
    def addError(self, test, error): super().addError(test, error); self.names.append((test.id(), "<error/>"))
suite = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
result = unittest.TextTestRunner(resultclass=Result).run(suite)
with open("out/junit.xml", "w") as report:
    cases = "".join(f'<testcase name="{name}">{what}</testcase>' for name, what in result.names)
    report.write(f"<testsuite>{cases}</testsuite>")
sys.exit(not result.wasSuccessful())
"#;
    let test = |body: &str| {
        format!(
            "import unittest\nimport price\n\nclass PriceTest(unittest.TestCase):\n    def test_price(self):\n        {body}\n"
        )
    };
    let (asserts, runs) = (test("self.assertEqual(price.price(), 2)"), test("price.price()"));
    let before = [
        ("junit.py", junit),
        ("tests/__init__.py", ""),
        ("price.py", "def price():\n    return 1\n"),
    ];
    let changed = ("price.py", "def price():\n    return 2\n");
    check(
        (run, &before, &[changed, ("tests/test_price.py", &asserts)]),
        &[],
        "`tests.test_price.PriceTest.test_price` fails",
    );
    check(
        (run, &before, &[changed, ("tests/test_price.py", &runs)]),
        &["block tests-do-not-notice", "block tests-do-not-notice price.py:2-2"],
        "as well",
    );
}

#[test]
fn a_proof_needs_names() {
    let policy = POLICY.replace("RUN", "\"make\"").replace("reports", "#");
    let repo = TestRepo::new();
    repo.write("countersign.toml", policy).commit("ana", "start");
    let said = countersign(&repo, &["policy", "lint"]);
    assert!(said.text.contains("`reports` has to name a JUnit file"), "{}", said.text);
}
