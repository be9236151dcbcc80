//! The steps that put our shims into a folder and take them away again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::fs;
use super::super::process::Call;
use super::shim::Event;
use super::{CHAINED, Hook, HookFile, HooksDir, HooksError, LARGEST_HOOK};

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
