//! `BackupPolicy`: what to back up, by which methods, into which repository.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method::BackupMethod;
use super::shared::{EncryptionConfig, Phase, RetentionPolicy};
use super::target::BackupTarget;
use crate::lenient::null_default;
use crate::schema;

/// Attempts after the first one, where a policy names none.
const DEFAULT_BACKOFF_LIMIT: i32 = 2;

/// What to back up, by which methods, into which repository.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "BackupPolicy",
    plural = "backuppolicies",
    shortname = "bp",
    category = "kubeblocks",
    namespaced,
    status = "BackupPolicyStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "What to back up, by which methods, into which repository.",
    printcolumn = r#"{"name":"BACKUP-REPO","type":"string","jsonPath":".spec.backupRepoName"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-validations" = schema::rule(
    "(has(self.target) && !has(self.targets)) || (has(self.targets) && !has(self.target))",
    "set exactly one of target and targets",
)))]
pub struct BackupPolicySpec {
    /// Repository; the default one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::NAME_PATTERN))]
    pub backup_repo_name: Option<String>,
    /// Directory below the namespace in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Attempts of a Job after the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 2, "minimum" = 0, "maximum" = 10))]
    pub backoff_limit: Option<i32>,
    /// The one target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<BackupTarget>,
    /// Several targets, each with a name.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<BackupTarget>,
    /// The methods.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub backup_methods: Vec<BackupMethod>,
    /// Store the data in a deduplicating repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub use_kopia: Option<bool>,
    /// Encryption of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_config: Option<EncryptionConfig>,
    /// Which backups expiry spares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<RetentionPolicy>,
}

lenient_spec!(BackupPolicySpec);

impl BackupPolicySpec {
    /// Attempts of a Job after the first one; default 2.
    pub fn backoff_limit(&self) -> i32 {
        self.backoff_limit.unwrap_or(DEFAULT_BACKOFF_LIMIT)
    }

    /// Whether data goes to a deduplicating repository; default false.
    pub fn use_kopia(&self) -> bool {
        self.use_kopia.unwrap_or_default()
    }

    /// The method of this name.
    pub fn method(&self, name: &str) -> Option<&BackupMethod> {
        self.backup_methods.iter().find(|method| method.name == name)
    }

    /// The targets in force for a method: its own target, its own targets, the policy's target,
    /// the policy's targets, in that order.
    pub fn targets_of<'a>(&'a self, method: &'a BackupMethod) -> &'a [BackupTarget] {
        match method.target.as_ref() {
            Some(target) => std::slice::from_ref(target),
            None if !method.targets.is_empty() => &method.targets,
            None => self.target.as_ref().map_or(&self.targets, std::slice::from_ref),
        }
    }
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupPolicyStatus {
    /// Whether it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
