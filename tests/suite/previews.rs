//! The security-group incident: a rule dropped from a shared module is gone in
//! three regions at once. Each way in which it can happen is stopped, shown in
//! one screen, and let through only by an approval that covers that very plan.

use serde_json::{Value, json};

use crate::fixture::feed;
use crate::shop::{Said, Shop, approve, commit_unwatched, countersign, judged};

const POLICY: &str = r#"
[trust]
repo_id = "shop"

[groups]
infra = ["ana", "bo"]

[[rule]]
id = "infra"
paths = ["/infra/**"]
require.approvals = [{ count = 1, from = ["infra"] }]
require.preview = ["plan"]

[preview.plan]
engine = "terraform"
root = "infra"
run = ["sh", "-c", "cp plan.json \"$COUNTERSIGN_OUT\""]
max_age = "24h"
limits = { deletes = 0, replaces = 0, forgets = 0, places = 3 }
protect = [{ types = ["aws_security_group*"], actions = ["delete", "replace", "removal", "forget"], from = ["bo"] }]
"#;

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-2"];

/// A plan that does this to the rule in every region.
fn plan(actions: &[&str], before: &Value, after: &Value) -> Value {
    let change = |region: &&str| {
        let mut before = before.clone();
        before["arn"] = json!(format!("arn:aws:ec2:{region}:1:security-group-rule/sgr-1"));
        json!({
            "address": format!("module.edge[\"{region}\"].aws_security_group_rule.in"),
            "mode": "managed", "type": "aws_security_group_rule",
            "change": { "actions": actions, "before": before, "after": after },
        })
    };
    let changes: Vec<Value> = REGIONS.iter().map(change).collect();
    json!({ "format_version": "1.2", "terraform_version": "1.9.0", "resource_changes": changes })
}

fn dropped() -> Value {
    plan(&["delete"], &json!({ "from_port": 8080 }), &Value::Null)
}

/// Ana's clone with chi's change of the module, whose plan stands beside it.
fn incident(plan: &Value) -> Option<Shop> {
    incident_of(POLICY, &plan.to_string())
}

/// The same by another policy, and with whatever an engine printed.
fn incident_of(policy: &str, plan: &str) -> Option<Shop> {
    let shop = Shop::installed(policy)?;
    shop.ana.write("infra/edge.tf", "# 8080 is not used any more\n");
    shop.ana.write("infra/plan.json", plan);
    shop.ana.git(&["config", "user.name", "chi"]);
    shop.ana.git(&["config", "user.email", "chi@example.com"]);
    let mut command = shop.ana.git_command(&[
        "-c",
        "core.hooksPath=/dev/null",
        "commit",
        "-q",
        "-m",
        "drop a rule",
    ]);
    shop.ana.git(&["add", "-A"]);
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "chi")
            .env(format!("GIT_{role}_EMAIL"), "chi@example.com");
    }
    assert!(command.status().unwrap().success());
    Some(shop)
}

#[track_caller]
fn blocked(shop: &Shop, expected: &[&str]) -> Said {
    let said = shop.push(&["origin", "topic:main"]);
    assert!(!said.passes(), "{}", said.text);
    assert_eq!(said.codes(), expected, "{}", said.text);
    said
}

#[test]
fn a_plan_that_is_too_old_is_said_to_be() {
    let mut old = plan(&["no-op"], &json!({}), &json!({}));
    old["timestamp"] = json!("2020-01-01T00:00:00Z");
    let Some(shop) = incident(&old) else { return };
    let said = countersign(&shop.ana, &["preview"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let why = "it is from 2020-01-01T00:00:00Z, older than the policy allows";
    assert!(said.text.contains(&format!("\u{2717} it does not count: {why}")), "{}", said.text);
    let said = countersign(&shop.ana, &["--format", "json", "preview"]);
    // What the command told of itself stands behind it.
    let mut documents = serde_json::Deserializer::from_str(&said.text).into_iter::<Value>();
    let document = documents.next().unwrap().unwrap();
    assert_eq!(document["previews"][0]["stale"], why, "{document:#}");
}

#[test]
fn a_dropped_rule_is_let_through_only_by_an_approval_of_its_plan() {
    let Some(shop) = incident(&dropped()) else { return };
    blocked(&shop, &["approval-missing", "preview-missing"]);
    // The content alone is approved before anybody saw what it does.
    approve(&shop.ana, "ana", None);
    approve(&shop.ana, "bo", None);
    blocked(&shop, &["preview-missing"]);

    let said = countersign(&shop.ana, &["preview", "-q"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    let expected = "\
plan: 3 deletes in 3 places
  delete  aws_security_group_rule  module.edge[\"ap-southeast-2\"].aws_security_group_rule.in  ap-southeast-2
  delete  aws_security_group_rule  module.edge[\"eu-west-1\"].aws_security_group_rule.in       eu-west-1
  delete  aws_security_group_rule  module.edge[\"us-east-1\"].aws_security_group_rule.in       us-east-1
✗ deletes 3 (limit 0)
✗ protected, 1 of bo: 3, first module.edge[\"ap-southeast-2\"].aws_security_group_rule.in
";
    assert!(said.text.starts_with(expected), "{}", said.text);
    let said = blocked(&shop, &["preview-over-limit"]);
    assert!(said.text.contains("3 deletes in 3 places"), "{}", said.text);
    let does = "      does:  delete module.edge[\"ap-southeast-2\"].aws_security_group_rule.in in ap-southeast-2\n             delete ";
    assert!(said.text.contains(does), "{}", said.text);

    // Ana is in the rule's group, and nobody of the protected type's.
    approve(&shop.ana, "ana", None);
    blocked(&shop, &["preview-protected"]);
    approve(&shop.ana, "bo", None);
    assert_eq!(
        judged(&shop.ana, &[]),
        ["pass", "infra approvals satisfied", "infra preview satisfied"]
    );
    // Another tree is another plan, and nothing that was approved covers it.
    shop.ana.write("infra/edge.tf", "# more\n");
    commit_unwatched(&shop.ana, "more");
    blocked(&shop, &["approval-missing", "preview-missing"]);
    shop.ana.git(&["reset", "-q", "--hard", "HEAD^"]);
    let said = shop.push(&["origin", "topic:main"]);
    assert!(said.passes(), "{}", said.text);
}

#[test]
fn a_hundred_resources_fit_a_screen_and_stand_in_the_json() {
    let policy = POLICY.replace("places = 3", "places = 1")
        + "[[preview.plan.protect]]\n"
        + "types = [\"aws_*\"]\nactions = [\"delete\"]\nfrom = [\"bo\"]\n";
    let policy = policy.replace(
        "protect = [{ types = [\"aws_security_group*\"], actions = [\"delete\", \"replace\", \"removal\", \"forget\"], from = [\"bo\"] }]\n",
        "",
    );
    let change = |number: usize| {
        let name = format!("module.edge[\"{number:03}\"].aws_instance.{}", "x".repeat(60));
        json!({ "address": name, "mode": "managed", "type": "aws_instance",
            "change": { "actions": ["delete"], "before": { "a": 1 }, "after": null } })
    };
    let changes: Vec<Value> = (0..100).map(change).collect();
    let plan = json!({ "format_version": "1.2", "terraform_version": "1.9.0", "resource_changes": changes });
    let Some(shop) = incident_of(&policy, &plan.to_string()) else { return };
    approve(&shop.ana, "ana", None);
    approve(&shop.ana, "bo", None);
    countersign(&shop.ana, &["preview", "-q"]);
    let said = blocked(&shop, &["preview-over-limit"]);
    let longest = said.text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 280 && said.text.lines().count() <= 30, "{longest}: {}", said.text);
    assert!(said.text.contains("100 protected resources"), "{}", said.text);
    let more = "… and 94 more: `countersign check --format json`";
    assert!(said.text.contains(more), "{}", said.text);
    let json = countersign(&shop.ana, &["check", "--format", "json"]);
    let report: Value = serde_json::from_str(&json.text).unwrap();
    let obligations = report["obligations"].as_array().unwrap();
    let preview = obligations.iter().find(|it| it["requirement"] == "preview").unwrap();
    let resources = preview["resources"].as_array().unwrap();
    assert_eq!(resources.len(), 100);
    let last = resources[99].as_str().unwrap();
    assert!(last.starts_with("delete module.edge[\"099\"].aws_instance.xxx"), "{last}");
}

/// What `preview --plan` and then `check` say of a plan once bo and ana approved the content.
#[track_caller]
fn check(plan: &Value, exit: i32, codes: &[&str]) {
    let Some(shop) = incident(plan) else { return };
    approve(&shop.ana, "ana", None);
    let said = countersign(&shop.ana, &["preview", "--only", "plan", "--plan", "infra/plan.json"]);
    assert_eq!(said.code, Some(exit), "{}", said.text);
    let judged = countersign(&shop.ana, &["check"]);
    assert_eq!(judged.codes(), codes, "{}", judged.text);
}

#[test]
fn every_variant_of_the_incident_is_stopped() {
    let group = |ports: &[u16]| {
        let ingress: Vec<Value> = ports.iter().map(|port| json!({ "from_port": port })).collect();
        json!({ "ingress": ingress })
    };
    let with = |name: &str, value: Value| {
        let mut plan = plan(&["create"], &json!({}), &json!({ "region": "us-east-1" }));
        plan[name] = value;
        plan
    };
    check(&with("terraform_version", json!("1.9.1")), 0, &[]);
    check(&plan(&["delete", "create"], &group(&[1]), &group(&[2])), 1, &["preview-over-limit"]);
    check(&plan(&["create", "delete"], &group(&[1]), &group(&[2])), 1, &["preview-over-limit"]);
    check(&plan(&["forget"], &group(&[1]), &Value::Null), 1, &["preview-over-limit"]);
    check(&plan(&["new word"], &group(&[1]), &Value::Null), 1, &["preview-over-limit"]);
    // No resource goes, and a rule does.
    check(&plan(&["update"], &group(&[1, 2]), &group(&[2])), 1, &["preview-protected"]);
    check(&plan(&["update"], &group(&[1]), &group(&[1, 2])), 0, &[]);
    let mut unknown = plan(&["update"], &group(&[1]), &json!({}));
    for change in unknown["resource_changes"].as_array_mut().unwrap() {
        change["change"]["after_unknown"] = json!({ "ingress": true });
    }
    check(&unknown, 1, &["preview-protected"]);
    // Not the whole change: no approval could know what it says yes to.
    let state =
        json!({ "values": { "root_module": { "resources": [{ "address": "aws_vpc.a" }] } } });
    check(&with("prior_state", state), 1, &["preview-missing"]);
    check(&with("complete", json!(false)), 1, &["preview-missing"]);
    check(&with("timestamp", json!("2020-01-01T00:00:00Z")), 1, &["preview-stale"]);
    check(&with("format_version", json!("2.0")), 2, &["preview-missing"]);
}

/// The same loss in the words of another engine: previewed by the policy's own
/// command, stopped, and let through by an approval of that very preview alone.
#[track_caller]
fn check_engine(engine: &str, types: &str, printed: &str, shown: &str) {
    let policy = POLICY
        .replace("\"terraform\"", &format!("\"{engine}\""))
        .replace("aws_security_group*", types)
        .replace("root = \"infra\"\n", "")
        .replace("cp plan.json", "cp infra/plan.json");
    let Some(shop) = incident_of(&policy, printed) else { return };
    approve(&shop.ana, "bo", None);
    blocked(&shop, &["preview-missing"]);
    let said = countersign(&shop.ana, &["preview", "-q"]);
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.starts_with(shown), "{}", said.text);
    blocked(&shop, &["preview-protected"]);
    approve(&shop.ana, "ana", None);
    blocked(&shop, &["preview-protected"]);
    approve(&shop.ana, "bo", None);
    assert_eq!(
        judged(&shop.ana, &[]),
        ["pass", "infra approvals satisfied", "infra preview satisfied"]
    );
    let said = shop.push(&["origin", "topic:main"]);
    assert!(said.passes(), "{}", said.text);
}

#[test]
fn a_rule_that_pulumi_would_take_away_is_stopped() {
    let state = |ports: &[u16]| {
        let ingress: Vec<Value> = ports.iter().map(|port| json!({ "fromPort": port })).collect();
        json!({ "inputs": { "ingress": ingress }, "outputs": { "ingress": ingress } })
    };
    let digest = json!({
        "config": { "aws:region": "eu-west-1" },
        "steps": [{
            "op": "update",
            "urn": "urn:pulumi:prod::shop::aws:ec2/securityGroup:SecurityGroup::edge",
            "provider": "urn:pulumi:prod::shop::pulumi:providers:aws::default_6::04da",
            "oldState": state(&[443, 8080]), "newState": state(&[443]),
            "detailedDiff": { "ingress[1]": { "kind": "delete" } },
        }],
        "changeSummary": { "update": 1 },
    });
    let shown = "plan: 1 removal in 1 place\n  removal  aws:ec2/securityGroup:SecurityGroup";
    check_engine("pulumi", "aws:ec2/securityGroup:*", &digest.to_string(), shown);
}

#[test]
fn a_rule_that_kubernetes_would_take_away_is_stopped() {
    let policy = |ports: &[u16]| {
        let ingress: Vec<Value> =
            ports.iter().map(|port| json!({ "ports": [{ "port": port }] })).collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": [{
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "edge", "namespace": "shop" },
            "spec": { "podSelector": {}, "ingress": ingress },
        }] })
    };
    let cluster = json!({ "kind": "Config", "clusters": [{ "name": "prod-eu", "cluster": {} }] });
    let printed = format!("{}\n{}\n{cluster}\n", policy(&[443, 8080]), policy(&[443]));
    let shown = "plan: 1 removal in 1 place\n  removal  networking.k8s.io/NetworkPolicy";
    check_engine("kubernetes", "*/NetworkPolicy", &printed, shown);
}

/// Whatever a provider brings tomorrow counts by what happens to it.
#[test]
fn a_type_that_nobody_knows_counts() {
    let mut plan = plan(&["delete"], &json!({}), &Value::Null);
    for change in plan["resource_changes"].as_array_mut().unwrap() {
        change["type"] = json!("newcloud_edge_wall_v9");
        change["address"] = json!("newcloud_edge_wall_v9.in");
    }
    check(&plan, 1, &["preview-over-limit"]);
    // Its arguments are compared as those of every type are.
    let rules = |ports: &[u16]| json!({ "walls": ports });
    let policy = POLICY.replace("aws_security_group*", "newcloud_*");
    let mut plan = self::plan(&["update"], &rules(&[1, 2]), &rules(&[2]));
    for change in plan["resource_changes"].as_array_mut().unwrap() {
        change["type"] = json!("newcloud_edge_wall_v9");
    }
    let Some(shop) = incident_of(&policy, &plan.to_string()) else { return };
    approve(&shop.ana, "bo", None);
    let said = countersign(&shop.ana, &["preview", "-q"]);
    assert!(said.text.starts_with("plan: 3 removals in 3 places\n"), "{}", said.text);
    blocked(&shop, &["preview-protected"]);
}

/// Inline blocks, a rule of its own, in either order of a replacement, or only
/// forgotten: none is let through by who approved the text or another plan.
#[test]
fn each_variant_needs_an_approval_of_its_own_plan() {
    let group = |ports: &[u16]| {
        let ingress: Vec<Value> = ports.iter().map(|port| json!({ "from_port": port })).collect();
        json!({ "ingress": ingress })
    };
    for plan in [
        dropped(),
        plan(&["update"], &group(&[1, 2]), &group(&[2])),
        plan(&["delete", "create"], &group(&[1]), &group(&[2])),
        plan(&["create", "delete"], &group(&[1]), &group(&[2])),
        plan(&["forget"], &group(&[1]), &Value::Null),
    ] {
        let Some(shop) = incident(&plan) else { return };
        approve(&shop.ana, "bo", None);
        assert_eq!(countersign(&shop.ana, &["preview", "-q"]).code, Some(1));
        assert_eq!(judged(&shop.ana, &[])[0], "block", "{plan}");
        approve(&shop.ana, "bo", None);
        assert_eq!(judged(&shop.ana, &[])[0], "pass", "{plan}");
        // The next tree has a plan of its own, which nobody has seen.
        shop.ana.write("infra/edge.tf", "# other\n");
        commit_unwatched(&shop.ana, "other");
        assert_eq!(countersign(&shop.ana, &["preview", "-q"]).code, Some(1));
        assert_eq!(judged(&shop.ana, &[])[0], "block", "{plan}");
    }
}

#[test]
fn a_plan_is_shown_for_a_pull_request() {
    let Some(shop) = incident(&dropped()) else { return };
    let words = ["preview", "--format", "markdown"];
    let said = Said::new(&shop.ana.countersign(&words));
    assert_eq!(said.code, Some(1), "{}", said.text);
    for line in [
        "**plan**: 3 deletes in 3 places",
        "| action | type | address | place |",
        r#"| **delete** | aws\_security\_group\_rule | module.edge\[\"eu-west-1\"\].aws\_security\_group\_rule.in | eu-west-1 |"#,
        "**Needs an approval of this very preview:** deletes 3 (limit 0)",
    ] {
        assert!(said.text.lines().any(|it| it == line), "{line}\n{}", said.text);
    }
    let output = shop.ana.countersign(&["preview", "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["previews"][0]["rows"][2]["place"], "us-east-1");
    assert_eq!(document["previews"][0]["counts"]["delete"], 3);
    let output = shop.ana.countersign(&["check", "--format", "markdown"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_guard_lets_an_agent_apply_only_what_was_previewed() {
    let group = json!({ "ingress": [{ "from_port": 1 }] });
    let more = json!({ "ingress": [{ "from_port": 1 }, { "from_port": 2 }] });
    let Some(shop) = incident(&plan(&["update"], &group, &more)) else { return };
    let apply = || {
        let payload = json!({
            "session_id": "s", "cwd": shop.ana.path().join("infra"), "hook_event_name": "PreToolUse",
            "tool_name": "Bash", "tool_input": { "command": "terraform apply -auto-approve" }, "tool_use_id": "t",
        });
        let words = ["record", "--agent", "claude-code", "--guard"];
        feed(shop.ana.countersign_command(&words), payload.to_string().as_bytes()).status.code()
    };
    assert_eq!(apply(), Some(2));
    let said = countersign(&shop.ana, &["preview", "--only", "plan", "--plan", "infra/plan.json"]);
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert_eq!(apply(), Some(0));
    // What is not committed was not previewed.
    shop.ana.write("infra/edge.tf", "# something else\n");
    assert_eq!(apply(), Some(2));
}
