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

/// Notes all deletions since `version` in these namespaces, all when empty; ends when the history is told.
pub async fn replay(writer: Writer, namespaces: Vec<String>, version: String, departures: Departures, wake: impl Fn()) {
    let client = writer.client();
    let apis: Vec<Api<Cluster>> = if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|ns| Api::namespaced(client.clone(), ns)).collect()
    };
    for api in apis {
        let params = WatchParams::default().timeout(OPEN).disable_bookmarks();
        let mut events = match api.watch(&params, &version).await {
            Ok(events) => events.boxed(),
            // No such kind, or history that has expired.
            Err(error) => {
                tracing::debug!("no history of Clusters: {}", chain(&error));
                continue;
            }
        };
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Deleted(cluster)) => {
                    tracing::info!(cluster = cluster.name_any(), "was deleted while nobody watched");
                    departures.note(&cluster, clock::now());
                    wake();
                }
                Ok(WatchEvent::Error(status)) => {
                    tracing::info!("no history of Clusters: {}", status.message);
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!("history of Clusters: {}", chain(&error));
                    break;
                }
            }
        }
    }
}
