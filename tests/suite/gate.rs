//! The judging line by values alone: a policy, a change, the evidence, and
//! what is found. No repository, no process, no clock.

use std::collections::BTreeSet;

use countersign::gate::attribution::{Attribution, Origins, attribute, attribute_staged};
use countersign::gate::change::{
    Change, Commit, Entry, FileChange, Identity, LineRange, Oid, RepoPath,
};
use countersign::gate::evidence::{Evidence, Landing, LedgerView};
use countersign::gate::judge::judge;
use countersign::gate::obligation::{Case, needs, obligations};
use countersign::gate::policy::{Policy, Stage};
use countersign::gate::record::{
    Body, Content, FileDelta, Judgement, Record, RecordType, Run, Shown, Side, SignatureState,
    SignedRecord, Signer, SshSignature, Waiver, Withdrawal,
};
use countersign::gate::run::{key, tree_digest};
use countersign::gate::signal::{Signal, SignalKind, Strength};
use countersign::gate::time::Timestamp;
use countersign::gate::verdict::{Level, Verdict};
use proptest::prelude::*;

const MAIN: &str = "refs/heads/main";

/// When everything is judged.
const NOW: i64 = 1_760_100_000;
const HOUR: i64 = 3600;

/// ana and bo are seniors, chi is not.
const PEOPLE: &str = r#"
schema = 1
[trust]
repo_id = "shop"
[people.ana]
kind = "human"
emails = ["ana@example.com"]
keys = [{ key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINb5Tc5HURPZ9A7QuBYTFAqmLEuaA405SvlxB3UliVuZ" }]
[people.bo]
kind = "human"
emails = ["bo@example.com"]
keys = [{ key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC7J062zgmHM2YXh3jS24mLalUhck2f3FetsVJzDGtu4" }]
[people.chi]
kind = "human"
emails = ["chi@example.com"]
keys = [{ key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKS4UtSIdmcQ9xC1AEE9rhiDDhNaAeFow0E1wqarhP9N" }]
[groups]
senior = ["ana", "bo"]
"#;

const SERVICE: &str = r#"
[people.ci]
kind = "service"
keys = [{ key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIYQEf4EjOtmGiRsbPATI+lNmTaX1YZRjSduqaVWKP9q" }]
"#;

const SENIORS: &str = r#"
[[rule]]
id = "seniors"
when = { assisted = true }
require.approvals = [{ from = ["senior"] }]
"#;

const TESTED: &str = r#"
[[rule]]
id = "tested"
require.tests = ["unit"]
[test.unit]
run = "make test"
"#;

fn oid(digit: char) -> Oid {
    Oid::parse(&digit.to_string().repeat(40)).unwrap()
}

fn entry(digit: char) -> Entry {
    Entry { mode: 0o100_644, oid: oid(digit) }
}

/// A file of ten added lines.
fn modified(path: &str) -> FileChange {
    FileChange {
        path: RepoPath::new(path),
        old: Some(entry('1')),
        new: Some(entry('2')),
        added: vec![LineRange { start: 1, end: 10 }],
        removed: 3,
        binary: false,
    }
}

fn mark() -> Signal {
    Signal {
        agent: "claude-code".to_owned(),
        kind: SignalKind::Trailer,
        strength: Strength::Declared,
        value: "Assisted-by: claude-code:x".to_owned(),
        model: None,
        in_trailer_block: Some(true),
    }
}

/// One assisted commit by chi that changes `src/a.rs`, judged at merge on main
/// with an empty ledger; each test changes what it is about.
struct Scene {
    policy: Policy,
    change: Change,
    attribution: Option<Attribution>,
    stage: Stage,
    target: &'static str,
    records: Vec<SignedRecord>,
    evidence: Evidence,
}

impl Scene {
    #[track_caller]
    fn new(rules: &str) -> Scene {
        let text = format!("{PEOPLE}{rules}");
        let policy = Policy::parse(&text, "policy").unwrap_or_else(|error| panic!("{error}"));
        let chi = Identity { name: "chi".to_owned(), email: "chi@example.com".to_owned() };
        let commit = Commit {
            id: oid('c'),
            tree: oid('f'),
            parents: vec![oid('a')],
            author: chi.clone(),
            committer: chi,
            committed: NOW - 10 * HOUR,
            signed: false,
            message: "work\n\nAssisted-by: claude-code:x\n".to_owned(),
        };
        Scene {
            policy,
            change: Change {
                base: oid('a'),
                head: oid('c'),
                head_tree: oid('f'),
                commits: vec![commit],
                files: vec![modified("src/a.rs")],
            },
            attribution: None,
            stage: Stage::Merge,
            target: MAIN,
            records: Vec::new(),
            evidence: Evidence {
                inputs: [("unit".to_owned(), Ok(tree_digest(&oid('f'))))].into(),
                commit_signers: Ok([(oid('c'), None)].into()),
                clean_merges: Ok(BTreeSet::new()),
                times: Ok(Default::default()),
                ..Evidence::default()
            },
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Scene)) -> Scene {
        change(&mut self);
        self
    }

    /// No commit of the change bears a mark.
    fn unattributed(self) -> Scene {
        self.with(|it| {
            let none = vec![(oid('c'), Vec::new())];
            it.attribution = Some(attribute(&it.change, none, &Origins::default()));
        })
    }

    fn files(self, paths: &[&str]) -> Scene {
        self.with(|it| it.change.files = paths.iter().copied().map(modified).collect())
    }

    fn by(self, author: &str) -> Scene {
        let email = format!("{author}@example.com");
        self.with(|it| {
            let commit = &mut it.change.commits[0];
            commit.author = Identity { name: author.to_owned(), email: email.clone() };
            commit.committer = commit.author.clone();
        })
    }

    fn fingerprint(&self, person: &str) -> String {
        self.policy.people[person].keys[0].fingerprint.clone()
    }

    fn signer(&self, person: &str) -> Signer {
        Signer {
            who: Some(person.to_owned()),
            key: Some(self.fingerprint(person)),
            at: Timestamp(NOW - HOUR),
            ledger: None,
            nonce: "0".repeat(32),
        }
    }

    fn content(&self) -> Content {
        let side = |entry: &Entry| Side { mode: entry.mode, oid: entry.oid.clone(), sha256: None };
        let delta = |file: &FileChange| FileDelta {
            path: file.path.clone(),
            old: file.old.as_ref().map(side),
            new: file.new.as_ref().map(side),
        };
        Content {
            repo: "shop".to_owned(),
            target: MAIN.to_owned(),
            base: self.change.base.clone(),
            head: self.change.head.clone(),
            head_tree: self.change.head_tree.clone(),
            files: self.change.files.iter().map(delta).collect(),
        }
    }

    fn judgement(&self, person: &str) -> Judgement {
        Judgement {
            content: self.content(),
            rules: Vec::new(),
            shown: Shown::default(),
            by: self.signer(person),
            note: None,
        }
    }

    fn signed(&self, body: &Body, person: &str) -> SignedRecord {
        let (record, _) = Record::write(body).unwrap();
        let fingerprint = self.fingerprint(person);
        let signature =
            SignatureState::Good(SshSignature { fingerprint, flags: None, certificate: None });
        SignedRecord { record, signature, own: false }
    }

    fn approved_by(self, person: &str) -> Scene {
        self.approved_with(person, |_| {})
    }

    /// An approval in which something is changed before it is signed.
    fn approved_with(self, person: &str, change: impl FnOnce(&mut Judgement)) -> Scene {
        let mut judgement = self.judgement(person);
        change(&mut judgement);
        let record = self.signed(&Body::Approval(judgement), person);
        self.with(|it| it.records.push(record))
    }

    fn rejected_by(self, person: &str, hours_ago: i64) -> Scene {
        let mut judgement = self.judgement(person);
        judgement.by.at = Timestamp(NOW - hours_ago * HOUR);
        let record = self.signed(&Body::Rejection(judgement), person);
        self.with(|it| it.records.push(record))
    }

    fn withdrawn_by(self, person: &str) -> Scene {
        let record = self.records.last().unwrap().record.id.clone();
        let body = Body::Withdrawal(Withdrawal {
            repo: "shop".to_owned(),
            record,
            reason: None,
            by: self.signer(person),
        });
        let record = self.signed(&body, person);
        self.with(|it| it.records.push(record))
    }

    fn waived_with(self, person: &str, change: impl FnOnce(&mut Waiver)) -> Scene {
        let mut waiver = Waiver {
            content: self.content(),
            rule: "seniors".to_owned(),
            reason: "the shop is down".to_owned(),
            expires: Timestamp(NOW + HOUR),
            by: self.signer(person),
        };
        change(&mut waiver);
        let record = self.signed(&Body::Waiver(waiver), person);
        self.with(|it| {
            // It has not landed.
            it.evidence.landed.insert(record.record.id.clone(), Ok(Landing::default()));
            it.records.push(record);
        })
    }

    fn run(&self, passed: bool) -> Run {
        let test = &self.policy.tests["unit"];
        Run {
            repo: Some("shop".to_owned()),
            test: "unit".to_owned(),
            key: key(test, &tree_digest(&oid('f'))),
            commit: oid('c'),
            tree: oid('f'),
            passed,
            exit: Some(i32::from(!passed)),
            summary: String::new(),
            duration_ms: 1,
            argv: Vec::new(),
            environment: Vec::new(),
            platform: "linux x86_64".to_owned(),
            client: "countersign".to_owned(),
            merged: None,
            packages: Vec::new(),
            retried: Vec::new(),
            sandbox: Default::default(),
            policy: None,
            tests: None,
            coverage: None,
            proof: None,
            by: Signer {
                who: None,
                key: None,
                at: Timestamp(NOW - HOUR),
                ledger: None,
                nonce: "0".repeat(32),
            },
        }
    }

    /// A run signed by `person`, or, without one, unsigned and `own` or not.
    fn ran(self, person: Option<&str>, own: bool, change: impl FnOnce(&mut Run)) -> Scene {
        let mut run = self.run(true);
        change(&mut run);
        run.by.key = person.map(|person| self.fingerprint(person));
        let body = Body::Run(run);
        let record = match person {
            Some(person) => self.signed(&body, person),
            None => {
                let (record, _) = Record::write(&body).unwrap();
                SignedRecord { record, signature: SignatureState::Unsigned, own }
            }
        };
        self.with(|it| it.records.push(record))
    }

    fn verdict(&self) -> Verdict {
        let marks = vec![(oid('c'), vec![mark()])];
        let attribution =
            self.attribution.clone().unwrap_or_else(|| match self.change.commits.is_empty() {
                true => attribute_staged(&self.change, vec![mark()]),
                false => attribute(&self.change, marks, &Origins::default()),
            });
        let case = Case {
            policy: &self.policy,
            change: &self.change,
            attribution: &attribution,
            stage: self.stage,
            target: self.target,
            range: "main..HEAD",
            server: false,
            now: Timestamp(NOW),
            pusher: None,
        };
        let obligations = obligations(&case);
        let mut evidence = self.evidence.clone();
        // Nothing landed since anything was approved.
        let unchanged = case.change.files.iter().map(|file| (file.path.clone(), Vec::new()));
        evidence.history = [(oid('a'), Ok(unchanged.collect()))].into();
        // As the adapters do: what is not asked for is not there.
        if needs(&case, &obligations).contains(&countersign::gate::evidence::Need::Records) {
            evidence.ledger = Ok(LedgerView {
                tip: Some(oid('9')),
                shared: Some(oid('9')),
                records: self.records.clone(),
                unreadable: Vec::new(),
            });
        }
        judge(&case, &obligations, &evidence)
    }
}

/// Judges and compares: `pass` or `block`, then each finding's code and rule,
/// notes in brackets.
#[track_caller]
fn check(scene: Scene, expected: &str) {
    let verdict = scene.verdict();
    let mut words = vec![if verdict.passes() { "pass" } else { "block" }.to_owned()];
    for finding in &verdict.findings {
        let rule = finding.rule.as_deref().unwrap_or("-");
        let text = format!("{} {rule}", finding.code.as_str());
        words.push(match finding.level {
            Level::Block => text,
            Level::Warn | Level::Note => format!("({text})"),
        });
    }
    assert_eq!(words.join(", "), expected, "{:#?}", verdict.obligations);
}

const ASKED: &str = "block, approval-missing seniors";
const FREE: &str = "pass";

#[test]
fn a_rule_applies_to_its_files_and_marks() {
    check(Scene::new(SENIORS), ASKED);
    check(Scene::new(SENIORS).unattributed(), FREE);
    check(Scene::new(SENIORS).files(&[]), FREE);
    let on = |paths: &str| format!("{SENIORS}paths = {paths}\n");
    check(Scene::new(&on(r#"["src/**"]"#)), ASKED);
    check(Scene::new(&on(r#"["docs/**"]"#)), FREE);
    check(Scene::new(&on("[\"src/**\"]\nexcept = [\"**/*.rs\"]")), FREE);
    check(Scene::new(&on(r#"["/a.rs"]"#)), FREE);
    check(Scene::new(&on(r#"["SRC/**"]"#)), FREE);
}

#[test]
fn conditions_all_have_to_hold() {
    let when = |when: &str| SENIORS.replace("{ assisted = true }", when);
    for (condition, expected) in [
        ("{ lines = \">10\" }", FREE),
        ("{ lines = \">9\" }", ASKED),
        ("{ lines = \">=10\" }", ASKED),
        ("{ files = \">1\" }", FREE),
        ("{ files = \">0\" }", ASKED),
        ("{ share = \">0.99\" }", ASKED),
        ("{ agents = [\"codex\"] }", FREE),
        ("{ agents = [\"codex\", \"claude-code\"] }", ASKED),
        ("{ unattributed = true }", FREE),
        ("{ assisted = true, lines = \">10\" }", FREE),
    ] {
        check(Scene::new(&when(condition)), expected);
    }
    check(Scene::new(&when("{ unattributed = true }")).unattributed(), ASKED);
    check(Scene::new(&when("{ share = \">0\" }")).unattributed(), FREE);
}

#[test]
fn approvals_count_or_do_not() {
    let scene = || Scene::new(SENIORS);
    check(scene().approved_by("bo"), FREE);
    check(scene().approved_by("chi"), ASKED);
    // The author, whatever the letters' case, and whoever is named as a maker.
    check(scene().by("bo").approved_by("bo"), ASKED);
    check(scene().by("BO").approved_by("bo"), ASKED);
    let named = |trailer: &str| {
        scene().with(|it| it.change.commits[0].message = format!("work\n\n{trailer}\n"))
    };
    check(named("Co-authored-by: Bo <BO@example.com>").approved_by("bo"), ASKED);
    check(named("Reviewed-by: Bo <bo@example.com>").approved_by("bo"), FREE);
    // A committer's counts only where it is older than the commit.
    let rebased = |by: &str| {
        let committer = Identity { name: by.to_owned(), email: format!("{by}@example.com") };
        scene().with(|it| it.change.commits[0].committer = committer)
    };
    check(rebased("bo").approved_by("bo"), ASKED);
    check(rebased("bo").approved_with("bo", |it| it.content.head = oid('d')), ASKED);
    let earlier = |it: &mut Judgement| {
        it.content.head = oid('d');
        it.by.at = Timestamp(NOW - 20 * HOUR);
    };
    check(rebased("bo").approved_with("bo", earlier), FREE);
    // Somebody else signed what bo claims.
    check(scene().approved_with("chi", |it| it.by.who = Some("bo".to_owned())), ASKED);
    // Bound to repository, target and rule.
    check(scene().approved_with("bo", |it| it.content.repo = "other".to_owned()), ASKED);
    check(scene().approved_with("bo", |it| it.content.target = "refs/heads/x".to_owned()), ASKED);
    check(scene().approved_with("bo", |it| it.rules = vec!["other".to_owned()]), ASKED);
    check(scene().approved_with("bo", |it| it.rules = vec!["seniors".to_owned()]), FREE);
    check(scene().with(|it| it.target = "refs/heads/release").approved_by("bo"), ASKED);
}

#[test]
fn approvals_bind_exact_content() {
    let scene = || Scene::new(SENIORS).files(&["src/a.rs", "src/b.rs"]);
    let first = |change: fn(&mut FileDelta)| {
        scene().approved_with("bo", |it| change(&mut it.content.files[0]))
    };
    check(first(|_| {}), FREE);
    check(first(|it| it.new.as_mut().unwrap().oid = oid('3')), ASKED);
    check(first(|it| it.old = None), ASKED);
    check(first(|it| it.new = None), ASKED);
    check(first(|it| it.new.as_mut().unwrap().mode = 0o100_755), ASKED);
    // A part of what lands.
    let part = |at: usize| scene().approved_with("bo", |it| drop(it.content.files.remove(at)));
    check(part(0), ASKED);
    check(part(0).approved_with("ana", |it| drop(it.content.files.remove(1))), FREE);
    // More than what lands: only where the rest stands on the target already.
    let more = |stands: Option<Entry>| {
        let whole = scene().approved_by("bo");
        whole.files(&["src/a.rs"]).with(|it| {
            it.evidence.target = [(RepoPath::new("src/b.rs"), Ok(stands))].into();
        })
    };
    check(more(Some(entry('2'))), FREE);
    check(more(Some(entry('1'))), ASKED);
    check(more(None), ASKED);
    let unasked = scene().approved_by("bo").files(&["src/a.rs"]);
    check(unasked, ASKED);
}

#[test]
fn people_are_counted_not_records() {
    let two = SENIORS.replace("from =", "count = 2, from =");
    check(Scene::new(&two).approved_by("bo"), ASKED);
    check(
        Scene::new(&two).approved_by("bo").approved_with("bo", |it| it.note = Some("two".into())),
        ASKED,
    );
    check(Scene::new(&two).approved_by("bo").approved_by("ana"), FREE);
    // ana wrote it, so two seniors cannot be had.
    check(Scene::new(&two).by("ana").approved_by("bo"), "block, approval-unsatisfiable seniors");
    let anybody = SENIORS.replace("from = [\"senior\"]", "");
    check(Scene::new(&anybody).by("bo").approved_by("chi"), FREE);
    check(Scene::new(&anybody).by("bo").approved_by("bo"), ASKED);
}

#[test]
fn rejections_withdrawals_and_revocations_restrict() {
    let scene = || Scene::new(SENIORS);
    const REJECTED: &str = "block, rejected seniors";
    check(scene().approved_by("bo").rejected_by("ana", 5), REJECTED);
    check(scene().approved_by("bo").rejected_by("chi", 5), REJECTED);
    check(scene().rejected_by("bo", 5).approved_by("bo"), FREE);
    check(scene().rejected_by("bo", 0).approved_by("bo"), REJECTED);
    check(scene().approved_by("bo").rejected_by("ana", 5).withdrawn_by("ana"), FREE);
    check(scene().approved_by("bo").rejected_by("ana", 5).withdrawn_by("bo"), REJECTED);
    check(scene().approved_by("bo").withdrawn_by("bo"), ASKED);
    check(scene().approved_by("bo").withdrawn_by("ana"), FREE);
    let revoked = |after: &str| {
        let bo = Scene::new(SENIORS).fingerprint("bo");
        Scene::new(&format!("{SENIORS}[[revoked]]\nkey = \"{bo}\"\n{after}")).approved_by("bo")
    };
    check(revoked(""), ASKED);
    let after = format!("after = \"ledger:{}\"\n", oid('8'));
    let stood = |ids: BTreeSet<String>| {
        revoked(&after).with(|it| it.evidence.ledger_cuts = [(oid('8'), Ok(ids))].into())
    };
    check(stood(BTreeSet::new()), ASKED);
    let id = revoked(&after).records[0].record.id.clone();
    check(stood([id].into()), FREE);
    check(revoked(&after), ASKED);
}

#[test]
fn a_guard_of_the_policy_stands_whatever_the_policy_says() {
    let change = |rules: &str| Scene::new(rules).files(&["countersign.toml"]).unattributed();
    const GUARDED: &str = "block, policy-change policy-change";
    check(change(SENIORS), GUARDED);
    check(change(SENIORS).approved_by("bo"), FREE);
    check(change(SENIORS).approved_by("chi"), GUARDED);
    check(change("").approved_by("bo"), FREE);
    check(change("").by("bo").approved_by("bo"), GUARDED);
    check(change(SENIORS).files(&["Countersign.TOML"]).unattributed(), GUARDED);
    check(change(SENIORS).files(&["docs/countersign.toml"]).unattributed(), FREE);
    check(change(SENIORS).files(&[".github/workflows/x.yml"]).unattributed(), GUARDED);
    // Neither `when`, `unless`, `paths` nor `except` of the written rule narrows it.
    let narrow = r#"
[[rule]]
id = "policy-change"
paths = ["/infra/**"]
except = ["countersign.toml"]
when = { assisted = true, lines = ">1000" }
require.approvals = [{ from = ["senior"] }]
"#;
    check(change(narrow), GUARDED);
    check(change(narrow).approved_by("bo"), FREE);
    // Nor does a signature that the rule's `unless` would take.
    let excused = format!("{narrow}unless = {{ author = [\"senior\"] }}\n");
    let signed = |scene: Scene| {
        let fingerprint = scene.fingerprint("bo");
        let signature = SshSignature { fingerprint, flags: None, certificate: None };
        scene.with(|it| it.evidence.commit_signers = Ok([(oid('c'), Some(signature))].into()))
    };
    check(signed(change(&excused)), GUARDED);
    // It may guard more, and that can be approved as well.
    let more = || change(narrow).files(&["infra/a"]).unattributed();
    check(more(), GUARDED);
    check(more().approved_by("bo"), FREE);
    // A written rule that asks for no approval does not do away with them.
    let tested = TESTED.replace("\"tested\"", "\"policy-change\"");
    check(change(&tested).ran(None, true, |_| {}), GUARDED);
    check(change(&tested).ran(None, true, |_| {}).approved_by("bo"), FREE);
    // No waiver lifts it, whether or not `never` names it.
    let waivable = format!("{SENIORS}[waiver]\nfrom = [\"senior\"]\nmax = \"4h\"\n");
    let waived = |it: &mut Waiver| it.rule = "policy-change".to_owned();
    check(change(&waivable).waived_with("bo", waived), GUARDED);
}

#[test]
fn waivers_lift_one_rule_for_a_while() {
    let rules =
        |rest: &str| format!("{SENIORS}[waiver]\nfrom = [\"senior\"]\nmax = \"4h\"\n{rest}");
    let scene = || Scene::new(&rules(""));
    const WAIVED: &str = "pass, (waiver-in-force seniors)";
    // Whether it landed, and when it was made, has to be known.
    check(
        scene().waived_with("bo", |_| {}).with(|it| it.evidence.landed.clear()),
        "pass, (waiver-debt seniors), (waiver-in-force seniors)",
    );
    let no_history = |it: &mut Scene| it.evidence.times = Err("no history".to_owned());
    check(scene().waived_with("bo", |_| {}).with(no_history), ASKED);
    check(scene().waived_with("bo", |_| {}), WAIVED);
    check(scene().by("bo").waived_with("bo", |_| {}), WAIVED);
    check(scene().waived_with("chi", |_| {}), ASKED);
    check(scene().waived_with("bo", |it| it.rule = "other".to_owned()), ASKED);
    check(scene().waived_with("bo", |it| it.expires = Timestamp(NOW - 1)), ASKED);
    // Longer than the policy lets it last.
    check(
        scene().waived_with("bo", |it| {
            it.by.at = Timestamp(NOW - 5 * HOUR);
            it.expires = Timestamp(NOW + HOUR);
        }),
        ASKED,
    );
    check(scene().waived_with("bo", |it| it.content.files[0].new = None), ASKED);
    check(scene().waived_with("bo", |it| it.content.files.clear()), ASKED);
    check(scene().waived_with("bo", |_| {}).withdrawn_by("bo"), ASKED);
    // The policy says that this key's signatures always show a touch.
    let touched = |it: &mut Scene| {
        let bo = it.policy.people.get_mut("bo").unwrap();
        bo.keys[0].presence = countersign::gate::policy::Presence::Touch;
    };
    check(scene().waived_with("bo", |_| {}).with(touched), ASKED);
    check(Scene::new(&rules("never = [\"seniors\"]\n")).waived_with("bo", |_| {}), ASKED);
    check(Scene::new(SENIORS).waived_with("bo", |_| {}), ASKED);
    // What asks for no record itself can be waived too; a denial cannot.
    let silent = rules("").replace("approvals = [{ from = [\"senior\"] }]", "disclosure = true");
    let mute = |scene: Scene| {
        scene.with(|it| {
            let seen = Signal {
                kind: SignalKind::Session,
                strength: Strength::Recorded,
                in_trailer_block: None,
                ..mark()
            };
            it.change.commits[0].message = "work\n".to_owned();
            let marks = vec![(oid('c'), vec![seen])];
            it.attribution = Some(attribute(&it.change, marks, &Origins::default()));
        })
    };
    check(mute(Scene::new(&silent)), "block, disclosure-missing seniors");
    check(mute(Scene::new(&silent).waived_with("bo", |_| {})), WAIVED);
    let denied = rules("").replace("require.approvals = [{ from = [\"senior\"] }]", "deny = true");
    check(Scene::new(&denied).waived_with("bo", |_| {}), "block, denied seniors");
}

#[test]
fn runs_count_for_exactly_one_tree_and_definition() {
    let scene = || Scene::new(TESTED);
    const MISSING: &str = "block, tests-missing tested";
    check(scene(), MISSING);
    check(scene().ran(None, true, |_| {}), FREE);
    check(scene().ran(None, false, |_| {}), MISSING);
    check(scene().ran(Some("chi"), false, |_| {}), FREE);
    check(scene().ran(None, true, |it| it.passed = false), "block, tests-failed tested");
    check(scene().ran(None, true, |it| it.passed = false).ran(None, true, |_| {}), FREE);
    check(scene().ran(None, true, |it| it.key = "other".to_owned()), MISSING);
    check(scene().ran(None, true, |it| it.test = "other".to_owned()), MISSING);
    check(scene().ran(None, true, |it| it.repo = Some("other".to_owned())), MISSING);
    let inputs = |digest| [("unit".to_owned(), digest)].into();
    let elsewhere = Ok(tree_digest(&oid('e')));
    check(
        scene().ran(None, true, |_| {}).with(|it| it.evidence.inputs = inputs(elsewhere)),
        MISSING,
    );
    let unknown = Err("it is gone".to_owned());
    check(scene().ran(None, true, |_| {}).with(|it| it.evidence.inputs = inputs(unknown)), MISSING);
    // The definition changed after the run.
    let old = scene().ran(None, true, |_| {}).records;
    let redefined = Scene::new(&TESTED.replace("make test", "true"));
    check(redefined.with(|it| it.records = old), MISSING);
    // Once there is a service, only its results count for a protected ref.
    let served = || Scene::new(&format!("{TESTED}{SERVICE}"));
    check(served().ran(None, true, |_| {}), MISSING);
    check(served().ran(Some("chi"), false, |_| {}), MISSING);
    check(served().ran(Some("ci"), false, |_| {}), FREE);
    let pushed = |scene: Scene| scene.with(|it| it.stage = Stage::Push);
    check(pushed(served()).ran(None, true, |_| {}), FREE);
    let only_ci = || Scene::new(&format!("{TESTED}accept = [\"ci\"]\n{SERVICE}"));
    check(pushed(only_ci()).ran(None, true, |_| {}), MISSING);
    check(pushed(only_ci()).ran(Some("ci"), false, |_| {}), FREE);
    // A service's key approves nothing.
    let anybody = format!("{}{SERVICE}", SENIORS.replace("from = [\"senior\"]", ""));
    check(Scene::new(&anybody).approved_by("ci"), ASKED);
}

#[test]
fn a_requirement_blocks_from_its_stage_on() {
    let at = |rules: &str, stage: Stage| Scene::new(rules).with(|it| it.stage = stage);
    check(at(SENIORS, Stage::Push), "pass, (approval-missing seniors)");
    check(at(SENIORS, Stage::Commit), "pass, (approval-missing seniors)");
    check(at(TESTED, Stage::Commit), "pass, (tests-missing tested)");
    check(at(TESTED, Stage::Push), "block, tests-missing tested");
    let early = SENIORS.replace("[{ from", "[{ stage = \"push\", from");
    check(at(&early, Stage::Commit), "pass, (approval-missing seniors)");
    check(at(&early, Stage::Push), ASKED);
    let denied = SENIORS.replace("require.approvals = [{ from = [\"senior\"] }]", "deny = true");
    check(at(&denied, Stage::Commit), "block, denied seniors");
    check(at(&denied, Stage::Merge).approved_by("bo"), "block, denied seniors");
    let late = denied.replace("deny = true", "deny = { stage = \"merge\" }");
    check(at(&late, Stage::Push), "pass, (denied seniors)");
    check(at(&late, Stage::Merge), "block, denied seniors");
}

#[test]
fn only_signed_commits_lift_a_rule() {
    let rules = format!("{SENIORS}unless = {{ author = [\"senior\"] }}\n");
    let scene = || Scene::new(&rules);
    let signed_by = |scene: Scene, person: &str| {
        let fingerprint = scene.fingerprint(person);
        let signature = SshSignature { fingerprint, flags: None, certificate: None };
        scene.with(|it| it.evidence.commit_signers = Ok([(oid('c'), Some(signature))].into()))
    };
    check(scene().by("bo"), ASKED);
    check(signed_by(scene(), "bo"), FREE);
    check(signed_by(scene(), "chi"), ASKED);
    let unread = scene().with(|it| it.evidence.commit_signers = Err("unread".to_owned()));
    check(unread, ASKED);
    // One commit of the range is not signed.
    let second = |it: &mut Scene| {
        let mut commit = it.change.commits[0].clone();
        commit.id = oid('d');
        it.change.commits.push(commit);
    };
    check(signed_by(scene(), "bo").with(second), ASKED);
    // Before the commit is made a later stage decides, with its message or without.
    let staged = |it: &mut Scene| {
        it.stage = Stage::Commit;
        it.change.commits.clear();
    };
    let denied = rules.replace("require.approvals = [{ from = [\"senior\"] }]", "deny = true");
    check(Scene::new(&denied).with(staged), "pass, (denied seniors)");
    let worded = |it: &mut Scene| {
        it.stage = Stage::Commit;
        it.change.commits[0].id = oid('0');
        it.attribution = Some(attribute_staged(&it.change, vec![mark()]));
    };
    check(Scene::new(&denied).with(worded), "pass, (denied seniors)");
    // A change without commits that is to land (a rewind) was signed by nobody.
    check(Scene::new(&denied).with(|it| it.change.commits.clear()), "block, denied seniors");
}

#[test]
fn marks_follow_the_files_that_assisted_commits_touched() {
    let on = format!("{SENIORS}paths = [\"src/**\"]\n");
    let mixed = |assisted_path: &str, files: &[&str]| {
        Scene::new(&on).files(files).with(|it| {
            let mut human = it.change.commits[0].clone();
            human.id = oid('d');
            it.change.commits.push(human);
            let touched = [RepoPath::new(assisted_path)].into();
            let origins = Origins { touched: [(oid('c'), touched)].into(), ..Origins::default() };
            let marks = vec![(oid('c'), vec![mark()]), (oid('d'), Vec::new())];
            it.attribution = Some(attribute(&it.change, marks, &origins));
        })
    };
    check(mixed("docs/x", &["docs/x", "src/a.rs"]), FREE);
    check(mixed("src/a.rs", &["docs/x", "src/a.rs"]), ASKED);
    // A file of which only a deletion is left.
    let gone = mixed("src/a.rs", &["src/a.rs"]).with(|it| {
        it.change.files[0].new = None;
        it.change.files[0].added.clear();
    });
    check(gone, ASKED);
}

#[test]
fn what_cannot_be_evaluated_blocks() {
    let coverage =
        SENIORS.replace("approvals = [{ from = [\"senior\"] }]", "coverage = { min = 0.8 }");
    check(Scene::new(&coverage), "block, coverage-unmeasured seniors");
    let scene = Scene::new(SENIORS).approved_by("bo");
    check(scene.with(|it| it.policy.trust.repo_id = None), ASKED);
}

/// Rules that a policy could be made of; each stands alone.
const POOL: &[&str] = &[
    "[[rule]]\nid = \"a\"\nrequire.approvals = [{ from = [\"senior\"] }]\n",
    "[[rule]]\nid = \"b\"\nwhen = { assisted = true }\nrequire.approvals = [{ count = 2 }]\n",
    "[[rule]]\nid = \"c\"\npaths = [\"src/**\"]\ndeny = true\n",
    "[[rule]]\nid = \"d\"\npaths = [\"docs/**\"]\nrequire.approvals = [{ from = [\"chi\"] }]\n",
    "[[rule]]\nid = \"e\"\nwhen = { lines = \">15\" }\nrequire.disclosure = true\n",
    "[[rule]]\nid = \"f\"\nunless = { author = [\"senior\"] }\nrequire.approvals = [{ from = [\"bo\"] }]\n",
    "[[rule]]\nid = \"policy-change\"\nrequire.approvals = [{ from = [\"chi\"] }]\n",
];

const PATHS: &[&str] = &["countersign.toml", "docs/a.md", "src/a.rs", "src/b.rs"];

fn rules(chosen: &BTreeSet<usize>) -> String {
    chosen.iter().map(|&at| POOL[at]).collect()
}

/// A change of some of the paths by some person, and records over some of them.
fn scene(policy: &str, paths: &BTreeSet<usize>, author: &str, records: &[(usize, u8)]) -> Scene {
    let paths: Vec<&str> = paths.iter().map(|&at| PATHS[at]).collect();
    let mut scene = Scene::new(policy).files(&paths).by(author);
    for (person, what) in records {
        let person = ["ana", "bo", "chi"][*person];
        scene = match what {
            0 => scene.rejected_by(person, 3),
            1 => scene.approved_with(person, |it| {
                it.content.files.pop();
            }),
            2 => scene.approved_with(person, |it| it.by.at = Timestamp(NOW - 9 * HOUR)),
            _ => scene.approved_by(person),
        };
    }
    scene
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn adding_a_rule_never_loosens(
        some in prop::collection::btree_set(0..POOL.len() - 1, 0..4),
        more in 0..POOL.len() - 1,
        paths in prop::collection::btree_set(0..PATHS.len(), 1..4),
        author in prop::sample::select(vec!["ana", "bo", "chi", "eve"]),
        records in prop::collection::vec((0..3usize, 0..5u8), 0..5),
    ) {
        // The built-in guard of the policy asks the groups that rules name; it is left out.
        let paths: BTreeSet<usize> = paths.into_iter().map(|it| it.max(1)).collect();
        let before = scene(&rules(&some), &paths, author, &records).verdict();
        let mut all = some.clone();
        all.insert(more);
        let after = scene(&rules(&all), &paths, author, &records).verdict();
        prop_assert!(before.passes() || !after.passes());
        for judged in &before.obligations {
            let stays = after.obligations.iter().any(|it| {
                it.rule == judged.rule
                    && it.requirement == judged.requirement
                    && it.state == judged.state
            });
            prop_assert!(stays, "{judged:?}");
        }
    }

    #[test]
    fn losing_an_approval_or_a_run_never_lets_a_change_through(
        chosen in prop::collection::btree_set(0..POOL.len(), 0..5),
        paths in prop::collection::btree_set(0..PATHS.len(), 1..4),
        author in prop::sample::select(vec!["ana", "bo", "chi", "eve"]),
        // Rejections restrict, so that only the ledger's growth guards them.
        records in prop::collection::vec((0..3usize, 1..5u8), 1..5),
        lost in any::<prop::sample::Index>(),
    ) {
        let policy = rules(&chosen);
        let before = scene(&policy, &paths, author, &records);
        let mut after = scene(&policy, &paths, author, &records);
        let lost = after.records.remove(lost.index(after.records.len()));
        prop_assert_eq!(lost.record.record_type(), RecordType::Approval);
        prop_assert!(before.verdict().passes() || !after.verdict().passes());
    }
}
