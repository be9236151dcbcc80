//! Whose word a result is: that of a key at hand, or nobody's.

use std::path::Path;

use super::super::Error;
use super::Place;
use crate::adapters::env;
use crate::adapters::signature::{self, KeySource};
use crate::gate::approval::signatory;
use crate::gate::change::Oid;
use crate::gate::policy::Policy;
use crate::gate::record::Signer;
use crate::gate::time::Timestamp;

/// A key that signs results, known to the policy.
#[derive(Clone, Debug)]
pub struct Signing {
    pub(super) key: KeySource,
    fingerprint: String,
    who: String,
    /// ssh-keygen may ask there for a passphrase or a touch.
    pub(super) terminal: bool,
    ledger: Option<Oid>,
}

impl Signing {
    /// Chooses the key and finds its owner in the policy; nothing is signed or
    /// unlocked yet. A key that nobody in the policy owns is refused, since what
    /// it signs would never count.
    pub fn new(
        place: Place<'_>,
        policy: &Policy,
        given: Option<&Path>,
        ledger: Option<Oid>,
    ) -> Result<Signing, Error> {
        let configured = place.git.config()?.get("user.signingkey");
        let home = place.env.home();
        let key = KeySource::choose(given, configured, home.as_deref(), &place.env.dir)
            .map_err(signing_error)?;
        let signature = signature::signature_to_come(&key).map_err(signing_error)?;
        let fingerprint = signature.fingerprint.clone();
        let Some((person, _)) = signatory(policy, &signature) else {
            let error = format!("no person of the policy owns the key {fingerprint}");
            return Err(Error::usage(error)
                .hint("`countersign policy show` lists the people and their keys"));
        };
        let terminal = place.env.stdin_is_terminal && place.env.stderr_is_terminal;
        Ok(Signing { who: person.name.clone(), key, fingerprint, terminal, ledger })
    }

    fn signer(&self, at: Timestamp) -> Signer {
        Signer {
            who: Some(self.who.clone()),
            key: Some(self.fingerprint.clone()),
            at,
            ledger: self.ledger.clone(),
            nonce: env::nonce(),
        }
    }
}

pub(super) fn signing_error(error: signature::SignatureError) -> Error {
    let hints = error.hints();
    hints.into_iter().fold(Error::repository(error), Error::hint)
}

/// Who signs a record that is made now.
pub(in crate::jobs) fn signer(signing: Option<&Signing>) -> Signer {
    signing.map_or_else(nobody, |signing| signing.signer(env::now()))
}

/// The signer of an unsigned record, made now.
pub(super) fn nobody() -> Signer {
    Signer { who: None, key: None, at: env::now(), ledger: None, nonce: env::nonce() }
}
