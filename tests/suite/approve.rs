//! Approvals, rejections, waivers and withdrawals, from the change to the
//! verdict, with real git and real keys. The commands are called as the
//! binary calls them, with the surroundings handed over as values, so that
//! these tests can run under an agent.

use std::process::{Command, Stdio};

use countersign::adapters::env::Env;
use countersign::adapters::marks::Marks;
use countersign::adapters::store::Store;
use countersign::gate::time::Timestamp;
use countersign::jobs::ambient::Surroundings;
use countersign::jobs::approve::{Decision, Options, prepare};
use countersign::jobs::check::{self, check};
use countersign::jobs::withdraw::{self, withdraw};
use countersign::jobs::world::World;
use countersign::jobs::{Error, ledger};

use crate::fixture::TestRepo;

/// What the clock says when somebody approves: long after every commit.
const NOW: i64 = 1_795_421_000;

/// A repository whose policy asks for one senior's approval of `.rs` files;
/// ana and bo are seniors, chi is not. `None` where ssh-keygen is absent.
struct Shop {
    repo: TestRepo,
}

impl Shop {
    fn open() -> Option<Shop> {
        let repo = TestRepo::new();
        let mut people = String::new();
        for name in ["ana", "bo", "chi"] {
            let key = repo.home().join(name);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(&key)
                .stdin(Stdio::null())
                .status();
            if made.is_err() {
                let complaint = b"skipped: ssh-keygen is not here\n";
                std::io::Write::write_all(&mut std::io::stderr(), complaint).unwrap();
                return None;
            }
            let public = std::fs::read_to_string(repo.home().join(format!("{name}.pub"))).unwrap();
            people.push_str(&format!(
                "[people.{name}]\nkind = \"human\"\nemails = [\"{name}@example.com\"]\nkeys = [{{ key = \"{}\" }}]\n",
                public.trim()
            ));
        }
        let policy = format!(
            "schema = 1\n[trust]\nrepo_id = \"shop\"\n{people}[groups]\nsenior = [\"ana\", \"bo\"]\n\
             [[rule]]\nid = \"seniors\"\npaths = [\"**/*.rs\"]\nrequire.approvals = [{{ from = [\"senior\"] }}]\n\
             [waiver]\nfrom = [\"senior\"]\nmax = \"4h\"\nreview_within = \"48h\"\nnever = [\"policy-change\"]\n"
        );
        repo.write("countersign.toml", policy).commit("ana", "policy");
        let _ = repo.bare_remote();
        repo.git(&["push", "-q", "origin", "main"]);
        repo.git(&["fetch", "-q", "origin"]);
        repo.git(&["checkout", "-q", "-b", "topic"]);
        repo.commit_file("chi", "a.rs", "fn a() {}\n", "add a");
        Some(Shop { repo })
    }

    fn world(&self) -> World {
        let git = self.repo.open();
        let layout = git.layout();
        let store = Store::new(&layout.common_dir);
        let marks = Marks::open(&layout.common_dir, &layout.git_dir);
        let env = Env {
            dir: self.repo.path().to_owned(),
            variables: self
                .repo
                .variables()
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            now: Timestamp(NOW),
            stdin_is_terminal: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            executable: None,
        };
        World { env, git, store, marks }
    }

    fn options(&self, person: &str) -> Options {
        Options { key: Some(self.repo.home().join(person)), ..Options::default() }
    }

    fn decide(&self, person: &str, decision: &Decision) -> Result<String, Error> {
        let world = self.world();
        let draft = prepare(&world, &self.options(person), decision, &Surroundings::default())?;
        Ok(draft.sign(&world)?.id)
    }

    #[track_caller]
    fn approve(&self, person: &str) -> String {
        self.decide(person, &APPROVE).unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    /// The state of the rule's approvals, and what is said about it.
    #[track_caller]
    fn state(&self) -> String {
        let world = self.world();
        let judgement = check(&world, &check::Options::default(), &Surroundings::default())
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        let mut states = judgement.verdict.obligations.iter().filter(|it| it.rule == "seniors");
        let judged = states.next().expect("the rule applies");
        let word = serde_json::to_value(judged.state).unwrap();
        let verdict = if judgement.verdict.passes() { "passes" } else { "blocks" };
        format!("{} {verdict}", word.as_str().unwrap())
    }
}

const APPROVE: Decision = Decision::Approve { rules: Vec::new(), note: None };

fn waive(expires: &str) -> Decision {
    Decision::Waive { rule: "seniors".into(), reason: "outage".into(), expires: expires.into() }
}

#[test]
fn an_approval_lets_exactly_this_content_through() {
    let Some(shop) = Shop::open() else { return };
    assert_eq!(shop.state(), "missing blocks");
    shop.approve("bo");
    assert_eq!(shop.state(), "satisfied passes");
    // Another message over the same content: it holds.
    shop.repo.git(&[
        "commit",
        "-q",
        "--amend",
        "--no-verify",
        "-m",
        "add a, better said",
        "--author",
        "chi <chi@example.com>",
    ]);
    assert_eq!(shop.state(), "satisfied passes");
    // Other content: it does not.
    shop.repo.commit_file("chi", "a.rs", "fn a() { evil() }\n", "add more");
    assert_eq!(shop.state(), "missing blocks");
}

#[test]
fn another_clone_sees_it_once_it_is_published() {
    let Some(shop) = Shop::open() else { return };
    shop.repo.git(&["push", "-q", "origin", "topic"]);
    let bare = shop.repo.beside("origin.git");
    let other = Shop { repo: bare.clone_as("two", &["--branch", "topic"]) };
    shop.approve("bo");
    assert_eq!(other.state(), "missing blocks");
    assert_eq!(ledger::sync(&shop.world(), None).unwrap().published, 1);
    other.repo.git(&["fetch", "-q", "origin"]);
    assert_eq!(other.state(), "satisfied passes");
    let verification = ledger::verify(&other.world()).unwrap();
    assert_eq!((verification.records, verification.signed), (1, 1));
    assert_eq!(verification.problems, [""; 0]);
}

#[test]
fn neither_the_author_nor_an_outsider_counts() {
    let Some(shop) = Shop::open() else { return };
    shop.approve("chi");
    assert_eq!(shop.state(), "missing blocks");
    shop.repo.git(&["checkout", "-q", "-b", "own", "main"]);
    shop.repo.commit_file("ana", "b.rs", "fn b() {}\n", "add b");
    shop.approve("ana");
    assert_eq!(shop.state(), "missing blocks");
    shop.approve("bo");
    assert_eq!(shop.state(), "satisfied passes");
}

#[test]
fn a_withdrawn_approval_is_gone_and_only_its_maker_withdraws_it() {
    let Some(shop) = Shop::open() else { return };
    let record = shop.approve("ana");
    let take_back = |person: &str| {
        let options = withdraw::Options {
            record: record[..12].to_owned(),
            key: Some(shop.repo.home().join(person)),
            reason: None,
        };
        withdraw(&shop.world(), &options, &Surroundings::default())
    };
    let error = take_back("bo").unwrap_err();
    assert_eq!(error.chain(), "the record was signed by ana, and only they can take it back");
    assert_eq!(shop.state(), "satisfied passes");
    assert_eq!(take_back("ana").unwrap().record, record);
    assert_eq!(shop.state(), "missing blocks");
}

#[test]
fn a_rejection_blocks_what_others_approved() {
    let Some(shop) = Shop::open() else { return };
    shop.approve("bo");
    assert_eq!(shop.state(), "satisfied passes");
    shop.decide("ana", &Decision::Reject { note: Some("no".into()) }).unwrap();
    let state = shop.state();
    assert!(state.ends_with("blocks"), "{state}");
}

#[test]
fn a_waiver_is_short_and_given_by_who_may() {
    let Some(shop) = Shop::open() else { return };
    let refused =
        |person: &str, decision: &Decision| shop.decide(person, decision).unwrap_err().chain();
    assert_eq!(refused("chi", &waive("1h")), "only senior can waive a rule; chi is not in it");
    assert_eq!(refused("ana", &waive("5h")), "the policy lets a waiver last 4h at most");
    assert_eq!(refused("ana", &waive("soon")), "`soon` is no length and no time");
    assert_eq!(refused("ana", &waive("2020-01-01")), "2020-01-01T00:00:00Z is over already");
    shop.decide("ana", &waive("1h")).unwrap();
    assert_eq!(shop.state(), "waived passes");
}

/// What stops a record from being made, with the hints that are given.
#[track_caller]
fn check_refusal(
    shop: &Shop,
    options: &Options,
    surroundings: &Surroundings,
    expected: (&str, usize),
) {
    let error = prepare(&shop.world(), options, &APPROVE, surroundings).unwrap_err();
    assert_eq!((error.chain().as_str(), error.hints.len()), expected);
}

#[test]
fn an_agent_is_refused_and_told_no_way_round() {
    let Some(shop) = Shop::open() else { return };
    let ana = shop.options("ana");
    let agents = "`claude-code` seems to be asking; only a person can countersign";
    let environment =
        Surroundings { variables: vec![("CLAUDECODE".into(), "1".into())], ancestors: Vec::new() };
    check_refusal(&shop, &ana, &environment, (agents, 0));
    let below = Surroundings { variables: Vec::new(), ancestors: vec!["claude".into()] };
    check_refusal(&shop, &ana, &below, (agents, 0));
    let nobody = "there is no terminal here, so nobody can be asked to sign";
    check_refusal(&shop, &Options::default(), &Surroundings::default(), (nobody, 0));
}

#[test]
fn a_record_that_could_never_count_is_not_made() {
    let Some(shop) = Shop::open() else { return };
    let plain = Surroundings::default();
    let stranger = shop.repo.home().join("stranger");
    Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&stranger)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    let options = Options { key: Some(stranger), ..Options::default() };
    let error = prepare(&shop.world(), &options, &APPROVE, &plain).unwrap_err();
    assert!(
        error.chain().ends_with("belongs to nobody in the trusted policy"),
        "{}",
        error.chain()
    );
    assert!(error.hints[0].contains("keys = [{ key = \"ssh-ed25519 AAAA"), "{:?}", error.hints);

    let unprotected = Options {
        target: Some("topic".into()),
        range: Some("main..topic".into()),
        ..shop.options("ana")
    };
    let message = "`refs/heads/topic` is not protected, so nothing can be bound to it";
    check_refusal(&shop, &unprotected, &plain, (message, 1));

    let rules = Decision::Approve { rules: vec!["senoirs".into()], note: None };
    let error = shop.decide("ana", &rules).unwrap_err();
    assert_eq!(error.chain(), "the policy has no rule `senoirs`");

    shop.repo.git(&["checkout", "-q", "main"]);
    check_refusal(
        &shop,
        &shop.options("ana"),
        &plain,
        ("the change is empty: there is nothing to sign for", 1),
    );
}

#[test]
fn a_rewrite_of_a_protected_ref_needs_consent_to_that_pair_of_tips() {
    let Some(shop) = Shop::open() else { return };
    let repo = &shop.repo;
    let old = repo.oid("topic");
    repo.git(&["push", "-q", "--no-verify", "origin", "topic:main"]);
    repo.git(&["fetch", "-q", "origin"]);
    repo.git(&["checkout", "-q", "main"]);
    let new = repo.commit_file("chi", "b.md", "b\n", "add b instead");
    let range = format!("{old}..{new}");
    let consent = |person: &str| {
        let options = Options { range: Some(range.clone()), ..shop.options(person) };
        let decision = Decision::Approve { rules: vec!["policy-change".into()], note: None };
        let draft = prepare(&shop.world(), &options, &decision, &Surroundings::default());
        let draft = draft.unwrap_or_else(|error| panic!("{}", error.chain()));
        draft.sign(&shop.world()).unwrap_or_else(|error| panic!("{}", error.chain()));
    };
    let codes = |new: &str| {
        let line = format!("refs/heads/main {new} refs/heads/main {old}\n");
        let url = repo.git(&["config", "remote.origin.url"]);
        let command = repo.countersign_command(&["hook", "pre-push", "origin", &url]);
        let output = crate::fixture::feed(command, line.as_bytes());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text.contains("[ref-rewrite]"), text)
    };
    let (code, rewrites, text) = codes(new.as_str());
    assert_eq!((code, rewrites), (Some(1), true), "{text}");
    // chi is no senior, and an ordinary approval says nothing about the tips.
    consent("chi");
    let ordinary = Options { range: Some(range.clone()), ..shop.options("bo") };
    let draft = prepare(&shop.world(), &ordinary, &APPROVE, &Surroundings::default());
    draft.unwrap().sign(&shop.world()).unwrap();
    let (code, rewrites, text) = codes(new.as_str());
    assert_eq!((code, rewrites), (Some(1), true), "{text}");
    consent("bo");
    let (_, rewrites, text) = codes(new.as_str());
    assert!(!rewrites, "{text}");
    // The same content under another tip is another rewrite.
    repo.git(&["commit", "-q", "--amend", "--no-verify", "-m", "said otherwise"]);
    let (code, rewrites, text) = codes(repo.oid("main").as_str());
    assert_eq!((code, rewrites), (Some(1), true), "{text}");
}
