//! From obligations and evidence to a verdict.

use super::approval::grants;
use super::change::RepoPath;
use super::evidence::Evidence;
use super::obligation::{Case, Obligation, POLICY_CHANGE};
use super::policy::{Stage, Unless};
use super::record::SshSignature;
use super::requirement::approvals::Prepared;
use super::requirement::{self, Outcome};
use super::verdict::{Code, Finding, Judged, Level, State, Verdict};
use super::weakening::guard;
use crate::gate::order;

/// Judges a change. Cannot fail: what could not be looked up blocks, with its reason.
pub fn judge(case: &Case<'_>, obligations: &[Obligation<'_>], evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict {
        mode: case.policy.mode,
        stage: case.stage,
        obligations: Vec::new(),
        findings: Vec::new(),
    };
    let prepared = Prepared::new(case, evidence);
    for obligation in obligations {
        let lifted = match &obligation.rule.unless {
            Some(unless) => lifted(case, unless, evidence),
            None => Lifted::No,
        };
        if lifted == Lifted::Yes {
            continue;
        }
        for row in rows(case, obligation, evidence, &prepared) {
            row.enter(case, obligation, lifted, &mut verdict);
        }
    }
    if !guard::can_ask(case.policy) {
        verdict.findings.extend(guard::findings(&evidence.losses, Level::Warn));
    }
    verdict.findings.extend(guard::notes(&evidence.losses));
    requirement::disclosure::whole_change(case, &mut verdict);
    ledger_missing(case, evidence, &mut verdict);
    verdict.findings.extend(super::debt::findings(case, evidence));
    order::sort_by_key(&mut verdict.findings, |finding| std::cmp::Reverse(finding.level));
    verdict
}

/// Whether `unless` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifted {
    Yes,
    No,
    /// The commit being made is not signed yet: a later stage decides.
    NotYet,
}

/// Every commit of the range must be signed by a key of such a person; an
/// address alone never lifts a rule.
pub fn lifted(case: &Case<'_>, unless: &Unless, evidence: &Evidence) -> Lifted {
    if case.stage == Stage::Commit && !case.has_ids() {
        return Lifted::NotYet;
    }
    let Ok(signers) = &evidence.commit_signers else { return Lifted::No };
    let by_such_a_person = |signature: &SshSignature| {
        grants(case.policy, signature).is_some_and(|person| {
            person.kind == super::policy::PersonKind::Human
                && unless.author.iter().any(|group| case.policy.is_member(&person.name, group))
        })
    };
    // Without commits (a rewind, or an index judged as if it were to land) nobody signed anything.
    let all = case.has_ids()
        && case.change.commits.iter().all(|commit| {
            signers.get(&commit.id).and_then(Option::as_ref).is_some_and(by_such_a_person)
        });
    if all { Lifted::Yes } else { Lifted::No }
}

/// One requirement's outcome and where it is enforced.
struct Row {
    word: &'static str,
    stage: Stage,
    outcome: Outcome,
    /// What blocks, place by place.
    places: Vec<Finding>,
    /// What it is about beside files, while it is not satisfied.
    resources: Vec<String>,
}

fn rows(
    case: &Case<'_>,
    obligation: &Obligation<'_>,
    evidence: &Evidence,
    prepared: &Prepared,
) -> Vec<Row> {
    let mut rows: Vec<Row> = obligation
        .rule
        .require
        .iter()
        .map(|staged| {
            let outcome = staged.requirement.judge(case, obligation, evidence, prepared);
            let places = if obligation.rule.id == guard::TEST_WEAKENED {
                guard::findings(&evidence.losses, Level::Block)
            } else {
                staged.requirement.places(case, obligation, evidence)
            };
            let resources = match outcome.state {
                State::Satisfied | State::Waived => Vec::new(),
                State::Deferred
                | State::Missing
                | State::Failed
                | State::Unsatisfiable
                | State::Error => staged.requirement.resources(case, obligation, evidence),
            };
            let (word, stage) = (staged.requirement.word(), staged.stage);
            Row { word, stage, outcome, places, resources }
        })
        .collect();
    if obligation.rule.deny {
        let (stage, outcome) = (obligation.rule.deny_stage, denied());
        let (places, resources) = (Vec::new(), Vec::new());
        rows.push(Row { word: "deny", stage, outcome, places, resources });
    }
    for row in &mut rows {
        if row.outcome.state > State::Deferred {
            requirement::waiver::apply(case, obligation, evidence, prepared, &mut row.outcome);
        }
    }
    rows
}

fn denied() -> Outcome {
    Outcome {
        state: State::Unsatisfiable,
        code: Code::Denied,
        detail: "the policy denies this change; no approval can satisfy it".to_owned(),
        next: None,
        people: Vec::new(),
    }
}

impl Row {
    fn enter(
        self,
        case: &Case<'_>,
        obligation: &Obligation<'_>,
        lifted: Lifted,
        verdict: &mut Verdict,
    ) {
        let files: Vec<RepoPath> = obligation.files.iter().map(|file| file.path.clone()).collect();
        let outcome = self.outcome;
        let mut blocks = false;
        if let Some(level) = level(case, self.stage, &outcome, lifted) {
            let code = match obligation.rule.id.as_str() {
                POLICY_CHANGE if outcome.code == Code::ApprovalMissing => Code::PolicyChange,
                guard::TEST_WEAKENED if outcome.code == Code::ApprovalMissing => Code::TestWeakened,
                _ => outcome.code,
            };
            let later = if level == Level::Note && outcome.state > State::Deferred {
                format!("{} (asked at {})", outcome.detail, word(self.stage))
            } else {
                outcome.detail.clone()
            };
            let mut finding =
                Finding::block(code, later).at(level).rule(obligation.rule.id.clone());
            finding.next = outcome.next.clone();
            verdict.findings.push(finding);
            // What is asked later, or was waived, is not spelled out.
            blocks = level == Level::Block;
        }
        let places = self.places.into_iter().filter(|it| blocks || it.level < Level::Block);
        verdict.findings.extend(places.map(|it| it.rule(obligation.rule.id.clone())));
        verdict.obligations.push(Judged {
            rule: obligation.rule.id.clone(),
            requirement: self.word,
            state: outcome.state,
            stage: self.stage,
            files,
            detail: outcome.detail,
            next: outcome.next,
            why: obligation.rule.why.clone(),
            people: outcome.people,
            resources: self.resources,
        });
    }
}

/// How much an outcome weighs at the stage of the case; `None`: nothing to say.
fn level(case: &Case<'_>, stage: Stage, outcome: &Outcome, lifted: Lifted) -> Option<Level> {
    match outcome.state {
        State::Satisfied => None,
        State::Waived => Some(Level::Note),
        State::Deferred if lifted == Lifted::No => Some(Level::Warn),
        State::Deferred => Some(Level::Note),
        State::Missing | State::Failed | State::Unsatisfiable | State::Error => {
            let enforced = stage <= case.stage && lifted == Lifted::No;
            Some(if enforced { Level::Block } else { Level::Note })
        }
    }
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Commit => "commit",
        Stage::Push => "push",
        Stage::Merge => "merge",
    }
}

/// No ledger at all, where evidence is wanted, is a finding of its own: the
/// records may be there and only not fetched.
fn ledger_missing(case: &Case<'_>, evidence: &Evidence, verdict: &mut Verdict) {
    let Ok(ledger) = &evidence.ledger else { return };
    let wanted = verdict.obligations.iter().any(|judged| {
        judged.state == State::Missing
            && judged.stage <= case.stage
            && matches!(judged.requirement, "approvals" | "tests" | "coverage" | "preview")
    });
    if ledger.tip.is_some() || !wanted || case.stage == Stage::Commit {
        return;
    }
    let message = format!(
        "no ledger `{}` is here: it was not fetched, or there is no record yet",
        case.policy.trust.ledger
    );
    let mut finding = Finding::block(Code::LedgerMissing, message).at(Level::Warn);
    finding.next = Some("countersign ledger sync".to_owned());
    verdict.findings.push(finding);
}

/// Adds what was found beside the rules, and keeps the order by weight.
pub fn with_findings(mut verdict: Verdict, findings: Vec<Finding>) -> Verdict {
    verdict.findings.extend(findings);
    order::sort_by_key(&mut verdict.findings, |finding| std::cmp::Reverse(finding.level));
    verdict
}
