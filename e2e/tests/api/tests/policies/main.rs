//! Templates, and the policies and schedules that the driver makes of them, with the kinds of an apps operator installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod corpus;
mod driver;
mod golden;
mod template;
