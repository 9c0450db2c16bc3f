//! Action sets: Available when their parameters fit their schema (contract-dp §2).

pub mod status;

use crate::context::Context;
use crate::error::Error;
use api_types::dp::ActionSet;
use controller_kit::Key;
use controller_kit::drive::Again;
use controller_kit::writes::Writer;
use std::sync::Arc;

/// One look at one action set.
pub async fn reconcile(key: Key, context: Arc<Context>, writer: Writer) -> Result<Again, Error> {
    let Some(actions) = context.stores.action_sets.get("", &key.name) else {
        return Ok(Again::OnEvent);
    };
    let old = actions.status.clone().unwrap_or_default();
    writer.store_status(&writer.cluster::<ActionSet>(), actions.as_ref(), &old, &status::status(&actions)).await?;
    Ok(Again::OnEvent)
}
