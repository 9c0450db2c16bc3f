//! A dynamic provisioner without storage: claims get volumes, released volumes go.
//!
//! Serves the classes whose provisioner is [`DRIVER`], as external-provisioner does: only claims the binder has
//! annotated for it, with a chosen node where the class waits for one, and never a claim whose `dataSourceRef` belongs
//! to a populator. Binding itself is done by the real binder in kube-controller-manager.

mod step;

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::now;
use crate::executor::SELECTED_NODE;
use crate::mirror::{Mirror, Steps, events, key_of};
use step::{FINALIZER, Step, is_ours, volume, volume_name, wants_deletion, wants_volume};

/// The `provisioner` of the classes served here.
pub const DRIVER: &str = "holdfast.dev/fake";

/// The CSI driver of their volumes (the name of a driver cannot hold a slash).
pub const CSI_DRIVER: &str = "fake.holdfast.dev";

/// The running provisioner; it ends with its value (volumes stay as they are then).
pub struct Provisioner {
    client: Client,
    namespace: Option<String>,
    orders: Arc<Orders>,
    task: JoinHandle<()>,
}

/// A volume that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliveVolume {
    /// Name of the volume.
    pub name: String,
    /// `namespace/name` of the claim it refers to; empty for none.
    pub claim: String,
    /// UID of that claim.
    pub claim_uid: String,
    /// Available, Bound, Released…
    pub phase: String,
    /// Reclaim policy.
    pub policy: String,
}

/// What the test tells the running task.
struct Orders {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    held: bool,
    keep_released: bool,
    /// Failures still to come, and their message.
    failures: usize,
    failure: String,
    failed: usize,
    deleted: Vec<String>,
}

impl Provisioner {
    /// Starts it for all namespaces. One per server.
    pub async fn start(client: Client) -> Self {
        Self::start_for(client, None).await
    }

    /// Starts it for the claims of one namespace and their volumes: for tests that share a server.
    pub async fn start_in(client: Client, namespace: &str) -> Self {
        Self::start_for(client, Some(namespace.to_owned())).await
    }

    async fn start_for(client: Client, namespace: Option<String>) -> Self {
        make_driver(&client).await;
        let orders = Arc::new(Orders { state: Mutex::default(), changed: watch::Sender::new(()) });
        let work = Work {
            client: client.clone(),
            namespace: namespace.clone(),
            orders: orders.clone(),
            claims: Mirror::default(),
            classes: Mirror::default(),
            volumes: Mirror::default(),
            steps: Steps::new(),
        };
        Self { client, namespace, orders, task: tokio::spawn(work.run()) }
    }

    fn order(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.orders.state.lock().unwrap());
        self.orders.changed.send_replace(());
    }

    /// Makes no volumes until [`release`](Self::release).
    pub fn hold(&self) {
        self.order(|state| state.held = true);
    }

    /// Goes on making volumes.
    pub fn release(&self) {
        self.order(|state| state.held = false);
    }

    /// The next `times` attempts to make a volume end in a final error: an Event on the claim, and the chosen node is
    /// taken away so that the scheduler chooses again.
    pub fn fail_next(&self, times: usize, message: &str) {
        self.order(|state| {
            state.failures = times;
            message.clone_into(&mut state.failure);
        });
    }

    /// `true`: released volumes stay, as when the storage is slow to delete.
    pub fn keep_released(&self, keep: bool) {
        self.order(|state| state.keep_released = keep);
    }

    /// Names of the volumes whose storage was deleted, in order: their data are gone for good.
    pub fn deleted(&self) -> Vec<String> {
        self.orders.state.lock().unwrap().deleted.clone()
    }

    /// The volumes of this driver that exist. Empty after everything was deleted proves that nothing leaked.
    pub async fn alive(&self) -> Vec<AliveVolume> {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let list = volumes.list(&ListParams::default()).await.unwrap_or_else(|e| panic!("list volumes: {e}"));
        list.items.iter().filter(|volume| is_ours(volume, self.namespace.as_deref())).map(alive).collect()
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn alive(volume: &PersistentVolume) -> AliveVolume {
    let spec = volume.spec.clone().unwrap_or_default();
    let claim = spec.claim_ref.unwrap_or_default();
    let key = match (claim.namespace, claim.name) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => String::new(),
    };
    AliveVolume {
        name: volume.name_any(),
        claim: key,
        claim_uid: claim.uid.unwrap_or_default(),
        phase: volume.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default(),
        policy: spec.persistent_volume_reclaim_policy.unwrap_or_default(),
    }
}

/// Tells the attach controller that volumes of this driver need no attaching; no node here could attach them.
async fn make_driver(client: &Client) {
    let drivers: Api<k8s_openapi::api::storage::v1::CSIDriver> = Api::all(client.clone());
    let driver = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver",
        "metadata": { "name": CSI_DRIVER }, "spec": { "attachRequired": false },
    });
    let applied = drivers.patch(CSI_DRIVER, &PatchParams::apply("test-kit").force(), &Patch::Apply(&driver)).await;
    applied.unwrap_or_else(|e| panic!("make the CSIDriver {CSI_DRIVER}: {e}"));
}

/// The task: mirrors of what is watched, and the steps under way.
struct Work {
    client: Client,
    namespace: Option<String>,
    orders: Arc<Orders>,
    claims: Mirror<PersistentVolumeClaim>,
    classes: Mirror<StorageClass>,
    volumes: Mirror<PersistentVolume>,
    steps: Steps<Step>,
}

impl Work {
    async fn run(mut self) {
        let config = watcher::Config::default();
        let claims: Api<PersistentVolumeClaim> = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut claims = events(claims, config.clone());
        let mut classes = events(Api::<StorageClass>::all(self.client.clone()), config.clone());
        let mut volumes = events(Api::<PersistentVolume>::all(self.client.clone()), config);
        let mut ordered = self.orders.changed.subscribe();
        loop {
            let due = tokio::select! {
                Some(event) = claims.next() => self.claims.absorb(event),
                Some(event) = volumes.next() => self.volumes.absorb(event),
                Some(event) = classes.next() => {
                    if self.classes.absorb(event).is_empty() { vec![] } else { self.claims.keys() }
                }
                Some(key) = self.steps.next(), if !self.steps.is_idle() => vec![key],
                Ok(()) = ordered.changed() => [self.claims.keys(), self.volumes.keys()].concat(),
            };
            for key in due {
                // The key of a claim holds a slash, the key of a volume does not.
                if key.contains('/') {
                    self.look_at_claim(&key);
                } else {
                    self.look_at_volume(&key);
                }
            }
        }
    }

    fn look_at_claim(&mut self, key: &str) {
        let Some(claim) = self.claims.get(key) else {
            return self.steps.forget(key);
        };
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let class = class.and_then(|name| self.classes.get(name));
        let Some(class) = class.filter(|class| wants_volume(claim, Some(class))) else {
            return;
        };
        if self.steps.is_busy(key) {
            return;
        }
        let step = {
            let mut state = self.orders.state.lock().unwrap();
            match (state.held, state.failures) {
                (true, _) => return,
                (false, 0) => Step::Provision,
                (false, _) => {
                    state.failures -= 1;
                    state.failed += 1;
                    Step::Fail(state.failed)
                }
            }
        };
        let (client, claim, class, orders) = (self.client.clone(), claim.clone(), class.clone(), self.orders.clone());
        let version = claim.resource_version().unwrap_or_default();
        let act = {
            let step = step.clone();
            async move {
                if step == Step::Provision {
                    provision(&client, &claim, &class).await
                } else {
                    let message = orders.state.lock().unwrap().failure.clone();
                    fail(&client, &claim, &message).await
                }
            }
        };
        self.steps.begin(key, &version, step, act);
    }

    fn look_at_volume(&mut self, key: &str) {
        let Some(volume) = self.volumes.get(key) else {
            return self.steps.forget(key);
        };
        if !wants_deletion(volume, self.namespace.as_deref()) || self.orders.state.lock().unwrap().keep_released {
            return;
        }
        let version = volume.resource_version().unwrap_or_default();
        let act = delete(self.client.clone(), self.orders.clone(), volume.clone());
        self.steps.begin(key, &version, Step::Delete, act);
    }
}

async fn provision(client: &Client, claim: &PersistentVolumeClaim, class: &StorageClass) -> kube::Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = serde_json::from_value(volume(claim, class)).map_err(kube::Error::SerdeError)?;
    match volumes.create(&PostParams::default(), &volume).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        result => result.map(|_| ()),
    }
}

/// What external-provisioner does after a final error.
async fn fail(client: &Client, claim: &PersistentVolumeClaim, message: &str) -> kube::Result<()> {
    let namespace = claim.namespace().unwrap_or_default();
    let event = json!({
        "metadata": { "generateName": format!("{}.", volume_name(claim)), "namespace": namespace },
        "involvedObject": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": namespace, "name": claim.name_any(), "uid": claim.uid(),
        },
        "type": "Warning", "reason": "ProvisioningFailed",
        "message": format!("failed to provision volume with StorageClass: {message}"),
        "source": { "component": DRIVER }, "firstTimestamp": now(), "lastTimestamp": now(), "count": 1,
    });
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let event = serde_json::from_value(event).map_err(kube::Error::SerdeError)?;
    events.create(&PostParams::default(), &event).await?;
    if claim.annotations().contains_key(SELECTED_NODE) {
        let metadata = json!({ "resourceVersion": claim.resource_version(), "annotations": { SELECTED_NODE: null } });
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        claims.patch_metadata(&claim.name_any(), &PatchParams::default(), &patch).await?;
    }
    Ok(())
}

/// Deletes a released volume: the storage first, then the object, then the finalizer that kept it until then.
async fn delete(client: Client, orders: Arc<Orders>, seen: PersistentVolume) -> kube::Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(client);
    let name = key_of(&seen);
    // As the real one: one more look at the server, for what was seen may be old.
    let Some(fresh) = volumes.get_opt(&name).await? else {
        return Ok(());
    };
    if fresh.uid() != seen.uid() || !wants_deletion(&fresh, None) {
        return Ok(());
    }
    {
        let mut state = orders.state.lock().unwrap();
        if !state.deleted.contains(&name) {
            state.deleted.push(name.clone());
        }
    }
    let preconditions = Preconditions { uid: fresh.uid(), resource_version: None };
    volumes.delete(&name, &DeleteParams::default().preconditions(preconditions)).await?;
    let Some(left) = volumes.get_opt(&name).await? else {
        return Ok(());
    };
    let kept: Vec<&String> = left.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
    let metadata = json!({ "uid": fresh.uid(), "resourceVersion": left.resource_version(), "finalizers": kept });
    match volumes.patch(&name, &PatchParams::default(), &Patch::Merge(json!({ "metadata": metadata }))).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map(|_| ()),
    }
}
