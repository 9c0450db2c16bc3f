//! Event reasons.

/// On a claim.
pub mod claim {
    /// Population began.
    pub const START: &str = "StartToVolumePopulate";
    /// The volume is ready, or the restore is done.
    pub const SUCCEED: &str = "VolumePopulateSucceed";
    /// Given up.
    pub const FAILED: &str = "VolumePopulateFailed";
}

/// On a `Restore`.
pub mod restore {
    /// Work began.
    pub const STARTING: &str = "RestoreStarting";
    /// Done.
    pub const COMPLETED: &str = "RestoreCompleted";
    /// Given up.
    pub const FAILED: &str = "RestoreFailed";
    /// The spec was refused.
    pub const VALIDATE_FAILED: &str = "ValidateFailed";
    /// A Job was made.
    pub const CREATE_JOB: &str = "CreateRestoreJob";
    /// A claim was made.
    pub const CREATE_PVC: &str = "CreateRestorePVC";
    /// A point-in-time restore runs the continuous actions only.
    pub const SKIP_BASE_BACKUP: &str = "SkipBaseBackupRestoreInPitr";
}

/// On a `Cluster`, a `Component` or an `InstanceSet`.
pub mod apps {
    /// All claims are restored.
    pub const RESTORE_COMPLETED: &str = "RestoreCompleted";
    /// A claim can not be restored.
    pub const RESTORE_FAILED: &str = "RestoreFailed";
    /// A claim lost its data source on creation.
    pub const DATA_SOURCE_DROPPED: &str = "DataSourceDropped";
}

/// On a `Backup`.
pub mod backup {
    /// An API call failed; tried again.
    pub const RECONCILE_FAILED: &str = "ReconcileFailed";
    /// Held back by a restore of its target.
    pub const RESTORE_IN_PROGRESS: &str = "RestoreInProgress";
    /// A Job was made.
    pub const CREATING_JOB: &str = "CreatingJob";
    /// A snapshot was made.
    pub const CREATING_VOLUME_SNAPSHOT: &str = "CreatingVolumeSnapshot";
    /// Accepted.
    pub const CREATED: &str = "CreatedBackup";
    /// Its data could not be removed.
    pub const DELETE_FILES_FAILED: &str = "DeleteBackupFilesFailed";
    /// Its data is kept on purpose.
    pub const RETAIN: &str = "Retain";
    /// It expired and is deleted.
    pub const EXPIRED: &str = "BackupExpired";
    /// An expired one could not be deleted.
    pub const REMOVE_EXPIRED_FAILED: &str = "RemoveExpiredBackupsFailed";
    /// A volume has no snapshot support.
    pub const NOT_SUPPORTED: &str = "BackupNotSupported";
    /// The repository has no claim template.
    pub const PV_TEMPLATE_NOT_FOUND: &str = "BackupPVTemplateNotFound";
    /// A backup it builds on is not completed.
    pub const NOT_COMPLETED: &str = "BackupNotCompleted";
    /// The repository has no claim.
    pub const PVC_NAME_IS_EMPTY: &str = "BackupPVCNameIsEmpty";
    /// The repository is not ready.
    pub const REPO_IS_NOT_READY: &str = "BackupRepoIsNotReady";
    /// The repository has no mover configuration.
    pub const TOOL_CONFIG_SECRET_NAME_IS_EMPTY: &str = "ToolConfigSecretNameIsEmpty";
    /// A Job failed.
    pub const JOB_FAILED: &str = "BackupJobFailed";
    /// The schedule of a continuous backup is off.
    pub const SCHEDULE_DISABLED: &str = "BackupScheduleDisabled";
    /// The Cluster, or its accounts, do not fit on the Backup.
    pub const CLUSTER_NOT_SAVED: &str = "ClusterNotSaved";
    /// Some accounts of the Cluster could not be saved.
    pub const ACCOUNTS_INCOMPLETE: &str = "SystemAccountsIncomplete";
    /// It goes with the Cluster that it is of.
    pub const CLUSTER_DELETED: &str = "ClusterDeleted";
    /// The repository is not prepared in the namespace.
    pub const WAIT_FOR_REPO_PREPARATION: &str = "WaitForBackupRepoPreparation";
}

/// On a `BackupSchedule`.
pub mod schedule {
    /// It could not be put in place.
    pub const HANDLE_FAILED: &str = "HandleBackupScheduleFailed";
    /// Its database is being reconfigured.
    pub const RECONFIGURING: &str = "Reconfiguring";
    /// A Backup was created for a slot.
    pub const BACKUP_STARTED: &str = "ScheduledBackup";
    /// A slot passed its starting deadline.
    pub const MISSED: &str = "MissedSchedule";
    /// A CronJob of the reference was replaced.
    pub const CRON_JOB_ADOPTED: &str = "CronJobAdopted";
}

/// On a Cluster, by the policy driver.
pub mod cluster {
    /// Policy or schedule could not be made.
    pub const RECONCILE_BACKUP_POLICY_FAIL: &str = "ReconcileBackupPolicyFail";
    /// No policy fits.
    pub const BACKUP_POLICY_NOT_FOUND: &str = "BackupPolicyNotFound";
    /// No method fits.
    pub const BACKUP_METHOD_NOT_FOUND: &str = "BackupMethodNotFound";
}

/// Head of texts taken from the logs of a failed Job.
pub const LOG_COLLECTOR_OUTPUT: &str = "Log Collector Output";
