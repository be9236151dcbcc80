//! `countersign.report/1`, as one JSON document.

use serde_json::{Value, json};

use super::Report;
use crate::gate::attribution::Attribution;
use crate::gate::change::{Change, RepoPath};
use crate::gate::verdict::{Finding, Judged};

/// Returns the document.
pub fn render(report: &Report<'_>) -> Value {
    let verdict = report.verdict;
    let mut document = json!({
        "schema": "countersign.report/1",
        "verdict": if verdict.passes() { "pass" } else { "block" },
        "mode": verdict.mode,
        "stage": verdict.stage,
        "range": { "base": report.change.base.as_str(), "head": report.change.head.as_str() },
        "target": report.target,
        "policy": { "from": report.policy.from, "sha256": report.policy.sha256 },
        "sources": report.sources,
    });
    // What is long is moved there; `json!` would copy it at every level.
    document["attribution"] = attribution(report.change, report.attribution);
    document["obligations"] = verdict.obligations.iter().map(obligation).collect();
    document["findings"] = verdict.findings.iter().map(finding).collect();
    document
}

fn attribution(change: &Change, attribution: &Attribution) -> Value {
    let added: u64 = change.files.iter().map(|file| file.added_lines()).sum();
    let assisted_added: u64 = attribution.files.values().map(|file| file.assisted_added()).sum();
    let agents: Vec<Value> = attribution
        .agents()
        .into_iter()
        .map(|(id, share)| json!({ "id": id, "models": share.models, "added": share.added, "commits": share.commits }))
        .collect();
    let commits: Vec<Value> = attribution
        .commits
        .iter()
        .map(|it| {
            let mut row = json!({ "commit": it.commit.as_str(), "assisted": it.assisted, "signals": it.signals });
            if let Some(person) = &it.narrowed_by {
                row["narrowed_by"] = person.as_str().into();
            }
            row
        })
        .collect();
    let files: Vec<Value> = change
        .files
        .iter()
        .map(|file| {
            let known = attribution.file(&file.path);
            let ranges: Vec<Value> = known
                .ranges
                .iter()
                .map(|it| {
                    json!({ "start": it.lines.start, "end": it.lines.end, "agent": it.agent, "strength": it.strength })
                })
                .collect();
            let mut value = json!({
                "path": file.path.to_text(),
                "status": file.status(),
                "added": file.added_lines(),
                "assisted": known.assisted,
                "assisted_added": known.assisted_added(),
            });
            value["ranges"] = Value::Array(ranges);
            value
        })
        .collect();
    let mut value = json!({
        "assisted": attribution.assisted(),
        "added": added,
        "assisted_added": assisted_added,
    });
    value["agents"] = Value::Array(agents);
    value["commits"] = Value::Array(commits);
    value["files"] = Value::Array(files);
    if !attribution.staged.is_empty() {
        value["signals"] = json!(attribution.staged);
    }
    value
}

/// One obligation.
pub fn obligation(judged: &Judged) -> Value {
    let mut value = json!({
        "rule": judged.rule,
        "requirement": judged.requirement,
        "state": judged.state,
        "stage": judged.stage,
        "files": judged.files.iter().map(|path| path.to_text()).collect::<Vec<_>>(),
        "detail": judged.detail,
        "next": judged.next,
    });
    if !judged.resources.is_empty() {
        value["resources"] = json!(judged.resources);
    }
    value
}

/// One finding; what is not known is null.
pub fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code.as_str(),
        "level": finding.level,
        "rule": finding.rule,
        "message": finding.message,
        "path": finding.path.as_ref().map(RepoPath::to_text),
        "line": finding.line,
        "end_line": finding.end_line,
        "next": finding.next,
    })
}
