//! Runs the instances of a set: claims, pods and their headless Service; counts the claims of a restore.

pub mod apply;
pub mod build;
pub mod observe;
pub mod plan;
pub mod status;

use crate::context::Context;
use crate::error::Error;
use controller_kit::Key;
use controller_kit::drive::Again;
use std::sync::Arc;

/// One look at one set.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(set) = context.stores.sets.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let seen = observe::observe(set, &context.stores);
    let plan = plan::plan(&seen);
    hands.apply(&seen, plan).await
}
