//! The recipes for tools that know their own graph: each parses as it stands
//! in its page, and its tool is given what it needs.

use crate::fixture::TestRepo;

/// What the page's recipes call, and what they give it, word by word.
const EXPECTED: &[(&str, &[&str])] = &[
    ("nx", &["npx", "nx", "affected", "-t", "test", "--base=BASE", "--head=HEAD"]),
    ("turbo", &["npx", "turbo", "run", "test", "--filter=...[BASE...HEAD]"]),
    ("moon", &["moon", "ci", ":test", "--base", "BASE", "--head", "HEAD", "--include-relations"]),
    ("pants", &["pants", "--changed-since=BASE", "--changed-dependents=transitive", "test"]),
    ("bazel", &["bazel", "test", "--build_tests_only", "//..."]),
    ("buck2", &["buck2", "test", "//..."]),
];

/// The recipes as the page has them.
fn recipes() -> String {
    let page = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monorepos.md"),
    )
    .unwrap();
    let blocks = page.split("```toml\n").skip(1).map(|it| it.split("```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_recipe_gives_its_tool_what_it_needs() {
    let mut repo = TestRepo::new();
    // A program of that name writes down its words.
    let bin = repo.home().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let said = repo.home().join("said");
    for program in ["npx", "npm", "moon", "pants", "bazel", "buck2"] {
        let script = format!(
            "#!/bin/sh\n{{ echo {program}; for word; do echo \"$word\"; done; }} >{}\n",
            said.display()
        );
        std::fs::write(bin.join(program), script).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(
            bin.join(program),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    repo.set_variable("PATH", &format!("{}:{path}", bin.display()));
    let recipes = recipes();
    let named: Vec<&str> = EXPECTED.iter().map(|(name, _)| *name).collect();
    let written: Vec<&str> = recipes
        .lines()
        .filter_map(|line| line.strip_prefix("[test.")?.strip_suffix(']'))
        .filter(|name| !["rust", "web", "go", "python"].contains(name))
        .collect();
    assert_eq!(written, named, "each recipe of the page is expected here");
    let policy = format!("schema = 1\n[trust]\nrepo_id = \"shop\"\n{recipes}");
    repo.commit_file("ana", "countersign.toml", &policy, "policy");
    repo.git(&["config", "user.email", "ana@example.com"]);
    repo.git(&["config", "countersign.installed", "shim"]);
    repo.git(&["switch", "-q", "-c", "feature"]);
    repo.commit_file("ana", "packages/a/it's $(a) name", "1\n", "change");
    let (base, head) = (repo.oid("HEAD^"), repo.oid("HEAD"));
    for (name, expected) in EXPECTED {
        let output = repo.countersign(&["test", "--only", name]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{name}: {errors}");
        let words = std::fs::read_to_string(&said).unwrap();
        let words = words.replace(base.as_str(), "BASE").replace(head.as_str(), "HEAD");
        assert_eq!(words.lines().collect::<Vec<_>>(), *expected, "{name}");
    }
}
