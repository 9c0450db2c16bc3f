//! Tells in events what became of a restore.

use api_types::contract::conditions::claim::RESTORE;
use api_types::contract::events::apps::{RESTORE_COMPLETED, RESTORE_FAILED};
use controller_kit::conditions as kit;
use controller_kit::events::Events;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;

/// Tells the end of a restore, or its failure, when the condition `Restore` of `on` has just become that.
pub async fn tell<K: Resource<DynamicType = ()>>(events: &Events, on: &K, before: &[Condition], after: &[Condition]) {
    let Some(now) = kit::get(after, RESTORE) else { return };
    if kit::get(before, RESTORE).is_some_and(|old| old.status == now.status) {
        return;
    }
    match now.status.as_str() {
        "True" => events.normal(on, RESTORE_COMPLETED, &now.message).await,
        "False" => events.warning(on, RESTORE_FAILED, &now.message).await,
        _ => {}
    }
}
