//! `countersign demo`, as a stranger would run it, and where it cannot run.

use std::os::unix::fs::symlink;

use crate::fixture::{TestRepo, skipped};

fn has_ssh_keygen() -> bool {
    let here = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| folder.join("ssh-keygen").exists());
    if !here {
        skipped("ssh-keygen is not here");
    }
    here
}

/// The lines that tell what happened, without those that differ from run to run.
fn told(text: &str) -> Vec<&str> {
    let tells = |line: &&str| {
        let line = line.trim_start();
        line.contains("$ ")
            || line.starts_with("countersign: BLOCKED")
            || line.starts_with("countersign: pass")
            || line.starts_with("✗")
            || line.starts_with(char::is_numeric)
            || line.starts_with("passed:")
            || line.starts_with("assisted-prices approved")
    };
    text.lines().filter(tells).map(str::trim_start).collect()
}

#[test]
fn the_demo_tells_the_whole_story() {
    if !has_ssh_keygen() {
        return;
    }
    let mut repo = TestRepo::new();
    // Neither an agent around it, nor the repository that it is started in,
    // nor configuration takes part.
    for (name, value) in [
        ("CLAUDECODE", "1"),
        ("GIT_DIR", "/nowhere"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.hooksPath"),
        ("GIT_CONFIG_VALUE_0", "/dev/null"),
    ] {
        repo.set_variable(name, value);
    }
    let scratch = repo.home().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    repo.set_variable("TMPDIR", scratch.to_str().unwrap());
    let output = repo.countersign(&["demo"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""), "{text}");
    let base = text.split("BLOCKED ").nth(1).unwrap().split("..").next().unwrap();
    let record = text.split("record  ").nth(1).unwrap().split('\n').next().unwrap();
    let text = text.replace(base, "BASE").replace(&record[..12], "RECORD");
    let seconds = |line: &str| match line.split_once(" (0.") {
        Some((head, _)) => head.to_owned(),
        None => line.to_owned(),
    };
    let told: Vec<String> = told(&text).into_iter().map(seconds).collect();
    assert_eq!(
        told,
        [
            "1. ana and bo share a repository; its policy and the hooks are in place",
            "ana$ cat countersign.toml   # the rule, and the test it asks for",
            "ana$ countersign install",
            "2. an agent writes code for ana, and says so in a trailer",
            "ana$ git commit -a",
            "3. the branch can be pushed for review, but nobody can push it to main yet",
            "ana$ git push origin discount",
            "passed: prices: exit status 0",
            "ana$ git push origin discount:main",
            "countersign: BLOCKED BASE..HEAD for main",
            "✗ assisted-prices: needs 1 approval from senior, has none  [approval-missing]",
            "4. bo reads the change, and countersigns exactly this content with an ssh key",
            "bo$ git diff main...discount --stat",
            "1 file changed, 1 insertion(+)",
            "bo$ countersign approve",
            "assisted-prices approved by bo",
            "bo$ countersign ledger sync",
            "5. one line is changed after the review: the approval does not cover it",
            "ana$ git diff -U0",
            "ana$ git commit -a --amend --no-edit",
            "ana$ git fetch",
            "ana$ git push origin discount:main",
            "passed: prices: exit status 0",
            "countersign: BLOCKED BASE..HEAD for main",
            "✗ assisted-prices: needs 1 approval from senior, has none; the approval RECORD does not count: `prices/prices.sh` is not as it was approved  [approval-missing]",
            "6. what was reviewed goes through, and CI reaches the same verdict",
            "ana$ git reset --hard reviewed",
            "ana$ countersign test --sign",
            "passed: prices: exit status 0 (earlier)",
            "ana$ git push origin discount:main",
            "ci$ git fetch origin countersign-ledger",
            "ci$ countersign check --require-policy",
            "countersign: pass main..HEAD for main",
            "ci$ countersign ledger verify",
        ],
        "{text}"
    );
    // Nothing is left, neither here nor in the home folder.
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    let left: Vec<_> =
        std::fs::read_dir(repo.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["scratch"]);
}

#[test]
fn the_demo_keeps_its_folder_when_asked() {
    if !has_ssh_keygen() {
        return;
    }
    let mut repo = TestRepo::new();
    let scratch = repo.home().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    repo.set_variable("TMPDIR", scratch.to_str().unwrap());
    let output = repo.countersign(&["demo", "--keep"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let folder = text.split("are kept in ").nth(1).unwrap().split('\n').next().unwrap();
    let main = repo.git(&["-C", &format!("{folder}/hub.git"), "log", "-1", "--format=%s", "main"]);
    assert_eq!(main, "prices: add a discount");
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    use std::io::BufRead;
    use std::os::unix::process::CommandExt;
    if !has_ssh_keygen() {
        return;
    }
    let mut repo = TestRepo::new();
    let scratch = repo.home().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    repo.set_variable("TMPDIR", scratch.to_str().unwrap());
    let mut command = repo.countersign_command(&["demo"]);
    let mut demo = command.process_group(0).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("3. ")));
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 1);
    let group = format!("-{}", demo.id());
    let killed = repo.command("kill").args(["-INT", "--", &group]).status().unwrap();
    assert!(killed.success());
    lines.for_each(drop);
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
}

#[test]
fn the_demo_names_the_program_that_is_missing() {
    let repo = TestRepo::new();
    let folder = repo.home().join("bin");
    std::fs::create_dir(&folder).unwrap();
    let missing = |name: &str| {
        let mut command = repo.countersign_command(&["demo"]);
        let output = command.env("PATH", &folder).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let errors = String::from_utf8(output.stderr).unwrap();
        let expected = format!("error: the demo needs `{name}`, which is not on PATH");
        assert_eq!(errors.lines().next(), Some(expected.as_str()));
    };
    missing("git");
    let git = repo.command("sh").args(["-c", "command -v git"]).output().unwrap();
    symlink(String::from_utf8(git.stdout).unwrap().trim(), folder.join("git")).unwrap();
    missing("ssh-keygen");
}
