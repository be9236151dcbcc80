//! Puts our hooks into a repository, beside what is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::snippet::{self, Snippet};
use super::trusted::{Vantage, policy_ref, trusted_remote};
use super::{Env, Error};
use crate::adapters::git::Git;
use crate::adapters::hooks_dir::{
    self, HookFile, HooksDir, Manager, Scope, removal_steps, shim_steps,
};
use crate::gate::change::printable;

pub use crate::adapters::hooks_dir::Step;

/// How hooks are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Shim,
    Config,
    Snippet,
}

impl Mode {
    /// The word in git config `countersign.mode`.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Shim => "shim",
            Mode::Config => "config",
            Mode::Snippet => "snippet",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Mode> {
        [Mode::Shim, Mode::Config, Mode::Snippet].into_iter().find(|mode| mode.word() == word)
    }
}

/// The choices of `install`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub mode: Option<Mode>,
    pub server: bool,
    pub dry_run: bool,
}

/// What `install` did, or why it did nothing.
#[derive(Debug)]
pub enum Outcome {
    Installed(Installation),
    /// Another tool owns the hooks, and this git cannot run ours beside them:
    /// the person must add the snippet. Nothing was changed.
    ByHand(Snippet),
}

/// An installation that was made, or with `dry_run` would be.
#[derive(Debug)]
pub struct Installation {
    pub mode: Mode,
    pub events: Vec<&'static str>,
    /// Where the shims stand, in mode `shim`.
    pub folder: Option<PathBuf>,
    /// What the hooks start; `None`: whatever `PATH` has.
    pub program: Option<PathBuf>,
    /// The foreign hooks that are kept and run before ours.
    pub kept: Vec<PathBuf>,
    pub remote: Option<String>,
    pub target: Option<String>,
    /// Empty: everything stood already.
    pub steps: Vec<Step>,
    /// In mode `snippet`: what to add.
    pub snippet: Option<Snippet>,
    /// What the person should know.
    pub notes: Vec<String>,
}

/// The git that has hooks in its configuration.
pub const CONFIG_HOOKS_SINCE: (u32, u32) = (2, 54);
/// The setting that lists the settings that `install` wrote. That it is there,
/// in the repository's own configuration, means that `install` was run here.
pub const INSTALLED: &str = "countersign.installed";

/// Whether `install` was run in this clone, so that commands of its policy may run.
pub fn was_run(hooks: &HooksDir) -> bool {
    hooks.own_setting(INSTALLED).is_some()
}

/// Installs, or with `dry_run` only plans.
pub fn run(env: &Env, options: &Options) -> Result<Outcome, Error> {
    let hooks = HooksDir::find(&env.dir)?;
    fits(&hooks, options.server)?;
    let (version, word) = hooks_dir::git_version(&env.dir)?;
    let owner = hooks.owner()?;
    let situation = Situation {
        asked: options.mode,
        recorded: recorded_mode(&hooks),
        hooks_path: hooks.hooks_path.as_ref().map(|(value, scope)| (value.is_empty(), *scope)),
        owner,
        wrapped: is_wrapped(&hooks)?,
        git_has_config_hooks: version >= CONFIG_HOOKS_SINCE,
    };
    let mode = match situation.decide() {
        Decision::Install(mode) => mode,
        Decision::ByHand(manager) => {
            return Ok(Outcome::ByHand(snippet::for_manager(Some(manager), hooks.events())));
        }
        Decision::Refuse(refusal) => return Err(refusal.error(&hooks, &word)),
    };
    let program = hooks_dir::stable_program(env);
    let trust = trust(&hooks, &env.dir)?;
    let steps = steps(&hooks, mode, program.as_deref(), &trust)?;
    if !options.dry_run {
        hooks_dir::apply(&env.dir, &steps)?;
    }
    Ok(Outcome::Installed(Installation {
        mode,
        events: hooks.events().iter().map(|event| event.name()).collect(),
        folder: hooks.folder.clone().filter(|_| mode == Mode::Shim),
        kept: kept(&hooks, &steps)?,
        notes: notes(&hooks, mode, owner, program.as_deref(), &trust),
        remote: trust.remote,
        target: trust.target,
        snippet: (mode == Mode::Snippet).then(|| snippet::for_manager(owner, hooks.events())),
        program,
        steps,
    }))
}

/// The mode that an earlier `install` recorded in this repository.
pub fn recorded_mode(hooks: &HooksDir) -> Option<Mode> {
    Mode::parse(hooks.own_setting("countersign.mode")?.to_str()?)
}

fn fits(hooks: &HooksDir, server: bool) -> Result<(), Error> {
    match (server, hooks.work_tree.is_some()) {
        (true, true) => {
            Err(Error::usage("`--server` is for a bare repository, and this one has a work tree")
                .hint("`countersign install` installs the hooks of a clone"))
        }
        (false, false) => Err(Error::usage("this repository is bare: nobody commits in it")
            .hint("`countersign install --server` installs pre-receive and post-receive")),
        (true, false) | (false, true) => Ok(()),
    }
}

/// What decides how to install.
struct Situation {
    asked: Option<Mode>,
    recorded: Option<Mode>,
    /// Whether `core.hooksPath` is empty, and where it is written.
    hooks_path: Option<(bool, Scope)>,
    owner: Option<Manager>,
    /// The owner runs our shims already.
    wrapped: bool,
    git_has_config_hooks: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Install(Mode),
    ByHand(Manager),
    Refuse(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    EmptyHooksPath,
    SharedHooksPath(Scope),
    NoConfigHooks,
}

impl Situation {
    fn decide(&self) -> Decision {
        let asked = self.asked.or(match self.recorded {
            // What was chosen once stays until something else is asked for.
            Some(Mode::Config) if self.git_has_config_hooks => Some(Mode::Config),
            Some(Mode::Snippet) if self.owner.is_some() => Some(Mode::Snippet),
            Some(Mode::Shim | Mode::Config | Mode::Snippet) | None => None,
        });
        match (asked, self.hooks_path) {
            (Some(Mode::Snippet), _) => Decision::Install(Mode::Snippet),
            (Some(Mode::Config), _) if self.git_has_config_hooks => Decision::Install(Mode::Config),
            (Some(Mode::Config), _) => Decision::Refuse(Refusal::NoConfigHooks),
            (Some(Mode::Shim) | None, Some((true, _))) => Decision::Refuse(Refusal::EmptyHooksPath),
            (Some(Mode::Shim) | None, Some((false, scope))) if !scope.is_own() => {
                Decision::Refuse(Refusal::SharedHooksPath(scope))
            }
            (Some(Mode::Shim), _) => Decision::Install(Mode::Shim),
            (None, _) => match self.owner {
                Some(owner) if owner.owns_the_folder() && !self.wrapped => {
                    if self.git_has_config_hooks {
                        Decision::Install(Mode::Config)
                    } else {
                        Decision::ByHand(owner)
                    }
                }
                Some(_) | None => Decision::Install(Mode::Shim),
            },
        }
    }
}

impl Refusal {
    fn error(self, hooks: &HooksDir, git: &str) -> Error {
        let value = hooks.hooks_path.as_ref().map(|(value, _)| value.to_string_lossy());
        let value = printable(&value.unwrap_or_default());
        match self {
            Refusal::EmptyHooksPath => Error::repository(
                "`core.hooksPath` is set and empty, so that git runs hooks from no fixed folder",
            )
            .hint("`git config --unset core.hooksPath` (with `--global` if it is set there), then `countersign install`"),
            Refusal::SharedHooksPath(scope) => Error::repository(format!(
                "`core.hooksPath` is `{value}`, from the {} configuration: a hook there would run in every repository of this machine",
                scope.word()
            ))
            .hint(match scope {
                Scope::Command => "start `countersign install` without `-c core.hooksPath` and `GIT_CONFIG_*`".to_owned(),
                Scope::System | Scope::Global | Scope::Local | Scope::Worktree => format!(
                    "`git config --{} --unset core.hooksPath` if nothing needs it any more",
                    scope.word()
                ),
            })
            .hint("`git config --local core.hooksPath \"$(git rev-parse --path-format=absolute --git-common-dir)/hooks\"` to give this repository a folder of its own (the shared hooks then do not run here)")
            .hint(format!(
                "`countersign install --mode config` to run beside the shared hooks (git {}.{} or newer; this is {git})",
                CONFIG_HOOKS_SINCE.0, CONFIG_HOOKS_SINCE.1
            ))
            .hint("`countersign install --mode snippet` to add our line to the shared hooks yourself"),
            Refusal::NoConfigHooks => Error::repository(format!(
                "git {git} has no hooks in its configuration, and would silently run nothing"
            ))
            .hint(format!("install git {}.{} or newer", CONFIG_HOOKS_SINCE.0, CONFIG_HOOKS_SINCE.1))
            .hint("`countersign install` chooses a mode that this git has"),
        }
    }
}

/// Whether another manager runs all our shims as its `.legacy` hooks.
fn is_wrapped(hooks: &HooksDir) -> Result<bool, Error> {
    let Some(folder) = &hooks.folder else { return Ok(false) };
    let mut wraps = false;
    for event in hooks.events() {
        let hook = HooksDir::hook(folder, *event)?;
        let ours = matches!(hook.file, HookFile::Ours { .. });
        if !ours && !hook.is_wrapped() {
            return Ok(false);
        }
        wraps |= hook.is_wrapped();
    }
    Ok(wraps)
}

/// The remote and the ref from which the policy will be read.
#[derive(Default)]
struct Trust {
    remote: Option<String>,
    target: Option<String>,
    /// Why one of them is not known, and what to do.
    undecided: Option<String>,
}

/// Finds them as every later judgment does, so that what is recorded is what
/// was meant when `install` was run.
fn trust(hooks: &HooksDir, dir: &Path) -> Result<Trust, Error> {
    let git = Git::open(dir)?;
    let server = hooks.work_tree.is_none();
    let vantage = if server { Vantage::Server { updates: &[] } } else { Vantage::Clone };
    let remote = match trusted_remote(&git) {
        _ if server => None,
        Ok(remote) => remote,
        Err(error) => return Ok(Trust { undecided: Some(reason(&error)), ..Trust::default() }),
    };
    Ok(match policy_ref(&git, remote.as_deref(), vantage) {
        // A server says by its HEAD where changes land, even before the first push; but git's
        // old default may be a name that nobody will ever push to, so only a policy's own
        // default is believed then.
        Ok((target, tip)) => {
            let believed =
                |target: &String| tip.is_some() || (server && target == "refs/heads/main");
            let target = Some(target).filter(believed);
            Trust { remote, target, undecided: None }
        }
        Err(error) => Trust { remote, target: None, undecided: Some(reason(&error)) },
    })
}

fn reason(error: &Error) -> String {
    [vec![error.chain()], error.hints.clone()].concat().join("; ")
}

/// All that has to change, in the order in which it is safe to be interrupted:
/// hooks first, then the record of them.
fn steps(
    hooks: &HooksDir,
    mode: Mode,
    program: Option<&Path>,
    trust: &Trust,
) -> Result<Vec<Step>, Error> {
    let mut steps = Vec::new();
    let here = hooks.folder.as_ref().filter(|_| mode == Mode::Shim);
    if let Some(folder) = here {
        steps.extend(shim_steps(folder, hooks.events(), program, hooks.shim_mode())?);
    }
    let creates = steps.iter().any(|step| matches!(step, Step::CreateFolder(_)));
    let mut settings = Settings::new(hooks);
    for event in hooks.events() {
        let (command, name) = hooks_dir::config_keys(*event);
        if mode == Mode::Config {
            settings.set(&command, hooks_dir::config_command(*event, program));
            settings.set(&name, event.name().into());
        } else {
            settings.unset(&command);
            settings.unset(&name);
        }
    }
    settings.record("mode", Some(mode.word().into()), true);
    settings.record("hooks", here.and_then(|_| hooks.recordable()), true);
    settings.record("remote", trust.remote.as_ref().map(OsString::from), false);
    settings.record("target", trust.target.as_ref().map(OsString::from), false);
    steps.extend(settings.finish(creates));
    for folder in hooks.folders().iter().filter(|folder| Some(*folder) != here) {
        steps.extend(removal_steps(folder)?);
    }
    Ok(steps)
}

/// Collects the changes of the repository's own configuration.
struct Settings<'a> {
    hooks: &'a HooksDir,
    steps: Vec<Step>,
    /// What `install` wrote, now or earlier: what `uninstall` takes away.
    written: Vec<String>,
}

impl<'a> Settings<'a> {
    fn new(hooks: &'a HooksDir) -> Settings<'a> {
        Settings { hooks, steps: Vec::new(), written: written(hooks) }
    }

    fn set(&mut self, key: &str, new: OsString) {
        let old = self.hooks.own_setting(key).map(OsString::from);
        if old.as_ref() != Some(&new) {
            self.steps.push(Step::Set { key: key.to_owned(), old, new });
        }
    }

    fn unset(&mut self, key: &str) {
        self.steps.extend(unset(self.hooks, key));
    }

    /// Records `countersign.<name>`; what a person wrote stays unless it is `ours` alone.
    fn record(&mut self, name: &str, value: Option<OsString>, ours: bool) {
        let key = format!("countersign.{name}");
        let is_set = self.hooks.setting(&key).is_some();
        match value {
            Some(value) if ours || !is_set => {
                self.set(&key, value);
                if !self.written.iter().any(|it| it == name) {
                    self.written.push(name.to_owned());
                }
            }
            None if ours => self.unset(&key),
            Some(_) | None => {}
        }
    }

    fn finish(mut self, creates_folder: bool) -> Vec<Step> {
        if creates_folder {
            self.written.push("folder".to_owned());
        }
        let written = self.written.join(" ");
        self.set(INSTALLED, written.into());
        self.steps
    }
}

/// The names in `countersign.installed`.
pub(super) fn written(hooks: &HooksDir) -> Vec<String> {
    let value = hooks.own_setting(INSTALLED).unwrap_or_default().to_string_lossy().into_owned();
    value.split_whitespace().map(str::to_owned).collect()
}

/// The step that removes a setting; none where it is not set.
pub(super) fn unset(hooks: &HooksDir, key: &str) -> Option<Step> {
    let old = hooks.own_setting(key)?.to_owned();
    Some(Step::Unset { key: key.to_owned(), old })
}

fn kept(hooks: &HooksDir, steps: &[Step]) -> Result<Vec<PathBuf>, Error> {
    let mut kept: Vec<PathBuf> = steps
        .iter()
        .filter_map(|step| {
            if let Step::Keep { chained, .. } = step { Some(chained.clone()) } else { None }
        })
        .collect();
    if let Some(folder) = &hooks.folder {
        for event in hooks.events() {
            let chained = HooksDir::hook(folder, *event)?.chained.map(|(path, _)| path);
            kept.extend(chained.filter(|path| !kept.contains(path)));
        }
    }
    Ok(kept)
}

fn notes(
    hooks: &HooksDir,
    mode: Mode,
    owner: Option<Manager>,
    program: Option<&Path>,
    trust: &Trust,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Mode::Shim, Some(owner)) = (mode, owner.filter(|it| it.owns_the_folder())) {
        notes.push(format!(
            "{} keeps hooks in this folder too, and may move ours away when it installs again: `countersign doctor` tells",
            owner.name()
        ));
    }
    if mode == Mode::Shim && hooks.stand_in_the_work_tree() {
        notes.push(
            "`core.hooksPath` leads into the work tree: the shims name this machine's program and should not be committed; another worktree has its own folder, and needs its own `countersign install`"
                .to_owned(),
        );
    }
    if program.is_some_and(hooks_dir::has_version_folder) {
        notes.push(
            "the hooks name a folder with a version in it: run `countersign install` again after an upgrade, or put countersign on PATH"
                .to_owned(),
        );
    }
    notes.extend(trust.undecided.as_deref().map(printable));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Situation = Situation {
        asked: None,
        recorded: None,
        hooks_path: None,
        owner: None,
        wrapped: false,
        git_has_config_hooks: false,
    };

    #[track_caller]
    fn check(situation: Situation, expected: Decision) {
        assert_eq!(situation.decide(), expected);
    }

    #[test]
    fn a_plain_repository_gets_shims() {
        check(PLAIN, Decision::Install(Mode::Shim));
        check(Situation { git_has_config_hooks: true, ..PLAIN }, Decision::Install(Mode::Shim));
        check(Situation { owner: Some(Manager::GitLfs), ..PLAIN }, Decision::Install(Mode::Shim));
        check(
            Situation { hooks_path: Some((false, Scope::Local)), ..PLAIN },
            Decision::Install(Mode::Shim),
        );
    }

    #[test]
    fn another_managers_folder_is_left_alone() {
        let husky = || Situation { owner: Some(Manager::Husky), ..PLAIN };
        check(husky(), Decision::ByHand(Manager::Husky));
        check(Situation { git_has_config_hooks: true, ..husky() }, Decision::Install(Mode::Config));
        check(Situation { asked: Some(Mode::Shim), ..husky() }, Decision::Install(Mode::Shim));
        check(
            Situation { recorded: Some(Mode::Snippet), ..husky() },
            Decision::Install(Mode::Snippet),
        );
        check(
            Situation { owner: Some(Manager::Prek), wrapped: true, ..PLAIN },
            Decision::Install(Mode::Shim),
        );
    }

    #[test]
    fn a_hooks_path_for_every_repository_is_refused() {
        for scope in [Scope::System, Scope::Global, Scope::Command] {
            let shared = || Situation { hooks_path: Some((false, scope)), ..PLAIN };
            check(shared(), Decision::Refuse(Refusal::SharedHooksPath(scope)));
            check(
                Situation { asked: Some(Mode::Config), git_has_config_hooks: true, ..shared() },
                Decision::Install(Mode::Config),
            );
        }
        check(
            Situation { hooks_path: Some((true, Scope::Local)), ..PLAIN },
            Decision::Refuse(Refusal::EmptyHooksPath),
        );
    }

    #[test]
    fn config_hooks_that_git_would_ignore_are_refused() {
        check(
            Situation { asked: Some(Mode::Config), ..PLAIN },
            Decision::Refuse(Refusal::NoConfigHooks),
        );
        check(Situation { recorded: Some(Mode::Config), ..PLAIN }, Decision::Install(Mode::Shim));
    }
}
