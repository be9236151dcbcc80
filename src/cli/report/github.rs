//! Workflow commands of GitHub Actions: one annotation a finding
//! (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).

use super::Report;
use crate::gate::change::printable;
use crate::gate::verdict::{Finding, Level};

/// Returns the annotations, a line each.
pub fn render(report: &Report<'_>) -> String {
    report.verdict.findings.iter().map(annotation).collect()
}

fn annotation(finding: &Finding) -> String {
    let command = match finding.level {
        Level::Block => "error",
        Level::Warn => "warning",
        Level::Note => "notice",
    };
    let mut properties = vec![format!("title={}", property(&title(finding)))];
    if let Some(path) = &finding.path {
        properties.push(format!("file={}", property(&path.to_display())));
    }
    if let Some(line) = finding.line {
        properties.push(format!("line={line}"));
    }
    if let Some(line) = finding.end_line {
        properties.push(format!("endLine={line}"));
    }
    let mut message = printable(&finding.message);
    if let Some(next) = &finding.next {
        message.push_str(&format!("\nnext: {}", printable(next)));
    }
    format!("::{command} {}::{}\n", properties.join(","), data(&message))
}

fn title(finding: &Finding) -> String {
    match &finding.rule {
        Some(rule) => format!("countersign: {} ({})", finding.code.as_str(), printable(rule)),
        None => format!("countersign: {}", finding.code.as_str()),
    }
}

/// Escapes a message as the runner's toolkit does.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property's value.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::change::RepoPath;
    use crate::gate::verdict::Code;

    #[test]
    fn nothing_in_a_finding_ends_its_annotation() {
        let finding = Finding::block(Code::Denied, "no\n::error::yes 100%")
            .rule("a,b")
            .path(RepoPath::new("a:b\n.rs"));
        assert_eq!(
            annotation(&finding),
            "::error title=countersign%3A denied (a%2Cb),file=\"a%3Ab\\n.rs\"::no\\n::error::yes 100%25\n"
        );
    }
}
