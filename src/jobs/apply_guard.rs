//! Lets a command apply a plan only if that very file was previewed for the
//! judged tree, and approved where it goes beyond the policy's limits.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::adapters::env::Env;
use crate::adapters::fs;
use crate::adapters::process::Call;
use crate::adapters::runner::MAX_PLAN;
use crate::gate::change::printable;
use crate::gate::evidence::Need;
use crate::gate::obligation::needs;
use crate::gate::preview::{applied, is_plan_file};
use crate::gate::record::canonical::sha256;
use crate::gate::requirement::preview::{NotApplied, may_apply};

use super::ambient::Surroundings;
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Error, check, gather};

/// What came of looking at a command.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What its plan does, in one line.
    Apply(String),
    Refused(NotApplied),
}

/// Looks at the plan that a command would apply. Where the target holds the
/// head already, the newest change of the first-parent line is judged.
pub fn guard(
    world: &World,
    options: &check::Options,
    command: &[OsString],
) -> Result<Answer, Error> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| Error::usage("the command is no UTF-8"))?;
    let variable = |name: &str| world.env.get(name).map(str::to_owned);
    let applied = match applied(&words, &variable) {
        Ok(applied) => applied,
        Err(error) => {
            let next = "countersign preview apply-guard -- terraform apply PLAN".to_owned();
            let why = printable(&error.to_string());
            return Ok(Answer::Refused(NotApplied { why, next: Some(next) }));
        }
    };
    let folder = world.env.dir.join(applied.folder.unwrap_or_default());
    let path = folder.join(&applied.plan);
    let Some(plan) = fs::read(&path, MAX_PLAN)? else {
        return Err(Error::usage(format!("there is no file `{}`", path.display())));
    };
    if !is_plan_file(&plan) {
        let why = format!("`{}` is no plan that the engine wrote", printable(&applied.plan));
        return Ok(Answer::Refused(NotApplied { why, next: None }));
    }
    let digest = sha256(&plan);
    drop(plan);
    let trusted = Trusted::read(world, options.policy_from.as_deref(), Vantage::Clone)?;
    let mut judgement = check::check(world, options, &Surroundings::default())?;
    let parent = format!("{}^1", judgement.change.head);
    if options.range.is_none()
        && judgement.change.files.is_empty()
        && world.git.resolve_commit(&parent)?.is_some()
    {
        let range = Some(format!("{parent}..{}", judgement.change.head));
        judgement = check::check(
            world,
            &check::Options { range, ..options.clone() },
            &Surroundings::default(),
        )?;
    }
    let case = judgement.case();
    let obligations = judgement.obligations();
    // Records are wanted whether or not a rule asks for anything.
    let mut wanted: BTreeSet<Need> = needs(&case, &obligations);
    wanted.insert(Need::Records);
    let evidence = gather::gather(world, &trusted, &case, Vantage::Clone, &wanted, &obligations)?;
    Ok(match may_apply(&case, &obligations, &evidence, &digest) {
        Ok(text) => Answer::Apply(text),
        Err(refused) => Answer::Refused(refused),
    })
}

/// Becomes the command, word for word; returns its exit status where a process
/// cannot.
pub fn become_command(env: &Env, command: &[OsString]) -> Result<u8, Error> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::usage("there is no command after `--`"));
    };
    Call::hook(program, &env.dir).args(arguments).become_it().map_err(Error::usage)
}
