//! A queue of object keys: each at most once waiting and once running, delayed keys, and a failure
//! count per key for exponential backoff.

use crate::Key;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Shortest backoff after a failure.
const BACKOFF_FLOOR: Duration = Duration::from_millis(200);
/// Longest backoff after many failures.
const BACKOFF_CEILING: Duration = Duration::from_secs(60);

/// What a key has failed since its last success.
struct Failures {
    count: u32,
    /// When the next try is due.
    due: Instant,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    waiting: HashSet<Key>,
    running: HashSet<Key>,
    delayed: BTreeMap<(Instant, u64), Key>,
    due: HashMap<Key, (Instant, u64)>,
    failures: HashMap<Key, Failures>,
    sequence: u64,
}

/// Keys to look at. Cheap to share behind an `Arc`.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a look at `key` as soon as possible. While it runs, it is looked at once more after.
    pub fn add(&self, key: Key) {
        let mut s = self.state();
        s.forget_delay(&key);
        if s.waiting.insert(key.clone()) && !s.running.contains(&key) {
            s.ready.push_back(key);
            drop(s);
            self.wake.notify_one();
        }
    }

    /// Asks for a look at `key`, where there is one.
    pub fn add_some(&self, key: Option<Key>) {
        if let Some(key) = key {
            self.add(key);
        }
    }

    /// Asks for a look at each of these objects.
    pub fn add_all<K: kube::Resource>(&self, objects: &[Arc<K>]) {
        for object in objects {
            self.add(Key::of(object.as_ref()));
        }
    }

    /// Asks for a look at `key` after `delay`; an earlier appointment stays.
    pub fn add_after(&self, key: Key, delay: Duration) {
        let at = Instant::now() + delay;
        let mut s = self.state();
        if s.waiting.contains(&key) || s.due.get(&key).is_some_and(|(old, _)| *old <= at) {
            return;
        }
        s.forget_delay(&key);
        s.sequence += 1;
        let slot = (at, s.sequence);
        s.due.insert(key.clone(), slot);
        s.delayed.insert(slot, key);
        drop(s);
        self.wake.notify_one();
    }

    /// The next key; it counts as running until [`Queue::done`].
    pub async fn take(&self) -> Key {
        loop {
            let notified = self.wake.notified();
            let next_due = {
                let mut s = self.state();
                s.promote_due(Instant::now());
                if let Some(key) = s.ready.pop_front() {
                    s.waiting.remove(&key);
                    s.running.insert(key.clone());
                    if !s.ready.is_empty() {
                        self.wake.notify_one();
                    }
                    return key;
                }
                s.delayed.keys().next().map(|(at, _)| *at)
            };
            match next_due {
                None => notified.await,
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, notified).await;
                }
            }
        }
    }

    /// `key` was looked at; what was added meanwhile becomes ready.
    pub fn done(&self, key: &Key) {
        let mut s = self.state();
        s.running.remove(key);
        if s.waiting.contains(key) {
            s.ready.push_back(key.clone());
            drop(s);
            self.wake.notify_one();
        }
    }

    /// Forgets the failures of `key`.
    pub fn succeeded(&self, key: &Key) {
        self.state().failures.remove(key);
    }

    /// Counts a failure of `key` and gives the delay before the next try: doubling, from 200 ms to
    /// one minute, less up to a quarter so that keys that failed together do not return together.
    /// A look that an event caused before that try was due does not put it off: many events about
    /// the others would leave the one that fails behind for a minute.
    pub fn failed(&self, key: &Key) -> Duration {
        let now = Instant::now();
        let mut s = self.state();
        let failures = s.failures.entry(key.clone()).or_insert(Failures { count: 0, due: now });
        if failures.due > now {
            return failures.due - now;
        }
        failures.count = failures.count.saturating_add(1);
        let full = BACKOFF_FLOOR.saturating_mul(1 << (failures.count - 1).min(12)).min(BACKOFF_CEILING);
        let spread = u32::try_from(key.name.bytes().map(u64::from).sum::<u64>() % 25).unwrap_or(0);
        let delay = full - full * spread / 100;
        failures.due = now + delay;
        delay
    }

    /// How many keys are ready or running, and how many wait for their time.
    pub fn depth(&self) -> (usize, usize) {
        let s = self.state();
        (s.ready.len() + s.running.len(), s.delayed.len())
    }
}

impl State {
    fn forget_delay(&mut self, key: &Key) {
        if let Some(slot) = self.due.remove(key) {
            self.delayed.remove(&slot);
        }
    }

    fn promote_due(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.due.remove(&key);
            if self.waiting.insert(key.clone()) && !self.running.contains(&key) {
                self.ready.push_back(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[tokio::test]
    async fn a_key_waits_once_and_runs_once_at_a_time() {
        let q = Queue::default();
        q.add(key("a"));
        q.add(key("a"));
        q.add(key("b"));
        assert_eq!(q.take().await, key("a"));
        q.add(key("a"));
        assert_eq!(q.take().await, key("b"));
        assert_eq!(q.depth(), (2, 0));
        q.done(&key("a"));
        assert_eq!(q.take().await, key("a"), "what came meanwhile is not lost");
        q.done(&key("a"));
        q.done(&key("b"));
        assert_eq!(q.depth(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_keys_come_in_time_order_and_an_earlier_date_wins() {
        let q = Queue::default();
        q.add_after(key("late"), Duration::from_secs(60));
        q.add_after(key("soon"), Duration::from_secs(1));
        q.add_after(key("late"), Duration::from_secs(2));
        q.add_after(key("late"), Duration::from_secs(90));
        let start = Instant::now();
        assert_eq!(q.take().await, key("soon"));
        assert_eq!(q.take().await, key("late"));
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_doubles_to_its_ceiling_and_is_forgotten_on_success() {
        let q = Queue::default();
        let first = q.failed(&key("a"));
        let mut last = first;
        for _ in 0..20 {
            tokio::time::advance(last).await;
            last = q.failed(&key("a"));
        }
        assert!(first <= BACKOFF_FLOOR && last <= BACKOFF_CEILING && last > Duration::from_secs(40));
        q.succeeded(&key("a"));
        assert_eq!(q.failed(&key("a")), first);
    }

    #[tokio::test(start_paused = true)]
    async fn events_do_not_put_the_next_try_off() {
        let q = Queue::default();
        let first = q.failed(&key("a"));
        for _ in 0..10 {
            assert_eq!(q.failed(&key("a")), first, "it is due when it was");
        }
        tokio::time::advance(first / 2).await;
        assert_eq!(q.failed(&key("a")), first - first / 2);
        tokio::time::advance(first).await;
        assert!(q.failed(&key("a")) > first, "then it counts");
    }
}
