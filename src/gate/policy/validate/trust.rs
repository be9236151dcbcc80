//! Who is trusted with what: people, keys, refs, disclosure.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::error::{PolicyError, Text};
use super::super::file::{self, Word};
use super::super::key::is_fingerprint;
use super::super::*;
use super::DEFAULT_GATE;
use super::word::{globs, name, plain, variable};
use crate::gate::change::{Oid, printable};

pub(super) fn people(
    text: Text<'_>,
    written: BTreeMap<Word, file::PersonTable>,
) -> Result<BTreeMap<String, Person>, PolicyError> {
    let mut people = BTreeMap::new();
    for (word, table) in written {
        let name = name(text, &word, "a person")?;
        let mut keys = Vec::new();
        for row in table.keys {
            let key = Key::parse(row.key.get_ref(), row.presence)
                .map_err(|error| text.error(row.key.span(), error.to_string()))?;
            keys.push(Key { cert_authority: row.cert_authority, ..key });
        }
        let mut emails = Vec::new();
        for email in table.emails {
            let lower = email.get_ref().to_lowercase();
            let parts = lower.split_once('@');
            if parts.is_none_or(|(user, host)| user.is_empty() || host.is_empty())
                || lower.contains(|it: char| {
                    it.is_whitespace() || it.is_control() || it == '<' || it == '>'
                })
            {
                return Err(text.error(email.span(), "this is no e-mail address"));
            }
            emails.push(lower);
        }
        people.insert(name.clone(), Person { name, kind: table.kind, emails, keys });
    }
    Ok(people)
}

pub(super) fn trust(text: Text<'_>, written: file::TrustTable) -> Result<Trust, PolicyError> {
    let target = match &written.target {
        Some(word) => branch(text, word)?,
        None => "refs/heads/main".to_owned(),
    };
    let ledger = match &written.ledger {
        Some(word) => branch(text, word)?,
        None => "refs/heads/countersign-ledger".to_owned(),
    };
    if let Some(word) =
        written.ledger.as_ref().or(written.target.as_ref()).filter(|_| ledger == target)
    {
        return Err(text.error(word.span(), "the ledger cannot be the target"));
    }
    let protect = match &written.protect {
        Some(words) if words.get_ref().is_empty() => {
            return Err(text.error(
                words.span(),
                "no ref would be protected; leave `protect` out for the target alone",
            ));
        }
        Some(words) => {
            for word in words.get_ref() {
                RefPatterns::new(&[word.get_ref().clone()])
                    .map_err(|error| text.error(word.span(), error.to_string()))?;
            }
            plain(words.get_ref())
        }
        None => vec![target.clone()],
    };
    let protect = RefPatterns::new(&protect)
        .map_err(|error| PolicyError::whole(text.from, error.to_string()))?;
    if let Some(words) = written.protect.as_ref().filter(|_| protect.matches(&ledger)) {
        return Err(text.error(
            words.span(),
            format!("`{ledger}` is the ledger, which guards itself; `protect` must not name it"),
        ));
    }
    let gate = match &written.gate {
        Some(words) => globs(text, words)?,
        None => Globs::new(&DEFAULT_GATE.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
            .expect("a test compiles the default patterns"),
    };
    for word in [&written.repo_id].into_iter().flatten() {
        let id = word.get_ref();
        if id.trim().is_empty() || id.len() > 200 || id.chars().any(char::is_control) {
            return Err(text.error(word.span(), "`repo_id` is one short line of text"));
        }
    }
    for word in [&written.pusher_env].into_iter().flatten() {
        variable(text, word)?;
    }
    Ok(Trust {
        target,
        protect,
        ledger,
        repo_id: written.repo_id.map(Spanned::into_inner),
        gate,
        solo: written.solo,
        narrow: written.narrow,
        reformatted: written.reformatted.unwrap_or(true),
        unverified_authors: written.unverified_authors,
        pusher_env: written.pusher_env.map(Spanned::into_inner),
    })
}

/// A full branch name, by git's rules for refs (`git check-ref-format`).
fn branch(text: Text<'_>, word: &Word) -> Result<String, PolicyError> {
    let name = word.get_ref();
    let Some(short) = name.strip_prefix("refs/heads/") else {
        let error =
            text.error(word.span(), format!("`{}` is no full branch name", printable(name)));
        return Err(if name.starts_with("refs/") {
            error.help("it must be a branch, below `refs/heads/`")
        } else {
            error.help(format!("write `refs/heads/{}`", printable(name)))
        });
    };
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    let bad_char = |it: char| it.is_control() || " ~^:?*[\\".contains(it);
    if short.split('/').any(bad_part)
        || short.contains(bad_char)
        || short.contains("..")
        || short.contains("@{")
        || short.ends_with('.')
    {
        return Err(text.error(word.span(), "git allows no branch of this name"));
    }
    Ok(name.clone())
}

pub(super) fn revoked(text: Text<'_>, written: file::RevokedTable) -> Result<Revoked, PolicyError> {
    if !is_fingerprint(written.key.get_ref()) {
        return Err(text
            .error(written.key.span(), "this is no fingerprint of a key")
            .help("`ssh-keygen -lf KEY.pub` prints it: `SHA256:` and 43 characters"));
    }
    let after = match written.after {
        None => None,
        Some(word) => match word.get_ref().strip_prefix("ledger:").and_then(Oid::parse) {
            Some(oid) => Some(oid),
            None => {
                return Err(text
                    .error(word.span(), "this is no place in the ledger")
                    .help("write `ledger:` and the whole id of a commit of the ledger branch"));
            }
        },
    };
    Ok(Revoked { key: written.key.into_inner(), after, why: written.why })
}

pub(super) fn disclosure(
    text: Text<'_>,
    written: file::DisclosureTable,
) -> Result<Disclosure, PolicyError> {
    let key = match written.key {
        None => "Assisted-by".to_owned(),
        Some(word) => {
            let is_token = |it: &str| {
                it.starts_with(|first: char| first.is_ascii_alphanumeric())
                    && it.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            if !is_token(word.get_ref()) {
                return Err(
                    text.error(word.span(), "a trailer's key is made of letters, digits and `-`")
                );
            }
            word.into_inner()
        }
    };
    Ok(Disclosure { trailer: written.trailer, key, strict: written.strict, write: written.write })
}
