//! What is there for one schedule. Reads caches only, but for an OpsRequest that is wanted.

use super::cron_job;
use super::reconfigure::Request;
use crate::cluster::Cluster;
use crate::context::Stores;
use crate::retention::restoring::{Progress, Target};
use api_types::contract::{annotations, labels};
use api_types::dp::{ActionSet, Backup, BackupPhase, BackupPolicy, BackupSchedule};
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything `plan` looks at.
pub struct Observed {
    /// The schedule.
    pub schedule: Arc<BackupSchedule>,
    /// Its policy.
    pub policy: Option<Arc<BackupPolicy>>,
    /// Action sets of the policy's methods, by name.
    pub action_sets: BTreeMap<String, Arc<ActionSet>>,
    /// Backups of the namespace.
    pub runs: Runs,
    /// CronJobs that the reference made for this schedule.
    pub cron_jobs: Vec<Arc<CronJob>>,
    /// What restores a target of the policy right now.
    pub restored_by: Option<String>,
    /// The Cluster it is for.
    pub cluster: Option<Arc<Cluster>>,
    /// The OpsRequest that sets its database; asked for only where one is wanted.
    pub request: Request,
}

/// What a schedule asks of the Backups of its namespace: there may be thousands that are not its own.
#[derive(Default)]
pub struct Runs {
    /// Those made for it.
    pub own: Vec<Arc<Backup>>,
    /// Who bears a name: true where it is a run of this schedule.
    pub names: BTreeMap<String, bool>,
    /// Methods of its policy of which a Completed Backup is there.
    pub completed: BTreeSet<String>,
}

impl Runs {
    /// Takes note of one more Backup of the namespace.
    pub fn add(&mut self, backup: &Arc<Backup>, schedule: &BackupSchedule) {
        let name = backup.name_any();
        let spec = &backup.spec;
        if super::is_made_for(backup, schedule) {
            self.own.push(Arc::clone(backup));
        }
        let completed = backup.phase() == BackupPhase::Completed && backup.metadata.deletion_timestamp.is_none();
        if completed && spec.backup_policy_name == schedule.spec.backup_policy_name {
            self.completed.insert(spec.backup_method.clone());
        }
        let uid = schedule.uid().unwrap_or_default();
        self.names.insert(name, backup.annotations().get(annotations::SCHEDULE_UID) == Some(&uid));
    }
}

/// Looks at everything that concerns `schedule`.
pub fn observe(schedule: Arc<BackupSchedule>, stores: &Stores) -> Observed {
    let namespace = schedule.namespace().unwrap_or_default();
    let wanted = &schedule.spec.backup_policy_name;
    let policy = stores.policies.get(&namespace, wanted);
    let names = policy.iter().flat_map(|p| &p.spec.backup_methods).filter_map(|m| m.action_set_name());
    let action_sets = names.filter_map(|n| Some((n.to_owned(), stores.action_sets.get("", n)?))).collect();
    let mut runs = Runs::default();
    stores.backups.visit_in(&namespace, |backup| runs.add(backup, &schedule));
    let cron_jobs = stores.cron_jobs.select(|job| cron_job::is_of(job, &schedule));
    let restored_by = policy.as_ref().and_then(|p| running_restore(stores, &namespace, &Target::of_policy(p)));
    let cluster = schedule.labels().get(labels::INSTANCE).and_then(|name| stores.clusters.get(&namespace, name));
    let request = Request::default();
    Observed { schedule, policy, action_sets, runs, cron_jobs, restored_by, cluster, request }
}

fn running_restore(stores: &Stores, namespace: &str, targets: &[Target]) -> Option<String> {
    let runs = |progress: Option<Progress>| progress == Some(Progress::Running);
    let claims = stores
        .claims
        .select(|c| c.namespace().as_deref() == Some(namespace) && targets.iter().any(|t| runs(t.claim(c))));
    let claim = claims.iter().map(|c| format!("claim {}", c.name_any())).min();
    claim.or_else(|| {
        let restores = stores
            .restores
            .select(|r| r.namespace().as_deref() == Some(namespace) && targets.iter().any(|t| runs(t.restore(r))));
        restores.iter().map(|r| format!("Restore {}", r.name_any())).min()
    })
}
