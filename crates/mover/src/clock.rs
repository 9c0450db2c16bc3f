//! The only place of the mover that reads the wall clock.

use std::time::SystemTime;

/// Now; used to tell stale temporary files from live ones.
#[allow(clippy::disallowed_methods, reason = "the one reader of the clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}
