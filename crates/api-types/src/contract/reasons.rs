//! Condition reasons: stable words that tools and alerts may rely on.
//!
//! The reasons of a claim's condition `Restore` are an enum, so that each has a class and none is
//! written twice. Reasons of the wire contract keep their text.

/// Reasons of a claim's condition `Populating`.
pub mod populating {
    /// At work or waiting.
    pub const PROCESSING: &str = "Processing";
    /// The volume was provisioned empty on purpose.
    pub const PROVISIONED: &str = "Provisioned";
    /// The volume carries the data.
    pub const SUCCEED: &str = "Succeed";
    /// Given up.
    pub const FAILED: &str = "Failed";
}

/// Reasons of a `Restore`'s conditions.
pub mod restore_object {
    /// `CheckBackupRepo` is true.
    pub const CHECK_BACKUP_REPO_SUCCESSFULLY: &str = "CheckBackupRepoSuccessfully";
    /// The repository can never be used.
    pub const CHECK_BACKUP_REPO_FAILED: &str = "CheckBackupRepoFailed";
    /// Its claim or secret is not in the namespace yet.
    pub const WAIT_FOR_BACKUP_REPO: &str = "WaitForBackupRepo";
    /// Neither of the others.
    pub const UNKNOWN_ERROR: &str = "UnknownError";
    /// `ValidationPassed` is true.
    pub const VALIDATE_SUCCESSFULLY: &str = "ValidateSuccessfully";
    /// The spec is refused.
    pub const VALIDATE_FAILED: &str = "ValidateFailed";
    /// A stage is done.
    pub const SUCCEED: &str = "Succeed";
    /// A stage is at work.
    pub const PROCESSING: &str = "Processing";
    /// A stage failed.
    pub const FAILED: &str = "Failed";
    /// The API server refuses the Job that is to restore.
    pub const JOB_REFUSED: &str = "JobRefused";
    /// A recorded Job was deleted before its result was stored; nobody knows what it wrote.
    pub const JOB_VANISHED: &str = "JobVanished";
}

/// Reasons of a `BackupRepo`'s conditions.
pub mod repo {
    /// The provider can be used.
    pub const STORAGE_PROVIDER_READY: &str = "StorageProviderReady";
    /// No such provider.
    pub const STORAGE_PROVIDER_NOT_FOUND: &str = "StorageProviderNotFound";
    /// The provider lacks what the access method needs.
    pub const INVALID_STORAGE_PROVIDER: &str = "InvalidStorageProvider";
    /// The provider's driver is missing.
    pub const STORAGE_PROVIDER_NOT_READY: &str = "StorageProviderNotReady";
    /// Parameters and credential are complete.
    pub const PARAMETERS_CHECKED: &str = "ParametersChecked";
    /// No such credential secret.
    pub const CREDENTIAL_SECRET_NOT_FOUND: &str = "CredentialSecretNotFound";
    /// The storage class exists.
    pub const STORAGE_CLASS_CREATED: &str = "StorageClassCreated";
    /// The driver's secret could not be made.
    pub const PREPARE_CSI_SECRET_FAILED: &str = "PrepareCSISecretFailed";
    /// The storage class could not be made.
    pub const PREPARE_STORAGE_CLASS_FAILED: &str = "PrepareStorageClassFailed";
    /// The claim template renders.
    pub const PVC_TEMPLATE_CHECKED: &str = "PVCTemplateChecked";
    /// The claim template does not render.
    pub const BAD_PVC_TEMPLATE: &str = "BadPVCTemplate";
    /// Not needed.
    pub const SKIPPED: &str = "Skipped";
    /// The repository was written and read.
    pub const PRE_CHECK_PASSED: &str = "PreCheckPassed";
    /// It was not.
    pub const PRE_CHECK_FAILED: &str = "PreCheckFailed";
    /// Settings changed; a new check is due.
    pub const DIGEST_CHANGED: &str = "DigestChanged";
    /// Nothing made from it is left.
    pub const DERIVED_OBJECTS_DELETED: &str = "DerivedObjectsDeleted";
    /// Backups still use it.
    pub const HAVE_ASSOCIATED_BACKUPS: &str = "HaveAssociatedBackups";
    /// Claims are left.
    pub const HAVE_RESIDUAL_PVCS: &str = "HaveResidualPVCs";
    /// Neither of the others.
    pub const UNKNOWN_ERROR: &str = "UnknownError";
    /// One key lies in several namespaces.
    pub const SHARED_CREDENTIAL: &str = "SharedCredential";
    /// A parameter breaks a rule of the provider's schema.
    pub const INVALID_PARAMETERS: &str = "InvalidParameters";
    /// The pre-check's Job runs.
    pub const PRE_CHECK_RUNNING: &str = "PreCheckRunning";
    /// The storage class was made from other parameters.
    pub const STORAGE_CLASS_OUTDATED: &str = "StorageClassOutdated";
    /// Claims were made from other parameters.
    pub const CLAIMS_OUTDATED: &str = "ClaimsOutdated";
}

/// Reasons of a `StorageProvider`'s condition.
pub mod provider {
    /// The driver is installed.
    pub const CSI_DRIVER_OBJECT_FOUND: &str = "CSIDriverObjectFound";
    /// The driver was not found.
    pub const CHECK_CSI_DRIVER_FAILED: &str = "CheckCSIDriverFailed";
}

/// What a reason of condition `Restore` means for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Status `True`: restored, latched.
    Done,
    /// Status `Unknown`: something named is awaited.
    Wait,
    /// Status `False`: given up until a retry, latched.
    Terminal,
}

impl Class {
    /// The condition status that goes with the class.
    pub fn status(self) -> &'static str {
        match self {
            Self::Done => super::conditions::status::TRUE,
            Self::Wait => super::conditions::status::UNKNOWN,
            Self::Terminal => super::conditions::status::FALSE,
        }
    }
}

/// Reasons of condition `Progressing` on a Backup: what it waits for, or why it was refused.
pub mod backup {
    /// The policy does not exist.
    pub const POLICY_NOT_FOUND: &str = "BackupPolicyNotFound";
    /// The policy is Unavailable.
    pub const POLICY_UNAVAILABLE: &str = "BackupPolicyUnavailable";
    /// The policy has no such method.
    pub const METHOD_NOT_FOUND: &str = "BackupMethodNotFound";
    /// The method, or its action set, has nothing that backs up.
    pub const NO_BACKUP_ACTION: &str = "NoBackupAction";
    /// No pod of the target is available.
    pub const TARGET_POD_NOT_FOUND: &str = "TargetPodNotFound";
    /// The target pod has no such port.
    pub const TARGET_PORT_NOT_FOUND: &str = "TargetPortNotFound";
    /// The API server refuses the Job that is to back up.
    pub const JOB_REFUSED: &str = "JobRefused";
    /// A restore reads the backup that is to be deleted.
    pub const READ_BY_RESTORE: &str = "ReadByRestore";
    /// The schedule that made the backup that is to be deleted has not recorded it yet.
    pub const RUN_NOT_RECORDED: &str = "RunNotRecorded";
    /// An action of the action set is neither exec nor job, or both.
    pub const INVALID_ACTION: &str = "InvalidAction";
    /// An action did not start, or did not end, in time.
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    /// The target is being restored; a scheduled backup waits until that is done.
    pub const RESTORE_IN_PROGRESS: &str = "RestoreInProgress";
    /// As many Jobs run in its repository, or on its node, as may; the message has its place in the queue.
    pub const WAITING_FOR_TURN: &str = "WaitingForTurn";
    /// A continuous backup was not made by a schedule.
    pub const SCHEDULE_MISSING: &str = "BackupScheduleMissing";
    /// The schedule of a continuous backup does not exist.
    pub const SCHEDULE_NOT_FOUND: &str = "BackupScheduleNotFound";
    /// The schedule has the method of a continuous backup switched off.
    pub const SCHEDULE_DISABLED: &str = "BackupScheduleDisabled";
    /// The Cluster of the target is still being created.
    pub const CLUSTER_CREATING: &str = "ClusterCreating";
    /// The archive of a continuous backup is not written.
    pub const ARCHIVE_FAILING: &str = "ArchiveFailing";
    /// The kinds of volume snapshots are not installed.
    pub const SNAPSHOTS_NOT_INSTALLED: &str = "VolumeSnapshotsNotInstalled";
    /// A volume can not be snapshot as it is.
    pub const VOLUME_NOT_SUPPORTED: &str = "VolumeNotSupported";
    /// No class of snapshots has the driver of the volume.
    pub const SNAPSHOT_CLASS_NOT_FOUND: &str = "VolumeSnapshotClassNotFound";
    /// A snapshot of somebody else has the name.
    pub const SNAPSHOT_NAME_COLLISION: &str = "VolumeSnapshotNameCollision";
    /// No backup can be the parent of an incremental one.
    pub const PARENT_NOT_FOUND: &str = "ParentBackupNotFound";
    /// The parent that was named can not be one.
    pub const INVALID_PARENT: &str = "InvalidParentBackup";
    /// The parent that was named is not completed yet.
    pub const PARENT_NOT_COMPLETED: &str = "ParentBackupNotCompleted";
    /// Backups that build on the one that is to be deleted are deleted first.
    pub const DELETING_DEPENDENTS: &str = "DeletingDependents";
    /// An action that is to run before the deletion of the data is at work.
    pub const PRE_DELETE_RUNNING: &str = "PreDeleteRunning";
}

/// Reasons of an entry of a BackupSchedule: what holds its next run back, or why the last one was left out.
pub mod schedule {
    /// The backup of the run before has not ended.
    pub const WAIT_FOR_PREVIOUS_BACKUP: &str = "WaitForPreviousBackup";
    /// What it would back up is being restored.
    pub const WAIT_FOR_RESTORE: &str = "WaitForRestore";
    /// An incremental backup has no completed full backup to build on.
    pub const NO_FULL_BACKUP: &str = "NoFullBackup";
    /// The slot passed its starting deadline.
    pub const MISSED_SCHEDULE: &str = "MissedSchedule";
    /// A CronJob of the reference still runs the entry.
    pub const FOREIGN_CRON_JOB: &str = "ForeignCronJob";
    /// The database is still to be set for a continuous entry, by an OpsRequest or by hand.
    pub const NOT_RECONFIGURED: &str = "NotReconfigured";
    /// The name of its Backup belongs to something else.
    pub const NAME_TAKEN: &str = "BackupNameTaken";
}

macro_rules! restore_reasons {
    ($($(#[$meta:meta])* $name:ident: $class:ident;)+) => {
        /// Reasons of a claim's condition `Restore`. The text on the wire is the variant's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RestoreReason {
            $($(#[$meta])* $name,)+
        }

        impl RestoreReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// Whether it is a success, a wait or a failure.
            pub const fn class(self) -> Class {
                match self {
                    $(Self::$name => Class::$class,)+
                }
            }
        }
    };
}

restore_reasons! {
    /// The volume carries the data and postReady, if any, is done.
    Succeed: Done;
    /// The volume was provisioned empty on purpose.
    Provisioned: Done;

    /// The source Backup does not exist.
    BackupNotFound: Wait;
    /// The source Backup is not completed yet.
    BackupNotCompleted: Wait;
    /// The source Restore does not exist.
    RestoreNotFound: Wait;
    /// The `ActionSet` does not exist.
    ActionSetNotFound: Wait;
    /// The storage class does not exist.
    StorageClassNotFound: Wait;
    /// No pod uses the claim yet, so no node is chosen.
    WaitForFirstConsumer: Wait;
    /// The repository does not exist.
    BackupRepoNotFound: Wait;
    /// The repository is not ready.
    BackupRepoNotReady: Wait;
    /// The repository names the namespaces that may use it, and this is none of them.
    BackupRepoForbidden: Wait;
    /// The repository's claim or secret is not in the namespace yet.
    WaitForBackupRepo: Wait;
    /// The encryption secret does not exist in the namespace.
    EncryptionSecretNotFound: Wait;
    /// The namespace of the source does not grant the read.
    GrantMissing: Wait;
    /// An earlier volume of the group is being filled.
    WaitForPreviousVolume: Wait;
    /// Jobs write the data.
    PopulatingData: Wait;
    /// The volume is being bound to the claim.
    WaitForBinding: Wait;
    /// Objects of the last attempt, or an account Secret of an earlier Cluster, are still there.
    WaitForCleanup: Wait;
    /// Other volumes of the component or Cluster are not filled yet, or not known yet to be restored.
    WaitForOtherVolumes: Wait;
    /// The Component does not exist, or is not ready for postReady.
    WaitForComponent: Wait;
    /// The Cluster does not exist, or does not run yet and postReady was asked to wait for it.
    WaitForCluster: Wait;
    /// postReady actions run.
    PostReadyRunning: Wait;
    /// Bound, first seen without proof of what is in it; settled by the accept annotation.
    Unverified: Wait;
    /// A pod finds no node.
    PodUnschedulable: Wait;
    /// A pod cannot pull an image.
    ImagePullFailed: Wait;
    /// The shard-to-target mapping needs objects that are not there yet.
    WaitForShardMapping: Wait;
    /// A container can not be made: a missing Secret, volume or command.
    ContainerConfigFailed: Wait;
    /// A container was killed for memory; it is tried again as often as the Job allows.
    OutOfMemory: Wait;
    /// A pod failed; it is tried again as often as the Job allows.
    PodFailed: Wait;
    /// Another operator holds the lease.
    NotLeader: Wait;
    /// An object of a foreign operator is in the way.
    ForeignOwner: Wait;

    /// The source Backup failed.
    BackupFailed: Terminal;
    /// The source Backup is being deleted.
    BackupDeleting: Terminal;
    /// The operator's settings forbid the source namespace.
    ForeignNamespace: Terminal;
    /// Several targets or volumes fit and none was chosen.
    AmbiguousSource: Terminal;
    /// Annotation and data source name different namespaces.
    NamespaceConflict: Terminal;
    /// The parameters annotation is no JSON map of texts.
    InvalidRestoreParameters: Terminal;
    /// The restore time is malformed or outside the backup's range.
    InvalidRestoreTime: Terminal;
    /// The restore-env parameter is no list of literal variables, or names a forbidden one.
    InvalidRestoreEnv: Terminal;
    /// The volume restore policy is neither `Parallel` nor `Serial`.
    InvalidVolumeRestorePolicy: Terminal;
    /// The storage class has an in-tree provisioner.
    InTreeProvisioner: Terminal;
    /// The storage class provisions nothing.
    StaticClass: Terminal;
    /// A block volume cannot be filled by Jobs.
    BlockVolume: Terminal;
    /// Nothing of a matching component would be restored.
    NoDataRestored: Terminal;
    /// The action set has neither prepareData nor postReady.
    NoRestoreAction: Terminal;
    /// The chosen target is not in the Backup.
    TargetNotFound: Terminal;
    /// The chosen or inferred source pod is not in the Backup.
    SourcePodNotFound: Terminal;
    /// The volume is not in the Backup.
    VolumeNotInBackup: Terminal;
    /// No volume snapshot of the source pod fits.
    SnapshotNotFound: Terminal;
    /// No base backup fits the restore time, or the chain of parents is broken.
    BackupChainBroken: Terminal;
    /// The method has no usable mount path for the volume.
    MountPathMissing: Terminal;
    /// Actions failed.
    ExecutionFailed: Terminal;
    /// An action outlived its deadline.
    DeadlineExceeded: Terminal;
    /// postReady actions failed.
    PostReadyFailed: Terminal;
    /// Another volume of the group failed.
    PreviousVolumeFailed: Terminal;
    /// The binder gave the claim another volume while it was being filled.
    BoundWithoutData: Terminal;
    /// The filled volume belongs to another claim.
    VolumeTaken: Terminal;
    /// A foreign object has the name of the prime claim or of the execution.
    NameCollision: Terminal;
    /// The API server refuses the claim that is to be filled.
    InvalidClaim: Terminal;
    /// A foreign Job has the name of ours.
    JobNameCollision: Terminal;
    /// The parameters do not fit the action set's schema.
    InvalidParameters: Terminal;
    /// The system accounts of the Backup cannot be decrypted.
    AccountsUndecryptable: Terminal;
    /// The named service account is not allowed by the operator's settings.
    ServiceAccountForbidden: Terminal;
    /// The data source is of a kind or shape that cannot be restored.
    InvalidSource: Terminal;
    /// A part of the contract this release does not serve.
    NotServedYet: Terminal;
}

impl RestoreReason {
    /// The reason of this text, if it is one.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

impl std::fmt::Display for RestoreReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_back_and_fit_the_condition_pattern() {
        for reason in RestoreReason::ALL {
            assert_eq!(RestoreReason::from_text(reason.as_str()), Some(*reason));
            assert!(reason.as_str().chars().all(|c| c.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn done_reasons_are_the_two_of_the_wire() {
        let done: Vec<_> = RestoreReason::ALL.iter().filter(|reason| reason.class() == Class::Done).collect();
        assert_eq!(done, [&RestoreReason::Succeed, &RestoreReason::Provisioned]);
        assert_eq!(RestoreReason::Succeed.as_str(), populating::SUCCEED);
    }
}
