//! The way of a backup through a repository's configuration.

use super::*;

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
