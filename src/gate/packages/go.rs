//! Go modules (The Go Modules Reference, "go.mod files" and "Workspaces"): those
//! of a go.work, else every go.mod.

use super::{Manifests, Package, below, joined};
use crate::gate::evidence::Answer;

pub(super) fn read(manifests: &Manifests<'_>) -> Answer<Vec<Package>> {
    let root = manifests.root;
    let folders: Vec<String> = match manifests.text(root, "go.work")? {
        Some(text) => {
            let uses = directives(text).filter(|(verb, _)| verb == "use");
            uses.filter_map(|(_, words)| joined(root, words.first()?)).collect()
        }
        None => {
            // The go command passes over these folders.
            let skipped = |part: &str| part.starts_with(['.', '_']) || part == "testdata";
            let folders = manifests.folders("go.mod");
            folders.filter(|it| !it.split('/').any(skipped)).map(str::to_owned).collect()
        }
    };
    let mut packages = Vec::new();
    for folder in folders {
        let Some(text) = manifests.text(&folder, "go.mod")? else {
            return Err(format!("`go.work` uses `{folder}`, where no `go.mod` is"));
        };
        packages.push(module(text, &folder, root)?);
    }
    Ok(packages)
}

fn module(text: &str, folder: &str, root: &str) -> Answer<Package> {
    let name = match below(root, folder).unwrap_or(folder) {
        folder if folder.is_empty() || folder == root => "./...".to_owned(),
        folder => format!("./{folder}/..."),
    };
    let mut package = Package { name, folder: folder.to_owned(), ..Package::default() };
    for (verb, words) in directives(text) {
        match (verb.as_str(), words.as_slice()) {
            ("module", [path, ..]) => package.known_as = path.clone(),
            ("require", [path, ..]) => drop(package.uses.insert(path.clone())),
            ("replace", words) => {
                let place = words.iter().skip_while(|it| *it != "=>").nth(1);
                let place = place.filter(|it| it.starts_with("./") || it.starts_with("../"));
                package.uses_folders.extend(place.and_then(|it| joined(folder, it)));
            }
            _ => {}
        }
    }
    if package.known_as.is_empty() {
        return Err(super::unreadable(&super::place(folder, "go.mod"), "it names no module"));
    }
    Ok(package)
}

/// The directives of a file: verb and words, blocks taken apart.
fn directives(text: &str) -> impl Iterator<Item = (String, Vec<String>)> {
    let mut block: Option<String> = None;
    text.lines().filter_map(move |line| {
        let line = line.split("//").next().unwrap_or(line);
        let mut words: Vec<String> = line
            .split_whitespace()
            .map(|word| word.trim_matches(['"', '`']).to_owned())
            .filter(|word| !word.is_empty())
            .collect();
        match (&block, words.as_slice()) {
            (Some(_), [end, ..]) if end == ")" => {
                block = None;
                None
            }
            (_, []) => None,
            (Some(verb), _) => Some((verb.clone(), words)),
            (None, [verb, open]) if open == "(" => {
                block = Some(verb.clone());
                None
            }
            // `use(` is as good as `use (`.
            (None, [verb]) if verb.ends_with('(') => {
                block = Some(verb.trim_end_matches('(').to_owned());
                None
            }
            (None, _) => {
                let verb = words.remove(0);
                Some((verb, words))
            }
        }
    })
}
