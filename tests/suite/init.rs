//! `countersign init` and the `policy` commands, as a person starts them.

use super::fixture::TestRepo;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A repository of ana and bo, in which ana works and has a key.
fn shop() -> TestRepo {
    let repo = TestRepo::new();
    repo.write("Cargo.toml", "")
        .write("Cargo.lock", "")
        .write("src/lib.rs", "")
        .commit("bo", "Start");
    repo.git(&["config", "user.name", "Ana"]);
    repo.git(&["config", "user.email", "ana@example.com"]);
    let key = repo.home().join(".ssh/id_ed25519");
    std::fs::create_dir_all(key.parent().unwrap()).unwrap();
    let made = repo
        .command("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "ana", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    repo
}

#[test]
fn init_writes_a_clean_policy_once() {
    let repo = shop();
    let output = repo.countersign(&["init", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let path = repo.path().join("countersign.toml");
    for expected in [
        "people   ana, bo\n",
        "tests    cargo test --locked\n",
        "mode     observe, until enough people have keys\n",
        "bo has no key here yet: `ssh-keygen -t ed25519 -C bo@example.com` makes one; then stands in `[people.bo]`\n",
        "  git add countersign.toml\n",
        "  countersign install\n",
    ] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
    let written = std::fs::read(&path).unwrap();
    let lint = repo.countersign(&["policy", "lint", "-q"]);
    assert_eq!((lint.status.code(), text(&lint.stdout)), (Some(0), String::new()));
    let again = repo.countersign(&["init", "--yes"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(std::fs::read(&path).unwrap(), written);
}

#[test]
fn init_without_a_terminal_asks_nothing() {
    let repo = shop();
    repo.write("sub/a", "");
    let output = repo.countersign(&["-C", "sub", "init"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(repo.path().join("countersign.toml").exists());
}

#[test]
fn lint_and_show_read_nested_policies_and_revisions() {
    let repo = TestRepo::new();
    let root = "[people.ana]\nkind = \"human\"\nemails = [\"ana@example.com\"]\n[nested]\nfiles = [\"services/*/countersign.toml\"]\n";
    repo.write("countersign.toml", root);
    repo.write(
        "services/shop/countersign.toml",
        "[[rule]]\nid = \"ours\"\ndeny = true\npaths = [\"*.sql\"]\n",
    );
    let lint = repo.countersign(&["policy", "lint"]);
    let expected = "warning[glob-matches-nothing] rule services/shop:ours: the pattern `*.sql` matches no tracked file\ncountersign.toml: 1 mistake\n";
    assert_eq!((lint.status.code(), text(&lint.stdout)), (Some(1), expected.to_owned()));
    let first = repo.commit("ana", "Policy");
    repo.write("services/shop/countersign.toml", "").commit("ana", "Loosen");
    let show = |revision: &str| {
        let output =
            repo.countersign(&["policy", "show", "--policy-from", revision, "--format", "json"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["rules"].clone()
    };
    assert_eq!(show(first.as_str())[0]["id"], "services/shop:ours");
    assert_eq!(show("HEAD"), serde_json::json!([]));
    repo.write("countersign.toml", "mood = 1");
    let broken = repo.countersign(&["policy", "lint"]);
    assert_eq!(broken.status.code(), Some(2));
    snapbox::assert_data_eq!(
        text(&broken.stderr),
        snapbox::str![[r#"
error: countersign.toml:1:1: unknown key `mood`
  |
1 | mood = 1
  | ^^^^
hint: did you mean `mode`?

"#]]
    );
}

#[test]
fn a_policy_s_own_examples_are_tried() {
    let repo = TestRepo::new();
    repo.write("policy.toml", super::policy::EXAMPLE);
    let output = repo.countersign(&["policy", "test", "policy.toml", "-q"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    repo.write(
        "policy.toml",
        super::policy::EXAMPLE.replace("rules = [\"infra-preview\"]", "rules = []"),
    );
    let output = repo.countersign(&["policy", "test", "policy.toml", "-q"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "fails infrastructure waits for its preview\n      expected the rules none, and `infra-preview` apply\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn init_takes_the_key_that_git_signs_with_wherever_it_lies() {
    let repo = shop();
    let (from, to) = (repo.home().join(".ssh/id_ed25519.pub"), repo.home().join("sign.pub"));
    let line = std::fs::read_to_string(&from).unwrap();
    std::fs::rename(&from, &to).unwrap();
    repo.git(&["config", "user.signingkey", to.to_str().unwrap()]);
    let output = repo.countersign(&["init", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let key = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let policy = std::fs::read_to_string(repo.path().join("countersign.toml")).unwrap();
    assert!(policy.contains(&key), "{key} is not in\n{policy}");
}
