//! The policy as it is understood: defaults filled in, groups resolved,
//! nested files joined.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::change::printable;
use super::super::requirement::Requirement;
use super::super::time::write_length;
use super::*;
use crate::gate::order;

/// Returns the whole policy as JSON, in the file's words.
pub fn resolved(policy: &Policy) -> Value {
    let trust = &policy.trust;
    json!({
        "source": { "from": policy.source.from, "sha256": policy.source.sha256 },
        "mode": policy.mode,
        "trust": {
            "target": trust.target,
            "protect": trust.protect.patterns,
            "ledger": trust.ledger,
            "repo_id": trust.repo_id,
            "gate": trust.gate.patterns,
            "solo": trust.solo,
            "narrow": trust.narrow,
            "reformatted": trust.reformatted,
            "unverified_authors": trust.unverified_authors,
            "pusher_env": trust.pusher_env,
        },
        "people": map(&policy.people, person),
        "groups": policy.groups,
        "revoked": policy.revoked.iter().map(|it| json!({
            "key": it.key,
            "after": it.after.as_ref().map(|oid| format!("ledger:{oid}")),
            "why": it.why,
        })).collect::<Vec<_>>(),
        "disclosure": {
            "trailer": policy.disclosure.trailer,
            "key": policy.disclosure.key,
            "strict": policy.disclosure.strict,
            "write": policy.disclosure.write,
        },
        "rules": policy.rules.iter().map(rule).collect::<Vec<_>>(),
        "tests": map(&policy.tests, test),
        "previews": map(&policy.previews, preview),
        "waiver": policy.waiver.as_ref().map(|it| json!({
            "from": it.from,
            "max": write_length(it.max),
            "review_within": it.review_within.map(write_length),
            "never": it.never,
        })),
        "nested": policy.nested.as_ref().map(|it| json!({ "files": it.patterns })),
        "agents": policy.agents,
        "examples": policy.examples.iter().map(example).collect::<Vec<_>>(),
    })
}

/// Returns the policy as an outline for people, safe to print.
pub fn outline(policy: &Policy) -> String {
    let mut text = String::new();
    let value = resolved(policy);
    for key in [
        "source",
        "mode",
        "trust",
        "disclosure",
        "people",
        "groups",
        "revoked",
        "rules",
        "tests",
        "previews",
        "waiver",
        "nested",
        "agents",
        "examples",
    ] {
        write_item(&mut text, 0, key, &value[key]);
    }
    text
}

fn write_item(text: &mut String, depth: usize, key: &str, value: &Value) {
    let indent = "  ".repeat(depth);
    let key = printable(key);
    match value {
        blank if is_blank(blank) => {}
        Value::Null => {}
        Value::Object(items) => {
            text.extend([&indent, key.as_str(), "\n"]);
            for (key, value) in items {
                write_item(text, depth + 1, key, value);
            }
        }
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let words = items.iter().map(plain).collect::<Vec<_>>().join(", ");
            writeln!(text, "{indent}{key}: {words}").expect("a string takes all");
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                let name = ["id", "name", "key"].iter().find_map(|it| item.get(it)?.as_str());
                let name = name.map_or_else(|| (number + 1).to_string(), str::to_owned);
                write_item(text, depth, &format!("{key} {name}"), item);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            writeln!(text, "{indent}{key}: {}", plain(value)).expect("a string takes all");
        }
    }
}

/// Whether there is nothing to show below.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(items) => items.values().all(is_blank),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), printable)
}

fn map<T>(items: &std::collections::BTreeMap<String, T>, write: impl Fn(&T) -> Value) -> Value {
    order::object(items.iter().map(|(name, item)| (name.clone(), write(item)))).into()
}

fn person(person: &Person) -> Value {
    let keys = person.keys.iter().map(|key| {
        let mut row = json!({
            "fingerprint": key.fingerprint,
            "key": key.openssh,
            "presence": key.presence,
        });
        if key.cert_authority {
            row["cert_authority"] = true.into();
        }
        row
    });
    json!({ "kind": person.kind, "emails": person.emails, "keys": keys.collect::<Vec<_>>() })
}

fn rule(rule: &Rule) -> Value {
    let when = &rule.when;
    let folder = Some(&rule.scope.folder).filter(|it| !it.is_empty());
    json!({
        "id": rule.id,
        "why": rule.why,
        "folder": folder,
        "paths": rule.scope.paths.as_ref().map(|it| &it.patterns),
        "except": rule.scope.except.patterns,
        "when": {
            "assisted": when.assisted,
            "unattributed": when.unattributed,
            "agents": when.agents,
            "share": when.share.as_ref().map(comparison),
            "lines": when.lines.as_ref().map(comparison),
            "files": when.files.as_ref().map(comparison),
        },
        "unless": rule.unless.as_ref().map(|it| json!({ "author": it.author })),
        "require": rule.require.iter().map(requirement).collect::<Vec<_>>(),
        "deny": rule.deny.then(|| json!({ "stage": rule.deny_stage })),
    })
}

/// `>0.5`, as it was written.
pub fn comparison(comparison: &Comparison) -> String {
    let sign = if comparison.or_equal { ">=" } else { ">" };
    let (whole, rest) = (comparison.thousandths / 1000, comparison.thousandths % 1000);
    let places = format!("{rest:03}");
    match places.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        places => format!("{sign}{whole}.{places}"),
    }
}

fn requirement(staged: &StagedRequirement) -> Value {
    let asked = match &staged.requirement {
        Requirement::Approvals(approvals) => {
            approvals.iter().map(approval).collect::<Vec<_>>().into()
        }
        Requirement::Tests(names) | Requirement::Preview(names) => json!(names),
        Requirement::Coverage(thousandths) => json!({ "min_thousandths": thousandths }),
        Requirement::Disclosure => json!(true),
    };
    json!({ "name": staged.requirement.word(), "stage": staged.stage, "asked": asked })
}

fn approval(approval: &ApprovalRule) -> Value {
    json!({
        "count": approval.count,
        "from": approval.from,
        "presence": approval.presence,
        "carry": approval.carry,
        "max_age": approval.max_age.map(write_length),
    })
}

fn test(test: &TestCommand) -> Value {
    json!({
        "run": test.run,
        "setup": test.setup,
        "setup_inputs": test.setup_inputs.as_ref().map(|it| &it.patterns),
        "inputs": test.inputs.as_ref().map(|it| &it.patterns),
        "timeout": write_length(test.timeout),
        "reports": { "junit": test.reports.junit, "coverage": test.reports.coverage },
        "tests": test.tests.as_ref().map(|it| &it.patterns),
        "prove": test.prove.map(|it| match it {
            Prove::Revert => "revert",
            Prove::Mutate => "mutate",
        }),
        "on": if test.on_merge { "merge" } else { "head" },
        "tier": test.tier,
        "retries": test.retries,
        "wrap": test.wrap,
        "network": test.network,
        "mutate": test.mutate.as_ref().map(|it| json!({
            "run": it.run, "report": it.report, "timeout": write_length(it.timeout),
        })),
        "packages": test.packages.as_ref().map(|it| it.ecosystem.word()),
        "workspace": test.packages.as_ref().map(|it| &it.root),
        "accept": test.accept,
        "env": test.env,
        "digest": test.digest,
    })
}

fn preview(preview: &PreviewCommand) -> Value {
    json!({
        "engine": preview.engine,
        "root": preview.root,
        "run": preview.run,
        "max_age": preview.max_age.map(write_length),
        "accept": preview.accept,
        "env": preview.env,
        "timeout": write_length(preview.timeout),
        "generated": preview.generated.patterns,
        "limits": preview.limits,
        "protect": preview.protect.iter().map(|it| json!({
            "types": it.types,
            "actions": it.actions,
            "from": it.from,
            "count": it.count,
        })).collect::<Vec<_>>(),
    })
}

fn example(example: &Example) -> Value {
    json!({
        "name": example.name,
        "change": {
            "files": example.files,
            "assisted": example.assisted,
            "agents": example.agents,
            "author": example.author,
            "target": example.target,
            "lines": example.lines,
        },
        "expect": {
            "rules": example.expect_rules,
            "verdict": example.expect_block.map(|it| if it { "block" } else { "pass" }),
        },
    })
}
