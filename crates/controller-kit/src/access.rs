//! How an operator says what it may do: the charts' roles are generated from its table (`cargo xtask rbac`), and the
//! API tests run under them.

/// Where a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Cluster-scoped objects: always a ClusterRole.
    Cluster,
    /// Objects in the namespaces that are served: a ClusterRole, or Roles where namespaces are named.
    Namespaces,
    /// Objects in the operator's own namespace.
    OwnNamespace,
    /// The account of the Jobs an operator makes, in namespaces that have any (contract-dp §10.8).
    Worker,
    /// The account of the Jobs that run commands inside pods, in namespaces where they do (contract-dp §10.8).
    Exec,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Where it applies.
    pub reach: Reach,
    /// API group, empty for core.
    pub group: &'static str,
    /// Resources and subresources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Only these names, where not empty; `WORKER_ROLE` and `EXEC_ROLE` stand for the workers' ClusterRoles.
    pub names: &'static [&'static str],
}

/// A rule without names.
pub const fn rule(
    reach: Reach,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Rule {
    Rule { reach, group, resources, verbs, names: &[] }
}
