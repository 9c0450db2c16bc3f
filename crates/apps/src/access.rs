//! What this operator may do, once: the chart's roles are generated from this table (`cargo xtask rbac`), and the API
//! tests run under it. It never touches a kind of the data protection group: the two operators meet in claims
//! (behaviour-apps §12).

use api_types::contract::{APPS_GROUP as APPS, OPERATIONS_GROUP as OPERATIONS, WORKLOADS_GROUP as WORKLOADS};
use controller_kit::access::{Reach, Rule, rule};

const READ: &[&str] = &["get", "list", "watch"];
const MAKE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Every right of the operator.
pub const TABLE: &[Rule] = &[
    rule(Reach::Cluster, APPS, &["componentdefinitions"], READ),
    rule(Reach::Cluster, APPS, &["componentdefinitions/status"], &["patch"]),
    // When their claims are bound, and so when pods are made.
    rule(Reach::Cluster, "storage.k8s.io", &["storageclasses"], READ),
    rule(Reach::Namespaces, APPS, &["clusters"], &["get", "list", "watch", "patch"]),
    rule(Reach::Namespaces, APPS, &["components"], MAKE),
    rule(Reach::Namespaces, APPS, &["clusters/status", "components/status"], &["patch"]),
    // Owner references that hold back a deletion need this right on the owner.
    rule(Reach::Namespaces, APPS, &["clusters/finalizers", "components/finalizers"], &["update"]),
    rule(Reach::Namespaces, WORKLOADS, &["instancesets"], MAKE),
    rule(Reach::Namespaces, WORKLOADS, &["instancesets/status"], &["patch"]),
    rule(Reach::Namespaces, WORKLOADS, &["instancesets/finalizers"], &["update"]),
    rule(Reach::Namespaces, OPERATIONS, &["opsrequests"], READ),
    rule(Reach::Namespaces, OPERATIONS, &["opsrequests/status"], &["patch"]),
    rule(Reach::Namespaces, "", &["persistentvolumeclaims", "pods"], &["get", "list", "watch", "create", "delete"]),
    rule(
        Reach::Namespaces,
        "",
        &["configmaps", "serviceaccounts", "services"],
        &["get", "list", "watch", "create", "patch"],
    ),
    // One by name, never a list.
    rule(Reach::Namespaces, "", &["secrets"], &["get", "create"]),
    rule(Reach::Namespaces, "events.k8s.io", &["events"], &["create", "patch"]),
    rule(Reach::OwnNamespace, "coordination.k8s.io", &["leases"], &["get", "create", "patch"]),
];
