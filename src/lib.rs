//! Decides whether a change may be committed, pushed or merged.
//!
//! - [`gate`] decides. It is pure: values in, a [`gate::verdict`] out.
//! - [`adapters`] look and act: git, files, processes, signatures, the clock.
//! - [`jobs`] are the straight lines that join the two, one file per job.
//! - [`cli`] speaks: arguments in, reports and exit codes out.

pub mod adapters;
pub mod cli;
pub mod gate;
pub mod jobs;
