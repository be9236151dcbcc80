//! Approvals that nobody gave, or gave for something else.

use serde_json::json;

use super::scene::{Forged, Hub, RULES, edited, files_of};
use crate::shop::{decide, sync};

const RANGE: &str = "main..topic";

/// What is planted is taken by the server and counts for nothing.
#[track_caller]
fn check(forge: impl FnOnce(&Hub, Forged) -> Forged, reason: &str) {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let record = hub.genuine("bo", RANGE);
    let forged = forge(&hub, record);
    hub.plant(&forged).refuses(reason);
}

/// What is no record, or no signature, is refused by the server's ledger, and
/// counts for nothing where somebody wrote it to the server's disk.
#[track_caller]
fn check_malformed(forge: impl FnOnce(&Hub, Forged) -> Forged, problem: &str) {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let record = hub.genuine("bo", RANGE);
    let forged = forge(&hub, record);
    let said = hub.push_record(&forged);
    assert!(!said.passes() && said.text.contains("[ledger-malformed]"), "{}", said.text);
    assert!(said.text.contains(problem), "{}", said.text);
    hub.smuggle(&files_of(&forged)).refuses("[approval-missing]");
}

#[test]
fn the_genuine_one_counts() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work().refuses("needs 1 approval from senior, has none");
    let record = hub.genuine("bo", RANGE);
    hub.plant(&record);
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
}

#[test]
fn forged_in_somebody_elses_name() {
    check(|hub, it| hub.resigned(&it, "chi", |_| {}), "but SHA256:");
    let own = |hub: &Hub, it: Forged| {
        let key = hub.genuine("chi", RANGE);
        let key: serde_json::Value = serde_json::from_slice(&key.bytes).unwrap();
        let key = key["predicate"]["by"]["key"].clone();
        hub.resigned(&it, "chi", |record| record["predicate"]["by"]["key"] = key)
    };
    check(own, "chi is not in senior");
    check(|_, it| Forged { signature: None, ..it }, "it is not signed");
    let stranger = |hub: &Hub, it: Forged| {
        crate::shop::make_key(&hub.chi, "stranger");
        hub.resigned(&it, "stranger", |record| {
            record["predicate"]["by"].as_object_mut().unwrap().remove("key");
        })
    };
    check(stranger, "belongs to nobody in the trusted policy");
}

#[test]
fn edited_after_it_was_signed() {
    let edit = |_: &Hub, it: Forged| Forged {
        bytes: edited(&it.bytes, |record| record["predicate"]["note"] = json!("and more")),
        ..it
    };
    check(edit, "its signature does not hold");
}

#[test]
fn truncated() {
    check_malformed(
        |_, mut it| {
            it.bytes.truncate(it.bytes.len() / 2);
            it
        },
        "is not JSON",
    );
    check_malformed(
        |_, mut it| {
            it.signature.as_mut().unwrap().truncate(80);
            it
        },
        "signature",
    );
}

#[test]
fn signed_over_other_bytes_or_in_another_namespace() {
    let other = |hub: &Hub, it: Forged| Forged {
        signature: hub.sign(b"other bytes", "bo", "countersign-approval-v1"),
        ..it
    };
    check(other, "its signature does not hold");
    // bo signed these very bytes, but as a run, or as a commit is signed.
    for namespace in ["countersign-run-v1", "countersign-rejection-v1", "git", "file"] {
        let signed = |hub: &Hub, it: Forged| Forged {
            signature: hub.sign(&it.bytes, "bo", namespace),
            ..it
        };
        check_malformed(signed, "namespace");
    }
}

#[test]
fn written_so_that_two_readers_read_two_things() {
    let text = |it: &Forged| String::from_utf8(it.bytes.clone()).unwrap();
    let signed = |hub: &Hub, text: String| Forged {
        signature: hub.sign(text.as_bytes(), "bo", "countersign-approval-v1"),
        bytes: text.into_bytes(),
    };
    let canonical = "are not the canonical form";
    // A key twice, a space, an escape, an unknown key, text behind the end.
    check_malformed(
        |hub, it| signed(hub, text(&it).replace("\"rules\":[]", "\"rules\":[\"x\"],\"rules\":[]")),
        canonical,
    );
    check_malformed(|hub, it| signed(hub, text(&it).replacen(':', ": ", 1)), canonical);
    check_malformed(|hub, it| signed(hub, text(&it).replace("core/a", "core\\/a")), canonical);
    check_malformed(
        |hub, it| signed(hub, text(&it).replace("\"rules\":[]", "\"rules\":[],\"zzz\":1")),
        canonical,
    );
    check_malformed(|hub, it| signed(hub, format!("{}{{}}", text(&it))), "is not JSON");
}

#[test]
fn a_record_of_many_megabytes() {
    let huge = |hub: &Hub, it: Forged| {
        hub.resigned(&it, "bo", |record| record["predicate"]["note"] = "x".repeat(5 << 20).into())
    };
    check_malformed(huge, "too large");
}

#[test]
fn replayed_from_another_repository_or_branch() {
    let fork = RULES.replace("\"shop\"", "\"fork\"");
    let Some(other) = Hub::open(&fork) else { return };
    other.work();
    // The very content that was approved in a fork with its own people.
    let elsewhere = other.genuine("bo", RANGE);
    let content: serde_json::Value = serde_json::from_slice(&elsewhere.bytes).unwrap();
    check(
        |hub, it| {
            hub.resigned(&it, "bo", |record| {
                record["predicate"]["content"]["repo"] =
                    content["predicate"]["content"]["repo"].clone();
            })
        },
        "it is for the repository `fork`",
    );
    check(
        |hub, it| {
            hub.resigned(&it, "bo", |record| {
                record["predicate"]["content"]["target"] = "refs/heads/release/1".into();
            })
        },
        "it is for refs/heads/release/1",
    );
}

#[test]
fn stale_after_amend() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let record = hub.genuine("bo", RANGE);
    hub.plant(&record);
    let approved = hub.chi.oid("HEAD");
    hub.chi.write("core/a.rs", "fn a() { evil() }\n");
    hub.chi.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    hub.refuses("`core/a.rs` is not as it was approved");
    // The approved file, and one more beside it.
    hub.chi.git(&["reset", "-q", "--hard", approved.as_str()]);
    hub.chi.commit_file("chi", "core/b.rs", "fn b() {}\n", "one more");
    hub.refuses("[approval-missing]");
}

#[test]
fn replayed_after_a_later_revert() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let record = hub.genuine("bo", RANGE);
    hub.plant(&record);
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
    // It was taken back on the target; how that came about is no matter here.
    let landed = hub.chi.oid("HEAD");
    hub.chi.git(&["revert", "--no-edit", "HEAD"]);
    let path = hub.bare.path().to_str().unwrap().to_owned();
    hub.chi.git(&["push", "-q", &path, "HEAD:refs/heads/reverted"]);
    hub.bare.git(&["update-ref", "refs/heads/main", hub.chi.oid("HEAD").as_str()]);
    hub.chi.git(&["fetch", "-q", "origin"]);
    // The very same content once more, and the very same approval.
    hub.chi.git(&["cherry-pick", landed.as_str()]);
    hub.refuses("changed it again: the approval is spent");
    // A new approval of it counts.
    let again = hub.genuine("bo", "origin/main..HEAD");
    hub.plant(&again);
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
}

#[test]
fn lifted_from_a_rejected_change() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let record = hub.genuine("bo", RANGE);
    let rejection = countersign::jobs::approve::Decision::Reject { note: Some("never".into()) };
    decide(&hub.chi, "ana", Some(RANGE), &rejection);
    sync(&hub.chi);
    hub.plant(&record).refuses("ana rejected this content: never");
    // Under another commit, and as a part of a bigger change.
    hub.chi.git(&["commit", "-q", "--amend", "-m", "said better"]);
    hub.chi.commit_file("chi", "b.md", "b\n", "more");
    hub.refuses("ana rejected this content: never");
}
