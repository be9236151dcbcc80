//! Who could approve: nested groups, the smallest sets, what nobody can
//! satisfy, and the only human.

use crate::shop::{Shop, approve, commit_unwatched, countersign, judged};

/// Changes these files on a branch.
fn changed(policy: &str, paths: &[&str]) -> Option<Shop> {
    let shop = Shop::open(policy)?;
    shop.ana.git(&["switch", "-q", "-c", "topic"]);
    for path in paths {
        shop.ana.write(path, "changed\n");
    }
    commit_unwatched(&shop.ana, "change");
    Some(shop)
}

#[track_caller]
fn check(shop: &Shop, expected: &str) {
    let said = countersign(&shop.ana, &["who-can"]);
    assert!(said.passes(), "{}", said.text);
    assert_eq!(said.text, expected);
}

#[test]
fn the_smallest_sets_are_found_through_nested_groups() {
    // ana is the author. `everybody` holds `leads`, which holds `core`.
    let policy = "[trust]\nrepo_id = \"shop\"\n\
        [groups]\ncore = [\"bo\"]\nleads = [\"core\", \"ana\"]\neverybody = [\"leads\", \"chi\"]\n\
        [[rule]]\nid = \"code\"\npaths = [\"/src/**\"]\nrequire.approvals = [{ from = [\"everybody\"] }]\n\
        [[rule]]\nid = \"core\"\npaths = [\"/src/core/**\"]\nrequire.approvals = [{ from = [\"leads\"] }]\n";
    let Some(shop) = changed(policy, &["src/a.rs", "src/core/b.rs"]) else { return };
    // Bo alone is enough for both rules, though chi could give one of them.
    check(&shop, "code: 1 more of: bo, chi\ncore: 1 more of: bo\nany of these is enough:\n  bo\n");
    approve(&shop.ana, "chi", None);
    check(&shop, "core: 1 more of: bo\nany of these is enough:\n  bo\n");
    approve(&shop.ana, "bo", None);
    check(&shop, "no approval is missing\n");
    assert_eq!(judged(&shop.ana, &[])[0], "pass");
}

#[test]
fn what_nobody_can_satisfy_blocks_and_says_what_to_change() {
    let policy = "[trust]\nrepo_id = \"shop\"\n[groups]\nsenior = [\"ana\", \"bo\"]\n\
        [[rule]]\nid = \"two\"\npaths = [\"/src/**\"]\nrequire.approvals = [{ count = 2, from = [\"senior\"] }]\n";
    let Some(shop) = changed(policy, &["src/a.rs"]) else { return };
    let said = countersign(&shop.ana, &["check"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let joined = said.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "[approval-unsatisfiable]",
        "needs 2 approvals from senior, and only bo could give one: authors of the change and people without a key do not count",
        "add somebody to senior, or a key to somebody in it",
    ] {
        assert!(joined.contains(words), "{words}: {}", said.text);
    }
    check(
        &shop,
        "two: 2 more of: bo\nno set of people satisfies all of it; add people or keys to the policy's groups\n",
    );
    // Nobody's approval makes it less so.
    approve(&shop.ana, "bo", None);
    assert_eq!(judged(&shop.ana, &[]), ["block", "two approvals unsatisfiable"]);
}

#[test]
fn the_only_human_attests_and_reviews_nothing() {
    for solo in [true, false] {
        let shop = {
            let policy = format!(
                "[trust]\nrepo_id = \"shop\"\nsolo = {solo}\n\
                 [[rule]]\nid = \"code\"\npaths = [\"/src/**\"]\nrequire.approvals = [{{}}]\n"
            );
            let Some(shop) = Shop::open(&policy) else { return };
            // Bo and chi are no humans here.
            let text = shop.ana.git(&["show", "main:countersign.toml"]);
            let (before, rest) = text.split_once("[people.bo]").unwrap();
            let alone = format!("{before}[people.bo]{}", rest.replace("\"human\"", "\"service\""));
            shop.ana.write("countersign.toml", alone);
            commit_unwatched(&shop.ana, "alone");
            shop.ana.git(&["push", "-q", "--no-verify", "origin", "main"]);
            shop.ana.git(&["switch", "-q", "-c", "topic"]);
            shop.ana.write("src/a.rs", "changed\n");
            commit_unwatched(&shop.ana, "change");
            shop
        };
        if !solo {
            assert_eq!(judged(&shop.ana, &[]), ["block", "code approvals unsatisfiable"]);
            continue;
        }
        assert_eq!(judged(&shop.ana, &[]), ["block", "code approvals missing"]);
        approve(&shop.ana, "ana", None);
        assert_eq!(judged(&shop.ana, &[]), ["pass", "code approvals satisfied"]);
        for command in
            [&["explain"][..], &["check", "--format", "json"], &["review", "--format", "markdown"]]
        {
            let said = countersign(&shop.ana, command);
            assert!(said.text.contains("self-attested by ana"), "{command:?}: {}", said.text);
            assert!(!said.text.contains("reviewed by"), "{command:?}: {}", said.text);
        }
    }
}
