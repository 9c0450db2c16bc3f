//! What dp tells Prometheus about backups (issue text "Prometheus metrics"): made from what there is, at each scrape.

use e2e_api::objects::{action_set, completed_backup, completed_status, prepare_data, set_backup_status};
use e2e_api::{PATIENCE, stage};
use serde_json::json;
use test_kit::operator::http_get;
use test_kit::wait;

#[tokio::test]
async fn backups_show_as_series_of_their_repository_method_and_policy() {
    let (stage, company) = stage("metrics").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "good", &actions).await;
    let mut status = completed_status(&stage, "good", &actions);
    status["totalSize"] = "42".into();
    set_backup_status(&stage, "good", &status).await;
    completed_backup(&stage, "bad", &actions).await;
    let failed = json!({"phase": "Failed", "failureReason": "MethodNotFound: there is none", "completionTimestamp": "2026-11-21T00:00:09Z"});
    set_backup_status(&stage, "bad", &failed).await;
    let port = company.operator.lock().await.metrics_port();
    let of = "repo=\"shared\",method=\"full\"";
    let expected = [
        format!("dp_backup_last_success_timestamp_seconds{{{of}}} 1795219210"),
        format!("dp_backup_last_size_bytes{{{of}}} 42"),
        format!("dp_backup_last_duration_seconds{{{of}}} 10"),
        format!("dp_backups_failed{{{of},reason=\"MethodNotFound\"}} 1"),
        format!(
            "dp_recovery_point_timestamp_seconds{{namespace=\"{}\",policy=\"policy\"}} 1795219210",
            stage.namespace
        ),
    ];
    wait::eventually(PATIENCE, "all series", async || {
        let text = http_get(port, "/metrics").await.map_err(|e| e.to_string())?;
        let missing: Vec<&String> = expected.iter().filter(|line| !text.lines().any(|l| l == *line)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} not in {text}")) }
    })
    .await;
}
