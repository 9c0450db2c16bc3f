//! Restores: observe → plan → apply → status. Serves the executions of the populator and Restores
//! that users write.

pub mod apply;
pub mod build;
pub mod chain;
pub mod env;
pub mod observe;
#[cfg(test)]
mod order;
pub mod plan;
pub mod status;

use crate::context::Context;
use crate::error::Error;
use api_types::dp::Restore;
use controller_kit::Key;
use controller_kit::drive::Again;
use std::sync::Arc;

/// One look at one Restore.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(restore) = context.stores.restores.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let allowed = context.allowed_accounts.clone();
    let mut seen = observe::observe(restore, &context.stores, allowed, &hands.writer).await?;
    let plan = plan::plan(&seen);
    Box::pin(hands.apply(&mut seen, plan, &context)).await
}

/// Whether `restore` reads the Backup of that name: the one it names, or one of the steps it has recorded.
pub fn reads(restore: &Restore, namespace: &str, backup: &str) -> bool {
    let source = &restore.spec.backup;
    source.namespace == namespace
        && (source.name == backup || plan::recorded(restore).iter().any(|a| a.backup_name == backup))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_base_that_is_recorded_is_read_too() {
        let mut restore: Restore = serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "other"}, "spec": {"backup": {"name": "log", "namespace": "n"}}}))
        .unwrap();
        assert!(reads(&restore, "n", "log") && !reads(&restore, "n", "base") && !reads(&restore, "other", "log"));
        let action =
            |backup: &str| json!({"name": "a", "backupName": backup, "objectKey": "Job/j", "status": "Processing"});
        let actions = json!({"actions": {"prepareData": [action("base"), action("log")]}});
        restore.status = Some(serde_json::from_value(actions).unwrap());
        assert!(reads(&restore, "n", "log") && reads(&restore, "n", "base"));
        assert!(!reads(&restore, "other", "base") && !reads(&restore, "n", "newer"));
    }
}
