//! Writes the built-in tables as JSON, the agents without the examples that only
//! tests and documentation read: parsing TOML would cost each hook a millisecond.
//!
//! The released program holds no index of its frames: a panic ends it, and without
//! symbols a trace would name nothing.

#![expect(clippy::disallowed_methods, reason = "a build script reads and writes files itself")]
#![expect(clippy::unwrap_used, reason = "a panic is how a build script fails")]

use std::path::Path;

const CATALOGUE: &str = "src/gate/signal/agents.toml";
const LANGUAGES: &str = "src/gate/language/languages.toml";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={CATALOGUE}");
    println!("cargo::rerun-if-changed={LANGUAGES}");
    if variable("PROFILE") == "release" && variable("CARGO_CFG_TARGET_OS") == "linux" {
        link_less();
    }
    let text = std::fs::read_to_string(CATALOGUE).unwrap();
    let mut file: toml::Table = text.parse().unwrap();
    let agents = file["agent"].as_array_mut().unwrap();
    for agent in agents.iter_mut() {
        agent.as_table_mut().unwrap().remove("examples");
    }
    let folder = std::env::var_os("OUT_DIR").unwrap();
    let json = serde_json::to_string(&agents).unwrap();
    std::fs::write(Path::new(&folder).join("agents.json"), json).unwrap();
    let languages: toml::Table = std::fs::read_to_string(LANGUAGES).unwrap().parse().unwrap();
    let json = serde_json::to_string(&languages).unwrap();
    std::fs::write(Path::new(&folder).join("languages.json"), json).unwrap();
}

/// Leaves out of the program on Linux what is only there to unwind, and loads one
/// library less at every start: the C compiler's own, where it has it in an archive.
fn link_less() {
    println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    if variable("CARGO_CFG_TARGET_ENV") != "gnu" || variable("TARGET") != variable("HOST") {
        return;
    }
    let mut compiler = std::process::Command::new("cc");
    let Ok(output) = compiler.arg("-print-file-name=libgcc_eh.a").output() else { return };
    let path = String::from_utf8_lossy(&output.stdout);
    let archive = Path::new(path.trim_end());
    // A compiler that has none prints the bare name.
    if let Some(folder) = archive.parent().filter(|_| archive.is_absolute() && archive.is_file()) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
