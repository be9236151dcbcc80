//! The hooks folder: where it is, whose it is, what stands in it, and the
//! steps that put our shims there and take them away again.

mod bytes;
mod chained;
mod manager;
mod setting;
mod shim;
mod steps;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use bytes::os_string;
use setting::{last, settings};
use shim::{shim_program, shim_version};

use super::env::Env;
use super::fs::{self, FsError};
use super::process::{Call, ProcessError};

pub use chained::{chained, run_chained};
pub use manager::Manager;
pub use setting::{Scope, Setting};
pub use shim::{Event, SHIM_VERSION, config_command, config_keys, is_shim};
pub use steps::{Step, apply, removal_steps, shim_steps};

/// What is added to the name of a foreign hook that is kept beside ours.
pub const CHAINED: &str = ".countersign-chained";
/// The setting that records where the shims were put.
pub const FOLDER_SETTING: &str = "countersign.hooks";
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn versioned_folders_are_known() {
        assert!(has_version_folder(Path::new(
            "/opt/homebrew/Cellar/countersign/0.1.0/bin/countersign"
        )));
        assert!(!has_version_folder(Path::new("/opt/homebrew/bin/countersign")));
    }
}
