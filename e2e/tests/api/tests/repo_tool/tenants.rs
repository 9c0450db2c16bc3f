//! Namespaces and their keys; how a repository goes.

use super::*;

#[tokio::test]
async fn d23_namespaces_have_keys_of_their_own_and_others_are_kept_out() {
    let (one, _) = stage("tenant-one").await;
    let (two, _) = stage("tenant-two").await;
    let (other, _) = stage("tenant-none").await;
    let (name, provider) = (own(&one, "repo"), provider(&one).await);
    key(&one, OPERATOR.0, &format!("key-{name}"), "operator").await;
    for id in ["one", "one-read", "one-delete", "two"] {
        key(&one, OPERATOR.0, &format!("{id}-{name}"), id).await;
    }
    let reference = |id: &str| json!({"name": format!("{id}-{name}"), "namespace": OPERATOR.0});
    repo(&one, &name, &provider, |spec| {
        spec["namespaces"] = json!([
            {"name": one.namespace, "credential": reference("one"),
             "readCredential": reference("one-read"), "deleteCredential": reference("one-delete")},
            {"name": two.namespace, "credential": reference("two")},
        ]);
    })
    .await;
    let config = config_name(&one, &name).await;
    for stage in [&one, &two] {
        backed_up(stage, &name).await;
        until_backup(stage, "b", "Completed").await;
    }
    backed_up(&other, &name).await;
    let said = e2e_api::backups::until_waits(&other, "b", "BackupRepoForbidden").await;
    assert!(said.contains("spec.namespaces") && said.contains(&other.namespace), "{said}");

    for (stage, secret, id) in [
        (&one, config.clone(), "one"),
        (&one, format!("{config}-read"), "one-read"),
        (&one, format!("{config}-delete"), "one-delete"),
        (&two, config.clone(), "two"),
    ] {
        until_config(stage, &stage.namespace, &secret, &text(id, "b1", "8")).await;
    }
    for (stage, secret) in
        [(&two, format!("{config}-read")), (&two, format!("{config}-delete")), (&other, config.clone())]
    {
        assert!(secrets(stage, &stage.namespace).get_opt(&secret).await.unwrap().is_none(), "{secret}");
    }
    let conditions = dp(&one.client, "BackupRepo", "").get(&name).await.unwrap().data["status"]["conditions"].clone();
    assert!(conditions.as_array().unwrap().iter().all(|c| c["type"] != "SharedCredential"), "{conditions}");

    // The restore reads by the key that can only read.
    let claim = json!({"metadata": {"name": "copy"}, "volumeSource": "data", "volumeClaimSpec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": e2e_api::IMMEDIATE, "resources": {"requests": {"storage": "1Gi"}}}});
    let spec = json!({"backup": {"name": "b", "namespace": one.namespace},
        "prepareDataConfig": {"volumeClaims": [claim], "volumeClaimRestorePolicy": "Parallel"}});
    objects::create(&one, "Restore", "r", &json!({}), &spec).await;
    let pod = pod_of(&until_job(&one, "restore-preparedata-").await);
    reaches(&pod, &pod.containers[0], &format!("{config}-read"));

    // A namespace that loses its own key shares another's: it is said.
    repo(&one, &name, &provider, |spec| {
        spec["namespaces"] = json!([
            {"name": one.namespace, "credential": reference("two")}, {"name": two.namespace, "credential": reference("two")},
        ]);
    })
    .await;
    let said = until_condition(&one, "BackupRepo", &name, "SharedCredential", "SharedCredential").await;
    assert!(said.contains(&one.namespace) && said.contains(&two.namespace) && !said.contains("secret-of"), "{said}");
    until_config(&one, &one.namespace, &config, &text("two", "b1", "8")).await;
}

#[tokio::test]
async fn d23_one_key_in_several_namespaces_is_reported() {
    let (one, _) = stage("shared-one").await;
    let (two, _) = stage("shared-two").await;
    let (name, provider) = (own(&one, "repo"), provider(&one).await);
    key(&one, OPERATOR.0, &format!("key-{name}"), "all").await;
    repo(&one, &name, &provider, |_| {}).await;
    for stage in [&one, &two] {
        backed_up(stage, &name).await;
        until_backup(stage, "b", "Completed").await;
    }
    let said = until_condition(&one, "BackupRepo", &name, "SharedCredential", "SharedCredential").await;
    assert!(said.contains(&one.namespace) && said.contains(&two.namespace), "{said}");
    config_name(&one, &name).await; // and it stays Ready
}

#[tokio::test]
async fn bd36_a_failed_backup_holds_the_repository_and_its_end_leaves_no_secret() {
    let (stage, company) = stage("toolgone").await;
    let (name, provider) = (own(&stage, "repo"), provider(&stage).await);
    key(&stage, OPERATOR.0, &format!("key-{name}"), "one").await;
    repo(&stage, &name, &provider, |_| {}).await;
    let config = config_name(&stage, &name).await;
    let namespace = stage.namespace.clone();
    company.executor.plan_with(move |pod| {
        let ours = pod.namespace().as_deref() == Some(&namespace) && pod.labels().contains_key(labels::BACKUP_NAME);
        ours.then(|| Outcome::fail(1, e2e_api::backups::told_failure(1, "half of it was written", "")))
    });
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| {
        spec["backupRepoName"] = json!(name);
        spec["backoffLimit"] = json!(0);
    })
    .await;
    backup(&stage, "b", |_| {}).await;
    until_backup(&stage, "b", "Failed").await;
    // Somebody else's Secret with a name of ours stays.
    let foreign = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{config}-read"),
        "labels": {"dataprotection.kubeblocks.io/backup-repo-name": name}}, "stringData": {"datasafed.conf": "theirs"}});
    let own_secrets = secrets(&stage, &stage.namespace);
    own_secrets.patch(&format!("{config}-read"), &PatchParams::apply("t"), &Patch::Apply(&foreign)).await.unwrap();
    dp(&stage.client, "BackupRepo", "").delete(&name, &DeleteParams::default()).await.unwrap();
    let said = until_condition(&stage, "BackupRepo", &name, "DerivedObjectsDeleted", "HaveAssociatedBackups").await;
    assert!(said.contains(&format!("{}/b", stage.namespace)), "{said}");
    assert!(own_secrets.get_opt(&config).await.unwrap().is_some(), "its files can be deleted");
    delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    until_no_repo(&stage, &name).await;
    assert!(own_secrets.get_opt(&config).await.unwrap().is_none());
    assert!(own_secrets.get_opt(&format!("{config}-read")).await.unwrap().is_some(), "by label and owner");
}

#[tokio::test]
async fn bd14_a_check_that_is_asked_for_is_made_once_also_of_a_ready_repository() {
    let (stage, company) = stage("recheck").await;
    let (name, provider) = (own(&stage, "repo"), provider(&stage).await);
    key(&stage, OPERATOR.0, &format!("key-{name}"), "one").await;
    repo(&stage, &name, &provider, |_| {}).await;
    config_name(&stage, &name).await;
    checks(company, &name, Outcome::fail(1, e2e_api::backups::told_failure(1, "the bucket is gone", "")));
    let note = |token: &str| json!({"metadata": {"annotations": {"holdfast.dev/recheck": token}}});
    let api = dp(&stage.client, "BackupRepo", "");
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&note("a"))).await.unwrap();
    let said = until_condition(&stage, "BackupRepo", &name, "PreCheckPassed", "PreCheckFailed").await;
    assert!(said.contains("the bucket is gone"), "{said}");
    checks(company, &name, Outcome::succeed());
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&note("b"))).await.unwrap();
    config_name(&stage, &name).await;
    let seen = api.get(&name).await.unwrap();
    assert_eq!(seen.data["status"]["lastRecheck"], "b");
    assert_eq!(seen.data["status"].get("failedChecks"), None);
}
