//! `countersign agents`.

use serde_json::json;

use super::steps;
use crate::cli::args::{self, AgentsCommand, Format, ScopeName};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::gate::connect::Scope;
use crate::jobs::agents::{Failures, Row, failures, list};
use crate::jobs::connect::{self, Outcome};
use crate::jobs::{Error, ErrorKind};

/// Runs one of the commands about agents; needs no repository.
pub fn run(context: &Context, arguments: &args::Agents) -> Result<Exit, Error> {
    match &arguments.command {
        None | Some(AgentsCommand::List) => {}
        Some(AgentsCommand::Connect(arguments)) => return connect(context, arguments),
        Some(AgentsCommand::Disconnect(arguments)) => return disconnect(context, arguments),
    }
    let output = &context.output;
    let rows = list(&context.env);
    let lost = failures(&context.env);
    let connected = connect::connections(&context.env);
    match output.format {
        Format::Json => {
            let document = json!({ "schema": "countersign.agents/1", "agents": rows, "connected": connected, "failures": lost });
            let text = serde_json::to_string_pretty(&document)
                .map_err(|error| Error::new(ErrorKind::Internal, error))?;
            output.json(&text);
        }
        Format::Text => {
            text(context, &rows);
            for it in connected {
                let guard = if it.guard { ", with the guard" } else { "" };
                let (scope, file) = (it.scope, printable(&it.file));
                output.say(&format!("{} is connected{guard} ({scope}: {file})", it.agent));
            }
            if let Some(Failures { count, last, reason }) = lost {
                output.note(&format!(
                    "note: {count} of the calls of agents' hooks could not be kept, the last at {last}: {}",
                    printable(&reason)
                ));
            }
        }
        Format::Sarif
        | Format::Junit
        | Format::Github
        | Format::Gitlab
        | Format::Markdown
        | Format::Porcelain
        | Format::AgentTrace
        | Format::GitAi
        | Format::Jsonl => {
            return Err(unsupported(output.format, "agents", "text and json"));
        }
    }
    Ok(Exit::Passed)
}

fn scope(name: ScopeName) -> Scope {
    match name {
        ScopeName::Project => Scope::Project,
        ScopeName::User => Scope::User,
    }
}

fn connect(context: &Context, arguments: &args::Connect) -> Result<Exit, Error> {
    let args::Connect { agent, guard, dry_run, .. } = arguments;
    let scope = scope(arguments.scope);
    let outcome = connect::connect(&context.env, agent, scope, *guard, *dry_run)?;
    let output = &context.output;
    if *dry_run {
        output.data(&steps::diff(&outcome.steps));
    } else if outcome.steps.is_empty() {
        output.say(&format!("{agent} is connected already: {}", shown(&outcome)));
    } else {
        let head = output.style(Style::Good, &format!("{agent} is connected:"));
        output.say(&format!("{head} {}", shown(&outcome)));
        output.say(outcome.then);
        if scope == Scope::Project {
            output.say("everybody who works here needs `countersign` on PATH");
        }
    }
    Ok(Exit::Passed)
}

fn disconnect(context: &Context, arguments: &args::Disconnect) -> Result<Exit, Error> {
    let args::Disconnect { agent, dry_run, .. } = arguments;
    let scope = arguments.scope.map(scope);
    let outcome = connect::disconnect(&context.env, agent, scope, *dry_run)?;
    let output = &context.output;
    if outcome.steps.is_empty() {
        output.say(&format!("{agent} is not connected"));
    } else if *dry_run {
        output.data(&steps::diff(&outcome.steps));
    } else {
        let head = output.style(Style::Good, &format!("{agent} is disconnected:"));
        output.say(&format!("{head} {}", shown(&outcome)));
    }
    Ok(Exit::Passed)
}

fn shown(outcome: &Outcome) -> String {
    let files = outcome.files.iter().map(|it| printable(&it.to_string_lossy()));
    files.collect::<Vec<_>>().join(", ")
}

fn text(context: &Context, rows: &[Row]) {
    let output = &context.output;
    if rows.is_empty() {
        output.say("no agent that countersign can read keeps records here");
        return;
    }
    let heading =
        format!("{:<18} {:>8} {:>9}  {:<20}  folder", "agent", "sessions", "size", "newest");
    output.say(&output.style(Style::Strong, &heading));
    for row in rows {
        let newest = row.newest.as_deref().unwrap_or("-");
        output.say(&format!(
            "{:<18} {:>8} {:>9}  {newest:<20}  {}",
            row.id,
            row.sessions,
            size(row.bytes),
            printable(&row.folder)
        ));
        if row.unreadable > 0 {
            output.note(&format!("note: {} folders below it cannot be listed", row.unreadable));
        }
    }
}

/// `12.3 MB`, in powers of ten.
fn size(bytes: u64) -> String {
    let mut tenths = bytes.saturating_mul(10);
    for unit in ["B", "kB", "MB", "GB"] {
        if tenths < 10_000 {
            let whole = unit == "B";
            return match whole {
                true => format!("{} {unit}", tenths / 10),
                false => format!("{}.{} {unit}", tenths / 10, tenths % 10),
            };
        }
        tenths /= 1000;
    }
    format!("{}.{} TB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 999, 1000, 12_345, 999_999_999, 1_500_000_000, u64::MAX].map(size);
        assert_eq!(sizes[..6], ["0 B", "999 B", "1.0 kB", "12.3 kB", "999.9 MB", "1.5 GB"]);
    }
}
