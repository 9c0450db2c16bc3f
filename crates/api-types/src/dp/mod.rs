//! `dataprotection.kubeblocks.io/v1alpha1`: eight kinds, one file each, and what they share.
//!
//! Optional fields are `Option` or an empty list or map; none of them is encoded. Defaults live in
//! the CRD, since readers rely on stored values; where an object predates a default, the method
//! named as the field gives the value in force.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

mod actionset;
mod backup;
mod backuppolicy;
mod backuppolicytemplate;
mod backuprepo;
mod backupschedule;
mod method;
mod restore;
mod restore_config;
mod shared;
mod storageprovider;
mod target;

pub use actionset::*;
pub use backup::*;
pub use backuppolicy::*;
pub use backuppolicytemplate::*;
pub use backuprepo::*;
pub use backupschedule::*;
pub use method::*;
pub use restore::*;
pub use restore_config::*;
pub use shared::*;
pub use storageprovider::*;
pub use target::*;

/// The API group.
pub const GROUP: &str = "dataprotection.kubeblocks.io";
/// The only version, served and stored.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every object of the group.
pub const API_VERSION: &str = "dataprotection.kubeblocks.io/v1alpha1";

/// The CRDs of the group as they are installed, by plural name.
///
/// Use these instead of `Kind::crd()`: the derive marks `spec` as required and optional fields as
/// nullable, the contract does neither.
pub fn crds() -> Vec<CustomResourceDefinition> {
    [
        ActionSet::crd(),
        BackupPolicy::crd(),
        BackupPolicyTemplate::crd(),
        BackupRepo::crd(),
        Backup::crd(),
        BackupSchedule::crd(),
        Restore::crd(),
        StorageProvider::crd(),
    ]
    .into_iter()
    .map(|crd| crate::schema::finish(crd, &[(crate::contract::labels::NAME, "kubeblocks")]))
    .collect()
}
