//! One file per job, each a straight line from change to verdict.

pub use crate::adapters::env::Env;
use crate::adapters::fs::FsError;
use crate::adapters::git::GitError;
use crate::adapters::hooks_dir::HooksError;
use crate::adapters::ledger::LedgerError;
use crate::adapters::process::ProcessError;
use crate::adapters::signature::SignatureError;

pub mod agents;
pub mod ambient;
pub mod anchors;
pub mod apply_guard;
pub mod approve;
pub mod audit;
pub mod blame;
pub mod chain;
pub mod check;
pub mod commit_msg;
pub mod connect;
pub mod demo;
pub mod doctor;
pub mod exchange;
pub mod gather;
pub mod hook_input;
pub mod init;
pub mod inputs;
pub mod install;
pub mod judgement;
pub mod ledger;
pub mod log;
pub mod modules;
mod moved;
pub mod narrow;
pub mod noted;
pub mod policy;
pub mod post_commit;
pub mod pre_commit;
pub mod pre_push;
pub mod preview;
pub mod publish;
pub mod range;
pub mod record;
pub mod recorded;
pub mod ref_update;
pub mod review;
pub mod rewrite;
pub mod running;
pub mod scan;
pub mod server;
pub mod sessions;
pub mod signing;
pub mod snippet;
pub mod test;
pub mod trusted;
pub mod uninstall;
pub mod withdraw;
pub mod world;

/// Why a job could not decide or act. Never "no": that is a verdict.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    pub source: Box<dyn std::error::Error + Send + Sync>,
    /// What the person can do, each with the exact command.
    pub hints: Vec<String>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The call was wrong.
    Usage,
    /// The policy cannot be read or is not valid.
    Policy,
    /// The repository, or something around it, could not be read or written.
    Repository,
    /// A bug.
    Internal,
}

impl ErrorKind {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            ErrorKind::Usage => "usage",
            ErrorKind::Policy => "policy",
            ErrorKind::Repository => "repository",
            ErrorKind::Internal => "internal",
        }
    }
}

impl Error {
    /// The error and its causes, in one line, safe to print.
    pub fn chain(&self) -> String {
        let mut message = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        message
    }

    /// An error of the given kind.
    pub fn new(
        kind: ErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error { kind, source: source.into(), hints: Vec::new() }
    }

    /// The caller's mistake.
    pub fn usage(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(ErrorKind::Usage, source)
    }

    /// The repository's fault.
    pub fn repository(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::new(ErrorKind::Repository, source)
    }

    /// The same, with one more hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hints.push(hint.into());
        self
    }
}

impl From<HooksError> for Error {
    fn from(error: HooksError) -> Error {
        let hint = match &error {
            HooksError::BothStand { .. } => {
                "compare the two, remove the one that nobody needs, and repeat the command"
            }
            HooksError::Git { complaint, .. } if complaint.contains("not a git repository") => {
                "go to a clone, or name one with `countersign -C DIR`"
            }
            HooksError::Git { .. } | HooksError::Process(_) | HooksError::Fs(_) => {
                return Error::repository(error);
            }
        };
        Error::repository(error).hint(hint)
    }
}

impl From<ProcessError> for Error {
    fn from(error: ProcessError) -> Error {
        Error::repository(error)
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Error {
        let hints = error.hints();
        Error { kind: ErrorKind::Repository, source: Box::new(error), hints }
    }
}

impl From<FsError> for Error {
    fn from(error: FsError) -> Error {
        Error::repository(error)
    }
}

impl From<GitError> for Error {
    fn from(error: GitError) -> Error {
        let hints = error.hints();
        let kind = match error {
            GitError::NotARevision(_) | GitError::NotARepository { .. } => ErrorKind::Usage,
            _ => ErrorKind::Repository,
        };
        Error { kind, source: Box::new(error), hints }
    }
}

impl From<SignatureError> for Error {
    fn from(error: SignatureError) -> Error {
        let hints = error.hints();
        Error { kind: ErrorKind::Repository, source: Box::new(error), hints }
    }
}
