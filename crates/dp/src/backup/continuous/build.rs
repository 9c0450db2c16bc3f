//! Builds the StatefulSet that writes one archive (contract-dp §10.6). Pure.
//!
//! Stated differences from the reference: one for each pod with strategy All (behaviour-backup D26); the sidecar is a
//! native one without a shell (design D20); the selector holds only what never changes (§16.5).

use crate::action::env::literal;
use crate::action::mover::Storage;
use crate::action::pod::PodSettings;
use crate::backup::build::{name_label, pod, with_owner, workload_labels};
use crate::backup::chain::Step;
use crate::backup::env::Source;
use crate::error::Stop;
use api_types::contract::names::{BACKUP_DATA_PREFIX, MAX_STATEFUL_SET_NAME};
use api_types::contract::{annotations, env, labels, pods};
use api_types::dp::{Backup, BackupDataActionSpec, PodSelectionStrategy, SchedulePolicy};
use api_types::retention::Retention;
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{EnvVar, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Seconds between two looks of the sidecar where the ActionSet does not say.
const AGENT_SECONDS: i32 = 5;
/// Seconds between two archives where the schedule does not say.
const ARCHIVE_SECONDS: u64 = 60;

/// Name of the StatefulSet: the backup's for an unnamed target, else `dp-backup-<target>-<backup>`; with strategy All
/// the pod's name follows.
pub fn name(backup: &Backup, step: &Step<'_>) -> String {
    let of = backup.name_any();
    let mut wire = match step.target.name() {
        "" => of,
        target => format!("{BACKUP_DATA_PREFIX}-{target}-{of}"),
    };
    let pod = if step.target.strategy() == PodSelectionStrategy::All { step.pod } else { "" };
    if !pod.is_empty() {
        wire = format!("{wire}-{pod}");
    }
    let uid = backup.uid().unwrap_or_default();
    names::child_within(MAX_STATEFUL_SET_NAME, &wire, &[&uid, "archive", step.target.name(), pod])
}

/// Whether others write archives of the same backup, now or later.
pub fn is_one_of_several(backup: &Backup, step: &Step<'_>) -> bool {
    let several = backup.status.as_ref().is_some_and(|s| s.targets.len() > 1);
    several || step.target.strategy() == PodSelectionStrategy::All
}

/// Annotation of the Backup for what the archive of this action reports.
pub fn progress_key(action: &str) -> String {
    let name = names::cut(action, names::LIMIT);
    format!("{}{name}", annotations::PROGRESS_PREFIX)
}

/// The StatefulSet that writes the archive of one pod.
///
/// # Errors
/// Terminal when the action can not be built from what the policy says.
pub fn set(
    from: &Source<'_>,
    step: &Step<'_>,
    data: &BackupDataActionSpec,
    entry: Option<&SchedulePolicy>,
    storage: Option<&Storage>,
    settings: &PodSettings,
) -> Result<StatefulSet, Stop> {
    let backup = from.backup;
    let name = name(backup, step);
    let asked = data.sync_progress.as_ref().map(api_types::dp::SyncProgress::interval_seconds).filter(|s| *s > 0);
    let action = pod::Action {
        container: pods::CONTAINER_BACKUP_DATA.into(),
        job: &data.job(),
        agent_seconds: Some(asked.unwrap_or(AGENT_SECONDS)),
        reports_to: is_one_of_several(backup, step).then(|| progress_key(&step.name)),
        saved: None,
        more_env: entry.map(schedule_env).unwrap_or_default(),
        restart_policy: "Always",
    };
    let pod_spec = pod::spec(from, &action, storage, settings)?;
    let selector = BTreeMap::from([
        (labels::BACKUP_NAME.to_owned(), name_label(&backup.name_any())),
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
        (OWNER_UID_LABEL.to_owned(), backup.uid().unwrap_or_default()),
        (labels::ARCHIVE.to_owned(), name.clone()),
    ]);
    let mut labels = with_owner(workload_labels(backup), backup);
    labels.insert(labels::ARCHIVE.into(), name.clone());
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels.clone()), ..ObjectMeta::default() }),
        spec: Some(pod_spec),
    };
    let digest = digest(&template);
    Ok(StatefulSet {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: backup.namespace(),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([(annotations::APPLIED.to_owned(), digest)])),
            owner_references: backup.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
            template,
            ..StatefulSetSpec::default()
        }),
        status: None,
    })
}

/// Digest of a template: what the server adds to it is no difference.
fn digest(template: &PodTemplateSpec) -> String {
    let text = serde_json::to_string(template).unwrap_or_default();
    let hash = hex::encode(Sha256::digest(text.as_bytes()));
    hash.get(..20).unwrap_or_default().to_owned()
}

/// What the schedule says of an archive, on its container alone (contract-dp §10.4).
fn schedule_env(entry: &SchedulePolicy) -> Vec<EnvVar> {
    let mut all = vec![literal(env::ARCHIVE_INTERVAL, format!("{}s", interval(&entry.cron_expression)))];
    let kept = entry.retention_period().parse::<Retention>().ok().and_then(|r| r.duration());
    all.extend(kept.map(|period| literal(env::TTL_SECONDS, period.as_secs().to_string())));
    all
}

/// Seconds between two archives: the step of the minutes, else of the hours, else a minute.
fn interval(cron: &str) -> u64 {
    let zone = |field: &&str| !field.starts_with("TZ=") && !field.starts_with("CRON_TZ=");
    let mut fields = cron.split_whitespace().filter(zone);
    let mut step = |unit: u64| {
        let every = fields.next()?.strip_prefix("*/")?.parse::<u64>().ok()?;
        every.checked_mul(unit).filter(|seconds| *seconds > 0)
    };
    step(60).or_else(|| step(3600)).unwrap_or(ARCHIVE_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_step_of_the_cron_expression() {
        for (cron, seconds) in [
            ("*/5 * * * *", 300),
            ("TZ=Asia/Shanghai */30 * * * *", 1800),
            ("0 */2 * * *", 7200),
            ("@hourly", 60),
            ("0 18 * * *", 60),
            ("*/0 * * * *", 60),
            ("", 60),
        ] {
            assert_eq!(interval(cron), seconds, "{cron}");
        }
    }
}
