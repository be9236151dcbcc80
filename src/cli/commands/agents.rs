//! `countersign agents`.

use serde_json::json;

use crate::cli::args::{self, AgentsCommand, Format};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::jobs::agents::{Failures, Row, failures, list};
use crate::jobs::{Error, ErrorKind};

/// Runs one of the commands about agents; needs no repository.
pub fn run(context: &Context, arguments: &args::Agents) -> Result<Exit, Error> {
    match arguments.command {
        None | Some(AgentsCommand::List) => {}
    }
    let output = &context.output;
    let rows = list(&context.env);
    let lost = failures(&context.env);
    match output.format {
        Format::Json => {
            let document =
                json!({ "schema": "countersign.agents/1", "agents": rows, "failures": lost });
            let text = serde_json::to_string_pretty(&document)
                .map_err(|error| Error::new(ErrorKind::Internal, error))?;
            output.json(&text);
        }
        Format::Text => {
            text(context, &rows);
            if let Some(Failures { count, last, reason }) = lost {
                output.note(&format!(
                    "note: {count} calls of agents' hooks could not be kept, the last at {last}: {}",
                    printable(&reason)
                ));
            }
        }
        Format::Sarif | Format::Junit | Format::Github | Format::Gitlab | Format::Markdown => {
            return Err(unsupported(output.format, "agents", "text and json"));
        }
    }
    Ok(Exit::Passed)
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
