//! The one-node cluster as tests see it: the operators installed from their charts, a namespace each, and
//! the few calls they need. `make cluster-up` starts it; the first test that needs an operator installs it.
// A cluster that can not be reached ends the test; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::missing_panics_doc)]

pub mod backups;
pub mod by_hand;
pub mod clusters;
pub mod repositories;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use repositories::Repository;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use test_kit::{api_server, builders, wait};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// How long a test waits for what must happen on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// API of the dp kinds.
pub const DP: &str = builders::DP_API;
/// The data protection operator; its namespace and container have the same name.
pub const DP_OPERATOR: &str = "holdfast-dp";
/// The apps operator; its namespace and container have the same name.
pub const APPS_OPERATOR: &str = "holdfast-apps";

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(3).expect("the workspace").to_path_buf()
}

/// Where the cluster keeps its state.
pub fn state() -> PathBuf {
    std::env::var_os("HOLDFAST_STATE").map_or_else(|| "/var/lib/holdfast-e2e".into(), PathBuf::from)
}

/// Tests that only wait for their own pods share the machine, so many at a time; any other has it alone.
const SHARES: u32 = 3;
static MACHINE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(SHARES as usize)));
/// Scripts install what is there for all.
static ONE_SCRIPT: Mutex<()> = Mutex::const_new(());

/// A namespace on the cluster.
pub struct Node {
    /// Cluster admin.
    pub client: Client,
    /// The test's namespace.
    pub namespace: String,
    begun: Instant,
    _share: OwnedSemaphorePermit,
}

impl Drop for Node {
    /// Says how long the test took. Not by a macro: what those print is shown of tests that fail alone.
    fn drop(&mut self) {
        let (outcome, took) = (if std::thread::panicking() { "failed" } else { "took" }, self.begun.elapsed());
        let _ = writeln!(std::io::stderr(), "  namespace {}: {outcome} {:.1} s", self.namespace, took.as_secs_f64());
    }
}

/// An operator that was killed.
pub struct Killed {
    operator: &'static str,
    /// How often it had been started again before.
    restarts: i32,
}

/// Runs a program and gives its output, which must be a success.
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    out
}

/// The data protection operator installed, and a fresh namespace, on a machine without any other test.
pub async fn node(name: &str) -> Node {
    enter(name, SHARES).await
}

/// The same beside other tests: for those that neither end an operator nor measure.
pub async fn node_shared(name: &str) -> Node {
    enter(name, 1).await
}

async fn enter(name: &str, shares: u32) -> Node {
    let share = MACHINE.clone().acquire_many_owned(shares).await.expect("never closed");
    let begun = Instant::now();
    api_server::install_crypto();
    let kubeconfig = state().join("cluster/admin.conf");
    assert!(kubeconfig.exists(), "no cluster: run `make cluster-up` first (or `make e2e`, which does)");
    let file = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a configuration");
    let client = Client::try_from(config).expect("a client");
    let namespace = builders::namespace(&client, name).await;
    let node = Node { client, namespace, begun, _share: share };
    node.install(DP_OPERATOR).await;
    node
}

/// Both operators installed, and a fresh namespace.
pub async fn node_with_apps(name: &str) -> Node {
    let node = node(name).await;
    node.install(APPS_OPERATOR).await;
    node
}

impl Node {
    async fn install(&self, operator: &str) {
        let _one = ONE_SCRIPT.lock().await;
        if !self.operator_ready(operator).await {
            let short = operator.trim_start_matches("holdfast-");
            // What it prints is for those who watch; the output of a benchmark is its figures alone.
            eprint!("{}", run(Command::new(workspace().join("e2e/demo.sh")).args(["install", short])));
        }
    }

    async fn operator_ready(&self, operator: &str) -> bool {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), operator);
        let found = deployments.get_opt(operator).await.expect("the API server answers");
        found.and_then(|d| d.status).and_then(|s| s.ready_replicas).unwrap_or_default() > 0
    }

    /// Deletes the test's Backups and then its namespace: its databases would take the machine from the tests after it, and in
    /// a namespace that is being deleted no Job deletes files any more. Nothing of it may be left in the bucket.
    pub async fn leave(&self) {
        self.delete_backups().await;
        let stored = self.directory_of_repository(Repository::Bucket.name()).await.join(&self.namespace);
        assert_eq!(repositories::files_below(&stored), [], "files of Backups that are gone");
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.expect("delete the namespace");
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
        let list = self.api(api_version, kind).list(&ListParams::default()).await.expect("list");
        list.iter().map(ResourceExt::name_any).collect()
    }

    /// Ends the processes of these operators by SIGKILL, as the kernel would for want of memory. The kubelet starts them
    /// again; [`Node::until_back`] waits for that.
    pub async fn kill(&self, operators: &[&'static str]) -> Vec<Killed> {
        let socket = state().join("cluster/ctd/c.sock");
        let ctr = || {
            let mut command = Command::new("ctr");
            command.arg("-a").arg(&socket).args(["-n", "k8s.io"]);
            command
        };
        let mut victims = Vec::new();
        let mut killed = Vec::new();
        for operator in operators {
            let filter = format!("labels.\"io.kubernetes.container.name\"=={operator}");
            let containers = run(ctr().args(["containers", "ls", "-q", &filter]));
            let tasks = run(ctr().args(["tasks", "ls"]));
            let alive = |id: &&str| tasks.lines().any(|l| l.starts_with(*id) && l.contains("RUNNING"));
            let found: Vec<&str> = containers.lines().map(str::trim).filter(alive).collect();
            assert_eq!(found.len(), 1, "one {operator} runs: {tasks}");
            victims.push(found[0].to_owned());
            killed.push(Killed { operator, restarts: self.restarts_of(operator).await });
        }
        // All at once, or nearly so: nothing is awaited in between.
        for id in &victims {
            run(ctr().args(["tasks", "kill", "-s", "KILL", id]));
        }
        killed
    }

    /// Waits until operators that were killed have been started again and are ready.
    pub async fn until_back(&self, killed: &[Killed]) {
        for Killed { operator, restarts } in killed {
            wait::eventually(PATIENCE, &format!("{operator} is back"), async || {
                let now = self.restarts_of(operator).await;
                if now > *restarts && self.operator_ready(operator).await {
                    Ok(())
                } else {
                    Err(format!("{now} restarts"))
                }
            })
            .await;
        }
    }

    async fn restarts_of(&self, operator: &str) -> i32 {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), operator);
        let list = pods.list(&ListParams::default()).await.expect("pods");
        let statuses = list
            .iter()
            .filter_map(|p| p.status.as_ref())
            .flat_map(|s| s.container_statuses.clone().unwrap_or_default());
        statuses.map(|s| s.restart_count).sum()
    }

    /// Waits until a pod of ours with that label runs its action.
    pub async fn until_action_runs(&self, label: &str) {
        wait::eventually(PATIENCE, "the action runs", async || {
            let pods = self.pods().list(&ListParams::default().labels(label)).await.map_err(|e| e.to_string())?;
            let running = pods.iter().any(|p| p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running"));
            if running { Ok(()) } else { Err(format!("{} pods", pods.items.len())) }
        })
        .await;
    }
}
