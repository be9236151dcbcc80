//! Recorded test runs: what a result depends on, and whose results count.
//!
//! Two keys exist, because two questions do. [`key`] is computed from the
//! repository and the policy alone, so that `check` in CI finds the record that
//! another machine made. [`reuse_key`] also holds what only this machine knows,
//! and decides whether it may skip running a test again.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::approval::{Reason, in_force, revocations, signatory};
use super::change::{Entry, Oid, RepoPath};
use super::evidence::Answer;
use super::packages::Affected;
use super::policy::{Accept, PersonKind, Policy, PreviewCommand, Stage, TestCommand};
use super::record::{Body, Run, SignatureState, SignedRecord, SshSignature};
use crate::gate::order;

/// Returns the key under which results of `test` are recorded: its definition
/// and the digest of what it depends on (see [`inputs_digest`]).
pub fn key(test: &TestCommand, inputs_digest: &str) -> String {
    Fields::new("countersign.run-key/1")
        .text(&test.name)
        .text(&test.digest)
        .text(inputs_digest)
        .hex()
}

/// What only the machine that runs a test knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings<'a> {
    /// Names and SHA-256 of the values of the environment that the command sees.
    pub environment: &'a [(String, String)],
    /// `linux x86_64`.
    pub platform: &'a str,
    /// This program and its version.
    pub client: &'a str,
    /// The words of the command after its placeholders are filled, except for
    /// those that name a place on this machine.
    pub argv: &'a [String],
}

/// Returns the key that decides whether an earlier pass on this machine may
/// stand for a new run of the test with this [`key`].
pub fn reuse_key(key: &str, surroundings: &Surroundings<'_>) -> String {
    let mut fields = Fields::new("countersign.run-reuse/1")
        .text(key)
        .text(surroundings.platform)
        .text(surroundings.client)
        .number(surroundings.argv.len());
    for word in surroundings.argv {
        fields = fields.text(word);
    }
    for (name, value) in surroundings.environment {
        fields = fields.text(name).text(value);
    }
    fields.hex()
}

/// Returns the key of a prepared checkout: a `setup` need not run again where
/// this is what it was.
pub fn setup_key(
    setup: &[String],
    inputs_digest: &str,
    environment: &[(String, String)],
) -> String {
    let mut fields = Fields::new("countersign.run-setup/1").text(inputs_digest).number(setup.len());
    for word in setup {
        fields = fields.text(word);
    }
    for (name, value) in environment {
        fields = fields.text(name).text(value);
    }
    fields.hex()
}

/// Returns the digest of the files that a test declares as its `inputs`: their
/// paths, modes and object ids, in path order whatever the order given. Entries
/// that the patterns do not match must not be handed over.
pub fn inputs_digest<'a>(entries: impl IntoIterator<Item = (&'a RepoPath, &'a Entry)>) -> String {
    let entries: BTreeMap<_, _> = order::map(entries);
    let mut fields = Fields::new("countersign.run-inputs/1").number(entries.len());
    for (path, entry) in entries {
        fields = fields
            .bytes(path.as_bytes())
            .text(&format!("{:06o}", entry.mode))
            .text(entry.oid.as_str());
    }
    fields.hex()
}

/// Returns the digest for a test that declares no `inputs`: it depends on the whole tree.
pub fn tree_digest(tree: &Oid) -> String {
    Fields::new("countersign.run-tree/1").text(tree.as_str()).hex()
}

/// Returns the digest for a test that runs for some packages: a pass for these
/// says nothing of others.
pub fn packages_digest(inputs_digest: &str, affected: &Affected) -> String {
    let fields = Fields::new("countersign.run-packages/1").text(inputs_digest);
    let fields = fields.number(affected.packages.len());
    let rows = affected.packages.iter();
    rows.fold(fields, |fields, (name, path)| fields.text(name).text(path)).hex()
}

/// Returns the digest of what a `[preview.NAME]` table runs: a record made by
/// another definition does not count.
pub fn preview_definition(command: &PreviewCommand) -> String {
    let words = command.run.as_deref().unwrap_or_default();
    let mut fields = Fields::new("countersign.preview-definition/1")
        .text(&command.name)
        .text(&command.engine)
        .text(command.root.as_deref().unwrap_or_default())
        .number(words.len());
    for word in words {
        fields = fields.text(word);
    }
    for pattern in &command.generated.patterns {
        fields = fields.text(pattern);
    }
    fields.hex()
}

/// Who vouches for a recorded run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Unsigned, and written by this very clone.
    LocalUnsigned,
    /// Signed by a human's key.
    LocalSigned,
    /// Signed by a service's key.
    Ci,
}

impl Kind {
    /// The word of the policy's `accept`.
    pub fn accept(self) -> Accept {
        match self {
            Kind::LocalUnsigned | Kind::LocalSigned => Accept::Local,
            Kind::Ci => Accept::Ci,
        }
    }

    /// The words of reports.
    pub fn describe(self) -> &'static str {
        match self {
            Kind::LocalUnsigned => "local (self-attested)",
            Kind::LocalSigned => "local (signed)",
            Kind::Ci => "ci",
        }
    }
}

/// Why a recorded run does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is not signed, and this clone did not write it")]
    Unsigned,
    #[error("its signature does not hold: {0}")]
    BadSignature(String),
    #[error("no person of the policy owns its key {0}")]
    UnknownKey(String),
    #[error(transparent)]
    Certificate(Reason),
    #[error("its key {0} is revoked")]
    Revoked(String),
    #[error(
        "its key {key} is revoked, and the records before the revocation could not be read: {why}"
    )]
    RevocationUnread { key: String, why: String },
    #[error("{0} is an agent")]
    Agent(String),
    #[error("it is {found}, and the policy counts only {wanted}")]
    NotAccepted { found: &'static str, wanted: String },
    #[error("the test could reach a network, which the policy forbids it")]
    Networked,
    #[error("it was made for the repository `{0}`")]
    OtherRepository(String),
}

/// What is known when records are counted.
#[derive(Clone, Copy, Debug)]
pub struct Counting<'a> {
    pub policy: &'a Policy,
    pub stage: Stage,
    /// Ids of the records that stood in the ledger at a commit, for revocations.
    pub ledger_cuts: &'a BTreeMap<Oid, Answer<BTreeSet<String>>>,
}

/// Says whether a recorded run counts for `test`, and as what. `record.own`
/// must be `false` on a server, which counts no unsigned record.
pub fn counts(
    record: &SignedRecord,
    run: &Run,
    test: &TestCommand,
    counting: &Counting<'_>,
) -> Result<Kind, Refusal> {
    if run.sandbox.network && !test.network {
        return Err(Refusal::Networked);
    }
    vouched(record, run.repo.as_deref(), &test.accept, counting)
}

/// Says whether a record of a run or a preview counts where the policy accepts
/// these (empty: not written), and as what.
pub fn vouched(
    record: &SignedRecord,
    repo: Option<&str>,
    accept: &BTreeSet<Accept>,
    counting: &Counting<'_>,
) -> Result<Kind, Refusal> {
    if let (Some(theirs), Some(ours)) = (repo, counting.policy.trust.repo_id.as_deref())
        && theirs != ours
    {
        return Err(Refusal::OtherRepository(super::change::printable(theirs)));
    }
    let kind = kind(record, counting)?;
    let accepted = accepted(accept, counting.policy, counting.stage);
    if accepted.contains(&kind.accept()) {
        Ok(kind)
    } else {
        let words: Vec<_> = accepted.iter().map(|it| word(*it)).collect();
        Err(Refusal::NotAccepted { found: kind.describe(), wanted: words.join(" and ") })
    }
}

/// Whose results count at a stage: what the policy says, else local ones and
/// CI's, but at `merge` only CI's once the policy knows a service.
pub fn accepted(written: &BTreeSet<Accept>, policy: &Policy, stage: Stage) -> BTreeSet<Accept> {
    if !written.is_empty() {
        return written.clone();
    }
    match stage {
        Stage::Merge if policy.has_service() => order::set([Accept::Ci]),
        Stage::Commit | Stage::Push | Stage::Merge => order::set([Accept::Local, Accept::Ci]),
    }
}

fn word(accept: Accept) -> &'static str {
    match accept {
        Accept::Local => "local",
        Accept::Ci => "ci",
    }
}

fn kind(record: &SignedRecord, counting: &Counting<'_>) -> Result<Kind, Refusal> {
    let signature = match &record.signature {
        SignatureState::Unsigned if record.own => return Ok(Kind::LocalUnsigned),
        SignatureState::Unsigned => return Err(Refusal::Unsigned),
        SignatureState::Bad(why) => return Err(Refusal::BadSignature(why.clone())),
        SignatureState::Good(signature) => signature,
    };
    not_revoked(record, signature, counting)?;
    let Some((person, _)) = signatory(counting.policy, signature) else {
        return Err(Refusal::UnknownKey(signature.fingerprint.clone()));
    };
    in_force(signature, Some(record.record.body.at())).map_err(Refusal::Certificate)?;
    match person.kind {
        PersonKind::Human => Ok(Kind::LocalSigned),
        PersonKind::Service => Ok(Kind::Ci),
        PersonKind::Agent => Err(Refusal::Agent(person.name.clone())),
    }
}

/// A revoked key's records count only where they stood in the ledger at the
/// commit that the policy names.
fn not_revoked(
    record: &SignedRecord,
    signature: &SshSignature,
    counting: &Counting<'_>,
) -> Result<(), Refusal> {
    for revoked in revocations(counting.policy, signature) {
        let key = &revoked.key;
        let Some(after) = &revoked.after else { return Err(Refusal::Revoked(key.to_owned())) };
        match counting.ledger_cuts.get(after) {
            Some(Ok(stood)) if stood.contains(&record.record.id) => {}
            Some(Ok(_)) => return Err(Refusal::Revoked(key.to_owned())),
            Some(Err(why)) => {
                return Err(Refusal::RevocationUnread { key: key.to_owned(), why: why.clone() });
            }
            None => {
                let why = "they were not asked for".to_owned();
                return Err(Refusal::RevocationUnread { key: key.to_owned(), why });
            }
        }
    }
    Ok(())
}

/// Where a required test stands.
#[derive(Clone, Debug)]
pub enum Standing<'a> {
    Passed {
        run: &'a Run,
        id: &'a str,
        kind: Kind,
        /// A counting run of the same key also failed: the test is not reliable.
        also_failed: bool,
    },
    Failed {
        run: &'a Run,
        id: &'a str,
        kind: Kind,
    },
    /// Nothing counts; the records of this key that do not, with the reasons.
    Missing(Vec<(&'a str, Refusal)>),
}

/// Looks for counting runs of one key. One pass is enough, whatever else was
/// recorded before or after: runs can only ever satisfy, so that the loss of a
/// record never lets a change through, and nobody could tell a failure that was
/// withheld from one that never happened. Of several, the best vouched for and
/// then the newest is shown.
pub fn standing<'a>(
    records: &'a [SignedRecord],
    key: &str,
    test: &TestCommand,
    counting: &Counting<'_>,
) -> Standing<'a> {
    let mut refused = Vec::new();
    let mut counted = Vec::new();
    for record in records {
        let Body::Run(run) = &record.record.body else { continue };
        if run.key != key || run.test != test.name {
            continue;
        }
        let id = record.record.id.as_str();
        match counts(record, run, test, counting) {
            Ok(kind) => counted.push((run, id, kind)),
            Err(refusal) => refused.push((id, refusal)),
        }
    }
    let best = |passed: bool| {
        let candidates = counted.iter().filter(|(run, _, _)| run.passed == passed);
        candidates.max_by_key(|(run, id, kind)| (*kind, run.by.at, *id)).copied()
    };
    match (best(true), best(false)) {
        (Some((run, id, kind)), failure) => {
            Standing::Passed { run, id, kind, also_failed: failure.is_some() }
        }
        (None, Some((run, id, kind))) => Standing::Failed { run, id, kind },
        (None, None) => Standing::Missing(refused),
    }
}

/// The counting passes of one key, with the records' ids.
pub fn counting_passes<'a>(
    records: &'a [SignedRecord],
    key: &str,
    test: &TestCommand,
    counting: &Counting<'_>,
) -> Vec<(&'a str, &'a Run)> {
    let mut passes = Vec::new();
    for record in records {
        let Body::Run(run) = &record.record.body else { continue };
        let of_key = run.passed && run.key == key && run.test == test.name;
        if of_key && counts(record, run, test, counting).is_ok() {
            passes.push((record.record.id.as_str(), run));
        }
    }
    passes
}

/// A digest over fields of known length, so that no two lists of fields share one.
struct Fields(Sha256);

impl Fields {
    fn new(schema: &str) -> Fields {
        Fields(Sha256::new()).text(schema)
    }

    fn bytes(mut self, bytes: &[u8]) -> Fields {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Fields {
        self.bytes(text.as_bytes())
    }

    fn number(self, number: usize) -> Fields {
        self.bytes(&(number as u64).to_be_bytes())
    }

    fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::policy::{
        Disclosure, DisclosureTrailer, Globs, Key, Mode, Narrow, Person, Presence, RefPatterns,
        Revoked, Source, Trust,
    };
    use super::super::record::canonical::sha256;
    use super::super::record::{Record, Signer, SshSignature};
    use super::super::time::Timestamp;
    use super::*;

    fn oid(digit: char) -> Oid {
        Oid::parse(&digit.to_string().repeat(40)).expect("forty digits")
    }

    fn test(accept: &[Accept]) -> TestCommand {
        TestCommand {
            accept: accept.iter().copied().collect(),
            digest: "definition".to_owned(),
            ..TestCommand::plain(
                "unit",
                vec!["make".to_owned(), "test".to_owned()],
                Duration::from_secs(600),
            )
        }
    }

    fn person(name: &str, kind: PersonKind) -> (String, Person) {
        let key = Key {
            openssh: format!("ssh-ed25519 {name}"),
            fingerprint: format!("SHA256:{name}"),
            presence: Presence::None,
            cert_authority: false,
        };
        let keys = vec![key];
        (name.to_owned(), Person { name: name.to_owned(), kind, emails: Vec::new(), keys })
    }

    fn policy(people: &[(&str, PersonKind)]) -> Policy {
        Policy {
            source: Source { from: "built-in".to_owned(), sha256: None },
            mode: Mode::Enforce,
            trust: Trust {
                target: "refs/heads/main".to_owned(),
                protect: RefPatterns::default(),
                ledger: "refs/heads/countersign-ledger".to_owned(),
                repo_id: Some("shop".to_owned()),
                gate: Globs::default(),
                solo: false,
                narrow: Narrow::Never,
                reformatted: true,
                unverified_authors: crate::gate::policy::UnverifiedAuthors::One,
                pusher_env: None,
            },
            people: people.iter().map(|(name, kind)| person(name, *kind)).collect(),
            groups: BTreeMap::new(),
            revoked: Vec::new(),
            disclosure: Disclosure {
                trailer: DisclosureTrailer::Allow,
                key: "Assisted-by".to_owned(),
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

    #[test]
    fn a_result_made_with_a_network_is_none_where_there_shall_be_none() {
        let policy = policy(TEAM);
        let cuts = BTreeMap::new();
        let counting = Counting { policy: &policy, stage: Stage::Push, ledger_cuts: &cuts };
        let mut test = test(&[]);
        test.network = false;
        let mut record = recorded("a", true, Some("ana"), false);
        let Body::Run(mut made) = record.record.body.clone() else { panic!("a run") };
        assert_eq!(counts(&record, &made, &test, &counting), Err(Refusal::Networked));
        made.sandbox.network = false;
        assert_eq!(counts(&record, &made, &test, &counting), Ok(Kind::LocalSigned));
        test.network = true;
        assert_eq!(counts(&record, &made, &test, &counting), Ok(Kind::LocalSigned));
        record.signature = SignatureState::Unsigned;
        assert_eq!(counts(&record, &made, &test, &counting), Err(Refusal::Unsigned));
    }

    const TEAM: &[(&str, PersonKind)] =
        &[("ana", PersonKind::Human), ("ci", PersonKind::Service), ("bot", PersonKind::Agent)];

    fn recorded(id: &str, passed: bool, signer: Option<&str>, own: bool) -> SignedRecord {
        let run = Run {
            repo: Some("shop".to_owned()),
            test: "unit".to_owned(),
            key: "k".to_owned(),
            commit: oid('1'),
            tree: oid('2'),
            passed,
            exit: Some(i32::from(!passed)),
            summary: String::new(),
            duration_ms: 1,
            argv: Vec::new(),
            environment: Vec::new(),
            platform: "linux x86_64".to_owned(),
            client: "countersign 0.1.0".to_owned(),
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
                at: Timestamp(0),
                ledger: None,
                nonce: String::new(),
            },
        };
        let signature = match signer {
            None => SignatureState::Unsigned,
            Some("broken") => SignatureState::Bad("wrong bytes".to_owned()),
            Some(name) => SignatureState::Good(SshSignature {
                fingerprint: format!("SHA256:{name}"),
                flags: None,
                certificate: None,
            }),
        };
        let record = Record { id: id.to_owned(), body: Body::Run(run) };
        SignedRecord { record, signature, own }
    }

    /// One recorded pass, at a stage, under a team and an `accept`.
    #[track_caller]
    fn check(
        (signer, own): (Option<&str>, bool),
        people: &[(&str, PersonKind)],
        accept: &[Accept],
        stage: Stage,
        expected: &str,
    ) {
        let policy = policy(people);
        let counting = Counting { policy: &policy, stage, ledger_cuts: &BTreeMap::new() };
        let record = recorded("a", true, signer, own);
        let Body::Run(run) = &record.record.body else { unreachable!("it is a run") };
        let found = match counts(&record, run, &test(accept), &counting) {
            Ok(kind) => kind.describe().to_owned(),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn who_counts_by_default() {
        let humans = &TEAM[..1];
        check((None, true), humans, &[], Stage::Push, "local (self-attested)");
        check((None, true), humans, &[], Stage::Merge, "local (self-attested)");
        check((None, true), TEAM, &[], Stage::Push, "local (self-attested)");
        check((Some("ci"), false), TEAM, &[], Stage::Push, "ci");
        check((Some("ci"), false), TEAM, &[], Stage::Merge, "ci");
        let only_ci = "it is local (signed), and the policy counts only ci";
        check((Some("ana"), false), TEAM, &[], Stage::Merge, only_ci);
        check((Some("ana"), false), TEAM, &[], Stage::Push, "local (signed)");
    }

    #[test]
    fn an_accept_that_is_written_holds_at_every_stage() {
        check((Some("ana"), false), TEAM, &[Accept::Local], Stage::Merge, "local (signed)");
        let only_local = "it is ci, and the policy counts only local";
        check((Some("ci"), false), TEAM, &[Accept::Local], Stage::Push, only_local);
    }

    #[test]
    fn who_never_counts() {
        let nobody = "it is not signed, and this clone did not write it";
        check((None, false), TEAM, &[], Stage::Push, nobody);
        let broken = "its signature does not hold: wrong bytes";
        check((Some("broken"), true), TEAM, &[], Stage::Push, broken);
        let unknown = "no person of the policy owns its key SHA256:eve";
        check((Some("eve"), true), TEAM, &[], Stage::Push, unknown);
        check((Some("bot"), true), TEAM, &[], Stage::Push, "bot is an agent");
    }

    #[test]
    fn a_revoked_key_keeps_only_what_stood_before() {
        let mut policy = policy(TEAM);
        policy.revoked.push(Revoked {
            key: "SHA256:ci".to_owned(),
            after: Some(oid('3')),
            why: None,
        });
        let records =
            [recorded("old", true, Some("ci"), false), recorded("new", true, Some("ci"), false)];
        let stood = Ok(BTreeSet::from(["old".to_owned()]));
        for (cut, expected) in [
            (Some(stood), [true, false]),
            (Some(Err("no such commit".to_owned())), [false, false]),
            (None, [false, false]),
        ] {
            let ledger_cuts = cut.map(|it| (oid('3'), it)).into_iter().collect();
            let counting =
                Counting { policy: &policy, stage: Stage::Push, ledger_cuts: &ledger_cuts };
            let found = records.each_ref().map(|record| {
                let Body::Run(run) = &record.record.body else { unreachable!("it is a run") };
                counts(record, run, &test(&[]), &counting).is_ok()
            });
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn one_pass_satisfies_and_a_failure_beside_it_is_told() {
        let policy = policy(TEAM);
        let cuts = BTreeMap::new();
        let counting = Counting { policy: &policy, stage: Stage::Push, ledger_cuts: &cuts };
        let records = [
            recorded("a", true, Some("ci"), false),
            recorded("b", false, None, true),
            recorded("c", true, None, false),
        ];
        let test = test(&[]);
        assert!(matches!(
            standing(&records, "k", &test, &counting),
            Standing::Passed { id: "a", kind: Kind::Ci, also_failed: true, .. }
        ));
        assert!(matches!(
            standing(&records[1..], "k", &test, &counting),
            Standing::Failed { id: "b", .. }
        ));
        let Standing::Missing(refused) = standing(&records[2..], "k", &test, &counting) else {
            panic!("an unsigned record of another clone counted");
        };
        assert_eq!(refused, [("c", Refusal::Unsigned)]);
        assert!(matches!(
            standing(&records, "another", &test, &counting),
            Standing::Missing(refused) if refused.is_empty()
        ));
    }

    #[test]
    fn keys_hold_all_that_results_depend_on() {
        let entries = [
            (RepoPath::new("a"), Entry { mode: 0o100_644, oid: oid('1') }),
            (RepoPath::new("b"), Entry { mode: 0o100_644, oid: oid('2') }),
        ];
        let digest =
            |rows: &[(RepoPath, Entry)]| inputs_digest(rows.iter().map(|(path, it)| (path, it)));
        let inputs = digest(&entries);
        let mut reversed = entries.clone();
        reversed.reverse();
        assert_eq!(digest(&reversed), inputs);
        let mut others = vec![tree_digest(&oid('1')), digest(&entries[..1])];
        for change in 0..3 {
            let mut rows = entries.clone();
            match change {
                0 => rows[1].0 = RepoPath::new("c"),
                1 => rows[1].1.mode = 0o100_755,
                _ => rows[1].1.oid = oid('3'),
            }
            others.push(digest(&rows));
        }
        others.push(inputs.clone());
        assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), 6);

        let plain = test(&[]);
        let mut redefined = test(&[]);
        redefined.digest = "another".to_owned();
        assert_ne!(key(&plain, &inputs), key(&redefined, &inputs));
        assert_ne!(key(&plain, &inputs), key(&plain, &others[0]));

        let environment = [("LANG".to_owned(), sha256(b"C"))];
        let changed = [("LANG".to_owned(), sha256(b"de"))];
        let argv = ["make".to_owned(), "test".to_owned()];
        let here = Surroundings {
            environment: &environment,
            platform: "linux x86_64",
            client: "countersign 0.1.0",
            argv: &argv,
        };
        let elsewhere = [
            Surroundings { environment: &changed, ..here.clone() },
            Surroundings { platform: "macos aarch64", ..here.clone() },
            Surroundings { client: "countersign 0.2.0", ..here.clone() },
            Surroundings { argv: &argv[..1], ..here.clone() },
        ];
        for other in elsewhere {
            assert_ne!(reuse_key("k", &here), reuse_key("k", &other));
        }
    }
}
