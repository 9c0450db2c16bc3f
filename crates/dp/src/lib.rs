//! The data protection operator: backups, repositories, restores and populated claims.
//!
//! One folder per controller; in each `plan`, `build`, `status` are pure, `observe` and `apply` do
//! the I/O. Nothing here imports the apps operator.
pub mod access;
pub mod account;
pub mod action;
pub mod actionset;
pub mod args;
pub mod awaited;
pub mod backup;
pub mod cluster;
pub mod cluster_backup;
pub mod context;
pub mod error;
pub mod gc;
mod kind;
pub mod kubectl;
pub mod metrics;
pub mod policy;
pub mod policy_driver;
pub mod populate;
pub mod provider;
pub mod reasons;
pub mod repo;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod template;
pub mod turn;
pub mod wiring;
