//! Prints a completion script.

use clap::CommandFactory;

use crate::cli::Context;
use crate::cli::args::{Arguments, Completions};
use crate::cli::exit::Exit;

/// Prints the script for the shell to standard output.
pub fn run(context: &Context, arguments: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "countersign", &mut script);
    context.output.data(&String::from_utf8_lossy(&script));
    Exit::Passed
}
