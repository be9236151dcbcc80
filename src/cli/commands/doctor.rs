//! Says what would really run for every hook, and what is wrong.

use crate::cli::Context;
use crate::cli::args::Format;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::gate::change::printable;
use crate::jobs::doctor::{self, Diagnosis, EventState, Policy, Runs};
use crate::jobs::{Error, ErrorKind};

/// Diagnoses; exits 1 if something is wrong.
pub fn run(context: &Context) -> Result<Exit, Error> {
    let diagnosis = doctor::run(&context.env)?;
    match context.output.format {
        Format::Text => text(context, &diagnosis),
        Format::Json => {
            let json = serde_json::to_string_pretty(&diagnosis)
                .map_err(|error| Error::new(ErrorKind::Internal, error))?;
            context.output.data(&(json + "\n"));
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
            return Err(Error::usage("doctor knows the formats text and json"));
        }
    }
    Ok(if diagnosis.ok { Exit::Passed } else { Exit::Blocked })
}

fn text(context: &Context, diagnosis: &Diagnosis) {
    let output = &context.output;
    if !output.quiet {
        let mode = diagnosis.mode.unwrap_or("none: not installed");
        let folder = diagnosis.folder.as_deref().unwrap_or("none");
        output.say(&format!(
            "git {}, mode {mode}, hooks folder {}",
            diagnosis.git,
            printable(folder)
        ));
        if let Some(path) = &diagnosis.hooks_path {
            output.say(&format!(
                "core.hooksPath is `{}` ({} configuration)",
                printable(&path.value),
                path.scope
            ));
        }
        for event in &diagnosis.events {
            output.say(&line(event));
        }
        match &diagnosis.policy {
            Policy::From(place) => output.say(&format!("policy from {place}")),
            Policy::BuiltIn => output.say(
                "no policy at the trusted ref yet: the built-in default observes, and blocks nothing",
            ),
            Policy::Unreadable => {}
        }
    }
    for note in &diagnosis.notes {
        let head = output.style(Style::Warning, "note:");
        output.say(&format!("{head} {}", printable(note)));
    }
    for problem in &diagnosis.problems {
        let head = output.style(Style::Bad, &format!("problem [{}]:", problem.code));
        output.say(&format!("{head} {}", printable(&problem.message)));
        output.say(&format!("  fix: {}", printable(&problem.fix)));
    }
    if diagnosis.ok {
        output.say(&output.style(Style::Good, "every hook runs countersign"));
    }
}

fn line(event: &EventState) -> String {
    let program = event.program.as_deref().unwrap_or("countersign from PATH");
    let what = match event.runs {
        Runs::Shim => format!("shim {} -> {program}", event.version.unwrap_or_default()),
        Runs::Config => "git's configuration".to_owned(),
        Runs::Wrapped => "shim, started by the manager that stands before it".to_owned(),
        Runs::Snippet => "a line in another manager's files".to_owned(),
        Runs::Foreign => "not ours".to_owned(),
        Runs::Nothing => "nothing".to_owned(),
    };
    let chained = event.chained.as_ref().map(|path| format!(", after {path}")).unwrap_or_default();
    format!("  {:<17} {}", event.event, printable(&format!("{what}{chained}")))
}
