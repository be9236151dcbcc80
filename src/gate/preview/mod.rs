//! Previews (dry runs) of infrastructure changes: what would be created,
//! changed and taken away, of what type, where. Never the values.
//!
//! An engine's own output is read by a file of this folder and becomes one
//! normal form, [`Preview`], whatever the engine.

use std::collections::{BTreeMap, BTreeSet};

use super::time::Timestamp;
use crate::gate::order;

mod apply;
mod cloudformation;
mod hcl;
mod json;
mod kubernetes;
mod place;
mod plan_file;
mod pulumi;
mod shrink;
mod sources;
mod table;
mod terraform;

pub use apply::{Applied, ApplyError, applied};
pub use plan_file::{
    LOCK_FILE, Module, PlanFile, PlanFileError, SOURCES, StateIdentity, is_plan_file,
};
pub use sources::{
    Committed, SourceModule, Sources, compare, folders, is_source, joined, local_calls,
};
pub use table::{markdown, summary, table};

/// The most rows that are kept; counts are always complete.
pub const MAX_ROWS: usize = 5_000;
/// The most notes that are kept.
const MAX_NOTES: usize = 200;
/// The most characters of a text that is kept.
const MAX_TEXT: usize = 500;

/// What an engine says that it would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// The engine's version, as it says.
    pub version: Option<String>,
    /// The version of the output's format, as it says.
    pub format: Option<String>,
    /// When the plan was made, if it says so.
    pub made: Option<Timestamp>,
    /// Why it does not show the whole change; empty: it does.
    pub partial: Vec<String>,
    /// What disappears stands first; at most [`MAX_ROWS`].
    pub rows: Vec<Row>,
    /// How many rows more there are.
    pub omitted: u64,
    pub counts: Counts,
    /// What is shown and not counted: drift, moves, imports. At most the first 200.
    pub notes: Vec<Note>,
}

/// What would happen to one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub action: Action,
    pub address: String,
    /// The resource's type, in the engine's words.
    pub kind: String,
    /// Region, account or cluster; `None`: the output does not tell.
    pub place: Option<String>,
    /// The engine's own reason, or why it cannot be told what happens.
    pub reason: Option<String>,
    /// Names of the attributes that lose elements, or force a replacement. Never values.
    pub paths: Vec<String>,
    /// The result is known only when it is done: something may be taken away.
    pub uncertain: bool,
}

/// What happens to a resource. What cannot be undone stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Delete,
    Replace,
    /// No longer managed, and not destroyed.
    Forget,
    /// The engine says something that is not known here.
    Unknown,
    /// An update that takes elements away.
    Removal,
    Update,
    Create,
}

impl Action {
    /// Every action.
    pub const ALL: &[Action] = &[
        Action::Delete,
        Action::Replace,
        Action::Forget,
        Action::Unknown,
        Action::Removal,
        Action::Update,
        Action::Create,
    ];

    /// The word in policies, records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Action::Delete => "delete",
            Action::Replace => "replace",
            Action::Forget => "forget",
            Action::Unknown => "unknown",
            Action::Removal => "removal",
            Action::Update => "update",
            Action::Create => "create",
        }
    }

    /// The action of this word.
    pub fn of(word: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|it| it.word() == word)
    }
}

/// How often each action stands in a preview, and in how many places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// An action that does not occur is absent.
    pub actions: BTreeMap<Action, u64>,
    /// Updates whose result is not known.
    pub uncertain: u64,
    /// Distinct places in which something happens.
    pub places: u64,
}

impl Counts {
    /// How many rows have this action.
    pub fn of(&self, action: Action) -> u64 {
        self.actions.get(&action).copied().unwrap_or(0)
    }

    /// What a limit of the policy (`deletes`, `replaces`, `removals`,
    /// `forgets`, `places`) counts. What is not known counts for each of them.
    pub fn limited(&self, limit: &str) -> u64 {
        let unknown = self.of(Action::Unknown);
        match limit {
            "deletes" => self.of(Action::Delete) + unknown,
            "replaces" => self.of(Action::Replace) + unknown,
            "removals" => self.of(Action::Removal) + self.uncertain + unknown,
            "forgets" => self.of(Action::Forget) + unknown,
            "places" => self.places,
            _ => u64::MAX,
        }
    }
}

/// Something that the plan tells and does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// `drift`, `moved` or `import`.
    pub what: String,
    pub address: String,
}

/// Why an engine's output is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    #[error("this version of countersign cannot read previews of the engine `{0}`")]
    Engine(String),
    #[error("it is UTF-16, as PowerShell's `>` writes; JSON is UTF-8")]
    Utf16,
    #[error("the plan is not the JSON that `terraform show -json` prints")]
    Terraform(#[source] serde_json::Error),
    #[error("the plan has format version `{0}`; 0.1 to 1.x are known")]
    Format(String),
    #[error("the change set is not the JSON that `aws cloudformation describe-change-set` prints")]
    CloudFormation(#[source] serde_json::Error),
    #[error("this is not the JSON that `pulumi preview --json` prints")]
    Pulumi(#[source] serde_json::Error),
    #[error("the objects are no JSON")]
    Kubernetes(#[source] serde_json::Error),
    #[error("these are not the objects that docs/previews.md asks for: {0}")]
    Objects(String),
    #[error("the preview is not the JSON of docs/previews.md")]
    Json(#[source] serde_json::Error),
    #[error("the preview has the schema `{0}`, not `countersign.preview/1`")]
    Schema(String),
    #[error("`{0}` is no action: create, update, removal, replace, delete, forget or unknown")]
    Action(String),
}

/// Whether previews of this engine can be read.
pub fn evaluable(engine: &str) -> bool {
    matches!(engine, "terraform" | "opentofu" | "cloudformation" | "pulumi" | "kubernetes" | "json")
}

/// Reads an engine's output. What it does not understand is an error or a row
/// with the action `unknown`, never nothing.
pub fn parse(engine: &str, bytes: &[u8]) -> Result<Preview, PreviewError> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(PreviewError::Utf16);
    }
    // RFC 8259, 8.1: a mark in front may be ignored.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match engine {
        "terraform" | "opentofu" => terraform::parse(bytes),
        "cloudformation" => cloudformation::parse(bytes),
        "pulumi" => pulumi::parse(bytes),
        "kubernetes" => kubernetes::parse(bytes),
        "json" => json::parse(bytes),
        other => Err(PreviewError::Engine(bounded(other))),
    }
}

/// Where something happens, as far as an engine's output tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spot {
    /// Everywhere at once, or nowhere in particular: counted only if there is nothing else.
    Global,
    Region {
        region: String,
        account: Option<String>,
    },
    /// Not known by name; two with the same key are together.
    Key(String),
}

/// Collects rows and counts them.
#[derive(Default)]
struct Collector {
    preview: Preview,
    spots: BTreeSet<Spot>,
}

impl Collector {
    fn add(&mut self, row: Row, spots: impl IntoIterator<Item = Spot>) {
        let counts = &mut self.preview.counts;
        *counts.actions.entry(row.action).or_default() += 1;
        counts.uncertain += u64::from(row.uncertain);
        self.spots.extend(spots);
        self.preview.rows.push(row);
    }

    fn note(&mut self, what: &str, address: &str) {
        if self.preview.notes.len() < MAX_NOTES {
            let note = Note { what: what.to_owned(), address: bounded(address) };
            self.preview.notes.push(note);
        }
    }

    fn partial(&mut self, why: impl Into<String>) {
        self.preview.partial.push(why.into());
    }

    fn finish(mut self) -> Preview {
        self.preview.counts.places = places(&self.spots);
        let rows = &mut self.preview.rows;
        order::sort_by(rows, |one, other| {
            let key = |row: &Row| (row.action, !row.uncertain);
            key(one).cmp(&key(other)).then_with(|| one.address.cmp(&other.address))
        });
        self.preview.omitted = rows.len().saturating_sub(MAX_ROWS) as u64;
        rows.truncate(MAX_ROWS);
        self.preview
    }
}

/// Distinct places. In one region, resources whose account is not known are
/// taken to be in one of those that are.
fn places(spots: &BTreeSet<Spot>) -> u64 {
    let mut regions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let (mut keys, mut global) = (0, 0);
    for spot in spots {
        match spot {
            Spot::Global => global = 1,
            Spot::Region { region, account } => {
                regions.entry(region).or_default().extend(account.as_deref());
            }
            Spot::Key(_) => keys += 1,
        }
    }
    let named: u64 = regions.values().map(|accounts| accounts.len().max(1) as u64).sum();
    (named + keys).max(global)
}

/// A text of an engine's output, as much of it as is kept.
fn bounded(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// Whether `name` is `pattern`, in which `*` stands for any characters.
pub fn matches_stars(pattern: &str, name: &str) -> bool {
    // Hardly any line begins as a pattern does, and each is asked about many.
    let first = pattern.bytes().next();
    if first.is_some_and(|it| it != b'*') && first != name.bytes().next() {
        return false;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spots: &[(&str, Option<&str>)], keys: &[&str], global: bool, expected: u64) {
        let mut all: BTreeSet<Spot> = spots
            .iter()
            .map(|(region, account)| Spot::Region {
                region: (*region).to_owned(),
                account: account.map(str::to_owned),
            })
            .collect();
        all.extend(keys.iter().map(|key| Spot::Key((*key).to_owned())));
        all.extend(global.then_some(Spot::Global));
        assert_eq!(places(&all), expected);
    }

    #[test]
    fn a_mark_in_front_is_passed_over() {
        let rows = br#"{"schema": "countersign.preview/1", "complete": true, "rows": []}"#;
        let marked = [b"\xef\xbb\xbf".as_slice(), rows].concat();
        assert_eq!(parse("json", &marked).unwrap(), parse("json", rows).unwrap());
        let wide = [b"\xff\xfe".as_slice(), &rows.map(|it| [it, 0]).concat()].concat();
        let error = parse("json", &wide).unwrap_err().to_string();
        assert_eq!(error, "it is UTF-16, as PowerShell's `>` writes; JSON is UTF-8");
    }

    #[test]
    fn places_are_counted_once() {
        check(&[], &[], false, 0);
        check(&[], &[], true, 1);
        check(&[("eu-west-1", None)], &[], true, 1);
        check(&[("eu-west-1", None), ("eu-west-1", Some("1"))], &[], false, 1);
        check(&[("eu-west-1", Some("2")), ("eu-west-1", Some("1"))], &[], false, 2);
        check(&[("eu-west-1", None), ("us-east-1", None)], &["a", "b"], false, 4);
    }

    #[test]
    fn stars_match_parts_of_names() {
        for (pattern, name, expected) in [
            ("*.xml", "TEST-a.xml", true),
            ("TEST-*.xml", "a.xml", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("*.xml", "a.xml.txt", false),
            ("a", "ab", false),
            ("a*a", "a", false),
            ("aws_security_group*", "aws_security_group_rule", true),
            ("*", "anything", true),
        ] {
            assert_eq!(matches_stars(pattern, name), expected, "{pattern} {name}");
        }
    }
}
