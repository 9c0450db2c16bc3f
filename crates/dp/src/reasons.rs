//! The reasons this operator writes; their texts are those of `api_types::contract::reasons`.

pub use api_types::contract::reasons::backup::{
    ARCHIVE_FAILING, CLUSTER_CREATING, DEADLINE_EXCEEDED, DELETING_DEPENDENTS, INVALID_ACTION, INVALID_PARENT,
    JOB_REFUSED, METHOD_NOT_FOUND as BACKUP_METHOD_NOT_FOUND, NO_BACKUP_ACTION, PARENT_NOT_COMPLETED, PARENT_NOT_FOUND,
    POLICY_NOT_FOUND as BACKUP_POLICY_NOT_FOUND, POLICY_UNAVAILABLE as BACKUP_POLICY_UNAVAILABLE, PRE_DELETE_RUNNING,
    READ_BY_RESTORE, RESTORE_IN_PROGRESS, RUN_NOT_RECORDED, SCHEDULE_DISABLED, SCHEDULE_MISSING, SCHEDULE_NOT_FOUND,
    SNAPSHOT_CLASS_NOT_FOUND, SNAPSHOT_NAME_COLLISION, SNAPSHOTS_NOT_INSTALLED, TARGET_POD_NOT_FOUND,
    TARGET_PORT_NOT_FOUND, VOLUME_NOT_SUPPORTED, WAITING_FOR_TURN,
};
pub use api_types::contract::reasons::restore_object::{
    CHECK_BACKUP_REPO_SUCCESSFULLY, FAILED, JOB_VANISHED, PROCESSING, SUCCEED, VALIDATE_SUCCESSFULLY,
};
use api_types::contract::reasons::{RestoreReason as R, populating};

/// Reason of a claim that was only provisioned.
pub const PROVISIONED: &str = populating::PROVISIONED;

macro_rules! of_restore {
    ($($name:ident = $variant:ident),+ $(,)?) => {
        $(#[doc = concat!("See `RestoreReason::", stringify!($variant), "`.")]
        pub const $name: &str = R::$variant.as_str();)+
    };
}

of_restore! {
    ACCOUNTS_UNDECRYPTABLE = AccountsUndecryptable,
    ACTION_SET_NOT_FOUND = ActionSetNotFound,
    AMBIGUOUS_SOURCE = AmbiguousSource,
    BACKUP_CHAIN_BROKEN = BackupChainBroken,
    BACKUP_DELETING = BackupDeleting,
    BACKUP_FAILED = BackupFailed,
    BACKUP_NOT_COMPLETED = BackupNotCompleted,
    BACKUP_NOT_FOUND = BackupNotFound,
    BACKUP_REPO_FORBIDDEN = BackupRepoForbidden,
    BACKUP_REPO_NOT_FOUND = BackupRepoNotFound,
    BACKUP_REPO_NOT_READY = BackupRepoNotReady,
    BLOCK_VOLUME = BlockVolume,
    BOUND_WITHOUT_DATA = BoundWithoutData,
    EXECUTION_FAILED = ExecutionFailed,
    FOREIGN_NAMESPACE = ForeignNamespace,
    GRANT_MISSING = GrantMissing,
    IN_TREE_PROVISIONER = InTreeProvisioner,
    INVALID_CLAIM = InvalidClaim,
    INVALID_PARAMETERS = InvalidParameters,
    INVALID_RESTORE_ENV = InvalidRestoreEnv,
    INVALID_RESTORE_PARAMETERS = InvalidRestoreParameters,
    INVALID_RESTORE_TIME = InvalidRestoreTime,
    INVALID_VOLUME_RESTORE_POLICY = InvalidVolumeRestorePolicy,
    JOB_NAME_COLLISION = JobNameCollision,
    NAME_COLLISION = NameCollision,
    NAMESPACE_CONFLICT = NamespaceConflict,
    NO_DATA_RESTORED = NoDataRestored,
    NO_RESTORE_ACTION = NoRestoreAction,
    NOT_SERVED_YET = NotServedYet,
    POPULATING_DATA = PopulatingData,
    SERVICE_ACCOUNT_NOT_ALLOWED = ServiceAccountForbidden,
    SOURCE_POD_NOT_FOUND = SourcePodNotFound,
    SOURCE_RESTORE_NOT_FOUND = RestoreNotFound,
    STATIC_CLASS = StaticClass,
    STORAGE_CLASS_NOT_FOUND = StorageClassNotFound,
    TARGET_NOT_FOUND = TargetNotFound,
    UNVERIFIED = Unverified,
    VOLUME_NOT_IN_BACKUP = VolumeNotInBackup,
    VOLUME_TAKEN = VolumeTaken,
    WAIT_FOR_BACKUP_REPO = WaitForBackupRepo,
    WAIT_FOR_BINDING = WaitForBinding,
    WAIT_FOR_CLEANUP = WaitForCleanup,
    WAIT_FOR_CLUSTER = WaitForCluster,
    WAIT_FOR_COMPONENT = WaitForComponent,
    WAIT_FOR_FIRST_CONSUMER = WaitForFirstConsumer,
    WAIT_FOR_OTHER_VOLUMES = WaitForOtherVolumes,
}

/// The constant of a reason read from an object, if it is one of a claim's.
pub fn known(text: &str) -> Option<&'static str> {
    R::from_text(text).map(R::as_str)
}
