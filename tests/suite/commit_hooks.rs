//! What a commit's hooks leave to one another: commit-msg and post-commit ask
//! git nothing where pre-commit of the same run of git told the answer, and
//! judge by themselves wherever that is not certain.

use std::path::PathBuf;
use std::process::Command;

use crate::fixture::{TestRepo, feed, is_below_an_agent};

const FORBID: &str = "schema = 1\n\n[disclosure]\ntrailer = \"forbid\"\n\n[[rule]]\nid = \"no-secrets\"\npaths = [\"secret/**\"]\ndeny = true\n";

/// A repository with this policy on `main` and our hooks, on another branch,
/// with a change staged.
fn prepared(policy: &str) -> TestRepo {
    let repo = TestRepo::new();
    repo.write("countersign.toml", policy).write("a", "1\n").commit("ana", "begin");
    repo.git(&["checkout", "-q", "-b", "work"]);
    assert!(repo.countersign(&["install"]).status.success());
    repo.write("a", "2\n").git(&["add", "a"]);
    repo
}

/// Runs a command and returns its exit status and the subcommands of git that
/// were started, by the words of git's own trace; what git starts to tidy up aside.
///
/// With configuration in variables nothing of it is remembered: a hook that
/// judges then asks git for it.
#[track_caller]
fn traced(repo: &TestRepo, mut command: Command) -> (i32, Vec<String>) {
    command.env("GIT_CONFIG_COUNT", "0");
    traced_as_it_is(repo, command)
}

#[track_caller]
fn traced_as_it_is(repo: &TestRepo, mut command: Command) -> (i32, Vec<String>) {
    let trace = repo.home().join("trace");
    std::fs::write(&trace, "").unwrap();
    let output = command.env("GIT_TRACE", &trace).output().unwrap();
    let text = std::fs::read_to_string(&trace).unwrap();
    let started = text.lines().filter_map(|line| {
        let (_, words) = line.split_once("trace: built-in: git ")?;
        words.split(' ').next().filter(|it| *it != "maintenance").map(str::to_owned)
    });
    (output.status.code().unwrap(), started.collect())
}

fn message(repo: &TestRepo, text: &str) -> PathBuf {
    let path = repo.path().join(".git/COMMIT_EDITMSG");
    std::fs::write(&path, text).unwrap();
    path
}

/// commit-msg as a child of this process, as pre-commit was.
fn commit_msg(repo: &TestRepo, text: &str) -> Command {
    let path = message(repo, text);
    repo.countersign_command(&["hook", "commit-msg", path.to_str().unwrap()])
}

/// pre-commit has to pass; then commit-msg must end so, and ask git or not.
#[track_caller]
fn check(repo: &TestRepo, text: &str, status: i32, asks: bool) {
    let command = commit_msg(repo, text);
    check_command(repo, command, status, asks);
}

#[track_caller]
fn check_command(repo: &TestRepo, command: Command, status: i32, asks: bool) {
    let (code, started) = traced(repo, command);
    assert_eq!((code, !started.is_empty()), (status, asks), "{started:?}");
}

#[track_caller]
fn pre_commit(repo: &TestRepo) {
    let output = repo.countersign(&["hook", "pre-commit"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn can_tell() -> bool {
    countersign::adapters::ancestors::has_own_table()
}

#[test]
fn a_commit_without_marks_asks_git_one_question() {
    if !can_tell() {
        crate::fixture::skipped("nothing here tells when a process was started");
        return;
    }
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(FORBID);
    let (status, started) = traced(&repo, repo.git_command(&["commit", "-q", "-m", "Tidy"]));
    assert_eq!(status, 0);
    assert_eq!(started, ["commit", "config"]);
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "Tidy");
}

/// Puts a program in our place behind post-commit's shim; it notes that it was started.
fn note_post_commit(repo: &TestRepo) -> PathBuf {
    let (noted, program) = (repo.home().join("noted"), repo.home().join("noting"));
    std::fs::write(&program, format!("#!/bin/sh\necho started >>'{}'\n", noted.display())).unwrap();
    assert!(repo.command("chmod").arg("+x").arg(&program).status().unwrap().success());
    let shim = repo.path().join(".git/hooks/post-commit");
    let text = std::fs::read_to_string(&shim).unwrap();
    let ours = format!("recorded='{}'", env!("CARGO_BIN_EXE_countersign"));
    assert!(text.contains(&ours), "{text}");
    let text = text.replace(&ours, &format!("recorded='{}'", program.display()));
    std::fs::write(&shim, text).unwrap();
    noted
}

#[test]
fn post_commit_starts_only_where_something_is_left_to_do() {
    if !can_tell() || is_below_an_agent() {
        return;
    }
    let repo = prepared(&FORBID.replace("forbid", "allow"));
    let noted = note_post_commit(&repo);
    let commit_by = |agent: Option<&str>, words: &[&str]| {
        std::fs::remove_file(&noted).ok();
        let words = [&["commit", "-q", "--allow-empty", "-m", "Tidy"], words].concat();
        let mut command = repo.git_command(&words);
        command.envs(agent.map(|variable| (variable, "1")));
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        noted.exists()
    };
    let commit = |words: &[&str]| commit_by(None, words);
    assert!(!commit(&[]), "pre-commit and commit-msg saw it all");
    assert!(!commit(&[]), "nor the next time");
    assert!(commit(&["--no-verify"]), "nobody saw it");
    assert!(!commit(&["-m", "Assisted-by: claude-code"]), "the commit itself says so");
    assert!(commit_by(Some("CLAUDECODE"), &[]), "marks are bound to the commit");
    assert!(commit_by(Some("CLAUDECODE"), &["-m", "Assisted-by: claude-code"]), "these as well");
    // What another run of git settled says nothing.
    let settled = repo.path().join(".git/countersign/settled");
    for other in ["1 1\n", "", "nonsense\n", "1\n"] {
        std::fs::write(&settled, other).unwrap();
        assert!(commit(&["--no-verify"]), "{other:?}");
    }
    // A foreign hook that stood here before is run by us.
    let chained = repo.path().join(".git/hooks/post-commit.countersign-chained");
    std::fs::write(chained, "#!/bin/sh\n").unwrap();
    assert!(commit(&[]));
}

#[test]
fn a_commit_asks_nothing_while_the_configuration_is_remembered() {
    if !can_tell() || is_below_an_agent() {
        return;
    }
    let repo = prepared(FORBID);
    let commit = |message: &str| {
        let words = ["commit", "-q", "--allow-empty", "-m", message];
        traced_as_it_is(&repo, repo.git_command(&words))
    };
    // Files that changed a moment ago are not believed: they may change again.
    let kept = repo.path().join(".git/countersign/config");
    let begun = std::time::Instant::now();
    while !kept.exists() && begun.elapsed().as_secs() < 60 {
        assert_eq!(commit("Tidy"), (0, vec!["commit".to_owned(), "config".to_owned()]));
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    assert_eq!(commit("Tidy"), (0, vec!["commit".to_owned()]));
    let (status, started) = commit("Tidy\n\nAssisted-by: claude-code");
    assert_eq!((status, started), (1, vec!["commit".to_owned()]));
    repo.write("secret/key", "1\n").git(&["add", "secret/key"]);
    assert_eq!(commit("Tidy"), (1, vec!["commit".to_owned()]));
    repo.git(&["rm", "-q", "--cached", "secret/key"]);
    // A setting that is made is asked for at once.
    let words = ["-c", "a.b=c", "commit", "-q", "--allow-empty", "-m", "x"];
    let (_, started) = traced_as_it_is(&repo, repo.git_command(&words));
    assert!(started.contains(&"config".to_owned()), "{started:?}");
    repo.git(&["config", "countersign.target", "refs/heads/nowhere"]);
    let (_, started) = commit("Tidy");
    assert!(started.contains(&"config".to_owned()), "{started:?}");
}

/// However the index is written, the hook finds the tree in it: neither git nor
/// a copy of the index is needed to know what is staged.
#[track_caller]
fn check_index(preparation: &str) {
    let repo = prepared(FORBID);
    let mut shell = repo.git_command(&["-c", &format!("alias.run=!{preparation}"), "run"]);
    assert!(shell.status().unwrap().success(), "{preparation}");
    repo.write("secret/a", "").git(&["add", "secret"]);
    let commit = |expected: i32| {
        let (status, started) =
            traced(&repo, repo.git_command(&["commit", "-q", "--allow-empty", "-m", "Tidy"]));
        assert_eq!(status, expected, "{preparation}: {started:?}");
        let asked = started.iter().any(|it| matches!(it.as_str(), "diff-index" | "write-tree"));
        assert!(!asked, "{preparation}: {started:?}");
    };
    commit(1);
    repo.git(&["rm", "-q", "--cached", "secret/a"]);
    commit(0);
}

#[test]
fn the_index_tells_its_tree() {
    check_index("true");
    check_index("git update-index --index-version=4");
    check_index("git update-index --split-index");
    check_index("git update-index --skip-worktree countersign.toml");
    check_index("git update-index --untracked-cache; git config core.untrackedCache true");
    let long = "i=0; name=b; while [ $i -lt 1200 ]; do name=$name/bcd; i=$((i+1)); done; git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:a),$name && git update-index --skip-worktree $name && git commit -q --no-verify -m deep";
    check_index(long);
    check_index(&format!("git update-index --index-version=4; {long}"));
}

/// A repository that is not as `git init` leaves it: git is asked where its
/// parts lie, and the answer is the same.
#[track_caller]
fn check_unusual(dir: &str, preparation: &str) {
    let repo = prepared(FORBID);
    let mut shell = repo.git_command(&["-c", &format!("alias.run=!{preparation}"), "run"]);
    assert!(shell.status().unwrap().success(), "{preparation}");
    for (message, expected) in [("Tidy\n\nAssisted-by: claude-code", 1), ("Tidy", 0)] {
        let mut command = repo.git_command(&["commit", "-q", "--allow-empty", "-m", message]);
        command.current_dir(repo.path().join(dir));
        let (status, started) = traced(&repo, command);
        assert_eq!(status, expected, "{preparation}: {message}");
        assert!(started.contains(&"rev-parse".to_owned()), "{preparation}: {started:?}");
    }
}

#[test]
fn a_repository_of_another_shape_is_asked_for() {
    check_unusual(".git/linked", "git worktree add -q .git/linked");
    check_unusual(".", "git pack-refs --all");
    check_unusual(".", "mv .git .apart && ln -s .apart .git");
    check_unusual(".", "mv .git .apart && echo 'gitdir: .apart' >.git");
    check_unusual(".", "git config core.worktree ..");
    check_unusual(".", "git config extensions.worktreeConfig true");
}

#[test]
fn a_message_with_a_mark_is_judged() {
    let repo = prepared(FORBID);
    pre_commit(&repo);
    check(&repo, "Tidy\n", 0, !can_tell() || is_below_an_agent());
    check(&repo, "Tidy\n\nAssisted-by: claude-code\n", 1, true);
    let mut command = commit_msg(&repo, "Tidy\n");
    command.env("CLAUDECODE", "1");
    check_command(&repo, command, 0, true);
    let words = ["commit", "-q", "-m", "Tidy", "-m", "Assisted-by: claude-code"];
    assert_eq!(repo.git_command(&words).status().unwrap().code(), Some(1));
}

#[test]
fn an_author_who_is_an_agent_is_judged() {
    if is_below_an_agent() {
        return;
    }
    let repo = prepared(&FORBID.replace("forbid", "require"));
    let author = "--author=Claude <noreply@anthropic.com>";
    let (status, started) = traced(&repo, repo.git_command(&["commit", "-q", author, "-m", "x"]));
    assert_eq!(status, 0, "an identity discloses");
    assert_index_is_read_in_process(&started);
}

/// Each of both hooks judged; what is staged is read in process.
#[track_caller]
fn assert_index_is_read_in_process(started: &[String]) {
    let times = |word: &str| started.iter().filter(|it| *it == word).count();
    assert_eq!((times("config"), times("diff-index")), (2, 0), "{started:?}");
}

#[test]
fn a_marked_message_is_judged_by_what_pre_commit_saw_staged() {
    let repo = prepared(&FORBID.replace("forbid", "require"));
    let marked = ["commit", "-q", "-m", "Tidy", "-m", "Assisted-by: claude-code"];
    let (status, started) = traced(&repo, repo.git_command(&marked));
    assert_eq!(status, 0);
    assert_index_is_read_in_process(&started);
    // What was kept of the files decides.
    let repo = prepared(
        &FORBID.replace("forbid", "require").replace("deny", "when = { assisted = true }\ndeny"),
    );
    repo.write("secret/key", "1\n").git(&["add", "secret/key"]);
    let (status, started) = traced(&repo, repo.git_command(&marked));
    assert_eq!(status, 1);
    assert_index_is_read_in_process(&started);
}

#[test]
fn an_index_that_changed_is_judged() {
    let repo = prepared(FORBID);
    pre_commit(&repo);
    repo.write("secret/key", "1\n").git(&["add", "secret/key"]);
    check(&repo, "Tidy\n", 1, true);
    // The same through git, whose next hook stages what ours did not see.
    repo.git(&["rm", "-q", "--cached", "secret/key"]);
    let hook = repo.path().join(".git/hooks/prepare-commit-msg");
    std::fs::write(&hook, "#!/bin/sh\ngit add secret/key\n").unwrap();
    assert!(repo.command("chmod").arg("+x").arg(&hook).status().unwrap().success());
    assert_eq!(repo.git_command(&["commit", "-q", "-m", "x"]).status().unwrap().code(), Some(1));
}

#[test]
fn another_run_of_git_is_judged() {
    let repo = prepared(FORBID);
    pre_commit(&repo);
    let path = message(&repo, "Tidy\n");
    let mut command = repo.command("sh");
    command.args([
        "-c",
        "\"$0\" hook commit-msg \"$1\"; exit $?",
        env!("CARGO_BIN_EXE_countersign"),
    ]);
    command.arg(path);
    check_command(&repo, command, 0, true);
}

#[test]
fn what_pre_commit_kept_may_be_broken_or_gone() {
    let repo = prepared(FORBID);
    let pending = repo.path().join(".git/countersign/pending");
    check(&repo, "Tidy\n", 0, true);
    pre_commit(&repo);
    let whole = std::fs::read_to_string(&pending).unwrap();
    for broken in [
        String::new(),
        whole[..whole.len() / 2].to_owned(),
        whole.replace("\"started\":", "\"started\":1"),
        whole.replace("\"number\":", "\"number\":1"),
        whole.replace("\"index\":\"", "\"index\":\"1"),
        whole.replace("\"messages\":", "\"massages\":"),
    ] {
        std::fs::write(&pending, &broken).unwrap();
        check(&repo, "Tidy\n", 0, true);
        check(&repo, "Tidy\n\nAssisted-by: claude-code\n", 1, true);
    }
}

#[test]
fn an_agent_around_the_commit_is_judged_and_disclosed() {
    let policy = FORBID.replace("forbid", "require").replace("[[rule]]", "write = true\n[[rule]]");
    let repo = prepared(&policy);
    let mut command = repo.git_command(&["commit", "-q", "-m", "Tidy"]);
    assert!(command.env("CLAUDECODE", "1").status().unwrap().success());
    let text = repo.git(&["log", "-1", "--format=%B"]);
    assert!(text.contains("Assisted-by: claude-code"), "{text}");
    // Its mark is bound to the commit, and the next commit inherits nothing.
    let marks = std::fs::read_to_string(repo.path().join(".git/countersign/marks.jsonl")).unwrap();
    assert!(marks.contains(&repo.git(&["rev-parse", "HEAD"])), "{marks}");
    repo.write("a", "3\n").git(&["commit", "-q", "-a", "-m", "By hand"]);
    if !is_below_an_agent() {
        assert_eq!(repo.git(&["log", "-1", "--format=%B"]), "By hand");
    }
}

#[test]
fn a_disclosure_stands_above_what_git_cuts_off_again() {
    let policy = FORBID.replace("forbid", "require").replace("[[rule]]", "write = true\n[[rule]]");
    for comment in ["#", ";", "auto"] {
        let repo = prepared(&policy);
        let editor = repo.home().join("editor");
        std::fs::write(
            &editor,
            "#!/bin/sh\n{ echo Tidy; cat \"$1\"; } >\"$1.new\" && mv \"$1.new\" \"$1\"\n",
        )
        .unwrap();
        let editor = format!("sh {}", editor.to_str().unwrap());
        let character = format!("core.commentChar={comment}");
        let mut command = repo.git_command(&["-c", &character, "commit", "-q", "-v"]);
        command.env("CLAUDECODE", "1").env("GIT_EDITOR", editor);
        assert!(command.status().unwrap().success(), "{comment}");
        let text = repo.git(&["log", "-1", "--format=%B"]);
        assert_eq!(text, "Tidy\n\nAssisted-by: claude-code", "{comment}");
    }
}

#[test]
fn agents_of_the_policy_are_looked_for_in_messages() {
    let policy = format!(
        "{FORBID}\n[[agent]]\nid = \"house-bot\"\ntrailers = [\"<house-bot@example.com>\"]\n"
    );
    let repo = prepared(&policy);
    pre_commit(&repo);
    check(&repo, "Tidy\n\nCo-authored-by: House <house-bot@example.com>\n", 1, true);
}

#[test]
fn a_tree_that_pre_commit_did_not_see_is_kept_as_unchecked() {
    let repo = prepared(FORBID);
    pre_commit(&repo);
    repo.write("b", "1\n").git(&["add", "b"]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "past the hooks"]);
    let marks = std::fs::read_to_string(repo.path().join(".git/countersign/marks.jsonl")).unwrap();
    assert!(marks.contains("\"checked\":false"), "{marks}");
}

#[test]
fn every_work_tree_has_its_own() {
    if !can_tell() || is_below_an_agent() {
        return;
    }
    let repo = prepared(FORBID);
    let linked = repo.beside("main");
    repo.git(&["worktree", "add", "-q", "-b", "side", linked.path().to_str().unwrap()]);
    linked.write("a", "4\n");
    let (status, started) = traced(&linked, linked.git_command(&["commit", "-q", "-a", "-m", "x"]));
    assert_eq!(status, 0);
    assert_eq!(started, ["commit", "rev-parse", "config"]);
    let output = feed(repo.git_command(&["commit", "-q", "-m", "y"]), b"");
    assert!(output.status.success(), "{output:?}");
    assert!(!repo.path().join(".git/countersign/marks.jsonl").exists());
}
