//! Builds the prime claim and the execution Restore of a claim (behaviour-restore §5, §6). Pure.

use super::decide::Intent;
use super::rebind::Attempt;
use crate::context::LAST_APPLIED;
use api_types::contract::{annotations, labels, names};
use api_types::dp::{
    BackupRef, ClaimMetadata, DataRestorePolicy, PrepareDataConfig, RequiredPolicyForAllPodSelection, Restore,
    RestoreSpec, RestoreVolumeClaim, SchedulingSpec, SourceOfOneToMany,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// Name of the prime claim and of the execution of a claim; it never changes (design D8).
pub fn prime_name(claim: &PersistentVolumeClaim) -> String {
    names::populate(&claim.uid().unwrap_or_default())
}

/// The claim's own wish, without what ties it to a source.
fn basics(claim: &PersistentVolumeClaim) -> PersistentVolumeClaimSpec {
    let spec = claim.spec.clone().unwrap_or_default();
    PersistentVolumeClaimSpec {
        access_modes: spec.access_modes,
        resources: spec.resources,
        storage_class_name: spec.storage_class_name,
        volume_mode: spec.volume_mode,
        volume_attributes_class_name: spec.volume_attributes_class_name,
        ..PersistentVolumeClaimSpec::default()
    }
}

/// Plain owner, not controller: the garbage collector removes what it points from, and does not hold
/// back a foreground deletion of the claim.
fn owned_by(claim: &PersistentVolumeClaim) -> Vec<OwnerReference> {
    claim.owner_ref(&()).into_iter().collect()
}

/// The claim that is filled in place of `claim`. `node` is where its consumer runs.
pub fn prime(claim: &PersistentVolumeClaim, attempt: Attempt, node: Option<&str>) -> PersistentVolumeClaim {
    let name = prime_name(claim);
    let mut notes = BTreeMap::from([(annotations::ATTEMPT.to_owned(), attempt.to_string())]);
    if let Some(node) = node {
        notes.insert(annotations::SELECTED_NODE.into(), node.into());
        notes.insert(annotations::MADE_FOR_NODE.into(), node.into());
    }
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: claim.namespace(),
            labels: Some(BTreeMap::from([
                (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
                (labels::POPULATE_PVC.to_owned(), name),
            ])),
            annotations: Some(notes),
            owner_references: Some(owned_by(claim)),
            ..ObjectMeta::default()
        },
        spec: Some(basics(claim)),
        status: None,
    }
}

/// The Restore that fills the prime claim of UID `prime_uid`.
pub fn execution(
    claim: &PersistentVolumeClaim,
    intent: &Intent,
    attempt: Attempt,
    prime_uid: &str,
    node: Option<&str>,
) -> Restore {
    let name = prime_name(claim);
    let (namespace, backup) = &intent.backup;
    let own = claim.namespace().unwrap_or_default();
    let mut scheduling = intent.scheduling.clone().unwrap_or_else(|| SchedulingSpec {
        tolerations: vec![Toleration { operator: Some("Exists".into()), ..Toleration::default() }],
        ..SchedulingSpec::default()
    });
    if let Some(node) = node {
        scheduling.node_selector.insert(labels::HOSTNAME.into(), node.into());
    }
    let from_one = intent.source_pod.as_ref().map(|pod| RequiredPolicyForAllPodSelection {
        data_restore_policy: DataRestorePolicy::OneToMany,
        source_of_one_to_many: Some(SourceOfOneToMany { target_pod_name: pod.clone() }),
    });
    let mut restore = Restore::new(
        &name,
        RestoreSpec {
            backup: BackupRef {
                name: backup.clone(),
                namespace: namespace.clone(),
                source_target_name: intent.target.clone(),
            },
            restore_time: intent.asked.restore_time.clone(),
            env: intent.asked.env.clone(),
            parameters: intent.asked.parameters.clone(),
            container_resources: intent.resources.clone(),
            backoff_limit: intent.backoff_limit,
            service_account_name: intent.service_account.clone(),
            prepare_data_config: Some(PrepareDataConfig {
                required_policy_for_all_pod_selection: from_one,
                volume_claims: vec![RestoreVolumeClaim {
                    metadata: ClaimMetadata {
                        name: Some(name.clone()),
                        namespace: Some(own.clone()),
                        ..ClaimMetadata::default()
                    },
                    volume_claim_spec: basics(claim),
                    volume_source: intent.volume.clone(),
                    mount_path: intent.mount_path.clone(),
                }],
                volume_claim_restore_policy: intent.asked.policy.clone(),
                scheduling_spec: Some(scheduling),
                ..PrepareDataConfig::default()
            }),
            ..RestoreSpec::default()
        },
    );
    restore.metadata.namespace = Some(own.clone());
    restore.metadata.owner_references = Some(owned_by(claim));
    restore.metadata.labels = Some(execution_labels(claim, &name, &own, backup));
    restore.metadata.annotations = Some(BTreeMap::from([
        (annotations::ATTEMPT.to_owned(), attempt.to_string()),
        (annotations::PRIME_UID.to_owned(), prime_uid.to_owned()),
        (annotations::RESTORE_SOURCE_NAMESPACE.to_owned(), namespace.clone()),
        noted(claim, annotations::RESTORE_COMPONENT),
        noted(claim, annotations::RESTORE_VOLUME_TEMPLATE),
    ]));
    restore
}

fn noted(claim: &PersistentVolumeClaim, key: &str) -> (String, String) {
    debug_assert_ne!(key, LAST_APPLIED);
    (key.to_owned(), claim.annotations().get(key).cloned().unwrap_or_default())
}

fn execution_labels(
    claim: &PersistentVolumeClaim,
    name: &str,
    namespace: &str,
    backup: &str,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
        (labels::RESTORE.to_owned(), name.to_owned()),
        (labels::RESTORE_NAMESPACE.to_owned(), namespace.to_owned()),
        (labels::POPULATE_PVC.to_owned(), name.to_owned()),
        (labels::BACKUP_NAME.to_owned(), controller_kit::names::cut(backup, controller_kit::names::LIMIT).to_owned()),
    ]);
    for key in [labels::INSTANCE, labels::COMPONENT_NAME, labels::SHARDING_NAME, labels::VCT_NAME] {
        if let Some(value) = claim.labels().get(key).filter(|v| !v.is_empty()) {
            all.insert(key.to_owned(), value.clone());
        }
    }
    all
}
