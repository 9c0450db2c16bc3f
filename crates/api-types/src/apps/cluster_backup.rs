//! How a `Cluster` is backed up, and where its data came from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_default;

/// Rules over the whole object, since only there both spec and status can be seen.
///
/// A transition rule on an optional field does not run when the field comes or goes.
pub const CLUSTER_RULES: [(&str, &str); 2] = [
    (
        "!(has(self.spec) && has(self.spec.restore)) || (has(oldSelf.spec) && has(oldSelf.spec.restore))",
        "spec.restore cannot be added to an existing Cluster",
    ),
    (
        "!(has(oldSelf.spec) && has(oldSelf.spec.restore)) || (has(self.spec) && has(self.spec.restore)) || \
         (has(oldSelf.status) && has(oldSelf.status.conditions) && \
         oldSelf.status.conditions.exists(c, c.type == 'Restore' && c.status == 'True'))",
        "spec.restore can be removed only when the condition Restore is True",
    ),
];

/// How a Cluster is backed up; read by dp only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBackup {
    /// Whether it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub enabled: Option<bool>,
    /// How long backups are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "7d"))]
    pub retention_period: Option<String>,
    /// Method of the policy.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub method: String,
    /// Five cron fields, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_expression: Option<String>,
    /// Minutes a missed run may be late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1440))]
    pub starting_deadline_minutes: Option<i64>,
    /// Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_name: Option<String>,
    /// Whether logs are archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub pitr_enabled: Option<bool>,
    /// Method that archives logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuous_method: Option<String>,
    /// Whether increments are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub incremental_backup_enabled: Option<bool>,
    /// Five cron fields of the increments, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental_cron_expression: Option<String>,
}

/// Where the data of a new Cluster comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRestore {
    /// The object to restore from.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub source: RestoreSource,
    /// Moment to restore, UTC; passed on as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitr: Option<String>,
    /// Parameters of the restore, settings of dp included; passed on as they are.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// The object to restore from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSource {
    /// Its API group.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1))]
    pub api_group: String,
    /// Its kind.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1))]
    pub kind: String,
    /// Its name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1))]
    pub name: String,
    /// Its namespace; that of the Cluster if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
