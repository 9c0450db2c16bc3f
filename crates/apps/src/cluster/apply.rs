//! Carries out what `plan` decided for a Cluster.

use super::plan::{Observed, Plan, Step};
use super::status;
use crate::error::Error;
use crate::restore::tell::tell;
use api_types::apps::{Cluster, Component};
use controller_kit::drive::Again;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use kube::Api;
use kube::api::PropagationPolicy;

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
    pub async fn apply(&self, seen: &Observed, plan: &Plan) -> Result<Again, Error> {
        let cluster = seen.cluster.as_ref();
        let namespace = cluster.metadata.namespace.clone().unwrap_or_default();
        let clusters: Api<Cluster> = self.writer.namespaced(&namespace);
        let components: Api<Component> = self.writer.namespaced(&namespace);
        for step in &plan.steps {
            match step {
                Step::WriteBack(patch) => {
                    let name = cluster.metadata.name.clone().unwrap_or_default();
                    match self.writer.json_patch(&clusters, &name, patch.clone()).await {
                        // The spec changed meanwhile, and its event brings another look.
                        Err(error) if !error.is_failed_test() => return Err(error.into()),
                        // The Cluster has a new generation now; its Components are applied at the look that brings.
                        _ => return Ok(Again::OnEvent),
                    }
                }
                Step::ApplyComponent { name, body } => {
                    self.writer.apply(&components, name, body).await?;
                }
                Step::DeleteComponent { name, uid } => {
                    self.writer.delete(&components, name, uid, PropagationPolicy::Background).await?;
                }
            }
        }
        self.store(seen, plan, &clusters).await?;
        Ok(Again::OnEvent)
    }

    async fn store(&self, seen: &Observed, plan: &Plan, api: &Api<Cluster>) -> Result<(), Error> {
        let cluster = seen.cluster.as_ref();
        let old = cluster.status.clone().unwrap_or_default();
        let next = status::next(seen, plan);
        if self.writer.store_status(api, cluster, &old, &next).await?.is_none() {
            return Ok(());
        }
        if let Some(stop) = &plan.stop {
            self.events.warning(cluster, stop.reason, &stop.message).await;
        }
        tell(&self.events, cluster, &old.conditions, &next.conditions).await;
        Ok(())
    }
}
