//! The three outages that founded this product, judged by policy.example.toml:
//! the change as it was, what stops it, and what lets it through.

use std::os::unix::fs::PermissionsExt;

use crate::fixture::TestRepo;
use crate::shop::{BY_CLAUDE, Said, Shop, approve, countersign, judged, key_of, make_key, sync};

/// A renamed database, as `terraform show -json` tells it.
pub(crate) const REPLACED: &str = r#"{"format_version":"1.2","resource_changes":[{"address":"aws_db_instance.db","mode":"managed","type":"aws_db_instance","provider_name":"registry.terraform.io/hashicorp/aws","change":{"actions":["delete","create"],"before":{"arn":"arn:aws:rds:eu-west-1:1:db:main"},"after":{"identifier":"db"},"replace_paths":[["identifier"]]}}]}"#;

/// The shop of policy.example.toml, with keys of our own, and stand-ins for the
/// programs that its tests start. Ana's clone has the hooks and is on `topic`.
pub(crate) fn example() -> Option<Shop> {
    let mut ana = TestRepo::new();
    let mut policy = std::fs::read_to_string("policy.example.toml").unwrap();
    for name in ["ana", "bo", "chi", "ci"] {
        let public = make_key(&ana, name)?;
        let table = policy.find(&format!("[people.{name}]")).unwrap();
        let start = table + policy[table..].find("ssh-ed25519 AAAA").unwrap();
        let end = start + policy[start..].find('"').unwrap();
        policy.replace_range(start..end, &public);
    }
    let stand_in = |name: &str, text: &str| {
        ana.write(format!("../home/bin/{name}"), format!("#!/bin/sh\n{text}\n"));
        let path = ana.home().join("bin").join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    stand_in("cargo", "test \"$*\" = 'test --locked -p checkout'");
    stand_in(
        "python3",
        "echo '<testsuite tests=\"1\"><testcase name=\"tone\"/></testsuite>' >evals.xml",
    );
    // Terraform's own plan is a zip; `show -json` prints what stands in it.
    stand_in(
        "terraform",
        &format!("case $1 in plan) printf PK >\"${{3#-out=}}\" ;; show) echo '{REPLACED}' ;; esac"),
    );
    let path = std::env::var("PATH").unwrap();
    ana.set_variable("PATH", &format!("{}:{path}", ana.home().join("bin").display()));
    ana.write("services/checkout/src/cart.rs", "fn total() {}\n")
        .write("services/checkout/README.md", "the checkout\n")
        .write("models/ranker/tuning.toml", "temperature = 0.2\n")
        .write("infra/prod/database.tf", "resource \"aws_db_instance\" \"main\" {}\n");
    for path in ["Cargo.toml", "Cargo.lock", "prompts/tone.md", "evals/tone.py"] {
        ana.write(path, "");
    }
    ana.write("services/search/rank.prompt.md", "").write("infra/modules/db.tf", "");
    let shop = Shop::with_policy(ana, &policy);
    let lint = countersign(&shop.ana, &["policy", "lint"]);
    assert!(lint.passes(), "{}", lint.text);
    shop.ana.git(&["switch", "-q", "-c", "topic"]);
    let said = countersign(&shop.ana, &["install"]);
    assert!(said.passes(), "{}", said.text);
    Some(shop)
}

/// Changes a file as chi, with this message, unseen by hooks.
pub(crate) fn change(repo: &TestRepo, path: &str, content: &str, message: &str) {
    repo.write(path, content).git(&["add", "-A"]);
    let words = ["-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", message];
    let mut command = repo.git_command(&words);
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "chi")
            .env(format!("GIT_{role}_EMAIL"), "chi@example.com");
    }
    assert!(command.status().unwrap().success());
}

#[track_caller]
pub(crate) fn blocked(shop: &Shop, expected: &[&str]) -> Said {
    let said = shop.push(&["origin", "topic:main"]);
    assert!(!said.passes(), "{}", said.text);
    assert_eq!(said.codes(), expected, "{}", said.text);
    said
}

/// What CI does: one job runs the change's code and holds no key, another
/// signs the result and runs nothing of it.
#[track_caller]
pub(crate) fn ci(shop: &Shop, test: &str) {
    shop.ana.git(&["push", "-q", "--no-verify", "-f", "origin", "topic"]);
    let mut runner = shop.hub.clone_as(&format!("runner-{test}"), &["--branch", "topic"]);
    runner.set_variable("CI", "true");
    let file = runner.home().join(format!("{test}.result"));
    let file = file.to_str().unwrap();
    let ran = countersign(&runner, &["test", "--only", test, "--output", file]);
    assert!(ran.passes(), "{}", ran.text);
    let signer = shop.hub.clone_as(&format!("signer-{test}"), &["--branch", "topic"]);
    let key = key_of(&signer, "ci");
    let imported =
        countersign(&signer, &["test", "--import", file, "--key", key.to_str().unwrap()]);
    assert!(imported.passes(), "{}", imported.text);
    sync(&signer);
    shop.ana.git(&["fetch", "-q"]);
}

#[track_caller]
pub(crate) fn lands(shop: &Shop) {
    let said = shop.push(&["origin", "topic:main"]);
    assert!(said.passes(), "{}", said.text);
    assert_eq!(shop.hub.oid("main"), shop.ana.oid("topic"));
}

/// An assisted change to the checkout passed its reviewers' eyes too quickly.
#[test]
fn the_checkout() {
    let Some(shop) = example() else { return };
    let cart = "services/checkout/src/cart.rs";
    let message = format!("round totals{BY_CLAUDE}");
    change(&shop.ana, cart, "fn total() { round() }\n", &message);
    blocked(&shop, &["approval-missing", "tests-missing"]);
    // Neither whoever had it written, nor somebody outside the group, is enough.
    approve(&shop.ana, "chi", None);
    blocked(&shop, &["approval-missing", "tests-missing"]);
    approve(&shop.ana, "ana", None);
    let said = blocked(&shop, &["tests-missing"]);
    assert!(said.text.contains("checkout-unit"), "{}", said.text);
    ci(&shop, "checkout-unit");
    assert_eq!(
        judged(&shop.ana, &[]),
        [
            "pass",
            "checkout-assisted approvals satisfied",
            "checkout-assisted tests satisfied",
            "disclosure disclosure satisfied"
        ]
    );
    // A last touch after the review is another change.
    let reviewed = shop.ana.oid("HEAD").to_string();
    change(&shop.ana, cart, "fn total() { round(0) }\n", &message);
    blocked(&shop, &["approval-missing", "tests-missing"]);
    shop.ana.git(&["reset", "-q", "--hard", &reviewed]);
    lands(&shop);
    // Documents of the checkout are asked for nothing.
    change(&shop.ana, "services/checkout/README.md", "more\n", &message);
    lands(&shop);
}

/// A tuning parameter changed behaviour without changing any code.
#[test]
fn prompts_and_tuning() {
    let Some(shop) = example() else { return };
    let tuning = "models/ranker/tuning.toml";
    change(&shop.ana, tuning, "temperature = 1.2\n", "warmer");
    blocked(&shop, &["approval-missing", "tests-missing"]);
    // A senior is no judge of models here; bo is.
    approve(&shop.ana, "ana", None);
    blocked(&shop, &["approval-missing", "tests-missing"]);
    approve(&shop.ana, "bo", None);
    blocked(&shop, &["tests-missing"]);
    ci(&shop, "prompt-evals");
    lands(&shop);
}

/// A small edit replaced the production database.
#[test]
fn infrastructure() {
    let Some(shop) = example() else { return };
    let database = "infra/prod/database.tf";
    change(&shop.ana, database, "resource \"aws_db_instance\" \"db\" {}\n", "rename");
    blocked(&shop, &["approval-missing", "preview-missing"]);
    // On a laptop the plan is shown and counts for nothing: CI has to make it.
    let said = countersign(&shop.ana, &["preview"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("plan-prod: 1 replace in 1 place\n"), "{}", said.text);
    blocked(&shop, &["approval-missing", "preview-missing"]);
    // What reads like a rename is a new database, and whoever approved only saw the text.
    approve(&shop.ana, "ana", None);
    let plan = shop.ana.home().join("plan.json");
    std::fs::write(&plan, REPLACED).unwrap();
    shop.ana.git(&["push", "-q", "--no-verify", "-f", "origin", "topic"]);
    let signer = shop.hub.clone_as("signer", &["--branch", "topic"]);
    let (plan, key) = (plan.to_str().unwrap(), key_of(&signer, "ci"));
    let words = ["preview", "--only", "plan-prod", "--plan", plan, "--key", key.to_str().unwrap()];
    let said = countersign(&signer, &words);
    assert_eq!(said.code, Some(1), "{}", said.text);
    sync(&signer);
    shop.ana.git(&["fetch", "-q"]);
    blocked(&shop, &["preview-over-limit"]);
    assert_eq!(
        judged(&shop.ana, &[]),
        ["block", "infra-preview approvals satisfied", "infra-preview preview failed"]
    );
    // Only somebody of infra who saw this very plan lets it through.
    approve(&shop.ana, "bo", None);
    blocked(&shop, &["preview-over-limit"]);
    approve(&shop.ana, "ana", None);
    lands(&shop);
    let more = "resource \"aws_db_instance\" \"other\" {}\n";
    change(&shop.ana, database, more, "once more");
    blocked(&shop, &["approval-missing", "preview-missing"]);
}
