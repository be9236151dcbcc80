//! People whom the rule names have approved exactly this content.

use std::collections::{BTreeMap, BTreeSet};

use super::Outcome;
use crate::gate::approval::{
    Asked, Counted, Cover, Involved, Proofs, Reason, Rejected, Situation, attribute_folders, count,
    delta, file_cover, involved, is_solo, reject_reason, rejections, signer, unproven_author,
    withdrawn,
};
use crate::gate::change::{Commit, FileChange, Oid, RepoPath, printable};
use crate::gate::evidence::{Evidence, LedgerView};
use crate::gate::obligation::{Case, Obligation};
use crate::gate::order;
use crate::gate::policy::{ApprovalRule, UnverifiedAuthors};
use crate::gate::record::{Body, FileDelta, Judgement, SignedRecord};
use crate::gate::time::Timestamp;
use crate::gate::verdict::{Code, State};

/// What all rules of one judgement share: worked out once.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    deltas: Vec<FileDelta>,
    attributes: BTreeSet<Vec<u8>>,
    pub involved: Involved,
    withdrawn: BTreeSet<String>,
}

impl Prepared {
    /// Works out who had a part and which records were taken back.
    pub fn new(case: &Case<'_>, evidence: &Evidence) -> Prepared {
        let signers = evidence.commit_signers.as_ref().ok();
        let none = BTreeSet::new();
        let clean = evidence.clean_merges.as_ref().unwrap_or(&none);
        Prepared {
            deltas: deltas(case, evidence),
            attributes: attribute_folders(case.change),
            involved: involved(case.change, case.policy, clean, signers, case.pusher),
            withdrawn: evidence
                .ledger
                .as_ref()
                .map(|ledger| withdrawn(&ledger.records, case.policy, &evidence.ledger_cuts))
                .unwrap_or_default(),
        }
    }

    /// What approvals are judged against.
    pub fn situation<'a>(&'a self, case: &Case<'a>, evidence: &'a Evidence) -> Situation<'a> {
        Situation {
            policy: case.policy,
            target: case.target,
            change: case.change,
            deltas: &self.deltas,
            standing: &evidence.target,
            proofs: Proofs {
                merges: &evidence.merges,
                history: &evidence.history,
                attributes: &self.attributes,
            },
            ledger_cuts: &evidence.ledger_cuts,
            involved: &self.involved,
            withdrawn: &self.withdrawn,
            times: &evidence.times,
            now: case.now,
        }
    }
}

/// The change's files by content, with the digests that are known.
pub(super) fn deltas(case: &Case<'_>, evidence: &Evidence) -> Vec<FileDelta> {
    let digest = |oid: &Oid| evidence.sha256.get(oid).and_then(|it| it.as_ref().ok()).cloned();
    let files = case.change.files.iter();
    files.map(|file| delta(file, file.new.as_ref().and_then(|entry| digest(&entry.oid)))).collect()
}

/// What an approval or a rejection says.
pub(super) fn content_judgement(signed: &SignedRecord) -> Option<&Judgement> {
    match &signed.record.body {
        Body::Approval(judgement) | Body::Rejection(judgement) => Some(judgement),
        Body::Withdrawal(_)
        | Body::Run(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => None,
    }
}

/// Judges every entry of `require.approvals`: each of the obligation's files
/// must be covered by enough different people.
pub fn judge(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rules: &[ApprovalRule],
    evidence: &Evidence,
    prepared: &Prepared,
) -> Outcome {
    let ledger = match &evidence.ledger {
        Ok(ledger) => ledger,
        Err(reason) => return Outcome::undecided(Code::ApprovalMissing, reason),
    };
    let situation = prepared.situation(case, evidence);
    if let Some(rejected) = rejections(&ledger.records, &situation).into_iter().find(|it| {
        it.files.iter().any(|path| obligation.files.iter().any(|file| file.path == *path))
    }) {
        return rejection(&rejected);
    }
    let mut outcome = Outcome::satisfied(String::new());
    let mut details = Vec::new();
    let unproven = unproven(case, evidence);
    for rule in &raised(rules, unproven) {
        let one = entry(case, obligation, rule, ledger, &situation);
        details.push(one.detail.clone());
        if one.state > outcome.state {
            outcome = one;
        }
    }
    let mut detail = details.join("; ");
    if let (Some(commit), true) = (unproven, outcome.state > State::Waived) {
        detail.push_str(&format!(
            "; at least 2 people, because no key of its author signed {}",
            commit.id.short()
        ));
    }
    Outcome { detail, ..outcome }
}

/// The commit whose author is not proven, where the policy asks for more then.
pub fn unproven<'a>(case: &Case<'a>, evidence: &Evidence) -> Option<&'a Commit> {
    match case.policy.trust.unverified_authors {
        // The commit being made is not signed yet: a later stage asks.
        UnverifiedAuthors::Two if case.has_ids() => {
            let none = BTreeSet::new();
            let clean = evidence.clean_merges.as_ref().unwrap_or(&none);
            let signers = evidence.commit_signers.as_ref().ok();
            unproven_author(case.change, case.policy, clean, signers)
        }
        UnverifiedAuthors::One | UnverifiedAuthors::Two => None,
    }
}

/// What is asked for: two people at least where an author is not proven.
pub fn raised(rules: &[ApprovalRule], unproven: Option<&Commit>) -> Vec<ApprovalRule> {
    let least = if unproven.is_some() { 2 } else { 0 };
    let raise = |rule: &ApprovalRule| ApprovalRule { count: rule.count.max(least), ..rule.clone() };
    rules.iter().map(raise).collect()
}

/// Judges a rewrite of a protected ref: only approvals of that very pair of
/// tips count.
pub fn judge_pair_of_tips(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rules: &[ApprovalRule],
    evidence: &Evidence,
) -> Outcome {
    let of_these = |judgement: &Judgement| {
        judgement.content.base == case.change.base && judgement.content.head == case.change.head
    };
    judge_only(case, obligation, rules, evidence, &of_these)
}

/// Judges what a preview shows: only approvals whose signer was shown that
/// very preview count.
pub fn judge_over_preview(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rules: &[ApprovalRule],
    evidence: &Evidence,
    preview: &str,
) -> Outcome {
    let over_it =
        |judgement: &Judgement| judgement.shown.previews.iter().any(|shown| shown == preview);
    judge_only(case, obligation, rules, evidence, &over_it)
}

/// Judges by those approvals alone that `keep` accepts; rejections and
/// withdrawals stand.
fn judge_only(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rules: &[ApprovalRule],
    evidence: &Evidence,
    keep: &dyn Fn(&Judgement) -> bool,
) -> Outcome {
    let mut narrowed = evidence.clone();
    if let Ok(ledger) = &mut narrowed.ledger {
        ledger.records.retain(|signed| match &signed.record.body {
            Body::Approval(judgement) => keep(judgement),
            Body::Withdrawal(_)
            | Body::Rejection(_)
            | Body::Run(_)
            | Body::Waiver(_)
            | Body::Preview(_)
            | Body::Attribution(_)
            | Body::Verdict(_) => true,
        });
    }
    let prepared = Prepared::new(case, &narrowed);
    judge(case, obligation, rules, &narrowed, &prepared)
}

fn rejection(rejected: &Rejected) -> Outcome {
    let note =
        rejected.note.as_ref().map(|note| format!(": {}", printable(note))).unwrap_or_default();
    Outcome {
        state: State::Failed,
        code: Code::Rejected,
        detail: format!("{} rejected this content{note}", rejected.person),
        next: Some(format!(
            "countersign ledger show {}",
            &rejected.record[..12.min(rejected.record.len())]
        )),
        people: Vec::new(),
    }
}

/// How each record fared for one entry of a rule, for `explain`.
pub fn counted<'a>(
    obligation: &Obligation<'_>,
    rule: &ApprovalRule,
    ledger: &'a LedgerView,
    situation: &Situation<'_>,
) -> Vec<(&'a SignedRecord, Result<Counted, Reason>)> {
    let asked = Asked { rule: &obligation.rule.id, approval: rule };
    let in_scope = |path: &RepoPath| obligation.covers(path, situation.policy);
    ledger
        .records
        .iter()
        .filter_map(|signed| match &signed.record.body {
            Body::Approval(judgement) => {
                Some((signed, count(signed, judgement, &asked, situation, in_scope)))
            }
            Body::Withdrawal(_)
            | Body::Rejection(_)
            | Body::Run(_)
            | Body::Waiver(_)
            | Body::Preview(_)
            | Body::Attribution(_)
            | Body::Verdict(_) => None,
        })
        .collect()
}

/// What an earlier approval says of one file of the change.
#[derive(Clone, Debug)]
pub struct Earlier<'a> {
    pub record: &'a SignedRecord,
    /// Who signed it, by the key alone.
    pub person: &'a str,
    /// When, by the signer's clock.
    pub at: Timestamp,
    /// The file as it was approved: against `old` and `new` of the change it
    /// shows what changed since.
    pub approved: &'a FileDelta,
    /// How it covers the file as it is now, or why it does not. Whether it
    /// also counts as the whole that it was, [`counted`] says.
    pub cover: Result<Cover, Reason>,
}

/// What was approved before of each of the obligation's files, under one entry
/// of its `require.approvals`: the newest first. Records that nobody of the
/// policy signed are left out.
pub fn earlier<'a>(
    obligation: &Obligation<'_>,
    rule: &ApprovalRule,
    ledger: &'a LedgerView,
    situation: &Situation<'a>,
) -> BTreeMap<RepoPath, Vec<Earlier<'a>>> {
    let asked = Asked { rule: &obligation.rule.id, approval: rule };
    let mut found: BTreeMap<RepoPath, Vec<Earlier<'a>>> =
        order::map(obligation.files.iter().map(|file| (file.path.clone(), Vec::new())));
    for record in &ledger.records {
        let Body::Approval(judgement) = &record.record.body else { continue };
        let Ok(person) = signer(record, situation.policy, situation.ledger_cuts) else { continue };
        let refused = reject_reason(record, judgement, &asked, situation);
        for approved in &judgement.content.files {
            let Some(known) = found.get_mut(&approved.path) else { continue };
            let cover = match &refused {
                Some(reason) => Err(reason.clone()),
                None => file_cover(approved, &judgement.content.base, rule.carry, situation),
            };
            let (person, at) = (person.name.as_str(), judgement.by.at);
            known.push(Earlier { record, person, at, approved, cover });
        }
    }
    for earlier in found.values_mut() {
        order::sort_by_key(earlier, |it| std::cmp::Reverse(it.at));
    }
    found
}

fn entry(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rule: &ApprovalRule,
    ledger: &LedgerView,
    situation: &Situation<'_>,
) -> Outcome {
    let records = counted(obligation, rule, ledger, situation);
    let counting: Vec<&Counted> =
        records.iter().filter_map(|(_, result)| result.as_ref().ok()).collect();
    let people_for = |path: &RepoPath| -> BTreeSet<&str> {
        counting.iter().filter(|it| it.files.contains(path)).map(|it| it.person.as_str()).collect()
    };
    let uncovered: Vec<&FileChange> = obligation
        .files
        .iter()
        .copied()
        .filter(|file| people_for(&file.path).len() < rule.count)
        .collect();
    let people: BTreeSet<&str> = order::set(counting.iter().map(|it| it.person.as_str()));
    if uncovered.is_empty() {
        return satisfied(&counting, &people);
    }
    let able = able(case, rule, situation);
    let possible: BTreeSet<&str> = order::set(able.union(&people).copied());
    if possible.len() < rule.count {
        return unsatisfiable(case, rule, &possible);
    }
    missing(case, obligation, rule, &uncovered, &people, &able, &records)
}

/// Humans whose approval could count: those asked, without those who had a part.
pub fn able<'a>(
    case: &Case<'a>,
    rule: &ApprovalRule,
    situation: &Situation<'_>,
) -> BTreeSet<&'a str> {
    let had_a_part = situation.involved.names();
    order::set(
        case.policy
            .humans(&rule.from)
            .into_iter()
            .filter(|name| !had_a_part.contains(name) || is_solo(case.policy, name))
            .filter(|name| {
                case.policy.people.get(*name).is_some_and(|person| !person.keys.is_empty())
            }),
    )
}

fn satisfied(counting: &[&Counted], people: &BTreeSet<&str>) -> Outcome {
    let own = counting.iter().any(|it| it.self_attested);
    let word = if own { "self-attested" } else { "approved" };
    Outcome::satisfied(format!("{word} by {}", join(people)))
}

fn unsatisfiable(case: &Case<'_>, rule: &ApprovalRule, possible: &BTreeSet<&str>) -> Outcome {
    let who =
        if possible.is_empty() { "nobody".to_owned() } else { format!("only {}", join(possible)) };
    Outcome {
        state: State::Unsatisfiable,
        code: Code::ApprovalUnsatisfiable,
        detail: format!(
            "needs {} from {}, and {who} could give one: authors of the change and people without a key do not count; {}",
            approvals(rule.count),
            asked(rule),
            to_change(rule)
        ),
        next: Some(case.next("who-can")),
        people: Vec::new(),
    }
}

fn missing(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    rule: &ApprovalRule,
    uncovered: &[&FileChange],
    people: &BTreeSet<&str>,
    able: &BTreeSet<&str>,
    records: &[(&SignedRecord, Result<Counted, Reason>)],
) -> Outcome {
    let has =
        if people.is_empty() { "has none".to_owned() } else { format!("has {}", join(people)) };
    let mut detail = format!("needs {} from {}, {has}", approvals(rule.count), asked(rule));
    if uncovered.len() < obligation.files.len() {
        detail.push_str(&format!(" for {} of {} files", uncovered.len(), obligation.files.len()));
    }
    if let Some((record, reason)) = telling(records, uncovered) {
        let id = &record.record.id;
        detail.push_str(&format!(
            "; the approval {} does not count: {reason}",
            &id[..12.min(id.len())]
        ));
    }
    Outcome {
        state: State::Missing,
        code: Code::ApprovalMissing,
        detail,
        next: Some(case.next("review")),
        people: able.difference(people).map(|name| (*name).to_owned()).collect(),
    }
}

/// The record about a missing file that does not count and that people ask
/// about first: one of this very content, else the newest.
fn telling<'a>(
    records: &'a [(&SignedRecord, Result<Counted, Reason>)],
    uncovered: &[&FileChange],
) -> Option<(&'a SignedRecord, &'a Reason)> {
    let blob = |file: &FileChange| file.new.as_ref().map(|entry| entry.oid.clone());
    records
        .iter()
        .filter_map(|(signed, result)| Some((*signed, result.as_ref().err()?)))
        .filter_map(|(signed, reason)| {
            let judgement = content_judgement(signed)?;
            let about = |listed: &&FileDelta| uncovered.iter().find(|it| it.path == listed.path);
            let mut listed = judgement.content.files.iter().filter_map(|listed| {
                let file = about(&listed)?;
                Some(listed.new.as_ref().map(|side| side.oid.clone()) == blob(file))
            });
            let first = listed.next()?;
            let this_content = first || listed.any(|same| same);
            Some(((this_content, judgement.by.at), (signed, reason)))
        })
        .max_by_key(|(rank, _)| *rank)
        .map(|(_, found)| found)
}

fn approvals(count: usize) -> String {
    if count == 1 { "1 approval".to_owned() } else { format!("{count} approvals") }
}

fn asked(rule: &ApprovalRule) -> String {
    if rule.from.is_empty() {
        "any person of the policy".to_owned()
    } else {
        rule.from.join(" or ")
    }
}

/// What makes it satisfiable: the policy's people change, not the change's.
fn to_change(rule: &ApprovalRule) -> String {
    match rule.from.as_slice() {
        [] => "add people with keys to countersign.toml on the target".to_owned(),
        [group] => format!(
            "add somebody to {group}, or a key to somebody in it, in countersign.toml on the target"
        ),
        groups => format!(
            "add somebody to {}, or a key to somebody in them, in countersign.toml on the target",
            groups.join(" or ")
        ),
    }
}

fn join(people: &BTreeSet<&str>) -> String {
    people.iter().copied().collect::<Vec<_>>().join(", ")
}
