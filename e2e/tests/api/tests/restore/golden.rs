//! The Jobs of restores beside those the reference wrote for the same objects.

use e2e_api::backups::until_job;
use e2e_api::golden::{self, DEMO, as_ours, assert_same, mover_image, plain};
use e2e_api::objects::{create, dp, prime_name, set_backup_status, until_phase};
use e2e_api::populate::pods_end;
use e2e_api::{Company, IMMEDIATE, Stage, stage};
use kube::ResourceExt;
use serde_json::{Value, json};
use test_kit::Outcome;
use test_kit::builders::Claim;

/// Backup `f1` as the reference left it.
async fn recorded_backup() -> (Stage, &'static Company) {
    let (stage, company) = stage("golden").await;
    let stage = Stage { namespace: DEMO.into(), ..stage };
    golden::scenario(&stage.client).await;
    let annotations = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    let spec = json!({"backupPolicyName": "bp2", "backupMethod": "full"});
    create(&stage, "Backup", "f1", &annotations, &spec).await;
    let status = json!({
        "phase": "Completed", "path": "/demo/demo/app/f1", "backupRepoName": "repo2",
        "startTimestamp": "2026-11-21T09:02:22Z", "completionTimestamp": "2026-11-21T09:04:31Z",
        "timeRange": {"start": "2026-11-21T00:00:00Z", "end": "2026-11-21T00:00:10Z"}, "totalSize": "1",
        "backupMethod": {"name": "full", "actionSetName": "full2", "snapshotVolumes": false,
            "targetVolumes": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}},
        "target": {"podSelector": {"matchLabels": {"a": "app"}, "strategy": "Any"}, "selectedTargetPods": ["app-0"]},
    });
    set_backup_status(&stage, "f1", &status).await;
    (stage, company)
}

/// The Job of a Restore, without identities; recorded under `snapshot`.
async fn job_of(stage: &Stage, restore: &str, names: &[(&str, &str)]) -> Value {
    let running = until_phase(&stage.client, "Restore", DEMO, restore, "Running").await;
    let uid = running.uid().unwrap();
    let repo = dp(&stage.client, "BackupRepo", "").get("repo2").await.unwrap();
    let claim = repo.data["status"]["backupPVCName"].as_str().unwrap().to_owned();
    let job = until_job(stage, &format!("restore-preparedata-{}-f1-0", &uid[..8])).await;
    let image = mover_image();
    let mut all = vec![
        (uid.as_str(), "UID"),
        (&uid[..8], "UID8"),
        (claim.as_str(), "REPO-CLAIM"),
        (image.as_str(), "local/datasafed:1"),
    ];
    all.extend(names);
    let mut ours = plain(&job, &all);
    // Held back until its UID is recorded; by now it may run.
    ours["spec"]["suspend"] = json!(false);
    ours
}

#[tokio::test]
async fn the_jobs_are_those_of_the_reference_but_for_what_is_stated() {
    let (stage, company) = recorded_backup().await;
    pods_end(&stage, company, Outcome::Hold);
    let mut claim = super::claim("u1");
    claim["volumeClaimSpec"]["storageClassName"] = json!(IMMEDIATE);
    let spec = json!({"backup": {"name": "f1", "namespace": DEMO},
        "prepareDataConfig": {"volumeClaims": [claim], "volumeClaimRestorePolicy": "Parallel"}});
    create(&stage, "Restore", "user1", &json!({}), &spec).await;
    let user = job_of(&stage, "user1", &[]).await;
    insta::assert_yaml_snapshot!("user_job", user);

    let target = Claim::new("o1", IMMEDIATE).from_backup("f1").label("a", "app");
    let target = target.annotation(
        "apps.kubeblocks.io/restore-parameters",
        r#"{"dataprotection.kubeblocks.io/restore-env":"[{\"name\":\"X\",\"value\":\"y\"}]"}"#,
    );
    let target = target.annotation("apps.kubeblocks.io/restore-volume-template", "data");
    let target = target.create(&stage.client, DEMO).await;
    let prime = prime_name(&target);
    let execution = job_of(&stage, &prime, &[(&prime, "PRIME")]).await;
    insta::assert_yaml_snapshot!("execution_job", execution);
    pods_end(&stage, company, Outcome::succeed());
    until_phase(&stage.client, "Restore", DEMO, "user1", "Completed").await;

    let (Some(recorded_user), Some(recorded_execution)) = (
        golden::observed("jobs-restore-preparedata-7e89d5bc-f1-0.yaml"),
        golden::observed("jobs-restore-preparedata-37816056-f1-0.yaml"),
    ) else {
        println!("SKIPPED(shared missing): 2 cases");
        return;
    };
    let names =
        [("7e89d5bc-d00f-4e14-8780-02d937bf83eb", "UID"), ("7e89d5bc", "UID8"), ("pvc-repo2-c4jtml", "REPO-CLAIM")];
    assert_same(&user, &as_ours(recorded_user, &names, "UID", "restore-manager"));
    let names = [
        ("37816056-394a-43cc-90bb-548dad733ffc", "UID"),
        ("37816056", "UID8"),
        ("pvc-repo2-c4jtml", "REPO-CLAIM"),
        ("kb-populate-80616654-a132-491a-9e3a-ba6435da8a9d", "PRIME"),
    ];
    assert_same(&execution, &as_ours(recorded_execution, &names, "UID", "restore-manager"));
}
