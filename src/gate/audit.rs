//! What is kept of every judged change.

use serde_json::{Value, json};

use super::change::Oid;
use super::obligation::Case;
use super::record::Body;
use super::verdict::{Level, Verdict};

/// The predicate of a verdict record: what was judged, by which policy, with
/// which answer, and beside which state of the ledger. Its id, and so its bytes, follow from these alone and the time.
pub fn predicate(case: &Case<'_>, verdict: &Verdict, by: &str, ledger: Option<&Oid>) -> Value {
    let agents: Vec<String> = case.attribution.agents().into_keys().collect();
    let obligations: Vec<Value> = verdict
        .obligations
        .iter()
        .map(|it| json!({ "rule": it.rule, "requirement": it.requirement, "state": it.state, "detail": it.detail }))
        .collect();
    let findings: Vec<Value> = verdict
        .findings
        .iter()
        .filter(|finding| finding.level > Level::Note)
        .map(|it| json!({ "code": it.code.as_str(), "level": it.level, "rule": it.rule, "message": it.message }))
        .collect();
    let mut predicate = json!({
        "agents": agents,
        "assisted": case.attribution.assisted(),
        "at": case.now.to_string(),
        "base": case.change.base.as_str(),
        "by": by,
        "commit": case.change.head.as_str(),
        "commits": case.change.commits.len(),
        "files": case.change.files.len(),
        "ledger": ledger.map(Oid::as_str),
        "mode": verdict.mode,
        "policy": { "from": case.policy.source.from, "sha256": case.policy.source.sha256 },
        "pusher": case.pusher,
        "repo": case.policy.trust.repo_id,
        "stage": verdict.stage,
        "target": case.target,
        "tree": case.change.head_tree.as_str(),
        "verdict": if verdict.passes() { "pass" } else { "block" },
    });
    predicate["findings"] = Value::Array(findings);
    predicate["obligations"] = Value::Array(obligations);
    predicate
}

/// The state of the ledger that a server's verdict names: the ledger has to
/// contain it for good. `None`: it names none, or is no such record.
pub fn ledger_of(body: &Body) -> Option<Oid> {
    let Body::Verdict(verdict) = body else { return None };
    let text = |key: &str| verdict.get(key).and_then(Value::as_str);
    let by_a_server = text("by") == Some(POST_RECEIVE);
    text("ledger").filter(|_| by_a_server).and_then(Oid::parse)
}

/// The job that writes verdicts of a server, as they name it.
pub const POST_RECEIVE: &str = "post-receive";
