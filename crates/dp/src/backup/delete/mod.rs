//! How a backup goes: what builds on it, its workloads, its snapshots, its files, the object (behaviour-backup §6).

pub mod apply;
pub mod job;
pub mod plan;
pub mod pre_delete;
