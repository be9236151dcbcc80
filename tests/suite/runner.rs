//! Tests run on exactly the tree, whatever lies around it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use countersign::adapters::checkout::{Origin, Slots};
use countersign::adapters::git::Git;
use countersign::adapters::runner::{self, End, Event, Order, Outcome};
use countersign::gate::change::{Oid, RepoPath};
use countersign::gate::packages::Affected;
use countersign::gate::policy::{Reports, TestCommand};

use crate::fixture::{as_the_only_run, beside_other_runs, skipped};

static NO_PACKAGES: std::collections::BTreeMap<String, Affected> =
    std::collections::BTreeMap::new();
static NO_PROOFS: std::collections::BTreeMap<
    String,
    (String, Vec<countersign::gate::proof::Source>),
> = std::collections::BTreeMap::new();

static NEVER: AtomicBool = AtomicBool::new(false);

/// A repository, and a cache folder for its slots.
struct Fixture {
    folder: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
    /// Whether nothing else may run in this process meanwhile.
    alone: bool,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let variables = vec![("PATH".into(), path), ("HOME".into(), folder.path().into())];
        let fixture = Fixture { folder, variables, alone: false };
        std::fs::create_dir(fixture.repository()).unwrap();
        fixture.git(&["init", "-q", "-b", "main"]);
        fixture
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    fn git_in(&self, dir: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(dir)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "ana")
            .env("GIT_AUTHOR_EMAIL", "ana@example.com")
            .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
            .env("GIT_COMMITTER_NAME", "ana")
            .env("GIT_COMMITTER_EMAIL", "ana@example.com")
            .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.repository(), arguments)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.repository().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits these files.
    fn commit(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            self.write(path, text);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "change"]);
    }

    fn origin(&self) -> Origin {
        let hermetic = [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")];
        let hermetic = hermetic.map(|(name, value)| (name.into(), value.into()));
        Origin::of(&Git::open_elsewhere(&self.repository(), hermetic).unwrap()).unwrap()
    }

    fn slots(&self) -> Slots {
        Slots::below(&self.folder.path().join("cache"), self.origin()).unwrap()
    }

    /// Runs tests on HEAD.
    fn run_all(&self, tests: &[&TestCommand], adapt: impl FnOnce(&mut Order<'_>)) -> Vec<Outcome> {
        let oid = |name: &str| Oid::parse(&self.git(&["rev-parse", name])).unwrap();
        let (commit, tree) = (oid("HEAD"), oid("HEAD^{tree}"));
        let mut order = Order {
            tests,
            commit: &commit,
            tree: &tree,
            base: None,
            files: &[],
            variables: &self.variables,
            parallel: 1,
            budget: None,
            interrupted: &NEVER,
            proofs: &NO_PROOFS,
            packages: &NO_PACKAGES,
            dry: None,
        };
        adapt(&mut order);
        let run = || runner::run(&self.slots(), &order, &|_| {});
        if self.alone { as_the_only_run(run) } else { beside_other_runs(run) }
    }

    fn run(&self, test: &TestCommand) -> Outcome {
        self.run_all(&[test], |_| {}).pop().unwrap()
    }

    /// Runs a shell script on HEAD and compares what came of it.
    #[track_caller]
    fn check(&self, script: &str, end: End, summary: &str) {
        let outcome = self.run(&shell(script));
        assert_eq!((outcome.summary.as_str(), outcome.end), (summary, end), "{}", outcome.tail);
    }
}

/// A test that is a shell script.
fn shell(script: &str) -> TestCommand {
    TestCommand::plain(
        "unit",
        ["sh", "-c", script].map(str::to_owned).to_vec(),
        Duration::from_secs(60),
    )
}

fn reporting(script: &str) -> TestCommand {
    let reports = Reports { junit: vec!["out/junit.xml".to_owned()], coverage: Vec::new() };
    TestCommand { reports, ..shell(script) }
}

/// Every file below a folder with its bytes, except for what reading refreshes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rows.extend(contents(&path));
        } else {
            rows.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    rows.sort();
    rows
}

#[test]
fn export_ignore_keeps_tests() {
    let fixture = Fixture::new();
    fixture.commit(&[
        (".gitattributes", "tests/ export-ignore\nversion export-subst\n"),
        ("tests/a.sh", "exit 0\n"),
        ("version", "$Format:%H$\n"),
    ]);
    fixture.check(
        "sh tests/a.sh && test \"$(cat version)\" = '$Format:%H$'",
        End::Passed,
        "exit status 0",
    );
}

#[test]
fn checkout_runs_no_hook() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let witness = fixture.folder.path().join("witness");
    let hook = fixture.repository().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", witness.display())).unwrap();
    Command::new("chmod").arg("+x").arg(&hook).status().unwrap();
    fixture.git(&["checkout", "-q", "HEAD"]);
    assert!(witness.exists(), "the hook must work for this test to mean anything");
    std::fs::remove_file(&witness).unwrap();
    fixture.check("git checkout -q HEAD", End::Passed, "exit status 0");
    assert!(!witness.exists());
}

#[test]
fn slot_leaves_the_repository_alone() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n"), ("b", "1\n")]);
    let before = contents(&fixture.repository());
    // A test that commits, tags and configures where it stands.
    let script = "git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m x && git tag t && git config a.b c";
    fixture.check(script, End::Passed, "exit status 0");
    fixture.check(
        "echo 2 >a; rm b; exit 0",
        End::Failed,
        "the run changed tracked files: a and 1 more",
    );
    assert_eq!(contents(&fixture.repository()), before);
    fixture.check(
        "test -z \"$(git tag)$(git config a.b)\" && grep -q 1 a b",
        End::Passed,
        "exit status 0",
    );
}

#[test]
fn dirty_worktree_does_not_help() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "broken\n")]);
    fixture.write("a", "fixed\n");
    fixture.git(&["add", "a"]);
    fixture.write("untracked", "");
    fixture.check("grep -q fixed a", End::Failed, "exit status 1");
    fixture.check("test ! -e untracked", End::Passed, "exit status 0");
}

#[test]
fn what_one_run_leaves_does_not_help_the_next() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "broken\n"), (".gitignore", "/cache\n")]);
    // Whatever git would call clean, and is not.
    let script = "echo fixed >a; git update-index --assume-unchanged a; echo a >>.git/info/exclude; \
                  mkdir -p sub .git/info && git init -q sub; touch left cache; exit 0";
    fixture.check(
        &format!("mkdir -p .git/info; {script}"),
        End::Failed,
        "the run changed tracked files: a",
    );
    fixture.check(
        "grep -q broken a && test ! -e left -a ! -e sub -a -e cache",
        End::Passed,
        "exit status 0",
    );
    // Folders and links in the place of tracked files, and of the whole checkout.
    let outside = fixture.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let script = format!(
        "rm a && mkdir a && touch a/b && cd .. && rm -rf checkout && ln -s '{}' checkout",
        outside.display()
    );
    assert_ne!(fixture.run(&shell(&script)).end, End::Passed);
    fixture.check("grep -q broken a", End::Passed, "exit status 0");
    assert_eq!(contents(&outside), []);
}

#[test]
fn what_hides_a_change_of_a_tracked_file_does_not_help() {
    let fixture = Fixture::new();
    let names =
        ["a", "a-b/c", "a.b", "a/b/c", "a/b-", "a0", "d/\u{e4} \u{1f600}", "e\\f\"g", "empty", "z"];
    let long = ["n".repeat(200).as_str(); 9].join("/");
    let mut files: Vec<(&str, &str)> = names.iter().skip(1).map(|name| (*name, "1\n")).collect();
    files.push((&long, "1\n"));
    files.retain(|(name, _)| *name != "empty");
    files.push(("empty", ""));
    fixture.commit(&files);
    let unchanged = "test \"$(cat a/b/c)\" = 1 && test ! -L a/b/c -a ! -x a/b/c -a ! -s empty && test ! -e left";
    let changed = "the run changed tracked files: ";
    for (script, path) in [
        // The same size, and the time that it had.
        ("cp -p a/b/c ../old; echo 2 >a/b/c; touch -r ../old a/b/c", "a/b/c"),
        ("chmod +x a/b/c", "a/b/c"),
        ("ln -sf b- a/b/c", "a/b/c"),
        ("rm -r a/b", "a/b/c"),
        ("mv a other; ln -s other a", "a/b- and 1 more"),
        ("rm a/b/c; mkdir a/b/c", "a/b/c"),
        ("echo 2 >'d/\u{e4} \u{1f600}'", "d/\u{e4} \u{1f600}"),
        ("rm 'e\\f\"g'", "e\\f\"g"),
        ("echo 1 >empty", "empty"),
        (&format!("echo 2 >{long}"), &long),
    ] {
        fixture.check(unchanged, End::Passed, "exit status 0");
        let path = countersign::gate::change::RepoPath::new(path).to_display();
        let summary = countersign::gate::change::printable(&format!("{changed}{path}"));
        fixture.check(script, End::Failed, &summary);
    }
    // What says nothing else is no change.
    fixture.check("touch a/b/c; mkdir -p left/empty; touch a/left", End::Passed, "exit status 0");
    fixture.check(&format!("{unchanged} && test ! -e a/left"), End::Passed, "exit status 0");
}

/// Settings of the user that write an index of another kind.
#[test]
fn settings_of_git_do_not_change_what_is_seen() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n"), ("b/c", "1\n")]);
    let slots = fixture.slots();
    let slot = slots.take(&NEVER).unwrap();
    let control = slot.aside("control");
    let oid = |name: &str| Oid::parse(&fixture.git(&["rev-parse", name])).unwrap();
    let (commit, tree) = (oid("HEAD"), oid("HEAD^{tree}"));
    let change = || {
        slot.bring(&commit, &tree, &NEVER).unwrap();
        assert_eq!(slot.modified().unwrap(), []);
        std::fs::write(slot.checkout().join("b/c"), "2\n").unwrap();
        assert_eq!(slot.modified().unwrap(), [RepoPath::new("b/c")]);
    };
    change();
    let in_control = |words: &[&str]| {
        let control = ["--git-dir", control.to_str().unwrap()];
        let files = ["--work-tree", slot.checkout().to_str().unwrap()].map(str::to_owned);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        fixture.git(&[control.as_slice(), &files, words].concat())
    };
    for words in [
        ["update-index", "--index-version=4", "--refresh", "-q"].as_slice(),
        &["update-index", "--split-index", "-q"],
        &["update-index", "--assume-unchanged", "b/c"],
        &["update-index", "--skip-worktree", "a"],
    ] {
        slot.bring(&commit, &tree, &NEVER).unwrap();
        in_control(words);
        if !words.contains(&"b/c") {
            std::fs::write(slot.checkout().join("b/c"), "2\n").unwrap();
            assert_eq!(slot.modified().unwrap(), [RepoPath::new("b/c")], "{words:?}");
        }
        in_control(&["update-index", "--no-assume-unchanged", "--no-skip-worktree", "b/c"]);
        in_control(&["update-index", "--no-skip-worktree", "a"]);
        change();
    }
}

#[test]
fn another_commit_is_another_tree() {
    let fixture = Fixture::new();
    fixture.commit(&[("a/b", "1\n"), ("c", "1\n")]);
    fixture.check("test -f a/b", End::Passed, "exit status 0");
    fixture.git(&["rm", "-rq", "a", "c"]);
    fixture.commit(&[("a", "2\n"), ("c/d", "2\n")]);
    fixture.check("test -f a -a -f c/d && test $(ls | wc -l) = 2", End::Passed, "exit status 0");
}

#[test]
fn replaced_objects_do_not_help() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "broken\n")]);
    let blob = fixture.git(&["rev-parse", "HEAD:a"]);
    fixture.write("b", "fixed\n");
    let other = fixture.git(&["hash-object", "-w", "b"]);
    fixture.git(&["replace", &blob, &other]);
    fixture.check("grep -q fixed a", End::Failed, "exit status 1");
}

#[test]
fn carriage_returns_under_text_auto_are_no_change() {
    let fixture = Fixture::new();
    fixture.commit(&[("a.txt", "one\r\n")]);
    fixture.commit(&[(".gitattributes", "* text=auto\n")]);
    fixture.check("grep -q one a.txt", End::Passed, "exit status 0");
    fixture.check("printf 'two\\r\\n' >a.txt", End::Failed, "the run changed tracked files: a.txt");
}

#[test]
fn hook_environment_does_not_leak() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let mut test =
        shell("test -z \"$GIT_DIR\" && test \"$(git rev-parse --show-toplevel)\" = \"$(pwd -P)\"");
    test.env = vec!["GIT_DIR".to_owned()];
    let mut variables = fixture.variables.clone();
    variables.push(("GIT_DIR".into(), fixture.repository().join(".git").into()));
    let outcome = fixture.run_all(&[&test], |order| {
        // The borrow outlives the call, as the fixture's own variables do.
        order.variables = Box::leak(variables.into_boxed_slice());
    });
    assert_eq!(outcome[0].end, End::Passed, "{}", outcome[0].tail);
}

#[test]
fn undeclared_environment() {
    let mut variables: Vec<(OsString, OsString)> = vec![
        ("SECRET".into(), "s".into()),
        ("DECLARED".into(), "d".into()),
        ("LC_ALL".into(), "C".into()),
        ("PATH".into(), "/usr/lib/git-core:/usr/bin".into()),
    ];
    let mut test = shell("true");
    test.env = vec!["DECLARED".to_owned()];
    let seen = runner::environment(&variables, &test);
    let names: Vec<_> = seen.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    assert_eq!(names, ["DECLARED", "LC_ALL", "PATH"]);
    assert_eq!(seen[2].1, "/usr/bin");
    // A declared variable that changes is another environment; an undeclared one is not.
    let digests =
        |variables: &[_]| runner::environment_digests(&runner::environment(variables, &test));
    let before = digests(&variables);
    variables[0].1 = "t".into();
    assert_eq!(digests(&variables), before);
    variables[1].1 = "e".into();
    assert_ne!(digests(&variables), before);

    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    fixture.check(
        "test \"$COUNTERSIGN_HEAD\" = \"$(git rev-parse HEAD)\" && test -d \"$COUNTERSIGN_OUT\" && test -z \"$CARGO_MANIFEST_DIR\"",
        End::Passed,
        "exit status 0",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn setsid_survivor() {
    let fixture = Fixture { alone: true, ..Fixture::new() };
    fixture.commit(&[("a", "1\n")]);
    let pids = fixture.folder.path().join("pids");
    // One leaves the group, one also clears its environment; both hold the pipe.
    let script = format!(
        "setsid sleep 300 & echo $! >>'{0}'; setsid env -i /bin/sleep 300 & echo $! >>'{0}'; \
         trap '' TERM; sleep 0.3; echo waiting; while :; do sleep 1; done",
        pids.display()
    );
    let test = TestCommand { timeout: Duration::from_secs(1), ..shell(&script) };
    let start = Instant::now();
    let outcome = fixture.run(&test);
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Failed, "timed out after 1s"));
    assert!(outcome.tail.contains("waiting"), "{}", outcome.tail);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_gone(&pids, 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_ends_leaves_nothing_behind() {
    let fixture = Fixture { alone: true, ..Fixture::new() };
    fixture.commit(&[("a", "1\n")]);
    let pids = fixture.folder.path().join("pids");
    let script = format!(
        "(setsid sleep 300 & echo $! >>'{0}'); (setsid env -i /bin/sleep 300 & echo $! >>'{0}'); \
         sleep 300 & echo $! >>'{0}'; sleep 0.2; exit 0",
        pids.display()
    );
    fixture.check(&script, End::Passed, "exit status 0");
    assert_gone(&pids, 3);
}

/// In a PID namespace whose processes do not know the leader of their session, as in
/// many a container.
#[cfg(target_os = "linux")]
#[test]
fn the_session_leader_lies_outside() {
    let inside = |arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]);
        command.args(arguments).output()
    };
    if !inside(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        crate::fixture::skipped("no PID namespace can be made here (unshare)");
        return;
    }
    let suite = std::env::current_exe().unwrap();
    let name = "runner::a_run_that_ends_leaves_nothing_behind";
    let output = inside(&[suite.as_os_str(), "--exact".as_ref(), name.as_ref()]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Asserts that the processes whose ids stand in a file have ended.
#[cfg(target_os = "linux")]
fn assert_gone(pids: &Path, count: usize) {
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), count);
    for pid in pids.lines() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

#[test]
fn no_tests_ran() {
    let fixture = Fixture::new();
    fixture.commit(&[(".gitignore", "/out\n")]);
    let script = "mkdir -p out; echo '<testsuite tests=\"3\"/>' >out/junit.xml";
    let outcome = fixture.run(&reporting(script));
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Failed, "no tests ran (0 skipped)"));
}

#[test]
fn stale_report() {
    let fixture = Fixture::new();
    fixture.commit(&[(".gitignore", "/out\n/kept.xml\n")]);
    let passing = "mkdir -p out; echo '<testsuite><testcase/></testsuite>' >out/junit.xml";
    let outcome = fixture.run(&reporting(passing));
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Passed, "1 test passed"));
    // The report of the run before lies in an ignored folder, which is kept.
    let outcome = fixture.run(&reporting("true"));
    let missing = "the report `out/junit.xml` was not written";
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Failed, missing));
    // A build tool brings an old report back from its own cache.
    let outcome = fixture.run(&reporting(&format!("{passing}; touch -d 2020-01-01 out/junit.xml")));
    let stale = "the report `out/junit.xml` is older than the run";
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Failed, stale));
    // A report that is only a way out of the checkout.
    let outside = fixture.folder.path().join("outside.xml");
    std::fs::write(&outside, "").unwrap();
    let script = format!(
        "sleep 0.05; echo '<testsuite><testcase/></testsuite>' >'{0}'; mkdir -p out; ln -s '{0}' out/junit.xml",
        outside.display()
    );
    let outcome = fixture.run(&reporting(&script));
    let elsewhere = "the report `out/junit.xml` lies outside the checkout";
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Failed, elsewhere));
}

#[test]
fn reports_decide_beyond_the_exit_status() {
    let fixture = Fixture::new();
    fixture.commit(&[(".gitignore", "/out\n")]);
    let report = |text: &str, exit: u8| {
        let script = format!("mkdir -p out; echo '{text}' >out/junit.xml; exit {exit}");
        let outcome = fixture.run(&reporting(&script));
        (outcome.end, outcome.summary)
    };
    let failing = "<testsuite><testcase/><testcase><failure/></testcase></testsuite>";
    assert_eq!(report(failing, 0), (End::Failed, "1 of 2 tests failed (exit status 0)".to_owned()));
    assert_eq!(report(failing, 3), (End::Failed, "1 of 2 tests failed (exit status 3)".to_owned()));
    let broken = "the report `out/junit.xml` cannot be read: the report ends in the middle";
    assert_eq!(report("<testsuite>", 0), (End::Failed, broken.to_owned()));
}

#[test]
fn setup_runs_once_for_the_same_inputs() {
    let fixture = Fixture::new();
    let files = [(".gitignore", "/deps\n/count\n"), ("lock", "1\n"), ("a", "1\n")];
    fixture.commit(&files);
    let log = fixture.folder.path().join("log");
    let set_up = |setup: &str| {
        let setup = format!("{setup} && echo ran >>'{}'", log.display());
        let mut test = shell("true");
        test.setup = Some(["sh", "-c", &setup].map(str::to_owned).to_vec());
        let outcome = fixture.run(&test);
        assert_eq!(outcome.end, End::Passed, "{}", outcome.summary);
        std::fs::read_to_string(&log).unwrap().lines().count()
    };
    assert_eq!([set_up("touch deps"), set_up("touch deps")], [1, 1]);
    fixture.commit(&[("lock", "2\n")]);
    assert_eq!(set_up("touch deps"), 2);
    // What the next clean would remove must be made again.
    assert_eq!([set_up("touch unignored"), set_up("touch unignored")], [3, 4]);

    let mut test = shell("true");
    test.setup = Some(vec!["false".to_owned()]);
    let outcome = fixture.run(&test);
    let failed = "the setup failed: exit status 1";
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Failed, failed));
}

#[test]
fn two_runs_at_once() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let meet = fixture.folder.path().join("meet");
    std::fs::create_dir(&meet).unwrap();
    // Each waits for the other, so they pass only if they run side by side.
    let script = |own: &str, other: &str| {
        format!(
            "pwd >'{0}/{own}'; for i in $(seq 200); do test -e '{0}/{other}' && exit 0; sleep 0.05; done; exit 1",
            meet.display()
        )
    };
    let (left, right) = (shell(&script("l", "r")), shell(&script("r", "l")));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| fixture.run(&left));
        assert_eq!(fixture.run(&right).end, End::Passed);
        assert_eq!(other.join().unwrap().end, End::Passed);
    });
    let place = |name: &str| std::fs::read_to_string(meet.join(name)).unwrap();
    assert_ne!(place("l"), place("r"));
    for name in ["l", "r"] {
        std::fs::remove_file(meet.join(name)).unwrap();
    }
    let outcomes = fixture.run_all(&[&left, &right], |order| order.parallel = 2);
    assert!(outcomes.iter().all(|it| it.end == End::Passed), "{outcomes:?}");
}

#[test]
fn placeholders_fill_words() {
    let fixture = Fixture::new();
    fixture.commit(&[("-rf", "1\n"), ("a b", "1\n")]);
    let mut test = shell("true");
    let script = "test \"$1\" = ./-rf && test \"$2\" = './a b' && test $# = 3 && test -d \"$3\" && grep -qx './a b' \"$COUNTERSIGN_FILES_FROM\"";
    test.run = ["sh", "-c", script, "sh", "{files}", "{out}"].map(str::to_owned).to_vec();
    let files = [RepoPath::new("-rf"), RepoPath::new("a b")];
    let run = |test: &TestCommand| {
        fixture
            .run_all(&[test], |order| order.files = Box::leak(Box::new(files.clone())))
            .pop()
            .unwrap()
    };
    let outcome = run(&test);
    assert_eq!(outcome.end, End::Passed, "{}{}", outcome.summary, outcome.tail);
    test.run[4] = "--x={files}".to_owned();
    let refused = "`{files}` must be a word of its own, not part of `--x={files}`";
    assert_eq!(run(&test).summary, refused);
    test.run = vec!["no-such-program".to_owned()];
    assert_eq!(run(&test).end, End::Failed);
    assert!(run(&test).summary.starts_with("failed to start `no-such-program`"));
}

#[test]
fn an_interruption_and_a_budget_end_the_run() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let slow = shell("sleep 60");
    let outcomes =
        fixture.run_all(&[&slow, &slow], |order| order.budget = Some(Duration::from_millis(500)));
    assert_eq!(outcomes.iter().map(|it| it.end).collect::<Vec<_>>(), [End::NotRun, End::NotRun]);
    static STOP: AtomicBool = AtomicBool::new(false);
    let events = Mutex::new(Vec::new());
    let oid = |name: &str| Oid::parse(&fixture.git(&["rev-parse", name])).unwrap();
    let order = Order {
        tests: &[&slow],
        commit: &oid("HEAD"),
        tree: &oid("HEAD^{tree}"),
        base: None,
        files: &[],
        variables: &fixture.variables,
        parallel: 1,
        budget: None,
        interrupted: &STOP,
        proofs: &NO_PROOFS,
        packages: &NO_PACKAGES,
        dry: None,
    };
    let outcomes = beside_other_runs(|| {
        runner::run(&fixture.slots(), &order, &|event| {
            if let Event::Started { .. } = event {
                STOP.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            events.lock().unwrap().push(event);
        })
    });
    assert_eq!((outcomes[0].end, outcomes[0].summary.as_str()), (End::NotRun, "interrupted"));
    assert!(matches!(
        events.lock().unwrap().as_slice(),
        [Event::Preparing { .. }, Event::Started { .. }, Event::Finished { end: End::NotRun, .. }]
    ));
}

#[test]
fn submodules_come_from_the_clone() {
    let fixture = Fixture::new();
    let library = fixture.folder.path().join("library");
    std::fs::create_dir(&library).unwrap();
    fixture.git_in(&library, &["init", "-q", "-b", "main"]);
    std::fs::write(library.join("lib"), "1\n").unwrap();
    fixture.git_in(&library, &["add", "-A"]);
    fixture.git_in(&library, &["commit", "-q", "-m", "library"]);
    fixture.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "-q",
        library.to_str().unwrap(),
        "vendor/lib",
    ]);
    fixture.commit(&[("a", "1\n")]);
    // Nothing can be fetched from here on.
    std::fs::remove_dir_all(&library).unwrap();
    fixture.check("grep -q 1 vendor/lib/lib", End::Passed, "exit status 0");
    fixture.check(
        "echo 2 >vendor/lib/lib",
        End::Failed,
        "the run changed tracked files: vendor/lib/lib",
    );
    fixture.check(
        "grep -q 1 vendor/lib/lib && git status --porcelain | { ! grep .; }",
        End::Passed,
        "exit status 0",
    );
    // Without it in the clone, the folder is empty, as it is there.
    std::fs::remove_dir_all(fixture.repository().join(".git/modules")).unwrap();
    fixture.check("test -d vendor/lib && test ! -e vendor/lib/lib", End::Passed, "exit status 0");
}

#[test]
fn slots_lie_below_no_git_folder_and_are_private() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    fixture.check("case \"$PWD\" in */.git/*) exit 1;; esac", End::Passed, "exit status 0");
    let below =
        Slots::below(&fixture.repository().join(".git/cache"), fixture.origin()).unwrap_err();
    assert!(below.to_string().contains("lies below a `.git` folder"), "{below}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let folder = fixture.folder.path().join("cache/countersign");
        let mode = std::fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
fn sha256_repositories_have_slots_too() {
    let fixture = Fixture::new();
    std::fs::remove_dir_all(fixture.repository()).unwrap();
    std::fs::create_dir(fixture.repository()).unwrap();
    fixture.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    fixture.commit(&[("a", "1\n")]);
    fixture.check("test $(git rev-parse HEAD | wc -c) = 65", End::Passed, "exit status 0");
}

#[test]
fn caches_survive_a_commit_that_is_not_whole() {
    let fixture = Fixture::new();
    fixture.commit(&[(".gitignore", "/cache\n"), ("a", "1\n")]);
    fixture.check("touch cache", End::Passed, "exit status 0");
    fixture.commit(&[("a", "lost\n")]);
    let blob = fixture.git(&["rev-parse", "HEAD:a"]);
    let objects = fixture.repository().join(".git/objects");
    std::fs::remove_file(objects.join(&blob[..2]).join(&blob[2..])).unwrap();
    let outcome = fixture.run(&shell("true"));
    assert_eq!(outcome.end, End::NotRun);
    assert!(outcome.summary.starts_with("failed to check the commit out: "), "{}", outcome.summary);
    fixture.git(&["reset", "-q", "--soft", "HEAD^"]);
    fixture.check("test -e cache && grep -q 1 a", End::Passed, "exit status 0");
}

#[test]
fn a_flaky_test_is_tried_again_and_says_so() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let count = fixture.folder.path().join("count");
    // Every attempt finds the checkout as the first one did.
    let script = |passes: usize| {
        format!(
            "test ! -e left || exit 9; echo x >left; test -z \"$(ls $COUNTERSIGN_OUT)\" || exit 8; echo >$COUNTERSIGN_OUT/x; echo >>{0}; test $(wc -l <{0}) -ge {passes} || exit 3",
            count.display()
        )
    };
    let flaky = |passes| TestCommand { retries: 2, ..shell(&script(passes)) };
    let outcome = fixture.run(&flaky(3));
    assert_eq!(
        (outcome.end, outcome.summary.as_str()),
        (End::Passed, "exit status 0 at attempt 3 (before: exit status 3; exit status 3)"),
        "{}",
        outcome.tail
    );
    assert_eq!(outcome.retried, ["exit status 3", "exit status 3"]);
    std::fs::remove_file(&count).unwrap();
    let outcome = fixture.run(&flaky(9));
    assert_eq!((outcome.end, outcome.exit, outcome.retried.len()), (End::Failed, Some(3), 2));
    std::fs::remove_file(&count).unwrap();
    let outcome = fixture.run(&flaky(1));
    assert_eq!((outcome.end, outcome.summary.as_str()), (End::Passed, "exit status 0"));
    assert!(outcome.retried.is_empty());
}

#[test]
fn a_wrapper_stands_in_front_of_the_test_and_not_of_its_setup() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let test = TestCommand {
        setup: Some(words("sh -c env>$COUNTERSIGN_OUT/setup")),
        wrap: words("env WRAPPED={tree}"),
        ..shell("test \"$WRAPPED\" = $COUNTERSIGN_TREE && ! grep WRAPPED $COUNTERSIGN_OUT/setup")
    };
    let outcome = fixture.run(&test);
    assert_eq!(outcome.end, End::Passed, "{} {}", outcome.summary, outcome.tail);
    assert_eq!(outcome.sandbox.wrap, ["env", "WRAPPED={tree}"]);
    assert!(outcome.sandbox.network);
    let missing = TestCommand { wrap: words("no-such-sandbox --"), ..shell("true") };
    let outcome = fixture.run(&missing);
    assert_eq!(outcome.end, End::Failed);
    assert!(outcome.summary.contains("no-such-sandbox"), "{}", outcome.summary);
}

#[test]
fn a_test_without_a_network_reaches_nobody() {
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // git is the one program that every machine here has and that can connect.
    let connect = format!("timeout 5 git ls-remote git://127.0.0.1:{port}/x; exit 0");
    let reached = || {
        let mut any = false;
        while listener.accept().is_ok() {
            any = true;
        }
        any
    };
    let outcome = fixture.run(&shell(&connect));
    assert_eq!(outcome.end, End::Passed, "{}", outcome.summary);
    assert!(reached() && outcome.sandbox.network);
    let apart = TestCommand { network: false, ..shell(&connect) };
    let outcome = fixture.run(&apart);
    if outcome.end == End::NotRun {
        assert!(outcome.summary.starts_with("it shall have no network"), "{}", outcome.summary);
        return skipped(&format!("no user namespaces here: {}", outcome.summary));
    }
    assert_eq!(outcome.end, End::Passed, "{} {}", outcome.summary, outcome.tail);
    assert!(!reached() && !outcome.sandbox.network);
    // Whoever it is outside, it is inside, and its own loopback is all there is.
    let own = TestCommand {
        network: false,
        ..shell(
            "test $(id -u) = $(stat -c %u .) && test \"$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')\" = lo",
        )
    };
    let outcome = fixture.run(&own);
    assert_eq!(outcome.end, End::Passed, "{} {}", outcome.summary, outcome.tail);
}

/// The wrapper that docs/running-tests.md shows.
#[test]
fn bubblewrap_keeps_a_test_to_its_checkout() {
    let docs = std::fs::read_to_string("docs/running-tests.md").unwrap();
    let line = docs.lines().find(|it| it.starts_with("wrap    = [\"bwrap\"")).unwrap();
    let wrap: Vec<String> = line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let probe = Command::new("bwrap").args(["--ro-bind", "/", "/", "--", "true"]).output();
    let works = probe.is_ok_and(|output| output.status.success());
    if !works {
        return skipped("bubblewrap is not installed, or may not make namespaces here");
    }
    let fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    let outside = fixture.folder.path().join("outside");
    // Whatever it writes elsewhere is nowhere afterwards.
    let writes = format!("echo 1 >{}; echo 1 >made && test -e a", outside.display());
    let test = TestCommand { wrap, ..shell(&writes) };
    let outcome = fixture.run(&test);
    assert_eq!(outcome.end, End::Passed, "{} {}", outcome.summary, outcome.tail);
    assert!(!outside.exists());
    assert_eq!(outcome.sandbox.wrap[0], "bwrap");
}

#[test]
fn without_a_way_to_take_the_network_away_nothing_is_run() {
    let mut fixture = Fixture::new();
    fixture.commit(&[("a", "1\n")]);
    // A machine that forbids it, as far as the program tells.
    let bin = fixture.folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let forbids = bin.join("unshare");
    std::fs::write(
        &forbids,
        "#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n",
    )
    .unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&forbids, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let ran = fixture.folder.path().join("ran");
    let test = TestCommand { network: false, ..shell(&format!("echo >{}", ran.display())) };
    for pretends in ["exit 1", "while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\""] {
        std::fs::write(&forbids, format!("#!/bin/sh\necho not permitted >&2\n{pretends}\n"))
            .unwrap();
        let path = fixture.variables.iter().find(|(name, _)| name == "PATH").unwrap().1.clone();
        let mut wider = bin.clone().into_os_string();
        wider.push(":");
        wider.push(&path);
        fixture.variables.retain(|(name, _)| name != "PATH");
        fixture.variables.push(("PATH".into(), wider));
        let outcome = fixture.run(&test);
        assert_eq!(outcome.end, End::NotRun, "{}", outcome.summary);
        assert!(outcome.summary.starts_with("it shall have no network"), "{}", outcome.summary);
        assert!(!ran.exists());
    }
}
