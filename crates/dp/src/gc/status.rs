//! What Backups say about why they are kept, and when to look again. Pure.

use super::observe::Fates;
use crate::retention::fate::{BY_RESTORE, Fate};
use jiff::Timestamp;
use std::time::Duration;

/// Longest a timer runs before the clock on the wall is asked again: it may have been set, or the machine asleep.
const LONGEST: Duration = Duration::from_secs(3600);

/// Text of `status.keptBecause`.
pub fn kept_because(fate: &Fate) -> Option<&str> {
    match fate {
        Fate::Kept(why) => Some(why),
        _ => None,
    }
}

/// Whether the end of a restore may change something.
pub fn is_held_by_restore(fates: &Fates) -> bool {
    fates.values().filter_map(kept_because).any(|why| why.contains(&format!("{BY_RESTORE}: ")))
}

/// How long until the first of them expires; nothing where none does.
pub fn wait(fates: &Fates, now: Timestamp) -> Option<Duration> {
    let next = fates.values().filter_map(|f| match f {
        Fate::Lives(until) => *until,
        _ => None,
    });
    let left = next.min()?.duration_since(now).as_secs().max(0).unsigned_abs();
    Some(Duration::from_secs(left).min(LONGEST))
}
