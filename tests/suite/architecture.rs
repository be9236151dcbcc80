//! Holds the code to the layers that ARCHITECTURE.md draws.

use std::path::{Path, PathBuf};

/// Who may name whom.
const LAYERS: &[(&str, &[&str])] = &[
    ("gate", &["gate"]),
    ("adapters", &["adapters", "gate"]),
    ("jobs", &["jobs", "adapters", "gate"]),
    ("cli", &["cli", "jobs", "gate"]),
];

#[test]
fn each_layer_names_only_the_layers_below_it() {
    let mut wrong = Vec::new();
    for (layer, may_name) in LAYERS {
        for path in rust_files(&Path::new("src").join(layer)) {
            let text = std::fs::read_to_string(&path).unwrap();
            for (other, _) in LAYERS.iter().filter(|(other, _)| !may_name.contains(other)) {
                if text.contains(&format!("crate::{other}::")) {
                    wrong.push(format!("{} names crate::{other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_gate_touches_nothing_outside() {
    const OUTSIDE: &[&str] = &[
        "std::fs",
        "std::env",
        "std::process",
        "std::net",
        "std::io",
        "std::thread",
        "SystemTime",
        "Instant::",
        "git2",
        "dialoguer",
        "tempfile",
        " println!",
        " eprintln!",
    ];
    let mut wrong = Vec::new();
    for path in rust_files(Path::new("src/gate")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in OUTSIDE.iter().filter(|name| text.contains(**name)) {
            wrong.push(format!("{} names {name}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every module has its place in ARCHITECTURE.md, and nothing stands there that is gone.
#[test]
fn every_module_stands_in_the_picture() {
    let text = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    for (layer, _) in LAYERS {
        let heading = format!("### src/{layer}\n");
        let section = text.split(&heading).nth(1).unwrap().split("\n### ").next().unwrap();
        let mut named: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(" |").next())
            .flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`')))
            .collect();
        named.sort_unstable();
        let mut modules: Vec<String> = std::fs::read_dir(Path::new("src").join(layer))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| name != "mod")
            .collect();
        modules.sort_unstable();
        assert_eq!(named, modules, "{layer}");
    }
}

/// Every dependency is used where `Cargo.toml` says that its home is, and nowhere else.
#[test]
fn every_dependency_is_at_home() {
    let manifest = std::fs::read_to_string("Cargo.toml").unwrap();
    let mut wrong = Vec::new();
    let mut home = None;
    let mut is_dependency = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            // The build script stands outside the layers.
            is_dependency = line.ends_with("dependencies]") && line != "[build-dependencies]";
        } else if let Some((_, homes)) = line.split_once(" Home: ").filter(|_| is_dependency) {
            home = Some(homes.trim_end_matches('.'));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| is_dependency) {
            match home.take() {
                Some(homes) => wrong.extend(away_from_home(&name.replace('-', "_"), homes)),
                None => wrong.push(format!("{name} has no home")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where a dependency is used and should not be, or should be and is not.
fn away_from_home(name: &str, homes: &str) -> Vec<String> {
    let root = if homes == "tests" { "tests" } else { "src" };
    let names = [format!("{name}::"), format!("use {name}"), format!("{name}!")];
    let users: Vec<String> = rust_files(Path::new(root))
        .into_iter()
        .filter(|path| root == "tests" || path.file_name().is_none_or(|it| it != "tests.rs"))
        .filter(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            // Tests within the sources use what they need.
            let end = text.find("\n#[cfg(test)]\n").filter(|_| root == "src");
            let code = &text[..end.unwrap_or(text.len())];
            code.lines().any(|line| names.iter().any(|it| has_word(line, it)))
        })
        .map(|path| path.with_extension("").to_str().unwrap().to_owned())
        .collect();
    if matches!(homes, "everywhere" | "tests") {
        let unused = users.is_empty();
        return unused.then(|| format!("{name} is not used")).into_iter().collect();
    }
    let homes: Vec<String> = homes.split(", ").map(|home| format!("{root}/{home}")).collect();
    let below = |user: &str, home: &str| user == home || user.starts_with(&format!("{home}/"));
    let strays = users.iter().filter(|user| !homes.iter().any(|home| below(user, home)));
    let empty = homes.iter().filter(|home| !users.iter().any(|user| below(user, home)));
    strays
        .map(|user| format!("{name} is used in {user}"))
        .chain(empty.map(|home| format!("{name} is not used in {home}")))
        .collect()
}

/// Whether a line has the text, not as the end of a longer name.
fn has_word(line: &str, text: &str) -> bool {
    let inside = |it: char| it.is_alphanumeric() || it == '_' || it == ':';
    line.match_indices(text).any(|(at, _)| !line[..at].ends_with(inside))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
