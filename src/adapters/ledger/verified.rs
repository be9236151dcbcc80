//! Signatures that were verified already: a small cache, by the ids of the two
//! blobs, so that what it says follows from content alone.
//!
//! A line a signature: `<record's blob> <signature's blob> <state>`, the state
//! `g <fingerprint> <flags>`, `c <fingerprint> <flags> <authority> <after>
//! <before> <principals>` or `b <why>`. One that grew too large begins anew.

use std::collections::{HashMap, HashSet};

use super::LedgerError;
use super::index::Line;
use crate::adapters::store::Store;
use crate::gate::change::{Oid, printable};
use crate::gate::record::{Certificate, SignatureState, SshSignature};
use crate::gate::time::Timestamp;

/// The cache's name; a new format takes a new one.
const NAME: &str = "verified-2";

/// The most bytes that are kept.
const MAX: usize = 4 << 20;

/// The states of the signatures that are asked about.
#[derive(Debug, Default)]
pub(super) struct Verified {
    text: String,
    known: HashMap<(Oid, Oid), SignatureState>,
    new: String,
}

impl Verified {
    /// What is known of these lines' signatures.
    pub(super) fn load(store: &Store, lines: &[Line]) -> Result<Verified, LedgerError> {
        let text = store.cache(NAME)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.unwrap_or_default();
        let asked: HashSet<&str> =
            lines.iter().filter_map(|line| line.signature_blob.as_ref()).map(Oid::as_str).collect();
        let known = text.lines().filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let (record, signature) = (words.next()?, words.next()?);
            if !asked.contains(signature) {
                return None;
            }
            let state = read(words.next()?)?;
            Some(((Oid::parse(record)?, Oid::parse(signature)?), state))
        });
        let known = known.collect();
        Ok(Verified { text, known, new: String::new() })
    }

    /// The state of a line's signature, if it was verified before.
    pub(super) fn known(&self, line: &Line) -> Option<&SignatureState> {
        self.known.get(&(line.blob.clone(), line.signature_blob.clone()?))
    }

    /// Learns what verifying a line's signature said, if that is new.
    pub(super) fn learn(&mut self, line: &Line, state: &SignatureState) {
        if self.known(line).is_none()
            && let (Some(signature), Some(text)) = (&line.signature_blob, write(state))
        {
            self.new.push_str(&format!("{} {signature} {text}\n", line.blob));
        }
    }

    /// Keeps what was verified now. A folder that cannot be written costs time,
    /// not the answer.
    pub(super) fn save(self, store: &Store) {
        if self.new.is_empty() {
            return;
        }
        let mut text = if self.text.len() < MAX { self.text } else { String::new() };
        text.push_str(&self.new);
        if text.len() <= 2 * MAX {
            store.replace_cache(NAME, text.as_bytes()).ok();
        }
    }
}

fn write(state: &SignatureState) -> Option<String> {
    match state {
        SignatureState::Unsigned => None,
        SignatureState::Good(good) => {
            let flags = good.flags.map_or("-".to_owned(), |flags| flags.to_string());
            let key = format!("{} {flags}", good.fingerprint);
            Some(match &good.certificate {
                None => format!("g {key}"),
                Some(it) => {
                    let (after, before) = (it.valid_after.0, it.valid_before.0);
                    let principals = serde_json::to_string(&it.principals).ok()?;
                    format!("c {key} {} {after} {before} {principals}", it.authority)
                }
            })
        }
        SignatureState::Bad(why) => Some(format!("b {}", printable(why))),
    }
}

fn read(text: &str) -> Option<SignatureState> {
    match text.split_once(' ')? {
        (kind @ ("g" | "c"), rest) => {
            let mut words = rest.splitn(6, ' ');
            let fingerprint = words.next()?.to_owned();
            let flags = match words.next()? {
                "-" => None,
                flags => Some(flags.parse().ok()?),
            };
            let certificate = if kind == "c" { Some(certificate(&mut words)?) } else { None };
            Some(SignatureState::Good(SshSignature { fingerprint, flags, certificate }))
        }
        ("b", why) => Some(SignatureState::Bad(why.to_owned())),
        _ => None,
    }
}

fn certificate<'w>(words: &mut impl Iterator<Item = &'w str>) -> Option<Certificate> {
    let authority = words.next()?.to_owned();
    let mut time = || words.next()?.parse().ok().map(Timestamp);
    let (valid_after, valid_before) = (time()?, time()?);
    let principals = serde_json::from_str(words.next()?).ok()?;
    Some(Certificate { authority, principals, valid_after, valid_before, accepted: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let certificate = Certificate {
            authority: "SHA256:ca".into(),
            principals: vec!["ana@example.com".into(), "with space \n\"quoted\"".into()],
            valid_after: Timestamp(0),
            valid_before: Timestamp(i64::MAX),
            accepted: None,
        };
        for (flags, certificate) in [
            (None, None),
            (Some(5), None),
            (None, Some(certificate.clone())),
            (Some(1), Some(certificate)),
        ] {
            let fingerprint = "SHA256:key".to_owned();
            let state = SignatureState::Good(SshSignature { fingerprint, flags, certificate });
            let text = write(&state).expect("it is kept");
            assert!(!text.contains('\n'));
            assert_eq!(read(&text), Some(state));
        }
        let bad = SignatureState::Bad("incorrect signature".into());
        assert_eq!(write(&bad).as_deref().and_then(read), Some(bad));
        assert_eq!(read("c SHA256:key - SHA256:ca 0"), None);
    }
}
