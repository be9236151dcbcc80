//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/>), as code
//! hosts and editors read it.

use serde_json::{Value, json};

use super::Report;
use crate::gate::verdict::{Code, Finding, Level};

/// Returns the log with one run.
pub fn render(report: &Report<'_>) -> Value {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| json!({ "id": code.as_str(), "shortDescription": { "text": code.description() } }))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "countersign",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": report.verdict.findings.iter().map(|it| result(report, it)).collect::<Vec<_>>(),
        }],
    })
}

fn result(report: &Report<'_>, finding: &Finding) -> Value {
    let level = match finding.level {
        Level::Block => "error",
        Level::Warn => "warning",
        Level::Note => "note",
    };
    let rule = finding.rule.as_ref().map(|rule| format!("{rule}: ")).unwrap_or_default();
    let next = finding.next.as_ref().map(|next| format!(" (next: {next})")).unwrap_or_default();
    json!({
        "ruleId": finding.code.as_str(),
        "level": level,
        "message": { "text": format!("{rule}{}{next}", finding.message) },
        "locations": places(report, finding),
    })
}

/// The finding's own place, else the files of its rule.
fn places(report: &Report<'_>, finding: &Finding) -> Vec<Value> {
    let place = |path: String, line: Option<u64>| {
        let line = line.unwrap_or(1);
        let end = finding.end_line.unwrap_or(line);
        json!({ "physicalLocation": {
            "artifactLocation": { "uri": encoded(&path) },
            "region": { "startLine": line, "endLine": end },
        } })
    };
    match &finding.path {
        Some(path) => vec![place(path.to_text(), finding.line)],
        None => {
            super::files_of(report, finding).into_iter().map(|path| place(path, None)).collect()
        }
    }
}

/// A path as a relative URI reference (RFC 3986).
fn encoded(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri_whatever_it_holds() {
        assert_eq!(encoded("a b/ä:c%.rs"), "a%20b/%C3%A4%3Ac%25.rs");
    }
}
