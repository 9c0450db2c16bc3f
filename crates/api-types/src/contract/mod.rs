//! Every name that both operators, the mover or the tests share, once.
//!
//! The two operators meet only in CRD fields, in fields, labels and annotations of claims, and in
//! conditions of claims. A text that appears in more than one crate belongs here; a text that one
//! crate alone writes and reads does not. Names of the wire contract are kept byte for byte; ours
//! are under `holdfast.dev`.
//!
//! | module | what |
//! |---|---|
//! | [`labels`] | label keys and their fixed values |
//! | [`annotations`] | annotation keys, the claim contract and its reserved parameter keys |
//! | [`conditions`] | condition types |
//! | [`reasons`] | condition reasons, with the class of each reason of condition `Restore` |
//! | [`apps_reasons`] | condition reasons of Cluster, Component, `InstanceSet` and `OpsRequest` |
//! | [`agent`] | the agent in pods of a component |
//! | [`events`] | event reasons |
//! | [`env`](mod@env) | environment of action containers and of the mover |
//! | [`pods`] | containers, volumes, mount paths and files inside pods |
//! | [`names`] | prefixes and fixed parts of object names |
//! | [`config`] | settings of the operators |

pub mod agent;
pub mod annotations;
pub mod apps_reasons;
pub mod conditions;
pub mod config;
pub mod env;
pub mod events;
pub mod labels;
pub mod names;
pub mod pods;
pub mod reasons;

/// API group of the apps operator.
pub const APPS_GROUP: &str = "apps.kubeblocks.io";
/// API group of the workloads the apps operator makes.
pub const WORKLOADS_GROUP: &str = "workloads.kubeblocks.io";
/// API group of operation requests.
pub const OPERATIONS_GROUP: &str = "operations.kubeblocks.io";
/// API group of our additions.
pub const HOLDFAST_GROUP: &str = "holdfast.dev";

/// The one finalizer of the wire contract; ours sits on `Backup` and `BackupRepo` only.
pub const FINALIZER: &str = "dataprotection.kubeblocks.io/finalizer";

/// Finalizers the reference's apps operator leaves on what we take over; ours needs none of them.
pub const FOREIGN_APPS_FINALIZERS: &[&str] = &[
    "cluster.kubeblocks.io/finalizer",
    "component.kubeblocks.io/finalizer",
    "instanceset.workloads.kubeblocks.io/finalizer",
    "opsrequest.kubeblocks.io/finalizer",
];

/// Format of stored backups, in `Backup.status.formatVersion`.
pub const BACKUP_FORMAT_VERSION: &str = "0.1.0";

/// Group of the cross-namespace grant.
pub const REFERENCE_GRANT_GROUP: &str = "gateway.networking.k8s.io";
/// Version of the cross-namespace grant.
pub const REFERENCE_GRANT_VERSION: &str = "v1beta1";
/// Kind of the cross-namespace grant.
pub const REFERENCE_GRANT_KIND: &str = "ReferenceGrant";

/// Kind of a backup, as in `dataSourceRef.kind`.
pub const KIND_BACKUP: &str = "Backup";
/// Kind of a restore, as in `dataSourceRef.kind`.
pub const KIND_RESTORE: &str = "Restore";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Keys of both maps: prefix of at most 253 and name of at most 63 characters, no duplicates.
    #[test]
    fn keys_are_legal_and_unique() {
        for keys in [labels::ALL, annotations::ALL] {
            let mut seen = BTreeSet::new();
            for key in keys {
                let name = key.rsplit('/').next().unwrap();
                assert!(name.len() <= 63 && !name.is_empty(), "{key}");
                assert!(seen.insert(key), "{key} twice");
            }
        }
    }
}
