//! Required tests: what is run again, what is recorded, what is taken from CI.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use countersign::adapters::env::Env;
use countersign::adapters::git::{Detail, Git, Start};
use countersign::adapters::store::Store;
use countersign::gate::policy::Policy;
use countersign::gate::record::{Body, Record, Run, SignatureState, SignedRecord};
use countersign::gate::time::Timestamp;
use countersign::jobs::test::{
    self, End, Execution, Place, Plan, Report, Signing, WithinBudget, execute, import,
    run_within_budget,
};

use crate::fixture::{TestRepo, beside_other_runs};

static NEVER: AtomicBool = AtomicBool::new(false);

/// A repository with a test that counts how often it ran.
struct Shop {
    repo: TestRepo,
    policy: String,
    variables: Vec<(String, String)>,
}

impl Shop {
    fn new(run: &str, more: &str) -> Shop {
        let repo = TestRepo::new();
        let count = repo.home().join("count");
        let run = format!("echo >>{}; {run}", count.display());
        let policy = format!("[test.unit]\nrun = [\"sh\", \"-c\", {run:?}]\n{more}\n");
        repo.commit_file("ana", "a", "1\n", "one");
        repo.commit_file("ana", "b", "1\n", "two");
        let path = std::env::var("PATH").unwrap();
        let mut variables = repo.variables();
        variables.push(("PATH".to_owned(), path));
        Shop { repo, policy, variables }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn env(&self) -> Env {
        Env {
            dir: self.repo.path().to_owned(),
            variables: self
                .variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            now: Timestamp(1_760_000_000),
            stdin_is_terminal: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            executable: None,
        }
    }

    fn policy(&self) -> Policy {
        Policy::parse(&self.policy, "test").unwrap_or_else(|error| panic!("{error}"))
    }

    fn plan(&self, git: &Git) -> Plan {
        let (base, head) = (self.repo.oid("HEAD^"), self.repo.oid("HEAD"));
        let change = git.change(&Start::at(base.clone()), &head, Detail::Files).unwrap();
        let names = BTreeSet::from(["unit".to_owned()]);
        Plan::new(git, &self.policy(), &change, &names, &Default::default()).unwrap()
    }

    /// Calls `with` with all that jobs take.
    fn at<T>(&self, with: impl FnOnce(Place<'_>, &Plan, &[SignedRecord]) -> T) -> T {
        let (env, git) = (self.env(), self.repo.open());
        let store = Store::new(&git.layout().common_dir);
        let records = records(&store);
        let plan = self.plan(&git);
        beside_other_runs(|| with(Place { env: &env, git: &git, store: &store }, &plan, &records))
    }

    fn run_signed(&self, signing: Option<&Signing>) -> Report {
        self.at(|place, plan, records| {
            let execution = Execution { records, signing, budget: None, interrupted: &NEVER };
            let mut reports = execute(place, plan, execution, &|_| {}).unwrap();
            assert_eq!(reports.len(), 1);
            reports.remove(0)
        })
    }

    fn run(&self) -> Report {
        self.run_signed(None)
    }

    fn within_budget(&self) -> WithinBudget {
        self.at(|place, plan, records| {
            run_within_budget(place, plan, records, &NEVER, &|_| {}).unwrap()
        })
    }

    /// How often the test ran.
    fn count(&self) -> usize {
        std::fs::read_to_string(self.repo.home().join("count")).unwrap_or_default().lines().count()
    }

    /// Makes a key for ana, and puts it into the policy.
    fn key(&mut self) -> std::path::PathBuf {
        let path = self.repo.home().join("key");
        let mut command = self.repo.command("ssh-keygen");
        let made = command.args(["-q", "-t", "ed25519", "-N", "", "-C", "ana", "-f"]).arg(&path);
        assert!(made.status().unwrap().success());
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        self.policy = format!(
            "{}\n[people.ana]\nkind = \"human\"\nemails = [\"ana@example.com\"]\nkeys = [{{ key = \"{}\" }}]\n",
            self.policy,
            public.trim()
        );
        path
    }

    fn signing(&self, key: &std::path::Path) -> Signing {
        self.at(|place, _, _| Signing::new(place, &self.policy(), Some(key), None).unwrap())
    }
}

/// What is kept, as `gather` would hand it over.
fn records(store: &Store) -> Vec<SignedRecord> {
    let kept = store.unpublished().unwrap();
    let record = |it: &countersign::adapters::store::Unpublished| {
        let record = Record::parse(&it.bytes).unwrap();
        let namespace = record.record_type().namespace();
        let signature = match &it.signature {
            None => SignatureState::Unsigned,
            Some(bytes) => countersign::adapters::signature::verify(&it.bytes, bytes, &namespace),
        };
        SignedRecord { record, signature, own: true }
    };
    kept.iter().map(record).collect()
}

#[test]
fn a_pass_is_not_run_again() {
    let mut shop = Shop::new("true", "env = [\"DECLARED\"]");
    let first = shop.run();
    assert_eq!((first.end, first.reused, shop.count()), (End::Passed, false, 1));
    let second = shop.run();
    assert_eq!((second.end, second.reused, shop.count()), (End::Passed, true, 1));
    assert_eq!(second.record, first.record);
    shop.set("UNDECLARED", "1");
    assert!(shop.run().reused);
    shop.set("DECLARED", "1");
    assert!(!shop.run().reused);
    shop.repo.commit_file("ana", "a", "2\n", "three");
    assert!(!shop.run().reused);
    assert_eq!(shop.count(), 3);
}

#[test]
fn inputs_narrow_what_a_result_depends_on() {
    let shop = Shop::new("true", "inputs = [\"/a\"]");
    shop.run();
    shop.repo.commit_file("ana", "b", "2\n", "beside the inputs");
    assert!(shop.run().reused);
    shop.repo.commit_file("ana", "a", "2\n", "in the inputs");
    assert!(!shop.run().reused);
}

#[test]
fn failure_is_not_cached() {
    let shop = Shop::new("test -e ~/works", "");
    let first = shop.run();
    assert_eq!((first.end, first.summary.as_str()), (End::Failed, "exit status 1"));
    assert!(first.record.is_some());
    assert_eq!(shop.run().end, End::Failed);
    std::fs::write(shop.repo.home().join("works"), "").unwrap();
    let third = shop.run();
    assert_eq!((third.end, third.reused, shop.count()), (End::Passed, false, 3));
}

#[test]
fn a_push_runs_what_it_may_and_no_more() {
    let shop = Shop::new("sleep 0.3", "");
    assert!(matches!(shop.within_budget(), WithinBudget::NotAllowed));
    shop.repo.git(&["config", "countersign.installed", "shim"]);
    let WithinBudget::Ran(reports) = shop.within_budget() else { panic!("it may run") };
    assert_eq!(reports[0].end, End::Passed);
    // By its last duration it would take too long; a pass that stands takes no time at all.
    shop.repo.git(&["config", "countersign.pushBudget", "0"]);
    assert!(matches!(shop.within_budget(), WithinBudget::TooLong { expected, budget }
        if expected >= Duration::from_millis(300) && budget.is_zero()));
    // A commit that was fetched and never checked out.
    shop.repo.git(&["config", "countersign.pushBudget", "45s"]);
    let tree = shop.repo.git(&["rev-parse", "HEAD^{tree}"]);
    let fetched = shop.repo.git(&["commit-tree", "-p", "HEAD", "-m", "fetched", &tree]);
    shop.at(|place, plan, records| {
        let mut plan = plan.clone();
        plan.commit = countersign::gate::change::Oid::parse(&fetched).unwrap();
        let within = run_within_budget(place, &plan, records, &NEVER, &|_| {}).unwrap();
        assert!(matches!(within, WithinBudget::NotOurs));
        // One that was left again is ours.
        plan.commit = shop.repo.oid("HEAD^");
        assert!(test::is_own(place.git, &plan.commit).unwrap());
    });
}

#[test]
fn commands_run_only_where_they_were_allowed() {
    let mut shop = Shop::new("true", "");
    let refused = test::may_run(&shop.env()).unwrap_err();
    assert_eq!(refused.hints, ["`countersign install` allows them here, and installs the hooks"]);
    shop.set("CI", "true");
    assert!(test::may_run(&shop.env()).is_ok());
}

#[test]
fn a_signature_is_added_to_a_pass_without_running_again() {
    let mut shop = Shop::new("true", "");
    let key = shop.key();
    let signing = shop.signing(&key);
    let unsigned = shop.run();
    let signed = shop.run_signed(Some(&signing));
    assert_eq!((signed.reused, shop.count()), (true, 1));
    assert_ne!(signed.record, unsigned.record);
    let again = shop.run_signed(Some(&signing));
    assert_eq!(again.record, signed.record);
    let states: Vec<_> = shop.at(|_, _, records| {
        records.iter().map(|it| matches!(it.signature, SignatureState::Good(_))).collect()
    });
    assert_eq!(states.iter().filter(|good| **good).count(), 1);
}

#[test]
fn the_matrix_names_what_ci_needs() {
    let shop = Shop::new("true", "");
    let matrix = shop.at(|_, plan, _| plan.matrix());
    let row = &matrix["include"][0];
    assert_eq!(row["test"], "unit");
    assert_eq!(row["commit"], shop.repo.oid("HEAD").as_str());
    assert_eq!(row["tree"], shop.repo.oid("HEAD^{tree}").as_str());
    assert_eq!(row["key"].as_str().map(str::len), Some(64));
    assert_eq!(row["run"][0], "sh");
}

#[test]
fn an_imported_result_must_match_the_plan() {
    let mut shop = Shop::new("true", "");
    let key = shop.key();
    let signing = shop.signing(&key);
    let result = shop.run().result.unwrap();
    let line = |adapt: &dyn Fn(&mut Run)| {
        let Body::Run(mut run) = Record::parse(&result).unwrap().body else { panic!("a run") };
        adapt(&mut run);
        Record::write(&Body::Run(run)).unwrap().1
    };
    let other = shop.repo.oid("HEAD^");
    let refused = |bytes: &[u8]| {
        shop.at(|place, plan, _| import(place, plan, bytes, &signing).unwrap_err().chain())
    };
    let starts = |found: String, wanted: &str| assert!(found.starts_with(wanted), "{found}");
    starts(refused(b""), "there is no result to import");
    // No record at all; the reason is the reader's own.
    refused(b"{}\n");
    starts(refused(&[result.clone(), result.clone()].concat()), "there are two results of `unit`");
    starts(
        refused(&line(&|run| run.test = "other".into())),
        "the result of `other` is about no test",
    );
    starts(
        refused(&line(&|run| run.commit = other.clone())),
        "the result of `unit` is about commit",
    );
    starts(refused(&line(&|run| run.tree = other.clone())), "the result of `unit` is about tree");
    starts(refused(&line(&|run| run.key = "0".repeat(64))), "the result of `unit` is about key");
    starts(
        refused(&line(&|run| run.repo = Some("fork".into()))),
        "the result of `unit` is about repository",
    );
    starts(refused(&line(&|run| run.exit = Some(1))), "the result of `unit` says that it passed");

    let before = shop.at(|_, _, records| records.len());
    let report =
        shop.at(|place, plan, _| import(place, plan, &result, &signing).unwrap().remove(0));
    assert_eq!((report.end, shop.count()), (End::Passed, 1));
    let kept = shop.at(|_, _, records| records.to_vec());
    assert_eq!(kept.len(), before + 1);
    let imported = kept.iter().find(|it| Some(&it.record.id) == report.record.as_ref()).unwrap();
    assert!(matches!(imported.signature, SignatureState::Good(_)));
}

#[test]
fn a_key_that_nobody_owns_signs_nothing() {
    let mut shop = Shop::new("true", "");
    let before = shop.policy.clone();
    let key = shop.key();
    shop.policy = before;
    let refused =
        shop.at(|place, _, _| Signing::new(place, &shop.policy(), Some(&key), None).unwrap_err());
    assert!(refused.chain().starts_with("no person of the policy owns the key SHA256:"));
}

/// A repository whose policy asks for a test of every change, with a change on
/// the branch `feature`.
fn required(run: &str) -> TestRepo {
    let repo = TestRepo::new();
    let policy = format!(
        "schema = 1\n[trust]\nrepo_id = \"shop\"\n[[rule]]\nid = \"tested\"\nrequire.tests = [\"unit\"]\n[test.unit]\nrun = [\"sh\", \"-c\", {run:?}]\n"
    );
    repo.commit_file("ana", "countersign.toml", &policy, "policy");
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["switch", "-q", "-c", "feature"]);
    repo.commit_file("ana", "a", "1\n", "change");
    repo
}

/// Exit status, standard output and standard error.
fn countersign(repo: &TestRepo, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = repo.countersign(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_runs_records_and_satisfies() {
    let repo = required("test -e a");
    let (code, _, errors) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("`countersign install`"), "{errors}");
    repo.git(&["config", "countersign.installed", "shim"]);
    assert_eq!(countersign(&repo, &["check"]).0, Some(1));
    let (code, text, errors) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    assert!(text.starts_with("passed: unit: exit status 0 ("), "{text}");
    assert!(errors.contains("  unit: sh -c test -e a\n"), "{errors}");
    let (code, text, errors) = countersign(&repo, &["check"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    let (_, text, _) = countersign(&repo, &["test"]);
    assert_eq!(text, "passed: unit: exit status 0 (earlier)\n");
}

#[test]
fn the_command_shows_the_end_of_a_failure() {
    let repo = required("echo why; printf '\\033[31mred\\n'; exit 3");
    repo.git(&["config", "countersign.installed", "shim"]);
    let (code, text, _) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(1));
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("failed: unit: exit status 3 ("), "{text}");
    assert_eq!(lines[1..3], ["  why", "  \\u{1b}[31mred"]);
    let (code, text, _) = countersign(&repo, &["test", "--format", "json"]);
    assert_eq!(code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["tests"][0]["result"], "failed");
}

#[test]
fn others_code_is_not_run_unasked() {
    let repo = required("true");
    repo.git(&["config", "countersign.installed", "shim"]);
    repo.git(&["config", "user.email", "bo@example.com"]);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let fetched = repo.git(&["commit-tree", "-p", "main", "-m", "fetched", &tree]);
    let range = format!("main..{fetched}");
    let (code, _, errors) = countersign(&repo, &["test", &range]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains(&format!("`countersign test {range} --yes`")), "{errors}");
    assert!(errors.contains("by ana <ana@example.com>"), "{errors}");
    for (ci, status) in [("false", 2), ("0", 2), ("", 2), ("true", 0)] {
        let mut command = repo.countersign_command(&["test", &range]);
        assert_eq!(command.env("CI", ci).status().unwrap().code(), Some(status), "CI={ci}");
    }
    assert_eq!(countersign(&repo, &["test", &range, "--yes"]).0, Some(0));
}

#[test]
fn a_hook_of_a_linked_work_tree_does_not_leak() {
    let mut repo = required("test \"$(git rev-parse --show-toplevel)\" = \"$(pwd -P)\"");
    repo.git(&["config", "countersign.installed", "shim"]);
    repo.set_variable("GIT_DIR", repo.path().join(".git").to_str().unwrap());
    repo.set_variable("GIT_INDEX_FILE", repo.path().join(".git/index").to_str().unwrap());
    let before = repo.git(&["ls-files", "-s"]);
    let (code, text, errors) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    assert_eq!(repo.git(&["ls-files", "-s"]), before);
}

#[test]
fn ci_fans_out_and_a_job_with_a_key_takes_the_results() {
    let repo = required("true");
    let key = repo.home().join("key");
    let mut made = repo.command("ssh-keygen");
    made.args(["-q", "-t", "ed25519", "-N", "", "-C", "ci", "-f"]).arg(&key);
    assert!(made.status().unwrap().success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    repo.git(&["switch", "-q", "main"]);
    let policy = std::fs::read_to_string(repo.path().join("countersign.toml")).unwrap();
    let service = format!(
        "{policy}[people.ci]\nkind = \"service\"\nkeys = [{{ key = \"{}\" }}]\n",
        public.trim()
    );
    repo.commit_file("ana", "countersign.toml", &service, "a service");
    repo.git(&["switch", "-q", "feature"]);
    repo.git(&["rebase", "-q", "main"]);

    // The job that runs the change's code holds no key.
    let mut runner = repo.clone_as("runner", &[]);
    runner.git(&["branch", "-q", "main", "origin/main"]);
    runner.set_variable("CI", "true");
    let (code, matrix, errors) = countersign(&runner, &["test", "--plan"]);
    assert_eq!(code, Some(0), "{errors}");
    let matrix: serde_json::Value = serde_json::from_str(&matrix).unwrap();
    assert_eq!(matrix["include"][0]["test"], "unit");
    let file = repo.home().join("result");
    let file = file.to_str().unwrap();
    let (code, _, errors) = countersign(&runner, &["test", "--only", "unit", "--output", file]);
    assert_eq!(code, Some(0), "{errors}");

    // The job that holds it runs nothing.
    assert_eq!(countersign(&repo, &["check"]).0, Some(1));
    let imported = ["test", "--import", file, "--key", key.to_str().unwrap()];
    let (code, text, errors) = countersign(&repo, &imported);
    assert_eq!(code, Some(0), "{text}{errors}");
    let (code, text, errors) = countersign(&repo, &["check"]);
    assert_eq!(code, Some(0), "{text}{errors}");

    // The result of another commit is not taken.
    repo.commit_file("ana", "a", "2\n", "more");
    let (code, _, errors) = countersign(&repo, &imported);
    assert_eq!(code, Some(2));
    assert!(errors.contains("the result of `unit` is about commit"), "{errors}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_command_ends_cleanly() {
    let repo = required("echo $$ >~/started; sleep 60");
    repo.git(&["config", "countersign.installed", "shim"]);
    let mut child = repo.countersign_command(&["test"]);
    let child = child.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut child = child.spawn().unwrap();
    let started = repo.home().join("started");
    while !std::fs::read_to_string(&started).is_ok_and(|text| text.ends_with('\n')) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the test began");
        std::thread::sleep(Duration::from_millis(10));
    }
    let id = child.id().to_string();
    assert!(repo.command("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let test = std::fs::read_to_string(started).unwrap();
    assert!(!repo.command("kill").args(["-0", test.trim()]).output().unwrap().status.success());
}

#[test]
fn a_push_runs_what_is_missing_and_a_second_push_is_free() {
    let repo = required("echo >>~/count; test -e a");
    let _origin = repo.bare_remote();
    repo.git(&["push", "-q", "origin", "main"]);
    let (code, _, errors) = countersign(&repo, &["install"]);
    assert_eq!(code, Some(0), "{errors}");
    let push = |arguments: &[&str]| {
        let output = repo.git_command(&[&["push", "origin"], arguments].concat()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let count = || {
        let text = std::fs::read_to_string(repo.home().join("count")).unwrap_or_default();
        text.lines().count()
    };
    let (pushed, text) = push(&["feature"]);
    assert!(pushed, "{text}");
    assert!(text.contains("passed: unit: exit status 0"), "{text}");
    let (pushed, text) = push(&["feature:again"]);
    assert!(pushed, "{text}");
    assert_eq!(count(), 1);

    // A failure blocks, and is shown.
    repo.git(&["mv", "a", "d"]);
    repo.commit("ana", "broken");
    let (pushed, text) = push(&["feature"]);
    assert!(!pushed, "{text}");
    assert!(
        text.contains("failed: unit: exit status 1") && text.contains("tests-failed"),
        "{text}"
    );
    assert_eq!(count(), 2);

    // What was never checked out here is not run, and the command is named.
    let tree = repo.git(&["rev-parse", "HEAD~1^{tree}"]);
    let fetched = repo.git(&["commit-tree", "-p", "HEAD", "-m", "fetched", &tree]);
    repo.write("b", "beside").git(&["add", "b"]);
    repo.git(&["stash", "-q"]);
    let other = repo.git(&["rev-parse", "stash@{0}^{tree}"]);
    let stranger = repo.git(&["commit-tree", "-p", "HEAD", "-m", "fetched", &other]);
    let (pushed, text) = push(&[&format!("{fetched}:refs/heads/same-tree")]);
    assert!(pushed, "the tree passed before: {text}");
    let (pushed, text) = push(&[&format!("{stranger}:refs/heads/other-tree")]);
    assert!(!pushed, "{text}");
    assert!(
        text.contains("was never checked out here") && text.contains("countersign test"),
        "{text}"
    );
    assert_eq!(count(), 2);

    // In observe mode hooks run no tests.
    repo.git(&["switch", "-q", "main"]);
    let policy = std::fs::read_to_string(repo.path().join("countersign.toml")).unwrap();
    let observing = policy.replace("schema = 1", "schema = 1\nmode = \"observe\"");
    repo.commit_file("ana", "countersign.toml", &observing, "observe");
    repo.git(&["push", "-q", "--no-verify", "origin", "main"]);
    repo.git(&["switch", "-q", "feature"]);
    repo.commit_file("ana", "c", "1\n", "more");
    let (pushed, text) = push(&["feature"]);
    assert!(pushed, "{text}");
    assert_eq!(count(), 2);
}

/// A Cargo workspace in which `b` uses `a`, and a test that is told its packages.
fn monorepo() -> TestRepo {
    let repo = TestRepo::new();
    let policy = r#"
schema = 1
[trust]
repo_id = "shop"
[[rule]]
id = "tested"
require.tests = ["unit"]
[test.unit]
run = ["sh", "-c", "for it; do echo $it; done >>~/told; echo $COUNTERSIGN_PACKAGES >>~/told", "x", "-p", "{packages}", "{package_paths}"]
packages = "cargo"
"#;
    let member = |name: &str, more: &str| format!("[package]\nname = \"{name}\"\n{more}");
    repo.write("countersign.toml", policy)
        .write("Cargo.toml", "[workspace]\nmembers = [\"crates/*\"]\n")
        .write("crates/a/Cargo.toml", member("a", ""))
        .write("crates/b/Cargo.toml", member("b", "[dependencies]\na = { path = \"../a\" }\n"))
        .write("crates/c/Cargo.toml", member("c", ""));
    repo.git(&["add", "-A"]);
    repo.commit("ana", "workspace");
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["config", "countersign.installed", "shim"]);
    repo.git(&["switch", "-q", "-c", "feature"]);
    repo
}

#[test]
fn a_test_runs_for_the_packages_that_the_change_affects() {
    let repo = monorepo();
    let told = || {
        let path = repo.home().join("told");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::remove_file(&path).ok();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    repo.commit_file("ana", "crates/c/src/lib.rs", "1\n", "c");
    let (_, plan, _) = countersign(&repo, &["test", "--plan"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["include"][0]["packages"], serde_json::json!(["c"]));
    assert_eq!(plan["include"][0]["run"][4], "-p");
    assert_eq!(plan["include"][0]["run"][5], "c");
    let (code, _, errors) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(told(), "-p c ./crates/c c");
    let (_, text, _) = countersign(&repo, &["explain"]);
    assert!(text.contains("passed for package c"), "{text}");
    assert_eq!(countersign(&repo, &["check"]).0, Some(0));

    // What was tested for one package says nothing of others.
    repo.commit_file("ana", "crates/a/src/lib.rs", "1\n", "a");
    let (code, text, _) = countersign(&repo, &["check"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no recorded result for this tree for packages a, b, c"), "{text}");
    assert_eq!(countersign(&repo, &["test"]).0, Some(0));
    assert_eq!(told(), "-p a -p b -p c ./crates/a ./crates/b ./crates/c a b c");

    // A file of no package is everybody's, and what cannot be read is nobody's pass.
    repo.git(&["switch", "-q", "-c", "other", "main"]);
    repo.commit_file("ana", "data.json", "1\n", "data");
    let (_, text, _) = countersign(&repo, &["check"]);
    assert!(text.contains("for all 3 packages (`data.json` belongs to none)"), "{text}");
    repo.commit_file("ana", "crates/a/Cargo.toml", "[package]\nname = \"--config=x\"\n", "evil");
    let (code, text, _) = countersign(&repo, &["check"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no name of a package"), "{text}");
    let (code, _, errors) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(2), "{errors}");
    assert_eq!(told(), "");
}

#[test]
fn the_same_tree_tested_for_other_packages_is_another_result() {
    let repo = monorepo();
    repo.commit_file("ana", "crates/c/src/lib.rs", "1\n", "c");
    repo.commit_file("ana", "crates/a/src/lib.rs", "1\n", "a");
    assert_eq!(countersign(&repo, &["test", "HEAD^..HEAD"]).0, Some(0));
    assert_eq!(countersign(&repo, &["check", "HEAD^..HEAD"]).0, Some(0));
    assert_eq!(countersign(&repo, &["check"]).0, Some(1));
}

#[test]
fn a_pass_after_failures_is_reported_and_never_silent() {
    let repo = TestRepo::new();
    let policy = r#"
schema = 1
[trust]
repo_id = "shop"
[[rule]]
id = "tested"
require.tests = ["unit"]
[test.unit]
run = ["sh", "-c", "echo >>~/count; test $(wc -l <~/count) -gt 1"]
retries = 1
"#;
    repo.commit_file("ana", "countersign.toml", policy, "policy");
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["config", "countersign.installed", "shim"]);
    repo.git(&["switch", "-q", "-c", "feature"]);
    repo.commit_file("ana", "a", "1\n", "change");
    let (code, text, errors) = countersign(&repo, &["test", "--format", "json"]);
    assert_eq!(code, Some(0), "{errors}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["tests"][0]["retried"], serde_json::json!(["exit status 1"]));
    let (code, text, _) = countersign(&repo, &["check", "--format", "json"]);
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let finding = &report["findings"][0];
    assert_eq!((&finding["code"], &finding["level"]), (&"tests-flaky".into(), &"warn".into()));
    assert!(
        report["obligations"][0]["detail"].as_str().unwrap().contains("at the second attempt"),
        "{report}"
    );
    // A reused pass says it, too.
    let (_, text, _) = countersign(&repo, &["test"]);
    assert!(text.contains("earlier") && text.contains("at the second attempt"), "{text}");
}

#[test]
fn a_test_may_run_on_what_the_merge_gives() {
    let repo = TestRepo::new();
    let policy = r#"
schema = 1
[trust]
repo_id = "shop"
[[rule]]
id = "tested"
require.tests = ["both", "own"]
[test.both]
run = ["sh", "-c", "echo $1 $2 >~/told; cat a b", "x", "{base}", "{tree}"]
on = "merge"
[test.own]
run = ["sh", "-c", "test ! -e b"]
"#;
    repo.commit_file("ana", "countersign.toml", policy, "policy");
    repo.commit_file("ana", "shared", "1\n", "shared");
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["config", "countersign.installed", "shim"]);
    repo.git(&["switch", "-q", "-c", "feature"]);
    repo.commit_file("ana", "a", "1\n", "a");
    // Nothing to merge yet: the head is what would land.
    let (code, text, _) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(1), "`b` is not there: {text}");
    repo.git(&["switch", "-q", "main"]);
    repo.commit_file("ana", "b", "1\n", "b");
    let tip = repo.oid("main");
    repo.git(&["switch", "-q", "feature"]);
    let before = repo.git(&["status", "--porcelain", "--branch"]);
    let (_, plan, _) = countersign(&repo, &["test", "--plan"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let tree = repo.git(&["merge-tree", "--write-tree", "main", "feature"]);
    assert_eq!(plan["include"][0]["tree"], tree.as_str());
    assert_eq!(plan["include"][1]["tree"], repo.oid("HEAD^{tree}").as_str());
    let (code, text, errors) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(0), "{text}{errors}");
    let told = std::fs::read_to_string(repo.home().join("told")).unwrap();
    assert_eq!(told.trim(), format!("{tip} {tree}"));
    assert_eq!(repo.git(&["status", "--porcelain", "--branch"]), before);
    assert_eq!(countersign(&repo, &["check"]).0, Some(0));
    let (_, text, _) = countersign(&repo, &["explain"]);
    let told = format!("on the merge with refs/heads/main at {}", tip.short());
    assert!(text.contains(&told), "{text}");
    let (_, text, _) = countersign(&repo, &["test"]);
    assert_eq!(text.matches("(earlier)").count(), 2, "{text}");

    // What is merged is that very tree, and needs no further run.
    repo.git(&["switch", "-q", "--detach", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "feature"]);
    let (_, text, _) = countersign(&repo, &["check", "main..HEAD"]);
    assert!(!text.contains("`both` has no recorded result"), "{text}");

    // The target moves on: it is another tree.
    repo.git(&["switch", "-q", "main"]);
    repo.commit_file("ana", "c", "1\n", "c");
    repo.git(&["switch", "-q", "feature"]);
    let (code, text, _) = countersign(&repo, &["check"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("`both` has no recorded result for this tree"), "{text}");

    // A conflict blocks with its reason, whatever merge driver the change wishes for.
    repo.commit_file("ana", ".gitattributes", "* merge=union\n", "driver");
    repo.commit_file("ana", "shared", "2\n", "ours");
    repo.git(&["switch", "-q", "main"]);
    repo.commit_file("ana", "shared", "3\n", "theirs");
    repo.git(&["switch", "-q", "feature"]);
    let (code, text, _) = countersign(&repo, &["check"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("it conflicts in `shared`"), "{text}");
    let (code, _, errors) = countersign(&repo, &["test"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("it conflicts in `shared`"), "{errors}");
}
