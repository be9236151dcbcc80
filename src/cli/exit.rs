//! The exit codes. They are part of the contract with scripts.

use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: it passes, or it was done.
    Passed,
    /// 1: decided, and the answer is no.
    Blocked,
    /// 2: could not decide: usage, policy, repository, or a bug.
    Undecided,
    /// 2 as well: how most agents' hooks refuse a call.
    Refused,
    /// 130: interrupted.
    Interrupted,
    /// What the command said that was let through.
    Of(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Passed => 0,
            Exit::Blocked => 1,
            Exit::Undecided | Exit::Refused => 2,
            Exit::Interrupted => 130,
            Exit::Of(status) => status,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
