//! Approvals that outlive a rewrite by proof, and those that do not: real git,
//! real keys, and git's own merges as the oracle.

use std::collections::BTreeSet;

use countersign::adapters::git::Git;
use countersign::gate::change::{Oid, RepoPath};
use countersign::gate::evidence::{BlobMerge, Merged};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::fixture::TestRepo;
use crate::shop::{Said, Shop, approve, countersign, judged};

const POLICY: &str = "[trust]\nrepo_id = \"shop\"\n[groups]\nsenior = [\"bo\"]\nml = [\"chi\"]\n\
    [[rule]]\nid = \"seniors\"\npaths = [\"/src/**\"]\nrequire.approvals = [{ from = [\"senior\"], carry = \"clean-merge\" }]\n\
    [[rule]]\nid = \"prompts\"\npaths = [\"/prompts/**\"]\nrequire.approvals = [{ from = [\"ml\"], carry = \"clean-merge\" }]\n";

/// Twenty lines, some of them replaced.
fn lines(replaced: &[(usize, &str)]) -> String {
    let line = |number: usize| {
        let other = replaced.iter().find(|(it, _)| *it == number);
        format!("{}\n", other.map_or(format!("line {number}"), |(_, text)| (*text).to_owned()))
    };
    (1..=20).map(line).collect()
}

/// The shop with a file of twenty lines on `main`, and ana's change of line 10
/// on `topic`, which bo has approved. `None` where ssh-keygen is absent.
fn approved() -> Option<Shop> {
    let shop = Shop::open(POLICY)?;
    let ana = &shop.ana;
    ana.commit_file("ana", "src/a.rs", &lines(&[]), "a");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.commit_file("ana", "src/a.rs", &lines(&[(10, "ten")]), "ten");
    approve(ana, "bo", None);
    assert_eq!(judged(ana, &[])[0], "pass");
    Some(shop)
}

/// Something lands on the target, by somebody else.
fn land(shop: &Shop, path: &str, content: &str) {
    let branch = shop.ana.git(&["branch", "--show-current"]);
    shop.ana.git(&["switch", "-q", "main"]);
    shop.ana.commit_file("chi", path, content, "land");
    shop.ana.git(&["push", "-q", "origin", "main"]);
    shop.ana.git(&["switch", "-q", &branch]);
}

/// What `explain` says of the approvals.
fn explained(shop: &Shop) -> String {
    let said = countersign(&shop.ana, &["explain"]);
    said.text
}

#[track_caller]
fn check(shop: &Shop, expected: &str, because: &str) {
    let text = explained(shop);
    assert!(text.contains(because), "{because}: {text}");
    assert_eq!(judged(&shop.ana, &[])[0], expected, "{text}");
}

const CARRIED: &str = "carried over to `src/a.rs`: the approved change merges cleanly";

#[test]
fn an_approval_outlives_a_clean_rebase_and_says_so() {
    let Some(shop) = approved() else { return };
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    shop.ana.git(&["rebase", "-q", "main"]);
    check(&shop, "pass", CARRIED);
    // Reworded and amended, it is still the same content.
    shop.ana.git(&["commit", "-q", "--amend", "--no-verify", "-m", "better said"]);
    check(&shop, "pass", CARRIED);
    // A line more is not.
    shop.ana.commit_file("ana", "src/a.rs", &lines(&[(2, "two"), (10, "ten"), (18, "x")]), "x");
    check(&shop, "block", "it differs from what a clean merge of the approved change gives");
}

#[test]
fn an_approval_outlives_squash_split_cherry_pick_and_a_merge_of_the_target() {
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    let topic = ana.oid("topic");
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    // The target merged into the branch.
    ana.git(&["merge", "-q", "--no-edit", "main"]);
    check(&shop, "pass", "bo");
    // Picked onto a branch of its own.
    ana.git(&["switch", "-q", "-c", "picked", "main"]);
    ana.git(&["cherry-pick", topic.as_str()]);
    check(&shop, "pass", CARRIED);
    // Split into two commits, with a detour.
    ana.git(&["switch", "-q", "-c", "split", "main"]);
    ana.commit_file("ana", "src/a.rs", &lines(&[(2, "two"), (10, "elf")]), "one");
    ana.commit_file("ana", "src/a.rs", &lines(&[(2, "two"), (10, "ten")]), "two");
    check(&shop, "pass", CARRIED);
    // And squashed again.
    ana.git(&["reset", "-q", "--soft", "main"]);
    ana.commit("ana", "squashed");
    check(&shop, "pass", CARRIED);
}

#[test]
fn what_a_clean_merge_does_not_give_is_asked_for_again() {
    let differs = "it differs from what a clean merge of the approved change gives";
    let conflict = "the same lines changed on the target";
    type Lines<'a> = &'a [(usize, &'a str)];
    let cases: [(&str, Lines<'_>, Lines<'_>, &str); 6] = [
        ("only white space", &[(2, "two")], &[(2, "two"), (10, "  ten")], differs),
        ("another place", &[(2, "two")], &[(2, "two"), (11, "ten")], differs),
        ("an evil merge", &[(2, "two")], &[(2, "two"), (10, "ten"), (20, "evil")], differs),
        ("upstream undone", &[(2, "two")], &[(10, "ten")], differs),
        ("a conflict resolved by hand", &[(10, "dix")], &[(10, "ten")], conflict),
        ("beside a changed line", &[(11, "eleven")], &[(10, "ten"), (11, "eleven")], conflict),
    ];
    for (what, upstream, result, because) in cases {
        let Some(shop) = approved() else { return };
        land(&shop, "src/a.rs", &lines(upstream));
        shop.ana.git(&["reset", "-q", "--hard", "main"]);
        shop.ana.commit_file("ana", "src/a.rs", &lines(result), what);
        let text = explained(&shop);
        assert!(text.contains(because), "{what}: {text}");
        assert_eq!(judged(&shop.ana, &[])[0], "block", "{what}");
    }
}

#[test]
fn a_part_of_what_was_approved_does_not_carry() {
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    // bo approves two files together.
    ana.commit_file("ana", "src/b.rs", &lines(&[]), "b");
    approve(ana, "bo", None);
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    // Only the second file comes along.
    ana.git(&["switch", "-q", "-c", "part", "main"]);
    ana.git(&["checkout", "topic", "--", "src/b.rs"]);
    ana.commit("ana", "b");
    check(&shop, "block", "`src/a.rs` was approved with it, and is neither in the change nor on");
    // Once the first has landed as a clean merge, the second may follow.
    land(&shop, "src/a.rs", &lines(&[(2, "two"), (10, "ten")]));
    ana.git(&["rebase", "-q", "main"]);
    check(&shop, "pass", "bo");
}

#[test]
fn attributes_and_drivers_prove_nothing() {
    let Some(shop) = Shop::open(POLICY) else { return };
    let ana = &shop.ana;
    // The union driver keeps both lines, and calls it clean.
    ana.write(".gitattributes", "*.rs merge=union\n");
    ana.commit_file("ana", "src/a.rs", &lines(&[]), "a");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.commit_file("ana", "src/a.rs", &lines(&[(10, "ten")]), "ten");
    approve(ana, "bo", None);
    land(&shop, "src/a.rs", &lines(&[(10, "dix")]));
    ana.git(&["rebase", "-q", "main"]);
    let merged = ana.git(&["show", "HEAD:src/a.rs"]);
    assert!(merged.contains("dix\nten") || merged.contains("ten\ndix"), "{merged}");
    check(&shop, "block", "the same lines changed on the target");
    // A change of the attributes themselves lets nothing below them carry.
    let Some(shop) = approved() else { return };
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    shop.ana.git(&["rebase", "-q", "main"]);
    check(&shop, "pass", CARRIED);
    shop.ana.commit_file("ana", "src/.gitattributes", "*.rs -text\n", "attributes");
    check(&shop, "block", "a `.gitattributes` above it changed");
}

#[cfg(unix)]
#[test]
fn modes_symlinks_submodules_renames_and_binaries_carry_only_unchanged() {
    let only = "changed modes carry only unchanged";
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    ana.git(&["rebase", "-q", "main"]);
    check(&shop, "pass", CARRIED);
    let rebased = ana.oid("HEAD");
    ana.git(&["update-index", "--chmod=+x", "src/a.rs"]);
    ana.git(&["commit", "-q", "--no-verify", "-m", "mode"]);
    check(&shop, "block", only);
    let zero = "1".repeat(40);
    for (what, entry) in [
        ("symlink", format!("120000,{},src/a.rs", ana.oid(&format!("{rebased}:src/a.rs")))),
        ("submodule", format!("160000,{zero},src/a.rs")),
    ] {
        ana.git(&["reset", "-q", "--soft", rebased.as_str()]);
        ana.git(&["update-index", "--cacheinfo", &entry]);
        ana.git(&["commit", "-q", "--no-verify", "-m", what]);
        check(&shop, "block", only);
    }
    ana.git(&["reset", "-q", "--hard", rebased.as_str()]);
    ana.git(&["mv", "src/a.rs", "src/b.rs"]);
    ana.commit("ana", "rename");
    check(&shop, "block", only);
    // A NUL byte far behind where git looks for one.
    let binary = |first: &str| format!("{first}\n{}\0\n", lines(&[]).repeat(60));
    ana.git(&["switch", "-q", "main"]);
    ana.commit_file("ana", "src/n.rs", &format!("{}{}", binary("0"), lines(&[])), "n");
    ana.git(&["push", "-q", "origin", "main"]);
    ana.git(&["switch", "-q", "-c", "binary"]);
    ana.commit_file("ana", "src/n.rs", &format!("{}{}", binary("0"), lines(&[(10, "x")])), "n");
    approve(ana, "bo", None);
    assert_eq!(judged(ana, &[])[0], "pass");
    land(&shop, "src/n.rs", &format!("{}{}", binary("1"), lines(&[])));
    ana.git(&["rebase", "-q", "main"]);
    check(&shop, "block", "a binary file carries only unchanged");
}

#[test]
fn an_approval_of_prompts_stays_when_sources_change() {
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    ana.commit_file("ana", "prompts/p.md", "be kind\n", "prompt");
    approve(ana, "bo", None);
    approve(ana, "chi", None);
    assert_eq!(judged(ana, &[])[0], "pass");
    ana.commit_file("ana", "src/a.rs", &lines(&[(10, "ten"), (11, "more")]), "more");
    let states = judged(ana, &[]);
    assert_eq!(
        states,
        ["block", "seniors approvals missing", "prompts approvals satisfied"],
        "{}",
        explained(&shop)
    );
}

#[test]
fn a_blob_that_is_gone_proves_nothing() {
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    let approved_blob = ana.oid("HEAD:src/a.rs");
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    ana.git(&["rebase", "-q", "main"]);
    check(&shop, "pass", CARRIED);
    let (folder, file) = approved_blob.as_str().split_at(2);
    std::fs::remove_file(ana.path().join(".git/objects").join(folder).join(file)).unwrap();
    check(&shop, "block", &format!("object `{approved_blob}` is not in this repository"));
}

#[test]
fn a_rejection_outlives_a_rebase_too() {
    let Some(shop) = approved() else { return };
    let no = countersign::jobs::approve::Decision::Reject { note: None };
    crate::shop::decide(&shop.ana, "chi", None, &no);
    assert_eq!(judged(&shop.ana, &[])[0], "block");
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    shop.ana.git(&["rebase", "-q", "main"]);
    assert_eq!(judged(&shop.ana, &[])[0], "block");
}

#[test]
fn what_was_reverted_needs_a_new_approval_and_says_since_when() {
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    let topic = ana.oid("topic");
    land(&shop, "src/a.rs", &lines(&[(10, "ten")]));
    // What has landed is judged by what was there before it.
    assert_eq!(judged(ana, &["HEAD~1..HEAD"])[0], "pass", "{}", explained(&shop));
    land(&shop, "src/a.rs", &lines(&[]));
    let revert = ana.oid("main");
    ana.git(&["switch", "-q", "-c", "again", "main"]);
    ana.git(&["cherry-pick", topic.as_str()]);
    let spent = format!(
        "`src/a.rs` stood on the target as it was approved until {} changed it again: the approval is spent",
        revert.short()
    );
    check(&shop, "block", &spent);
    // bo says yes again, to the same content.
    approve(ana, "bo", None);
    check(&shop, "pass", "bo");
    // Carried and landed elsewhere in the file, then taken back: spent as well.
    land(&shop, "src/a.rs", &lines(&[(2, "two")]));
    land(&shop, "src/a.rs", &lines(&[(2, "two"), (10, "ten")]));
    land(&shop, "src/a.rs", &lines(&[(2, "two"), (20, "twenty")]));
    ana.git(&["reset", "-q", "--hard", "main"]);
    ana.commit_file("ana", "src/a.rs", &lines(&[(2, "two"), (10, "ten"), (20, "twenty")]), "again");
    check(&shop, "block", "the approval is spent");
}

#[test]
fn a_shallow_clone_cannot_tell_what_is_spent_and_blocks() {
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    for number in 1..5 {
        land(&shop, "README.md", &format!("{number}\n"));
    }
    ana.git(&["push", "-q", "origin", "topic"]);
    crate::shop::sync(ana);
    ana.git(&["rebase", "-q", "main"]);
    ana.git(&["push", "-q", "-f", "origin", "topic"]);
    let shallow = shop.hub.clone_as("shallow", &["--no-single-branch", "--depth=3"]);
    shallow.git(&["switch", "-q", "topic"]);
    let said = Said::new(&shallow.countersign(&["check"]));
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("git fetch --unshallow"), "{}", said.text);
    shallow.git(&["fetch", "-q", "--unshallow"]);
    let said = Said::new(&shallow.countersign(&["check"]));
    assert_eq!(said.code, Some(0), "{}", said.text);
}

/// A file of a few kinds of lines, so that hunks meet, repeat and abut.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..6_u8, 0..24)
}

/// A few lines changed, taken away and added.
fn edited(base: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..3_u8, any::<prop::sample::Index>(), 0..9_u8);
    prop::collection::vec(edit, 0..5).prop_map(move |edits| {
        let mut lines = base.clone();
        for (kind, place, line) in edits {
            let at = place.index(lines.len() + 1);
            match kind {
                0 => lines.insert(at, line),
                1 if at < lines.len() => drop(lines.remove(at)),
                _ if at < lines.len() => lines[at] = line,
                _ => lines.push(line),
            }
        }
        lines
    })
}

/// Lines as bytes, with every kind of line end and of ending.
fn bytes(lines: &[u8], style: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        let end: &[u8] = if style & 1 == 1 && line % 2 == 0 { b"\r\n" } else { b"\n" };
        let words = ["", "}", "a", "if x {", "    a", "b", "c", "d  ", "é"];
        bytes.extend_from_slice(words[usize::from(*line) % words.len()].as_bytes());
        bytes.extend_from_slice(end);
    }
    if style & 2 == 2 {
        bytes.pop();
    }
    bytes
}

/// The result of `git merge-file`; `None` where it conflicts, or does not know the algorithm.
fn merge_file(
    repo: &TestRepo,
    [base, ours, theirs]: [&[u8]; 3],
    algorithm: Option<&str>,
) -> Option<Vec<u8>> {
    for (name, content) in [("base", base), ("ours", ours), ("theirs", theirs)] {
        repo.write(name, content);
    }
    let mut command = repo.git_command(&["merge-file", "-p", "-q"]);
    command.args(algorithm.map(|it| format!("--diff-algorithm={it}")));
    let output = command.args(["ours", "base", "theirs"]).output().unwrap();
    (output.status.code() == Some(0)).then_some(output.stdout)
}

/// The blob that `git merge-tree` gives for a file; `None` where it conflicts.
fn merge_tree(repo: &TestRepo, blobs: [&Oid; 3]) -> Option<Oid> {
    let commits = blobs.map(|blob| {
        let tree = repo.git_with_input(&["mktree"], format!("100644 blob {blob}\tf\n").as_bytes());
        repo.git(&["commit-tree", "-m", "m", &tree])
    });
    let [base, ours, theirs] = &commits;
    let base = format!("--merge-base={base}");
    let words = ["merge-tree", "--write-tree", &base, ours, theirs];
    let output = repo.git_command(&words).output().unwrap();
    let tree = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.code() == Some(0)).then(|| repo.oid(&format!("{tree}:f")))
}

/// The merge of these blobs as the proof asks for it, and the object that
/// `git merge-file` gives, if it gives one.
fn proven(repo: &TestRepo, git: &Git, files: [&[u8]; 3]) -> (BlobMerge, bool) {
    let oracle = merge_file(repo, files, None);
    let blob = |bytes: &[u8]| {
        let id = repo.git_with_input(&["hash-object", "-w", "--stdin"], bytes);
        Oid::parse(&id).unwrap()
    };
    let expected = oracle.clone().unwrap_or_else(|| b"nobody wrote this".to_vec());
    let [base, ours, theirs] = files.map(blob);
    let merge = BlobMerge { base, ours, theirs, result: blob(&expected) };
    let answers = git.merge_blobs(&BTreeSet::from([merge.clone()])).unwrap();
    let answer = answers[&merge].as_ref().unwrap();
    let equal = matches!(answer, Merged::Equal { .. });
    assert_eq!(equal, oracle.is_some(), "{answer:?}: {files:?}");
    (merge, equal)
}

/// What carries is what `git merge-file` gives, in every case.
#[test]
fn carrying_agrees_with_git_merge_file() {
    let repo = TestRepo::new();
    let git = repo.open();
    let cases = text()
        .prop_flat_map(|base| (Just(base.clone()), edited(base.clone()), edited(base), 0..4_u8));
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    // The same cases each time, so that whoever builds this gets the same answer.
    let dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let result =
        TestRunner::new_with_rng(config, dice).run(&cases, |(base, ours, theirs, style)| {
            let [base, ours, theirs] = [&base, &ours, &theirs].map(|lines| bytes(lines, style));
            proven(&repo, &git, [&base, &ours, &theirs]);
            Ok(())
        });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// `git merge-file` compares by Myers' algorithm, and `git merge`, `rebase` and
/// `merge-tree` by the histogram: where lines repeat, each can align them in its
/// own way, and both can be clean and differ. What carries is the first one's
/// result alone; the other's is a change that nobody approved.
#[test]
fn where_lines_repeat_one_of_two_clean_merges_carries() {
    let repo = TestRepo::new();
    let git = repo.open();
    let base = "\na\nif x {\n}\nif x {\n    a\n";
    let ours = "\na\n}\nif x {\n    a\nb\n}\n";
    let theirs = "a\n}\na\nif x {\n}\n    a\nb\n}\n";
    let files = [base, ours, theirs].map(str::as_bytes);
    let (merge, clean) = proven(&repo, &git, files);
    assert!(clean);
    assert_eq!(merge_file(&repo, files, None).unwrap(), theirs.as_bytes());
    let Some(tree) = merge_tree(&repo, [&merge.base, &merge.ours, &merge.theirs]) else { return };
    if tree == merge.result {
        // A git that merges otherwise than those of today.
        return;
    }
    let other = BlobMerge { result: tree, ..merge };
    let answers = git.merge_blobs(&BTreeSet::from([other.clone()])).unwrap();
    assert!(matches!(answers[&other], Ok(Merged::Differs)));
    // It is the algorithm alone: git before 2.44 cannot be asked for it.
    let by_histogram = merge_file(&repo, files, Some("histogram"));
    let other = repo.git(&["cat-file", "blob", other.result.as_str()]);
    assert!(by_histogram.is_none_or(|it| it == format!("{other}\n").into_bytes()));
}

#[test]
fn merges_are_proven_through_plumbing_where_the_engine_cannot() {
    let repo = TestRepo::new();
    let blob = |text: &str| {
        let id = repo.git_with_input(&["hash-object", "-w", "--stdin"], text.as_bytes());
        Oid::parse(&id).unwrap()
    };
    let [base, ours, theirs] = [&[][..], &[(3, "x")], &[(9, "y")]].map(lines);
    let result = lines(&[(3, "x"), (9, "y")]);
    let whole = BlobMerge {
        base: blob(&base),
        ours: blob(&ours),
        theirs: blob(&theirs),
        result: blob(&result),
    };
    let gone = BlobMerge { ours: Oid::parse(&"1".repeat(40)).unwrap(), ..whole.clone() };
    // An object that the engine finds nowhere sends the question to git, and costs only itself.
    let asked = BTreeSet::from([whole.clone(), gone.clone()]);
    let answers = repo.open().merge_blobs(&asked).unwrap();
    assert!(matches!(answers[&whole], Ok(Merged::Equal { .. })));
    assert!(answers[&gone].as_ref().is_err_and(|why| why.contains("is not in this repository")));
}

#[test]
fn landings_are_the_changes_of_the_first_parents() {
    let repo = TestRepo::new();
    let first = repo.commit_file("ana", "a", "1\n", "1");
    repo.git(&["switch", "-q", "-c", "side"]);
    repo.commit_file("ana", "a", "side\n", "side");
    repo.commit_file("ana", "a", "2\n", "2");
    repo.git(&["switch", "-q", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "--no-edit", "side"]);
    let merge = repo.oid("HEAD");
    repo.commit_file("ana", "b [x]\nc", "b\n", "b");
    std::fs::remove_file(repo.path().join("a")).unwrap();
    let last = repo.commit("ana", "rm");
    let path = |name: &str| RepoPath::new(name);
    let paths: BTreeSet<RepoPath> = ["a", "b [x]\nc", "none"].map(path).into();
    let git = repo.open();
    let landings = git.landings(&first, &last, &paths).unwrap();
    let commits =
        |name: &str| landings[&path(name)].iter().map(|it| it.commit.clone()).collect::<Vec<_>>();
    assert_eq!(commits("a"), [merge, last.clone()]);
    assert_eq!(commits("none"), []);
    assert_eq!(commits("b [x]\nc").len(), 1);
    assert_eq!(landings[&path("a")][0].new, landings[&path("a")][1].old);
    assert_eq!(landings[&path("a")][1].new, None);
    let all = git.landings(&git.empty_tree(), &last, &paths).unwrap();
    assert_eq!(all[&path("a")].len(), 3);
}

#[test]
fn two_people_approve_where_the_author_is_not_proven() {
    let policy = "[trust]\nrepo_id = \"shop\"\nunverified_authors = \"two\"\n\
        [[rule]]\nid = \"seniors\"\npaths = [\"/src/**\"]\nrequire.approvals = [{ from = [\"bo\", \"chi\"] }]\n";
    let Some(shop) = Shop::open(policy) else { return };
    let ana = &shop.ana;
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.commit_file("ana", "src/a.rs", "a\n", "a");
    approve(ana, "bo", None);
    let because = "at least 2 people, because no key of its author signed";
    check(&shop, "block", because);
    let who = countersign(ana, &["who-can"]).text;
    assert!(who.contains("chi"), "{who}");
    // Signed by ana's own key, it is proven.
    let key = crate::shop::key_of(ana, "ana");
    let key = format!("user.signingkey={}", key.display());
    ana.git(&["-c", "gpg.format=ssh", "-c", &key, "commit", "-q", "--amend", "--no-edit", "-S"]);
    check(&shop, "pass", "bo");
    ana.git(&["commit", "-q", "--amend", "--no-edit", "--no-gpg-sign"]);
    check(&shop, "block", because);
    approve(ana, "chi", None);
    check(&shop, "pass", "chi");
}

#[test]
fn the_policys_keys_verify_a_record_with_stock_ssh_keygen() {
    let Some(shop) = approved() else { return };
    let ana = &shop.ana;
    let said = countersign(ana, &["policy", "show", "--allowed-signers"]);
    assert!(said.passes(), "{}", said.text);
    assert!(said.text.starts_with("ana namespaces=\"countersign-approval-v1,"), "{}", said.text);
    ana.write("signers", &said.text);
    let branch = "refs/heads/countersign-ledger";
    let names = ana.git(&["ls-tree", "-r", "--name-only", branch, "records/"]);
    let signature = names.lines().find(|name| name.ends_with(".sig")).unwrap();
    let record = signature.replace(".sig", ".json");
    ana.write("r.sig", ana.git(&["show", &format!("{branch}:{signature}")]) + "\n");
    let script = format!(
        "git show {branch}:{record} | ssh-keygen -Y verify -f signers -I bo -n countersign-approval-v1 -s r.sig"
    );
    let verify =
        |script: &str| Said::new(&ana.command("sh").args(["-c", script]).output().unwrap());
    let said = verify(&script);
    assert!(said.passes(), "{}", said.text);
    assert!(!verify(&script.replace("-I bo", "-I ana")).passes());
    assert!(!verify(&script.replace("approval-v1 -s", "waiver-v1 -s")).passes());
}
