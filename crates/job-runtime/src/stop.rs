//! Stops a Job whose only pod succeeded, so that its result counts before the Job says Complete: the
//! Job controller writes that up to a second later (design D9).
//!
//! Why it is safe: a Job counts a pod as failed before it lets the pod go, so a pod that is the only
//! one in a list, and a Job read after that list that counts no other, are the only pod there ever
//! was. The stop is such a read, and a Job that is suspended makes no further pod. A stopped Job still
//! becomes Complete by itself.

use controller_kit::error::ApiError;
use controller_kit::writes::Writer;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::ResourceExt;
use serde_json::json;
use std::borrow::Borrow;

use crate::observe::terminated;

/// On a Job that was stopped: UID of the pod that had succeeded. Written together with the suspension.
pub const STOPPED_FOR: &str = "holdfast.dev/stopped-for-pod";

/// What a Job needs before its result can count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// Its only pod, of this UID, succeeded: stop it.
    Stop {
        /// UID of the pod.
        pod: String,
    },
    /// It was stopped for a pod that is gone, uncounted: without this it would never end.
    Resume,
}

/// What `job` needs; `None` most of the time. `pods` may hold foreign pods; `container` is the main one.
pub fn turn<P: Borrow<Pod>>(job: &Job, pods: &[P], container: &str) -> Option<Turn> {
    if finished(job) || job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let mut mine = of_job(job, pods);
    let stopped_for = job.annotations().get(STOPPED_FOR).filter(|_| suspended(job));
    if let Some(pod) = stopped_for {
        return (!mine.any(|p| p.uid().as_ref() == Some(pod))).then_some(Turn::Resume);
    }
    let (pod, _) = succeeded_alone(job, pods, container)?;
    Some(Turn::Stop { pod: pod.uid()? })
}

/// How the main container ended, when `job` was stopped for its pod and never had another.
pub fn counts<'a, P: Borrow<Pod>>(job: &Job, pods: &'a [P], container: &str) -> Option<&'a ContainerStateTerminated> {
    let stopped_for = job.annotations().get(STOPPED_FOR).filter(|_| suspended(job))?;
    let (pod, ended) = succeeded_alone(job, pods, container)?;
    (pod.uid().as_ref() == Some(stopped_for)).then_some(ended)
}

/// Whether `job` is held back, other than by a stop.
pub fn held(job: &Job) -> bool {
    suspended(job) && !job.annotations().contains_key(STOPPED_FOR)
}

/// Gives the Job of that name and UID what it needs: suspends it for its pod, or lets it run. One that is gone needs
/// nothing.
pub async fn take(writer: &Writer, namespace: &str, name: &str, uid: &str, turn: &Turn) -> Result<(), ApiError> {
    let (pod, suspend) = match turn {
        Turn::Stop { pod } => (Some(pod), true),
        Turn::Resume => (None, false),
    };
    let body = json!({"metadata": {"uid": uid, "annotations": {STOPPED_FOR: pod}}, "spec": {"suspend": suspend}});
    match writer.merge(&writer.namespaced::<Job>(namespace), name, &body).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// The one pod of `job`, when it succeeded and neither list nor counters know of another.
fn succeeded_alone<'a, P: Borrow<Pod>>(
    job: &Job,
    pods: &'a [P],
    container: &str,
) -> Option<(&'a Pod, &'a ContainerStateTerminated)> {
    let mut mine = of_job(job, pods);
    let only = mine.next().filter(|_| mine.next().is_none())?;
    let phase = only.status.as_ref().and_then(|s| s.phase.as_deref());
    let ended = terminated(only, container).filter(|t| t.exit_code == 0)?;
    (phase == Some("Succeeded") && !others_counted(job)).then_some((only, ended))
}

/// Whether the Job counts a pod that failed, or one that is going away.
fn others_counted(job: &Job) -> bool {
    let Some(status) = &job.status else { return false };
    let uncounted = status.uncounted_terminated_pods.as_ref().and_then(|u| u.failed.as_ref());
    status.failed.unwrap_or_default() > 0
        || status.terminating.unwrap_or_default() > 0
        || uncounted.is_some_and(|uids| !uids.is_empty())
}

fn of_job<'a, P: Borrow<Pod>>(job: &Job, pods: &'a [P]) -> impl Iterator<Item = &'a Pod> {
    let uid = job.uid().unwrap_or_default();
    pods.iter().map(Borrow::borrow).filter(move |p| p.owner_references().iter().any(|o| o.uid == uid))
}

fn suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|s| s.suspend).unwrap_or_default()
}

fn finished(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.into_iter().flatten().any(|c| c.status == "True" && matches!(c.type_.as_str(), "Complete" | "Failed"))
}
