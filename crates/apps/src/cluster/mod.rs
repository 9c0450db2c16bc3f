//! Turns a Cluster into Components, carries its restore intent down and what came of it up.

pub mod apply;
pub mod build;
pub mod observe;
pub mod plan;
pub mod resolve;
pub mod status;

use crate::context::Context;
use crate::error::Error;
use controller_kit::Key;
use controller_kit::drive::Again;
use std::sync::Arc;

/// One look at one Cluster.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(cluster) = context.stores.clusters.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let seen = observe::observe(cluster, &context.stores);
    let plan = plan::plan(&seen);
    hands.apply(&seen, &plan).await
}
