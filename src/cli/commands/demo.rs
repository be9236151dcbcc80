//! `countersign demo`: the whole story, told while it happens.

use crate::cli::args::{self, Format};
use crate::cli::commands::approve;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Context, unsupported};
use crate::jobs::Error;
use crate::jobs::demo::{Ended, Options, Told, demo};

/// Tells the story.
pub fn run(context: &Context, arguments: &args::Demo) -> Result<Exit, Error> {
    if context.output.format != Format::Text {
        return Err(unsupported(context.output.format, "demo", "text"));
    }
    let output = &context.output;
    output.say("An assisted change is stopped, tested, countersigned and let through:");
    output.say("in a throw-away folder, with keys made for it; nothing of yours takes part.");
    let options =
        Options { keep: arguments.keep, colour: !output.style(Style::Strong, "").is_empty() };
    let mut parts = 0;
    let ended = demo(&context.env, options, &mut |told| print(context, &mut parts, &told))?;
    Ok(match ended {
        Ended::Interrupted => Exit::Interrupted,
        Ended::Told(folder) => {
            match folder {
                Some(folder) => {
                    output.say(&format!("\nThe repositories are kept in {}", folder.display()));
                }
                None => output.say("\nThe throw-away folder is removed."),
            }
            output.say("In a repository of yours:");
            for command in ["countersign scan --all", "countersign init", "countersign install"] {
                output.say(&format!("  {}", output.style(Style::Command, command)));
            }
            Exit::Passed
        }
    })
}

fn print(context: &Context, parts: &mut usize, told: &Told) {
    let output = &context.output;
    match told {
        Told::Part(title) => {
            *parts += 1;
            output.say(&format!("\n{}", output.style(Style::Strong, &format!("{parts}. {title}"))));
        }
        Told::Typed { who, command } => {
            output.say(&format!("  {who}$ {}", output.style(Style::Command, command)));
        }
        Told::Printed(text) => text.lines().for_each(|line| output.say(&indented(line))),
        Told::Signed { signed, person, fingerprint } => {
            for line in approve::summary(context, signed, person, fingerprint) {
                output.say(&indented(&line));
            }
        }
        Told::Remark(remark) => output.say(&format!("  {}", output.style(Style::Good, remark))),
    }
}

fn indented(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!("    {line}") }
}
