//! The hooks around a push: pre-push in a clone, pre-receive and post-receive
//! on a server.

use std::ffi::OsString;

use crate::cli::Context;
use crate::cli::commands::check;
use crate::cli::commands::test::run_before_push;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::gate::change::printable;
use crate::gate::policy::Mode;
use crate::gate::verdict::{Finding, Level};
use crate::jobs::Error;
use crate::jobs::judgement::Judgement;
use crate::jobs::pre_push::{JudgedPush, Push};
use crate::jobs::ref_update::JudgedRef;
use crate::jobs::world::World;
use crate::jobs::{log, pre_push, publish, server};

/// Judges a push before it leaves, runs what tests a hook may run, and
/// publishes the records that wait.
pub fn pre_push(context: &Context, arguments: &[OsString], input: &[u8]) -> Result<Exit, Error> {
    let world = World::open(&context.env)?;
    let mut push = Push::read(&context.env, arguments, input)?;
    if push.updates.is_empty() {
        return Ok(Exit::Passed);
    }
    if push.first_only {
        context.output.note("countersign: this hook manager shows only the first ref of a push; the others are judged on the server");
    }
    let mut interrupted = false;
    let judged = pre_push::pre_push(&world, &mut push, &mut |_, judgement| {
        let ran = run_before_push(context, &world, judgement)?;
        interrupted |= ran.interrupted;
        Ok(ran)
    })?;
    if interrupted {
        return Ok(Exit::Interrupted);
    }
    for judged_ref in &judged.refs {
        if let Some(judgement) = &judged_ref.judgement {
            log::note(&world, judgement, "pre-push");
        }
        report(context, judged_ref, judged.mode);
    }
    for warning in publish::from_hook(&world, &judged) {
        context.output.note(&format!(
            "countersign: {} {}",
            context.output.note_style(Style::Warning, "warning:"),
            printable(&warning)
        ));
    }
    Ok(exit(&judged))
}

/// Judges a push on the server that receives it.
pub fn pre_receive(context: &Context, input: &[u8]) -> Result<Exit, Error> {
    let world = World::open(&context.env)?;
    let judged = server::pre_receive(&world, input)?;
    for judged_ref in &judged.refs {
        report(context, judged_ref, judged.mode);
    }
    Ok(exit(&judged))
}

/// Appends the verdicts of what was received to the ledger.
pub fn post_receive(context: &Context, input: &[u8]) -> Result<Exit, Error> {
    let world = World::open(&context.env)?;
    for warning in server::post_receive(&world, input)? {
        context.output.note(&format!("countersign: {}", printable(&warning)));
    }
    Ok(Exit::Passed)
}

fn exit(judged: &JudgedPush) -> Exit {
    if judged.passes() || judged.mode == Mode::Observe { Exit::Passed } else { Exit::Blocked }
}

fn report(context: &Context, judged: &JudgedRef, mode: Mode) {
    if let Some(judgement) = &judged.judgement {
        check::print_as(context, judgement, &subject(judged, judgement), true);
    }
    for finding in &judged.findings {
        if finding.level > Level::Note || context.output.verbose {
            print_finding(context, &judged.name, finding, mode);
        }
    }
}

/// The range, and the ref it is pushed to where that is not the target: a push
/// may move several.
fn subject(judged: &JudgedRef, judgement: &Judgement) -> String {
    if judged.name == judgement.target {
        return judgement.range.clone();
    }
    let name = judged.name.strip_prefix("refs/heads/").unwrap_or(&judged.name);
    format!("{} (pushed to {name})", judgement.range)
}

fn print_finding(context: &Context, name: &str, finding: &Finding, mode: Mode) {
    let output = &context.output;
    let word = match (finding.level, mode) {
        (Level::Block, Mode::Enforce) => output.style(Style::Bad, "BLOCKED"),
        (Level::Block, Mode::Observe) => output.style(Style::Warning, "would block"),
        (Level::Warn, _) => output.style(Style::Warning, "warning"),
        (Level::Note, _) => "note".to_owned(),
    };
    let name = printable(name);
    output.say(&format!(
        "countersign: {word} {name}: {}  [{}]",
        printable(&finding.message),
        finding.code.as_str()
    ));
    if let Some(next) = &finding.next {
        output.say(&format!("      next:  {}", output.style(Style::Command, &printable(next))));
    }
}
