//! Backups: observe → plan → apply → status.

pub mod apply;
pub mod build;
pub mod chain;
pub mod continuous;
pub mod delete;
pub mod env;
pub mod fold;
pub mod gate;
pub mod inputs;
pub mod lineage;
pub mod observe;
pub mod origin;
pub mod paths;
pub mod plan;
pub mod run;
pub mod select;
pub mod snapshot;
pub mod start;
pub mod status;
pub mod storage;
pub mod targets;
pub mod turn;

use crate::context::{Context, Stores};
use crate::error::Error;
use api_types::contract::{annotations, labels};
use api_types::dp::Backup;
use controller_kit::Key;
use controller_kit::drive::Again;
use controller_kit::error::Failure;
use job_runtime::owned_by;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use std::sync::Arc;

/// One look at one Backup.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(backup) = context.stores.backups.get(&key.namespace, &key.name) else {
        hands.targets.awaited.forget(&key);
        context.turns.forget(&key);
        return Ok(Again::OnEvent);
    };
    context.turns.see(&backup, true);
    let looked = Box::pin(look(Arc::clone(&backup), &context, &hands)).await;
    context.turns.looked(&backup, looked.as_ref().is_err_and(|e| !e.is_conflict()));
    looked
}

async fn look(backup: Arc<Backup>, context: &Context, hands: &apply::Hands) -> Result<Again, Error> {
    let skip = backup.annotations().get(annotations::SKIP_RECONCILIATION);
    if skip.is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Ok(Again::OnEvent);
    }
    let now = controller_kit::clock::now();
    let mut seen = observe::observe(backup, context);
    observe::confirm(&mut seen, hands, now).await?;
    observe::look_for_configuration(&mut seen, &hands.writer).await?;
    let plan = plan::plan(&seen, now);
    Box::pin(hands.apply(&seen, plan, context)).await
}

/// Jobs that do the work of the backup, in its namespace and in the operator's; those of its deletion are not among
/// them.
fn jobs_of(stores: &Stores, backup: &Backup) -> Vec<Arc<Job>> {
    let uid = backup.uid().unwrap_or_default();
    stores.jobs.select(|job| job.labels().contains_key(labels::BACKUP_NAME) && owned_by(job, &uid))
}
