//! Whether an engine's plan was made from a commit's own files: what its plan
//! file holds of them is compared with what the commit has in the same places.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::bounded;
use super::hcl::{self, Expression};
use super::plan_file::{LOCK_FILE, Module, PlanFile};
use crate::gate::order;
use crate::gate::record::canonical::sha256;

/// The most differences that are named.
const MAX_NAMED: usize = 20;

/// What a preview's record keeps of the sources that were compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    pub modules: Vec<SourceModule>,
    /// SHA-256 of the providers' lock file.
    pub lock: Option<String>,
    /// The lineage and the serial of the state that the plan starts from.
    pub state: Option<(String, u64)>,
}

/// A module that a plan was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceModule {
    /// `edge.inner`; empty: the root.
    pub key: String,
    /// Its folder in the commit; `None`: it comes from elsewhere.
    pub folder: Option<String>,
    /// The address and the version by which it was called.
    pub source: Option<String>,
    pub version: Option<String>,
    /// SHA-256 over the names and contents of its files.
    pub sha256: String,
}

/// What a commit has where a plan's modules stood: by folder, the files by name.
pub type Committed = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Whether an engine reads a file of this name as part of a module.
pub fn is_source(name: &str) -> bool {
    let ends = [".tf", ".tf.json", ".tofu", ".tofu.json"];
    let ignored = name.starts_with('.') || name.ends_with('~') || name.starts_with('#');
    !ignored && ends.iter().any(|end| name.ends_with(end))
}

/// The folders of the commit in which a plan's local modules stood, and the
/// root's own; `root` is the policy's.
pub fn folders(file: &PlanFile, root: &str) -> BTreeSet<String> {
    let base = base(file, root);
    let local = file.modules.iter().filter(|it| is_local(it, file));
    let folders = local.filter_map(|module| joined(&base, &module.folder));
    order::set(folders.chain([trimmed(root)]))
}

/// The folder in which the plan was made. An engine before 0.15 was told the
/// root's folder by a word, and stood in the repository's own.
fn base(file: &PlanFile, root: &str) -> String {
    let at_root = file.modules.iter().any(|it| it.key.is_empty() && it.folder != ".");
    if at_root { String::new() } else { trimmed(root) }
}

fn trimmed(folder: &str) -> String {
    joined("", folder).unwrap_or_default()
}

/// `folder` as seen from `base`, without `.` and `..`; `None`: it leaves the repository.
pub fn joined(base: &str, folder: &str) -> Option<String> {
    if folder.starts_with('/') || folder.contains(':') {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').filter(|it| !matches!(*it, "" | ".")).collect();
    for part in folder.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether a module's address is a path, and so is every one that leads to it.
fn is_local(module: &Module, file: &PlanFile) -> bool {
    let mut key = module.key.as_str();
    while !key.is_empty() {
        let Some(here) = file.modules.iter().find(|it| it.key == key) else { return false };
        if !here.source.as_deref().is_some_and(is_local_address) {
            return false;
        }
        key = key.rsplit_once('.').map_or("", |(parent, _)| parent);
    }
    true
}

/// Whether a module's address is a path.
pub(super) fn is_local_address(source: &str) -> bool {
    [".", ".."].contains(&source)
        || ["./", "../", ".\\", "..\\"].iter().any(|start| source.starts_with(start))
}

/// Compares a plan's sources with a commit's. `generated` says which files that
/// the commit does not have may be there. Fails with what differs, safe to keep
/// and not safe to print.
pub fn compare(
    file: &PlanFile,
    root: &str,
    committed: &Committed,
    generated: &dyn Fn(&str) -> bool,
) -> Result<Sources, Vec<String>> {
    let base = base(file, root);
    let mut differences = Vec::new();
    let mut sources = Sources {
        lock: file.lock.as_deref().map(sha256),
        state: file.state.as_ref().map(|it| (bounded(&it.lineage), it.serial)),
        ..Sources::default()
    };
    for module in &file.modules {
        let mut folder = None;
        if is_local(module, file) {
            folder = joined(&base, &module.folder);
            match &folder {
                None => differences.push(format!("`{}` lies outside the commit", module.folder)),
                Some(folder) if module.key.is_empty() && *folder != trimmed(root) => {
                    differences.push(format!("it is of `{folder}`, not of `{}`", trimmed(root)));
                }
                Some(folder) => {
                    of_module(module, folder, committed.get(folder), generated, &mut differences);
                }
            }
        }
        sources.modules.push(SourceModule {
            key: bounded(&module.key),
            folder: folder.as_deref().map(bounded),
            source: module.source.as_deref().map(bounded),
            version: module.version.as_deref().map(bounded),
            sha256: digest(module),
        });
    }
    let lock = committed.get(&trimmed(root)).and_then(|files| files.get(LOCK_FILE));
    if let (Some(ours), Some(theirs)) = (lock, &file.lock) {
        of_lock(ours, theirs, &mut differences);
    }
    if differences.is_empty() {
        return Ok(sources);
    }
    let more = differences.len().saturating_sub(MAX_NAMED);
    differences.truncate(MAX_NAMED);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(differences.iter().map(|it| bounded(it)).collect())
}

fn of_module(
    module: &Module,
    folder: &str,
    committed: Option<&BTreeMap<String, Vec<u8>>>,
    generated: &dyn Fn(&str) -> bool,
    differences: &mut Vec<String>,
) {
    let path = |name: &str| joined(folder, name).unwrap_or_else(|| name.to_owned());
    let none = BTreeMap::new();
    let committed = committed.unwrap_or(&none);
    for (name, content) in &module.files {
        let path = path(name);
        match committed.get(name) {
            Some(ours) if same(ours, content) => {}
            Some(_) => differences.push(format!("`{path}` differs")),
            None if generated(&path) => {}
            None => differences.push(format!("`{path}` is not in the commit")),
        }
    }
    // OpenTofu reads `a.tofu` and not the `a.tf` beside it; Terraform reads no `.tofu`.
    let is_tofu = module.files.keys().any(|it| it.contains(".tofu"));
    for name in committed.keys().filter(|name| is_source(name)) {
        let shadowed = is_tofu && committed.contains_key(&name.replacen(".tf", ".tofu", 1));
        let foreign = !is_tofu && name.contains(".tofu");
        if !module.files.contains_key(name) && !shadowed && !foreign {
            differences.push(format!("`{}` is in the commit and not in the plan", path(name)));
        }
    }
}

/// The same bytes, but for the ends of lines that git turns at a checkout.
fn same(ours: &[u8], theirs: &[u8]) -> bool {
    ours == theirs || (theirs.contains(&b'\r') && without_returns(ours) == without_returns(theirs))
}

fn without_returns(bytes: &[u8]) -> Vec<u8> {
    let ends_line = |at: usize| bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    (0..bytes.len()).filter(|at| !ends_line(*at)).map(|at| bytes[at]).collect()
}

fn digest(module: &Module) -> String {
    let rows = module.files.iter().map(|(name, content)| format!("{} {name}\n", sha256(content)));
    sha256(rows.collect::<String>().as_bytes())
}

/// The engine writes the lock file anew, so that what it says is compared: the
/// same providers in the same versions, and no digest lost or turned.
fn of_lock(ours: &[u8], theirs: &[u8], differences: &mut Vec<String>) {
    let (ours, theirs) = match (providers(ours), providers(theirs)) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(why), _) | (_, Err(why)) => {
            differences.push(format!("the lock file cannot be read: {why}"));
            return;
        }
    };
    for name in order::set(ours.keys().chain(theirs.keys())) {
        match (ours.get(name), theirs.get(name)) {
            (Some((ours, _)), Some((theirs, _))) if ours != theirs => {
                differences
                    .push(format!("{name} is {theirs}, and {ours} in the commit's lock file"));
            }
            (Some((_, ours)), Some((_, theirs))) if !ours.is_subset(theirs) => {
                differences.push(format!("{name} has other digests than the commit's lock file"));
            }
            (Some(_), Some(_)) => {}
            // A provider that is not needed any more leaves the lock file on `init`.
            (Some(_), None) => {}
            (None, _) => differences.push(format!("{name} is not in the commit's lock file")),
        }
    }
}

type Providers = BTreeMap<String, (String, BTreeSet<String>)>;

fn providers(lock: &[u8]) -> Result<Providers, String> {
    let text = std::str::from_utf8(lock).map_err(|error| error.to_string())?;
    let blocks = hcl::blocks(text).map_err(|error| error.to_string())?;
    let texts = |value: Option<&Expression>| match value {
        Some(Expression::Texts(texts)) => texts.clone(),
        Some(Expression::Other) | None => Vec::new(),
    };
    let of_provider = |block: &hcl::Block| {
        let version = texts(block.attributes.get("version")).join("");
        let hashes = texts(block.attributes.get("hashes")).into_iter().collect();
        Some((block.labels.first()?.clone(), (version, hashes)))
    };
    Ok(blocks.iter().filter(|it| it.kind == "provider").filter_map(of_provider).collect())
}

/// The paths by which a source calls local modules. Fails with a reason where
/// it cannot be read, or an address is not written out.
pub fn local_calls(name: &str, content: &[u8]) -> Result<Vec<String>, String> {
    if !is_source(name) {
        return Ok(Vec::new());
    }
    let texts = if name.ends_with(".json") { json_calls(content)? } else { hcl_calls(content)? };
    Ok(texts.into_iter().filter(|it| is_local_address(it)).collect())
}

fn hcl_calls(content: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let blocks = hcl::blocks(text).map_err(|error| error.to_string())?;
    let mut calls = Vec::new();
    for block in blocks.iter().filter(|block| block.kind == "module") {
        match block.attributes.get("source") {
            Some(Expression::Texts(texts)) => calls.extend(texts.iter().cloned()),
            Some(Expression::Other) => {
                let name = block.labels.join(" ");
                return Err(format!("the source of the module `{name}` is not written out"));
            }
            None => {}
        }
    }
    Ok(calls)
}

/// `{"module": {"edge": {"source": "../edge"}}}`, each level perhaps in lists.
fn json_calls(content: &[u8]) -> Result<Vec<String>, String> {
    let document: Value = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    let modules = each(&document).into_iter().filter_map(|it| it.get("module")).flat_map(each);
    let bodies = modules.filter_map(Value::as_object).flat_map(|it| it.values()).flat_map(each);
    let sources = bodies.filter_map(|body| body.get("source"));
    Ok(sources.filter_map(Value::as_str).map(str::to_owned).collect())
}

fn each(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"[{"Key":"","Dir":"."},
        {"Key":"edge","Source":"../edge","Dir":"../edge"},
        {"Key":"vpc","Source":"terraform-aws-modules/vpc/aws","Version":"5.0.0","Dir":".terraform/modules/vpc"},
        {"Key":"vpc.inner","Source":"./inner","Dir":".terraform/modules/vpc/inner"}]"#;

    fn plan(files: &[(&str, &str)]) -> PlanFile {
        let all = [files, &[("tfconfig/modules.json", LIST)]].concat();
        let parts = all.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        PlanFile::of_parts(parts.collect(), None).unwrap()
    }

    const OURS: &[(&str, &str)] = &[("tfconfig/m-/main.tf", "a"), ("tfconfig/m-edge/main.tf", "b")];

    fn committed(files: &[(&str, &str)]) -> Committed {
        let mut committed = Committed::new();
        for (path, text) in files {
            let (folder, name) = path.rsplit_once('/').unwrap();
            let files = committed.entry(folder.to_owned()).or_default();
            files.insert(name.to_owned(), text.as_bytes().to_vec());
        }
        committed
    }

    #[track_caller]
    fn check(plan_files: &[(&str, &str)], files: &[(&str, &str)], expected: &[&str]) {
        let generated = |path: &str| path.ends_with("/backend.tf");
        let found = compare(&plan(plan_files), "infra/prod", &committed(files), &generated);
        assert_eq!(found.err().unwrap_or_default(), expected);
    }

    #[test]
    fn a_plan_of_the_very_files_is_accepted() {
        let ours = &[
            ("infra/prod/main.tf", "a"),
            ("infra/edge/main.tf", "b"),
            ("infra/edge/README.md", ""),
        ];
        check(OURS, ours, &[]);
        let with = |more: &[(&'static str, &'static str)]| [OURS, more].concat();
        check(
            &with(&[("tfconfig/m-vpc/main.tf", "x"), ("tfconfig/m-vpc.inner/main.tf", "y")]),
            ours,
            &[],
        );
        check(&with(&[("tfconfig/m-/backend.tf", "generated")]), ours, &[]);
        let returns = &[("tfconfig/m-/main.tf", "a\r\n"), ("tfconfig/m-edge/main.tf", "b")];
        check(returns, &[("infra/prod/main.tf", "a\n"), ("infra/edge/main.tf", "b")], &[]);
        let folders = folders(&plan(OURS), "infra/prod/");
        assert_eq!(folders.into_iter().collect::<Vec<_>>(), ["infra/edge", "infra/prod"]);
    }

    #[test]
    fn every_difference_is_named() {
        let ours =
            &[("infra/prod/main.tf", "a"), ("infra/edge/main.tf", "B"), ("infra/edge/more.tf", "")];
        check(
            &[OURS, &[("tfconfig/m-/extra.tf", "")]].concat(),
            ours,
            &[
                "`infra/prod/extra.tf` is not in the commit",
                "`infra/edge/main.tf` differs",
                "`infra/edge/more.tf` is in the commit and not in the plan",
            ],
        );
        check(OURS, &[("infra/prod/main.tf", "a")], &["`infra/edge/main.tf` is not in the commit"]);
        let mut outside = plan(OURS);
        outside.modules[1].folder = "../../../edge".to_owned();
        let found = compare(&outside, "infra/prod", &committed(ours), &|_| false);
        assert_eq!(found.unwrap_err(), ["`../../../edge` lies outside the commit"]);
    }

    #[test]
    fn a_plan_of_another_root_is_refused() {
        let mut other = plan(OURS);
        other.modules[0].folder = "infra/test".to_owned();
        other.modules[1].folder = "infra/edge".to_owned();
        let ours = committed(&[("infra/test/main.tf", "a"), ("infra/edge/main.tf", "b")]);
        let found = compare(&other, "infra/prod", &ours, &|_| false);
        assert_eq!(found.unwrap_err(), ["it is of `infra/test`, not of `infra/prod`"]);
        assert!(compare(&other, "infra/test", &ours, &|_| false).is_ok());
    }

    #[test]
    fn locked_providers_are_compared_by_what_they_say() {
        let lock = |version: &str, hashes: &str| {
            format!(
                "provider \"registry.example.com/a/b\" {{\n  version = \"{version}\"\n  hashes = [{hashes}]\n}}\n"
            )
        };
        let check = |ours: &str, theirs: &str, expected: &[&str]| {
            let theirs = [OURS, &[(".terraform.lock.hcl", theirs)]].concat();
            let files = [
                ("infra/prod/main.tf", "a"),
                ("infra/edge/main.tf", "b"),
                ("infra/prod/.terraform.lock.hcl", ours),
            ];
            super::tests::check(&theirs, &files, expected);
        };
        let one = lock("1.0.0", "\"h1:a\"");
        check(&one, &lock("1.0.0", "\n\"h1:a\",\n\"h1:b\",\n"), &[]);
        let name = "registry.example.com/a/b";
        check(
            &one,
            &lock("1.0.1", "\"h1:a\""),
            &[&format!("{name} is 1.0.1, and 1.0.0 in the commit's lock file")],
        );
        check(
            &one,
            &lock("1.0.0", "\"h1:c\""),
            &[&format!("{name} has other digests than the commit's lock file")],
        );
        check("", &one, &[&format!("{name} is not in the commit's lock file")]);
        check(
            "provider {",
            &one,
            &["the lock file cannot be read: line 1 is no HCL: `}` was expected"],
        );
    }

    #[test]
    fn local_calls_are_found_in_both_syntaxes() {
        let text = "module \"a\" {\n  source = \"../edge\"\n}\nmodule \"b\" {\n  source = \"x/y/aws\"\n}\n";
        assert_eq!(local_calls("a.tf", text.as_bytes()), Ok(vec!["../edge".to_owned()]));
        assert_eq!(local_calls("README.md", text.as_bytes()), Ok(Vec::new()));
        let json = br#"{"module": [{"a": {"source": "./a"}}, {"b": [{"source": "../b"}]}]}"#;
        assert_eq!(local_calls("a.tf.json", json), Ok(vec!["./a".to_owned(), "../b".to_owned()]));
        let unknown = local_calls("a.tofu", b"module \"a\" {\n  source = var.x\n}");
        assert_eq!(unknown, Err("the source of the module `a` is not written out".to_owned()));
        assert!(local_calls("a.tf", b"module {").is_err());
    }
}
