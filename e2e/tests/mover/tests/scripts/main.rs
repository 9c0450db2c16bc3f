//! case_25: the unmodified scripts of ActionSets, with the mover where they expect it and stubs for
//! the programs of databases; and case_21: the configurations that StorageProviders render.
//!
//! The scripts are data outside of this repository; what they must leave behind is stated here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; clippy.toml covers only functions marked #[test]"
)]

mod any_host;
mod corpus;
mod documents;
mod mysql;
mod pod;
mod providers;
mod redis;
mod relational;
