//! What a backup waits for: it says so by name, stays unfailed, and goes on by itself.

use e2e_api::backups::{backup, database, pods, policy, until_backup, until_job, until_says, until_waits};
use e2e_api::objects::{self, action_set, apply_cluster, dp, prepare_data};
use e2e_api::populate::pods_end;
use e2e_api::{IMMEDIATE, LATER, stage};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use test_kit::builders;
use test_kit::{Fault, Outcome, wait};

/// BD18: targets that were stored before all of them were there were taken for chosen ones.
#[tokio::test]
async fn bd18_a_policy_an_action_set_and_a_pod_that_come_later() {
    let (stage, _) = stage("later").await;
    backup(&stage, "b", |_| {}).await;
    let said = until_waits(&stage, "b", "BackupPolicyNotFound").await;
    assert!(said.contains("policy"), "{said}");
    let actions = format!("actions-{}", stage.namespace);
    policy(&stage, &actions, |_| {}).await;
    let said = until_waits(&stage, "b", "ActionSetNotFound").await;
    assert!(said.contains(&actions), "{said}");
    action_set(&stage, prepare_data()).await;
    let said = until_waits(&stage, "b", "TargetPodNotFound").await;
    assert!(said.contains("no pod matches"), "{said}");
    let seen = dp(&stage.client, "Backup", &stage.namespace).get("b").await.unwrap();
    assert_eq!(seen.data["status"].get("phase"), None, "a backup that waits has not begun");
    for field in ["target", "targets", "actions"] {
        assert_eq!(seen.data["status"].get(field), None, "{field} comes with the phase");
    }
    database(&stage, "db-0").await;
    until_backup(&stage, "b", "Completed").await;
}

#[tokio::test]
async fn a_pod_that_is_not_ready_is_waited_for() {
    let (stage, _) = stage("unready").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    let ready = |status: &str| json!({"conditions": [{"type": "Ready", "status": status}]});
    builders::set_status(&pods(&stage), "db-0", &ready("False")).await;
    policy(&stage, &actions, |_| {}).await;
    backup(&stage, "b", |_| {}).await;
    let said = until_waits(&stage, "b", "TargetPodNotFound").await;
    assert!(said.contains("none of 1 pods") && said.contains("is Ready"), "{said}");
    builders::set_status(&pods(&stage), "db-0", &ready("True")).await;
    let done = until_backup(&stage, "b", "Completed").await;
    assert_eq!(done.data["status"].get("conditions"), None);
}

#[tokio::test]
async fn the_fallback_selector_serves_where_the_first_finds_nothing() {
    let (stage, _) = stage("fallback").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| {
        let fallback = spec["target"]["podSelector"]["matchLabels"].take();
        spec["target"]["podSelector"] =
            json!({"matchLabels": {"role": "none"}, "fallbackLabelSelector": {"matchLabels": fallback}});
    })
    .await;
    backup(&stage, "b", |_| {}).await;
    let done = until_backup(&stage, "b", "Completed").await;
    assert_eq!(done.data["status"]["target"]["selectedTargetPods"], json!(["db-0"]));
}

#[tokio::test]
async fn a_chosen_pod_that_went_is_waited_for_without_a_busy_loop() {
    let (stage, company) = stage("gone").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    database(&stage, "db-1").await;
    policy(&stage, &actions, |spec| spec["target"]["podSelector"]["strategy"] = json!("All")).await;
    pods_end(&stage, company, Outcome::Hold);
    // Both pods are chosen; db-0 goes before its Job is made.
    let (ns, tried) = (stage.namespace.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&tried);
    let refusing = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&refusing);
    company.proxy.arm(Fault::answer(1, 500).times(usize::MAX / 2).when(move |r| {
        let hit = r.namespace == ns && r.resource == "jobs" && r.method.as_str() == "POST";
        count.fetch_add(usize::from(hit), Ordering::Relaxed);
        hit && still.load(Ordering::Relaxed)
    }));
    backup(&stage, "b", |_| {}).await;
    let until_tried = async |times: usize| {
        wait::eventually(e2e_api::PATIENCE, "a Job is tried", async || {
            if tried.load(Ordering::Relaxed) >= times { Ok(()) } else { Err("not yet".into()) }
        })
        .await;
    };
    until_tried(1).await;
    pods(&stage).delete("db-0", &DeleteParams::default().grace_period(0)).await.unwrap();
    // The look that is under way may have seen the pod; the one after it has not. Each look ends at its first refusal.
    until_tried(tried.load(Ordering::Relaxed) + 2).await;
    refusing.store(false, Ordering::Relaxed);
    let said = until_waits(&stage, "b", "TargetPodNotFound").await;
    assert!(said.contains("db-0"), "{said}");
    until_job(&stage, "dp-backup-1-b").await;
    let (ns, reads) = (stage.namespace.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&reads);
    company.proxy.arm(Fault::answer(1, 500).when(move |r| {
        count.fetch_add(usize::from(r.namespace == ns && r.resource == "pods"), Ordering::Relaxed);
        false // only counted
    }));
    // What other tests make wakes all that wait; a busy loop reads over a hundred times a second.
    wait::stays(Duration::from_secs(2), "it does not ask again and again", async || {
        let reads = reads.load(Ordering::Relaxed);
        if reads <= 60 { Ok(()) } else { Err(format!("{reads} reads of pods")) }
    })
    .await;
    database(&stage, "db-0").await;
    until_job(&stage, "dp-backup-0-b").await;
    pods_end(&stage, company, Outcome::succeed());
    until_backup(&stage, "b", "Completed").await;
}

/// The target that went says nothing about a Job that was begun: that decides.
#[tokio::test]
async fn rule_1_a_target_pod_that_goes_leaves_a_running_backup_to_its_job() {
    let (stage, company) = stage("went").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "b", |_| {}).await;
    until_job(&stage, "dp-backup-0-b").await;
    until_backup(&stage, "b", "Running").await;
    pods(&stage).delete("db-0", &DeleteParams::default().grace_period(0)).await.unwrap();
    wait::stays(Duration::from_secs(1), "it goes on", async || {
        let phase = dp(&stage.client, "Backup", &stage.namespace).get("b").await.map_err(|e| e.to_string())?;
        if phase.data["status"]["phase"] == "Running" { Ok(()) } else { Err(phase.data["status"].to_string()) }
    })
    .await;
    pods_end(&stage, company, Outcome::succeed());
    until_backup(&stage, "b", "Completed").await;
}

#[tokio::test]
async fn bd13_a_repository_that_is_not_ready_is_waited_for() {
    let (stage, company) = stage("unready-repo").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    let repo = format!("repo-{}", stage.namespace);
    policy(&stage, &actions, |spec| spec["backupRepoName"] = json!(repo)).await;
    backup(&stage, "b", |_| {}).await;
    let said = until_waits(&stage, "b", "BackupRepoNotFound").await;
    assert!(said.contains(&repo), "{said}");
    // Its check can not end: the class waits for a consumer, and its pod never starts.
    let check = repo.clone();
    company.executor.plan_with(move |p| {
        let ours = p.metadata.labels.as_ref()?.get("dataprotection.kubeblocks.io/backup-repo-name")? == &check;
        ours.then_some(Outcome::NeverStart)
    });
    let spec = json!({"storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "volumeCapacity": "1Gi", "config": {"storageClassName": LATER}});
    apply_cluster(&stage.client, "BackupRepo", &repo, &spec).await;
    until_says(&stage, "b", "BackupRepoNotReady", &format!("{repo} is not Ready: PreCheckRunning")).await;
    assert!(
        dp(&stage.client, "Backup", &stage.namespace).get("b").await.unwrap().data["status"].get("phase").is_none()
    );
    let check = repo.clone();
    company.executor.plan_with(move |p| {
        let ours = p.metadata.labels.as_ref()?.get("dataprotection.kubeblocks.io/backup-repo-name")? == &check;
        ours.then(Outcome::succeed)
    });
    until_backup(&stage, "b", "Completed").await;
}

#[tokio::test]
async fn a_namespace_that_can_not_be_served_holds_back_no_other() {
    let (starved, _) = stage("quota").await;
    let (fed, _) = stage("fed").await;
    for stage in [&starved, &fed] {
        let actions = action_set(stage, prepare_data()).await;
        database(stage, "db-0").await;
        policy(stage, &actions, |_| {}).await;
    }
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "no-more-claims"}, "spec": {"hard": {"persistentvolumeclaims": "1"}},
    }))
    .unwrap();
    let quotas: Api<ResourceQuota> = Api::namespaced(starved.client.clone(), &starved.namespace);
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    wait::watch_until(&quotas, "no-more-claims", e2e_api::PATIENCE, |q| {
        q.status.as_ref().and_then(|s| s.used.as_ref()).is_some_and(|u| u.contains_key("persistentvolumeclaims"))
    })
    .await;
    backup(&starved, "b", |_| {}).await;
    let said = until_waits(&starved, "b", "WaitForBackupRepo").await;
    assert!(said.contains("shared"), "{said}");
    backup(&fed, "b", |_| {}).await;
    until_backup(&fed, "b", "Completed").await;
    quotas.delete("no-more-claims", &DeleteParams::default()).await.unwrap();
    until_backup(&starved, "b", "Completed").await;
}

#[tokio::test]
async fn without_a_named_repository_the_single_default_one_is_used() {
    let (stage, _) = stage("default").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| {
        spec.as_object_mut().unwrap().remove("backupRepoName");
    })
    .await;
    backup(&stage, "b", |_| {}).await;
    let said = until_waits(&stage, "b", "BackupRepoNotFound").await;
    assert!(said.contains("is-default-repo"), "{said}");
    let name = format!("default-{}", stage.namespace);
    let spec = json!({"storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "volumeCapacity": "1Gi", "config": {"storageClassName": IMMEDIATE}});
    apply_cluster(&stage.client, "BackupRepo", &name, &spec).await;
    let note = |value: &str| {
        Patch::Merge(json!({"metadata": {"annotations": {"dataprotection.kubeblocks.io/is-default-repo": value}}}))
    };
    let repos = dp(&stage.client, "BackupRepo", "");
    repos.patch(&name, &PatchParams::default(), &note("true")).await.unwrap();
    let done = until_backup(&stage, "b", "Completed").await;
    assert_eq!(done.data["status"]["backupRepoName"], name.as_str());
    let seen = objects::until_phase(&stage.client, "BackupRepo", "", &name, "Ready").await;
    assert_eq!(seen.data["status"]["isDefault"], true);
    repos.patch(&name, &PatchParams::default(), &note("false")).await.unwrap();
}
