//! Templates of backup policies: which component definitions they are for, and whether they can be used
//! (contract-dp §4, behaviour-backup §9).

pub mod matching;
pub mod status;

use crate::context::Context;
use crate::error::Error;
use api_types::dp::BackupPolicyTemplate;
use controller_kit::Key;
use controller_kit::drive::Again;
use controller_kit::writes::Writer;
use kube::ResourceExt;
use std::sync::Arc;

/// One look at one template. What it refers to is in caches, whose changes wake it (behaviour-backup D35).
pub async fn reconcile(key: Key, context: Arc<Context>, writer: Writer) -> Result<Again, Error> {
    let stores = &context.stores;
    let Some(template) = stores.templates.get("", &key.name) else {
        return Ok(Again::OnEvent);
    };
    // Half a list would take definitions away from the status and give them back; the cache says when it is whole.
    if !stores.definitions.is_settled() {
        return Ok(Again::OnEvent);
    }
    let definitions: Vec<String> = stores.definitions.select(|_| true).iter().map(|d| d.name_any()).collect();
    let old = template.status.clone().unwrap_or_default();
    let new = status::status(&template, definitions, |name| stores.action_sets.get("", name));
    writer.store_status(&writer.cluster::<BackupPolicyTemplate>(), template.as_ref(), &old, &new).await?;
    Ok(Again::OnEvent)
}
