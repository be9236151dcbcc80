//! `countersign audit`: the evidence for a range.

use serde_json::json;

use super::explain::state;
use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, Style};
use crate::cli::report::text::counted;
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::gate::trail::{Trail, TrailCommit, TrailRecord};
use crate::gate::verdict::State;
use crate::jobs::Error;
use crate::jobs::audit::{Audit, Options, audit};
use crate::jobs::world::World;

/// Shows the evidence; ends with 0 if all of it is there, else with 1.
pub fn run(context: &Context, arguments: &args::Audit) -> Result<Exit, Error> {
    let output = &context.output;
    if !matches!(output.format, Format::Text | Format::Json) {
        return Err(unsupported(output.format, "audit", "text and json"));
    }
    let world = World::open(&context.env)?;
    let options = Options {
        range: arguments.range.range.clone(),
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
    };
    let audit = audit(&world, &options)?;
    if output.format == Format::Json {
        output.json(&format!("{:#}", document(&audit)));
    } else {
        print(output, &audit);
    }
    Ok(if audit.is_complete() { Exit::Passed } else { Exit::Blocked })
}

fn document(audit: &Audit) -> serde_json::Value {
    let change = &audit.whole.change;
    json!({
        "schema": "countersign.audit/1",
        "range": { "base": change.base.as_str(), "head": change.head.as_str() },
        "target": audit.whole.target,
        "policy": { "from": audit.whole.policy.source.from, "sha256": audit.whole.policy.source.sha256 },
        "sources": audit.whole.sources,
        "complete": audit.is_complete(),
        "changes": audit.changes,
    })
}

fn print(output: &Output, audit: &Audit) {
    let (word, style) =
        if audit.is_complete() { ("complete", Style::Good) } else { ("INCOMPLETE", Style::Bad) };
    let (range, target) = (printable(&audit.whole.range), printable(&audit.whole.target));
    output.say(&format!("evidence for {range} on {target}: {}", output.style(style, word)));
    output.say(&format!("  policy {}", printable(&audit.whole.policy.source.from)));
    for change in &audit.changes {
        print_change(output, change);
    }
}

fn print_change(output: &Output, change: &Trail) {
    let style = if change.complete { Style::Good } else { Style::Bad };
    let verdict = output.style(style, change.verdict);
    output.say(&format!("\nchange {:.12}..{:.12}: {verdict}", change.base, change.head));
    for commit in &change.commits {
        output.say(&commit_line(output, commit));
    }
    let (added, assisted): (u64, u64) = change
        .files
        .iter()
        .fold((0, 0), |it, file| (it.0 + file.added, it.1 + file.assisted_added));
    let files = counted(change.files.len(), "file");
    output.say(&format!("  {files}, +{added}, {assisted} of the added lines by agents"));
    for it in &change.obligations {
        let style = match it.state {
            State::Satisfied => Style::Good,
            State::Waived | State::Deferred => Style::Warning,
            State::Missing | State::Failed | State::Unsatisfiable | State::Error => Style::Bad,
        };
        output.say(&format!(
            "  {} {} {}: {}",
            printable(&it.rule),
            it.requirement,
            output.style(style, state(it.state)),
            printable(&it.detail)
        ));
    }
    for record in &change.records {
        output.say(&record_line(record));
    }
}

fn commit_line(output: &Output, commit: &TrailCommit) -> String {
    let marks: std::collections::BTreeSet<&str> =
        commit.signals.iter().map(|it| it.agent.as_str()).collect();
    let marks: Vec<String> = marks.into_iter().map(printable).collect();
    let marks = match (commit.assisted, marks.is_empty()) {
        (true, _) => output.style(Style::Warning, &format!("  * {}", marks.join(", "))),
        (false, false) => format!("  ({})", marks.join(", ")),
        (false, true) => String::new(),
    };
    let (author, subject) = (printable(&commit.author), printable(&commit.subject));
    format!("  commit {:.12} {author}: {subject}{marks}", commit.commit)
}

/// `  record 1234567890ab approval by bo 2026-11-28T02:35:37Z counts: …`
fn record_line(record: &TrailRecord) -> String {
    let by =
        record.by.as_deref().map_or("unsigned".to_owned(), |it| format!("by {}", printable(it)));
    let broken = !matches!(record.signature.as_str(), "good" | "unsigned");
    let signature = if broken {
        format!(", signature: {}", printable(&record.signature))
    } else {
        String::new()
    };
    let counts = match record.counts {
        Some(true) => ", counts",
        Some(false) => ", does not count",
        None => "",
    };
    let says = record.says.as_ref().map(|it| format!(": {}", printable(it))).unwrap_or_default();
    let (kind, at) = (record.record_type, &record.at);
    format!("  record {:.12} {kind} {by}, {at}{signature}{counts}{says}", record.id)
}
