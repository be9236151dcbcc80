//! Removes exactly what install added.

use super::steps;
use crate::cli::Context;
use crate::cli::args::Uninstall;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::gate::change::printable;
use crate::jobs::{Error, uninstall};

/// Uninstalls, and says what was put back.
pub fn run(context: &Context, arguments: &Uninstall) -> Result<Exit, Error> {
    let output = &context.output;
    let removal = uninstall::run(&context.env, arguments.dry_run)?;
    if removal.steps.is_empty() {
        output.say("nothing of countersign is installed here");
    } else if arguments.dry_run {
        output.data(&steps::diff(&removal.steps));
    } else if !output.quiet {
        let head = output.style(Style::Good, "countersign: removed");
        output.say(&format!("{head}: the hooks and the settings that install had added"));
    }
    for path in &removal.left {
        let head = output.note_style(Style::Warning, "note:");
        let path = printable(&path.to_string_lossy());
        output.note(&format!(
            "{head} `{path}` stays: another tool took the hook's place since; compare the two, and remove one"
        ));
    }
    Ok(Exit::Passed)
}
