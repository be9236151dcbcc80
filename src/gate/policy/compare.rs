//! What changed between two policies, and in which direction.
//!
//! Only what surely asks for more is called tightened. Whatever cannot be told
//! counts as loosened, since a person has to look at it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::super::requirement::Requirement;
use super::super::time::parse_length;
use super::resolved::resolved;
use super::{ApprovalRule, Carry, Comparison, Globs, Policy, Rule, StagedRequirement, When};
use crate::gate::order;

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
    let mut differences = rules(old, new);
    let (old, new) = (resolved(old), resolved(new));
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

fn rules(old: &Policy, new: &Policy) -> Vec<Difference> {
    let by_id = |policy: &Policy| -> BTreeMap<String, Rule> {
        order::map(policy.rules.iter().map(|rule| (rule.id.clone(), rule.clone())))
    };
    let (old, new) = (by_id(old), by_id(new));
    let ids: BTreeSet<&String> = order::set(old.keys().chain(new.keys()));
    ids.into_iter().filter_map(|id| rule(id, old.get(id), new.get(id))).collect()
}

fn rule(id: &str, old: Option<&Rule>, new: Option<&Rule>) -> Option<Difference> {
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
fn changed_rule(old: &Rule, new: &Rule) -> Option<(Direction, String)> {
    let keys = [
        ("paths", paths(old, new)),
        ("except", excepted(old, new)),
        ("when", conditions(&old.when, &new.when)),
        ("unless", unless(old, new)),
        ("require", requirements(&old.require, &new.require)),
        ("deny", denial(old, new)),
    ];
    let changed: Vec<(&str, Direction)> =
        keys.into_iter().filter_map(|(key, direction)| Some((key, direction?))).collect();
    let directions: BTreeSet<Direction> = order::set(changed.iter().map(|(_, it)| *it));
    let names: Vec<&str> = changed.iter().map(|(key, _)| *key).collect();
    Some((together(&directions)?, format!("{} changed", names.join(", "))))
}

/// One direction for several: all must point the same way.
fn together(directions: &BTreeSet<Direction>) -> Option<Direction> {
    match directions.iter().collect::<Vec<_>>().as_slice() {
        [] => None,
        [one] => Some(**one),
        [_, _, ..] => Some(Direction::CannotTell),
    }
}

/// The direction in which `more` is tighter: whether the new one asks for at
/// least what the old one did, and the other way round.
fn by_order(new_covers_old: bool, old_covers_new: bool) -> Option<Direction> {
    match (new_covers_old, old_covers_new) {
        (true, true) => None,
        (true, false) => Some(Direction::Tightened),
        (false, true) => Some(Direction::Loosened),
        (false, false) => Some(Direction::CannotTell),
    }
}

fn includes<T: PartialEq>(all: &[T], part: &[T]) -> bool {
    part.iter().all(|it| all.contains(it))
}

fn paths(old: &Rule, new: &Rule) -> Option<Direction> {
    if old.scope.folder != new.scope.folder {
        return Some(Direction::CannotTell);
    }
    // No paths is every path.
    let covers = |all: &Option<Globs>, part: &Option<Globs>| match (all, part) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(all), Some(part)) => includes(&all.patterns, &part.patterns),
    };
    let (old, new) = (&old.scope.paths, &new.scope.paths);
    by_order(covers(new, old), covers(old, new))
}

fn excepted(old: &Rule, new: &Rule) -> Option<Direction> {
    let (old, new) = (&old.scope.except.patterns, &new.scope.except.patterns);
    by_order(includes(old, new), includes(new, old))
}

fn unless(old: &Rule, new: &Rule) -> Option<Direction> {
    // Nobody is the tightest; one more person lifts more.
    let people = |rule: &Rule| rule.unless.as_ref().map(|it| it.author.clone()).unwrap_or_default();
    let (old, new) = (people(old), people(new));
    by_order(includes(&old, &new), includes(&new, &old))
}

fn denial(old: &Rule, new: &Rule) -> Option<Direction> {
    let covers =
        |all: &Rule, part: &Rule| !part.deny || (all.deny && all.deny_stage <= part.deny_stage);
    by_order(covers(new, old), covers(old, new))
}

/// All conditions must hold, so that one less, or a lower bound, reaches more
/// changes.
fn conditions(old: &When, new: &When) -> Option<Direction> {
    let flag = |all: Option<bool>, part: Option<bool>| all != Some(true) || part == Some(true);
    let bound = |all: &Option<Comparison>, part: &Option<Comparison>| match (all, part) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(all), Some(part)) => {
            (all.thousandths, !all.or_equal) <= (part.thousandths, !part.or_equal)
        }
    };
    let agents = |all: &Option<Vec<String>>, part: &Option<Vec<String>>| match (all, part) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(all), Some(part)) => includes(all, part),
    };
    let covers = |all: &When, part: &When| {
        flag(all.assisted, part.assisted)
            && flag(all.unattributed, part.unattributed)
            && agents(&all.agents, &part.agents)
            && bound(&all.share, &part.share)
            && bound(&all.lines, &part.lines)
            && bound(&all.files, &part.files)
    };
    by_order(covers(new, old), covers(old, new))
}

fn requirements(old: &[StagedRequirement], new: &[StagedRequirement]) -> Option<Direction> {
    let covers = |all: &[StagedRequirement], part: &[StagedRequirement]| {
        part.iter().all(|asked| met_by(asked, all))
    };
    by_order(covers(new, old), covers(old, new))
}

/// Whether whatever satisfies `all`, at its stages, satisfies `asked` at its own.
fn met_by(asked: &StagedRequirement, all: &[StagedRequirement]) -> bool {
    let early = |it: &&StagedRequirement| it.stage <= asked.stage;
    let others = || all.iter().filter(early).map(|it| &it.requirement);
    match &asked.requirement {
        Requirement::Approvals(entries) => entries.iter().all(|entry| {
            others().any(|other| match other {
                Requirement::Approvals(others) => others.iter().any(|other| at_least(other, entry)),
                Requirement::Tests(_)
                | Requirement::Coverage(_)
                | Requirement::Preview(_)
                | Requirement::Disclosure => false,
            })
        }),
        Requirement::Tests(names) => names.iter().all(|name| {
            others().any(|it| matches!(it, Requirement::Tests(all) if all.contains(name)))
        }),
        Requirement::Preview(names) => names.iter().all(|name| {
            others().any(|it| matches!(it, Requirement::Preview(all) if all.contains(name)))
        }),
        Requirement::Coverage(least) => {
            others().any(|it| matches!(it, Requirement::Coverage(other) if other >= least))
        }
        Requirement::Disclosure => others().any(|it| matches!(it, Requirement::Disclosure)),
    }
}

/// Whether the approvals that satisfy `more` satisfy `less`.
fn at_least(more: &ApprovalRule, less: &ApprovalRule) -> bool {
    // How much an approval may outlive.
    let lasts = |carry: Carry| match carry {
        Carry::Never => 0,
        Carry::Exact => 1,
        Carry::CleanMerge => 2,
    };
    let nobody_else =
        less.from.is_empty() || (!more.from.is_empty() && includes(&less.from, &more.from));
    let no_older = match (more.max_age, less.max_age) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(more), Some(less)) => more <= less,
    };
    more.count >= less.count
        && nobody_else
        && more.presence >= less.presence
        && lasts(more.carry) <= lasts(less.carry)
        && no_older
}

fn mode(old: &Value, new: &Value) -> Option<Difference> {
    if old == new {
        return None;
    }
    let direction = if new == "enforce" { Direction::Tightened } else { Direction::Loosened };
    let detail = format!("{} is now {}", text(old), text(new));
    Some(Difference { what: "mode".to_owned(), direction, detail })
}

/// Everything else is compared entry by entry. Where nothing is known of what
/// an entry means (another command of a test), only a person can say.
fn table(name: &str, old: &Value, new: &Value) -> Vec<Difference> {
    let empty = serde_json::Map::new();
    let (Some(before), Some(after)) = (entries(old, &empty), entries(new, &empty)) else {
        let detail = "changed".to_owned();
        let direction = list_direction(name, old, new);
        let difference = Difference { what: name.to_owned(), direction, detail };
        return if old == new { Vec::new() } else { vec![difference] };
    };
    let keys: BTreeSet<&String> = order::set(before.keys().chain(after.keys()));
    keys.into_iter()
        .filter_map(|key| {
            let detail = match (before.get(key), after.get(key)) {
                (one, other) if one == other => return None,
                (None, _) => "added",
                (_, None) => "removed",
                (Some(_), Some(_)) => "changed",
            };
            let nothing = Value::Null;
            let (one, other) =
                (before.get(key).unwrap_or(&nothing), after.get(key).unwrap_or(&nothing));
            let direction = match (name, detail) {
                ("tests" | "previews", "added") => Direction::Tightened,
                // A person more can approve; an entry less may be an author less.
                ("people", "added") => Direction::Loosened,
                ("people", "changed") => person(one, other),
                ("groups", "changed") => by_list(other, one),
                ("trust", _) => trust(key, one, other),
                ("waiver", _) => {
                    let owes = before.get("review_within").is_some_and(|it| !it.is_null());
                    waiver(key, one, other, owes)
                }
                _ => Direction::CannotTell,
            };
            Some(Difference { what: format!("{name}.{key}"), direction, detail: detail.to_owned() })
        })
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The direction of two lists of which the longer is the tighter.
fn by_list(old: &Value, new: &Value) -> Direction {
    let (old, new) = (list(old), list(new));
    by_order(includes(new, old), includes(old, new)).unwrap_or(Direction::CannotTell)
}

fn list_direction(name: &str, old: &Value, new: &Value) -> Direction {
    match name {
        // A row more takes a key's word away; another `after` may give some back.
        "revoked" => by_list(old, new),
        // A row more can only add marks.
        "agents" => by_list(old, new),
        _ => Direction::CannotTell,
    }
}

/// A key more can sign more; an address less is an author who is not known.
fn person(old: &Value, new: &Value) -> Direction {
    let mut directions = BTreeSet::new();
    for (key, before) in old.as_object().into_iter().flatten() {
        let after = new.get(key).unwrap_or(&Value::Null);
        if before == after {
            continue;
        }
        directions.insert(match key.as_str() {
            "keys" => by_list(after, before),
            "emails" => by_list(before, after),
            _ => Direction::CannotTell,
        });
    }
    together(&directions).unwrap_or(Direction::CannotTell)
}

fn trust(key: &str, old: &Value, new: &Value) -> Direction {
    match key {
        "protect" | "gate" => by_list(old, new),
        "solo" if new == &Value::Bool(true) => Direction::Loosened,
        "solo" => Direction::Tightened,
        "narrow" if new == "signed" => Direction::Loosened,
        "narrow" => Direction::Tightened,
        "reformatted" if new == &Value::Bool(false) => Direction::Loosened,
        "reformatted" => Direction::Tightened,
        _ => Direction::CannotTell,
    }
}

/// `owes`: what is waived is owed a review by the old policy.
fn waiver(key: &str, old: &Value, new: &Value, owes: bool) -> Direction {
    let length = |value: &Value| value.as_str().and_then(parse_length);
    match (key, old.is_null(), new.is_null()) {
        ("review_within", true, false) => Direction::Tightened,
        ("review_within", false, true) => Direction::Loosened,
        ("max" | "review_within", false, false) => {
            let (old, new) = (length(old), length(new));
            by_order(new <= old, old <= new).unwrap_or(Direction::CannotTell)
        }
        ("from", false, false) => by_list(new, old),
        ("never", false, false) => by_list(old, new),
        // Without the table nobody may waive; what was waived is not owed any more.
        (_, false, true) if !owes => Direction::Tightened,
        (_, true, false) => Direction::Loosened,
        _ => Direction::CannotTell,
    }
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
        check("from = [\"senior\"]", "from = [\"senior\"], count = 2", &[("rule src", Tightened)]);
        check("from = [\"senior\"]", "from = [\"ana\"]", &[("rule src", CannotTell)]);
        check("from = [\"senior\"]", "count = 1", &[("rule src", Loosened)]);
        check("from = [\"senior\"]", "from = [\"senior\", \"ana\"]", &[("rule src", Loosened)]);
        for (more, direction) in [
            ("presence = \"touch\"", Tightened),
            ("max_age = \"30d\"", Tightened),
            ("carry = \"clean-merge\"", Loosened),
            ("carry = \"never\"", Tightened),
            ("count = 2, carry = \"clean-merge\"", CannotTell),
            ("stage = \"push\"", Tightened),
        ] {
            let to = format!("from = [\"senior\"], {more}");
            check("from = [\"senior\"]", &to, &[("rule src", direction)]);
        }
        check(
            "require.approvals",
            "require.tests = [\"unit\"]\nrequire.approvals",
            &[("rule src", Tightened)],
        );
        check("id = \"src\"", "id = \"lib\"", &[("rule lib", Tightened), ("rule src", Loosened)]);
        check("[people.ana]", "mode = \"observe\"\n[people.ana]", &[("mode", Loosened)]);
        check("[\"ana\", \"bo\"]", "[\"ana\"]", &[("groups.senior", Tightened)]);
        check(
            "[people.bo]",
            "[people.chi]\nkind = \"human\"\n[people.bo]",
            &[("people.chi", Loosened)],
        );
        check(
            "\"bo@example.com\"",
            "\"bo@example.com\", \"b@example.org\"",
            &[("people.bo", Tightened)],
        );
        check("repo_id", "solo = true\nrepo_id", &[("trust.solo", Loosened)]);
        check("repo_id", "reformatted = false\nrepo_id", &[("trust.reformatted", Loosened)]);
        check(
            "repo_id",
            "protect = [\"refs/heads/main\", \"refs/heads/x\"]\nrepo_id",
            &[("trust.protect", Tightened)],
        );
        check("repo_id", "gate = []\nrepo_id", &[("trust.gate", Loosened)]);
        check("\"bo@example.com\"", "\"bo@example.org\"", &[("people.bo", CannotTell)]);
    }
}
