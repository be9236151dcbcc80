//! The named tests ran on exactly this tree, or on the same inputs, and passed.

use super::Outcome;
use crate::gate::evidence::{Evidence, LedgerView};
use crate::gate::obligation::Case;
use crate::gate::policy::TestCommand;
use crate::gate::run::{Counting, Standing, key, standing};
use crate::gate::verdict::{Code, State};

/// Judges every named test; the worst of them is the outcome.
pub fn judge(case: &Case<'_>, names: &[String], evidence: &Evidence) -> Outcome {
    let ledger = match &evidence.ledger {
        Ok(ledger) => ledger,
        Err(reason) => return Outcome::undecided(Code::TestsMissing, reason),
    };
    let mut lines = Vec::new();
    let mut worst = Outcome::satisfied(String::new());
    for name in names {
        let outcome = match case.policy.tests.get(name) {
            Some(test) => one(case, test, ledger, evidence),
            None => {
                Outcome::undecided(Code::TestsMissing, &format!("the policy has no test `{name}`"))
            }
        };
        lines.push(outcome.detail.clone());
        if outcome.state > worst.state {
            worst = outcome;
        }
    }
    Outcome { detail: lines.join("; "), ..worst }
}

fn one(case: &Case<'_>, test: &TestCommand, ledger: &LedgerView, evidence: &Evidence) -> Outcome {
    if let Some(field) = test.not_evaluable.first() {
        let reason = format!("`{}` uses `{field}`, which this version cannot evaluate", test.name);
        return Outcome::undecided(Code::NotEvaluable, &reason);
    }
    let digest = match evidence.inputs.get(&test.name) {
        Some(Ok(digest)) => digest,
        Some(Err(reason)) => return Outcome::undecided(Code::TestsMissing, reason),
        None => return Outcome::undecided(Code::TestsMissing, "its inputs were not looked up"),
    };
    let counting =
        Counting { policy: case.policy, stage: case.stage, ledger_cuts: &evidence.ledger_cuts };
    let next = Some(format!("countersign test {}", case.range));
    match standing(&ledger.records, &key(test, digest), test, &counting) {
        Standing::Passed { run, id, kind, also_failed } => {
            let flaky =
                if also_failed { ", and failed in another run of the same tree" } else { "" };
            let detail = format!(
                "`{}` passed: {}, {}{flaky} ({})",
                test.name,
                run.summary,
                kind.describe(),
                &id[..12.min(id.len())]
            );
            Outcome::satisfied(detail)
        }
        Standing::Failed { run, kind, .. } => Outcome {
            state: State::Failed,
            code: Code::TestsFailed,
            detail: format!("`{}` failed: {} ({})", test.name, run.summary, kind.describe()),
            next,
            people: Vec::new(),
        },
        Standing::Missing(refused) => {
            let why = match refused.first() {
                Some((id, refusal)) => format!(
                    "; the recorded run {} does not count: {refusal}",
                    &id[..12.min(id.len())]
                ),
                None => String::new(),
            };
            Outcome {
                state: State::Missing,
                code: Code::TestsMissing,
                detail: format!("`{}` has no recorded result for this tree{why}", test.name),
                next,
                people: Vec::new(),
            }
        }
    }
}
