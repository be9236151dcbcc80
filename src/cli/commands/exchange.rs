//! `countersign export` and `countersign import`.

use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Context, unsupported};
use crate::jobs::exchange::{self, Import};
use crate::jobs::world::World;
use crate::jobs::{Error, ErrorKind};

/// What both commands know.
const KNOWN: &str = "agent-trace, git-ai and jsonl";

/// Prints what the ledger knows of lines in the form that was asked for.
pub fn export(context: &Context, arguments: &args::Export) -> Result<Exit, Error> {
    let output = &context.output;
    let world = World::open(&context.env)?;
    let format = match output.format {
        Format::Text => Format::AgentTrace,
        format => format,
    };
    if !matches!(format, Format::AgentTrace | Format::GitAi | Format::Jsonl) {
        return Err(unsupported(format, "export", KNOWN));
    }
    let exported = exchange::export(&world, arguments.range.as_deref())?;
    if arguments.write_notes {
        let count = exchange::write_notes(&world, &exported)?;
        let left = exported.notes.len() - count;
        output.note(&format!("{count} notes written to refs/notes/ai, {left} stood there already"));
        return Ok(Exit::Passed);
    }
    let internal = |error| Error::new(ErrorKind::Internal, error);
    match format {
        Format::GitAi => {
            for (commit, note) in &exported.notes {
                output.data(&format!("commit {commit}\n"));
                output.bytes(note.as_bytes());
                output.data("\n\n");
            }
        }
        Format::Jsonl => {
            for row in &exported.rows {
                output.json(&serde_json::to_string(row).map_err(internal)?);
            }
        }
        _ => {
            for trace in &exported.traces {
                output.json(&format!("{trace}"));
            }
        }
    }
    Ok(Exit::Passed)
}

/// Takes attribution over from other tools' forms.
pub fn import(context: &Context, arguments: &args::Import) -> Result<Exit, Error> {
    let output = &context.output;
    let world = World::open(&context.env)?;
    let format = match output.format {
        Format::Text => Format::AgentTrace,
        format => format,
    };
    let imported = match format {
        Format::GitAi => exchange::import(&world, &Import::GitAi)?,
        Format::AgentTrace | Format::Jsonl => {
            let Some(file) = &arguments.file else {
                return Err(Error::usage("which file?")
                    .hint("`countersign import FILE`, or `-` for standard input"));
            };
            let text = exchange::read(&world, file)?;
            match format {
                Format::Jsonl => exchange::import(&world, &Import::Jsonl(&text))?,
                _ => exchange::import(&world, &Import::AgentTrace(&text))?,
            }
        }
        format => return Err(unsupported(format, "import", KNOWN)),
    };
    output.say(&format!("{} runs of lines in {} new records", imported.runs, imported.records));
    if imported.passed_over > 0 {
        output.note(&format!(
            "{} {} were passed over: no attribution, or of what is not here",
            output.note_style(Style::Warning, "note:"),
            imported.passed_over
        ));
    }
    Ok(Exit::Passed)
}
