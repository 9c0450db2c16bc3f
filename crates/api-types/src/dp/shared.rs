//! Types that several kinds use: actions, phases, parameters, schedules, time ranges.

use k8s_openapi::api::core::v1::SecretKeySelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_default;
use crate::retention::Retention;
use crate::schema;

wire_enum! {
    /// Whether an `ActionSet`, `BackupPolicy` or `BackupPolicyTemplate` can be used.
    closed Phase {
        /// Valid and usable.
        Available => "Available",
        /// Refused; the message says why.
        Unavailable => "Unavailable",
    }
}

wire_enum! {
    /// What the data of a backup is.
    closed BackupType = Full {
        /// Everything at one moment.
        Full => "Full",
        /// What changed since the parent.
        Incremental => "Incremental",
        /// What changed since the last full backup.
        Differential => "Differential",
        /// A running log archive, restorable to any time in its range.
        Continuous => "Continuous",
        /// A chosen part of the data.
        Selective => "Selective",
    }
}

wire_enum! {
    /// What a failing action means for its backup or restore.
    closed ActionErrorMode = Fail {
        /// Go on with the next action.
        Continue => "Continue",
        /// Fail as a whole.
        Fail => "Fail",
    }
}

wire_enum! {
    /// What happens to data or volumes when their object is deleted.
    closed DeletionPolicy = Delete {
        /// Delete them too.
        Delete => "Delete",
        /// Keep them.
        Retain => "Retain",
    }
}

wire_enum! {
    /// Which of a method's backups expiry spares.
    closed RetentionPolicy {
        /// Keep the newest completed backup of cluster, policy and method.
        RetainLatestBackup => "retainLatestBackup",
        /// Spare none.
        None => "none",
    }
}

wire_enum! {
    /// Cipher of a backup's data.
    closed EncryptionAlgorithm = Aes256Cfb {
        /// 128-bit key.
        Aes128Cfb => "AES-128-CFB",
        /// 192-bit key.
        Aes192Cfb => "AES-192-CFB",
        /// 256-bit key.
        Aes256Cfb => "AES-256-CFB",
    }
}

/// A command in a container of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobActionSpec {
    /// Image; `$(NAME)` is expanded from literal env values.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub image: String,
    /// Command and arguments.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub command: Vec<String>,
    /// Run beside the target pod, with its volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub run_on_target_pod_node: Option<bool>,
    /// What a failure means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Fail"))]
    pub on_error: Option<ActionErrorMode>,
}

impl JobActionSpec {
    /// Whether the pod shares node and volumes with the target pod; default false.
    pub fn run_on_target_pod_node(&self) -> bool {
        self.run_on_target_pod_node.unwrap_or_default()
    }

    /// What a failure means; default `Fail`.
    pub fn on_error(&self) -> ActionErrorMode {
        self.on_error.clone().unwrap_or_default()
    }
}

/// An image and a command, nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseJobActionSpec {
    /// Image; `$(NAME)` is expanded from literal env values.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub image: String,
    /// Command and arguments.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub command: Vec<String>,
}

/// A command inside a container of the target pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecActionSpec {
    /// Container; the first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Command and arguments.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1))]
    pub command: Vec<String>,
    /// What a failure means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Fail"))]
    pub on_error: Option<ActionErrorMode>,
    /// Go duration; zero or absent is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

impl ExecActionSpec {
    /// What a failure means; default `Fail`.
    pub fn on_error(&self) -> ActionErrorMode {
        self.on_error.clone().unwrap_or_default()
    }

    /// The time limit; `None` for zero, absent or unreadable text.
    pub fn timeout(&self) -> Option<std::time::Duration> {
        let limit = crate::duration::parse(self.timeout.as_deref()?).ok()?;
        std::time::Duration::try_from(limit).ok().filter(|limit| !limit.is_zero())
    }
}

/// One action: exactly one of the two is expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionSpec {
    /// Inside the target pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecActionSpec>,
    /// In a Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobActionSpec>,
}

/// A name and a value for an action, passed as an environment variable of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParameterPair {
    /// Name, as in the action set's schema.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Value as text, whatever its declared type.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub value: String,
}

/// When a method runs, and how long its backups are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulePolicy {
    /// Whether it runs at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Name; the method if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Method of the policy.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub backup_method: String,
    /// Five cron fields, UTC.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub cron_expression: String,
    /// How long backups are kept, such as `7d` or `1mo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "7d"))]
    pub retention_period: Option<String>,
    /// Parameters of the backups.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::parameters")]
    pub parameters: Vec<ParameterPair>,
}

impl SchedulePolicy {
    /// Whether it runs; default false.
    pub fn enabled(&self) -> bool {
        self.enabled.unwrap_or_default()
    }

    /// The name in force: `name`, else the method.
    pub fn name(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.backup_method)
    }

    /// Text of the retention in force; default `7d`.
    pub fn retention_period(&self) -> &str {
        self.retention_period.as_deref().unwrap_or(Retention::SCHEDULE_DEFAULT)
    }
}

/// Encryption of a backup's data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionConfig {
    /// Cipher.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("default" = "AES-256-CFB"))]
    pub algorithm: EncryptionAlgorithm,
    /// Where the pass phrase is.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, schema_with = "schema::core::secret_key_selector")]
    pub pass_phrase_secret_key_ref: SecretKeySelector,
}

/// The times a backup can restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupTimeRange {
    /// Offset for rendered times, such as `+08:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::TIME_ZONE_PATTERN))]
    pub time_zone: Option<String>,
    /// First moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Time>,
    /// Last moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Time>,
}
