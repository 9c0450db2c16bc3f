//! Policy and schedule beside those the reference made of the same input.

use e2e_api::apps_objects::{APPS_API, apps, install_kinds};
use e2e_api::driver::{definition, until, until_matched};
use e2e_api::golden::{assert_same, observed};
use e2e_api::objects::{apply_cluster, dp, until_phase};
use e2e_api::stage;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use test_kit::builders;

/// Without what the server fills in, and with the differences we state: no finalizer (ADR 0010), and an owner that does
/// not hold back its own foreground deletion.
fn plain(object: &Value) -> Value {
    let mut object = json!({"metadata": object["metadata"], "spec": object["spec"]});
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in
        ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "finalizers", "namespace"]
    {
        metadata.remove(field);
    }
    for owner in metadata["ownerReferences"].as_array_mut().unwrap() {
        owner.as_object_mut().unwrap().remove("blockOwnerDeletion");
    }
    object
}

#[tokio::test]
async fn policy_and_schedule_are_those_of_the_reference() {
    let files = ["apps/backuppolicies-c1-toy-backup-policy.yaml", "apps/backupschedules-c1-toy-backup-schedule.yaml"];
    let (Some(policy), Some(schedule)) = (observed(files[0]), observed(files[1])) else {
        println!("SKIPPED(shared missing): 2 cases");
        return;
    };
    let (stage, _) = stage("driver-golden").await;
    install_kinds(stage.server).await;
    apply_cluster(&stage.client, "ActionSet", "tarball", &json!({"backupType": "Full"})).await;
    definition(&stage, "toy-1.0").await;
    let spec = json!({
        "serviceKind": "toy", "compDefs": ["toy-1."], "target": {"role": "", "account": "root"},
        "backupMethods": [{"name": "tar", "snapshotVolumes": false, "actionSetName": "tarball",
            "targetVolumes": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}}],
        "schedules": [{"backupMethod": "tar", "enabled": false, "cronExpression": "0 18 * * *", "retentionPeriod": "7d"}],
    });
    apply_cluster(&stage.client, "BackupPolicyTemplate", "toy-bpt", &spec).await;
    until_matched(&stage, "toy-bpt", "Available", &["toy-1.0"]).await;
    let spec = json!({"terminationPolicy": "Delete", "componentSpecs": [{"name": "toy", "componentDef": "toy-1.0", "replicas": 2}]});
    let c1 = builders::object(APPS_API, "Cluster", Some(&stage.namespace), "c1", &json!({"spec": spec}));
    builders::create_object(&stage.client, &c1, None).await;
    let uid = apps(&stage, "Cluster").get("c1").await.unwrap().uid().unwrap();
    let ours = until_phase(&stage.client, "BackupPolicy", &stage.namespace, "c1-toy-backup-policy", "Available").await;
    let as_ours = |object: &Value| -> Value {
        let recorded = object["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap().to_owned();
        plain(&serde_json::from_str(&object.to_string().replace(&recorded, &uid)).unwrap())
    };
    let seen = |object: &DynamicObject| plain(&serde_json::to_value(object).unwrap());
    assert_same(&seen(&ours), &as_ours(&policy));
    let ours = until(&stage, "BackupSchedule", "c1-toy-backup-schedule", |_| true).await;
    let mut ours = seen(&ours);
    // The schedule controller adds this one, the reference's in a later write.
    ours["metadata"]["labels"].as_object_mut().unwrap().remove("dataprotection.kubeblocks.io/backup-policy");
    assert_same(&ours, &as_ours(&schedule));
    dp(&stage.client, "BackupPolicyTemplate", "").delete("toy-bpt", &kube::api::DeleteParams::default()).await.unwrap();
}
