//! Coverage of small real projects, from reports that the tools of five
//! languages wrote: side by side with diff-cover where it reads the format, and
//! with the same tool's other format where it does not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixture::{TestRepo, skipped_unless_installed};
use crate::shop::{BY_CLAUDE, countersign};

const POLICY: &str = r#"
[[rule]]
id = "covered"
when = { assisted = true }
require.coverage = { min = 0.999 }

[test.unit]
run = ["sh", "-c", "mkdir -p target && sed \"s|@CHECKOUT@|$PWD|g\" report >target/report"]
reports = { coverage = "target/report" }
"#;

/// What is known of a change: each measured file's number of lines with data,
/// and those that were not executed.
pub(crate) type Numbers = BTreeMap<String, (u64, Vec<u64>)>;

/// A repository with the project before and after, an agent's change.
fn project(name: &str, report: &str) -> TestRepo {
    let fixture = Path::new("tests/fixtures/coverage").join(name);
    let repo = TestRepo::new();
    let text = std::fs::read(fixture.join(report)).unwrap();
    repo.write("countersign.toml", POLICY).write("report", text).write(".gitignore", "/target/\n");
    copy(&repo, &fixture.join("base"));
    repo.commit("ana", "before");
    repo.git(&["switch", "-q", "-c", "topic"]);
    copy(&repo, &fixture.join("head"));
    repo.commit("ana", &format!("after{BY_CLAUDE}"));
    repo.git(&["config", "user.email", "ana@example.com"]);
    assert!(countersign(&repo, &["install"]).passes());
    repo
}

pub(crate) fn copy(repo: &TestRepo, folder: &Path) {
    let mut waiting = vec![folder.to_owned()];
    while let Some(place) = waiting.pop() {
        if place.is_dir() {
            waiting.extend(std::fs::read_dir(&place).unwrap().map(|it| it.unwrap().path()));
        } else {
            repo.write(place.strip_prefix(folder).unwrap(), std::fs::read(&place).unwrap());
        }
    }
}

/// Ours, from `explain`.
fn ours(repo: &TestRepo) -> Numbers {
    let test = countersign(repo, &["test"]);
    assert!(test.passes(), "{}", test.text);
    numbers_of(repo)
}

/// The same where the tests were run.
pub(crate) fn numbers_of(repo: &TestRepo) -> Numbers {
    let said = countersign(repo, &["--format", "json", "explain", "--rule", "covered"]);
    let explained: Value =
        serde_json::from_str(&said.text).unwrap_or_else(|_| panic!("{}", said.text));
    let requirement = &explained["rules"][0]["requirements"][0];
    let files = requirement["coverage"].as_array().unwrap_or_else(|| panic!("{explained:#}"));
    let row = |file: &Value| {
        let ranges = file["missed"].as_array().unwrap().iter();
        let missed: Vec<u64> = ranges
            .flat_map(|it| it["start"].as_u64().unwrap()..=it["end"].as_u64().unwrap())
            .collect();
        let measured = file["covered"].as_u64().unwrap() + missed.len() as u64;
        (file["path"].as_str().unwrap().to_owned(), (measured, missed))
    };
    let measured = files.iter().map(row).filter(|(_, (measured, _))| *measured > 0);
    measured.collect()
}

/// diff-cover's, on the same commits; `None`: it is not installed.
pub(crate) fn theirs(repo: &TestRepo, report: &str, extra: &[&str]) -> Option<(Numbers, u64)> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("diff-cover"))
        .find(|program| program.is_file());
    let Some(program) = found else {
        skipped_unless_installed("diff-cover");
        return None;
    };
    let extension = Path::new(report).extension().unwrap().to_str().unwrap();
    let name = PathBuf::from(format!("target/report.{extension}"));
    let text = std::fs::read_to_string(repo.path().join("report")).unwrap();
    repo.write(&name, text.replace("@CHECKOUT@", repo.path().to_str().unwrap()));
    let mut command = repo.command(program);
    command.arg(&name).args(["--compare-branch=main", "--format", "json:target/out.json"]);
    let output = command.args(extra).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json = std::fs::read(repo.path().join("target/out.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let row = |(path, file): (&String, &Value)| {
        let mut missed: Vec<u64> =
            file["violation_lines"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        missed.sort_unstable();
        let covered = file["covered_lines"].as_array().map_or(0, Vec::len);
        (path.clone(), (covered as u64 + missed.len() as u64, missed))
    };
    let files = json["src_stats"].as_object().unwrap().iter().map(row);
    let numbers = files.filter(|(_, (measured, _))| *measured > 0).collect();
    Some((numbers, json["total_num_lines"].as_u64().unwrap()))
}

/// Both say the same of every file, and some of each kind is there.
#[track_caller]
fn check(name: &str, report: &str, extra: &[&str]) -> Numbers {
    let repo = project(name, report);
    let ours = ours(&repo);
    assert!(ours.values().any(|(_, missed)| !missed.is_empty()), "{name}/{report}: {ours:?}");
    if let Some((theirs, total)) = theirs(&repo, report, extra) {
        assert_eq!(ours, theirs, "{name}/{report}");
        assert_eq!(ours.values().map(|(measured, _)| measured).sum::<u64>(), total);
    }
    ours
}

/// A format that diff-cover does not read says what the same tool's other one says.
#[track_caller]
fn check_same(name: &str, report: &str, other: &Numbers) {
    assert_eq!(ours(&project(name, report)), *other, "{name}/{report}");
}

#[test]
fn python() {
    let numbers = check("python", "coverage.xml", &[]);
    check("python", "coverage.lcov", &[]);
    check_same("python", "coverage.json", &numbers);
    assert_eq!(numbers["shop/cart.py"], (16, vec![15, 31]));
}

#[test]
fn javascript() {
    check("javascript", "node.info", &[]);
    for tool in ["c8", "nyc"] {
        let numbers = check("javascript", &format!("{tool}.info"), &[]);
        check("javascript", &format!("{tool}.xml"), &[]);
        check_same("javascript", &format!("{tool}.json"), &numbers);
    }
}

#[test]
fn c() {
    let numbers = check("c", "cobertura.xml", &[]);
    assert_eq!(check("c", "gcovr.info", &[]), numbers);
}

#[test]
fn rust() {
    let numbers = check("rust", "lcov.info", &[]);
    check_same("rust", "llvm-cov.json", &numbers);
}

#[test]
fn java() {
    check("java", "jacoco.xml", &["--src-roots", "src/main/java"]);
}

/// diff-cover does not read Go's profiles: the lines are those of `go tool cover`.
#[test]
fn go() {
    let numbers = ours(&project("go", "cover.out"));
    assert_eq!(numbers["cart/cart.go"], (7, vec![12, 13, 19, 20]));
}
