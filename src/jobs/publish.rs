//! Publishing records that wait on this machine, after a push was judged.

use crate::adapters::ledger::Ledger;
use crate::gate::policy::Policy;

use super::Error;
use super::pre_push::JudgedPush;
use super::trusted::Trusted;
use super::world::World;

/// The ledger that the trusted policy names, shared through the trusted remote.
pub fn ledger<'a>(world: &'a World, trusted: &Trusted) -> Ledger<'a> {
    ledger_of(world, &trusted.policy, trusted.remote.as_deref())
}

/// The same, where only the policy and the remote are known.
pub fn ledger_of<'a>(world: &'a World, policy: &Policy, remote: Option<&str>) -> Ledger<'a> {
    Ledger::new(&world.git, &world.store, &policy.trust.ledger, remote)
}

/// Publishes what waits, as part of a push to the trusted remote, whether or
/// not that push is blocked. Nothing is published where no policy stands,
/// unless git config `countersign.publish` says so. What could not be published
/// is a warning: where it is needed it is missing evidence anyway.
pub fn from_hook(world: &World, judged: &JudgedPush) -> Vec<String> {
    match publish(world, judged) {
        Ok(()) => Vec::new(),
        Err(error) => {
            vec![format!("the records of this clone were not published: {}", error.chain())]
        }
    }
}

fn publish(world: &World, judged: &JudgedPush) -> Result<(), Error> {
    let wanted = world.git.config()?.bool("countersign.publish")?.unwrap_or(false);
    if !judged.is_trusted || (judged.trusted.absent && !wanted) {
        return Ok(());
    }
    let ledger = ledger(world, &judged.trusted);
    // A push of the ledger itself, ours or the person's, needs no second one.
    if judged.refs.iter().any(|it| it.name == judged.trusted.policy.trust.ledger)
        || ledger.pending_count()? == 0
    {
        return Ok(());
    }
    ledger.sync(world.env.now)?;
    Ok(())
}
