//! The whole story with real git, as people live it: three clones of one
//! repository, an agent that writes, a second person who signs.

use std::os::unix::fs::PermissionsExt;

use crate::fixture::TestRepo;
use crate::shop::{
    BY_CLAUDE, Said, approve, commit_unwatched, countersign, decide, git, judged, make_key, push,
    redacted, sync,
};
use countersign::jobs::approve::Decision;

const RULE: &str = "assisted-needs-review";
const DISCLOSED: &str = "disclosure disclosure satisfied";

/// Ana's and bo's clones of one repository for which ana ran `init` and
/// `install`. `None` where ssh-keygen is absent.
fn two_people() -> Option<(TestRepo, TestRepo, TestRepo)> {
    let mut ana = TestRepo::new();
    // `make` may be absent where these tests run.
    ana.write("../home/bin/make", "#!/bin/sh\necho ran >>~/runs\nexec sh ./test.sh\n");
    let make = ana.home().join("bin/make");
    std::fs::set_permissions(&make, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    ana.set_variable("PATH", &format!("{}:{path}", ana.home().join("bin").display()));
    let mut signers = String::new();
    for name in ["ana", "bo"] {
        let public = make_key(&ana, name)?;
        signers.push_str(&format!("{name}@example.com {public}\n"));
    }
    let home = ana.home();
    std::fs::write(home.join("signers"), signers).unwrap();
    for (key, value) in [
        ("user.name", "ana"),
        ("user.email", "ana@example.com"),
        ("user.signingkey", home.join("ana.pub").to_str().unwrap()),
        ("gpg.ssh.allowedSignersFile", home.join("signers").to_str().unwrap()),
    ] {
        ana.git(&["config", key, value]);
    }
    ana.write("Makefile", "test:\n\tsh ./test.sh\n").write("test.sh", "test -e src/price\n");
    ana.write("src/price", "100\n").commit("bo", "start");
    let hub = ana.bare_remote();
    ana.git(&["push", "-q", "-u", "origin", "main"]);
    Some((ana, hub.clone_as("bo", &[]), hub))
}

#[track_caller]
fn succeeds(said: Said) -> String {
    assert!(said.passes(), "{}", said.text);
    said.text
}

fn runs(repo: &TestRepo) -> usize {
    std::fs::read_to_string(repo.home().join("runs")).unwrap_or_default().lines().count()
}

#[test]
fn an_assisted_change_is_stopped_tested_countersigned_and_let_through() {
    let Some((ana, bo, hub)) = two_people() else { return };

    // A stranger looks, and asks for a policy.
    let scan = succeeds(countersign(&ana, &["scan", "--all"]));
    assert!(scan.contains("1 commit, 0 assisted (0.0 %)"), "{scan}");
    let init = succeeds(countersign(&ana, &["init", "--yes"]));
    for line in ["people   ana, bo\n", "tests    make test\n", "mode     enforce\n"] {
        assert!(init.contains(line), "{init}");
    }
    succeeds(countersign(&ana, &["policy", "lint"]));
    ana.git(&["add", "countersign.toml"]);
    ana.git(&["commit", "-q", "-m", "Add the countersign policy"]);
    succeeds(countersign(&ana, &["install"]));
    let first = succeeds(push(&ana, &["origin", "main"]));
    assert_eq!(
        first,
        "countersign: this change brings the first policy; it takes effect once it is on refs/heads/main\n"
    );
    succeeds(countersign(&ana, &["doctor"]));

    // An agent commits: once it says so, once only its surroundings tell.
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.write("src/price", "120\n").git(&["add", "-A"]);
    let said = succeeds(git(&ana, &["commit", "-q", "-m", &format!("raise{BY_CLAUDE}")]));
    assert_eq!(
        said,
        format!(
            "countersign: this change will need: approvals at merge ({RULE}), tests at push ({RULE})\n"
        )
    );
    ana.write("src/tax", "20\n").git(&["add", "-A"]);
    let mut command = ana.git_command(&["commit", "-q", "-m", "tax"]);
    succeeds(Said::new(&command.env("CLAUDECODE", "1").output().unwrap()));
    let message = ana.git(&["log", "-1", "--format=%B"]);
    assert!(message.contains("tax\n\nAssisted-by: claude-code"), "{message}");

    // The branch can be pushed for review; the push runs the test once.
    let said = succeeds(push(&ana, &["origin", "topic"]));
    assert!(said.contains("passed: make: exit status 0 ("), "{said}");
    assert_eq!(runs(&ana), 1);
    let said = succeeds(countersign(&ana, &["test"]));
    assert!(said.starts_with("passed: make: exit status 0 (earlier)\n"), "{said}");
    assert_eq!(runs(&ana), 1);

    // Not to main: one screen says why, and what to do.
    let base = ana.oid("main").to_string();
    let said = push(&ana, &["origin", "topic:main"]);
    assert_eq!(said.code, Some(1));
    let hub_path = hub.path().to_str().unwrap();
    snapbox::assert_data_eq!(
        redacted(&said.text, &[(&base[..12], "BASE"), (hub_path, "HUB")]),
        snapbox::str![[r#"
countersign: BLOCKED BASE..HEAD for main
  assisted by claude-code[..] in 2 of 2 files · policy BASE:countersign.toml

  ✗ assisted-needs-review: needs 1 approval from reviewers, has none  [approval-missing]
      files: src/price, src/tax
      why:   assisted changes need somebody who did not write or prompt them
      who:   bo
      next:  countersign review BASE..HEAD
error: failed to push some refs to 'HUB'

"#]]
    );
    assert_eq!(hub.oid("main").to_string(), base);

    // A second person reads it in another clone, and signs.
    bo.git(&["fetch", "-q"]);
    let record = approve(&bo, "bo", Some("origin/main..origin/topic"));
    sync(&bo);

    // A third clone, like CI: it wants results that somebody signed.
    let ci = hub.clone_as("ci", &["--branch", "topic"]);
    assert_eq!(
        judged(&ci, &["--require-policy"]),
        [
            "block".to_owned(),
            format!("{RULE} approvals satisfied"),
            format!("{RULE} tests missing"),
            DISCLOSED.to_owned()
        ]
    );
    succeeds(countersign(&ana, &["test", "--sign"]));
    assert_eq!(runs(&ana), 1);
    sync(&ana);
    ci.git(&["fetch", "-q"]);
    let satisfied = || {
        vec![
            "pass".to_owned(),
            format!("{RULE} approvals satisfied"),
            format!("{RULE} tests satisfied"),
            DISCLOSED.to_owned(),
        ]
    };
    assert_eq!(judged(&ci, &["--require-policy"]), satisfied());
    assert_eq!(judged(&ana, &[]), satisfied());

    // Another message over the same content, or fewer commits: it holds.
    let tip = ana.oid("HEAD").to_string();
    ana.git(&["commit", "-q", "--amend", "-m", &format!("tax, better said{BY_CLAUDE}")]);
    assert_eq!(judged(&ana, &[]), satisfied());
    ana.git(&["reset", "-q", "--soft", "main"]);
    ana.git(&["commit", "-q", "-m", &format!("raise and tax{BY_CLAUDE}")]);
    assert_eq!(judged(&ana, &[]), satisfied());

    // One byte more: the approval is void, and the screen says so.
    ana.write("src/tax", "20\n\n");
    ana.git(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    let said = push(&ana, &["origin", "HEAD:main"]);
    assert_eq!((said.code, said.codes()), (Some(1), vec!["approval-missing"]), "{}", said.text);
    let why = format!(
        "the approval {} does not count: `src/tax` is not as it was approved",
        &record[..12]
    );
    assert!(said.text.contains(&why), "{}", said.text);

    // What was signed goes through, without a word.
    ana.git(&["reset", "-q", "--hard", &tip]);
    assert_eq!(succeeds(push(&ana, &["origin", "topic:main"])), "");
    assert_eq!(hub.oid("main").to_string(), tip);
    ci.git(&["fetch", "-q"]);
    assert_eq!(judged(&ci, &["--require-policy", &format!("{base}..origin/main")]), satisfied());
}

#[test]
fn an_approval_survives_what_leaves_its_files_alone() {
    let Some((ana, bo, _hub)) = two_people() else { return };
    succeeds(countersign(&ana, &["init", "--yes"]));
    commit_unwatched(&ana, "policy");
    ana.git(&["push", "-q", "origin", "main"]);
    bo.git(&["pull", "-q"]);
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.write("src/price", "120\n");
    commit_unwatched(&ana, &format!("raise{BY_CLAUDE}"));
    approve(&ana, "bo", None);
    let approvals = |clone: &TestRepo| {
        let rows = judged(clone, &[]).into_iter();
        rows.filter(|row| row.starts_with(&format!("{RULE} approvals "))).collect::<Vec<_>>()
    };
    let satisfied = [format!("{RULE} approvals satisfied")];
    let missing = [format!("{RULE} approvals missing")];
    assert_eq!(approvals(&ana), satisfied);

    // Others' work lands beside it; a rebase or a merge keeps the content.
    bo.write("src/other", "1\n");
    commit_unwatched(&bo, "beside");
    bo.git(&["push", "-q", "origin", "main"]);
    ana.git(&["fetch", "-q"]);
    ana.git(&["rebase", "-q", "origin/main"]);
    assert_eq!(approvals(&ana), satisfied);
    let rebased = ana.oid("HEAD").to_string();

    // Another mode, another place, or more in the same file: not what was read.
    ana.git(&["update-index", "--chmod=+x", "src/price"]);
    ana.git(&["commit", "-q", "-m", &format!("mode{BY_CLAUDE}")]);
    assert_eq!(approvals(&ana), missing);
    ana.git(&["reset", "-q", "--hard", &rebased]);
    ana.git(&["mv", "src/price", "src/cost"]);
    ana.git(&["commit", "-q", "-m", &format!("move{BY_CLAUDE}")]);
    assert_eq!(approvals(&ana), missing);
    ana.git(&["reset", "-q", "--hard", &rebased]);
    ana.write("src/more", "1\n");
    commit_unwatched(&ana, &format!("a file nobody saw{BY_CLAUDE}"));
    assert_eq!(approvals(&ana), missing);

    // Back to what was read: it counts again, until bo says otherwise.
    ana.git(&["reset", "-q", "--hard", &rebased]);
    assert_eq!(approvals(&ana), satisfied);
    decide(&ana, "bo", None, &Decision::Reject { note: None });
    assert_ne!(approvals(&ana), satisfied);
}

#[test]
fn what_a_colleague_approved_meanwhile_needs_no_fetch() {
    let senior = "[trust]\nrepo_id = \"shop\"\n[groups]\nsenior = [\"ana\", \"bo\"]\n[[rule]]\nid = \"one\"\nrequire.approvals = [{ from = [\"senior\"] }]\n";
    let Some(shop) = crate::shop::Shop::open(senior) else { return };
    let (ana, hub) = (&shop.ana, &shop.hub);
    succeeds(countersign(ana, &["install"]));
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.commit_file("ana", "a.rs", "1\n", "change");
    succeeds(push(ana, &["origin", "topic"]));
    let bo = hub.clone_as("bo", &["--branch", "topic"]);
    let to_main = ["origin", "topic:main"];
    let said = push(ana, &to_main);
    assert_eq!((said.code, said.codes()), (Some(1), vec!["approval-missing"]), "{}", said.text);
    approve(&bo, "bo", Some("origin/main..origin/topic"));
    sync(&bo);
    // Where the remote cannot be asked, what is known decides.
    let url = ana.git(&["remote", "get-url", "origin"]);
    ana.git(&["remote", "set-url", "origin", "../nowhere"]);
    ana.git(&["remote", "set-url", "--push", "origin", &url]);
    assert_eq!(push(ana, &to_main).code, Some(1));
    ana.git(&["remote", "set-url", "origin", &url]);
    assert_eq!(succeeds(push(ana, &to_main)), "");
    assert_eq!(hub.oid("main"), ana.oid("topic"));
}

#[test]
fn people_who_approve_at_once_lose_nothing() {
    let seniors = "[trust]\nrepo_id = \"shop\"\n[groups]\nsenior = [\"ana\", \"bo\"]\n[[rule]]\nid = \"two\"\nrequire.approvals = [{ count = 2, from = [\"senior\"] }]\n";
    let Some(shop) = crate::shop::Shop::open(seniors) else { return };
    let ana = &shop.ana;
    ana.git(&["switch", "-q", "-c", "topic"]);
    ana.commit_file("chi", "a.rs", "1\n", "change");
    ana.git(&["push", "-q", "origin", "topic"]);
    let bo = shop.hub.clone_as("bo", &["--branch", "topic"]);
    approve(ana, "ana", None);
    approve(&bo, "bo", None);
    // Neither has seen the other's record, nor any ledger, when both publish.
    std::thread::scope(|scope| {
        for clone in [ana, &bo] {
            let mut command = clone.countersign_command(&["ledger", "sync"]);
            scope.spawn(move || succeeds(Said::new(&command.output().unwrap())));
        }
    });
    let ci = shop.hub.clone_as("ci", &["--branch", "topic"]);
    assert_eq!(judged(&ci, &[]), ["pass", "two approvals satisfied"]);
    for clone in [ana, &bo] {
        clone.git(&["fetch", "-q"]);
        assert_eq!(judged(clone, &[]), ["pass", "two approvals satisfied"]);
    }
}
