//! Actions of ActionSets run without an operator: the pod that it would make of one (contract-dp §10.4 to §10.6), so that a
//! script is tested as such, whether or not the operator serves its kind yet.

use crate::{Node, PATIENCE, run, state, workspace};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, LogParams};
use serde_json::{Value, json};
use std::process::Command;
use test_kit::wait;

/// Where scripts look for the mover.
const BIN: &str = "/bin/datasafed";
/// What a script says about its backup.
const INFO: &str = "/dp-manager/backup.info";

/// A repository as pods see it.
#[derive(Clone, Debug)]
pub enum Repository {
    /// The claim of this name, made on first use.
    Claim(&'static str),
    /// A bucket of the node's S3 server.
    Bucket(&'static str),
}

/// One action.
#[derive(Clone, Debug)]
pub struct Action<'a> {
    /// Name of the pod.
    pub pod: &'a str,
    /// The ActionSet.
    pub set: &'a Value,
    /// Where in its spec the action is, as a JSON pointer.
    pub at: &'a str,
    /// A claim of the target and where it is mounted.
    pub volume: Option<(&'a str, &'a str)>,
    /// What else the operator would set.
    pub env: Vec<(&'a str, String)>,
}

/// What an action left.
#[derive(Debug)]
pub struct Left {
    /// Its `backup.info`, or null.
    pub info: Value,
    /// The end of its log.
    pub log: String,
}

/// Environment of a backup's and a restore's action: `root` is the policy's directory in the repository.
pub fn backup_env(root: &str, name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DP_BACKUP_NAME", name.to_owned()),
        ("DP_BACKUP_ROOT_PATH", root.to_owned()),
        ("DP_BACKUP_BASE_PATH", format!("{root}/{name}")),
        ("DP_TARGET_RELATIVE_PATH", String::new()),
        ("DP_BACKUP_INFO_FILE", INFO.to_owned()),
    ]
}

impl Node {
    /// Runs a script of the workspace; what it prints is for those who watch.
    pub fn script(&self, path: &str, arguments: &[&str]) {
        eprint!("{}", run(Command::new(workspace().join(path)).args(arguments)));
    }

    /// Applies a file of `e2e/addons`.
    pub fn addon(&self, file: &str) {
        self.apply_file(&workspace().join("e2e/addons").join(file));
    }

    /// An ActionSet of `e2e/addons`, as the API server has it.
    pub async fn action_set(&self, file: &str) -> Value {
        let path = workspace().join("e2e/addons").join(file);
        let object = self.manifest(&path);
        crate::clusters::json(&self.apply_cluster(&object).await)
    }

    /// What a pod has to have to reach a repository.
    async fn reach(&self, repository: &Repository) -> (Value, Value, Value) {
        match repository {
            Repository::Claim(name) => {
                let claim = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                });
                self.apply(&claim).await;
                (
                    json!({"name": "dp-backup-data", "persistentVolumeClaim": {"claimName": name}}),
                    json!({"name": "dp-backup-data", "mountPath": "/backupdata"}),
                    json!({"name": "DATASAFED_LOCAL_BACKEND_PATH", "value": "/backupdata"}),
                )
            }
            Repository::Bucket(bucket) => {
                self.script("e2e/s3/install.sh", &[bucket]);
                let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "holdfast-s3");
                let data = secrets.get("s3-credentials").await.expect("credentials").data.unwrap_or_default();
                let text = |key: &str| String::from_utf8(data[key].0.clone()).expect("text");
                let config = format!(
                    "[storage]\ntype = s3\nprovider = Other\nenv_auth = false\naccess_key_id = {}\nsecret_access_key = {}\n\
                     region = us-east-1\nendpoint = http://s3.holdfast-s3.svc:7070\nroot = {bucket}\nno_check_bucket = true\n\
                     force_path_style = true\nchunk_size = 50Mi\n",
                    text("accessKeyId"),
                    text("secretAccessKey"),
                );
                self.apply(&json!({
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tool-config"},
                    "stringData": {"datasafed.conf": config},
                }))
                .await;
                (
                    json!({"name": "dp-datasafed-config", "secret": {"secretName": "tool-config"}}),
                    json!({"name": "dp-datasafed-config", "mountPath": "/etc/datasafed", "readOnly": true}),
                    json!({"name": "DP_REPOSITORY", "value": bucket}),
                )
            }
        }
    }

    /// Starts an action in a pod of its own, with the rights that the operator gives to actions.
    pub async fn start_action(&self, action: &Action<'_>, repository: &Repository) {
        let (volume, mount, reach) = self.reach(repository).await;
        let spec = &action.set["spec"];
        let what = spec.pointer(action.at).unwrap_or_else(|| panic!("no {} in {spec}", action.at));
        let mut env: Vec<Value> =
            action.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        env.extend(spec["env"].as_array().cloned().unwrap_or_default());
        let mut image = what["image"].as_str().expect("an image").to_owned();
        for variable in &env {
            let pattern = format!("$({})", variable["name"].as_str().expect("a name"));
            image = image.replace(&pattern, variable["value"].as_str().unwrap_or_default());
        }
        env.push(reach);
        let mut command = what["command"].as_array().expect("a command").clone();
        if spec["backupType"] != "Continuous" {
            // What it says about its backup goes into the pod's status.
            let shell = command[0].clone();
            let tell = format!("\"$@\" || exit; if [ -s {INFO} ]; then cat {INFO} >/dev/termination-log; fi");
            command.splice(0..0, [shell, json!("-c"), json!(tell), json!("action")]);
        }
        env.push(json!({"name": "DP_DATASAFED_BIN_PATH", "value": BIN}));
        let mut volumes = vec![
            volume,
            json!({"name": "dp-datasafed-bin", "emptyDir": {}}),
            json!({"name": "manager-shared-volume", "emptyDir": {}}),
        ];
        let mut mounts = vec![
            mount,
            json!({"name": "dp-datasafed-bin", "mountPath": BIN}),
            json!({"name": "manager-shared-volume", "mountPath": "/dp-manager"}),
        ];
        if let Some((claim, path)) = action.volume {
            volumes.push(json!({"name": "target", "persistentVolumeClaim": {"claimName": claim}}));
            mounts.push(json!({"name": "target", "mountPath": path}));
        }
        let mover = format!("docker.io/local/datasafed:{}", env!("CARGO_PKG_VERSION"));
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": action.pod},
            "spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 10, "volumes": volumes,
                "initContainers": [{"name": "dp-copy-datasafed", "image": mover, "command": ["/datasafed", "install", BIN],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "dp-datasafed-bin", "mountPath": BIN}]}],
                "containers": [{"name": "action", "image": image, "command": command, "env": env, "volumeMounts": mounts,
                    "securityContext": {"runAsUser": 0, "allowPrivilegeEscalation": false, "capabilities": {
                        "drop": ["ALL"], "add": ["DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID", "KILL"]}}}],
            },
        }))
        .await;
    }

    /// Runs an action to its end, which must be a success, and takes its pod away.
    pub async fn action(&self, action: &Action<'_>, repository: &Repository) -> Left {
        self.start_action(action, repository).await;
        self.action_done(action.pod, true).await
    }

    /// Waits until the pod of an action has ended as is `wanted`.
    pub async fn action_done(&self, pod: &str, wanted: bool) -> Left {
        let pods = self.pods();
        let ended = |pod: &Pod| matches!(phase(pod), "Succeeded" | "Failed");
        let found = wait::watch_until(&pods, pod, PATIENCE, ended).await;
        let log = self.log_of(pod).await;
        assert_eq!(phase(&found) == "Succeeded", wanted, "{pod}: {log}");
        let statuses = found.status.and_then(|s| s.container_statuses).unwrap_or_default();
        let told = statuses.into_iter().find_map(|s| s.state?.terminated?.message).unwrap_or_default();
        let info =
            if told.is_empty() { Value::Null } else { serde_json::from_str(&told).expect("backup.info is JSON") };
        self.remove_pod(pod).await;
        Left { info, log }
    }

    /// The end of the log of an action.
    pub async fn log_of(&self, pod: &str) -> String {
        let tail = LogParams { tail_lines: Some(40), container: Some("action".to_owned()), ..LogParams::default() };
        self.pods().logs(pod, &tail).await.unwrap_or_else(|e| format!("no log: {e}"))
    }

    /// Takes a pod away and waits until it is gone, and with it the use of its volumes.
    pub async fn remove_pod(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.expect("delete the pod");
        wait::watch_until_gone(&self.pods(), name, PATIENCE).await;
    }

    /// An exec action, as `kubectl exec` runs it.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn exec_action(&self, set: &Value, at: &str, pod: &str) -> Result<String, String> {
        let exec = set["spec"].pointer(at).unwrap_or_else(|| panic!("no {at}"));
        let mut command = Command::new(state().join("bin/kubectl"));
        command.arg("--kubeconfig").arg(state().join("cluster/admin.conf")).args(["-n", &self.namespace, "exec", pod]);
        if let Some(container) = exec["container"].as_str() {
            command.args(["-c", container]);
        }
        command.arg("--");
        for word in exec["command"].as_array().expect("a command") {
            command.arg(word.as_str().expect("text"));
        }
        let output = command.output().expect("kubectl starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A pod as those of a StatefulSet, on a claim that was restored.
    pub async fn start_on(&self, set: &str, pod: &str, claim: &str) {
        let set = self.api("apps/v1", "StatefulSet").get(set).await.expect("the StatefulSet");
        let mut spec = set.data["spec"]["template"]["spec"].clone();
        spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
        self.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec})).await;
        self.until_ready(pod).await;
    }

    /// An empty claim of a class, or one made from a volume snapshot.
    pub async fn new_claim(&self, name: &str, class: &str, size: &str, snapshot: Option<&str>) {
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": size}},
        });
        if let Some(snapshot) = snapshot {
            spec["dataSource"] =
                json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot});
        }
        self.apply(
            &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}),
        )
        .await;
    }

    /// A volume snapshot of a claim, once it can be used.
    pub async fn snapshot(&self, name: &str, claim: &str) -> Value {
        let version = "snapshot.storage.k8s.io/v1";
        self.apply(&json!({
            "apiVersion": version, "kind": "VolumeSnapshot", "metadata": {"name": name},
            "spec": {"source": {"persistentVolumeClaimName": claim}},
        }))
        .await;
        let ready = |s: &kube::api::DynamicObject| s.data["status"]["readyToUse"] == true;
        crate::clusters::json(&wait::watch_until(&self.api(version, "VolumeSnapshot"), name, PATIENCE, ready).await)
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}
