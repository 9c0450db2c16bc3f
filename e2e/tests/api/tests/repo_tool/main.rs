//! Repositories that pods reach by the mover's configuration (access method `Tool`): where each configuration comes
//! from, who gets it, and how it follows its key.

mod keys;
mod tenants;
mod through;

use api_types::contract::labels;
use e2e_api::backups::{backup, database, delete, policy, until_backup, until_condition, until_gone, until_job};
use e2e_api::objects::{self, action_set, apply_cluster, dp, prepare_data, until_phase};
use e2e_api::{OPERATOR, PATIENCE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use test_kit::{Outcome, wait};

const CONFIG: &str = "[storage]\ntype = s3\naccess_key_id = {{ index .Parameters \"accessKeyId\" }}\n\
    secret_access_key = {{ index .Parameters \"secretAccessKey\" }}\nroot = {{ .Parameters.bucket }}\nparts = {{ .Parameters.parts }}\n";

fn own(stage: &Stage, what: &str) -> String {
    format!("{what}-{}", stage.namespace)
}

async fn provider(stage: &Stage) -> String {
    let name = own(stage, "store");
    let spec = json!({
        "csiDriverName": "not.installed.example", "datasafedConfigTemplate": CONFIG,
        "parametersSchema": {"credentialFields": ["accessKeyId", "secretAccessKey"], "openAPIV3Schema": {
            "type": "object", "required": ["bucket", "accessKeyId", "secretAccessKey"], "properties": {
                "bucket": {"type": "string"}, "parts": {"type": "integer", "default": 8, "maximum": 64},
                "accessKeyId": {"type": "string"}, "secretAccessKey": {"type": "string", "minLength": 4}}}},
    });
    apply_cluster(&stage.client, "StorageProvider", &name, &spec).await;
    name
}

fn secrets(stage: &Stage, namespace: &str) -> Api<Secret> {
    Api::namespaced(stage.client.clone(), namespace)
}

async fn key(stage: &Stage, namespace: &str, name: &str, id: &str) {
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"accessKeyId": id, "secretAccessKey": format!("secret-of-{id}")}});
    let api = secrets(stage, namespace);
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&body)).await.unwrap();
}

fn text(id: &str, bucket: &str, parts: &str) -> String {
    format!(
        "[storage]\ntype = s3\naccess_key_id = {id}\nsecret_access_key = secret-of-{id}\nroot = {bucket}\nparts = {parts}\n"
    )
}

async fn repo(stage: &Stage, name: &str, provider: &str, change: impl FnOnce(&mut Value)) {
    let mut spec = json!({"storageProviderRef": provider, "accessMethod": "Tool", "pvReclaimPolicy": "Delete",
        "pathPrefix": "clusters/one", "config": {"bucket": "b1"},
        "credential": {"name": format!("key-{name}"), "namespace": OPERATOR.0}});
    change(&mut spec);
    apply_cluster(&stage.client, "BackupRepo", name, &spec).await;
}

async fn until_config(stage: &Stage, namespace: &str, name: &str, wanted: &str) -> Secret {
    wait::eventually(PATIENCE, &format!("Secret {namespace}/{name} has the configuration"), async || {
        let found = secrets(stage, namespace).get_opt(name).await.map_err(|e| e.to_string())?;
        let Some(secret) = found else { return Err("no Secret".into()) };
        let data = secret.data.clone().unwrap_or_default();
        let seen = String::from_utf8_lossy(&data["datasafed.conf"].0).into_owned();
        if seen == wanted { Ok(secret) } else { Err(seen) }
    })
    .await
}

async fn config_name(stage: &Stage, repo: &str) -> String {
    let seen = until_phase(&stage.client, "BackupRepo", "", repo, "Ready").await;
    seen.data["status"]["toolConfigSecretName"].as_str().expect("recorded").to_owned()
}

/// The repository as the containers of a Job's pod see it.
fn reaches(pod: &PodSpec, container: &Container, secret: &str) {
    let volume = pod.volumes.iter().flatten().find(|v| v.name == "dp-datasafed-config").expect("its volume");
    assert_eq!(volume.secret.as_ref().unwrap().secret_name.as_deref(), Some(secret));
    let mounts = container.volume_mounts.as_ref().unwrap();
    let mount = mounts.iter().find(|m| m.name == "dp-datasafed-config").expect("its mount");
    assert_eq!((mount.mount_path.as_str(), mount.read_only), ("/etc/datasafed", Some(true)));
    let names: Vec<&str> = container.env.iter().flatten().map(|v| v.name.as_str()).collect();
    assert!(!names.contains(&"DATASAFED_LOCAL_BACKEND_PATH"), "{names:?}");
}

fn env(container: &Container) -> BTreeMap<String, String> {
    let text = |v: &k8s_openapi::api::core::v1::EnvVar| {
        let of_secret = v.value_from.as_ref().and_then(|f| f.secret_key_ref.as_ref());
        of_secret.map_or_else(|| v.value.clone().unwrap_or_default(), |s| format!("{}/{}", s.name, s.key))
    };
    container.env.iter().flatten().map(|v| (v.name.clone(), text(v))).collect()
}

fn pod_of(job: &Job) -> PodSpec {
    job.spec.clone().unwrap().template.spec.unwrap()
}

/// The next pre-checks of this repository hold, or end so.
fn checks(company: &e2e_api::Company, repo: &str, outcome: Outcome) {
    let repo = repo.to_owned();
    company.executor.plan_with(move |pod| {
        let labels = pod.metadata.labels.as_ref()?;
        let ours = labels.get(labels::BACKUP_REPO_NAME)? == &repo && !labels.contains_key(labels::BACKUP_NAME);
        ours.then(|| outcome.clone())
    });
}

async fn backed_up(stage: &Stage, repo: &str) {
    let actions = action_set(stage, prepare_data()).await;
    database(stage, "db-0").await;
    policy(stage, &actions, |spec| spec["backupRepoName"] = json!(repo)).await;
    backup(stage, "b", |_| {}).await;
}

async fn until_no_repo(stage: &Stage, name: &str) {
    let api = dp(&stage.client, "BackupRepo", "");
    wait::eventually(PATIENCE, "the repository is gone", async || match api.get_opt(name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{:?}", other.map(|o| o.map(|r| r.data["status"].clone())))),
    })
    .await;
}
