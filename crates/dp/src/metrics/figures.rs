//! What the Backups that are there say about how well everything is protected. Pure.

use crate::turn::claim::Claim;
use api_types::dp::{Backup, BackupPhase, BackupStatus};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Backups of one repository and method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfMethod {
    /// How many are in each phase.
    pub phases: BTreeMap<String, u64>,
    /// How many failed for each reason.
    pub failures: BTreeMap<String, u64>,
    /// The last one that worked.
    pub last: Option<Last>,
}

/// A backup that worked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Last {
    /// When, in seconds since 1970.
    pub completed: i64,
    /// Bytes; `None` where its action did not tell.
    pub bytes: Option<u64>,
    /// Seconds from its start.
    pub seconds: Option<i64>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// By repository (empty for volume snapshots) and method.
    pub methods: BTreeMap<(String, String), OfMethod>,
    /// The latest instant that can be restored, in seconds since 1970, by namespace and policy.
    pub recovery_points: BTreeMap<(String, String), i64>,
    /// Jobs that wait for their turn, by the repository they are to write to.
    pub waiting: BTreeMap<String, u64>,
}

/// Reason of a failure that names none.
const ACTION_FAILED: &str = "ActionFailed";

impl Figures {
    /// Counts one more Backup.
    pub fn add(&mut self, backup: &Backup) {
        let none = BackupStatus::default();
        let status = backup.status.as_ref().unwrap_or(&none);
        for job in Claim::of(backup).into_iter().flat_map(|c| c.jobs).filter(|job| !job.at_work) {
            *self.waiting.entry(job.repo.unwrap_or_default()).or_default() += 1;
        }
        let repo = status.backup_repo_name.clone().unwrap_or_default();
        let of = self.methods.entry((repo, backup.spec.backup_method.clone())).or_default();
        let phase = backup.phase();
        *of.phases.entry(phase.to_string()).or_default() += 1;
        if phase == BackupPhase::Failed {
            let why = reason(status.failure_reason.as_deref().unwrap_or_default());
            *of.failures.entry(why.to_owned()).or_default() += 1;
        }
        let completed = status.completion_timestamp.as_ref().map(|t| t.0.as_second());
        if phase == BackupPhase::Completed
            && let Some(completed) = completed
            && of.last.is_none_or(|last| last.completed < completed)
        {
            let bytes = status.total_size.as_deref().and_then(|s| s.parse().ok());
            let seconds = status.start_timestamp.as_ref().map(|t| completed - t.0.as_second());
            of.last = Some(Last { completed, bytes, seconds });
        }
        let end = status.time_range.as_ref().and_then(|r| r.end.as_ref()).map(|t| t.0.as_second());
        let point = match phase {
            BackupPhase::Completed => end.or(completed),
            // A continuous archive says how far it is.
            BackupPhase::Running => end,
            _ => None,
        };
        if let Some(point) = point {
            let of = (backup.namespace().unwrap_or_default(), backup.spec.backup_policy_name.clone());
            let latest = self.recovery_points.entry(of).or_insert(point);
            *latest = point.max(*latest);
        }
    }
}

/// The reason a failure begins with, `Reason: message`.
fn reason(failure: &str) -> &str {
    let first = failure.split_once(':').map_or("", |(first, _)| first);
    let named = first.starts_with(|c: char| c.is_ascii_uppercase()) && first.chars().all(|c| c.is_ascii_alphanumeric());
    if named { first } else { ACTION_FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn figures(backups: &[Arc<Backup>]) -> Figures {
        let mut all = Figures::default();
        for backup in backups {
            all.add(backup);
        }
        all
    }

    fn backup(name: &str, status: &Value) -> Arc<Backup> {
        let object = json!({
            "apiVersion": "dataprotection.kubeblocks.io/v1alpha1", "kind": "Backup",
            "metadata": {"name": name, "namespace": "n"}, "spec": {"backupPolicyName": "p", "backupMethod": "full"},
            "status": status,
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn completed(name: &str, at: &str, size: &str) -> Arc<Backup> {
        backup(
            name,
            &json!({"phase": "Completed", "backupRepoName": "r", "startTimestamp": "1970-01-01T00:00:10Z",
            "completionTimestamp": at, "totalSize": size}),
        )
    }

    #[test]
    fn the_last_that_worked_counts_whatever_their_order() {
        let one = completed("one", "1970-01-01T00:01:00Z", "7");
        let two = completed("two", "1970-01-01T00:02:00Z", "nine");
        for backups in [[Arc::clone(&one), Arc::clone(&two)], [two, one]] {
            let found = figures(&backups);
            let of = &found.methods[&("r".to_owned(), "full".to_owned())];
            assert_eq!(of.last, Some(Last { completed: 120, bytes: None, seconds: Some(110) }));
            assert_eq!(of.phases["Completed"], 2);
            assert_eq!(found.recovery_points[&("n".to_owned(), "p".to_owned())], 120);
        }
    }

    #[test]
    fn jobs_that_wait_for_their_turn_are_counted_by_repository() {
        let fresh = backup("a", &json!({"queue": {"repoName": "r"}}));
        let went_on = backup("b", &json!({"queue": {"repoName": "r", "left": "1970-01-01T00:00:10Z"}}));
        let action =
            |name: &str, queue: Value| json!({"name": name, "phase": "New", "actionType": "Job", "queue": queue});
        let since = json!({"since": "1970-01-01T00:00:10Z"});
        let actions = json!([action("dp-backup-0", json!(null)), action("dp-backup-1", since)]);
        let running = backup("c", &json!({"phase": "Running", "backupRepoName": "s", "actions": actions}));
        let found = figures(&[fresh, went_on, running]);
        assert_eq!(found.waiting, BTreeMap::from([("r".to_owned(), 1), ("s".to_owned(), 1)]));
    }

    #[test]
    fn an_archive_tells_how_far_it_is_and_a_failure_is_no_recovery_point() {
        let archive = backup("a", &json!({"phase": "Running", "timeRange": {"end": "1970-01-01T00:05:00Z"}}));
        let range = json!({"end": "1970-01-01T09:00:00Z"});
        let refused =
            backup("b", &json!({"phase": "Failed", "failureReason": "MethodNotFound: x", "timeRange": range}));
        let failed = backup("c", &json!({"phase": "Failed", "failureReason": "there are failed actions: y"}));
        let found = figures(&[archive, refused, failed]);
        assert_eq!(found.recovery_points.values().collect::<Vec<_>>(), [&300]);
        let of = &found.methods[&(String::new(), "full".to_owned())];
        let expected = BTreeMap::from([("ActionFailed".to_owned(), 1), ("MethodNotFound".to_owned(), 1)]);
        assert_eq!((&of.failures, of.last), (&expected, None));
    }
}
