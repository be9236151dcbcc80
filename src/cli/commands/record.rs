//! `countersign record`: what agents' hooks call. It is silent, and whatever
//! goes wrong, its status does not fail the agent.

use crate::cli::Context;
use crate::cli::args;
use crate::cli::exit::Exit;
use crate::jobs::{Error, record};

/// Takes one payload from standard input. A refusal is said in the agent's own way.
pub fn run(context: &Context, arguments: &args::Record) -> Result<Exit, Error> {
    if context.env.stdin_is_terminal {
        let error = Error::usage("`countersign record` is what agents' hooks call");
        return Err(error.hint("connect an agent: `countersign agents connect claude-code`"));
    }
    let answer = record::run(&context.env, arguments.agent.as_deref(), arguments.guard);
    let Some(answer) = answer else { return Ok(Exit::Passed) };
    if let Some(text) = answer.stdout {
        context.output.data(&(text + "\n"));
    }
    if let Some(text) = answer.stderr {
        context.output.note(&text);
    }
    Ok(if answer.refuses { Exit::Refused } else { Exit::Passed })
}
