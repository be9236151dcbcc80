//! What was approved before of a change's files, and whether that still holds.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::approval::{
    Cover, Situation, bound, covers, file_cover, human, made_at_the_latest, signer,
};
use super::super::change::{Oid, RepoPath};
use super::super::evidence::Evidence;
use super::super::obligation::{Case, Obligation, obligations};
use super::super::policy::{ApprovalRule, Policy};
use super::super::record::{Body, FileDelta, Judgement, Side, SignedRecord};
use super::super::requirement::Requirement;
use super::super::requirement::approvals::{Prepared, counted};
use super::super::time::Timestamp;
use crate::gate::order;

/// Somebody's approval that lists a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earlier {
    pub person: String,
    /// The record's id.
    pub record: String,
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// It holds for what the file is now.
    pub covers: bool,
    /// It does by a clean merge: the file is not exactly as it was approved.
    pub carried: bool,
    /// What was approved, where that is a file's content: what changed since
    /// can then be shown.
    #[serde(skip)]
    pub approved: Option<ApprovedContent>,
}

/// What was approved of a file's content, by its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovedContent {
    pub new: Oid,
    /// What the file was before, where that is other content than it is before
    /// the change now: then the approved change has to be merged into that first.
    pub moved: Option<Oid>,
}

/// Where a file stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Approvals that list it, the newest first, one a person.
    pub earlier: Vec<Earlier>,
    /// A rule still misses somebody's approval of this file.
    pub wanted: bool,
    /// A rule asks for approvals of this file.
    pub asked: bool,
    /// This person's own approval covers it, for every rule that asks; where
    /// nobody in particular looks, anybody's.
    pub own: bool,
}

impl Standing {
    /// Whether an earlier approval leaves nothing to look at: one's own does, and
    /// others' do where rules ask and nobody is missing, in whatever way the
    /// gate found them to hold.
    pub fn is_covered(&self) -> bool {
        let others = match self.asked {
            true => !self.wanted,
            false => self.earlier.iter().any(|it| it.covers),
        };
        self.own || others
    }
}

fn as_text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// Where every file of the change stands; `person` is who reviews. `None`:
/// nobody in particular.
pub fn standing(
    case: &Case<'_>,
    evidence: &Evidence,
    person: Option<&str>,
) -> BTreeMap<RepoPath, Standing> {
    let prepared = Prepared::new(case, evidence);
    let situation = prepared.situation(case, evidence);
    let records = evidence.ledger.as_ref().map(|it| it.records.as_slice()).unwrap_or_default();
    let approvals: Vec<Approved<'_>> =
        records.iter().filter_map(|signed| approved(signed, &situation)).collect();
    let obligations = obligations(case);
    let mut asking = asking(case, evidence, &obligations, &situation);
    let mut standing = BTreeMap::new();
    for delta in situation.deltas {
        let asking = asking.remove(&delta.path).unwrap_or_default();
        let entries: Vec<&ApprovalRule> = asking.iter().map(|(_, entry, _)| *entry).collect();
        let of = |it: &Approved<'_>| it.of(delta, &entries, &situation);
        let mut earlier: Vec<Earlier> = approvals.iter().filter_map(of).collect();
        order::sort_by(&mut earlier, |one, other| {
            (other.covers, other.at, &one.record).cmp(&(one.covers, one.at, &other.record))
        });
        let own = approvals.iter().any(|it| {
            let holds = |entries: &[&ApprovalRule]| {
                it.of(delta, entries, &situation).is_some_and(|it| it.covers)
            };
            person.is_none_or(|person| it.person == person)
                && (!asking.is_empty() || holds(&[]))
                && asking
                    .iter()
                    .all(|(rule, entry, _)| it.is_for(rule, entry, case) && holds(&[*entry]))
        });
        let mut people = BTreeSet::new();
        earlier.retain(|it| people.insert(it.person.clone()));
        standing.insert(
            delta.path.clone(),
            Standing {
                earlier,
                wanted: asking.iter().any(|(_, _, missing)| *missing),
                asked: !asking.is_empty(),
                own,
            },
        );
    }
    standing
}

/// A person's approval for this repository and target that was not taken back.
struct Approved<'a> {
    person: &'a str,
    record: &'a str,
    judgement: &'a Judgement,
    /// When it was made at the latest; `None`: that cannot be told.
    made: Option<Timestamp>,
}

fn approved<'a>(signed: &'a SignedRecord, situation: &Situation<'a>) -> Option<Approved<'a>> {
    let Body::Approval(judgement) = &signed.record.body else { return None };
    let person = signer(signed, situation.policy, situation.ledger_cuts).ok()?;
    human(person).ok()?;
    bound(&judgement.content, situation).ok()?;
    let record = signed.record.id.as_str();
    let stands = !situation.withdrawn.contains(record);
    let made = made_at_the_latest(signed, judgement.by.at, situation.times, situation.now).ok();
    stands.then_some(Approved { person: &person.name, record, judgement, made })
}

impl Approved<'_> {
    /// What it says of a file, under these entries of rules that ask for it;
    /// where none asks, only exactly the same is covered.
    fn of(
        &self,
        now: &FileDelta,
        entries: &[&ApprovalRule],
        situation: &Situation<'_>,
    ) -> Option<Earlier> {
        let content = &self.judgement.content;
        let listed = content.files.iter().find(|it| it.path == now.path)?;
        let under =
            |entry: &&ApprovalRule| file_cover(listed, &content.base, entry.carry, situation);
        let found: Vec<Cover> = entries.iter().filter_map(|it| under(it).ok()).collect();
        let exact = match entries.is_empty() {
            true => covers(listed, now),
            false => found.contains(&Cover::Exact),
        };
        Some(Earlier {
            person: self.person.to_owned(),
            record: self.record.to_owned(),
            at: self.judgement.by.at,
            covers: exact || !found.is_empty(),
            carried: !exact && !found.is_empty(),
            approved: approved_content(listed, now),
        })
    }

    /// Whether it was given for a rule, and not too long ago.
    fn is_for(&self, rule: &str, entry: &ApprovalRule, case: &Case<'_>) -> bool {
        let rules = &self.judgement.rules;
        let is_young =
            |made| Policy::age_limit(made, entry.max_age).is_none_or(|until| case.now <= until);
        let young = entry.max_age.is_none() || self.made.is_some_and(is_young);
        young && (rules.is_empty() || rules.iter().any(|it| it == rule))
    }
}

fn approved_content(listed: &FileDelta, now: &FileDelta) -> Option<ApprovedContent> {
    let is_file = |side: &&Side| side.mode & 0o170_000 == 0o100_000;
    let new = listed.new.as_ref().filter(is_file)?.oid.clone();
    let side = |it: &Option<Side>| it.as_ref().map(|it| (it.mode, it.oid.clone()));
    if side(&listed.old) == side(&now.old) {
        return Some(ApprovedContent { new, moved: None });
    }
    let moved = listed.old.as_ref().filter(is_file)?.oid.clone();
    now.old.as_ref().filter(is_file)?;
    Some(ApprovedContent { new, moved: Some(moved) })
}

/// For each file the rules that ask for approvals of it, and whether one is missing.
type Asking<'a> = BTreeMap<RepoPath, Vec<(&'a str, &'a ApprovalRule, bool)>>;

fn asking<'a>(
    case: &Case<'_>,
    evidence: &Evidence,
    obligations: &'a [Obligation<'_>],
    situation: &Situation<'_>,
) -> Asking<'a> {
    let mut asking = Asking::new();
    for obligation in obligations {
        for entry in entries(obligation) {
            let counting: Vec<_> = match &evidence.ledger {
                Ok(ledger) => counted(obligation, entry, ledger, situation)
                    .into_iter()
                    .filter_map(|(_, result)| result.ok())
                    .collect(),
                Err(_) => Vec::new(),
            };
            for file in &obligation.files {
                let people: BTreeSet<&str> = order::set(
                    counting
                        .iter()
                        .filter(|it| it.files.contains(&file.path))
                        .map(|it| it.person.as_str()),
                );
                let missing = people.len() < entry.count;
                let rule = obligation.rule.id.as_str();
                asking.entry(file.path.clone()).or_default().push((rule, entry, missing));
            }
        }
    }
    debug_assert!(asking.keys().all(|path| case.change.files.iter().any(|it| it.path == *path)));
    asking
}

/// The entries of `require.approvals`.
fn entries<'a>(obligation: &'a Obligation<'_>) -> impl Iterator<Item = &'a ApprovalRule> {
    obligation.rule.require.iter().flat_map(|staged| match &staged.requirement {
        Requirement::Approvals(entries) => entries.as_slice(),
        Requirement::Tests(_)
        | Requirement::Coverage(_)
        | Requirement::Preview(_)
        | Requirement::Disclosure => &[],
    })
}
