//! The plan that an engine of infrastructure made.

use std::ffi::OsString;
use std::path::Path;

use super::super::plan_file::{self, PlanZipError};
use super::super::process::Call;
use super::chain;
use crate::gate::preview::PlanFile;
use crate::gate::record::canonical::sha256;

/// A plan larger than this is not read.
pub const MAX_PLAN: u64 = 512 << 20;

/// An engine's own plan: a file that it can apply.
#[derive(Clone, Debug)]
pub struct EnginePlan {
    pub sha256: String,
    pub file: PlanFile,
}

impl EnginePlan {
    /// Reads a plan's sources. Fails with a reason that is not safe to print.
    pub fn read(bytes: &[u8]) -> Result<EnginePlan, String> {
        let file = plan_file::read(bytes).map_err(|error| chain(&error))?;
        Ok(EnginePlan::of(bytes, file))
    }

    /// The same of what a command of the policy wrote here, on this very tree:
    /// `None` for a file that is no zip at all. It is for its engine to tell
    /// then; there are no sources to compare, and the run alone binds it. A zip
    /// that breaks off, or exceeds a limit, is refused as everywhere.
    pub(super) fn of_own_run(bytes: &[u8]) -> Result<Option<EnginePlan>, String> {
        match plan_file::read(bytes) {
            Ok(file) => Ok(Some(EnginePlan::of(bytes, file))),
            Err(PlanZipError::NoZip(_)) => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }

    fn of(bytes: &[u8], file: PlanFile) -> EnginePlan {
        EnginePlan { sha256: sha256(bytes), file }
    }
}

/// Has an engine print its own plan as JSON, in the folder where its providers
/// are installed.
pub fn show(
    program: &str,
    plan: &Path,
    folder: &Path,
    environment: &[(OsString, OsString)],
) -> Result<Vec<u8>, String> {
    let mut call = Call::new(program, folder).only_these_variables().limit(MAX_PLAN);
    for (name, value) in environment {
        call = call.env(name, value);
    }
    let output = call.args(["show", "-json"]).arg(plan).run().map_err(|error| chain(&error))?;
    if !output.success() {
        return Err(format!("`{program} show -json` failed: {}", output.complaint()));
    }
    Ok(output.stdout)
}
