//! The running part of the executor: what is watched, which pods are due, and the writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Binding, ConfigMap, ObjectReference, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use super::references::{Reference, references};
use super::step::{ClaimState, SELECTED_NODE, Step, claim_state, next_step};
use super::{FakeExecutorBuilder, Shared, Written, outcome, report};
use crate::clock::now;
use crate::mirror::{Mirror, Steps, events};

/// The task: mirrors of what is watched, and the steps under way.
pub(super) struct Work {
    client: Client,
    selector: String,
    namespace: Option<String>,
    default_node: String,
    shared: Arc<Shared>,
    pods: Mirror<Pod>,
    claims: Mirror<PersistentVolumeClaim>,
    classes: Mirror<StorageClass>,
    steps: Steps<Step>,
    addresses: HashMap<String, String>,
}

impl Work {
    pub fn new(builder: FakeExecutorBuilder, shared: Arc<Shared>) -> Self {
        Self {
            client: builder.client,
            selector: builder.selector,
            namespace: builder.namespace,
            default_node: builder.nodes[0].clone(),
            shared,
            pods: Mirror::default(),
            claims: Mirror::default(),
            classes: Mirror::default(),
            steps: Steps::new(),
            addresses: HashMap::new(),
        }
    }

    pub async fn run(mut self) {
        let config = watcher::Config::default();
        let mut pods = events(self.api::<Pod>(), config.clone().labels(&self.selector));
        let mut claims = events(self.api::<PersistentVolumeClaim>(), config.clone());
        let mut classes = events(Api::<StorageClass>::all(self.client.clone()), config);
        let mut plan_changed = self.shared.plan_changed.subscribe();
        loop {
            let due = tokio::select! {
                Some(event) = pods.next() => self.pods.absorb(event),
                Some(event) = claims.next() => {
                    let changed = self.claims.absorb(event);
                    self.pods.keys_where(|pod| claims_of(pod).any(|(name, _)| changed.contains(&beside(pod, name))))
                }
                Some(event) = classes.next() => {
                    if self.classes.absorb(event).is_empty() { vec![] } else { self.pods.keys() }
                }
                Some(key) = self.steps.next(), if !self.steps.is_idle() => vec![key],
                Ok(()) = plan_changed.changed() => self.pods.keys(),
            };
            for key in due {
                self.look_at(&key);
            }
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn look_at(&mut self, key: &str) {
        if self.steps.is_busy(key) {
            return; // looked at again when its step has ended
        }
        let Some(pod) = self.pods.get(key) else {
            return self.steps.forget(key);
        };
        let outcome = self.shared.plan.lock().unwrap().outcome(pod);
        let claims: Vec<(String, ClaimState)> =
            claims_of(pod).map(|(name, _)| (name.to_owned(), self.state_of(&beside(pod, name)))).collect();
        let step = next_step(pod, &outcome, &claims);
        if step == Step::Nothing {
            return;
        }
        let next_address = self.addresses.len() + 1;
        let address = self
            .addresses
            .entry(pod.uid().unwrap_or_default())
            .or_insert_with(|| format!("10.244.{}.{}", next_address / 250, next_address % 250 + 1));
        let act = Act {
            client: self.client.clone(),
            shared: self.shared.clone(),
            node: node_for(pod, &self.claims).unwrap_or_else(|| self.default_node.clone()),
            address: address.clone(),
            mounts: if matches!(step, Step::Run { .. }) { mounts(pod, &self.claims) } else { vec![] },
            pod: pod.clone(),
        };
        // A pod is bound once, whatever else is written to it before the news of that arrives.
        let version = if step == Step::Bind { pod.uid() } else { pod.resource_version() };
        let version = version.unwrap_or_default();
        self.steps.begin(key, &version, step.clone(), act.take(step));
    }

    fn state_of(&self, key: &str) -> ClaimState {
        let claim = self.claims.get(key);
        let class = claim.and_then(|c| c.spec.as_ref()).and_then(|spec| spec.storage_class_name.as_deref());
        let class = class.and_then(|name| self.classes.get(name));
        let waits = class.is_some_and(|c| c.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"));
        claim_state(claim, waits)
    }
}

/// Everything one step needs, detached from the mirrors.
struct Act {
    client: Client,
    shared: Arc<Shared>,
    pod: Pod,
    node: String,
    address: String,
    mounts: Vec<Written>,
}

impl Act {
    async fn take(self, step: Step) -> kube::Result<()> {
        let namespace = self.pod.namespace().unwrap_or_default();
        let name = self.pod.name_any();
        let now = now();
        let status = match step {
            Step::Nothing => return Ok(()),
            Step::SelectNode(claims) => {
                let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &namespace);
                for (claim, version) in claims {
                    let metadata = json!({ "resourceVersion": version, "annotations": { SELECTED_NODE: self.node } });
                    let patch = Patch::Merge(json!({ "metadata": metadata }));
                    api.patch_metadata(&claim, &PatchParams::default(), &patch).await?;
                }
                return Ok(());
            }
            Step::Bind => return self.bind(&namespace, &name).await,
            Step::Remove => {
                let preconditions = Preconditions { uid: self.pod.uid(), resource_version: None };
                let params = DeleteParams::default().grace_period(0).preconditions(preconditions);
                let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
                return api.delete(&name, &params).await.map(|_| ());
            }
            Step::Unschedulable(why) => report::unschedulable(&self.pod, &why, now),
            Step::ImagePullBackOff => report::image_pull_back_off(&self.pod, now),
            Step::Run { ready } => {
                self.until_references_exist(&namespace).await?;
                report::running(&self.pod, ready, &self.address, now)
            }
            Step::End(ends) => report::ended(&self.pod, &ends, now),
            Step::EndInit(end) => report::init_failed(&self.pod, &end, now),
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let patch = Patch::Merge(report::patch(&self.pod, &status));
        api.patch_status(&name, &PatchParams::default(), &patch).await?;
        let already_running = self.pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"));
        if !already_running {
            self.shared.written.lock().unwrap().extend(self.mounts);
        }
        Ok(())
    }

    /// A kubelet does not start a pod whose Secrets and `ConfigMaps` are not all there; it tries again and again.
    async fn until_references_exist(&self, namespace: &str) -> kube::Result<()> {
        for reference in references(&self.pod) {
            let found = match &reference {
                Reference::Secret(name) => {
                    let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
                    api.get_metadata(name).await.map(|_| ())
                }
                Reference::ConfigMap(name) => {
                    let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
                    api.get_metadata(name).await.map(|_| ())
                }
            };
            if found.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
                return found; // and the pod is looked at again, as it is then
            }
        }
        Ok(())
    }

    async fn bind(&self, namespace: &str, name: &str) -> kube::Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let binding = Binding {
            metadata: kube::api::ObjectMeta {
                name: Some(name.to_owned()),
                uid: self.pod.uid(),
                ..kube::api::ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(self.node.clone()),
                ..ObjectReference::default()
            },
        };
        let _: serde_json::Value = api.create_subresource("binding", name, &PostParams::default(), &binding).await?;
        Ok(())
    }
}

/// (name, read-only) of the claims a pod mounts.
fn claims_of(pod: &Pod) -> impl Iterator<Item = (&str, bool)> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        let source = volume.persistent_volume_claim.as_ref()?;
        Some((source.claim_name.as_str(), source.read_only.unwrap_or(false)))
    })
}

/// Key of an object in the pod's namespace.
fn beside(pod: &Pod, name: &str) -> String {
    format!("{}/{name}", pod.metadata.namespace.as_deref().unwrap_or_default())
}

fn mounts(pod: &Pod, claims: &Mirror<PersistentVolumeClaim>) -> Vec<Written> {
    let mounted = claims_of(pod).filter_map(|(name, read_only)| Some((claims.get(&beside(pod, name))?, read_only)));
    mounted
        .map(|(claim, read_only)| Written {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            pod_uid: pod.uid().unwrap_or_default(),
            job: outcome::job_of(pod).map(str::to_owned),
            claim: claim.name_any(),
            claim_uid: claim.uid().unwrap_or_default(),
            pv: claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default(),
            read_only,
        })
        .collect()
}

/// The node a pod asks for: by node selector, or where a claim of it was already placed.
fn node_for(pod: &Pod, claims: &Mirror<PersistentVolumeClaim>) -> Option<String> {
    let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
    let by_label = selector.and_then(|labels| labels.get("kubernetes.io/hostname")).cloned();
    by_label.or_else(|| {
        let mut mounted = claims_of(pod).filter_map(|(name, _)| claims.get(&beside(pod, name)));
        mounted.find_map(|claim| claim.annotations().get(SELECTED_NODE).cloned())
    })
}
