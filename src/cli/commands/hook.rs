//! `countersign hook EVENT`: what the shims call. Nothing here prompts, and
//! text goes to standard error only.

use std::ffi::OsString;

use crate::cli::Context;
use crate::cli::args::{self, HookEvent};
use crate::cli::commands::{check, push};
use crate::cli::exit::Exit;
use crate::gate::change::printable;
use crate::jobs::Error;
use crate::jobs::ambient::Surroundings;
use crate::jobs::chain::{self, Chained};
use crate::jobs::world::World;
use crate::jobs::{commit_msg, hook_input, narrow, post_commit, pre_commit};

/// Serves one of git's hooks. A hook that stood there before ours runs with
/// the same arguments and the same input, and its status counts too.
pub fn run(context: &Context, arguments: &args::Hook) -> Result<Exit, Error> {
    let reads = matches!(
        arguments.event,
        HookEvent::PrePush | HookEvent::PreReceive | HookEvent::PostReceive
    );
    let input = if reads { hook_input::read(&context.env)? } else { Vec::new() };
    let chained = chain::run(
        &context.env,
        arguments.event.name(),
        &arguments.arguments,
        reads.then_some(&input),
    )?;
    let ours = serve(context, arguments, &input)?;
    Ok(match chained {
        Chained::None | Chained::Passed => ours,
        Chained::Failed if ours == Exit::Passed => Exit::Blocked,
        Chained::Failed => ours,
    })
}

fn serve(context: &Context, arguments: &args::Hook, input: &[u8]) -> Result<Exit, Error> {
    match arguments.event {
        HookEvent::PreCommit | HookEvent::PreMergeCommit => {
            let world = World::open_in_hook(&context.env)?;
            let judgement = pre_commit::pre_commit(&world, &Surroundings::read(&context.env))?;
            check::print(context, &judgement, true);
            Ok(check::exit(&judgement))
        }
        HookEvent::CommitMsg => commit_message(context, &arguments.arguments),
        HookEvent::PostCommit => {
            // The commit is made; nothing that goes wrong here can block it.
            if post_commit::is_settled(&context.env) {
                return Ok(Exit::Passed);
            }
            let surroundings = Surroundings::read(&context.env);
            let world = World::open_in_hook(&context.env)?;
            post_commit::post_commit(&world, &surroundings)?;
            let touch = || {
                context.output.note("touch your security key: it signs which lines an agent wrote")
            };
            if let Err(error) = narrow::sign_new(&world, &surroundings, &touch) {
                let why = printable(&error.chain());
                context.output.note(&format!(
                    "which lines an agent wrote was not signed ({why}); again: `countersign ledger sync --sign`"
                ));
            }
            Ok(Exit::Passed)
        }
        HookEvent::PrePush => push::pre_push(context, &arguments.arguments, input),
        HookEvent::PreReceive => push::pre_receive(context, input),
        HookEvent::PostReceive => push::post_receive(context, input),
    }
}

fn commit_message(context: &Context, arguments: &[OsString]) -> Result<Exit, Error> {
    let Some(file) = arguments.first() else {
        return Err(Error::usage("git gives commit-msg the name of the message's file"));
    };
    let file = context.env.dir.join(file);
    if commit_msg::is_foreseen(&context.env, &file) {
        return Ok(Exit::Passed);
    }
    let surroundings = Surroundings::read(&context.env);
    let world = World::open_in_hook(&context.env)?;
    match commit_msg::commit_msg(&world, &file, &surroundings)? {
        Some(judged) => {
            // What will be asked later was said before the message was written,
            // unless only the message tells.
            if judged.newly_assisted || !judged.judgement.verdict.passes() {
                check::print(context, &judged.judgement, true);
            }
            Ok(check::exit(&judged.judgement))
        }
        None => Ok(Exit::Passed),
    }
}

impl HookEvent {
    /// git's name for the hook.
    pub fn name(self) -> &'static str {
        match self {
            HookEvent::PreCommit => "pre-commit",
            HookEvent::CommitMsg => "commit-msg",
            HookEvent::PreMergeCommit => "pre-merge-commit",
            HookEvent::PrePush => "pre-push",
            HookEvent::PostCommit => "post-commit",
            HookEvent::PreReceive => "pre-receive",
            HookEvent::PostReceive => "post-receive",
        }
    }
}
