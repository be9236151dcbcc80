//! GitLab's code quality report
//! (<https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>).

use serde_json::{Value, json};

use super::Report;
use crate::gate::record::canonical::sha256;
use crate::gate::verdict::{Finding, Level};

/// Returns the list: an entry for every file that a finding is about.
pub fn render(report: &Report<'_>) -> Value {
    report.verdict.findings.iter().flat_map(|finding| entries(report, finding)).collect()
}

fn entries(report: &Report<'_>, finding: &Finding) -> Vec<Value> {
    let severity = match finding.level {
        Level::Block => "blocker",
        Level::Warn => "minor",
        Level::Note => "info",
    };
    let rule = finding.rule.as_ref().map(|rule| format!("{rule}: ")).unwrap_or_default();
    let description = format!("{rule}{}", finding.message);
    let mut files = match &finding.path {
        Some(path) => vec![path.to_text()],
        None => super::files_of(report, finding),
    };
    if files.is_empty() {
        // An entry without a file is not shown at all.
        files.push(crate::gate::obligation::POLICY_FILE.to_owned());
    }
    let begin = finding.line.unwrap_or(1);
    let end = finding.end_line.unwrap_or(begin);
    let entry = |path: String| {
        let seed = format!("{}\n{description}\n{path}", finding.code.as_str());
        json!({
            "check_name": finding.code.as_str(),
            "description": description,
            "fingerprint": sha256(seed.as_bytes()),
            "location": { "path": path, "lines": { "begin": begin, "end": end } },
            "severity": severity,
        })
    };
    files.into_iter().map(entry).collect()
}
