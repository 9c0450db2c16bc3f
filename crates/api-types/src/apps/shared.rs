//! Types that several apps kinds use: phases, environment, claims, ordinals, instances, placement.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, PersistentVolumeClaimSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::{null_default, with_quantities};
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// What deleting a Cluster takes with it.
    closed TerminationPolicy = DoNotTerminate {
        /// Deletion is refused.
        DoNotTerminate => "DoNotTerminate",
        /// Workloads and volumes go, backups stay.
        Delete => "Delete",
        /// Backups go too.
        WipeOut => "WipeOut",
    }
}

wire_enum! {
    /// Where a Component, or a sharding as a whole, is in its life.
    closed ComponentPhase {
        /// Being made for the first time.
        Creating => "Creating",
        /// Being taken away.
        Deleting => "Deleting",
        /// Changing to a new spec.
        Updating => "Updating",
        /// Its pods are going.
        Stopping => "Stopping",
        /// Its pods are coming back.
        Starting => "Starting",
        /// As its spec says, and available.
        Running => "Running",
        /// No pods, on purpose.
        Stopped => "Stopped",
        /// Needs a look.
        Failed => "Failed",
    }
}

wire_enum! {
    /// Whether a definition or version can be used.
    closed DefinitionPhase {
        /// Valid and usable.
        Available => "Available",
        /// Refused; the message says why.
        Unavailable => "Unavailable",
    }
}

wire_enum! {
    /// In which order members are updated.
    closed UpdateStrategy = Serial {
        /// One after the other, leaders last.
        Serial => "Serial",
        /// As many at once as keep the quorum.
        BestEffortParallel => "BestEffortParallel",
        /// All at once.
        Parallel => "Parallel",
    }
}

wire_enum! {
    /// In which order pods are made.
    open PodManagementPolicy = OrderedReady {
        /// The next one when the one before is available.
        OrderedReady => "OrderedReady",
        /// All at once.
        Parallel => "Parallel",
    }
}

wire_enum! {
    /// What happens to a claim that nobody uses any more.
    closed VolumeRetention = Delete {
        /// It stays.
        Retain => "Retain",
        /// It goes.
        Delete => "Delete",
    }
}

/// One environment variable; its source is open, for sources newer clusters know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvEntry {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Literal value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Source of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<Open<EnvVarSource>>,
}

impl EnvEntry {
    /// The entry as a container takes it.
    ///
    /// # Errors
    /// When `valueFrom` is not readable as a source.
    pub fn to_env_var(&self) -> Result<EnvVar, serde_json::Error> {
        let value_from = self.value_from.as_ref().map(Open::get).transpose()?;
        Ok(EnvVar { name: self.name.clone(), value: self.value.clone(), value_from })
    }
}

/// A claim for each pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaimTemplate {
    /// Name, also of the volume in the pod.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Prefix of the claim's name, instead of name and workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_name: Option<String>,
    /// Labels of the claims.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the claims.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Spec of the claims.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::claim_spec")]
    pub spec: Option<PersistentVolumeClaimSpec>,
}

/// What happens to claims of pods that go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRetentionPolicy {
    /// With the whole workload; default `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<VolumeRetention>,
    /// By scaling in; default `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_scaled: Option<VolumeRetention>,
}

impl ClaimRetentionPolicy {
    /// What happens with the whole workload.
    pub fn when_deleted(&self) -> VolumeRetention {
        self.when_deleted.clone().unwrap_or_default()
    }

    /// What happens by scaling in.
    pub fn when_scaled(&self) -> VolumeRetention {
        self.when_scaled.clone().unwrap_or_default()
    }
}
