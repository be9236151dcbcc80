//! The surroundings in which a commit is made: variables and processes above us.

use crate::adapters::ancestors;
use crate::adapters::env::Env;
use crate::gate::signal::catalogue::Catalogue;
use crate::gate::signal::{Signal, SignalKind, ambient};

/// What is looked at for ambient marks, as values, so that a test under an
/// agent can say what it wants to be seen.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    pub variables: Vec<(String, String)>,
    /// Executable names of the processes above this one, the nearest first.
    pub ancestors: Vec<String>,
}

impl Surroundings {
    /// Reads them. Processes that cannot be looked at leave no mark.
    pub fn read(env: &Env) -> Surroundings {
        Surroundings { ancestors: ancestors::ancestors().names, ..Surroundings::near(env) }
    }

    /// Reads the variables alone: for a hook of the same run of git as one that
    /// read everything, and so below the same processes.
    pub fn near(env: &Env) -> Surroundings {
        let text = |(name, value): &(std::ffi::OsString, std::ffi::OsString)| {
            Some((name.to_str()?.to_owned(), value.to_string_lossy().into_owned()))
        };
        Surroundings {
            variables: env.variables.iter().filter_map(text).collect(),
            ancestors: Vec::new(),
        }
    }

    /// The marks on a commit made here. A branch's name is a hint that people's
    /// names share, so it is never enough to mark the commit of whoever works there.
    pub fn marks(&self, catalogue: &Catalogue) -> Vec<Signal> {
        ambient(catalogue, &self.variables, &self.ancestors, None)
            .into_iter()
            .filter(|signal| signal.kind != SignalKind::Branch)
            .collect()
    }
}
