//! Restores in the pod that the operator would make (contract-dp §10.4 to §10.6): of logs, of chains, and into a running database, which it
//! does not serve yet. What they read was written by the operator's Backups.

use crate::backups::text;
use crate::{DP, Node, PATIENCE, workspace};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, LogParams};
use serde_json::{Value, json};
use test_kit::{builders, wait};

/// Where scripts look for the mover.
const BIN: &str = "/bin/datasafed";

/// One action of a restore.
#[derive(Clone, Debug)]
pub struct Restore<'a> {
    /// The backup that is restored, as the API server has it.
    pub backup: &'a Value,
    /// Where in the spec of its ActionSet the action is, as a JSON pointer.
    pub at: &'a str,
    /// A claim to restore into and where it is mounted.
    pub volume: Option<(&'a str, &'a str)>,
    /// What else the operator would set.
    pub env: Vec<(&'a str, &'a str)>,
}

impl<'a> Restore<'a> {
    /// The action that fills a claim.
    pub fn prepare(backup: &'a Value, volume: (&'a str, &'a str), env: &[(&'a str, &'a str)]) -> Self {
        Self { backup, at: "/restore/prepareData", volume: Some(volume), env: env.to_vec() }
    }

    /// The first action that runs when the database is up; `login` is its host, port, user and password.
    pub fn post_ready(backup: &'a Value, login: [&'a str; 4]) -> Self {
        let names = ["DP_DB_HOST", "DP_DB_PORT", "DP_DB_USER", "DP_DB_PASSWORD"];
        Self { backup, at: "/restore/postReady/0/job", volume: None, env: names.into_iter().zip(login).collect() }
    }
}

impl Node {
    /// Runs a script of the workspace, one at a time; what it prints is for those who watch.
    pub async fn script(&self, path: &str, arguments: &[&str]) {
        let _one = crate::ONE_SCRIPT.lock().await;
        eprint!("{}", crate::run(std::process::Command::new(workspace().join(path)).args(arguments)));
    }

    /// Applies a file of `e2e/addons`.
    pub fn addon(&self, file: &str) {
        self.apply_file(&workspace().join("e2e/addons").join(file));
    }

    /// The repository of a backup as a pod sees it: what the operator prepared for it in this namespace.
    async fn reach(&self, backup: &Value) -> (Value, Value, Value) {
        let name = text(&backup["status"]["backupRepoName"]);
        let repos: Api<kube::api::DynamicObject> =
            Api::all_with(self.client.clone(), &builders::resource(DP, "BackupRepo"));
        let repo = repos.get(name).await.expect("the repository");
        let status = &repo.data["status"];
        match (status["backupPVCName"].as_str(), status["toolConfigSecretName"].as_str()) {
            (Some(claim), _) => (
                json!({"name": "dp-backup-data", "persistentVolumeClaim": {"claimName": claim}}),
                json!({"name": "dp-backup-data", "mountPath": "/backupdata"}),
                json!({"name": "DATASAFED_LOCAL_BACKEND_PATH", "value": "/backupdata"}),
            ),
            (None, Some(secret)) => (
                json!({"name": "dp-datasafed-config", "secret": {"secretName": secret}}),
                json!({"name": "dp-datasafed-config", "mountPath": "/etc/datasafed", "readOnly": true}),
                json!({"name": "DP_REPOSITORY", "value": name}),
            ),
            (None, None) => panic!("repository {name} has neither claim nor configuration: {status}"),
        }
    }

    /// Runs an action to its end, which must be as is `wanted`, and takes its pod away; gives the end of its log.
    pub async fn restore_by_hand(&self, restore: &Restore<'_>, wanted: bool) -> String {
        let (volume, mount, reach) = self.reach(restore.backup).await;
        let status = &restore.backup["status"];
        let sets: Api<kube::api::DynamicObject> =
            Api::all_with(self.client.clone(), &builders::resource(DP, "ActionSet"));
        let set = sets.get(text(&status["backupMethod"]["actionSetName"])).await.expect("the ActionSet");
        let spec = &set.data["spec"];
        let action = spec.pointer(restore.at).unwrap_or_else(|| panic!("no {} in {spec}", restore.at));
        let path = text(&status["path"]);
        let root = path.rsplit_once('/').map_or("/", |(root, _)| root);
        let own = [
            ("DP_BACKUP_NAME", text(&restore.backup["metadata"]["name"])),
            ("DP_TARGET_RELATIVE_PATH", ""),
            ("DP_BACKUP_ROOT_PATH", root),
            ("DP_BACKUP_BASE_PATH", path),
        ];
        let given = own.iter().chain(&restore.env);
        let mut env: Vec<Value> = given.map(|(name, value)| json!({"name": name, "value": value})).collect();
        env.extend(spec["env"].as_array().cloned().unwrap_or_default());
        let mut image = text(&action["image"]).to_owned();
        for variable in &env {
            image = image.replace(&format!("$({})", text(&variable["name"])), text(&variable["value"]));
        }
        env.extend([reach, json!({"name": "DP_DATASAFED_BIN_PATH", "value": BIN})]);
        let mut volumes = vec![volume, json!({"name": "dp-datasafed-bin", "emptyDir": {}})];
        let mut mounts = vec![mount, json!({"name": "dp-datasafed-bin", "mountPath": BIN})];
        if let Some((claim, path)) = restore.volume {
            volumes.push(json!({"name": "target", "persistentVolumeClaim": {"claimName": claim}}));
            mounts.push(json!({"name": "target", "mountPath": path}));
        }
        let mover = format!("docker.io/local/datasafed:{}", env!("CARGO_PKG_VERSION"));
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "by-hand"},
            "spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 10, "volumes": volumes,
                "initContainers": [{"name": "dp-copy-datasafed", "image": mover, "command": ["/datasafed", "install", BIN],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "dp-datasafed-bin", "mountPath": BIN}]}],
                "containers": [{"name": "action", "image": image, "command": action["command"], "env": env, "volumeMounts": mounts,
                    "securityContext": {"runAsUser": 0, "allowPrivilegeEscalation": false, "capabilities": {
                        "drop": ["ALL"], "add": ["DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID", "KILL"]}}}],
            },
        }))
        .await;
        let ended = |pod: &Pod| matches!(phase(pod), "Succeeded" | "Failed");
        let found = wait::watch_until(&self.pods(), "by-hand", PATIENCE, ended).await;
        let tail = LogParams { tail_lines: Some(40), container: Some("action".to_owned()), ..LogParams::default() };
        let log = self.pods().logs("by-hand", &tail).await.unwrap_or_else(|e| format!("no log: {e}"));
        assert_eq!(
            phase(&found) == "Succeeded",
            wanted,
            "{} of {}: {log}",
            restore.at,
            restore.backup["metadata"]["name"]
        );
        self.remove_pod("by-hand").await;
        log
    }

    /// Takes a pod away and waits until it is gone, and with it the use of its volumes.
    pub async fn remove_pod(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.expect("delete the pod");
        wait::watch_until_gone(&self.pods(), name, PATIENCE).await;
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
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}
