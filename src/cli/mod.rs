//! The face: arguments in, reports and exit codes out.

use std::process::ExitCode;

use clap::Parser;

use crate::jobs::{Env, Error, ErrorKind};
use args::{Arguments, Command, Format};
use exit::Exit;
use output::{Output, Style};

pub mod args;
pub mod commands;
pub mod exit;
pub mod output;
pub mod progress;
pub mod prompt;
pub mod report;
pub mod review;
pub mod terminal;

/// What every command gets: the surroundings and the way to speak.
pub struct Context {
    pub env: Env,
    pub output: Output,
}

/// Parses the arguments, runs the job, reports, and returns the exit code.
pub fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    match started(&words) {
        // To many agents status 2 is a refusal of the call, and whatever is wrong
        // here is not the agent's fault.
        failure if failure == Exit::Undecided && is_agents_hook(&words) => Exit::Passed.into(),
        exit => exit.into(),
    }
}

/// Whether this is `record`, with a payload on standard input.
fn is_agents_hook(words: &[std::ffi::OsString]) -> bool {
    use std::io::IsTerminal;
    words.get(1).is_some_and(|it| it == "record") && !std::io::stdin().is_terminal()
}

fn started(words: &[std::ffi::OsString]) -> Exit {
    let arguments = match Arguments::of_shim(words).map_or_else(Arguments::try_parse, Ok) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error, words),
    };
    let mut env = match Env::read() {
        Ok(env) => env,
        Err(error) => {
            complain_early(&format!("failed to read the working directory: {error}"));
            return Exit::Undecided;
        }
    };
    if let Some(directory) = &arguments.global.directory {
        env.dir = env.dir.join(directory);
    }
    let hook = matches!(arguments.command, Command::Hook(_));
    let output = Output::new(&arguments.global, &env, hook);
    let context = Context { env, output };
    if !context.env.dir.is_dir() {
        let folder = crate::gate::change::printable(&context.env.dir.to_string_lossy());
        report_error(&context.output, &Error::usage(format!("there is no folder `{folder}`")));
        return Exit::Undecided;
    }
    decide_nothing_on_panic(context.output.clone(), words);
    match run(&context, &arguments.command) {
        Ok(exit) => exit,
        Err(error) => {
            report_error(&context.output, &error);
            Exit::Undecided
        }
    }
}

/// A panic, in whichever thread, ends the program with the report of an error;
/// the release build has no unwinding that could bring it back.
#[expect(clippy::exit, reason = "there is nowhere to return to from a panic")]
fn decide_nothing_on_panic(output: Output, words: &[std::ffi::OsString]) {
    let exit = if is_agents_hook(words) { Exit::Passed } else { Exit::Undecided };
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload().downcast_ref::<String>().map(String::as_str);
        let what = text.or_else(|| panic.payload().downcast_ref().copied()).unwrap_or("a panic");
        let error = Error::new(
            ErrorKind::Internal,
            format!("this is a bug in countersign; nothing was decided ({place}: {what})"),
        );
        report_error(&output, &error);
        std::process::exit(exit.code().into())
    }));
}

fn run(context: &Context, command: &Command) -> Result<Exit, Error> {
    match command {
        Command::Completions(arguments) => Ok(commands::completions::run(context, arguments)),
        Command::Man => commands::man::run(context),
        Command::Export(arguments) => commands::exchange::export(context, arguments),
        Command::Import(arguments) => commands::exchange::import(context, arguments),
        Command::Blame(arguments) => commands::blame::run(context, arguments),
        Command::Agents(arguments) => commands::agents::run(context, arguments),
        Command::Record(arguments) => commands::record::run(context, arguments),
        Command::Approve(arguments) => commands::approve::approve(context, arguments),
        Command::Reject(arguments) => commands::approve::reject(context, arguments),
        Command::Review(arguments) => commands::review::run(context, arguments),
        Command::Waive(arguments) => commands::approve::waive(context, arguments),
        Command::Withdraw(arguments) => commands::approve::withdraw(context, arguments),
        Command::Ledger(arguments) => commands::ledger::run(context, arguments),
        Command::Install(arguments) => commands::install::run(context, arguments),
        Command::Init(arguments) => commands::init::run(context, arguments),
        Command::Policy(arguments) => commands::policy::run(context, arguments),
        Command::Uninstall(arguments) => commands::uninstall::run(context, arguments),
        Command::Scan(arguments) => commands::scan::run(context, arguments),
        Command::Doctor => commands::doctor::run(context),
        Command::Test(arguments) => commands::test::run(context, arguments),
        Command::Preview(arguments) => commands::preview::run(context, arguments),
        Command::Check(arguments) => commands::check::run(context, arguments),
        Command::Explain(arguments) => commands::explain::run(context, arguments),
        Command::WhoCan(arguments) => commands::explain::who(context, arguments),
        Command::Audit(arguments) => commands::audit::run(context, arguments),
        Command::Log(arguments) => commands::log::run(context, arguments),
        Command::Hook(arguments) => commands::hook::run(context, arguments),
        Command::Demo(arguments) => commands::demo::run(context, arguments),
    }
}

/// The error for a format that a command does not print.
pub fn unsupported(format: Format, command: &str, known: &str) -> Error {
    let name = clap::ValueEnum::to_possible_value(&format).map(|value| value.get_name().to_owned());
    let name = name.unwrap_or_default();
    Error::usage(format!("`countersign {command}` does not print {name}"))
        .hint(format!("it prints {known}"))
}

/// clap's own answers: help and version are no mistakes, the rest is usage, and
/// answered as JSON where JSON was asked for: a script reads one form only.
fn usage(error: &clap::Error, words: &[std::ffi::OsString]) -> Exit {
    if !error.use_stderr() {
        error.print().ok();
        return Exit::Passed;
    }
    if Arguments::asks_for_json(words) {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let error = Error::usage(crate::gate::change::printable(message))
            .hint("`countersign --help` lists the commands, and `--help` behind one its options");
        Output::of_data(Format::Json).json(&error_report(&error));
    } else {
        error.print().ok();
    }
    Exit::Undecided
}

#[expect(clippy::print_stderr, reason = "there is no output yet")]
fn complain_early(message: &str) {
    eprintln!("error: {message}");
}

/// Prints an error once: the whole chain, then the hints; as JSON where the
/// result would have been JSON.
fn report_error(output: &Output, error: &Error) {
    if output.format != Format::Text {
        output.json(&error_report(error));
        if output.format == Format::Json {
            return;
        }
    }
    output.note(&format!("{} {}", output.note_style(Style::Bad, "error:"), error.chain()));
    for hint in &error.hints {
        output.note(&format!("{} {hint}", output.note_style(Style::Warning, "hint:")));
    }
}

/// `countersign.report/1` where nothing could be decided.
fn error_report(error: &Error) -> String {
    serde_json::json!({
        "schema": "countersign.report/1",
        "verdict": "error",
        "error": { "kind": error.kind.word(), "message": error.chain(), "hints": error.hints },
    })
    .to_string()
}
