//! Why a verdict is what it is: rule by rule, path by pattern, record by record.

use std::collections::BTreeSet;

use serde::Serialize;

use super::approval::{Counted, signatory};
use super::evidence::Evidence;
use super::judge::{Lifted, lifted};
use super::obligation::{Case, Match, Obligation, matches};
use super::policy::{ApprovalRule, Stage};
use super::record::{Body, Record, SignatureState, SignedRecord};
use super::requirement::Requirement;
use super::requirement::approvals::{Prepared, able, counted, raised, unproven};
use super::requirement::coverage::{FileNumbers, numbers, sources};
use super::requirement::waiver::InForce;
use super::run::{Counting, counts, key};
use super::verdict::{State, Verdict};
use super::weakening::guard;
use crate::gate::order;

/// How one rule met the change.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    pub rule: String,
    pub why: Option<String>,
    pub applies: bool,
    /// In one line, why it applies or not.
    pub because: String,
    pub files: Vec<ExplainedFile>,
    pub conditions: Vec<ExplainedCondition>,
    pub requirements: Vec<ExplainedRequirement>,
}

/// A file under the rule.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedFile {
    pub path: String,
    /// The pattern that put it there; `None`: the rule names no paths.
    pub pattern: Option<String>,
}

/// A condition of `when`.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedCondition {
    pub condition: String,
    pub met: String,
    pub holds: bool,
}

/// A requirement and the records that bear on it.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedRequirement {
    pub requirement: &'static str,
    pub stage: Stage,
    pub state: State,
    pub detail: String,
    pub next: Option<String>,
    pub records: Vec<ExplainedRecord>,
    /// Of coverage: the assisted added lines, file by file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<FileNumbers>,
}

/// A record that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedRecord {
    pub id: String,
    /// Who made it, by the key.
    pub by: String,
    pub counts: bool,
    /// Why it does not count, or what is weak about it.
    pub reason: Option<String>,
}

/// As many carried files are named one by one.
const SHOWN_PATHS: usize = 3;

/// Explains every rule, or only one.
pub fn explain(
    case: &Case<'_>,
    evidence: &Evidence,
    verdict: &Verdict,
    only: Option<&str>,
) -> Vec<Explained> {
    let prepared = Prepared::new(case, evidence);
    let weakened = guard::obligation(case, &evidence.losses).map(guard::matched);
    matches(case)
        .into_iter()
        .chain(weakened)
        .filter(|it| only.is_none_or(|rule| it.rule.id == rule))
        .map(|it| one(case, evidence, verdict, &prepared, it))
        .collect()
}

fn one(
    case: &Case<'_>,
    evidence: &Evidence,
    verdict: &Verdict,
    prepared: &Prepared,
    it: Match<'_>,
) -> Explained {
    let unless = it.rule.unless.as_ref().map(|unless| lifted(case, unless, evidence));
    let applies = it.applies() && unless != Some(Lifted::Yes);
    let because = because(&it, unless);
    let files = it
        .files
        .iter()
        .map(|matched| ExplainedFile {
            path: matched.file.path.to_text(),
            pattern: matched.pattern.map(str::to_owned),
        })
        .collect();
    let conditions = it
        .conditions
        .iter()
        .map(|condition| ExplainedCondition {
            condition: condition.text.clone(),
            met: condition.met.clone(),
            holds: condition.holds,
        })
        .collect();
    let (rule, why) = (it.rule.id.clone(), it.rule.why.clone());
    let obligation =
        Obligation { files: it.files.iter().map(|matched| matched.file).collect(), rule: it.rule };
    let requirements = if applies {
        requirements(case, evidence, verdict, prepared, &obligation)
    } else {
        Vec::new()
    };
    Explained { rule, why, applies, because, files, conditions, requirements }
}

fn because(it: &Match<'_>, unless: Option<Lifted>) -> String {
    if it.files.is_empty() {
        return "no changed path lies under it".to_owned();
    }
    if let Some(condition) = it.conditions.iter().find(|condition| !condition.holds) {
        return format!("`{}` does not hold: {}", condition.text, condition.met);
    }
    match unless {
        Some(Lifted::Yes) => "every commit is signed by a person whom `unless` names".to_owned(),
        Some(Lifted::No) => {
            "its paths and conditions hold, and `unless` is not proven by signatures".to_owned()
        }
        Some(Lifted::NotYet) => {
            "its paths and conditions hold; `unless` is asked once the commit is signed".to_owned()
        }
        None => "its paths and conditions hold".to_owned(),
    }
}

fn requirements(
    case: &Case<'_>,
    evidence: &Evidence,
    verdict: &Verdict,
    prepared: &Prepared,
    obligation: &Obligation<'_>,
) -> Vec<ExplainedRequirement> {
    verdict
        .obligations
        .iter()
        .filter(|judged| judged.rule == obligation.rule.id)
        .map(|judged| {
            let asked = obligation
                .rule
                .require
                .iter()
                .find(|staged| staged.requirement.word() == judged.requirement)
                .map(|staged| &staged.requirement);
            let numbers = match asked {
                Some(Requirement::Coverage(_)) => numbers(case, obligation, evidence).ok(),
                Some(
                    Requirement::Approvals(_)
                    | Requirement::Tests(_)
                    | Requirement::Preview(_)
                    | Requirement::Disclosure,
                )
                | None => None,
            };
            let mut records = match asked {
                Some(Requirement::Approvals(rules)) => {
                    approvals(case, evidence, prepared, obligation, rules)
                }
                Some(Requirement::Tests(names)) => runs(case, evidence, names),
                Some(Requirement::Coverage(_)) => {
                    let tests = sources(case.policy, obligation);
                    runs(
                        case,
                        evidence,
                        &tests.iter().map(|it| it.name.clone()).collect::<Vec<_>>(),
                    )
                }
                Some(Requirement::Preview(_) | Requirement::Disclosure) | None => Vec::new(),
            };
            records.extend(waivers(case, evidence, prepared, obligation));
            ExplainedRequirement {
                requirement: judged.requirement,
                stage: judged.stage,
                state: judged.state,
                detail: judged.detail.clone(),
                next: judged.next.clone(),
                records,
                coverage: numbers.map(|it| it.files).unwrap_or_default(),
            }
        })
        .collect()
}

fn approvals(
    case: &Case<'_>,
    evidence: &Evidence,
    prepared: &Prepared,
    obligation: &Obligation<'_>,
    rules: &[ApprovalRule],
) -> Vec<ExplainedRecord> {
    let Ok(ledger) = &evidence.ledger else { return Vec::new() };
    let situation = prepared.situation(case, evidence);
    let mut seen = BTreeSet::new();
    let mut records = Vec::new();
    for rule in rules {
        for (signed, result) in counted(obligation, rule, ledger, &situation) {
            if !about(&signed.record, obligation)
                || (!seen.insert(signed.record.id.as_str()) && result.is_err())
            {
                continue;
            }
            let (counts, reason) = match &result {
                Ok(counted) if counted.self_attested => {
                    (true, Some("self-attested, not reviewed".to_owned()))
                }
                Ok(counted) => (true, remarks(counted)),
                Err(reason) => (false, Some(reason.to_string())),
            };
            records.push(ExplainedRecord {
                id: signed.record.id.clone(),
                by: by(case, signed),
                counts,
                reason,
            });
        }
    }
    records
}

/// The waivers of this rule for files of the change.
fn waivers(
    case: &Case<'_>,
    evidence: &Evidence,
    prepared: &Prepared,
    obligation: &Obligation<'_>,
) -> Vec<ExplainedRecord> {
    let examined = super::requirement::waiver::examine(case, obligation, evidence, prepared);
    let row = |(signed, result): (&SignedRecord, Result<InForce, _>)| ExplainedRecord {
        id: signed.record.id.clone(),
        by: by(case, signed),
        counts: result.is_ok(),
        reason: Some(match result {
            Ok(waiver) => waiver.describe(),
            Err(refused) => format!("the waiver lifts nothing: {refused}"),
        }),
    };
    examined.into_iter().map(row).collect()
}

/// What is to be said of an approval that counts.
fn remarks(counted: &Counted) -> Option<String> {
    let mut remarks = Vec::new();
    if !counted.carried.is_empty() {
        let shown: Vec<String> = counted
            .carried
            .iter()
            .take(SHOWN_PATHS)
            .map(|path| format!("`{}`", path.to_display()))
            .collect();
        let more = match counted.carried.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let carried = shown.join(", ");
        remarks
            .push(format!("carried over to {carried}{more}: the approved change merges cleanly"));
    }
    if counted.plain_key {
        remarks.push("signed with a plain key: a soft proof of a human".to_owned());
    }
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

/// Whether a record lists a path of the obligation at all; the others would
/// only be noise.
fn about(record: &Record, obligation: &Obligation<'_>) -> bool {
    match &record.body {
        Body::Approval(judgement) | Body::Rejection(judgement) => judgement
            .content
            .files
            .iter()
            .any(|listed| obligation.files.iter().any(|file| file.path == listed.path)),
        Body::Withdrawal(_)
        | Body::Run(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => false,
    }
}

fn runs(case: &Case<'_>, evidence: &Evidence, names: &[String]) -> Vec<ExplainedRecord> {
    let Ok(ledger) = &evidence.ledger else { return Vec::new() };
    let counting =
        Counting { policy: case.policy, stage: case.stage, ledger_cuts: &evidence.ledger_cuts };
    let mut records = Vec::new();
    for signed in &ledger.records {
        let Body::Run(run) = &signed.record.body else { continue };
        let Some(test) =
            names.contains(&run.test).then(|| case.policy.tests.get(&run.test)).flatten()
        else {
            continue;
        };
        let Some(Ok(digest)) = evidence.inputs.get(&run.test) else { continue };
        let (is_counted, reason) = if run.key != key(test, digest) {
            if run.tree != case.change.head_tree {
                continue;
            }
            (false, Some("the test's definition changed since".to_owned()))
        } else {
            match counts(signed, run, test, &counting) {
                Ok(kind) if run.passed => (true, Some(format!("passed, {}", kind.describe()))),
                Ok(kind) => (false, Some(format!("failed, {}: {}", kind.describe(), run.summary))),
                Err(refusal) => (false, Some(refusal.to_string())),
            }
        };
        records.push(ExplainedRecord {
            id: signed.record.id.clone(),
            by: by(case, signed),
            counts: is_counted,
            reason,
        });
    }
    records
}

/// Who made a record, by its key alone.
fn by(case: &Case<'_>, signed: &SignedRecord) -> String {
    match &signed.signature {
        SignatureState::Good(signature) => signatory(case.policy, signature)
            .map_or_else(|| signature.fingerprint.clone(), |(person, _)| person.name.clone()),
        SignatureState::Unsigned if signed.own => "this clone, unsigned".to_owned(),
        SignatureState::Unsigned => "unsigned".to_owned(),
        SignatureState::Bad(_) => "a signature that does not hold".to_owned(),
    }
}

/// A way to satisfy what is missing of a rule's approvals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhoCan {
    pub rule: String,
    /// How many more people are needed.
    pub needed: usize,
    /// Any of these; empty: nobody could.
    pub people: Vec<String>,
}

/// Whose approvals are missing, entry by entry, and the smallest sets of
/// people who could give them all: each set is enough.
pub fn who_can(
    case: &Case<'_>,
    evidence: &Evidence,
    obligations: &[Obligation<'_>],
) -> (Vec<WhoCan>, Vec<BTreeSet<String>>) {
    let prepared = Prepared::new(case, evidence);
    let situation = prepared.situation(case, evidence);
    let mut open = Vec::new();
    for obligation in obligations {
        let rules = obligation.rule.require.iter().filter_map(|staged| match &staged.requirement {
            Requirement::Approvals(rules) => Some(rules),
            Requirement::Tests(_)
            | Requirement::Coverage(_)
            | Requirement::Preview(_)
            | Requirement::Disclosure => None,
        });
        let rules: Vec<ApprovalRule> = rules.flatten().cloned().collect();
        for rule in &raised(&rules, unproven(case, evidence)) {
            let given: BTreeSet<String> = match &evidence.ledger {
                Ok(ledger) => counted(obligation, rule, ledger, &situation)
                    .into_iter()
                    .filter_map(|(_, result)| result.ok())
                    .filter(|it| obligation.files.iter().all(|file| it.files.contains(&file.path)))
                    .map(|it| it.person)
                    .collect(),
                Err(_) => BTreeSet::new(),
            };
            let needed = rule.count.saturating_sub(given.len());
            if needed > 0 {
                let able = able(case, rule, &situation).into_iter().map(str::to_owned);
                let people = able.filter(|name| !given.contains(name)).collect();
                open.push(WhoCan { rule: obligation.rule.id.clone(), needed, people });
            }
        }
    }
    let sets = smallest_sets(&open);
    (open, sets)
}

/// The most sets that are worked out; a policy that needs more is answered by its entries.
const MOST_SETS: usize = 64;
/// The largest set that is looked for.
const LARGEST_SET: usize = 5;

fn smallest_sets(open: &[WhoCan]) -> Vec<BTreeSet<String>> {
    let people: Vec<&String> =
        order::set(open.iter().flat_map(|it| &it.people)).into_iter().collect();
    if open.is_empty() || open.iter().any(|it| it.people.len() < it.needed) {
        return Vec::new();
    }
    let enough = |set: &BTreeSet<&String>| {
        open.iter()
            .all(|it| it.people.iter().filter(|name| set.contains(name)).count() >= it.needed)
    };
    let mut level: Vec<(usize, BTreeSet<&String>)> = vec![(0, BTreeSet::new())];
    for _ in 0..LARGEST_SET {
        let mut next = Vec::new();
        for (from, set) in &level {
            for (at, person) in people.iter().enumerate().skip(*from) {
                let mut larger = set.clone();
                larger.insert(person);
                next.push((at + 1, larger));
            }
            if next.len() > 100_000 {
                return Vec::new();
            }
        }
        let found: Vec<BTreeSet<String>> = next
            .iter()
            .filter(|(_, set)| enough(set))
            .take(MOST_SETS)
            .map(|(_, set)| set.iter().map(|name| (*name).clone()).collect())
            .collect();
        if !found.is_empty() {
            return found;
        }
        level = next;
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(rows: &[(usize, &[&str])]) -> Vec<WhoCan> {
        let row = |(needed, people): &(usize, &[&str])| WhoCan {
            rule: "r".to_owned(),
            needed: *needed,
            people: people.iter().map(|name| (*name).to_owned()).collect(),
        };
        rows.iter().map(row).collect()
    }

    #[track_caller]
    fn check(rows: &[(usize, &[&str])], expected: &[&[&str]]) {
        let sets = smallest_sets(&open(rows));
        let sets: Vec<Vec<&str>> =
            sets.iter().map(|set| set.iter().map(String::as_str).collect()).collect();
        assert_eq!(sets, expected);
    }

    #[test]
    fn the_smallest_sets_of_people_are_named() {
        check(&[], &[]);
        check(&[(1, &["ana", "bo"])], &[&["ana"], &["bo"]]);
        check(&[(1, &["ana", "bo"]), (1, &["bo", "chi"])], &[&["bo"]]);
        check(&[(2, &["ana", "bo"]), (1, &["chi"])], &[&["ana", "bo", "chi"]]);
        check(&[(2, &["ana"])], &[]);
    }
}
