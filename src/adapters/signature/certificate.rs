//! OpenSSH certificates: a key that an authority vouches for, for some
//! addresses and some time.
//!
//! Format: <https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.certkeys>.
//! They are read here because ssh-key refuses the one that never ends, which
//! is what `ssh-keygen -s` makes unless it is told otherwise.

use base64ct::{Base64, Encoding};
use ssh_key::{HashAlg, PublicKey, Signature, SshSig};
use ssh_signature::Verifier;

use crate::gate::record::Certificate;
use crate::gate::time::Timestamp;

/// What tells a certificate's kind from that of the key in it.
const SUFFIX: &str = "-cert-v01@openssh.com";

/// How kinds of security keys end where no certificate is meant.
const HARDWARE: &str = "@openssh.com";

/// The certificate of a user; a host's is 2.
const USER: u32 = 1;

/// OpenSSH's own limit.
const MOST_PRINCIPALS: usize = 256;

/// A key with what its authority, whose signature holds, says of it.
#[derive(Clone, Debug)]
pub(super) struct Certified {
    pub(super) key: PublicKey,
    pub(super) certificate: Certificate,
}

/// Reads `<kind>-cert-v01@openssh.com <base64> [comment]`; `None`: that is no certificate.
pub(super) fn read_line(line: &str) -> Option<Result<Certified, String>> {
    let mut words = line.split_ascii_whitespace();
    words.next().filter(|kind| kind.ends_with(SUFFIX))?;
    let blob = words.next().and_then(|base64| Base64::decode_vec(base64).ok());
    Some(blob.ok_or_else(|| "its base64 is damaged".to_owned()).and_then(|blob| read(&blob)))
}

/// Reads an armoured SSHSIG that carries a certificate instead of a bare key,
/// and returns it with the bare key in its place; `None`: it carries none.
pub(super) fn read_signature(armoured: &str) -> Option<Result<(SshSig, Certified), String>> {
    let body: String = armoured.lines().filter(|line| !line.starts_with("-----")).collect();
    let blob = Base64::decode_vec(&body).ok()?;
    let mut rest = Reader(blob.strip_prefix(b"SSHSIG")?);
    if rest.number()? != SshSig::VERSION {
        return None;
    }
    let certificate = rest.string()?;
    Reader(certificate).string().filter(|kind| kind.ends_with(SUFFIX.as_bytes()))?;
    let envelope = envelope(rest).ok_or_else(|| "it is no SSH signature".to_owned());
    Some(read(certificate).and_then(|certified| {
        let (namespace, hash, signature) = envelope?;
        let key = certified.key.key_data().clone();
        let signature = SshSig::new(key, namespace, hash, signature)
            .map_err(|error| format!("it is no SSH signature ({error})"))?;
        Ok((signature, certified))
    }))
}

/// What follows the key in an SSHSIG. Reserved bytes are signed too, and there are none yet.
fn envelope(mut rest: Reader<'_>) -> Option<(&str, HashAlg, Signature)> {
    let namespace = std::str::from_utf8(rest.string()?).ok()?;
    rest.string().filter(|reserved| reserved.is_empty())?;
    let hash = HashAlg::new(std::str::from_utf8(rest.string()?).ok()?).ok()?;
    let signature = Signature::try_from(rest.string()?).ok()?;
    rest.0.is_empty().then_some((namespace, hash, signature))
}

/// Reads a certificate's blob. What was not signed by its authority, is a
/// host's, or has options that have to be obeyed, is refused.
fn read(blob: &[u8]) -> Result<Certified, String> {
    let parts = parts(blob).ok_or("its certificate is damaged")?;
    let authority = PublicKey::from_bytes(parts.authority)
        .map_err(|_| "its certificate is by no key that can be read".to_owned())?;
    let signature = Signature::try_from(parts.signature)
        .map_err(|_| "the authority's signature on its certificate cannot be read".to_owned())?;
    authority
        .key_data()
        .verify(parts.signed, &signature)
        .map_err(|_| "the authority's signature on its certificate does not hold".to_owned())?;
    if parts.user != USER {
        return Err("its certificate is a host's, not a user's".to_owned());
    }
    if !parts.critical_options.is_empty() {
        let name = Reader(parts.critical_options).string().unwrap_or_default();
        let name = crate::gate::change::printable(&String::from_utf8_lossy(name));
        return Err(format!("its certificate has the critical option `{name}`"));
    }
    let principals = principals(parts.principals).ok_or("its certificate is damaged")?;
    if principals.is_empty() {
        return Err("its certificate names no principal".to_owned());
    }
    let key = PublicKey::from_bytes(&parts.key)
        .map_err(|_| "its certificate is for no key that can be read".to_owned())?;
    let seconds = |time: u64| Timestamp(i64::try_from(time).unwrap_or(i64::MAX));
    let certificate = Certificate {
        authority: authority.fingerprint(HashAlg::Sha256).to_string(),
        principals,
        valid_after: seconds(parts.valid_after),
        valid_before: seconds(parts.valid_before),
        accepted: None,
    };
    Ok(Certified { key, certificate })
}

/// The fields of a certificate that matter.
struct Parts<'a> {
    /// The key alone, as it would stand in a `.pub` file.
    key: Vec<u8>,
    user: u32,
    principals: &'a [u8],
    valid_after: u64,
    valid_before: u64,
    critical_options: &'a [u8],
    authority: &'a [u8],
    /// What the authority signed.
    signed: &'a [u8],
    signature: &'a [u8],
}

fn parts(blob: &[u8]) -> Option<Parts<'_>> {
    let mut rest = Reader(blob);
    let kind = std::str::from_utf8(rest.string()?).ok()?.strip_suffix(SUFFIX)?;
    let (kind, fields) = match kind {
        "ssh-ed25519" => (kind.to_owned(), 1),
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" | "ssh-rsa" => {
            (kind.to_owned(), 2)
        }
        "sk-ssh-ed25519" => (format!("{kind}{HARDWARE}"), 2),
        "sk-ecdsa-sha2-nistp256" => (format!("{kind}{HARDWARE}"), 3),
        _ => return None,
    };
    let _nonce = rest.string()?;
    let mut key = Vec::new();
    write_string(&mut key, kind.as_bytes());
    for _ in 0..fields {
        write_string(&mut key, rest.string()?);
    }
    let _serial = rest.long()?;
    let user = rest.number()?;
    let _key_id = rest.string()?;
    let principals = rest.string()?;
    let (valid_after, valid_before) = (rest.long()?, rest.long()?);
    let critical_options = rest.string()?;
    let (_extensions, _reserved) = (rest.string()?, rest.string()?);
    let authority = rest.string()?;
    let signed = &blob[..blob.len() - rest.0.len()];
    let signature = rest.string()?;
    rest.0.is_empty().then_some(Parts {
        key,
        user,
        principals,
        valid_after,
        valid_before,
        critical_options,
        authority,
        signed,
        signature,
    })
}

fn principals(bytes: &[u8]) -> Option<Vec<String>> {
    let mut rest = Reader(bytes);
    let mut principals = Vec::new();
    while !rest.0.is_empty() {
        principals.push(String::from_utf8(rest.string()?.to_vec()).ok()?);
    }
    (principals.len() <= MOST_PRINCIPALS).then_some(principals)
}

fn write_string(bytes: &mut Vec<u8>, string: &[u8]) {
    // It was read with a length of 32 bits.
    bytes.extend(u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(string);
}

/// The fields of SSH's wire format (RFC 4251, section 5).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_certificates_are_refused_not_fatal() {
        let mut longest = Vec::new();
        write_string(&mut longest, b"ssh-ed25519-cert-v01@openssh.com");
        for cut in 0..longest.len() {
            assert!(read(&longest[..cut]).is_err());
        }
        longest.extend([0xff; 64]);
        assert!(read(&longest).is_err());
        assert!(read_line("ssh-ed25519 AAAA").is_none());
        for text in ["", " AAAA", " ====", " AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t"] {
            let line = format!("ssh-ed25519-cert-v01@openssh.com{text}");
            assert!(read_line(&line).expect("a certificate's kind").is_err(), "{text}");
        }
    }
}
