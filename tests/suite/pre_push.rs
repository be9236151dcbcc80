//! Pushes with real git: every ref of a push is judged, from objects only.

use crate::fixture::{TestRepo, skipped};
use crate::shop::{
    BY_CLAUDE, Said, Shop, approve, commit_unwatched, git, judged, push, redacted, sync,
};

/// `*.rs` needs a senior, `secrets/` is denied, and only assisted commits are
/// asked for anything in `docs/`.
const POLICY: &str = r#"
[trust]
repo_id = "shop"
protect = ["refs/heads/main", "refs/heads/release/*"]
[groups]
senior = ["ana", "bo"]
[[rule]]
id = "seniors"
paths = ["*.rs"]
require.approvals = [{ from = ["senior"] }]
[[rule]]
id = "secrets"
paths = ["/secrets/**"]
deny = true
[[rule]]
id = "docs"
paths = ["/docs/**"]
when = { assisted = true }
require.approvals = [{ from = ["senior"] }]
"#;

/// Does something in ana's clone, on the branch `topic`, then pushes; expects
/// the codes of what blocks, none if the push goes through.
#[track_caller]
fn check(prepare: impl FnOnce(&TestRepo), arguments: &[&str], expected: &[&str]) -> Said {
    let Some(shop) = Shop::installed(POLICY) else {
        return Said { code: None, text: String::new() };
    };
    check_in(&shop, prepare, arguments, expected)
}

#[track_caller]
fn check_in(
    shop: &Shop,
    prepare: impl FnOnce(&TestRepo),
    arguments: &[&str],
    expected: &[&str],
) -> Said {
    prepare(&shop.ana);
    let said = shop.push(arguments);
    assert_eq!(said.codes(), expected, "{}", said.text);
    assert_eq!(said.passes(), expected.is_empty(), "{}", said.text);
    said
}

/// Commits one file as somebody whom no hook watches.
fn file(path: &'static str) -> impl Fn(&TestRepo) {
    move |repo| {
        repo.write(path, "1\n");
        commit_unwatched(repo, path);
    }
}

const CODE: &str = "a.rs";
const SECRET: &str = "secrets/key";

#[test]
fn a_branch_is_pushable_and_a_protected_ref_is_not() {
    let said = check(file(CODE), &["origin", "topic"], &[]);
    assert_eq!(said.text, "countersign: this change will need: approvals at merge (seniors)\n",);
    for to_main in ["topic:main", "HEAD:main", "HEAD:refs/heads/main", "topic:release/1"] {
        check(file(CODE), &["origin", to_main], &["approval-missing"]);
    }
    check(file("plain"), &["origin", "HEAD:main"], &[]);
    // A new protected ref is judged from where it left the target.
    check(|_| {}, &["origin", "main:release/1"], &[]);
}

#[test]
fn every_ref_of_a_push_is_judged() {
    let secret_beside = |repo: &TestRepo| {
        file("plain")(repo);
        repo.git(&["switch", "-q", "-c", "other", "main"]);
        file(SECRET)(repo);
        repo.git(&["tag", "v1"]);
        repo.git(&["tag", "-a", "-m", "two", "v2"]);
        repo.git(&["switch", "-q", "topic"]);
    };
    for refs in [
        &["origin", "topic", "other"] as &[&str],
        &["origin", "other", "topic"],
        &["origin", "topic", "topic:x", "other:y"],
        &["origin", "topic", "v1"],
        &["origin", "topic", "v2"],
        &["origin", "v2:refs/heads/from-tag"],
    ] {
        check(secret_beside, refs, &["denied"]);
    }
    let said = check(secret_beside, &["origin", "--all"], &["denied"]);
    assert!(said.text.contains(" (pushed to other) for main\n"), "{}", said.text);
    check(secret_beside, &["origin", "other", "v1", "topic"], &["denied", "denied"]);
    check(secret_beside, &["--tags", "origin", "topic"], &["denied", "denied"]);
    // Each for its own reason.
    let both = |repo: &TestRepo| {
        secret_beside(repo);
        file(CODE)(repo);
    };
    let blocked = ["approval-missing", "denied"];
    let mut refs = ["topic:main", "other"];
    check(both, &["origin", refs[0], refs[1]], &blocked);
    refs.reverse();
    check(both, &["origin", refs[0], refs[1]], &blocked);
}

#[test]
fn what_holds_no_work_passes() {
    // Nothing to push: git starts the hook with an empty standard input.
    check(|_| {}, &["origin", "main"], &[]);
    check(
        |repo| {
            repo.git(&["notes", "add", "-m", "a note", "HEAD"]);
        },
        &["origin", "refs/notes/commits"],
        &[],
    );
    // A tag of a tree is no commit.
    check(
        |repo| {
            repo.git(&["tag", "tree", "HEAD^{tree}"]);
        },
        &["origin", "tree"],
        &[],
    );
    let Some(shop) = Shop::installed(POLICY) else { return };
    check_in(&shop, file("plain"), &["origin", "topic"], &[]);
    check_in(&shop, |_| {}, &["origin", ":topic"], &[]);
    // What the remote has already is not judged again.
    shop.ana.git(&["push", "-q", "--no-verify", "origin", "topic:again"]);
    check_in(&shop, |_| {}, &["origin", "topic:third"], &[]);
}

#[test]
fn what_commit_did_not_see_is_judged_at_the_push() {
    let no_verify = |repo: &TestRepo| {
        repo.write(SECRET, "1\n").git(&["add", "-A"]);
        repo.git(&["commit", "-q", "--no-verify", "-m", "x"]);
    };
    check(no_verify, &["origin", "topic"], &["denied"]);
    // It comes and goes again: the net change holds nothing of it.
    let gone = |repo: &TestRepo| {
        no_verify(repo);
        repo.git(&["rm", "-q", SECRET]);
        repo.git(&["commit", "-q", "--no-verify", "-m", "y"]);
    };
    check(gone, &["origin", "topic"], &[]);
}

#[test]
fn a_protected_ref_is_neither_rewound_nor_deleted() {
    let two = |repo: &TestRepo| {
        file("plain")(repo);
        repo.git(&["push", "-q", "--no-verify", "origin", "topic:main"]);
    };
    check(two, &["-f", "origin", "HEAD~1:main"], &["ref-rewrite"]);
    check(two, &["--force-with-lease", "origin", "+HEAD~1:refs/heads/main"], &["ref-rewrite"]);
    check(two, &["origin", ":main"], &["ref-rewrite"]);
    check(two, &["origin", ":main", "topic"], &["ref-rewrite"]);
    // Any other branch is its owner's.
    let Some(shop) = Shop::installed(POLICY) else { return };
    check_in(&shop, file("plain"), &["origin", "topic"], &[]);
    check_in(&shop, |_| {}, &["-f", "origin", "HEAD~1:topic"], &[]);
}

#[test]
fn a_remote_that_moved_is_fetched_first() {
    let Some(shop) = Shop::installed(POLICY) else { return };
    let other = shop.hub.clone_as("other", &[]);
    file("plain")(&other);
    other.git(&["push", "-q", "origin", "main"]);
    file("mine")(&shop.ana);
    let said = shop.push(&["-f", "origin", "topic:main"]);
    let hub = shop.hub.path().to_str().unwrap();
    let moved = other.oid("HEAD").to_string();
    assert_eq!(
        (said.code, redacted(&said.text, &[(&moved[..12], "MOVED"), (hub, "HUB")]).as_str()),
        (
            Some(1),
            "error: refs/heads/main on the remote is at MOVED, which this clone does not have, \
             so the policy there cannot be read\n\
             hint: `git fetch origin`\n\
             error: failed to push some refs to 'HUB'\n"
        )
    );
    // Where only another protected ref moved, the policy is there to be read.
    other.git(&["push", "-q", "-f", "origin", "HEAD~1:main", "main:release/1"]);
    let said = check_in(&shop, |_| {}, &["-f", "origin", "topic:release/1"], &["remote-moved"]);
    let next = said.text.lines().find(|line| line.trim_start().starts_with("next:"));
    assert_eq!(next.map(str::trim), Some("next:  git fetch origin"), "{}", said.text);
}

#[test]
fn the_first_push_brings_the_policy() {
    let repo = TestRepo::new();
    let _hub = repo.bare_remote();
    repo.write(
        "countersign.toml",
        format!("schema = 1\n{}", POLICY.replace("\"ana\", \"bo\"", "")),
    );
    repo.write(CODE, "1\n").commit("ana", "all at once");
    assert!(crate::shop::countersign(&repo, &["install"]).passes());
    let said = push(&repo, &["origin", "main"]);
    assert!(said.passes(), "{}", said.text);
    assert_eq!(
        said.text,
        "countersign: this change brings the first policy; it takes effect once it is on refs/heads/main\n"
    );
    repo.write(SECRET, "1\n");
    commit_unwatched(&repo, "x");
    let said = push(&repo, &["origin", "main:y"]);
    assert_eq!(said.codes(), ["denied"], "{}", said.text);
}

#[test]
fn a_repository_may_land_on_another_branch_than_main() {
    let repo = TestRepo::init(&["-b", "trunk"]);
    let hub = repo.init_remote(&["-b", "trunk"]);
    repo.write("a", "1\n").commit("ana", "before there was a policy");
    repo.git(&["push", "-q", "-u", "origin", "trunk"]);
    let clone = hub.clone_as("clone", &[]);
    assert!(crate::shop::countersign(&clone, &["install"]).passes());
    // Without a policy everything can be pushed, and `check` judges from there.
    clone.git(&["switch", "-q", "-c", "topic"]);
    clone.write("b", "1\n");
    commit_unwatched(&clone, "b");
    let said = push(&clone, &["origin", "topic"]);
    assert!(said.passes(), "{}", said.text);
    let said = crate::shop::countersign(&clone, &["check"]);
    assert!(said.text.starts_with("countersign: pass trunk..HEAD for trunk\n"), "{}", said.text);
    // So can the first policy, and it judges from then on.
    clone.git(&["switch", "-q", "trunk"]);
    let text = "schema = 1\n[trust]\ntarget = \"refs/heads/trunk\"\n[[rule]]\nid = \"secrets\"\npaths = [\"/secrets/**\"]\ndeny = true\n";
    clone.write("countersign.toml", text);
    commit_unwatched(&clone, "policy");
    let said = push(&clone, &["origin", "trunk"]);
    assert!(said.passes(), "{}", said.text);
    clone.write(SECRET, "1\n");
    commit_unwatched(&clone, "x");
    assert_eq!(push(&clone, &["origin", "trunk"]).codes(), ["denied"]);
    // One that forgets to name the branch is told so.
    clone.git(&["reset", "-q", "--hard", "HEAD~1"]);
    clone.write("countersign.toml", text.replace("target = \"refs/heads/trunk\"", ""));
    commit_unwatched(&clone, "a policy that lands nowhere");
    clone.git(&["push", "-q", "--no-verify", "origin", "trunk"]);
    let said = crate::shop::countersign(&clone, &["check"]);
    assert_eq!(said.code, Some(2), "{}", said.text);
    let hint = "hint: the policy on `refs/heads/trunk` names this target; if changes land on \
                `refs/heads/trunk`, it needs `target = \"refs/heads/trunk\"` under [trust]";
    assert_eq!(said.text.lines().last(), Some(hint));
}

#[test]
fn another_remote_is_judged_at_the_stage_push() {
    let Some(shop) = Shop::installed(POLICY) else { return };
    let fork = shop.ana.beside("fork.git");
    let fork = fork.path().to_str().unwrap();
    shop.ana.git(&["init", "-q", "--bare", "-b", "main", fork]);
    shop.ana.git(&["remote", "add", "fork", fork]);
    // Approvals are asked where the change lands.
    check_in(&shop, file(CODE), &["fork", "topic:main"], &[]);
    check_in(&shop, |_| {}, &[fork, "topic:main"], &[]);
    check_in(&shop, file(SECRET), &["fork", "topic:other"], &["denied"]);
    check_in(&shop, |_| {}, &[fork, "topic:main"], &["denied"]);
    // The trusted remote under its URL is the trusted remote.
    let hub = shop.hub.path().to_str().unwrap();
    let beside = format!("../{}", shop.hub.path().file_name().unwrap().to_str().unwrap());
    let roundabout = format!("{}/{beside}", shop.ana.path().display());
    for spelling in [hub.to_owned(), format!("{hub}/"), format!("file://{hub}"), beside, roundabout]
    {
        check_in(&shop, |_| {}, &[&spelling, "topic:main"], &["approval-missing", "denied"]);
    }
}

#[test]
fn a_rewind_that_no_approval_could_bind_names_none() {
    let same_tree = |repo: &TestRepo| {
        repo.git(&["checkout", "-q", "main"]);
        repo.git(&["commit", "-q", "--no-verify", "--allow-empty", "-m", "empty"]);
        repo.git(&["push", "-q", "--no-verify", "origin", "main"]);
        repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    };
    let said = check(same_tree, &["--force", "origin", "main"], &["ref-rewrite"]);
    assert!(!said.text.contains("countersign approve"), "{}", said.text);
}

#[test]
fn the_old_policy_judges_its_own_change() {
    let loosen = |repo: &TestRepo| {
        let policy = std::fs::read_to_string(repo.path().join("countersign.toml")).unwrap();
        let loose = policy.replace("paths = [\"*.rs\"]", "paths = [\"*.no\"]");
        assert_ne!(loose, policy);
        repo.write("countersign.toml", loose).write(CODE, "1\n");
        commit_unwatched(repo, "loosen");
    };
    check(loosen, &["origin", "topic:main"], &["approval-missing", "policy-change"]);
    // In two commits, in two refs, and with the policy gone.
    let then = |repo: &TestRepo| {
        loosen(repo);
        repo.write("b.rs", "1\n");
        commit_unwatched(repo, "more");
    };
    check(then, &["origin", "topic:main", "topic:x"], &["approval-missing", "policy-change"]);
    let gone = |repo: &TestRepo| {
        repo.git(&["rm", "-q", "countersign.toml"]);
        repo.write(CODE, "1\n");
        commit_unwatched(repo, "gone");
    };
    check(gone, &["origin", "topic:main"], &["approval-missing", "policy-change"]);
}

#[test]
fn an_observing_policy_says_the_same_and_blocks_nothing() {
    let observing = format!(
        "mode = \"observe\"\n{POLICY}\n[[rule]]\nid = \"tested\"\nrequire.tests = [\"unit\"]\n[test.unit]\nrun = \"touch ../home/ran\"\n"
    );
    let Some(shop) = Shop::installed(&observing) else { return };
    file(CODE)(&shop.ana);
    file(SECRET)(&shop.ana);
    let said = shop.push(&["origin", "topic:main"]);
    assert!(said.passes(), "{}", said.text);
    assert_eq!(said.codes(), ["approval-missing", "denied", "tests-missing"], "{}", said.text);
    assert!(said.text.contains("(the policy observes: nothing is enforced)"), "{}", said.text);
    assert!(!said.text.contains("running"), "{}", said.text);
    let cache = shop.ana.home().join(".cache/countersign");
    assert!(!cache.exists(), "a test was run in {}", cache.display());
}

#[test]
fn a_push_of_the_ledger_only_adds_records() {
    let Some(shop) = Shop::installed(POLICY) else { return };
    let ana = &shop.ana;
    file(CODE)(ana);
    approve(ana, "bo", None);
    sync(ana);
    let ledger = "refs/heads/countersign-ledger";
    ana.git(&["fetch", "-q"]);
    ana.git(&["switch", "-q", "-c", "ledger", "origin/countersign-ledger"]);
    let bad = |repo: &TestRepo| {
        repo.write("records/x", "1\n");
        commit_unwatched(repo, "no record");
    };
    let to_ledger = format!("HEAD:{ledger}");
    check_in(&shop, bad, &["origin", &to_ledger], &["ledger-malformed"]);
    let less = |repo: &TestRepo| {
        repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
        repo.git(&["rm", "-q", "-r", "records"]);
        commit_unwatched(repo, "less");
    };
    let said = shop_codes(&shop, less, &["origin", &to_ledger]);
    assert!(!said.passes() && said.codes().iter().all(|code| *code == "ledger-malformed"));
    let rewound = |repo: &TestRepo| {
        repo.git(&["checkout", "-q", "--orphan", "again"]);
        commit_unwatched(repo, "again");
    };
    let said = shop_codes(&shop, rewound, &["-f", "origin", &to_ledger]);
    assert!(!said.passes() && said.codes().contains(&"ref-rewrite"), "{}", said.text);
    check_in(&shop, |_| {}, &["origin", &format!(":{ledger}")], &["ref-rewrite"]);
}

fn shop_codes(shop: &Shop, prepare: impl FnOnce(&TestRepo), arguments: &[&str]) -> Said {
    prepare(&shop.ana);
    let said = shop.push(arguments);
    assert!(!said.codes().is_empty(), "{}", said.text);
    said
}

#[test]
fn records_that_wait_are_published_with_a_push() {
    let Some(shop) = Shop::installed(POLICY) else { return };
    file(CODE)(&shop.ana);
    approve(&shop.ana, "bo", None);
    check_in(&shop, |_| {}, &["origin", "topic"], &[]);
    let ci = shop.hub.clone_as("ci", &["--branch", "topic"]);
    assert_eq!(judged(&ci, &[]), ["pass", "seniors approvals satisfied"]);
    check_in(&shop, |_| {}, &["origin", "topic:main"], &[]);
}

#[test]
fn an_assisted_mark_anywhere_in_the_range_is_enough() {
    let docs = |message: &'static str| {
        move |repo: &TestRepo| {
            repo.write("docs/a.md", "1\n");
            commit_unwatched(repo, message);
        }
    };
    check(docs("plain"), &["origin", "topic:main"], &[]);
    let marked: &str = Box::leak(format!("by an agent{BY_CLAUDE}").into_boxed_str());
    check(docs(marked), &["origin", "topic:main"], &["approval-missing"]);
    // A commit on top that says nothing takes nothing away.
    let on_top = |repo: &TestRepo| {
        docs(marked)(repo);
        repo.write("plain", "1\n");
        commit_unwatched(repo, "plain");
    };
    check(on_top, &["origin", "topic:main"], &["approval-missing"]);
}

#[test]
fn disclosure_is_asked_before_a_push() {
    let ask = |disclosure: &str, message: &str, expected: &[&str]| {
        let policy = format!("[disclosure]\n{disclosure}\n");
        let Some(shop) = Shop::installed(&policy) else { return };
        let message = message.to_owned();
        let commit = move |repo: &TestRepo| {
            repo.write("a", "1\n");
            commit_unwatched(repo, &message);
        };
        check_in(&shop, commit, &["origin", "topic"], expected);
    };
    let marked = format!("x{BY_CLAUDE}");
    ask("trailer = \"require\"", &marked, &[]);
    ask("trailer = \"require\"\nstrict = true", &marked, &["disclosure-missing"]);
    ask("trailer = \"require\"\nstrict = true", "x\n\nAssisted-by: claude-code", &[]);
    ask("trailer = \"require\"\nkey = \"AI\"\nstrict = true", "x\n\nAI: claude-code", &[]);
    let strict = "trailer = \"require\"\nstrict = true";
    let Some(shop) = Shop::installed(&format!("[disclosure]\n{strict}\n")) else { return };
    let commit = |repo: &TestRepo| {
        repo.write("a", "1\n");
        commit_unwatched(repo, &marked);
    };
    // The tip's message is quickly changed; an older one's is not.
    let said = check_in(&shop, commit, &["origin", "topic"], &["disclosure-missing"]);
    let next = "next:  git commit --amend --no-edit --trailer \"Assisted-by: claude-code\"\n";
    assert!(said.text.contains(next), "{}", said.text);
    let said = check_in(&shop, file("b"), &["origin", "topic"], &["disclosure-missing"]);
    let main = shop.ana.oid("main");
    let next = format!(
        "next:  git rebase -i {}, and reword: add \"Assisted-by: claude-code\"\n",
        main.short()
    );
    assert!(said.text.contains(&next), "{}", said.text);
    ask("trailer = \"forbid\"", &marked, &["disclosure-forbidden"]);
    ask("trailer = \"forbid\"", "x", &[]);
    ask("trailer = \"allow\"", &marked, &[]);
}

const TESTED: &str = "[[rule]]\nid = \"tested\"\nrequire.tests = [\"unit\"]\n[test.unit]\nrun = [\"sh\", \"-c\", \"echo $$ >~/started; exec sleep 60\"]\n";

/// Waits for the test to begin, and returns its process's id.
fn started(repo: &TestRepo) -> String {
    let file = repo.home().join("started");
    for _ in 0..3000 {
        match std::fs::read_to_string(&file) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            Ok(_) | Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
    panic!("the test did not begin");
}

#[test]
fn an_interrupted_push_leaves_no_process() {
    use std::os::unix::process::CommandExt;
    let Some(shop) = Shop::installed(TESTED) else { return };
    file("plain")(&shop.ana);
    let mut push = shop.ana.git_command(&["push", "-q", "origin", "topic"]);
    let mut push = push.process_group(0).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let test = started(&shop.ana);
    let group = format!("-{}", push.id());
    let kill = |words: &[&str]| shop.ana.command("kill").args(words).output().unwrap();
    assert!(kill(&["-INT", "--", &group]).status.success());
    assert!(!push.wait().unwrap().success());
    for _ in 0..1000 {
        if !kill(&["-0", &test]).status.success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the test still runs");
}

#[test]
fn an_interrupted_hook_says_130() {
    use std::io::Write;
    let Some(shop) = Shop::installed(TESTED) else { return };
    file("plain")(&shop.ana);
    let url = shop.ana.git(&["remote", "get-url", "origin"]);
    let mut hook = shop.ana.countersign_command(&["hook", "pre-push", "origin", &url]);
    let mut hook = hook
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let line =
        format!("refs/heads/topic {} refs/heads/topic {}\n", shop.ana.oid("HEAD"), "0".repeat(40));
    hook.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let test = started(&shop.ana);
    let kill = |words: &[&str]| shop.ana.command("kill").args(words).output().unwrap();
    assert!(kill(&["-INT", &hook.id().to_string()]).status.success());
    assert_eq!(hook.wait().unwrap().code(), Some(130));
    assert!(!kill(&["-0", &test]).status.success());
}

#[test]
fn a_push_without_the_program_is_blocked() {
    let Some(shop) = Shop::installed(POLICY) else { return };
    let hook = shop.ana.path().join(".git/hooks/pre-push");
    let text = std::fs::read_to_string(&hook).unwrap();
    let gone = text.replace(env!("CARGO_BIN_EXE_countersign"), "/nowhere/countersign");
    assert_ne!(gone, text);
    std::fs::write(&hook, gone).unwrap();
    file("plain")(&shop.ana);
    let folders = std::env::var_os("PATH").unwrap();
    if std::env::split_paths(&folders).any(|folder| folder.join("countersign").exists()) {
        skipped("a countersign is on PATH");
        return;
    }
    let said = git(&shop.ana, &["push", "-q", "origin", "topic"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(
        said.text.lines().next(),
        Some(
            "countersign: pre-push: blocked, because the countersign program is neither at \
             '/nowhere/countersign' nor on PATH; install it again, then run countersign doctor."
        )
    );
}

/// Two tests, of which a push may leave the second to the server.
const TIERS: &str = r#"
[trust]
repo_id = "shop"
[[rule]]
id = "tested"
require.tests = ["long", "quick"]
[test.long]
run = ["sh", "-c", "test ! -e fails || exit 1; test ! -e slow || exec sleep 60"]
tier = "slow"
[test.quick]
run = "true"
tier = "fast"
"#;

#[test]
fn a_push_without_time_leaves_slow_tests_to_the_server() {
    let Some(shop) = Shop::installed(TIERS) else { return };
    let budget = |length| shop.ana.git(&["config", "countersign.pushBudget", length]);
    budget("2s");
    let said = check_in(&shop, file("slow"), &["origin", "topic"], &[]);
    assert!(said.text.contains("passed: quick"), "{}", said.text);
    let told = "`long` is deferred to the server: a push may spend 2s on tests";
    assert!(said.text.contains(told), "{}", said.text);
    // What lands is asked for all of them, and so is whoever judges without a budget.
    let said = check_in(&shop, |_| {}, &["origin", "topic:main"], &["tests-missing"]);
    assert!(!said.text.contains("deferred"), "{}", said.text);
    let checked = shop.ana.countersign(&["check", "--stage", "push"]);
    assert_eq!(checked.status.code(), Some(1));

    // Without any time, what is not slow blocks as ever.
    budget("0");
    let said = check_in(&shop, file("b"), &["origin", "topic"], &["tests-missing"]);
    assert!(said.text.contains("longer than a push may spend"), "{}", said.text);
    assert!(!said.text.contains("`quick` is deferred"), "{}", said.text);

    // What failed here is not left to anybody.
    budget("45s");
    shop.ana.git(&["rm", "-q", "slow"]);
    check_in(&shop, file("fails"), &["origin", "topic"], &["tests-failed"]);
    budget("0");
    let quick = shop.ana.countersign(&["test", "--only", "quick"]);
    assert_eq!(quick.status.code(), Some(0));
    check_in(&shop, |_| {}, &["origin", "topic"], &["tests-failed"]);
}
