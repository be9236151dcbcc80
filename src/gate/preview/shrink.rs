//! Whether an update takes something away: an inline block, an element of a
//! set, a key of a map. Only the names of attributes are told, never values.

use serde_json::{Map, Value};

/// Blocks that are rules of their own: one that is changed is one that is gone.
const RULES: &[&str] = &[
    "ingress",
    "egress",
    "security_rule",
    "allow",
    "deny",
    "rule",
    "rules",
    "Statement",
    "statement",
    "access_policy",
    "acl",
    "route",
    "binding",
    "SecurityGroupIngress",
    "SecurityGroupEgress",
];

/// Keys by which an element of a list is the same before and after.
const IDENTITIES: &[&str] = &["name", "key", "device_name", "id"];

/// Attributes of text that may hold JSON (policies, container definitions).
const MAX_JSON: usize = 1 << 20;

/// How many blocks are compared, one with another, to find the same one again.
const MAX_PAIRS: usize = 250_000;

/// What an update takes away.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shrinking {
    /// Top attributes that lose something.
    pub(super) removed: Vec<String>,
    /// Top attributes that may lose something: what they become is not known.
    pub(super) unknown: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    None,
    Unknown,
    Removed,
}

/// Compares a resource's attributes before and after. `after_unknown` has
/// `true` where the value is known only when it is done; such values are left
/// out of `after`.
pub(super) fn shrinking(before: &Value, after: &Value, after_unknown: &Value) -> Shrinking {
    let mut shrinking = Shrinking::default();
    let Value::Object(before) = before else { return shrinking };
    for (name, old) in before {
        // Names of top attributes come from the provider's schema, not from people.
        match loss(name, old, after.get(name), after_unknown.get(name)) {
            Loss::None => {}
            Loss::Unknown => shrinking.unknown.push(name.clone()),
            Loss::Removed => shrinking.removed.push(name.clone()),
        }
    }
    shrinking
}

fn loss(name: &str, old: &Value, new: Option<&Value>, unknown: Option<&Value>) -> Loss {
    if unknown == Some(&Value::Bool(true)) {
        return if holds_elements(old) { Loss::Unknown } else { Loss::None };
    }
    match (old, new.unwrap_or(&Value::Null)) {
        (Value::Object(old), Value::Object(new)) => in_object(old, new, unknown),
        (Value::Array(old), Value::Array(new)) => in_array(name, old, new, unknown),
        (Value::String(old), Value::String(new)) if old != new => {
            match (embedded(old), embedded(new)) {
                (Some(old), Some(new)) => loss(name, &old, Some(&new), None),
                (Some(old), None) if holds_elements(&old) => Loss::Removed,
                (Some(_) | None, _) => Loss::None,
            }
        }
        (Value::String(old), Value::Null)
            if embedded(old).is_some_and(|it| holds_elements(&it)) =>
        {
            Loss::Removed
        }
        (old, _) if holds_elements(old) => Loss::Removed,
        _ => Loss::None,
    }
}

fn holds_elements(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::String(text) => embedded(text).is_some(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// JSON within a text.
fn embedded(text: &str) -> Option<Value> {
    let start = text.trim_start();
    let is_json = (start.starts_with('{') || start.starts_with('[')) && text.len() <= MAX_JSON;
    is_json.then(|| serde_json::from_str(text).ok()).flatten()
}

fn in_object(old: &Map<String, Value>, new: &Map<String, Value>, unknown: Option<&Value>) -> Loss {
    let mut worst = Loss::None;
    for (key, value) in old {
        let unknown = unknown.and_then(|it| it.get(key));
        let here = match new.get(key) {
            // A key that is gone, and not only unset, was an element of a map.
            None if unknown != Some(&Value::Bool(true)) && !value.is_null() => Loss::Removed,
            new => loss(key, value, new, unknown),
        };
        worst = worst.max(here);
    }
    worst
}

fn in_array(name: &str, old: &[Value], new: &[Value], unknown: Option<&Value>) -> Loss {
    let is_rules = RULES.contains(&name);
    if let ([old], [new], false) = (old, new, is_rules)
        && old.is_object()
        && new.is_object()
    {
        // A single block that stays is compared by what stands in it.
        let unknown = unknown.and_then(|it| it.get(0));
        return loss(name, old, Some(new), unknown);
    }
    // Sets have no order, and lists of blocks are compared as sets.
    let mut left: Vec<(usize, &Value)> = new.iter().enumerate().collect();
    let mut gone: Vec<&Value> = Vec::new();
    let mut known: std::collections::HashMap<String, Vec<usize>> = std::collections::HashMap::new();
    for (index, value) in &left {
        known.entry(value.to_string()).or_default().push(*index);
    }
    let mut taken = vec![false; new.len()];
    for value in old {
        match known.get_mut(&value.to_string()).and_then(Vec::pop) {
            Some(index) => taken[index] = true,
            None => gone.push(value),
        }
    }
    left.retain(|(index, _)| !taken[*index]);
    if gone.is_empty() {
        return Loss::None;
    }
    if gone.len() > left.len() {
        return Loss::Removed;
    }
    if unknown.is_some_and(any_true) {
        return Loss::Unknown;
    }
    // So many that changed are not paired one with another: what is not looked at is gone.
    if is_rules || gone.len().saturating_mul(left.len()) > MAX_PAIRS {
        return Loss::Removed;
    }
    let mut worst = Loss::None;
    for value in gone {
        let same = left.iter().position(|(_, other)| is_same(value, other));
        let here = match same {
            Some(at) => loss(name, value, Some(left.swap_remove(at).1), None),
            None => Loss::Removed,
        };
        worst = worst.max(here);
    }
    worst
}

/// Whether two blocks have a name of their own, and the same.
fn is_same(one: &Value, other: &Value) -> bool {
    let identity = |value: &Value| {
        IDENTITIES.iter().find_map(|key| value.get(key)).filter(|it| it.is_string()).cloned()
    };
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

fn any_true(value: &Value) -> bool {
    match value {
        Value::Bool(it) => *it,
        Value::Array(items) => items.iter().any(any_true),
        Value::Object(members) => members.values().any(any_true),
        Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: Value, after: Value, unknown: Value, expected: &str) {
        let found = shrinking(&before, &after, &unknown);
        let text = format!("-{} ?{}", found.removed.join(","), found.unknown.join(","));
        assert_eq!(text, expected, "{before} {after}");
    }

    #[test]
    fn what_is_taken_away_is_seen() {
        let (a, b, c) = (json!({"port": 80}), json!({"port": 443}), json!({"port": 22}));
        let none = || json!({});
        check(json!({"ingress": [a, b]}), json!({"ingress": [b]}), none(), "-ingress ?");
        check(json!({"ingress": [a, b]}), json!({"ingress": [b, a]}), none(), "- ?");
        check(json!({"ingress": [a]}), json!({"ingress": [a, b]}), none(), "- ?");
        check(json!({"ingress": [a]}), json!({"ingress": []}), none(), "-ingress ?");
        check(json!({"ingress": [a]}), json!({"ingress": null}), none(), "-ingress ?");
        check(json!({"ingress": [a]}), json!({}), none(), "-ingress ?");
        // A rule that is exchanged for another one is gone.
        check(json!({"ingress": [a, b]}), json!({"ingress": [c, b]}), none(), "-ingress ?");
        check(json!({"ingress": [a]}), json!({"ingress": [b]}), none(), "-ingress ?");
        check(
            json!({"cidr_blocks": ["a", "b"]}),
            json!({"cidr_blocks": ["b"]}),
            none(),
            "-cidr_blocks ?",
        );
        check(json!({"n": 1, "s": "a"}), json!({"n": 2, "s": null}), none(), "- ?");
    }

    #[test]
    fn a_setting_within_a_block_is_no_removal() {
        let none = || json!({});
        check(json!({"disk": [{"size": 1}]}), json!({"disk": [{"size": 2}]}), none(), "- ?");
        check(
            json!({"setting": [{"name": "a", "value": 1}, {"name": "b", "value": 1}]}),
            json!({"setting": [{"name": "a", "value": 2}, {"name": "b", "value": 1}]}),
            none(),
            "- ?",
        );
        check(
            json!({"env": [{"variables": {"a": "1", "b": "2"}}]}),
            json!({"env": [{"variables": {"a": "1"}}]}),
            none(),
            "-env ?",
        );
        check(json!({"tags": {"a": "1"}}), json!({"tags": {"a": "2"}}), none(), "- ?");
    }

    #[test]
    fn very_many_changed_blocks_are_taken_for_gone() {
        let blocks = |count: usize, value: u8| {
            let block = |number| json!({ "name": format!("n{number}"), "value": value });
            json!({ "setting": (0..count).map(block).collect::<Vec<Value>>() })
        };
        check(blocks(400, 1), blocks(400, 2), json!({}), "- ?");
        check(blocks(600, 1), blocks(600, 2), json!({}), "-setting ?");
    }

    #[test]
    fn json_in_a_text_is_looked_into() {
        let policy =
            |statements: Value| json!({"policy": json!({"Statement": statements}).to_string()});
        let (a, b) = (json!({"Sid": "a"}), json!({"Sid": "b"}));
        check(policy(json!([a, b])), policy(json!([a])), json!({}), "-policy ?");
        check(policy(json!([a])), policy(json!([b, a])), json!({}), "- ?");
        check(policy(json!([a])), json!({"policy": null}), json!({}), "-policy ?");
        check(policy(json!([a])), json!({}), json!({"policy": true}), "- ?policy");
    }

    #[test]
    fn what_is_not_known_is_told_apart() {
        let a = json!({"port": 80, "from": ["x"]});
        check(
            json!({"ingress": [a], "arn": "b"}),
            json!({}),
            json!({"ingress": true, "arn": true}),
            "- ?ingress",
        );
        check(
            json!({"ingress": [a]}),
            json!({"ingress": [{"port": 80}]}),
            json!({"ingress": [{"from": true}]}),
            "- ?ingress",
        );
        check(
            json!({"ingress": [a, a]}),
            json!({"ingress": [{"port": 80}]}),
            json!({"ingress": [{"from": true}]}),
            "-ingress ?",
        );
    }
}
