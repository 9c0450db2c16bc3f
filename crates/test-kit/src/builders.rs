//! Objects that tests begin with. Each function makes one object (or gives its body) and panics when it cannot.

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

/// `GROUP/VERSION` of the data-protection kinds.
pub const DP_API: &str = "dataprotection.kubeblocks.io/v1alpha1";

/// Makes a namespace `PREFIX-xxxxx` and gives its name. The default service account is made by a controller meanwhile.
pub async fn namespace(client: &Client, prefix: &str) -> String {
    let api: Api<Namespace> = Api::all(client.clone());
    let body = json!({ "metadata": { "generateName": format!("{prefix}-") } });
    create(&api, &body).await.name_any()
}

/// When a StorageClass binds, and what becomes of released volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// At once.
    Immediate,
    /// When a pod was given a node.
    WaitForFirstConsumer,
}

/// Applies a StorageClass of `provisioner` ([`crate::provisioner::DRIVER`], [`crate::api_server::HOSTPATH_PROVISIONER`],
/// `kubernetes.io/no-provisioner`…) with policy Delete that allows expansion; gives its name.
pub async fn storage_class(client: &Client, name: &str, provisioner: &str, binding: Binding) -> String {
    let api: Api<StorageClass> = Api::all(client.clone());
    let body = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": name },
        "provisioner": provisioner, "reclaimPolicy": "Delete", "allowVolumeExpansion": true,
        "volumeBindingMode": match binding {
            Binding::Immediate => "Immediate",
            Binding::WaitForFirstConsumer => "WaitForFirstConsumer",
        },
    });
    let applied = api.patch(name, &PatchParams::apply("test-kit").force(), &Patch::Apply(&body)).await;
    applied.unwrap_or_else(|e| panic!("apply StorageClass {name}: {e}"));
    name.to_owned()
}

/// A claim to be made: 1 GiB, `ReadWriteOnce`.
#[derive(Debug, Clone)]
pub struct Claim {
    body: Value,
}

impl Claim {
    /// A claim of the given class.
    pub fn new(name: &str, class: &str) -> Self {
        Self {
            body: json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                    "resources": { "requests": { "storage": "1Gi" } },
                },
            }),
        }
    }

    /// Its data come from a Backup of the data-protection group. No namespace: the API server would drop a
    /// reference that carries one; the source namespace travels in an annotation.
    #[must_use]
    pub fn from_backup(self, backup: &str) -> Self {
        let group = DP_API.split('/').next();
        self.data_source_ref(&json!({ "apiGroup": group, "kind": "Backup", "name": backup }))
    }

    /// Any `dataSourceRef`.
    #[must_use]
    pub fn data_source_ref(mut self, reference: &Value) -> Self {
        self.body["spec"]["dataSourceRef"] = reference.clone();
        self
    }

    /// One annotation.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.body["metadata"]["annotations"][name] = json!(value);
        self
    }

    /// One label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.body["metadata"]["labels"][name] = json!(value);
        self
    }

    /// Anything else in `spec`.
    #[must_use]
    pub fn spec(mut self, field: &str, value: &Value) -> Self {
        self.body["spec"][field] = value.clone();
        self
    }

    /// The body as JSON.
    pub fn json(&self) -> &Value {
        &self.body
    }

    /// Makes it.
    pub async fn create(&self, client: &Client, namespace: &str) -> PersistentVolumeClaim {
        create(&Api::namespaced(client.clone(), namespace), &self.body).await
    }
}

/// A `DynamicObject` of a data-protection kind.
pub fn dp_object(kind: &str, namespace: &str, name: &str, spec: &Value) -> DynamicObject {
    object(DP_API, kind, Some(namespace), name, &json!({ "spec": spec }))
}

/// A `DynamicObject` of any kind; `namespace` `None` for cluster kinds; `rest` holds spec, data or what the kind has,
/// and may hold `metadata` with labels and annotations.
pub fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str, rest: &Value) -> DynamicObject {
    let mut body = rest.clone();
    body["apiVersion"] = json!(api_version);
    body["kind"] = json!(kind);
    body["metadata"]["name"] = json!(name);
    if let Some(namespace) = namespace {
        body["metadata"]["namespace"] = json!(namespace);
    }
    serde_json::from_value(body).unwrap_or_else(|e| panic!("{kind} {name}: {e}"))
}

/// The resource of a kind by the usual plural (lower case with `s`, `ies` or `es`), without asking the server.
pub fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// An `Api` for `DynamicObject`s of a namespaced kind.
pub fn dynamic(client: &Client, api_version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(api_version, kind))
}

/// An `Api` for `DynamicObject`s of a data-protection kind.
pub fn dp_api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    dynamic(client, DP_API, kind, namespace)
}

/// Makes a `DynamicObject`, namespaced when it has a namespace, and then writes `status` if there is one.
pub async fn create_object(client: &Client, object: &DynamicObject, status: Option<&Value>) -> DynamicObject {
    let types = object.types.clone().expect("an object made here has apiVersion and kind");
    let resource = resource(&types.api_version, &types.kind);
    let api = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.name_any();
    let made = api.create(&PostParams::default(), object).await;
    let made = made.unwrap_or_else(|e| panic!("create {} {name}: {e}", types.kind));
    match status {
        Some(status) => set_status(&api, &name, status).await,
        None => made,
    }
}

/// Merges `status` into the status of an object, through its status subresource.
pub async fn set_status<K>(api: &Api<K>, name: &str, status: &Value) -> K
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let patch = Patch::Merge(json!({ "status": status }));
    let patched = api.patch_status(name, &PatchParams::default(), &patch).await;
    patched.unwrap_or_else(|e| panic!("write the status of {name}: {e}"))
}

/// Makes the pod of a database: labelled, on `node-a`, Running and Ready, with the claims mounted below `/data/CLAIM`.
/// No executor is needed for it (and one that runs all pods lets it be); without one, delete it with grace period 0.
pub async fn target_pod(client: &Client, namespace: &str, name: &str, labels: &[(&str, &str)], claims: &[&str]) -> Pod {
    let volumes: Vec<Value> =
        claims.iter().map(|c| json!({ "name": c, "persistentVolumeClaim": { "claimName": c } })).collect();
    let mounts: Vec<Value> = claims.iter().map(|c| json!({ "name": c, "mountPath": format!("/data/{c}") })).collect();
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    until_default_account(client, namespace).await;
    crate::executor::make_node(client, "node-a").await;
    let body = json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "nodeName": "node-a", "volumes": volumes,
            "containers": [{ "name": "database", "image": "docker.io/local/database:1", "volumeMounts": mounts }],
        },
    });
    create(&api, &body).await;
    let now = crate::clock::now();
    let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .iter()
        .map(|type_| json!({ "type": type_, "status": "True", "lastTransitionTime": now }))
        .collect();
    let status = json!({
        "phase": "Running", "conditions": conditions, "startTime": now,
        "hostIP": "127.0.0.1", "podIP": "10.245.0.1", "podIPs": [{ "ip": "10.245.0.1" }],
        "containerStatuses": [{
            "name": "database", "image": "docker.io/local/database:1", "imageID": "", "restartCount": 0,
            "ready": true, "started": true, "state": { "running": { "startedAt": now } },
        }],
    });
    set_status(&api, name, &status).await
}

/// Makes an opaque Secret.
pub async fn secret(client: &Client, namespace: &str, name: &str, data: &[(&str, &str)]) -> Secret {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let body = json!({ "metadata": { "name": name }, "stringData": data });
    create(&Api::namespaced(client.clone(), namespace), &body).await
}

/// Makes a service account with every right, as an operator of a test that is not about RBAC.
pub async fn cluster_admin_account(client: &Client, namespace: &str, name: &str) {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    create(&accounts, &json!({ "metadata": { "name": name } })).await;
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let body = json!({
        "metadata": { "name": format!("{namespace}-{name}") },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": namespace, "name": name }],
    });
    create(&bindings, &body).await;
}

/// Waits until pods can be made in a namespace: a controller makes its default service account.
pub async fn until_default_account(client: &Client, namespace: &str) {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    crate::wait::watch_until(&accounts, "default", std::time::Duration::from_secs(20), |_| true).await;
}

async fn create<K>(api: &Api<K>, body: &Value) -> K
where
    K: Clone + serde::de::DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let object: K = serde_json::from_value(body.clone()).unwrap_or_else(|e| panic!("{e}: {body}"));
    api.create(&PostParams::default(), &object).await.unwrap_or_else(|e| panic!("create: {e}: {body}"))
}
