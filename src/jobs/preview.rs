//! Makes the required previews of exactly the head's tree, or takes plans that
//! were made elsewhere, and records what they show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::adapters::fs;
use crate::adapters::runner::{self, Dry, DryOutput, EnginePlan, MAX_PLAN, Order};
use crate::gate::change::{RepoPath, printable};
use crate::gate::order;
use crate::gate::policy::{PreviewCommand, TestCommand};
use crate::gate::preview::{self, Committed, Preview, Sources, is_plan_file};
use crate::gate::record::canonical::sha256;
use crate::gate::record::{Body, PreviewRecord};
use crate::gate::requirement::Requirement;
use crate::gate::requirement::preview::{excess, fresh};
use crate::gate::run::preview_definition;

use super::ambient::Surroundings;
use super::judgement::Judgement;
use super::test::{End, Event, Signing, client, is_foreign, keep_body, may_run, signer, slots};
use super::world::World;
use super::{Error, check, modules};

/// A change, and the previews that are asked for.
#[derive(Debug)]
pub struct Prepared {
    pub judgement: Judgement,
    pub commands: Vec<PreviewCommand>,
    /// Whether a person should be asked first: the commit was never checked out
    /// here, and others wrote it.
    pub foreign: bool,
}

/// What came of one preview.
#[derive(Debug)]
pub struct Report {
    pub name: String,
    pub engine: String,
    pub result: Result<Made, Failure>,
}

/// A preview that was recorded.
#[derive(Debug)]
pub struct Made {
    pub preview: Preview,
    /// The sources that were compared with the commit's.
    pub sources: Option<Sources>,
    /// The record's id.
    pub record: String,
    /// What goes beyond the policy's limits or touches protected types; safe to print.
    pub excess: Vec<String>,
    /// Why it does not count for its age; safe to print.
    pub stale: Option<String>,
}

/// A preview that was not made, and nothing recorded.
#[derive(Debug)]
pub struct Failure {
    /// Safe to print.
    pub why: String,
    /// The end of the command's output; not safe to print.
    pub tail: String,
}

impl Prepared {
    /// Judges the change, and lists the previews that its rules require at any
    /// stage, or those named.
    pub fn new(
        world: &World,
        options: &check::Options,
        only: &[String],
    ) -> Result<Prepared, Error> {
        let judgement = check::check(world, options, &Surroundings::default())?;
        let names: BTreeSet<String> =
            if only.is_empty() { required(&judgement) } else { only.iter().cloned().collect() };
        let mut commands = Vec::new();
        for name in names {
            let Some(command) = judgement.policy.previews.get(&name) else {
                let known: Vec<_> = judgement.policy.previews.keys().map(String::as_str).collect();
                let error =
                    Error::usage(format!("the policy has no preview `{}`", printable(&name)));
                return Err(error.hint(format!("it has: {}", printable(&known.join(", ")))));
            };
            commands.push(command.clone());
        }
        let foreign = is_foreign(world, &judgement)?;
        Ok(Prepared { judgement, commands, foreign })
    }

    /// A key that signs the records.
    pub fn signing(&self, world: &World, key: Option<&Path>) -> Result<Signing, Error> {
        let ledger = self.judgement.evidence.ledger.as_ref().ok();
        let tip = ledger.and_then(|view| view.shared.clone());
        Signing::new(world.into(), &self.judgement.policy, key, tip)
    }
}

/// The previews that the matching rules require.
fn required(judgement: &Judgement) -> BTreeSet<String> {
    let obligations = judgement.obligations();
    order::set(
        obligations
            .iter()
            .flat_map(|it| &it.rule.require)
            .filter_map(|staged| match &staged.requirement {
                Requirement::Preview(names) => Some(names),
                Requirement::Approvals(_)
                | Requirement::Tests(_)
                | Requirement::Coverage(_)
                | Requirement::Disclosure => None,
            })
            .flatten()
            .cloned(),
    )
}

/// Runs the policy's commands in kept checkouts, one after the other, and
/// records what each shows.
pub fn execute(
    world: &World,
    prepared: &Prepared,
    signing: Option<&Signing>,
    interrupted: &AtomicBool,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Report>, Error> {
    let change = &prepared.judgement.change;
    let stands = |mode: u32| mode != 0o160_000;
    let files: Vec<_> = change
        .files
        .iter()
        .filter(|file| file.new.as_ref().is_some_and(|it| stands(it.mode)))
        .map(|file| file.path.clone())
        .collect();
    let slots = slots(world.into())?;
    let mut reports = Vec::new();
    for command in &prepared.commands {
        let Some(run) = command.run.clone() else {
            let why = format!(
                "the policy names no command for `{}`: `--plan FILE` takes a plan",
                command.name
            );
            reports.push(failure(command, why, String::new()));
            continue;
        };
        let test = as_test(command, run);
        let show = show_program(command);
        let order = Order {
            tests: &[&test],
            commit: &change.head,
            tree: &change.head_tree,
            base: Some(&change.base),
            files: &files,
            variables: &world.env.variables,
            parallel: 1,
            budget: None,
            interrupted,
            packages: &BTreeMap::new(),
            proofs: &BTreeMap::new(),
            dry: Some(Dry { root: command.root.as_deref(), show }),
        };
        for outcome in runner::run(&slots, &order, tell) {
            reports.push(match (outcome.end, outcome.dry) {
                (End::Passed, Some(output)) => {
                    record(world, prepared, command, &output, false, signing)?
                }
                (End::Passed | End::Failed | End::NotRun, _) => {
                    failure(command, outcome.summary, outcome.tail)
                }
            });
        }
    }
    Ok(reports)
}

/// A plan that was made elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// The engine's own plan, or its JSON.
    pub plan: &'a Path,
    /// The JSON of the engine's own plan; `None`: the engine prints it.
    pub json: Option<&'a Path>,
}

/// Takes a plan that was made elsewhere for the one preview asked for. The
/// sources in an engine's own plan must be the commit's.
pub fn import(
    world: &World,
    prepared: &Prepared,
    taken: Taken<'_>,
    signing: Option<&Signing>,
) -> Result<Vec<Report>, Error> {
    let [command] = prepared.commands.as_slice() else {
        let names: Vec<_> = prepared.judgement.policy.previews.keys().map(String::as_str).collect();
        let error = Error::usage("a plan is taken for one preview at a time");
        return Err(error.hint(format!("`--only NAME`: {}", printable(&names.join(", ")))));
    };
    let read = |file: &Path| -> Result<Vec<u8>, Error> {
        let path = world.env.dir.join(file);
        let bytes = fs::read(&path, MAX_PLAN)?;
        bytes.ok_or_else(|| Error::usage(format!("there is no file `{}`", path.display())))
    };
    let bytes = read(taken.plan)?;
    let output = match (show_program(command), is_plan_file(&bytes)) {
        (_, false) if taken.json.is_some() => {
            return Err(Error::usage("the plan is JSON already, and needs no --plan-json"));
        }
        (_, false) => DryOutput { plan: None, json: bytes },
        (None, true) => {
            let error = format!("`{}` has no plan files; its JSON is taken", command.engine);
            return Err(Error::usage(error));
        }
        (Some(program), true) => {
            let plan = EnginePlan::read(&bytes).map_err(|why| Error::usage(printable(&why)))?;
            drop(bytes);
            let json = match taken.json {
                Some(file) => read(file)?,
                None => shown_here(world, command, program, taken.plan)?,
            };
            DryOutput { plan: Some(plan), json }
        }
    };
    Ok(vec![record(world, prepared, command, &output, true, signing)?])
}

/// The program that prints an engine's own plan.
fn show_program(command: &PreviewCommand) -> Option<&'static str> {
    match command.engine.as_str() {
        "terraform" => Some("terraform"),
        "opentofu" => Some("tofu"),
        _ => None,
    }
}

/// Has the engine print its plan in this work tree, where it was made: the
/// engine needs the providers that `init` installed.
fn shown_here(
    world: &World,
    command: &PreviewCommand,
    program: &str,
    plan: &Path,
) -> Result<Vec<u8>, Error> {
    let hint = format!("`{program} show -json PLAN >plan.json`, then `--plan-json plan.json`");
    may_run(&world.env).map_err(|error| error.hint(hint.clone()))?;
    let top = world.git.dir();
    let root = top.join(command.root.as_deref().unwrap_or_default());
    let folder = if root.is_dir() { root } else { top.to_owned() };
    let test = as_test(command, Vec::new());
    let environment = runner::environment(&world.env.variables, &test);
    runner::show(program, &world.env.dir.join(plan), &folder, &environment)
        .map_err(|why| Error::usage(printable(&why)).hint(hint))
}

fn failure(command: &PreviewCommand, why: String, tail: String) -> Report {
    Report {
        name: command.name.clone(),
        engine: command.engine.clone(),
        result: Err(Failure { why: printable(&why), tail }),
    }
}

/// The command as the runner takes it.
fn as_test(command: &PreviewCommand, run: Vec<String>) -> TestCommand {
    TestCommand {
        env: command.env.clone(),
        ..TestCommand::plain(&command.name, run, command.timeout.max(Duration::from_secs(1)))
    }
}

/// Reads what was written, and keeps it as a record.
fn record(
    world: &World,
    prepared: &Prepared,
    command: &PreviewCommand,
    output: &DryOutput,
    imported: bool,
    signing: Option<&Signing>,
) -> Result<Report, Error> {
    let (policy, change) = (&prepared.judgement.policy, &prepared.judgement.change);
    let preview = match preview::parse(&command.engine, &output.json) {
        Ok(preview) => preview,
        Err(error) => return Ok(failure(command, Error::usage(error).chain(), String::new())),
    };
    let sources = match &output.plan {
        None => None,
        Some(plan) => match of_the_commit(world, prepared, command, plan)? {
            Ok(sources) => Some(sources),
            Err(differences) => {
                let why = format!(
                    "the plan was not made from this commit's files: {}",
                    differences.join("; ")
                );
                return Ok(failure(command, why, String::new()));
            }
        },
    };
    let record = PreviewRecord {
        repo: policy.trust.repo_id.clone(),
        name: command.name.clone(),
        definition: preview_definition(command),
        engine: command.engine.clone(),
        commit: change.head.clone(),
        tree: change.head_tree.clone(),
        plan: output.plan.as_ref().map(|it| it.sha256.clone()),
        json: sha256(&output.json),
        imported,
        sources: sources.clone(),
        preview: preview.clone(),
        client: client(),
        policy: policy.source.sha256.clone(),
        by: signer(signing),
    };
    let stale = fresh(&record, command, record.by.at).err();
    let id = keep_body(world.into(), &Body::Preview(Box::new(record)), signing)?;
    let excess = excess(command, &preview);
    let mut lines = excess.over.clone();
    lines.extend(excess.protected.iter().map(|(protect, touched)| {
        let from = if protect.from.is_empty() {
            "any person of the policy".to_owned()
        } else {
            protect.from.join(" or ")
        };
        format!("protected, {} of {from}: {touched}", protect.count)
    }));
    Ok(Report {
        name: command.name.clone(),
        engine: command.engine.clone(),
        result: Ok(Made { preview, sources, record: id, excess: lines, stale }),
    })
}

/// Compares the sources in an engine's own plan with those of the judged tree.
fn of_the_commit(
    world: &World,
    prepared: &Prepared,
    command: &PreviewCommand,
    plan: &EnginePlan,
) -> Result<Result<Sources, Vec<String>>, Error> {
    let root = command.root.as_deref().unwrap_or_default();
    let tree = &prepared.judgement.change.head_tree;
    let mut committed = Committed::new();
    for folder in preview::folders(&plan.file, root) {
        if let Some(files) = modules::sources(&world.git, tree, &folder)? {
            committed.insert(folder, files);
        }
    }
    let generated = |path: &str| command.generated.matches(&RepoPath::new(path));
    Ok(preview::compare(&plan.file, root, &committed, &generated))
}
