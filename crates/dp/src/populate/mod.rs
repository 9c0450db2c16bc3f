//! Populates claims that name a Backup or a Restore as their data source.
//!
//! `decide` says what a volume is to hold, `rebind` how it changes hands, `plan` joins them.

pub mod apply;
pub mod begin;
pub mod build;
pub mod decide;
pub mod evidence;
pub mod observe;
pub mod parameters;
pub mod plan;
pub mod rebind;
#[cfg(test)]
mod rebind_explore;
pub mod seen;
pub mod source;
pub mod state;
pub mod status;

use crate::context::{Context, names_our_source};
use crate::error::Error;
use crate::reasons;
use api_types::contract::conditions::claim::RESTORE;
use controller_kit::Key;
use controller_kit::drive::Again;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use std::sync::Arc;

/// One look at one claim.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(claim) = context.stores.claims.get(&key.namespace, &key.name).filter(|c| names_our_source(c)) else {
        return Ok(Again::OnEvent);
    };
    let Some(seen) = observe::observe(claim, &context.stores, &hands.writer).await? else {
        return Ok(Again::OnEvent);
    };
    let seen = begin::complete(seen, &context, &hands.writer).await?;
    let plan = plan::plan(&seen);
    Box::pin(hands.apply(&seen, plan, &context)).await
}

/// Whether `claim` waits for what other claims of its Cluster say, and `other` is one of them.
pub fn waits_for(claim: &PersistentVolumeClaim, other: &PersistentVolumeClaim) -> bool {
    let conditions = claim.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let waits = |reason: Option<&str>| reason == Some(reasons::WAIT_FOR_OTHER_VOLUMES);
    conditions.iter().any(|c| c.type_ == RESTORE && waits(c.reason.as_deref())) && evidence::same_restore(claim, other)
}

/// Whether a claim of ours has not been restored, or failed to be.
pub fn is_unproven(claim: &PersistentVolumeClaim) -> bool {
    let conditions = claim.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    names_our_source(claim) && !conditions.iter().any(|c| c.type_ == RESTORE && c.status == "True")
}

/// Whether a claim of ours still waits for something: neither True nor False is stored.
pub fn is_unsettled(claim: &PersistentVolumeClaim) -> bool {
    let conditions = claim.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let verdict = conditions.iter().find(|c| c.type_ == RESTORE);
    names_our_source(claim) && verdict.is_none_or(|c| c.status != "True" && c.status != "False")
}
