//! Runs the foreign hook that stood here before ours.

use std::ffi::OsString;

use super::Error;
use crate::adapters::env::Env;
use crate::adapters::hooks_dir;

/// What became of the foreign hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chained {
    /// There is none, or it is not executable, or it is what called us.
    None,
    Passed,
    /// It said no; its own words are on the terminal already.
    Failed,
}

/// Runs the foreign hook of this event as git would have run it: the same
/// arguments, the whole standard input, git's environment, our output.
/// To be called before our own judgment, since such a hook may still change the
/// index or the message; both answers count.
pub fn run(
    env: &Env,
    event: &str,
    arguments: &[OsString],
    stdin: Option<&[u8]>,
) -> Result<Chained, Error> {
    let Some(hook) = hooks_dir::chained(env, event) else { return Ok(Chained::None) };
    let code = hooks_dir::run_chained(env, &hook, arguments, stdin.map(<[u8]>::to_vec))?;
    Ok(if code == Some(0) { Chained::Passed } else { Chained::Failed })
}
