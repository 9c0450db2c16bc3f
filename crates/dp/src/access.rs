//! What this operator may do, once: the charts' roles are generated from this table
//! (`cargo xtask rbac`), and the API tests run under it.

use controller_kit::access::{Reach, Rule, rule};

const DP: &str = "dataprotection.kubeblocks.io";
const APPS: &str = "apps.kubeblocks.io";
const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
const READ: &[&str] = &["get", "list", "watch"];

/// Every right of the operator and of its workers.
pub const TABLE: &[Rule] = &[
    rule(Reach::Cluster, DP, &["actionsets", "backuppolicytemplates"], READ),
    rule(Reach::Cluster, DP, &["backuprepos", "storageproviders"], &["get", "list", "watch", "patch"]),
    rule(Reach::Cluster, DP, &["backuprepos/finalizers"], &["update"]),
    rule(
        Reach::Cluster,
        DP,
        &["actionsets/status", "backuppolicytemplates/status", "backuprepos/status", "storageproviders/status"],
        &["patch"],
    ),
    rule(Reach::Cluster, "", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
    rule(Reach::Cluster, "storage.k8s.io", &["csidrivers"], READ),
    rule(Reach::Cluster, "storage.k8s.io", &["storageclasses"], &["get", "list", "watch", "create", "delete"]),
    // The apps operator's kinds may be missing: their CRDs tell, and they are watched while they are there.
    Rule {
        reach: Reach::Cluster,
        group: "apiextensions.k8s.io",
        resources: &["customresourcedefinitions"],
        verbs: READ,
        names: &[
            "clusters.apps.kubeblocks.io",
            "componentdefinitions.apps.kubeblocks.io",
            "components.apps.kubeblocks.io",
        ],
    },
    rule(Reach::Cluster, APPS, &["componentdefinitions"], READ),
    rule(Reach::Namespaces, APPS, &["clusters", "components"], READ),
    // What sets a database for a continuous entry that is switched; the kind may be missing.
    rule(Reach::Namespaces, "operations.kubeblocks.io", &["opsrequests"], &["get", "list", "watch", "create"]),
    // Secrets of accounts and repositories, by name: never listed; those a BackupRepo names are watched, each alone.
    rule(Reach::Namespaces, "", &["secrets"], &["get", "watch", "create", "patch", "delete"]),
    rule(Reach::Namespaces, DP, &["backuppolicies", "backupschedules"], &["get", "list", "watch", "create", "patch"]),
    // A backup that is deleted takes those with it that build on it.
    rule(Reach::Namespaces, DP, &["backups"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule(Reach::Namespaces, DP, &["restores"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule(Reach::Namespaces, DP, &["backups/finalizers", "restores/finalizers"], &["update"]),
    rule(
        Reach::Namespaces,
        DP,
        &["backuppolicies/status", "backups/status", "backupschedules/status", "restores/status"],
        &["patch"],
    ),
    rule(Reach::Namespaces, "", &["persistentvolumeclaims"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule(Reach::Namespaces, "", &["persistentvolumeclaims/status"], &["patch"]),
    rule(Reach::Namespaces, "", &["pods"], READ),
    rule(Reach::Namespaces, "", &["serviceaccounts"], &["create", "patch"]),
    rule(Reach::Namespaces, "batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule(Reach::Namespaces, "apps", &["statefulsets"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule(Reach::Namespaces, SNAPSHOTS, &["volumesnapshots"], &["get", "list", "watch", "create", "delete"]),
    rule(Reach::Cluster, SNAPSHOTS, &["volumesnapshotclasses"], READ),
    // CronJobs of the reference: their runs are taken over.
    rule(Reach::Namespaces, "batch", &["cronjobs"], &["list", "watch", "patch", "delete"]),
    rule(Reach::Namespaces, "events.k8s.io", &["events"], &["create", "patch"]),
    rule(Reach::Namespaces, "rbac.authorization.k8s.io", &["rolebindings"], &["create", "patch"]),
    Rule {
        reach: Reach::Namespaces,
        group: "rbac.authorization.k8s.io",
        resources: &["clusterroles"],
        verbs: &["bind"],
        names: &["WORKER_ROLE", "EXEC_ROLE"],
    },
    rule(Reach::OwnNamespace, "", &["persistentvolumeclaims"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule(Reach::OwnNamespace, "", &["pods"], READ),
    // The encryption key, keys of repositories and what pre-checks and CSI drivers get of them.
    rule(Reach::OwnNamespace, "", &["secrets"], &["get", "watch", "create", "patch", "delete"]),
    // Why a pre-check failed.
    rule(Reach::OwnNamespace, "", &["events"], &["list"]),
    // The account of exec Jobs; its rights are bound in the namespaces where it execs.
    rule(Reach::OwnNamespace, "", &["serviceaccounts"], &["create", "patch"]),
    rule(Reach::OwnNamespace, "apps", &["statefulsets"], READ),
    rule(Reach::OwnNamespace, "batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"]),
    rule(Reach::OwnNamespace, "coordination.k8s.io", &["leases"], &["get", "create", "patch"]),
    // Events on cluster-scoped objects land in namespace `default`; ours are in `Namespaces`.
    rule(Reach::OwnNamespace, "events.k8s.io", &["events"], &["create", "patch"]),
    // What the sidecar of an action reports; for scripts that want more there is a value of the chart (BD34).
    rule(Reach::Worker, DP, &["backups", "backups/status"], &["get", "patch"]),
    rule(Reach::Exec, "", &["pods"], &["get"]),
    // A WebSocket is opened with a GET, and newer API servers ask for both.
    rule(Reach::Exec, "", &["pods/exec"], &["get", "create"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference lets every script create and change any Backup and ConfigMap of its namespace.
    #[test]
    fn bd34_workers_may_report_and_nothing_else() {
        let of_workers: Vec<&Rule> = TABLE.iter().filter(|r| r.reach == Reach::Worker).collect();
        assert!(!of_workers.is_empty());
        for rule in of_workers {
            assert_eq!((rule.group, rule.resources), (DP, &["backups", "backups/status"][..]));
            assert_eq!(rule.verbs, ["get", "patch"]);
        }
    }
}
