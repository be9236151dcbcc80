//! What was judged: this machine's own list, and the verdicts in the ledger.

use serde_json::Value;

use crate::adapters::ledger::Wanted;
use crate::gate::audit;
use crate::gate::record::Body;

use super::Error;
use super::judgement::Judgement;
use super::publish::ledger;
use super::trusted::{Trusted, Vantage};
use super::world::World;

/// Notes a judgement on this machine. `by` is the job: `check`, `pre-push`. It
/// is a convenience and no evidence, so that a place that cannot be written
/// costs only the line.
pub fn note(world: &World, judgement: &Judgement, by: &str) {
    let line = audit::predicate(&judgement.case(), &judgement.verdict, by).to_string();
    world.store.log(&line).ok();
}

/// The latest entries, newest first: predicates of verdict records, see
/// [`audit::predicate`]. Those of the ledger carry its record's `id`.
pub fn entries(world: &World, limit: usize) -> Result<Vec<Value>, Error> {
    let lines = world.store.last_log_lines(limit)?;
    let mut entries: Vec<Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let trusted = Trusted::read(world, None, Vantage::Commit)?;
    for signed in ledger(world, &trusted).read(&Wanted::All)?.records {
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
    entries.sort_by(|one, other| text(other, "at").cmp(text(one, "at")));
    entries.truncate(limit);
    Ok(entries)
}

/// A field of an entry, or nothing.
pub fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}
