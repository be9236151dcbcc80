//! Approvals by people who do not count.

use super::scene::{APPROVE, Hub, LEDGER, RULES};
use crate::shop::{Said, decide, make_key, sync, world};

const RANGE: &str = "origin/main..HEAD";

/// A commit of a guarded file by this author, with this message, approved by
/// bo and published: it does not count for this reason.
#[track_caller]
fn check(author: &str, message: &str, reason: &str) {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.chi.commit_file(author, "core/a.rs", "fn a() { changed() }\n", message);
    let record = hub.genuine("bo", RANGE);
    hub.plant(&record).refuses(reason);
}

#[test]
fn self_approval_under_another_address() {
    let author = "bo is the author";
    check("bo", "work", author);
    check("Somebody <BO@Example.COM>", "work", author);
    check("bo <bo+work@example.com>", "work", author);
    check("bo <bo@users.noreply.github.com>", "work", author);
    check("bo <1234567+bo@users.noreply.github.com>", "work", author);
    check("bo <42-bo@users.noreply.gitlab.com>", "work", author);
}

#[test]
fn a_mailmap_makes_nobody_else() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.chi.write(".mailmap", "chi <chi@example.com> bo <bo@example.com>\n");
    hub.chi.commit_file("bo", "core/a.rs", "fn a() { changed() }\n", "work");
    hub.chi.git(&["config", "log.mailmap", "true"]);
    let record = hub.genuine("bo", RANGE);
    hub.plant(&record).refuses("bo is the author");
}

#[test]
fn a_co_author_or_the_prompter_approves() {
    check("chi", "work\n\nCo-authored-by: Bo <bo@example.com>\n", "bo is named as Co-authored-by");
    check("chi", "work\n\nco-developed-by: bo@example.com\n", "bo is named as co-developed-by");
    check("chi", "work\n\nPrompted-by: Bo <bo+ai@example.com>\n", "bo is named as Prompted-by");
    check("chi", "work\\n\\nCo-authored-by: Bo <bo@example.com>", "bo is named as Co-authored-by");
}

#[test]
fn a_committer_approves_what_they_made_of_it() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    hub.chi.write("core/a.rs", "fn a() { changed_by_bo() }\n");
    let mut amend = hub.chi.git_command(&["commit", "-q", "-a", "--amend", "--no-edit"]);
    amend.env("GIT_COMMITTER_NAME", "bo").env("GIT_COMMITTER_EMAIL", "bo@example.com");
    assert!(amend.output().unwrap().status.success());
    let record = hub.genuine("bo", RANGE);
    hub.plant(&record).refuses("bo is the committer");
}

#[test]
fn one_person_with_two_keys_is_one_person() {
    let rules = RULES.replace("from = [\"senior\"]", "from = [\"senior\"], count = 2");
    let Some(first) = Hub::open(&rules) else { return };
    // ana's second key stands in the policy as well.
    let second = make_key(&first.chi, "ana2").unwrap();
    let policy = std::fs::read_to_string(first.chi.path().join("countersign.toml")).unwrap();
    let ana = policy.lines().find(|line| line.starts_with("keys = ")).unwrap();
    let two = ana.replace(" }]", &format!(" }}, {{ key = \"{second}\" }}]"));
    first.chi.git(&["checkout", "-q", "main"]);
    let main = first.chi.commit_file("ana", "countersign.toml", &policy.replace(ana, &two), "keys");
    first.chi.git(&["push", "-q", first.bare.path().to_str().unwrap(), "main:refs/heads/new"]);
    first.bare.git(&["update-ref", "refs/heads/main", main.as_str()]);
    first.chi.git(&["fetch", "-q", "origin"]);
    first.chi.git(&["checkout", "-q", "-B", "topic", "main"]);
    first.work();
    for key in ["ana", "ana2"] {
        let record = first.genuine(key, RANGE);
        first.plant(&record);
    }
    first.refuses("needs 2 approvals from senior, has ana");
}

#[test]
fn one_key_of_two_people_is_nobodys() {
    let copied = |people: String| {
        let keys: Vec<String> =
            people.lines().filter(|it| it.starts_with("keys")).map(str::to_owned).collect();
        people.replace(&keys[0], &keys[1])
    };
    let Some(hub) = Hub::with(RULES, copied) else { return };
    hub.work();
    let template = hub.genuine("chi", RANGE);
    let both = hub.resigned(&template, "bo", |record| {
        record["predicate"]["by"].as_object_mut().unwrap().remove("key");
    });
    hub.plant(&both).refuses("belongs to nobody in the trusted policy");
}

#[test]
fn the_key_of_a_person_who_left() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let record = hub.genuine("bo", RANGE);
    hub.plant(&record);
    // bo is taken out of the policy, by whoever may.
    let policy = hub.chi.git(&["show", "main:countersign.toml"]);
    let (before, rest) = policy.split_once("[people.bo]").unwrap();
    let (_, after) = rest.split_once("[people.chi]").unwrap();
    let without = format!("{before}[people.chi]{after}").replace(", \"bo\"", "");
    set_policy(&hub, &without);
    hub.refuses("belongs to nobody in the trusted policy");
}

/// Puts a policy on the target as an administrator of the server does, and
/// rebases the topic on it.
pub(super) fn set_policy(hub: &Hub, text: &str) {
    hub.chi.git(&["checkout", "-q", "main"]);
    let main = hub.chi.commit_file("ana", "countersign.toml", text, "policy");
    hub.chi.git(&["push", "-q", hub.bare.path().to_str().unwrap(), "main:refs/heads/new"]);
    hub.bare.git(&["update-ref", "refs/heads/main", main.as_str()]);
    hub.chi.git(&["fetch", "-q", "origin"]);
    hub.chi.git(&["checkout", "-q", "topic"]);
    let mut rebase = hub.chi.git_command(&["rebase", "-q", "main"]);
    rebase.env("GIT_COMMITTER_NAME", "chi").env("GIT_COMMITTER_EMAIL", "chi@example.com");
    assert!(rebase.output().unwrap().status.success());
}

#[test]
fn a_stolen_key_with_its_clock_set_back() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    // What bo approved in good time stands in the ledger, and stays valid.
    let earlier = hub.genuine("bo", RANGE);
    hub.plant(&earlier);
    let cut = hub.ledger_tip().unwrap();
    let policy = hub.chi.git(&["show", "main:countersign.toml"]);
    let public = std::fs::read_to_string(hub.key("bo").with_extension("pub")).unwrap();
    let listed = Said::new(
        &hub.chi.command("ssh-keygen").args(["-l", "-f"]).arg(hub.key("bo")).output().unwrap(),
    );
    let fingerprint = listed.text.split(' ').nth(1).unwrap().to_owned();
    assert!(policy.contains(public.trim()));
    set_policy(
        &hub,
        &format!(
            "{policy}\n[[revoked]]\nkey = \"{fingerprint}\"\nafter = \"ledger:{cut}\"\nwhy = \"stolen\"\n"
        ),
    );
    // The thief changes the content, and dates the approval before the theft.
    hub.chi.commit_file("chi", "core/a.rs", "fn a() { stolen() }\n", "more");
    let stolen = hub.over_head(&earlier, "bo");
    hub.plant(&stolen).refuses("is revoked, and the record was not in the ledger at");
    hub.chi.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
}

#[test]
fn an_agent_in_the_developers_shell() {
    let Some(mut hub) = Hub::open(RULES) else { return };
    hub.work();
    hub.chi.set_variable("CLAUDECODE", "1");
    let key = hub.key("bo").to_str().unwrap().to_owned();
    for command in [&["approve"][..], &["reject"], &["withdraw", "0000"]] {
        let words = [command, &["--key", key.as_str()]].concat();
        let said = crate::shop::countersign(&hub.chi, &words);
        assert_eq!(said.code, Some(2), "{}", said.text);
        assert!(said.text.contains("only a person can countersign"), "{}", said.text);
    }
    assert_eq!(hub.chi.git(&["for-each-ref", LEDGER]), "");
    hub.refuses("[approval-missing]");
}

#[test]
fn an_agents_or_a_services_key() {
    for (kind, word) in [("agent", "an agent"), ("service", "a service")] {
        let rules = format!("{RULES}\n");
        let Some(hub) = Hub::open(&rules) else { return };
        hub.work();
        let record = hub.genuine("bo", RANGE);
        let policy = hub.chi.git(&["show", "main:countersign.toml"]);
        let changed = policy
            .replace("[people.bo]\nkind = \"human\"", &format!("[people.bo]\nkind = \"{kind}\""));
        assert_ne!(policy, changed);
        set_policy(&hub, &changed);
        hub.plant(&record).refuses(&format!("bo is {word}; only humans can approve"));
    }
}

#[test]
fn a_withdrawn_approval_is_not_planted_again() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let id = decide(&hub.chi, "bo", Some(RANGE), &APPROVE);
    sync(&hub.chi);
    let options =
        countersign::jobs::withdraw::Options { record: id, key: Some(hub.key("bo")), reason: None };
    countersign::jobs::withdraw::withdraw(&world(&hub.chi), &options, &Default::default())
        .unwrap_or_else(|error| panic!("{}", error.chain()));
    sync(&hub.chi);
    hub.refuses("it was withdrawn");
}
