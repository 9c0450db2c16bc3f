//! Backup repositories: observe → plan → apply → status. Serves access method `Mount` on a claim.

pub mod apply;
pub mod claim;
pub mod observe;
pub mod plan;
pub mod precheck;
pub mod render;

use crate::context::Context;
use crate::error::Error;
use controller_kit::Key;
use controller_kit::drive::Again;
use std::sync::Arc;

/// Reason of condition `ParametersChecked` when a required parameter is missing.
pub const INVALID_PARAMETERS: &str = "InvalidParameters";
/// Reason of condition `PreCheckPassed` while its Job runs.
pub const PRE_CHECK_RUNNING: &str = "PreCheckRunning";

/// One look at one repository.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(repo) = context.stores.repos.get("", &key.name) else {
        return Ok(Again::OnEvent);
    };
    let seen = observe::observe(repo, &context.stores, &context.own_namespace, context.check_retry);
    let plan = plan::plan(&seen, controller_kit::clock::now());
    Box::pin(hands.apply(&seen, plan, &context)).await
}
