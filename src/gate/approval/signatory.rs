//! Whose hand a signature shows: by the key alone, or by the certificate that
//! an authority of the policy gave for it.

use super::super::change::printable;
use super::super::policy::{Key, Person, Policy, Presence, Revoked};
use super::super::record::{Certificate, SshSignature};
use super::super::time::Timestamp;
use super::Reason;

/// Returns the person whose signature it is, and the row of their `keys` that
/// says so. A key that two people claim proves neither of them, nor does a
/// certificate that names two of them.
pub fn signatory<'p>(
    policy: &'p Policy,
    signature: &SshSignature,
) -> Option<(&'p Person, &'p Key)> {
    let speaks = |person: &Person, key: &Key| match &signature.certificate {
        None => !key.cert_authority && key.fingerprint == signature.fingerprint,
        Some(certificate) => {
            key.cert_authority
                && key.fingerprint == certificate.authority
                && names(certificate, person)
        }
    };
    let mut found = policy.people.values().filter_map(|person| {
        let key = person.keys.iter().find(|key| speaks(person, key))?;
        Some((person, key))
    });
    found.next().filter(|_| found.next().is_none())
}

/// A certificate's principals are addresses, which compare case-insensitively.
fn names(certificate: &Certificate, person: &Person) -> bool {
    certificate.principals.iter().any(|it| person.emails.contains(&it.to_lowercase()))
}

/// Returns the policy's revocations of this key, or of the authority that
/// vouches for it.
pub fn revocations<'p>(
    policy: &'p Policy,
    signature: &'p SshSignature,
) -> impl Iterator<Item = &'p Revoked> {
    let authority = signature.certificate.as_ref().map(|it| it.authority.as_str());
    policy
        .revoked
        .iter()
        .filter(move |it| it.key == signature.fingerprint || Some(it.key.as_str()) == authority)
}

/// Whether a signature shows the presence that is asked for, and the one that
/// the policy says this key always shows. The flags byte is signed by the
/// security key itself; a plain key proves no presence, whatever the policy
/// says of it.
pub fn present(signature: &SshSignature, policy: &Policy, asked: Presence) -> Result<(), Reason> {
    let promised = signatory(policy, signature).map_or(Presence::None, |(_, key)| key.presence);
    let flags = signature.flags.unwrap_or(0);
    match asked.max(promised) {
        Presence::Touch if flags & 0x01 == 0 => {
            Err(Reason::NoPresence("a touch of a security key"))
        }
        Presence::Pin if flags & 0x04 == 0 => {
            Err(Reason::NoPresence("a security key's PIN or fingerprint"))
        }
        Presence::None | Presence::Touch | Presence::Pin => Ok(()),
    }
}

/// Returns whose signature it is where it also grants something, with nothing
/// to look up in a ledger: it is not revoked, its certificate is valid, and it
/// shows the presence that the policy says the key always shows.
pub fn grants<'p>(policy: &'p Policy, signature: &SshSignature) -> Option<&'p Person> {
    let (person, _) = signatory(policy, signature)?;
    let stands =
        revocations(policy, signature).next().is_none() && in_force(signature, None).is_ok();
    let stands = stands && present(signature, policy, Presence::None).is_ok();
    stands.then_some(person)
}

/// Whether the certificate, if there is one, was valid when what it signed was
/// made: at the time that it claims, and when the ledger took it. A signer's
/// clock alone makes no certificate last longer.
pub fn in_force(signature: &SshSignature, claimed: Option<Timestamp>) -> Result<(), Reason> {
    let Some(certificate) = &signature.certificate else { return Ok(()) };
    let accepted = certificate.accepted.ok_or(Reason::CertificateTime)?;
    for at in claimed.into_iter().chain([accepted]) {
        if at < certificate.valid_after {
            return Err(Reason::CertificateEarly { since: certificate.valid_after, at });
        }
        if at >= certificate.valid_before {
            return Err(Reason::CertificateOver { until: certificate.valid_before, at });
        }
    }
    Ok(())
}

/// Why a signature shows nobody's hand.
pub fn unknown(signature: &SshSignature) -> Reason {
    match &signature.certificate {
        None => Reason::UnknownKey(signature.fingerprint.clone()),
        Some(certificate) => {
            let principals: Vec<String> =
                certificate.principals.iter().take(3).map(|it| printable(it)).collect();
            Reason::UnknownCertificate {
                authority: certificate.authority.clone(),
                principals: principals.join("`, `"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ana's keys are certified by `ca`, and so are bo's.
    fn policy() -> Policy {
        let mut policy = super::super::tests::policy();
        for name in ["ana", "bo"] {
            let person = policy.people.get_mut(name).expect("in the policy");
            let authority = Key {
                openssh: "ssh-ed25519 ca".into(),
                fingerprint: "SHA256:ca".into(),
                presence: Default::default(),
                cert_authority: true,
            };
            person.keys.push(authority);
        }
        policy
    }

    fn certified(principals: &[&str]) -> SshSignature {
        let certificate = Certificate {
            authority: "SHA256:ca".into(),
            principals: principals.iter().map(|it| (*it).to_owned()).collect(),
            valid_after: Timestamp(1_000),
            valid_before: Timestamp(2_000),
            accepted: Some(Timestamp(1_500)),
        };
        let fingerprint = "SHA256:new".to_owned();
        SshSignature { fingerprint, flags: None, certificate: Some(certificate) }
    }

    #[track_caller]
    fn check(signature: &SshSignature, expected: Option<&str>) {
        let policy = policy();
        let found = signatory(&policy, signature).map(|(person, _)| person.name.as_str());
        assert_eq!(found, expected);
    }

    #[test]
    fn an_authority_speaks_for_the_addresses_of_its_people() {
        check(&certified(&["ana@example.com"]), Some("ana"));
        check(&certified(&["root", "Bo@Example.com"]), Some("bo"));
        check(&certified(&["chi@example.com"]), None);
        check(&certified(&["ana"]), None);
        check(&certified(&["ana+x@example.com"]), None);
        check(&certified(&["ana@example.com", "bo@example.com"]), None);
        let other = |change: &dyn Fn(&mut Certificate)| {
            let mut signature = certified(&["ana@example.com"]);
            change(signature.certificate.as_mut().expect("it has one"));
            signature
        };
        check(&other(&|it| it.authority = "SHA256:another".into()), None);
        // A plain key vouches for nobody, and an authority's own signature is nobody's.
        check(&other(&|it| it.authority = "SHA256:ana".into()), None);
        let plain = SshSignature { certificate: None, ..certified(&["ana@example.com"]) };
        check(&SshSignature { fingerprint: "SHA256:ca".into(), ..plain.clone() }, None);
        check(&SshSignature { fingerprint: "SHA256:ana".into(), ..plain }, Some("ana"));
        // Who has a certificate counts by it alone, as for ssh-keygen.
        let own =
            SshSignature { fingerprint: "SHA256:ana".into(), ..certified(&["chi@example.com"]) };
        check(&own, None);
    }

    #[test]
    fn a_certificate_counts_while_it_is_valid() {
        let check = |claimed: Option<i64>, accepted: Option<i64>, expected: &str| {
            let mut signature = certified(&["ana@example.com"]);
            signature.certificate.as_mut().expect("it has one").accepted = accepted.map(Timestamp);
            let answer = in_force(&signature, claimed.map(Timestamp));
            assert_eq!(answer.map_or_else(|it| it.to_string(), |()| "valid".into()), expected);
        };
        check(Some(1_000), Some(1_999), "valid");
        check(None, Some(1_000), "valid");
        let over = "its certificate was valid until 1970-01-01T00:33:20Z, and it is of 1970-01-01T00:33:20Z";
        check(Some(1_500), Some(2_000), over);
        check(Some(2_000), Some(1_500), over);
        let early = "its certificate is valid from 1970-01-01T00:16:40Z on, and it is of 1970-01-01T00:16:39Z";
        check(Some(999), Some(1_500), early);
        check(Some(1_500), Some(999), early);
        check(
            Some(1_500),
            None,
            "its certificate lasts for a while, and when it was made was not looked at",
        );
    }

    #[test]
    fn what_the_policy_says_a_key_shows_it_has_to_show() {
        let check = |promised: Presence, flags: Option<u8>, expected: bool| {
            let mut policy = policy();
            for person in policy.people.values_mut() {
                person.keys.iter_mut().for_each(|key| key.presence = promised);
            }
            let signature = SshSignature { flags, ..certified(&["ana@example.com"]) };
            assert_eq!(grants(&policy, &signature).is_some(), expected, "{promised:?} {flags:?}");
        };
        check(Presence::None, None, true);
        check(Presence::None, Some(0x00), true);
        check(Presence::Touch, None, false);
        check(Presence::Touch, Some(0x00), false);
        check(Presence::Touch, Some(0x01), true);
        check(Presence::Pin, Some(0x01), false);
        check(Presence::Pin, Some(0x05), true);
    }

    #[test]
    fn a_revoked_authority_vouches_for_nobody() {
        let mut policy = policy();
        let signature = certified(&["ana@example.com"]);
        assert_eq!(grants(&policy, &signature).map(|it| it.name.as_str()), Some("ana"));
        for key in ["SHA256:ca", "SHA256:new"] {
            policy.revoked = vec![Revoked { key: key.into(), after: None, why: None }];
            assert!(grants(&policy, &signature).is_none(), "{key}");
            assert_eq!(revocations(&policy, &signature).count(), 1);
        }
        policy.revoked = vec![Revoked { key: "SHA256:ana".into(), after: None, why: None }];
        assert!(grants(&policy, &signature).is_some());
    }
}
