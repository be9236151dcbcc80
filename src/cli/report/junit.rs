//! JUnit XML, for CI systems that show nothing else: a test case for every
//! requirement of every rule, and one for every finding beside them.

use quick_xml::escape::escape;

use super::Report;
use crate::gate::change::printable;
use crate::gate::verdict::{Judged, Level, State};

/// Returns the document.
pub fn render(report: &Report<'_>) -> String {
    let verdict = report.verdict;
    let alone = verdict
        .findings
        .iter()
        .filter(|finding| finding.level == Level::Block && finding.rule.is_none());
    let mut cases: Vec<(String, Option<String>)> = verdict
        .obligations
        .iter()
        .map(|judged| (format!("{}: {}", judged.rule, judged.requirement), failure(report, judged)))
        .collect();
    cases.extend(
        alone.map(|finding| (finding.code.as_str().to_owned(), Some(finding.message.clone()))),
    );
    let failures = cases.iter().filter(|(_, failure)| failure.is_some()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"countersign\" tests=\"{}\" failures=\"{failures}\">\n",
        cases.len()
    );
    for (name, failure) in &cases {
        let name = attribute(name);
        match failure {
            None => xml.push_str(&format!("    <testcase classname=\"countersign\" name=\"{name}\"/>\n")),
            Some(message) => xml.push_str(&format!(
                "    <testcase classname=\"countersign\" name=\"{name}\"><failure message=\"{}\"/></testcase>\n",
                attribute(message)
            )),
        }
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// What blocks now; what is asked later is no failure yet.
fn failure(report: &Report<'_>, judged: &Judged) -> Option<String> {
    let blocks = report.verdict.findings.iter().any(|finding| {
        finding.level == Level::Block
            && finding.rule.as_deref().is_none_or(|rule| rule == judged.rule)
    });
    let unmet = judged.state > State::Waived && judged.stage <= report.verdict.stage;
    (blocks && unmet).then(|| judged.detail.clone())
}

/// XML 1.0 has no control characters, escaped or not.
fn attribute(text: &str) -> String {
    escape(printable(text)).into_owned()
}
