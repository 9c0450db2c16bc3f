//! Condition reasons of the apps levels: Cluster, Component, `InstanceSet`, `OpsRequest`.

/// Reasons of condition `Restore` at all three levels; a message begins with the reason below it.
pub mod restore {
    /// Status `True`: everything is restored.
    pub const COMPLETED: &str = "RestoreCompleted";
    /// Status `Unknown`: claims are being restored, or do not exist yet.
    pub const RUNNING: &str = "RestoreRunning";
    /// Status `False`: some claim failed.
    pub const FAILED: &str = "RestoreFailed";
    /// Status `Unknown`: nothing can be restored yet, since no pod is wanted; ours.
    pub const PENDING: &str = "RestorePending";
    /// Status `Unknown`: claims exist, and no dp operator has looked at them; ours.
    pub const WAITING_FOR_DATA_PROTECTION: &str = "WaitingForDataProtection";
    /// Status `False`: a claim came without its data source; ours.
    pub const DATA_SOURCE_DROPPED: &str = "DataSourceDropped";
    /// Status `False`: nothing of the backup was restored; ours.
    pub const NO_DATA_RESTORED: &str = "NoDataRestored";
    /// Status `False`: only the annotation of older releases names the backup; ours.
    pub const LEGACY_ANNOTATION: &str = "LegacyAnnotation";
}

/// Why a spec can not be served as it is, at all levels; ours.
pub mod refused {
    /// A later version serves it.
    pub const NOT_SERVED_YET: &str = "NotServedYet";
    /// The named ComponentDefinition is missing.
    pub const COMPONENT_DEFINITION_NOT_FOUND: &str = "ComponentDefinitionNotFound";
    /// A name made of the Cluster's and a component's is too long.
    pub const NAME_TOO_LONG: &str = "NameTooLong";
    /// Two components have one name.
    pub const DUPLICATE_NAME: &str = "DuplicateName";
    /// A field can not be read as what it is meant to be.
    pub const UNREADABLE: &str = "Unreadable";
}

/// Reasons of a Cluster's other conditions.
pub mod cluster {
    /// `ProvisioningStarted` is true.
    pub const PRE_CHECK_SUCCEED: &str = "PreCheckSucceed";
    /// The spec is refused.
    pub const PRE_CHECK_FAILED: &str = "PreCheckFailed";
    /// `ApplyResources` is true.
    pub const APPLY_RESOURCES_SUCCEED: &str = "ApplyResourcesSucceed";
    /// Something could not be applied.
    pub const APPLY_RESOURCES_FAILED: &str = "ApplyResourcesFailed";
    /// `Ready` is true.
    pub const READY: &str = "ClusterReady";
    /// Some component does not run; ours.
    pub const COMPONENTS_NOT_READY: &str = "ComponentsNotReady";
    /// `Available` is true.
    pub const AVAILABLE: &str = "Available";
    /// `Available` is false.
    pub const UNAVAILABLE: &str = "Unavailable";
}

/// Reasons of a Component's other conditions.
pub mod component {
    /// `ProvisioningStarted` is true.
    pub const PRE_CHECK_SUCCEED: &str = "PreCheckSucceed";
    /// `Available` is true.
    pub const AVAILABLE: &str = "Available";
    /// `Available` is false for its phase.
    pub const PHASE_CHECK_FAIL: &str = "PhaseCheckFail";
    /// `Progressing` is false: nothing changes.
    pub const COMPLETED: &str = "Completed";
    /// `Progressing`: the workload is behind.
    pub const WORKLOAD_NOT_UPDATED: &str = "WorkloadNotUpdated";
    /// `Progressing`: pods are added.
    pub const SCALE_OUT: &str = "ScaleOut";
    /// `Progressing`: claims grow.
    pub const VOLUME_EXPANSION: &str = "VolumeExpansion";
    /// `Progressing`: the action after its making is not done; postReady waits for it.
    pub const POST_PROVISION: &str = "PostProvision";
    /// `Healthy` is true.
    pub const HEALTHY: &str = "Healthy";
    /// `Healthy` is false: some pod is not ready.
    pub const WORKLOAD_NOT_READY: &str = "WorkloadNotReady";
    /// `SystemAccountProvision` is false: not all accounts exist.
    pub const ACCOUNTS_IN_PROGRESS: &str = "InProgress";
    /// `SystemAccountProvision` is true.
    pub const ACCOUNTS_PROVISIONED: &str = "AllProvisioned";
}

/// Reasons of an `InstanceSet`'s other conditions.
pub mod instance_set {
    /// `InstanceReady` is true.
    pub const READY: &str = "Ready";
    /// `InstanceReady` is false.
    pub const NOT_READY: &str = "NotReady";
    /// `InstanceAvailable` is true.
    pub const AVAILABLE: &str = "Available";
    /// `InstanceAvailable` is false.
    pub const NOT_AVAILABLE: &str = "NotAvailable";
    /// An instance can not run; ours.
    pub const INSTANCE_FAILURE: &str = "InstanceFailure";
}

/// Reasons of an `OpsRequest`'s conditions.
pub mod ops_request {
    /// Waits for its turn.
    pub const WAIT_FOR_PROGRESSING: &str = "WaitForProgressing";
    /// The spec is valid.
    pub const VALIDATE_PASSED: &str = "ValidateOpsRequestPassed";
    /// A backup was started.
    pub const BACKUP_STARTED: &str = "BackupStarted";
    /// A restore was started.
    pub const RESTORE_STARTED: &str = "RestoreStarted";
    /// Done.
    pub const PROCESSED_SUCCESSFULLY: &str = "OpsRequestProcessedSuccessfully";
    /// This release does not run operations of this type; ours.
    pub const TYPE_NOT_SUPPORTED: &str = "OpsTypeNotSupported";
}
