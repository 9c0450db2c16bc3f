//! Which backups are kept, and why: decisions of `gc`, and what both `gc` and `schedule` ask about restores. Pure.

pub mod chain;
pub mod fate;
pub mod restoring;
pub mod rules;
