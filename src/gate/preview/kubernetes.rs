//! Objects of Kubernetes, as they are and as a server-side dry run says that
//! they would be: two JSON documents, one after the other, each an object or a
//! `List`. A third, of `kubectl config view --minify`, names the cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::shrink::shrinking;
use super::{Action, Collector, Preview, PreviewError, Row, Spot, bounded};
use crate::gate::order;

/// What the server writes into an object by itself.
const OF_THE_SERVER: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Group and kind, namespace, name: what makes an object the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    kind: String,
    namespace: String,
    name: String,
}

/// Reads the two states of the objects.
pub(super) fn parse(bytes: &[u8]) -> Result<Preview, PreviewError> {
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let mut next = || documents.next().transpose().map_err(PreviewError::Kubernetes);
    let (Some(before), Some(after), config) = (next()?, next()?, next()?) else {
        return Err(PreviewError::Objects(
            "two documents are wanted: the live objects, then the dry run's".to_owned(),
        ));
    };
    if next()?.is_some() {
        return Err(PreviewError::Objects("there are more than three documents".to_owned()));
    }
    let spot = match config.as_ref() {
        None => Spot::Key("cluster".to_owned()),
        Some(config) => cluster(config)?,
    };
    let mut collector = Collector::default();
    let (before, after) = (objects(before)?, objects(after)?);
    let identities: BTreeSet<&Identity> = order::set(before.keys().chain(after.keys()));
    for identity in identities {
        let (action, paths) = match (before.get(identity), after.get(identity)) {
            (Some(old), None) if is_owned(old) => continue,
            (Some(_), None) => (Action::Delete, Vec::new()),
            (None, _) => (Action::Create, Vec::new()),
            (Some(old), Some(new)) => match update(old, new) {
                Some(paths) if paths.is_empty() => (Action::Update, paths),
                Some(paths) => (Action::Removal, paths),
                None => continue,
            },
        };
        let place = match &spot {
            Spot::Region { region, .. } => Some(region.clone()),
            Spot::Global | Spot::Key(_) => None,
        };
        let Identity { kind, namespace, name } = identity;
        let whole = [namespace, kind, name].into_iter().filter(|it| !it.is_empty());
        let row = Row {
            action,
            address: bounded(&whole.map(String::as_str).collect::<Vec<_>>().join("/")),
            kind: bounded(kind),
            place,
            reason: None,
            paths: paths.iter().take(20).map(|it| bounded(it)).collect(),
            uncertain: false,
        };
        collector.add(row, [spot.clone()]);
    }
    Ok(collector.finish())
}

/// The cluster's name, as `kubectl config view --minify -o json` tells it.
fn cluster(config: &Value) -> Result<Spot, PreviewError> {
    let name = config.get("clusters").and_then(|it| it.get(0)?.get("name")?.as_str());
    match (config.get("kind").and_then(Value::as_str), name) {
        (Some("Config"), Some(name)) => Ok(Spot::Region { region: bounded(name), account: None }),
        _ => Err(PreviewError::Objects(
            "the third document is no configuration of kubectl with a cluster".to_owned(),
        )),
    }
}

/// The objects of a document by identity.
fn objects(document: Value) -> Result<BTreeMap<Identity, Map<String, Value>>, PreviewError> {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
    let is_list = document.get("items").is_some_and(Value::is_array) && kind.ends_with("List");
    let items = if is_list {
        document.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
    } else {
        vec![document]
    };
    let mut objects = BTreeMap::new();
    for item in items {
        let Value::Object(object) = item else {
            return Err(PreviewError::Objects("an object is no JSON object".to_owned()));
        };
        let identity = identity(&object)?;
        let name = identity.name.clone();
        if objects.insert(identity, object).is_some() {
            return Err(PreviewError::Objects(format!(
                "the object `{}` is there twice",
                bounded(&name)
            )));
        }
    }
    Ok(objects)
}

fn identity(object: &Map<String, Value>) -> Result<Identity, PreviewError> {
    let metadata = Metadata::deserialize(object.get("metadata").unwrap_or(&Value::Null));
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let (Some(version), Some(kind), Ok(metadata)) = (text("apiVersion"), text("kind"), metadata)
    else {
        return Err(PreviewError::Objects(
            "an object has no apiVersion, kind or metadata.name".to_owned(),
        ));
    };
    // The same object is served in several versions of its group.
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = if group.is_empty() { kind.to_owned() } else { format!("{group}/{kind}") };
    Ok(Identity { kind, namespace: metadata.namespace, name: metadata.name })
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
}

/// Whether a controller made it: it comes and goes with what owns it.
fn is_owned(object: &Map<String, Value>) -> bool {
    let owners = object.get("metadata").and_then(|it| it.get("ownerReferences"));
    owners.and_then(Value::as_array).is_some_and(|it| !it.is_empty())
}

/// The parts of an object that lose something; `None`: it stays as it is.
fn update(old: &Map<String, Value>, new: &Map<String, Value>) -> Option<Vec<String>> {
    let (old, new) = (parts(old), parts(new));
    (old != new).then(|| shrinking(&old, &new, &Value::Null).removed)
}

/// What people decide of an object, two levels deep so that a part is named by
/// `spec.rules` and not by `spec`; names below `data` are people's own.
fn parts(object: &Map<String, Value>) -> Value {
    let mut parts = Map::new();
    for (name, value) in object {
        match (name.as_str(), value) {
            ("status" | "apiVersion" | "kind", _) => {}
            ("metadata", Value::Object(members)) => {
                for (name, value) in members {
                    if !OF_THE_SERVER.contains(&name.as_str()) {
                        let mut value = value.clone();
                        if let Some(annotations) = value.as_object_mut() {
                            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                            annotations.remove("deployment.kubernetes.io/revision");
                        }
                        parts.insert(format!("metadata.{name}"), value);
                    }
                }
            }
            ("spec", Value::Object(members)) => {
                let members =
                    members.iter().map(|(name, value)| (format!("spec.{name}"), value.clone()));
                parts.extend(members);
            }
            _ => {
                parts.insert(name.clone(), value.clone());
            }
        }
    }
    // An empty map of annotations is none.
    parts.retain(|_, value| value.as_object().is_none_or(|it| !it.is_empty()));
    Value::Object(parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::table;
    use super::*;

    fn policy(ports: &[u16]) -> Value {
        let ingress: Vec<Value> =
            ports.iter().map(|port| json!({ "ports": [{ "port": port }] })).collect();
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "edge", "namespace": "shop", "uid": format!("{}", ports.len()), "resourceVersion": "1", "generation": ports.len() },
            "spec": { "podSelector": {}, "ingress": ingress },
        })
    }

    fn list(items: Value) -> Value {
        json!({ "apiVersion": "v1", "kind": "List", "items": items })
    }

    #[track_caller]
    fn check(documents: &[Value], expected: &str) {
        let bytes: String = documents.iter().map(|it| format!("{it}\n")).collect();
        let found = match parse(bytes.as_bytes()) {
            Ok(preview) => table("x", &preview, 9),
            Err(error) => error.to_string(),
        };
        assert_eq!(found.trim_end(), expected);
    }

    #[test]
    fn objects_are_compared_as_people_wrote_them() {
        let config =
            json!({ "kind": "Config", "clusters": [{ "name": "prod-eu", "cluster": {} }] });
        let row = |action: &str, aside: &str| {
            format!(
                "x: 1 {action} in 1 place\n  {action}  networking.k8s.io/NetworkPolicy  shop/networking.k8s.io/NetworkPolicy/edge  prod-eu{aside}"
            )
        };
        let both = |before: Value, after: Value| [before, after, config.clone()];
        check(&both(list(json!([])), list(json!([policy(&[80])]))), &row("create", ""));
        check(&both(list(json!([policy(&[80])])), list(json!([]))), &row("delete", ""));
        check(&both(policy(&[80]), policy(&[80])), "x: nothing would change");
        check(&both(policy(&[80, 443]), policy(&[443])), &row("removal", " (spec.ingress)"));
        check(&both(policy(&[443]), policy(&[80, 443])), &row("update", ""));
        let mut served = policy(&[80]);
        served["status"] = json!({ "x": 1 });
        served["metadata"]["annotations"] =
            json!({ "kubectl.kubernetes.io/last-applied-configuration": "{}" });
        check(&both(served, policy(&[80])), "x: nothing would change");
    }

    #[test]
    fn what_a_controller_made_is_not_taken_away() {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "ownerReferences": [{ "kind": "ReplicaSet" }] } });
        check(&[list(json!([pod])), list(json!([]))], "x: nothing would change");
    }

    #[test]
    fn secrets_are_not_kept() {
        let secret = |data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" }, "data": data });
        let documents = [secret(json!({ "hunter1": "aHVudGVyMg==" })), secret(json!({}))];
        let bytes: String = documents.iter().map(Value::to_string).collect();
        let preview = parse(bytes.as_bytes()).unwrap();
        assert_eq!(
            (preview.rows[0].action, preview.rows[0].paths.clone()),
            (Action::Removal, vec!["data".to_owned()])
        );
        assert!(
            !format!("{preview:?}").contains("hunter") && !format!("{preview:?}").contains("aHVu")
        );
    }

    #[test]
    fn what_is_no_pair_of_objects_is_refused() {
        let want =
            |why: &str| format!("these are not the objects that docs/previews.md asks for: {why}");
        check(&[], &want("two documents are wanted: the live objects, then the dry run's"));
        check(
            &[list(json!([]))],
            &want("two documents are wanted: the live objects, then the dry run's"),
        );
        check(&[json!({}), json!({})], &want("an object has no apiVersion, kind or metadata.name"));
        let twice = list(json!([policy(&[]), policy(&[1])]));
        check(&[twice, list(json!([]))], &want("the object `edge` is there twice"));
        let third = json!({ "kind": "Pod" });
        check(
            &[policy(&[]), policy(&[]), third],
            &want("the third document is no configuration of kubectl with a cluster"),
        );
    }
}
