//! Verdicts as people and programs read them. One file per format.

pub mod github;
pub mod gitlab;
pub mod json;
pub mod junit;
pub mod sarif;
pub mod text;

use crate::gate::attribution::Attribution;
use crate::gate::change::Change;
use crate::gate::policy::Source;
use crate::gate::verdict::{Finding, Verdict};

/// A verdict with all that a report says about it.
pub struct Report<'a> {
    pub verdict: &'a Verdict,
    pub change: &'a Change,
    pub attribution: &'a Attribution,
    pub policy: &'a Source,
    /// A full ref name.
    pub target: &'a str,
    /// Where evidence was looked for: `commits`, `environment`, `ledger:<oid>`, …
    pub sources: &'a [String],
    /// What was judged, as a person would type it: `main..HEAD`, `the staged change`.
    pub subject: &'a str,
}

/// The files of the rule that a finding is about.
fn files_of(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let Some(rule) = &finding.rule else { return Vec::new() };
    let judged = report.verdict.obligations.iter().find(|it| &it.rule == rule);
    judged.map(|it| it.files.iter().map(|path| path.to_text()).collect()).unwrap_or_default()
}
