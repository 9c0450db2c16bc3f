//! Deletions of Clusters while no leader was there, as far as the API server still tells of them.
//!
//! The leader lease is written every few seconds, and its resourceVersion is a moment in the history of the whole store.
//! A watch of Clusters from there tells of every deletion since, with the Cluster's last state. Where that history has
//! expired (some minutes), nothing is known, and backups stay.

use super::departures::Departures;
use crate::cluster::Cluster;
use controller_kit::clock;
use controller_kit::error::chain;
use controller_kit::writes::Writer;
use futures::StreamExt;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, ResourceExt};

/// Seconds each such watch is kept open; what is in the history comes at once.
const OPEN: u32 = 20;

/// Notes all deletions since `version` in these namespaces, all when empty; ends when the history is told, or is known to
/// be lost. Whatever else goes wrong is tried again: nobody tells of them a second time.
pub async fn replay(writer: Writer, namespaces: Vec<String>, version: String, departures: Departures, wake: impl Fn()) {
    let client = writer.client();
    let apis: Vec<Api<Cluster>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|ns| Api::namespaced(client.clone(), ns)).collect()
    };
    for api in apis {
        let (mut since, mut pauses) = (version.clone(), super::pauses());
        while let Err(error) = told(&api, &mut since, &departures, &wake).await {
            if is_lost(&error) {
                tracing::info!("no history of Clusters: {}", chain(&error));
                break;
            }
            tracing::warn!("history of Clusters, tried again in {:?}: {}", pauses.upcoming, chain(&error));
            pauses.wait().await;
        }
    }
}

/// One watch from `since`, which follows what was seen, to its end.
async fn told(
    api: &Api<Cluster>,
    since: &mut String,
    departures: &Departures,
    wake: &impl Fn(),
) -> Result<(), kube::Error> {
    let params = WatchParams::default().timeout(OPEN).disable_bookmarks();
    let mut events = api.watch(&params, since).await?.boxed();
    while let Some(event) = events.next().await {
        let cluster = match event? {
            WatchEvent::Deleted(cluster) => {
                tracing::info!(cluster = cluster.name_any(), "was deleted while nobody watched");
                departures.note(&cluster, clock::now());
                wake();
                cluster
            }
            WatchEvent::Added(cluster) | WatchEvent::Modified(cluster) => cluster,
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        };
        *since = cluster.resource_version().unwrap_or_else(|| since.clone());
    }
    Ok(())
}

/// The kind is not served, may not be watched, or its history has expired.
fn is_lost(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if [403, 404, 410].contains(&status.code))
}
