//! Clusters: what they are made of, how they change, and how they are restored by handing their claims to the data
//! protection operator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod accounts;
mod create;
mod restore;
mod waits;
