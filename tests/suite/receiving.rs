//! What counts on a server: approvals that come with the push, signed results,
//! and the verdict that is kept. Ways round it are in `server`.

use crate::fixture::TestRepo;
use crate::shop::{Said, Shop, approve, commit_unwatched, countersign, judged, key_of, sync};

const POLICY: &str = r#"
[trust]
repo_id = "shop"
[groups]
senior = ["ana", "bo"]
[[rule]]
id = "seniors"
paths = ["*.rs"]
require.approvals = [{ from = ["senior"] }]
[[rule]]
id = "secrets"
paths = ["/secrets/**"]
deny = true
[[rule]]
id = "tested"
paths = ["/tested/**"]
require.tests = ["unit"]
[test.unit]
run = "true"
"#;

/// A hub that judges; ana's clone, on `topic`, has no hooks.
fn serving(policy: &str) -> Option<Shop> {
    let shop = Shop::open(policy)?;
    let said = countersign(&shop.hub, &["install", "--server"]);
    assert!(said.passes(), "{}", said.text);
    shop.ana.git(&["switch", "-q", "-c", "topic"]);
    Some(shop)
}

fn file(repo: &TestRepo, path: &str) {
    repo.write(path, "1\n");
    commit_unwatched(repo, path);
}

#[track_caller]
fn check(shop: &Shop, arguments: &[&str], expected: &[&str]) -> Said {
    let refs = || shop.hub.git(&["for-each-ref", "refs/heads/main", "refs/heads/other"]);
    let before = refs();
    let said = shop.push(arguments);
    assert_eq!(said.codes(), expected, "{}", said.text);
    assert_eq!(said.passes(), expected.is_empty(), "{}", said.text);
    if !expected.is_empty() {
        assert_eq!(refs(), before);
    }
    said
}

/// How many records of a type the hub's ledger holds.
fn records(hub: &TestRepo, word: &str) -> usize {
    let output = hub.countersign(&["ledger", "show", "--format", "json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains(&format!("\"type\":\"{word}\""))).count()
}

#[test]
fn a_push_is_judged_before_anything_of_it_stands() {
    let Some(shop) = serving(POLICY) else { return };
    file(&shop.ana, "a.rs");
    // Branches are pushed for review.
    check(&shop, &["origin", "topic"], &[]);
    let said = check(&shop, &["origin", "topic:main"], &["approval-missing"]);
    assert!(said.text.contains("remote: countersign: BLOCKED"), "{}", said.text);
    assert!(said.text.contains("pre-receive hook declined"), "{}", said.text);
    // The ledger is read as this push leaves it.
    approve(&shop.ana, "bo", None);
    shop.ana.git(&["fetch", "-q"]);
    let ledger = shop.ana.git(&["rev-parse", "--verify", "-q", "refs/heads/countersign-ledger"]);
    let to_ledger = format!("{ledger}:refs/heads/countersign-ledger");
    check(&shop, &["origin", "topic:main", &to_ledger], &[]);
    assert_eq!(shop.hub.oid("main"), shop.ana.oid("topic"));
    // post-receive keeps the verdict, and the ledger still verifies.
    assert_eq!(records(&shop.hub, "verdict"), 1);
    assert!(countersign(&shop.hub, &["ledger", "verify"]).passes());
    let ci = shop.hub.clone_as("ci", &[]);
    let verified = countersign(&ci, &["ledger", "verify"]);
    assert!(
        verified.text.starts_with("good: 2 records, 1 signed, 1 unsigned"),
        "{}",
        verified.text
    );
}

#[test]
fn every_ref_that_a_server_receives_is_judged() {
    let Some(shop) = serving(POLICY) else { return };
    file(&shop.ana, "plain");
    check(&shop, &["origin", "topic:main"], &[]);
    file(&shop.ana, "secrets/key");
    check(&shop, &["origin", "topic:other", "topic:main"], &["denied"]);
    // Only what is protected is judged here: branches are for review.
    check(&shop, &["origin", "topic:other"], &[]);
    check(&shop, &["-f", "origin", "topic~2:main"], &["ref-rewrite"]);
    shop.hub.git(&["config", "receive.denyDeleteCurrent", "ignore"]);
    check(&shop, &["origin", ":main"], &["ref-rewrite"]);
    // A policy that was there once is not simply gone.
    shop.ana.git(&["rm", "-q", "countersign.toml"]);
    commit_unwatched(&shop.ana, "no policy");
    let gone = shop.push(&["origin", "HEAD:main"]);
    assert!(gone.codes().contains(&"policy-change"), "{}", gone.text);
}

#[test]
fn a_server_counts_only_signed_results() {
    let Some(shop) = serving(POLICY) else { return };
    let ana = &shop.ana;
    assert!(countersign(ana, &["install"]).passes());
    file(ana, "tested/a");
    // This clone may believe itself; nobody else does.
    let said = check(&shop, &["origin", "topic:main"], &["tests-missing"]);
    assert!(said.text.contains("passed: unit: exit status 0"), "{}", said.text);
    assert!(said.text.contains("remote: countersign: BLOCKED"), "{}", said.text);
    assert_eq!(judged(ana, &[]), ["pass", "tested tests satisfied"]);
    let key = key_of(ana, "ana");
    let signed = countersign(ana, &["test", "--sign", "--key", key.to_str().unwrap()]);
    assert!(signed.passes(), "{}", signed.text);
    sync(ana);
    check(&shop, &["origin", "topic:main"], &[]);
}

#[test]
fn a_server_without_a_policy_waits_for_one() {
    let repo = TestRepo::new();
    let hub = repo.bare_remote();
    assert!(countersign(&hub, &["install", "--server"]).passes());
    file(&repo, "a");
    let push = |refs: &str| crate::shop::push(&repo, &["origin", refs]);
    assert!(push("main").passes());
    repo.write(
        "countersign.toml",
        format!("schema = 1\n{}", POLICY.replace("\"ana\", \"bo\"", "")),
    );
    commit_unwatched(&repo, "policy");
    let said = push("main");
    assert!(said.passes(), "{}", said.text);
    file(&repo, "secrets/key");
    assert_eq!(push("main").codes(), ["denied"]);
}
