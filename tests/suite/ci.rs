//! The recipes of docs/ci.md, run as they stand there: against clones of depth
//! 1, with a change that comes from a fork.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use countersign::adapters::env::Env;
use countersign::adapters::marks::Marks;
use countersign::adapters::store::Store;
use countersign::gate::time::Timestamp;
use countersign::jobs::ambient::Surroundings;
use countersign::jobs::approve::{Decision, Options, prepare};
use countersign::jobs::world::World;

use crate::fixture::{TestRepo, skipped};

/// The shell of one recipe, by the names behind `# countersign:`. A part that
/// stands twice must be the same.
fn parts(heading: &str) -> BTreeMap<String, String> {
    let page = std::fs::read_to_string("docs/ci.md").unwrap();
    let section = page.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut parts = BTreeMap::new();
    let mut open: Option<(String, usize, String)> = None;
    for line in section.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let name = text.strip_prefix("# countersign: ");
        let is_over = |least: usize| indent < least || text == "'''" || text.starts_with("```");
        if let Some((_, least, _)) = &open
            && (name.is_some() || is_over(*least) && !text.is_empty())
        {
            let (name, _, script) = open.take().unwrap();
            let earlier = parts.insert(name.clone(), script.clone());
            assert!(earlier.is_none_or(|it| it == script), "{heading} has two different {name}");
        }
        match (&mut open, name) {
            (None, Some(name)) => open = Some((name.to_owned(), indent, String::new())),
            (Some((_, least, script)), _) => {
                script.push_str(line.get(*least..).unwrap_or_default());
                script.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{heading} has a part without an end");
    parts
}

/// A forge with a repository, and a fork from which a change came.
struct Forge {
    ana: TestRepo,
    origin: TestRepo,
    parts: BTreeMap<String, String>,
}

impl Forge {
    /// `None` where ssh-keygen is absent.
    fn open(heading: &str) -> Option<Forge> {
        let ana = TestRepo::new();
        let mut policy = policy_of_the_page();
        for name in ["ana", "bo", "ci"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(ana.home().join(name))
                .stdin(Stdio::null())
                .status();
            if made.is_err() {
                skipped("ssh-keygen is not here");
                return None;
            }
            let public = std::fs::read_to_string(ana.home().join(format!("{name}.pub"))).unwrap();
            policy = policy.replacen("KEY", public.trim(), 1);
        }
        let origin = ana.bare_remote();
        origin.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        for script in ["test.sh", "lint.sh"] {
            ana.write(script, "echo ran >> \"$HOME/ran\"\ntest -e shop.sh\n");
        }
        ana.commit_file("ana", "shop.sh", "one\n", "the shop");
        ana.commit_file("ana", "countersign.toml", &policy, "policy");
        ana.git(&["push", "-q", "origin", "main"]);
        Some(Forge { ana, origin, parts: parts(heading) })
    }

    /// chi's assisted change, made in a fork. The forge serves its commit; main moves on meanwhile.
    fn change(&self) -> String {
        let chi = self.origin.clone_as("chi", &[]);
        chi.git(&["switch", "-q", "-c", "feature"]);
        let message = "shop: two\n\nCo-authored-by: Claude <noreply@anthropic.com>\n";
        let change = chi.commit_file("chi", "shop.sh", "two\n", message);
        let fork = self.ana.beside("fork.git");
        chi.git(&["clone", "-q", "--bare", ".", fork.path().to_str().unwrap()]);
        self.origin.git(&[
            "fetch",
            "-q",
            fork.path().to_str().unwrap(),
            "feature:refs/pull/1/head",
        ]);
        self.ana.commit_file("ana", "other.txt", "1\n", "something else");
        self.ana.git(&["push", "-q", "origin", "main"]);
        change.as_str().to_owned()
    }

    /// What CI's checkout leaves: one commit of the repository.
    fn depth_one(&self, name: &str, revision: &str) -> Job<'_> {
        let repo = self.ana.beside(name);
        std::fs::create_dir(repo.path()).unwrap();
        repo.git(&["init", "-q"]);
        repo.git(&["remote", "add", "origin", &format!("file://{}", self.origin.path().display())]);
        repo.git(&["fetch", "-q", "--depth", "1", "origin", revision]);
        repo.git(&["checkout", "-q", "--detach", "FETCH_HEAD"]);
        Job { forge: self, repo, variables: Vec::new() }.with("CI", "true").with("TARGET", "main")
    }

    /// How often the change's own code ran.
    fn runs(&self) -> usize {
        let text = std::fs::read_to_string(self.ana.home().join("ran")).unwrap_or_default();
        text.lines().count()
    }

    /// bo approves the change from a clone of her own.
    fn approve(&self, change: &str) {
        let bo = self.origin.clone_as("bo", &[]);
        bo.git(&["fetch", "-q", "origin", change]);
        let world = world(&bo);
        let options = Options {
            range: Some(format!("origin/main..{change}")),
            key: Some(self.ana.home().join("bo")),
            ..Options::default()
        };
        let decision = Decision::Approve { rules: Vec::new(), note: None };
        let draft = prepare(&world, &options, &decision, &Surroundings::default());
        draft.and_then(|it| it.sign(&world)).unwrap_or_else(|error| panic!("{}", error.chain()));
        let published = bo.countersign(&["ledger", "sync"]);
        assert!(published.status.success(), "{}", said(&published));
    }
}

/// The policy that docs/ci.md shows, with `KEY` for each key.
fn policy_of_the_page() -> String {
    let page = std::fs::read_to_string("docs/ci.md").unwrap();
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let mut policy = String::new();
    for (index, part) in block.split('"').enumerate() {
        let text = if part.starts_with("ssh-ed25519 ") { "KEY" } else { part };
        policy.push_str(if index == 0 { "" } else { "\"" });
        policy.push_str(text);
    }
    policy
}

fn world(repo: &TestRepo) -> World {
    let git = repo.open();
    let layout = git.layout();
    let store = Store::new(&layout.common_dir);
    let marks = Marks::open(&layout.common_dir, &layout.git_dir);
    let variables = repo.variables().into_iter();
    let env = Env {
        dir: repo.path().to_owned(),
        variables: variables.map(|(name, value)| (name.into(), value.into())).collect(),
        now: Timestamp(1_795_421_000),
        stdin_is_terminal: false,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        executable: None,
    };
    World { env, git, store, marks }
}

/// A job of CI: a clone, and the variables that the system sets.
struct Job<'a> {
    forge: &'a Forge,
    repo: TestRepo,
    variables: Vec<(String, String)>,
}

impl Job<'_> {
    fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.variables.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs a part of the recipe as CI would: in a shell that ends at the first
    /// failure, and without anybody's name.
    fn run(&self, part: &str) -> Output {
        self.run_with(part, &[])
    }

    fn run_with(&self, part: &str, further: &[(&str, &str)]) -> Output {
        let script = &self.forge.parts[part];
        let program = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path: Vec<PathBuf> =
            std::iter::once(program).chain(std::env::split_paths(&path)).collect();
        let mut command = self.repo.command("sh");
        command.args(["-e", "-c", script]).env("PATH", std::env::join_paths(path).unwrap());
        for person in ["AUTHOR", "COMMITTER"] {
            for detail in ["NAME", "EMAIL", "DATE"] {
                command.env_remove(format!("GIT_{person}_{detail}"));
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(further.iter().copied()).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, part: &str) {
        let output = self.run(part);
        assert!(output.status.success(), "{part}: {}", said(&output));
    }

    /// The check cannot decide, and says what to fetch.
    #[track_caller]
    fn cannot_decide(&self, hint: &str) {
        let output = self.run("check");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(hint), "{}", said(&output));
    }

    /// The recipe's check ends with this status, and finds these codes to block.
    #[track_caller]
    fn finds(&self, change: &str, codes: &[&str]) {
        let output = self.run("check");
        let expected = i32::from(!codes.is_empty());
        assert_eq!(output.status.code(), Some(expected), "{}", said(&output));
        let range = format!("origin/main..{change}");
        let report = self.repo.countersign(&["check", &range, "--format", "json"]).stdout;
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let blocking = findings.iter().filter(|it| it["level"] == "block");
        let found: Vec<_> = blocking.map(|it| it["code"].as_str().unwrap()).collect();
        assert_eq!(found, codes);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// The tests that a plan asks for.
fn planned(json: &str) -> Vec<String> {
    let plan: serde_json::Value = serde_json::from_str(json).unwrap();
    let rows = plan["include"].as_array().unwrap();
    rows.iter().map(|row| row["test"].as_str().unwrap().to_owned()).collect()
}

/// Copies what a job leaves for the next one.
fn hand_over(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// One recipe from the block to the pass. `tests` runs the job without a key and
/// returns the folder with its results; `gate` gives the job with the key
/// what its system gives it, with a place to put the results.
fn check_recipe(
    heading: &str,
    tests: impl Fn(&Forge, &str) -> PathBuf,
    gate: impl for<'a> Fn(&'a Forge, &str, &str) -> (Job<'a>, PathBuf),
) {
    let Some(forge) = Forge::open(heading) else { return };
    let change = forge.change();

    // Without the fetches nothing passes.
    let (bare, _) = gate(&forge, "unfetched", &change);
    bare.repo.git(&["update-ref", "-d", "refs/remotes/origin/main"]);
    let target = "+refs/heads/main:refs/remotes/origin/main";
    bare.cannot_decide(&format!("hint: `git fetch origin {target}` fetches it"));
    bare.repo.git(&["fetch", "-q", "--depth", "1", "origin", target]);
    if !bare.repo.git_command(&["cat-file", "-e", &change]).output().unwrap().status.success() {
        bare.cannot_decide(&format!("hint: `git fetch origin {change}` fetches it"));
        bare.repo.git(&["fetch", "-q", "--depth", "1", "origin", &change]);
    }
    bare.cannot_decide("`git fetch --unshallow`");

    bare.succeeds("fetch-change");
    bare.finds(&change, &["approval-missing", "tests-missing"]);

    let results = tests(&forge, &change);
    assert_eq!(forge.runs(), 2);
    let (signer, place) = gate(&forge, "signer", &change);
    hand_over(&results, &place);
    signer.succeeds("fetch-change");
    signer.succeeds("import");
    signer.finds(&change, &["approval-missing"]);
    assert_eq!(forge.runs(), 2, "the job with the key ran the change's code");

    forge.approve(&change);
    let (late, place) = gate(&forge, "late", &change);
    late.succeeds("fetch-change");
    late.finds(&change, &[]);

    // A ledger that was not fetched is not a pass either.
    late.repo.git(&["update-ref", "-d", "refs/remotes/origin/countersign-ledger"]);
    late.repo.git(&["update-ref", "-d", "refs/countersign/seen"]);
    late.finds(&change, &["approval-missing", "tests-missing"]);

    // A job that is started again imports again.
    late.succeeds("fetch-change");
    hand_over(&results, &place);
    late.succeeds("import");
    late.finds(&change, &[]);
}

#[test]
fn github_actions() {
    check_recipe("GitHub Actions", github_tests, github_gate);
}

/// The workflow that runs with the pull request.
fn github_tests(forge: &Forge, change: &str) -> PathBuf {
    let place = forge.ana.home().join(format!("temp-{change}"));
    std::fs::create_dir(&place).unwrap();
    let job = |name: &str| {
        forge
            .depth_one(&format!("{name}-{change}"), change)
            .with("CHANGE", change)
            .with("RUNNER_TEMP", place.to_str().unwrap())
    };
    let plan = job("plan").with("GITHUB_OUTPUT", place.join("output").to_str().unwrap());
    plan.succeeds("fetch");
    plan.succeeds("plan");
    let output = std::fs::read_to_string(place.join("output")).unwrap();
    for test in planned(output.strip_prefix("tests=").unwrap()) {
        let job = job(&test).with("TEST", &test);
        job.succeeds("fetch");
        job.succeeds("test");
    }
    place.join("results")
}

/// The workflow that runs from the default branch.
fn github_gate<'a>(forge: &'a Forge, name: &str, change: &str) -> (Job<'a>, PathBuf) {
    let temp = forge.ana.home().join(format!("temp-{name}"));
    std::fs::create_dir(&temp).unwrap();
    let results = temp.join("taken");
    let key = std::fs::read_to_string(forge.ana.home().join("ci")).unwrap();
    let job = forge
        .depth_one(name, "main")
        .with("CHANGE", change)
        .with("RESULTS", results.to_str().unwrap())
        .with("RUNNER_TEMP", temp.to_str().unwrap())
        .with("COUNTERSIGN_KEY", key.trim_end());
    (job, results)
}

/// Who starts a job again names a commit, and no option of git.
#[test]
fn a_change_is_an_id() {
    let Some(mut forge) = Forge::open("GitHub Actions") else { return };
    for heading in ["GitHub Actions", "Jenkins", "A plain server"] {
        forge.parts = parts(heading);
        for (place, change) in
            ["--upload-pack=touch", "main:refs/remotes/origin/x"].iter().enumerate()
        {
            let name = format!("{}-{place}", heading.replace(' ', "-"));
            let output = forge.depth_one(&name, "main").with("CHANGE", change).run("fetch-change");
            assert_eq!(said(&output), format!("no commit id: {change}\n"));
            assert_eq!(output.status.code(), Some(2));
        }
    }
}

#[test]
fn a_merge_queue_on_github_actions() {
    let Some(forge) = Forge::open("GitHub Actions") else { return };
    let change = forge.change();
    let (signer, place) = github_gate(&forge, "signer", &change);
    hand_over(&github_tests(&forge, &change), &place);
    signer.succeeds("fetch-change");
    signer.succeeds("import");
    forge.approve(&change);
    // The queue merges it onto a main that moved on: a tree that nobody tested.
    let queue = forge.origin.clone_as("queue", &[]);
    queue.git(&["fetch", "-q", "origin", &change]);
    queue.git(&["merge", "-q", "--no-ff", "-m", "merge the pull request", &change]);
    queue.git(&["push", "-q", "origin", "HEAD:refs/heads/gh-readonly-queue/main/pr-1"]);
    let group = queue.oid("HEAD").as_str().to_owned();
    let (gate, place) = github_gate(&forge, "group", &group);
    gate.succeeds("fetch-change");
    gate.finds(&group, &["tests-missing"]);
    hand_over(&github_tests(&forge, &group), &place);
    gate.succeeds("import");
    gate.finds(&group, &[]);
}

#[test]
fn gitlab_ci() {
    check_recipe(
        "GitLab CI",
        |forge, change| {
            let results = forge.ana.home().join("artifacts");
            for node in ["1", "2"] {
                let name = format!("node-{node}");
                let job = forge.depth_one(&name, change).with("CI_COMMIT_SHA", change);
                let job = job.with("CI_NODE_TOTAL", "2").with("CI_NODE_INDEX", node);
                job.succeeds("fetch");
                job.succeeds("test");
                hand_over(&job.repo.path().join("results"), &results);
            }
            results
        },
        |forge, name, change| {
            // As with GIT_CHECKOUT=false: the runner fetches, and leaves the work tree.
            let job = forge.depth_one(name, "main").with("CI_COMMIT_SHA", change);
            job.repo.git(&["fetch", "-q", "--depth", "1", "origin", change]);
            let job = job.with("COUNTERSIGN_KEY", forge.ana.home().join("ci").to_str().unwrap());
            let results = job.repo.path().join("results");
            (job, results)
        },
    );
}

#[test]
fn jenkins() {
    check_recipe(
        "Jenkins",
        |forge, change| {
            let job = forge.depth_one("build", change).with("GIT_COMMIT", change);
            job.succeeds("fetch");
            job.succeeds("plan");
            let plan = std::fs::read_to_string(job.repo.path().join("plan.json")).unwrap();
            for test in planned(&plan) {
                let output = job.run_with("test", &[("TEST", &test)]);
                assert!(output.status.success(), "{}", said(&output));
            }
            job.repo.path().join("results")
        },
        |forge, name, change| {
            let job = forge.depth_one(name, "main").with("CHANGE", change);
            let job = job.with("COUNTERSIGN_KEY", forge.ana.home().join("ci").to_str().unwrap());
            let results = job.repo.path().join("results");
            (job, results)
        },
    );
}

#[test]
fn a_builder_beside_a_plain_server() {
    check_recipe("A plain server", plain_tests, plain_gate);
}

fn plain_tests(forge: &Forge, change: &str) -> PathBuf {
    let results = forge.ana.home().join("results");
    let job = forge.depth_one("builder", change).with("CHANGE", change);
    let job = job.with("RESULTS", results.to_str().unwrap());
    job.succeeds("fetch");
    job.succeeds("test");
    results
}

fn plain_gate<'a>(forge: &'a Forge, name: &str, change: &str) -> (Job<'a>, PathBuf) {
    let results = forge.ana.home().join(format!("taken-{name}"));
    let job = forge.depth_one(name, "main").with("CHANGE", change);
    let job = job.with("RESULTS", results.to_str().unwrap());
    let job = job.with("COUNTERSIGN_KEY", forge.ana.home().join("ci").to_str().unwrap());
    (job, results)
}

#[test]
fn a_plain_server_refuses_until_all_is_there() {
    let Some(forge) = Forge::open("A plain server") else { return };
    let change = forge.change();
    let installed = forge.origin.countersign(&["install", "--server"]);
    assert!(installed.status.success(), "{}", said(&installed));
    let pusher = forge.origin.clone_as("pusher", &[]);
    pusher.git(&["fetch", "-q", "origin", &change]);
    pusher.git(&["merge", "-q", "--no-ff", "-m", "merge the change", &change]);
    let push = || pusher.git_command(&["push", "-q", "origin", "main"]).output().unwrap();
    let refused = push();
    assert!(!refused.status.success());
    assert!(said(&refused).contains("[approval-missing]"), "{}", said(&refused));
    assert!(said(&refused).contains("[tests-missing]"), "{}", said(&refused));

    let merged = pusher.oid("HEAD").as_str().to_owned();
    pusher.git(&["push", "-q", "origin", "HEAD:refs/heads/ready"]);
    let (signer, place) = plain_gate(&forge, "signer", &merged);
    hand_over(&plain_tests(&forge, &merged), &place);
    signer.succeeds("fetch-change");
    signer.succeeds("import");
    let refused = push();
    assert!(!refused.status.success());
    assert!(!said(&refused).contains("[tests-missing]"), "{}", said(&refused));

    forge.approve(&merged);
    let passed = push();
    assert!(passed.status.success(), "{}", said(&passed));
    assert_eq!(forge.origin.oid("main").as_str(), merged);
}
