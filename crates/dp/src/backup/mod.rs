//! Backups: observe → plan → apply → status.

pub mod apply;
pub mod build;
pub mod delete;
pub mod env;
pub mod observe;
pub mod origin;
pub mod paths;
pub mod plan;
pub mod select;
pub mod status;
pub mod targets;

use crate::context::{Context, Stores};
use crate::error::Error;
use api_types::contract::{annotations, labels};
use controller_kit::Key;
use controller_kit::drive::Again;
use job_runtime::owned_by;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use std::sync::Arc;

/// One look at one Backup.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(backup) = context.stores.backups.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let skip = backup.annotations().get(annotations::SKIP_RECONCILIATION);
    if skip.is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        return Ok(Again::OnEvent);
    }
    let mut seen = observe::observe(backup, &context.stores);
    observe::confirm_vanished(&mut seen, &hands.writer).await?;
    observe::look_for_configuration(&mut seen, &hands.writer).await?;
    let plan = plan::plan(&seen, controller_kit::clock::now());
    Box::pin(hands.apply(&seen, plan, &context)).await
}

/// Jobs that do the work of the backup of that UID; the one that deletes its files is not among them.
fn jobs_of(stores: &Stores, namespace: &str, uid: &str) -> Vec<Arc<Job>> {
    stores.jobs.select(|job| {
        job.namespace().as_deref() == Some(namespace)
            && job.labels().contains_key(labels::BACKUP_NAME)
            && owned_by(job, uid)
    })
}
