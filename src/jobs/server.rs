//! The server's side of a push: pre-receive decides, post-receive records.
//!
//! pre-receive runs no command of a policy and moves no ref; git forbids the
//! latter while the pushed objects are in quarantine.

use crate::adapters::git::parse_receive;
use crate::adapters::store::Unpublished;
use crate::gate::audit;
use crate::gate::obligation::POLICY_FILE;
use crate::gate::record::{Body, Record};

use super::pre_push::JudgedPush;
use super::publish::ledger;
use super::ref_update::{Receiver, RefUpdate};
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, ErrorKind};

/// Judges every protected ref of the push, and the ledger.
pub fn pre_receive(world: &World, input: &[u8]) -> Result<JudgedPush, Error> {
    judge(world, &updates(input)?)
}

/// Appends the verdicts of what was received. Returns warnings: the push is
/// done, and what cannot be appended now is kept and appended with the next one.
pub fn post_receive(world: &World, input: &[u8]) -> Result<Vec<String>, Error> {
    let judged = judge(world, &updates(input)?)?;
    if judged.trusted.absent {
        return Ok(Vec::new());
    }
    // Named for good: a ledger that does not contain it was cut off.
    let stands = match ledger(world, &judged.trusted).shared_tip() {
        Ok(tip) => tip,
        Err(error) => {
            let why = Error::from(error).chain();
            return Ok(vec![format!("the verdict was not recorded: {why}")]);
        }
    };
    let mut records = Vec::new();
    for judgement in judged.refs.iter().filter_map(|it| it.judgement.as_ref()) {
        let body = Body::Verdict(audit::predicate(
            &judgement.case(),
            &judgement.verdict,
            audit::POST_RECEIVE,
            stands.as_ref(),
        ));
        let (record, bytes) =
            Record::write(&body).map_err(|error| Error::new(ErrorKind::Internal, error))?;
        records.push(Unpublished { id: record.id, bytes, signature: None });
    }
    if records.is_empty() {
        return Ok(Vec::new());
    }
    match ledger(world, &judged.trusted).append(&records, world.env.now) {
        Ok(()) => Ok(Vec::new()),
        Err(error) => Ok(vec![format!(
            "the verdict was kept and not yet recorded: {}",
            Error::from(error).chain()
        )]),
    }
}

fn judge(world: &World, updates: &[RefUpdate]) -> Result<JudgedPush, Error> {
    let vantage = Vantage::Server { updates };
    let trusted = Trusted::read(world, None, vantage)?;
    if trusted.absent {
        refuse_lost_policy(world, &trusted)?;
    }
    let pusher = trusted.policy.trust.pusher_env.as_deref().and_then(|name| world.env.get(name));
    let receiver = Receiver {
        deferred: None,
        world,
        trusted: &trusted,
        vantage,
        is_trusted: true,
        remote: "origin",
        server: true,
        pusher,
    };
    let mut refs = Vec::new();
    for update in updates {
        refs.push(receiver.judge(update)?);
    }
    Ok(JudgedPush { mode: trusted.policy.mode, refs, is_trusted: true, trusted: trusted.clone() })
}

/// Where a policy has once stood, its absence decides nothing.
fn refuse_lost_policy(world: &World, trusted: &Trusted) -> Result<(), Error> {
    let Some(commit) = &trusted.commit else { return Ok(()) };
    if !world.git.was_ever_touched(commit, POLICY_FILE)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Policy,
        format!("the trusted ref once held {POLICY_FILE} and does not any more"),
    )
    .hint("an administrator of this repository has to restore it there"))
}

fn updates(input: &[u8]) -> Result<Vec<RefUpdate>, Error> {
    let lines = parse_receive(input)?;
    Ok(lines
        .into_iter()
        .map(|line| RefUpdate { name: line.reference, old: line.old, new: line.new })
        .collect())
}
