//! What a server refuses, whatever its pushers' clones did: real pushes to a
//! bare repository with the hooks, from a clone that has none.

use std::process::{Command, Stdio};

use crate::fixture::{TestRepo, skipped};

const ASSISTED: &str = "work\n\nCo-authored-by: Claude <noreply@anthropic.com>\n";

/// A server whose policy denies assisted changes below `/core`, and a clone
/// without hooks.
struct Server {
    clone: TestRepo,
    bare: TestRepo,
}

impl Server {
    /// `None` where ssh-keygen is absent.
    fn open() -> Option<Server> {
        let clone = TestRepo::new();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
            .arg(clone.home().join("bo"))
            .stdin(Stdio::null())
            .status();
        if made.is_err() {
            skipped("ssh-keygen is not here");
            return None;
        }
        let key = std::fs::read_to_string(clone.home().join("bo.pub")).unwrap();
        let key = key.trim();
        let policy = format!(
            "schema = 1\n[trust]\nrepo_id = \"shop\"\nprotect = [\"refs/heads/main\", \"refs/heads/release/*\"]\n\
             [people.bo]\nkind = \"human\"\nemails = [\"bo@example.com\"]\nkeys = [{{ key = \"{key}\" }}]\n\
             [[rule]]\nid = \"core\"\npaths = [\"/core/**\"]\nwhen = {{ assisted = true }}\n\
             require.approvals = [{{ from = [\"bo\"] }}]\n"
        );
        clone.commit_file("ana", "core/a.rs", "1\n", "start");
        clone.commit_file("ana", "countersign.toml", &policy, "policy");
        let bare = clone.bare_remote();
        clone.git(&["push", "-q", "origin", "main"]);
        let installed = bare.countersign(&["install", "--server"]);
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        Some(Server { clone, bare })
    }

    /// The push is refused with this in what the server says, and nothing moves.
    #[track_caller]
    fn refuses(&self, push: &[&str], expected: &str) {
        let before = self.bare.git(&["for-each-ref"]);
        let output =
            self.clone.git_command(&[&["push", "-q", "origin"], push].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "the push passed: {said}");
        assert!(said.contains(expected), "{said}");
        assert_eq!(self.bare.git(&["for-each-ref"]), before, "{said}");
    }

    #[track_caller]
    fn takes(&self, push: &[&str]) {
        self.clone.git(&[&["push", "-q", "origin"], push].concat());
    }
}

#[test]
fn what_the_rules_ask_for_is_asked_on_every_way_in() {
    let Some(server) = Server::open() else { return };
    let clone = &server.clone;
    clone.commit_file("chi", "core/a.rs", "2\n", ASSISTED);
    server.takes(&["HEAD:refs/heads/topic"]);
    server.refuses(&["HEAD:refs/heads/main"], "[approval-missing]");
    // A new protected branch is judged from where it left the target.
    server.refuses(&["HEAD:refs/heads/release/1"], "[approval-missing]");
    server.takes(&["HEAD~:refs/heads/release/1"]);
    server.refuses(&["HEAD:refs/heads/release/1"], "[approval-missing]");
    // One of several refs, and behind a merge.
    server.refuses(&["HEAD:refs/heads/other", "HEAD:refs/heads/main"], "[approval-missing]");
    clone.git(&["checkout", "-q", "-b", "aside", "HEAD~"]);
    clone.commit_file("ana", "b.rs", "1\n", "beside");
    clone.git(&["merge", "-q", "--no-ff", "-m", "merge", "main"]);
    server.refuses(&["HEAD:refs/heads/main"], "[approval-missing]");
}

#[test]
fn a_change_does_not_loosen_the_policy_that_judges_it() {
    let Some(server) = Server::open() else { return };
    let clone = &server.clone;
    let policy = std::fs::read_to_string(clone.path().join("countersign.toml")).unwrap();
    let looser = policy.replace("schema = 1", "schema = 1\nmode = \"observe\"");
    clone.commit_file("chi", "countersign.toml", &looser, "observe first");
    server.refuses(&["HEAD:refs/heads/main"], "[policy-change]");
    clone.commit_file("chi", "core/a.rs", "2\n", ASSISTED);
    server.refuses(&["HEAD:refs/heads/main"], "[approval-missing]");
    clone.git(&["rm", "-q", "countersign.toml"]);
    clone.commit("chi", "no policy at all");
    server.refuses(&["HEAD:refs/heads/main"], "[policy-change]");
    clone.git(&["reset", "-q", "--hard", "origin/main"]);
    clone.git(&["mv", "countersign.toml", "old.toml"]);
    clone.commit("chi", "moved away");
    server.refuses(&["HEAD:refs/heads/main"], "[policy-change]");
    // A file that decides whether checks run at all.
    clone.git(&["reset", "-q", "--hard", "origin/main"]);
    clone.commit_file("chi", ".github/workflows/gate.yml", "on: []\n", "no more checks");
    server.refuses(&["HEAD:refs/heads/main"], "[policy-change]");
}

#[test]
fn protected_history_is_not_rewritten() {
    let Some(server) = Server::open() else { return };
    let clone = &server.clone;
    clone.commit_file("ana", "b.rs", "1\n", "more");
    server.takes(&["main"]);
    server.refuses(&["+HEAD~:refs/heads/main"], "[ref-rewrite]");
    server.refuses(&[":refs/heads/main"], "[ref-rewrite]");
    // Deleted and made anew in one go, or the same tree on another history.
    clone.git(&["checkout", "-q", "--orphan", "fresh"]);
    clone.commit("ana", "another beginning");
    server.refuses(&["+HEAD:refs/heads/main"], "[ref-rewrite]");
}

#[test]
fn the_ledger_only_grows_by_records() {
    let Some(server) = Server::open() else { return };
    let clone = &server.clone;
    // What post-receive wrote about this push stands in the ledger.
    clone.commit_file("ana", "b.rs", "1\n", "more");
    server.takes(&["main"]);
    clone.git(&[
        "fetch",
        "-q",
        "origin",
        "+countersign-ledger:refs/remotes/origin/countersign-ledger",
    ]);
    clone.git(&["checkout", "-q", "-b", "ledger", "origin/countersign-ledger"]);
    clone.commit_file("chi", "run.sh", "#!/bin/sh\n", "no record");
    server.refuses(&["HEAD:countersign-ledger"], "[ledger-malformed]");
    clone.git(&["reset", "-q", "--hard", "HEAD~"]);
    clone.git(&["rm", "-q", "-r", "records"]);
    clone.commit("chi", "fewer records");
    server.refuses(&["HEAD:countersign-ledger"], "[ledger-malformed]");
    clone.git(&["checkout", "-q", "--orphan", "other"]);
    clone.commit("chi", "another ledger");
    server.refuses(&["+HEAD:countersign-ledger"], "[ref-rewrite]");
    server.refuses(&[":countersign-ledger"], "[ref-rewrite]");
}

/// Whoever may write the server's files can take the policy away, and then nothing lands.
#[test]
fn a_policy_that_is_gone_decides_nothing() {
    let Some(server) = Server::open() else { return };
    let clone = &server.clone;
    clone.git(&["rm", "-q", "countersign.toml"]);
    let gone = clone.commit("ana", "no policy");
    server.takes(&["HEAD:refs/heads/topic"]);
    server.bare.git(&["update-ref", "refs/heads/main", gone.as_str()]);
    clone.commit_file("ana", "b.rs", "1\n", "more");
    server.refuses(&["HEAD:refs/heads/main"], "the trusted ref once held countersign.toml");
}
