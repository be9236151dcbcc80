//! What git writes to a hook's standard input.

use super::Error;
use crate::adapters::fs;

/// The most that is read: a push of a hundred thousand refs.
const LIMIT: u64 = 64 << 20;

/// Reads it to its end. Nothing is read from a terminal, where nobody would
/// know that input is awaited.
pub fn read(env: &super::Env) -> Result<Vec<u8>, Error> {
    if env.stdin_is_terminal {
        return Ok(Vec::new());
    }
    Ok(fs::read_stdin(LIMIT)?)
}
