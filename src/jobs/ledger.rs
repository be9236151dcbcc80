//! Synchronises, verifies and shows the shared records.

use crate::adapters::ledger::{Found, Ledger, Wanted};
use crate::gate::evidence::LedgerView;
use crate::gate::order;

use super::Error;
use super::publish::ledger;
use super::trusted::{Trusted, Vantage};
use super::world::World;

pub use crate::adapters::ledger::{Synced, Verification};

/// The ledger that the trusted policy names, without a trusted policy the usual one.
fn with_ledger<T>(
    world: &World,
    remote: Option<&str>,
    run: impl FnOnce(&Ledger<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut trusted = Trusted::read(world, None, Vantage::Clone)?;
    if let Some(remote) = remote {
        let known = world.git.config()?.subsections("remote", "url");
        if !known.contains(&remote) {
            let remote = crate::gate::change::printable(remote);
            return Err(Error::usage(format!("there is no remote `{remote}`"))
                .hint("`git remote -v` lists the remotes"));
        }
        trusted.remote = Some(remote.to_owned());
    }
    run(&ledger(world, &trusted))
}

/// Fetches the shared records and publishes this clone's own.
pub fn sync(world: &World, remote: Option<&str>) -> Result<Synced, Error> {
    with_ledger(world, remote, |ledger| Ok(ledger.sync(world.env.now)?))
}

/// Returns the trailer by which a commit names the ledger as everybody has it
/// now, so that a clone which never saw it notices one that was cut off.
pub fn anchor(world: &World) -> Result<String, Error> {
    let shared = with_ledger(world, None, |ledger| Ok(ledger.shared_tip()?))?;
    match shared {
        Some(tip) => Ok(format!("{}: {tip}", super::anchors::KEY)),
        None => Err(Error::usage("there is no shared ledger that a commit could name")
            .hint("`countersign ledger sync` fetches it, or begins it")),
    }
}

/// Verifies growth, ids, canonical form and signatures of every record.
pub fn verify(world: &World) -> Result<Verification, Error> {
    with_ledger(world, None, |ledger| Ok(ledger.verify()?))
}

/// Finds one record by the beginning of its id.
pub fn show(world: &World, id: &str) -> Result<Found, Error> {
    with_ledger(world, None, |ledger| Ok(ledger.find(id)?))
}

/// Lists all records, newest first.
pub fn list(world: &World) -> Result<LedgerView, Error> {
    with_ledger(world, None, |ledger| {
        let mut view = ledger.read(&Wanted::All)?;
        order::sort_by_key(&mut view.records, |signed| std::cmp::Reverse(signed.record.body.at()));
        Ok(view)
    })
}
