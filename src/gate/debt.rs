//! What a waiver leaves to be done: content that landed under it is reviewed
//! later, by the people whom the waived rule asks.
//!
//! A debt is there from when the waived content stands on the target until it
//! is approved, or until all of it is as it was before. It restricts, so that
//! nothing the waiver's signer does afterwards (a withdrawal, a revoked key)
//! takes it away.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::approval::{Situation, made_at_the_latest, signatory};
use super::attribution::Attribution;
use super::change::{Change, Entry, FileChange, Oid, RepoPath, printable};
use super::evidence::{Dated, Evidence, Landing, LedgerView, Moves, Need, Waived};
use super::obligation::{Case, Obligation};
use super::policy::{ApprovalRule, Carry, PersonKind, Policy, Presence, Rule, Stage, WaiverRule};
use super::record::{Body, FileDelta, Side, SignatureState, SignedRecord, Waiver};
use super::requirement::Requirement;
use super::requirement::approvals::{self, Prepared};
use super::time::{Timestamp, write_length};
use super::verdict::{Code, Finding, Level, State};
use crate::gate::order;

/// A review that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debt {
    /// The waiver's id.
    pub record: String,
    pub rule: String,
    pub person: String,
    /// The person had a part in what they waived.
    pub own: bool,
    pub reason: String,
    pub base: Oid,
    pub head: Oid,
    /// What landed and is not as it was before; never empty.
    pub files: Vec<FileDelta>,
    /// From when on it blocks; `None`: the policy sets no time.
    pub due: Option<Timestamp>,
    /// What is missing, in one line.
    pub missing: String,
}

/// What has to be looked up about the waivers among the records.
pub fn needs(case: &Case<'_>, ledger: &LedgerView) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    let (mut paths, mut dated) = (BTreeSet::new(), BTreeMap::new());
    for (signed, waiver) in waivers(ledger) {
        dated.insert(signed.record.id.clone(), dated_by(signed));
        if case.stage == Stage::Commit || granted(case, signed, waiver).is_none() {
            continue;
        }
        let listed: BTreeSet<RepoPath> =
            order::set(waiver.content.files.iter().map(|file| file.path.clone()));
        paths.extend(listed.iter().cloned());
        needs.insert(Need::Landed(Waived {
            record: signed.record.id.clone(),
            base: waiver.content.base.clone(),
            head: waiver.content.head.clone(),
            paths: listed,
        }));
    }
    dated.extend(dated_approvals(case, ledger));
    if !paths.is_empty() {
        needs.insert(Need::RecordsAbout(paths));
    }
    if !dated.is_empty() {
        needs.insert(Need::Times(dated));
    }
    needs
}

/// The approvals whose time matters: where one may grow too old, and where
/// somebody committed what others wrote and may have approved it before.
fn dated_approvals(case: &Case<'_>, ledger: &LedgerView) -> BTreeMap<String, Dated> {
    let ages = |rule: &Rule| {
        rule.require.iter().any(|staged| match &staged.requirement {
            Requirement::Approvals(rules) => rules.iter().any(|it| it.max_age.is_some()),
            Requirement::Tests(_)
            | Requirement::Coverage(_)
            | Requirement::Preview(_)
            | Requirement::Disclosure => false,
        })
    };
    let committed = case.change.commits.iter().any(|it| it.author.email != it.committer.email);
    if !committed && !case.policy.rules.iter().any(ages) {
        return BTreeMap::new();
    }
    let changed: BTreeMap<&RepoPath, Option<&Oid>> = order::map(
        case.change
            .files
            .iter()
            .map(|file| (&file.path, file.new.as_ref().map(|entry| &entry.oid))),
    );
    let carries = |rule: &Rule| {
        rule.require.iter().any(|staged| {
            matches!(&staged.requirement, Requirement::Approvals(rules)
                if rules.iter().any(|it| it.carry == Carry::CleanMerge))
        })
    };
    let carries = case.policy.rules.iter().any(carries);
    // Most that was ever approved of a file is about other content, and counts only if it carries.
    let same = |file: &FileDelta| match changed.get(&file.path) {
        Some(blob) => carries || *blob == file.new.as_ref().map(|side| &side.oid),
        None => false,
    };
    let approvals = ledger.records.iter().filter(|signed| match &signed.record.body {
        Body::Approval(judgement) => judgement.content.files.iter().any(same),
        Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Run(_)
        | Body::Waiver(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => false,
    });
    order::map(approvals.map(|signed| (signed.record.id.clone(), dated_by(signed))))
}

fn dated_by(signed: &SignedRecord) -> Dated {
    Dated {
        path: signed.record.ledger_path(),
        at: signed.record.body.at(),
        ledger: signed.record.body.signer().and_then(|signer| signer.ledger.clone()),
    }
}

fn waivers(ledger: &LedgerView) -> impl Iterator<Item = (&SignedRecord, &Waiver)> {
    ledger.records.iter().filter_map(|signed| match &signed.record.body {
        Body::Waiver(waiver) => Some((signed, waiver)),
        Body::Approval(_)
        | Body::Rejection(_)
        | Body::Withdrawal(_)
        | Body::Run(_)
        | Body::Preview(_)
        | Body::Attribution(_)
        | Body::Verdict(_) => None,
    })
}

/// Whose waiver it is, and by which table, if it was one that could lift a
/// rule here. A key that was revoked since still owes.
fn granted<'p>(
    case: &Case<'p>,
    signed: &SignedRecord,
    waiver: &Waiver,
) -> Option<(&'p str, &'p WaiverRule)> {
    let table = case.policy.waiver.as_ref()?;
    let SignatureState::Good(signature) = &signed.signature else { return None };
    let (person, _) = signatory(case.policy, signature)?;
    let may = person.kind == PersonKind::Human
        && table.from.iter().any(|group| case.policy.is_member(&person.name, group));
    let here = case.policy.trust.repo_id.as_ref() == Some(&waiver.content.repo)
        && waiver.content.target == case.target;
    (may && here).then_some((person.name.as_str(), table))
}

/// The reviews that are owed on this target, the first due first.
pub fn debts(case: &Case<'_>, evidence: &Evidence) -> Vec<Debt> {
    let Ok(ledger) = &evidence.ledger else { return Vec::new() };
    if case.stage == Stage::Commit {
        return Vec::new();
    }
    let mut debts: Vec<Debt> = waivers(ledger)
        .filter_map(|(signed, waiver)| debt(case, evidence, signed, waiver))
        .collect();
    let due = |debt: &Debt| debt.due.map_or(i64::MAX, |due| due.0);
    order::sort_by_key(&mut debts, |debt| (due(debt), debt.record.clone()));
    // The same waived again, because the first one ran out, is owed once.
    let mut seen = BTreeSet::new();
    debts.retain(|debt| seen.insert((debt.rule.clone(), debt.files.clone())));
    debts
}

fn debt(
    case: &Case<'_>,
    evidence: &Evidence,
    signed: &SignedRecord,
    waiver: &Waiver,
) -> Option<Debt> {
    let (person, table) = granted(case, signed, waiver)?;
    let (files, landing, unknown) = match evidence.landed.get(&signed.record.id) {
        Some(Ok(landing)) => (owed(waiver, landing), landing.clone(), None),
        // What could not be looked at is owed.
        Some(Err(why)) => (waiver.content.files.clone(), Landing::default(), Some(why.as_str())),
        None => (waiver.content.files.clone(), Landing::default(), Some("it was not asked for")),
    };
    if files.is_empty() {
        return None;
    }
    let (missing, own) = match unknown {
        Some(why) => (format!("whether it landed could not be told: {why}"), false),
        None => {
            let (outcome, own) = reviewed(case, evidence, waiver, &landing, person);
            (outcome?, own)
        }
    };
    // Where its time cannot be told, its own word stands: a later one only
    // blocks later, and none is believed that lies ahead of our clock.
    let claimed = waiver.by.at;
    let made = made_at_the_latest(signed, claimed, &evidence.times, case.now);
    let made = made.unwrap_or_else(|_| claimed.min(case.now));
    Some(Debt {
        record: signed.record.id.clone(),
        rule: waiver.rule.clone(),
        person: person.to_owned(),
        own,
        reason: waiver.reason.clone(),
        base: waiver.content.base.clone(),
        head: waiver.content.head.clone(),
        files,
        due: table.review_within.map(|length| made.plus(length)),
        missing,
    })
}

/// The waived files that landed and are not as they were before.
fn owed(waiver: &Waiver, landing: &Landing) -> Vec<FileDelta> {
    let files = waiver.content.files.iter().filter(|file| {
        let Some(held) = landing.held.get(&file.path) else { return false };
        let landed = held.iter().any(|entry| stands(file.new.as_ref(), entry.as_ref()));
        let restored = held.first().is_some_and(|entry| stands(file.old.as_ref(), entry.as_ref()));
        landed && !restored
    });
    files.cloned().collect()
}

fn stands(side: Option<&Side>, entry: Option<&Entry>) -> bool {
    match (side, entry) {
        (None, None) => true,
        (Some(side), Some(entry)) => side.mode == entry.mode && side.oid == entry.oid,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// What is missing of the review that the waived rule asks for: `None` if it
/// was given. Also whether the waiver's signer had a part in the content.
fn reviewed(
    case: &Case<'_>,
    evidence: &Evidence,
    waiver: &Waiver,
    landing: &Landing,
    person: &str,
) -> (Option<String>, bool) {
    let content = &waiver.content;
    let change = Change {
        base: content.base.clone(),
        head: content.head.clone(),
        head_tree: content.head_tree.clone(),
        commits: landing.commits.clone(),
        files: content.files.iter().map(changed).collect(),
    };
    let attribution = Attribution::default();
    let range = range(&content.base, &content.head);
    let waived = Case {
        change: &change,
        attribution: &attribution,
        stage: Stage::Merge,
        range: &range,
        pusher: None,
        ..*case
    };
    let (rule, asked) = asked(case.policy, &waiver.rule);
    let files: Vec<&FileChange> =
        change.files.iter().filter(|file| rule.scope.pattern(&file.path).is_some()).collect();
    let obligation = Obligation { rule: Cow::Borrowed(&rule), files };
    let evidence = looking_back(evidence, &content.files);
    let prepared = Prepared::new(&waived, &evidence);
    let own = prepared.involved.names().contains(person);
    let outcome = approvals::judge(&waived, &obligation, &asked, &evidence, &prepared);
    let missing = (outcome.state > State::Waived).then_some(outcome.detail);
    (missing, own)
}

/// A waived file as a change, of whose lines nothing is known.
fn changed(file: &FileDelta) -> FileChange {
    let entry = |side: &Side| Entry { mode: side.mode, oid: side.oid.clone() };
    FileChange {
        path: file.path.clone(),
        old: file.old.as_ref().map(entry),
        new: file.new.as_ref().map(entry),
        added: Vec::new(),
        removed: 0,
        binary: false,
    }
}

/// The evidence with what the waiver itself says of its blobs' bytes, and
/// without what became of them since: a review is no less given because the
/// file was changed again.
fn looking_back(evidence: &Evidence, files: &[FileDelta]) -> Evidence {
    let mut evidence = evidence.clone();
    let unchanged: Moves = order::map(files.iter().map(|file| (file.path.clone(), Vec::new())));
    for signed in evidence.ledger.iter().flat_map(|ledger| &ledger.records) {
        if let Body::Approval(judgement) = &signed.record.body {
            evidence.history.insert(judgement.content.base.clone(), Ok(unchanged.clone()));
        }
    }
    for side in files.iter().filter_map(|file| file.new.as_ref()) {
        if let Some(digest) = &side.sha256 {
            evidence.sha256.entry(side.oid.clone()).or_insert_with(|| Ok(digest.clone()));
        }
    }
    evidence
}

/// Whose review is asked for: what the waived rule's approvals ask, else one
/// of any person who counts. It pays for good: it neither ages nor asks for
/// that very commit.
fn asked(policy: &Policy, id: &str) -> (Rule, Vec<ApprovalRule>) {
    let mut rule = policy.rules.iter().find(|rule| rule.id == id).cloned().unwrap_or_else(|| {
        // The rule is gone from the policy; its debt is not.
        Rule { id: id.to_owned(), ..super::obligation::policy_change_rule(policy) }
    });
    let mut entries: Vec<ApprovalRule> = Vec::new();
    for staged in &rule.require {
        if let Requirement::Approvals(rules) = &staged.requirement {
            entries.extend(rules.iter().cloned());
        }
    }
    if entries.is_empty() || !policy.rules.iter().any(|it| it.id == id) {
        rule.scope.paths = None;
        entries = vec![ApprovalRule {
            count: 1,
            from: Vec::new(),
            presence: Presence::None,
            carry: Carry::Exact,
            max_age: None,
        }];
    }
    for entry in &mut entries {
        entry.max_age = None;
        entry.carry = Carry::Exact;
    }
    (rule, entries)
}

/// What is said of the debts at this change: a warning for everybody, and a
/// block for a change of the same paths once the review is overdue. A change
/// that puts back what stood there before is never held up.
pub fn findings(case: &Case<'_>, evidence: &Evidence) -> Vec<Finding> {
    debts(case, evidence).into_iter().map(|debt| finding(case, &debt)).collect()
}

fn finding(case: &Case<'_>, debt: &Debt) -> Finding {
    let touched = touched(case, debt);
    let overdue = debt.due.is_some_and(|due| case.now > due);
    let blocks = overdue && case.stage == Stage::Merge && touched.is_some();
    let waived = if debt.own { "self-waived" } else { "waived" };
    let when = match debt.due {
        None => "its review is owed".to_owned(),
        Some(due) if overdue => format!("its review is overdue since {due}"),
        Some(due) => {
            format!("its review is due by {due}, in {}", write_length(due.since(case.now)))
        }
    };
    let message = format!(
        "{} {waived} it for {} ({}); {when}: {}",
        debt.person,
        listed(&debt.files),
        printable(&debt.reason),
        debt.missing
    );
    let level = if blocks { Level::Block } else { Level::Warn };
    let target = printable(case.target);
    let mut finding = Finding::block(Code::WaiverDebt, message).at(level).rule(debt.rule.clone());
    finding.path = touched.cloned();
    finding.next(format!("countersign approve {} --target {target}", range(&debt.base, &debt.head)))
}

/// The first file of the debt that the change touches and does not put back.
fn touched<'c>(case: &Case<'c>, debt: &Debt) -> Option<&'c RepoPath> {
    let owed: BTreeMap<&RepoPath, &FileDelta> =
        order::map(debt.files.iter().map(|file| (&file.path, file)));
    let mut files = case.change.files.iter().filter_map(|file| {
        let owed = owed.get(&file.path)?;
        let restores = stands(owed.old.as_ref(), file.new.as_ref());
        (!restores).then_some(&file.path)
    });
    files.next()
}

fn listed(files: &[FileDelta]) -> String {
    let first = files.first().map(|file| file.path.to_display()).unwrap_or_default();
    match files.len() {
        0 | 1 => format!("`{first}`"),
        more => format!("`{first}` and {} more files", more - 1),
    }
}

fn range(base: &Oid, head: &Oid) -> String {
    format!("{}..{}", base.short(), head.short())
}

/// When a waiver was made at the latest, for whether it is still in force; the
/// reason where that cannot be told.
pub fn waived_at(
    signed: &SignedRecord,
    waiver: &Waiver,
    situation: &Situation<'_>,
) -> Result<Timestamp, super::approval::Reason> {
    made_at_the_latest(signed, waiver.by.at, situation.times, situation.now)
}
