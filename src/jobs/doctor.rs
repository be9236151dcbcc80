//! Says for every hook what would really run, and what is wrong.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::agents::{self, Failures};
use super::install::{CONFIG_HOOKS_SINCE, Mode, recorded_mode, was_run};
use super::trusted::{Trusted, Vantage};
use super::world::World;
use super::{Env, Error};
use crate::adapters::fs;
use crate::adapters::hooks_dir::{self, Event, Hook, HookFile, HooksDir, Manager, SHIM_VERSION};
use crate::gate::obligation::POLICY_FILE;

/// What was found. The shape of `doctor --format json`.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    pub schema: &'static str,
    /// Whether there is no problem.
    pub ok: bool,
    /// `shim`, `config` or `snippet`; `None`: `install` was not run here.
    pub mode: Option<&'static str>,
    pub git: String,
    /// Where git looks for hooks.
    pub folder: Option<String>,
    pub hooks_path: Option<HooksPath>,
    /// The tool that owns that folder, if it is not git's own or ours.
    pub manager: Option<&'static str>,
    pub remote: Option<String>,
    pub target: Option<String>,
    pub policy: Policy,
    pub events: Vec<EventState>,
    pub problems: Vec<Problem>,
    /// What is no problem, but good to know.
    pub notes: Vec<String>,
}

/// The trusted policy, as JSON: `{"from":"<commit>:countersign.toml"}`, `"built-in"`
/// or `"unreadable"`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    From(String),
    /// The trusted ref holds none, or is not there yet.
    BuiltIn,
    Unreadable,
}

/// What `core.hooksPath` says, and where that is written.
#[derive(Debug, Serialize)]
pub struct HooksPath {
    pub value: String,
    pub scope: &'static str,
}

/// What git would run for one event.
#[derive(Debug, Serialize)]
pub struct EventState {
    pub event: &'static str,
    pub runs: Runs,
    /// The file in git's hooks folder, if one stands there.
    pub file: Option<String>,
    pub executable: bool,
    /// The version of our shim.
    pub version: Option<u32>,
    /// The program that the shim remembers.
    pub program: Option<String>,
    /// The foreign hook that runs before ours.
    pub chained: Option<String>,
}

/// How our hook comes to run, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// Our shim, started by git.
    Shim,
    /// A hook of git's configuration.
    Config,
    /// Our shim, started by another manager as its `.legacy` hook.
    Wrapped,
    /// A line in another manager's files.
    Snippet,
    /// A hook that is not ours, and does not start ours.
    Foreign,
    Nothing,
}

/// One thing that is wrong, and how to put it right.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub code: &'static str,
    pub event: Option<&'static str>,
    pub message: String,
    pub fix: String,
}

const INSTALL: &str = "`countersign install`";

/// Looks at everything between git and our hooks.
pub fn run(env: &Env) -> Result<Diagnosis, Error> {
    let hooks = HooksDir::find(&env.dir)?;
    let (version, git) = hooks_dir::git_version(&env.dir)?;
    let mode = recorded_mode(&hooks);
    let owner = hooks.owner()?;
    let mut doctor = Doctor {
        env,
        hooks: &hooks,
        mode,
        has_config_hooks: version >= CONFIG_HOOKS_SINCE,
        git: git.clone(),
        on_path: on_path(env, "countersign"),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    doctor.installed();
    doctor.folder();
    let mut events = Vec::new();
    for event in hooks.events() {
        events.push(doctor.event(*event)?);
    }
    doctor.leftovers()?;
    doctor.worktrees()?;
    doctor.surroundings();
    doctor.agents();
    let policy = doctor.policy();
    let Doctor { problems, notes, .. } = doctor;
    let text = |key: &str| hooks.setting(key).map(|it| it.value.to_string_lossy().into_owned());
    Ok(Diagnosis {
        schema: "countersign.doctor/1",
        ok: problems.is_empty(),
        mode: mode.map(Mode::word),
        git,
        folder: hooks.folder.as_deref().map(shown),
        hooks_path: hooks.hooks_path.as_ref().map(|(value, scope)| HooksPath {
            value: value.to_string_lossy().into_owned(),
            scope: scope.word(),
        }),
        manager: owner.map(Manager::name),
        remote: text("countersign.remote"),
        target: text("countersign.target"),
        policy,
        events,
        problems,
        notes,
    })
}

struct Doctor<'a> {
    env: &'a Env,
    hooks: &'a HooksDir,
    mode: Option<Mode>,
    has_config_hooks: bool,
    git: String,
    /// What `PATH` has under our name.
    on_path: Option<PathBuf>,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Doctor<'_> {
    fn problem(&mut self, code: &'static str, event: Option<Event>, message: String, fix: &str) {
        let event = event.map(Event::name);
        self.problems.push(Problem { code, event, message, fix: fix.to_owned() });
    }

    fn installed(&mut self) {
        if !was_run(self.hooks) || self.mode.is_none() {
            let server = if self.hooks.work_tree.is_none() { " --server" } else { "" };
            self.problem(
                "not-installed",
                None,
                "`countersign install` was not run in this repository".to_owned(),
                &format!("`countersign install{server}`"),
            );
        }
        if self.mode == Some(Mode::Config) && !self.has_config_hooks {
            let message =
                format!("git {} ignores the hooks in its configuration, silently", self.git);
            self.problem(
                "git-too-old",
                None,
                message,
                "`countersign install --mode shim`, or a git of 2.54 or newer",
            );
        }
    }

    /// Calls of agents' hooks that were lost.
    fn agents(&mut self) {
        if let Some(Failures { count, last, reason }) = agents::failures(self.env) {
            self.notes.push(format!(
                "{count} of the calls of agents' hooks could not be kept, the last at {last}: {reason}"
            ));
        }
    }

    fn folder(&mut self) {
        let Some((value, scope)) = self.hooks.hooks_path.clone() else { return };
        if value.is_empty() {
            self.problem(
                "hooks-path-empty",
                None,
                format!("`core.hooksPath` is set and empty ({} configuration)", scope.word()),
                "`git config --unset core.hooksPath`, then `countersign install`",
            );
        } else if !scope.is_own() && self.mode == Some(Mode::Shim) {
            self.problem(
                "hooks-path-shared",
                None,
                format!(
                    "`core.hooksPath` is `{}`, from the {} configuration: git does not look at our shims",
                    value.to_string_lossy(),
                    scope.word()
                ),
                "`countersign install`, which names the choices",
            );
        }
    }

    fn event(&mut self, event: Event) -> Result<EventState, Error> {
        let hook = match &self.hooks.folder {
            Some(folder) => Some(HooksDir::hook(folder, event)?),
            None => None,
        };
        let config = self.config_hook(event);
        let runs = match &hook {
            Some(Hook { file: HookFile::Ours { executable: true, .. }, .. }) => Runs::Shim,
            Some(hook) if hook.is_wrapped() => Runs::Wrapped,
            _ if config => Runs::Config,
            _ if self.names_us(event)? => Runs::Snippet,
            Some(Hook { file: HookFile::Foreign { executable: true, .. }, .. }) => Runs::Foreign,
            _ => Runs::Nothing,
        };
        if let Some(hook) = &hook {
            self.look_at(hook, runs, config);
        }
        if self.mode.is_some() && matches!(runs, Runs::Foreign | Runs::Nothing) {
            self.missing(event, hook.as_ref());
        }
        Ok(state(event, runs, hook))
    }

    /// Whether git's configuration starts ours for the event.
    fn config_hook(&mut self, event: Event) -> bool {
        let (command, name) = hooks_dir::config_keys(event);
        let is_set = self.hooks.setting(&command).is_some_and(|it| !it.value.is_empty())
            && self.hooks.setting(&name).is_some_and(|it| it.value == OsStr::new(event.name()));
        let off = |key: &str| {
            self.hooks
                .setting(key)
                .is_some_and(|it| matches!(it.value.to_str(), Some("false" | "no" | "off" | "0")))
        };
        let section = command.trim_end_matches(".command");
        let disabled =
            off(&format!("{section}.enabled")) || off(&format!("hook.{}.enabled", event.name()));
        if is_set && disabled {
            self.problem(
                "hook-disabled",
                Some(event),
                format!("git's configuration switches our {} hook off", event.name()),
                &format!("`git config --unset {section}.enabled` and `git config --unset hook.{}.enabled`", event.name()),
            );
        }
        is_set && !disabled && self.has_config_hooks
    }

    fn look_at(&mut self, hook: &Hook, runs: Runs, config: bool) {
        let event = hook.event;
        if let HookFile::Ours { version, program, executable } = &hook.file {
            if !executable {
                self.problem(
                    "not-executable",
                    Some(event),
                    format!("`{}` is not executable: git ignores it", shown(&hook.path)),
                    INSTALL,
                );
            }
            if *version != SHIM_VERSION {
                let message = format!(
                    "the shim has version {version}, and this program writes {SHIM_VERSION}"
                );
                self.problem("shim-outdated", Some(event), message, INSTALL);
            }
            self.program(event, program.as_deref());
        }
        if runs == Runs::Shim && config {
            let message =
                format!("{} runs twice: as a shim and from git's configuration", event.name());
            self.problem("runs-twice", Some(event), message, INSTALL);
        }
        for copy in &hook.moved {
            if !hook.is_wrapped() {
                self.problem(
                    "moved-away",
                    Some(event),
                    format!(
                        "another manager moved our shim to `{}`, where nothing runs it",
                        shown(copy)
                    ),
                    INSTALL,
                );
            }
        }
        if let (Some((chained, false)), true) =
            (&hook.chained, matches!(hook.file, HookFile::Ours { .. }))
        {
            self.notes.push(format!(
                "`{}` is not executable, and does not run, as before",
                shown(chained)
            ));
        }
    }

    /// The program that a shim would start.
    fn program(&mut self, event: Event, recorded: Option<&Path>) {
        let stands = recorded.is_some_and(fs::is_executable);
        if !stands && self.on_path.is_none() {
            let named = recorded
                .map_or_else(|| "PATH".to_owned(), |path| format!("`{}` or on PATH", shown(path)));
            self.problem(
                "program-missing",
                Some(event),
                format!("the shim finds no program at {named}: it blocks"),
                "install countersign again, then `countersign install`",
            );
            return;
        }
        let note = match recorded {
            Some(path) if !stands => format!(
                "`{}`, which the shims name, is gone; they take countersign from PATH, which programs started from the desktop may not have: `countersign install` names the new place",
                shown(path)
            ),
            Some(path) if hooks_dir::has_version_folder(path) => format!(
                "`{}`, which the shims name, belongs to one version: `countersign install` after an upgrade names the new one",
                shown(path)
            ),
            None => "the shims take countersign from PATH, which programs started from the desktop may not have".to_owned(),
            Some(_) => return,
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn missing(&mut self, event: Event, hook: Option<&Hook>) {
        let name = event.name();
        match (self.mode, hook.map(|hook| &hook.file)) {
            (Some(Mode::Snippet), _) => self.problem(
                "snippet-missing",
                Some(event),
                format!("no file of a hook manager starts `countersign hook {name}`"),
                "`countersign install --mode snippet` shows what to add",
            ),
            (_, Some(HookFile::Foreign { manager, .. })) => {
                let whose = manager.map_or("another tool", Manager::name);
                let message =
                    format!("git runs a hook of {whose} for {name}, which does not start ours");
                self.problem("hook-replaced", Some(event), message, INSTALL);
            }
            // Said already: it stands there, not executable.
            (_, Some(HookFile::Ours { .. })) => {}
            (_, Some(HookFile::Absent) | None) => {
                self.problem(
                    "hook-missing",
                    Some(event),
                    format!("nothing runs for {name}"),
                    INSTALL,
                );
            }
        }
    }

    /// Whether a file of another manager starts ours. Text is all that can be
    /// known here: whether the manager runs is its own doctor's question.
    fn names_us(&self, event: Event) -> Result<bool, Error> {
        let Some(top) = &self.hooks.work_tree else { return Ok(false) };
        let call = format!("countersign hook {}", event.name());
        let mut files: Vec<PathBuf> = MANAGER_FILES.iter().map(|name| top.join(name)).collect();
        files.push(top.join(".husky").join(event.name()));
        files.push(top.join(".lefthook").join(event.name()).join("countersign.sh"));
        files.extend(self.hooks.folder.as_ref().map(|folder| folder.join(event.name())));
        for file in files {
            let Ok(Some(bytes)) = fs::read(&file, 1 << 20) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            // pre-commit and prek run one hook for both.
            let merged = event == Event::PreMergeCommit
                && text.contains("countersign hook pre-commit")
                && text.contains("pre-merge-commit");
            let ours = hooks_dir::is_shim(&bytes);
            if !ours && (text.contains(&call) || merged) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Shims of ours in folders in which git does not look.
    fn leftovers(&mut self) -> Result<(), Error> {
        for folder in self.hooks.folders() {
            if Some(&folder) == self.hooks.folder.as_ref() {
                continue;
            }
            for event in self.hooks.events() {
                if matches!(HooksDir::hook(&folder, *event)?.file, HookFile::Ours { .. }) {
                    let message =
                        format!("our shims stand in `{}`, where git does not look", shown(&folder));
                    self.problem("elsewhere", None, message, INSTALL);
                    break;
                }
            }
        }
        Ok(())
    }

    /// A relative `core.hooksPath` is another folder in every work tree.
    fn worktrees(&mut self) -> Result<(), Error> {
        let Some((value, _)) = &self.hooks.hooks_path else { return Ok(()) };
        let value = PathBuf::from(value);
        if value.as_os_str().is_empty() || value.is_absolute() || value.starts_with("~") {
            return Ok(());
        }
        for tree in hooks_dir::worktrees(&self.env.dir)? {
            if Some(&tree) == self.hooks.work_tree.as_ref() || !fs::stands(&tree) {
                continue;
            }
            if !fs::stands(&tree.join(&value)) {
                let message = format!(
                    "the work tree `{}` has no folder `{}`: git runs no hook there",
                    shown(&tree),
                    shown(&value)
                );
                let fix = format!("`countersign -C {} install`", shown(&tree));
                self.problem("worktree-without-hooks", None, message, &fix);
            }
        }
        Ok(())
    }

    fn surroundings(&mut self) {
        if on_path(self.env, "ssh-keygen").is_none() {
            self.problem(
                "no-ssh-keygen",
                None,
                "`ssh-keygen` is not on PATH: nothing can be signed".to_owned(),
                "install OpenSSH's client",
            );
        }
    }

    /// The policy that would judge a change now: `<commit>:countersign.toml`.
    fn policy(&mut self) -> Policy {
        let vantage = match self.hooks.work_tree {
            Some(_) => Vantage::Clone,
            None => Vantage::Server { updates: &[] },
        };
        match World::open(self.env).and_then(|world| Trusted::read(&world, None, vantage)) {
            Ok(Trusted { commit: Some(commit), absent: false, .. }) => {
                Policy::From(format!("{commit}:{POLICY_FILE}"))
            }
            Ok(_) => Policy::BuiltIn,
            Err(error) => {
                let fix = if error.hints.is_empty() {
                    "`countersign policy lint`".to_owned()
                } else {
                    error.hints.join("; ")
                };
                self.problem("policy-unreadable", None, error.chain(), &fix);
                Policy::Unreadable
            }
        }
    }
}

const MANAGER_FILES: &[&str] = &[
    ".pre-commit-config.yaml",
    ".pre-commit-config.yml",
    "prek.toml",
    "lefthook.yml",
    "lefthook.yaml",
    ".lefthook.yml",
    ".lefthook.yaml",
    "lefthook.toml",
    "hk.pkl",
];

fn state(event: Event, runs: Runs, hook: Option<Hook>) -> EventState {
    let (version, program, executable) = match hook.as_ref().map(|hook| &hook.file) {
        Some(HookFile::Ours { version, program, executable }) => {
            (Some(*version), program.as_deref().map(shown), *executable)
        }
        Some(HookFile::Foreign { executable, .. }) => (None, None, *executable),
        Some(HookFile::Absent) | None => (None, None, false),
    };
    EventState {
        event: event.name(),
        runs,
        file: hook.as_ref().filter(|it| it.file != HookFile::Absent).map(|it| shown(&it.path)),
        executable,
        version,
        program,
        chained: hook
            .and_then(|it| it.chained)
            .filter(|(_, executable)| *executable)
            .map(|(path, _)| shown(&path)),
    }
}

/// The program that a shell would start under this name.
fn on_path(env: &Env, name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(env.get_os("PATH")?)
        .map(|folder| folder.join(&file))
        .find(|path| fs::is_executable(path))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
