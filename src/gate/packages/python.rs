//! Python projects: the workspace of uv (`tool.uv.workspace`) or Hatch
//! (`tool.hatch.envs.*.workspace`), else every pyproject.toml with a name, as
//! Poetry and pip have them. Names compare as PEP 503 says.

use toml::{Table, Value};

use super::{Manifests, Package, joined, texts};
use crate::gate::evidence::Answer;

const MANIFEST: &str = "pyproject.toml";

pub(super) fn read(manifests: &Manifests<'_>) -> Answer<Vec<Package>> {
    let root = manifests.root;
    let top = manifests.toml(root, MANIFEST)?.unwrap_or_default();
    let uv = at(&top, &["tool", "uv", "workspace"]);
    let mut patterns = texts(uv.and_then(|it| it.get("members")));
    for environment in tables(at(&top, &["tool", "hatch", "envs"])) {
        let members = environment.get("workspace").and_then(|it| it.get("members"));
        for member in members.and_then(Value::as_array).into_iter().flatten() {
            let path = member.as_str().or_else(|| member.get("path")?.as_str());
            patterns.extend(path.map(str::to_owned));
        }
    }
    let folders: Vec<String> = if uv.is_none() && patterns.is_empty() {
        manifests.folders(MANIFEST).map(str::to_owned).collect()
    } else {
        let excluded = texts(uv.and_then(|it| it.get("exclude")));
        patterns.extend(excluded.iter().map(|it| format!("!{it}")));
        let mut folders = manifests.chosen(&patterns, MANIFEST)?;
        folders.retain(|folder| folder != root);
        folders.push(root.to_owned());
        folders
    };
    let mut packages = Vec::new();
    for folder in folders {
        let Some(manifest) = manifests.toml(&folder, MANIFEST)? else { continue };
        packages.extend(package(&manifest, &folder));
    }
    Ok(packages)
}

/// `None`: a file that only configures tools.
fn package(manifest: &Table, folder: &str) -> Option<Package> {
    let named = |path: &[&str]| at(manifest, path).and_then(Value::as_str);
    let name = named(&["project", "name"]).or_else(|| named(&["tool", "poetry", "name"]))?;
    let mut package = Package {
        name: name.to_owned(),
        folder: folder.to_owned(),
        known_as: normal(name),
        ..Package::default()
    };
    let project = at(manifest, &["project"]);
    let dynamic = texts(project.and_then(|it| it.get("dynamic")));
    package.uses_any = dynamic.iter().any(|it| it.ends_with("dependencies"));
    let lists = [
        at(manifest, &["project", "dependencies"]),
        at(manifest, &["build-system", "requires"]),
        at(manifest, &["tool", "uv", "dev-dependencies"]),
    ];
    let groups = [
        at(manifest, &["project", "optional-dependencies"]),
        at(manifest, &["dependency-groups"]),
        at(manifest, &["tool", "pdm", "dev-dependencies"]),
    ];
    let groups = groups.into_iter().flatten().filter_map(Value::as_table).flat_map(Table::values);
    let hatch = tables(at(manifest, &["tool", "hatch", "envs"]));
    let hatch = hatch.flat_map(|it| ["dependencies", "extra-dependencies"].map(|key| it.get(key)));
    for list in lists.into_iter().chain(groups.map(Some)).chain(hatch) {
        for text in texts(list) {
            match requirement(&text) {
                Some(name) => drop(package.uses.insert(name)),
                // `-e file:///…`: it may be any of them.
                None => package.uses_any = true,
            }
        }
    }
    let poetry = tables(at(manifest, &["tool", "poetry", "group"]));
    let poetry = poetry.filter_map(|it| it.get("dependencies"));
    let further = [
        at(manifest, &["tool", "poetry", "dependencies"]),
        at(manifest, &["tool", "poetry", "dev-dependencies"]),
        at(manifest, &["tool", "uv", "sources"]),
    ];
    for table in further.into_iter().flatten().chain(poetry).filter_map(Value::as_table) {
        for (key, value) in table {
            package.uses.insert(normal(key));
            // One source, or one for each platform.
            let sources = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for path in sources.iter().filter_map(|it| it.get("path")?.as_str()) {
                package.uses_folders.extend(joined(folder, path));
            }
        }
    }
    Some(package)
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = &Table> {
    value.and_then(Value::as_table).into_iter().flat_map(Table::values).filter_map(Value::as_table)
}

/// The name that a requirement (PEP 508) begins with.
fn requirement(text: &str) -> Option<String> {
    let text = text.trim();
    let is_part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let end = text.find(|it| !is_part(it)).unwrap_or(text.len());
    let name = text.get(..end)?;
    name.starts_with(|it: char| it.is_ascii_alphanumeric()).then(|| normal(name))
}

/// Capitals and runs of `-`, `_` and `.` make no difference.
fn normal(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let parts = lower.split(['-', '_', '.']).filter(|it| !it.is_empty());
    parts.collect::<Vec<_>>().join("-")
}
