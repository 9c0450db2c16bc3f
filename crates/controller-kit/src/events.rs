//! Events on objects, for `kubectl describe`. Best effort: a lost event never changes a result.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};

/// Longest note the API server takes, in bytes.
const NOTE_LIMIT: usize = 1000;

/// Publishes events as one controller.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// Events reported by `controller` of the instance `instance`.
    pub fn new(client: Client, controller: &str, instance: &str) -> Self {
        let reporter = Reporter { controller: controller.into(), instance: Some(instance.into()) };
        Events(Recorder::new(client, reporter))
    }

    /// A normal step worth telling.
    pub async fn normal<K: Resource<DynamicType = ()>>(&self, on: &K, reason: &str, note: &str) {
        self.publish(EventType::Normal, on.object_ref(&()), reason, note).await;
    }

    /// Something a person should look at.
    pub async fn warning<K: Resource<DynamicType = ()>>(&self, on: &K, reason: &str, note: &str) {
        self.publish(EventType::Warning, on.object_ref(&()), reason, note).await;
    }

    async fn publish(&self, type_: EventType, on: ObjectReference, reason: &str, note: &str) {
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(cut(note).into()),
            action: "Reconcile".into(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, &on).await {
            tracing::debug!(reason, "event was lost: {}", crate::error::chain(&error));
        }
    }
}

fn cut(note: &str) -> &str {
    let end =
        note.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= NOTE_LIMIT).last().unwrap_or(0);
    note.get(..end).unwrap_or_default()
}
