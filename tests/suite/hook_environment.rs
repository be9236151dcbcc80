//! What the binary sees when real git starts it from a hook: the index, the
//! repository and the objects that git's environment names, and no others.

use std::path::Path;

use crate::fixture::{TestRepo, feed, folders_of_gits, skipped};

/// Lets a hook run the binary and keep what it says; the hook never blocks.
fn hook(repo: &TestRepo, path: &Path, arguments: &str) {
    let binary = env!("CARGO_BIN_EXE_countersign");
    let home = repo.home();
    let home = home.to_str().unwrap();
    let script = format!(
        "#!/bin/sh\n'{binary}' {arguments} >'{home}/report' 2>'{home}/complaint'\necho $? >'{home}/status'\n"
    );
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, script).unwrap();
    assert!(repo.command("chmod").arg("+x").arg(path).status().unwrap().success());
}

fn pre_commit(repo: &TestRepo) {
    hook(repo, &repo.path().join(".git/hooks/pre-commit"), "check --staged --format json");
}

/// The report's range and its files, one a line: `modified a.rs 2`.
#[track_caller]
fn seen(repo: &TestRepo) -> (String, String, String) {
    let read = |name: &str| std::fs::read_to_string(repo.home().join(name)).unwrap();
    let text = read("report");
    let report: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{}: {text}{}", read("status"), read("complaint")));
    let files = report["attribution"]["files"].as_array().unwrap_or_else(|| panic!("{text}"));
    let line = |file: &serde_json::Value| {
        let word = |key: &str| file[key].as_str().unwrap().to_owned();
        format!("{} {} {}\n", word("status"), word("path"), file["added"])
    };
    let end = |key: &str| report["range"][key].as_str().unwrap().to_owned();
    (end("base"), end("head"), files.iter().map(line).collect())
}

/// After a commit: the hook saw exactly what the commit holds, against what was HEAD.
#[track_caller]
fn check(repo: &TestRepo, base: &str, expected: &str) {
    let (from, to, files) = seen(repo);
    assert_eq!(files, expected);
    assert_eq!(to, repo.git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!(from, base);
}

/// One commit, then a staged file, a changed one and an unstaged one.
fn fill(repo: &TestRepo) -> String {
    repo.write("a", "1\n").write("b", "1\n").write("sub/c", "1\n");
    let head = repo.commit("ana", "first").to_string();
    repo.write("a", "2\n").write("b", "2\n2\n").git(&["add", "a"]);
    head
}

#[test]
fn every_way_to_commit() {
    for folder in folders_of_gits() {
        let ways: [(&[&str], &str); 6] = [
            (&[], "modified a 1\n"),
            (&["-a"], "modified a 1\nmodified b 2\n"),
            (&["--", "b"], "modified b 2\n"),
            (&["--include", "b"], "modified a 1\nmodified b 2\n"),
            (&["-p"], "modified a 1\nmodified b 2\n"),
            (&["--amend", "--no-edit"], "modified a 1\n"),
        ];
        for (arguments, expected) in ways {
            let mut repo = TestRepo::new();
            let path = std::env::join_paths([folder.clone(), "/usr/bin".into(), "/bin".into()]);
            repo.set_variable("PATH", path.unwrap().to_str().unwrap());
            let head = fill(&repo);
            pre_commit(&repo);
            let words = [&["commit", "-q", "-m", "x"], arguments].concat();
            let output = feed(repo.git_command(&words), b"y\n");
            assert!(output.status.success(), "{words:?}: {output:?}");
            check(&repo, &head, expected);
        }
    }
}

#[test]
fn the_first_commit() {
    let repo = TestRepo::new();
    pre_commit(&repo);
    repo.write("a", "1\n").git(&["add", "a"]);
    repo.git(&["commit", "-q", "-m", "x"]);
    check(&repo, "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "added a 1\n");
}

#[test]
fn from_a_subdirectory_and_with_a_hooks_path() {
    let repo = TestRepo::new();
    let head = fill(&repo);
    hook(&repo, &repo.path().join("tools/pre-commit"), "check --staged --format json");
    repo.git(&["config", "core.hooksPath", "tools"]);
    let mut command = repo.git_command(&["commit", "-q", "-m", "x", "-a"]);
    assert!(command.current_dir(repo.path().join("sub")).status().unwrap().success());
    check(&repo, &head, "modified a 1\nmodified b 2\n");
}

#[test]
fn with_git_dir_and_work_tree() {
    let repo = TestRepo::new();
    let head = fill(&repo);
    pre_commit(&repo);
    let (dir, tree) = (repo.path().join(".git"), repo.path());
    let (dir, tree) = (dir.to_str().unwrap(), tree.to_str().unwrap());
    let words = ["--git-dir", dir, "--work-tree", tree, "commit", "-q", "-m", "x"];
    let mut command = repo.git_command(&words);
    assert!(command.current_dir(repo.home()).status().unwrap().success());
    check(&repo, &head, "modified a 1\n");
}

#[test]
fn in_a_linked_work_tree() {
    let repo = TestRepo::new();
    fill(&repo);
    let linked = repo.beside("linked");
    repo.git(&["worktree", "add", "-q", "-b", "other", linked.path().to_str().unwrap()]);
    pre_commit(&repo);
    let head = linked.git(&["rev-parse", "HEAD"]);
    linked.write("sub/d", "1\n2\n").git(&["add", "-A"]);
    linked.git(&["commit", "-q", "-m", "x"]);
    check(&linked, &head, "added sub/d 2\n");
}

#[test]
fn in_a_submodule() {
    let library = TestRepo::new();
    library.commit_file("bo", "l", "1\n", "one");
    let repo = library.beside("super");
    library.git(&["init", "-q", "-b", "main", repo.path().to_str().unwrap()]);
    let url = library.path().to_str().unwrap();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", url, "lib"]);
    repo.commit("ana", "with a library");
    let inner = library.beside("super/lib");
    let head = inner.git(&["rev-parse", "HEAD"]);
    let arguments = "check --staged --format json";
    hook(&inner, &repo.path().join(".git/modules/lib/hooks/pre-commit"), arguments);
    inner.write("l", "2\n3\n").git(&["commit", "-q", "-a", "-m", "x"]);
    check(&inner, &head, "modified l 2\n");
}

#[test]
fn in_every_kind_of_repository() {
    let kinds: [(&[&str], &[&str]); 6] = [
        (&[], &["update-index", "--index-version=4"]),
        (&[], &["update-index", "--split-index"]),
        (&[], &["sparse-checkout", "set", "--cone", "--sparse-index", "other"]),
        (&[], &["checkout", "-q", "--detach"]),
        (&["--object-format=sha256"], &["status"]),
        (&["--ref-format=reftable"], &["status"]),
    ];
    for (options, then) in kinds {
        let repo = match TestRepo::try_init(options) {
            Ok(repo) => repo,
            Err(complaint) => {
                skipped(&format!("git init {options:?}: {complaint}"));
                continue;
            }
        };
        repo.write("a", "1\n").write("b", "1\n").write("sub/c", "1\n");
        let head = repo.commit("ana", "first").to_string();
        repo.git(then);
        repo.write("a", "2\n").write("b", "2\n2\n").git(&["add", "a"]);
        pre_commit(&repo);
        repo.git(&["commit", "-q", "-m", "x"]);
        check(&repo, &head, "modified a 1\n");
        let (head, words) = (repo.git(&["rev-parse", "HEAD"]), ["commit", "-qam", "y"]);
        repo.git(&words);
        check(&repo, &head, "modified b 2\n");
    }
}

#[test]
fn a_resolved_merge() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a", "1\n", "first");
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.write("b", "b\n").commit_file("bo", "a", "side\n", "side");
    repo.git(&["checkout", "-q", "main"]);
    let head = repo.commit_file("chi", "a", "main\n", "main").to_string();
    repo.git_command(&["merge", "-q", "side"]).output().unwrap();
    repo.write("a", "both\n").git(&["add", "a"]);
    pre_commit(&repo);
    repo.git(&["commit", "-q", "--no-edit"]);
    // `b` was judged on the other side.
    check(&repo, &head, "modified a 1\n");
}

#[test]
fn a_partial_clone_commits_without_its_remote() {
    let repo = TestRepo::new();
    fill(&repo);
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = repo.clone_as("partial", &["--filter=blob:none", "--sparse"]);
    std::fs::rename(repo.path(), repo.home().join("gone")).unwrap();
    pre_commit(&clone);
    let head = clone.git(&["rev-parse", "HEAD"]);
    clone.write("a", "2\n2\n").git(&["add", "a"]);
    clone.git(&["commit", "-q", "-m", "x"]);
    check(&clone, &head, "modified a 2\n");
}

#[test]
fn a_push_in_quarantine() {
    for options in [&["--object-format=sha1"][..], &["--object-format=sha256"]] {
        let repo = TestRepo::init(options);
        let bare = repo.init_remote(options);
        let first = repo.commit_file("ana", "a", "1\n", "first");
        repo.git(&["push", "-q", "origin", "main"]);
        let second = repo.commit_file("bo", "a", "1\n2\n3\n", "second");
        let arguments = format!("check {first}..{second} --format json");
        hook(&bare, &bare.path().join("hooks/pre-receive"), &arguments);
        repo.git(&["push", "-q", "origin", "main"]);
        let (base, head, files) = seen(&bare);
        assert_eq!((base, head), (first.to_string(), second.to_string()));
        assert_eq!(files, "modified a 2\n");
    }
}

#[test]
fn a_leaked_replace_ref_base_changes_nothing() {
    let repo = TestRepo::new();
    let first = repo.commit_file("ana", "a", "1\n", "first");
    let second = repo.commit_file("bo", "a", "1\n2\n3\n", "second");
    let tree = format!("{first}^{{tree}}");
    let good = repo.git_with_input(&["commit-tree", &tree, "-p", first.as_str()], b"good\n");
    repo.git(&["update-ref", &format!("refs/other/{second}"), &good]);
    let words = ["check", &format!("{first}..{second}"), "--format", "json"];
    let mut command = repo.countersign_command(&words);
    let output = command
        .env("GIT_REPLACE_REF_BASE", "refs/other/")
        .env("GIT_DIFF_OPTS", "-u5")
        .env("GIT_EXTERNAL_DIFF", "/bin/true")
        .env("GIT_ICASE_PATHSPECS", "1")
        .env("GIT_TRACE", "1")
        .env("GIT_PAGER", "/bin/false")
        .output()
        .unwrap();
    std::fs::write(repo.home().join("report"), output.stdout).unwrap();
    std::fs::write(repo.home().join("status"), "").unwrap();
    std::fs::write(repo.home().join("complaint"), output.stderr).unwrap();
    let (base, head, files) = seen(&repo);
    assert_eq!((base, head), (first.to_string(), second.to_string()));
    assert_eq!(files, "modified a 2\n");
}
