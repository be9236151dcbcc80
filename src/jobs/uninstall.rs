//! Takes away exactly what `install` added.

use std::path::PathBuf;

use super::install::{INSTALLED, unset, written};
use super::{Env, Error};
use crate::adapters::hooks_dir::{self, Event, HookFile, HooksDir, Step, removal_steps};

/// What was taken away, or with a dry run would be.
#[derive(Debug)]
pub struct Removal {
    /// Empty: nothing of ours was there.
    pub steps: Vec<Step>,
    /// Hooks that we keep for somebody whose place another tool has taken.
    pub left: Vec<PathBuf>,
}

/// Removes the hooks and the settings, or with `dry_run` only plans.
pub fn run(env: &Env, dry_run: bool) -> Result<Removal, Error> {
    let hooks = HooksDir::find(&env.dir)?;
    let mut steps = Vec::new();
    let mut left = Vec::new();
    let written = written(&hooks);
    let recorded = hooks.recorded(&env.dir)?;
    let mut folders = hooks.folders();
    folders.extend(recorded.iter().filter(|it| !folders.contains(it)).cloned().collect::<Vec<_>>());
    for folder in folders {
        steps.extend(removal_steps(&folder)?);
        for event in Event::ALL {
            let hook = HooksDir::hook(&folder, event)?;
            if matches!(hook.file, HookFile::Foreign { .. }) {
                let stays = |path: &PathBuf| !steps.iter().any(|step| step.removes(path));
                left.extend(hook.chained.map(|(path, _)| path).filter(stays));
            }
        }
        if recorded.contains(&folder) && written.iter().any(|name| name == "folder") {
            steps.push(Step::RemoveFolder(folder));
        }
    }
    for event in Event::ALL {
        let (command, name) = hooks_dir::config_keys(event);
        steps.extend([command, name].iter().filter_map(|key| unset(&hooks, key)));
    }
    let names = written.iter().filter(|name| *name != "folder");
    let keys = names.map(|name| format!("countersign.{name}")).chain([INSTALLED.to_owned()]);
    steps.extend(keys.filter_map(|key| unset(&hooks, &key)));
    if !dry_run {
        hooks_dir::apply(&env.dir, &steps)?;
    }
    Ok(Removal { steps, left })
}
