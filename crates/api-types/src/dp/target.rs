//! What is backed up: target pods, their selectors and credentials.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// How many of the selected pods take part.
    closed PodSelectionStrategy = Any {
        /// One available pod.
        Any => "Any",
        /// Every pod.
        All => "All",
    }
}

/// A label selector with a rule for choosing among its pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct PodSelector {
    /// Labels that must be equal.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::match_expressions")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// Tried when the selector finds no available pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::label_selector")]
    pub fallback_label_selector: Option<LabelSelector>,
    /// One pod or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Any"))]
    pub strategy: Option<PodSelectionStrategy>,
    /// Use the pods of the parent backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_parent_selected_pods: Option<bool>,
}

impl PodSelector {
    /// One pod or all; default `Any`.
    pub fn strategy(&self) -> PodSelectionStrategy {
        self.strategy.clone().unwrap_or_default()
    }

    /// Whether the parent's pods are used; default false.
    pub fn use_parent_selected_pods(&self) -> bool {
        self.use_parent_selected_pods.unwrap_or_default()
    }

    /// The plain label selector inside.
    pub fn label_selector(&self) -> LabelSelector {
        LabelSelector {
            match_labels: (!self.match_labels.is_empty()).then(|| self.match_labels.clone()),
            match_expressions: (!self.match_expressions.is_empty()).then(|| self.match_expressions.clone()),
        }
    }
}

/// Where the credentials of the database are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionCredential {
    /// Secret in the namespace of the target.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("pattern" = schema::NAME_PATTERN))]
    pub secret_name: String,
    /// Key of the user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "username"))]
    pub username_key: Option<String>,
    /// Key of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "password"))]
    pub password_key: Option<String>,
    /// Key of the host; the target pod if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// Key of the port; the target's port if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_key: Option<String>,
}

impl ConnectionCredential {
    /// Key of the user name; default `username`.
    pub fn username_key(&self) -> &str {
        self.username_key.as_deref().unwrap_or("username")
    }

    /// Key of the password; default `password`.
    pub fn password_key(&self) -> &str {
        self.password_key.as_deref().unwrap_or("password")
    }
}

/// The port that `DP_DB_PORT` carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// Container of the target pod.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub container_name: String,
    /// Name of its port.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub port_name: String,
}

/// Kubernetes objects of the target; accepted, without effect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeResources {
    /// Selector of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::label_selector")]
    pub selector: Option<LabelSelector>,
    /// Resources taken.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<String>,
    /// Resources left out.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
}

macro_rules! backup_target {
    ($(#[$meta:meta])* $name:ident { $($extra:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Name; required and unique within a list of targets.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub name: Option<String>,
            /// Which pods.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub pod_selector: Option<PodSelector>,
            /// Credentials of the database.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub connection_credential: Option<ConnectionCredential>,
            /// Kubernetes objects; accepted, without effect.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub resources: Option<KubeResources>,
            /// Service account of the backup's pods; the worker's if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub service_account_name: Option<String>,
            /// Port of the database; the first one if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub container_port: Option<ContainerPort>,
            $($extra)*
        }

        impl $name {
            /// The name, empty if absent.
            pub fn name(&self) -> &str {
                self.name.as_deref().unwrap_or_default()
            }

            /// One pod or all; default `Any`.
            pub fn strategy(&self) -> PodSelectionStrategy {
                self.pod_selector.as_ref().map(PodSelector::strategy).unwrap_or_default()
            }
        }
    };
}

backup_target! {
    /// A target as a policy or method names it.
    BackupTarget {}
}

backup_target! {
    /// A target as a backup recorded it, with the pods it chose.
    BackupStatusTarget {
        /// Names of the chosen pods.
        #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
        pub selected_target_pods: Vec<String>,
    }
}

impl From<BackupTarget> for BackupStatusTarget {
    fn from(target: BackupTarget) -> Self {
        let BackupTarget { name, pod_selector, connection_credential, resources, service_account_name, container_port } =
            target;
        Self {
            name,
            pod_selector,
            connection_credential,
            resources,
            service_account_name,
            container_port,
            selected_target_pods: Vec::new(),
        }
    }
}
