//! Restores: observe → plan → apply → status. Serves the executions of the populator and Restores
//! that users write.

pub mod apply;
pub mod build;
pub mod env;
pub mod observe;
pub mod plan;
pub mod status;

use crate::context::Context;
use crate::error::Error;
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
