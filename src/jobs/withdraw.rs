//! Takes back a record that the same person signed.

use std::path::PathBuf;

use crate::gate::approval::signatory;
use crate::gate::record::{Body, SignatureState, Withdrawal};

use super::ambient::Surroundings;
use super::publish::ledger;
use super::signing::Hand;
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, ErrorKind};

/// Which record, and with which key.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The id, or an unambiguous beginning of it.
    pub record: String,
    pub key: Option<PathBuf>,
    pub reason: Option<String>,
}

/// What was taken back.
#[derive(Clone, Debug)]
pub struct Withdrawn {
    /// The withdrawal's own id.
    pub id: String,
    /// The id of the record that no longer counts.
    pub record: String,
    pub person: String,
    /// Whether the withdrawal still has to be published.
    pub unpublished: bool,
}

/// Signs a withdrawal.
pub fn withdraw(
    world: &World,
    options: &Options,
    surroundings: &Surroundings,
) -> Result<Withdrawn, Error> {
    let trusted = Trusted::read(world, None, Vantage::Clone)?;
    let policy = &trusted.policy;
    let hand = Hand::take(world, policy, options.key.as_deref(), surroundings)?;
    let Some(repo) = policy.trust.repo_id.clone() else {
        return Err(Error::new(ErrorKind::Policy, "the policy has no `repo_id`"));
    };
    let ledger = ledger(world, &trusted);
    let found = ledger.find(&options.record)?.signed;
    let signer = match &found.signature {
        SignatureState::Good(good) => signatory(policy, good).map(|it| it.0.name.as_str()),
        SignatureState::Unsigned | SignatureState::Bad(_) => None,
    };
    if signer != Some(hand.person.as_str()) {
        let whose = signer.map_or("nobody of the policy".to_owned(), str::to_owned);
        let message = format!("the record was signed by {whose}, and only they can take it back");
        return Err(Error::usage(message));
    }
    let tip = ledger.read(&crate::adapters::ledger::Wanted::About(Default::default()))?.shared;
    let record = found.record.id;
    let body = Body::Withdrawal(Withdrawal {
        repo,
        record: record.clone(),
        reason: options.reason.clone(),
        by: hand.signer(world, tip),
    });
    let id = hand.sign(world, &trusted, &body)?;
    Ok(Withdrawn { id, record, person: hand.person, unpublished: trusted.remote.is_some() })
}
