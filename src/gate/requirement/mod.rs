//! What a rule can ask for. One file per requirement; this file is the list.

pub mod approval_needs;
pub mod approvals;
pub mod coverage;
pub mod disclosure;
mod moved;
pub mod preview;
pub mod tests;
pub mod waiver;

use super::evidence::Evidence;
use super::obligation::{Case, Obligation};
use super::policy::{ApprovalRule, Stage};
use super::verdict::{Code, Finding, State};

/// Where a requirement stands, and what a person can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub state: State,
    /// What to report unless it is satisfied.
    pub code: Code,
    /// What is there and what is not, in one line.
    pub detail: String,
    /// The command that helps, if one does.
    pub next: Option<String>,
    /// People who could still satisfy it.
    pub people: Vec<String>,
}

impl Outcome {
    /// All that was asked is there.
    pub fn satisfied(detail: String) -> Outcome {
        Outcome {
            state: State::Satisfied,
            code: Code::NotEvaluable,
            detail,
            next: None,
            people: Vec::new(),
        }
    }

    /// It could not be decided, for this reason.
    pub fn undecided(code: Code, reason: &str) -> Outcome {
        let detail = format!("could not be decided: {reason}");
        Outcome { state: State::Error, code, detail, next: None, people: Vec::new() }
    }
}

/// The list of requirements. The variant's name, in kebab case, is the word in the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Each entry must be met.
    Approvals(Vec<ApprovalRule>),
    /// Names of `[test.…]` tables.
    Tests(Vec<String>),
    /// The least covered part of the assisted added lines, in thousandths.
    Coverage(u64),
    /// Names of `[preview.…]` tables.
    Preview(Vec<String>),
    Disclosure,
}

impl Requirement {
    /// The word in policies and reports.
    pub fn word(&self) -> &'static str {
        match self {
            Requirement::Approvals(_) => "approvals",
            Requirement::Tests(_) => "tests",
            Requirement::Coverage(_) => "coverage",
            Requirement::Preview(_) => "preview",
            Requirement::Disclosure => "disclosure",
        }
    }

    /// Judges the obligation's files by the evidence.
    pub fn judge(
        &self,
        case: &Case<'_>,
        obligation: &Obligation<'_>,
        evidence: &Evidence,
        prepared: &approvals::Prepared,
    ) -> Outcome {
        match self {
            Requirement::Approvals(rules) => {
                approvals::judge(case, obligation, rules, evidence, prepared)
            }
            Requirement::Tests(names) => tests::judge(case, names, evidence),
            Requirement::Coverage(min) => coverage::judge(case, obligation, *min, evidence),
            Requirement::Preview(names) => preview::judge(case, obligation, names, evidence),
            Requirement::Disclosure => disclosure::judge(case, obligation),
        }
    }

    /// The places that an outcome is about, beside the obligation's files.
    pub fn places(
        &self,
        case: &Case<'_>,
        obligation: &Obligation<'_>,
        evidence: &Evidence,
    ) -> Vec<Finding> {
        match self {
            Requirement::Coverage(_) => coverage::places(case, obligation, evidence),
            Requirement::Tests(names) => tests::places(case, names, evidence),
            Requirement::Approvals(_) | Requirement::Preview(_) | Requirement::Disclosure => {
                Vec::new()
            }
        }
    }

    /// What an outcome that is not satisfied is about beside files: resources
    /// of infrastructure, a line each, safe to print.
    pub fn resources(
        &self,
        case: &Case<'_>,
        obligation: &Obligation<'_>,
        evidence: &Evidence,
    ) -> Vec<String> {
        match self {
            Requirement::Preview(names) => preview::resources(case, obligation, names, evidence),
            Requirement::Approvals(_)
            | Requirement::Tests(_)
            | Requirement::Coverage(_)
            | Requirement::Disclosure => Vec::new(),
        }
    }

    /// The stage at which it is enforced unless the policy names another.
    pub fn default_stage(&self) -> Stage {
        match self {
            Requirement::Disclosure => Stage::Commit,
            Requirement::Tests(_) | Requirement::Coverage(_) => Stage::Push,
            Requirement::Approvals(_) | Requirement::Preview(_) => Stage::Merge,
        }
    }
}
