//! What the documentation shows is what the program reads, and what it says
//! about the program is made from it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use countersign::cli::args::Arguments;
use countersign::gate::policy::Policy;
use countersign::gate::policy::schema::schema;
use countersign::gate::verdict::Code;

use crate::fixture::{TestRepo, feed};

/// The fenced blocks of one language, each with its line.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.trim_end()) {
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, block)), line) => block.push_str(&format!("{line}\n")),
            (None, line) if line == format!("```{language}") => {
                open = Some((number + 2, String::new()));
            }
            (None, _) => {}
        }
    }
    blocks
}

/// Every page of the documentation.
fn pages() -> Vec<PathBuf> {
    let folders = [".", "docs"].map(|it| std::fs::read_dir(it).unwrap());
    let paths = folders.into_iter().flatten().map(|it| it.unwrap().path());
    let mut pages: Vec<_> =
        paths.filter(|it| it.extension().is_some_and(|it| it == "md")).collect();
    pages.sort();
    pages
}

/// Compares a page that is made with the one that is kept; `SNAPSHOTS=overwrite
/// cargo test` writes it anew.
#[track_caller]
fn is_kept(path: &str, text: String) {
    snapbox::assert_data_eq!(text, snapbox::Data::read_from(Path::new(path), None).raw());
}

#[test]
fn every_toml_block_is_a_policy() {
    let mut count = 0;
    for path in pages() {
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, block) in blocks(&text, "toml") {
            count += 1;
            Policy::parse(&block, "block").unwrap_or_else(|error| {
                panic!("the block at {}:{line} is no policy:\n{error}", path.display())
            });
        }
    }
    assert!(count >= 10, "only {count} blocks were found");
}

#[test]
fn every_requirement_has_its_section() {
    let text = std::fs::read_to_string("docs/policy.md").unwrap();
    let schema = schema();
    let require = &schema["properties"]["rule"]["items"]["properties"]["require"]["properties"];
    let words: Vec<&String> = require.as_object().unwrap().keys().collect();
    assert!(words.len() >= 5, "{words:?}");
    for word in words {
        assert!(text.contains(&format!("\n### `require.{word}`\n")), "{word}");
    }
}

#[test]
fn every_key_of_the_policy_stands_in_its_page() {
    let text = std::fs::read_to_string("docs/policy.md").unwrap();
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    let words: std::collections::BTreeSet<&str> = text.split(|it| !is_part(it)).collect();
    let mut keys = Vec::new();
    keys_below(&schema(), &mut keys);
    keys.retain(|key| !words.contains(key.as_str()));
    assert!(keys.is_empty(), "{keys:?}");
}

/// The keys that a JSON Schema knows, at any depth.
fn keys_below(schema: &serde_json::Value, keys: &mut Vec<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        keys.extend(properties.keys().cloned());
    }
    for value in schema.as_object().into_iter().flat_map(|it| it.values()) {
        keys_below(value, keys);
    }
    for value in schema.as_array().into_iter().flatten() {
        keys_below(value, keys);
    }
}

const COMMANDS: &str = "\
# The command line

This page is made from the program's own help; `SNAPSHOTS=overwrite cargo test` writes it anew.

`RANGE` is `A..B`: the net change from the merge base of A and B to B. Every command ends with 0 (it passes, or it was
done), 1 (blocked), 2 (could not decide: usage, policy, repository, or a bug) or 130 (interrupted). With `--format json` a
command that could not decide prints `{\"schema\": …, \"verdict\": \"error\", \"error\": {\"kind\", \"message\", \"hints\"}}`.
";

#[test]
fn the_page_of_commands_shows_the_help() {
    let mut command = Arguments::command().term_width(100);
    command.build();
    let mut text = COMMANDS.to_owned();
    describe(&mut command, "countersign", &mut text);
    is_kept("docs/cli.md", text);
}

/// Writes a command's section, and its own commands'.
fn describe(command: &mut clap::Command, name: &str, text: &mut String) {
    let help = command.render_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    // What every command takes stands with the first.
    const EVERYWHERE: [&str; 6] = ["directory", "color", "quiet", "verbose", "format", "help"];
    for part in command.get_subcommands_mut().filter(|it| !it.is_hide_set()) {
        let mut part = part.clone();
        for option in EVERYWHERE {
            part = part.mut_arg(option, |it| it.hide(true));
        }
        let name = format!("{name} {}", part.get_name());
        describe(&mut part, &name, text);
    }
}

const FINDINGS: &str = "\
# Findings

What can be wrong with a change. This page is made from the program's own list; `SNAPSHOTS=overwrite cargo test` writes
it anew. The codes are stable: scripts may compare them.

A finding has a level: `block` (the change may not pass), `warn` (it may; somebody should know) or `note`. It names the rule that asks, what is
there and what is not, the files, and the next command if one helps. `countersign explain` says more about each. In the mode `observe` the
findings are the same and the exit status is 0.

| code | meaning |
|---|---|
";

#[test]
fn the_page_of_findings_shows_every_code() {
    let mut text = FINDINGS.to_owned();
    for code in Code::ALL {
        writeln!(text, "| `{}` | {} |", code.as_str(), code.description()).unwrap();
    }
    is_kept("docs/findings.md", text);
}

/// The places that a page links to: `[…](place)`, outside of fences.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        if !fenced {
            let parts = line.split("](").skip(1);
            found.extend(parts.filter_map(|part| part.split_once(')')).map(|it| it.0.to_owned()));
        }
    }
    found
}

/// A heading's anchor, as forges make it.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text).iter().filter(|it| !it.starts_with("https://")) {
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            let known = match std::fs::read_to_string(&target) {
                Err(_) => target.is_dir(),
                Ok(_) if part.is_empty() => true,
                Ok(text) => text.lines().any(|it| it.starts_with('#') && anchor(it) == part),
            };
            if !known {
                wrong.push(format!("{} links to {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_page_names_a_machine() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for place in ["/tmp/", "/root/", "/Users/", "localhost", "127.0.0.1"] {
            for line in text.lines().filter(|it| it.contains(place)) {
                wrong.push(format!("{}: {line}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The picture of a blocked push is what the program says, with the policy
/// that the page shows.
#[test]
fn the_readme_shows_a_real_push() {
    let page = std::fs::read_to_string("README.md").unwrap();
    let (_, policy) = blocks(&page, "toml").remove(0);
    let (_, picture) = blocks(&page, "console").remove(0);
    let repo = TestRepo::new();
    repo.git(&["init", "-q", "--bare", "-b", "main", "../shop.git"]);
    repo.git(&["remote", "add", "origin", "../shop.git"]);
    repo.write("services/checkout/test.sh", "grep -q total services/checkout/cart.sh\n");
    repo.commit_file("ana", "services/checkout/cart.sh", "total=1\n", "checkout: add the cart");
    repo.commit_file("ana", "countersign.toml", &policy, "Add the policy");
    repo.git(&["push", "-q", "origin", "main"]);
    let message = "checkout: round totals\n\nCo-authored-by: Claude <noreply@anthropic.com>\n";
    repo.commit_file("ana", "services/checkout/cart.sh", "total=2\n", message);
    let installed = repo.countersign(&["install"]);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    // A feature branch passes; its tests run, and are not run again.
    repo.git(&["push", "-q", "origin", "main:round-totals"]);
    let push = repo.git_command(&["push", "origin", "main"]).output().unwrap();
    assert_eq!(push.status.code(), Some(1));
    let said = String::from_utf8_lossy(&push.stderr);
    snapbox::assert_data_eq!(format!("$ git push origin main\n{said}"), picture);
}

/// What stands in the threat model is shown by tests that are there.
#[test]
fn every_refused_attack_names_its_test() {
    let page = std::fs::read_to_string("docs/threat-model.md").unwrap();
    let section = page.split("\n## Attacks that are refused\n").nth(1).unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter(|it| it.starts_with("| "));
    let mut wrong = Vec::new();
    for row in rows.skip(1).filter(|it| !it.starts_with("| **")) {
        let shown = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let tests: Vec<&str> = shown.split('`').filter(|it| !it.trim().is_empty()).collect();
        if tests.is_empty() || !tests.iter().all(|test| is_a_test(test)) {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What people have tried on sign-offs and ledgers elsewhere: each has its row.
const KNOWN: &[&str] = &[
    "Forged",
    "Edited",
    "Truncated",
    "Replayed from another repository, a fork, another branch",
    "Replayed after a later revert",
    "Duplicated key",
    "Duplicate JSON keys, non-canonical JSON",
    "A huge record",
    "A signature over other bytes",
    "wrong namespace",
    "key of a removed person",
    "Expired certificate, or one that is not yet valid",
    "A host certificate",
    "A certificate for another principal",
    "The authority of a removed person",
    "Back-dated",
    "Stale after an amend",
    "Self-approval by another address: case, plus-tag, a forge's noreply forms",
    "Self-approval by a mailmap",
    "A co-author",
    "An agent approves in the developer's shell",
    "Lifted from a rejected change",
    "Ledger rollback",
    "Force-pushed ledger, a ledger with an unrelated root",
    "Record path traversal",
    "Weakened in the same push",
    "Moved, renamed or removed",
    "Replaced by a symlink, a folder, or a name in another case",
    "`.gitattributes`, filters",
    "Replaced objects and grafts",
    "A ref named like an option",
    "Hooks disabled",
    "A second remote",
    "Huge ledger",
    "Concurrent writers",
];

/// What stands among the attacks to show that nothing else is refused.
const COUNTERPARTS: &[&str] = &[
    "a_certificate_in_its_time_counts",
    "what_the_ledger_took_in_time_outlives_its_certificate",
    "the_genuine_one_counts",
    "the_genuine_one_narrows_on_every_machine",
    "a_hook_waits_for_no_touch_that_nobody_is_told_of",
    "only_what_an_assisted_commit_touched_is_assisted",
    "the_named_commands_lead_from_a_shallow_clone_of_one_branch_to_the_verdict",
    "what_the_trusted_remote_has_already_is_not_judged_again",
];

/// Every known attack has its row, and every attack that a test performs.
#[test]
fn every_known_attack_has_its_row() {
    let page = std::fs::read_to_string("docs/threat-model.md").unwrap();
    let attack = |row: &'_ str| row.split('|').nth(1).map(str::to_owned);
    let attacks: Vec<String> =
        page.lines().filter(|line| line.starts_with("| ")).filter_map(attack).collect();
    let missing: Vec<&&str> =
        KNOWN.iter().filter(|known| !attacks.iter().any(|it| it.contains(**known))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for file in std::fs::read_dir("tests/suite/attacks").unwrap() {
        let path = file.unwrap().path();
        let module = match path.file_stem().unwrap().to_str().unwrap() {
            "mod" => "suite/attacks".to_owned(),
            name => format!("suite/attacks/{name}"),
        };
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("#[test]").skip(1) {
            let name = part.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            let shown = page.contains(&format!("`{module} {name}`"));
            assert!(shown || COUNTERPARTS.contains(&name), "{module} {name} has no row");
        }
    }
}

/// Whether `suite/NAME TEST`, or `a/module/of/src TEST`, is a test.
fn is_a_test(name: &str) -> bool {
    let Some((module, test)) = name.split_once(' ') else { return false };
    let root = if module.starts_with("suite/") { "tests" } else { "src" };
    let files = [".rs", "/tests.rs", "/mod.rs"].map(|end| format!("{root}/{module}{end}"));
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.filter_map(|text| Some(text.split_once(&format!("fn {test}("))?.0.to_owned())).any(
        |head| {
            // Between attribute and name stands at most another attribute.
            head.lines().rev().take(3).any(|line| line.trim() == "#[test]")
        },
    )
}

#[test]
fn the_manual_names_every_command() {
    let repo = TestRepo::new();
    let page = String::from_utf8(repo.countersign(&["man"]).stdout).unwrap();
    let sections: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".SS "))
        .map(|name| name.replace('\\', ""))
        .collect();
    let commands = std::fs::read_to_string("docs/cli.md").unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
        .filter(|name| *name != "countersign")
        .collect();
    assert_eq!(sections, commands);
}

#[test]
fn completions_are_scripts_of_their_shell() {
    let repo = TestRepo::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = repo.countersign(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout.clone()).unwrap().contains("who-can"), "{shell}");
        if shell == "bash" {
            let mut bash = repo.command("bash");
            bash.arg("-n");
            assert!(feed(bash, &output.stdout).status.success());
        }
    }
}
