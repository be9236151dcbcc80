//! What is known of a change afterwards: who made it and with which agents,
//! what was asked of it, and every record that was made about it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::approval::signatory;
use super::change::{Change, FileChange, Oid, RepoPath};
use super::evidence::Evidence;
use super::explain::explain;
use super::obligation::Case;
use super::policy::Policy;
use super::record::{Body, Content, SignatureState, SignedRecord};
use super::signal::Signal;
use super::verdict::{State, Verdict};
use crate::gate::order;

/// The trail of one change.
#[derive(Clone, Debug, Serialize)]
pub struct Trail {
    pub base: String,
    pub head: String,
    pub verdict: &'static str,
    /// Everything that was asked is there or waived, and could be looked up.
    pub complete: bool,
    pub commits: Vec<TrailCommit>,
    pub files: Vec<TrailFile>,
    pub obligations: Vec<TrailObligation>,
    /// The newest last.
    pub records: Vec<TrailRecord>,
}

/// A commit and the marks on it.
#[derive(Clone, Debug, Serialize)]
pub struct TrailCommit {
    pub commit: String,
    pub author: String,
    pub committer: String,
    pub subject: String,
    pub assisted: bool,
    pub signals: Vec<Signal>,
}

/// A file's change, by content.
#[derive(Clone, Debug, Serialize)]
pub struct TrailFile {
    pub path: String,
    pub old: Option<String>,
    pub new: Option<String>,
    pub added: u64,
    pub assisted_added: u64,
}

/// What a rule asked for, and where that stands.
#[derive(Clone, Debug, Serialize)]
pub struct TrailObligation {
    pub rule: String,
    pub requirement: &'static str,
    pub state: State,
    pub detail: String,
}

/// A record about the change.
#[derive(Clone, Debug, Serialize)]
pub struct TrailRecord {
    pub id: String,
    #[serde(rename = "type")]
    pub record_type: &'static str,
    pub at: String,
    /// Who signed it, by the key alone.
    pub by: Option<String>,
    /// `good`, `unsigned`, or why the signature does not hold.
    pub signature: String,
    /// Whether it counts for a rule; `None`: no rule counts records of this type.
    pub counts: Option<bool>,
    /// Why it does not count, what it says, or what is weak about it.
    pub says: Option<String>,
}

/// Puts together the trail of a judged change; `records` are those that may be
/// about it.
pub fn trail(
    case: &Case<'_>,
    evidence: &Evidence,
    verdict: &Verdict,
    records: &[SignedRecord],
) -> Trail {
    let counting = counting(case, evidence, verdict);
    let subjects = Subjects::of(case.change);
    let obligations: Vec<TrailObligation> = verdict
        .obligations
        .iter()
        .map(|it| TrailObligation {
            rule: it.rule.clone(),
            requirement: it.requirement,
            state: it.state,
            detail: it.detail.clone(),
        })
        .collect();
    let mut about: Vec<TrailRecord> = records
        .iter()
        .filter(|signed| counting.contains_key(&signed.record.id) || subjects.has(signed))
        .map(|signed| record(case.policy, signed, counting.get(&signed.record.id)))
        .collect();
    order::sort_by(&mut about, |one, other| (&one.at, &one.id).cmp(&(&other.at, &other.id)));
    Trail {
        base: case.change.base.to_string(),
        head: case.change.head.to_string(),
        verdict: if verdict.passes() { "pass" } else { "block" },
        complete: verdict.passes() && obligations.iter().all(|it| it.state <= State::Waived),
        commits: commits(case),
        files: files(case),
        obligations,
        records: about,
    }
}

/// The changes in which a first-parent history (from where it begins to its
/// head) came to stand on its branch: as the verdicts that a server recorded
/// tell, else by the approvals that were given for a part of it, else commit by commit.
pub fn steps(chain: &[Oid], records: &[SignedRecord]) -> Vec<(Oid, Oid)> {
    let place: BTreeMap<&str, usize> =
        order::map(chain.iter().enumerate().map(|(index, id)| (id.as_str(), index)));
    let mut ends: BTreeMap<usize, (bool, usize)> = BTreeMap::new();
    for (judged, base, head) in records.iter().filter_map(|it| pair(&it.record.body)) {
        let (Some(base), Some(head)) = (place.get(base), place.get(head)) else { continue };
        if base < head {
            let known = ends.entry(*base).or_insert((judged, *head));
            *known = (*known).max((judged, *head));
        }
    }
    let mut steps = Vec::new();
    let mut at = 0;
    while at + 1 < chain.len() {
        let end = ends.get(&at).map_or(at + 1, |(_, head)| *head);
        steps.push((chain[at].clone(), chain[end].clone()));
        at = end;
    }
    steps
}

/// From where to where a record goes; whether it is a verdict.
fn pair(body: &Body) -> Option<(bool, &str, &str)> {
    match body {
        Body::Verdict(value) => {
            let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
            Some((true, text("base")?, text("commit")?))
        }
        Body::Approval(it) => Some((false, it.content.base.as_str(), it.content.head.as_str())),
        Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Run(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_) => None,
    }
}

fn commits(case: &Case<'_>) -> Vec<TrailCommit> {
    let marks: BTreeMap<&Oid, _> =
        order::map(case.attribution.commits.iter().map(|it| (&it.commit, it)));
    let commit = |it: &super::change::Commit| {
        let marks = marks.get(&it.id);
        TrailCommit {
            commit: it.id.to_string(),
            author: it.author.email.clone(),
            committer: it.committer.email.clone(),
            subject: it.message.lines().next().unwrap_or_default().to_owned(),
            assisted: marks.is_some_and(|it| it.assisted),
            signals: marks.map(|it| it.signals.clone()).unwrap_or_default(),
        }
    };
    case.change.commits.iter().map(commit).collect()
}

fn files(case: &Case<'_>) -> Vec<TrailFile> {
    let files = case.change.files.iter();
    files
        .map(|file| TrailFile {
            path: file.path.to_text(),
            old: file.old.as_ref().map(|it| it.oid.to_string()),
            new: file.new.as_ref().map(|it| it.oid.to_string()),
            added: file.added_lines(),
            assisted_added: case.attribution.file(&file.path).assisted_added(),
        })
        .collect()
}

/// Which records the rules looked at: by id, whether one counts anywhere, and
/// what is said about it.
fn counting(
    case: &Case<'_>,
    evidence: &Evidence,
    verdict: &Verdict,
) -> BTreeMap<String, (bool, Option<String>)> {
    let mut counting: BTreeMap<String, (bool, Option<String>)> = BTreeMap::new();
    let rules = explain(case, evidence, verdict, None);
    let requirements = rules.into_iter().flat_map(|rule| rule.requirements);
    for record in requirements.flat_map(|it| it.records) {
        let known = counting.entry(record.id).or_insert((false, None));
        if record.counts || !known.0 {
            *known = (record.counts, record.reason);
        }
    }
    counting
}

/// What records can be about: the contents, the tree and the commits of a change.
struct Subjects<'a> {
    tree: &'a Oid,
    commits: BTreeSet<&'a str>,
    /// What each file is now; `None`: it is gone.
    files: BTreeMap<&'a RepoPath, Option<&'a Oid>>,
}

impl<'a> Subjects<'a> {
    fn of(change: &'a Change) -> Subjects<'a> {
        let now = |it: &'a FileChange| (&it.path, it.new.as_ref().map(|it| &it.oid));
        Subjects {
            tree: &change.head_tree,
            commits: order::set(change.commits.iter().map(|it| it.id.as_str())),
            files: order::map(change.files.iter().map(now)),
        }
    }

    /// Whether a record is about exactly something of this change.
    fn has(&self, signed: &SignedRecord) -> bool {
        let is_named = |predicate: &serde_json::Value| {
            let text = |name: &str| predicate.get(name).and_then(serde_json::Value::as_str);
            text("commit").is_some_and(|it| self.commits.contains(it))
                || text("tree").is_some_and(|it| self.tree.as_str() == it)
        };
        let is_run =
            |tree: &Oid, commit: &Oid| tree == self.tree || self.commits.contains(commit.as_str());
        match &signed.record.body {
            Body::Approval(it) | Body::Rejection(it) => self.holds(&it.content),
            Body::Waiver(it) => self.holds(&it.content),
            Body::Run(it) => is_run(&it.tree, &it.commit),
            Body::Preview(it) => is_run(&it.tree, &it.commit),
            Body::Attribution(it) => is_named(&it.value()),
            Body::Verdict(it) => is_named(it),
            Body::Withdrawal(_) => false,
        }
    }

    fn holds(&self, content: &Content) -> bool {
        content.files.iter().any(|file| {
            let new = file.new.as_ref().map(|it| &it.oid);
            self.files.get(&file.path).is_some_and(|now| *now == new)
        })
    }
}

fn record(
    policy: &Policy,
    signed: &SignedRecord,
    counted: Option<&(bool, Option<String>)>,
) -> TrailRecord {
    let (by, signature) = match &signed.signature {
        SignatureState::Good(good) => {
            let owner = signatory(policy, good).map(|(person, _)| person.name.clone());
            (Some(owner.unwrap_or_else(|| good.fingerprint.clone())), "good".to_owned())
        }
        SignatureState::Unsigned => (None, "unsigned".to_owned()),
        SignatureState::Bad(why) => (None, why.clone()),
    };
    let said = counted.and_then(|(_, reason)| reason.clone()).or_else(|| says(&signed.record.body));
    TrailRecord {
        id: signed.record.id.clone(),
        record_type: signed.record.record_type().word(),
        at: signed.record.body.at().to_string(),
        by,
        signature,
        counts: counted.map(|(counts, _)| *counts),
        says: said,
    }
}

/// What a record says, in one line.
fn says(body: &Body) -> Option<String> {
    match body {
        Body::Approval(it) | Body::Rejection(it) => it.note.clone(),
        Body::Waiver(it) => Some(format!("{} until {}: {}", it.rule, it.expires, it.reason)),
        Body::Run(it) => Some(format!("{}: {}", it.test, it.summary)),
        Body::Preview(it) => Some(format!("{}: {}", it.name, super::preview::summary(&it.preview))),
        Body::Verdict(it) => it.get("verdict").and_then(|it| it.as_str()).map(str::to_owned),
        Body::Withdrawal(it) => it.reason.clone(),
        Body::Attribution(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    fn oid(digit: char) -> Oid {
        Oid::parse(&digit.to_string().repeat(40)).expect("forty digits")
    }

    /// Commits are digits; a verdict goes from the first of two to the second.
    #[track_caller]
    fn check(chain: &str, verdicts: &[&str], expected: &[&str]) {
        let verdict = |text: &&str| {
            let [base, head] = [0, 1].map(|at| oid(text.as_bytes()[at].into()).to_string());
            let body = Body::Verdict(serde_json::json!({ "base": base, "commit": head, "at": "" }));
            SignedRecord {
                record: Record { id: "0".repeat(64), body },
                signature: SignatureState::Unsigned,
                own: false,
            }
        };
        let records: Vec<SignedRecord> = verdicts.iter().map(verdict).collect();
        let chain: Vec<Oid> = chain.chars().map(oid).collect();
        let steps: Vec<String> = steps(&chain, &records)
            .iter()
            .map(|(base, head)| format!("{}{}", &base.as_str()[..1], &head.as_str()[..1]))
            .collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_history_is_taken_apart_as_it_landed() {
        check("1", &[], &[]);
        check("1234", &[], &["12", "23", "34"]);
        check("12345", &["24"], &["12", "24", "45"]);
        // A record of other commits, or backwards, says nothing.
        check("1234", &["42", "19", "91", "33"], &["12", "23", "34"]);
        check("12345", &["12", "13", "35"], &["13", "35"]);
    }
}
