//! What was judged: this machine's own list, and the verdicts in the ledger;
//! and what was waived.

use serde_json::{Value, json};

use crate::adapters::ledger::Wanted;
use crate::gate::approval::{signer, withdrawn};
use crate::gate::audit;
use crate::gate::order;
use crate::gate::policy::Policy;
use crate::gate::record::{Body, SignedRecord, Waiver};
use crate::gate::time::Timestamp;

use super::Error;
use super::judgement::Judgement;
use super::publish::ledger;
use super::trusted::{Trusted, Vantage};
use super::world::World;

/// Notes a judgement on this machine. `by` is the job: `check`, `pre-push`. It
/// is a convenience and no evidence, so that a place that cannot be written
/// costs only the line.
pub fn note(world: &World, judgement: &Judgement, by: &str) {
    let ledger = judgement.evidence.ledger.as_ref().ok().and_then(|it| it.shared.as_ref());
    let line = audit::predicate(&judgement.case(), &judgement.verdict, by, ledger).to_string();
    world.store.log(&line).ok();
}

/// The latest entries, newest first: predicates of verdict records, see
/// [`audit::predicate`]. Those of the ledger carry its record's `id`. Waivers
/// stand among them, `"type": "waiver"`, and those in force before all others,
/// whatever the limit.
pub fn entries(world: &World, limit: usize) -> Result<Vec<Value>, Error> {
    let lines = world.store.last_log_lines(limit)?;
    let mut entries: Vec<Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let trusted = Trusted::read(world, None, Vantage::Commit)?;
    let records = ledger(world, &trusted).read(&Wanted::All)?.records;
    let mut in_force = Vec::new();
    for (waiver, stands) in waivers(&trusted.policy, &records, world.env.now) {
        if stands { in_force.push(waiver) } else { entries.push(waiver) }
    }
    for signed in records {
        match signed.record.body {
            Body::Verdict(mut predicate) if predicate.is_object() => {
                predicate["id"] = Value::from(signed.record.id);
                entries.push(predicate);
            }
            Body::Verdict(_)
            | Body::Approval(_)
            | Body::Rejection(_)
            | Body::Withdrawal(_)
            | Body::Run(_)
            | Body::Waiver(_)
            | Body::Preview(_)
            | Body::Attribution(_) => {}
        }
    }
    // Times are RFC 3339 in UTC, so that their texts sort as they do.
    order::sort_by(&mut entries, |one, other| text(other, "at").cmp(text(one, "at")));
    entries.truncate(limit);
    in_force.extend(entries);
    Ok(in_force)
}

/// The waivers that a person of the policy signed, each with whether it is
/// still in force.
fn waivers(policy: &Policy, records: &[SignedRecord], now: Timestamp) -> Vec<(Value, bool)> {
    let cuts = Default::default();
    let taken_back = withdrawn(records, policy, &cuts);
    let entry = |signed: &SignedRecord, waiver: &Waiver| {
        let person = signer(signed, policy, &cuts).ok()?;
        let table = policy.waiver.as_ref()?;
        let until = waiver.expires.min(waiver.by.at.plus(table.max));
        let may = table.from.iter().any(|group| policy.is_member(&person.name, group));
        let in_force = may && now <= until && !taken_back.contains(&signed.record.id);
        let value = json!({
            "type": "waiver",
            "id": signed.record.id,
            "at": waiver.by.at.to_string(),
            "by": person.name,
            "rule": waiver.rule,
            "reason": waiver.reason,
            "until": until.to_string(),
            "in_force": in_force,
            "commit": waiver.content.head.as_str(),
            "base": waiver.content.base.as_str(),
            "target": waiver.content.target,
            "files": waiver.content.files.len(),
        });
        Some((value, in_force))
    };
    records
        .iter()
        .filter_map(|signed| match &signed.record.body {
            Body::Waiver(waiver) => entry(signed, waiver),
            Body::Approval(_)
            | Body::Rejection(_)
            | Body::Withdrawal(_)
            | Body::Run(_)
            | Body::Preview(_)
            | Body::Attribution(_)
            | Body::Verdict(_) => None,
        })
        .collect()
}

/// A field of an entry, or nothing.
pub fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}
