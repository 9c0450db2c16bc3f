//! Volume snapshots of a backup (behaviour-backup §3.11): the kinds, as far as they are read and written.
//!
//! Their kinds are installed with a CSI driver, or not: they are never cached, and watched only while one is awaited.
//! A snapshot is data, so it has no owner: it belongs to its Backup by the label with the UID, and outlives a Backup
//! that is deleted with `Retain`, and the operator.

pub mod apply;
pub mod fold;
pub mod plan;

use crate::kind::kind;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::{Deserialize, Serialize};

/// API group of the kinds.
pub const GROUP: &str = "snapshot.storage.k8s.io";
/// Their version.
pub const VERSION: &str = "v1";
/// `true` on the class that is preferred among those of one driver.
pub const IS_DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";

kind!(VolumeSnapshot, GROUP, VERSION, "volumesnapshots", NamespaceResourceScope);
kind!(VolumeSnapshotClass, GROUP, VERSION, "volumesnapshotclasses", ClusterResourceScope);

/// A snapshot of one claim.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshot {
    /// Always the same text.
    pub api_version: String,
    /// Always the same text.
    pub kind: String,
    /// Name, labels, UID.
    pub metadata: ObjectMeta,
    /// What is asked for.
    pub spec: VolumeSnapshotSpec,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<VolumeSnapshotState>,
}

/// What a snapshot is of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshotSpec {
    /// Class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_class_name: Option<String>,
    /// The claim.
    pub source: VolumeSnapshotSource,
}

/// The claim a snapshot is of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshotSource {
    /// Its name, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_name: Option<String>,
}

/// How far a snapshot is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshotState {
    /// The object that stands for the snapshot itself.
    pub bound_volume_snapshot_content_name: Option<String>,
    /// When it was taken.
    pub creation_time: Option<Time>,
    /// It can be restored.
    pub ready_to_use: Option<bool>,
    /// Size a volume from it has at least.
    pub restore_size: Option<Quantity>,
    /// What went wrong the last time.
    pub error: Option<VolumeSnapshotError>,
}

/// What went wrong with a snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshotError {
    /// What the driver said.
    pub message: Option<String>,
}

/// How a driver takes snapshots.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshotClass {
    /// Name, annotations.
    pub metadata: ObjectMeta,
    /// The driver.
    pub driver: String,
}
