//! Small real projects of several languages with the languages' own tools: their
//! coverage says what diff-cover says, a test that asserts proves the assisted
//! lines, and one that asserts nothing is caught.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::diff_cover::{copy, numbers_of, theirs};
use crate::fixture::{TestRepo, skipped, skipped_unless_installed};
use crate::shop::{BY_CLAUDE, countersign};

/// A project of `tests/fixtures/projects`. Its `run.sh` runs the tests, leaves
/// `out/junit.xml` and a coverage report, and keeps a copy of the report at home.
struct Project {
    name: &'static str,
    /// The coverage report, below `out/`.
    report: &'static str,
    /// The assisted source, how many of its assisted lines are measured, and
    /// which are missed.
    source: (&'static str, u64, &'static [u64]),
    /// The test, as its report names it.
    test: &'static str,
    /// What diff-cover needs beside the report; `None`: it does not read the format.
    oracle: Option<&'static [&'static str]>,
}

fn policy(report: &str) -> String {
    format!(
        r#"
[[rule]]
id = "noticed"
when = {{ assisted = true }}
require.tests = ["unit"]

[[rule]]
id = "covered"
when = {{ assisted = true }}
require.coverage = {{ min = 0.5 }}

[test.unit]
run = "sh run.sh"
reports = {{ junit = "out/junit.xml", coverage = "out/{report}" }}
prove = "revert"
"#
    )
}

impl Project {
    /// A repository with an agent's change and these tests of it, which were run.
    fn changed(&self, tests: &str, variables: &[(&str, String)]) -> TestRepo {
        let folder = Path::new("tests/fixtures/projects").join(self.name);
        let mut repo = TestRepo::new();
        for (name, value) in variables {
            repo.set_variable(name, value);
        }
        let ignored = "/out/\n__pycache__/\n.coverage\n.pytest_cache/\n";
        repo.write("countersign.toml", policy(self.report)).write(".gitignore", ignored);
        copy(&repo, &folder.join("base"));
        repo.commit("ana", "before");
        repo.git(&["switch", "-q", "-c", "topic"]);
        copy(&repo, &folder.join("head"));
        copy(&repo, &folder.join(tests));
        repo.commit("ana", &format!("after{BY_CLAUDE}"));
        repo.git(&["config", "user.email", "ana@example.com"]);
        assert!(countersign(&repo, &["install"]).passes());
        let said = countersign(&repo, &["test"]);
        assert!(said.passes(), "{}", said.text);
        repo
    }

    #[track_caller]
    fn check(&self, variables: &[(&str, String)]) {
        let repo = self.changed("asserts", variables);
        let report = judged(&repo);
        let detail = report["obligations"][0]["detail"].as_str().unwrap();
        let noticed = format!("without the assisted lines `{}` fails", self.test);
        assert!(detail.contains(&noticed), "{detail}");
        assert_eq!(codes(&report), [""; 0], "{report:#}");
        self.check_coverage(&repo);
        let repo = self.changed("hopes", variables);
        let report = judged(&repo);
        let found = codes(&report);
        assert!(found.iter().all(|it| it == "tests-do-not-notice"), "{report:#}");
        assert!(!found.is_empty(), "{report:#}");
        let said = countersign(&repo, &["check", "--stage", "push"]);
        assert!(said.text.contains(self.source.0), "{}", said.text);
    }

    fn check_coverage(&self, repo: &TestRepo) {
        let ours = numbers_of(repo);
        let (path, measured, missed) = self.source;
        assert_eq!(ours.get(path), Some(&(measured, missed.to_vec())), "{ours:?}");
        let Some(extra) = self.oracle else { return };
        let kept = std::fs::read(repo.home().join(self.report)).unwrap();
        repo.write("report", kept);
        if let Some((theirs, total)) = theirs(repo, self.report, extra) {
            assert_eq!(ours, theirs);
            assert_eq!(ours.values().map(|(measured, _)| measured).sum::<u64>(), total);
        }
    }
}

fn judged(repo: &TestRepo) -> Value {
    let said = countersign(repo, &["--format", "json", "check", "--stage", "push"]);
    serde_json::from_str(&said.text).unwrap_or_else(|_| panic!("{}", said.text))
}

/// The codes of the findings that say something against the change.
fn codes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let against = findings.filter(|it| it["level"] != "note");
    against.map(|it| it["code"].as_str().unwrap().to_owned()).collect()
}

/// Whether a program ends well, in the surroundings of this test.
fn works(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// What a program prints, without the line's end.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn python() {
    if !works("python3", &["-c", "import coverage, pytest"]) {
        return skipped_unless_installed("coverage");
    }
    let project = Project {
        name: "python",
        report: "report.xml",
        source: ("shop/cart.py", 4, &[5]),
        test: "tests.test_cart::test_total",
        oracle: Some(&[]),
    };
    project.check(&[]);
}

#[test]
fn javascript() {
    let is_new = "process.exit(Number(process.versions.node.split('.')[0]) >= 20 ? 0 : 1)";
    if !works("node", &["-e", is_new]) {
        return skipped("Node.js 20 or newer is not installed");
    }
    let project = Project {
        name: "javascript",
        report: "report.info",
        source: ("src/cart.js", 6, &[5, 6]),
        test: "test::total",
        oracle: Some(&[]),
    };
    project.check(&[]);
}

#[test]
fn rust() {
    // Past rustup, which would look for its settings in the home folder of the test.
    let root = PathBuf::from(printed("rustc", &["--print", "sysroot"]));
    let host = printed("rustc", &["--print", "host-tuple"]);
    let tool = root.join("lib/rustlib").join(host).join("bin/llvm-cov");
    if !tool.is_file() {
        return skipped("rustup's component `llvm-tools` is not installed");
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", root.join("bin").display());
    let project = Project {
        name: "rust",
        report: "report.info",
        source: ("src/lib.rs", 5, &[5]),
        test: "total",
        oracle: Some(&[]),
    };
    project.check(&[("PATH", path)]);
}

#[test]
fn go() {
    if !works("go", &["version"]) {
        return skipped("Go is not installed");
    }
    let project = Project {
        name: "go",
        report: "report.out",
        source: ("cart/cart.go", 4, &[10, 11]),
        test: "TestTotal",
        oracle: None,
    };
    project.check(&[("GOCACHE", printed("go", &["env", "GOCACHE"]))]);
}

#[test]
fn c() {
    if !works("gcovr", &["--version"]) {
        return skipped_unless_installed("gcovr");
    }
    if !works("gcov", &["--version"]) || !printed("cc", &["--version"]).contains("Free Software") {
        return skipped("the C compiler is not GCC with gcov");
    }
    let project = Project {
        name: "c",
        report: "report.xml",
        source: ("src/cart.c", 3, &[9]),
        test: "total",
        oracle: Some(&[]),
    };
    project.check(&[]);
}

#[test]
fn java() {
    let jars = ["org.jacoco.agent", "org.jacoco.core", "org.jacoco.report", "asm"];
    let there = |it: &&str| Path::new("/usr/share/java").join(format!("{it}.jar")).is_file();
    if !works("javac", &["-version"]) || !jars.iter().all(there) {
        return skipped(
            "a JDK and JaCoCo in /usr/share/java (Debian's libjacoco-java) are not there",
        );
    }
    let project = Project {
        name: "java",
        report: "report.xml",
        source: ("src/main/java/shop/Cart.java", 3, &[10]),
        test: "total",
        oracle: Some(&["--src-roots", "src/main/java", "src/test/java"]),
    };
    project.check(&[]);
}
