//! Commits with real git and our hooks: what is staged is judged, whatever way
//! git was told to commit, and what the surroundings tell is kept.

use std::process::Command;

use crate::fixture::{TestRepo, feed, is_below_an_agent};
use crate::shop::{BY_CLAUDE, Said, Shop, commit_unwatched, git};

const POLICY: &str = "[[rule]]\nid = \"secrets\"\npaths = [\"/secrets/**\"]\ndeny = true\n";
const SECRET: &str = "secrets/key";

/// A clone with hooks in which `plain` and a secret are tracked and changed,
/// both not staged. The secret was let in before there was a policy.
fn changed() -> Option<Shop> {
    let shop = Shop::installed(POLICY)?;
    shop.ana.write("plain", "1\n").write(SECRET, "1\n");
    commit_unwatched(&shop.ana, "before");
    shop.ana.git(&["push", "-q", "--no-verify", "origin", "topic", "topic:main"]);
    shop.ana.write("plain", "2\n").write(SECRET, "2\n");
    Some(shop)
}

/// Runs git, which must be stopped by the rule, or pass without a word of ours.
#[track_caller]
fn check(repo: &TestRepo, arguments: &[&str], blocked: bool) {
    check_command(repo.git_command(arguments), b"", blocked);
}

#[track_caller]
fn check_command(command: Command, input: &[u8], blocked: bool) {
    let said = Said::new(&feed(command, input));
    let expected: &[&str] = if blocked { &["denied"] } else { &[] };
    assert_eq!(said.codes(), expected, "{}", said.text);
    assert_eq!(said.passes(), !blocked, "{}", said.text);
}

/// One way to commit in a repository where the secret is changed, and whether
/// it would take the secret along.
#[track_caller]
fn check_way(staged: &[&str], arguments: &[&str], input: &[u8], blocked: bool) {
    let Some(shop) = changed() else { return };
    if !staged.is_empty() {
        shop.ana.git(&[&["add"], staged].concat());
    }
    let before = shop.ana.oid("HEAD");
    let words = [&["commit", "-q"], arguments].concat();
    check_command(shop.ana.git_command(&words), input, blocked);
    assert_eq!(shop.ana.oid("HEAD") == before, blocked);
}

#[test]
fn every_way_to_commit_is_judged_by_what_it_commits() {
    check_way(&["plain"], &["-m", "x"], b"", false);
    check_way(&["plain", SECRET], &["-m", "x"], b"", true);
    check_way(&[], &["-a", "-m", "x"], b"", true);
    check_way(&["plain"], &["-a", "-m", "x"], b"", true);
    // Only these paths, whatever else is staged.
    check_way(&[SECRET], &["-m", "x", "--", "plain"], b"", false);
    check_way(&["plain"], &["-m", "x", "--", SECRET], b"", true);
    check_way(&["plain"], &["--include", SECRET, "-m", "x"], b"", true);
    // The first hunk is the one of `plain`.
    check_way(&[], &["-p", "-m", "x"], b"y\nn\n", false);
    check_way(&[], &["-p", "-m", "x"], b"n\ny\n", true);
    check_way(&["plain"], &["--amend", "--no-edit"], b"", false);
    check_way(&[SECRET], &["--amend", "--no-edit"], b"", true);
    check_way(&[SECRET], &["--no-verify", "-m", "x"], b"", false);
}

#[test]
fn neither_index_nor_work_tree_is_touched() {
    let Some(shop) = changed() else { return };
    shop.ana.git(&["add", SECRET]);
    shop.ana.write("plain", "3\n").write("untracked", "1\n");
    check(&shop.ana, &["commit", "-q", "-m", "x"], true);
    assert_eq!(
        shop.ana.git(&["status", "--porcelain"]),
        format!(" M plain\nM  {SECRET}\n?? untracked")
    );
    assert_eq!(shop.ana.git(&["stash", "list"]), "");
    let index = || std::fs::read(shop.ana.path().join(".git/index")).unwrap();
    let before = index();
    // The hook alone: git itself writes the index before it starts one.
    assert_eq!(crate::shop::countersign(&shop.ana, &["hook", "pre-commit"]).code, Some(1));
    assert!(index() == before, "the index was written");
}

/// Two branches of `topic`: `side` holds the secret's change, and both changed `plain`.
fn diverged() -> Option<Shop> {
    let shop = changed()?;
    shop.ana.git(&["checkout", "-q", "-b", "side"]);
    commit_unwatched(&shop.ana, "side");
    shop.ana.git(&["switch", "-q", "topic"]);
    Some(shop)
}

#[test]
fn a_merge_is_judged_by_what_it_adds_to_its_parents() {
    let Some(shop) = diverged() else { return };
    shop.ana.write("other", "1\n");
    commit_unwatched(&shop.ana, "other");
    // pre-merge-commit: the secret is judged where it was committed, and at the push.
    check(&shop.ana, &["merge", "-q", "--no-ff", "--no-edit", "side"], false);
    let said = shop.push(&["origin", "topic"]);
    assert_eq!(said.codes(), ["denied"], "{}", said.text);

    // A conflict, resolved by writing more than either parent held.
    let Some(shop) = diverged() else { return };
    shop.ana.write("plain", "three\n");
    commit_unwatched(&shop.ana, "plain");
    assert!(!git(&shop.ana, &["merge", "-q", "side"]).passes());
    shop.ana.write("plain", "both\n").git(&["add", "plain"]);
    shop.ana.write(SECRET, "more\n").git(&["add", SECRET]);
    check(&shop.ana, &["commit", "-q", "--no-edit"], true);
    shop.ana.write(SECRET, "2\n").git(&["add", SECRET]);
    check(&shop.ana, &["commit", "-q", "--no-edit"], false);
}

#[test]
fn what_git_commits_without_asking_is_silent_and_judged_at_the_push() {
    let Some(shop) = diverged() else { return };
    shop.ana.write("other", "1\n");
    commit_unwatched(&shop.ana, "other");
    let picked = git(&shop.ana, &["cherry-pick", "side"]);
    assert!(picked.passes() && !picked.text.contains("countersign"), "{}", picked.text);
    assert_eq!(shop.push(&["origin", "topic"]).codes(), ["denied"]);
    let reverted = git(&shop.ana, &["revert", "--no-edit", "HEAD"]);
    assert!(reverted.passes() && !reverted.text.contains("countersign"), "{}", reverted.text);
    let said = shop.push(&["origin", "topic"]);
    assert!(said.passes(), "nothing is left of it: {}", said.text);
    let squashed = git(&shop.ana, &["merge", "-q", "--squash", "side"]);
    assert!(squashed.passes(), "{}", squashed.text);
    check(&shop.ana, &["commit", "-q", "-m", "squashed"], true);
}

/// Commits in a new repository under a policy's `[disclosure]`, with variables
/// as an agent sets them; returns what was said and the message that stands.
fn disclosed(disclosure: &str, agent: bool, message: &str) -> Option<(Said, String)> {
    let shop = Shop::installed(&format!("[disclosure]\n{disclosure}\n"))?;
    shop.ana.write("a", "1\n").git(&["add", "a"]);
    let mut command = shop.ana.git_command(&["commit", "-q", "-m", message]);
    if agent {
        command.env("CLAUDECODE", "1");
    }
    let said = Said::new(&command.output().unwrap());
    Some((said, shop.ana.git(&["log", "-1", "--format=%B"]).trim().to_owned()))
}

#[track_caller]
fn check_disclosure(disclosure: &str, agent: bool, message: &str, expected: Result<&str, &str>) {
    let Some((said, stands)) = disclosed(disclosure, agent, message) else { return };
    match expected {
        Ok(wanted) => {
            assert!(said.passes(), "{}", said.text);
            // Under another agent its trailer stands there as well.
            assert!(stands.starts_with(wanted), "{stands}");
        }
        Err(code) => {
            assert!(!said.passes(), "{}", said.text);
            assert_eq!(said.codes(), [code], "{}", said.text);
            if code == "disclosure-missing" {
                let next = "next:  git commit --trailer \"Assisted-by: ";
                assert!(said.text.contains(next), "{}", said.text);
            }
            assert_eq!(stands, "policy");
        }
    }
}

#[test]
fn disclosure_is_written_asked_for_or_forbidden() {
    let marked = format!("x{BY_CLAUDE}");
    let marked = marked.trim();
    let disclosed = "x\n\nAssisted-by: claude-code";
    check_disclosure("trailer = \"require\"\nwrite = true", true, "x", Ok(disclosed));
    check_disclosure("write = true", true, "x", Ok(disclosed));
    check_disclosure("trailer = \"require\"\nwrite = true", true, marked, Ok(marked));
    check_disclosure("write = true", true, disclosed, Ok(disclosed));
    let strict = "trailer = \"require\"\nstrict = true\nwrite = true";
    let both = format!("{marked}\nAssisted-by: claude-code");
    check_disclosure(strict, true, marked, Ok(&both));
    check_disclosure("write = true\nkey = \"AI\"", true, "x", Ok("x\n\nAI: claude-code"));
    check_disclosure("trailer = \"require\"", true, "x", Err("disclosure-missing"));
    if !is_below_an_agent() {
        check_disclosure("trailer = \"require\"", true, marked, Ok(marked));
    }
    check_disclosure("trailer = \"forbid\"", false, marked, Err("disclosure-forbidden"));
    check_disclosure("trailer = \"forbid\"", true, "x", Ok("x"));
}

#[test]
fn a_commit_that_only_its_surroundings_marked_is_judged_as_assisted() {
    let policy = "[trust]\nrepo_id = \"shop\"\n[groups]\nsenior = [\"bo\"]\n[[rule]]\nid = \"assisted\"\nwhen = { assisted = true }\nrequire.approvals = [{ from = [\"senior\"] }]\n";
    let Some(shop) = Shop::installed(policy) else { return };
    shop.ana.write("a", "1\n").git(&["add", "a"]);
    let mut command = shop.ana.git_command(&["commit", "-q", "-m", "x"]);
    let said = Said::new(&command.env("CLAUDECODE", "1").output().unwrap());
    assert_eq!(
        (said.code, said.text.as_str()),
        (Some(0), "countersign: this change will need: approvals at merge (assisted)\n")
    );
    assert_eq!(shop.push(&["origin", "topic:main"]).codes(), ["approval-missing"]);
}

#[test]
fn a_commit_without_a_repository_s_policy_is_let_through() {
    let repo = TestRepo::new();
    assert!(crate::shop::countersign(&repo, &["install"]).passes());
    repo.write(SECRET, "1\n").git(&["add", "-A"]);
    let said = git(&repo, &["commit", "-q", "-m", "x"]);
    assert_eq!((said.code, said.text.as_str()), (Some(0), ""));
    // One that cannot be read decides nothing, and says where.
    repo.write("countersign.toml", "schema = 1\nmood = 1\n");
    commit_unwatched(&repo, "a broken policy");
    repo.write("a", "1\n").git(&["add", "-A"]);
    let said = git(&repo, &["commit", "-q", "-m", "y"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("countersign.toml:2:1: unknown key `mood`"), "{}", said.text);
}
