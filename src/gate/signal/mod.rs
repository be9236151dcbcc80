//! Marks that an agent leaves on a change.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use self::catalogue::{Catalogue, Condition, glob};
use super::change::{Commit, Identity};

pub mod catalogue;
mod lexicon;
mod message;

/// One mark of one agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signal {
    /// The agent's id in the catalogue (`claude-code`).
    pub agent: String,
    pub kind: SignalKind,
    pub strength: Strength,
    /// What was seen, as it stands there: the trailer's line, the identity, the variable's name.
    pub value: String,
    /// The model that the mark names, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// For trailers: whether git's own parser sees the line as a trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_trailer_block: Option<bool>,
}

/// Where a mark stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalKind {
    /// Author or committer.
    Identity,
    /// A `Key: value` line of the message.
    Trailer,
    /// An agent's whole-line signature.
    Footer,
    /// The name of a branch.
    Branch,
    /// A variable of the process that commits.
    Environment,
    /// A process above the one that commits.
    Process,
    /// A git note.
    Note,
    /// An agent's own session record.
    Session,
    /// An agent reviewed the change: reported, never assistance.
    Review,
}

/// How a mark came to be. Ordered: a stronger mark outweighs a weaker one.
///
/// There is deliberately no number here. A score invites a threshold, and a
/// threshold that passes unreviewed code is the outage we exist to prevent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// An agent was running nearby.
    Ambient,
    /// The agent's own record covers this text.
    Recorded,
    /// The commit says so.
    Declared,
}

impl Signal {
    /// Whether this mark makes a commit of a range assisted: declared or
    /// recorded, and not a review.
    pub fn assists(&self) -> bool {
        self.strength >= Strength::Recorded && self.kind != SignalKind::Review
    }
}

/// Finds every mark of a commit: author, committer, message. Each is declared;
/// reviews are reported as such.
pub fn detect(catalogue: &Catalogue, commit: &Commit) -> Vec<Signal> {
    Detector::new(catalogue).detect(commit)
}

/// The same for many commits: of a person who made several, it is asked once
/// whether that is an agent.
pub struct Detector<'c> {
    catalogue: &'c Catalogue,
    /// By identity, as an author and as a committer.
    known: [HashMap<Identity, Option<Signal>>; 2],
}

/// As many people are kept in mind.
const KNOWN: usize = 4096;

impl<'c> Detector<'c> {
    /// Detects by this catalogue.
    pub fn new(catalogue: &'c Catalogue) -> Detector<'c> {
        Detector { catalogue, known: Default::default() }
    }

    /// Finds every mark of a commit, as [`detect`] does.
    pub fn detect(&mut self, commit: &Commit) -> Vec<Signal> {
        let mut signals = Vec::new();
        signals.extend(self.identity(&commit.author, false));
        if commit.committer != commit.author || signals.is_empty() {
            signals.extend(self.identity(&commit.committer, true));
        }
        message::marks(self.catalogue, &commit.message, &mut signals);
        signals
    }

    fn identity(&mut self, who: &Identity, committer: bool) -> Option<Signal> {
        let known = &mut self.known[usize::from(committer)];
        if let Some(signal) = known.get(who) {
            return signal.clone();
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        let signal = identity(self.catalogue, who, committer);
        known.insert(who.clone(), signal.clone());
        signal
    }
}

/// Finds the marks around a process that commits: its variables, the names of
/// the executables above it, and the branch. Each is ambient.
pub fn ambient(
    catalogue: &Catalogue,
    variables: &[(String, String)],
    ancestors: &[String],
    branch: Option<&str>,
) -> Vec<Signal> {
    let mut signals = Vec::new();
    for (conditions, agent) in &catalogue.environment {
        if let Some(value) = holds(conditions, variables) {
            push_ambient(catalogue, *agent, SignalKind::Environment, value, &mut signals);
        }
    }
    for name in ancestors {
        if let Some(agent) = catalogue.processes.get(name) {
            push_ambient(catalogue, *agent, SignalKind::Process, name.clone(), &mut signals);
        }
    }
    if let Some(branch) = branch {
        let short = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        let lower = short.to_ascii_lowercase();
        for (prefix, agent) in &catalogue.branches {
            if lower.starts_with(prefix.as_str()) && lower.len() > prefix.len() {
                push_ambient(catalogue, *agent, SignalKind::Branch, short.to_owned(), &mut signals);
            }
        }
    }
    // A generic mark says nothing new beside a known agent's.
    let unknown = catalogue.id(catalogue.unknown);
    if signals.iter().any(|it| it.agent != unknown && it.kind == SignalKind::Environment) {
        signals.retain(|it| it.agent != unknown || it.kind != SignalKind::Environment);
    }
    signals
}

fn push_ambient(
    catalogue: &Catalogue,
    agent: usize,
    kind: SignalKind,
    value: String,
    signals: &mut Vec<Signal>,
) {
    let agent = catalogue.id(agent).to_owned();
    if !signals.iter().any(|it| it.agent == agent && it.kind == kind && it.value == value) {
        let strength = Strength::Ambient;
        signals.push(Signal { agent, kind, strength, value, model: None, in_trailer_block: None });
    }
}

/// Returns the name of the first variable if all conditions hold.
fn holds(conditions: &[Condition], variables: &[(String, String)]) -> Option<String> {
    let value =
        |name: &str| variables.iter().find(|(own, _)| own == name).map(|(_, it)| it.as_str());
    let mut first = None;
    for condition in conditions {
        match condition {
            Condition::Set { name, pattern } => {
                let value = value(name).filter(|it| !it.is_empty())?.to_ascii_lowercase();
                let off = pattern == "*" && matches!(value.as_str(), "0" | "false" | "no" | "off");
                if off || !glob(pattern, &value) {
                    return None;
                }
                first = first.or_else(|| Some(name.clone()));
            }
            Condition::Unset { name } => {
                if value(name).is_some() {
                    return None;
                }
            }
        }
    }
    first
}

fn identity(catalogue: &Catalogue, who: &Identity, committer: bool) -> Option<Signal> {
    let agent = catalogue
        .holder(&who.name, &who.email, committer)
        .or_else(|| message::agent_by_name(catalogue, &who.name))?;
    Some(Signal {
        agent: catalogue.id(agent).to_owned(),
        kind: SignalKind::Identity,
        strength: Strength::Declared,
        value: format!("{} <{}>", who.name, who.email),
        model: message::model_of(catalogue, &who.name),
        in_trailer_block: None,
    })
}
