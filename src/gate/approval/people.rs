//! Who had a part in a change, and so cannot be the one who reviews it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::rc::Rc;

use super::super::change::{Change, Commit, Oid};
use super::super::policy::Policy;
use super::super::record::SshSignature;
use super::super::trailer;
use super::signatory::{grants, signatory};
use crate::gate::order;

/// Trailers that name somebody who made the commit, or answers for it.
/// Addresses in them are no proof; believing them can only exclude.
const MAKERS: &[&str] = &["co-authored-by", "co-developed-by", "prompted-by"];

/// The policy's people who had a part in a change, with their parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Involved {
    parts: BTreeMap<String, Vec<Part>>,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Author of a commit.
    Author(Oid),
    /// Named by a trailer of a commit, with the trailer's key.
    Named(Oid, String),
    /// Committer of a commit, or signer of it.
    Committer(Oid),
    /// Pushed commits whose author is nobody of the policy.
    Pusher(Oid),
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Author(commit) => write!(formatter, "the author of {}", commit.short()),
            Part::Named(commit, key) => {
                write!(formatter, "named as {key} in {}", commit.short())
            }
            Part::Committer(commit) => write!(formatter, "the committer of {}", commit.short()),
            Part::Pusher(commit) => write!(
                formatter,
                "the pusher of {}, whose author is nobody of the policy",
                commit.short()
            ),
        }
    }
}

impl Involved {
    /// Returns the part that keeps a person's approval from counting. A
    /// committer's counts if it is older than the commit, which
    /// `approved_before` answers: somebody who approved and then rebased.
    pub fn part(&self, person: &str, approved_before: impl Fn(&Oid) -> bool) -> Option<Part> {
        let parts = self.parts.get(person)?;
        parts
            .iter()
            .find(|part| match part {
                Part::Author(_) | Part::Named(..) | Part::Pusher(_) => true,
                Part::Committer(commit) => !approved_before(commit),
            })
            .cloned()
    }

    /// Returns the names of all who had any part: an approval that is still to
    /// be made could not count.
    pub fn names(&self) -> BTreeSet<&str> {
        order::set(self.parts.keys().map(String::as_str))
    }

    fn add(&mut self, people: &[&str], part: impl Fn() -> Part) {
        for person in people {
            if !self.parts.contains_key(*person) {
                self.parts.insert((*person).to_owned(), Vec::new());
            }
            let Some(parts) = self.parts.get_mut(*person) else { continue };
            // What always keeps an approval from counting is named first, and ends the list.
            if parts.last().is_some_and(|it| !matches!(it, Part::Committer(_))) {
                continue;
            }
            let part = part();
            if parts.last() != Some(&part) {
                parts.push(part);
            }
        }
    }
}

/// Finds who had a part in a change. `clean_merges` are the commits known to
/// be clean merges of their parents: whoever pressed the button wrote nothing.
/// `signers` are the good signatures of commits; `pusher` is
/// a name or an address, where a server knows it.
pub fn involved(
    change: &Change,
    policy: &Policy,
    clean_merges: &BTreeSet<Oid>,
    signers: Option<&BTreeMap<Oid, Option<SshSignature>>>,
    pusher: Option<&str>,
) -> Involved {
    // Few people make many commits.
    let mut known: HashMap<String, Rc<[&str]>> = HashMap::new();
    let mut by_email = |email: &str| match known.get(email) {
        Some(names) => Rc::clone(names),
        None => {
            let people = policy.everybody_with_email(email.trim());
            let names: Rc<[&str]> = people.map(|it| it.name.as_str()).collect();
            known.insert(email.to_owned(), Rc::clone(&names));
            names
        }
    };
    let mut involved = Involved::default();
    for commit in change.commits.iter().filter(|it| !clean_merges.contains(&it.id)) {
        let id = || commit.id.clone();
        let authors = by_email(&commit.author.email);
        involved.add(&authors, || Part::Author(id()));
        for (key, email) in makers(commit) {
            involved.add(&by_email(&email), || Part::Named(id(), key.clone()));
        }
        let committer = || Part::Committer(id());
        involved.add(&by_email(&commit.committer.email), committer);
        let signature = signers.and_then(|signers| signers.get(&commit.id)?.as_ref());
        let signer = signature.and_then(|it| signatory(policy, it)).map(|it| it.0.name.as_str());
        involved.add(signer.as_slice(), committer);
        if authors.is_empty()
            && let Some(pusher) = pusher
        {
            let part = || Part::Pusher(id());
            involved.add(policy.people.get(pusher).map(|it| it.name.as_str()).as_slice(), part);
            involved.add(&by_email(pusher), part);
        }
    }
    involved
}

/// Returns the first commit whose author is not proven: it is not signed by a
/// key of a person with that address. An address is whatever its writer says.
pub fn unproven_author<'a>(
    change: &'a Change,
    policy: &Policy,
    clean_merges: &BTreeSet<Oid>,
    signers: Option<&BTreeMap<Oid, Option<SshSignature>>>,
) -> Option<&'a Commit> {
    let proven = |commit: &Commit| {
        let signature = signers.and_then(|signers| signers.get(&commit.id)?.as_ref());
        signature.and_then(|it| grants(policy, it)).is_some_and(|signer| {
            let mut claimed = policy.everybody_with_email(commit.author.email.trim());
            claimed.any(|person| person.name == signer.name)
        })
    };
    change.commits.iter().find(|it| !clean_merges.contains(&it.id) && !proven(it))
}

/// Every line of the message that names a maker, with the key as written and
/// the address: wherever it stands, and also in a message of one line with
/// literal `\n` in it, since a false "yes" only asks for one more reviewer.
fn makers(commit: &Commit) -> Vec<(String, String)> {
    if !trailer::may_hold(&commit.message, MAKERS) {
        return Vec::new();
    }
    let lines = commit.message.lines().flat_map(|line| line.split("\\n"));
    lines
        .filter_map(|line| {
            let (key, value) = line.trim().split_once(':')?;
            let key = key.trim_end();
            MAKERS.iter().find(|maker| key.eq_ignore_ascii_case(maker))?;
            let (_, address) = value.rsplit_once('<').unwrap_or(("", value));
            let address = address.split('>').next().unwrap_or_default();
            Some((key.to_owned(), address.trim().to_owned()))
        })
        .collect()
}
