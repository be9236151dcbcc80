//! `prove = "mutate"` with reports that real tools wrote of real projects, and,
//! where mutmut is installed, with the tool itself.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diff_cover::copy;
use crate::fixture::{TestRepo, skipped_unless_installed};
use crate::shop::{BY_CLAUDE, countersign};

const POLICY: &str = r#"
[[rule]]
id = "noticed"
when = { assisted = true }
require.tests = ["unit"]

[test.unit]
run = "true"
prove = "mutate"
"#;

/// A tool that leaves the report of an earlier run.
const RECORDED: &str = r#"mutate = { run = ["sh", "-c", 'sed "s|@CHECKOUT@|$PWD|g" report >"$1/report"', "sh", "{out}"], report = "{out}/report" }"#;

/// The folder with a project before and after an agent's change, and reports of it.
fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures/mutation").join(name)
}

/// The report of `check` on that change, its tests run by this policy.
fn judged(name: &str, policy: &str, report: Option<&str>) -> Value {
    let repo = TestRepo::new();
    repo.write("countersign.toml", policy).write(".gitignore", "/mutants/\n__pycache__/\n");
    if let Some(report) = report {
        repo.write("report", report);
    }
    copy(&repo, &fixture(name).join("base"));
    repo.commit("ana", "before");
    repo.git(&["switch", "-q", "-c", "topic"]);
    copy(&repo, &fixture(name).join("head"));
    repo.commit("ana", &format!("after{BY_CLAUDE}"));
    repo.git(&["config", "user.email", "ana@example.com"]);
    assert!(countersign(&repo, &["install"]).passes());
    let said = countersign(&repo, &["test"]);
    assert!(said.passes(), "{}", said.text);
    let said = countersign(&repo, &["--format", "json", "check", "--stage", "push"]);
    serde_json::from_str(&said.text).unwrap_or_else(|_| panic!("{}", said.text))
}

/// The places that the findings point at, and what is said of it.
fn said(report: &Value) -> (Vec<String>, String) {
    let place = |it: &Value| {
        it["path"].as_str().map(|path| format!("{path}:{}-{}", it["line"], it["end_line"]))
    };
    let unnoticed = |it: &&Value| it["code"] == "tests-do-not-notice";
    let findings = report["findings"].as_array().unwrap().iter().filter(unnoticed);
    let places = findings.filter_map(place).collect();
    (places, report["obligations"][0]["detail"].as_str().unwrap().to_owned())
}

/// A recorded report: where mutants survive, and that none does once the word for
/// it reads as the one for a killed mutant.
#[track_caller]
fn check(name: &str, file: &str, expected: &[&str], first: &str, words: (&str, &str)) {
    let text = std::fs::read_to_string(fixture(name).join(file)).unwrap();
    let policy = format!("{POLICY}{RECORDED}\n");
    let (places, detail) = said(&judged(name, &policy, Some(&text)));
    assert_eq!(places, expected, "{detail}");
    assert!(detail.ends_with(first), "{detail}");
    let killed = text.replace(words.0, words.1);
    let (places, detail) = said(&judged(name, &policy, Some(&killed)));
    assert!(places.is_empty() && detail.contains("it fails with each of"), "{places:?} {detail}");
}

#[test]
fn cargo_mutants() {
    check(
        "rust",
        "cargo-mutants.json",
        &["src/lib.rs:15-15"],
        "mutants of 1 of the assisted lines: replace shipping -> u64 with 0",
        ("MissedMutant", "CaughtMutant"),
    );
}

#[test]
fn stryker() {
    check(
        "javascript",
        "stryker.json",
        &["src/cart.js:12-14"],
        "mutants of 3 of the assisted lines: BlockStatement: {}",
        ("Survived", "Killed"),
    );
}

/// What mutmut 2 and 3 say of the very same change.
const PYTHON: [&str; 4] = [
    "src/shop/cart.py:4-4",
    "src/shop/cart.py:9-9",
    "src/shop/cart.py:18-20",
    "src/shop/cart.py:30-30",
];
const FIRST: &str = "mutants of 6 of the assisted lines: def total(prices, discount=1):";

#[test]
fn mutmut_2() {
    let words = ("failure", "system-err");
    check("python", "mutmut-2.xml", &PYTHON, FIRST, words);
}

#[test]
fn mutmut_3() {
    let words = (": survived\n", ": killed\n");
    check("python", "mutmut-3.txt", &PYTHON, FIRST, words);
}

/// The recipe of docs/running-tests.md, with the tool.
#[test]
fn mutmut_3_itself() {
    let docs = std::fs::read_to_string("docs/running-tests.md").unwrap();
    let (_, recipe) = docs.split_once("mutate = { run = [\"python3\"").unwrap();
    let (recipe, _) = recipe.split_once("\n```").unwrap();
    let policy = format!("{POLICY}mutate = {{ run = [\"python3\"{recipe}\n");
    let mut probe = std::process::Command::new("python3");
    let versions = "import importlib.metadata as it, pytest; assert it.version('mutmut') >= '3'";
    if !probe.args(["-c", versions]).output().is_ok_and(|output| output.status.success()) {
        return skipped_unless_installed("mutmut");
    }
    let (places, detail) = said(&judged("python", &policy, None));
    assert_eq!(places, PYTHON, "{detail}");
    assert!(detail.ends_with(FIRST), "{detail}");
}

/// A tool that has no more time is ended, and what it did not try may survive.
#[test]
fn the_time_for_mutants_ends() {
    let tool = r#"printf '{"files":{"src/lib.rs":{"mutants":[{"status":"%s","location":{"start":{"line":9}}}]}}}' "$1" >report.json; exec sleep 600"#;
    let policy = |fate: &str| {
        format!(
            "{POLICY}mutate = {{ run = [\"sh\", \"-c\", '''{tool}''', \"sh\", \"{fate}\"], report = \"report.json\", timeout = \"2s\" }}\n"
        )
    };
    let report = judged("rust", &policy("Killed"), None);
    let findings = report["findings"].as_array().unwrap();
    let unclear = findings.iter().find(|it| it["code"] == "proof-inconclusive");
    let unclear = unclear.unwrap_or_else(|| panic!("{report:#}"))["message"].as_str().unwrap();
    assert!(unclear.ends_with("is not clear: timed out after 2s"), "{unclear}");
    assert_eq!(said(&report).0, [""; 0]);
    // What survived until then did survive.
    let report = judged("rust", &policy("Survived"), None);
    assert_eq!(said(&report).0, ["src/lib.rs:9-9"]);
}
