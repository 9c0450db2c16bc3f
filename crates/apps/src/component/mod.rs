//! Turns a Component and its ComponentDefinition into a set of pods with what they need.

pub mod accounts;
pub mod apply;
pub mod build;
pub mod observe;
pub mod plan;
pub mod served;
pub mod status;
pub mod vars;

use crate::context::Context;
use crate::error::Error;
use controller_kit::Key;
use controller_kit::drive::Again;
use std::sync::Arc;

/// One look at one component.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(component) = context.stores.components.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let seen = observe::observe(component, &context.stores);
    let plan = plan::plan(&seen);
    hands.apply(&seen, &plan).await
}
