//! The engine's own plan file, a zip: `tfplan`, `tfstate`, the sources that it
//! was made from below `tfconfig/` (with `tfconfig/modules.json` to say where
//! each module's stood), and the lock file of the providers. As written by
//! Terraform 0.12 to 1.x and OpenTofu (their `planfile` and `configload`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::bounded;

/// What the names of the sources begin with.
pub const SOURCES: &str = "tfconfig/";
const MODULES: &str = "tfconfig/modules.json";
/// The name of the providers' lock file, in a plan file and in a root's folder.
pub const LOCK_FILE: &str = ".terraform.lock.hcl";

/// What a plan file holds beside the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanFile {
    /// The root module first, then by key.
    pub modules: Vec<Module>,
    /// The bytes of the providers' lock file.
    pub lock: Option<Vec<u8>>,
    /// Which state it starts from.
    pub state: Option<StateIdentity>,
}

/// A module's sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// `edge.inner`; empty: the root.
    pub key: String,
    /// The address that it was called by.
    pub source: Option<String>,
    pub version: Option<String>,
    /// Where it stood, from the folder in which the plan was made.
    pub folder: String,
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Which state a plan starts from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StateIdentity {
    #[serde(default)]
    pub lineage: String,
    #[serde(default)]
    pub serial: u64,
}

/// Why a file is no plan of an engine.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    #[error("the plan file has no `{0}`")]
    Absent(&'static str),
    #[error("the plan file's `{0}` stands in it twice")]
    Twice(String),
    #[error("the plan file's list of modules cannot be read")]
    Modules(#[source] serde_json::Error),
    #[error("the plan file's list of modules lacks `{0}`")]
    Unlisted(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    version: Option<String>,
    dir: String,
}

/// Whether these bytes begin as an engine's own plan does.
pub fn is_plan_file(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK")
}

impl PlanFile {
    /// Puts the parts of a plan file together, by their names in it.
    pub fn of_parts(
        mut parts: BTreeMap<String, Vec<u8>>,
        state: Option<StateIdentity>,
    ) -> Result<PlanFile, PlanFileError> {
        let lock = parts.remove(LOCK_FILE);
        Ok(PlanFile { modules: modules(parts)?, lock, state })
    }
}

/// The sources by module, as `modules.json` lists them.
fn modules(mut parts: BTreeMap<String, Vec<u8>>) -> Result<Vec<Module>, PlanFileError> {
    let list = parts.remove(MODULES).ok_or(PlanFileError::Absent(MODULES))?;
    let listed: Vec<Listed> = serde_json::from_slice(&list).map_err(PlanFileError::Modules)?;
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    for it in listed {
        let module = Module {
            key: it.key.clone(),
            source: it.source.filter(|it| !it.is_empty()),
            version: it.version.filter(|it| !it.is_empty()),
            folder: it.dir.replace('\\', "/"),
            files: BTreeMap::new(),
        };
        if modules.insert(it.key.clone(), module).is_some() {
            return Err(PlanFileError::Twice(bounded(&it.key)));
        }
    }
    for (name, content) in parts {
        // `tfconfig/m-<key>/<file>`
        let unlisted = || PlanFileError::Unlisted(bounded(&name));
        let below = name.strip_prefix(SOURCES).and_then(|it| it.strip_prefix("m-"));
        let (key, file) = below.and_then(|it| it.split_once('/')).ok_or_else(unlisted)?;
        let module = modules.get_mut(key).ok_or_else(unlisted)?;
        module.files.insert(file.to_owned(), content);
    }
    if !modules.contains_key("") {
        return Err(PlanFileError::Unlisted("the root module".to_owned()));
    }
    Ok(modules.into_values().collect())
}
