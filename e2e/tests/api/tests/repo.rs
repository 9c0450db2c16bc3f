//! Storage providers and repositories: checks with their conditions, the pre-check, the claims they give
//! to namespaces, deletion, and the columns that people read.

use api_types::contract::{annotations, labels};
use e2e_api::backups::{backup, database, policy, until_backup, until_condition, until_gone, until_waits};
use e2e_api::objects::{self, action_set, apply_cluster, claims, completed_backup, dp, prepare_data, until_phase};
use e2e_api::{Company, IMMEDIATE, OPERATOR, PATIENCE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use test_kit::builders::{self, Claim};
use test_kit::{Outcome, wait};

/// A name for this test alone; repositories and providers have no namespace.
fn own(stage: &Stage, what: &str) -> String {
    format!("{what}-{}", stage.namespace)
}

async fn repo(stage: &Stage, name: &str, provider: &str, config: Value) {
    let spec = json!({"storageProviderRef": provider, "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "volumeCapacity": "1Gi", "config": config});
    apply_cluster(&stage.client, "BackupRepo", name, &spec).await;
}

async fn until_repo(stage: &Stage, name: &str, phase: &str) -> Value {
    until_phase(&stage.client, "BackupRepo", "", name, phase).await.data["status"].clone()
}

/// Pods of the repository's pre-check end so.
fn checks_end(company: &Company, repo: &str, outcome: Outcome) {
    let repo = repo.to_owned();
    company.executor.plan_with(move |pod| {
        let ours = pod.metadata.labels.as_ref()?.get(labels::BACKUP_REPO_NAME)? == &repo;
        ours.then(|| outcome.clone())
    });
}

fn check_jobs(stage: &Stage) -> Api<Job> {
    Api::namespaced(stage.client.clone(), OPERATOR.0)
}

async fn until_check(stage: &Stage, repo: &str, other_than: Option<String>) -> Job {
    let of_repo = ListParams::default().labels(&format!("{}={repo}", labels::BACKUP_REPO_NAME));
    wait::eventually(PATIENCE, &format!("a pre-check of {repo}"), async || {
        let all = check_jobs(stage).list(&of_repo).await.map_err(|e| e.to_string())?;
        all.items.into_iter().find(|j| j.uid() != other_than).ok_or_else(|| "no Job".into())
    })
    .await
}

const TEMPLATE: &str =
    "spec:\n  storageClassName: {{ .Parameters.class | default \"\" }}\n  accessModes: [ReadWriteOnce]\n";

async fn provider(stage: &Stage, name: &str, driver: &str, template: &str, required: Value) {
    let spec = json!({
        "csiDriverName": driver, "persistentVolumeClaimTemplate": template,
        "parametersSchema": {"openAPIV3Schema": {"type": "object", "required": required,
            "properties": {"class": {"type": "string"}, "size": {"type": "integer", "default": 3}}}},
    });
    apply_cluster(&stage.client, "StorageProvider", name, &spec).await;
}

#[tokio::test]
async fn bd35_a_provider_is_ready_while_its_driver_is_there_and_its_repositories_follow() {
    let (stage, _) = stage("driver").await;
    let (of, driver, name) = (own(&stage, "provider"), format!("{}.example.com", stage.namespace), own(&stage, "repo"));
    provider(&stage, &of, &driver, TEMPLATE, json!([])).await;
    let seen = until_phase(&stage.client, "StorageProvider", "", &of, "NotReady").await;
    let condition = &seen.data["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("CSIDriverInstalled"), &json!("Unknown")));
    assert_eq!(condition["reason"], "CheckCSIDriverFailed");
    assert!(condition["message"].as_str().is_some_and(|m| m.contains(&driver)), "{condition}");
    repo(&stage, &name, &of, json!({"class": IMMEDIATE})).await;
    let said = until_condition(&stage, "BackupRepo", &name, "StorageProviderReady", "StorageProviderNotReady").await;
    assert!(said.contains(&of), "{said}");
    let csi = json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": driver}, "spec": {}});
    let drivers: Api<k8s_openapi::api::storage::v1::CSIDriver> = Api::all(stage.client.clone());
    drivers.patch(&driver, &PatchParams::apply("test"), &Patch::Apply(&csi)).await.unwrap();
    let seen = until_phase(&stage.client, "StorageProvider", "", &of, "Ready").await;
    assert_eq!(seen.data["status"]["conditions"][0]["reason"], "CSIDriverObjectFound");
    until_repo(&stage, &name, "Ready").await;
    drivers.delete(&driver, &DeleteParams::default()).await.unwrap();
    until_phase(&stage.client, "StorageProvider", "", &of, "NotReady").await;
    let said = until_condition(&stage, "BackupRepo", &name, "StorageProviderReady", "StorageProviderNotReady").await;
    assert!(said.contains(&driver), "{said}");
    until_repo(&stage, &name, "Failed").await;
}

#[tokio::test]
async fn rule_45_a_finalizer_that_an_old_version_left_on_a_provider_is_taken_off() {
    let (stage, _) = stage("stale").await;
    let of = own(&stage, "provider");
    let body = json!({"apiVersion": builders::DP_API, "kind": "StorageProvider", "metadata": {"name": of,
        "finalizers": ["dataprotection.kubeblocks.io/finalizer", "example.com/theirs"]}, "spec": {}});
    let api = dp(&stage.client, "StorageProvider", "");
    api.patch(&of, &PatchParams::apply("test"), &Patch::Apply(&body)).await.unwrap();
    wait::eventually(PATIENCE, "only the foreign finalizer is left", async || {
        let left = api.get(&of).await.map_err(|e| e.to_string())?.finalizers().to_vec();
        if left == ["example.com/theirs"] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

#[tokio::test]
async fn each_check_that_fails_is_named_and_mended_by_its_cause() {
    let (stage, _) = stage("checks").await;
    let (of, name) = (own(&stage, "provider"), own(&stage, "repo"));
    repo(&stage, &name, &of, json!({})).await;
    let said = until_condition(&stage, "BackupRepo", &name, "StorageProviderReady", "StorageProviderNotFound").await;
    assert!(said.contains(&of) && said.contains("spec.storageProviderRef"), "{said}");
    until_repo(&stage, &name, "Failed").await;

    provider(&stage, &of, "", "spec: {{ .Parameters.class", json!(["class"])).await;
    let said = until_condition(&stage, "BackupRepo", &name, "ParametersChecked", "InvalidParameters").await;
    assert!(said.contains("spec.config") && said.contains("requires class"), "{said}");

    repo(&stage, &name, &of, json!({"class": IMMEDIATE})).await;
    let said = until_condition(&stage, "BackupRepo", &name, "PVCTemplateChecked", "BadPVCTemplate").await;
    assert!(said.contains("persistentVolumeClaimTemplate"), "{said}");
    until_condition(&stage, "BackupRepo", &name, "ParametersChecked", "ParametersChecked").await;

    provider(&stage, &of, "", TEMPLATE, json!(["class"])).await;
    let status = until_repo(&stage, &name, "Ready").await;
    let reasons: Vec<&Value> = status["conditions"].as_array().unwrap().iter().map(|c| &c["status"]).collect();
    assert!(reasons.iter().all(|s| *s == "True") && reasons.len() == 5, "{status}");
}

#[tokio::test]
async fn a_provider_that_lacks_what_the_access_method_needs_is_named() {
    let (stage, _) = stage("lacks").await;
    let (tool, name) = (own(&stage, "tool"), own(&stage, "repo"));
    let spec = json!({"storageProviderRef": "pvc", "accessMethod": "Tool", "pvReclaimPolicy": "Delete", "config": {}});
    apply_cluster(&stage.client, "BackupRepo", &tool, &spec).await;
    let said = until_condition(&stage, "BackupRepo", &tool, "StorageProviderReady", "InvalidStorageProvider").await;
    assert!(said.contains("StorageProvider pvc has no datasafedConfigTemplate"), "{said}");
    let of = own(&stage, "provider");
    apply_cluster(&stage.client, "StorageProvider", &of, &json!({"datasafedConfigTemplate": "[storage]"})).await;
    repo(&stage, &name, &of, json!({})).await;
    let said = until_condition(&stage, "BackupRepo", &name, "StorageProviderReady", "InvalidStorageProvider").await;
    assert!(said.contains("no storageClassTemplate and no persistentVolumeClaimTemplate"), "{said}");
}

#[tokio::test]
async fn bd14_a_failed_pre_check_says_why_and_is_made_again() {
    let (stage, company) = stage("precheck").await;
    let name = own(&stage, "repo");
    checks_end(company, &name, Outcome::Hold);
    repo(&stage, &name, "pvc", json!({"storageClassName": IMMEDIATE})).await;
    let job = until_check(&stage, &name, None).await;
    assert!(job.name_any().starts_with("pre-check-"), "{}", job.name_any());
    let pod = job.spec.clone().unwrap().template.spec.unwrap();
    let container = &pod.containers[0];
    assert_eq!(
        (container.name.as_str(), container.command.as_deref().unwrap()),
        ("pre-check", &["/datasafed", "precheck", "/"].map(String::from)[..])
    );
    let mount = &container.volume_mounts.as_ref().unwrap()[0];
    assert_eq!((mount.name.as_str(), mount.mount_path.as_str()), ("backup-pvc", "/backup"));
    let security = pod.security_context.unwrap();
    assert_eq!((security.fs_group, security.run_as_non_root), (Some(65532), Some(true)), "restricted (design D12)");
    assert_eq!(pod.automount_service_account_token, Some(false));
    until_repo(&stage, &name, "PreChecking").await;

    let once = Patch::Merge(json!({"spec": {"backoffLimit": 0}}));
    check_jobs(&stage).patch(&job.name_any(), &PatchParams::default(), &once).await.unwrap();
    let message = e2e_api::backups::told_failure(1, "mkdir /backup: read-only file system", "");
    checks_end(company, &name, Outcome::fail(1, message));
    let said = until_condition(&stage, "BackupRepo", &name, "PreCheckPassed", "PreCheckFailed").await;
    assert!(said.contains("read-only file system"), "{said}");
    until_repo(&stage, &name, "Failed").await;
    checks_end(company, &name, Outcome::succeed());
    let status = until_repo(&stage, &name, "Ready").await;
    let passed = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "PreCheckPassed").unwrap();
    assert_eq!(passed["status"], "True");
    nothing_of_the_check_is_left(&stage, &name).await;
}

async fn nothing_of_the_check_is_left(stage: &Stage, repo: &str) {
    let of_repo = ListParams::default().labels(&format!("{}={repo}", labels::BACKUP_REPO_NAME));
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(stage.client.clone(), OPERATOR.0);
    wait::eventually(PATIENCE, "Job and claim of the pre-check are gone", async || {
        let jobs = check_jobs(stage).list(&of_repo).await.map_err(|e| e.to_string())?.items.len();
        let claims = claims.list(&of_repo).await.map_err(|e| e.to_string())?.items.len();
        if (jobs, claims) == (0, 0) { Ok(()) } else { Err(format!("{jobs} Jobs, {claims} claims")) }
    })
    .await;
}

#[tokio::test]
async fn changed_parameters_are_checked_again() {
    let (stage, company) = stage("digest").await;
    let name = own(&stage, "repo");
    repo(&stage, &name, "pvc", json!({"storageClassName": IMMEDIATE})).await;
    until_repo(&stage, &name, "Ready").await;
    nothing_of_the_check_is_left(&stage, &name).await;
    let api = dp(&stage.client, "BackupRepo", "");
    let before = api.get(&name).await.unwrap().annotations()[annotations::BACKUP_REPO_DIGEST].clone();
    checks_end(company, &name, Outcome::Hold);
    repo(
        &stage,
        &name,
        "pvc",
        json!({"storageClassName": IMMEDIATE, "volumeMode": "Filesystem", "accessMode": "ReadWriteOnce"}),
    )
    .await;
    let job = until_check(&stage, &name, None).await;
    assert_ne!(job.annotations()[annotations::BACKUP_REPO_DIGEST], before, "the check is for what is asked now");
    let status = until_repo(&stage, &name, "PreChecking").await;
    assert!(status["conditions"].as_array().unwrap().iter().any(|c| c["status"] == "Unknown"), "{status}");
    checks_end(company, &name, Outcome::succeed());
    wait::eventually(PATIENCE, "Ready for the new digest", async || {
        let seen = api.get(&name).await.map_err(|e| e.to_string())?;
        let digest = seen.annotations()[annotations::BACKUP_REPO_DIGEST].clone();
        if digest != before && seen.data["status"]["phase"] == "Ready" {
            Ok(())
        } else {
            Err(seen.data["status"].to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn each_namespace_that_waits_gets_its_claim() {
    let (one, _) = stage("one").await;
    let (two, _) = stage("two").await;
    let name = own(&one, "repo");
    for stage in [&one, &two] {
        let actions = action_set(stage, prepare_data()).await;
        database(stage, "db-0").await;
        policy(stage, &actions, |spec| spec["backupRepoName"] = json!(name)).await;
        backup(stage, "b", |_| {}).await;
        until_waits(stage, "b", "BackupRepoNotFound").await;
    }
    repo(&one, &name, "pvc", json!({"storageClassName": IMMEDIATE})).await;
    let uid = dp(&one.client, "BackupRepo", "").get(&name).await.unwrap().uid().unwrap();
    let mut names = Vec::new();
    for stage in [&one, &two] {
        let done = until_backup(stage, "b", "Completed").await;
        let claim =
            claims(stage).get(done.data["status"]["persistentVolumeClaimName"].as_str().unwrap()).await.unwrap();
        assert_eq!(claim.labels()[labels::BACKUP_REPO_NAME], name);
        assert_eq!(claim.owner_references()[0].uid, uid);
        assert_eq!(
            claim.spec.as_ref().unwrap().resources.as_ref().unwrap().requests.as_ref().unwrap()["storage"].0,
            "1Gi"
        );
        names.push(claim.name_any());
    }
    assert_eq!(names[0], names[1], "one name everywhere, as status.backupPVCName says");
}

#[tokio::test]
async fn a_repository_stays_while_backups_lie_in_it_and_leaves_nothing() {
    let (stage, _) = stage("deleted").await;
    let name = own(&stage, "repo");
    repo(&stage, &name, "pvc", json!({"storageClassName": IMMEDIATE})).await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| spec["backupRepoName"] = json!(name)).await;
    backup(&stage, "b", |_| {}).await;
    let claim = until_backup(&stage, "b", "Completed").await.data["status"]["persistentVolumeClaimName"].clone();
    let api = dp(&stage.client, "BackupRepo", "");
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    let said = until_condition(&stage, "BackupRepo", &name, "DerivedObjectsDeleted", "HaveAssociatedBackups").await;
    assert!(said.contains(&format!("{}/b", stage.namespace)), "{said}");
    wait::stays(Duration::from_millis(500), "it stays, with its claim", async || {
        let there = claims(&stage).get_opt(claim.as_str().unwrap()).await.map_err(|e| e.to_string())?;
        let alive = there.is_some_and(|c| c.metadata.deletion_timestamp.is_none());
        if alive { Ok(()) } else { Err("the claim goes".into()) }
    })
    .await;
    e2e_api::backups::delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    wait::eventually(PATIENCE, "the repository is gone", async || match api.get_opt(&name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{:?}", other.map(|o| o.map(|r| r.data["status"].clone())))),
    })
    .await;
    assert!(claims(&stage).get_opt(claim.as_str().unwrap()).await.unwrap().is_none(), "and its claim before it");
}

#[tokio::test]
async fn kubectl_shows_status_and_what_is_waited_for() {
    let (stage, _) = stage("columns").await;
    let name = own(&stage, "repo");
    repo(&stage, &name, "none", json!({})).await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    backup(&stage, "waits", |_| {}).await;
    until_waits(&stage, "waits", "TargetPodNotFound").await;
    completed_backup(&stage, "done", &actions).await;
    let claim = json!({"metadata": {"name": "data"}, "volumeSource": "data", "volumeClaimSpec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": IMMEDIATE, "resources": {"requests": {"storage": "1Gi"}}}});
    let restore = |backup: &str| {
        json!({"backup": {"name": backup, "namespace": stage.namespace},
            "prepareDataConfig": {"volumeClaims": [claim], "volumeClaimRestorePolicy": "Parallel"}})
    };
    objects::create(&stage, "Restore", "early", &json!({}), &restore("later")).await;
    objects::create(&stage, "Restore", "good", &json!({}), &restore("done")).await;
    until_condition(&stage, "Restore", "early", "ValidationPassed", "BackupNotFound").await;
    until_phase(&stage.client, "Restore", &stage.namespace, "good", "Completed").await;
    until_condition(&stage, "BackupRepo", &name, "StorageProviderReady", "StorageProviderNotFound").await;
    builders::until_default_account(&stage.client, &stage.namespace).await;
    Claim::new("plain", IMMEDIATE).create(&stage.client, &stage.namespace).await;

    for (kind, object, cells) in [
        ("backup", "waits", vec![("WAITING-FOR", "TargetPodNotFound"), ("POLICY", "policy"), ("METHOD", "full")]),
        ("backup", "done", vec![("STATUS", "Completed"), ("WAITING-FOR", ""), ("REPO", "shared")]),
        ("restore", "early", vec![("BACKUP", "later"), ("WAITING-FOR", "BackupNotFound")]),
        ("restore", "good", vec![("STATUS", "Completed"), ("BACKUP", "done"), ("WAITING-FOR", "")]),
        ("backuprepo", name.as_str(), vec![("STATUS", "Failed"), ("WAITING-FOR", "StorageProviderNotFound")]),
    ] {
        let table = kubectl(&stage, &["get", kind, object]);
        for (column, wanted) in cells {
            assert_eq!(cell(&table, column), wanted, "{kind} {object}, column {column}:\n{table}");
        }
    }
}

/// What kubectl prints; the columns stand at fixed places below their names.
fn kubectl(stage: &Stage, args: &[&str]) -> String {
    let folder = std::env::var("HOLDFAST_STATE").unwrap_or_else(|_| "/var/lib/holdfast-e2e".into());
    let output = std::process::Command::new(format!("{folder}/bin/kubectl"))
        .arg("--kubeconfig")
        .arg(stage.server.admin_kubeconfig())
        .args(["--namespace", &stage.namespace])
        .args(args)
        .output()
        .expect("kubectl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn cell<'a>(table: &'a str, column: &str) -> &'a str {
    let mut lines = table.lines();
    let (head, row) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Some(start) = head.find(column) else { return "no such column" };
    let after = &head[start + column.len()..];
    let end = after.find(|c: char| c != ' ').map(|next| start + column.len() + next);
    row.get(start..end.unwrap_or(row.len()).min(row.len())).unwrap_or_default().trim()
}
