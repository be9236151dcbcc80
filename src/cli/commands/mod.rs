//! One file per command: its arguments, one job, its report.

pub mod agents;
pub mod approve;
pub mod audit;
pub mod blame;
pub mod check;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod exchange;
pub mod explain;
pub mod hook;
pub mod init;
pub mod install;
pub mod ledger;
pub mod log;
pub mod man;
pub mod policy;
pub mod preview;
pub mod push;
pub mod record;
pub mod review;
pub mod scan;
pub mod sessions;
mod signing;
mod steps;
pub mod test;
pub mod uninstall;
