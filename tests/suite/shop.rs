//! A shared repository, the clones of the people who work in it, and their
//! keys. Signing runs in process with the surroundings handed over as values,
//! so that these tests can run under an agent.

use std::path::PathBuf;
use std::process::Output;

use countersign::adapters::env::{self, Env};
use countersign::adapters::marks::Marks;
use countersign::adapters::store::Store;
use countersign::jobs::ambient::Surroundings;
use countersign::jobs::approve::{Decision, Options, prepare};
use countersign::jobs::world::World;

use crate::fixture::{TestRepo, skipped};

/// The trailer that an agent leaves.
pub(crate) const BY_CLAUDE: &str = "\n\nCo-Authored-By: Claude <noreply@anthropic.com>\n";

/// What came of a command: whether it succeeded, and all it printed.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn new(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let text = format!("{}{}", text(&output.stdout), text(&output.stderr));
        Said { code: output.status.code(), text }
    }

    pub(crate) fn passes(&self) -> bool {
        self.code == Some(0)
    }

    /// The codes of the findings that block, or in observe mode would, in order.
    pub(crate) fn codes(&self) -> Vec<&str> {
        let blocks = |line: &&str| {
            let line = line.trim_start_matches("remote: ").trim_start();
            line.starts_with('✗')
                || (line.starts_with("countersign: BLOCKED") && line.trim_end().ends_with(']'))
                || (line.starts_with("countersign: would block") && line.trim_end().ends_with(']'))
        };
        let code = |line: &'_ str| -> Option<(usize, usize)> {
            let end = line.rfind(']')?;
            Some((line[..end].rfind('[')? + 1, end))
        };
        let lines = self.text.lines().filter(blocks);
        lines.filter_map(|line| code(line).map(|(from, to)| &line[from..to])).collect()
    }
}

/// Everything that was said, with what differs from run to run replaced by names.
pub(crate) fn redacted(text: &str, names: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (value, name) in names {
        text = text.replace(value, name);
    }
    text
}

/// A bare repository, ana's clone of it, and a home folder with the keys.
pub(crate) struct Shop {
    /// Ana's clone.
    pub(crate) ana: TestRepo,
    pub(crate) hub: TestRepo,
}

impl Shop {
    /// The shared repository with this policy on `main`, after tables of the
    /// people ana, bo and chi. `None` where ssh-keygen is absent. No hook is
    /// installed yet, and ana is on `main`.
    pub(crate) fn open(policy: &str) -> Option<Shop> {
        let ana = TestRepo::new();
        let mut people = String::new();
        for name in ["ana", "bo", "chi"] {
            let public = make_key(&ana, name)?;
            people.push_str(&format!(
                "[people.{name}]\nkind = \"human\"\nemails = [\"{name}@example.com\"]\nkeys = [{{ key = \"{public}\" }}]\n"
            ));
        }
        let text = format!("schema = 1\n{policy}\n{people}");
        Some(Shop::with_policy(ana, &text))
    }

    /// The same with the whole text of a policy.
    pub(crate) fn with_policy(ana: TestRepo, policy: &str) -> Shop {
        ana.git(&["config", "user.name", "ana"]);
        ana.git(&["config", "user.email", "ana@example.com"]);
        ana.write("countersign.toml", policy).write("README.md", "shop\n");
        ana.commit("ana", "policy");
        let hub = ana.bare_remote();
        ana.git(&["push", "-q", "-u", "origin", "main"]);
        ana.git(&["remote", "set-head", "origin", "main"]);
        Shop { ana, hub }
    }

    /// The same with ana's hooks installed, and a branch to work on.
    pub(crate) fn installed(policy: &str) -> Option<Shop> {
        let shop = Shop::open(policy)?;
        shop.ana.git(&["switch", "-q", "-c", "topic"]);
        let said = Said::new(&shop.ana.countersign(&["install"]));
        assert!(said.passes(), "{}", said.text);
        Some(shop)
    }

    /// `git push` from ana's clone.
    pub(crate) fn push(&self, arguments: &[&str]) -> Said {
        push(&self.ana, arguments)
    }
}

/// Makes a key in the home folder; its public line. `None` where ssh-keygen is absent.
pub(crate) fn make_key(repo: &TestRepo, name: &str) -> Option<String> {
    make_key_of(repo, name, &["-t", "ed25519"])
}

/// The same of any kind that ssh-keygen makes.
pub(crate) fn make_key_of(repo: &TestRepo, name: &str, kind: &[&str]) -> Option<String> {
    let key = key_of(repo, name);
    let mut command = repo.command("ssh-keygen");
    command.arg("-q").args(kind).args(["-N", "", "-C", "", "-f"]).arg(&key);
    match command.status() {
        Ok(status) => assert!(status.success()),
        Err(_) => {
            skipped("ssh-keygen is not here");
            return None;
        }
    }
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    Some(public.trim().to_owned())
}

pub(crate) fn key_of(repo: &TestRepo, name: &str) -> PathBuf {
    repo.home().join(name)
}

/// `git push` from a clone.
pub(crate) fn push(clone: &TestRepo, arguments: &[&str]) -> Said {
    Said::new(&clone.git_command(&[&["push", "-q"], arguments].concat()).output().unwrap())
}

/// `git` with these words, whatever its exit status.
pub(crate) fn git(repo: &TestRepo, arguments: &[&str]) -> Said {
    Said::new(&repo.git_command(arguments).output().unwrap())
}

/// The built binary with these words, whatever its exit status.
pub(crate) fn countersign(repo: &TestRepo, arguments: &[&str]) -> Said {
    Said::new(&repo.countersign(arguments))
}

/// Stages everything and commits it as a person does whom no hook watches, and
/// no agent above this process marks.
#[track_caller]
pub(crate) fn commit_unwatched(repo: &TestRepo, message: &str) {
    repo.git(&["add", "-A"]);
    repo.git(&["-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", message]);
}

/// A clone as the commands see it, by the clock of now, without a terminal.
pub(crate) fn world(clone: &TestRepo) -> World {
    let git = clone.open();
    let layout = git.layout();
    let store = Store::new(&layout.common_dir);
    let marks = Marks::open(&layout.common_dir, &layout.git_dir);
    let variables = clone.variables().into_iter();
    let env = Env {
        dir: clone.path().to_owned(),
        variables: variables.map(|(name, value)| (name.into(), value.into())).collect(),
        now: env::now(),
        stdin_is_terminal: false,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        executable: None,
    };
    World { env, git, store, marks }
}

/// Signs a decision over a range in a clone, as the command does once it has
/// found a person at the terminal, and publishes nothing. Returns the record's id.
#[track_caller]
pub(crate) fn decide(
    clone: &TestRepo,
    person: &str,
    range: Option<&str>,
    decision: &Decision,
) -> String {
    let world = world(clone);
    let options = Options {
        range: range.map(str::to_owned),
        key: Some(key_of(clone, person)),
        ..Options::default()
    };
    let draft = prepare(&world, &options, decision, &Surroundings::default());
    let signed = draft.and_then(|draft| draft.sign(&world));
    signed.unwrap_or_else(|error| panic!("{person}: {}", error.chain())).id
}

/// Approves a range for every rule.
#[track_caller]
pub(crate) fn approve(clone: &TestRepo, person: &str, range: Option<&str>) -> String {
    decide(clone, person, range, &Decision::Approve { rules: Vec::new(), note: None })
}

/// Publishes a clone's records.
#[track_caller]
pub(crate) fn sync(clone: &TestRepo) {
    let said = countersign(clone, &["ledger", "sync"]);
    assert!(said.passes(), "{}", said.text);
}

/// What `check` says of each obligation, `rule requirement state` a line, after
/// its exit status and verdict.
#[track_caller]
pub(crate) fn judged(clone: &TestRepo, arguments: &[&str]) -> Vec<String> {
    let words = [&["check", "--format", "json"], arguments].concat();
    let output = clone.countersign(&words);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", Said::new(&output).text));
    let word = |value: &serde_json::Value| value.as_str().unwrap_or("none").to_owned();
    let mut lines = vec![word(&report["verdict"])];
    for row in report["obligations"].as_array().into_iter().flatten() {
        let [rule, requirement, state] =
            ["rule", "requirement", "state"].map(|key| word(&row[key]));
        lines.push(format!("{rule} {requirement} {state}"));
    }
    let expected = if lines[0] == "pass" { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(expected), "{}", Said::new(&output).text);
    lines
}
