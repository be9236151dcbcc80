//! The foreign hook that a shim keeps beside itself: found, and run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::super::env::Env;
use super::super::fs;
use super::super::process::{Call, ProcessError};
use super::CHAINED;
use super::bytes::split_once;

/// The variable by which a shim tells where it stands: `<pid>:<path>`.
const SHIM_VARIABLE: &str = "COUNTERSIGN_SHIM";
/// The variable that lists the chained hooks that are running, outermost first.
const RUNNING_VARIABLE: &str = "COUNTERSIGN_CHAINED";

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
