//! The hooks folder: where it is, whose it is, what stands in it, and the
//! steps that put our shims there and take them away again.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::env::Env;
use super::fs::{self, FsError};
use super::process::{Call, ProcessError};

/// A hook that we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    PreCommit,
    CommitMsg,
    PreMergeCommit,
    PrePush,
    PostCommit,
    PreReceive,
    PostReceive,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 7] = [
        Event::PreCommit,
        Event::CommitMsg,
        Event::PreMergeCommit,
        Event::PrePush,
        Event::PostCommit,
        Event::PreReceive,
        Event::PostReceive,
    ];
    /// Those of a repository that people work in.
    pub const CLIENT: &[Event] = &[
        Event::PreCommit,
        Event::CommitMsg,
        Event::PreMergeCommit,
        Event::PrePush,
        Event::PostCommit,
    ];
    /// Those of a bare repository that people push to.
    pub const SERVER: &[Event] = &[Event::PreReceive, Event::PostReceive];

    /// git's name of the hook.
    pub fn name(self) -> &'static str {
        match self {
            Event::PreCommit => "pre-commit",
            Event::CommitMsg => "commit-msg",
            Event::PreMergeCommit => "pre-merge-commit",
            Event::PrePush => "pre-push",
            Event::PostCommit => "post-commit",
            Event::PreReceive => "pre-receive",
            Event::PostReceive => "post-receive",
        }
    }

    /// The shim as it stands in the source, with no program recorded.
    fn template(self) -> &'static str {
        match self {
            Event::PreCommit => include_str!("../../hooks/pre-commit"),
            Event::CommitMsg => include_str!("../../hooks/commit-msg"),
            Event::PreMergeCommit => include_str!("../../hooks/pre-merge-commit"),
            Event::PrePush => include_str!("../../hooks/pre-push"),
            Event::PostCommit => include_str!("../../hooks/post-commit"),
            Event::PreReceive => include_str!("../../hooks/pre-receive"),
            Event::PostReceive => include_str!("../../hooks/post-receive"),
        }
    }

    /// The shim to write: the template with the program's path recorded.
    pub fn shim(self, program: Option<&Path>) -> Vec<u8> {
        let recorded = program.map(|path| shell_word(path.as_os_str())).unwrap_or_default();
        let (head, tail) =
            self.template().split_once(UNRECORDED).expect("every template has the line");
        [head.as_bytes(), b"\nrecorded='", &recorded, b"'\n", tail.as_bytes()].concat()
    }
}

const UNRECORDED: &str = "\nrecorded=''\n";
const MARKER: &str = "# countersign-shim 6f1e9c52 version ";
/// The version of the shims that this program writes.
pub const SHIM_VERSION: u32 = 2;
/// What is added to the name of a foreign hook that is kept beside ours.
pub const CHAINED: &str = ".countersign-chained";
/// The setting that records where the shims were put.
pub const FOLDER_SETTING: &str = "countersign.hooks";
/// The variable by which a shim tells where it stands: `<pid>:<path>`.
const SHIM_VARIABLE: &str = "COUNTERSIGN_SHIM";
/// The variable that lists the chained hooks that are running, outermost first.
const RUNNING_VARIABLE: &str = "COUNTERSIGN_CHAINED";
/// Hooks are scripts; what is larger is somebody's program.
const LARGEST_HOOK: u64 = 1 << 20;

/// What went wrong with the hooks folder.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("failed to {action} (git said: {complaint})")]
    Git { action: &'static str, complaint: String },
    #[error("`{hook}` is not ours, and `{chained}` is already kept: one of the two must go first")]
    BothStand { hook: PathBuf, chained: PathBuf },
}

/// Where a git setting was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    System,
    Global,
    Local,
    Worktree,
    /// `-c`, or the environment.
    Command,
}

impl Scope {
    fn parse(word: &[u8]) -> Scope {
        match word {
            b"system" => Scope::System,
            b"global" => Scope::Global,
            b"local" => Scope::Local,
            b"worktree" => Scope::Worktree,
            _ => Scope::Command,
        }
    }

    /// git's word.
    pub fn word(self) -> &'static str {
        match self {
            Scope::System => "system",
            Scope::Global => "global",
            Scope::Local => "local",
            Scope::Worktree => "worktree",
            Scope::Command => "command",
        }
    }

    /// Whether only this repository has it.
    pub fn is_own(self) -> bool {
        matches!(self, Scope::Local | Scope::Worktree)
    }
}

/// One setting, in git's order: of two with the same key the later one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub scope: Scope,
    /// Section and name in lower case, a subsection as written.
    pub key: String,
    pub value: OsString,
}

/// Another tool that keeps hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    Husky,
    Lefthook,
    PreCommit,
    Prek,
    Hk,
    GitLfs,
    /// Hooks that the repository itself tracks.
    Tracked,
}

impl Manager {
    /// The name that its users know.
    pub fn name(self) -> &'static str {
        match self {
            Manager::Husky => "husky",
            Manager::Lefthook => "lefthook",
            Manager::PreCommit => "pre-commit",
            Manager::Prek => "prek",
            Manager::Hk => "hk",
            Manager::GitLfs => "git-lfs",
            Manager::Tracked => "the repository's own tracked hooks",
        }
    }

    /// Whether it rewrites the folder whenever it likes, so that a shim of ours
    /// would not stay. git-lfs does not: its hooks are kept and run.
    pub fn owns_the_folder(self) -> bool {
        self != Manager::GitLfs
    }

    /// Recognises a hook by what its maker writes into it.
    pub fn of_hook(text: &[u8]) -> Option<Manager> {
        let has = |needle: &str| contains(text, needle.as_bytes());
        if has("File generated by prek") || has("PREK_") {
            Some(Manager::Prek)
        } else if has("File generated by pre-commit") {
            Some(Manager::PreCommit)
        } else if has("LEFTHOOK") {
            Some(Manager::Lefthook)
        } else if has("husky") {
            Some(Manager::Husky)
        } else if has("${HK:-1}") && has("hk run ") {
            Some(Manager::Hk)
        } else if has("git lfs ") || has("git-lfs ") {
            Some(Manager::GitLfs)
        } else {
            None
        }
    }
}

/// What stands under a hook's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookFile {
    Absent,
    /// Our shim, of any version.
    Ours {
        version: u32,
        program: Option<PathBuf>,
        executable: bool,
    },
    Foreign {
        manager: Option<Manager>,
        executable: bool,
    },
}

/// One hook of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub event: Event,
    pub path: PathBuf,
    pub file: HookFile,
    /// The foreign hook that we keep beside: its path, and whether it can run.
    pub chained: Option<(PathBuf, bool)>,
    /// Copies of our shim that another manager moved away (`.legacy`, `.old`).
    pub moved: Vec<PathBuf>,
}

impl Hook {
    /// Whether another manager runs our shim as its `.legacy` hook.
    pub fn is_wrapped(&self) -> bool {
        let runs_legacy = matches!(
            self.file,
            HookFile::Foreign {
                manager: Some(Manager::PreCommit | Manager::Prek),
                executable: true
            }
        );
        runs_legacy && self.moved.iter().any(|path| path.extension() == Some(OsStr::new("legacy")))
    }
}

/// A repository's hooks, as git would find them.
#[derive(Clone, Debug)]
pub struct HooksDir {
    /// The folder in which git looks; `None` while `core.hooksPath` is set and empty.
    pub folder: Option<PathBuf>,
    /// What `core.hooksPath` says, and where that is written.
    pub hooks_path: Option<(OsString, Scope)>,
    pub common_dir: PathBuf,
    /// `None` in a bare repository.
    pub work_tree: Option<PathBuf>,
    /// `core.hooksPath`, `core.sharedRepository`, and all of `countersign.*` and `hook.*`.
    pub settings: Vec<Setting>,
}

impl HooksDir {
    /// Asks git about the repository that holds `dir`.
    pub fn find(dir: &Path) -> Result<HooksDir, HooksError> {
        let places = git_lines(
            dir,
            "find the repository",
            &["rev-parse", "--path-format=absolute", "--is-bare-repository", "--git-common-dir"],
        )?;
        let (bare, common_dir) = match places.as_slice() {
            [bare, common] => (bare == "true", PathBuf::from(common)),
            _ => return Err(unexpected("find the repository")),
        };
        let work_tree = if bare {
            None
        } else {
            git_lines(
                dir,
                "find the work tree",
                &["rev-parse", "--path-format=absolute", "--show-toplevel"],
            )?
            .pop()
            .map(PathBuf::from)
        };
        let settings = settings(dir)?;
        let hooks_path = last(&settings, "core.hookspath").map(|it| (it.value.clone(), it.scope));
        let empty = hooks_path.as_ref().is_some_and(|(value, _)| value.is_empty());
        let folder = if empty {
            None
        } else {
            // A relative core.hooksPath counts from where hooks run: the top of the work tree.
            let top = work_tree.as_deref().unwrap_or(dir);
            git_lines(
                top,
                "find the hooks folder",
                &["rev-parse", "--path-format=absolute", "--git-path", "hooks"],
            )?
            .pop()
            .map(PathBuf::from)
        };
        Ok(HooksDir { folder, hooks_path, common_dir, work_tree, settings })
    }

    /// The value of a setting that counts.
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        last(&self.settings, key)
    }

    /// The value of a setting in this repository's own configuration.
    pub fn own_setting(&self, key: &str) -> Option<&OsStr> {
        self.settings
            .iter()
            .rev()
            .find(|it| it.key == key && it.scope == Scope::Local)
            .map(|it| it.value.as_os_str())
    }

    /// The events that matter here.
    pub fn events(&self) -> &'static [Event] {
        if self.work_tree.is_some() { Event::CLIENT } else { Event::SERVER }
    }

    /// The folders in which a shim of ours may stand: where git looks now, and
    /// where it looked before somebody set `core.hooksPath`.
    pub fn folders(&self) -> Vec<PathBuf> {
        let recorded = self.own_setting(FOLDER_SETTING).map(|value| self.resolve(value));
        let recorded = recorded.filter(|it| !self.is_of_another_repository(it));
        let mut folders = Vec::new();
        for folder in [self.folder.clone(), Some(self.common_dir.join("hooks")), recorded] {
            folders.extend(folder.filter(|it| !folders.contains(it)));
        }
        folders
    }

    /// The folder as [`FOLDER_SETTING`] records it: relative where
    /// `core.hooksPath` is, since every work tree then has a folder of its own.
    pub fn recordable(&self) -> Option<OsString> {
        let folder = self.folder.as_ref()?;
        let relative = self.hooks_path.as_ref().map(|(value, _)| value).filter(|value| {
            let path = Path::new(value);
            !path.is_absolute() && !path.starts_with("~") && self.resolve(value) == *folder
        });
        Some(relative.cloned().unwrap_or_else(|| folder.clone().into_os_string()))
    }

    /// The folder that was recorded, in every work tree that may have one.
    pub fn recorded(&self, dir: &Path) -> Result<Vec<PathBuf>, HooksError> {
        let Some(value) = self.own_setting(FOLDER_SETTING) else { return Ok(Vec::new()) };
        if Path::new(value).is_absolute() || self.work_tree.is_none() {
            let folder = self.resolve(value);
            return Ok(Some(folder)
                .filter(|it| !self.is_of_another_repository(it))
                .into_iter()
                .collect());
        }
        Ok(worktrees(dir)?.into_iter().map(|tree| tree.join(value)).collect())
    }

    /// Whether this is the own folder of another repository, whose copy this one
    /// is: settings were copied with it, and the original keeps its hooks.
    fn is_of_another_repository(&self, folder: &Path) -> bool {
        let Some(parent) = folder.parent() else { return false };
        folder.ends_with("hooks")
            && parent.join("HEAD").is_file()
            && parent.join("objects").is_dir()
            && fs::resolve(parent).ok() != fs::resolve(&self.common_dir).ok()
    }

    fn resolve(&self, value: &OsStr) -> PathBuf {
        self.work_tree.as_ref().unwrap_or(&self.common_dir).join(value)
    }

    /// The tool that owns the folder in which git looks, if there is one.
    pub fn owner(&self) -> Result<Option<Manager>, HooksError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        if folder.components().any(|part| part.as_os_str() == ".husky") {
            return Ok(Some(Manager::Husky));
        }
        let mut owner = None;
        for path in fs::list(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !is_hook_name(&name) {
                continue;
            }
            if let HookFile::Foreign { manager: Some(manager), .. } = look(&path)? {
                owner = owner.max(Some(manager).filter(|it| it.owns_the_folder()));
            }
        }
        if owner.is_none() && self.tracks_hooks(folder)? {
            owner = Some(Manager::Tracked);
        }
        Ok(owner)
    }

    /// Whether hooks here are files of the work tree.
    pub fn stand_in_the_work_tree(&self) -> bool {
        let (Some(folder), Some(top)) = (&self.folder, &self.work_tree) else { return false };
        folder.starts_with(top) && !folder.starts_with(&self.common_dir)
    }

    /// Whether one of our hooks' names in the folder is a tracked file.
    fn tracks_hooks(&self, folder: &Path) -> Result<bool, HooksError> {
        let Some(work_tree) = self.work_tree.as_ref().filter(|_| self.stand_in_the_work_tree())
        else {
            return Ok(false);
        };
        let output = Call::git(work_tree)
            .args(["ls-files", "-z", "--"])
            .args(self.events().iter().map(|event| folder.join(event.name())))
            .run()?;
        if !output.success() {
            let complaint = output.complaint();
            return Err(HooksError::Git { action: "list the tracked hooks", complaint });
        }
        Ok(!output.stdout.is_empty())
    }

    /// The permission bits of a hook: 0755, and what `core.sharedRepository` adds.
    pub fn shim_mode(&self) -> u32 {
        let shared = self.setting("core.sharedrepository");
        mode_for(&shared.map(|it| it.value.to_string_lossy().into_owned()).unwrap_or_default())
    }

    /// Looks at one hook in a folder.
    pub fn hook(folder: &Path, event: Event) -> Result<Hook, HooksError> {
        let path = folder.join(event.name());
        let beside = |suffix: &str| folder.join(format!("{}{suffix}", event.name()));
        let chained = beside(CHAINED);
        let mut moved = Vec::new();
        for copy in [beside(".legacy"), beside(".old")] {
            if matches!(look(&copy)?, HookFile::Ours { .. }) {
                moved.push(copy);
            }
        }
        Ok(Hook {
            event,
            file: look(&path)?,
            chained: fs::stands(&chained).then(|| {
                let executable = fs::is_executable(&chained);
                (chained, executable)
            }),
            path,
            moved,
        })
    }
}

/// One step of an installation or of its removal. Steps are shown by
/// `--dry-run` and carried out by [`apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    CreateFolder(PathBuf),
    /// Keeps a foreign hook beside ours, as it is: bytes, mode, or symbolic link.
    Keep {
        hook: PathBuf,
        chained: PathBuf,
    },
    Write {
        path: PathBuf,
        old: Vec<u8>,
        new: Vec<u8>,
        mode: u32,
    },
    /// Puts a kept hook back in the place of ours.
    Restore {
        chained: PathBuf,
        hook: PathBuf,
    },
    Remove {
        path: PathBuf,
        old: Vec<u8>,
    },
    /// Removes a folder that we created, if it is empty.
    RemoveFolder(PathBuf),
    /// Writes a setting into the repository's own configuration.
    Set {
        key: String,
        old: Option<OsString>,
        new: OsString,
    },
    Unset {
        key: String,
        old: OsString,
    },
}

impl Step {
    /// Whether the step takes the file away.
    pub fn removes(&self, file: &Path) -> bool {
        matches!(self, Step::Remove { path, .. } if path == file)
    }
}

/// The steps that bring our shims into the folder.
pub fn shim_steps(
    folder: &Path,
    events: &[Event],
    program: Option<&Path>,
    mode: u32,
) -> Result<Vec<Step>, HooksError> {
    let mut steps = Vec::new();
    if !fs::stands(folder) {
        steps.push(Step::CreateFolder(folder.to_owned()));
    }
    for event in events {
        let hook = HooksDir::hook(folder, *event)?;
        let new = event.shim(program);
        let old = match hook.file {
            HookFile::Absent => Vec::new(),
            HookFile::Ours { .. } => fs::read(&hook.path, LARGEST_HOOK)?.unwrap_or_default(),
            HookFile::Foreign { .. } if hook.is_wrapped() => continue,
            HookFile::Foreign { .. } => {
                steps.extend(keep(&hook, folder)?);
                Vec::new()
            }
        };
        let ready = matches!(hook.file, HookFile::Ours { executable: true, .. });
        if !ready || old != new {
            steps.push(Step::Write { path: hook.path, old, new, mode });
        }
    }
    Ok(steps)
}

/// The step that keeps a foreign hook; none if an interrupted installation kept
/// it already.
fn keep(hook: &Hook, folder: &Path) -> Result<Option<Step>, HooksError> {
    let Some((chained, _)) = &hook.chained else {
        let chained = folder.join(format!("{}{CHAINED}", hook.event.name()));
        return Ok(Some(Step::Keep { hook: hook.path.clone(), chained }));
    };
    if fs::is_same_file(&hook.path, chained) {
        return Ok(None);
    }
    Err(HooksError::BothStand { hook: hook.path.clone(), chained: chained.clone() })
}

/// The steps that take our shims out of a folder and put back what was there.
pub fn removal_steps(folder: &Path) -> Result<Vec<Step>, HooksError> {
    let mut steps = Vec::new();
    for event in Event::ALL {
        let hook = HooksDir::hook(folder, event)?;
        let ours = matches!(hook.file, HookFile::Ours { .. });
        match (hook.file, hook.chained) {
            (HookFile::Ours { .. } | HookFile::Absent, Some((chained, _))) => {
                steps.push(Step::Restore { chained, hook: hook.path });
            }
            (HookFile::Ours { .. }, None) => {
                let old = fs::read(&hook.path, LARGEST_HOOK)?.unwrap_or_default();
                steps.push(Step::Remove { path: hook.path, old });
            }
            // An installation that was interrupted after it had kept the hook.
            (HookFile::Foreign { .. }, Some((chained, _)))
                if fs::is_same_file(&hook.path, &chained) =>
            {
                let old = fs::read(&chained, LARGEST_HOOK)?.unwrap_or_default();
                steps.push(Step::Remove { path: chained, old });
            }
            // A tool that replaced our shim keeps its place; what we keep is reported.
            (HookFile::Foreign { .. }, _) | (HookFile::Absent, None) => {}
        }
        for path in hook.moved.into_iter().filter(|_| !ours) {
            let old = fs::read(&path, LARGEST_HOOK)?.unwrap_or_default();
            steps.push(Step::Remove { path, old });
        }
    }
    Ok(steps)
}

/// Carries out the steps, in order. Each is atomic; all of them can be done again.
pub fn apply(dir: &Path, steps: &[Step]) -> Result<(), HooksError> {
    for step in steps {
        match step {
            Step::CreateFolder(path) => fs::create_folder(path)?,
            Step::Keep { hook, chained } => fs::keep_beside(hook, chained)?,
            Step::Write { path, new, mode, .. } => fs::write_atomically(path, new, *mode)?,
            Step::Restore { chained, hook } => fs::rename(chained, hook)?,
            Step::Remove { path, .. } => fs::remove_file(path)?,
            Step::RemoveFolder(path) => fs::remove_empty_folder(path)?,
            Step::Set { key, new, .. } => {
                let call = Call::git(dir).args(["config", "--local", "--replace-all"]);
                change_setting(&call.arg(key).arg(new))?;
            }
            Step::Unset { key, .. } => {
                let call = Call::git(dir).args(["config", "--local", "--unset-all"]);
                change_setting(&call.arg(key))?;
            }
        }
    }
    Ok(())
}

fn change_setting(call: &Call) -> Result<(), HooksError> {
    let output = call.run()?;
    if output.success() {
        return Ok(());
    }
    let complaint = output.complaint();
    Err(HooksError::Git { action: "write the repository's configuration", complaint })
}

/// The foreign hook that the running shim keeps beside itself, if it can run
/// and is not running already. Costs no process: the shim says where it stands.
///
/// A shim hands its own process over to us (`exec`), so that a variable that
/// leaked into another hook below ours names another process, and is ignored.
pub fn chained(env: &Env, event: &str) -> Option<PathBuf> {
    let value = env.get_os(SHIM_VARIABLE)?;
    let (process, shim) = split_once(value, b':')?;
    // Git for Windows' shell counts processes by itself, and cannot `exec`.
    if cfg!(unix) && process.to_str() != Some(std::process::id().to_string().as_str()) {
        return None;
    }
    let folder = env.dir.join(Path::new(&shim).parent()?);
    let hook = folder.join(format!("{event}{CHAINED}"));
    let running = env.get_os(RUNNING_VARIABLE).unwrap_or_default();
    let runs_already = std::env::split_paths(running).any(|path| path == hook);
    (fs::is_executable(&hook) && !runs_already).then_some(hook)
}

/// Runs a chained hook as git would have: git's environment, our output, the
/// whole of `stdin`. Returns its exit code; `None`: ended by a signal.
pub fn run_chained(
    env: &Env,
    hook: &Path,
    arguments: &[OsString],
    stdin: Option<Vec<u8>>,
) -> Result<Option<i32>, ProcessError> {
    let running = env.get_os(RUNNING_VARIABLE).unwrap_or_default();
    let running =
        std::env::join_paths(std::env::split_paths(running).chain([hook.to_owned()])).ok();
    let call = |program: &OsStr| {
        let mut call = Call::hook(program, &env.dir).env_remove(SHIM_VARIABLE);
        if let Some(running) = &running {
            call = call.env(RUNNING_VARIABLE, running);
        }
        if let Some(bytes) = &stdin {
            call = call.stdin(bytes.clone());
        }
        call
    };
    let shell = || call(OsStr::new("sh")).arg(hook).args(arguments).run_passing_through();
    if cfg!(windows) {
        return shell();
    }
    match call(hook.as_os_str()).args(arguments).run_passing_through() {
        // A script without `#!`: git gives it to the shell, and so do we.
        Err(ProcessError::Spawn { source, .. }) if source.raw_os_error() == Some(8) => shell(),
        result => result,
    }
}

/// The path of this program that hooks should remember: the entry of `PATH`
/// that leads to it, since a package manager moves what is behind it; a path
/// with a version in it only if there is no other.
pub fn stable_program(env: &Env) -> Option<PathBuf> {
    let running = env.executable.as_ref()?;
    let real = running.canonicalize().ok()?;
    let name = running.file_name()?;
    let on_path: Vec<PathBuf> = std::env::split_paths(env.get_os("PATH").unwrap_or_default())
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .filter(|path| path.canonicalize().is_ok_and(|it| it == real))
        .collect();
    let stable = on_path.iter().find(|path| !has_version_folder(path));
    stable.or(on_path.first()).or(Some(running)).cloned()
}

/// Whether an upgrade will leave this path dead or, worse, old: Homebrew's
/// Cellar, mise, asdf and Nix keep every version in a folder of its own.
pub fn has_version_folder(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["/Cellar/", "/mise/installs/", "/.asdf/installs/", "/nix/store/"]
        .iter()
        .any(|part| text.contains(part))
}

/// The command of a config hook: as the shim, in one line for `sh -c`.
pub fn config_command(event: Event, program: Option<&Path>) -> OsString {
    let recorded = program.map(|path| shell_word(path.as_os_str())).unwrap_or_default();
    let name = event.name();
    let rest = format!(
        "'; [ -x \"$p\" ] || p=countersign; command -v \"$p\" >/dev/null 2>&1 || {{ echo 'countersign: {name}: blocked, because \
         the countersign program was not found; install it again, then run countersign doctor.' >&2; exit 1; }}; \
         \"$p\" hook {name}"
    );
    os_string([b"p='", recorded.as_slice(), rest.as_bytes()].concat())
}

/// The settings' keys of a config hook: its command and its event.
pub fn config_keys(event: Event) -> (String, String) {
    let section = format!("hook.countersign-{}", event.name());
    (format!("{section}.command"), format!("{section}.event"))
}

/// git's version: its first two numbers, and the whole word.
pub fn git_version(dir: &Path) -> Result<((u32, u32), String), HooksError> {
    let line = git_lines(dir, "ask git for its version", &["version"])?.pop().unwrap_or_default();
    let line = line.to_string_lossy().into_owned();
    let word = line.split(' ').nth(2).unwrap_or_default().to_owned();
    let mut numbers = word.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => Ok(((major, minor), word)),
        _ => Err(unexpected("ask git for its version")),
    }
}

/// The work trees of the repository: the main one, and the linked ones.
pub fn worktrees(dir: &Path) -> Result<Vec<PathBuf>, HooksError> {
    let output = Call::git(dir).args(["worktree", "list", "--porcelain", "-z"]).run()?;
    if !output.success() {
        let complaint = output.complaint();
        return Err(HooksError::Git { action: "list the work trees", complaint });
    }
    let lines = output.stdout.split(|byte| *byte == 0);
    let paths = lines.filter_map(|line| line.strip_prefix(b"worktree "));
    Ok(paths.map(|path| PathBuf::from(os_string(path.to_vec()))).collect())
}

/// Whether a file's text is our shim's, of any version.
pub fn is_shim(text: &[u8]) -> bool {
    shim_version(text).is_some()
}

/// Looks at a file under a hook's name.
fn look(path: &Path) -> Result<HookFile, HooksError> {
    if !fs::stands(path) {
        return Ok(HookFile::Absent);
    }
    let executable = fs::is_executable(path);
    let text = match fs::read(path, LARGEST_HOOK) {
        Ok(text) => text.unwrap_or_default(),
        Err(FsError::TooLarge { .. }) => Vec::new(),
        // A folder under a hook's name is nobody's hook, but it is in the way.
        Err(FsError::Io { .. }) if path.is_dir() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(match shim_version(&text) {
        Some(version) => HookFile::Ours { version, program: shim_program(&text), executable },
        None => HookFile::Foreign { manager: Manager::of_hook(&text), executable },
    })
}

fn shim_version(text: &[u8]) -> Option<u32> {
    let line = text.split(|byte| *byte == b'\n').nth(1)?;
    let rest = std::str::from_utf8(line.strip_prefix(MARKER.as_bytes())?).ok()?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn shim_program(text: &[u8]) -> Option<PathBuf> {
    let after = &text[find(text, b"\nrecorded='")? + b"\nrecorded='".len()..];
    let word = &after[..find(after, b"'\n")?];
    let plain = replace(word, b"'\\''", b"'");
    (!plain.is_empty()).then(|| PathBuf::from(os_string(plain)))
}

/// The bits that git's `core.sharedRepository` asks for, on an executable file.
fn mode_for(shared: &str) -> u32 {
    let readable_runs = |bits: u32| bits | ((bits & 0o444) >> 2);
    match shared.to_ascii_lowercase().as_str() {
        "group" | "true" | "1" | "all" | "world" | "everybody" | "2" => 0o775,
        octal if octal.starts_with('0') && octal.len() > 1 => u32::from_str_radix(octal, 8)
            .map_or(0o755, |bits| readable_runs(0o700 | (bits & 0o777))),
        _ => 0o755,
    }
}

fn is_hook_name(name: &str) -> bool {
    !name.contains('.')
}

fn last<'a>(settings: &'a [Setting], key: &str) -> Option<&'a Setting> {
    settings.iter().rev().find(|it| it.key == key)
}

fn settings(dir: &Path) -> Result<Vec<Setting>, HooksError> {
    let pattern = r"^(core\.(hookspath|sharedrepository)|countersign\..*|hook\..*)$";
    let output = Call::git(dir)
        .args(["config", "-z", "--show-scope", "--get-regexp", pattern])
        .limit(16 << 20)
        .run()?;
    match output.code {
        // Nothing matches.
        Some(1) => Ok(Vec::new()),
        Some(0) => parse_settings(&output.stdout)
            .ok_or_else(|| unexpected("read the repository's configuration")),
        Some(_) | None => {
            let complaint = output.complaint();
            Err(HooksError::Git { action: "read the repository's configuration", complaint })
        }
    }
}

/// `scope NUL key LF value NUL`; a key without `=` has no LF.
fn parse_settings(bytes: &[u8]) -> Option<Vec<Setting>> {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut settings = Vec::new();
    while let Some(scope) = parts.next().filter(|it| !it.is_empty()) {
        let entry = parts.next().filter(|it| !it.is_empty())?;
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap_or(entry.len());
        settings.push(Setting {
            scope: Scope::parse(scope),
            key: String::from_utf8_lossy(&entry[..end]).into_owned(),
            value: os_string(entry.get(end + 1..).unwrap_or_default().to_vec()),
        });
    }
    Some(settings)
}

fn git_lines(
    dir: &Path,
    action: &'static str,
    arguments: &[&str],
) -> Result<Vec<OsString>, HooksError> {
    let output = Call::git(dir).args(arguments).limit(1 << 20).run()?;
    if !output.success() {
        return Err(HooksError::Git { action, complaint: output.complaint() });
    }
    let text = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
    Ok(text.split(|byte| *byte == b'\n').map(|line| os_string(line.to_vec())).collect())
}

fn unexpected(action: &'static str) -> HooksError {
    HooksError::Git { action, complaint: "an answer that we do not understand".to_owned() }
}

/// The inside of a single-quoted word of the shell.
fn shell_word(text: &OsStr) -> Vec<u8> {
    let bytes = os_bytes(text);
    let bytes = if cfg!(windows) { replace(&bytes, b"\\", b"/") } else { bytes };
    replace(&bytes, b"'", b"'\\''")
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut rest = text;
    let mut result = Vec::with_capacity(text.len());
    while let Some(at) = find(rest, from) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    result.extend_from_slice(rest);
    result
}

fn split_once(text: &OsStr, at: u8) -> Option<(OsString, OsString)> {
    let bytes = os_bytes(text);
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((os_string(bytes[..position].to_vec()), os_string(bytes[position + 1..].to_vec())))
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(unix)]
fn os_bytes(text: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(text).to_vec()
}

#[cfg(not(unix))]
fn os_bytes(text: &OsStr) -> Vec<u8> {
    text.to_string_lossy().into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shim_is_a_shell_script_of_the_version_that_we_write() {
        for event in Event::ALL {
            let shim = event.shim(Some(Path::new("/opt/it's here/countersign")));
            let text = String::from_utf8(shim.clone()).unwrap();
            assert!(text.starts_with("#!/bin/sh\n"), "{text}");
            assert!(!text.contains('\r') && !text.contains("LEFTHOOK") && !text.contains("hk run"));
            assert_eq!(shim_version(&shim), Some(SHIM_VERSION));
            assert_eq!(shim_program(&shim), Some(PathBuf::from("/opt/it's here/countersign")));
            assert_eq!(event.shim(None), event.template().as_bytes());
            let handover = format!("exec countersign hook {} \"$@\"", event.name());
            assert!(text.contains(&handover), "{text}");
        }
    }

    #[track_caller]
    fn check_mode(shared: &str, expected: u32) {
        assert_eq!(format!("{:o}", mode_for(shared)), format!("{expected:o}"), "{shared}");
    }

    #[test]
    fn a_shared_repository_widens_the_mode_as_git_does() {
        check_mode("", 0o755);
        check_mode("false", 0o755);
        check_mode("umask", 0o755);
        check_mode("group", 0o775);
        check_mode("all", 0o775);
        check_mode("0640", 0o750);
        check_mode("0660", 0o770);
        check_mode("0600", 0o700);
        check_mode("099", 0o755);
    }

    #[track_caller]
    fn check_manager(hook: &str, expected: Option<Manager>) {
        assert_eq!(Manager::of_hook(hook.as_bytes()), expected, "{hook}");
    }

    #[test]
    fn managers_are_known_by_what_they_write() {
        check_manager("#!/bin/sh\nif [ \"$LEFTHOOK_VERBOSE\" = 1 ]; then", Some(Manager::Lefthook));
        check_manager(
            "#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\n",
            Some(Manager::PreCommit),
        );
        check_manager(
            "#!/bin/sh\n# File generated by prek: https://github.com/j178/prek\n",
            Some(Manager::Prek),
        );
        check_manager(
            "#!/bin/sh\ntest \"${HK:-1}\" = \"0\" || hk run pre-commit",
            Some(Manager::Hk),
        );
        check_manager("#!/bin/sh\ngit lfs pre-push \"$@\"\n", Some(Manager::GitLfs));
        check_manager("#!/bin/sh\nmake lint\n", None);
    }

    #[test]
    fn settings_are_read_with_their_scope() {
        let bytes = b"local\0core.hookspath\n.husky/_\0global\0hook.x.enabled\0";
        let setting = |scope, key: &str, value: &str| Setting {
            scope,
            key: key.to_owned(),
            value: value.into(),
        };
        assert_eq!(
            parse_settings(bytes),
            Some(vec![
                setting(Scope::Local, "core.hookspath", ".husky/_"),
                setting(Scope::Global, "hook.x.enabled", ""),
            ])
        );
        assert_eq!(parse_settings(b"local\0"), None);
    }

    fn env_with(shim: &str, running: &str) -> Env {
        let mut env = Env::read().unwrap();
        env.variables =
            vec![(SHIM_VARIABLE.into(), shim.into()), (RUNNING_VARIABLE.into(), running.into())];
        env
    }

    #[cfg(unix)]
    #[test]
    fn a_chained_hook_is_found_by_the_shim_that_became_us_and_by_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("pre-push.countersign-chained");
        fs::write_atomically(&hook, b"#!/bin/sh\n", 0o755).unwrap();
        let process = std::process::id();
        let shim = format!("{process}:{}", folder.path().join("pre-push").display());
        assert_eq!(chained(&env_with(&shim, ""), "pre-push"), Some(hook.clone()));
        assert_eq!(chained(&env_with(&shim, ""), "pre-commit"), None);
        assert_eq!(chained(&env_with(&shim, &hook.to_string_lossy()), "pre-push"), None);
        let other = shim.replacen(&process.to_string(), "1", 1);
        assert_eq!(chained(&env_with(&other, ""), "pre-push"), None);
        fs::set_mode(&hook, 0o644).unwrap();
        assert_eq!(chained(&env_with(&shim, ""), "pre-push"), None);
    }

    #[test]
    fn versioned_folders_are_known() {
        assert!(has_version_folder(Path::new(
            "/opt/homebrew/Cellar/countersign/0.1.0/bin/countersign"
        )));
        assert!(!has_version_folder(Path::new("/opt/homebrew/bin/countersign")));
    }
}
