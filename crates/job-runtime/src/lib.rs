//! Ensures, observes, stops and cancels Jobs by the UID of their owner, and diagnoses their pods.
//!
//! A Job is created once and never applied again: its pod template is immutable. A name that is
//! taken by somebody else's Job is told apart from our own by the owner UID, never trusted by name.
pub mod diagnose;
pub mod observe;
pub mod stall;
pub mod stop;
#[cfg(test)]
mod stop_explore;

use controller_kit::error::{ApiError, chain};
use controller_kit::writes::Writer;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::PropagationPolicy;

/// Label value's key that ties an object to an owner in another namespace, where owner references
/// can not reach.
pub const OWNER_UID_LABEL: &str = "holdfast.dev/owner-uid";

/// What [`ensure`] found or did.
#[derive(Debug)]
pub enum Ensured {
    /// Created just now.
    Created(Box<Job>),
    /// There already, and ours.
    Present(Box<Job>),
    /// The name belongs to another owner.
    NameTaken,
    /// The server will never take this Job, and says why.
    Refused(String),
}

/// Whether `job` belongs to the owner of that UID, by owner reference or by label.
pub fn owned_by(job: &Job, owner_uid: &str) -> bool {
    let by_reference = job.owner_references().iter().any(|o| o.uid == owner_uid);
    let by_label = job.labels().get(OWNER_UID_LABEL).map(String::as_str) == Some(owner_uid);
    by_reference || by_label
}

/// Creates `job` unless it is there; `AlreadyExists` counts only with our owner UID (design D8).
pub async fn ensure(writer: &Writer, job: &Job, owner_uid: &str) -> Result<Ensured, ApiError> {
    let api = writer.namespaced::<Job>(&job.namespace().unwrap_or_default());
    match writer.create(&api, job).await {
        Ok(created) => Ok(Ensured::Created(Box::new(created))),
        Err(error) if error.is_already_exists() => {
            match writer.get(&api, &job.name_any()).await? {
                Some(found) if owned_by(&found, owner_uid) => Ok(Ensured::Present(Box::new(found))),
                Some(_) => Ok(Ensured::NameTaken),
                None => Err(error), // gone between the two calls: tried again with backoff
            }
        }
        Err(error) if error.is_invalid() => Ok(Ensured::Refused(chain(&error))),
        Err(error) => Err(error),
    }
}

/// Deletes `job` with its pods if it belongs to the owner of that UID.
pub async fn cancel(writer: &Writer, job: &Job, owner_uid: &str) -> Result<(), ApiError> {
    if !owned_by(job, owner_uid) || job.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let api = writer.namespaced::<Job>(&job.namespace().unwrap_or_default());
    let uid = job.uid().unwrap_or_default();
    writer.delete(&api, &job.name_any(), &uid, PropagationPolicy::Background).await
}
