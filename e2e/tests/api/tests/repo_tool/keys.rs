//! Keys and parameters: what is wrong with them is named, what changes follows.

use super::*;

#[tokio::test]
async fn bd15_a_changed_key_is_checked_and_then_reaches_every_namespace() {
    let (one, company) = stage("rotate-one").await;
    let (two, _) = stage("rotate-two").await;
    let (name, provider) = (own(&one, "repo"), provider(&one).await);
    let key_name = format!("key-{name}");
    key(&one, OPERATOR.0, &key_name, "old").await;
    repo(&one, &name, &provider, |_| {}).await;
    let config = config_name(&one, &name).await;
    for stage in [&one, &two] {
        backed_up(stage, &name).await;
        until_backup(stage, "b", "Completed").await;
        until_config(stage, &stage.namespace, &config, &text("old", "b1", "8")).await;
    }
    // A key that does not work goes nowhere.
    checks(company, &name, Outcome::fail(1, e2e_api::backups::told_failure(1, "403 on the bucket", "")));
    key(&one, OPERATOR.0, &key_name, "wrong").await;
    let said = until_condition(&one, "BackupRepo", &name, "PreCheckPassed", "PreCheckFailed").await;
    assert!(said.contains("403 on the bucket"), "{said}");
    until_config(&one, &one.namespace, &config, &text("old", "b1", "8")).await;
    // One that works reaches all, and so does a changed parameter. Nobody waited for the pause of the failure.
    checks(company, &name, Outcome::succeed());
    key(&one, OPERATOR.0, &key_name, "new").await;
    for stage in [&one, &two] {
        until_config(stage, &stage.namespace, &config, &text("new", "b1", "8")).await;
    }
    repo(&one, &name, &provider, |spec| spec["config"] = json!({"bucket": "b2", "parts": "16"})).await;
    for stage in [&one, &two] {
        until_config(stage, &stage.namespace, &config, &text("new", "b2", "16")).await;
    }
    wait::eventually(PATIENCE, "nothing is stale", async || {
        let seen = dp(&one.client, "BackupRepo", "").get(&name).await.map_err(|e| e.to_string())?;
        let notes = seen.annotations().clone();
        let stale = notes.get("dataprotection.kubeblocks.io/need-update-tool-config").cloned();
        if stale.as_deref() == Some("false") { Ok(()) } else { Err(format!("{stale:?}")) }
    })
    .await;
}

#[tokio::test]
async fn each_broken_rule_of_the_schema_is_named_and_no_secret_is_shown() {
    let (stage, _) = stage("schema").await;
    let (name, provider) = (own(&stage, "repo"), provider(&stage).await);
    let key_name = format!("key-{name}");
    key(&stage, OPERATOR.0, &key_name, "one").await;
    for (config, said) in [
        (json!({}), "spec.config: bucket is missing"),
        (json!({"bucket": "b", "parts": "many"}), "spec.config: parts = \"many\": is no integer"),
        (json!({"bucket": "b", "parts": "65"}), "spec.config: parts = \"65\": is above the maximum 64"),
    ] {
        repo(&stage, &name, &provider, |spec| spec["config"] = config.clone()).await;
        wait::eventually(PATIENCE, said, async || {
            let message = until_condition(&stage, "BackupRepo", &name, "ParametersChecked", "InvalidParameters").await;
            if message.contains(said) && message.contains(&provider) { Ok(()) } else { Err(message) }
        })
        .await;
        // Merged, so that a parameter that was there does not stay.
        dp(&stage.client, "BackupRepo", "").delete(&name, &DeleteParams::default()).await.unwrap();
        until_no_repo(&stage, &name).await;
    }
    let short = json!({"stringData": {"secretAccessKey": "abc"}});
    secrets(&stage, OPERATOR.0).patch(&key_name, &PatchParams::default(), &Patch::Merge(&short)).await.unwrap();
    repo(&stage, &name, &provider, |_| {}).await;
    let said = until_condition(&stage, "BackupRepo", &name, "ParametersChecked", "InvalidParameters").await;
    assert!(said.contains("the credential Secret: secretAccessKey: ") && !said.contains("abc"), "{said}");
}
