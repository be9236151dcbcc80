//! The JSON of a plan of Terraform or OpenTofu
//! (<https://developer.hashicorp.com/terraform/internals/json-format>): the
//! format's versions 0.1 to 1.x.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::place::{About, Attributes, Known, Providers};
use super::shrink::shrinking;
use super::{Action, Collector, Preview, PreviewError, Row, Spot, bounded};
use crate::gate::time::Timestamp;

/// The plan, as far as it is read. Values that may be large or secret are only
/// passed over, and looked into one resource at a time.
#[derive(Deserialize)]
struct Plan<'a> {
    #[serde(borrow)]
    format_version: Cow<'a, str>,
    #[serde(borrow, default)]
    terraform_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    errored: Option<bool>,
    #[serde(default)]
    complete: Option<bool>,
    #[serde(borrow, default)]
    variables: Option<&'a RawValue>,
    #[serde(borrow, default)]
    resource_changes: Option<Vec<Change<'a>>>,
    #[serde(borrow, default)]
    resource_drift: Option<Vec<Change<'a>>>,
    #[serde(borrow, default)]
    deferred_changes: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    action_invocations: Option<Vec<Invocation<'a>>>,
    #[serde(borrow, default)]
    prior_state: Option<State<'a>>,
    #[serde(borrow, default)]
    configuration: Option<Configuration<'a>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow, default)]
    previous_address: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    module_address: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    provider_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    deposed: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    action_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    change: Difference<'a>,
}

#[derive(Deserialize)]
struct Difference<'a> {
    #[serde(borrow)]
    actions: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    before: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after_unknown: Option<&'a RawValue>,
    #[serde(borrow, default)]
    before_sensitive: Option<&'a RawValue>,
    #[serde(borrow, default)]
    after_sensitive: Option<&'a RawValue>,
    #[serde(borrow, default)]
    replace_paths: Option<&'a RawValue>,
    #[serde(borrow, default)]
    importing: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Invocation<'a> {
    #[serde(borrow, default)]
    address: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow, default)]
    values: Option<StateValues<'a>>,
}

#[derive(Deserialize)]
struct StateValues<'a> {
    #[serde(borrow, default)]
    root_module: Option<StateModule<'a>>,
}

#[derive(Deserialize)]
struct StateModule<'a> {
    #[serde(borrow, default)]
    resources: Vec<StateResource<'a>>,
    #[serde(borrow, default)]
    child_modules: Vec<StateModule<'a>>,
}

#[derive(Deserialize)]
struct StateResource<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow, default)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    values: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sensitive_values: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(default)]
    provider_config: BTreeMap<String, ProviderConfig>,
    #[serde(borrow, default)]
    root_module: Option<Module<'a>>,
}

#[derive(Deserialize)]
struct ProviderConfig {
    #[serde(default)]
    expressions: Option<Expressions>,
}

#[derive(Deserialize)]
struct Expressions {
    #[serde(default)]
    region: Option<Value>,
    #[serde(default)]
    location: Option<Value>,
}

#[derive(Deserialize)]
struct Module<'a> {
    #[serde(borrow, default)]
    resources: Vec<ConfiguredResource<'a>>,
    #[serde(borrow, default)]
    module_calls: BTreeMap<String, ModuleCall<'a>>,
}

#[derive(Deserialize)]
struct ConfiguredResource<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow, default)]
    provider_config_key: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ModuleCall<'a> {
    #[serde(borrow, default)]
    module: Option<Module<'a>>,
}

/// Reads a plan.
pub(super) fn parse(bytes: &[u8]) -> Result<Preview, PreviewError> {
    let plan: Plan<'_> = serde_json::from_slice(bytes).map_err(PreviewError::Terraform)?;
    let major = plan.format_version.split('.').next().and_then(|it| it.parse::<u64>().ok());
    if !matches!(major, Some(0 | 1)) || plan.format_version == "0.0" {
        return Err(PreviewError::Format(bounded(&plan.format_version)));
    }
    let mut collector = Collector::default();
    let preview = &mut collector.preview;
    preview.version = plan.terraform_version.as_deref().map(bounded);
    preview.format = Some(bounded(&plan.format_version));
    preview.made = plan.timestamp.as_deref().and_then(Timestamp::parse);
    partial(&plan, &mut collector);
    let places = Places::of(&plan)?;
    for change in plan.resource_changes.iter().flatten() {
        enter(change, &places, &mut collector)?;
    }
    for invocation in plan.action_invocations.iter().flatten() {
        let address = bounded(invocation.address.as_deref().unwrap_or("action"));
        let row = Row {
            action: Action::Unknown,
            kind: bounded(invocation.kind.as_deref().unwrap_or("action")),
            place: None,
            reason: Some("an action is invoked".to_owned()),
            paths: Vec::new(),
            uncertain: false,
            address: address.clone(),
        };
        collector.add(row, [Spot::Key(address)]);
    }
    for drift in plan.resource_drift.iter().flatten() {
        if !is_idle(&drift.change) {
            collector.note("drift", &drift.address);
        }
    }
    Ok(collector.finish())
}

/// What keeps the plan from showing the whole change. Plans before format 1.2
/// do not say whether they are complete: what is managed and not mentioned tells.
fn partial(plan: &Plan<'_>, collector: &mut Collector) {
    if plan.errored == Some(true) {
        collector.partial("the plan ended with an error");
    }
    if plan.complete == Some(false) {
        collector.partial("the plan says that it is not complete");
    }
    let deferred = plan.deferred_changes.as_ref().map_or(0, Vec::len);
    if deferred > 0 {
        collector.partial(format!("{deferred} deferred changes"));
    }
    let mentioned: HashSet<&str> = plan
        .resource_changes
        .iter()
        .flatten()
        .flat_map(|it| [Some(it.address.as_ref()), it.previous_address.as_deref()])
        .flatten()
        .collect();
    let mut missing: Vec<&str> = Vec::new();
    each_resource(plan, &mut |resource| {
        let managed = resource.mode.as_deref() != Some("data");
        if managed && !mentioned.contains(resource.address.as_ref()) {
            missing.push(&resource.address);
        }
    });
    if let Some(first) = missing.first() {
        let count = missing.len();
        collector.partial(format!(
            "{count} managed resources are left out, as by -target: {}",
            bounded(first)
        ));
    }
}

fn each_resource<'p>(plan: &'p Plan<'_>, visit: &mut dyn FnMut(&'p StateResource<'p>)) {
    let values = plan.prior_state.as_ref().and_then(|state| state.values.as_ref());
    let mut modules: Vec<&StateModule<'_>> =
        values.and_then(|values| values.root_module.as_ref()).into_iter().collect();
    while let Some(module) = modules.pop() {
        module.resources.iter().for_each(&mut *visit);
        modules.extend(&module.child_modules);
    }
}

/// All that tells where resources are.
struct Places {
    known: Known,
    providers: Providers,
}

impl Places {
    fn of(plan: &Plan<'_>) -> Result<Places, PreviewError> {
        let mut known = Known::default();
        let mut failed = None;
        each_resource(plan, &mut |resource| match attributes(
            resource.values,
            resource.sensitive_values,
        ) {
            Ok(attributes) => known.learn(&attributes),
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let mut providers = Providers::default();
        let variables = value(plan.variables)?;
        if let Some(configuration) = &plan.configuration {
            for (key, provider) in &configuration.provider_config {
                let expressions = provider.expressions.as_ref();
                let expression =
                    expressions.and_then(|it| it.region.as_ref().or(it.location.as_ref()));
                let region = expression.and_then(|it| Providers::region_of(it, &variables));
                providers.regions.insert(key.clone(), region);
            }
            let mut modules: Vec<(String, &Module<'_>)> =
                configuration.root_module.iter().map(|it| (String::new(), it)).collect();
            while let Some((path, module)) = modules.pop() {
                for resource in &module.resources {
                    if let Some(key) = &resource.provider_config_key {
                        let address = format!("{path}{}", resource.address);
                        providers.resources.insert(address, key.clone().into_owned());
                    }
                }
                for (name, call) in &module.module_calls {
                    let inner = call.module.iter();
                    modules.extend(inner.map(|it| (format!("{path}module.{name}."), it)));
                }
            }
        }
        Ok(Places { known, providers })
    }

    fn spot(&self, change: &Change<'_>, attributes: &Attributes) -> Spot {
        let address = &change.address;
        let about = About {
            address,
            module: change.module_address.as_deref().unwrap_or_default(),
            provider: change.provider_name.as_deref().unwrap_or_default(),
        };
        attributes
            .spot()
            .or_else(|| self.known.of_parents(attributes))
            .unwrap_or_else(|| self.providers.spot(&about, attributes))
    }
}

fn value(raw: Option<&RawValue>) -> Result<Value, PreviewError> {
    raw.map_or(Ok(Value::Null), |raw| serde_json::from_str(raw.get()))
        .map_err(PreviewError::Terraform)
}

fn attributes(
    raw: Option<&RawValue>,
    sensitive: Option<&RawValue>,
) -> Result<Attributes, PreviewError> {
    let Some(raw) = raw else { return Ok(Attributes::default()) };
    let attributes: Attributes =
        serde_json::from_str(raw.get()).map_err(PreviewError::Terraform)?;
    Ok(attributes.without(&value(sensitive)?))
}

fn is_idle(difference: &Difference<'_>) -> bool {
    difference.actions.iter().all(|it| matches!(it.as_ref(), "no-op" | "read"))
        && !difference.actions.is_empty()
}

/// Enters what a change does; nothing for what stays as it is, or is only read.
fn enter(
    change: &Change<'_>,
    places: &Places,
    collector: &mut Collector,
) -> Result<(), PreviewError> {
    let difference = &change.change;
    let moved = change.previous_address.as_ref().filter(|it| **it != change.address);
    if let Some(previous) = moved {
        collector.note("moved", &format!("{previous} to {}", change.address));
    }
    if difference.importing.is_some_and(|it| it.get() != "null") {
        collector.note("import", &change.address);
    }
    if is_idle(difference) {
        return Ok(());
    }
    let words: Vec<&str> = difference.actions.iter().map(AsRef::as_ref).collect();
    let mut reason = change.action_reason.as_deref().map(bounded);
    let mut paths = Vec::new();
    let mut uncertain = false;
    let action = match words.as_slice() {
        ["create"] => Action::Create,
        ["delete"] => Action::Delete,
        ["delete", "create"] | ["create", "delete"] => {
            paths = replaced_by(difference)?;
            Action::Replace
        }
        ["forget"] => Action::Forget,
        ["create", "forget"] => {
            reason = Some("created anew, and the old one forgotten".to_owned());
            Action::Forget
        }
        ["update"] => {
            let (before, after) = (value(difference.before)?, value(difference.after)?);
            let shrinking = shrinking(&before, &after, &value(difference.after_unknown)?);
            if shrinking.removed.is_empty() && !shrinking.unknown.is_empty() {
                uncertain = true;
                reason = Some("known only when it is done".to_owned());
                paths = shrinking.unknown;
                Action::Update
            } else if shrinking.removed.is_empty() {
                Action::Update
            } else {
                paths = shrinking.removed;
                Action::Removal
            }
        }
        other => {
            reason = Some(bounded(&format!("actions: {}", other.join(", "))));
            Action::Unknown
        }
    };
    if let Some(deposed) = &change.deposed {
        reason = Some(bounded(&format!("deposed object {deposed}")));
    }
    if change.mode.as_deref() == Some("data") {
        return Ok(());
    }
    let before = attributes(difference.before, difference.before_sensitive)?;
    let after = attributes(difference.after, difference.after_sensitive)?;
    let exists = difference.before.is_some_and(|it| it.get() != "null");
    let old = exists.then(|| places.spot(change, &before));
    let new = difference
        .after
        .filter(|it| it.get() != "null")
        .map(|_| places.spot(change, &after))
        // What stands somewhere by its own word does not move by the provider's.
        .filter(|it| old.is_none() || matches!(after.spot(), Some(spot) if spot == *it));
    let spots: Vec<Spot> = old.into_iter().chain(new).collect();
    let row = Row {
        action,
        address: bounded(&change.address),
        kind: bounded(&change.kind),
        place: place(&spots),
        reason,
        paths: paths.iter().take(20).map(|path| bounded(path)).collect(),
        uncertain,
    };
    // Without a state at all, the action stands on its own.
    let spots =
        if spots.is_empty() { vec![places.spot(change, &Attributes::default())] } else { spots };
    collector.add(row, spots);
    Ok(())
}

/// The names of the attributes that force a replacement.
fn replaced_by(difference: &Difference<'_>) -> Result<Vec<String>, PreviewError> {
    let paths = value(difference.replace_paths)?;
    let mut names: Vec<String> = paths
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|path| Some(path.get(0)?.as_str()?.to_owned()))
        .collect();
    names.dedup();
    Ok(names)
}

/// The place as it is shown: the first, and the second if it is another.
fn place(spots: &[Spot]) -> Option<String> {
    let mut names: Vec<&str> = spots
        .iter()
        .filter_map(|spot| match spot {
            Spot::Global => Some("global"),
            Spot::Region { region, .. } => Some(region.as_str()),
            Spot::Key(_) => None,
        })
        .collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(" and "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table;
    use super::*;

    /// A plan with these resource changes and further members.
    fn plan(changes: Value, more: Value) -> Value {
        let mut plan = json!({ "format_version": "1.2", "resource_changes": changes });
        if let (Some(plan), Some(more)) = (plan.as_object_mut(), more.as_object()) {
            plan.extend(more.clone());
        }
        plan
    }

    /// One change of a security group.
    fn change(name: &str, actions: &[&str], difference: Value) -> Value {
        let mut change = json!({ "actions": actions });
        if let (Some(change), Some(more)) = (change.as_object_mut(), difference.as_object()) {
            change.extend(more.clone());
        }
        json!({
            "address": format!("aws_security_group.{name}"), "mode": "managed",
            "type": "aws_security_group", "name": name,
            "provider_name": "registry.terraform.io/hashicorp/aws", "change": change,
        })
    }

    #[track_caller]
    fn check(plan: &Value, expected: &str) {
        let bytes = serde_json::to_vec(plan).unwrap();
        let found = match parse(&bytes) {
            Ok(preview) => table("x", &preview, 9),
            Err(error) => error.to_string(),
        };
        assert_eq!(found.trim_end(), expected);
    }

    fn one(actions: &[&str], difference: Value) -> Value {
        plan(json!([change("a", actions, difference)]), json!({}))
    }

    const HERE: &str = "arn:aws:ec2:us-east-1:1:security-group/sg-1";

    #[test]
    fn every_action_is_told_apart() {
        let at = || json!({ "before": { "arn": HERE, "id": "sg-1" } });
        let row = |head: &str, action: &str, aside: &str| {
            format!(
                "x: 1 {head} in 1 place\n  {action}  aws_security_group  aws_security_group.a  us-east-1{aside}"
            )
        };
        check(&one(&["no-op"], at()), "x: nothing would change");
        check(&one(&["read"], at()), "x: nothing would change");
        check(&one(&["delete"], at()), &row("delete", "delete", ""));
        let replaced =
            json!({ "before": { "arn": HERE }, "after": {}, "replace_paths": [["name"]] });
        check(&one(&["delete", "create"], replaced.clone()), &row("replace", "replace", " (name)"));
        check(&one(&["create", "delete"], replaced), &row("replace", "replace", " (name)"));
        check(&one(&["forget"], at()), &row("forget", "forget", ""));
        let aside = " (created anew, and the old one forgotten)";
        check(&one(&["create", "forget"], at()), &row("forget", "forget", aside));
        check(&one(&["open"], at()), &row("unknown", "unknown", " (actions: open)"));
        check(&one(&[], at()), &row("unknown", "unknown", " (actions: )"));
        check(
            &one(&["create"], json!({ "after": { "region": "us-east-1" } })),
            &row("create", "create", ""),
        );
    }

    #[test]
    fn an_inline_block_removed_is_a_removal() {
        let group = |ports: &[u16]| {
            let ingress: Vec<Value> =
                ports.iter().map(|port| json!({ "from_port": port })).collect();
            json!({ "arn": HERE, "ingress": ingress })
        };
        let update = |before: &[u16], after: &[u16]| {
            one(&["update"], json!({ "before": group(before), "after": group(after) }))
        };
        check(
            &update(&[443, 80], &[443]),
            "x: 1 removal in 1 place\n  removal  aws_security_group  aws_security_group.a  us-east-1 (ingress)",
        );
        check(
            &update(&[443], &[443, 80]),
            "x: 1 update in 1 place\n  update  aws_security_group  aws_security_group.a  us-east-1",
        );
        let unknown = json!({ "before": group(&[443]), "after": { "arn": HERE }, "after_unknown": { "ingress": true } });
        check(
            &one(&["update"], unknown),
            "x: 1 update, 1 of them with a result not known before in 1 place\n  update  aws_security_group  aws_security_group.a  us-east-1 (ingress, known only when it is done)",
        );
    }

    #[test]
    fn drift_and_moves_are_shown_and_not_counted() {
        let mut moved = change("b", &["no-op"], json!({}));
        moved["previous_address"] = json!("aws_security_group.a");
        let drift =
            json!({ "resource_drift": [change("c", &["delete"], json!({ "before": {} }))] });
        check(
            &plan(json!([moved]), drift),
            "x: nothing would change\n  drift, not counted: aws_security_group.c\n  moved, not counted: aws_security_group.a to aws_security_group.b",
        );
    }

    #[test]
    fn a_partial_plan_says_so() {
        let state = |names: &[&str]| {
            let rows: Vec<Value> = names
                .iter()
                .map(|name| json!({ "address": format!("aws_security_group.{name}"), "mode": "managed", "values": {} }))
                .collect();
            json!({ "prior_state": { "values": { "root_module": { "child_modules": [{ "resources": rows }] } } } })
        };
        let changes = || json!([change("a", &["no-op"], json!({}))]);
        let partial = |why: &str| format!("x: nothing would change\n  NOT THE WHOLE CHANGE: {why}");
        check(&plan(changes(), state(&["a"])), "x: nothing would change");
        check(
            &plan(changes(), state(&["a", "b"])),
            &partial("1 managed resources are left out, as by -target: aws_security_group.b"),
        );
        check(
            &plan(changes(), json!({ "complete": false })),
            &partial("the plan says that it is not complete"),
        );
        check(
            &plan(changes(), json!({ "errored": true })),
            &partial("the plan ended with an error"),
        );
        check(
            &plan(changes(), json!({ "deferred_changes": [{}] })),
            &partial("1 deferred changes"),
        );
    }

    #[test]
    fn places_follow_from_what_a_rule_hangs_on_or_its_provider() {
        let hanging = || json!({ "before": { "security_group_id": "sg-1" } });
        let text = |place: &str| {
            format!(
                "x: 1 delete in 1 place{}\n  delete  aws_security_group  aws_security_group.a  {place}",
                if place.starts_with('(') { " (not all named by the plan)" } else { "" }
            )
        };
        let delete = |more: Value| plan(json!([change("a", &["delete"], hanging())]), more);
        check(&delete(json!({})), &text("(place not named)"));
        let group =
            json!({ "address": "aws_security_group.a", "values": { "id": "sg-1", "arn": HERE } });
        check(
            &delete(
                json!({ "prior_state": { "values": { "root_module": { "resources": [group] } } } }),
            ),
            &text("us-east-1"),
        );
        let configured = |region: Value| {
            json!({
                "variables": { "where": { "value": "eu-west-1" } },
                "configuration": {
                    "provider_config": { "aws": { "name": "aws", "expressions": { "region": region } } },
                    "root_module": { "resources": [
                        { "address": "aws_security_group.a", "provider_config_key": "aws" }] },
                },
            })
        };
        check(&delete(configured(json!({ "constant_value": "eu-north-1" }))), &text("eu-north-1"));
        check(&delete(configured(json!({ "references": ["var.where"] }))), &text("eu-west-1"));
        check(
            &delete(configured(json!({ "references": ["local.where"] }))),
            &text("(place not named)"),
        );
        let secret =
            json!({ "before": { "region": "eu-west-1" }, "before_sensitive": { "region": true } });
        check(&one(&["delete"], secret), &text("(place not named)"));
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let version = |text: &str| json!({ "format_version": text });
        check(&version("0.1"), "x: nothing would change");
        check(&version("1.99"), "x: nothing would change");
        check(&version("2.0"), "the plan has format version `2.0`; 0.1 to 1.x are known");
        check(&version("x"), "the plan has format version `x`; 0.1 to 1.x are known");
        let no_plan = "the plan is not the JSON that `terraform show -json` prints";
        check(&json!({}), no_plan);
        check(&json!([]), no_plan);
        check(&plan(json!([{ "address": "a" }]), json!({})), no_plan);
        check(&plan(json!([change("a", &["update"], json!({ "before": 1 }))]), json!({})), no_plan);
    }

    #[test]
    fn values_are_not_kept() {
        let secret = json!({ "before": { "password": "hunter2", "tags": { "hunter2": "x" } }, "after": { "tags": {} } });
        let bytes = serde_json::to_vec(&one(&["update"], secret)).unwrap();
        let preview = parse(&bytes).unwrap();
        assert_eq!(preview.rows[0].paths, ["tags"]);
        assert!(!format!("{preview:?}").contains("hunter2"));
    }
}
