//! All tests that stand outside the code, in one crate: one link step, one
//! place for helpers.

#![expect(clippy::disallowed_methods, reason = "tests read files and start processes themselves")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod approve;
mod architecture;
mod attacks;
mod attribution_model;
mod blame;
mod carry;
mod ci;
mod command_line;
mod commit_hooks;
mod coverage;
mod criss_cross;
mod databases;
mod demo;
mod diff_cover;
mod docs;
mod every_agent;
mod fixture;
mod fuzz;
mod gate;
mod git;
mod globs;
mod hook_environment;
mod init;
mod install;
mod ledger;
mod lines;
mod monorepos;
mod moved;
mod mutation;
mod origins;
mod outages;
#[cfg(unix)]
mod pictures;
mod plan_files;
mod policy;
mod pre_commit;
mod pre_push;
mod previews;
mod proofs;
mod real_projects;
mod receiving;
mod record;
mod refs;
mod required_tests;
mod review;
mod runner;
mod scan;
mod scenarios;
mod security_key;
mod server;
mod shop;
mod signals;
mod signature;
mod story;
mod terminal;
mod traces;
mod trailer;
mod trees;
mod waivers;
mod weakened_tests;
mod who_can;
