//! Carries out what `plan` decided for an InstanceSet.

use super::plan::{Observed, Plan, Step};
use super::status;
use crate::error::Error;
use crate::restore::fold::source_dropped;
use crate::restore::tell::tell;
use api_types::contract::events as event_reasons;
use api_types::workloads::InstanceSet;
use controller_kit::drive::Again;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::api::PropagationPolicy;
use kube::{Api, ResourceExt};
use serde_json::json;

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
}

impl Hands {
    /// Carries out `plan`, then stores the status.
    pub async fn apply(&self, seen: &Observed, plan: Plan) -> Result<Again, Error> {
        if seen.set.metadata.deletion_timestamp.is_some() {
            return Ok(Again::OnEvent);
        }
        let namespace = seen.set.namespace().unwrap_or_default();
        for step in &plan.steps {
            match self.take(seen, step, &namespace).await {
                // The object changed, or the name was taken since the look: another look follows by its event.
                Err(Error::Api(error)) if error.is_already_exists() => {}
                other => other?,
            }
        }
        self.store(seen, &namespace).await?;
        let again = plan.again.and_then(|left| std::time::Duration::try_from(left).ok());
        Ok(again.map_or(Again::OnEvent, Again::After))
    }

    async fn take(&self, seen: &Observed, step: &Step, namespace: &str) -> Result<(), Error> {
        let set = seen.set.as_ref();
        match step {
            Step::ApplyHeadless(body) => {
                let name = crate::desired::name_in(body);
                self.writer.apply(&self.writer.namespaced::<Service>(namespace), name, body).await?;
            }
            Step::CreateClaims(claims) => {
                let api: Api<PersistentVolumeClaim> = self.writer.namespaced(namespace);
                for claim in claims {
                    let stored = match self.writer.create(&api, claim).await {
                        Err(error) if error.is_already_exists() => return Ok(()), // the cache lags: look again
                        stored => stored?,
                    };
                    if source_dropped(&stored) {
                        let text = format!("PVC {} lost its dataSourceRef; its pod is not made", claim.name_any());
                        self.events.warning(set, event_reasons::apps::DATA_SOURCE_DROPPED, &text).await;
                        return Ok(());
                    }
                }
            }
            Step::CreatePod(pod) => {
                self.writer.create(&self.writer.namespaced::<Pod>(namespace), pod.as_ref()).await?;
            }
            Step::DeletePod { name, uid } => {
                let api: Api<Pod> = self.writer.namespaced(namespace);
                self.writer.delete(&api, name, uid, PropagationPolicy::Background).await?;
            }
            Step::DeleteClaim { name, uid } => {
                // Data goes with it: a cache that lags must not decide alone.
                let sets: Api<InstanceSet> = self.writer.namespaced(namespace);
                let now = self.writer.get(&sets, &set.name_any()).await?;
                if now.is_none_or(|now| now.uid() != set.uid() || now.metadata.generation != set.metadata.generation) {
                    return Ok(());
                }
                let api: Api<PersistentVolumeClaim> = self.writer.namespaced(namespace);
                self.writer.delete(&api, name, uid, PropagationPolicy::Background).await?;
            }
        }
        Ok(())
    }

    async fn store(&self, seen: &Observed, namespace: &str) -> Result<(), Error> {
        let set = seen.set.as_ref();
        let old = set.status.clone().unwrap_or_default();
        let next = status::next(seen);
        let api: Api<InstanceSet> = self.writer.namespaced(namespace);
        // A first status is sent whole: `replicas` is required, and 0 would be no difference to nothing.
        let stored = set.status.as_ref().map_or_else(|| json!({}), |s| json!(s));
        if self.writer.store_status(&api, set, &stored, &json!(next)).await?.is_none() {
            return Ok(());
        }
        tell(&self.events, set, &old.conditions, &next.conditions).await;
        Ok(())
    }
}
