//! What `pulumi preview --json` prints
//! (`PreviewDigest` of Pulumi 3: <https://github.com/pulumi/pulumi/blob/master/pkg/display/json.go>).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::place::Attributes;
use super::shrink::shrinking;
use super::{Action, Collector, Preview, PreviewError, Row, Spot, bounded};
use crate::gate::order;

/// What stands for a value that is known only when it is done.
const UNKNOWN: &str = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Digest<'a> {
    #[serde(borrow)]
    steps: Vec<Step<'a>>,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    #[serde(default)]
    change_summary: BTreeMap<String, u64>,
    #[serde(borrow, default)]
    diagnostics: Vec<Diagnostic<'a>>,
    #[serde(default)]
    maybe_corrupt: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    urn: Cow<'a, str>,
    #[serde(borrow, default)]
    provider: Option<Cow<'a, str>>,
    #[serde(default)]
    old_state: Option<State>,
    #[serde(default)]
    new_state: Option<State>,
    #[serde(borrow, default)]
    replace_reasons: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default)]
    detailed_diff: Option<BTreeMap<Cow<'a, str>, Detail<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    #[serde(default)]
    inputs: Option<Value>,
    #[serde(default)]
    outputs: Option<Value>,
    #[serde(default)]
    retain_on_delete: bool,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Diagnostic<'a> {
    #[serde(borrow, default)]
    severity: Cow<'a, str>,
}

/// Reads a preview.
pub(super) fn parse(bytes: &[u8]) -> Result<Preview, PreviewError> {
    let digest: Digest<'_> = serde_json::from_slice(bytes).map_err(PreviewError::Pulumi)?;
    let mut collector = Collector::default();
    partial(&digest, &mut collector);
    let regions = regions(&digest);
    let mut replaced = BTreeSet::new();
    for step in &digest.steps {
        enter(step, &regions, &digest.config, &mut replaced, &mut collector);
    }
    Ok(collector.finish())
}

fn partial(digest: &Digest<'_>, collector: &mut Collector) {
    let errors = digest.diagnostics.iter().filter(|it| it.severity == "error").count();
    if errors > 0 {
        collector.partial(format!("it ended with {errors} errors"));
    }
    if digest.maybe_corrupt {
        collector.partial("it says that it may be corrupt");
    }
    for op in ["create", "update", "delete", "replace"] {
        let said = digest.change_summary.get(op).copied().unwrap_or(0);
        let shown = digest.steps.iter().filter(|step| step.op == op).count() as u64;
        if said > shown {
            collector.partial(format!("it says {op} {said} times and shows it {shown} times"));
        }
    }
}

/// The regions of the providers that are among the steps, by URN.
fn regions<'d>(digest: &'d Digest<'_>) -> BTreeMap<&'d str, String> {
    let region = |step: &'d Step<'_>| {
        let state = step.new_state.as_ref().or(step.old_state.as_ref())?;
        let region = state.inputs.as_ref()?.get("region")?.as_str()?;
        Some((step.urn.as_ref(), region.to_owned()))
    };
    let providers =
        digest.steps.iter().filter(|step| kind(&step.urn).starts_with("pulumi:providers:"));
    order::map(providers.filter_map(region))
}

/// `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`: the type.
fn kind(urn: &str) -> &str {
    let types = urn.split("::").nth(2).unwrap_or(urn);
    types.rsplit('$').next().unwrap_or(types)
}

fn enter<'d>(
    step: &'d Step<'_>,
    regions: &BTreeMap<&str, String>,
    config: &BTreeMap<String, Value>,
    replaced: &mut BTreeSet<&'d str>,
    collector: &mut Collector,
) {
    let (mut paths, mut uncertain, mut reason) = (Vec::new(), false, None);
    let retained = step.old_state.as_ref().is_some_and(|it| it.retain_on_delete);
    let address = step.urn.splitn(3, "::").nth(2).unwrap_or(&step.urn);
    let action = match step.op.as_ref() {
        "same"
        | "read"
        | "refresh"
        | "discard"
        | "discard-replaced"
        | "read-replacement"
        | "remove-pending-replace" => return,
        "import" => return collector.note("import", address),
        "create" => Action::Create,
        "delete" if retained => Action::Forget,
        "delete" => Action::Delete,
        "replace" | "create-replacement" | "delete-replaced" | "import-replacement" => {
            // One replacement is three steps.
            if !replaced.insert(&step.urn) {
                return;
            }
            paths = step.replace_reasons.iter().flatten().map(|it| top(it)).collect();
            Action::Replace
        }
        "update" => {
            let loss = loss(step);
            uncertain = loss.1;
            paths = loss.0;
            if uncertain {
                reason = Some("known only when it is done".to_owned());
            }
            if paths.is_empty() || uncertain { Action::Update } else { Action::Removal }
        }
        other => {
            reason = Some(format!("step: {}", bounded(other)));
            Action::Unknown
        }
    };
    let spot = spot(step, regions, config);
    let place = match &spot {
        Spot::Region { region, .. } => Some(region.clone()),
        Spot::Global => Some("global".to_owned()),
        Spot::Key(_) => None,
    };
    paths.dedup();
    let row = Row {
        action,
        address: bounded(address),
        kind: bounded(kind(&step.urn)),
        place,
        reason,
        paths: paths.iter().take(20).map(|it| bounded(it)).collect(),
        uncertain,
    };
    collector.add(row, [spot]);
}

/// What an update takes away: names of top properties, and whether it can only
/// be guessed.
fn loss(step: &Step<'_>) -> (Vec<String>, bool) {
    let inputs = |state: &Option<State>| state.as_ref().and_then(|it| it.inputs.clone());
    let (Some(before), Some(after)) = (inputs(&step.old_state), inputs(&step.new_state)) else {
        return (Vec::new(), true);
    };
    let shrinking = shrinking(&before, &after, &unknown(&after));
    let mut removed = shrinking.removed;
    let elements = step
        .detailed_diff
        .iter()
        .flatten()
        .filter(|(path, detail)| path.ends_with(']') && detail.kind.starts_with("delete"));
    for (path, _) in elements {
        let name = top(path);
        if !removed.contains(&name) {
            removed.push(name);
        }
    }
    if removed.is_empty() && !shrinking.unknown.is_empty() {
        return (shrinking.unknown, true);
    }
    (removed, false)
}

/// `true` wherever a value is known only when it is done.
fn unknown(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::Bool(text == UNKNOWN),
        Value::Array(items) => items.iter().map(unknown).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), unknown(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Value::Bool(false),
    }
}

/// `ingress[0].fromPort`: `ingress`.
fn top(path: &str) -> String {
    path.split(['.', '[']).next().unwrap_or(path).to_owned()
}

/// By the resource's own properties, its provider's, or the stack's configuration.
fn spot(
    step: &Step<'_>,
    regions: &BTreeMap<&str, String>,
    config: &BTreeMap<String, Value>,
) -> Spot {
    let states = [step.old_state.as_ref(), step.new_state.as_ref()];
    let values = states.into_iter().flatten().flat_map(|it| [&it.outputs, &it.inputs]).flatten();
    let own = values
        .filter_map(|value| Attributes::deserialize(value).ok())
        .find_map(|attributes| attributes.spot());
    if let Some(spot) = own {
        return spot;
    }
    // `URN::ID`
    let provider = step.provider.as_deref().unwrap_or_default();
    let urn = provider.rsplit_once("::").map_or(provider, |(urn, _)| urn);
    let package = kind(&step.urn).split(':').next().unwrap_or_default();
    let configured = || config.get(&format!("{package}:region"))?.as_str().map(str::to_owned);
    let is_default = urn.rsplit("::").next().is_none_or(|name| name.starts_with("default"));
    let region = regions.get(urn).cloned().or_else(|| if is_default { configured() } else { None });
    match region.and_then(|it| Attributes::region(&it)) {
        Some(spot) => spot,
        None => Spot::Key(bounded(urn)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table;
    use super::*;

    const GROUP: &str = "urn:pulumi:prod::shop::aws:ec2/securityGroup:SecurityGroup::edge";

    fn step(op: &str, more: Value) -> Value {
        let mut step = json!({
            "op": op, "urn": GROUP,
            "provider": "urn:pulumi:prod::shop::pulumi:providers:aws::default_6::04da",
        });
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step
    }

    #[track_caller]
    fn check_all(digest: Value, expected: &str) {
        let found = match parse(&serde_json::to_vec(&digest).unwrap()) {
            Ok(preview) => table("x", &preview, 9),
            Err(error) => error.to_string(),
        };
        assert_eq!(found.trim_end(), expected);
    }

    #[track_caller]
    fn check(steps: Value, row: &str) {
        let digest = json!({ "config": { "aws:region": "eu-west-1" }, "steps": steps });
        let found = parse(&serde_json::to_vec(&digest).unwrap()).unwrap();
        let text = table("x", &found, 9);
        assert_eq!(text.lines().skip(1).map(str::trim).collect::<Vec<_>>().join("; "), row);
    }

    #[test]
    fn every_step_is_told_apart() {
        let at = |aside: &str| {
            format!(
                "aws:ec2/securityGroup:SecurityGroup  aws:ec2/securityGroup:SecurityGroup::edge  eu-west-1{aside}"
            )
        };
        for op in ["same", "read", "refresh", "discard"] {
            check(json!([step(op, json!({}))]), "");
        }
        check(json!([step("create", json!({}))]), &format!("create  {}", at("")));
        check(json!([step("delete", json!({}))]), &format!("delete  {}", at("")));
        let kept = json!({ "oldState": { "retainOnDelete": true } });
        check(json!([step("delete", kept)]), &format!("forget  {}", at("")));
        let reasons = json!({ "replaceReasons": ["name"] });
        check(
            json!([
                step("create-replacement", reasons.clone()),
                step("replace", reasons),
                step("delete-replaced", json!({}))
            ]),
            &format!("replace  {}", at(" (name)")),
        );
        check(json!([step("explode", json!({}))]), &format!("unknown  {}", at(" (step: explode)")));
    }

    #[test]
    fn an_update_that_takes_a_rule_away_is_a_removal() {
        let inputs = |ports: &[u16]| {
            let rules: Vec<Value> = ports.iter().map(|it| json!({ "fromPort": it })).collect();
            json!({ "inputs": { "ingress": rules, "description": "x" } })
        };
        let row = |before: Value, after: Value| {
            let step = step("update", json!({ "oldState": before, "newState": after }));
            let digest = json!({ "steps": [step] });
            let preview = parse(&serde_json::to_vec(&digest).unwrap()).unwrap();
            let row = preview.rows[0].clone();
            (row.action, row.paths.join(","), row.uncertain)
        };
        assert_eq!(
            row(inputs(&[443, 80]), inputs(&[443])),
            (Action::Removal, "ingress".to_owned(), false)
        );
        assert_eq!(row(inputs(&[443]), inputs(&[443, 80])).0, Action::Update);
        let later = json!({ "inputs": { "ingress": UNKNOWN, "description": "y" } });
        assert_eq!(row(inputs(&[443]), later), (Action::Update, "ingress".to_owned(), true));
        assert!(row(json!({}), json!({})).2, "without the inputs nothing can be told");
        let diff =
            json!({ "ingress[1]": { "kind": "delete" }, "description": { "kind": "delete" } });
        let step = step(
            "update",
            json!({ "oldState": inputs(&[1]), "newState": inputs(&[1]), "detailedDiff": diff }),
        );
        let preview = parse(&serde_json::to_vec(&json!({ "steps": [step] })).unwrap()).unwrap();
        assert_eq!(
            (preview.rows[0].action, preview.rows[0].paths.clone()),
            (Action::Removal, vec!["ingress".to_owned()])
        );
    }

    #[test]
    fn what_is_not_shown_or_failed_is_partial() {
        let digest = json!({ "steps": [], "changeSummary": { "delete": 2, "same": 9 }, "diagnostics": [{ "severity": "error" }], "maybeCorrupt": true });
        check_all(
            digest,
            "x: nothing would change\n  NOT THE WHOLE CHANGE: it ended with 1 errors\n  NOT THE WHOLE CHANGE: it says that it may be corrupt\n  NOT THE WHOLE CHANGE: it says delete 2 times and shows it 0 times",
        );
        check_all(json!({}), "this is not the JSON that `pulumi preview --json` prints");
        check_all(
            json!({ "steps": [{ "op": "delete" }] }),
            "this is not the JSON that `pulumi preview --json` prints",
        );
    }

    #[test]
    fn a_provider_among_the_steps_tells_the_region() {
        let urn = "urn:pulumi:prod::shop::pulumi:providers:aws::west";
        let provider = json!({ "op": "same", "urn": urn, "newState": { "inputs": { "region": "us-west-2" } } });
        let delete = step("delete", json!({ "provider": format!("{urn}::1f") }));
        let preview =
            parse(&serde_json::to_vec(&json!({ "steps": [provider, delete] })).unwrap()).unwrap();
        assert_eq!(preview.rows[0].place.as_deref(), Some("us-west-2"));
        let secret = json!({ "oldState": { "outputs": { "password": "hunter2", "arn": "arn:aws:ec2:us-east-2:1:x/y" } } });
        let preview =
            parse(&serde_json::to_vec(&json!({ "steps": [step("delete", secret)] })).unwrap())
                .unwrap();
        assert_eq!(preview.rows[0].place.as_deref(), Some("us-east-2"));
        assert!(!format!("{preview:?}").contains("hunter2"));
    }
}
