//! Pauses between tries of a call that must succeed in the end and that no queue repeats.

use std::time::Duration;

/// Pauses that double up to a longest one.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The one that comes.
    pub upcoming: Duration,
    longest: Duration,
}

impl Pauses {
    /// The first one, and the longest.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Pauses { upcoming: first, longest }
    }

    /// Pauses; the next time twice as long.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.upcoming).await;
        self.upcoming = self.upcoming.saturating_mul(2).min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn they_double_up_to_the_longest() {
        let mut pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(3));
        let mut seen = Vec::new();
        for _ in 0..4 {
            let begun = tokio::time::Instant::now();
            pauses.wait().await;
            seen.push(begun.elapsed().as_secs());
        }
        assert_eq!(seen, [1, 2, 3, 3]);
    }
}
