//! What a dynamic provisioner would do next with a claim or a volume. Pure.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, TypedObjectReference};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::{CSI_DRIVER, DRIVER};
use crate::executor::SELECTED_NODE;

/// Finalizer of a volume whose storage must go before it.
pub(super) const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const STORAGE_PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the volume of a claim.
    Provision,
    /// Report an error of the storage; where a node was chosen, give it back. The number tells failures apart.
    Fail(usize),
    /// Remove a released volume.
    Delete,
}

/// `true` when `claim` asks this provisioner, now, for a volume.
pub(super) fn wants_volume(claim: &PersistentVolumeClaim, class: Option<&StorageClass>) -> bool {
    let (Some(spec), Some(class)) = (claim.spec.as_ref(), class) else {
        return false;
    };
    let unbound = spec.volume_name.as_deref().is_none_or(str::is_empty) && claim.metadata.deletion_timestamp.is_none();
    // The binder writes this once it has found no volume of its own.
    let asked = claim.annotations().get(STORAGE_PROVISIONER).is_some_and(|name| name == DRIVER);
    let waits = class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer");
    let placed = !waits || claim.annotations().get(SELECTED_NODE).is_some_and(|node| !node.is_empty());
    class.provisioner == DRIVER
        && unbound
        && asked
        && placed
        && spec.data_source_ref.as_ref().is_none_or(|source| !is_foreign(source))
}

/// A source that a volume populator serves, not a provisioner.
fn is_foreign(source: &TypedObjectReference) -> bool {
    let group = source.api_group.as_deref().unwrap_or_default();
    !matches!(
        (group, source.kind.as_str()),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// Name of the volume of a claim.
pub(super) fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid().unwrap_or_default())
}

/// The volume for `claim`, as external-provisioner makes it.
pub(super) fn volume(claim: &PersistentVolumeClaim, class: &StorageClass) -> Value {
    let spec = claim.spec.clone().unwrap_or_default();
    let policy = class.reclaim_policy.as_deref().unwrap_or("Delete");
    let name = volume_name(claim);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": { PROVISIONED_BY: DRIVER },
            "finalizers": if policy == "Delete" { vec![FINALIZER] } else { vec![] },
        },
        "spec": {
            "capacity": { "storage": spec.resources.and_then(|r| r.requests).and_then(|r| r.get("storage").cloned()) },
            "accessModes": spec.access_modes,
            "volumeMode": spec.volume_mode,
            "storageClassName": class.name_any(),
            "persistentVolumeReclaimPolicy": policy,
            "mountOptions": class.mount_options,
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(), "name": claim.name_any(),
                "uid": claim.uid(), "resourceVersion": claim.resource_version(),
            },
            "csi": { "driver": CSI_DRIVER, "volumeHandle": name },
        },
    })
}

/// `true` for volumes of this provisioner, claimed from `namespace` (from any when `None`).
pub(super) fn is_ours(volume: &PersistentVolume, namespace: Option<&str>) -> bool {
    let Some(spec) = &volume.spec else {
        return false;
    };
    let from = spec.claim_ref.as_ref().and_then(|claim| claim.namespace.as_deref());
    spec.csi.as_ref().is_some_and(|csi| csi.driver == CSI_DRIVER) && (namespace.is_none() || from == namespace)
}

/// `true` when nobody claims the volume any more and its policy is to delete it.
pub(super) fn wants_deletion(volume: &PersistentVolume, namespace: Option<&str>) -> bool {
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    released && policy == Some("Delete") && is_ours(volume, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provisions_only_what_it_was_asked_for() {
        let class = |mode: &str| -> StorageClass {
            serde_json::from_value(
                json!({ "metadata": { "name": "c" }, "provisioner": DRIVER, "volumeBindingMode": mode }),
            )
            .unwrap()
        };
        let claim = |annotations: Value, source: Value| -> PersistentVolumeClaim {
            serde_json::from_value(json!({
                "metadata": { "name": "p", "namespace": "n", "uid": "u", "annotations": annotations },
                "spec": { "storageClassName": "c", "dataSourceRef": source },
            }))
            .unwrap()
        };
        let (asked, placed) =
            (json!({ STORAGE_PROVISIONER: DRIVER }), json!({ STORAGE_PROVISIONER: DRIVER, SELECTED_NODE: "a" }));
        let backup = json!({ "apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": "b" });
        let snapshot = json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "b" });
        let (now, later) = ("Immediate", "WaitForFirstConsumer");
        let cases = [
            ("asked", claim(asked.clone(), Value::Null), now, true),
            ("not asked", claim(json!({}), Value::Null), now, false),
            ("no node yet", claim(asked.clone(), Value::Null), later, false),
            ("node chosen", claim(placed, Value::Null), later, true),
            ("a populator's", claim(asked.clone(), backup), now, false),
            ("from a snapshot", claim(asked, snapshot), now, true),
        ];
        for (what, claim, mode, wanted) in cases {
            assert_eq!(wants_volume(&claim, Some(&class(mode))), wanted, "{what}");
        }
    }
}
