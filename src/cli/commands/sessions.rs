//! `countersign scan --sessions`.

use crate::cli::args::Format;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::jobs::sessions::{Row, uncommitted};
use crate::jobs::world::World;
use crate::jobs::{Error, ErrorKind};

/// Prints the recorded edits, one a line, and what was left out.
pub fn run(context: &Context) -> Result<Exit, Error> {
    let output = &context.output;
    if !matches!(output.format, Format::Text | Format::Json) {
        return Err(unsupported(output.format, "scan --sessions", "text and json"));
    }
    let (rows, notes) = uncommitted(&World::open(&context.env)?)?;
    for row in &rows {
        if output.format == Format::Json {
            let line = serde_json::to_string(row);
            output.json(&line.map_err(|error| Error::new(ErrorKind::Internal, error))?);
        } else {
            output.say(&line(context, row));
        }
    }
    if output.format == Format::Text && !output.quiet {
        let noun = if notes.sessions == 1 { "session" } else { "sessions" };
        let edits = if rows.len() == 1 { "edit" } else { "edits" };
        let total = format!("{} recorded {edits}, {} {noun}", rows.len(), notes.sessions);
        output.say(&output.style(Style::Strong, &total));
    }
    for (count, what) in [
        (notes.skipped, "malformed or over-long lines were passed over"),
        (notes.unreadable, "files or folders could not be read"),
        (notes.left, "files are beyond what is read at once; their newest part was read"),
    ] {
        if count > 0 {
            output.note(&format!("note: {count} {what}"));
        }
    }
    Ok(Exit::Passed)
}

/// `src/a.rs  2026-11-24T10:00:00Z  claude-code  claude-opus-4-5  3 lines  session 01…`
fn line(context: &Context, row: &Row) -> String {
    let agent = context.output.style(Style::Warning, &printable(&row.agent));
    let noun = if row.lines == 1 { "line" } else { "lines" };
    let staged = if row.staged { "" } else { "  (not staged)" };
    format!(
        "{}  {}  {agent}  {}  {} {noun}  session {}{staged}",
        printable(&row.path),
        row.time.as_deref().unwrap_or("-"),
        printable(row.model.as_deref().unwrap_or("-")),
        row.lines,
        printable(&row.session),
    )
}
