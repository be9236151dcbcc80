//! Dated, signed exceptions to one rule for exact content.

use super::Outcome;
use super::approvals::Prepared;
use crate::gate::approval::{Reason, Situation, bound, counts_whole, human, present, signer};
use crate::gate::change::{RepoPath, printable};
use crate::gate::debt::waived_at;
use crate::gate::evidence::Evidence;
use crate::gate::obligation::{Case, Obligation, POLICY_CHANGE};
use crate::gate::policy::{Presence, WaiverRule};
use crate::gate::record::{Body, SignatureState, SignedRecord, Waiver};
use crate::gate::time::{Timestamp, write_length};
use crate::gate::verdict::{Code, State};

/// A waiver that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The record's id.
    pub record: String,
    pub person: String,
    /// The person had a part in what they waive.
    pub own: bool,
    /// As signed, and no longer than the policy lets it last.
    pub until: Timestamp,
    pub reason: String,
}

/// Why a waiver lifts nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Record(#[from] Reason),
    #[error("{person} is not in {from}, who may waive")]
    NotAsked { person: String, from: String },
    #[error("it ran out at {0}")]
    Over(Timestamp),
    #[error("it lists not every file of the rule in this change")]
    Incomplete,
    #[error("the policy lets nobody waive this rule")]
    Never,
}

impl InForce {
    /// `self-waived by ana until …: the shop is down`
    pub fn describe(&self) -> String {
        let waived = if self.own { "self-waived" } else { "waived" };
        let InForce { person, until, .. } = self;
        format!("{waived} by {person} until {until}: {}", printable(&self.reason))
    }
}

/// Marks an unmet requirement as waived where a waiver is in force that covers
/// every file of the obligation. The guard of the policy itself stands
/// whatever the policy says of waivers.
pub fn apply(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    evidence: &Evidence,
    prepared: &Prepared,
    outcome: &mut Outcome,
) {
    // Of several, the one that lasts longest.
    let in_force = examine(case, obligation, evidence, prepared)
        .into_iter()
        .filter_map(|(_, result)| result.ok())
        .max_by_key(|it| it.until);
    let Some(waiver) = in_force else { return };
    let mut detail = waiver.describe();
    if let Some(length) = case.policy.waiver.as_ref().and_then(|it| it.review_within) {
        detail.push_str(&format!(" (to be reviewed within {})", write_length(length)));
    }
    *outcome = Outcome {
        state: State::Waived,
        code: Code::WaiverInForce,
        detail,
        next: None,
        people: Vec::new(),
    };
}

/// Every waiver of the rule about a file of the obligation, with what it is worth.
pub fn examine<'e>(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    evidence: &'e Evidence,
    prepared: &Prepared,
) -> Vec<(&'e SignedRecord, Result<InForce, Refused>)> {
    let Ok(ledger) = &evidence.ledger else { return Vec::new() };
    let situation = prepared.situation(case, evidence);
    let listed = |path: &RepoPath| obligation.files.iter().any(|file| file.path == *path);
    let mut examined = Vec::new();
    for signed in &ledger.records {
        let Body::Waiver(waiver) = &signed.record.body else { continue };
        if waiver.rule == obligation.rule.id
            && waiver.content.files.iter().any(|file| listed(&file.path))
        {
            let result = match &case.policy.waiver {
                Some(rule) => in_force(case, obligation, rule, signed, waiver, &situation),
                None => Err(Refused::Never),
            };
            examined.push((signed, result));
        }
    }
    examined
}

fn in_force(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rule: &WaiverRule,
    signed: &SignedRecord,
    waiver: &Waiver,
    situation: &Situation<'_>,
) -> Result<InForce, Refused> {
    let id = &obligation.rule.id;
    if obligation.rule.deny || *id == POLICY_CHANGE || rule.never.contains(id) {
        return Err(Refused::Never);
    }
    let person = signer(signed, case.policy, situation.ledger_cuts)?;
    human(person)?;
    if let SignatureState::Good(signature) = &signed.signature {
        present(signature, case.policy, Presence::None)?;
    }
    bound(&waiver.content, situation)?;
    if !rule.from.iter().any(|group| case.policy.is_member(&person.name, group)) {
        let from = rule.from.join(", ");
        return Err(Refused::NotAsked { person: person.name.clone(), from });
    }
    if situation.withdrawn.contains(&signed.record.id) {
        return Err(Reason::Withdrawn.into());
    }
    let until = waiver.expires.min(waived_at(signed, waiver, situation)?.plus(rule.max));
    if case.now > until {
        return Err(Refused::Over(until));
    }
    let lists = |path: &RepoPath| waiver.content.files.iter().any(|file| file.path == *path);
    if !obligation.files.iter().all(|file| lists(&file.path)) {
        return Err(Refused::Incomplete);
    }
    let in_scope = |path: &RepoPath| obligation.covers(path, case.policy);
    counts_whole(&waiver.content, in_scope, situation.deltas, situation.standing)?;
    Ok(InForce {
        record: signed.record.id.clone(),
        person: person.name.clone(),
        own: situation.involved.names().contains(person.name.as_str()),
        until,
        reason: waiver.reason.clone(),
    })
}
