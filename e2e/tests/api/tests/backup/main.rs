//! Backups on the real API server.

mod continuous;
mod corpus;
mod deletion;
mod failures;
mod gate;
mod golden;
mod happy;
mod hooks;
mod inputs;
mod lineage;
mod snapshots;
mod waits;
