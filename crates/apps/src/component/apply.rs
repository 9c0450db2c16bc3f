//! Carries out what `plan` decided for a Component.

use super::plan::{Observed, Plan, Step};
use super::{accounts, build, status};
use crate::error::Error;
use api_types::apps::Component;
use api_types::workloads::InstanceSet;
use controller_kit::drive::Again;
use controller_kit::events::Events;
use controller_kit::writes::{Object, Writer};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;

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
        for step in &plan.steps {
            self.take(seen, step).await?;
        }
        let component = seen.component.as_ref();
        let old = component.status.clone().unwrap_or_default();
        let next = status::next(seen, plan);
        let api: Api<Component> = self.writer.namespaced(&component.namespace().unwrap_or_default());
        let stored = self.writer.store_status(&api, component, &old, &next).await?;
        if let (Some(_), Some(stop)) = (stored, &plan.stop) {
            self.events.warning(component, stop.reason, &stop.message).await;
        }
        Ok(Again::OnEvent)
    }

    async fn take(&self, seen: &Observed, step: &Step) -> Result<(), Error> {
        match step {
            Step::ApplyServiceAccount(body) => self.put::<ServiceAccount>(seen, body).await,
            Step::ApplyEnv(body) => self.put::<ConfigMap>(seen, body).await,
            Step::ApplyService(body) => self.put::<Service>(seen, body).await,
            Step::ApplySet(body) => self.put::<InstanceSet>(seen, body).await,
            Step::EnsureAccount(account) => self.ensure_account(seen, account).await,
        }
    }

    async fn put<K>(&self, seen: &Observed, body: &Value) -> Result<(), Error>
    where
        K: Object + Resource<Scope = NamespaceResourceScope>,
    {
        let api: Api<K> = self.writer.namespaced(&seen.component.namespace().unwrap_or_default());
        let name = crate::desired::name_in(body);
        self.writer.apply(&api, name, body).await?;
        Ok(())
    }

    /// Made once: the password of a Secret that is there stays, above all that of a restore (behaviour-apps §6).
    async fn ensure_account(&self, seen: &Observed, account: &str) -> Result<(), Error> {
        let component = seen.component.as_ref();
        let api: Api<Secret> = self.writer.namespaced(&component.namespace().unwrap_or_default());
        let definition = seen.definition.iter().flat_map(|d| &d.spec.system_accounts).find(|a| a.name == account);
        let own = component.spec.system_accounts.iter().find(|a| a.name == account);
        let config = own
            .and_then(|a| a.password_config.as_ref())
            .or_else(|| definition.and_then(|d| d.password_config.as_ref()))
            .or_else(|| definition.and_then(|d| d.password_generation_policy.as_ref()));
        let password = accounts::password(config)?;
        let secret = accounts::secret(component, &build::labels_of(component), account, &password);
        match self.writer.create(&api, &secret).await {
            Err(error) if error.is_already_exists() => {}
            other => return other.map(|_| ()).map_err(Error::from),
        }
        let name = secret.name_any();
        let Some(found) = self.writer.get(&api, &name).await? else {
            return Err(Error::LeftBehind { what: format!("Secret {name}") });
        };
        let of_another = |o: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference| {
            o.kind == "Component" && Some(&o.uid) != component.uid().as_ref()
        };
        // The garbage collector is about to take it away with its owner.
        if found.owner_references().iter().any(of_another) {
            return Err(Error::LeftBehind { what: format!("Secret {name}") });
        }
        Ok(())
    }
}
