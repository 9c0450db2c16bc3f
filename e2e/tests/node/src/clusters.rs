//! Clusters on the node: manifests as users write them, and what becomes of them.

use crate::{Node, PATIENCE, run, state};
use kube::Api;
use kube::api::DynamicObject;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use test_kit::wait;

/// API of Clusters, Components and their definitions.
pub const APPS: &str = "apps.kubeblocks.io/v1";
/// API of InstanceSets.
pub const WORKLOADS: &str = "workloads.kubeblocks.io/v1";

/// Status and reason of a condition, with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `True`, `False` or `Unknown`; empty without the condition.
    pub status: String,
    /// One word.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A condition in the status of any object.
pub fn condition(object: &Value, type_: &str) -> Told {
    let list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = list.into_iter().find(|c| c["type"] == type_).unwrap_or_default();
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Told { status: text("status"), reason: text("reason"), message: text("message") }
}

/// Any object as JSON.
pub fn json(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is JSON")
}

impl Node {
    fn kubectl(&self) -> Command {
        let mut command = Command::new(state().join("bin/kubectl"));
        command.arg("--kubeconfig").arg(state().join("cluster/admin.conf")).args(["-n", &self.namespace]);
        command
    }

    /// Applies a file as a user would.
    pub fn apply_file(&self, path: &Path) {
        run(self.kubectl().args(["apply", "-f"]).arg(path));
    }

    /// A file with one object as JSON.
    pub fn manifest(&self, path: &Path) -> Value {
        let text = run(self.kubectl().args(["create", "--dry-run=client", "-o", "json", "-f"]).arg(path));
        let mut object: Value = serde_json::from_str(&text).expect("one object");
        // Where it goes is said when it is applied.
        object["metadata"].as_object_mut().expect("metadata").remove("namespace");
        object
    }

    /// What a command in a pod prints.
    pub fn exec(&self, pod: &str, command: &[&str]) -> String {
        run(self.kubectl().args(["exec", pod, "--"]).args(command)).trim().to_owned()
    }

    /// Clusters of the test's namespace.
    pub fn clusters(&self) -> Api<DynamicObject> {
        self.api(APPS, "Cluster")
    }

    /// Waits until a Cluster is Running and, where it is `restored`, its condition `Restore` is True.
    pub async fn until_running(&self, name: &str, restored: bool) -> Value {
        let done = |cluster: &DynamicObject| {
            let cluster = json(cluster);
            let data = !restored || condition(&cluster, "Restore").status == "True";
            data && cluster["status"]["phase"] == "Running"
        };
        json(&wait::watch_until(&self.clusters(), name, PATIENCE, done).await)
    }
}
