//! The built binary, run as scripts and the operator run it: real files, pipes, signals and TLS.
//!
//! Tags: `MDn` is deviation n of mover.md §4.8, `BDn` fault n of behaviour-backup §17 that we do
//! not copy, `case_n` acceptance case n of mover.md §12.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; clippy.toml covers only functions marked #[test]"
)]

mod additions;
mod agent;
mod api_server;
mod bench;
mod clean_up;
mod codecs;
mod copies;
mod dedup;
mod dedup_crash;
mod drop_in;
mod durability;
mod encryption;
mod golden;
mod listing;
mod producers;
mod reports;
mod resumed;
mod run_mode;
mod run_result;
mod transcripts;
