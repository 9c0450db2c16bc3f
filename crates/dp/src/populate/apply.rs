//! Carries out what `plan` decided for a waiting claim.

use super::build;
use super::plan::{Observed, Plan};
use super::rebind::{Mode, Write};
use super::state::State;
use super::status::{self, Report};
use crate::account;
use crate::awaited::Awaited;
use crate::cluster::{Cluster, Component};
use crate::context::Context;
use crate::error::{Error, Stop};
use crate::reasons;
use api_types::contract::{annotations, events as event_reasons};
use api_types::dp::Restore;
use controller_kit::Key;
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::PropagationPolicy;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
    /// Waits that end with an object of the apps operator.
    pub awaited: Awaited,
}

impl Hands {
    /// Carries out `plan`.
    pub async fn apply(&self, seen: &Observed, plan: Plan, context: &Context) -> Result<Again, Error> {
        match plan {
            Plan::Leave => {}
            Plan::Store(report, state) => self.store(seen, &report, &state).await?,
            Plan::Begin(accounts, report, state) => {
                let namespace = seen.claim.namespace().unwrap_or_default();
                account::apply::apply(&accounts, &namespace, &self.writer).await?;
                self.store(seen, &report, &state).await?;
            }
            Plan::CreatePrime => self.create_prime(seen).await?,
            Plan::StartExecution(intent) => self.start_execution(seen, &intent).await?,
            Plan::DeleteOrphans(jobs) => self.delete_orphans(seen, &jobs).await?,
            Plan::Rebind(write) => self.rebind(seen, write, context).await?,
        }
        self.await_object(seen)?;
        Ok(Again::OnEvent)
    }

    /// What no cache holds is watched alone while a claim waits for it. Secrets are not watched at all (design D12):
    /// they are looked at again as after an error.
    fn await_object(&self, seen: &Observed) -> Result<(), Error> {
        let Err(Stop { awaits: Some((kind, name)), .. }) = &seen.intent else {
            return Ok(());
        };
        let namespace = seen.claim.namespace().unwrap_or_default();
        let key = Key::of(seen.claim.as_ref());
        match *kind {
            "Secret" => return Err(Error::SecretBeingDeleted { name: name.clone() }),
            "Cluster" => {
                let api = self.writer.namespaced::<Cluster>(&namespace);
                self.awaited.object(key, api, name, |c| c.metadata.deletion_timestamp.is_none());
            }
            _ => {
                let api = self.writer.namespaced::<Component>(&namespace);
                self.awaited.object(key, api, name, |c| c.metadata.deletion_timestamp.is_none());
            }
        }
        Ok(())
    }

    fn claims(&self, seen: &Observed) -> Api<PersistentVolumeClaim> {
        self.writer.namespaced(&seen.claim.namespace().unwrap_or_default())
    }

    fn restores(&self, seen: &Observed) -> Api<Restore> {
        self.writer.namespaced(&seen.claim.namespace().unwrap_or_default())
    }

    async fn store(&self, seen: &Observed, report: &Report, state: &State) -> Result<(), Error> {
        let claim = seen.claim.as_ref();
        let Some(body) = status::apply_body(claim, report, state, clock::now()) else {
            return Ok(());
        };
        self.writer.apply_status(&self.claims(seen), &claim.name_any(), &body).await?;
        if state.attempt > seen.state.attempt {
            let text = if state.provision_only { &report.message } else { status::STARTED };
            self.events.normal(claim, event_reasons::claim::START, text).await;
        }
        match report.restore {
            "True" => self.events.normal(claim, event_reasons::claim::SUCCEED, &report.message).await,
            "False" => self.events.warning(claim, event_reasons::claim::FAILED, &report.message).await,
            _ => {}
        }
        Ok(())
    }

    async fn create_prime(&self, seen: &Observed) -> Result<(), Error> {
        let target = &seen.rebind.target;
        let prime = build::prime(&seen.claim, target.attempt, target.node.as_deref());
        match self.writer.create(&self.claims(seen), &prime).await {
            Ok(_) => Ok(()),
            // Ours and new, or somebody else's: the cache will tell, and the plan with it.
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) if error.is_invalid() => {
                let stop = Stop::terminal(reasons::INVALID_CLAIM, controller_kit::error::chain(&error));
                self.store(seen, &Report::of_stop(&stop), &seen.state).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn start_execution(&self, seen: &Observed, intent: &super::decide::Intent) -> Result<(), Error> {
        let Some(prime) = &seen.rebind.prime else {
            return Ok(());
        };
        let announced = json!({"metadata": {"uid": prime.uid.0, "annotations": {annotations::EXECUTION: "announced"}}});
        self.writer.merge(&self.claims(seen), &seen.prime_name, &announced).await?;
        let target = &seen.rebind.target;
        let restore = build::execution(&seen.claim, intent, target.attempt, &prime.uid.0, target.node.as_deref());
        match self.writer.create(&self.restores(seen), &restore).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_already_exists() => Ok(()),
            Err(error) if error.is_invalid() => {
                let stop = Stop::terminal(reasons::INVALID_RESTORE_PARAMETERS, controller_kit::error::chain(&error));
                self.store(seen, &Report::of_stop(&stop), &seen.state).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn delete_orphans(&self, seen: &Observed, jobs: &[(String, String)]) -> Result<(), Error> {
        let api: Api<Job> = self.writer.namespaced(&seen.claim.namespace().unwrap_or_default());
        for (name, uid) in jobs {
            self.writer.delete(&api, name, uid, PropagationPolicy::Background).await?;
        }
        Ok(())
    }

    /// Marks the prime claim, then takes the choice off the target, whatever else changed there meanwhile.
    async fn give_node_back(&self, seen: &Observed, prime_uid: &str, node: &str) -> Result<(), Error> {
        let mark = json!({"metadata": {"uid": prime_uid, "annotations": {annotations::NODE_GIVEN_BACK: "true"}}});
        self.writer.merge(&self.claims(seen), &seen.prime_name, &mark).await?;
        let path = format!("/metadata/annotations/{}", annotations::SELECTED_NODE.replace('/', "~1"));
        let take_off = json!([
            {"op": "test", "path": "/metadata/uid", "value": seen.claim.uid()},
            {"op": "test", "path": path, "value": node},
            {"op": "remove", "path": path},
        ]);
        match self.writer.json_patch(&self.claims(seen), &seen.claim.name_any(), take_off).await {
            Err(error) if !error.is_failed_test() => Err(error.into()),
            _ => Ok(()), // taken off, or chosen again already
        }
    }

    async fn rebind(&self, seen: &Observed, write: Write, context: &Context) -> Result<(), Error> {
        match write {
            Write::HandOverVolume { volume, expect_claim } => {
                let cached = context.stores.volumes.get("", &volume);
                let annotated = cached.is_some_and(|v| v.metadata.annotations.is_some());
                let patch = hand_over_patch(seen, &expect_claim.0, annotated);
                let api = self.writer.cluster::<PersistentVolume>();
                match self.writer.json_patch(&api, &volume, patch).await {
                    Ok(_) => Ok(()),
                    // The volume is not the prime claim's any more: look again.
                    Err(error) if error.is_failed_test() => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Write::BindTarget { volume } => {
                let body = json!({
                    "metadata": {
                        "uid": seen.claim.uid(), "resourceVersion": seen.claim.resource_version(),
                        "annotations": {annotations::BIND_COMPLETED: "yes"},
                    },
                    "spec": {"volumeName": volume},
                });
                self.writer.merge(&self.claims(seen), &seen.claim.name_any(), &body).await?;
                Ok(())
            }
            Write::GiveNodeBack { prime, node } => self.give_node_back(seen, &prime.0, &node).await,
            Write::DeletePrime { uid } => {
                let api = self.claims(seen);
                self.writer.delete(&api, &seen.prime_name, &uid.0, PropagationPolicy::Background).await?;
                Ok(())
            }
            Write::DeleteExecution { .. } => {
                let api = self.restores(seen);
                if let Some(restore) = self.writer.get(&api, &seen.prime_name).await? {
                    let uid = restore.uid().unwrap_or_default();
                    self.writer.delete(&api, &seen.prime_name, &uid, PropagationPolicy::Foreground).await?;
                }
                Ok(())
            }
            Write::BeginAttempt { .. }
            | Write::CreatePrime { .. }
            | Write::StartExecution { .. }
            | Write::StoreRestored
            | Write::StoreFailed { .. } => Ok(()), // the plan turns these into its own steps
        }
    }
}

/// Tests the holder's UID and that the volume is Bound, replaces the whole claim reference and writes the proof, all or nothing.
fn hand_over_patch(seen: &Observed, prime_uid: &str, annotated: bool) -> Value {
    let claim = seen.claim.as_ref();
    let source =
        claim.spec.as_ref().and_then(|s| s.data_source_ref.as_ref()).map(|s| s.name.clone()).unwrap_or_default();
    let mode = match seen.rebind.mode {
        Mode::Data => annotations::POPULATED_MODE_DATA,
        Mode::ProvisionOnly => annotations::POPULATED_MODE_PROVISIONED,
    };
    let uid = claim.uid().unwrap_or_default();
    let mut patch = vec![
        json!({"op": "test", "path": "/spec/claimRef/uid", "value": prime_uid}),
        // A released volume may be losing its storage right now.
        json!({"op": "test", "path": "/status/phase", "value": "Bound"}),
        json!({"op": "replace", "path": "/spec/claimRef", "value": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": claim.namespace(), "name": claim.name_any(), "uid": uid,
        }}),
    ];
    if !annotated {
        patch.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    for (key, value) in [
        (annotations::POPULATE_FROM, source),
        (annotations::POPULATED_TARGET_UID, uid),
        (annotations::POPULATED_ATTEMPT, seen.state.attempt.to_string()),
        (annotations::POPULATED_MODE, mode.to_owned()),
    ] {
        let pointer = format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"));
        patch.push(json!({"op": "add", "path": pointer, "value": value}));
    }
    Value::Array(patch)
}
