//! What an agent's own hook tells us of a call while it is made: who calls,
//! which files or which command, before or after.
//!
//! `payload` reads what agents write to their hooks, `lines` is what is kept of
//! it (hashes, no text) and how it becomes an edit again, `command` splits a
//! command line, `guard` says which commands an agent is refused, `others` is what
//! git-ai and Agent Trace keep of the same.

pub mod command;
pub mod guard;
pub mod lines;
pub mod others;
pub mod payload;
