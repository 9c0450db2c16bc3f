//! Kinds that another operator brings: whether they are served, without asking again and again.
//!
//! In: the name of a CRD. Out: a [`Presence`] that follows one watch of that CRD's metadata. While the CRD is missing the
//! watch is silent, so a kind that is not installed costs nothing.

use crate::error::chain;
use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A CRD of which only the metadata travels: schemas are large.
pub type CrdMeta = PartialObjectMeta<CustomResourceDefinition>;

/// Whether a kind is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nobody has answered yet.
    Unknown,
    /// Its CRD is missing, or on its way out with all its objects.
    Absent,
    /// Its CRD is there; the UID tells it from one that was installed later.
    Present(String),
}

/// Follows the CRD of that name, `<plural>.<group>`, until `stop`.
pub fn follow(client: &Client, name: &str, stop: &CancellationToken) -> watch::Receiver<Presence> {
    let (tell, presence) = watch::channel(Presence::Unknown);
    let api: Api<CrdMeta> = Api::all(client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let (name, stop) = (name.to_owned(), stop.clone());
    tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        let mut listed = Presence::Absent;
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            let now = match event {
                None => return,
                Some(Err(error)) => {
                    tracing::debug!(crd = name, "watch: {}", chain(&error));
                    continue;
                }
                Some(Ok(watcher::Event::Init)) => {
                    listed = Presence::Absent;
                    continue;
                }
                Some(Ok(watcher::Event::InitApply(crd))) => {
                    listed = of(&crd);
                    continue;
                }
                Some(Ok(watcher::Event::InitDone)) => listed.clone(),
                Some(Ok(watcher::Event::Apply(crd))) => of(&crd),
                Some(Ok(watcher::Event::Delete(_))) => Presence::Absent,
            };
            tell.send_if_modified(|before| {
                let changed = *before != now;
                if changed {
                    tracing::info!(crd = name, "{}", if now == Presence::Absent { "not served" } else { "served" });
                    *before = now;
                }
                changed
            });
        }
    });
    presence
}

fn of(crd: &CrdMeta) -> Presence {
    match crd.uid() {
        Some(uid) if crd.metadata.deletion_timestamp.is_none() => Presence::Present(uid),
        _ => Presence::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crd_on_its_way_out_is_gone_already() {
        let crd = |change: serde_json::Value| -> Presence {
            let mut object = serde_json::json!({"metadata": {"name": "a", "uid": "u"}});
            for (key, value) in change.as_object().unwrap() {
                object["metadata"][key] = value.clone();
            }
            of(&serde_json::from_value(object).unwrap())
        };
        assert_eq!(crd(serde_json::json!({})), Presence::Present("u".into()));
        assert_eq!(crd(serde_json::json!({"deletionTimestamp": "2026-11-21T00:00:00Z"})), Presence::Absent);
    }
}
