//! Who counts and who does not, each with the reason that people read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::change::{Commit, FileChange, Identity};
use super::super::evidence::{BlobMerge, Merged, Moved, Moves};
use super::super::policy::*;
use super::super::record::{Record, RecordType, Shown, Side, Signer, SshSignature, Withdrawal};
use super::*;

const MAIN: &str = "refs/heads/main";

fn oid(digit: char) -> Oid {
    Oid::parse(&digit.to_string().repeat(40)).expect("a full id")
}

fn person(name: &str, kind: PersonKind, keys: &[&str]) -> (String, Person) {
    let key = |name: &&str| Key {
        openssh: format!("ssh-ed25519 {name}"),
        fingerprint: format!("SHA256:{name}"),
        presence: Presence::None,
        cert_authority: false,
    };
    let person = Person {
        name: name.into(),
        kind,
        emails: vec![format!("{name}@example.com")],
        keys: keys.iter().map(key).collect(),
    };
    (name.into(), person)
}

pub(super) fn policy() -> Policy {
    Policy {
        source: Source { from: "built-in".into(), sha256: None },
        mode: Mode::Enforce,
        trust: Trust {
            target: MAIN.into(),
            protect: RefPatterns::default(),
            ledger: "refs/heads/countersign-ledger".into(),
            repo_id: Some("shop".into()),
            gate: Globs::default(),
            solo: false,
            narrow: Narrow::Never,
            reformatted: true,
            unverified_authors: UnverifiedAuthors::One,
            pusher_env: None,
        },
        people: [
            person("ana", PersonKind::Human, &["ana", "ana2"]),
            person("bo", PersonKind::Human, &["bo"]),
            person("chi", PersonKind::Human, &["chi"]),
            person("helper", PersonKind::Agent, &["helper"]),
            person("ci", PersonKind::Service, &["ci"]),
        ]
        .into(),
        groups: [("senior".to_owned(), ["ana", "bo"].map(str::to_owned).into())].into(),
        revoked: Vec::new(),
        disclosure: Disclosure {
            trailer: DisclosureTrailer::Allow,
            key: "Assisted-by".into(),
            strict: false,
            write: false,
        },
        rules: Vec::new(),
        tests: BTreeMap::new(),
        previews: BTreeMap::new(),
        waiver: None,
        nested: None,
        agents: Vec::new(),
        examples: Vec::new(),
    }
}

fn side(digit: char) -> Option<Side> {
    Some(Side { mode: 0o100_644, oid: oid(digit), sha256: None })
}

fn file(path: &str, old: Option<Side>, new: Option<Side>) -> FileDelta {
    FileDelta { path: RepoPath::new(path), old, new }
}

/// One commit by chi over `a.rs`, judged on main, and an approval of exactly
/// that by bo; each test changes what it is about.
struct Case {
    policy: Policy,
    change: Change,
    now_files: Vec<FileDelta>,
    standing: BTreeMap<RepoPath, Answer<Option<Entry>>>,
    merges: BTreeMap<BlobMerge, Answer<Merged>>,
    history: BTreeMap<Oid, Answer<Moves>>,
    cuts: BTreeMap<Oid, Answer<BTreeSet<String>>>,
    times: Answer<BTreeMap<String, Bounds>>,
    clean_merges: BTreeSet<Oid>,
    signers: BTreeMap<Oid, Option<SshSignature>>,
    pusher: Option<String>,
    others: Vec<SignedRecord>,
    asked: ApprovalRule,
    approval: Judgement,
    signature: SignatureState,
    now: Timestamp,
}

fn plain(key: &str) -> SshSignature {
    SshSignature { fingerprint: format!("SHA256:{key}"), flags: None, certificate: None }
}

fn good(key: &str, flags: Option<u8>) -> SignatureState {
    SignatureState::Good(SshSignature { flags, ..plain(key) })
}

fn by(key: &str, at: i64) -> Signer {
    Signer {
        who: None,
        key: Some(format!("SHA256:{key}")),
        at: Timestamp(at),
        ledger: None,
        nonce: "0".repeat(32),
    }
}

fn identity(name: &str) -> Identity {
    Identity { name: name.into(), email: format!("{name}@Example.com") }
}

fn commit(digit: char, author: &str, committer: &str, committed: i64, message: &str) -> Commit {
    Commit {
        id: oid(digit),
        tree: oid('f'),
        parents: vec![oid('a')],
        author: identity(author),
        committer: identity(committer),
        committed,
        signed: false,
        message: message.into(),
    }
}

impl Case {
    fn new() -> Case {
        let files = vec![file("a.rs", side('1'), side('2'))];
        Case {
            policy: policy(),
            change: Change {
                base: oid('a'),
                head: oid('c'),
                head_tree: oid('f'),
                commits: vec![commit('c', "chi", "chi", 1_000, "add a")],
                files: Vec::new(),
            },
            now_files: files.clone(),
            standing: BTreeMap::new(),
            merges: BTreeMap::new(),
            history: [(
                oid('a'),
                Ok(["a.rs", "b.rs", "z.rs"].map(|it| (RepoPath::new(it), Vec::new())).into()),
            )]
            .into(),
            cuts: BTreeMap::new(),
            times: Ok(BTreeMap::new()),
            clean_merges: BTreeSet::new(),
            signers: BTreeMap::new(),
            pusher: None,
            others: Vec::new(),
            asked: ApprovalRule {
                count: 1,
                from: vec!["senior".into()],
                presence: Presence::None,
                carry: Carry::Exact,
                max_age: None,
            },
            approval: Judgement {
                content: Content {
                    repo: "shop".into(),
                    target: MAIN.into(),
                    base: oid('a'),
                    head: oid('c'),
                    head_tree: oid('f'),
                    files,
                },
                rules: Vec::new(),
                shown: Shown::default(),
                by: by("bo", 2_000),
                note: None,
            },
            signature: good("bo", None),
            now: Timestamp(3_000),
        }
    }

    fn with(change: impl FnOnce(&mut Case)) -> Case {
        let mut case = Case::new();
        change(&mut case);
        case
    }

    fn sign(&mut self, key: &str) {
        self.approval.by.key = Some(format!("SHA256:{key}"));
        self.signature = good(key, None);
    }

    fn record(&self) -> SignedRecord {
        signed(Body::Approval(self.approval.clone()), self.signature.clone())
    }

    fn situation<R>(&self, run: impl FnOnce(&Situation) -> R) -> R {
        let involved = involved(
            &self.change,
            &self.policy,
            &self.clean_merges,
            Some(&self.signers),
            self.pusher.as_deref(),
        );
        let mut records = self.others.clone();
        records.push(self.record());
        let withdrawn = withdrawn(&records, &self.policy, &self.cuts);
        run(&Situation {
            policy: &self.policy,
            target: MAIN,
            change: &self.change,
            deltas: &self.now_files,
            standing: &self.standing,
            proofs: Proofs {
                merges: &self.merges,
                history: &self.history,
                attributes: &attribute_folders(&self.change),
            },
            ledger_cuts: &self.cuts,
            involved: &involved,
            withdrawn: &withdrawn,
            times: &self.times,
            now: self.now,
        })
    }

    fn count(&self) -> Result<Counted, Reason> {
        let asked = Asked { rule: "r", approval: &self.asked };
        let in_scope = |path: &RepoPath| path.as_bytes().ends_with(b".rs");
        self.situation(|situation| {
            count(&self.record(), &self.approval, &asked, situation, in_scope)
        })
    }
}

fn signed(body: Body, signature: SignatureState) -> SignedRecord {
    let (record, _) = Record::write(&body).expect("a valid record");
    SignedRecord { record, signature, own: false }
}

/// `expected` is the person whose approval counts, or the reason why it does not.
#[track_caller]
fn check(case: &Case, expected: &str) {
    let answer = match case.count() {
        Ok(counted) if counted.self_attested => format!("{}, self-attested", counted.person),
        Ok(counted) => counted.person,
        Err(reason) => reason.to_string(),
    };
    assert_eq!(answer, expected);
}

#[test]
fn an_approval_of_this_content_counts() {
    check(&Case::new(), "bo");
    let counted = Case::new().count().expect("it counts");
    assert_eq!(counted.files, [RepoPath::new("a.rs")]);
    assert!(counted.plain_key);
}

#[test]
fn the_signature_decides_who_it_was() {
    check(&Case::with(|it| it.signature = SignatureState::Unsigned), "it is not signed");
    check(
        &Case::with(|it| it.signature = SignatureState::Bad("incorrect signature".into())),
        "its signature does not hold: incorrect signature",
    );
    check(
        &Case::with(|it| it.signature = good("ana", None)),
        "the record names the key SHA256:bo, but SHA256:ana signed it",
    );
    check(
        &Case::with(|it| it.sign("mallory")),
        "the key SHA256:mallory belongs to nobody in the trusted policy",
    );
    // The name in the record is a claim that nobody believes.
    check(&Case::with(|it| it.approval.by.who = Some("ana".into())), "bo");
}

#[test]
fn only_humans_approve() {
    let anybody = |it: &mut Case| it.asked.from.clear();
    check(
        &Case::with(|it| {
            anybody(it);
            it.sign("helper");
        }),
        "helper is an agent; only humans can approve",
    );
    check(
        &Case::with(|it| {
            anybody(it);
            it.sign("ci");
        }),
        "ci is a service; only humans can approve",
    );
}

#[test]
fn it_counts_for_the_people_and_rules_it_is_for() {
    check(
        &Case::with(|it| {
            it.change.commits[0] = commit('c', "ana", "ana", 1_000, "a");
            it.sign("chi");
        }),
        "chi is not in senior",
    );
    check(&Case::with(|it| it.approval.rules = vec!["r".into()]), "bo");
    check(
        &Case::with(|it| it.approval.rules = vec!["q".into(), "s".into()]),
        "it is for the rule `q`, `s`",
    );
}

#[test]
fn it_is_bound_to_repository_and_target() {
    check(
        &Case::with(|it| it.approval.content.repo = "fork\u{1b}[2J".into()),
        "it is for the repository `fork\\u{1b}[2J`",
    );
    check(
        &Case::with(|it| it.approval.content.target = "refs/heads/release/1".into()),
        "it is for refs/heads/release/1",
    );
    check(
        &Case::with(|it| it.policy.trust.repo_id = None),
        "the policy has no `repo_id`, so no record can be bound to this repository",
    );
}

#[test]
fn whoever_had_a_part_does_not_count() {
    let made = |author: &str, committer: &str, message: &str| {
        Case::with(|it| it.change.commits[0] = commit('c', author, committer, 1_000, message))
    };
    check(&made("bo", "bo", "a"), "bo is the author of cccccccccccc");
    check(&made("chi", "bo", "a"), "bo is the committer of cccccccccccc");
    check(
        &made("chi", "chi", "a\n\nCo-authored-by: Bo <BO@example.com>\n"),
        "bo is named as Co-authored-by in cccccccccccc",
    );
    check(
        &made("chi", "chi", "a\n\nCo-developed-by: Bo <bo@example.com>\n\nand more text\n"),
        "bo is named as Co-developed-by in cccccccccccc",
    );
    check(
        &made("chi", "chi", "a\\n\\nco-authored-by : bo@example.com"),
        "bo is named as co-authored-by in cccccccccccc",
    );
    check(&made("chi", "chi", "a\n\nReviewed-by: Bo <bo@example.com>\n"), "bo");
    check(
        &Case::with(|it| drop(it.signers.insert(oid('c'), Some(plain("bo"))))),
        "bo is the committer of cccccccccccc",
    );
    // Another address or key of the same person is the same person.
    check(
        &Case::with(|it| {
            it.change.commits[0] = commit('c', "ana", "ana", 1_000, "a");
            it.sign("ana2");
        }),
        "ana is the author of cccccccccccc",
    );
}

#[test]
fn a_committer_who_approved_before_counts() {
    let rebased = |approved_at: i64, approved_head: char| {
        Case::with(|it| {
            it.change.commits[0] = commit('c', "chi", "bo", 2_500, "a");
            it.approval.by.at = Timestamp(approved_at);
            it.approval.content.head = oid(approved_head);
        })
    };
    check(&rebased(2_000, 'b'), "bo");
    check(&rebased(2_500, 'b'), "bo");
    check(&rebased(2_501, 'b'), "bo is the committer of cccccccccccc");
    // A signer's clock proves nothing: approving the commit itself comes after it.
    check(&rebased(2_000, 'c'), "bo is the committer of cccccccccccc");
}

#[test]
fn a_clean_merge_has_no_maker() {
    let merged = |clean: bool| {
        Case::with(|it| {
            it.change.commits.push(commit('d', "bo", "bo", 1_500, "Merge main"));
            it.change.head = oid('d');
            if clean {
                it.clean_merges.insert(oid('d'));
            }
        })
    };
    check(&merged(true), "bo");
    check(&merged(false), "bo is the author of dddddddddddd");
}

#[test]
fn the_pusher_of_a_strangers_commits_does_not_count() {
    let pushed = |author: &str, pusher: &str| {
        Case::with(|it| {
            it.change.commits[0] = commit('c', author, author, 1_000, "a");
            it.pusher = Some(pusher.into());
        })
    };
    let stranger = "bo is the pusher of cccccccccccc, whose author is nobody of the policy";
    check(&pushed("stranger", "bo"), stranger);
    check(&pushed("stranger", "bo@example.com"), stranger);
    check(&pushed("stranger", "ana"), "bo");
    check(&pushed("chi", "bo"), "bo");
}

#[test]
fn solo_lets_the_only_human_attest_their_own_change() {
    let alone = |solo: bool, people: &[&str]| {
        Case::with(|it| {
            it.policy.trust.solo = solo;
            it.policy.people.retain(|name, _| people.contains(&name.as_str()));
            it.change.commits[0] = commit('c', "bo", "bo", 1_000, "a");
        })
    };
    check(&alone(true, &["bo", "ci"]), "bo, self-attested");
    check(&alone(true, &["bo", "ana"]), "bo is the author of cccccccccccc");
    check(&alone(false, &["bo"]), "bo is the author of cccccccccccc");
}

#[test]
fn presence_is_what_the_security_key_signed() {
    let presence = |asked: Presence, promised: Presence, flags: Option<u8>| {
        Case::with(|it| {
            it.asked.presence = asked;
            it.signature = good("bo", flags);
            for key in &mut it.policy.people.get_mut("bo").expect("bo").keys {
                key.presence = promised;
            }
        })
    };
    let touch = "it is signed without a touch of a security key";
    let pin = "it is signed without a security key's PIN or fingerprint";
    check(&presence(Presence::None, Presence::None, None), "bo");
    check(&presence(Presence::Touch, Presence::None, None), touch);
    check(&presence(Presence::Touch, Presence::Touch, None), touch);
    check(&presence(Presence::Touch, Presence::None, Some(0)), touch);
    check(&presence(Presence::Touch, Presence::None, Some(1)), "bo");
    check(&presence(Presence::Touch, Presence::None, Some(5)), "bo");
    check(&presence(Presence::Pin, Presence::None, Some(1)), pin);
    check(&presence(Presence::Pin, Presence::None, Some(5)), "bo");
    // A key that always asks for a touch did not make this signature.
    check(&presence(Presence::None, Presence::Touch, Some(0)), touch);
}

#[test]
fn a_revoked_key_counts_by_ledger_position_only() {
    let revoked = |after: Option<char>, cut: Option<Answer<BTreeSet<String>>>| {
        Case::with(|it| {
            it.policy.revoked.push(Revoked {
                key: "SHA256:bo".into(),
                after: after.map(oid),
                why: None,
            });
            if let Some(cut) = cut {
                it.cuts.insert(oid('e'), cut);
            }
        })
    };
    check(&revoked(None, None), "the key SHA256:bo is revoked");
    let id = Case::new().record().record.id;
    check(&revoked(Some('e'), Some(Ok([id].into()))), "bo");
    let late = "the key SHA256:bo is revoked, and the record was not in the ledger at \
                eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    check(&revoked(Some('e'), Some(Ok(BTreeSet::new()))), late);
    let unread = "the key SHA256:bo is revoked after eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee, \
                  and the ledger there cannot be read: no such commit";
    check(&revoked(Some('e'), Some(Err("no such commit".into()))), unread);
    assert!(revoked(Some('e'), None).count().is_err());
}

#[test]
fn an_approval_ages() {
    let aged = |made: i64| {
        Case::with(|it| {
            it.asked.max_age = Some(Duration::from_secs(1_000));
            it.approval.by.at = Timestamp(made);
        })
    };
    check(&aged(2_000), "bo");
    check(&aged(1_999), "it is from 1970-01-01T00:33:19Z, older than the rule allows");
    check(&aged(3_600), "bo");
    check(&aged(3_601), "it says that it was made at 1970-01-01T01:00:01Z, which is yet to come");
    // A clock set forward makes nothing younger than the ledger that holds it already.
    let bounded = |times: fn(String) -> Answer<BTreeMap<String, Bounds>>| {
        let mut case = aged(3_100);
        case.times = times(case.record().record.id);
        case
    };
    let until = |time: i64| Bounds { since: None, until: Some(Timestamp(time)) };
    check(&bounded(|_| Ok(BTreeMap::new())), "bo");
    let held =
        bounded(|id| Ok([(id, Bounds { since: None, until: Some(Timestamp(1_999)) })].into()));
    check(&held, "it is from 1970-01-01T00:33:19Z, older than the rule allows");
    let mut later = bounded(|_| Ok(BTreeMap::new()));
    later.times = Ok([(later.record().record.id, until(9_000))].into());
    check(&later, "bo");
    check(&bounded(|_| Err("no history".into())), "its age cannot be told: no history");
}

#[test]
fn carry_never_binds_the_commit() {
    let carried = |head: char| {
        Case::with(|it| {
            it.asked.carry = Carry::Never;
            it.approval.content.head = oid(head);
        })
    };
    check(&carried('c'), "bo");
    check(
        &carried('b'),
        &format!(
            "the rule lets no approval outlive a rewrite, and it is for the commit {}",
            oid('b')
        ),
    );
}

#[test]
fn only_the_signer_takes_a_record_back() {
    let withdrawn = |key: &str, repo: &str| {
        Case::with(|it| {
            let body = Body::Withdrawal(Withdrawal {
                repo: repo.into(),
                record: it.record().record.id,
                reason: None,
                by: by(key, 2_500),
            });
            it.others.push(signed(body, good(key, None)));
        })
    };
    check(&withdrawn("bo", "shop"), "it was withdrawn");
    check(&withdrawn("ana", "shop"), "bo");
    check(&withdrawn("bo", "fork"), "bo");
    let forged = Case::with(|it| {
        let mut other = withdrawn("bo", "shop").others;
        other[0].signature = SignatureState::Bad("incorrect signature".into());
        it.others = other;
    });
    check(&forged, "bo");
}

#[test]
fn content_must_be_exactly_as_approved() {
    let now = |files: Vec<FileDelta>| Case::with(|it| it.now_files = files);
    let differs = "`a.rs` is not as it was approved";
    check(&now(vec![file("a.rs", side('1'), side('3'))]), differs);
    check(&now(vec![file("a.rs", side('3'), side('2'))]), differs);
    check(&now(vec![file("a.rs", None, side('2'))]), differs);
    check(&now(vec![file("a.rs", side('1'), None)]), differs);
    let mode = Some(Side { mode: 0o100_755, oid: oid('2'), sha256: None });
    check(&now(vec![file("a.rs", side('1'), mode)]), differs);
    let sha256 = |digit: char| {
        Some(Side { mode: 0o100_644, oid: oid('2'), sha256: Some(digit.to_string().repeat(64)) })
    };
    let both_known = |now: char| {
        Case::with(|it| {
            it.approval.content.files[0].new = sha256('1');
            it.now_files[0].new = sha256(now);
        })
    };
    check(&both_known('1'), "bo");
    check(&both_known('2'), differs);
    // What else the change does is for another approval to cover.
    check(&now(vec![file("a.rs", side('1'), side('2')), file("b.rs", None, side('5'))]), "bo");
}

#[test]
fn approving_a_whole_never_lands_a_part() {
    let whole = |standing: Option<Answer<Option<Entry>>>| {
        Case::with(|it| {
            it.approval.content.files.push(file("b.rs", side('3'), side('4')));
            if let Some(standing) = standing {
                it.standing.insert(RepoPath::new("b.rs"), standing);
            }
        })
    };
    let entry = |digit: char| Some(Ok(Some(Entry { mode: 0o100_644, oid: oid(digit) })));
    let missing = "`b.rs` was approved with it, and is neither in the change nor on the target";
    check(&whole(entry('4')), "bo");
    check(&whole(entry('3')), missing);
    check(&whole(Some(Ok(None))), missing);
    check(
        &whole(Some(Err("it cannot be read".into()))),
        "`b.rs` was approved with it, and the target cannot be read: it cannot be read",
    );
    assert!(whole(None).count().is_err());
    // Files outside the rule's paths are another rule's concern.
    check(
        &Case::with(|it| it.approval.content.files.push(file("notes.md", None, side('4')))),
        "bo",
    );
    check(
        &Case::with(|it| {
            it.approval.content.files = vec![file("z.rs", side('3'), side('4'))];
            it.standing
                .insert(RepoPath::new("z.rs"), Ok(Some(Entry { mode: 0o100_644, oid: oid('4') })));
        }),
        "it covers none of the rule's files in this change",
    );
}

#[test]
fn a_rejection_stands_until_its_content_or_its_maker_changes() {
    let rejections_of = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        let rejection = signed(
            Body::Rejection(Judgement {
                note: Some("no".into()),
                by: by("ana", 1_500),
                ..case.approval.clone()
            }),
            good("ana", None),
        );
        case.others.push(rejection);
        change(&mut case);
        let mut records = case.others.clone();
        records.push(case.record());
        case.situation(|situation| {
            rejections(&records, situation).into_iter().map(|it| it.person).collect::<Vec<_>>()
        })
    };
    assert_eq!(rejections_of(&|_| {}), ["ana"]);
    assert_eq!(rejections_of(&|it| it.now_files[0].new = side('9')), [""; 0]);
    // Her own later approval takes her word back; bo's does not.
    assert_eq!(rejections_of(&|it| it.sign("ana")), [""; 0]);
    assert_eq!(
        rejections_of(&|it| {
            it.sign("ana");
            it.approval.by.at = Timestamp(1_400);
        }),
        ["ana"]
    );
    let withdraw = |it: &mut Case| {
        let body = Body::Withdrawal(Withdrawal {
            repo: "shop".into(),
            record: it.others[0].record.id.clone(),
            reason: None,
            by: by("ana2", 1_600),
        });
        it.others.push(signed(body, good("ana2", None)));
    };
    assert_eq!(rejections_of(&withdraw), [""; 0]);
    // A stolen key, revoked, lifts no restriction.
    assert_eq!(
        rejections_of(&|it| {
            withdraw(it);
            it.policy.revoked.push(Revoked { key: "SHA256:ana2".into(), after: None, why: None });
        }),
        ["ana"]
    );
    assert_eq!(RecordType::Rejection.word(), "rejection");
}

#[test]
fn a_delta_keeps_both_sides() {
    let entry = |digit: char| Entry { mode: 0o100_644, oid: oid(digit) };
    let change = FileChange {
        path: RepoPath::new("a.rs"),
        old: Some(entry('1')),
        new: Some(entry('2')),
        added: Vec::new(),
        removed: 0,
        binary: false,
    };
    let with_digest = delta(&change, Some("ab".repeat(32)));
    assert_eq!(with_digest.old, side('1'));
    assert_eq!(with_digest.new.as_ref().and_then(|it| it.sha256.clone()), Some("ab".repeat(32)));
    assert!(covers(&with_digest, &delta(&change, None)));
}

#[test]
fn a_clean_merge_carries_where_the_rule_lets_it() {
    let sha256 = |digit: char| Some(digit.to_string().repeat(64));
    let carried = |carry: Carry, answer: Option<Answer<Merged>>| {
        Case::with(|it| {
            it.asked.carry = carry;
            it.approval.content.files[0].new.as_mut().expect("a file").sha256 = sha256('7');
            it.now_files = vec![file("a.rs", side('3'), side('4'))];
            let [base, ours, theirs, result] = ['1', '2', '3', '4'].map(oid);
            if let Some(answer) = answer {
                it.merges.insert(BlobMerge { base, ours, theirs, result }, answer);
            }
        })
    };
    let with = |answer| carried(Carry::CleanMerge, Some(answer));
    let equal = |digit| Ok(Merged::Equal { ours_sha256: digit });
    let seven = "7".repeat(64);
    check(&with(equal(seven.clone())), "bo");
    assert_eq!(
        with(equal(seven.clone())).count().expect("it counts").carried,
        [RepoPath::new("a.rs")]
    );
    let differs = |why: &str| format!("`a.rs` is not as it was approved: {why}");
    check(
        &with(equal("8".repeat(64))),
        &differs("the approved bytes are not those that the record names"),
    );
    let merge = "it differs from what a clean merge of the approved change gives";
    check(&with(Ok(Merged::Differs)), &differs(merge));
    check(&with(Ok(Merged::Conflict)), &differs("the same lines changed on the target"));
    check(&with(Ok(Merged::Binary)), &differs("a binary file carries only unchanged"));
    check(&with(Ok(Merged::TooLarge)), &differs("it is too large for a proof"));
    check(
        &with(Err("object `1` is not in this repository".into())),
        &differs("whether it merges cleanly cannot be told: object `1` is not in this repository"),
    );
    assert!(carried(Carry::CleanMerge, None).count().is_err());
    check(&carried(Carry::Exact, Some(equal(seven.clone()))), "`a.rs` is not as it was approved");
    let attributes = |path: &str| {
        let mut case = with(equal(seven.clone()));
        case.change.files = vec![FileChange {
            path: RepoPath::new(path),
            old: None,
            new: None,
            added: Vec::new(),
            removed: 0,
            binary: false,
        }];
        case
    };
    check(&attributes(".gitattributes"), &differs("a `.gitattributes` above it changed"));
    check(&attributes("other/.gitattributes"), "bo");
    check(&attributes("my.gitattributes"), "bo");
}

#[test]
fn only_changed_text_of_one_mode_carries() {
    let only = "added, deleted and renamed files, symlinks, submodules and changed modes carry only unchanged";
    let with_mode = |digit: char, mode: u32| Some(Side { mode, oid: oid(digit), sha256: None });
    let asked = |approved: (Option<Side>, Option<Side>), now: (Option<Side>, Option<Side>)| {
        let delta = |(old, new)| file("a.rs", old, new);
        question(&delta(approved), &delta(now)).map_err(|obstacle| obstacle.to_string())
    };
    let text = |old: char, new: char| (side(old), side(new));
    assert!(asked(text('1', '2'), text('3', '4')).is_ok());
    for (approved, now) in [
        ((None, side('2')), text('3', '4')),
        ((side('1'), None), text('3', '4')),
        (text('1', '2'), (None, side('4'))),
        (text('1', '2'), (side('3'), None)),
        (text('1', '2'), (side('3'), with_mode('4', 0o100_755))),
        ((with_mode('1', 0o100_755), side('2')), text('3', '4')),
        (
            (with_mode('1', 0o120_000), with_mode('2', 0o120_000)),
            (with_mode('3', 0o120_000), with_mode('4', 0o120_000)),
        ),
        (
            (with_mode('1', 0o160_000), with_mode('2', 0o160_000)),
            (with_mode('3', 0o160_000), with_mode('4', 0o160_000)),
        ),
    ] {
        assert_eq!(asked(approved, now), Err(only.to_owned()));
    }
    // A partial cherry-pick, or a line more: on the same old blob nothing else can come out.
    assert!(asked(text('1', '2'), text('1', '4')).is_err());
}

#[test]
fn what_landed_and_was_taken_back_is_spent() {
    let entry = |digit: char| Entry { mode: 0o100_644, oid: oid(digit) };
    let landing = |old: char, new: char| Moved {
        commit: oid('e'),
        old: Some(entry(old)),
        new: Some(entry(new)),
    };
    let after = |carry: Carry, landings: Vec<Moved>| {
        Case::with(|it| {
            it.asked.carry = carry;
            it.history = [(oid('a'), Ok([(RepoPath::new("a.rs"), landings)].into()))].into();
        })
    };
    let spent = "`a.rs` stood on the target as it was approved until eeeeeeeeeeee changed it again: the approval is spent";
    check(&after(Carry::Exact, vec![landing('1', '2'), landing('2', '1')]), spent);
    check(&after(Carry::Exact, vec![landing('1', '2')]), "bo");
    check(&after(Carry::Exact, vec![landing('1', '3'), landing('3', '1')]), "bo");
    // It landed as a clean merge, and was taken back.
    let mut merged = after(Carry::CleanMerge, vec![landing('3', '4'), landing('4', '1')]);
    let [base, ours, theirs, result] = ['1', '2', '3', '4'].map(oid);
    let merge = BlobMerge { base, ours, theirs, result };
    assert!(merged.count().is_err());
    merged.merges.insert(merge.clone(), Ok(Merged::Differs));
    check(&merged, "bo");
    merged.merges.insert(merge, Ok(Merged::Equal { ours_sha256: "7".repeat(64) }));
    check(&merged, spent);
    check(
        &Case::with(|it| it.history = [(oid('a'), Err("the history ends".into()))].into()),
        "whether `a.rs` landed before and was taken back cannot be told: the history ends",
    );
    check(
        &Case::with(|it| it.history = [(oid('a'), Ok(Moves::new()))].into()),
        "whether `a.rs` landed before and was taken back cannot be told: it was not looked at",
    );
    check(
        &Case::with(|it| it.history.clear()),
        "whether `a.rs` landed before and was taken back cannot be told: it was not looked at",
    );
}

#[test]
fn only_an_own_key_proves_an_author() {
    let unproven = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new();
        case.signers = [(oid('c'), Some(plain("chi")))].into();
        change(&mut case);
        let Case { change, policy, clean_merges, signers, .. } = &case;
        unproven_author(change, policy, clean_merges, Some(signers)).is_some()
    };
    assert!(!unproven(&|_| {}));
    assert!(unproven(&|it| drop(it.signers.insert(oid('c'), None))));
    assert!(unproven(&|it| drop(it.signers.insert(oid('c'), Some(plain("bo"))))));
    assert!(unproven(&|it| it.signers.clear()));
    assert!(unproven(&|it| {
        it.change.commits[0] = commit('c', "stranger", "chi", 1_000, "a");
    }));
    assert!(unproven(&|it| {
        it.policy.revoked.push(Revoked { key: "SHA256:chi".into(), after: None, why: None });
    }));
    // Nobody wrote a clean merge.
    assert!(!unproven(&|it| {
        it.signers.clear();
        it.clean_merges.insert(oid('c'));
    }));
}
