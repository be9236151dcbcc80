//! Whose sign-off counts, for which rule, over which exact content.
//!
//! Every record that does not count has a [`Reason`], because "why does my
//! approval not count" is what people ask most.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, Entry, Oid, RepoPath, printable};
use super::evidence::{Answer, Bounds};
use super::policy::{ApprovalRule, Carry, Person, PersonKind, Policy, Presence};
use super::record::{
    Body, Content, FileDelta, Judgement, SignatureState, SignedRecord, SshSignature,
};
use super::time::Timestamp;

mod carry;
mod content;
mod people;
mod signatory;
#[cfg(test)]
mod tests;

pub use carry::{Obstacle, Proofs, attribute_folders, landed, question, unmoved};
pub use content::{Cover, counts_whole, covers, delta};
pub use people::{Involved, Part, involved, unproven_author};
pub use signatory::{grants, in_force, present, revocations, signatory, unknown};

/// How far a signer's clock may be ahead of ours, in seconds, before `max_age`
/// stops believing it.
const CLOCK_SKEW: i64 = 600;

/// What approvals are judged against: the change, where it lands, and what
/// the outside world answered.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub policy: &'a Policy,
    /// The full ref name on which the change lands.
    pub target: &'a str,
    pub change: &'a Change,
    /// The change's files, see [`delta`].
    pub deltas: &'a [FileDelta],
    /// What stands on the target's tip, at the paths that approvals list
    /// beyond the change.
    pub standing: &'a BTreeMap<RepoPath, Answer<Option<Entry>>>,
    /// What carries, and what is spent.
    pub proofs: Proofs<'a>,
    /// Ids of the records that stood in the ledger at a commit.
    pub ledger_cuts: &'a BTreeMap<Oid, Answer<BTreeSet<String>>>,
    /// Who had a part in the change, see [`involved`].
    pub involved: &'a Involved,
    /// See [`withdrawn`].
    pub withdrawn: &'a BTreeSet<String>,
    /// What the ledger's history says of the records' times.
    pub times: &'a Answer<BTreeMap<String, Bounds>>,
    pub now: Timestamp,
}

/// One entry of a rule's `require.approvals`.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub rule: &'a str,
    pub approval: &'a ApprovalRule,
}

/// An approval that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The record's id.
    pub record: String,
    /// The person's name in the policy: people are counted, never keys.
    pub person: String,
    /// The files of the change, under the rule's paths, that it covers.
    pub files: Vec<RepoPath>,
    /// Those of them that are not as they were approved: the approved change
    /// merges cleanly into what they were before, and gives what they are.
    pub carried: Vec<RepoPath>,
    /// The person had a part in the change, and `trust.solo` lets that stand.
    /// Its word is "self-attested", never "reviewed".
    pub self_attested: bool,
    /// Signed with a plain key: a soft proof of a human.
    pub plain_key: bool,
}

/// A rejection that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub record: String,
    pub person: String,
    /// The files of the change that are still as they were rejected.
    pub files: Vec<RepoPath>,
    pub note: Option<String>,
}

/// Why a record does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("it is not signed")]
    Unsigned,
    #[error("its signature does not hold: {0}")]
    BadSignature(String),
    #[error("the record names the key {}, but {signed} signed it", printable(.claimed))]
    OtherKey { claimed: String, signed: String },
    #[error("the key {0} belongs to nobody in the trusted policy")]
    UnknownKey(String),
    #[error(
        "its certificate, for `{principals}` by the authority {authority}, is nobody's in the trusted policy"
    )]
    UnknownCertificate { authority: String, principals: String },
    #[error("its certificate is valid from {since} on, and it is of {at}")]
    CertificateEarly { since: Timestamp, at: Timestamp },
    #[error("its certificate was valid until {until}, and it is of {at}")]
    CertificateOver { until: Timestamp, at: Timestamp },
    #[error("its certificate lasts for a while, and when it was made was not looked at")]
    CertificateTime,
    #[error("the key {0} is revoked")]
    Revoked(String),
    #[error("the key {key} is revoked, and the record was not in the ledger at {after}")]
    RevokedBefore { key: String, after: Oid },
    #[error("the key {key} is revoked after {after}, and the ledger there cannot be read: {why}")]
    CutUnreadable { key: String, after: Oid, why: String },
    #[error("{person} is {kind}; only humans can approve")]
    NotHuman { person: String, kind: &'static str },
    #[error("the policy has no `repo_id`, so no record can be bound to this repository")]
    NoRepositoryId,
    #[error("it is for the repository `{}`", printable(.0))]
    OtherRepository(String),
    #[error("it is for {}", printable(.0))]
    OtherTarget(String),
    #[error("it was withdrawn")]
    Withdrawn,
    #[error("it is for the rule `{}`", printable(&.0.join("`, `")))]
    OtherRules(Vec<String>),
    #[error("{person} is not in {from}")]
    NotAsked { person: String, from: String },
    #[error("it is signed without {0}")]
    NoPresence(&'static str),
    #[error("it is from {made}, older than the rule allows")]
    Expired { made: Timestamp },
    #[error("its age cannot be told: {0}")]
    AgeUnknown(String),
    #[error("it says that it was made at {0}, which is yet to come")]
    Future(Timestamp),
    #[error("{person} is {part}")]
    Involved { person: String, part: Part },
    #[error("`{path}` is not as it was approved")]
    ContentDiffers { path: String },
    #[error("`{path}` is not as it was approved: {obstacle}")]
    NotCarried { path: String, obstacle: Obstacle },
    #[error(
        "`{path}` stood on the target as it was approved until {} changed it again: the approval is spent",
        .by.short()
    )]
    Spent { path: String, by: Oid },
    #[error("whether `{path}` landed before and was taken back cannot be told: {why}")]
    HistoryUnreadable { path: String, why: String },
    #[error("`{path}` was approved with it, and is neither in the change nor on the target")]
    PartMissing { path: String },
    #[error("`{path}` was approved with it, and the target cannot be read: {why}")]
    TargetUnreadable { path: String, why: String },
    #[error("it covers none of the rule's files in this change")]
    CoversNothing,
    #[error("the rule lets no approval outlive a rewrite, and it is for the commit {0}")]
    OtherHead(Oid),
}

/// Judges whether an approval counts for what a rule asks, and for which
/// files. `in_scope` says whether a path is one of the rule's.
pub fn count(
    signed: &SignedRecord,
    judgement: &Judgement,
    asked: &Asked,
    situation: &Situation,
    in_scope: impl Fn(&RepoPath) -> bool,
) -> Result<Counted, Reason> {
    if let Some(reason) = reject_reason(signed, judgement, asked, situation) {
        return Err(reason);
    }
    let person = signer(signed, situation.policy, situation.ledger_cuts)?;
    let covered = standing_files(judgement, asked.approval.carry, situation, in_scope)?;
    if covered.is_empty() {
        return Err(Reason::CoversNothing);
    }
    let carried = covered.iter().filter(|(_, cover)| *cover == Cover::Carried);
    Ok(Counted {
        record: signed.record.id.clone(),
        person: person.name.clone(),
        carried: carried.map(|(path, _)| path.clone()).collect(),
        files: covered.into_iter().map(|(path, _)| path).collect(),
        self_attested: part_of(signed, judgement, &person.name, situation).is_some(),
        plain_key: matches!(&signed.signature, SignatureState::Good(it) if it.flags.is_none()),
    })
}

/// Returns the files of the change that an approval covers as the whole that
/// it was, and how; refused where a part of it is missing, differs, or is
/// spent.
pub fn standing_files(
    judgement: &Judgement,
    carry: Carry,
    situation: &Situation,
    in_scope: impl Fn(&RepoPath) -> bool,
) -> Result<Vec<(RepoPath, Cover)>, Reason> {
    let carries = carries(carry);
    let proofs = carries.then_some(&situation.proofs);
    let (content, deltas) = (&judgement.content, situation.deltas);
    let covered = content::whole(content, in_scope, deltas, situation.standing, proofs)?;
    for (file, _) in &covered {
        carry::unspent(file, &content.base, carries, &situation.proofs)?;
    }
    Ok(covered.into_iter().map(|(file, cover)| (file.path.clone(), cover)).collect())
}

/// Returns how what was approved of one file, in a change that began at
/// `base`, covers what the file is now, or why it does not, whatever became of
/// the other files that were approved with it.
pub fn file_cover(
    approved: &FileDelta,
    base: &Oid,
    carry: Carry,
    situation: &Situation,
) -> Result<Cover, Reason> {
    let path = || approved.path.to_display();
    let place = situation.deltas.binary_search_by(|now| now.path.cmp(&approved.path));
    let Ok(place) = place else { return Err(Reason::ContentDiffers { path: path() }) };
    let now = &situation.deltas[place];
    let proofs = carries(carry).then_some(&situation.proofs);
    let cover = content::cover(approved, now, proofs).map_err(|obstacle| match obstacle {
        Some(obstacle) => Reason::NotCarried { path: path(), obstacle },
        None => Reason::ContentDiffers { path: path() },
    })?;
    carry::unspent(approved, base, carries(carry), &situation.proofs)?;
    Ok(cover)
}

fn carries(carry: Carry) -> bool {
    match carry {
        Carry::CleanMerge => true,
        Carry::Exact | Carry::Never => false,
    }
}

/// Returns why a judgement does not count for what a rule asks, whatever
/// content it covers: who signed it, with what, when, for where.
pub fn reject_reason(
    signed: &SignedRecord,
    judgement: &Judgement,
    asked: &Asked,
    situation: &Situation,
) -> Option<Reason> {
    refuse(signed, judgement, asked, situation).err()
}

fn refuse(
    signed: &SignedRecord,
    judgement: &Judgement,
    asked: &Asked,
    situation: &Situation,
) -> Result<(), Reason> {
    let person = signer(signed, situation.policy, situation.ledger_cuts)?;
    human(person)?;
    bound(&judgement.content, situation)?;
    if situation.withdrawn.contains(&signed.record.id) {
        return Err(Reason::Withdrawn);
    }
    if !judgement.rules.is_empty() && !judgement.rules.iter().any(|rule| rule == asked.rule) {
        return Err(Reason::OtherRules(judgement.rules.clone()));
    }
    let from = &asked.approval.from;
    if !situation.policy.humans(from).contains(person.name.as_str()) {
        return Err(Reason::NotAsked { person: person.name.clone(), from: from.join(", ") });
    }
    present(good_signature(signed)?, situation.policy, asked.approval.presence)?;
    young_enough(signed, judgement.by.at, asked.approval, situation)?;
    if asked.approval.carry == Carry::Never && judgement.content.head != situation.change.head {
        return Err(Reason::OtherHead(judgement.content.head.clone()));
    }
    match part_of(signed, judgement, &person.name, situation) {
        Some(part) if !is_solo(situation.policy, &person.name) => {
            Err(Reason::Involved { person: person.name.clone(), part })
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the person whose key made the record's signature: the key alone
/// decides, by the trusted policy, and a revoked key by ledger position only,
/// never by the signer's clock.
pub fn signer<'p>(
    signed: &SignedRecord,
    policy: &'p Policy,
    ledger_cuts: &BTreeMap<Oid, Answer<BTreeSet<String>>>,
) -> Result<&'p Person, Reason> {
    let signature = good_signature(signed)?;
    let (person, _) = signatory(policy, signature).ok_or_else(|| unknown(signature))?;
    in_force(signature, Some(signed.record.body.at()))?;
    for revoked in revocations(policy, signature) {
        let key = revoked.key.clone();
        let Some(after) = revoked.after.clone() else { return Err(Reason::Revoked(key)) };
        match ledger_cuts.get(&after) {
            Some(Ok(records)) if records.contains(&signed.record.id) => {}
            Some(Ok(_)) => return Err(Reason::RevokedBefore { key, after }),
            Some(Err(why)) => {
                return Err(Reason::CutUnreadable { key, after, why: why.clone() });
            }
            None => {
                let why = "it was not asked for".to_owned();
                return Err(Reason::CutUnreadable { key, after, why });
            }
        }
    }
    Ok(person)
}

/// Whether the record's signature is a person's that may allow something.
fn counts(
    signed: &SignedRecord,
    policy: &Policy,
    ledger_cuts: &BTreeMap<Oid, Answer<BTreeSet<String>>>,
) -> Result<(), Reason> {
    signer(signed, policy, ledger_cuts)?;
    present(good_signature(signed)?, policy, Presence::None)
}

/// Returns the ids of the records that were taken back by the person who made
/// them. What restricts (a rejection) is lifted only by a key that counts;
/// what allows falls by any key of that person, a revoked one too.
pub fn withdrawn(
    records: &[SignedRecord],
    policy: &Policy,
    ledger_cuts: &BTreeMap<Oid, Answer<BTreeSet<String>>>,
) -> BTreeSet<String> {
    let mut candidates: BTreeMap<&str, Vec<&SignedRecord>> = BTreeMap::new();
    for signed in records {
        if let Body::Withdrawal(withdrawal) = &signed.record.body
            && Some(&withdrawal.repo) == policy.trust.repo_id.as_ref()
        {
            candidates.entry(&withdrawal.record).or_default().push(signed);
        }
    }
    let owner = |signed: &SignedRecord| {
        let signature = good_signature(signed).ok()?;
        signatory(policy, signature).map(|(person, _)| &person.name)
    };
    let mut ids = BTreeSet::new();
    for signed in records {
        let restricts = matches!(signed.record.body, Body::Rejection(_));
        let taken_back = candidates.get(signed.record.id.as_str()).is_some_and(|withdrawals| {
            withdrawals.iter().any(|withdrawal| {
                owner(withdrawal).is_some()
                    && owner(withdrawal) == owner(signed)
                    && (!restricts || counts(withdrawal, policy, ledger_cuts).is_ok())
            })
        });
        if taken_back {
            ids.insert(signed.record.id.clone());
        }
    }
    ids
}

/// Returns the rejections that stand: by a human of the policy, for this
/// repository and target, with a file of the change still as it was rejected,
/// and not followed by the same person's approval of that file.
pub fn rejections(records: &[SignedRecord], situation: &Situation) -> Vec<Rejected> {
    records.iter().filter_map(|signed| rejection(signed, records, situation)).collect()
}

fn rejection(
    signed: &SignedRecord,
    records: &[SignedRecord],
    situation: &Situation,
) -> Option<Rejected> {
    let Body::Rejection(judgement) = &signed.record.body else { return None };
    let person = standing_signer(signed, judgement, situation)?;
    // What restricts outlives a rewrite as what allows does, whatever a rule says of carrying.
    let covered = |judgement: &Judgement| {
        let (content, proofs) = (&judgement.content, Some(&situation.proofs));
        content::covered_files(content, situation.deltas, proofs, |_| true)
    };
    let mut files = covered(judgement);
    for later in records {
        if let Body::Approval(approval) = &later.record.body
            && approval.by.at > judgement.by.at
            && standing_signer(later, approval, situation).is_some_and(|it| it.name == person.name)
        {
            let approved = covered(approval);
            files.retain(|path| !approved.contains(path));
        }
    }
    (!files.is_empty()).then(|| Rejected {
        record: signed.record.id.clone(),
        person: person.name.clone(),
        files,
        note: judgement.note.clone(),
    })
}

fn standing_signer<'a>(
    signed: &SignedRecord,
    judgement: &Judgement,
    situation: &Situation<'a>,
) -> Option<&'a Person> {
    let person = signer(signed, situation.policy, situation.ledger_cuts).ok()?;
    human(person).ok()?;
    bound(&judgement.content, situation).ok()?;
    (!situation.withdrawn.contains(&signed.record.id)).then_some(person)
}

/// Whether a record about this content is for this repository and target.
pub fn bound(content: &Content, situation: &Situation) -> Result<(), Reason> {
    bound_to(content, situation.policy, situation.target)
}

/// The same, where there is no situation yet.
pub fn bound_to(content: &Content, policy: &Policy, target: &str) -> Result<(), Reason> {
    match &policy.trust.repo_id {
        None => Err(Reason::NoRepositoryId),
        Some(repo) if *repo != content.repo => Err(Reason::OtherRepository(content.repo.clone())),
        Some(_) if content.target != target => Err(Reason::OtherTarget(content.target.clone())),
        Some(_) => Ok(()),
    }
}

/// Whether `trust.solo` lets this person approve their own change: only where
/// there is no other human.
pub fn is_solo(policy: &Policy, person: &str) -> bool {
    policy.trust.solo && policy.humans(&[]).iter().eq([&person])
}

/// Whether the person is a human.
pub fn human(person: &Person) -> Result<(), Reason> {
    let kind = match person.kind {
        PersonKind::Human => return Ok(()),
        PersonKind::Agent => "an agent",
        PersonKind::Service => "a service",
    };
    Err(Reason::NotHuman { person: person.name.clone(), kind })
}

/// The good signature over the record, whose key must be the one that the
/// record names.
fn good_signature(signed: &SignedRecord) -> Result<&SshSignature, Reason> {
    let signature = match &signed.signature {
        SignatureState::Unsigned => return Err(Reason::Unsigned),
        SignatureState::Bad(why) => return Err(Reason::BadSignature(why.clone())),
        SignatureState::Good(signature) => signature,
    };
    let claimed = signed.record.body.signer().and_then(|signer| signer.key.as_ref());
    match claimed {
        Some(claimed) if *claimed != signature.fingerprint => Err(Reason::OtherKey {
            claimed: claimed.clone(),
            signed: signature.fingerprint.clone(),
        }),
        Some(_) | None => Ok(signature),
    }
}

fn young_enough(
    signed: &SignedRecord,
    claimed: Timestamp,
    asked: &ApprovalRule,
    situation: &Situation,
) -> Result<(), Reason> {
    if asked.max_age.is_none() {
        return Ok(());
    }
    let made = made_at_the_latest(signed, claimed, situation.times, situation.now)?;
    let until = Policy::age_limit(made, asked.max_age);
    if until.is_some_and(|until| situation.now > until) {
        return Err(Reason::Expired { made });
    }
    Ok(())
}

/// When a record was made at the latest: as it claims, or before, where the
/// ledger held it before the claimed time. A signer's clock alone can make a
/// record older than it is, never younger.
pub fn made_at_the_latest(
    signed: &SignedRecord,
    claimed: Timestamp,
    times: &Answer<BTreeMap<String, Bounds>>,
    now: Timestamp,
) -> Result<Timestamp, Reason> {
    let times = times.as_ref().map_err(|why| Reason::AgeUnknown(why.clone()))?;
    let until = times.get(&signed.record.id).and_then(|bounds| bounds.until);
    let made = until.map_or(claimed, |until| until.min(claimed));
    if made.0 > now.0.saturating_add(CLOCK_SKEW) { Err(Reason::Future(made)) } else { Ok(made) }
}

/// The part that keeps this person's record from counting.
fn part_of(
    signed: &SignedRecord,
    judgement: &Judgement,
    person: &str,
    situation: &Situation,
) -> Option<Part> {
    // What it names of the ledger stood there before it: no clock set back makes it older.
    let bounds = situation.times.as_ref().ok().and_then(|times| times.get(&signed.record.id));
    let since = bounds.and_then(|bounds| bounds.since);
    let made = since.map_or(judgement.by.at, |since| since.max(judgement.by.at));
    let before = |commit: &Oid| approved_before(judgement, made, commit, situation.change);
    situation.involved.part(person, before)
}

/// Whether the judgement, made at `made` at the earliest, is older than a
/// commit: by that time, and because it was not made over that commit or one
/// after it.
fn approved_before(judgement: &Judgement, made: Timestamp, commit: &Oid, change: &Change) -> bool {
    let place = |id: &Oid| change.commits.iter().position(|it| it.id == *id);
    let Some(at) = place(commit) else { return false };
    let over_an_earlier_one = place(&judgement.content.head).is_none_or(|head| head < at);
    // Both clocks tell whole seconds: a rebase may follow in the same one.
    over_an_earlier_one && made.0 <= change.commits[at].committed
}
