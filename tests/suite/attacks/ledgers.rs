//! Attacks on the ledger itself: rolled back, replaced, filled with what does
//! not belong there, written by many at once.

use std::collections::BTreeSet;

use countersign::adapters::ledger::{LedgerError, Wanted};
use countersign::jobs::{approve, ledger};
use proptest::prelude::*;

use super::scene::{APPROVE, Forged, Hub, LEDGER, RULES, files_of};
use crate::fixture::{TestRepo, feed};
use crate::shop::{Said, countersign, key_of, world};

const RANGE: &str = "origin/main..HEAD";

/// A hub whose ledger holds bo's approval and ana's rejection, and a clone that
/// has seen both.
fn seen() -> Option<(Hub, TestRepo)> {
    let hub = Hub::open(RULES)?;
    hub.work();
    let approval = hub.genuine("bo", RANGE);
    hub.plant(&approval);
    let rejection = approve::Decision::Reject { note: None };
    crate::shop::decide(&hub.chi, "ana", Some(RANGE), &rejection);
    crate::shop::sync(&hub.chi);
    hub.chi.git(&["push", "-q", "--no-verify", "origin", "topic"]);
    let other = hub.bare.clone_as("other", &["--branch", "topic"]);
    let said = countersign(&other, &["check", RANGE]);
    assert!(said.code == Some(1) && said.text.contains("[rejected]"), "{}", said.text);
    Some((hub, other))
}

#[test]
fn rolled_back_to_before_the_rejection() {
    let Some((hub, other)) = seen() else { return };
    let older = hub.chi.git(&["rev-parse", &format!("{}~", hub.ledger_tip().unwrap())]);
    // By a push, which the server refuses.
    let push = format!("+{older}:{LEDGER}");
    let said = Said::new(&hub.chi.git_command(&["push", "-q", "origin", &push]).output().unwrap());
    assert!(!said.passes() && said.text.contains("[ref-rewrite]"), "{}", said.text);
    // On the server's disk, which every clone notices that has seen more.
    hub.bare.git(&["update-ref", LEDGER, &older]);
    other.git(&["fetch", "-q", "origin"]);
    let said = countersign(&other, &["check", RANGE]);
    assert!(said.code == Some(2) && said.text.contains("the ledger was rewound"), "{}", said.text);
    let said = countersign(&other, &["ledger", "verify"]);
    assert!(!said.passes() && said.text.contains("the ledger was rewound"), "{}", said.text);
}

/// A clone that never saw the ledger has only what the target's commits name.
#[test]
fn cut_off_before_a_fresh_clone() {
    let Some((hub, _)) = seen() else { return };
    let tip = hub.ledger_tip().unwrap();
    let older = hub.chi.git(&["rev-parse", &format!("{tip}~")]);
    hub.chi.git(&["checkout", "-q", "-B", "docs", "origin/main"]);
    let anchor = countersign(&hub.chi, &["ledger", "anchor"]);
    assert_eq!((anchor.code, anchor.text), (Some(0), format!("Countersign-Ledger: {tip}\n")));
    let trailer = format!("--trailer=$({} ledger anchor)", env!("CARGO_BIN_EXE_countersign"));
    hub.chi.write("b.md", "b\n").git(&["add", "-A"]);
    // As docs/ci.md says it.
    let script = format!("git commit -q -m Merge \"{trailer}\"");
    let mut command = hub.chi.command("sh");
    command.args(["-c", &script]).env("GIT_AUTHOR_NAME", "chi");
    command.env("GIT_AUTHOR_EMAIL", "chi@example.com");
    assert!(command.output().unwrap().status.success());
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
    hub.chi.git(&["checkout", "-q", "topic"]);
    let fresh = |name: &str| {
        let clone = hub.bare.clone_as(name, &["--branch", "topic"]);
        countersign(&clone, &["check", RANGE])
    };
    let said = fresh("whole");
    assert!(!said.text.contains("[ledger-anchor]"), "{}", said.text);
    hub.bare.git(&["update-ref", LEDGER, &older]);
    let said = fresh("cut");
    assert!(said.code == Some(1) && said.text.contains("[ledger-anchor]"), "{}", said.text);
    // What was cut off is still there, and no part of the ledger.
    hub.bare.git(&["update-ref", "refs/heads/aside", &tip]);
    let said = fresh("aside");
    assert!(said.code == Some(1) && said.text.contains("[ledger-anchor]"), "{}", said.text);
    hub.bare.git(&["update-ref", "-d", LEDGER]);
    let said = fresh("gone");
    assert!(said.code == Some(1) && said.text.contains("[ledger-anchor]"), "{}", said.text);
}

/// A ledger that was written anew, with the server's own verdicts and without
/// a record: what the verdicts name is not there.
#[test]
fn written_anew_without_a_record() {
    let Some((hub, _)) = seen() else { return };
    hub.chi.git(&["checkout", "-q", "-B", "docs", "origin/main"]);
    hub.chi.write("b.md", "b\n").commit("chi", "beside");
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
    let verified = |name: &str| {
        let clone = hub.bare.clone_as(name, &[]);
        countersign(&clone, &["ledger", "verify"])
    };
    let said = verified("whole");
    assert!(said.passes(), "{}", said.text);
    // All but the rejection, as a history of its own.
    let tip = hub.ledger_tip().unwrap();
    let files = hub.bare.git(&["ls-tree", "-r", "--name-only", &tip]);
    let read = |path: &str| {
        let words = ["cat-file", "blob", &format!("{tip}:{path}")];
        { hub.bare.git_command(&words) }.output().unwrap().stdout
    };
    let rejected: Vec<&str> = files
        .lines()
        .filter(|path| path.ends_with(".json"))
        .filter(|path| String::from_utf8_lossy(&read(path)).contains("countersign:rejection"))
        .map(|path| path.trim_end_matches(".json"))
        .collect();
    assert_eq!(rejected.len(), 1, "{files}");
    let kept: Vec<(String, Vec<u8>)> = files
        .lines()
        .filter(|path| !path.starts_with(rejected[0]))
        .map(|path| (path.to_owned(), read(path)))
        .collect();
    let anew = hub.ledger_commit(None, &kept);
    hub.chi.git(&["push", "-q", "origin", &format!("{anew}:refs/heads/anew")]);
    hub.bare.git(&["update-ref", LEDGER, &anew]);
    let said = verified("fresh");
    assert!(said.code == Some(1) && said.text.contains("it was cut off"), "{}", said.text);
}

#[test]
fn replaced_by_one_with_another_root() {
    let Some((hub, other)) = seen() else { return };
    let approval = hub.genuine("bo", RANGE);
    let fresh = hub.ledger_commit(None, &files_of(&approval));
    let push = format!("+{fresh}:{LEDGER}");
    let said = Said::new(&hub.chi.git_command(&["push", "-q", "origin", &push]).output().unwrap());
    assert!(!said.passes() && said.text.contains("[ref-rewrite]"), "{}", said.text);
    hub.chi.git(&["push", "-q", "origin", &format!("{fresh}:refs/heads/fresh")]);
    hub.bare.git(&["update-ref", LEDGER, &fresh]);
    other.git(&["fetch", "-q", "origin"]);
    let said = countersign(&other, &["check", RANGE]);
    assert!(said.code == Some(2) && said.text.contains("the ledger was rewound"), "{}", said.text);
    // Deleted, it is missed as well.
    hub.bare.git(&["update-ref", "-d", LEDGER]);
    other.git(&["fetch", "-q", "--prune", "origin"]);
    let said = countersign(&other, &["check", RANGE]);
    assert!(said.code == Some(2) && said.text.contains("the ledger is gone"), "{}", said.text);
}

/// A tree with one entry of any name and mode.
fn tree(repo: &TestRepo, mode: &str, name: &[u8], object: &str) -> String {
    let mut bytes = [mode.as_bytes(), b" ", name, b"\0"].concat();
    let digits: Vec<u8> = object.bytes().collect();
    bytes.extend(
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()),
    );
    let command = repo.git_command(&["hash-object", "-t", "tree", "--literally", "-w", "--stdin"]);
    String::from_utf8(feed(command, &bytes).stdout).unwrap().trim().to_owned()
}

#[test]
fn a_record_whose_path_leads_elsewhere() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let approval = hub.genuine("bo", RANGE);
    let blob = |bytes: &[u8]| hub.chi.git_with_input(&["hash-object", "-w", "--stdin"], bytes);
    let record = blob(&approval.bytes);
    let (path, _) = files_of(&approval).remove(0);
    let name = path.rsplit('/').next().unwrap().to_owned();
    let inner = tree(&hub.chi, "100644", name.as_bytes(), &record);
    let up = tree(&hub.chi, "40000", b"..", &inner);
    let link = tree(&hub.chi, "120000", name.as_bytes(), &blob(b"../../countersign.toml"));
    for (what, folder) in [("up", up), ("link", link)] {
        let tree = tree(&hub.chi, "40000", b"records", &folder);
        let commit = hub.chi.git(&["commit-tree", &tree, "-m", what]);
        let push = format!("{commit}:{LEDGER}");
        let output = hub.chi.git_command(&["push", "-q", "origin", &push]).output().unwrap();
        let said = Said::new(&output);
        assert!(!said.passes(), "{what}: {}", said.text);
    }
    hub.refuses("[approval-missing]");
    assert!(!hub.bare.path().parent().unwrap().join(&name).exists());
    // The right name and the right bytes, in what is no plain file: neither a
    // push brings it, nor does it count where somebody put it.
    let signature = blob(&approval.signature.clone().unwrap());
    for mode in ["120000", "100755"] {
        let beside = format!("{}.sig", name.trim_end_matches(".json"));
        let listing = format!("{mode} blob {record}\t{name}\n100644 blob {signature}\t{beside}\n");
        let mut tree = hub.chi.git_with_input(&["mktree"], listing.as_bytes());
        for folder in path.rsplit('/').skip(1) {
            let listing = format!("040000 tree {tree}\t{folder}\n");
            tree = hub.chi.git_with_input(&["mktree"], listing.as_bytes());
        }
        let commit = hub.chi.git(&["commit-tree", &tree, "-m", mode]);
        let push = format!("{commit}:{LEDGER}");
        let output = hub.chi.git_command(&["push", "-q", "origin", &push]).output().unwrap();
        let said = Said::new(&output);
        assert!(said.text.contains("[ledger-malformed]"), "{mode}: {}", said.text);
        hub.chi.git(&["push", "-q", "origin", &format!("{commit}:refs/heads/as-{mode}")]);
        hub.bare.git(&["update-ref", LEDGER, &commit]);
        hub.forget();
        hub.refuses("[approval-missing]");
        hub.bare.git(&["update-ref", "-d", LEDGER]);
    }
}

#[test]
fn a_ledger_full_of_rubbish_hides_nothing() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    let approval = hub.genuine("bo", RANGE);
    // Thousands of files that are no records, and one deep folder.
    let mut script = String::from(
        "commit refs/heads/rubbish\ncommitter x <x@example.com> 1760000000 +0000\ndata 0\n",
    );
    for number in 0..5_000 {
        script.push_str(&format!(
            "M 100644 inline records/2026/11/{:02}/{number:064x}.json\ndata 2\n{{}}\n",
            number % 28 + 1
        ));
    }
    script.push_str(&format!("M 100644 inline {}x\ndata 0\n\n", "d/".repeat(500)));
    hub.chi.git_with_input(&["fast-import", "--quiet"], script.as_bytes());
    let rubbish = hub.chi.git(&["rev-parse", "refs/heads/rubbish"]);
    let said = Said::new(
        &hub.chi
            .git_command(&["push", "-q", "origin", &format!("{rubbish}:{LEDGER}")])
            .output()
            .unwrap(),
    );
    assert!(!said.passes() && said.text.contains("[ledger-malformed]"), "{}", said.text);
    assert!(said.text.len() < 40_000, "{} bytes were said", said.text.len());
    hub.chi.git(&["push", "-q", "origin", &format!("{rubbish}:refs/heads/rubbish")]);
    hub.bare.git(&["update-ref", LEDGER, &rubbish]);
    hub.refuses("[approval-missing]");
    hub.smuggle(&files_of(&approval));
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
}

/// Where no server of ours refuses it, anybody who may push to the ledger can
/// put a second file of a record's name under another date.
#[test]
fn a_copy_under_another_date_hides_no_rejection() {
    let Some((hub, _)) = seen() else { return };
    let tip = hub.ledger_tip().unwrap();
    let content = |path: &str| hub.chi.git(&["show", &format!("{tip}:{path}")]);
    let files = hub.chi.git(&["ls-tree", "-r", "--name-only", &tip]);
    let is_it = |path: &&str| content(path).contains("urn:countersign:rejection:v1");
    let path = files.lines().filter(|it| it.ends_with(".json")).find(is_it).unwrap();
    let id = path.rsplit('/').next().unwrap().trim_end_matches(".json");
    let record = format!("{}\n", content(path)).into_bytes();
    let copies = |date: &str| {
        let name = |end: &str| format!("records/{date}/{id}.{end}");
        [(name("json"), record.clone()), (name("sig"), b"no signature\n".to_vec())]
    };
    for (number, date) in ["9999/12/31", "0001/01/01"].into_iter().enumerate() {
        let [json, sig] = copies(date);
        for (what, files) in [
            ("record", vec![json.clone()]),
            ("signature", vec![sig.clone()]),
            ("both", vec![json, sig]),
        ] {
            hub.bare.git(&["update-ref", LEDGER, &tip]);
            let commit = hub.ledger_commit(Some(&tip), &files);
            let push = format!("{commit}:{LEDGER}");
            let push = hub.chi.git_command(&["push", "-q", "origin", &push]).output().unwrap();
            let said = Said::new(&push);
            assert!(said.text.contains("[ledger-malformed]"), "{what}: {}", said.text);
            hub.chi.git(&["push", "-q", "origin", &format!("{commit}:refs/heads/{what}{number}")]);
            hub.bare.git(&["update-ref", LEDGER, &commit]);
            let name = format!("fresh-{what}-{number}");
            let fresh = hub.bare.clone_as(&name, &["--branch", "topic"]);
            let said = countersign(&fresh, &["check", RANGE]);
            assert!(said.text.contains("[rejected]"), "{what} {date}: {}", said.text);
        }
    }
}

#[test]
fn a_record_that_was_changed_in_place() {
    let Some((hub, other)) = seen() else { return };
    let tip = hub.ledger_tip().unwrap();
    let files = hub.chi.git(&["ls-tree", "-r", "--name-only", &tip]);
    let path = files.lines().find(|path| path.ends_with(".json")).unwrap().to_owned();
    let commit = hub.ledger_commit(Some(&tip), &[(path.clone(), b"{}\n".to_vec())]);
    let push = format!("{commit}:{LEDGER}");
    let said = Said::new(&hub.chi.git_command(&["push", "-q", "origin", &push]).output().unwrap());
    assert!(!said.passes() && said.text.contains("is changed"), "{}", said.text);
    hub.chi.git(&["push", "-q", "origin", &format!("{commit}:refs/heads/changed")]);
    hub.bare.git(&["update-ref", LEDGER, &commit]);
    other.git(&["fetch", "-q", "origin"]);
    let said = countersign(&other, &["check", RANGE]);
    let lost = format!("the ledger lost or changed `{path}`");
    assert!(said.code == Some(2) && said.text.contains(&lost), "{}", said.text);
}

/// What a writer does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Approve(usize),
    Sync(usize),
    /// A plain `git fetch`.
    Fetch(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize).prop_map(Step::Approve),
        (0..3usize).prop_map(Step::Sync),
        (0..3usize).prop_map(Step::Fetch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three clones approve, publish and fetch in any order: after the last
    /// synchronisation every record is everywhere, and nothing was rewritten.
    #[test]
    fn every_record_survives_any_interleaving(steps in proptest::collection::vec(step(), 4..14)) {
        let Some(hub) = Hub::open(RULES) else { return Ok(()) };
        hub.work();
        hub.chi.git(&["push", "-q", "--no-verify", "origin", "topic"]);
        let clones: Vec<TestRepo> = (0..3)
            .map(|number| hub.bare.clone_as(&format!("writer{number}"), &["--branch", "topic"]))
            .collect();
        let mut written = BTreeSet::new();
        for step in steps {
            match step {
                Step::Approve(clone) => {
                    let person = ["ana", "bo", "chi"][clone];
                    let options = approve::Options {
                        range: Some(RANGE.into()),
                        key: Some(key_of(&hub.chi, person)),
                        ..Default::default()
                    };
                    let world = world(&clones[clone]);
                    let draft = approve::prepare(&world, &options, &APPROVE, &Default::default());
                    written.insert(draft.unwrap().sign(&world).unwrap().id);
                }
                Step::Sync(clone) => {
                    ledger::sync(&world(&clones[clone]), None).unwrap();
                }
                Step::Fetch(clone) => {
                    clones[clone].git(&["fetch", "-q", "origin"]);
                }
            }
        }
        for round in 0..2 {
            for clone in &clones {
                ledger::sync(&world(clone), None).unwrap_or_else(|error| panic!("{round}: {}", error.chain()));
            }
        }
        for clone in &clones {
            let world = world(clone);
            let verification = ledger::verify(&world).unwrap();
            prop_assert_eq!(verification.problems, [""; 0]);
            let ids: BTreeSet<String> = ledger::list(&world).unwrap().records.into_iter().map(|it| it.record.id).collect();
            prop_assert!(written.is_subset(&ids));
        }
    }
}

#[test]
fn many_clones_push_their_approvals_at_once() {
    let Some(hub) = Hub::open(RULES) else { return };
    hub.work();
    hub.chi.git(&["push", "-q", "--no-verify", "origin", "topic"]);
    let clones: Vec<TestRepo> = (0..4)
        .map(|number| hub.bare.clone_as(&format!("writer{number}"), &["--branch", "topic"]))
        .collect();
    let template = hub.genuine("bo", RANGE);
    std::thread::scope(|scope| {
        for (number, clone) in clones.iter().enumerate() {
            let nonces: Vec<Forged> = (0..5)
                .map(|round| {
                    hub.resigned(&template, "bo", |record| {
                        record["predicate"]["by"]["nonce"] =
                            format!("{:032x}", number * 1000 + round).into();
                    })
                })
                .collect();
            let world = world(clone);
            scope.spawn(move || {
                let records: Vec<_> = nonces.iter().map(unpublished).collect();
                let ledger = countersign::adapters::ledger::Ledger::new(
                    &world.git,
                    &world.store,
                    LEDGER,
                    Some("origin"),
                );
                ledger.append(&records, world.env.now).unwrap();
                match ledger.sync(world.env.now) {
                    Ok(_) | Err(LedgerError::TooBusy { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            });
        }
    });
    for clone in &clones {
        ledger::sync(&world(clone), None).unwrap();
    }
    let world = world(&clones[0]);
    ledger::sync(&world, None).unwrap();
    let ledger = countersign::adapters::ledger::Ledger::new(
        &world.git,
        &world.store,
        LEDGER,
        Some("origin"),
    );
    assert_eq!(ledger.read(&Wanted::All).unwrap().records.len(), 20);
    let said = hub.lands();
    assert!(said.passes(), "{}", said.text);
}

fn unpublished(record: &Forged) -> countersign::adapters::store::Unpublished {
    let parsed = countersign::gate::record::Record::parse(&record.bytes).unwrap();
    countersign::adapters::store::Unpublished {
        id: parsed.id,
        bytes: record.bytes.clone(),
        signature: record.signature.clone(),
    }
}
