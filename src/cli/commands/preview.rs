//! `countersign preview`: makes the required previews, or takes a plan, and
//! shows what would disappear.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::test::agreed;
use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::progress::Progress;
use crate::cli::{Context, unsupported};
use crate::gate::change::printable;
use crate::gate::preview::{markdown, table};
use crate::jobs::Error;
use crate::jobs::apply_guard::{Answer, become_command, guard};
use crate::jobs::check::Options;
use crate::jobs::preview::{Made, Prepared, Report, Taken, execute, import};
use crate::jobs::test::{interruption, may_run};
use crate::jobs::world::World;

/// How many rows of a preview are shown: one screen.
pub const SHOWN_ROWS: usize = 20;
/// How many lines of a failed command's output are shown.
const SHOWN_LINES: usize = 25;

/// Serves the command.
pub fn run(context: &Context, arguments: &args::Preview) -> Result<Exit, Error> {
    if let Some(args::PreviewAction::ApplyGuard(arguments)) = &arguments.action {
        return apply(context, arguments);
    }
    let format = context.output.format;
    if !matches!(format, Format::Text | Format::Json | Format::Markdown) {
        return Err(unsupported(format, "preview", "text, json and markdown"));
    }
    let world = World::open(&context.env)?;
    let options = Options {
        range: arguments.range.range.clone(),
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        ..Options::default()
    };
    let prepared = Prepared::new(&world, &options, &arguments.only)?;
    let signing = if arguments.sign || arguments.key.is_some() {
        Some(prepared.signing(&world, arguments.key.as_deref())?)
    } else {
        None
    };
    let interrupted = interruption();
    let reports = match &arguments.plan {
        Some(plan) => {
            let taken = Taken { plan, json: arguments.plan_json.as_deref() };
            import(&world, &prepared, taken, signing.as_ref())?
        }
        None if prepared.commands.is_empty() => Vec::new(),
        None => {
            may_run(&context.env)?;
            let commands: Vec<_> = prepared
                .commands
                .iter()
                .map(|it| (it.name.as_str(), it.run.as_deref().unwrap_or_default(), None))
                .collect();
            let asks = prepared.foreign && !arguments.yes;
            if !agreed(context, "preview", &prepared.judgement, &commands, asks)? {
                return Ok(Exit::Blocked);
            }
            let progress = Progress::new(context);
            execute(&world, &prepared, signing.as_ref(), &interrupted, &|event| {
                progress.tell(&event);
            })?
        }
    };
    print(context, &prepared, &reports);
    Ok(if interrupted.load(Ordering::Relaxed) { Exit::Interrupted } else { exit(&reports) })
}

/// Becomes the command if its plan may be applied.
fn apply(context: &Context, arguments: &args::ApplyGuard) -> Result<Exit, Error> {
    let world = World::open(&context.env)?;
    let options = Options {
        range: arguments.range.range.clone(),
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        ..Options::default()
    };
    let output = &context.output;
    match guard(&world, &options, &arguments.command)? {
        Answer::Apply(text) => {
            if !output.quiet {
                output.note(&format!("countersign: this very plan passes: {text}"));
            }
            become_command(&context.env, &arguments.command).map(Exit::Of)
        }
        Answer::Refused(refused) => {
            let head = output.style(Style::Bad, "REFUSED");
            output.note(&format!("countersign: {head}: {}", refused.why));
            if let Some(next) = refused.next {
                output.note(&format!(
                    "  next    {}",
                    output.style(Style::Command, &printable(&next))
                ));
            }
            Ok(Exit::Blocked)
        }
    }
}

fn exit(reports: &[Report]) -> Exit {
    let blocks = |made: &Made| {
        !made.excess.is_empty() || !made.preview.partial.is_empty() || made.stale.is_some()
    };
    if reports.iter().any(|report| report.result.is_err()) {
        Exit::Undecided
    } else if reports.iter().any(|report| report.result.as_ref().is_ok_and(blocks)) {
        Exit::Blocked
    } else {
        Exit::Passed
    }
}

fn print(context: &Context, prepared: &Prepared, reports: &[Report]) {
    let output = &context.output;
    if output.format == Format::Json {
        output.json(&format!("{:#}", document(prepared, reports)));
        return;
    }
    if reports.is_empty() && !output.quiet {
        output.say("no rule requires a preview of this change");
    }
    for report in reports {
        match &report.result {
            Ok(made) if output.format == Format::Markdown => {
                output.say(markdown(&report.name, &made.preview, SHOWN_ROWS).trim_end());
                if let Some(why) = &made.stale {
                    output.say(&format!("\n**Does not count:** {why}"));
                }
                for line in &made.excess {
                    output.say(&format!("\n**Needs an approval of this very preview:** {line}"));
                }
                output.say(&format!("\npreview `{}`", made.record));
            }
            Ok(made) => show(context, prepared, report, made),
            Err(failure) => {
                let head = output.style(Style::Warning, "not made");
                output.say(&format!("{head}: {}: {}", printable(&report.name), failure.why));
                let lines: Vec<&str> = failure.tail.lines().collect();
                for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
                    output.say(&format!("  {}", output.style(Style::Faint, &printable(line))));
                }
            }
        }
    }
}

/// One screen: the table, what the policy says of it, and the next command.
fn show(context: &Context, prepared: &Prepared, report: &Report, made: &Made) {
    let output = &context.output;
    output.say(table(&report.name, &made.preview, SHOWN_ROWS).trim_end());
    let stale = made.stale.iter().map(|why| format!("it does not count: {why}"));
    for line in stale.collect::<Vec<_>>().iter().chain(&made.excess) {
        output.say(&format!("{} {}", output.style(Style::Bad, "✗"), printable(line)));
    }
    if !output.quiet {
        if let Some(sources) = &made.sources {
            let text = match sources.modules.len() {
                1 => "1 module".to_owned(),
                count => format!("{count} modules"),
            };
            output.say(&format!("  sources {text}, the commit's own files"));
        }
        output.say(&format!("  record  {}", made.record));
    }
    if !made.excess.is_empty() {
        let command = format!("countersign review {}", printable(&prepared.judgement.range));
        let command = output.style(Style::Command, &command);
        output.say(&format!("  next    {command}  (an approval covers this very preview)"));
    }
}

fn document(prepared: &Prepared, reports: &[Report]) -> serde_json::Value {
    let row = |report: &Report| match &report.result {
        Err(failure) => json!({
            "preview": report.name,
            "engine": report.engine,
            "error": failure.why,
        }),
        Ok(made) => {
            let preview = &made.preview;
            let rows: Vec<_> = preview
                .rows
                .iter()
                .map(|row| {
                    json!({
                        "engine": report.engine,
                        "address": row.address,
                        "type": row.kind,
                        "action": row.action.word(),
                        "place": row.place,
                        "reason": row.reason,
                        "paths": row.paths,
                        "uncertain": row.uncertain,
                    })
                })
                .collect();
            let counts: serde_json::Map<String, serde_json::Value> = preview
                .counts
                .actions
                .iter()
                .map(|(action, count)| (action.word().to_owned(), (*count).into()))
                .collect();
            json!({
                "preview": report.name,
                "engine": report.engine,
                "record": made.record,
                "complete": preview.partial.is_empty(),
                "partial": preview.partial,
                "counts": counts,
                "places": preview.counts.places,
                "excess": made.excess,
                "stale": made.stale,
                "rows": rows,
                "omitted": preview.omitted,
            })
        }
    };
    json!({
        "schema": "countersign.previews/1",
        "commit": prepared.judgement.change.head.as_str(),
        "tree": prepared.judgement.change.head_tree.as_str(),
        "previews": reports.iter().map(row).collect::<Vec<_>>(),
    })
}
