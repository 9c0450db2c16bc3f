//! The built binary against real S3 servers.
//!
//! Tags: `MDn` is deviation n of mover.md §4.8, `case_n` acceptance case n of mover.md §12.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; clippy.toml covers only functions marked #[test]"
)]

mod boundary;
mod contract;
mod dedup;
mod dialects;
mod durability;
mod encrypted;
mod faults;
mod large;
mod locks;
mod partial;
mod requests;
mod transcript;
