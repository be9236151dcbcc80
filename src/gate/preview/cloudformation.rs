//! A change set of CloudFormation, as `aws cloudformation describe-change-set`
//! prints it
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html>).

use serde::Deserialize;
use serde_json::Value;

use super::place::of_arn;
use super::shrink::shrinking;
use super::{Action, Collector, Preview, PreviewError, Row, Spot, bounded};
use crate::gate::time::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeSet {
    stack_id: String,
    status: String,
    #[serde(default)]
    status_reason: Option<String>,
    #[serde(default)]
    creation_time: Option<String>,
    #[serde(default)]
    next_token: Option<String>,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    resource_change: Option<ResourceChange>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceChange {
    action: String,
    logical_resource_id: String,
    resource_type: String,
    #[serde(default)]
    replacement: Option<String>,
    #[serde(default)]
    policy_action: Option<String>,
    #[serde(default)]
    before_context: Option<String>,
    #[serde(default)]
    after_context: Option<String>,
}

/// What the service gives as the reason where nothing would change.
const WITHOUT_CHANGES: [&str; 2] = ["didn't contain changes", "No updates are to be performed"];

/// Reads a change set.
pub(super) fn parse(bytes: &[u8]) -> Result<Preview, PreviewError> {
    let set: ChangeSet = serde_json::from_slice(bytes).map_err(PreviewError::CloudFormation)?;
    let mut collector = Collector::default();
    collector.preview.made = set.creation_time.as_deref().and_then(Timestamp::parse);
    if set.next_token.is_some() {
        collector.partial("the change set goes on with a `NextToken`");
    }
    // A change set without changes ends as FAILED, and says that it has none in
    // words; so does one that could not be made.
    let reason = set.status_reason.as_deref().unwrap_or_default();
    let empty = set.changes.is_empty() && WITHOUT_CHANGES.iter().any(|it| reason.contains(it));
    if set.status != "CREATE_COMPLETE" && !(set.status == "FAILED" && empty) {
        let why = if reason.is_empty() { "" } else { ": " };
        let (status, reason) = (bounded(&set.status), bounded(reason));
        collector.partial(format!("its status is {status}{why}{reason}"));
    }
    let spot = of_arn(&set.stack_id).unwrap_or_else(|| Spot::Key(bounded(&set.stack_id)));
    for change in &set.changes {
        match &change.resource_change {
            Some(resource) => enter(resource, &spot, &mut collector),
            None => {
                let kind = bounded(change.r#type.as_deref().unwrap_or("change"));
                let reason = "it is no change of a resource".to_owned();
                let row = row(Action::Unknown, &kind, &kind, &spot, Some(reason));
                collector.add(row, [spot.clone()]);
            }
        }
    }
    Ok(collector.finish())
}

fn row(action: Action, address: &str, kind: &str, spot: &Spot, reason: Option<String>) -> Row {
    let place = match spot {
        Spot::Region { region, .. } => Some(region.clone()),
        Spot::Global | Spot::Key(_) => None,
    };
    let (address, kind) = (bounded(address), bounded(kind));
    Row { action, address, kind, place, reason, paths: Vec::new(), uncertain: false }
}

fn enter(change: &ResourceChange, spot: &Spot, collector: &mut Collector) {
    let policy = change.policy_action.as_deref();
    let keeps = matches!(policy, Some("Retain"));
    let replaces = policy.is_some_and(|it| it.starts_with("ReplaceAnd"));
    let (mut paths, mut uncertain, mut reason) = (Vec::new(), false, None);
    // The resources of a nested stack stand in a change set of their own.
    let nested = change.resource_type == "AWS::CloudFormation::Stack";
    let action = match (change.action.as_str(), change.replacement.as_deref()) {
        ("Import", _) => return collector.note("import", &change.logical_resource_id),
        ("Remove", _) if keeps => Action::Forget,
        ("Remove", _) => Action::Delete,
        ("Add" | "Modify", _) if nested => {
            reason = Some("what the nested stack does is not shown".to_owned());
            Action::Unknown
        }
        ("Add", _) => Action::Create,
        ("Modify", Some("True")) => Action::Replace,
        ("Modify", _) if replaces => Action::Replace,
        ("Modify", Some("False")) => match contexts(change) {
            Some((before, after)) => {
                paths = shrinking(&before, &after, &Value::Null).removed;
                if paths.is_empty() { Action::Update } else { Action::Removal }
            }
            None => {
                uncertain = true;
                reason = Some("no property values: --include-property-values".to_owned());
                Action::Update
            }
        },
        (action, replacement) => {
            let words = [Some(action), replacement].into_iter().flatten().collect::<Vec<_>>();
            reason = Some(bounded(&words.join(", replacement ")));
            Action::Unknown
        }
    };
    let row = row(action, &change.logical_resource_id, &change.resource_type, spot, reason);
    let paths = paths.iter().take(20).map(|path| bounded(path)).collect();
    collector.add(Row { paths, uncertain, ..row }, [spot.clone()]);
}

/// The properties before and after.
fn contexts(change: &ResourceChange) -> Option<(Value, Value)> {
    let properties = |context: &Option<String>| {
        let context: Value = serde_json::from_str(context.as_deref()?).ok()?;
        context.get("Properties").filter(|it| it.is_object()).cloned()
    };
    Some((properties(&change.before_context)?, properties(&change.after_context)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table;
    use super::*;

    #[track_caller]
    fn check(change: Value, expected: &str) {
        let mut resource =
            json!({ "LogicalResourceId": "Edge", "ResourceType": "AWS::EC2::SecurityGroup" });
        resource.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let set = json!({
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/edge/1", "Status": "CREATE_COMPLETE",
            "Changes": [{ "Type": "Resource", "ResourceChange": resource }],
        });
        let preview = parse(&serde_json::to_vec(&set).unwrap()).unwrap();
        let text = table("x", &preview, 9);
        let row = text.lines().nth(1).unwrap_or_default();
        assert_eq!(row.trim(), expected);
    }

    #[test]
    fn what_a_change_set_does_to_a_resource() {
        let end = |aside: &str| format!("AWS::EC2::SecurityGroup  Edge  eu-west-1{aside}");
        check(json!({ "Action": "Add" }), &format!("create  {}", end("")));
        check(
            json!({ "Action": "Remove", "PolicyAction": "Delete" }),
            &format!("delete  {}", end("")),
        );
        check(
            json!({ "Action": "Remove", "PolicyAction": "Snapshot" }),
            &format!("delete  {}", end("")),
        );
        check(
            json!({ "Action": "Remove", "PolicyAction": "Retain" }),
            &format!("forget  {}", end("")),
        );
        check(
            json!({ "Action": "Modify", "Replacement": "True" }),
            &format!("replace  {}", end("")),
        );
        check(
            json!({ "Action": "Modify", "Replacement": "False", "PolicyAction": "ReplaceAndRetain" }),
            &format!("replace  {}", end("")),
        );
        check(
            json!({ "Action": "Modify", "Replacement": "Conditional" }),
            &format!("unknown  {}", end(" (Modify, replacement Conditional)")),
        );
        check(json!({ "Action": "Dynamic" }), &format!("unknown  {}", end(" (Dynamic)")));
        check(json!({ "Action": "Import" }), "import, not counted: Edge");
        check(
            json!({ "Action": "Modify", "Replacement": "False" }),
            &format!("update  {}", end(" (no property values: --include-property-values)")),
        );
        let context = |ports: &[u16]| {
            let rules: Vec<Value> = ports.iter().map(|port| json!({ "FromPort": port })).collect();
            json!({ "Properties": { "SecurityGroupIngress": rules } }).to_string()
        };
        let modify = |before: &[u16], after: &[u16]| json!({ "Action": "Modify", "Replacement": "False", "BeforeContext": context(before), "AfterContext": context(after) });
        check(modify(&[443, 80], &[443]), &format!("removal  {}", end(" (SecurityGroupIngress)")));
        check(modify(&[443], &[80]), &format!("removal  {}", end(" (SecurityGroupIngress)")));
        check(modify(&[443], &[443, 80]), &format!("update  {}", end("")));
        check(
            json!({ "Action": "Modify", "Replacement": "False", "ResourceType": "AWS::CloudFormation::Stack" }),
            "unknown  AWS::CloudFormation::Stack  Edge  eu-west-1 (what the nested stack does is not shown)",
        );
    }

    #[test]
    fn a_change_set_that_goes_on_or_failed_is_partial() {
        let partial = |status: &str, more: Value| {
            let mut set = json!({ "StackId": "a", "Status": status, "Changes": [] });
            set.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            parse(&serde_json::to_vec(&set).unwrap()).unwrap().partial
        };
        assert!(partial("CREATE_COMPLETE", json!({})).is_empty());
        assert_eq!(partial("CREATE_PENDING", json!({})), ["its status is CREATE_PENDING"]);
        let none = "The submitted information didn't contain changes. Submit different information to create a change set.";
        assert!(partial("FAILED", json!({ "StatusReason": none })).is_empty());
        let none = "No updates are to be performed.";
        assert!(partial("FAILED", json!({ "StatusReason": none })).is_empty());
        let broken = json!({ "StatusReason": "Template error: x" });
        assert_eq!(partial("FAILED", broken), ["its status is FAILED: Template error: x"]);
        assert_eq!(partial("FAILED", json!({})), ["its status is FAILED"]);
        let goes_on = ["the change set goes on with a `NextToken`"];
        assert_eq!(partial("CREATE_COMPLETE", json!({ "NextToken": "a" })), goes_on);
    }
}
