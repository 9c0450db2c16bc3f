//! CronJobs that the reference made for a schedule: recognised, asked for their last slot, removed (design §7). Pure but
//! for the last part.

use super::build::cron_job_name;
use super::due::Foreign;
use super::entries::Entry;
use crate::error::Error;
use api_types::contract::{FINALIZER, labels};
use api_types::dp::{BackupSchedule, GROUP};
use controller_kit::writes::Writer;
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt;
use serde_json::json;

/// Whether the reference made this CronJob for this very schedule: by labels and by the UID of its owner.
pub fn is_of(job: &CronJob, schedule: &BackupSchedule) -> bool {
    let uid = schedule.uid().unwrap_or_default();
    let owned = job.owner_references().iter().any(|o| {
        let group = o.api_version.split('/').next() == Some(GROUP);
        group && o.kind == "BackupSchedule" && o.uid == uid && o.controller == Some(true)
    });
    let label = |key: &str| job.labels().get(key).map(String::as_str);
    owned
        && job.namespace() == schedule.namespace()
        && label(labels::MANAGED_BY) == Some(labels::MANAGED_BY_DP)
        && label(labels::BACKUP_SCHEDULE) == Some(&schedule.name_any())
}

/// Whether it runs that entry.
fn runs(job: &CronJob, schedule: &BackupSchedule, entry: &Entry) -> bool {
    let method = job.labels().get(labels::BACKUP_METHOD);
    job.name_any() == cron_job_name(schedule, &entry.name) && method == Some(&entry.spec.backup_method)
}

fn is_active(job: &CronJob) -> bool {
    job.status.as_ref().is_some_and(|s| s.active.as_ref().is_some_and(|a| !a.is_empty()))
}

/// Whether it can be removed now: it is ours to take over, and none of its Jobs is about to create a Backup.
pub fn is_removable(job: &CronJob, may_adopt: bool) -> bool {
    may_adopt && !is_active(job)
}

/// The CronJob of an entry, among those of its schedule.
pub fn of_entry<'a>(
    jobs: impl IntoIterator<Item = &'a CronJob>,
    schedule: &BackupSchedule,
    entry: &Entry,
    may_adopt: bool,
) -> Option<Foreign> {
    let job = jobs.into_iter().find(|job| runs(job, schedule, entry))?;
    let last = job.status.as_ref().and_then(|s| s.last_schedule_time.clone()).or_else(|| job.creation_timestamp())?;
    let name = job.name_any();
    let stays = if !may_adopt {
        Some(format!(
            "CronJob {name} of the other operator runs this entry; stop that operator and set HOLDFAST_FOREIGN_LEASE to \
             its lease, or annotate the schedule with holdfast.dev/adopt: \"true\""
        ))
    } else if is_active(job) {
        Some(format!("a Job of CronJob {name} is creating a Backup; the CronJob is removed when it has ended"))
    } else {
        None
    };
    Some(Foreign { last: last.0, stays })
}

/// Removes one that is as it was seen: another run of it in between is a conflict, and it is looked at again.
pub async fn remove(writer: &Writer, job: &CronJob) -> Result<(), Error> {
    let (api, name) = (writer.namespaced::<CronJob>(&job.namespace().unwrap_or_default()), job.name_any());
    let mut current = job.clone();
    if job.finalizers().iter().any(|f| f == FINALIZER) {
        let kept: Vec<&String> = job.finalizers().iter().filter(|f| *f != FINALIZER).collect();
        let body = json!({"metadata": {
            "uid": job.uid(), "resourceVersion": job.resource_version(), "finalizers": kept,
        }});
        current = match writer.merge(&api, &name, &body).await {
            Err(error) if error.is_not_found() => return Ok(()),
            answer => answer?,
        };
    }
    if current.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    writer.delete_as_seen(&api, &current).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::entries::Mode;
    use serde_json::{Value, json};

    fn schedule() -> BackupSchedule {
        serde_json::from_value(
            json!({"metadata": {"name": "bs", "namespace": "demo", "uid": "d03ad4db-8be0"}, "spec": {}}),
        )
        .unwrap()
    }

    /// As the reference wrote it on a real cluster.
    fn made() -> Value {
        json!({
            "metadata": {
                "name": "d03ad4db-bs-demo-full", "namespace": "demo", "creationTimestamp": "2026-11-21T09:02:02Z",
                "labels": {
                    "app.kubernetes.io/managed-by": "kubeblocks-dataprotection",
                    "dataprotection.kubeblocks.io/backup-method": "full",
                    "dataprotection.kubeblocks.io/backup-policy": "bp2",
                    "dataprotection.kubeblocks.io/backup-schedule": "bs"
                },
                "ownerReferences": [{"apiVersion": "dataprotection.kubeblocks.io/v1alpha1", "blockOwnerDeletion": true,
                    "controller": true, "kind": "BackupSchedule", "name": "bs", "uid": "d03ad4db-8be0"}]
            }
        })
    }

    fn entry(name: &str, method: &str) -> Entry {
        let spec = serde_json::from_value(json!({"name": name, "backupMethod": method})).unwrap();
        Entry { name: name.into(), spec, mode: Ok(Mode::Off) }
    }

    #[test]
    fn only_the_references_own_for_that_very_schedule_is_recognised() {
        let of = |change: &dyn Fn(&mut Value)| {
            let mut value = made();
            change(&mut value);
            let job: CronJob = serde_json::from_value(value).unwrap();
            is_of(&job, &schedule())
        };
        assert!(of(&|_| {}));
        assert!(
            !of(&|v| v["metadata"]["ownerReferences"][0]["uid"] = json!("another")),
            "of a schedule that was deleted"
        );
        assert!(!of(&|v| v["metadata"]["ownerReferences"][0]["kind"] = json!("Thing")));
        assert!(!of(&|v| v["metadata"]["ownerReferences"][0]["apiVersion"] = json!("example.com/v1")));
        assert!(!of(&|v| v["metadata"]["ownerReferences"][0]["controller"] = json!(false)));
        assert!(!of(&|v| v["metadata"]["ownerReferences"] = json!([])), "a user's own with our labels");
        assert!(!of(&|v| v["metadata"]["labels"]["dataprotection.kubeblocks.io/backup-schedule"] = json!("other")));
        assert!(!of(&|v| v["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("helm")));
        assert!(!of(&|v| v["metadata"]["namespace"] = json!("elsewhere")));
    }

    #[test]
    fn its_last_slot_is_handed_over_once_it_may_go() {
        let with = |status: Value| -> CronJob {
            let mut value = made();
            value["status"] = status;
            serde_json::from_value(value).unwrap()
        };
        let one = entry("full", "full");
        let fresh = with(json!({}));
        let seen = of_entry([&fresh], &schedule(), &one, true).unwrap();
        assert_eq!((seen.last.to_string().as_str(), seen.stays), ("2026-11-21T09:02:02Z", None));
        let ran = with(json!({"lastScheduleTime": "2026-11-21T09:30:00Z"}));
        assert_eq!(of_entry([&ran], &schedule(), &one, true).unwrap().last.to_string(), "2026-11-21T09:30:00Z");
        assert!(of_entry([&ran], &schedule(), &one, false).unwrap().stays.unwrap().contains("HOLDFAST_FOREIGN_LEASE"));
        let active = with(json!({"active": [{"name": "j"}]}));
        assert!(of_entry([&active], &schedule(), &one, true).unwrap().stays.unwrap().contains("is creating a Backup"));
        assert!(!is_removable(&active, true) && is_removable(&ran, true) && !is_removable(&ran, false));
        assert_eq!(of_entry([&ran], &schedule(), &entry("nightly", "full"), true), None);
        assert_eq!(of_entry([&ran], &schedule(), &entry("full", "other"), true), None);
    }
}
