//! Puts our command into an agent's own hooks, and takes it out again.

use std::path::{Path, PathBuf};

use crate::adapters::env::Env;
use crate::adapters::fs;
use crate::adapters::git::Glance;
use crate::adapters::hooks_dir::{self, Step};
use crate::gate::connect::{self, Form, ROWS, Row, Scope, State};
use crate::gate::similarity;

use super::{Error, ErrorKind};

/// The largest configuration that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// What was done, or would be.
#[derive(Debug)]
pub struct Outcome {
    pub steps: Vec<Step>,
    /// The files that hold our hooks now, or held them.
    pub files: Vec<PathBuf>,
    /// What is left to do for the person.
    pub then: &'static str,
}

/// One agent's connection. Part of a row of `agents list --format json`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Connection {
    pub agent: String,
    /// `user` or `project`.
    pub scope: &'static str,
    pub file: String,
    pub guard: bool,
}

/// Connects an agent.
pub fn connect(
    env: &Env,
    agent: &str,
    scope: Scope,
    guard: bool,
    dry_run: bool,
) -> Result<Outcome, Error> {
    let row = known(agent)?;
    let program = match scope {
        // The project's file is for everybody: each has the program somewhere else.
        Scope::Project => "countersign".to_owned(),
        Scope::User => env
            .executable
            .as_deref()
            .and_then(Path::to_str)
            .map_or_else(|| "countersign".to_owned(), str::to_owned),
    };
    let command = connect::command(&program, row.agent, guard);
    let mut outcome = Outcome { steps: Vec::new(), files: Vec::new(), then: row.then };
    for (file, event) in files(env, row, scope)? {
        let before = read(&file)?;
        let text = connect::connect(row.form, before.as_deref(), &command, &event)
            .map_err(|error| unfit(&file, error))?;
        outcome.files.push(file.clone());
        if before.as_deref() == Some(text.as_str()) {
            continue;
        }
        outcome.steps.extend(missing(&file).into_iter().map(Step::CreateFolder));
        let mode = fs::mode(&file).unwrap_or(if row.form == Form::Scripts { 0o755 } else { 0o644 });
        let old = before.unwrap_or_default().into_bytes();
        outcome.steps.push(Step::Write { path: file, old, new: text.into_bytes(), mode });
    }
    finish(env, outcome, dry_run)
}

/// Disconnects an agent, in one scope or wherever it is connected.
pub fn disconnect(
    env: &Env,
    agent: &str,
    scope: Option<Scope>,
    dry_run: bool,
) -> Result<Outcome, Error> {
    let row = known(agent)?;
    let mut outcome = Outcome { steps: Vec::new(), files: Vec::new(), then: "" };
    for one in [Scope::User, Scope::Project] {
        if scope.is_some_and(|it| it != one)
            || (scope.is_none() && top(env).is_none() && one == Scope::Project)
        {
            continue;
        }
        for (file, _) in files(env, row, one)? {
            let Some(before) = read(&file)? else { continue };
            if connect::state(row.form, &before) == State::Absent {
                continue;
            }
            let left =
                connect::disconnect(row.form, &before).map_err(|error| unfit(&file, error))?;
            let old = before.into_bytes();
            outcome.files.push(file.clone());
            match left {
                Some(text) => {
                    let mode = fs::mode(&file).unwrap_or(0o644);
                    outcome.steps.push(Step::Write {
                        path: file,
                        old,
                        new: text.into_bytes(),
                        mode,
                    });
                }
                None => {
                    let folder = file.parent().map(Path::to_owned);
                    outcome.steps.push(Step::Remove { path: file, old });
                    outcome.steps.extend(folder.map(Step::RemoveFolder));
                }
            }
        }
    }
    finish(env, outcome, dry_run)
}

/// The agents that are connected, for this user and in this work tree. A file
/// that cannot be read connects nobody.
pub fn connections(env: &Env) -> Vec<Connection> {
    let mut found = Vec::new();
    for row in ROWS {
        for (scope, word) in [(Scope::User, "user"), (Scope::Project, "project")] {
            for (file, _) in files(env, row, scope).unwrap_or_default() {
                let Ok(Some(text)) = read(&file) else { continue };
                let State::Connected { guard } = connect::state(row.form, &text) else { continue };
                let file = file.to_string_lossy().into_owned();
                found.push(Connection { agent: row.agent.to_owned(), scope: word, file, guard });
                break;
            }
        }
    }
    found
}

fn finish(env: &Env, outcome: Outcome, dry_run: bool) -> Result<Outcome, Error> {
    if !dry_run {
        hooks_dir::apply(&env.dir, &outcome.steps)?;
    }
    Ok(outcome)
}

fn known(agent: &str) -> Result<&'static Row, Error> {
    if let Some(row) = connect::row(agent) {
        return Ok(row);
    }
    let names: Vec<&str> = ROWS.iter().map(|row| row.agent).collect();
    let error = match connect::reason(agent) {
        Some(reason) => Error::usage(format!("`{agent}` cannot be connected: {reason}")),
        None => Error::usage(format!("no agent `{agent}` is known that can be connected")),
    };
    let error = match similarity::nearest(agent, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `countersign agents connect {near}`?")),
        None => error,
    };
    Err(error.hint(format!("these can be: {}", names.join(", "))))
}

fn unfit(file: &Path, error: connect::Unfit) -> Error {
    let file = file.display();
    Error::new(ErrorKind::Usage, error)
        .hint(format!("`{file}` was left as it is; mend or move it, and connect again"))
}

fn top(env: &Env) -> Option<PathBuf> {
    Some(Glance::above(&fs::resolve(&env.dir).ok()?)?.1)
}

/// The files of a row, each with the event that it is for where it is a script.
/// Links at their end are followed: settings are often kept elsewhere.
fn files(env: &Env, row: &Row, scope: Scope) -> Result<Vec<(PathBuf, String)>, Error> {
    let base = match scope {
        Scope::Project => {
            let top = top(env).ok_or_else(|| {
                Error::usage("there is no work tree of a repository here").hint(format!(
                    "for every repository: `countersign agents connect {}`",
                    row.agent
                ))
            })?;
            let file = resolved(&top.join(row.project));
            // The repository may be somebody else's: nothing outside it is written.
            if !file.starts_with(&top) {
                let text = format!("`{}` leads out of the work tree", row.project);
                return Err(Error::usage(text));
            }
            file
        }
        Scope::User => {
            let home = env.home().ok_or_else(|| Error::usage("no home folder is known"))?;
            let place = |pattern: &&str| {
                let (start, rest) = pattern.split_once('/')?;
                match start.strip_prefix('$') {
                    Some(name) => {
                        let folder = Path::new(env.get(name)?);
                        folder.is_absolute().then(|| folder.join(rest))
                    }
                    None => Some(home.join(rest)),
                }
            };
            let file = row.user.iter().find_map(place);
            resolved(&file.ok_or_else(|| Error::usage("no home folder is known"))?)
        }
    };
    if let Some(other) =
        row.instead.map(|name| base.with_file_name(name)).filter(|it| fs::stands(it))
    {
        let text = format!(
            "`{}` stands before its settings, in a form that is not known well enough",
            other.display()
        );
        return Err(Error::usage(text));
    }
    Ok(match row.form {
        Form::Scripts => {
            ["PreToolUse", "PostToolUse"].map(|it| (base.join(it), it.to_owned())).into()
        }
        Form::Matched { .. } | Form::Listed { .. } | Form::Copilot | Form::Plugin => {
            vec![(base, String::new())]
        }
    })
}

/// The path with the links of what is there resolved.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(path) = fs::resolve(path) {
        return path;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.to_owned(),
    }
}

/// The folders above a file that are not there yet, the highest first.
fn missing(file: &Path) -> Vec<PathBuf> {
    let above = file.ancestors().skip(1).take_while(|it| !fs::stands(it));
    let mut folders: Vec<PathBuf> = above.map(Path::to_owned).collect();
    folders.reverse();
    folders
}

fn read(file: &Path) -> Result<Option<String>, Error> {
    let Some(bytes) = fs::read(file, LIMIT)? else { return Ok(None) };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::usage(format!("`{}` is not UTF-8", file.display()))),
    }
}
