//! Cargo workspaces (The Cargo Book, "Workspaces" and "Specifying
//! Dependencies"): members by pattern, and by path from another member.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{Manifests, Package, below, joined, texts};
use crate::gate::evidence::Answer;
use crate::gate::order;

const MANIFEST: &str = "Cargo.toml";
const DEPENDENCIES: &[&str] = &[
    "dependencies",
    "dev-dependencies",
    "dev_dependencies",
    "build-dependencies",
    "build_dependencies",
];

pub(super) fn read(manifests: &Manifests<'_>) -> Answer<Vec<Package>> {
    let root = manifests.root;
    let Some(top) = manifests.toml(root, MANIFEST)? else {
        return Err(format!("there is no `{}`", super::place(root, MANIFEST)));
    };
    let workspace = top.get("workspace").and_then(Value::as_table).cloned().unwrap_or_default();
    let shared = workspace.get("dependencies").and_then(Value::as_table);
    let excluded = texts(workspace.get("exclude"));
    let excluded: Vec<String> = excluded.iter().filter_map(|it| joined(root, it)).collect();
    let is_excluded = |folder: &str| {
        excluded.iter().any(|it| folder == it.as_str() || below(it, folder).is_some())
    };
    let named: BTreeSet<String> =
        order::set(manifests.chosen(&texts(workspace.get("members")), MANIFEST)?);
    let mut open: Vec<String> = named.iter().cloned().collect();
    open.retain(|folder| !is_excluded(folder));
    open.push(root.to_owned());
    let mut seen: BTreeSet<String> = order::set(open.iter().cloned());
    let mut packages = Vec::new();
    while let Some(folder) = open.pop() {
        let Some(manifest) = manifests.toml(&folder, MANIFEST)? else { continue };
        let Some(package) = package(&manifest, &folder, root, shared) else { continue };
        // A path below the workspace's root makes a member.
        for used in &package.uses_folders {
            let inside = root.is_empty() || below(root, used).is_some();
            if inside && !is_excluded(used) && seen.insert(used.clone()) {
                open.push(used.clone());
            }
        }
        packages.push(package);
    }
    Ok(packages)
}

/// `None`: a manifest of a workspace alone.
fn package(manifest: &Table, folder: &str, root: &str, shared: Option<&Table>) -> Option<Package> {
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    let mut package =
        Package { known_as: name.clone(), name, folder: folder.to_owned(), ..Package::default() };
    let targets = manifest.get("target").and_then(Value::as_table);
    let places = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    for table in std::iter::once(manifest).chain(places) {
        for kind in DEPENDENCIES {
            for (key, value) in table.get(*kind).and_then(Value::as_table).into_iter().flatten() {
                depend(&mut package, key, value, folder);
                if value.get("workspace").and_then(Value::as_bool) == Some(true)
                    && let Some(value) = shared.and_then(|it| it.get(key))
                {
                    depend(&mut package, key, value, root);
                }
            }
        }
    }
    Some(package)
}

fn depend(package: &mut Package, key: &str, value: &Value, from: &str) {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    package.uses.insert(text("package").unwrap_or(key).to_owned());
    package.uses_folders.extend(text("path").and_then(|path| joined(from, path)));
}
