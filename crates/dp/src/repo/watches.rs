//! Wakes a repository when a Secret that it names changes (behaviour-backup D15): one watch for each such Secret, of its
//! metadata alone. Needs the right to watch, not to list.

use controller_kit::Key;
use controller_kit::queue::Queue;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// Seconds after which the server ends a watch; another follows. The client allows less than 295.
const LASTS: u32 = 290;
/// Pauses after a watch that could not be made.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

type Place = (String, String);

struct Watch {
    repos: BTreeSet<Key>,
    task: AbortHandle,
}

/// Watches of one controller.
#[derive(Clone)]
pub struct Watches {
    client: Client,
    queue: Arc<Queue>,
    stop: CancellationToken,
    running: Arc<Mutex<HashMap<Place, Watch>>>,
}

impl Watches {
    /// Changes end in a look at a key of `queue`.
    pub fn new(client: Client, queue: Arc<Queue>, stop: CancellationToken) -> Self {
        Watches { client, queue, stop, running: Arc::default() }
    }

    /// From now on, changes of exactly these Secrets wake the repository.
    pub fn follow(&self, repo: &Key, secrets: &[Place]) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|place, watch| {
            if !secrets.contains(place) {
                watch.repos.remove(repo);
            }
            if watch.repos.is_empty() {
                watch.task.abort();
            }
            !watch.repos.is_empty()
        });
        for place in secrets {
            let start = || Watch { repos: BTreeSet::new(), task: self.start(place.clone()) };
            running.entry(place.clone()).or_insert_with(start).repos.insert(repo.clone());
        }
    }

    fn start(&self, place: Place) -> AbortHandle {
        let of = self.clone();
        let stop = self.stop.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = of.watch(place) => {}
            }
        });
        task.abort_handle()
    }

    /// Each watch begins with the Secret as it is; only a version that was not seen before is news.
    async fn watch(&self, place: Place) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &place.0);
        let params = WatchParams::default().fields(&format!("metadata.name={}", place.1)).timeout(LASTS);
        let mut seen: Option<Option<String>> = None;
        let mut pause = PAUSES.0;
        loop {
            match api.watch_metadata(&params, "0").await {
                Ok(events) => {
                    let mut events = std::pin::pin!(events);
                    while let Some(Ok(event)) = events.next().await {
                        let version = match event {
                            WatchEvent::Added(secret) | WatchEvent::Modified(secret) => secret.resource_version(),
                            WatchEvent::Deleted(_) => None,
                            WatchEvent::Bookmark(_) => continue,
                            WatchEvent::Error(_) => break,
                        };
                        pause = PAUSES.0;
                        if seen.as_ref() != Some(&version) {
                            seen = Some(version);
                            self.wake(&place);
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(secret = place.1, "watch: {}", controller_kit::error::chain(&error));
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn wake(&self, place: &Place) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for repo in running.get(place).iter().flat_map(|w| &w.repos) {
            self.queue.add(repo.clone());
        }
    }
}
