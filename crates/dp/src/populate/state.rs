//! What the populator remembers on the claim itself, beside the conditions (design D5).

use super::rebind::{Attempt, Mode};
use api_types::contract::annotations;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

/// Stored in one annotation, written together with the conditions. It counts only for the claim of
/// its UID: annotations are copied by tools, identity is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// UID of the claim.
    pub uid: String,
    /// Attempt that is on, 0 before the first.
    #[serde(default)]
    pub attempt: Attempt,
    /// Whether the attempt only provisions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provision_only: bool,
    /// Why it only provisions, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why_empty: String,
    /// Retry token that was consumed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub retry: String,
}

impl State {
    /// What is stored on `claim` for its own UID; the default otherwise.
    pub fn of(claim: &PersistentVolumeClaim) -> Self {
        let uid = claim.uid().unwrap_or_default();
        let stored = claim.annotations().get(annotations::POPULATE_STATE);
        let parsed = stored.and_then(|text| serde_json::from_str::<Self>(text).ok());
        parsed.filter(|s| s.uid == uid).unwrap_or(State { uid, ..State::default() })
    }

    /// Mode of the attempt.
    pub fn mode(&self) -> Mode {
        if self.provision_only { Mode::ProvisionOnly } else { Mode::Data }
    }

    /// As the annotation holds it.
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
