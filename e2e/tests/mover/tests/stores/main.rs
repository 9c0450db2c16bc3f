//! The mover against real servers of the second tier.
//!
//! Tags: `MDn` is deviation n of mover.md §4.8, `case_n` acceptance case n of its §12.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on panics; clippy.toml covers only functions marked #[test]"
)]

mod flat;
mod hierarchical;
mod refused;
