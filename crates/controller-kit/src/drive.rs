//! Runs the reconciles of one controller: keys from its queue, a bounded number at once, backoff
//! by the class of the error.

use crate::Key;
use crate::error::{Class, Failure, chain};
use crate::metrics::{Metrics, Reconcile};
use crate::queue::Queue;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A net for lost events, not a way to notice things: every wait has a wake-up source.
const RESYNC: Duration = Duration::from_secs(600);
/// How long a forbidden call waits: rights are mended without touching the object.
const FORBIDDEN: Duration = Duration::from_secs(30);

/// When to look at an object again without being woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// At the next event; the resync is a net.
    OnEvent,
    /// After this time at the latest.
    After(Duration),
}

/// One controller of a process.
pub struct Driver {
    /// Its name, as its folder is named.
    pub name: &'static str,
    /// Its queue.
    pub queue: Arc<Queue>,
    /// How many objects are looked at at once.
    pub workers: usize,
    /// Metrics of the process.
    pub metrics: Metrics,
}

impl Driver {
    /// Runs until `stop`; what is running then is finished.
    pub async fn run<R, F, E>(self, reconcile: R, stop: CancellationToken)
    where
        R: Fn(Key) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Again, E>> + Send + 'static,
        E: Failure + Send + 'static,
    {
        let mut running: JoinSet<Key> = JoinSet::new();
        loop {
            while let Some(ended) = running.try_join_next() {
                note_panic(self.name, ended.err());
            }
            tokio::select! {
                () = stop.cancelled() => break,
                ended = running.join_next(), if running.len() >= self.workers => {
                    note_panic(self.name, ended.and_then(Result::err));
                }
                key = self.queue.take(), if running.len() < self.workers => {
                    let guard = Done { queue: Arc::clone(&self.queue), key: key.clone(), again: None };
                    let task = self.task(key, guard, reconcile.clone());
                    running.spawn(task);
                }
            }
        }
        while let Some(ended) = running.join_next().await {
            note_panic(self.name, ended.err());
        }
    }

    fn task<R, F, E>(&self, key: Key, guard: Done, reconcile: R) -> impl Future<Output = Key> + Send + 'static
    where
        R: Fn(Key) -> F + Send + 'static,
        F: Future<Output = Result<Again, E>> + Send + 'static,
        E: Failure + Send + 'static,
    {
        let (name, queue, metrics) = (self.name, Arc::clone(&self.queue), self.metrics.clone());
        async move {
            let mut guard = guard; // the whole guard, so that it is dropped with this task
            let start = Instant::now();
            let result = reconcile(key.clone()).await;
            let label = match &result {
                Ok(_) => "ok",
                Err(error) => error.reason(),
            };
            metrics
                .reconcile
                .get_or_create(&Reconcile { controller: name, result: label })
                .observe(start.elapsed().as_secs_f64());
            guard.again = Some(next_look(name, &queue, &key, result));
            key
        }
    }
}

fn next_look<E: Failure>(name: &str, queue: &Queue, key: &Key, result: Result<Again, E>) -> Duration {
    match result {
        Ok(again) => {
            queue.succeeded(key);
            match again {
                Again::OnEvent => resync(key),
                Again::After(delay) => delay,
            }
        }
        Err(error) if error.is_conflict() => {
            tracing::debug!(controller = name, object = %key, "conflict: {}", chain(&error));
            queue.failed(key).min(Duration::from_millis(500))
        }
        Err(error) => {
            let delay = queue.failed(key);
            tracing::warn!(controller = name, object = %key, reason = error.reason(), "{}", chain(&error));
            match error.class() {
                Class::Terminal | Class::Wait => resync(key),
                Class::Transient if error.reason() == "ApiForbidden" => delay.max(FORBIDDEN),
                Class::Transient => delay,
            }
        }
    }
}

/// Ten minutes, less up to a fifth by name, so that objects do not come all at once.
fn resync(key: &Key) -> Duration {
    let spread = key.name.bytes().fold(0u32, |a, b| (a.wrapping_mul(31) + u32::from(b)) % 20);
    RESYNC - RESYNC * spread / 100
}

/// Gives the key back to the queue, also when the reconcile panicked.
struct Done {
    queue: Arc<Queue>,
    key: Key,
    again: Option<Duration>,
}

impl Drop for Done {
    fn drop(&mut self) {
        let delay = self.again.unwrap_or_else(|| self.queue.failed(&self.key));
        self.queue.done(&self.key);
        self.queue.add_after(self.key.clone(), delay);
    }
}

fn note_panic(controller: &str, error: Option<tokio::task::JoinError>) {
    if let Some(error) = error {
        tracing::error!(controller, "a reconcile panicked: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ApiError;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_panicking_reconcile_neither_ends_the_driver_nor_loses_its_key() {
        let queue = Arc::new(Queue::default());
        let runs = Arc::new(AtomicU32::new(0));
        let driver =
            Driver { name: "test", queue: Arc::clone(&queue), workers: 2, metrics: Metrics::new("test", |_| {}) };
        queue.add(Key::new("", "a"));
        let stop = CancellationToken::new();
        let (count, end) = (Arc::clone(&runs), stop.clone());
        driver
            .run(
                move |_| {
                    let (count, end) = (Arc::clone(&count), end.clone());
                    async move {
                        assert_ne!(count.fetch_add(1, Ordering::Relaxed), 0, "the first look panics");
                        end.cancel();
                        Ok::<_, ApiError>(Again::OnEvent)
                    }
                },
                stop,
            )
            .await;
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }
}
