//! Settings of the operators: environment names, also keys of the configuration file.

/// Configuration file of the operators.
pub const FILE: &str = "/etc/kubeblocks/config.yaml";

/// Namespace of the operator: exec Jobs, pre-checks, driver secrets.
pub const CM_NAMESPACE: &str = "CM_NAMESPACE";
/// Tolerations of Jobs that are pinned to no node, JSON.
pub const CM_TOLERATIONS: &str = "CM_TOLERATIONS";
/// Affinity of such Jobs, JSON.
pub const CM_AFFINITY: &str = "CM_AFFINITY";
/// Node selector of such Jobs, JSON.
pub const CM_NODE_SELECTOR: &str = "CM_NODE_SELECTOR";
/// Image of side, delete and schedule containers.
pub const TOOLS_IMAGE: &str = "KUBEBLOCKS_TOOLS_IMAGE";
/// Pull policy of that image.
pub const IMAGE_PULL_POLICY: &str = "KUBEBLOCKS_IMAGE_PULL_POLICY";
/// Pull secrets of the worker's service account, JSON.
pub const IMAGE_PULL_SECRETS: &str = "KUBEBLOCKS_IMAGE_PULL_SECRETS";
/// Image with the mover.
pub const DATASAFED_IMAGE: &str = "DATASAFED_IMAGE";
/// Seconds between two looks for expired backups, as a net.
pub const GC_FREQUENCY_SECONDS: &str = "GC_FREQUENCY_SECONDS";
/// Service account of workers, made in each namespace.
pub const WORKER_SERVICE_ACCOUNT_NAME: &str = "WORKER_SERVICE_ACCOUNT_NAME";
/// Cluster role of workers.
pub const WORKER_CLUSTER_ROLE_NAME: &str = "WORKER_CLUSTER_ROLE_NAME";
/// Annotations of the worker's service account, JSON.
pub const WORKER_SERVICE_ACCOUNT_ANNOTATIONS: &str = "WORKER_SERVICE_ACCOUNT_ANNOTATIONS";
/// Service account of exec Jobs, in the operator's namespace.
pub const EXEC_WORKER_SERVICE_ACCOUNT_NAME: &str = "EXEC_WORKER_SERVICE_ACCOUNT_NAME";
/// Key that system accounts are encrypted with.
pub const DP_ENCRYPTION_KEY: &str = "DP_ENCRYPTION_KEY";
/// More keys to decrypt with, one per line.
pub const OLD_ENCRYPTION_KEYS: &str = "HOLDFAST_OLD_ENCRYPTION_KEYS";
/// Encryption of generated policies: secret key reference, JSON.
pub const DP_BACKUP_ENCRYPTION_SECRET_KEY_REF: &str = "DP_BACKUP_ENCRYPTION_SECRET_KEY_REF";
/// Encryption of generated policies: cipher.
pub const DP_BACKUP_ENCRYPTION_ALGORITHM: &str = "DP_BACKUP_ENCRYPTION_ALGORITHM";
/// Parallel reconciles.
pub const RECONCILE_WORKERS: &str = "DATAPROTECTION_RECONCILE_WORKERS";
/// Whether unset limits of action containers become zero.
pub const ZERO_RESOURCE_FOR_UNSET: &str = "DATAPROTECTION_ZERO_RESOURCE_FOR_UNSET";
/// Whether the beta snapshot API is used.
pub const VOLUME_SNAPSHOT_API_BETA: &str = "VOLUMESNAPSHOT_API_BETA";

/// Default of [`WORKER_SERVICE_ACCOUNT_NAME`].
pub const DEFAULT_WORKER_SERVICE_ACCOUNT: &str = "kubeblocks-dataprotection-worker";
/// Default of [`WORKER_CLUSTER_ROLE_NAME`].
pub const DEFAULT_WORKER_CLUSTER_ROLE: &str = "kubeblocks-dataprotection-worker-role";
/// Default of [`EXEC_WORKER_SERVICE_ACCOUNT_NAME`].
pub const DEFAULT_EXEC_WORKER_SERVICE_ACCOUNT: &str = "kubeblocks-dataprotection-exec-worker";
/// Cluster role of exec Jobs, bound in the namespaces where they exec.
pub const EXEC_WORKER_CLUSTER_ROLE: &str = "kubeblocks-dataprotection-exec-worker-role";
/// Default of [`GC_FREQUENCY_SECONDS`].
pub const DEFAULT_GC_FREQUENCY_SECONDS: u64 = 3600;
