//! Configuration and script templates, and what a user supplies for them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMapVolumeSource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::Action;
use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

/// A ConfigMap of templates that is rendered and mounted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileTemplate {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 63), extend("pattern" = schema::NAME_PATTERN))]
    pub name: String,
    /// `ConfigMap` with the templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = schema::NAME_PATTERN))]
    pub template: Option<String>,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("default" = "default", "pattern" = schema::NAMESPACE_PATTERN))]
    pub namespace: Option<String>,
    /// Volume the result is mounted as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = schema::SERVICE_NAME_PATTERN))]
    pub volume_name: Option<String>,
    /// Mode of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// Variables of the templates.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<TemplateVariable>,
    /// Whether somebody else renders it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_managed: Option<bool>,
    /// Whether a changed file restarts the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_on_file_change: Option<bool>,
    /// Applies a changed file; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfigure: Option<Open<Action>>,
}

impl FileTemplate {
    /// Namespace of the templates; default `default`.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// Whether somebody else renders it; default false.
    pub fn external_managed(&self) -> bool {
        self.external_managed.unwrap_or_default()
    }
}

/// A variable of templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateVariable {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Value where the user gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
}

/// What a user supplies for a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterComponentConfig {
    /// Name of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("pattern" = schema::NAME_PATTERN))]
    pub name: Option<String>,
    /// Values of its variables.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Rendered files, instead of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pod::config_map_volume")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// Digest of the files, where somebody else manages them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// Whether a change restarts the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<bool>,
    /// Whether a change is applied to running pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfigure: Option<bool>,
    /// How; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfigure_action: Option<Open<Action>>,
    /// Arguments, one list for each call.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub reconfigure_args: Vec<Vec<String>>,
    /// Whether somebody else renders it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_managed: Option<bool>,
}
