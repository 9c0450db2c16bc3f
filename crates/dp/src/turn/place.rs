//! What a Backup that waits for its turn is told. Pure.
//!
//! Exact for the first [`EXACT`] of a queue only: each end of a Job moves everybody up by one, and thousands of statuses are
//! not to be written for that. The others know a step that they are behind.

use super::order::{Held, Resource};

/// Places that are told exactly.
pub const EXACT: usize = 10;

/// The message of the condition.
pub fn message(held: &Held) -> String {
    let by = match &held.by {
        Resource::Repo(name) => format!("BackupRepo {name}"),
        Resource::Node(name) => format!("node {name}"),
    };
    let Held { place, of, runs, limit, .. } = held;
    if *place > EXACT {
        return format!("place beyond {} in the queue of {by}", step(*place));
    }
    let of = if *of > EXACT { format!("more than {}", step(*of)) } else { of.to_string() };
    format!("place {place} of {of} in the queue of {by}, which runs {runs} of at most {limit}")
}

/// The largest of 10, 20, 50, 100, 200, 500 … that is smaller.
fn step(number: usize) -> usize {
    let mut found = EXACT;
    let mut ten = EXACT;
    while ten < number {
        found = [ten, 2 * ten, 5 * ten].into_iter().filter(|s| *s < number).max().unwrap_or(found);
        ten = ten.saturating_mul(10);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn held(place: usize, of: usize) -> Held {
        Held { by: Resource::Repo("x".into()), place, of, runs: 2, limit: 2 }
    }

    #[test]
    fn the_first_know_their_place_and_the_others_a_step() {
        let text = |place, of| message(&held(place, of));
        assert_eq!(text(3, 7), "place 3 of 7 in the queue of BackupRepo x, which runs 2 of at most 2");
        assert_eq!(text(10, 11), "place 10 of more than 10 in the queue of BackupRepo x, which runs 2 of at most 2");
        assert_eq!(
            text(1, 10_000),
            "place 1 of more than 5000 in the queue of BackupRepo x, which runs 2 of at most 2"
        );
        let steps: Vec<usize> = [11, 20, 21, 50, 51, 100, 101, 201, 10_000, 10_001].map(step).to_vec();
        assert_eq!(steps, [10, 10, 20, 20, 50, 50, 100, 200, 5000, 10_000]);
        assert_eq!(text(101, 200), "place beyond 100 in the queue of BackupRepo x");
        let node = Held { by: Resource::Node("n".into()), place: 1, of: 1, runs: 1, limit: 1 };
        assert_eq!(message(&node), "place 1 of 1 in the queue of node n, which runs 1 of at most 1");
    }

    #[test]
    fn one_that_moves_up_changes_few_texts() {
        let texts = |of: usize| -> Vec<String> { (1..=of).map(|place| message(&held(place, of))).collect() };
        let (before, after) = (texts(10_000), texts(9_999));
        // Everybody but the first moves up by one.
        let changed = before.iter().skip(1).zip(&after).filter(|(old, new)| old != new).count();
        assert!(changed <= 20, "{changed} of 10,000 are written");
        assert!(before.iter().collect::<HashSet<_>>().len() <= 20);
    }
}
