//! Refs that are read in process say what git says of them.

use crate::fixture::TestRepo;

/// Asks for all of these at once, then for each, and git for each.
#[track_caller]
fn check(repo: &TestRepo, names: &[&str]) {
    let git = repo.open();
    let asked: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    git.look_up(&asked).unwrap_or_else(|error| panic!("{error}"));
    let answer = |arguments: &[&str]| {
        let output = repo.git_command(arguments).output().expect("git runs");
        let text = String::from_utf8(output.stdout).expect("names are ASCII");
        (!text.is_empty()).then(|| text.trim_end().to_owned())
    };
    for name in names {
        let ours = git.reference(name).ok().flatten().map(|id| id.to_string());
        assert_eq!(ours, answer(&["for-each-ref", "--format=%(objectname)", name]), "{name}");
        let ours = git.symbolic(name).ok().flatten();
        assert_eq!(
            ours,
            answer(&["for-each-ref", "--format=%(symref)", name]).filter(|it| !it.is_empty()),
            "{name}"
        );
    }
}

/// Loose, packed, both, and symbolic in one, two and six steps.
fn fill(repo: &TestRepo) {
    repo.commit_file("ana", "a", "1\n", "first");
    repo.git(&["branch", "packed"]);
    repo.git(&["branch", "both"]);
    repo.git(&["branch", "deep/er/and/deeper"]);
    repo.git(&["tag", "-m", "x", "v1"]);
    repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repo.git(&["pack-refs", "--all"]);
    repo.commit_file("ana", "a", "2\n", "second");
    repo.git(&["branch", "-f", "both"]);
    repo.git(&["branch", "loose"]);
    repo.git(&["branch", "-d", "-f", "deep/er/and/deeper"]);
    repo.git(&["branch", "deep/er/other"]);
    repo.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    repo.git(&["symbolic-ref", "refs/links/one", "refs/remotes/origin/HEAD"]);
}

const NAMES: [&str; 13] = [
    "refs/heads/main",
    "refs/heads/packed",
    "refs/heads/both",
    "refs/heads/loose",
    "refs/heads/deep/er/and/deeper",
    "refs/heads/deep/er/other",
    "refs/heads/pack",
    "refs/heads/none",
    "refs/heads/loose/below",
    "refs/tags/v1",
    "refs/remotes/origin/main",
    "refs/remotes/origin/HEAD",
    "refs/links/one",
];

#[test]
fn loose_packed_and_symbolic_refs() {
    for options in [&[][..], &["--object-format=sha256"]] {
        let repo = TestRepo::init(options);
        fill(&repo);
        check(&repo, &NAMES);
        for name in NAMES {
            check(&repo, &[name]);
        }
    }
}

#[test]
fn a_linked_work_tree_shares_them() {
    let repo = TestRepo::new();
    fill(&repo);
    let linked = repo.beside("linked");
    repo.git(&["worktree", "add", "-q", "-f", linked.path().to_str().expect("UTF-8"), "loose"]);
    check(&linked, &NAMES);
    // Some are each work tree's own.
    linked.git(&["update-ref", "refs/worktree/mine", "HEAD"]);
    check(&linked, &["refs/worktree/mine", "refs/heads/main"]);
    check(&repo, &["refs/worktree/mine", "refs/heads/main"]);
}

/// What leads nowhere, is malformed, or is no name of a ref is left to git.
#[test]
fn what_is_odd_is_left_to_git() {
    let repo = TestRepo::new();
    fill(&repo);
    repo.git(&["symbolic-ref", "refs/links/nowhere", "refs/heads/none"]);
    repo.write(".git/refs/links/endless", "ref: refs/links/endless\n");
    repo.write(".git/refs/links/broken", "refs/heads/main\n");
    std::os::unix::fs::symlink("main", repo.path().join(".git/refs/heads/linked")).unwrap();
    for name in ["refs/links/nowhere", "refs/links/endless", "refs/heads/linked"] {
        check(&repo, &[name, "refs/heads/main"]);
    }
    let git = repo.open();
    let broken = "refs/links/broken".to_owned();
    git.look_up(std::slice::from_ref(&broken)).unwrap_or_else(|error| panic!("{error}"));
    assert!(git.reference(&broken).is_err(), "git cannot read it either");
}

/// Asks which commit a word names, and git for it.
#[track_caller]
fn check_words(repo: &TestRepo, words: &[&str]) {
    let git = repo.open();
    for word in words {
        let asked = format!("{word}^{{commit}}");
        let command = ["rev-parse", "--verify", "-q", "--end-of-options", &asked];
        let output = repo.git_command(&command).output().expect("git runs");
        let told = String::from_utf8(output.stdout).expect("ids are ASCII");
        let ours = git.resolve_commit(word).ok().flatten().map(|id| id.to_string());
        assert_eq!(ours.as_deref().unwrap_or_default(), told.trim_end(), "{word}");
    }
}

/// A short name is read from files only where one ref alone can be meant.
#[test]
fn words_name_what_they_name_to_git() {
    let repo = TestRepo::new();
    fill(&repo);
    let words = [
        "main",
        "packed",
        "both",
        "loose",
        "v1",
        "tags/v1",
        "heads/main",
        "origin/main",
        "origin",
        "origin/HEAD",
        "remotes/origin/main",
        "refs/heads/main",
        "none",
        "HEAD",
        "main~1",
        "main@{0}",
        "@",
        "deep/er/other",
        "deep/er",
        "-x",
        "a",
        "links/one",
        "v1^{commit}",
    ];
    check_words(&repo, &words);
    // Two refs, a file of git's own, an id that is a name as well.
    repo.git(&["tag", "loose", "HEAD~1"]);
    repo.git(&["branch", "ORIG_HEAD", "HEAD~1"]);
    repo.git(&["update-ref", "ORIG_HEAD", "HEAD"]);
    let id = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["update-ref", &format!("refs/heads/{id}"), "HEAD~1"]);
    repo.git(&["update-ref", &format!("refs/heads/{}", &id[..8]), "HEAD~1"]);
    repo.git(&["update-ref", "refs/tags/blob", "HEAD:a"]);
    check_words(&repo, &["loose", "heads/loose", "ORIG_HEAD", &id, &id[..8], &id[..9], "blob"]);
    repo.write(".git/refs/heads/broken", "nonsense\n");
    check_words(&repo, &["broken", "main"]);
}
