//! Writes policies and schedules, and says on the Cluster what can not be made.

use super::plan::{Plan, Step};
use crate::cluster::Cluster;
use crate::error::Error;
use controller_kit::Key;
use controller_kit::events::Events;
use controller_kit::writes::{Object, Writer};
use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the driver works with.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
    /// What was said last about each Cluster: a Cluster changes all the time, and nothing is said twice.
    pub said: Said,
}

impl Hands {
    /// Nothing was said yet.
    pub fn new(writer: Writer, events: Events) -> Self {
        Hands { writer, events, said: Said::default() }
    }
}

/// The last complaints by Cluster.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<HashMap<Key, String>>>);

impl Said {
    /// Whether that is news about the Cluster of that key.
    fn is_new(&self, key: &Key, complaints: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if complaints.is_empty() {
            said.remove(key);
            return false;
        }
        said.insert(key.clone(), complaints.to_owned()).is_none_or(|before| before != complaints)
    }

    /// The Cluster is gone.
    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Does what is planned: policies before schedules, which name them.
pub async fn apply(cluster: &Cluster, plan: Plan, hands: &Hands) -> Result<(), Error> {
    for step in plan.policies {
        write(step, hands).await?;
    }
    for step in plan.schedules {
        write(step, hands).await?;
    }
    let complaints: Vec<&str> = plan.problems.iter().map(|(_, message)| message.as_str()).collect();
    if hands.said.is_new(&Key::of(cluster), &complaints.join("; ")) {
        for (reason, message) in &plan.problems {
            hands.events.warning(cluster, reason, message).await;
        }
    }
    Ok(())
}

async fn write<K: Object + Resource<Scope = NamespaceResourceScope>>(
    step: Step<K>,
    hands: &Hands,
) -> Result<(), Error> {
    match step {
        Step::Create(object) => {
            let api = hands.writer.namespaced::<K>(&object.namespace().unwrap_or_default());
            match hands.writer.create(&api, &object).await {
                Ok(_) => {}
                // The cache does not show it yet; when it does, it is looked at.
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Step::Change(object, patch) => {
            let api = hands.writer.namespaced::<K>(&object.namespace().unwrap_or_default());
            hands.writer.merge(&api, &object.name_any(), &patch).await?;
        }
    }
    Ok(())
}
