//! The apps operator: Clusters, Components, InstanceSets, and the restore intent on its way down and up.
//!
//! One folder per controller; in each `plan`, `build`, `status` are pure, `observe` and `apply` do the I/O. Nothing
//! here imports the data protection operator: the two meet in fields, labels, annotations and conditions of claims.
pub mod access;
pub mod args;
pub mod cluster;
pub mod component;
pub mod context;
pub mod definition;
pub mod desired;
pub mod error;
pub mod instanceset;
pub mod ops;
pub mod restore;
pub mod unserved;
pub mod wiring;
