//! Parts of a `ComponentDefinition`: volumes, roles, rights, needs, metrics, availability.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// Scheme of the metrics.
    closed ScrapeScheme {
        /// Plain.
        Http => "http",
        /// With TLS.
        Https => "https",
    }
}

/// A volume with data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVolume {
    /// Name in the pod.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Whether backups by snapshot include it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub need_snapshot: Option<bool>,
    /// Percent of use at which writes stop; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::percent", extend("default" = 0))]
    pub high_watermark: Option<i64>,
}

/// Ports on the node's network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostNetwork {
    /// Ports by container.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub container_ports: Vec<HostNetworkContainerPort>,
}

/// Ports of one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostNetworkContainerPort {
    /// Container.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub container: String,
    /// Names of ports.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1))]
    pub ports: Vec<String>,
}

/// A log file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogConfig {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 128))]
    pub name: String,
    /// Pattern of paths.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 4096))]
    pub file_path_pattern: String,
}

/// Where certificates are mounted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefinitionTls {
    /// Volume.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub volume_name: String,
    /// Where.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub mount_path: String,
    /// Mode of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_mode: Option<i32>,
    /// File of the authority's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// File of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<String>,
    /// File of the private key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
}

/// A role of pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaRole {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 32), extend("pattern" = schema::ROLE_PATTERN))]
    pub name: String,
    /// The higher, the later it is updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::plain_integer", extend("default" = 0))]
    pub update_priority: Option<i64>,
    /// Whether it votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub participates_in_quorum: Option<bool>,
    /// Whether only one pod can have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub is_exclusive: Option<bool>,
}

impl ReplicaRole {
    /// The higher, the later it is updated; default 0.
    pub fn update_priority(&self) -> i64 {
        self.update_priority.unwrap_or_default()
    }

    /// Whether it votes; default false.
    pub fn participates_in_quorum(&self) -> bool {
        self.participates_in_quorum.unwrap_or_default()
    }

    /// Whether only one pod can have it; default false.
    pub fn is_exclusive(&self) -> bool {
        self.is_exclusive.unwrap_or_default()
    }
}

/// What pods may do in the namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// API groups.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Resources.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names; all if empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources.
    #[serde(
        rename = "nonResourceURLs",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub non_resource_urls: Vec<String>,
    /// Verbs.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub verbs: Vec<String>,
}

/// A service outside that the component needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRefDeclaration {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// What fits.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub service_ref_declaration_specs: Vec<ServiceRefDeclarationSpec>,
    /// Whether it works without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A kind of service that fits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRefDeclarationSpec {
    /// Kind.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub service_kind: String,
    /// Version, or an expression.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub service_version: String,
}

/// Metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exporter {
    /// Container that serves them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_path: Option<String>,
    /// Port, number or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_port: Option<String>,
    /// Scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_scheme: Option<ScrapeScheme>,
}

/// When a component counts as available.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentAvailable {
    /// In these phases, comma separated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_phases: Option<String>,
    /// When a pod has this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_role: Option<String>,
    /// By the results of a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_probe: Option<AvailableProbe>,
}

/// Results of a probe that mean available.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AvailableProbe {
    /// Seconds that are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_window_seconds: Option<i32>,
    /// Expression over the results; not judged by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Open<Value>>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
