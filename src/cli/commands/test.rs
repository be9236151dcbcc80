//! `countersign test`: runs the required tests, plans them, or imports results.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::cli::args::{self, Format};
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::progress::Progress;
use crate::cli::report::text::counted;
use crate::cli::{Context, prompt, unsupported};
use crate::gate::change::printable;
use crate::gate::policy::Prove;
use crate::gate::time::write_length;
use crate::jobs::Error;
use crate::jobs::check::Options;
use crate::jobs::judgement::Judgement;
use crate::jobs::pre_push::Tested;
use crate::jobs::test::{
    self, End, Execution, Prepared, Report, WithinBudget, execute, import, is_ci, last_duration,
    may_run, read_results, run_for_push, write_results,
};
use crate::jobs::world::World;

/// How many lines of a failed test's output are shown.
const SHOWN_LINES: usize = 25;

/// Serves the command.
pub fn run(context: &Context, arguments: &args::Test) -> Result<Exit, Error> {
    if !matches!(context.output.format, Format::Text | Format::Json) {
        return Err(unsupported(context.output.format, "test", "text and json"));
    }
    let world = World::open(&context.env)?;
    let options = Options {
        range: arguments.range.range.clone(),
        target: arguments.range.target.clone(),
        policy_from: arguments.range.policy_from.clone(),
        ..Options::default()
    };
    let prepared = Prepared::new(&world, &options, &arguments.only)?;
    if arguments.plan {
        context.output.json(&format!("{}", prepared.plan.matrix()));
        return Ok(Exit::Passed);
    }
    if !arguments.import.is_empty() {
        return take(context, &world, &prepared, arguments);
    }
    if prepared.plan.tests.is_empty() {
        if let Some(file) = &arguments.output {
            write_results(&context.env, file, &[])?;
        }
        print(context, &prepared, &[]);
        return Ok(Exit::Passed);
    }
    may_run(&context.env)?;
    let commands: Vec<Shown<'_>> = prepared
        .plan
        .tests
        .iter()
        .map(|it| (it.test.name.as_str(), it.words.as_slice(), it.test.setup.as_deref()))
        .collect();
    show_proofs(context, &prepared);
    let asks = prepared.foreign && !arguments.yes;
    if !agreed(context, "test", &prepared.judgement, &commands, asks)? {
        return Ok(Exit::Blocked);
    }
    let signing = if arguments.sign || arguments.key.is_some() {
        Some(prepared.signing(&world, arguments.key.as_deref())?)
    } else {
        None
    };
    let interrupted = test::interruption();
    let progress = Progress::new(context);
    let execution = Execution {
        records: prepared.records(),
        signing: signing.as_ref(),
        budget: None,
        interrupted: &interrupted,
    };
    let reports =
        execute((&world).into(), &prepared.plan, execution, &|event| progress.tell(&event))?;
    if let Some(file) = &arguments.output {
        write_results(&context.env, file, &reports)?;
    }
    print(context, &prepared, &reports);
    Ok(if interrupted.load(Ordering::Relaxed) { Exit::Interrupted } else { exit(&reports) })
}

/// Says what proofs cost, before anything runs.
fn show_proofs(context: &Context, prepared: &Prepared) {
    if context.output.quiet {
        return;
    }
    for (name, (_, sources)) in &prepared.plan.proofs {
        let hunks: usize = sources.iter().map(|it| it.hunks.len()).sum();
        let took = last_duration(prepared.records(), name)
            .map(|it| format!(" (a run took {} the last time)", seconds(it)))
            .unwrap_or_default();
        let planned = prepared.plan.tests.iter().find(|it| it.test.name == *name);
        if planned.is_some_and(|it| it.test.prove == Some(Prove::Mutate)) {
            context.output.note(&format!(
                "a mutation tool changes the assisted lines ({} in {}) to see whether `{}` fails then{took}",
                counted(hunks, "hunk"),
                counted(sources.len(), "file"),
                printable(name)
            ));
            continue;
        }
        context.output.note(&format!(
            "`{}` runs again without the assisted lines ({} in {}), more than once if that tells nothing{took}",
            printable(name),
            counted(hunks, "hunk"),
            counted(sources.len(), "file")
        ));
    }
}

/// Runs what a push misses and may run by itself; says what came of it, so that
/// the push can be judged again. All text goes to
/// standard error, and nothing is asked.
pub fn run_before_push(
    context: &Context,
    world: &World,
    judgement: &Judgement,
) -> Result<Tested, Error> {
    let progress = Progress::new(context);
    let Some(pushed) = run_for_push(world, judgement, &|event| progress.tell(&event))? else {
        return Ok(Tested::default());
    };
    let command = || {
        context.output.note_style(
            Style::Command,
            &format!("countersign test {}", printable(&judgement.range)),
        )
    };
    let mut tested = Tested { deferred: pushed.deferred, ..Tested::default() };
    match pushed.within {
        WithinBudget::Interrupted => tested.interrupted = true,
        WithinBudget::NotOurs => context.output.note(&format!(
            "this commit was never checked out here, so its tests were not run: `{}`",
            command()
        )),
        WithinBudget::NotAllowed => {
            context.output.note("`countersign install` was not run here, so no test was run");
        }
        WithinBudget::TooLong { expected, budget } => context.output.note(&format!(
            "the tests take about {}, longer than a push may spend ({}): `{}`",
            write_length(expected),
            write_length(budget),
            command()
        )),
        WithinBudget::Ran(reports) => {
            let late = |report: &Report| tested.deferred.contains_key(&report.test);
            for report in reports.iter().filter(|it| !late(it)) {
                show(context, report);
            }
            tested.recorded = reports.iter().any(|report| report.record.is_some());
        }
    }
    Ok(tested)
}

/// A command to be run: its name, its words and those of its setup.
pub type Shown<'a> = (&'a str, &'a [String], Option<&'a [String]>);

/// Shows what would run and for whom, and asks where it is a stranger's commit.
pub fn agreed(
    context: &Context,
    subcommand: &str,
    judgement: &Judgement,
    commands: &[Shown<'_>],
    foreign: bool,
) -> Result<bool, Error> {
    if !context.output.quiet {
        let authors: std::collections::BTreeSet<String> = judgement
            .change
            .commits
            .iter()
            .map(|commit| format!("{} <{}>", commit.author.name, commit.author.email))
            .collect();
        let authors: Vec<String> = authors.into_iter().collect();
        let by = match authors.as_slice() {
            [] => String::new(),
            few if few.len() <= 3 => format!(" by {}", few.join(", ")),
            many => format!(" by {} and {} more", many[..3].join(", "), many.len() - 3),
        };
        context.output.note(&format!("commit {}{}", judgement.change.head.short(), printable(&by)));
        for (name, run, setup) in commands {
            let words = |words: &[String]| printable(&words.join(" "));
            let setup = setup.map_or(String::new(), |it| format!(" (setup: {})", words(it)));
            let name = context.output.note_style(Style::Strong, &printable(name));
            context.output.note(&format!("  {name}: {}{setup}", words(run)));
        }
    }
    if !foreign || is_ci(&context.env) {
        return Ok(true);
    }
    if !prompt::is_possible(&context.env) {
        let message =
            "this commit is by others and was never checked out here; running this runs their code";
        return Err(Error::usage(message).hint(format!(
            "`countersign {subcommand} {} --yes` does",
            printable(&judgement.range)
        )));
    }
    prompt::allow("Run these commands on code that others wrote?")
}

/// Takes results that CI's jobs wrote, and signs them.
fn take(
    context: &Context,
    world: &World,
    prepared: &Prepared,
    arguments: &args::Test,
) -> Result<Exit, Error> {
    let signing = prepared.signing(world, arguments.key.as_deref())?;
    let results = read_results(&context.env, &arguments.import)?;
    let reports = import(world.into(), &prepared.plan, &results, &signing)?;
    print(context, prepared, &reports);
    Ok(exit(&reports))
}

fn exit(reports: &[Report]) -> Exit {
    if reports.iter().any(|report| report.end == End::Failed) {
        Exit::Blocked
    } else if reports.iter().any(|report| report.end == End::NotRun) {
        Exit::Undecided
    } else {
        Exit::Passed
    }
}

fn print(context: &Context, prepared: &Prepared, reports: &[Report]) {
    if context.output.format == Format::Json {
        let row = |report: &Report| {
            serde_json::json!({
                "test": report.test,
                "result": word(report.end),
                "summary": report.summary,
                "duration_ms": u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
                "reused": report.reused,
                "retried": report.retried,
                "record": report.record,
                "log": report.log.as_ref().map(|log| log.to_string_lossy()),
            })
        };
        let value = serde_json::json!({
            "schema": "countersign.tests/1",
            "commit": prepared.plan.commit.as_str(),
            "tree": prepared.plan.tree.as_str(),
            "tests": reports.iter().map(row).collect::<Vec<_>>(),
        });
        context.output.json(&format!("{value:#}"));
        return;
    }
    if reports.is_empty() && !context.output.quiet {
        context.output.say("no rule requires a test of this change");
    }
    for report in reports {
        show(context, report);
    }
}

fn word(end: End) -> &'static str {
    match end {
        End::Passed => "passed",
        End::Failed => "failed",
        End::NotRun => "not run",
    }
}

/// One line for a test; for one that failed also the end of its output.
fn show(context: &Context, report: &Report) {
    let output = &context.output;
    let style = match report.end {
        End::Passed if output.quiet => return,
        End::Passed => Style::Good,
        End::Failed => Style::Bad,
        End::NotRun => Style::Warning,
    };
    let took = if report.reused { "earlier".to_owned() } else { seconds(report.duration) };
    let head = output.style(style, word(report.end));
    output.say(&format!("{head}: {}: {} ({took})", printable(&report.test), report.summary));
    if report.end == End::Passed {
        return;
    }
    let lines: Vec<&str> = report.tail.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        output.say(&format!("  {}", output.style(Style::Faint, &printable(line))));
    }
    if let Some(log) = &report.log {
        output.say(&format!("  the whole output: {}", printable(&log.to_string_lossy())));
    }
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(60) {
        format!("{}.{}s", duration.as_secs(), duration.subsec_millis() / 100)
    } else {
        write_length(duration)
    }
}
