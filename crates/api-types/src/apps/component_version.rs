//! `ComponentVersion`: releases of a database and their images.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::DefinitionPhase;
use crate::lenient::null_default;
use crate::schema;

/// Releases of a database and their images.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kubeblocks.io",
    version = "v1",
    kind = "ComponentVersion",
    plural = "componentversions",
    shortname = "cmpv",
    category = "kubeblocks",
    status = "ComponentVersionStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Releases of a database and their images.",
    printcolumn = r#"{"name":"Versions","type":"string","jsonPath":".status.serviceVersions"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ComponentVersionSpec {
    /// Which releases fit which definitions.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1, max = 128))]
    pub compatibility_rules: Vec<CompatibilityRule>,
    /// The releases.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1, max = 128))]
    pub releases: Vec<ComponentVersionRelease>,
}

lenient_spec!(ComponentVersionSpec);

/// Releases that fit definitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompatibilityRule {
    /// Definitions: exact names, prefixes or expressions.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1, max = 128))]
    pub comp_defs: Vec<String>,
    /// Names of releases.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1, max = 128))]
    pub releases: Vec<String>,
}

/// One release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVersionRelease {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 32))]
    pub name: String,
    /// What is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub changes: Option<String>,
    /// Version of the database.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 32))]
    pub service_version: String,
    /// Images by container or action.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(
        !default,
        extend("maxProperties" = 128, "x-kubernetes-validations" = schema::rule(IMAGES_RULE, IMAGES_MESSAGE)),
    )]
    pub images: BTreeMap<String, String>,
}

const IMAGES_RULE: &str = "self.all(key, size(key) <= 32) && self.all(key, size(self[key]) <= 256)";
const IMAGES_MESSAGE: &str = "a name may have 32 characters, an image 256";

/// Whether the releases can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVersionStatus {
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DefinitionPhase>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// All versions, comma separated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_versions: Option<String>,
}
