//! Waivers and what they leave to be done, with real git and real keys: the
//! clock is an argument, so that hours pass at once.

use std::process::Command;

use countersign::adapters::env::Env;
use countersign::adapters::marks::Marks;
use countersign::adapters::store::Store;
use countersign::gate::time::Timestamp;
use countersign::gate::verdict::Code;
use countersign::jobs::ambient::Surroundings;
use countersign::jobs::approve::{Decision, Options, prepare};
use countersign::jobs::check::{self, check};
use countersign::jobs::judgement::Judgement;
use countersign::jobs::withdraw::{self, withdraw};
use countersign::jobs::world::World;
use countersign::jobs::{Error, log};

use crate::fixture::TestRepo;
use crate::shop::{Shop, key_of};

const HOUR: i64 = 3600;
/// When the outage begins: after every commit of the fixtures.
const NOW: i64 = 1_795_421_000;

const POLICY: &str = r#"
[trust]
repo_id = "shop"
[groups]
senior = ["ana", "bo"]
[[rule]]
id = "seniors"
paths = ["**/*.rs"]
require.approvals = [{ from = ["senior"] }]
[waiver]
from = ["senior", "chi"]
max = "4h"
review_within = "48h"
"#;

fn world(clone: &TestRepo, now: i64) -> World {
    let git = clone.open();
    let layout = git.layout();
    let store = Store::new(&layout.common_dir);
    let marks = Marks::open(&layout.common_dir, &layout.git_dir);
    let env = Env {
        dir: clone.path().to_owned(),
        variables: clone
            .variables()
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        now: Timestamp(now),
        stdin_is_terminal: false,
        stdout_is_terminal: false,
        stderr_is_terminal: false,
        executable: None,
    };
    World { env, git, store, marks }
}

fn sign(
    clone: &TestRepo,
    person: &str,
    now: i64,
    range: Option<&str>,
    decision: &Decision,
) -> Result<String, Error> {
    let world = world(clone, now);
    let options = Options {
        range: range.map(str::to_owned),
        key: Some(key_of(clone, person)),
        ..Options::default()
    };
    let draft = prepare(&world, &options, decision, &Surroundings::default())?;
    Ok(draft.sign(&world)?.id)
}

fn waive(rule: &str) -> Decision {
    Decision::Waive { rule: rule.into(), reason: "the shop is down".into(), expires: "2h".into() }
}

const APPROVE: Decision = Decision::Approve { rules: Vec::new(), note: None };

fn judge(clone: &TestRepo, now: i64) -> Judgement {
    check(&world(clone, now), &check::Options::default(), &Surroundings::default())
        .unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// Whether it passes, the state of the rule, and how the debt weighs.
#[track_caller]
fn see(clone: &TestRepo, now: i64, expected: &str) -> String {
    let judgement = judge(clone, now);
    let verdict = &judgement.verdict;
    let mut words = vec![if verdict.passes() { "passes" } else { "blocks" }.to_owned()];
    for judged in verdict.obligations.iter().filter(|it| it.rule == "seniors") {
        words.push(serde_json::to_value(judged.state).unwrap().as_str().unwrap().to_owned());
    }
    let mut said = String::new();
    for finding in verdict.findings.iter().filter(|it| it.code == Code::WaiverDebt) {
        words.push(format!("debt {:?}", finding.level).to_lowercase());
        said.push_str(&finding.message);
        said.push_str(finding.next.as_deref().unwrap_or_default());
    }
    assert_eq!(words.join(" "), expected, "{said}");
    said
}

/// chi's change on a branch, waived by `person`, merged by hand past the hooks
/// and pushed to the hub as an administrator would. Ana is back on `topic`,
/// which begins at the new target.
fn landed(person: &str) -> Option<(Shop, String, String)> {
    let shop = Shop::open(POLICY)?;
    let ana = &shop.ana;
    ana.write("a.rs", "fn a() {}\n").commit("ana", "before");
    ana.git(&["push", "-q", "--no-verify", "origin", "main"]);
    ana.git(&["fetch", "-q", "origin"]);
    ana.git(&["checkout", "-q", "-b", "fix"]);
    let base = ana.oid("main").to_string();
    let head = ana.commit_file("chi", "a.rs", "fn a() { fixed() }\n", "fix the outage").to_string();
    see(ana, NOW, "blocks missing");
    sign(ana, person, NOW, None, &waive("seniors")).unwrap();
    see(ana, NOW + 60, "passes waived");
    ana.git(&["push", "-q", "--no-verify", "origin", "fix:main"]);
    ana.git(&["fetch", "-q", "origin"]);
    ana.git(&["checkout", "-q", "-b", "topic", "origin/main"]);
    Some((shop, base, head))
}

#[test]
fn a_waived_change_is_owed_a_review() {
    let Some((shop, base, head)) = landed("ana") else { return };
    let ana = &shop.ana;
    // A change of other paths is warned and never blocked.
    ana.commit_file("chi", "b.md", "b\n", "elsewhere");
    let said = see(ana, NOW + HOUR, "passes debt warn");
    assert!(said.contains("ana waived it for `a.rs` (the shop is down)"), "{said}");
    assert!(said.contains("due by 2026-11-25T"), "{said}");
    assert!(
        said.contains(&format!(
            "countersign approve {}..{} --target refs/heads/main",
            &base[..12],
            &head[..12]
        )),
        "{said}"
    );
    see(ana, NOW + 49 * HOUR, "passes debt warn");
    // The same path: warned before the review is due, blocked after.
    ana.commit_file("chi", "a.rs", "fn a() { fixed(); more() }\n", "more");
    see(ana, NOW + HOUR, "blocks missing debt warn");
    sign(ana, "bo", NOW + HOUR, None, &APPROVE).unwrap();
    see(ana, NOW + HOUR, "passes satisfied debt warn");
    let said = see(ana, NOW + 49 * HOUR, "blocks satisfied debt block");
    assert!(said.contains("overdue since 2026-11-25T"), "{said}");
    // Neither the author of the waived change nor an outsider pays it.
    let range = format!("{base}..{head}");
    sign(ana, "chi", NOW + 49 * HOUR, Some(&range), &APPROVE).unwrap();
    see(ana, NOW + 50 * HOUR, "blocks satisfied debt block");
    sign(ana, "bo", NOW + 50 * HOUR, Some(&range), &APPROVE).unwrap();
    see(ana, NOW + 51 * HOUR, "passes satisfied");
}

#[test]
fn what_stood_before_is_never_held_up() {
    let Some((shop, _, _)) = landed("ana") else { return };
    let ana = &shop.ana;
    ana.commit_file("chi", "a.rs", "fn a() {}\n", "back out");
    see(ana, NOW + 49 * HOUR, "blocks missing debt warn");
    sign(ana, "bo", NOW + 49 * HOUR, None, &APPROVE).unwrap();
    see(ana, NOW + 49 * HOUR, "passes satisfied debt warn");
    // Once it landed, nothing is left to be reviewed.
    ana.git(&["push", "-q", "--no-verify", "origin", "topic:main"]);
    ana.git(&["fetch", "-q", "origin"]);
    ana.commit_file("chi", "a.rs", "fn a() { other() }\n", "again");
    see(ana, NOW + 49 * HOUR, "blocks missing");
}

#[test]
fn a_debt_outlives_its_waivers_withdrawal_and_the_next_change() {
    let Some((shop, _, _)) = landed("bo") else { return };
    let ana = &shop.ana;
    let world = world(ana, NOW + HOUR);
    let record = log::entries(&world, 9).unwrap()[0]["id"].as_str().unwrap().to_owned();
    let options = withdraw::Options { record, key: Some(key_of(ana, "bo")), ..Default::default() };
    withdraw(&world, &options, &Surroundings::default()).unwrap();
    ana.commit_file("chi", "a.rs", "fn a() { third() }\n", "on top");
    ana.git(&["push", "-q", "--no-verify", "origin", "topic:main"]);
    ana.git(&["fetch", "-q", "origin"]);
    ana.commit_file("chi", "a.rs", "fn a() { fourth() }\n", "more on top");
    see(ana, NOW + 49 * HOUR, "blocks missing debt block");
}

#[test]
fn who_waives_their_own_change_is_shown_and_does_not_review_it() {
    let Some((shop, base, head)) = landed("chi") else { return };
    let ana = &shop.ana;
    ana.commit_file("chi", "b.md", "b\n", "elsewhere");
    let said = see(ana, NOW + HOUR, "passes debt warn");
    assert!(said.contains("chi self-waived it"), "{said}");
    sign(ana, "ana", NOW + HOUR, Some(&format!("{base}..{head}")), &APPROVE).unwrap();
    see(ana, NOW + 2 * HOUR, "passes");
}

#[test]
fn a_waiver_that_was_not_used_is_owed_nothing() {
    let Some(shop) = Shop::open(POLICY) else { return };
    let ana = &shop.ana;
    ana.git(&["checkout", "-q", "-b", "fix"]);
    ana.commit_file("chi", "a.rs", "fn a() {}\n", "work");
    sign(ana, "ana", NOW, None, &waive("seniors")).unwrap();
    see(ana, NOW + 60, "passes waived");
    // It runs out, and the content changes.
    see(ana, NOW + 2 * HOUR + 1, "blocks missing");
    ana.commit_file("chi", "a.rs", "fn a() { b() }\n", "other work");
    see(ana, NOW + 60, "blocks missing");
}

#[test]
fn every_waiver_in_force_is_named() {
    let Some(shop) = Shop::open(POLICY) else { return };
    let ana = &shop.ana;
    ana.git(&["checkout", "-q", "-b", "fix"]);
    ana.commit_file("chi", "a.rs", "fn a() {}\n", "work");
    let record = sign(ana, "ana", NOW, None, &waive("seniors")).unwrap();
    let judgement = judge(ana, NOW + 60);
    let waived = &judgement.verdict.obligations[0];
    assert!(
        waived.detail.starts_with("waived by ana until 2026-11-23T")
            && waived.detail.contains("the shop is down"),
        "{}",
        waived.detail
    );
    let case = judgement.case();
    let rules = countersign::gate::explain::explain(
        &case,
        &judgement.evidence,
        &judgement.verdict,
        Some("seniors"),
    );
    let row = &rules[0].requirements[0].records[0];
    assert!(row.counts && row.id == record, "{row:?}");
    for (hours, in_force) in [(1, true), (3, false)] {
        let entries = log::entries(&world(ana, NOW + hours * HOUR), 20).unwrap();
        let entry = entries.iter().find(|it| it["type"] == "waiver").unwrap();
        assert_eq!(entry["in_force"], in_force);
        assert_eq!((&entry["by"], &entry["rule"]), (&"ana".into(), &"seniors".into()));
    }
    let listed = ana.countersign(&["log"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("waiver"), "{listed}");
    assert!(listed.contains("the shop is down"), "{listed}");
}

#[test]
fn a_waiver_dated_ahead_does_not_last_longer() {
    let Some(shop) = Shop::open(POLICY) else { return };
    let ana = &shop.ana;
    ana.git(&["checkout", "-q", "-b", "fix"]);
    ana.commit_file("chi", "a.rs", "fn a() {}\n", "work");
    // Signed now by a clock that is ten hours ahead; the ledger's commit bears
    // the same clock, but the next one does not.
    sign(ana, "ana", NOW + 10 * HOUR, None, &waive("seniors")).unwrap();
    see(ana, NOW, "blocks missing");
    ana.git(&["checkout", "-q", "-b", "beside", "main"]);
    ana.commit_file("chi", "c.md", "c\n", "beside");
    sign(ana, "bo", NOW, None, &Decision::Reject { note: None }).unwrap();
    ana.git(&["checkout", "-q", "fix"]);
    see(ana, NOW + 10 * HOUR, "blocks missing");
}

#[test]
fn a_rule_that_denies_or_does_not_apply_is_not_waived() {
    let rules = "[[rule]]\nid = \"closed\"\npaths = [\"**/*.rs\"]\ndeny = true\n[[rule]]\nid = \"idle\"\npaths = [\"/none/\"]\nrequire.approvals = [{ from = [\"senior\"] }]\n";
    let Some(shop) = Shop::open(&format!("{rules}{POLICY}")) else { return };
    let ana = &shop.ana;
    ana.git(&["checkout", "-q", "-b", "fix"]);
    ana.commit_file("chi", "a.rs", "fn a() {}\n", "work");
    let refused = |rule: &str| sign(ana, "ana", NOW, None, &waive(rule)).unwrap_err().chain();
    assert_eq!(refused("closed"), "the rule `closed` denies, and no waiver lifts that");
    assert_eq!(
        refused("idle"),
        "the rule `idle` does not apply to this change, so there is nothing to waive"
    );
}

#[test]
fn of_several_waivers_the_longest_is_named() {
    let Some(shop) = Shop::open(POLICY) else { return };
    let ana = &shop.ana;
    ana.git(&["checkout", "-q", "-b", "fix"]);
    ana.commit_file("chi", "a.rs", "fn a() {}\n", "work");
    for hours in ["1h", "3h", "2h"] {
        let (rule, reason) = ("seniors".to_owned(), "the shop is down".to_owned());
        let waive = Decision::Waive { rule, reason, expires: hours.to_owned() };
        sign(ana, "ana", NOW, None, &waive).unwrap();
    }
    let judgement = judge(ana, NOW);
    let detail = &judgement.verdict.obligations[0].detail;
    let until = Timestamp(NOW + 3 * HOUR).to_string();
    assert!(detail.contains(&until), "{detail}");
}

#[test]
fn denials_and_the_policy_are_never_waived() {
    let Some(shop) = Shop::open(&format!("{POLICY}never = [\"seniors\"]\n")) else { return };
    let ana = &shop.ana;
    ana.git(&["checkout", "-q", "-b", "fix"]);
    ana.commit_file("chi", "a.rs", "fn a() {}\n", "work");
    for rule in ["seniors", "policy-change"] {
        let error = sign(ana, "ana", NOW, None, &waive(rule)).unwrap_err();
        assert_eq!(error.chain(), format!("the policy never lets `{rule}` be waived"));
    }
    let error = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["waive", "--rule", "seniors", "--reason", "x", "--expires", "1h"])
        .current_dir(ana.path())
        .output()
        .unwrap();
    assert_eq!(error.status.code(), Some(2));
}
