use super::*;

/// A repository's manifests and what a change of files affects there.
struct Repo {
    selection: Selection,
    files: BTreeMap<String, Vec<u8>>,
}

impl Repo {
    fn new(ecosystem: Ecosystem, root: &str, files: &[(&str, &str)]) -> Repo {
        let file = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
        let selection = Selection { ecosystem, root: root.to_owned() };
        let files: BTreeMap<_, _> = files.iter().map(file).collect();
        Repo { selection, files }
    }

    #[track_caller]
    fn check(&self, changed: &[&str], expected: &[&str]) {
        let workspace = self.selection.read(&self.files).expect("the manifests can be read");
        let paths: Vec<RepoPath> = changed.iter().map(|it| RepoPath::new(*it)).collect();
        let affected = workspace.affected(&paths);
        assert_eq!(affected.names().collect::<Vec<_>>(), expected, "{:?}", affected.all);
        assert!(!affected.packages.is_empty());
    }

    #[track_caller]
    fn refuse(&self, part: &str) {
        let why = self.selection.read(&self.files).expect_err("it cannot be read");
        assert!(why.contains(part), "{why}");
    }
}

fn cargo() -> Repo {
    Repo::new(
        Ecosystem::Cargo,
        "",
        &[
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/old\"]\n[workspace.dependencies]\nbase = { path = \"crates/base\" }\nshort = { package = \"long-name\", path = \"crates/long\" }\n[package]\nname = \"app\"\n[dependencies]\nmiddle = { path = \"crates/middle\" }\n",
            ),
            ("crates/base/Cargo.toml", "[package]\nname = \"base\"\n"),
            ("crates/old/Cargo.toml", "this is no TOML, and nobody reads it"),
            (
                "crates/middle/Cargo.toml",
                "[package]\nname = \"middle\"\n[target.'cfg(unix)'.dev-dependencies]\nbase.workspace = true\n[dependencies]\nhidden = { path = \"../../tools/hidden\" }\n",
            ),
            ("crates/long/Cargo.toml", "[package]\nname = \"long-name\"\n"),
            (
                "crates/user/Cargo.toml",
                "[package]\nname = \"user\"\n[build-dependencies]\nshort = { workspace = true }\n",
            ),
            ("tools/hidden/Cargo.toml", "[package]\nname = \"hidden\"\n"),
        ],
    )
}

#[test]
fn a_cargo_workspace() {
    let repo = cargo();
    let all = ["app", "base", "long-name", "middle", "user", "hidden"];
    repo.check(&["crates/base/src/lib.rs"], &["app", "base", "middle"]);
    repo.check(&["crates/middle/src/lib.rs"], &["app", "middle"]);
    repo.check(&["crates/long/Cargo.toml"], &["long-name", "user"]);
    repo.check(&["crates/user/a", "src/main.rs"], &["app", "user"]);
    // A path makes a member that no pattern names.
    repo.check(&["tools/hidden/x"], &["app", "middle", "hidden"]);
    for whole in
        ["Cargo.lock", "Cargo.toml", "rust-toolchain.toml", ".cargo/config.toml", "README.md"]
    {
        repo.check(&["crates/user/a", whole], &all);
    }
    // Excluded, or beside every package.
    repo.check(&["crates/old/src/lib.rs"], &all);
    repo.check(&["shared/data.json"], &all);
    // A name's beginning is no folder.
    repo.check(&["crates/base2/src/lib.rs"], &all);
    repo.check(&[], &all);
}

#[test]
fn a_workspace_in_a_folder() {
    let mut repo = cargo();
    let moved = repo.files.into_iter().map(|(path, text)| (format!("rust/{path}"), text));
    repo.files = moved.collect();
    repo.selection.root = "rust".to_owned();
    repo.check(&["rust/crates/base/src/lib.rs"], &["app", "base", "middle"]);
    repo.check(&["rust/src/main.rs"], &["app"]);
    let all = ["app", "base", "long-name", "middle", "user", "hidden"];
    repo.check(&["rust/Cargo.lock"], &all);
    repo.check(&["web/index.js"], &all);
}

#[test]
fn workspaces_of_npm_and_pnpm() {
    let members = [
        ("packages/a/package.json", "{\"name\":\"@shop/a\"}"),
        (
            "packages/b/package.json",
            "{\"name\":\"b\",\"devDependencies\":{\"@shop/a\":\"workspace:*\"}}",
        ),
        ("apps/web/package.json", "{\"name\":\"web\",\"dependencies\":{\"bee\":\"npm:b@^1\"}}"),
        ("apps/none/package.json", "{\"dependencies\":{\"x\":\"file:../../packages/a\"}}"),
        ("packages/a/fixtures/x/package.json", "not even JSON"),
        ("other/package.json", "{\"name\":\"other\"}"),
    ];
    let npm = (
        "package.json",
        "{\"name\":\"shop\",\"workspaces\":[\"packages/*\",\"./apps/{web,none}\"]}",
    );
    let yarn = ("package.json", "{\"workspaces\":{\"packages\":[\"packages/*\",\"apps/*\"]}}");
    let pnpm = (
        "pnpm-workspace.yaml",
        "packages:\n  - 'packages/*'\n  - apps/**\n  - '!**/fixtures/**'\n",
    );
    for top in [npm, yarn, pnpm] {
        let repo = Repo::new(Ecosystem::Node, "", &[&[top][..], &members].concat());
        repo.check(&["packages/a/src/x.ts"], &["./apps/none", "web", "@shop/a", "b"]);
        repo.check(&["packages/b/src/x.ts"], &["web", "b"]);
        repo.check(&["apps/web/fixtures/package.json"], &["web"]);
        let all = ["./apps/none", "web", "@shop/a", "b"];
        for whole in ["package-lock.json", "tsconfig.base.json", "package.json", "other/x.js"] {
            repo.check(&["apps/web/x", whole], &all);
        }
    }
    Repo::new(Ecosystem::Node, "", &members).refuse("names a workspace");
    let broken = ("packages/a/package.json", "{");
    Repo::new(Ecosystem::Node, "", &[npm, broken]).refuse("`packages/a/package.json` cannot be");
}

#[test]
fn modules_of_go() {
    let modules = [
        ("a/go.mod", "module example.com/shop/a // the base\n\ngo 1.22\n"),
        (
            "b/go.mod",
            "module \"example.com/shop/b\"\nrequire (\n\texample.com/shop/a v0.0.0\n\tgolang.org/x/mod v0.1.0 // indirect\n)\n",
        ),
        (
            "c/go.mod",
            "module example.com/c\nrequire old.example.com/b v1.0.0\nreplace old.example.com/b => ../b\n",
        ),
        ("tools/go.mod", "module example.com/tools\n"),
    ];
    let work = ("go.work", "go 1.22\n\nuse (\n\t./a\n\t./b // two\n)\nuse ./c\n");
    let repo = Repo::new(Ecosystem::Go, "", &[&[work][..], &modules].concat());
    repo.check(&["a/x.go"], &["./a/...", "./b/...", "./c/..."]);
    repo.check(&["b/internal/x.go"], &["./b/...", "./c/..."]);
    repo.check(&["c/x.go"], &["./c/..."]);
    repo.check(&["go.work.sum"], &["./a/...", "./b/...", "./c/..."]);
    let loose = Repo::new(Ecosystem::Go, "", &modules);
    loose.check(&["tools/x.go"], &["./tools/..."]);
    let missing = ("go.work", "use ./gone\n");
    Repo::new(Ecosystem::Go, "", &[missing]).refuse("no `go.mod`");
    let one = Repo::new(Ecosystem::Go, "", &[("go.mod", "module example.com/one\n")]);
    one.check(&["cmd/main.go"], &["./..."]);
}

#[test]
fn projects_of_python() {
    let members = [
        ("packages/a/pyproject.toml", "[project]\nname = \"Shop_A\"\n"),
        (
            "packages/b/pyproject.toml",
            "[project]\nname = \"b\"\ndependencies = [\"shop-a>=1; python_version>'3'\"]\n",
        ),
        (
            "packages/c/pyproject.toml",
            "[tool.poetry]\nname = \"c\"\n[tool.poetry.group.test.dependencies]\nx = { path = \"../b\", develop = true }\n",
        ),
        (
            "packages/d/pyproject.toml",
            "[project]\nname = \"d\"\n[dependency-groups]\ndev = [\"c\", { include-group = \"x\" }]\n",
        ),
        ("packages/e/pyproject.toml", "[project]\nname = \"e\"\n[tool.ruff]\n"),
        (
            "packages/f/pyproject.toml",
            "[project]\nname = \"f\"\ndynamic = [\"version\", \"dependencies\"]\n",
        ),
    ];
    let uv = (
        "pyproject.toml",
        "[project]\nname = \"top\"\n[tool.uv.workspace]\nmembers = [\"packages/*\"]\nexclude = [\"packages/e\"]\n[tool.uv.sources]\nb = { workspace = true }\n",
    );
    let repo = Repo::new(Ecosystem::Python, "", &[&[uv][..], &members].concat());
    repo.check(&["packages/a/x.py"], &["top", "Shop_A", "b", "c", "d", "f"]);
    repo.check(&["packages/c/x.py"], &["c", "d", "f"]);
    repo.check(&["src/top/x.py"], &["top", "f"]);
    repo.check(&["uv.lock"], &["top", "Shop_A", "b", "c", "d", "f"]);
    repo.check(&["packages/e/x.py"], &["top", "Shop_A", "b", "c", "d", "f"]);
    let loose = Repo::new(Ecosystem::Python, "", &members);
    loose.check(&["packages/e/x.py"], &["e", "f"]);
    let hatch = (
        "pyproject.toml",
        "[tool.hatch.envs.default]\nworkspace.members = [\"packages/a\", { path = \"packages/e\" }]\n",
    );
    let repo = Repo::new(Ecosystem::Python, "", &[&[hatch][..], &members].concat());
    repo.check(&["packages/e/x.py"], &["e"]);
    repo.check(&["packages/b/x.py"], &["Shop_A", "e"]);
}

#[test]
fn a_name_is_no_option_and_no_pattern() {
    for name in ["--config=evil", "a b", "", "!a", "{packages}", "a\\u0007b", "...a[x]", "*"] {
        let manifest = format!("{{\"name\":\"{name}\"}}");
        let files = [("package.json", "{\"workspaces\":[\"a\"]}"), ("a/package.json", &manifest)];
        let repo = Repo::new(Ecosystem::Node, "", &files);
        match name {
            "" => repo.check(&["a/x"], &["./a"]),
            _ => repo.refuse("no name of a package"),
        }
    }
}

#[track_caller]
fn check_fill(run: &str, expected: &str) {
    let words: Vec<String> = run.split(' ').map(str::to_owned).collect();
    let row = |name: &str, path: &str| (name.to_owned(), path.to_owned());
    let packages = vec![row("one", "./a/one"), row("two", "./b")];
    let filled = fill(&words, &Affected { packages, all: None });
    assert_eq!(filled.join(" "), expected);
}

#[test]
fn placeholders_become_a_word_for_each_package() {
    check_fill("cargo test -p {packages} --locked", "cargo test -p one -p two --locked");
    check_fill("npm test --workspace={packages}", "npm test --workspace=one --workspace=two");
    check_fill("go test -race {packages}", "go test -race one two");
    check_fill("pnpm --filter {packages}... test", "pnpm --filter one... --filter two... test");
    check_fill("pytest {package_paths}", "pytest ./a/one ./b");
    check_fill("make {package} test", "make {package} test");
}
