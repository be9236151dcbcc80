//! `countersign check`.

use crate::cli::args::{self, Format, StageName};
use crate::cli::exit::Exit;
use crate::cli::report::{self, Report};
use crate::cli::{Context, unsupported};
use crate::gate::policy::{Mode, Stage};
use crate::jobs::Error;
use crate::jobs::ambient::Surroundings;
use crate::jobs::check::{Options, check};
use crate::jobs::judgement::Judgement;
use crate::jobs::log;
use crate::jobs::world::World;

/// Judges a change and prints the report.
pub fn run(context: &Context, arguments: &args::Check) -> Result<Exit, Error> {
    let format = context.output.format;
    if matches!(
        format,
        Format::Markdown | Format::Porcelain | Format::AgentTrace | Format::GitAi | Format::Jsonl
    ) {
        let known = "text, json, sarif, junit, github and gitlab";
        return Err(unsupported(format, "check", known));
    }
    let world = World::open(&context.env)?;
    let options = Options {
        range: arguments.range.range.clone(),
        staged: arguments.staged,
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        require_policy: arguments.require_policy,
        stage: arguments.stage.map(stage),
        // The other formats name files; lines are counted where a rule asks.
        lines: context.output.format == Format::Json,
    };
    let judgement = check(&world, &options, &Surroundings::read(&context.env))?;
    log::note(&world, &judgement, "check");
    print(context, &judgement, false);
    let exit = exit(&judgement);
    // Of many commits much is held, and the process ends here: nobody need tidy up.
    std::mem::forget(judgement);
    Ok(exit)
}

/// The gate's stage for the command line's word.
pub fn stage(name: StageName) -> Stage {
    match name {
        StageName::Commit => Stage::Commit,
        StageName::Push => Stage::Push,
        StageName::Merge => Stage::Merge,
    }
}

/// Prints a judgement in the format that was asked for. A `brief` text says
/// nothing where all is fine.
pub fn print(context: &Context, judgement: &Judgement, brief: bool) {
    print_as(context, judgement, report(judgement).subject, brief);
}

/// The same, of a change that has its own name for people.
pub fn print_as(context: &Context, judgement: &Judgement, subject: &str, brief: bool) {
    let report = Report { subject, ..report(judgement) };
    match context.output.format {
        Format::Json => context.output.json(&format!("{:#}", report::json::render(&report))),
        Format::Github => {
            context.output.data(&report::github::render(&report));
            report::text::print(&context.output, &report, brief);
        }
        Format::Sarif => context.output.json(&format!("{:#}", report::sarif::render(&report))),
        Format::Junit => context.output.data(&report::junit::render(&report)),
        Format::Gitlab => context.output.json(&format!("{:#}", report::gitlab::render(&report))),
        Format::Text
        | Format::Markdown
        | Format::Porcelain
        | Format::AgentTrace
        | Format::GitAi
        | Format::Jsonl => report::text::print(&context.output, &report, brief),
    }
}

/// What a report shows of a judgement.
pub fn report(judgement: &Judgement) -> Report<'_> {
    Report {
        verdict: &judgement.verdict,
        change: &judgement.change,
        attribution: &judgement.attribution,
        policy: &judgement.policy.source,
        target: &judgement.target,
        sources: &judgement.sources,
        subject: if judgement.range == "--staged" { "the staged change" } else { &judgement.range },
    }
}

/// The exit status of a judgement: in observe mode nothing blocks.
pub fn exit(judgement: &Judgement) -> Exit {
    if judgement.verdict.passes() || judgement.verdict.mode == Mode::Observe {
        Exit::Passed
    } else {
        Exit::Blocked
    }
}
