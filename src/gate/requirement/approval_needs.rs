//! What must be looked up about approvals once the ledger's records are known.
//! Each answer may raise the next question; what was answered is not asked
//! again, so that asking comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use super::Requirement;
use super::approvals::{content_judgement, deltas};
use crate::gate::approval::{
    attribute_folders, bound_to, covers, human, landed, question, signer, unmoved,
};
use crate::gate::change::{Oid, RepoPath};
use crate::gate::evidence::{BlobMerge, Evidence, Merged, Need};
use crate::gate::obligation::{Case, Obligation};
use crate::gate::order;
use crate::gate::policy::Carry;
use crate::gate::record::{Body, FileDelta, Judgement, SignedRecord};

/// The most merges that are tried for one change. Whatever would need more
/// does not carry; the newest records are tried first.
const MOST_MERGES: usize = 4096;

/// The most points since when the target's history is looked at, the newest
/// records' first: each is a call of git.
const MOST_HISTORIES: usize = 8;

/// What is still to be looked up: digests of what was approved, merges that
/// would prove that it carries, what stands on the target where a record lists
/// more than this change, and whether what it covers was taken back before.
pub fn further_needs(
    case: &Case<'_>,
    obligations: &[Obligation<'_>],
    evidence: &Evidence,
) -> BTreeSet<Need> {
    let Ok(ledger) = &evidence.ledger else { return BTreeSet::new() };
    let mut records: Vec<(&SignedRecord, &Judgement)> = ledger
        .records
        .iter()
        .filter_map(|signed| Some((signed, content_judgement(signed)?)))
        .filter(|(signed, judgement)| could_count(case, evidence, signed, judgement))
        .collect();
    if records.is_empty() {
        return BTreeSet::new();
    }
    order::sort_by_key(&mut records, |(_, judgement)| std::cmp::Reverse(judgement.by.at));
    let deltas = deltas(case, evidence);
    let mut asking = Asking {
        case,
        obligations,
        evidence,
        now: deltas.iter().map(|delta| (&delta.path, delta)).collect(),
        attributes: attribute_folders(case.change),
        asked: BTreeMap::new(),
        merges: BTreeSet::new(),
        digests: BTreeSet::new(),
        target: BTreeSet::new(),
        history: Vec::new(),
    };
    for (signed, judgement) in records {
        asking.about(judgement, matches!(signed.record.body, Body::Rejection(_)));
    }
    asking.needs()
}

/// Whether a record could count whatever content it covers: the others are not looked into.
fn could_count(
    case: &Case<'_>,
    evidence: &Evidence,
    signed: &SignedRecord,
    judgement: &Judgement,
) -> bool {
    bound_to(&judgement.content, case.policy, case.target).is_ok()
        && signer(signed, case.policy, &evidence.ledger_cuts).is_ok_and(|it| human(it).is_ok())
}

/// What the obligations ask of a path.
#[derive(Clone, Copy, Default)]
struct Asked {
    approvals: bool,
    /// Approvals may carry over clean merges.
    carries: bool,
}

struct Asking<'a> {
    case: &'a Case<'a>,
    obligations: &'a [Obligation<'a>],
    evidence: &'a Evidence,
    now: BTreeMap<&'a RepoPath, &'a FileDelta>,
    attributes: BTreeSet<Vec<u8>>,
    /// What the obligations ask of a path, once it was looked up: patterns are slow.
    asked: BTreeMap<RepoPath, Asked>,
    merges: BTreeSet<BlobMerge>,
    digests: BTreeSet<Oid>,
    target: BTreeSet<RepoPath>,
    history: Vec<(Oid, BTreeSet<RepoPath>)>,
}

impl Asking<'_> {
    fn about(&mut self, judgement: &Judgement, rejects: bool) {
        let (mut covered, mut elsewhere) = (Vec::new(), Vec::new());
        for file in &judgement.content.files {
            match self.now.get(&file.path).copied() {
                Some(now) if self.covers(file, now, rejects) => covered.push(file),
                Some(_) | None => elsewhere.push(file),
            }
        }
        if covered.is_empty() {
            return;
        }
        for file in elsewhere {
            match self.evidence.target.get(&file.path) {
                None => drop(self.target.insert(file.path.clone())),
                Some(Ok(Some(entry))) if self.may_carry(&file.path, rejects) => {
                    self.merge(file, &unmoved(&file.path, entry));
                }
                Some(Ok(_) | Err(_)) => {}
            }
        }
        if !rejects {
            self.landings(&judgement.content.base, &covered);
        }
    }

    /// Whether an approved file covers what it is now; asks for the proof.
    fn covers(&mut self, approved: &FileDelta, now: &FileDelta, rejects: bool) -> bool {
        if covers(approved, now) {
            let digest = approved.new.as_ref().filter(|side| side.sha256.is_some());
            self.digests.extend(digest.map(|side| side.oid.clone()));
            return true;
        }
        self.may_carry(&approved.path, rejects)
            && self.merge(approved, now).is_some_and(|it| matches!(it, Merged::Equal { .. }))
    }

    /// Asks for the merge that would prove that a file carries; returns the
    /// answer, once there is one.
    fn merge(&mut self, approved: &FileDelta, now: &FileDelta) -> Option<&Merged> {
        let merge = question(approved, now).ok()?;
        if let Some(answer) = self.evidence.merges.get(&merge) {
            return answer.as_ref().ok();
        }
        if self.evidence.merges.len() + self.merges.len() < MOST_MERGES {
            self.merges.insert(merge);
        }
        None
    }

    /// Asks what became of the covered files on the target since they were
    /// approved, and whether what landed there was a clean merge of them.
    fn landings(&mut self, since: &Oid, covered: &[&FileDelta]) {
        let known = match self.evidence.history.get(since) {
            Some(Ok(known)) => Some(known),
            Some(Err(_)) => return,
            None => None,
        };
        for file in covered {
            if !self.asked_of(&file.path).approvals {
                continue;
            }
            match known.and_then(|known| known.get(&file.path)).map(Vec::as_slice) {
                None => match self.history.iter_mut().find(|(it, _)| it == since) {
                    Some((_, paths)) => drop(paths.insert(file.path.clone())),
                    None => self.history.push((since.clone(), [file.path.clone()].into())),
                },
                // What landed last still stands.
                Some([earlier @ .., _]) if self.may_carry(&file.path, false) => {
                    for landing in earlier {
                        self.merge(file, &landed(&file.path, landing));
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// What is asked of a path.
    fn asked_of(&mut self, path: &RepoPath) -> Asked {
        if let Some(known) = self.asked.get(path) {
            return *known;
        }
        let mut asked = Asked::default();
        for obligation in self.obligations {
            if !obligation.covers(path, self.case.policy) {
                continue;
            }
            for staged in &obligation.rule.require {
                match &staged.requirement {
                    Requirement::Approvals(rules) => {
                        asked.approvals = true;
                        asked.carries |= rules.iter().any(|rule| rule.carry == Carry::CleanMerge);
                    }
                    // Over its limits, approvals may be asked for.
                    Requirement::Preview(_) => asked.approvals = true,
                    Requirement::Tests(_) | Requirement::Coverage(_) | Requirement::Disclosure => {}
                }
            }
        }
        self.asked.insert(path.clone(), asked);
        asked
    }

    /// Whether what is said of a path may carry over clean merges. What
    /// restricts always does.
    fn may_carry(&mut self, path: &RepoPath, rejects: bool) -> bool {
        let untouched = |folder: &Vec<u8>| !path.as_bytes().starts_with(folder);
        self.attributes.iter().all(untouched) && (rejects || self.asked_of(path).carries)
    }

    fn needs(self) -> BTreeSet<Need> {
        let mut needs = BTreeSet::new();
        let is_new = |oid: &Oid| !self.evidence.sha256.contains_key(oid);
        let digests: BTreeSet<Oid> = order::set(self.digests.into_iter().filter(is_new));
        if !digests.is_empty() {
            needs.insert(Need::Digests(digests));
        }
        if !self.target.is_empty() {
            needs.insert(Need::Target(self.target));
        }
        if !self.merges.is_empty() {
            // More may turn out to be covered: the history is looked at once, then.
            needs.insert(Need::Merges(self.merges));
            return needs;
        }
        let is_known = |since: &Oid| self.evidence.history.contains_key(since);
        let room = MOST_HISTORIES.saturating_sub(self.evidence.history.len());
        let (again, new): (Vec<_>, Vec<_>) =
            self.history.into_iter().partition(|(since, _)| is_known(since));
        for (since, paths) in again.into_iter().chain(new.into_iter().take(room)) {
            needs.insert(Need::History { since, paths });
        }
        needs
    }
}
