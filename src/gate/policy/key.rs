//! Public keys in OpenSSH's one-line form, and digests.

use base64ct::{Base64, Base64Unpadded, Encoding};
use sha2::{Digest, Sha256};

use super::{Key, Presence};

/// The kinds of key whose signatures we can verify.
const KINDS: &[&str] = &[
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// Why a line is no key that a person may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("this is no public key: expected `ssh-ed25519 AAAA…`, as in a `.pub` file")]
    Shape,
    #[error("keys of the kind `{0}` cannot sign records")]
    Kind(String),
    #[error("the key's base64 is damaged or cut short")]
    Blob,
    #[error(
        "this is a certificate: write the key of its authority instead, with `cert_authority = true`"
    )]
    Certificate,
    #[error("this is a private key; the policy holds only public ones, and this one is burnt")]
    Private,
}

impl Key {
    /// Reads `<kind> <base64> [comment]`, as it stands in a `.pub` file.
    pub fn parse(line: &str, presence: Presence) -> Result<Key, KeyError> {
        if line.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(kind), Some(base64)) = (words.next(), words.next()) else {
            return Err(KeyError::Shape);
        };
        if kind.contains("-cert-v0") {
            return Err(KeyError::Certificate);
        }
        if !KINDS.contains(&kind) {
            return Err(if kind.contains('-') {
                KeyError::Kind(super::super::change::printable(kind))
            } else {
                KeyError::Shape
            });
        }
        let blob = Base64::decode_vec(base64).map_err(|_| KeyError::Blob)?;
        if !is_whole(&blob, kind) {
            return Err(KeyError::Blob);
        }
        let (openssh, fingerprint) = (format!("{kind} {base64}"), fingerprint(&blob));
        Ok(Key { openssh, fingerprint, presence, cert_authority: false })
    }

    /// Whether a security key holds it, so that its signatures show presence.
    pub fn is_hardware(&self) -> bool {
        self.openssh.starts_with("sk-")
    }
}

/// Returns `SHA256:…` of a key's blob, as ssh-keygen prints it.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", Base64Unpadded::encode_string(&Sha256::digest(blob)))
}

/// Whether a text is a fingerprint as [`fingerprint`] writes it.
pub fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("SHA256:")
        .is_some_and(|it| Base64Unpadded::decode_vec(it).is_ok_and(|digest| digest.len() == 32))
}

/// Returns the SHA-256 in lower-case hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the blob is a row of length-prefixed strings that begins with the
/// kind and has something after it (RFC 4253, section 6.6).
fn is_whole(blob: &[u8], kind: &str) -> bool {
    let mut rest = blob;
    let mut strings = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let Some((string, after)) = usize::try_from(u32::from_be_bytes(*length))
            .ok()
            .and_then(|length| after.split_at_checked(length))
        else {
            return false;
        };
        strings.push(string);
        rest = after;
    }
    rest.is_empty()
        && strings.len() >= 2
        && strings[0] == kind.as_bytes()
        && (!kind.ends_with("ed25519") && !kind.starts_with("sk-ssh") || strings[1].len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `ssh-keygen -t ed25519`; the fingerprint is what `ssh-keygen -l` printed.
    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAII5a72yd2nUjZA6xQ5icjsNw23AmGCcHq2V0ZYM2dn0i";
    const FINGERPRINT: &str = "SHA256:meciBXbJpmk+FWCySv+hVN0GTUd1DtxxvtALfpDPQzw";

    #[test]
    fn a_key_has_the_fingerprint_that_ssh_keygen_prints() {
        let key = Key::parse(&format!("{LINE}  ana@example.com"), Presence::Touch).unwrap();
        assert_eq!(key.openssh, LINE);
        assert_eq!(key.fingerprint, FINGERPRINT);
        assert!(is_fingerprint(&key.fingerprint) && !key.is_hardware());
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(Key::parse(line, Presence::None).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        check("", "this is no public key: expected `ssh-ed25519 AAAA…`, as in a `.pub` file");
        check(
            "ana AAAA",
            "this is no public key: expected `ssh-ed25519 AAAA…`, as in a `.pub` file",
        );
        check(
            "ssh-ed25519-cert-v01@openssh.com AAAA",
            "this is a certificate: write the key of its authority instead, with `cert_authority = true`",
        );
        check("ssh-dss AAAA", "keys of the kind `ssh-dss` cannot sign records");
        check("ssh-ed25519 AAAA…", "the key's base64 is damaged or cut short");
        check(&LINE[..LINE.len() - 8], "the key's base64 is damaged or cut short");
        check(&LINE.replace("ssh-ed25519", "ssh-rsa"), "the key's base64 is damaged or cut short");
        check(
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "this is a private key; the policy holds only public ones, and this one is burnt",
        );
    }
}
