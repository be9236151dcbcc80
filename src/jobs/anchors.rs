//! Commits that name a state of the ledger (`Countersign-Ledger: <commit>`), so
//! that even a clone that never saw the ledger before notices one that was
//! rolled back or cut off.

use crate::gate::change::Oid;
use crate::gate::evidence::Evidence;
use crate::gate::obligation::Case;
use crate::gate::policy::Stage;
use crate::gate::trailer;
use crate::gate::verdict::{Code, Finding};

use super::Error;
use super::trusted::{Trusted, fetch_command};
use super::world::World;

/// The trailer's key.
pub const KEY: &str = "Countersign-Ledger";

/// How many first-parent commits of the trusted ref are looked through for the
/// newest anchor.
const LOOKED_AT: usize = 500;

/// Returns what blocks: the anchors of the change, and the newest of the
/// target, that the ledger does not contain.
pub fn findings(
    world: &World,
    trusted: &Trusted,
    case: &Case<'_>,
    evidence: &Evidence,
) -> Result<Vec<Finding>, Error> {
    let Ok(ledger) = &evidence.ledger else { return Ok(Vec::new()) };
    if case.stage != Stage::Merge {
        return Ok(Vec::new());
    }
    let mut anchored: Vec<(Oid, Oid)> = case
        .change
        .commits
        .iter()
        .filter(|commit| trailer::may_hold(&commit.message, &[KEY]))
        .flat_map(|commit| anchors(&commit.message).map(|anchor| (commit.id.clone(), anchor)))
        .collect();
    // The ledger is one for all targets: the ref that holds the policy has been read already.
    if let Some(tip) = &trusted.commit {
        anchored.extend(newest(world, tip)?);
    }
    let mut findings = Vec::new();
    for (commit, anchor) in anchored {
        if let Some(why) = missing(world, ledger.tip.as_ref(), &anchor)? {
            let (commit, anchor) = (commit.short(), anchor.short());
            let message = format!(
                "the commit {commit} names the ledger at {anchor}, {why}: it was cut off, rolled back, or not fetched"
            );
            let mut finding = Finding::block(Code::LedgerAnchor, message);
            finding.next = Some(match &trusted.remote {
                Some(_) if world.git.layout().shallow => "git fetch --unshallow".to_owned(),
                Some(remote) => fetch_command(&world.git, &trusted.policy.trust.ledger, remote),
                None => "countersign ledger verify".to_owned(),
            });
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// The newest anchor of the target's history.
fn newest(world: &World, tip: &Oid) -> Result<Option<(Oid, Oid)>, Error> {
    let messages = world.git.newest_messages(tip, LOOKED_AT)?;
    let found = messages.into_iter().find_map(|(commit, message)| {
        let anchor =
            trailer::may_hold(&message, &[KEY]).then(|| anchors(&message).next_back())??;
        Some((commit, anchor))
    });
    Ok(found)
}

/// Why the ledger does not contain the anchor; `None` if it does.
fn missing(world: &World, tip: Option<&Oid>, anchor: &Oid) -> Result<Option<&'static str>, Error> {
    let Some(tip) = tip else { return Ok(Some("and there is no ledger here")) };
    if world.git.resolve_commit(anchor.as_str())?.is_none() {
        return Ok(Some("which is not here"));
    }
    let contains = world.git.is_ancestor(anchor, tip)?;
    Ok((!contains).then_some("from which the ledger here does not descend"))
}

fn anchors(message: &str) -> impl DoubleEndedIterator<Item = Oid> + use<> {
    let trailers = trailer::block(message);
    trailers
        .into_iter()
        .filter(|it| it.key.eq_ignore_ascii_case(KEY))
        .filter_map(|it| Oid::parse(it.value.trim()))
}
