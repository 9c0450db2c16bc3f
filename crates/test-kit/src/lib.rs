//! What tests of Holdfast stand on: a real API server, the process under test, a fake kubelet, a fake provisioner, a
//! proxy that crashes at a chosen write, and builders.
//!
//! | want | take |
//! |---|---|
//! | etcd + kube-apiserver + kube-controller-manager, in about four seconds | [`ApiServer`] |
//! | an operator as a process: start, SIGKILL, restart, log | [`Operator`] |
//! | pods of real Jobs run and end as planned, without a kubelet | [`FakeExecutor`] |
//! | claims get volumes, released volumes go | [`Provisioner`] |
//! | a named write is lost, refused or delayed, or its reply is; a watch stands still, ends, or loses its history | [`CrashProxy`] |
//! | wait for something, or prove that nothing happens | [`wait`] |
//! | objects to begin with | [`builders`] |
//! | data beside the workspace that may be missing | [`shared_dir`], [`skip_without_shared`] |
//!
//! Functions of this crate panic on failure, with what they waited for and what they last saw: a test has nothing
//! better to do with an error. Nothing here outlives the test process, not even when it is killed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test crate: a panic with a sentence is its way to fail a test"
)]

pub mod api_server;
pub mod builders;
pub mod clock;
pub mod crash_proxy;
pub mod executor;
mod mirror;
pub mod operator;
pub mod process;
pub mod provisioner;
mod shared;
pub mod wait;

pub use api_server::{ApiServer, Component};
pub use crash_proxy::{CrashProxy, Fault, Identity, JournalEntry, Key};
pub use executor::{FakeExecutor, Outcome};
pub use operator::Operator;
pub use provisioner::Provisioner;
pub use shared::{shared_dir, shared_file, skip_without_shared};
