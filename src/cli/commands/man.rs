//! Prints the manual page.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::Context;
use crate::cli::args::Arguments;
use crate::cli::exit::Exit;
use crate::jobs::{Error, ErrorKind};

/// Prints the page, in roff, to standard output: `countersign man | man -l -`.
pub fn run(context: &Context) -> Result<Exit, Error> {
    let page = page().map_err(|error| Error::new(ErrorKind::Internal, error))?;
    context.output.data(&String::from_utf8_lossy(&page));
    Ok(Exit::Passed)
}

/// One page: the program, then each command with its options.
fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    page.extend(b".SH COMMANDS\n");
    for part in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        describe(part, "countersign", &mut page)?;
    }
    Ok(page)
}

/// A command's own part: what it is for, and the options that not every command takes.
fn describe(command: &Command, parent: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    let name = format!("{parent} {}", command.get_name());
    page.extend(format!(".SS {}\n", name.replace('-', "\\-")).bytes());
    let mut own = command.clone();
    for global in Arguments::command().get_arguments() {
        own = own.mut_arg(global.get_id(), |argument| argument.hide(true));
    }
    own = own.mut_arg("help", |argument| argument.hide(true));
    let mut text = Vec::new();
    let man = Man::new(own);
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.starts_with(".SH "));
    page.extend(lines.flat_map(|line| line.bytes().chain(*b"\n")));
    for part in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        describe(part, &name, page)?;
    }
    Ok(())
}
