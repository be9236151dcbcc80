//! The decision, free of I/O.
//!
//! Nothing below this module reads a file, runs a process, asks the clock or
//! prints. It cannot fail for outside reasons, so it answers with findings
//! rather than errors; only parsing what somebody wrote returns `Err`.

#![deny(
    clippy::wildcard_enum_match_arm,
    clippy::match_wildcard_for_single_variants,
    reason = "a new variant must be met by a decision, not by a default"
)]

pub mod approval;
pub mod attribution;
pub mod audit;
pub mod blame;
pub mod change;
pub mod connect;
pub mod coverage;
pub mod debt;
pub mod diff;
pub mod disclosure;
pub mod evidence;
pub mod examples;
pub mod exchange;
pub mod explain;
pub mod judge;
pub mod junit;
pub mod language;
pub mod matching;
pub mod mutation;
pub mod narrow;
pub mod obligation;
pub mod order;
pub mod packages;
pub mod policy;
pub mod preview;
pub mod proof;
pub mod proposal;
pub mod record;
pub mod recorded;
pub mod requirement;
pub mod review;
pub mod run;
pub mod shared_modules;
pub mod signal;
pub mod similarity;
pub mod sqlite;
pub mod time;
pub mod told;
pub mod trace;
pub mod trail;
pub mod trailer;
pub mod verdict;
pub mod weakening;
mod xml;
pub mod zstd;
