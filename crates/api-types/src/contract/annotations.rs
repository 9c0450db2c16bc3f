//! Annotation keys, the claim contract and its reserved parameter keys.

macro_rules! keys {
    ($($(#[$meta:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$meta])* pub const $name: &str = $text;)+
        /// Every key of this module.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

keys! {
    /// `true` on the policy that operations choose.
    IS_DEFAULT_POLICY = "dataprotection.kubeblocks.io/is-default-policy";
    /// `true` on a template; without a reader.
    IS_DEFAULT_POLICY_TEMPLATE = "dataprotection.kubeblocks.io/is-default-policy-template";
    /// `true` on the repository that policies without one use; one among the ready.
    IS_DEFAULT_REPO = "dataprotection.kubeblocks.io/is-default-repo";
    /// JSON on a template: what a schedule that toggles reconfigures.
    RECONFIGURE_REF = "dataprotection.kubeblocks.io/reconfigure-ref";
    /// JSON map on a schedule: method to last parameters.
    LAST_APPLIED_CONFIGURATIONS = "dataprotection.kubeblocks.io/last-applied-configurations";
    /// Counter on a schedule for names of its operation requests.
    RECONFIGURE_GENERATION = "dataprotection.kubeblocks.io/reconfigure-generation";
    /// Predecessor of [`LAST_APPLIED_CONFIGURATIONS`], migrated and removed.
    LEGACY_LAST_APPLIED_CONFIGURATION = "config.kubeblocks.io/last-applied-configuration";
    /// `true` (any case) on a Backup: leave it alone, deletion included.
    SKIP_RECONCILIATION = "dataprotection.kubeblocks.io/skip-reconciliation";
    /// `true` on a Backup: run although its cluster is being restored.
    SKIP_RESTORATION_CHECK = "dataprotection.kubeblocks.io/skip-restoration-check";
    /// `true` on an `ActionSet`: a point-in-time restore runs the continuous actions only.
    SKIP_BASE_BACKUP_RESTORE_IN_PITR = "dataprotection.kubeblocks.io/skip-base-backup-restore-in-pitr";
    /// `true` on a policy: the template no longer overwrites it.
    DISABLE_SYNC_FROM_TEMPLATE = "dataprotection.kubeblocks.io/disable-sync-from-template";
    /// Digest of a repository's templates and parameters.
    BACKUP_REPO_DIGEST = "dataprotection.kubeblocks.io/backup-repo-digest";
    /// `true` on a repository whose mover configurations are stale.
    NEED_UPDATE_TOOL_CONFIG = "dataprotection.kubeblocks.io/need-update-tool-config";
    /// JSON of `status.extras` on restore pods.
    BACKUP_EXTRAS = "dataprotection.kubeblocks.io/backup-extras";
    /// `true` on a restore pod: its side container may end.
    STOP_RESTORE_MANAGER = "dataprotection.kubeblocks.io/stop-restore-manager";
    /// On a volume: the Backup or Restore it was populated from.
    POPULATE_FROM = "dataprotection.kubeblocks.io/populate-from";
    /// Declared by the contract, without a reader.
    CONNECTION_PASSWORD = "dataprotection.kubeblocks.io/connection-password";
    /// Declared by the contract, without a reader.
    GEMINI_ACKNOWLEDGED = "dataprotection.kubeblocks.io/gemini-acknowledged";

    /// Explicit backup target: annotation of a claim or reserved parameter, the parameter wins.
    SOURCE_TARGET_NAME = "dataprotection.kubeblocks.io/source-target-name";
    /// Explicit source pod: annotation of a claim or reserved parameter, the parameter wins.
    SOURCE_TARGET_POD_NAME = "dataprotection.kubeblocks.io/source-target-pod-name";
    /// Reserved parameter: `Parallel` (default) or `Serial`.
    VOLUME_RESTORE_POLICY = "dataprotection.kubeblocks.io/volume-restore-policy";
    /// Reserved parameter: JSON array of environment variables, literals only.
    RESTORE_ENV = "dataprotection.kubeblocks.io/restore-env";
    /// Reserved parameter: `true` lets postReady wait for the running Cluster.
    DEFER_POST_READY = "dataprotection.kubeblocks.io/defer-post-ready-until-cluster-running";

    /// On a claim: API group of the source; written by apps, not read by dp.
    RESTORE_SOURCE_API_GROUP = "apps.kubeblocks.io/restore-source-api-group";
    /// On a claim: kind of the source; non-empty marks a claim of an apps restore.
    RESTORE_SOURCE_KIND = "apps.kubeblocks.io/restore-source-kind";
    /// On a claim: name of the source; written by apps, not read by dp.
    RESTORE_SOURCE_NAME = "apps.kubeblocks.io/restore-source-name";
    /// On a claim: namespace of the source, the only carrier of it.
    RESTORE_SOURCE_NAMESPACE = "apps.kubeblocks.io/restore-source-namespace";
    /// On a claim: moment to restore, `2006-01-02T15:04:05Z`.
    RESTORE_PITR = "apps.kubeblocks.io/restore-pitr";
    /// On a claim: JSON map of parameters, reserved ones included.
    RESTORE_PARAMETERS = "apps.kubeblocks.io/restore-parameters";
    /// On a claim: component, or sharding, where the label is absent.
    RESTORE_COMPONENT = "apps.kubeblocks.io/restore-component";
    /// On a claim: volume of the backup.
    RESTORE_VOLUME_TEMPLATE = "apps.kubeblocks.io/restore-volume-template";

    /// On an InstanceSet: version its component runs.
    SERVICE_VERSION = "apps.kubeblocks.io/service-version";
    /// Template a policy or schedule was made from.
    BACKUP_POLICY_TEMPLATE = "apps.kubeblocks.io/backup-policy-template";
    /// UID of the Cluster on its Components.
    CLUSTER_UID = "apps.kubeblocks.io/cluster-uid";
    /// Generation of the owner that an object was made from.
    GENERATION = "kubeblocks.io/generation";
    /// Prefix of claim names of a volume claim template, instead of its name.
    PVC_NAME_PREFIX = "apps.kubeblocks.io/pvc-name-prefix";
    /// Password of an account secret, hashed; only where the user supplied it.
    SYSTEM_ACCOUNT_HASH = "apps.kubeblocks.io/system-account-hash";
    /// Revision of a shared account secret; a new one is applied again.
    SECRET_REVISION = "apps.kubeblocks.io/secret-revision";
    /// Last version of a pod's role that was seen.
    LAST_ROLE_SNAPSHOT_VERSION = "apps.kubeblocks.io/last-role-snapshot-version";
    /// Last version of a pod's role that the database itself numbered.
    LAST_ROLE_AUTHORITATIVE_VERSION = "apps.kubeblocks.io/last-role-authoritative-version";
    /// `true` on a definition: its immutable parts may change.
    SKIP_IMMUTABLE_CHECK = "apps.kubeblocks.io/skip-immutable-check";
    /// JSON list of operations on a Cluster: name and type.
    OPS_REQUEST = "kubeblocks.io/ops-request";
    /// UID of the operation that made a Cluster.
    OPS_UID = "operations.kubeblocks.io/ops-uid";
    /// JSON on a Cluster: how it was restored before `spec.restore`; refused, never ignored.
    LEGACY_RESTORE_FROM_BACKUP = "kubeblocks.io/restore-from-backup";
    /// `true` on a restored account secret.
    SYSTEM_ACCOUNT_PROVISIONED = "apps.kubeblocks.io/system-account-provisioned";
    /// JSON of the Cluster on a Backup.
    CLUSTER_SNAPSHOT = "kubeblocks.io/cluster-snapshot";
    /// JSON on a Backup: component or sharding to account to cipher text.
    ENCRYPTED_SYSTEM_ACCOUNTS = "kubeblocks.io/encrypted-system-accounts";
    /// Changed to trigger a reconcile.
    RECONCILE = "kubeblocks.io/reconcile";

    /// Node chosen for a claim, written by the scheduler.
    SELECTED_NODE = "volume.kubernetes.io/selected-node";
    /// `yes` once a claim is bound.
    BIND_COMPLETED = "pv.kubernetes.io/bind-completed";
    /// `yes` where the controller bound it.
    BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller";
    /// CSI driver an in-tree volume was migrated to.
    MIGRATED_TO = "pv.kubernetes.io/migrated-to";
    /// Provisioner of a claim.
    STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner";
    /// Provisioner of a claim, older key.
    BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner";

    /// JSON on a schedule: the OpsRequest that sets its database for an entry, until that is recorded.
    RECONFIGURING = "holdfast.dev/reconfiguring";
    /// Digest of what was last applied.
    APPLIED = "holdfast.dev/applied";
    /// On the leader lease, JSON: Clusters that were deleted and whose Backups are still to go.
    DEPARTED_CLUSTERS = "holdfast.dev/departed-clusters";
    /// Number of the running attempt and consumed retry token.
    ATTEMPT = "holdfast.dev/attempt";
    /// On a prime claim: its execution was announced, so something may have been written into it.
    EXECUTION = "holdfast.dev/execution";
    /// On a prime claim: node it was made for.
    MADE_FOR_NODE = "holdfast.dev/made-for-node";
    /// On a prime claim: the target's choice of its node was taken back.
    NODE_GIVEN_BACK = "holdfast.dev/node-given-back";
    /// On a Restore: its claims were created.
    CLAIMS_CREATED = "holdfast.dev/claims-created";
    /// Token of the user: start a new attempt of a failed restore.
    RETRY = "holdfast.dev/retry";
    /// Reason of the user: take an unproven or failed claim as restored.
    ACCEPT = "holdfast.dev/accept";
    /// `true`: take an object over from a foreign operator.
    ADOPT = "holdfast.dev/adopt";
    /// UID of the prime claim an execution Restore writes to.
    PRIME_UID = "holdfast.dev/prime-uid";
    /// JSON on a claim: how far its population is.
    POPULATE_STATE = "holdfast.dev/populate-state";
    /// On a volume: UID of the claim it was populated for.
    POPULATED_TARGET_UID = "holdfast.dev/populated-target-uid";
    /// On a volume: attempt that populated it.
    POPULATED_ATTEMPT = "holdfast.dev/populated-attempt";
    /// On a volume: `data` or `provisioned`.
    POPULATED_MODE = "holdfast.dev/populated-mode";
    /// JSON list on a Restore or Backup: names of all Jobs of a stage, written before the first.
    EXPECTED_JOBS = "holdfast.dev/expected-jobs";
    /// On a restored account secret: UID of the Backup its password came from; written once.
    RESTORED_FROM_BACKUP = "holdfast.dev/restored-from-backup";
    /// Go duration on a Backup: longest that one action of it may take; `0` is no limit.
    ACTION_DEADLINE = "holdfast.dev/action-deadline";
    /// On a scheduled Backup: UID of the schedule it is a run of.
    SCHEDULE_UID = "holdfast.dev/schedule-uid";
    /// On a scheduled Backup: the entry of the schedule.
    SCHEDULE_ENTRY = "holdfast.dev/schedule-entry";
    /// On a scheduled Backup: the instant it was due, RFC 3339.
    SCHEDULE_SLOT = "holdfast.dev/schedule-slot";
    /// On a schedule: a Go duration by which runs start late at most, the same for each of its runs.
    SCHEDULE_JITTER = "holdfast.dev/schedule-jitter";
    /// On a policy: how many of the latest completed backups of a method never expire; 1 where absent.
    KEEP_LATEST = "holdfast.dev/keep-latest";
    /// On a policy: how many completed scheduled backups of a method are kept at most.
    MAX_BACKUPS = "holdfast.dev/max-backups";
    /// Token of the user on a BackupRepo: check it now.
    RECHECK = "holdfast.dev/recheck";
    /// On a BackupRepo: how many Jobs of backups write to it at once; `0` is no limit. Wins over the operator's setting.
    MAX_CONCURRENT_JOBS = "holdfast.dev/max-concurrent-jobs";
    /// `aead-v1` on a BackupRepo: encrypted backups made from now on are authenticated envelopes.
    ENVELOPE = "holdfast.dev/envelope";
    /// On the pod of an action: the Backup as JSON, for the wrapper to save it beside the data.
    BACKUP_OBJECT = "holdfast.dev/backup-object";
    /// On the pod of an action: the ActionSet as JSON, for the manifest of the backup.
    ACTION_SET = "holdfast.dev/action-set";
}

/// On a Backup, followed by the name of an action: what that one of several archives reports of itself, JSON.
pub const PROGRESS_PREFIX: &str = "progress.holdfast.dev/";

/// Keys of a claim, or of a volume claim template, that carry a restore; all are taken back when it
/// is done.
pub const RESTORE_MARKERS: &[&str] = &[
    RESTORE_SOURCE_API_GROUP,
    RESTORE_SOURCE_KIND,
    RESTORE_SOURCE_NAME,
    RESTORE_SOURCE_NAMESPACE,
    RESTORE_COMPONENT,
    RESTORE_VOLUME_TEMPLATE,
    RESTORE_PITR,
    RESTORE_PARAMETERS,
];

/// Keys inside [`RESTORE_PARAMETERS`] that are settings, not parameters of the actions.
pub const RESERVED_PARAMETERS: &[&str] =
    &[SOURCE_TARGET_NAME, SOURCE_TARGET_POD_NAME, VOLUME_RESTORE_POLICY, RESTORE_ENV, DEFER_POST_READY];

/// [`POPULATED_MODE`] of a volume that carries restored data.
pub const POPULATED_MODE_DATA: &str = "data";
/// [`POPULATED_MODE`] of a volume that was provisioned empty on purpose.
pub const POPULATED_MODE_PROVISIONED: &str = "provisioned";
/// Value of the binder's annotations.
pub const YES: &str = "yes";
