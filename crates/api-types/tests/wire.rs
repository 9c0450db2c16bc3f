//! What the types must accept and give, whatever wrote the object.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says so")]

use api_types::dp::{API_VERSION, ActionSet};
use api_types::dp::{
    AccessMethod, ActionErrorMode, Backup, BackupPhase, BackupPolicy, BackupRepo, BackupSchedule, BackupType,
    PodSelectionStrategy, Restore, VolumeClaimRestorePolicy, crds,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(kind: &str, rest: &Value) -> T {
    let mut object = json!({ "apiVersion": API_VERSION, "kind": kind, "metadata": { "name": "x" } });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

#[test]
fn absent_and_null_spec_are_read() {
    for rest in [json!({}), json!({ "spec": null, "status": null })] {
        assert_eq!(read::<Backup>("Backup", &rest).spec.backup_method, "");
        assert_eq!(read::<ActionSet>("ActionSet", &rest).spec.backup_type, BackupType::Full);
        assert!(read::<BackupSchedule>("BackupSchedule", &rest).spec.schedules.is_empty());
        assert!(read::<Restore>("Restore", &rest).status.is_none());
    }
}

#[test]
fn null_fields_are_read_as_absent() {
    let backup: Backup = read(
        "Backup",
        &json!({
            "spec": { "backupPolicyName": "p", "backupMethod": null, "deletionPolicy": null, "parameters": null },
            "status": {
                "phase": null, "actions": null, "extras": null, "targets": null, "conditions": null,
                "timeRange": { "start": null, "end": null },
                "backupMethod": { "name": "m", "env": null, "targets": null, "runtimeSettings": { "resources": {} } },
            },
        }),
    );
    assert_eq!(backup.phase(), BackupPhase::New);
    let encoded = serde_json::to_value(&backup).unwrap();
    assert_eq!(encoded["status"]["timeRange"], json!({}));
    assert!(encoded["spec"].get("parameters").is_none());
    assert!(encoded["status"].get("actions").is_none());
}

#[test]
fn go_writers_empty_values_are_read() {
    let restore: Restore = read(
        "Restore",
        &json!({ "spec": {
        "backup": { "name": "b", "namespace": "n" },
        "containerResources": {},
        "prepareDataConfig": {
            "volumeClaimRestorePolicy": "Parallel",
            "schedulingSpec": {},
            "volumeClaims": [{ "metadata": { "creationTimestamp": null }, "volumeClaimSpec": { "resources": {} } }],
        },
    }, "status": { "actions": {} } }),
    );
    let config = restore.spec.prepare_data_config.unwrap();
    assert_eq!(config.volume_claim_restore_policy, VolumeClaimRestorePolicy::Parallel);
    assert_eq!(config.volume_claims.len(), 1);
    let repo: BackupRepo = read("BackupRepo", &json!({ "spec": { "volumeCapacity": "0" } }));
    assert_eq!(repo.spec.volume_capacity.unwrap().0, "0");
}

#[test]
fn quantities_may_be_numbers() {
    let restore: Restore = read(
        "Restore",
        &json!({ "spec": {
        "containerResources": { "limits": { "cpu": 1, "memory": "1Gi" }, "requests": { "cpu": 0.5 } },
        "env": [{ "name": "A", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": 1 } } }],
        "prepareDataConfig": { "volumeClaims": [
            { "metadata": {}, "volumeClaimSpec": { "resources": { "requests": { "storage": 1024 } } } },
        ] },
    } }),
    );
    let limits = restore.spec.container_resources.unwrap().limits.unwrap();
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("1", "1Gi"));
    let claims = restore.spec.prepare_data_config.unwrap().volume_claims;
    let storage = &claims[0].volume_claim_spec.resources.as_ref().unwrap().requests.as_ref().unwrap()["storage"];
    assert_eq!(storage.0, "1024");
    let repo: BackupRepo = read("BackupRepo", &json!({ "spec": { "volumeCapacity": 5 } }));
    assert_eq!(repo.spec.volume_capacity.unwrap().0, "5");
}

#[test]
fn unknown_words_survive() {
    let backup: Backup = read("Backup", &json!({ "status": { "phase": "Paused" } }));
    assert_eq!(backup.phase(), BackupPhase::Other("Paused".to_owned()));
    assert_eq!(serde_json::to_value(&backup).unwrap()["status"]["phase"], "Paused");
}

#[test]
fn defaults_hold_where_nothing_is_stored() {
    let set: ActionSet = read(
        "ActionSet",
        &json!({ "spec": {
        "restore": { "prepareData": { "image": "i", "command": [] } },
        "backup": { "backupData": { "image": "i", "command": [], "syncProgress": {} } },
    } }),
    );
    let restore = set.spec.restore.unwrap();
    assert!(restore.base_backup_required());
    assert_eq!(restore.prepare_data.unwrap().on_error(), ActionErrorMode::Fail);
    let data = set.spec.backup.unwrap().backup_data.unwrap();
    assert_eq!(data.sync_progress.clone().unwrap().interval_seconds(), 60);
    assert!(!data.job().run_on_target_pod_node());

    let policy: BackupPolicy = read(
        "BackupPolicy",
        &json!({ "spec": {
        "target": { "podSelector": {}, "connectionCredential": { "secretName": "s" } },
        "backupMethods": [{ "name": "m" }, { "name": "own", "targets": [{ "name": "a" }, { "name": "b" }] }],
    } }),
    );
    assert_eq!((policy.spec.backoff_limit(), policy.spec.use_kopia()), (2, false));
    let target = policy.spec.target.as_ref().unwrap();
    assert_eq!(target.strategy(), PodSelectionStrategy::Any);
    assert_eq!(target.connection_credential.as_ref().unwrap().password_key(), "password");
    let targets = |name| policy.spec.targets_of(policy.spec.method(name).unwrap()).len();
    assert_eq!((targets("m"), targets("own")), (1, 2));

    let repo: BackupRepo = read("BackupRepo", &json!({ "spec": {} }));
    assert_eq!(repo.spec.access_method(), AccessMethod::Mount);
    let schedule: BackupSchedule = read(
        "BackupSchedule",
        &json!({ "spec": { "schedules": [
        { "backupMethod": "m", "cronExpression": "0 0 * * *" },
    ] } }),
    );
    let schedule = &schedule.spec.schedules[0];
    assert_eq!((schedule.name(), schedule.retention_period(), schedule.enabled()), ("m", "7d", false));
}

#[test]
fn required_fields_are_written_even_when_empty() {
    let policy = serde_json::to_value(BackupPolicy::default()).unwrap();
    assert_eq!(policy["spec"], json!({ "backupMethods": [] }));
    let restore = serde_json::to_value(Restore::default()).unwrap();
    assert_eq!(restore["spec"], json!({ "backup": { "name": "", "namespace": "" } }));
}

fn schema(kind: &str) -> Value {
    let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Server-side apply replaces these as a whole (contract-dp §0.2).
#[test]
fn selectors_and_references_are_atomic() {
    let at = |kind: &str, pointer: &str| {
        let schema = schema(kind);
        let node = schema.pointer(&format!("/properties{}", pointer.replace('.', "/properties/"))).cloned();
        node.unwrap_or_else(|| panic!("{kind} {pointer}"))["x-kubernetes-map-type"].clone()
    };
    for (kind, path) in [
        ("BackupPolicy", "/spec.target.podSelector"),
        ("BackupPolicy", "/spec.target.podSelector.fallbackLabelSelector"),
        ("BackupPolicy", "/spec.target.resources.selector"),
        ("BackupPolicy", "/spec.encryptionConfig.passPhraseSecretKeyRef"),
        ("BackupRepo", "/spec.credential"),
        ("BackupRepo", "/status.generatedCSIDriverSecret"),
        ("Restore", "/spec.prepareDataConfig.schedulingSpec.nodeSelector"),
        ("Restore", "/spec.readyConfig.execAction.target.podSelector"),
    ] {
        assert_eq!(at(kind, path), "atomic", "{kind} {path}");
    }
    let actions = &schema("Backup")["properties"]["status"]["properties"]["actions"]["items"];
    assert_eq!(actions["properties"]["objectRef"]["x-kubernetes-map-type"], "atomic");
}

#[test]
fn optional_enums_are_plain_enums() {
    let phase = &schema("Restore")["properties"]["status"]["properties"]["phase"];
    assert_eq!(phase["enum"], json!(["Running", "Completed", "Failed", "AsDataSource"]));
    assert_eq!(phase["type"], "string");
    assert!(phase.get("anyOf").is_none() && phase.get("nullable").is_none());
}

#[test]
fn condition_lists_are_atomic() {
    for (kind, path) in [("Backup", "status"), ("Restore", "status"), ("BackupRepo", "status")] {
        let conditions = &schema(kind)["properties"][path]["properties"]["conditions"];
        assert!(conditions.get("x-kubernetes-list-type").is_none(), "{kind}");
    }
}
