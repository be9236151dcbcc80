//! Dated, signed exceptions to one rule for exact content.

use super::Outcome;
use super::approvals::Prepared;
use crate::gate::approval::{Situation, bound, counts_whole, human, signer};
use crate::gate::change::printable;
use crate::gate::evidence::Evidence;
use crate::gate::obligation::{Case, Obligation, POLICY_CHANGE};
use crate::gate::policy::WaiverRule;
use crate::gate::record::{Body, SignedRecord, Waiver};
use crate::gate::verdict::{Code, State};

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
    let (Some(rule), Ok(ledger)) = (&case.policy.waiver, &evidence.ledger) else { return };
    let unwaivable = obligation.rule.deny || obligation.rule.id == POLICY_CHANGE;
    if unwaivable || rule.never.contains(&obligation.rule.id) {
        return;
    }
    let situation = prepared.situation(case, evidence);
    for signed in &ledger.records {
        let Body::Waiver(waiver) = &signed.record.body else { continue };
        let Some(person) = in_force(case, obligation, rule, signed, waiver, &situation) else {
            continue;
        };
        let own = if situation.involved.names().contains(person.as_str()) {
            "self-waived"
        } else {
            "waived"
        };
        *outcome = Outcome {
            state: State::Waived,
            code: Code::WaiverInForce,
            detail: format!(
                "{own} by {person} until {}: {}",
                waiver.expires,
                printable(&waiver.reason)
            ),
            next: None,
            people: Vec::new(),
        };
        return;
    }
}

/// The person whose waiver is in force for this obligation.
fn in_force(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rule: &WaiverRule,
    signed: &SignedRecord,
    waiver: &Waiver,
    situation: &Situation<'_>,
) -> Option<String> {
    let person = signer(signed, case.policy, situation.ledger_cuts).ok()?;
    human(person).ok()?;
    bound(&waiver.content, situation).ok()?;
    let longest = waiver.by.at.plus(rule.max);
    let in_scope = |path: &crate::gate::change::RepoPath| obligation.covers(path, case.policy);
    let covered = || {
        obligation
            .files
            .iter()
            .all(|file| waiver.content.files.iter().any(|it| it.path == file.path))
            && counts_whole(&waiver.content, in_scope, situation.deltas, situation.standing).is_ok()
    };
    let holds = waiver.rule == obligation.rule.id
        && rule.from.iter().any(|group| case.policy.is_member(&person.name, group))
        && !situation.withdrawn.contains(&signed.record.id)
        && case.now <= waiver.expires.min(longest)
        && waiver.by.at <= case.now.plus(std::time::Duration::from_secs(600))
        && covered();
    holds.then(|| person.name.clone())
}
