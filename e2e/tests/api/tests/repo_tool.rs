//! Repositories that pods reach by the mover's configuration (access method `Tool`): where each configuration comes
//! from, who gets it, and how it follows its key.

use api_types::contract::labels;
use e2e_api::backups::{backup, database, delete, policy, until_backup, until_condition, until_gone, until_job};
use e2e_api::objects::{self, action_set, apply_cluster, dp, prepare_data, until_phase};
use e2e_api::{OPERATOR, PATIENCE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec, Secret};
use kube::api::{ListParams, Patch, PatchParams};
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

#[tokio::test]
async fn a_backup_goes_through_the_configuration_of_its_namespace_and_comes_back() {
    let (stage, company) = stage("tool").await;
    let (name, provider) = (own(&stage, "repo"), provider(&stage).await);
    key(&stage, OPERATOR.0, &format!("key-{name}"), "one").await;
    let check = name.clone();
    company.executor.plan_with(move |pod| {
        let ours = pod.metadata.labels.as_ref()?.get(labels::BACKUP_REPO_NAME)? == &check;
        ours.then_some(Outcome::Hold)
    });
    repo(&stage, &name, &provider, |_| {}).await;
    // The pre-check has a configuration of its own, in the operator's namespace, and asks for no rights.
    let jobs: Api<Job> = Api::namespaced(stage.client.clone(), OPERATOR.0);
    let of_repo = ListParams::default().labels(&format!("{}={name}", labels::BACKUP_REPO_NAME));
    let job = wait::eventually(PATIENCE, "the pre-check", async || {
        let found = jobs.list(&of_repo).await.map_err(|e| e.to_string())?;
        found.items.into_iter().next().ok_or_else(|| "no Job".to_owned())
    })
    .await;
    let pod = pod_of(&job);
    reaches(&pod, &pod.containers[0], &job.name_any());
    assert_eq!(pod.containers[0].command.as_deref().unwrap(), ["/datasafed", "precheck", "/clusters/one"]);
    assert_eq!(pod.containers[0].termination_message_policy.as_deref(), Some("FallbackToLogsOnError"));
    assert_eq!(pod.security_context.as_ref().unwrap().run_as_non_root, Some(true));
    until_config(&stage, OPERATOR.0, &job.name_any(), &text("one", "b1", "8")).await;
    let check = name.clone();
    company.executor.plan_with(move |pod| {
        let ours = pod.metadata.labels.as_ref()?.get(labels::BACKUP_REPO_NAME)? == &check;
        ours.then(Outcome::succeed)
    });
    let config = config_name(&stage, &name).await;
    wait::eventually(PATIENCE, "the pre-check's Secret is gone", async || {
        let left = secrets(&stage, OPERATOR.0).get_opt(&job.name_any()).await.map_err(|e| e.to_string())?;
        if left.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await;

    // One word of a repository that is to be encrypted goes to each pod of it.
    let note = json!({"metadata": {"annotations": {"holdfast.dev/envelope": "aead-v1"}}});
    dp(&stage.client, "BackupRepo", "").patch(&name, &PatchParams::default(), &Patch::Merge(&note)).await.unwrap();
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| {
        spec["backupRepoName"] = json!(name);
        spec["encryptionConfig"] =
            json!({"algorithm": "AES-256-CFB", "passPhraseSecretKeyRef": {"name": "phrase", "key": "p"}});
    })
    .await;
    let phrase =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "phrase"}, "stringData": {"p": "words"}});
    let api = secrets(&stage, &stage.namespace);
    api.patch("phrase", &PatchParams::apply("test"), &Patch::Apply(&phrase)).await.unwrap();
    backup(&stage, "b", |_| {}).await;
    let job = until_job(&stage, "dp-backup-").await;
    let done = until_backup(&stage, "b", "Completed").await;
    assert_eq!(done.data["status"].get("persistentVolumeClaimName"), None, "there is no claim");
    assert_eq!(done.data["status"]["backupRepoName"], name);
    assert_eq!(done.data["status"]["encryptionConfig"]["passPhraseSecretKeyRef"]["name"], "phrase");
    assert_eq!(done.data["status"]["path"], format!("/clusters/one/{}/db/b", stage.namespace));
    let pod = pod_of(&job);
    reaches(&pod, &pod.containers[0], &config);
    let seen = env(&pod.containers[0]);
    assert_eq!(seen["DATASAFED_ENCRYPTION_ALGORITHM"], "AES-256-CFB");
    assert_eq!(seen["DATASAFED_ENCRYPTION_PASS_PHRASE"], "phrase/p");
    assert_eq!(seen["DATASAFED_MOVER_ENVELOPE"], "aead-v1");
    let secret = until_config(&stage, &stage.namespace, &config, &text("one", "b1", "8")).await;
    let uid = dp(&stage.client, "BackupRepo", "").get(&name).await.unwrap().uid().unwrap();
    assert_eq!(secret.owner_references()[0].uid, uid);
    assert_eq!(secret.labels()["dataprotection.kubeblocks.io/is-tool-config"], "true");

    // The restore reads with what the backup recorded, whatever the repository says now.
    let note = json!({"metadata": {"annotations": {"holdfast.dev/envelope": null}}});
    dp(&stage.client, "BackupRepo", "").patch(&name, &PatchParams::default(), &Patch::Merge(&note)).await.unwrap();
    let claim = json!({"metadata": {"name": "copy"}, "volumeSource": "data", "volumeClaimSpec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": e2e_api::IMMEDIATE, "resources": {"requests": {"storage": "1Gi"}}}});
    let spec = json!({"backup": {"name": "b", "namespace": stage.namespace},
        "prepareDataConfig": {"volumeClaims": [claim], "volumeClaimRestorePolicy": "Parallel"}});
    objects::create(&stage, "Restore", "r", &json!({}), &spec).await;
    let job = until_job(&stage, "restore-preparedata-").await;
    until_phase(&stage.client, "Restore", &stage.namespace, "r", "Completed").await;
    let pod = pod_of(&job);
    reaches(&pod, &pod.containers[0], &config);
    assert_eq!(env(&pod.containers[0])["DATASAFED_MOVER_ENVELOPE"], "aead-v1");

    // The deletion needs no root where there are no files of anybody (design D12).
    let hold = |pod: &k8s_openapi::api::core::v1::Pod| {
        let deleter = pod.spec.as_ref()?.containers.first()?.name == "deleter";
        deleter.then_some(Outcome::Hold)
    };
    let namespace = stage.namespace.clone();
    company.executor.plan_with(move |pod| hold(pod).filter(|_| pod.namespace().as_deref() == Some(&namespace)));
    delete(&stage, "Backup", "b").await;
    let name_of_job = wait::eventually(PATIENCE, "the deletion Job", async || {
        let names = e2e_api::backups::job_names(&stage, "").await;
        names.iter().find(|n| n.contains("-delete-b")).cloned().ok_or_else(|| format!("{names:?}"))
    })
    .await;
    let job = e2e_api::backups::jobs(&stage).get(&name_of_job).await.unwrap();
    let pod = pod_of(&job);
    reaches(&pod, &pod.containers[0], &config);
    assert_eq!(pod.security_context.as_ref().unwrap().run_as_non_root, Some(true));
    assert_eq!(pod.containers[0].security_context.as_ref().unwrap().run_as_user, None);
    let namespace = stage.namespace.clone();
    company.executor.plan_with(move |pod| (pod.namespace().as_deref() == Some(&namespace)).then(Outcome::succeed));
    until_gone(&stage, "Backup", "b").await;
}

#[tokio::test]
async fn a_missing_credential_is_named_and_its_arrival_ends_the_wait() {
    let (stage, _) = stage("nokey").await;
    let (name, provider) = (own(&stage, "repo"), provider(&stage).await);
    repo(&stage, &name, &provider, |_| {}).await;
    let said = until_condition(&stage, "BackupRepo", &name, "ParametersChecked", "CredentialSecretNotFound").await;
    assert!(said.contains(&format!("{}/key-{name}", OPERATOR.0)), "{said}");
    key(&stage, OPERATOR.0, &format!("key-{name}"), "late").await;
    config_name(&stage, &name).await;
}
