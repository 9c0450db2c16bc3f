//! The policy driver: a Cluster and the templates of its components become BackupPolicies and BackupSchedules
//! (contract-dp §12, behaviour-backup §10).
//!
//! In: caches of Clusters, Components, templates, action sets, policies and schedules. Out: the two objects of each
//! component or sharding whose definition a template is for. Nothing is written that is as it should be, so a Cluster may
//! change its status as often as it likes.

pub mod apply;
pub mod build;
pub mod encryption;
pub mod observe;
pub mod plan;
#[cfg(test)]
mod plan_tests;
pub mod schedule;
pub mod target;

use crate::context::Context;
use crate::error::Error;
use controller_kit::Key;
use controller_kit::drive::Again;
use std::sync::Arc;

/// One look at one Cluster.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(seen) = observe::observe(&key, &context) else {
        hands.said.forget(&key);
        return Ok(Again::OnEvent);
    };
    apply::apply(&seen.cluster, plan::plan(&seen), &hands).await?;
    Ok(Again::OnEvent)
}
