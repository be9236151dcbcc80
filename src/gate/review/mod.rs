//! What a person who reviews a change is shown: its files and hunks, who wrote
//! the lines, which rules ask and why, what was approved before.
//!
//! A model of values; the terminal, markdown and JSON show it in their ways.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::change::{Change, Entry, FileChange, FileStatus, Oid, RepoPath};
use super::evidence::Evidence;
use super::obligation::{Case, matches};
use super::preview::table;
use super::record::canonical::sha256;
use super::requirement::preview;
use super::signal::{Signal, SignalKind, Strength};
use super::verdict::{Judged, State, Verdict};
use crate::gate::order;

mod earlier;
mod hunks;

pub use earlier::{ApprovedContent, Earlier, Standing, standing};
pub use hunks::{Hunk, Line, Mark, Piece, RawHunk, RawLine, Side, shown};

/// How many rows of a preview are shown.
const PREVIEW_ROWS: usize = 20;

/// A change as it is reviewed.
#[derive(Clone, Debug, Serialize)]
pub struct Review {
    pub schema: &'static str,
    pub range: String,
    pub target: String,
    #[serde(serialize_with = "as_text")]
    pub base: Oid,
    #[serde(serialize_with = "as_text")]
    pub head: Oid,
    pub passes: bool,
    pub added: u64,
    pub removed: u64,
    pub assisted_added: u64,
    /// The agents of the change, with the models that their marks name.
    pub agents: Vec<String>,
    /// The newest last.
    pub commits: Vec<ReviewedCommit>,
    pub rules: Vec<ReviewedRule>,
    /// The tables of previews, safe to print.
    pub previews: Vec<String>,
    pub files: Vec<ReviewedFile>,
}

/// A commit of the change.
#[derive(Clone, Debug, Serialize)]
pub struct ReviewedCommit {
    #[serde(serialize_with = "as_text")]
    pub id: Oid,
    pub author: String,
    pub subject: String,
    /// `claude-code (declared)`.
    pub marks: Vec<String>,
}

/// A rule that applies, and where it stands.
#[derive(Clone, Debug, Serialize)]
pub struct ReviewedRule {
    pub id: String,
    pub why: Option<String>,
    #[serde(serialize_with = "as_texts")]
    pub files: Vec<RepoPath>,
    pub requirements: Vec<ReviewedRequirement>,
}

/// What a rule asks for, and where that stands: results of tests and previews
/// among it.
#[derive(Clone, Debug, Serialize)]
pub struct ReviewedRequirement {
    pub requirement: &'static str,
    pub state: State,
    pub detail: String,
}

/// A file of the change.
#[derive(Clone, Debug, Serialize)]
pub struct ReviewedFile {
    #[serde(serialize_with = "as_text_of_path")]
    pub path: RepoPath,
    pub status: FileStatus,
    #[serde(serialize_with = "as_entry")]
    pub old: Option<Entry>,
    #[serde(serialize_with = "as_entry")]
    pub new: Option<Entry>,
    pub added: u64,
    pub removed: u64,
    pub assisted: bool,
    pub assisted_added: u64,
    /// `claude-code (recorded, session 1f3a)`.
    pub agents: Vec<String>,
    /// The rules that apply, each with the pattern that put the file under it.
    pub rules: Vec<RuleBeside>,
    pub earlier: Vec<Earlier>,
    /// A rule still misses an approval of this file.
    pub wanted: bool,
    /// An earlier approval leaves nothing to look at.
    pub covered: bool,
    /// The reviewer's own approval is what covers it.
    pub own: bool,
    pub body: FileBody,
    /// What changed since the newest approval that does not cover it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// A rule beside a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleBeside {
    pub rule: String,
    pub why: Option<String>,
    /// `None`: the rule names no paths.
    pub pattern: Option<String>,
}

/// What is shown of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileBody {
    Hunks(Vec<Hunk>),
    /// Nothing can be shown, or nothing changed but the mode; the reason.
    Note(String),
}

/// What changed since an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Since {
    pub person: String,
    pub hunks: Vec<Hunk>,
}

/// A file's texts, compared outside: `None` stands for what has no lines.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// By path: the hunks, or why there are none.
    pub files: BTreeMap<RepoPath, Result<Vec<RawHunk>, String>>,
    /// By path: the hunks from what somebody approved to what is there now.
    pub since: BTreeMap<RepoPath, (String, Vec<RawHunk>)>,
}

/// What is to be read for a review besides the change itself: the approved
/// content of files that went on from it, by path, with whose approval it was.
pub fn approved_before(
    standing: &BTreeMap<RepoPath, Standing>,
    person: Option<&str>,
) -> BTreeMap<RepoPath, (String, ApprovedContent)> {
    let mut wanted = BTreeMap::new();
    for (path, standing) in standing.iter().filter(|(_, it)| !it.is_covered()) {
        let known = || standing.earlier.iter().filter(|it| !it.covers && it.approved.is_some());
        let own = known().find(|it| Some(it.person.as_str()) == person);
        if let Some(it) = own.or_else(|| known().max_by_key(|it| it.at))
            && let Some(approved) = &it.approved
        {
            wanted.insert(path.clone(), (it.person.clone(), approved.clone()));
        }
    }
    wanted
}

impl Review {
    /// Puts together what is shown. `only`: files under these rules alone;
    /// every file if there are none.
    pub fn new(
        case: &Case<'_>,
        evidence: &Evidence,
        verdict: &Verdict,
        standing: &BTreeMap<RepoPath, Standing>,
        contents: &Contents,
        only: &[String],
    ) -> Review {
        let (change, attribution) = (case.change, case.attribution);
        let beside = beside(case);
        let previews = preview::shown(case, &super::obligation::obligations(case), evidence);
        let files: Vec<ReviewedFile> = change
            .files
            .iter()
            .map(|file| reviewed(case, file, &beside, standing, contents))
            .filter(|file| only.is_empty() || file.rules.iter().any(|it| only.contains(&it.rule)))
            .collect();
        let mut review = Review {
            schema: "countersign.review/1",
            range: case.range.to_owned(),
            target: case.target.to_owned(),
            base: change.base.clone(),
            head: change.head.clone(),
            passes: verdict.passes(),
            added: 0,
            removed: 0,
            assisted_added: 0,
            agents: attribution
                .agents()
                .into_iter()
                .map(|(id, share)| {
                    let models: Vec<String> = share.models.into_iter().collect();
                    if models.is_empty() { id } else { format!("{id} ({})", models.join(", ")) }
                })
                .collect(),
            commits: commits(change, case),
            rules: rules(&verdict.obligations, only),
            previews: previews
                .iter()
                .map(|it| table(&it.record.name, &it.record.preview, PREVIEW_ROWS))
                .collect(),
            files,
        };
        review.count();
        review
    }

    /// Leaves out the files of which an earlier approval leaves nothing to see.
    pub fn since_approved(mut self) -> Review {
        self.files.retain(|file| !file.covered);
        self.count();
        self
    }

    /// Counts the lines of the files that are shown.
    fn count(&mut self) {
        let total = |of: fn(&ReviewedFile) -> u64| self.files.iter().map(of).sum();
        (self.added, self.removed, self.assisted_added) =
            (total(|it| it.added), total(|it| it.removed), total(|it| it.assisted_added));
    }
}

impl ReviewedFile {
    /// What names exactly this content of this file: its path, and modes and
    /// objects on both sides.
    pub fn key(&self) -> String {
        let side = |it: &Option<Entry>| {
            it.as_ref().map_or("none".to_owned(), |it| format!("{:o} {}", it.mode, it.oid))
        };
        let text = format!("{}\n{}\n{}", self.path.to_text(), side(&self.old), side(&self.new));
        sha256(text.as_bytes())
    }
}

fn commits(change: &Change, case: &Case<'_>) -> Vec<ReviewedCommit> {
    let marks: BTreeMap<&Oid, &Vec<Signal>> =
        order::map(case.attribution.commits.iter().map(|it| (&it.commit, &it.signals)));
    let commit = |it: &super::change::Commit| ReviewedCommit {
        id: it.id.clone(),
        author: it.author.email.clone(),
        subject: it.message.lines().next().unwrap_or_default().to_owned(),
        marks: marks.get(&it.id).map(|it| marks_of(it.iter())).unwrap_or_default(),
    };
    change.commits.iter().map(commit).collect()
}

/// `claude-code (declared)`, the strongest a row an agent, with its sessions.
fn marks_of<'a>(signals: impl Iterator<Item = &'a Signal>) -> Vec<String> {
    let mut strongest: BTreeMap<&str, (Strength, BTreeSet<&str>)> = BTreeMap::new();
    for signal in signals.filter(|it| it.kind != SignalKind::Review) {
        let entry = strongest.entry(&signal.agent).or_insert((signal.strength, BTreeSet::new()));
        entry.0 = entry.0.max(signal.strength);
        entry.1.extend(signal.value.strip_prefix("session "));
    }
    let row = |(agent, (strength, sessions)): (&str, (Strength, BTreeSet<&str>))| {
        let sessions: Vec<&str> = sessions.into_iter().collect();
        match sessions.len() {
            0 => format!("{agent} ({})", word(strength)),
            1 => format!("{agent} ({}, session {})", word(strength), sessions[0]),
            _ => format!("{agent} ({}, sessions {})", word(strength), sessions.join(", ")),
        }
    };
    strongest.into_iter().map(row).collect()
}

/// The word of a strength.
pub fn word(strength: Strength) -> &'static str {
    match strength {
        Strength::Ambient => "ambient",
        Strength::Recorded => "recorded",
        Strength::Declared => "declared",
    }
}

fn rules(judged: &[Judged], only: &[String]) -> Vec<ReviewedRule> {
    let mut rules: Vec<ReviewedRule> = Vec::new();
    for it in judged.iter().filter(|it| only.is_empty() || only.contains(&it.rule)) {
        let requirement = ReviewedRequirement {
            requirement: it.requirement,
            state: it.state,
            detail: it.detail.clone(),
        };
        match rules.iter_mut().find(|rule| rule.id == it.rule) {
            Some(rule) => rule.requirements.push(requirement),
            None => rules.push(ReviewedRule {
                id: it.rule.clone(),
                why: it.why.clone(),
                files: it.files.clone(),
                requirements: vec![requirement],
            }),
        }
    }
    rules
}

fn beside(case: &Case<'_>) -> BTreeMap<RepoPath, Vec<RuleBeside>> {
    let mut beside: BTreeMap<RepoPath, Vec<RuleBeside>> = BTreeMap::new();
    for it in matches(case).iter().filter(|it| it.applies()) {
        for matched in &it.files {
            beside.entry(matched.file.path.clone()).or_default().push(RuleBeside {
                rule: it.rule.id.clone(),
                why: it.rule.why.clone(),
                pattern: matched.pattern.map(str::to_owned),
            });
        }
    }
    beside
}

fn reviewed(
    case: &Case<'_>,
    file: &FileChange,
    beside: &BTreeMap<RepoPath, Vec<RuleBeside>>,
    standing: &BTreeMap<RepoPath, Standing>,
    contents: &Contents,
) -> ReviewedFile {
    let attribution = case.attribution.file(&file.path);
    let standing = standing.get(&file.path).cloned().unwrap_or_default();
    let ranges = &attribution.ranges;
    let body = match contents.files.get(&file.path) {
        Some(Ok(hunks)) if !hunks.is_empty() => FileBody::Hunks(shown(hunks, ranges)),
        Some(Ok(_)) => FileBody::Note("the content is the same; only the mode changed".to_owned()),
        Some(Err(why)) => FileBody::Note(why.clone()),
        None => FileBody::Note("the content was not read".to_owned()),
    };
    let since = contents
        .since
        .get(&file.path)
        .map(|(person, hunks)| Since { person: person.clone(), hunks: shown(hunks, ranges) });
    ReviewedFile {
        path: file.path.clone(),
        status: file.status(),
        old: file.old.clone(),
        new: file.new.clone(),
        added: file.added_lines(),
        removed: file.removed,
        assisted: attribution.assisted,
        assisted_added: attribution.assisted_added(),
        agents: agents(case, &attribution.agents, ranges),
        rules: beside.get(&file.path).cloned().unwrap_or_default(),
        covered: standing.is_covered(),
        own: standing.own,
        wanted: standing.wanted,
        earlier: standing.earlier,
        body,
        since,
    }
}

/// The agents of a file, by the strongest way in which that is known.
fn agents(
    case: &Case<'_>,
    agents: &BTreeSet<String>,
    ranges: &[super::attribution::AttributedRange],
) -> Vec<String> {
    let signals = || case.attribution.commits.iter().flat_map(|it| &it.signals);
    let of = |agent: &String| {
        let known = marks_of(signals().filter(|it| it.agent == *agent));
        known.into_iter().next().unwrap_or_else(|| {
            let strongest = ranges.iter().filter(|it| it.agent == *agent).map(|it| it.strength);
            strongest.max().map_or(agent.clone(), |it| format!("{agent} ({})", word(it)))
        })
    };
    agents.iter().map(of).collect()
}

fn as_text<S: serde::Serializer>(oid: &Oid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(oid.as_str())
}

fn as_text_of_path<S: serde::Serializer>(path: &RepoPath, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_text())
}

fn as_texts<S: serde::Serializer>(paths: &[RepoPath], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(paths.iter().map(RepoPath::to_text))
}

fn as_entry<S: serde::Serializer>(entry: &Option<Entry>, to: S) -> Result<S::Ok, S::Error> {
    let value = entry.as_ref().map(
        |it| serde_json::json!({ "mode": format!("{:06o}", it.mode), "oid": it.oid.as_str() }),
    );
    value.serialize(to)
}
