//! Clusters on the stage: the apps operator beside the data protection operator, each with its own account and proxy.

use crate::{Company, PATIENCE, RUNTIME, Stage, operator_of, stage_on, workspace};
use api_types::apps::{Cluster, Component};
use api_types::workloads::InstanceSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use test_kit::api_server::ApiServer;
use test_kit::builders::{self, Binding};
use test_kit::crash_proxy::{CrashProxy, Identity};
use test_kit::executor::FakeExecutor;
use test_kit::operator::{Operator, OperatorBuilder, free_port};
use test_kit::provisioner::{DRIVER, Provisioner};
use test_kit::wait;
use tokio::sync::{Mutex, OnceCell};

/// Namespace and account of the apps operator, as the chart makes them.
pub const APPS_OPERATOR: (&str, &str) = ("holdfast-apps", "holdfast-apps");

/// The apps operator at work.
pub struct Apps {
    /// Keeps it alive.
    pub operator: Mutex<Operator>,
    /// Between it and the API server.
    pub proxy: CrashProxy,
}

static APPS: OnceCell<Apps> = OnceCell::const_new();

/// Applies the CRDs of the apps operator, and its roles and policies, as a user would.
pub async fn install(server: &ApiServer) {
    let root = workspace();
    server.apply_file(&root.join("deploy/install/holdfast-crds-apps.yaml")).await;
    server.apply_file(&root.join("deploy/install/holdfast-apps.yaml")).await;
}

/// The apps operator on `server`.
pub async fn apps(server: &'static ApiServer) -> &'static Apps {
    APPS.get_or_init(|| async {
        let start = move || RUNTIME.block_on(start_apps(server));
        tokio::task::spawn_blocking(start).await.expect("the apps operator starts")
    })
    .await
}

async fn start_apps(server: &'static ApiServer) -> Apps {
    install(server).await;
    // The garbage collector looks for new kinds every 30 s only; a fresh one knows ours at once.
    server.restart_controller_manager().await;
    let proxy = CrashProxy::start(server, Identity::service_account(APPS_OPERATOR.0, APPS_OPERATOR.1)).await;
    let kubeconfig = proxy.kubeconfig(server.dir());
    let operator = operator_of("holdfast-apps", APPS_OPERATOR.0, server.dir(), &kubeconfig).start().await;
    Apps { operator: Mutex::new(operator), proxy }
}

/// A namespace on the shared server with both operators at work.
pub async fn both(name: &str) -> (Stage, &'static Company, &'static Apps) {
    let server = ApiServer::shared().await;
    let (stage, company) = stage_on(server, name).await;
    (stage, company, apps(server).await)
}

/// A server of a test's own, with nothing of ours installed, and what runs pods and makes volumes.
pub struct Bare {
    /// The server; it ends with the test process.
    pub server: &'static ApiServer,
    /// A namespace on it.
    pub stage: Stage,
    /// Health port of the operator.
    pub health_port: u16,
    _executor: FakeExecutor,
    _provisioner: Provisioner,
}

impl Bare {
    /// Starts one.
    pub async fn start(name: &str) -> Self {
        let server: &'static ApiServer = Box::leak(Box::new(ApiServer::builder().start().await));
        let client = server.client();
        builders::storage_class(&client, crate::IMMEDIATE, DRIVER, Binding::Immediate).await;
        let namespace = builders::namespace(&client, name).await;
        let executor =
            FakeExecutor::builder(client.clone()).selector("app.kubernetes.io/managed-by=kubeblocks").start().await;
        let provisioner = Provisioner::start(client.clone()).await;
        let stage = Stage { server, client, namespace };
        Bare { server, stage, health_port: free_port(), _executor: executor, _provisioner: provisioner }
    }

    /// Installs the apps operator's CRDs, roles and policies.
    pub async fn install(&self) {
        install(self.server).await;
        self.server.restart_controller_manager().await;
    }

    /// The apps operator on this server, as administrator: its own account may not be there yet.
    pub fn operator(&self) -> OperatorBuilder {
        let dir = self.server.dir();
        Operator::builder(Operator::built("holdfast-apps"), dir.join("holdfast-apps.log"))
            .kubeconfig(self.server.admin_kubeconfig())
            .env("CM_NAMESPACE", "default")
            .env("POD_NAME", "under-test")
            .env("RUST_LOG", "info,apps=debug,controller_kit=debug")
            .arg(format!("--health-address=127.0.0.1:{}", self.health_port))
            .arg(format!("--metrics-address=127.0.0.1:{}", free_port()))
            .arg(format!("--debug-address=127.0.0.1:{}", free_port()))
            .health_port(self.health_port)
    }
}

/// A ComponentDefinition of the stage's own, changed by `change`; gives its name.
pub async fn definition(stage: &Stage, change: impl FnOnce(&mut Value)) -> String {
    let name = format!("toy-{}", stage.namespace);
    let mut spec = json!({
        "provider": "holdfast", "serviceKind": "toy", "serviceVersion": "1.0.0",
        "podManagementPolicy": "Parallel", "updateStrategy": "BestEffortParallel",
        "runtime": {"containers": [{
            "name": "main", "image": "docker.io/local/busybox:1", "command": ["sh", "-c", "sleep 36000"],
            "env": [{"name": "PW", "value": "$(TOY_PASSWORD)"}],
            "ports": [{"name": "p", "containerPort": 7000}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }]},
        "vars": [
            {"name": "TOY_USER", "valueFrom": {"credentialVarRef": {"name": "root", "username": "Required"}}},
            {"name": "TOY_PASSWORD", "valueFrom": {"credentialVarRef": {"name": "root", "password": "Required"}}},
            {"name": "PODS", "valueFrom": {"componentVarRef": {"podNames": "Required"}}},
            {"name": "GREETING", "value": "hello"},
        ],
        "volumes": [{"name": "data", "needSnapshot": true}],
        "services": [{"name": "default", "spec": {"ports": [{"name": "p", "port": 7000, "targetPort": "p"}]}}],
        "systemAccounts": [{"name": "root", "initAccount": true, "passwordConfig": {"length": 12, "numDigits": 4}}],
    });
    change(&mut spec);
    create(stage, "apps.kubeblocks.io/v1", "ComponentDefinition", "", &name, &json!({}), &spec).await;
    name
}

async fn create(
    stage: &Stage,
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
    annotations: &Value,
    spec: &Value,
) -> DynamicObject {
    let body = json!({
        "apiVersion": api_version, "kind": kind, "spec": spec,
        "metadata": {"name": name, "annotations": annotations,
            "namespace": if namespace.is_empty() { Value::Null } else { json!(namespace) }},
    });
    let object: DynamicObject = serde_json::from_value(body).expect("an object");
    let resource = builders::resource(api_version, kind);
    let api: Api<DynamicObject> = if namespace.is_empty() {
        Api::all_with(stage.client.clone(), &resource)
    } else {
        Api::namespaced_with(stage.client.clone(), namespace, &resource)
    };
    api.create(&PostParams::default(), &object).await.unwrap_or_else(|e| panic!("create {kind} {name}: {e}"))
}

/// A component `db` of that definition: two replicas, one claim `data`.
pub fn component(definition: &str) -> Value {
    json!({
        "name": "db", "componentDef": definition, "replicas": 2,
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "16Mi"}},
        "volumeClaimTemplates": [{"name": "data", "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": crate::IMMEDIATE,
            "resources": {"requests": {"storage": "1Gi"}}}}],
    })
}

/// `spec.restore` from that Backup.
pub fn from_backup(name: &str) -> Value {
    json!({"source": {"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": name}})
}

/// Creates a Cluster of these components; `extra` goes into its spec.
pub async fn cluster(stage: &Stage, name: &str, components: &[Value], extra: &Value) {
    cluster_with(stage, name, &json!({}), components, extra).await;
}

/// The same with annotations.
pub async fn cluster_with(stage: &Stage, name: &str, notes: &Value, components: &[Value], extra: &Value) {
    let mut spec = json!({"terminationPolicy": "Delete", "componentSpecs": components});
    for (key, value) in extra.as_object().expect("fields") {
        spec[key] = value.clone();
    }
    create(stage, "apps.kubeblocks.io/v1", "Cluster", &stage.namespace, name, notes, &spec).await;
}

/// Clusters of the stage.
pub fn clusters(stage: &Stage) -> Api<Cluster> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// Components of the stage.
pub fn components(stage: &Stage) -> Api<Component> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// InstanceSets of the stage.
pub fn sets(stage: &Stage) -> Api<InstanceSet> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// Merge patch of a Cluster.
///
/// # Errors
/// What the API server says to it.
pub async fn patch_cluster(stage: &Stage, name: &str, patch: &Value) -> kube::Result<Cluster> {
    clusters(stage).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
}

/// JSON patch of a Cluster.
///
/// # Errors
/// What the API server says to it.
pub async fn json_patch_cluster(stage: &Stage, name: &str, patch: Value) -> kube::Result<Cluster> {
    let patch = serde_json::from_value(patch).expect("a JSON patch");
    clusters(stage).patch(name, &PatchParams::default(), &Patch::<()>::Json(patch)).await
}

/// A condition of a list.
pub fn condition<'a>(list: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    list.iter().find(|c| c.type_ == type_)
}

/// Waits for the phase of a Cluster.
pub async fn until_cluster(stage: &Stage, name: &str, phase: &str) -> Cluster {
    let api = clusters(stage);
    wait::eventually(PATIENCE, &format!("Cluster {name} is {phase}"), async || {
        let cluster = api.get(name).await.map_err(|e| e.to_string())?;
        let status = cluster.status.clone().unwrap_or_default();
        let now = status.phase.as_ref().map(ToString::to_string).unwrap_or_default();
        if now == phase { Ok(cluster) } else { Err(format!("{}\n{}", json!(status), below(stage, name).await)) }
    })
    .await
}

/// Statuses of the Components and sets of a Cluster, for messages.
async fn below(stage: &Stage, cluster: &str) -> String {
    let params = ListParams::default().labels(&format!("app.kubernetes.io/instance={cluster}"));
    let components = components(stage).list(&params).await.map(|l| l.items).unwrap_or_default();
    let sets = sets(stage).list(&params).await.map(|l| l.items).unwrap_or_default();
    let mut lines: Vec<String> =
        components.iter().map(|c| format!("Component {}: {}", c.name_any(), json!(c.status))).collect();
    lines.extend(sets.iter().map(|s| format!("InstanceSet {}: {}", s.name_any(), json!(s.status))));
    let claims = crate::objects::claims(stage).list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
    lines.extend(
        claims.iter().map(|c| format!("claim {}: {} {}", c.name_any(), json!(c.annotations()), json!(c.status))),
    );
    lines.join("\n")
}

/// Waits until a Cluster's condition has this status and its reason or message contains `text`.
pub async fn until_told(stage: &Stage, name: &str, type_: &str, status: &str, text: &str) -> Cluster {
    let api = clusters(stage);
    wait::eventually(PATIENCE, &format!("Cluster {name} says {type_}={status} {text}"), async || {
        let cluster = api.get(name).await.map_err(|e| e.to_string())?;
        let all = cluster.status.clone().unwrap_or_default();
        match condition(&all.conditions, type_) {
            Some(c) if c.status == status && (c.reason == text || c.message.contains(text)) => Ok(cluster),
            _ => Err(format!("{}\n{}", json!(all), below(stage, name).await)),
        }
    })
    .await
}

/// UIDs of the pods of a Cluster, by name.
pub async fn pod_uids(stage: &Stage, cluster: &str) -> BTreeMap<String, String> {
    let api: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let params = ListParams::default().labels(&format!("app.kubernetes.io/instance={cluster}"));
    let pods = api.list(&params).await.expect("pods");
    pods.iter().map(|p| (p.name_any(), p.uid().unwrap_or_default())).collect()
}
