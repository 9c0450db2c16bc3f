//! Backups that build on each other, made by hand.

use crate::Stage;
use crate::backups::{actions, data_action};
use crate::objects::{completed_backup, completed_status, set_backup_status};
use serde_json::{Value, json};

/// The ActionSet of a type, which fills volumes.
pub async fn of_type(stage: &Stage, kind: &str) -> String {
    let spec = json!({"backupType": kind, "backup": {"backupData": data_action()},
        "restore": {"prepareData": {"image": "i:1", "command": ["restore", kind]}}});
    actions(stage, &kind.to_lowercase(), &spec).await
}

/// A Backup made by hand that ended at this hour; `change` may alter its status.
pub async fn made(stage: &Stage, name: &str, actions: &str, hour: u8, change: impl FnOnce(&mut Value)) {
    completed_backup(stage, name, actions).await;
    let mut status = completed_status(stage, name, actions);
    status["completionTimestamp"] = json!(format!("2026-11-21T{hour:02}:00:00Z"));
    change(&mut status);
    set_backup_status(stage, name, &status).await;
}

/// A log from 01:00 to 06:00 that lists no volumes and still runs, with full Backups that ended at 02, 03 and 05.
pub async fn log(stage: &Stage) {
    let (full, log) = (of_type(stage, "Full").await, of_type(stage, "Continuous").await);
    for hour in [2, 3, 5] {
        made(stage, &format!("f{hour}"), &full, hour, |_| {}).await;
    }
    made(stage, "log", &log, 0, |status| {
        status["phase"] = json!("Running");
        status["timeRange"] =
            json!({"start": "2026-11-21T01:00:00Z", "end": "2026-11-21T06:00:00Z", "timeZone": "+08:00"});
        status["backupMethod"]["name"] = json!("log");
        status["backupMethod"]["targetVolumes"] = Value::Null;
    })
    .await;
}
