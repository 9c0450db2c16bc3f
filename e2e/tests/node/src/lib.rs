//! The one-node cluster as tests see it: the operator installed from its charts, a namespace each, and
//! the few calls they need. `make cluster-up` starts it; the first test installs the operator.
// A cluster that can not be reached ends the test; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::missing_panics_doc)]

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use test_kit::{api_server, builders, wait};

/// How long a test waits for what must happen on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// API of the dp kinds.
pub const DP: &str = builders::DP_API;

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(3).expect("the workspace").to_path_buf()
}

/// Where the cluster keeps its state.
pub fn state() -> PathBuf {
    std::env::var_os("HOLDFAST_STATE").map_or_else(|| "/var/lib/holdfast-e2e".into(), PathBuf::from)
}

/// A namespace on the cluster.
pub struct Node {
    /// Cluster admin.
    pub client: Client,
    /// The test's namespace.
    pub namespace: String,
}

/// Runs a program and gives its output, which must be a success.
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    out
}

/// The operator installed, and a fresh namespace.
pub async fn node(name: &str) -> Node {
    api_server::install_crypto();
    let kubeconfig = state().join("cluster/admin.conf");
    assert!(kubeconfig.exists(), "no cluster: run `make cluster-up` first (or `make e2e`, which does)");
    let file = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a configuration");
    let client = Client::try_from(config).expect("a client");
    let namespace = builders::namespace(&client, name).await;
    let node = Node { client, namespace };
    if !node.operator_ready().await {
        run(Command::new(workspace().join("e2e/demo.sh")).arg("install"));
    }
    node
}

impl Node {
    async fn operator_ready(&self) -> bool {
        let deployments: Api<k8s_openapi::api::apps::v1::Deployment> =
            Api::namespaced(self.client.clone(), "holdfast-dp");
        let found = deployments.get_opt("holdfast-dp").await.expect("the API server answers");
        found.and_then(|d| d.status).and_then(|s| s.ready_replicas).unwrap_or_default() > 0
    }

    /// Objects of a kind in the test's namespace.
    pub fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &builders::resource(api_version, kind))
    }

    /// Claims of the test's namespace.
    pub fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Pods of the test's namespace.
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies a namespaced object.
    pub async fn apply(&self, object: &Value) -> DynamicObject {
        let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        self.put(&self.api(version, kind), object).await
    }

    /// Applies a cluster-scoped object.
    pub async fn apply_cluster(&self, object: &Value) -> DynamicObject {
        let resource: ApiResource =
            builders::resource(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        self.put(&Api::all_with(self.client.clone(), &resource), object).await
    }

    async fn put(&self, api: &Api<DynamicObject>, object: &Value) -> DynamicObject {
        let name = object["metadata"]["name"].as_str().expect("a name");
        api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.expect("apply")
    }

    /// Waits until a dp object is in `phase`.
    pub async fn until_phase(&self, kind: &str, name: &str, phase: &str) -> DynamicObject {
        let api = match kind {
            "BackupRepo" => Api::all_with(self.client.clone(), &builders::resource(DP, kind)),
            _ => self.api(DP, kind),
        };
        wait::eventually(PATIENCE, &format!("{kind} {name} is {phase}"), async || {
            let object = api.get(name).await.map_err(|e| e.to_string())?;
            let status = object.data.get("status").cloned().unwrap_or_default();
            if status["phase"] == phase { Ok(object) } else { Err(status.to_string()) }
        })
        .await
    }

    /// Waits until a claim's data are there.
    pub async fn until_restored(&self, name: &str) -> PersistentVolumeClaim {
        wait::eventually(PATIENCE, &format!("claim {name} is restored"), async || {
            let claim = self.claims().get(name).await.map_err(|e| e.to_string())?;
            let conditions = claim.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
            match conditions.iter().find(|c| c.type_ == "Restore") {
                Some(c) if c.status == "True" => Ok(claim),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Waits until a pod is Ready.
    pub async fn until_ready(&self, name: &str) {
        wait::eventually(PATIENCE, &format!("pod {name} is Ready"), async || {
            let pod = self.pods().get(name).await.map_err(|e| e.to_string())?;
            let conditions = pod.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
            if conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True") {
                Ok(())
            } else {
                Err(format!("{:?}", pod.status))
            }
        })
        .await;
    }

    /// The directory on this machine that holds a claim's volume.
    pub async fn directory_of(&self, claim: &str) -> PathBuf {
        let claim = self.claims().get(claim).await.expect("the claim");
        let name = claim.spec.and_then(|s| s.volume_name).expect("bound");
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volume = volumes.get(&name).await.expect("its volume");
        volume.spec.and_then(|s| s.host_path).expect("a hostpath volume").path.into()
    }

    /// Names of objects of a kind in the test's namespace.
    pub async fn names(&self, api_version: &str, kind: &str) -> Vec<String> {
        let list = self.api(api_version, kind).list(&kube::api::ListParams::default()).await.expect("list");
        list.iter().map(ResourceExt::name_any).collect()
    }

    /// Ends the operator's process by SIGKILL, as the kernel would for want of memory; the kubelet
    /// starts it again.
    pub async fn kill_operator(&self) {
        let before = self.operator_restarts().await;
        let socket = state().join("cluster/ctd/c.sock");
        let ctr = || {
            let mut command = Command::new("ctr");
            command.arg("-a").arg(&socket).args(["-n", "k8s.io"]);
            command
        };
        let filter = "labels.\"io.kubernetes.container.name\"==holdfast-dp";
        let containers = run(ctr().args(["containers", "ls", "-q", filter]));
        let tasks = run(ctr().args(["tasks", "ls"]));
        let alive = |id: &&str| tasks.lines().any(|l| l.starts_with(*id) && l.contains("RUNNING"));
        let mut killed = 0;
        for id in containers.lines().map(str::trim).filter(alive) {
            run(ctr().args(["tasks", "kill", "-s", "KILL", id]));
            killed += 1;
        }
        assert_eq!(killed, 1, "one operator runs: {tasks}");
        wait::eventually(PATIENCE, "the operator is back", async || {
            let now = self.operator_restarts().await;
            if now > before && self.operator_ready().await { Ok(()) } else { Err(format!("{now} restarts")) }
        })
        .await;
    }

    async fn operator_restarts(&self) -> i32 {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "holdfast-dp");
        let list = pods.list(&kube::api::ListParams::default()).await.expect("pods");
        let statuses = list
            .iter()
            .filter_map(|p| p.status.as_ref())
            .flat_map(|s| s.container_statuses.clone().unwrap_or_default());
        statuses.map(|s| s.restart_count).sum()
    }

    /// A repository on a claim, shared by all tests.
    pub async fn repository(&self) -> &'static str {
        self.apply_cluster(&json!({
            "apiVersion": DP, "kind": "BackupRepo", "metadata": {"name": "node-tests"},
            "spec": {"storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete", "volumeCapacity": "1Gi"},
        }))
        .await;
        self.until_phase("BackupRepo", "node-tests", "Ready").await;
        "node-tests"
    }
}
