//! A person's signature under a record: who may give one, and where it goes.

use std::path::Path;

use crate::adapters::env;
use crate::adapters::signature::{self, KeySource};
use crate::adapters::store::Unpublished;
use crate::gate::approval::{Reason, in_force, present, revocations, signatory, unknown};
use crate::gate::change::{Change, Oid};
use crate::gate::policy::{Person, PersonKind, Policy, Presence};
use crate::gate::record::{Body, Content, Record, SignatureState, Signer, SshSignature};

use super::ambient::Surroundings;
use super::judgement::catalogue;
use super::narrow::Consent;
use super::publish::ledger;
use super::trusted::Trusted;
use super::world::World;
use super::{Error, ErrorKind};

/// A human of the policy with a key at hand. Nothing is unlocked before a
/// record is signed.
#[derive(Clone, Debug)]
pub struct Hand {
    pub person: String,
    /// `SHA256:…`
    pub fingerprint: String,
    /// What the signature is going to show.
    pub signature: SshSignature,
    key: KeySource,
    terminal: bool,
}

impl Hand {
    /// Finds whose hand it is. Refuses where an agent asks: under a known
    /// agent's environment or below its process, always; and without a terminal
    /// unless a key was named. That is no proof of a human, only a wall that
    /// an honest agent does not climb; a security key's touch is the proof.
    pub fn take(
        world: &World,
        policy: &Policy,
        given: Option<&Path>,
        surroundings: &Surroundings,
    ) -> Result<Hand, Error> {
        Hand::take_for(world, policy, Consent::Asked(given), surroundings)
    }

    /// The same, perhaps of somebody who let their key be used before.
    pub fn take_for(
        world: &World,
        policy: &Policy,
        consent: Consent<'_>,
        surroundings: &Surroundings,
    ) -> Result<Hand, Error> {
        let given = match consent {
            Consent::Asked(given) => given,
            Consent::Configured(_) => None,
        };
        if let Some(mark) = surroundings.marks(&catalogue(policy)).first() {
            return Err(Error::usage(format!(
                "`{}` seems to be asking; only a person can countersign",
                mark.agent
            )));
        }
        let terminal = world.env.stdin_is_terminal;
        if !terminal && given.is_none() && matches!(consent, Consent::Asked(_)) {
            let message = "there is no terminal here, so nobody can be asked to sign";
            return Err(Error::usage(message));
        }
        let configured = world.git.config()?.get("user.signingkey");
        let home = world.env.home();
        let key = KeySource::choose(given, configured, home.as_deref(), &world.env.dir)?;
        let signature = signature::signature_to_come(&key)?.accepted_at(world.env.now);
        let person = owner(policy, &signature, &key)?;
        let terminal = terminal && world.env.stderr_is_terminal;
        if let Consent::Configured(touch) = consent
            && signature.flags.is_some()
        {
            let Some(touch) = touch else {
                return Err(Error::usage(
                    "a security key would have to be touched, and nobody is there to be told",
                ));
            };
            touch();
        }
        let fingerprint = signature.fingerprint.clone();
        Ok(Hand { person: person.name.clone(), fingerprint, signature, key, terminal })
    }

    /// What a record says of its signer.
    pub fn signer(&self, world: &World, tip: Option<Oid>) -> Signer {
        Signer {
            who: Some(self.person.clone()),
            key: Some(self.fingerprint.clone()),
            at: world.env.now,
            ledger: tip,
            nonce: env::nonce(),
        }
    }

    /// Signs a record, keeps it and puts it on the local ledger. Returns its id.
    pub fn sign(&self, world: &World, trusted: &Trusted, body: &Body) -> Result<String, Error> {
        let internal = |error| Error::new(ErrorKind::Internal, error);
        let (record, bytes) = Record::write(body).map_err(internal)?;
        let namespace = record.record_type().namespace();
        let signature = signature::sign(&bytes, &namespace, &self.key, self.terminal)?;
        if let SignatureState::Good(good) =
            signature::verify(&bytes, signature.as_bytes(), &namespace)
        {
            let refused = |reason: Reason| Error::new(ErrorKind::Policy, reason);
            present(&good, &trusted.policy, Presence::None).map_err(refused)?;
        }
        let unpublished =
            Unpublished { id: record.id.clone(), bytes, signature: Some(signature.into_bytes()) };
        ledger(world, trusted).append(&[unpublished], world.env.now)?;
        Ok(record.id)
    }
}

/// Returns a change's exact content, for a record that binds it. Only a
/// protected ref can be bound, and only in a repository with an id.
pub fn content(
    world: &World,
    policy: &Policy,
    change: &Change,
    target: &str,
) -> Result<Content, Error> {
    let Some(repo) = policy.trust.repo_id.clone() else {
        let message = "the policy has no `repo_id`, so no record can be bound to this repository";
        return Err(Error::new(ErrorKind::Policy, message)
            .hint("set `repo_id = \"NAME\"` under [trust] in countersign.toml"));
    };
    if !policy.trust.protect.matches(target) {
        let message = format!("`{target}` is not protected, so nothing can be bound to it");
        let error = Error::usage(message);
        return Err(error.hint("`--target` takes a ref that `protect` under [trust] names"));
    }
    if change.files.is_empty() {
        return Err(Error::usage("the change is empty: there is nothing to sign for")
            .hint("`git log --oneline -5` shows what is here"));
    }
    let blobs: Vec<Oid> = change
        .files
        .iter()
        .filter_map(|file| file.new.as_ref())
        .filter(|entry| entry.mode != 0o160_000)
        .map(|entry| entry.oid.clone())
        .collect();
    let digests = world.git.sha256_of(&blobs)?;
    let digest = |oid: &Oid| digests.get(oid).cloned();
    let files = change.files.iter().map(|file| {
        let new = file.new.as_ref().and_then(|entry| digest(&entry.oid));
        crate::gate::approval::delta(file, new)
    });
    Ok(Content {
        repo,
        target: target.to_owned(),
        base: change.base.clone(),
        head: change.head.clone(),
        head_tree: change.head_tree.clone(),
        files: files.collect(),
    })
}

fn owner<'p>(
    policy: &'p Policy,
    signature: &SshSignature,
    key: &KeySource,
) -> Result<&'p Person, Error> {
    let refused = |reason: Reason| Error::new(ErrorKind::Policy, reason);
    let Some((person, _)) = signatory(policy, signature) else {
        let refused = refused(unknown(signature));
        if signature.certificate.is_some() {
            let hint = "have the authority's key added to your `keys` in countersign.toml on the target, with `cert_authority = true`, and the certificate made for one of your `emails`: `ssh-keygen -s AUTHORITY -I NAME -n ADDRESS KEY.pub`";
            return Err(refused.hint(hint));
        }
        let line = signature::public_line(key)?;
        return Err(refused.hint(format!(
            "have this added to countersign.toml on the target: `[people.NAME]` with `kind = \"human\"`, `emails = [\"…\"]` and `keys = [{{ key = \"{line}\" }}]`"
        )));
    };
    if person.kind != PersonKind::Human {
        let message = format!("the key is {}'s, who is no human in the policy", person.name);
        return Err(Error::new(ErrorKind::Policy, message));
    }
    if let Some(revoked) = revocations(policy, signature).next() {
        return Err(refused(Reason::Revoked(revoked.key.clone())));
    }
    in_force(signature, None).map_err(refused)?;
    Ok(person)
}
