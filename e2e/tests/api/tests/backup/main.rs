//! Backups: what their status says, the Jobs they run as, what they wait for, what fails them and how
//! they are deleted.

mod deletion;
mod failures;
mod golden;
mod happy;
mod waits;
