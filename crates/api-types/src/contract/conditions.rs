//! Condition types.

/// Conditions of a claim, the answer of dp to apps.
pub mod claim {
    /// Always `True`; its reason says how far the volume is.
    pub const POPULATING: &str = "Populating";
    /// `True` restored, `Unknown` waiting, `False` failed.
    pub const RESTORE: &str = "Restore";
}

/// Conditions of a `Restore`.
pub mod restore {
    /// The repository can be used.
    pub const CHECK_BACKUP_REPO: &str = "CheckBackupRepo";
    /// The spec is valid.
    pub const VALIDATION_PASSED: &str = "ValidationPassed";
    /// Volumes are filled.
    pub const PREPARE_DATA: &str = "PrepareData";
    /// The started database is finished.
    pub const POST_READY: &str = "PostReady";
    /// Read, never set.
    pub const READINESS_PROBE: &str = "ReadinessProbe";
}

/// Conditions of a `Backup`; ours.
pub mod backup {
    /// `True` at work, `Unknown` waiting for what the reason names, `False` ended.
    pub const PROGRESSING: &str = "Progressing";
}

/// Conditions of a `BackupRepo`.
pub mod repo {
    /// The provider can be used.
    pub const STORAGE_PROVIDER_READY: &str = "StorageProviderReady";
    /// Parameters and credential are complete.
    pub const PARAMETERS_CHECKED: &str = "ParametersChecked";
    /// The storage class exists.
    pub const STORAGE_CLASS_CREATED: &str = "StorageClassCreated";
    /// The claim template renders.
    pub const PVC_TEMPLATE_CHECKED: &str = "PVCTemplateChecked";
    /// A Job wrote to and read from it.
    pub const PRE_CHECK_PASSED: &str = "PreCheckPassed";
    /// Nothing made from it is left.
    pub const DERIVED_OBJECTS_DELETED: &str = "DerivedObjectsDeleted";
    /// One key lies in several namespaces; ours.
    pub const SHARED_CREDENTIAL: &str = "SharedCredential";
    /// `False` while its storage class or claims were made from other parameters and cannot follow; ours.
    pub const PARAMETERS_APPLIED: &str = "ParametersApplied";
}

/// Conditions of a `StorageProvider`.
pub mod provider {
    /// The CSI driver is installed.
    pub const CSI_DRIVER_INSTALLED: &str = "CSIDriverInstalled";
}

/// Conditions of a Cluster.
pub mod cluster {
    /// The spec is valid and work began.
    pub const PROVISIONING_STARTED: &str = "ProvisioningStarted";
    /// Everything was applied.
    pub const APPLY_RESOURCES: &str = "ApplyResources";
    /// All components run.
    pub const READY: &str = "Ready";
    /// It can be used.
    pub const AVAILABLE: &str = "Available";
    /// As of a claim, over all components.
    pub const RESTORE: &str = super::claim::RESTORE;
}

/// On a Cluster, a Component or an OpsRequest: the spec asks for what is not served yet; ours.
pub const UNSUPPORTED: &str = "Unsupported";

/// Conditions of a Component.
pub mod component {
    /// The spec is valid and work began.
    pub const PROVISIONING_STARTED: &str = "ProvisioningStarted";
    /// It can be used.
    pub const AVAILABLE: &str = "Available";
    /// `True` while it changes; postReady waits for its reason `PostProvision` to go.
    pub const PROGRESSING: &str = "Progressing";
    /// Its pods are well.
    pub const HEALTHY: &str = "Healthy";
    /// Its accounts exist; the message lists them with hashes.
    pub const SYSTEM_ACCOUNT_PROVISION: &str = "SystemAccountProvision";
    /// As of a claim, over all claims.
    pub const RESTORE: &str = super::claim::RESTORE;
}

/// Conditions of an `InstanceSet`.
pub mod instance_set {
    /// All instances are ready.
    pub const INSTANCE_READY: &str = "InstanceReady";
    /// All instances are available.
    pub const INSTANCE_AVAILABLE: &str = "InstanceAvailable";
    /// Some instance failed.
    pub const INSTANCE_FAILURE: &str = "InstanceFailure";
    /// As of a claim, over all claims.
    pub const RESTORE: &str = super::claim::RESTORE;
}

/// Conditions of an `OpsRequest`.
pub mod ops_request {
    /// Waits for its turn.
    pub const WAIT_FOR_PROGRESSING: &str = "WaitForProgressing";
    /// The spec is valid.
    pub const VALIDATED: &str = "Validated";
    /// A backup, or a restore, was started.
    pub const BACKUP: &str = "Backup";
    /// Done.
    pub const SUCCEED: &str = "Succeed";
    /// Given up.
    pub const FAILED: &str = "Failed";
    /// Called off.
    pub const CANCELLED: &str = "Cancelled";
}

/// Text of `status` in every condition.
pub mod status {
    /// It holds.
    pub const TRUE: &str = "True";
    /// It does not hold, for good.
    pub const FALSE: &str = "False";
    /// Not known yet.
    pub const UNKNOWN: &str = "Unknown";
}
