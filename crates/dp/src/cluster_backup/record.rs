//! Departed Clusters whose Backups are still to be deleted, kept on the leader lease until they are.
//!
//! The event that told of a Cluster's end comes once. Before the first Backup is deleted it is written down here, so that
//! whoever leads next goes on.

use super::departures::{Departure, Departures};
use crate::cluster::TerminationPolicy;
use crate::error::Error;
use api_types::contract::annotations::DEPARTED_CLUSTERS;
use controller_kit::clock;
use controller_kit::error::chain;
use controller_kit::writes::Writer;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Most entries; an annotation has its limits, and so many at once are a namespace being emptied.
const MOST: usize = 1000;

/// Where the record is.
#[derive(Clone)]
pub struct Record {
    namespace: String,
    lease: String,
    /// What was written last; one write at a time.
    written: Arc<Mutex<Option<String>>>,
}

/// What the last leader left.
#[derive(Clone, Debug, Default)]
pub struct Legacy {
    /// A moment in the history of the store at which it led.
    pub version: Option<String>,
    /// What it had not finished.
    pub pending: Vec<Departure>,
}

impl Record {
    /// The record on that lease.
    pub fn new(namespace: &str, lease: &str) -> Self {
        Record { namespace: namespace.into(), lease: lease.into(), written: Arc::default() }
    }

    /// Reads it, before this process takes the lease and with that moves its version. An answer that fails is asked for
    /// again: without the lease this process could not lead either.
    pub async fn read(&self, writer: &Writer) -> Legacy {
        let mut pauses = super::pauses();
        loop {
            match writer.find(&writer.namespaced::<Lease>(&self.namespace), &self.lease).await {
                Ok(None) => return Legacy::default(),
                Ok(Some(lease)) => {
                    let text = lease.annotations().get(DEPARTED_CLUSTERS).cloned();
                    let pending = text.as_deref().map(decode).unwrap_or_default();
                    *self.written.lock().await = text;
                    return Legacy { version: lease.resource_version(), pending };
                }
                Err(error) if error.code() == Some(403) => {
                    tracing::warn!("what happened to Clusters before is not known: {}", chain(&error));
                    return Legacy::default();
                }
                Err(error) => {
                    tracing::warn!("the leader lease, tried again in {:?}: {}", pauses.upcoming, chain(&error));
                    pauses.wait().await;
                }
            }
        }
    }

    /// Writes down what is pending now, if that is news.
    pub async fn keep(&self, departures: &Departures, writer: &Writer) -> Result<(), Error> {
        let mut written = self.written.lock().await;
        let text = encode(&departures.pending());
        if *written == text {
            return Ok(());
        }
        let body = json!({"metadata": {"annotations": {DEPARTED_CLUSTERS: text}}});
        writer.merge(&writer.namespaced::<Lease>(&self.namespace), &self.lease, &body).await?;
        *written = text;
        Ok(())
    }
}

fn encode(pending: &[Departure]) -> Option<String> {
    let mut pending: Vec<&Departure> = pending.iter().collect();
    pending.sort_by(|a, b| (a.seen, &a.uid).cmp(&(b.seen, &b.uid)));
    let entry = |d: &&Departure| {
        json!({
            "namespace": d.namespace, "name": d.name, "uid": d.uid, "made": d.made.to_string(),
            "wipeOut": d.policy == TerminationPolicy::WipeOut,
        })
    };
    let entries: Vec<Value> = pending.iter().take(MOST).map(entry).collect();
    (!entries.is_empty()).then(|| Value::from(entries).to_string())
}

/// What can be read of it; an entry that can not is none.
fn decode(text: &str) -> Vec<Departure> {
    let entries: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let departure = |entry: &Value| {
        let wipe_out = entry.get("wipeOut")?.as_bool()?;
        Some(Departure {
            namespace: text(entry, "namespace")?,
            name: text(entry, "name")?,
            uid: text(entry, "uid")?,
            made: text(entry, "made")?.parse().ok()?,
            policy: if wipe_out { TerminationPolicy::WipeOut } else { TerminationPolicy::Delete },
            seen: clock::now(),
        })
    };
    entries.iter().filter_map(departure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_again_and_nothing_is_made_of_what_is_damaged() {
        let departure = Departure {
            namespace: "n".into(),
            name: "c".into(),
            uid: "u".into(),
            made: jiff::Timestamp::from_second(100).unwrap(),
            policy: TerminationPolicy::WipeOut,
            seen: clock::now(),
        };
        let text = encode(std::slice::from_ref(&departure)).unwrap();
        let again = decode(&text);
        assert_eq!(again.len(), 1);
        assert_eq!((&again[0].uid, again[0].made, again[0].policy), (&departure.uid, departure.made, departure.policy));
        assert_eq!(encode(&[]), None);
        let damaged = ["", "{}", "[1]", &text.replace("wipeOut", "x"), &text.replace("\"uid\":\"u\"", "\"uid\":1")];
        for text in damaged {
            assert!(decode(text).is_empty(), "{text}");
        }
    }
}
