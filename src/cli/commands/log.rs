//! `countersign log`.

use serde_json::Value;

use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::jobs::Error;
use crate::jobs::log::{entries, text};
use crate::jobs::world::World;

/// Lists what was judged, the newest first; as JSON one object a line.
pub fn run(context: &Context, arguments: &args::Log) -> Result<Exit, Error> {
    let output = &context.output;
    if !matches!(output.format, Format::Text | Format::Json) {
        return Err(unsupported(output.format, "log", "text and json"));
    }
    let world = World::open(&context.env)?;
    let entries = entries(&world, arguments.limit)?;
    for entry in &entries {
        match output.format {
            Format::Json => output.json(&format!("{entry}")),
            Format::Text
            | Format::Sarif
            | Format::Junit
            | Format::Github
            | Format::Gitlab
            | Format::Markdown
            | Format::Porcelain
            | Format::AgentTrace
            | Format::GitAi
            | Format::Jsonl => {
                output.say(&line(context, entry));
            }
        }
    }
    if entries.is_empty() && output.format == Format::Text {
        output.say("nothing was judged here yet: `countersign check` judges a change");
    }
    Ok(Exit::Passed)
}

/// `2026-11-23T08:00:00Z  block  pre-push  1a2b3c4d5e6f → main  senior: approvals missing`
fn line(context: &Context, entry: &Value) -> String {
    if text(entry, "type") == "waiver" {
        return waiver(context, entry);
    }
    let verdict = text(entry, "verdict");
    let style = if verdict == "pass" { Style::Good } else { Style::Bad };
    let commit = text(entry, "commit");
    let target = text(entry, "target");
    let mut line = format!(
        "{}  {}  {:12}  {} → {}",
        printable(text(entry, "at")),
        context.output.style(style, &format!("{:5}", printable(verdict))),
        printable(text(entry, "by")),
        printable(commit.get(..12).unwrap_or(commit)),
        printable(target.strip_prefix("refs/heads/").unwrap_or(target)),
    );
    let obligations = entry.get("obligations").and_then(Value::as_array);
    let open: Vec<String> = obligations
        .into_iter()
        .flatten()
        .filter(|it| !matches!(text(it, "state"), "satisfied"))
        .map(|it| {
            let state = text(it, "state");
            // A waiver is named with who gave it, and why.
            let state = if state == "waived" { text(it, "detail") } else { state };
            format!("{}: {} {state}", text(it, "rule"), text(it, "requirement"))
        })
        .collect();
    if !open.is_empty() {
        line.push_str(&format!("  {}", printable(&open.join(", "))));
    }
    line
}

/// `2026-11-23T08:00:00Z  waiver  ana           1a2b3c4d5e6f → main  seniors, in force until …: the shop is down`
fn waiver(context: &Context, entry: &Value) -> String {
    let in_force = entry.get("in_force").and_then(Value::as_bool).unwrap_or(false);
    let (style, state) = if in_force {
        (Style::Warning, "in force until")
    } else {
        (Style::Faint, "over; was until")
    };
    let commit = text(entry, "commit");
    let target = text(entry, "target");
    format!(
        "{}  {}  {:11}  {} → {}  {}, {state} {}: {}",
        printable(text(entry, "at")),
        context.output.style(style, "waiver"),
        printable(text(entry, "by")),
        printable(commit.get(..12).unwrap_or(commit)),
        printable(target.strip_prefix("refs/heads/").unwrap_or(target)),
        printable(text(entry, "rule")),
        printable(text(entry, "until")),
        printable(text(entry, "reason")),
    )
}
