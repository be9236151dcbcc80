//! Which packages of a monorepo a change affects: those whose files it
//! touches, and all that depend on them. Read from the manifests of the very
//! commit, without running anything.
//!
//! Whatever is not clear affects all of them: a file of no package, the
//! workspace's own files, dependencies that a manifest does not tell.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{RepoPath, printable};
use super::evidence::Answer;
use super::policy::Globs;
use crate::gate::order;

mod cargo;
mod go;
mod node;
mod python;

/// A manifest larger than this is not read.
pub const LARGEST_MANIFEST: u64 = 1 << 20;
/// The most manifests of one workspace.
pub const MOST_MANIFESTS: usize = 20_000;

/// Options that take one package each: `-p {packages}` repeats them.
const OPTIONS: &[&str] =
    &["-p", "--package", "-w", "--workspace", "-F", "--filter", "--include", "--project"];

/// Whose packages they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecosystem {
    /// A Cargo workspace.
    Cargo,
    /// A workspace of npm, pnpm or Yarn.
    Node,
    /// The modules of a `go.work`, else every `go.mod`.
    Go,
    /// A workspace of uv or Hatch, else every `pyproject.toml` with a name.
    Python,
}

impl Ecosystem {
    /// All of them.
    pub const ALL: [Ecosystem; 4] =
        [Ecosystem::Cargo, Ecosystem::Node, Ecosystem::Go, Ecosystem::Python];

    /// The word of the policy's `packages`.
    pub fn word(self) -> &'static str {
        match self {
            Ecosystem::Cargo => "cargo",
            Ecosystem::Node => "node",
            Ecosystem::Go => "go",
            Ecosystem::Python => "python",
        }
    }

    /// The ecosystem whose program a command starts.
    pub fn of_program(program: &str) -> Option<Ecosystem> {
        let name = program.rsplit('/').next().unwrap_or(program);
        match name {
            "cargo" | "cross" => Some(Ecosystem::Cargo),
            "npm" | "npx" | "pnpm" | "yarn" | "bun" => Some(Ecosystem::Node),
            "go" | "gotestsum" => Some(Ecosystem::Go),
            "uv" | "hatch" | "poetry" | "pdm" | "pytest" | "python" | "python3" | "tox" => {
                Some(Ecosystem::Python)
            }
            _ => None,
        }
    }

    /// The names of files that say what packages there are.
    fn manifests(self) -> &'static [&'static str] {
        match self {
            Ecosystem::Cargo => &["Cargo.toml"],
            Ecosystem::Node => &["package.json", "pnpm-workspace.yaml"],
            Ecosystem::Go => &["go.mod", "go.work"],
            Ecosystem::Python => &["pyproject.toml"],
        }
    }
}

/// `packages` and `workspace` of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub ecosystem: Ecosystem,
    /// The folder of the workspace; empty: the repository's root.
    pub root: String,
}

impl Selection {
    /// Whether the file says what packages there are.
    pub fn is_manifest(&self, path: &RepoPath) -> bool {
        let text = String::from_utf8_lossy(path.as_bytes());
        let Some(rest) = below(&self.root, &text) else { return false };
        let name = rest.rsplit('/').next().unwrap_or(rest);
        self.ecosystem.manifests().contains(&name)
            && !rest.split('/').any(|part| part == "node_modules")
    }

    /// Reads the packages from the manifests' bytes, by path. Fails with what
    /// is wrong with them.
    pub fn read(&self, files: &BTreeMap<String, Vec<u8>>) -> Answer<Workspace> {
        let manifests = Manifests { root: &self.root, files };
        let mut packages = match self.ecosystem {
            Ecosystem::Cargo => cargo::read(&manifests)?,
            Ecosystem::Node => node::read(&manifests)?,
            Ecosystem::Go => go::read(&manifests)?,
            Ecosystem::Python => python::read(&manifests)?,
        };
        order::sort_by(&mut packages, |one, other| one.folder.cmp(&other.folder));
        if packages.is_empty() {
            return Err(format!("no {} package was found", self.ecosystem.word()));
        }
        for package in &packages {
            if !is_plain(&package.name) {
                let name = printable(&package.name);
                return Err(format!(
                    "`{name}` is no name of a package that a command can be given"
                ));
            }
        }
        Ok(Workspace { selection: self.clone(), packages })
    }
}

/// One package as its manifest tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Package {
    /// What its tool calls it on a command line.
    name: String,
    /// From the repository's root; empty for that itself.
    folder: String,
    /// As what others depend on it.
    known_as: String,
    /// What it depends on: others' `known_as`, or names of no package here.
    uses: BTreeSet<String>,
    /// Folders that it depends on.
    uses_folders: BTreeSet<String>,
    /// Its manifest does not tell what it depends on.
    uses_any: bool,
}

/// The packages of one workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    selection: Selection,
    packages: Vec<Package>,
}

/// The packages that a test is run for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Names and folders (`./a`, `.`), in the order of the folders; never empty.
    pub packages: Vec<(String, String)>,
    /// Why all of them are; safe to print.
    pub all: Option<String>,
}

impl Affected {
    /// The names, as `{packages}` gives them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().map(|(name, _)| name.as_str())
    }

    /// For people: `packages a and b`, `all 12 packages (`x` belongs to none)`.
    pub fn describe(&self) -> String {
        let names: Vec<&str> = self.names().collect();
        match (&self.all, names.as_slice()) {
            (Some(why), _) => format!("all {} packages ({why})", names.len()),
            (None, [one]) => format!("package {one}"),
            (None, few) if few.len() <= 6 => format!("packages {}", few.join(", ")),
            (None, many) => {
                format!("packages {} and {} more", many[..5].join(", "), many.len() - 5)
            }
        }
    }
}

impl Workspace {
    /// The packages that changes of these files affect.
    pub fn affected<'a>(&self, paths: impl IntoIterator<Item = &'a RepoPath>) -> Affected {
        let mut found: BTreeSet<usize> = BTreeSet::new();
        let mut all = None;
        for path in paths {
            match self.owner(&String::from_utf8_lossy(path.as_bytes())) {
                Some(owner) => drop(found.insert(owner)),
                None => {
                    all = Some(format!("`{}` belongs to none", path.to_display()));
                    break;
                }
            }
        }
        if found.is_empty() && all.is_none() {
            all = Some("no file is changed".to_owned());
        }
        let chosen: Vec<&Package> = match &all {
            Some(_) => self.packages.iter().collect(),
            None => {
                let found = self.with_dependents(found);
                found.into_iter().filter_map(|at| self.packages.get(at)).collect()
            }
        };
        let row = |package: &Package| {
            let path = match package.folder.as_str() {
                "" => ".".to_owned(),
                folder => format!("./{folder}"),
            };
            (package.name.clone(), path)
        };
        Affected { packages: chosen.into_iter().map(row).collect(), all }
    }

    /// The package to which a file belongs: the innermost around it.
    fn owner(&self, path: &str) -> Option<usize> {
        let root = &self.selection.root;
        let holds = |package: &Package| {
            let Some(rest) = below(&package.folder, path) else { return false };
            package.folder != *root || self.root_owns(package, rest)
        };
        let owners = self.packages.iter().enumerate().filter(|(_, package)| holds(package));
        owners.max_by_key(|(_, package)| package.folder.len()).map(|(at, _)| at)
    }

    /// Whether a file belongs to the package at the workspace's root, rather
    /// than to all of them: only where its tool looks for its sources.
    fn root_owns(&self, package: &Package, path: &str) -> bool {
        let first = path.split_once('/').map_or("", |(folder, _)| folder);
        match self.selection.ecosystem {
            Ecosystem::Cargo => {
                matches!(first, "src" | "tests" | "benches" | "examples") || path == "build.rs"
            }
            Ecosystem::Node => false,
            Ecosystem::Go => match first {
                "" => path.ends_with(".go"),
                folder => !folder.starts_with(['.', '_']),
            },
            Ecosystem::Python => {
                matches!(first, "src" | "tests" | "test")
                    || first == package.known_as.replace('-', "_")
            }
        }
    }

    /// The same with every package that depends on one of them.
    fn with_dependents(&self, mut found: BTreeSet<usize>) -> BTreeSet<usize> {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut by_folder: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, package) in self.packages.iter().enumerate() {
            for name in &package.uses {
                by_name.entry(name).or_default().push(at);
            }
            for folder in &package.uses_folders {
                by_folder.entry(folder).or_default().push(at);
            }
            if package.uses_any {
                found.insert(at);
            }
        }
        let mut open: Vec<usize> = found.iter().copied().collect();
        while let Some(package) = open.pop().and_then(|at| self.packages.get(at)) {
            let named = by_name.get(package.known_as.as_str());
            let placed = by_folder.get(package.folder.as_str());
            for user in named.into_iter().chain(placed).flatten() {
                if found.insert(*user) {
                    open.push(*user);
                }
            }
        }
        found
    }
}

/// Fills `{packages}` and `{package_paths}`: a word that holds one becomes a
/// word for each package, and an option that takes one package, in front of
/// such a word, is repeated with it.
pub fn fill(words: &[String], affected: &Affected) -> Vec<String> {
    let mut filled: Vec<String> = Vec::new();
    for word in words {
        if !is_placeholder(word) {
            filled.push(word.clone());
            continue;
        }
        let option = filled.pop_if(|it| OPTIONS.contains(&it.as_str()));
        for (name, path) in &affected.packages {
            filled.extend(option.clone());
            filled.push(word.replace("{packages}", name).replace("{package_paths}", path));
        }
    }
    filled
}

/// Whether a word is to be filled with packages.
pub fn is_placeholder(word: &str) -> bool {
    word.contains("{packages}") || word.contains("{package_paths}")
}

/// Whether a name cannot be taken for an option, a pattern or several words.
fn is_plain(name: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.@/~+".contains(it);
    !name.starts_with(['-', '~', '+'])
        && !name.is_empty()
        && name.chars().all(|it| plain(it) || (!it.is_ascii() && it.is_alphanumeric()))
}

/// What follows a folder in a path; `None`: it lies outside.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// The manifests of a commit.
struct Manifests<'a> {
    root: &'a str,
    files: &'a BTreeMap<String, Vec<u8>>,
}

impl Manifests<'_> {
    /// The text of a manifest in a folder; `None`: there is none.
    fn text(&self, folder: &str, name: &str) -> Answer<Option<&str>> {
        let path = place(folder, name);
        let Some(bytes) = self.files.get(&path) else { return Ok(None) };
        let text = std::str::from_utf8(bytes);
        text.map(Some).map_err(|_| format!("`{}` is no UTF-8", printable(&path)))
    }

    /// A manifest in TOML.
    fn toml(&self, folder: &str, name: &str) -> Answer<Option<toml::Table>> {
        let Some(text) = self.text(folder, name)? else { return Ok(None) };
        let table = text.parse::<toml::Table>();
        table.map(Some).map_err(|error| unreadable(&place(folder, name), error.message()))
    }

    /// A manifest in JSON.
    fn json(&self, folder: &str, name: &str) -> Answer<Option<serde_json::Value>> {
        let Some(text) = self.text(folder, name)? else { return Ok(None) };
        let value = serde_json::from_str(text.trim_start_matches('\u{feff}'));
        value.map(Some).map_err(|error| unreadable(&place(folder, name), &error.to_string()))
    }

    /// The folders that hold a manifest of this name.
    fn folders(&self, name: &str) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(move |path| match path.strip_suffix(name)? {
            "" => Some(""),
            folder => folder.strip_suffix('/'),
        })
    }

    /// The folders with a manifest of this name that the patterns choose;
    /// a pattern that begins with `!` takes away again.
    fn chosen(&self, patterns: &[String], name: &str) -> Answer<Vec<String>> {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for pattern in patterns.iter().flat_map(|it| braces(it)) {
            let (list, pattern) = match pattern.strip_prefix('!') {
                Some(pattern) => (&mut unwanted, pattern),
                None => (&mut wanted, pattern.as_str()),
            };
            let Some(folder) = joined(self.root, pattern.trim_start_matches('/')) else { continue };
            list.push(format!("/{}", place(&folder, name)));
        }
        let globs = |list: &[String]| Globs::new(list).map_err(|error| error.to_string());
        let (wanted, unwanted) = (globs(&wanted)?, globs(&unwanted)?);
        let is_chosen = |folder: &&str| {
            let path = RepoPath::new(place(folder, name).as_str());
            wanted.matches(&path) && !unwanted.matches(&path)
        };
        Ok(self.folders(name).filter(is_chosen).map(str::to_owned).collect())
    }
}

fn unreadable(path: &str, why: &str) -> String {
    format!("`{}` cannot be read: {}", printable(path), printable(why))
}

fn place(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A folder named from another; `None`: it lies outside the repository.
fn joined(base: &str, folder: &str) -> Option<String> {
    super::preview::joined(base, folder)
}

/// `a/{b,c}` as `a/b` and `a/c`.
fn braces(pattern: &str) -> Vec<String> {
    let parts = pattern.split_once('{').and_then(|(start, rest)| {
        let (choices, end) = rest.split_once('}')?;
        choices.contains(',').then_some((start, choices, end))
    });
    let Some((start, choices, end)) = parts else { return vec![pattern.to_owned()] };
    choices
        .split(',')
        .take(64)
        .flat_map(|it| braces(&format!("{start}{it}{end}")))
        .take(256)
        .collect()
}

/// The texts of a list of TOML.
fn texts(value: Option<&toml::Value>) -> Vec<String> {
    let list = value.and_then(toml::Value::as_array).into_iter().flatten();
    list.filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
