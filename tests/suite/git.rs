//! Every kind of repository, and every way in which local state could change
//! what we see of it.

use countersign::adapters::git::{
    Detail, Git, GitError, NewCommit, PushedRef, RefOutcome, Revisions, Start,
};
use countersign::gate::change::{Change, FileStatus, Oid, RepoPath};

use crate::fixture::{TestRepo, feed, folders_of_gits, skipped};

/// A change in one line a file: `M a.rs +2-3,7 -1`.
fn text(change: &Change) -> String {
    let mut text = String::new();
    for file in &change.files {
        let status = match file.status() {
            FileStatus::Added => "A",
            FileStatus::Deleted => "D",
            FileStatus::Modified => "M",
            FileStatus::Typechange => "T",
        };
        let ranges = file.added.iter().map(|range| match range.start == range.end {
            true => range.start.to_string(),
            false => format!("{}-{}", range.start, range.end),
        });
        let ranges = ranges.collect::<Vec<_>>().join(",");
        let binary = if file.binary { " binary" } else { "" };
        let path = file.path.to_text();
        text.push_str(&format!("{status} {path} +{ranges} -{}{binary}\n", file.removed));
    }
    text
}

#[track_caller]
fn staged(git: &Git) -> String {
    text(&git.staged(None, Detail::Lines).unwrap_or_else(|error| panic!("{error}")))
}

/// Two commits, and a third change that is staged.
fn fill(repo: &TestRepo) {
    repo.write("b.txt", "one\n").commit_file("ana", "a.rs", "1\n2\n3\n4\n5\n6\n", "first");
    repo.commit_file("bo", "a.rs", "1\nII\n3\n4\n5\n6\nVII\n", "second\n\nbody\n");
    repo.write("a.rs", "1\nII\n3\nIV\n5\n6\nVII\n").write("new", "x\ny\n");
    repo.git(&["add", "-A"]);
}

/// What [`fill`] made, whatever the repository's kind, by every git at hand
/// that can open it.
#[track_caller]
fn check(repo: &TestRepo) {
    for (index, folder) in folders_of_gits().iter().enumerate() {
        match repo.open_with(repo.path(), &[("PATH", folder.to_str().unwrap())]) {
            Ok(git) => check_with(repo, &git),
            // An older git cannot open what a newer one made; the first made it.
            Err(GitError::Failed { complaint, .. })
                if index > 0 && complaint.contains("extension") =>
            {
                skipped(&format!("with {}: {complaint}", folder.display()));
            }
            Err(error) => panic!("{}: {error}", folder.display()),
        }
    }
}

#[track_caller]
fn check_with(repo: &TestRepo, git: &Git) {
    let (base, head) = (repo.oid("HEAD~1"), repo.oid("HEAD"));
    assert_eq!(git.layout().head.as_ref(), Some(&head));
    let change = git.change(&Start::at(base.clone()), &head, Detail::Lines).unwrap();
    assert_eq!(text(&change), "M a.rs +2,7 -1\n");
    assert_eq!(change.head_tree, repo.oid("HEAD^{tree}"));
    let [commit] = &change.commits[..] else { panic!("{:?}", change.commits) };
    assert_eq!((&commit.id, &commit.parents[..]), (&head, std::slice::from_ref(&base)));
    assert_eq!(commit.message, "second\n\nbody\n");
    assert_eq!(commit.author.email, "bo@example.com");
    let path = RepoPath::new("a.rs");
    let (blob, bytes) = git.blob_at(&head, &path, 1000).unwrap().unwrap();
    assert_eq!(bytes, b"1\nII\n3\n4\n5\n6\nVII\n");
    let entries = git.entries(&head, &[path.clone(), RepoPath::new("absent")]).unwrap();
    assert_eq!(entries[&path].as_ref().map(|entry| &entry.oid), Some(&blob));
    assert_eq!(entries[&RepoPath::new("absent")], None);
    // printf '1\nII\n3\n4\n5\n6\nVII\n' | sha256sum
    let digest = "9cf0ac24da3633ebc37e5f514044f3c8973fcc5a1284672a143917c819aacd6a";
    assert_eq!(git.sha256_of(std::slice::from_ref(&blob)).unwrap()[&blob], digest);
    let first = git.change(&Start::at(git.empty_tree()), &base, Detail::Lines).unwrap();
    assert_eq!(text(&first), "A a.rs +1-6 -0\nA b.txt +1 -0\n");
    assert_eq!(first.commits.len(), 1);
    if !git.layout().bare {
        let index = std::fs::read(&git.layout().index).unwrap();
        assert_eq!(staged(git), "M a.rs +4 -1\nA new +1-2 -0\n");
        assert_eq!(std::fs::read(&git.layout().index).unwrap(), index);
        assert_eq!(git.staged(None, Detail::Files).unwrap().head_tree, repo.oid_of_index());
    }
}

#[test]
fn plain() {
    let repo = TestRepo::new();
    fill(&repo);
    check(&repo);
}

#[test]
fn sha256() {
    let repo = TestRepo::init(&["--object-format=sha256"]);
    fill(&repo);
    check(&repo);
}

#[test]
fn refs_and_ancestors() {
    let repo = TestRepo::new();
    fill(&repo);
    let git = repo.open();
    let (base, head) = (repo.oid("HEAD~1"), repo.oid("HEAD"));
    assert_eq!(git.refs(&["refs/heads/"]).unwrap(), [("refs/heads/main".to_owned(), head.clone())]);
    assert_eq!(git.head_branch().unwrap().as_deref(), Some("refs/heads/main"));
    assert_eq!(git.merge_bases(&base, &head).unwrap(), std::slice::from_ref(&base));
    assert!(git.is_ancestor(&base, &head).unwrap());
    assert!(!git.is_ancestor(&head, &base).unwrap());
    assert_eq!(git.resolve_commit("HEAD~1").unwrap(), Some(base.clone()));
    for nothing in ["nothing", "HEAD~9", "a..b", "^HEAD", "HEAD:b.txt", ""] {
        assert_eq!(git.resolve_commit(nothing).unwrap(), None, "{nothing}");
    }
    assert!(matches!(git.resolve_commit("--all"), Err(GitError::NotARevision(_))));
    assert_eq!(git.count(&Revisions::between(&base, &head)).unwrap(), 1);
    assert_eq!(git.commits(&Revisions::everything()).unwrap().len(), 2);
}

#[test]
fn bare() {
    let repo = TestRepo::new();
    fill(&repo);
    let bare = repo.bare_remote();
    repo.git(&["push", "-q", "origin", "main"]);
    assert!(bare.open().layout().bare);
    check(&bare);
}

#[test]
fn shallow_boundary() {
    let repo = TestRepo::new();
    fill(&repo);
    let base = repo.oid("HEAD~1");
    let clone = repo.clone_as("shallow", &["--depth=1"]);
    let git = clone.open();
    let head = clone.oid("HEAD");
    assert!(git.layout().shallow);
    let orphan = clone.git_with_input(&["commit-tree", "HEAD^{tree}"], b"elsewhere\n");
    let orphan = git.resolve_commit(&orphan).unwrap().unwrap();
    for error in [
        git.merge_bases(&head, &orphan).unwrap_err(),
        git.is_ancestor(&orphan, &head).unwrap_err(),
        git.change(&Start::at(orphan.clone()), &head, Detail::Files).unwrap_err(),
    ] {
        assert!(matches!(error, GitError::Shallow(_)), "{error}");
        assert_eq!(error.hints(), ["fetch the rest: `git fetch --unshallow`"]);
    }
    // A commit that the clone lacks is no empty range either.
    assert!(git.change(&Start::at(base.clone()), &head, Detail::Files).is_err());
    // What lies on this side of the boundary is judged as ever.
    let next = clone.commit_file("ana", "b.txt", "two\n", "third");
    assert_eq!(
        text(&git.change(&Start::at(head.clone()), &next, Detail::Lines).unwrap()),
        "M b.txt +1 -1\n"
    );
}

#[test]
fn linked_worktree_and_subdirectory() {
    let repo = TestRepo::new();
    fill(&repo);
    let linked = repo.beside("linked");
    repo.git(&["worktree", "add", "-q", "-b", "other", linked.path().to_str().unwrap()]);
    linked.write("sub/c", "c\n").git(&["add", "-A"]);
    let git = linked.try_open(&linked.path().join("sub")).unwrap();
    assert_eq!(git.layout().toplevel.as_deref(), Some(linked.path()));
    assert_eq!(git.layout().common_dir, repo.path().join(".git"));
    assert_eq!(git.layout().git_dir, repo.path().join(".git/worktrees/linked"));
    assert_eq!(staged(&git), "A sub/c +1 -0\n");
}

#[test]
fn index_file_of_a_running_commit() {
    let mut repo = TestRepo::new();
    fill(&repo);
    let index = repo.path().join(".git/next-index-1.lock");
    repo.set_variable("GIT_INDEX_FILE", index.to_str().unwrap());
    repo.git(&["read-tree", "HEAD"]);
    repo.write("b.txt", "two\n").git(&["add", "b.txt"]);
    assert_eq!(staged(&repo.open()), "M b.txt +1 -1\n");
    assert_eq!(repo.open().staged(None, Detail::Files).unwrap().head_tree, repo.oid_of_index());
}

#[test]
fn index_version_4() {
    let repo = TestRepo::new();
    fill(&repo);
    repo.git(&["update-index", "--index-version=4"]);
    check(&repo);
    // With the tree's id in the index, as `git commit` leaves it for hooks.
    repo.git(&["write-tree"]);
    check(&repo);
}

#[test]
fn split_index() {
    let repo = TestRepo::new();
    repo.git(&["config", "core.splitIndex", "true"]);
    fill(&repo);
    repo.git(&["update-index", "--split-index"]);
    check(&repo);
    repo.git(&["write-tree"]);
    check(&repo);
}

#[test]
fn sparse_index() {
    let repo = TestRepo::new();
    for folder in ["in", "out"] {
        repo.write(format!("{folder}/deep/file"), "content\n");
    }
    repo.commit("ana", "folders");
    repo.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    let base = repo.commit_file("ana", "in/x", "1\n", "one");
    let head = repo.commit_file("bo", "in/x", "2\n", "two");
    assert!(!repo.path().join("out").exists());
    repo.write("in/y", "3\n").git(&["add", "in/y"]);
    let entries = repo.git(&["ls-files", "--sparse"]);
    assert!(entries.lines().any(|line| line == "out/"), "the index is not sparse");
    let git = repo.open();
    assert_eq!(
        text(&git.change(&Start::at(base.clone()), &head, Detail::Lines).unwrap()),
        "M in/x +1 -1\n"
    );
    assert_eq!(staged(&git), "A in/y +1 -0\n");
    assert_eq!(git.staged(None, Detail::Files).unwrap().head_tree, repo.oid_of_index());
    assert_eq!(repo.open().staged(None, Detail::Files).unwrap().head_tree, repo.oid_of_index());
}

#[test]
fn reftable() {
    let repo = match TestRepo::try_init(&["--ref-format=reftable"]) {
        Ok(repo) => repo,
        Err(complaint) => return skipped(&format!("no reftable here: {complaint}")),
    };
    fill(&repo);
    let git = repo.open();
    assert!(git.layout().reftable);
    assert_eq!(git.head_branch().unwrap().as_deref(), Some("refs/heads/main"));
    check(&repo);
    let tree = git.write_files(&repo.oid("HEAD"), &[(RepoPath::new("d/e"), vec![1])]).unwrap();
    assert_eq!(repo.git(&["ls-tree", "--name-only", tree.as_str()]), "a.rs\nb.txt\nd");
    git.update_ref("refs/heads/x", &repo.oid("HEAD"), None).unwrap();
    assert_eq!(git.reference("refs/heads/x").unwrap(), Some(repo.oid("HEAD")));
}

#[test]
fn unborn_and_detached_head() {
    let repo = TestRepo::new();
    let git = repo.open();
    assert_eq!(git.layout().head, None);
    assert_eq!(git.head_branch().unwrap().as_deref(), Some("refs/heads/main"));
    assert_eq!(git.staged(None, Detail::Lines).unwrap().head, git.empty_tree());
    assert_eq!(git.commits(&Revisions::everything()).unwrap(), []);
    // A file of that name must not be taken for the commit.
    repo.write("HEAD", "x\n").write("a", "1\n").git(&["add", "-A"]);
    assert_eq!(staged(&repo.open()), "A HEAD +1 -0\nA a +1 -0\n");
    let repo = TestRepo::new();
    fill(&repo);
    repo.git(&["checkout", "-q", "--detach"]);
    assert_eq!(repo.open().head_branch().unwrap(), None);
    check(&repo);
}

#[test]
fn alternates() {
    let repo = TestRepo::new();
    fill(&repo);
    let clone = repo.beside("shared");
    let paths = [repo.path(), clone.path()].map(|path| path.to_str().unwrap());
    repo.git(&["clone", "-q", "--shared", paths[0], paths[1]]);
    clone.write("a.rs", "1\nII\n3\nIV\n5\n6\nVII\n").write("new", "x\ny\n");
    clone.git(&["add", "-A"]);
    check(&clone);
}

#[test]
fn git_dir_and_work_tree_by_environment() {
    let mut repo = TestRepo::new();
    fill(&repo);
    let home = repo.home();
    repo.git(&["config", "core.bare", "false"]);
    let top = repo.path().to_str().unwrap().to_owned();
    repo.set_variable("GIT_DIR", &format!("{top}/.git"));
    repo.set_variable("GIT_WORK_TREE", &top);
    check(&repo);
    let git = repo.try_open(&home).unwrap();
    assert_eq!(git.layout().toplevel.as_deref(), Some(repo.path()));
    assert_eq!(staged(&git), "M a.rs +4 -1\nA new +1-2 -0\n");
}

#[test]
fn submodule() {
    let library = TestRepo::new();
    let first = library.commit_file("bo", "l", "1\n", "one");
    let repo = library.beside("super");
    library.git(&["init", "-q", "-b", "main", repo.path().to_str().unwrap()]);
    let url = library.path().to_str().unwrap();
    repo.git(&["-c", "protocol.file.allow=always", "submodule", "add", "-q", url, "lib"]);
    let base = repo.commit("ana", "with a library");
    let second = library.commit_file("bo", "l", "2\n", "two");
    let inner = library.beside("super/lib");
    inner.git(&["-c", "protocol.file.allow=always", "pull", "-q"]);
    // Neither configuration nor the change's own file may hide the update.
    repo.git(&["config", "diff.ignoreSubmodules", "all"]);
    repo.git(&["config", "-f", ".gitmodules", "submodule.lib.ignore", "all"]);
    repo.git(&["update-index", "--cacheinfo", &format!("160000,{second},lib")]);
    let git = repo.open();
    assert_eq!(staged(&git), "M lib + -0\n");
    let files = git.staged(Some(&base), Detail::Lines).unwrap().files;
    let entry = |side: &Option<countersign::gate::change::Entry>| side.clone().unwrap().oid;
    assert_eq!((entry(&files[0].old), entry(&files[0].new)), (first, second));
    // Inside, the submodule is a repository of its own.
    assert_eq!(inner.open().layout().toplevel.as_deref(), Some(inner.path()));
    assert_eq!(inner.open().layout().git_dir, repo.path().join(".git/modules/lib"));
}

/// A clone that lacks objects; its remote would give them to whoever asks.
fn partial(options: &[&str]) -> TestRepo {
    let repo = TestRepo::new();
    fill(&repo);
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    repo.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let clone = repo.clone_as("partial", &[&["--no-checkout"], options].concat());
    clone.git(&["read-tree", "HEAD"]);
    clone
}

#[test]
fn a_partial_clone_fetches_nothing() {
    for (index, folder) in folders_of_gits().iter().enumerate() {
        let clone = partial(&["--filter=blob:none"]);
        if index > 0 {
            // As an older git writes it.
            clone.git(&["config", "core.repositoryFormatVersion", "1"]);
            clone.git(&["config", "extensions.partialClone", "origin"]);
        }
        let path = [("PATH", folder.to_str().unwrap())];
        let git = clone.open_with(clone.path(), &path).unwrap();
        let (base, head) = (clone.oid("HEAD~1"), clone.oid("HEAD"));
        let objects = || clone.git(&["count-objects", "-v"]);
        let before = objects();
        let names = git.change(&Start::at(base.clone()), &head, Detail::Files).unwrap();
        assert_eq!(text(&names), "M a.rs + -0\n");
        let blob = names.files[0].new.clone().unwrap().oid;
        for error in [
            git.change(&Start::at(base.clone()), &head, Detail::Lines).unwrap_err(),
            git.blob(&blob, 1000).unwrap_err(),
            git.blob_at(&head, &RepoPath::new("a.rs"), 1000).unwrap_err(),
            git.sha256_of(std::slice::from_ref(&blob)).unwrap_err(),
        ] {
            let GitError::Missing(object) = &error else { panic!("{error}") };
            assert!(
                names.files[0].old.as_ref().is_some_and(|old| old.oid.as_str() == object)
                    || blob.as_str() == object,
                "{error}"
            );
        }
        assert_eq!(objects(), before, "{}", folder.display());
        // What is staged needs no old blob that was never there.
        clone.write("new", "x\n").git(&["add", "new"]);
        assert_eq!(staged(&git), "A new +1 -0\n");
        assert_eq!(git.staged(None, Detail::Files).unwrap().head_tree, clone.oid_of_index());
    }
}

#[test]
fn a_treeless_clone_fetches_nothing() {
    let clone = partial(&["--filter=tree:0"]);
    let git = clone.open();
    let (base, head) = (clone.oid("HEAD~1"), clone.oid("HEAD"));
    let before = clone.git(&["count-objects", "-v"]);
    let error = git.change(&Start::at(base.clone()), &head, Detail::Files).unwrap_err();
    assert!(matches!(error, GitError::Missing(_)), "{error}");
    assert_eq!(clone.git(&["count-objects", "-v"]), before);
}

#[test]
fn a_merge_in_progress() {
    let repo = TestRepo::new();
    repo.commit_file("ana", "a", "1\n", "first");
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.write("b", "b\n").commit_file("bo", "a", "side\n", "side");
    repo.git(&["checkout", "-q", "main"]);
    repo.commit_file("chi", "a", "main\n", "main");
    repo.git_command(&["merge", "-q", "side"]).output().unwrap();
    let error = repo.open().staged(None, Detail::Lines).unwrap_err();
    assert_eq!(error.to_string(), "`a` has unresolved conflicts in the index");
    repo.write("a", "both\n").git(&["add", "a"]);
    assert_eq!(staged(&repo.open()), "M a +1 -1\nA b +1 -0\n");
}

#[test]
fn intent_to_add_is_not_staged() {
    let repo = TestRepo::new();
    fill(&repo);
    repo.write("later", "x\n").git(&["add", "-N", "later"]);
    repo.git(&["write-tree"]);
    check(&repo);
}

#[test]
fn the_index_that_a_running_commit_names() {
    for (arguments, expected) in [
        (&["-a"][..], "M a.rs +4 -1\nM b.txt +1 -1\nA new +1-2 -0\n"),
        (&["--", "b.txt"], "M b.txt +1 -1\n"),
        (&["-i", "b.txt"], "M a.rs +4 -1\nM b.txt +1 -1\nA new +1-2 -0\n"),
        (&["--amend"], "M a.rs +4 -1\nA new +1-2 -0\n"),
        (&[], "M a.rs +4 -1\nA new +1-2 -0\n"),
    ] {
        let repo = TestRepo::new();
        fill(&repo);
        repo.write("b.txt", "two\n");
        let hook = repo.path().join(".git/hooks/pre-commit");
        let kept = repo.home().join("index");
        let line = format!("#!/bin/sh\ncp \"$GIT_INDEX_FILE\" '{}'\n", kept.display());
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, line).unwrap();
        repo.command("chmod").arg("+x").arg(&hook).status().unwrap();
        let head = repo.oid("HEAD");
        repo.git(&[&["commit", "-q", "-m", "x"], arguments].concat());
        let git =
            repo.open_with(repo.path(), &[("GIT_INDEX_FILE", kept.to_str().unwrap())]).unwrap();
        let change = git.staged(Some(&head), Detail::Lines).unwrap();
        assert_eq!(text(&change), expected, "{arguments:?}");
        // git left the tree's id in that index, and it is what was committed.
        assert_eq!(change.head, repo.oid("HEAD^{tree}"), "{arguments:?}");
    }
}

/// A repository whose second commit changes `a.py`, and the two commits.
fn two_commits() -> (TestRepo, Oid, Oid) {
    let repo = TestRepo::new();
    let base = repo.commit_file("ana", "a.py", "1\n2\n3\n", "first");
    let head = repo.commit_file("bo", "a.py", "1\nII\n3\n4\n", "bad subject");
    (repo, base, head)
}

#[track_caller]
fn check_two_commits(git: &Git, base: &Oid, head: &Oid) {
    let change = git.change(&Start::at(base.clone()), head, Detail::Lines).unwrap();
    assert_eq!(text(&change), "M a.py +2,4 -1\n");
    let subjects: Vec<_> = change.commits.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(subjects, ["bad subject\n"]);
}

#[test]
fn replace_refs_and_grafts_hide_nothing() {
    let (repo, base, head) = two_commits();
    let tree = format!("{base}^{{tree}}");
    let good = repo.git_with_input(&["commit-tree", &tree, "-p", base.as_str()], b"good\n");
    repo.git(&["replace", head.as_str(), &good]);
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "good");
    check_two_commits(&repo.open(), &base, &head);
    // A graft that makes the commit a root, and its parent no ancestor.
    repo.git(&["replace", "-d", head.as_str()]);
    std::fs::create_dir_all(repo.path().join(".git/info")).unwrap();
    std::fs::write(repo.path().join(".git/info/grafts"), format!("{head}\n")).unwrap();
    assert_eq!(repo.git(&["rev-list", "--count", "HEAD"]), "1");
    let git = repo.open();
    check_two_commits(&git, &base, &head);
    assert_eq!(git.merge_bases(&base, &head).unwrap(), [base]);
    assert_eq!(git.commits(&Revisions::everything()).unwrap().len(), 2);
}

#[test]
fn configuration_and_attributes_hide_nothing() {
    let attributes =
        ["*.py -diff", "*.py binary", "*.py diff=own", "*.py -text eol=crlf filter=own"];
    let settings = [
        ("diff.external", "/bin/true"),
        ("diff.own.command", "/bin/true"),
        ("diff.own.textconv", "/bin/true"),
        ("diff.own.binary", "true"),
        ("diff.own.xfuncname", "^(.*)$"),
        ("diff.own.algorithm", "histogram"),
        ("diff.noprefix", "true"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.relative", "true"),
        ("diff.context", "9"),
        ("diff.interHunkContext", "9"),
        ("diff.renames", "copies"),
        ("diff.wordRegex", "."),
        ("diff.algorithm", "patience"),
        ("diff.orderFile", "/dev/null"),
        ("diff.submodule", "log"),
        ("diff.colorMoved", "zebra"),
        ("core.quotePath", "false"),
        ("core.attributesFile", "/dev/null"),
        ("core.bigFileThreshold", "1"),
        ("color.ui", "always"),
        ("color.diff", "always"),
        ("log.showSignature", "true"),
        ("log.mailmap", "true"),
        ("log.decorate", "full"),
        ("log.showRoot", "false"),
        ("log.follow", "true"),
        ("log.diffMerges", "first-parent"),
        ("format.pretty", "oneline"),
        ("format.notes", "*"),
        ("notes.displayRef", "*"),
        ("i18n.logOutputEncoding", "UTF-16"),
        ("core.pager", "/bin/false"),
        ("core.commentChar", "b"),
        ("blame.ignoreRevsFile", "/dev/null"),
        ("grep.lineNumber", "true"),
    ];
    for attribute in attributes {
        let (repo, base, head) = two_commits();
        repo.write(".gitattributes", attribute).write(".mailmap", "X <x@y> <bo@example.com>\n");
        repo.write("sub/x", "").commit("ana", "attributes");
        repo.git(&["notes", "add", "-m", "note", head.as_str()]);
        for (key, value) in settings {
            repo.git(&["config", key, value]);
        }
        repo.git(&["checkout", "-q", "--detach", head.as_str()]);
        repo.write(".gitattributes", attribute).write("sub/x", "");
        let external = [("GIT_EXTERNAL_DIFF", "/bin/true"), ("GIT_DIFF_OPTS", "-u9")];
        for folder in folders_of_gits() {
            let path = ("PATH", folder.to_str().unwrap());
            let variables = [path, external[0], external[1]];
            for dir in [repo.path().to_owned(), repo.path().join("sub")] {
                let git = repo.open_with(&dir, &variables).unwrap();
                check_two_commits(&git, &base, &head);
                let origins = git.blame(&RepoPath::new("a.py"), &base, &head).unwrap();
                assert_eq!(
                    origins.iter().map(|(range, _)| range.start).collect::<Vec<_>>(),
                    [2, 4]
                );
            }
        }
        repo.git(&["reset", "-q", "--soft", base.as_str()]);
        assert_eq!(staged(&repo.open()), "M a.py +2,4 -1\n");
    }
}

#[test]
fn ignored_revisions_still_own_their_lines() {
    let (repo, base, head) = two_commits();
    repo.write("ignored", head.as_str());
    repo.git(&["config", "blame.ignoreRevsFile", "ignored"]);
    let origins = repo.open().blame(&RepoPath::new("a.py"), &base, &head).unwrap();
    assert!(origins.iter().all(|(_, commit)| *commit == head) && origins.len() == 2, "{origins:?}");
}

#[test]
fn hostile_paths() {
    let names: [&[u8]; 10] = [
        b"--output=x",
        b"-",
        b":(glob)**",
        b"a\nb\tc",
        b"esc\x1b[31m",
        b"lone\xff\xfe",
        b"quote\"back\\slash",
        b"sub/diff --git a/x b/x",
        b"with space ",
        b"\nindex 1..2\n@@ -1 +1,900 @@",
    ];
    let repo = TestRepo::new();
    let base = repo.commit("ana", "empty");
    for name in names {
        use std::os::unix::ffi::OsStrExt;
        repo.write(std::ffi::OsStr::from_bytes(name), "1\n2\n");
    }
    let head = repo.commit("bo", "hostile");
    let mut expected = names.map(RepoPath::new);
    expected.sort();
    for folder in folders_of_gits() {
        let path = [("PATH", folder.to_str().unwrap())];
        let git = repo.open_with(repo.path(), &path).unwrap();
        let change = git.change(&Start::at(base.clone()), &head, Detail::Lines).unwrap();
        let paths: Vec<_> = change.files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths, expected);
        assert!(change.files.iter().all(|file| file.added_lines() == 2));
        let entries = git.entries(&head, &expected).unwrap();
        let listed = git.list(&head, &RepoPath::new("")).unwrap();
        let touched = git.touched_by(std::slice::from_ref(&head), &[]).unwrap();
        assert_eq!((listed.len(), touched[&head].len()), (10, 10));
        for (path, entry) in &entries {
            assert_eq!(entry, &git.entry_at(&head, path).unwrap(), "{path:?}");
            assert!(entry.is_some() && touched[&head].contains(path), "{path:?}");
            let lines = git.blame(path, &base, &head).unwrap();
            assert_eq!(lines.len(), 1, "{path:?}");
        }
        assert_eq!(git.list(&head, &RepoPath::new("sub")).unwrap().len(), 1);
    }
}

#[test]
fn hostile_messages() {
    let repo = TestRepo::new();
    let first = repo.commit_file("ana", "a", "1\n", "first");
    let tree = repo.oid("HEAD^{tree}");
    let object = |header: &str, message: &[u8]| {
        let people =
            "author ana <ana@example.com> 1 +0000\ncommitter bo <bo@example.com> 2 +0000\n";
        let text = format!("tree {tree}\nparent {first}\n{people}{header}\n");
        let bytes = [text.as_bytes(), message].concat();
        let words = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
        Oid::parse(&repo.git_with_input(&words, &bytes)).unwrap()
    };
    let git = repo.open();
    let message = |commit: &Oid| {
        let commits = git.commits(&Revisions::between(&first, commit)).unwrap();
        let [commit] = &commits[..] else { panic!("{commits:?}") };
        assert_eq!(commit.committed, 2);
        commit.message.clone()
    };
    assert_eq!(message(&object("", b"x \xff\x1b[31m\n")), "x \u{fffd}\u{1b}[31m\n");
    assert_eq!(message(&object("encoding ISO-8859-1\n", b"\xe4\n")), "\u{e4}\n");
    assert_eq!(message(&object("encoding nonsense\n", b"y\n")), "y\n");
    assert_eq!(message(&object("", b"commit 1\n\ntree 2\n")), "commit 1\n\ntree 2\n");
    assert_eq!(message(&object("", b"")), "");
    let long = "x".repeat(3 << 20);
    assert_eq!(message(&object("", long.as_bytes())), long + "\n");
}

#[test]
fn binary_typechanged_and_odd_files() {
    let repo = TestRepo::new();
    repo.write("link", "1\n").write("nul.rs", "1\n2\n").write("mode", "1\n").write("gone", "1\n2");
    let base = repo.commit("ana", "first");
    std::fs::remove_file(repo.path().join("link")).unwrap();
    std::fs::remove_file(repo.path().join("gone")).unwrap();
    std::os::unix::fs::symlink("a\nb", repo.path().join("link")).unwrap();
    repo.write("nul.rs", "1\n2\n\0 evil\nmore").write("empty", "").write("z", "no end");
    repo.command("chmod").args(["+x", "mode"]).status().unwrap();
    let head = repo.commit("bo", "second");
    let change = repo.open().change(&Start::at(base.clone()), &head, Detail::Lines).unwrap();
    assert_eq!(
        text(&change),
        "A empty + -0\nD gone + -2\nT link + -1\nM mode + -0\nM nul.rs +3-4 -0 binary\nA z +1 -0\n"
    );
}

#[test]
fn a_foreign_owner_is_refused_unless_git_is_told_otherwise() {
    let repo = TestRepo::new();
    fill(&repo);
    let owned = repo.command("chown").args(["-R", "12345"]).arg(repo.path()).status();
    if !owned.is_ok_and(|status| status.success()) {
        return skipped("this user cannot give files away");
    }
    let error = repo.try_open(repo.path()).unwrap_err();
    assert!(matches!(error, GitError::ForeignOwner { .. }), "{error}");
    let path = repo.path().to_str().unwrap();
    let hint = format!("if you trust it: `git config --global --add safe.directory {path}`");
    assert_eq!(error.hints(), [hint]);
    // git2 does not know these variables, and refuses; git reads on.
    let variables = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "safe.directory"),
        ("GIT_CONFIG_VALUE_0", path),
    ];
    let git = repo.open_with(repo.path(), &variables).unwrap();
    let head = git.layout().head.clone().unwrap();
    let found = git.blob_at(&head, &RepoPath::new("b.txt"), 100).unwrap();
    assert_eq!(found.map(|(_, bytes)| bytes), Some(b"one\n".to_vec()));
    assert_eq!(staged(&git), "M a.rs +4 -1\nA new +1-2 -0\n");
}

#[test]
fn no_repository_and_a_broken_one_are_errors() {
    let repo = TestRepo::new();
    let error = repo.try_open(&repo.home()).unwrap_err();
    assert!(matches!(error, GitError::NotARepository { .. }), "{error}");
    let (repo, base, head) = two_commits();
    let name = repo.oid("HEAD^{tree}");
    let object =
        repo.path().join(".git/objects").join(&name.as_str()[..2]).join(&name.as_str()[2..]);
    std::fs::remove_file(object).unwrap();
    let git = repo.open();
    assert!(git.change(&Start::at(base.clone()), &head, Detail::Files).is_err());
    assert!(git.blob_at(&head, &RepoPath::new("a.py"), 100).is_err());
    assert!(git.entries(&head, &[RepoPath::new("a.py")]).is_err());
    assert!(git.blob(&name, 100).is_err());
    assert!(matches!(git.blob(&base, 10), Err(GitError::TooLarge { .. })));
    // A ref that cannot be read is not a ref that is not there.
    std::fs::write(repo.path().join(".git/refs/heads/broken"), "nonsense\n").unwrap();
    assert!(git.refs(&["refs/heads/"]).is_err());
}

#[test]
fn a_quarantine_is_seen() {
    let (repo, base, head) = two_commits();
    let bare = repo.bare_remote();
    repo.git(&["push", "-q", "origin", &format!("{base}:refs/heads/main")]);
    let objects = bare.path().join("objects/incoming");
    let store = repo.path().join(".git/objects");
    std::process::Command::new("cp").arg("-R").args([&store, &objects]).status().unwrap();
    let alternates = bare.path().join("objects");
    let variables = [
        ("GIT_DIR", "."),
        ("GIT_QUARANTINE_PATH", objects.to_str().unwrap()),
        ("GIT_OBJECT_DIRECTORY", objects.to_str().unwrap()),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", alternates.to_str().unwrap()),
    ];
    assert!(bare.open().change(&Start::at(base.clone()), &head, Detail::Lines).is_err());
    let git = bare.open_with(bare.path(), &variables).unwrap();
    check_two_commits(&git, &base, &head);
    let found = git.blob_at(&head, &RepoPath::new("a.py"), 100).unwrap();
    assert_eq!(found.map(|(_, bytes)| bytes), Some(b"1\nII\n3\n4\n".to_vec()));
}

#[test]
fn revisions_name_what_they_say() {
    let repo = TestRepo::new();
    let bare = repo.bare_remote();
    let first = repo.commit_file("ana", "a", "1\n", "first");
    repo.git(&["push", "-q", "origin", "HEAD:refs/heads/deep/er/branch"]);
    let second = repo.commit_file("ana", "a", "2\n", "second");
    repo.git(&["notes", "add", "-m", "note", first.as_str()]);
    repo.git(&["checkout", "-q", "--orphan", "ledger"]);
    let ledger = repo.commit_file("ana", "a", "3\n", "ledger");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a", "stashed\n").git(&["stash", "-q"]);
    let git = repo.open();
    let ids = |revisions: &Revisions| {
        let commits = git.commits(revisions).unwrap();
        assert_eq!(git.count(revisions).unwrap(), commits.len() as u64);
        let mut ids: Vec<_> = commits.into_iter().map(|commit| commit.id).collect();
        ids.sort();
        ids
    };
    let sorted = |mut ids: Vec<Oid>| {
        ids.sort();
        ids
    };
    let everything = Revisions::everything();
    assert_eq!(ids(&everything), sorted(vec![first.clone(), second.clone(), ledger]));
    let except_refs = vec!["refs/heads/ledger".to_owned()];
    let without = Revisions { except_refs, ..Revisions::everything() };
    assert_eq!(ids(&without), sorted(vec![first.clone(), second.clone()]));
    // A remote's name is no pattern, even where it looks like one.
    let from = vec![second.clone()];
    let remote = |name: &str| Some(name.to_owned());
    let unpushed =
        Revisions { from: from.clone(), not_on_remote: remote("origin"), ..Revisions::default() };
    assert_eq!(ids(&unpushed), std::slice::from_ref(&second));
    let other = Revisions { from, not_on_remote: remote("o*"), ..Revisions::default() };
    assert_eq!(ids(&other), sorted(vec![first.clone(), second.clone()]));
    assert_eq!(ids(&Revisions::default()), []);
    let between = Revisions { not: vec![], ..Revisions::between(&first, &second) };
    let order: Vec<_> = git.commits(&between).unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(order, [first, second]);
    assert_eq!(bare.open().head_branch().unwrap().as_deref(), Some("refs/heads/main"));
}

#[test]
fn configuration_is_what_git_says() {
    let repo = TestRepo::new();
    repo.write("included", "[Remote \"Big.One\"]\n\turl = a\n[x]\n\tflag\n");
    repo.git(&["config", "include.path", "../included"]);
    repo.git(&["config", "countersign.note", "one\ntwo"]);
    let variables = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "Countersign.Target"),
        ("GIT_CONFIG_VALUE_0", "refs/heads/release"),
    ];
    let git = repo.open_with(repo.path(), &variables).unwrap();
    let config = git.config().unwrap();
    assert_eq!(config.get("remote.Big.One.url"), Some("a"));
    assert_eq!(config.subsections("remote", "url"), ["Big.One"]);
    assert_eq!(config.get("countersign.note"), Some("one\ntwo"));
    assert_eq!(config.get("countersign.target"), Some("refs/heads/release"));
    assert_eq!(config.bool("x.flag").unwrap(), Some(true));
    repo.git(&["config", "x.flag", "perhaps"]);
    assert!(repo.open().config().unwrap().bool("x.flag").is_err());
}

#[test]
fn origins_of_files_and_lines() {
    let repo = TestRepo::new();
    let first = repo.commit_file("ana", "d/a.rs", "1\n2\n3\n", "first");
    repo.git(&["checkout", "-q", "-b", "side"]);
    let side = repo.commit_file("bo", "d/a.rs", "1\n2\n3\nside\n", "side");
    repo.git(&["checkout", "-q", "main"]);
    let main = repo.commit_file("chi", "d/a.rs", "main\n1\n2\n3\n", "main");
    repo.git(&["merge", "-q", "--no-commit", "side"]);
    let merge = repo.commit_file("ana", "b", "b\n", "merge");
    let empty = repo.commit("ana", "empty");
    let git = repo.try_open(&repo.path().join("d")).unwrap();
    let commits = [&first, &side, &main, &merge, &empty].map(Clone::clone);
    let touched = git.touched_by(&commits, &[]).unwrap();
    // Known trees, here of all but the first commit, spare git some work and change nothing.
    let known = git.commits(&Revisions::between(&first, &merge)).unwrap();
    assert_eq!(git.touched_by(&commits, &known).unwrap(), touched);
    let all = Revisions { from: vec![empty.clone()], oldest_first: true, ..Revisions::default() };
    assert_eq!(git.touched_by(&commits, &git.commits(&all).unwrap()).unwrap(), touched);
    let paths = |names: &[&str]| names.iter().map(|name| RepoPath::new(*name)).collect::<Vec<_>>();
    assert_eq!(touched[&first], paths(&["d/a.rs"]));
    assert_eq!(touched[&side], paths(&["d/a.rs"]));
    assert_eq!(touched[&merge], paths(&["b", "d/a.rs"]));
    assert_eq!(touched[&empty], paths(&[]));
    let lines = |base, head| {
        let lines = git.blame(&RepoPath::new("d/a.rs"), base, head).unwrap();
        lines.into_iter().map(|(range, id)| (range.start, range.end, id)).collect::<Vec<_>>()
    };
    assert_eq!(lines(&first, &merge), [(1, 1, main.clone()), (5, 5, side.clone())]);
    assert_eq!(
        lines(&git.empty_tree(), &merge),
        [(1, 1, main), (2, 4, first.clone()), (5, 5, side)]
    );
    let missing = git.empty_tree();
    assert!(git.touched_by(&[first, missing], &known).is_err());
}

/// One walk finds where a change begins; it has to say what git's merge base says.
#[test]
fn a_walk_starts_where_git_says() {
    let repo = TestRepo::new();
    let first = repo.commit_file("ana", "a", "1\n", "first");
    repo.git(&["checkout", "-q", "-b", "side"]);
    let side = repo.commit_file("bo", "side", "1\n", "side");
    repo.git(&["checkout", "-q", "main"]);
    let main = repo.commit_file("chi", "main", "1\n", "main");
    repo.git(&["checkout", "-q", "-b", "both", "side"]);
    repo.git(&["merge", "-q", "-m", "both", "main"]);
    let both = repo.commit_file("bo", "side", "2\n", "more");
    repo.git(&["checkout", "-q", "main"]);
    let later = repo.commit_file("chi", "main", "2\n", "later");
    repo.git(&["checkout", "-q", "--orphan", "other"]);
    let other = repo.commit_file("chi", "other", "1\n", "other");
    let git = repo.open();
    let tips = [&first, &side, &main, &both, &later, &other];
    for (target, head) in tips.iter().flat_map(|one| tips.map(|two| (*one, two))) {
        let bases = git.merge_bases(target, head).unwrap();
        let base = match bases.as_slice() {
            [] => git.empty_tree(),
            [base] => base.clone(),
            several => panic!("{several:?}"),
        };
        let start = git.start(target, head).unwrap();
        assert_eq!(start, Start::at(base.clone()), "{target}..{head}");
        let walked = git.change(&start, head, Detail::Files).unwrap();
        // The walk's commits were given away: this time they are read anew.
        assert_eq!(git.change(&start, head, Detail::Files).unwrap(), walked);
    }
    // A merge from the target leaves two places outside, and so no single one.
    assert_eq!(git.grown_from(&later, &both, "origin").unwrap(), None);
    assert_eq!(git.grown_from(&first, &both, "origin").unwrap(), Some(first.clone()));
    repo.git(&["update-ref", "refs/remotes/origin/side", side.as_str()]);
    repo.git(&["checkout", "-q", "side"]);
    let more = repo.commit_file("bo", "side", "3\n", "more of side");
    assert_eq!(git.grown_from(&later, &more, "origin").unwrap(), Some(side.clone()));
    assert_eq!(git.grown_from(&later, &side, "origin").unwrap(), None);
}

#[test]
fn ledger_commits_are_written_beside_the_work_tree() {
    for options in [&["--object-format=sha1"][..], &["--object-format=sha256"]] {
        let repo = TestRepo::init(options);
        fill(&repo);
        let before = std::fs::read(repo.path().join(".git/index")).unwrap();
        let bare = repo.init_remote(options);
        let git = repo.open();
        let name = "refs/heads/ledger";
        let write = |tree, path: &str, parents: Vec<_>| {
            let files = [(RepoPath::new(path), path.as_bytes().to_vec())];
            let tree = git.write_files(&tree, &files).unwrap();
            let at = countersign::gate::time::Timestamp(1_760_000_000);
            let message = "append\n".to_owned();
            git.write_commit(&NewCommit { tree, parents, message, at }).unwrap()
        };
        let one = write(git.empty_tree(), "records/2026/01/02/a.json", Vec::new());
        git.update_ref(name, &one, None).unwrap();
        let two = write(one.clone(), "records/2026/01/02.b/b.json", vec![one.clone()]);
        assert!(matches!(git.update_ref(name, &two, Some(&two)), Err(GitError::RefMoved(_))));
        assert!(matches!(git.update_ref(name, &two, None), Err(GitError::RefMoved(_))));
        git.update_ref(name, &two, Some(&one)).unwrap();
        repo.git(&["fsck", "--strict", "--full"]);
        assert_eq!(
            repo.git(&["ls-tree", "-r", "--name-only", name]),
            "records/2026/01/02.b/b.json\nrecords/2026/01/02/a.json"
        );
        assert_eq!(std::fs::read(repo.path().join(".git/index")).unwrap(), before);
        assert!(
            git.write_files(&git.empty_tree(), &[(RepoPath::new("../a"), Vec::new())]).is_err()
        );

        // Two clones append at once: the slower one is told so.
        let refspec = [format!("{two}:{name}")];
        let pushed = |outcome| [PushedRef { reference: name.to_owned(), outcome }];
        assert_eq!(git.push("origin", &refspec).unwrap(), pushed(RefOutcome::Done));
        let other = write(one.clone(), "records/c.json", vec![one]);
        let answer = git.push("origin", &[format!("{other}:{name}")]).unwrap();
        assert_eq!(answer, pushed(RefOutcome::Moved));
        assert_eq!(bare.oid(name), two);
        assert_eq!(git.remote_refs("origin", &[name]).unwrap(), [(name.to_owned(), two.clone())]);
        let fetched = "refs/countersign/remote";
        git.fetch("origin", &[format!("+{name}:{fetched}")]).unwrap();
        assert_eq!(git.reference(fetched).unwrap(), Some(two));
        assert_eq!(git.reference("refs/heads/led").unwrap(), None);
        assert!(git.push("nowhere", &refspec).is_err());
        assert!(git.fetch("nowhere", &[name.to_owned()]).is_err());
    }
}

#[test]
fn commit_signatures_are_taken_apart_as_git_does() {
    let repo = TestRepo::new();
    let plain = repo.commit_file("ana", "a", "1\n", "plain");
    let key = repo.home().join("key");
    let made = repo
        .command("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&key)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return skipped("no ssh-keygen here");
    }
    repo.git(&["config", "gpg.format", "ssh"]);
    repo.git(&["config", "user.signingkey", key.to_str().unwrap()]);
    repo.git(&["commit", "-q", "-S", "--allow-empty", "-m", "signed\n\ngpgsig no"]);
    let signed = repo.oid("HEAD");
    let signatures = repo.open().commit_signatures(&[plain.clone(), signed.clone()]).unwrap();
    assert_eq!(signatures[&plain], None);
    let signature = signatures[&signed].as_ref().unwrap();
    let file = repo.home().join("signature");
    std::fs::write(&file, &signature.signature).unwrap();
    let mut command = repo.command("ssh-keygen");
    command.args(["-Y", "check-novalidate", "-n", "git", "-s"]).arg(&file);
    assert!(feed(command, &signature.payload).status.success());
}

/// Whatever attributes, drivers and settings the clone and the change wish for; and
/// a git that could not be kept from them is not asked.
#[test]
fn a_merge_for_tests_is_the_same_everywhere() {
    let repo = TestRepo::new();
    repo.write("shared", "a\nb\nc\n").write(".gitattributes", "shared merge=union\n");
    repo.commit("ana", "start");
    repo.git(&["switch", "-q", "-c", "side"]);
    let head = repo.commit_file("ana", "shared", "a\nours\nc\n", "ours");
    repo.git(&["switch", "-q", "main"]);
    let tip = repo.commit_file("ana", "shared", "a\ntheirs\nc\n", "theirs");
    let other = repo.commit_file("ana", "other", "1\n", "other");
    repo.git(&["switch", "-q", "-c", "aside", "main~2"]);
    let aside = repo.commit_file("ana", "aside", "1\n", "aside");
    repo.write(".git/info/attributes", "shared merge=union\n");
    std::fs::create_dir_all(repo.home().join(".config/git")).unwrap();
    std::fs::write(repo.home().join(".config/git/attributes"), "shared merge=ours\n").unwrap();
    repo.git(&["config", "merge.default", "union"]);
    repo.git(&["config", "merge.ours.driver", "true"]);
    for folder in folders_of_gits() {
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", folder.display());
        let git = repo.open_with(repo.path(), &[("PATH", &path)]).unwrap();
        match git.merge_result(&tip, &head) {
            Ok(result) => {
                assert_eq!(result.unwrap_err(), "it conflicts in `shared`");
                let merged = git.merge_result(&other, &aside).unwrap().unwrap();
                let tree = repo.git(&["merge-tree", "--write-tree", "main", "aside"]);
                assert_eq!(merged.tree.as_str(), tree);
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("git 2.41 or newer is needed"), "{said}");
                assert!(error.hints()[0].contains("`on = \"merge\"`"));
                skipped(&format!("to merge with the git of {}: {said}", folder.display()));
            }
        }
    }
}
