//! What a Cluster's deletion means for its Backups (behaviour-backup §10.1), without a finalizer on Clusters (its D32).
//!
//! In: deletions of Clusters, seen by the watch or in the history since the last leader ([`replay`]). Out: the deletion of
//! the Backups that go with them. Nothing is ever concluded from a Cluster that is merely absent; before anything is
//! deleted, the server is asked once more, past the caches, whether this Cluster is gone and its kind is not.

pub mod departures;
pub mod observe;
pub mod plan;
pub mod record;
pub mod replay;

use crate::context::Context;
use crate::error::Error;
use api_types::contract::events as event_reasons;
use api_types::dp::Backup;
use controller_kit::drive::Again;
use controller_kit::events::Events;
use controller_kit::pauses::Pauses;
use controller_kit::writes::Writer;
use controller_kit::{Key, clock};
use departures::Departures;
use kube::ResourceExt;
use plan::Verdict;
use std::sync::Arc;
use std::time::Duration;

/// What it works with.
#[derive(Clone)]
pub struct Hands {
    /// Reads and deletes.
    pub writer: Writer,
    /// Events on the Backups.
    pub events: Events,
    /// What is not done yet.
    pub record: record::Record,
}

/// Between tries of what nobody tells a second time.
fn pauses() -> Pauses {
    Pauses::new(Duration::from_millis(250), Duration::from_secs(15))
}

/// One look at one departed Cluster: the key's name is its UID.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: Hands) -> Result<Again, Error> {
    let departures = &context.stores.departures;
    let Some(departure) = departures.get(&key.name) else {
        return Ok(Again::OnEvent);
    };
    let going = context.stores.backups.select_in(&departure.namespace, |backup| plan::goes(&departure, backup));
    if going.is_empty() {
        departures.set_pending(&key.name, false);
        hands.record.keep(departures, &hands.writer).await?;
        if Departures::is_over(&departure, clock::now()) {
            departures.forget(&key.name);
        }
        return Ok(Again::OnEvent);
    }
    let proof = observe::observe(&departure, &hands.writer).await?;
    let verdict = plan::verdict(&departure, &proof);
    if verdict != Verdict::Deleted {
        tracing::warn!(cluster = departure.name, ?verdict, backups = going.len(), "its backups stay");
        departures.forget(&key.name);
        hands.record.keep(departures, &hands.writer).await?;
        return Ok(Again::OnEvent);
    }
    departures.set_pending(&key.name, true);
    hands.record.keep(departures, &hands.writer).await?;
    let api = hands.writer.namespaced::<Backup>(&departure.namespace);
    let mut failed = Ok(());
    for backup in going {
        // As it was judged: a Backup that changed is judged again.
        match hands.writer.delete_as_seen(&api, backup.as_ref()).await {
            Ok(()) => {
                let note =
                    format!("Cluster {} was deleted with terminationPolicy {:?}", departure.name, departure.policy);
                tracing::info!(backup = backup.name_any(), "{note}");
                hands.events.normal(backup.as_ref(), event_reasons::backup::CLUSTER_DELETED, &note).await;
            }
            Err(error) => failed = Err(error.into()),
        }
    }
    failed.map(|()| Again::OnEvent)
}
