//! The outside world: git, files, processes, signatures, the clock.

pub mod ancestors;
pub mod checkout;
pub mod coverage;
pub mod env;
pub mod fs;
pub mod git;
pub mod hooks_dir;
pub mod ledger;
pub mod marks;
pub mod plan_file;
pub mod process;
pub mod prove;
pub mod runner;
mod sandbox;
pub mod signature;
pub mod sqlite;
pub mod store;
pub mod supervise;
pub mod told;
pub mod traces;
