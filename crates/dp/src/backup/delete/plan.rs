//! Decides what a Backup that is being deleted needs next. Pure.

use super::pre_delete;
use crate::backup::plan::{Observed, being_prepared};
use crate::backup::{select, storage};
use crate::error::Stop;
use crate::reasons;
use crate::repo::reach::Purpose;
use api_types::contract::FINALIZER;
use api_types::dp::{Backup, BackupPhase, DeletionPolicy};
use job_runtime::observe::JobState;
use kube::ResourceExt;
use std::sync::Arc;

/// What is seen of a deletion.
#[derive(Default)]
pub struct Seen {
    /// A restore that reads this backup is running; its name.
    pub read_by: Option<String>,
    /// Backups that build on this one.
    pub dependents: Vec<Arc<Backup>>,
    /// Pods of this backup are still there.
    pub pods_left: bool,
    /// The Jobs that run before the files go, once they exist; parallel to [`pre_delete::names`].
    pub pre_delete_jobs: Vec<Option<JobState>>,
    /// The Job that deletes the files, once it exists.
    pub delete_job: Option<JobState>,
}

/// What to do now.
#[derive(Debug)]
pub enum Plan {
    /// Nothing; what is awaited wakes it.
    Leave,
    /// Something blocks; it goes into the status.
    Blocked(Stop),
    /// Store phase Deleting.
    Begin,
    /// Delete the backups that build on this one.
    Dependents(Vec<Arc<Backup>>),
    /// Delete its workloads, and wait until they are gone.
    StopWorkloads,
    /// Ask the repository's controller for a claim here.
    AskForRepo(Stop),
    /// Create the Jobs that run before the files go, at these places.
    PreDelete(Vec<usize>),
    /// Create the Job that deletes its files.
    Files {
        /// Directory in the repository.
        path: String,
    },
    /// A Job of the deletion failed; the user sees why and may delete that Job to try again.
    Failed {
        /// Its name.
        job: String,
        /// Why.
        why: String,
    },
    /// Delete its snapshots, and when they are gone take the finalizer off.
    Release {
        /// The snapshots are data too; they are kept where the data is to be kept.
        with_snapshots: bool,
    },
}

/// What the deletion needs next.
pub fn plan(seen: &Observed) -> Plan {
    let backup = &seen.backup;
    let deletion = &seen.deletion;
    if !backup.finalizers().iter().any(|f| f == FINALIZER) {
        return Plan::Leave; // never another Job (behaviour-backup §16.8)
    }
    if let Some(restore) = &deletion.read_by {
        return Plan::Blocked(Stop::wait(
            reasons::READ_BY_RESTORE,
            format!("restore {restore} reads this backup; its files are deleted when it has finished"),
        ));
    }
    if backup.phase() != BackupPhase::Deleting {
        return Plan::Begin;
    }
    if !deletion.dependents.is_empty() {
        return Plan::Dependents(deletion.dependents.clone());
    }
    if seen.workloads_left || deletion.pods_left {
        return Plan::StopWorkloads;
    }
    // Retain keeps the data and lets the object go (behaviour-backup D20).
    if backup.spec.deletion_policy == DeletionPolicy::Retain {
        return Plan::Release { with_snapshots: false };
    }
    files(seen).unwrap_or(Plan::Release { with_snapshots: true })
}

/// What the files need; `None` when they are gone, or there never were any.
fn files(seen: &Observed) -> Option<Plan> {
    let backup = &seen.backup;
    let status = backup.status.as_ref();
    let path = status.and_then(|s| s.path.clone()).unwrap_or_default();
    // A path that does not name the backup is never deleted; without the repository nothing can be.
    let named = path.split('/').any(|part| part == backup.name_any());
    let repo = seen.repo.as_ref().filter(|_| named)?;
    let stored = status.is_some_and(|s| s.backup_repo_name.is_some());
    if storage::reached(backup, Some(repo), Purpose::Delete).is_none() {
        // A repository that does not know its own names yet will: the files are not given up for that.
        return stored.then(|| Plan::Blocked(being_prepared(&repo.name_any())));
    }
    let here = seen.repo_here;
    let wait = |plan: Plan| match select::check_repo(repo, &backup.namespace().unwrap_or_default()) {
        _ if here => plan,
        Err(stop) => Plan::Blocked(stop),
        Ok(()) => Plan::AskForRepo(being_prepared(&repo.name_any())),
    };
    let jobs = &seen.deletion.pre_delete_jobs;
    let missing: Vec<usize> = (0..jobs.len()).filter(|i| matches!(jobs.get(*i), Some(None))).collect();
    if !missing.is_empty() && seen.deletion.delete_job.is_none() {
        return Some(Plan::PreDelete(missing));
    }
    if seen.deletion.delete_job.is_none() {
        for (name, job) in pre_delete::names(backup, seen.actions()).into_iter().zip(jobs) {
            match job {
                Some(JobState::Failed { why, message, .. }) => {
                    return Some(Plan::Failed { job: name, why: told(why, message.as_deref()) });
                }
                Some(JobState::Running { .. }) | None => return Some(wait(Plan::Leave)),
                Some(JobState::Succeeded { .. }) => {}
            }
        }
    }
    match &seen.deletion.delete_job {
        // Made also before the repository's claim is here: a namespace that is being deleted shows by it.
        None => Some(Plan::Files { path }),
        Some(JobState::Running { .. }) => Some(wait(Plan::Leave)),
        Some(JobState::Succeeded { .. }) => None,
        Some(JobState::Failed { why, message, .. }) => {
            Some(Plan::Failed { job: super::job::job_name(backup), why: told(why, message.as_deref()) })
        }
    }
}

fn told(why: &str, message: Option<&str>) -> String {
    let told = message.and_then(mover_protocol::RunResult::parse);
    told.map(|r| r.message).filter(|m| !m.is_empty()).unwrap_or_else(|| why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::fold::Limits;
    use serde_json::{Value, json};

    fn deleting(repo_status: &Value) -> Observed {
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "n", "uid": "u", "finalizers": [FINALIZER],
                "deletionTimestamp": "2026-11-21T00:00:00Z"},
            "spec": {"backupPolicyName": "p", "backupMethod": "m"},
            "status": {"phase": "Deleting", "path": "/n/b", "backupRepoName": "r"},
        }))
        .unwrap();
        let repo = serde_json::from_value(json!({
            "metadata": {"name": "r"}, "status": repo_status,
            "spec": {"storageProviderRef": "s3", "accessMethod": "Tool", "pvReclaimPolicy": "Retain"},
        }));
        Observed {
            backup: Arc::new(backup),
            policy: None,
            action_set: None,
            schedule: None,
            default_repos: vec![],
            repo: Some(Arc::new(repo.unwrap())),
            repo_here: true,
            family: vec![],
            outcomes: vec![],
            workloads_left: false,
            deletion: Seen::default(),
            limits: Limits { start: jiff::SignedDuration::from_secs(600), action: None },
        }
    }

    /// A repository that was applied anew has no status for a moment: the files were given up, and the object let go.
    #[test]
    fn files_are_not_given_up_while_their_repository_does_not_know_its_names() {
        let blocked = plan(&deleting(&json!({"phase": "PreChecking"})));
        assert!(matches!(&blocked, Plan::Blocked(stop) if stop.message.contains("BackupRepo r")), "{blocked:?}");
        let known = plan(&deleting(&json!({"phase": "Ready", "toolConfigSecretName": "tool-config-r-1"})));
        assert!(matches!(&known, Plan::Files { path } if path == "/n/b"), "{known:?}");
        let mut gone = deleting(&json!({}));
        gone.repo = None;
        assert!(matches!(plan(&gone), Plan::Release { with_snapshots: true }));
    }

    const READY: &str = r#"{"phase": "Ready", "toolConfigSecretName": "tool-config-r-1"}"#;

    fn ready() -> Observed {
        deleting(&serde_json::from_str(READY).unwrap())
    }

    /// Foreground deletion takes the Job with the Backup, and the next look made another.
    #[test]
    fn rule_8_without_our_finalizer_no_job_is_made_again() {
        let mut released = ready();
        Arc::make_mut(&mut released.backup).metadata.finalizers = Some(vec!["foregroundDeletion".into()]);
        assert!(matches!(plan(&released), Plan::Leave));
        assert!(matches!(plan(&ready()), Plan::Files { .. }), "as long as it is there, one is");
    }

    #[test]
    fn rule_12_a_path_that_does_not_name_the_backup_is_not_deleted() {
        for path in ["", "/", "/n", "/n/b-2", "/n/bb/x"] {
            let mut strange = ready();
            Arc::make_mut(&mut strange.backup).status.as_mut().unwrap().path = Some(path.into());
            assert!(matches!(plan(&strange), Plan::Release { .. }), "{path}");
        }
    }
}
