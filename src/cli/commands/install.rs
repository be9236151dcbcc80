//! Installs the hooks in this repository.

use super::steps;
use crate::cli::Context;
use crate::cli::args::{Install, InstallMode};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::gate::change::printable;
use crate::jobs::Error;
use crate::jobs::install::{self, Installation, Mode, Options, Outcome};
use crate::jobs::snippet::Snippet;

/// Installs, and says what stands where now.
pub fn run(context: &Context, arguments: &Install) -> Result<Exit, Error> {
    let mode = arguments.mode.map(|mode| match mode {
        InstallMode::Shim => Mode::Shim,
        InstallMode::Config => Mode::Config,
        InstallMode::Snippet => Mode::Snippet,
    });
    let options = Options { mode, server: arguments.server, dry_run: arguments.dry_run };
    match install::run(&context.env, &options)? {
        Outcome::ByHand(snippet) => {
            by_hand(context, &snippet);
            Ok(Exit::Blocked)
        }
        Outcome::Installed(installation) => {
            if arguments.dry_run {
                planned(context, &installation);
            } else {
                done(context, &installation);
            }
            Ok(Exit::Passed)
        }
    }
}

fn planned(context: &Context, installation: &Installation) {
    let output = &context.output;
    if installation.steps.is_empty() {
        output.say("nothing would change: it is installed already");
    }
    output.data(&steps::diff(&installation.steps));
    notes(context, installation);
}

fn done(context: &Context, installation: &Installation) {
    let output = &context.output;
    if !output.quiet {
        let word =
            if installation.steps.is_empty() { "was installed already" } else { "installed" };
        let head = output.style(Style::Good, &format!("countersign: {word}"));
        let events = installation.events.join(", ");
        output.say(&match (installation.mode, &installation.folder) {
            (Mode::Snippet, _) => {
                format!("{head} (mode snippet): the hooks are yours to add, as shown below")
            }
            (mode, Some(folder)) => {
                let folder = printable(&folder.to_string_lossy());
                format!("{head} (mode {}): {events} in {folder}", mode.word())
            }
            (mode, None) => {
                format!("{head} (mode {}): {events} in git's configuration", mode.word())
            }
        });
        for path in &installation.kept {
            output.say(&format!(
                "  kept, and run before ours: {}",
                printable(&path.to_string_lossy())
            ));
        }
        output.say(&trust(installation));
    }
    if let Some(snippet) = &installation.snippet {
        output.say(&format!("\nfor {} ({}):\n", snippet.manager, snippet.limits));
        output.say(&snippet.text);
    }
    notes(context, installation);
}

fn trust(installation: &Installation) -> String {
    let target = installation.target.as_deref().map(printable);
    let remote = installation.remote.as_deref().map(printable);
    match (target, remote) {
        (Some(target), Some(remote)) => {
            format!("  the policy is read from {target}, as the remote {remote} has it")
        }
        (Some(target), None) => format!("  the policy is read from {target}"),
        (None, Some(remote)) => format!(
            "  the policy will be read from main or master of the remote {remote}, once it has one"
        ),
        (None, None) => {
            "  the policy will be read from main or master, once there is one".to_owned()
        }
    }
}

fn notes(context: &Context, installation: &Installation) {
    for note in &installation.notes {
        let head = context.output.note_style(Style::Warning, "note:");
        context.output.note(&format!("{head} {note}"));
    }
}

fn by_hand(context: &Context, snippet: &Snippet) {
    let output = &context.output;
    output.note(&format!(
        "{} the hooks here belong to {}, and this git cannot run ours beside them; nothing was changed.",
        output.note_style(Style::Bad, "countersign: not installed:"),
        snippet.manager
    ));
    output.note(&format!("Add this ({}):\n", snippet.limits));
    output.say(&snippet.text);
    output.note(
        "then run `countersign install --mode snippet`, which records it, and `countersign doctor`",
    );
}
