//! What changed between two policies, and in which direction.
//!
//! Only what surely asks for more is called tightened. Whatever cannot be told
//! counts as loosened, since a person has to look at it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::Policy;
use super::resolved::resolved;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `rule senior`, `group leads`, `trust.protect`, …
    pub what: String,
    pub direction: Direction,
    /// In one line, what is different.
    pub detail: String,
}

/// Whether the newer policy asks for more or for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Tightened,
    Loosened,
    /// Counts as loosened.
    CannotTell,
}

/// Returns the differences: rules first, then everything else, by name.
pub fn compare(old: &Policy, new: &Policy) -> Vec<Difference> {
    let (old, new) = (resolved(old), resolved(new));
    let mut differences = rules(&old, &new);
    for (name, before) in old.as_object().into_iter().flatten() {
        let after = new.get(name).unwrap_or(&Value::Null);
        match name.as_str() {
            // Where it was read says nothing about it; examples are its own tests.
            "rules" | "source" | "examples" => {}
            "mode" => differences.extend(mode(before, after)),
            _ => differences.extend(table(name, before, after)),
        }
    }
    differences
}

fn rules(old: &Value, new: &Value) -> Vec<Difference> {
    let by_id = |policy: &Value| -> BTreeMap<String, Value> {
        let rules = policy.get("rules").and_then(Value::as_array);
        let id =
            |rule: &Value| rule.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        rules.into_iter().flatten().map(|rule| (id(rule), rule.clone())).collect()
    };
    let (old, new) = (by_id(old), by_id(new));
    let ids: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    ids.into_iter().filter_map(|id| rule(id, old.get(id), new.get(id))).collect()
}

fn rule(id: &str, old: Option<&Value>, new: Option<&Value>) -> Option<Difference> {
    let (direction, detail) = match (old, new) {
        (Some(old), Some(new)) => changed_rule(old, new)?,
        // A rule with this id replaces the built-in one, which may have asked for more.
        (None, Some(_)) if id == "policy-change" => {
            (Direction::CannotTell, "added, in place of the built-in rule".to_owned())
        }
        (None, Some(_)) => (Direction::Tightened, "added".to_owned()),
        (Some(_), None) => (Direction::Loosened, "removed".to_owned()),
        (None, None) => return None,
    };
    Some(Difference { what: format!("rule {id}"), direction, detail })
}

/// A rule that is still there is compared key by key; all that changed must
/// point the same way.
fn changed_rule(old: &Value, new: &Value) -> Option<(Direction, String)> {
    let mut directions = BTreeSet::new();
    let mut keys = Vec::new();
    for (key, before) in old.as_object().into_iter().flatten() {
        let after = new.get(key).unwrap_or(&Value::Null);
        if before == after || key == "why" {
            continue;
        }
        directions.insert(key_direction(key, before, after));
        keys.push(key.as_str());
    }
    let direction = match directions.iter().collect::<Vec<_>>().as_slice() {
        [] => return None,
        [one] => **one,
        _ => Direction::CannotTell,
    };
    Some((direction, format!("{} changed", keys.join(", "))))
}

fn key_direction(key: &str, old: &Value, new: &Value) -> Direction {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let includes = |all: &[Value], part: &[Value]| part.iter().all(|it| all.contains(it));
    let (before, after) = (list(old), list(new));
    match key {
        "deny" if old.is_null() => Direction::Tightened,
        "deny" if new.is_null() => Direction::Loosened,
        "unless" if old.is_null() => Direction::Loosened,
        "unless" if new.is_null() => Direction::Tightened,
        // No paths is every path.
        "paths" if new.is_null() => Direction::Tightened,
        "paths" if old.is_null() => Direction::Loosened,
        "require" | "paths" if includes(&after, &before) => Direction::Tightened,
        "require" | "paths" if includes(&before, &after) => Direction::Loosened,
        "except" if includes(&before, &after) => Direction::Tightened,
        "except" if includes(&after, &before) => Direction::Loosened,
        "when" => conditions(old, new),
        _ => Direction::CannotTell,
    }
}

/// All conditions must hold, so that one less reaches more changes.
fn conditions(old: &Value, new: &Value) -> Direction {
    let mut directions = BTreeSet::new();
    for (key, before) in old.as_object().into_iter().flatten() {
        let after = new.get(key).unwrap_or(&Value::Null);
        if before == after {
            continue;
        }
        directions.insert(match (before.is_null(), after.is_null()) {
            (true, _) => Direction::Loosened,
            (_, true) => Direction::Tightened,
            (false, false) => Direction::CannotTell,
        });
    }
    match directions.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => *one,
        _ => Direction::CannotTell,
    }
}

fn mode(old: &Value, new: &Value) -> Option<Difference> {
    if old == new {
        return None;
    }
    let direction = if new == "enforce" { Direction::Tightened } else { Direction::Loosened };
    let detail = format!("{} is now {}", text(old), text(new));
    Some(Difference { what: "mode".to_owned(), direction, detail })
}

/// Everything else is compared entry by entry, without a direction: whether a
/// new person or another test asks for more, only a person can say.
fn table(name: &str, old: &Value, new: &Value) -> Vec<Difference> {
    let empty = serde_json::Map::new();
    let (Some(before), Some(after)) = (entries(old, &empty), entries(new, &empty)) else {
        let detail = "changed".to_owned();
        let difference =
            Difference { what: name.to_owned(), direction: Direction::CannotTell, detail };
        return if old == new { Vec::new() } else { vec![difference] };
    };
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter_map(|key| {
            let detail = match (before.get(key), after.get(key)) {
                (one, other) if one == other => return None,
                (None, _) => "added",
                (_, None) => "removed",
                (Some(_), Some(_)) => "changed",
            };
            let direction = match (name, detail) {
                ("tests" | "previews", "added") | ("waiver", "removed") => Direction::Tightened,
                _ => Direction::CannotTell,
            };
            Some(Difference { what: format!("{name}.{key}"), direction, detail: detail.to_owned() })
        })
        .collect()
}

fn entries<'a>(
    value: &'a Value,
    empty: &'a serde_json::Map<String, Value>,
) -> Option<&'a serde_json::Map<String, Value>> {
    if value.is_null() { Some(empty) } else { value.as_object() }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"
[people.ana]
kind = "human"
emails = ["ana@example.com"]
[people.bo]
kind = "human"
emails = ["bo@example.com"]
[groups]
senior = ["ana", "bo"]
[trust]
repo_id = "shop"
[test.unit]
run = "true"
[[rule]]
id = "src"
paths = ["src/**"]
when = { assisted = true }
require.approvals = [{ from = ["senior"] }]
"#;

    #[track_caller]
    fn check(from: &str, to: &str, expected: &[(&str, Direction)]) {
        assert!(OLD.contains(from));
        let policy = |text: &str| Policy::parse(text, "test").expect("a valid policy");
        let differences = compare(&policy(OLD), &policy(&OLD.replace(from, to)));
        let found: Vec<(&str, Direction)> =
            differences.iter().map(|it| (it.what.as_str(), it.direction)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_surely_asks_for_more_is_tightened() {
        use Direction::{CannotTell, Loosened, Tightened};
        check("src/**", "src/**", &[]);
        check("when = { assisted = true }\n", "", &[("rule src", Tightened)]);
        check("assisted = true", "assisted = true, lines = \">9\"", &[("rule src", Loosened)]);
        check("[\"src/**\"]", "[\"src/**\", \"lib/**\"]", &[("rule src", Tightened)]);
        check(
            "paths = [\"src/**\"]",
            "except = [\"*.md\"]\npaths = [\"src/**\"]",
            &[("rule src", Loosened)],
        );
        check("[\"src/**\"]", "[\"lib/**\"]", &[("rule src", CannotTell)]);
        check("from = [\"senior\"]", "from = [\"senior\"], count = 2", &[("rule src", CannotTell)]);
        check(
            "require.approvals",
            "require.tests = [\"unit\"]\nrequire.approvals",
            &[("rule src", Tightened)],
        );
        check("id = \"src\"", "id = \"lib\"", &[("rule lib", Tightened), ("rule src", Loosened)]);
        check("[people.ana]", "mode = \"observe\"\n[people.ana]", &[("mode", Loosened)]);
        check("[\"ana\", \"bo\"]", "[\"ana\"]", &[("groups.senior", CannotTell)]);
        check("\"bo@example.com\"", "\"bo@example.org\"", &[("people.bo", CannotTell)]);
    }
}
