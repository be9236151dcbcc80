//! Workspaces of npm, Yarn (`workspaces` of package.json) and pnpm
//! (`packages` of pnpm-workspace.yaml).

use serde_json::Value;

use super::{Manifests, Package, joined};
use crate::gate::evidence::Answer;

const MANIFEST: &str = "package.json";
const PNPM: &str = "pnpm-workspace.yaml";
const DEPENDENCIES: &[&str] =
    &["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];

pub(super) fn read(manifests: &Manifests<'_>) -> Answer<Vec<Package>> {
    let root = manifests.root;
    let mut patterns = match manifests.text(root, PNPM)? {
        Some(text) => packages_of(text).map_err(|why| super::unreadable(PNPM, &why))?,
        None => Vec::new(),
    };
    if patterns.is_empty() {
        let top = manifests.json(root, MANIFEST)?.unwrap_or_default();
        let list = &top["workspaces"];
        let list = list.as_array().or_else(|| list["packages"].as_array());
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        patterns = texts.map(str::to_owned).collect();
    }
    if patterns.is_empty() {
        return Err(format!("neither `{MANIFEST}` nor `{PNPM}` at the root names a workspace"));
    }
    let folders = manifests.chosen(&patterns, MANIFEST)?;
    let members = folders.iter().filter(|folder| *folder != root);
    members
        .filter_map(|folder| match manifests.json(folder, MANIFEST) {
            Ok(Some(manifest)) => Some(Ok(package(&manifest, folder, root))),
            Ok(None) => None,
            Err(why) => Some(Err(why)),
        })
        .collect()
}

fn package(manifest: &Value, folder: &str, root: &str) -> Package {
    let known_as = manifest["name"].as_str().unwrap_or_default().to_owned();
    let name = match known_as.as_str() {
        "" => format!("./{}", super::below(root, folder).unwrap_or(folder)),
        name => name.to_owned(),
    };
    let mut package = Package { name, folder: folder.to_owned(), known_as, ..Package::default() };
    let tables = DEPENDENCIES.iter().filter_map(|kind| manifest[*kind].as_object());
    for (key, value) in tables.flatten() {
        package.uses.insert(key.clone());
        let Some((protocol, rest)) = value.as_str().and_then(|it| it.split_once(':')) else {
            continue;
        };
        match protocol {
            "file" | "link" | "portal" => package.uses_folders.extend(joined(folder, rest)),
            // `npm:name@^1` and `workspace:name@*` are other names; `workspace:../a` is a place.
            "npm" | "workspace" => {
                let end = rest.rfind('@').filter(|at| *at > 0).unwrap_or(rest.len());
                package.uses.insert(rest[..end].to_owned());
                if rest.starts_with('.') {
                    package.uses_folders.extend(joined(folder, rest));
                }
            }
            _ => {}
        }
    }
    // What has no name can be depended on by its folder alone.
    package.uses.remove("");
    package
}

/// The list `packages` of a pnpm-workspace.yaml: a block of `- text`, or a
/// `[…]` in one line. YAML's other spellings of a list are refused.
fn packages_of(text: &str) -> Result<Vec<String>, String> {
    let mut lines = text.lines().map(without_comment).filter(|line| !line.trim().is_empty());
    let Some(head) = lines.find_map(|line| line.strip_prefix("packages:")) else {
        return Ok(Vec::new());
    };
    let head = head.trim();
    if !head.is_empty() {
        let inner = head.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let Some(inner) = inner else {
            return Err("`packages` is no list that can be read".to_owned());
        };
        return inner.split(',').map(str::trim).filter(|it| !it.is_empty()).map(scalar).collect();
    }
    let mut patterns = Vec::new();
    for line in lines {
        match line.trim_start().strip_prefix("- ") {
            Some(item) => patterns.push(scalar(item.trim())?),
            None if line.starts_with([' ', '\t', '-']) => {
                return Err(format!("`{}` is no item of a list", line.trim()));
            }
            None => break,
        }
    }
    Ok(patterns)
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (None, '#') if before.is_whitespace() => return line[..at].trim_end(),
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
        before = letter;
    }
    line.trim_end()
}

/// A text of YAML: quoted without escapes, or plain.
fn scalar(text: &str) -> Result<String, String> {
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            return match rest.strip_suffix(quote) {
                Some(inner) if !inner.contains([quote, '\\']) => Ok(inner.to_owned()),
                Some(_) | None => Err(format!("{text} is no text that can be read")),
            };
        }
    }
    match text.starts_with(['[', '{', '&', '*', '!', '|', '>']) {
        true => Err(format!("{text} is no text that can be read")),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::packages_of;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let found = packages_of(text);
        match expected {
            Ok(list) => assert_eq!(found.expect("it can be read"), list),
            Err(part) => assert!(found.expect_err("it cannot be read").contains(part)),
        }
    }

    #[test]
    fn the_workspaces_of_pnpm() {
        let text = "# ours\npackages:\n  # all\n  - 'packages/*' # libraries\n  - \"apps/**\"\n  - docs\n  - '!**/test/**'\ncatalog:\n  - x\n";
        check(text, Ok(&["packages/*", "apps/**", "docs", "!**/test/**"]));
        check("packages: ['a/*', b] # two\n", Ok(&["a/*", "b"]));
        check("packages:\n- a/*\n- b\nother: 1\n", Ok(&["a/*", "b"]));
        check("onlyBuiltDependencies:\n  - x\n", Ok(&[]));
        check("packages: *anchor\n", Err("no list"));
        check("packages:\n  a: b\n", Err("no item"));
        check("packages:\n  - \"a\\tb\"\n", Err("no text"));
        check("packages:\n  - *all\n", Err("no text"));
    }
}
