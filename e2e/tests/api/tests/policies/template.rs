//! Templates on the real API server.

use e2e_api::apps_objects::install_kinds;
use e2e_api::driver::{actions, definition, template, until_matched};
use e2e_api::objects::{apply_cluster, dp};
use e2e_api::{PATIENCE, stage};
use kube::api::DeleteParams;
use serde_json::json;
use test_kit::{builders, wait};

#[tokio::test]
async fn bd35_a_template_follows_action_sets_and_definitions_that_come_and_go() {
    let (stage, _) = stage("bd35").await;
    install_kinds(stage.server).await;
    let lost = format!("lost-{}", stage.namespace);
    let pattern = format!("^toy-{}-[0-9]$", stage.namespace);
    let name = template(&stage, &pattern, &lost, |_| {}).await;
    let waiting = until_matched(&stage, &name, "Unavailable", &[]).await;
    let message = waiting.data["status"]["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("spec.backupMethods[full].actionSetName: there is no ActionSet {lost}")),
        "{message}"
    );

    let (one, two) = (format!("toy-{}-1", stage.namespace), format!("toy-{}-2", stage.namespace));
    definition(&stage, &two).await;
    definition(&stage, &one).await;
    definition(&stage, &format!("toy-{}-x", stage.namespace)).await;
    until_matched(&stage, &name, "Unavailable", &[&one, &two]).await;

    apply_cluster(&stage.client, "ActionSet", &lost, &json!({"backupType": "Full"})).await;
    until_matched(&stage, &name, "Available", &[&one, &two]).await;

    let definitions = kube::Api::<kube::api::DynamicObject>::all_with(
        stage.client.clone(),
        &builders::resource(e2e_api::apps_objects::APPS_API, "ComponentDefinition"),
    );
    definitions.delete(&one, &DeleteParams::default()).await.unwrap();
    until_matched(&stage, &name, "Available", &[&two]).await;
    dp(&stage.client, "ActionSet", "").delete(&lost, &DeleteParams::default()).await.unwrap();
    until_matched(&stage, &name, "Unavailable", &[&two]).await;
}

#[tokio::test]
async fn what_a_template_says_wrong_is_named_with_field_and_value() {
    let (stage, _) = stage("template-bad").await;
    install_kinds(stage.server).await;
    let full = actions(&stage, "Full").await;
    let name = template(&stage, "nothing", &full, |spec| {
        spec["schedules"] = json!([{"backupMethod": "log", "cronExpression": "* * * * *", "enabled": true}]);
    })
    .await;
    // The ActionSet may come into the cache after the template.
    let api = dp(&stage.client, "BackupPolicyTemplate", "");
    wait::eventually(PATIENCE, "the one mistake is named", async || {
        let status = api.get(&name).await.map_err(|e| e.to_string())?.data["status"].clone();
        let named = status["message"] == "spec.schedules[log].backupMethod: spec.backupMethods has no log";
        if named && status["phase"] == "Unavailable" && status["observedGeneration"] == 1 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
}
