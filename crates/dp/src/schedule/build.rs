//! The Backups a schedule makes, and their names (behaviour-backup §8.2, §8.3). Pure.

use super::entries::Entry;
use api_types::contract::names::{MAX_CRON_JOB_PREFIX, uid8};
use api_types::contract::{FINALIZER, annotations, labels};
use api_types::dp::{Backup, BackupPolicy, BackupSchedule, BackupSpec, BackupType};
use controller_kit::names;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Digits of a hash in a name.
const HASH: usize = 10;

/// Name of the Backup of one slot. `<cluster or schedule>-<entry>-<slot as yyyymmddHHMMSS>` as on the wire; where that
/// is too long, or belongs to another schedule (`hashed`), with a hash of schedule and entry before the time, so that no
/// two schedules share one and a slot has the same name in every process.
pub fn backup_name(schedule: &BackupSchedule, base: &str, entry: &str, slot: Timestamp, hashed: bool) -> String {
    let time = slot.strftime("%Y%m%d%H%M%S").to_string();
    let wire = format!("{base}-{entry}-{time}");
    if wire.len() <= names::LIMIT && !hashed {
        return wire;
    }
    let hash = hash(&[&schedule.uid().unwrap_or_default(), entry]);
    let head = format!("{base}-{entry}");
    format!("{}-{hash}-{time}", names::cut(&head, names::LIMIT - HASH - time.len() - 2))
}

/// What names of a schedule's Backups begin with: the Cluster its policy is for, else its own name.
pub fn base_name(schedule: &BackupSchedule, policy: &BackupPolicy) -> String {
    let of_cluster = || {
        let target = policy.spec.target.as_ref().or_else(|| policy.spec.targets.first())?;
        target.pod_selector.as_ref()?.match_labels.get(labels::INSTANCE).filter(|i| !i.is_empty()).cloned()
    };
    of_cluster().unwrap_or_else(|| schedule.name_any())
}

/// The Backup of one slot. It carries the operator's finalizer from its first moment: one that is deleted while the
/// operator is away can then not be taken for one that was never created.
pub fn backup(schedule: &BackupSchedule, entry: &Entry, name: &str, slot: Timestamp) -> Backup {
    let mut made = base(schedule, entry, name);
    let labels = made.labels_mut();
    labels.insert(labels::AUTO_BACKUP.into(), labels::TRUE.into());
    labels.insert(labels::BACKUP_SCHEDULE.into(), schedule.name_any());
    made.annotations_mut().insert(annotations::SCHEDULE_SLOT.into(), slot.to_string());
    made
}

/// The one Backup of a continuous entry.
pub fn continuous(schedule: &BackupSchedule, policy: &BackupPolicy, entry: &Entry, name: &str) -> Backup {
    let mut made = base(schedule, entry, name);
    let method = policy.spec.method(&entry.spec.backup_method);
    let target = method.and_then(|m| policy.spec.targets_of(m).first()).and_then(|t| t.pod_selector.as_ref());
    let labels = made.labels_mut();
    labels.extend(target.map(|t| t.match_labels.clone()).unwrap_or_default());
    labels.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_DP.into());
    labels.insert(labels::BACKUP_SCHEDULE.into(), schedule.name_any());
    labels.insert(labels::BACKUP_TYPE.into(), BackupType::Continuous.as_str().into());
    labels.insert(labels::AUTO_BACKUP.into(), labels::TRUE.into());
    made
}

fn base(schedule: &BackupSchedule, entry: &Entry, name: &str) -> Backup {
    Backup {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: schedule.namespace(),
            annotations: Some(BTreeMap::from([
                (annotations::SCHEDULE_UID.to_owned(), schedule.uid().unwrap_or_default()),
                (annotations::SCHEDULE_ENTRY.to_owned(), entry.name.clone()),
            ])),
            finalizers: Some(vec![FINALIZER.into()]),
            ..ObjectMeta::default()
        },
        spec: BackupSpec {
            backup_policy_name: schedule.spec.backup_policy_name.clone(),
            backup_method: entry.spec.backup_method.clone(),
            retention_period: Some(entry.spec.retention_period().to_owned()),
            parameters: entry.spec.parameters.clone(),
            ..BackupSpec::default()
        },
        status: None,
    }
}

/// What names of the reference's CronJobs and continuous Backups begin with; two schedules may share it (BD8).
fn wire_prefix(schedule: &BackupSchedule) -> String {
    let own = schedule.uid().unwrap_or_default();
    let owner = schedule.owner_references().first().map_or(own, |o| o.uid.clone());
    let whole = format!("{}-{}-{}", uid8(&owner), schedule.name_any(), schedule.namespace().unwrap_or_default());
    names::cut(&whole, MAX_CRON_JOB_PREFIX).to_owned()
}

/// Name of the reference's CronJob for an entry.
pub fn cron_job_name(schedule: &BackupSchedule, entry: &str) -> String {
    format!("{}-{entry}", wire_prefix(schedule))
}

/// Names of a continuous entry's Backup, the one to create last: what the reference made is gone on with.
///
/// They depend on the owner's UID where there is one, so that a schedule which is made again finds its Backup (rule 28).
pub fn continuous_names(schedule: &BackupSchedule, method: &str) -> Vec<String> {
    let own = schedule.uid().unwrap_or_default();
    let owner = schedule.owner_references().first().map_or(own, |o| o.uid.clone());
    let (name, namespace) = (schedule.name_any(), schedule.namespace().unwrap_or_default());
    let whole = format!("{}-{name}-{namespace}", uid8(&owner));
    let wire = format!("{}-{method}", wire_prefix(schedule));
    if whole.len() <= MAX_CRON_JOB_PREFIX && wire.len() <= names::LIMIT {
        return vec![wire];
    }
    // Cut, it is not one schedule's alone (BD8).
    let hash = hash(&[&owner, &name, &namespace, method]);
    let head = names::cut(&wire, names::LIMIT - HASH - 1);
    vec![wire.clone(), format!("{head}-{hash}")]
}

fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut text = hex::encode(digest.finalize());
    text.truncate(HASH);
    text
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // literals of `json!`
mod tests {
    use super::*;
    use crate::schedule::entries::Mode;
    use api_types::dp::SchedulePolicy;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn schedule(name: &str, uid: &str, owner: Option<&str>) -> BackupSchedule {
        let owners = owner.map(|uid| json!([{"apiVersion": "v1", "kind": "Cluster", "name": "c", "uid": uid}]));
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "demo", "uid": uid, "ownerReferences": owners},
            "spec": {"backupPolicyName": "p"}}))
        .unwrap()
    }

    fn policy(selector: Value) -> BackupPolicy {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {
            "target": {"podSelector": {"matchLabels": selector}}, "backupMethods": [{"name": "log"}]}}))
        .unwrap()
    }

    fn slot() -> Timestamp {
        "2026-11-21T18:00:00Z".parse().unwrap()
    }

    #[test]
    fn names_are_those_of_the_wire_where_they_fit() {
        let one = schedule("bs", "d03ad4db-8be0-4736-a19b-012f243df0de", None);
        assert_eq!(backup_name(&one, "c1", "full", slot(), false), "c1-full-20261121180000");
        assert_eq!(base_name(&one, &policy(json!({"app.kubernetes.io/instance": "c1"}))), "c1");
        assert_eq!(base_name(&one, &policy(json!({"app": "db"}))), "bs");
        // As the reference named them on a real cluster.
        assert_eq!(cron_job_name(&one, "full"), "d03ad4db-bs-demo-full");
        assert_eq!(continuous_names(&one, "log"), ["d03ad4db-bs-demo-log"]);
    }

    /// BD8: cut at thirty characters, the schedules of two components of one cluster had the same name.
    #[test]
    fn bd8_schedules_of_two_components_never_share_a_continuous_backup() {
        let owner = Some("0d3f629f-4a24-4d5b-81a1-bb4dc5f9d8ed");
        let one = continuous_names(&schedule("a-production-cluster-mysql-backup-schedule", "1", owner), "log");
        let two = continuous_names(&schedule("a-production-cluster-proxy-backup-schedule", "2", owner), "log");
        assert_eq!(one.first(), two.first(), "the reference's name is the same");
        assert_ne!(one.last(), two.last());
        assert!(one.iter().chain(&two).all(|n| n.len() <= 63));
    }

    /// Rule 28: made again for the same Cluster it goes on with the same Backup.
    #[test]
    fn rule_28_the_name_follows_the_owner_and_not_the_schedule() {
        let owner = Some("0d3f629f-4a24-4d5b-81a1-bb4dc5f9d8ed");
        let long = "a-cluster-with-a-long-name-backup-schedule";
        assert_eq!(
            continuous_names(&schedule(long, "1", owner), "log"),
            continuous_names(&schedule(long, "2", owner), "log")
        );
        assert_ne!(
            continuous_names(&schedule(long, "1", None), "log"),
            continuous_names(&schedule(long, "2", None), "log")
        );
    }

    /// Rule 30, BD31: managed by dp; parameters are values of a spec, no shell reads them.
    #[test]
    fn bd31_rule_30_the_objects_carry_what_the_contract_names() {
        let spec = json!({"backupMethod": "log", "cronExpression": "*/5 * * * *", "retentionPeriod": "8d",
            "parameters": [{"name": "q", "value": "$(rm -rf /) `id` \" ' EOF"}]});
        let spec: SchedulePolicy = serde_json::from_value(spec).unwrap();
        let entry = Entry { name: "log".into(), spec, mode: Ok(Mode::Off) };
        let of = schedule("bs", "u", None);
        let made = continuous(&of, &policy(json!({"a": "app"})), &entry, "n");
        for (key, value) in [
            ("a", "app"),
            ("app.kubernetes.io/managed-by", "kubeblocks-dataprotection"),
            ("dataprotection.kubeblocks.io/autobackup", "true"),
            ("dataprotection.kubeblocks.io/backup-schedule", "bs"),
            ("dataprotection.kubeblocks.io/backup-type", "Continuous"),
        ] {
            assert_eq!(made.labels().get(key).map(String::as_str), Some(value), "{key}");
        }
        let made = backup(&of, &entry, "n", slot());
        assert_eq!(made.spec.parameters[0].value, "$(rm -rf /) `id` \" ' EOF");
        assert_eq!(made.spec.retention_period.as_deref(), Some("8d"));
        assert_eq!(made.labels().len(), 2, "{:?}", made.labels());
        assert_eq!(made.annotations()[annotations::SCHEDULE_SLOT], "2026-11-21T18:00:00Z");
        assert!(made.owner_references().is_empty(), "a schedule that is deleted takes no backup with it");
    }

    proptest! {
        #[test]
        fn bd7_names_fit_and_differ_by_schedule_entry_and_slot(base in "[a-z][a-z0-9-]{0,70}[a-z]", entry in "[a-z]{1,40}", n in 0i64..1000) {
            let (one, two) = (schedule("s", "uid-1", None), schedule("s", "uid-2", None));
            let at = Timestamp::from_second(1_700_000_000 + n).unwrap();
            let name = backup_name(&one, &base, &entry, at, false);
            prop_assert!(name.len() <= 63, "{}", name);
            prop_assert!(name.ends_with(&at.strftime("%Y%m%d%H%M%S").to_string()));
            prop_assert_ne!(backup_name(&one, &base, &entry, at, true), backup_name(&two, &base, &entry, at, true));
            prop_assert_ne!(&name, &backup_name(&one, &base, &entry, slot(), false));
            prop_assert_eq!(&name, &backup_name(&one, &base, &entry, at, false));
        }
    }
}
