//! What schedules cost while none is due: nothing but the lease.

use api_types::contract::labels;
use e2e_api::backups::policy;
use e2e_api::objects::{action_set, create, dp, prepare_data};
use e2e_api::{OPERATOR, PATIENCE, stage_on};
use kube::api::{DynamicObject, ListParams};
use serde_json::json;
use std::time::Duration;
use test_kit::api_server::{AuditEntry, AuditScope};
use test_kit::{ApiServer, wait};

const SCHEDULES: usize = 200;

#[tokio::test]
async fn two_hundred_idle_schedules_make_no_request() {
    let server: &'static ApiServer =
        Box::leak(Box::new(ApiServer::builder().audit(AuditScope::Everything).start().await));
    let (stage, _) = stage_on(server, "idle").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    let entry = json!({"backupMethod": "full", "cronExpression": "0 0 1 1 *", "enabled": true});
    let spec = json!({"backupPolicyName": "policy", "schedules": [entry]});
    for n in 0..SCHEDULES {
        create(&stage, "BackupSchedule", &format!("s-{n}"), &json!({}), &spec).await;
    }
    let api = dp(&stage.client, "BackupSchedule", &stage.namespace);
    let settled = |s: &DynamicObject| {
        s.data["status"]["phase"] == "Available"
            && s.metadata.labels.as_ref().is_some_and(|l| l.contains_key(labels::BACKUP_POLICY))
    };
    wait::eventually(PATIENCE, "all schedules are settled", async || {
        let all = api.list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let done = all.iter().filter(|s| settled(s)).count();
        if done == SCHEDULES { Ok(()) } else { Err(done.to_string()) }
    })
    .await;
    let asked = || {
        let own = server.audit().of_service_account(OPERATOR.0, OPERATOR.1);
        let own = own.only(|e: &AuditEntry| e.resource != "leases" && e.verb != "watch");
        own.entries.iter().map(|e| format!("{} {} {}", e.verb, e.resource, e.name)).collect::<Vec<String>>()
    };
    let made = asked().len();
    println!("{SCHEDULES} schedules: {made} requests until they were settled");
    // The second look at what the last writes changed.
    let before = wait::eventually(PATIENCE, "the operator is at rest", async || {
        let now = asked().len();
        tokio::time::sleep(Duration::from_secs(2)).await;
        if asked().len() == now { Ok(now) } else { Err("still at work".into()) }
    })
    .await;
    wait::stays(Duration::from_secs(15), "nothing is asked for", async || {
        let all = asked();
        if all.len() == before { Ok(()) } else { Err(format!("{:?}", &all[before..])) }
    })
    .await;
}
