//! The pods that run ActionSets: env contract, mover, identity. Pure but for `worker`.
pub mod env;
pub mod exec;
pub mod go_time;
pub mod image;
pub mod mover;
pub mod parameters;
pub mod placement;
pub mod pod;
pub mod schema;
pub mod worker;
