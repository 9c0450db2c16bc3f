//! Label keys and their fixed values.

macro_rules! keys {
    ($($(#[$meta:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$meta])* pub const $name: &str = $text;)+
        /// Every key of this module.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

keys! {
    /// Name of the Backup a workload, pod, snapshot or internal Restore works for.
    BACKUP_NAME = "dataprotection.kubeblocks.io/backup-name";
    /// Namespace of the Backup, on exec Jobs that live elsewhere.
    BACKUP_NAMESPACE = "dataprotection.kubeblocks.io/backup-namespace";
    /// Type of a Backup: its action set's, `Full` for a snapshot without one.
    BACKUP_TYPE = "dataprotection.kubeblocks.io/backup-type";
    /// Policy of a Backup or schedule.
    BACKUP_POLICY = "dataprotection.kubeblocks.io/backup-policy";
    /// Schedule that made a Backup; a continuous Backup needs it.
    BACKUP_SCHEDULE = "dataprotection.kubeblocks.io/backup-schedule";
    /// Method of a CronJob.
    BACKUP_METHOD = "dataprotection.kubeblocks.io/backup-method";
    /// `true` on scheduled Backups.
    AUTO_BACKUP = "dataprotection.kubeblocks.io/autobackup";
    /// Repository of an object; preset on a Backup it overrides the policy.
    BACKUP_REPO_NAME = "dataprotection.kubeblocks.io/backup-repo-name";
    /// `true` while the repository's claim or secret is missing in the namespace.
    WAIT_REPO_PREPARATION = "dataprotection.kubeblocks.io/wait-repo-preparation";
    /// `true` on secrets with the mover's configuration.
    IS_TOOL_CONFIG = "dataprotection.kubeblocks.io/is-tool-config";
    /// UID of the Cluster a Backup is of.
    CLUSTER_UID = "dataprotection.kubeblocks.io/cluster-uid";
    /// Name of the Restore a Job, pod or internal Restore works for.
    RESTORE = "dataprotection.kubeblocks.io/restore";
    /// Namespace of that Restore.
    RESTORE_NAMESPACE = "dataprotection.kubeblocks.io/restore-namespace";
    /// Populate claim of an execution Restore, `kb-populate-<claim uid>`.
    POPULATE_PVC = "dataprotection.kubeblocks.io/populate-pvc";
    /// Declared by the contract, without a reader.
    TARGET_POD_NAME = "dataprotection.kubeblocks.io/target-pod-name";
    /// Name of the application; `kubeblocks` on CRDs.
    NAME = "app.kubernetes.io/name";
    /// What manages an object.
    MANAGED_BY = "app.kubernetes.io/managed-by";
    /// Name of the Cluster.
    INSTANCE = "app.kubernetes.io/instance";
    /// Component of a pod, claim, Backup or policy.
    COMPONENT_NAME = "apps.kubeblocks.io/component-name";
    /// Sharding of a pod, claim, Backup or policy.
    SHARDING_NAME = "apps.kubeblocks.io/sharding-name";
    /// Shard template of a pod or claim.
    SHARD_TEMPLATE = "apps.kubeblocks.io/shard-template";
    /// Definition of the component a pod or claim is of; an annotation on an `InstanceSet`.
    COMPONENT = "app.kubernetes.io/component";
    /// Version of the database in a pod; an annotation on an `InstanceSet`.
    SERVICE_VERSION = "apps.kubeblocks.io/service-version";
    /// `stable`, or `canary` for pods that try a change first; part of the pods' selector.
    RELEASE_PHASE = "apps.kubeblocks.io/release-phase";
    /// `InstanceSet` of a pod, claim or headless Service.
    WORKLOADS_INSTANCE = "workloads.kubeblocks.io/instance";
    /// Kind of what manages a pod, claim or headless Service: `InstanceSet`.
    WORKLOADS_MANAGED_BY = "workloads.kubeblocks.io/managed-by";
    /// Instance template of a pod, empty for the others.
    WORKLOADS_TEMPLATE_NAME = "workloads.kubeblocks.io/template-name";
    /// Revision of a pod's template.
    REVISION = "controller-revision-hash";
    /// Operation a Cluster or Backup was made by.
    OPS_NAME = "operations.kubeblocks.io/ops-name";
    /// Namespace of that operation.
    OPS_NAMESPACE = "operations.kubeblocks.io/ops-namespace";
    /// Type of that operation, also on itself.
    OPS_TYPE = "operations.kubeblocks.io/ops-type";
    /// Volume claim template of a claim.
    VCT_NAME = "apps.kubeblocks.io/vct-name";
    /// Pod of a claim.
    POD_NAME = "apps.kubeblocks.io/pod-name";
    /// Instance template of a claim.
    INSTANCE_TEMPLATE = "apps.kubeblocks.io/instance-template";
    /// Account of a secret.
    SYSTEM_ACCOUNT = "apps.kubeblocks.io/system-account";
    /// Role of a pod.
    ROLE = "kubeblocks.io/role";
    /// Component definition of a generated policy or schedule.
    COMPONENT_DEFINITION = "componentdefinition.kubeblocks.io/name";
    /// Job of a pod, written by Kubernetes.
    JOB_NAME = "job-name";
    /// Job of a pod, the key of newer Kubernetes.
    BATCH_JOB_NAME = "batch.kubernetes.io/job-name";
    /// Node name of a node, used to pin pods.
    HOSTNAME = "kubernetes.io/hostname";
    /// On a Backup: the envelope its objects are encrypted into, as its repository asked for when it began.
    ENVELOPE = "holdfast.dev/envelope";
    /// UID of the Backup that an object of another namespace belongs to.
    BACKUP_OBJECT = "holdfast.dev/backup-object";
    /// StatefulSet of a continuous backup, on its pods: several of one backup must not take each other's.
    ARCHIVE = "holdfast.dev/archive";
}

/// [`MANAGED_BY`] of everything the dp operator makes.
pub const MANAGED_BY_DP: &str = "kubeblocks-dataprotection";
/// [`MANAGED_BY`] of policies and schedules made for a Cluster, and of its pods.
pub const MANAGED_BY_APPS: &str = "kubeblocks";
/// [`WORKLOADS_MANAGED_BY`] of everything an `InstanceSet` makes.
pub const MANAGED_BY_INSTANCE_SET: &str = "InstanceSet";
/// [`RELEASE_PHASE`] of a pod as it should be.
pub const RELEASE_PHASE_STABLE: &str = "stable";
/// [`RELEASE_PHASE`] of a pod that tries a change first.
pub const RELEASE_PHASE_CANARY: &str = "canary";
/// Value of every label and annotation that is a switch.
pub const TRUE: &str = "true";
