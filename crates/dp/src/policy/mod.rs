//! Backup policies: Available when their targets can be told apart (contract-dp §3).

pub mod status;

use crate::context::Context;
use crate::error::Error;
use api_types::dp::BackupPolicy;
use controller_kit::Key;
use controller_kit::drive::Again;
use controller_kit::writes::Writer;
use std::sync::Arc;

/// One look at one policy.
pub async fn reconcile(key: Key, context: Arc<Context>, writer: Writer) -> Result<Again, Error> {
    let Some(policy) = context.stores.policies.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let old = policy.status.clone().unwrap_or_default();
    writer
        .store_status(
            &writer.namespaced::<BackupPolicy>(&key.namespace),
            policy.as_ref(),
            &old,
            &status::status(&policy),
        )
        .await?;
    Ok(Again::OnEvent)
}
