//! The named tests ran on exactly this tree, or on the same inputs, and passed.

use std::collections::BTreeSet;

use super::coverage::{described, excerpt, text_of};
use super::{Outcome, Requirement};
use crate::gate::change::{Oid, printable};
use crate::gate::evidence::{Evidence, LedgerView};
use crate::gate::obligation::{Case, Obligation};
use crate::gate::packages::Affected;
use crate::gate::policy::{Prove, Stage, TestCommand};
use crate::gate::proof::{Proof, Result as ProofResult, subject};
use crate::gate::record::Run;
use crate::gate::run::{Counting, Standing, counting_passes, key, standing};
use crate::gate::verdict::{Code, Finding, Level, State};

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
    let next = Some(case.next("test"));
    let affected = evidence.packages.get(&test.name).map(Affected::describe);
    let mut packages = affected.map(|it| format!(" for {it}")).unwrap_or_default();
    if let (true, Some(Ok(merged))) = (test.on_merge, &evidence.merge_result)
        && merged.onto != case.change.head
    {
        packages += &format!(" on the merge with {} at {}", case.target, merged.onto.short());
    }
    match standing(&ledger.records, &key(test, digest), test, &counting) {
        Standing::Passed { run, id, kind, also_failed } => {
            let flaky =
                if also_failed { ", and failed in another run of the same tree" } else { "" };
            let noticed = noticed(case, test, ledger, &counting, digest);
            let proof = match &noticed {
                Noticed::NotAsked => String::new(),
                Noticed::By(what) => format!("; {what}"),
                Noticed::Unclear(why) => {
                    format!("; whether it notices the assisted lines is not clear: {why}")
                }
                Noticed::Not(_) | Noticed::Unknown => return not_proven(case, test, &noticed),
            };
            let detail = format!(
                "`{}` passed{packages}: {}, {}{flaky} ({}){proof}",
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
            detail: format!(
                "`{}` failed{packages}: {} ({})",
                test.name,
                run.summary,
                kind.describe()
            ),
            next,
            people: Vec::new(),
        },
        Standing::Missing(_) if deferred(case, evidence, &test.name).is_some() => {
            let why = deferred(case, evidence, &test.name).unwrap_or_default();
            Outcome {
                state: State::Deferred,
                code: Code::TestsDeferred,
                detail: format!("`{}` is deferred to the server{packages}: {why}", test.name),
                next,
                people: Vec::new(),
            }
        }
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
                detail: format!(
                    "`{}` has no recorded result for this tree{packages}{why}",
                    test.name
                ),
                next,
                people: Vec::new(),
            }
        }
    }
}

/// Why a push leaves a test to the server; `None`: it does not, or it lands.
pub fn deferred<'e>(case: &Case<'_>, evidence: &'e Evidence, test: &str) -> Option<&'e str> {
    let why = evidence.deferred.get(test)?;
    (case.stage == Stage::Push).then_some(why.as_str())
}

/// Whether a test that passed notices the assisted lines of the change.
enum Noticed<'e> {
    NotAsked,
    /// Which test fails without them, or with what in their place.
    By(String),
    /// Nothing fails without these.
    Not(&'e Proof),
    Unclear(String),
    /// No counting run tried it on these lines.
    Unknown,
}

fn noticed<'e>(
    case: &Case<'_>,
    test: &TestCommand,
    ledger: &'e LedgerView,
    counting: &Counting<'_>,
    digest: &str,
) -> Noticed<'e> {
    let Some(subject) = subject(case.change, case.attribution, test) else {
        return Noticed::NotAsked;
    };
    let passes = counting_passes(&ledger.records, &key(test, digest), test, counting);
    let proofs = passes.iter().filter_map(|(_, run)| run.proof.as_deref());
    let mut noticed = Noticed::Unknown;
    for proof in proofs.filter(|it| it.subject == subject.digest) {
        match proof.result {
            ProofResult::Noticed => {
                return Noticed::By(match proof.tests.first() {
                    Some(name) => format!("without the assisted lines `{name}` fails"),
                    None => format!("it fails with {}", mutants(proof.attempts)),
                });
            }
            ProofResult::NotNoticed => noticed = Noticed::Not(proof),
            ProofResult::Inconclusive if matches!(noticed, Noticed::Unknown) => {
                noticed = Noticed::Unclear(proof.why.clone().unwrap_or_default());
            }
            ProofResult::Inconclusive => {}
        }
    }
    noticed
}

fn mutants(count: u64) -> String {
    match count {
        1 => "the only mutant of the assisted lines".to_owned(),
        more => format!("each of {more} mutants of the assisted lines"),
    }
}

fn not_proven(case: &Case<'_>, test: &TestCommand, noticed: &Noticed<'_>) -> Outcome {
    let again = Some(case.next("test"));
    let (state, code, detail, next) = match noticed {
        Noticed::Not(proof) => {
            let hunks = match proof.hunks.len() {
                1 => "the assisted hunk".to_owned(),
                more => format!("the {more} assisted hunks"),
            };
            let detail = match (test.prove, &proof.why) {
                (Some(Prove::Mutate), Some(first)) => format!(
                    "`{}` passes with mutants of {} of the assisted lines: {first}",
                    test.name,
                    proof.hunks.iter().map(|(_, it)| it.end - it.start + 1).sum::<u64>()
                ),
                _ => format!("`{}` passes without {hunks} as well", test.name),
            };
            (State::Failed, Code::TestsDoNotNotice, detail, None)
        }
        Noticed::NotAsked | Noticed::By(_) | Noticed::Unclear(_) | Noticed::Unknown => {
            let detail = format!("`{}` was not tried without the assisted lines", test.name);
            (State::Missing, Code::TestsMissing, detail, again)
        }
    };
    Outcome { state, code, detail, next, people: Vec::new() }
}

/// The hunks that no test notices, and those of which it could not be told.
pub fn places(case: &Case<'_>, names: &[String], evidence: &Evidence) -> Vec<Finding> {
    let Ok(ledger) = &evidence.ledger else { return Vec::new() };
    let counting =
        Counting { policy: case.policy, stage: case.stage, ledger_cuts: &evidence.ledger_cuts };
    let mut findings = Vec::new();
    for test in names.iter().filter_map(|name| case.policy.tests.get(name)) {
        let Some(Ok(digest)) = evidence.inputs.get(&test.name) else { continue };
        let passes = counting_passes(&ledger.records, &key(test, digest), test, &counting);
        if passes.is_empty() {
            continue;
        }
        findings.extend(flaky(test, &passes));
        match noticed(case, test, ledger, &counting, digest) {
            Noticed::Not(proof) => findings.extend(proof.hunks.iter().map(|(path, lines)| {
                let verb = match test.prove {
                    Some(Prove::Mutate) => "with a mutant of",
                    Some(Prove::Revert) | None => "without",
                };
                let what = format!("`{}` passes {verb} {}", test.name, described(lines));
                let text = excerpt(text_of(case, path, evidence), lines);
                Finding::block(Code::TestsDoNotNotice, what).path(path.clone()).lines(*lines, text)
            })),
            Noticed::Unclear(why) => {
                let what = format!(
                    "whether `{}` notices the assisted lines is not clear: {why}",
                    test.name
                );
                findings.push(Finding::block(Code::ProofInconclusive, what).at(Level::Warn));
            }
            Noticed::NotAsked | Noticed::By(_) | Noticed::Unknown => {}
        }
    }
    findings
}

/// Says of a test that no pass of it came at once.
fn flaky(test: &TestCommand, passes: &[(&str, &Run)]) -> Option<Finding> {
    let least = passes.iter().map(|(_, run)| run).min_by_key(|run| run.retried.len())?;
    let first = least.retried.first()?;
    let what = format!(
        "`{}` passed at attempt {} and failed before on the same tree: {}",
        test.name,
        least.retried.len() + 1,
        printable(first)
    );
    Some(Finding::block(Code::TestsFlaky, what).at(Level::Warn))
}

/// The contents to show of the hunks that no test notices.
pub fn texts(
    case: &Case<'_>,
    obligations: &[Obligation<'_>],
    evidence: &Evidence,
) -> BTreeSet<Oid> {
    let mut paths = BTreeSet::new();
    for staged in obligations.iter().flat_map(|it| &it.rule.require) {
        let names = match &staged.requirement {
            Requirement::Tests(names) => names,
            Requirement::Approvals(_)
            | Requirement::Coverage(_)
            | Requirement::Preview(_)
            | Requirement::Disclosure => continue,
        };
        paths.extend(places(case, names, evidence).into_iter().filter_map(|it| it.path));
    }
    let files = case.change.files.iter().filter(|file| paths.contains(&file.path));
    files.filter_map(|file| file.new.as_ref()).map(|entry| entry.oid.clone()).collect()
}
