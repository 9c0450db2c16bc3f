//! How large parts are and how many may be in memory (mover.md §4.2.5 and 6).
//!
//! Enters: the wish of configuration and flags, and the memory limit of our cgroup. Leaves: a
//! [`Plan`]. The bound on memory is kept by having fewer parts on their way when parts are large.

use std::fs;

use crate::tuning::{MAX_PART, MIN_PART, Tuning};

/// Parts, when nobody says otherwise.
const PART: u64 = 8 << 20;
/// Templates ask for 50 MiB, which the reference's library needs; we start smaller and grow.
const LARGEST_FIRST_PART: u64 = 16 << 20;
const PARALLEL: usize = 4;
/// What buffers may take of the 128 MiB that a push may use.
const BUFFERS: u64 = 104 << 20;
/// Parts after which their size doubles: 10,000 parts then hold more than 5 TiB.
const STEP: u32 = 1000;
/// Parts that one upload can have.
pub const MAX_PARTS: u32 = 10_000;

/// Sizes and numbers of one transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    first_part: u64,
    parallel: usize,
    buffers: u64,
}

impl Plan {
    /// The plan under the limit of this process.
    pub fn new(chunk_size: Option<u64>, tuning: &Tuning) -> Self {
        Self::within(memory_limit(), chunk_size, tuning)
    }

    fn within(limit: Option<u64>, chunk_size: Option<u64>, tuning: &Tuning) -> Self {
        let buffers = limit.map_or(BUFFERS, |limit| (limit / 2).min(BUFFERS));
        let wished = tuning.part_size.unwrap_or_else(|| chunk_size.unwrap_or(PART).min(LARGEST_FIRST_PART));
        let parallel = tuning.parallel.unwrap_or(PARALLEL);
        // Room for the parts on their way and the one being filled.
        let roomy = if tuning.part_size.is_some() { wished } else { wished.min(buffers / (parallel as u64 + 1)) };
        Self { first_part: roomy.clamp(MIN_PART, MAX_PART), parallel, buffers }
    }

    /// Size of a part, from 1.
    pub fn part(&self, number: u32) -> u64 {
        let doublings = number.saturating_sub(1) / STEP;
        self.first_part.saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(MAX_PART)
    }

    /// How many parts of this size may be on their way while one more is filled; 0: not even one.
    pub fn in_flight(&self, part: u64) -> usize {
        let fit = usize::try_from(self.buffers / part.max(1)).unwrap_or(usize::MAX);
        let least = if part <= MIN_PART { 2 } else { 0 };
        fit.saturating_sub(1).clamp(least, self.parallel.max(least))
    }

    /// How many connections a download reads from.
    pub fn window(&self) -> usize {
        usize::try_from(self.buffers / (2 * PART)).unwrap_or(1).clamp(1, self.parallel)
    }
}

/// The memory limit of our cgroup, of either version.
fn memory_limit() -> Option<u64> {
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MI: u64 = 1 << 20;

    #[test]
    fn parts_grow_and_memory_does_not() {
        let default = Plan::within(None, None, &Tuning::default());
        assert_eq!((default.part(1), default.part(1000), default.part(1001)), (8 * MI, 8 * MI, 16 * MI));
        assert_eq!(default.in_flight(8 * MI), 4);
        let all: u64 = (1..=MAX_PARTS).map(|number| default.part(number)).sum();
        assert!(all > 5 << 40);
        // Up to 120 GiB, nothing is above the bound.
        for number in 1..=4000 {
            let part = default.part(number);
            assert!((default.in_flight(part) as u64 + 1) * part <= BUFFERS, "part {number}");
        }
        assert_eq!(default.in_flight(64 * MI), 0);
    }

    #[test]
    fn wishes_and_limits_are_met() {
        let of = |limit, chunk, tuning: &Tuning| {
            let plan = Plan::within(limit, chunk, tuning);
            (plan.part(1) / MI, plan.in_flight(plan.part(1)), plan.window())
        };
        let default = Tuning::default();
        assert_eq!(of(None, Some(50 * MI), &default), (16, 4, 4));
        assert_eq!(of(Some(160 * MI), Some(50 * MI), &default), (16, 4, 4));
        assert_eq!(of(Some(64 * MI), Some(50 * MI), &default), (6, 4, 2));
        assert_eq!(of(Some(20 * MI), None, &default), (5, 2, 1));
        let explicit = Tuning { part_size: Some(50 * MI), parallel: Some(8), ..Tuning::default() };
        assert_eq!(of(None, None, &explicit), (50, 1, 6));
    }
}
