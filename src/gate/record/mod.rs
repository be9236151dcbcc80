//! What we sign and keep: in-toto Statements v1 as canonical JSON
//! (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>).

use serde::{Deserialize, Serialize};

use super::change::{Oid, RepoPath};
use super::coverage::measured::Measured;
use super::evidence::Answer;
use super::preview::{Preview, Sources};
use super::proof::Proof;
use super::time::Timestamp;

mod as_it_stands;
pub mod canonical;
mod coverage;
mod predicate;
mod proof;
mod statement;
#[cfg(test)]
mod tests;

pub use as_it_stands::AsItStands;
pub use statement::{MAX_BYTES, MAX_FILES, RecordError};

/// What a record says. The namespace of its signature is `countersign-<type>-v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordType {
    Approval,
    Rejection,
    Withdrawal,
    Run,
    Preview,
    Waiver,
    Attribution,
    Verdict,
}

impl RecordType {
    /// Every type.
    pub const ALL: &[RecordType] = &[
        RecordType::Approval,
        RecordType::Rejection,
        RecordType::Withdrawal,
        RecordType::Run,
        RecordType::Preview,
        RecordType::Waiver,
        RecordType::Attribution,
        RecordType::Verdict,
    ];

    /// The word in namespaces and reports.
    pub fn word(self) -> &'static str {
        match self {
            RecordType::Approval => "approval",
            RecordType::Rejection => "rejection",
            RecordType::Withdrawal => "withdrawal",
            RecordType::Run => "run",
            RecordType::Preview => "preview",
            RecordType::Waiver => "waiver",
            RecordType::Attribution => "attribution",
            RecordType::Verdict => "verdict",
        }
    }

    /// The namespace of this type's signatures: a key that may sign runs
    /// never signs an approval by accident.
    pub fn namespace(self) -> String {
        format!("countersign-{}-v1", self.word())
    }

    /// The in-toto predicate type. Runs use in-toto's own; there is none for
    /// what the others say.
    pub fn predicate_type(self) -> &'static str {
        match self {
            RecordType::Approval => "urn:countersign:approval:v1",
            RecordType::Rejection => "urn:countersign:rejection:v1",
            RecordType::Withdrawal => "urn:countersign:withdrawal:v1",
            RecordType::Run => "https://in-toto.io/attestation/test-result/v0.1",
            RecordType::Preview => "urn:countersign:preview:v1",
            RecordType::Waiver => "urn:countersign:waiver:v1",
            RecordType::Attribution => "urn:countersign:attribution:v1",
            RecordType::Verdict => "urn:countersign:verdict:v1",
        }
    }
}

/// A record and what its signature is worth.
#[derive(Clone, Debug)]
pub struct SignedRecord {
    pub record: Record,
    pub signature: SignatureState,
    /// This very clone wrote it.
    pub own: bool,
}

/// A parsed record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// SHA-256 of the canonical bytes, in lower-case hexadecimal.
    pub id: String,
    pub body: Body,
}

/// What a record says, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Approval(Judgement),
    Rejection(Judgement),
    Withdrawal(Withdrawal),
    Run(Run),
    Waiver(Waiver),
    Preview(Box<PreviewRecord>),
    /// Kept and shown, not judged by this version: the predicate as it stands.
    Attribution(AsItStands),
    /// The verdict record of a judged change: the predicate as it stands.
    Verdict(serde_json::Value),
}

impl Record {
    /// What kind of record this is.
    pub fn record_type(&self) -> RecordType {
        self.body.record_type()
    }

    /// Where the record lives in the ledger's tree:
    /// `records/<yyyy>/<mm>/<dd>/<id>.json`, by the time that it claims.
    pub fn ledger_path(&self) -> String {
        let (year, month, day) = self.body.at().date();
        format!("records/{year:04}/{month:02}/{day:02}/{}.json", self.id)
    }
}

impl Body {
    /// What kind of record this is.
    pub fn record_type(&self) -> RecordType {
        match self {
            Body::Approval(_) => RecordType::Approval,
            Body::Rejection(_) => RecordType::Rejection,
            Body::Withdrawal(_) => RecordType::Withdrawal,
            Body::Run(_) => RecordType::Run,
            Body::Waiver(_) => RecordType::Waiver,
            Body::Preview(_) => RecordType::Preview,
            Body::Attribution(_) => RecordType::Attribution,
            Body::Verdict(_) => RecordType::Verdict,
        }
    }

    /// Who signed, for the types that this version judges.
    pub fn signer(&self) -> Option<&Signer> {
        match self {
            Body::Approval(it) | Body::Rejection(it) => Some(&it.by),
            Body::Withdrawal(it) => Some(&it.by),
            Body::Run(it) => Some(&it.by),
            Body::Waiver(it) => Some(&it.by),
            Body::Preview(it) => Some(&it.by),
            Body::Attribution(_) | Body::Verdict(_) => None,
        }
    }

    /// When it was made, as the record claims. A predicate kept as it stands
    /// carries it as `at`; the epoch if it does not.
    pub fn at(&self) -> Timestamp {
        match self {
            Body::Approval(it) | Body::Rejection(it) => it.by.at,
            Body::Withdrawal(it) => it.by.at,
            Body::Run(it) => it.by.at,
            Body::Waiver(it) => it.by.at,
            Body::Preview(it) => it.by.at,
            Body::Attribution(it) => it.at().unwrap_or(Timestamp(0)),
            Body::Verdict(it) => it
                .get("at")
                .and_then(serde_json::Value::as_str)
                .and_then(Timestamp::parse)
                .unwrap_or(Timestamp(0)),
        }
    }

    /// The content that a judgement or a waiver is about.
    pub fn content(&self) -> Option<&Content> {
        match self {
            Body::Approval(it) | Body::Rejection(it) => Some(&it.content),
            Body::Waiver(it) => Some(&it.content),
            Body::Withdrawal(_)
            | Body::Run(_)
            | Body::Preview(_)
            | Body::Attribution(_)
            | Body::Verdict(_) => None,
        }
    }
}

/// What a person says about exact content: an approval or a rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub content: Content,
    /// Rules that it is meant for; empty: all.
    pub rules: Vec<String>,
    pub shown: Shown,
    pub by: Signer,
    pub note: Option<String>,
}

/// The exact content that a record is about, and where it is to land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub repo: String,
    /// A full ref name.
    pub target: String,
    pub base: Oid,
    pub head: Oid,
    pub head_tree: Oid,
    /// Sorted by path, every file of the net change.
    pub files: Vec<FileDelta>,
}

/// One file's change, by content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileDelta {
    pub path: RepoPath,
    pub old: Option<Side>,
    pub new: Option<Side>,
}

/// One side of a [`FileDelta`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// git's mode.
    pub mode: u32,
    pub oid: Oid,
    /// SHA-256 of the blob's bytes; only on the new side, and `None` there for submodules.
    pub sha256: Option<String>,
}

/// What the signer was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub assisted: bool,
    pub added: u64,
    pub assisted_added: u64,
    pub agents: Vec<String>,
    /// Ids of run records.
    pub runs: Vec<String>,
    /// Ids of preview records.
    pub previews: Vec<String>,
    /// SHA-256 of the policy's bytes; `None` for the built-in policy.
    pub policy: Option<String>,
}

/// Who signed, as the record claims; the key alone decides who it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The name in the policy, if the key had one when it signed.
    pub who: Option<String>,
    /// `SHA256:…`; `None` for unsigned records.
    pub key: Option<String>,
    pub at: Timestamp,
    /// The ledger's tip that the signer saw.
    pub ledger: Option<Oid>,
    /// 128 random bits, in hexadecimal.
    pub nonce: String,
}

/// Takes a record back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    pub repo: String,
    pub record: String,
    pub reason: Option<String>,
    pub by: Signer,
}

/// A dated exception to one rule for exact content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    pub content: Content,
    pub rule: String,
    pub reason: String,
    pub expires: Timestamp,
    pub by: Signer,
}

/// One execution of a required test (in-toto `test-result/v0.1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub repo: Option<String>,
    /// The `[test.…]` table's name.
    pub test: String,
    /// What the result depends on as far as repository and policy tell: see `gate::run::key`.
    pub key: String,
    pub commit: Oid,
    pub tree: Oid,
    pub passed: bool,
    /// Exit status; `None`: killed or timed out.
    pub exit: Option<i32>,
    /// One line: `12 tests passed`, `timed out after 10m`.
    pub summary: String,
    /// Whole milliseconds.
    pub duration_ms: u64,
    pub argv: Vec<String>,
    /// Names and SHA-256 of the values of the environment that the command saw.
    pub environment: Vec<(String, String)>,
    /// `linux x86_64`.
    pub platform: String,
    pub client: String,
    /// SHA-256 of the policy's bytes.
    pub policy: Option<String>,
    /// The commit of a merge's result that was tested, where it is not `commit`.
    pub merged: Option<Box<Oid>>,
    /// The packages that it ran for; empty: for all there are.
    pub packages: Vec<String>,
    /// How the attempts before the one that decided ended; empty: it was the first.
    pub retried: Vec<String>,
    /// What the command was kept away from.
    pub sandbox: Box<Sandbox>,
    /// From the JUnit report, if the policy names one.
    pub tests: Option<TestCounts>,
    /// From the coverage reports, if the policy names any; what could not be read says why.
    pub coverage: Option<Answer<Measured>>,
    /// Whether it notices the assisted lines, if the policy asks.
    pub proof: Option<Box<Proof>>,
    pub by: Signer,
}

/// What was in force while a command ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Whether it could reach a network beyond its own loopback device, as far as we did not prevent it.
    pub network: bool,
    /// The words in front of it.
    pub wrap: Vec<String>,
}

impl Default for Sandbox {
    /// None.
    fn default() -> Sandbox {
        Sandbox { network: true, wrap: Vec::new() }
    }
}

/// A dry run of infrastructure code at one tree. It holds no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewRecord {
    pub repo: Option<String>,
    /// The `[preview.…]` table's name.
    pub name: String,
    /// Digest of the table's own definition: see `gate::run::preview_definition`.
    pub definition: String,
    pub engine: String,
    pub commit: Oid,
    pub tree: Oid,
    /// SHA-256 of the engine's own plan, if there was a file of it.
    pub plan: Option<String>,
    /// SHA-256 of the plan's JSON.
    pub json: String,
    /// The plan was made elsewhere; whoever signed says that it is of this tree.
    pub imported: bool,
    /// The sources in the engine's own plan, which are those of the tree; `None`: there was no such plan.
    pub sources: Option<Sources>,
    pub preview: Preview,
    pub client: String,
    /// SHA-256 of the policy's bytes.
    pub policy: Option<String>,
    pub by: Signer,
}

/// What a JUnit report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestCounts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Names of failed tests, the first fifty.
    pub failures: Vec<String>,
}

/// What cryptography says of a record's signature. Whose key it is, the gate decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureState {
    Unsigned,
    Good(SshSignature),
    /// There is a signature, and it does not hold; the reason.
    Bad(String),
}

/// A good SSHSIG (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSignature {
    /// `SHA256:…`
    pub fingerprint: String,
    /// The flags byte that a security key signed; `None` for plain keys.
    pub flags: Option<u8>,
    /// The certificate that came with the signature in place of a bare key:
    /// then the key counts on its authority's word alone.
    pub certificate: Option<Certificate>,
}

impl SshSignature {
    /// The same, where what it signed was accepted at this time: see [`Certificate::accepted`].
    pub fn accepted_at(mut self, time: Timestamp) -> SshSignature {
        if let Some(certificate) = &mut self.certificate {
            certificate.accepted = Some(time);
        }
        self
    }
}

/// What an OpenSSH certificate says of the key that it is for; its authority's
/// signature holds, it is a user's, and it has no critical option
/// (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.certkeys>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The authority's fingerprint, `SHA256:…`.
    pub authority: String,
    /// Whom it is for: addresses. Never empty.
    pub principals: Vec<String>,
    /// Valid from here on, this second included.
    pub valid_after: Timestamp,
    /// Valid before, this second not included.
    pub valid_before: Timestamp,
    /// When what it signed stood in the ledger at the latest, or was at hand
    /// here and not in the ledger yet; `None`: that was not looked at.
    pub accepted: Option<Timestamp>,
}
