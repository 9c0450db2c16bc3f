//! The claim of a mounted repository, from the provider's template. Pure.

use super::names::digest_of;
use super::render::{Dot, render};
use api_types::contract::{annotations, labels};
use api_types::dp::{BackupRepo, StorageProvider};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Size asked for where the repository names none.
const DEFAULT_CAPACITY: &str = "20Gi";

#[derive(Default, Deserialize)]
struct Rendered {
    #[serde(default)]
    metadata: Option<RenderedMeta>,
    #[serde(default)]
    spec: Option<PersistentVolumeClaimSpec>,
}

#[derive(Default, Deserialize)]
struct RenderedMeta {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// What a claim of the repository is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimTemplate {
    /// Labels of the template.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the template.
    pub annotations: BTreeMap<String, String>,
    /// With the wire's defaults.
    pub spec: PersistentVolumeClaimSpec,
}

impl ClaimTemplate {
    /// Changes with what a claim is made from.
    pub fn digest(&self) -> String {
        digest_of(&(&self.labels, &self.annotations, &self.spec))
    }
}

/// The provider's template, or a claim of the generated class, with the wire's defaults: `ReadWriteMany`,
/// `Filesystem`, the repository's size.
///
/// # Errors
/// What the template engine or the decoder says.
pub fn template(repo: &BackupRepo, provider: &StorageProvider, dot: &Dot) -> Result<ClaimTemplate, String> {
    let text = provider.spec.persistent_volume_claim_template.as_deref().unwrap_or_default();
    let rendered = if text.trim().is_empty() {
        let of_class = PersistentVolumeClaimSpec {
            storage_class_name: Some(dot.class.clone()),
            ..PersistentVolumeClaimSpec::default()
        };
        Rendered { spec: Some(of_class), metadata: None }
    } else {
        let text = render("persistentVolumeClaimTemplate", text, dot).map_err(|e| e.to_string())?;
        serde_saphyr::from_str(&text).map_err(|e| e.to_string())?
    };
    let mut spec = rendered.spec.unwrap_or_default();
    if spec.access_modes.as_ref().is_none_or(Vec::is_empty) {
        spec.access_modes = Some(vec!["ReadWriteMany".into()]);
    }
    spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
    let size = repo.spec.volume_capacity.clone().unwrap_or_else(|| Quantity(DEFAULT_CAPACITY.into()));
    let requests = spec.resources.get_or_insert_default().requests.get_or_insert_default();
    requests.entry("storage".into()).or_insert(size);
    let meta = rendered.metadata.unwrap_or_default();
    Ok(ClaimTemplate {
        labels: meta.labels.unwrap_or_default(),
        annotations: meta.annotations.unwrap_or_default(),
        spec,
    })
}

/// A claim of the repository in `namespace`.
pub fn build(
    repo: &BackupRepo,
    name: &str,
    namespace: &str,
    template: &ClaimTemplate,
    digest: &str,
) -> PersistentVolumeClaim {
    let mut labels = template.labels.clone();
    labels.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_DP.into());
    labels.insert(labels::BACKUP_REPO_NAME.into(), repo.name_any());
    let mut notes = template.annotations.clone();
    notes.insert(annotations::BACKUP_REPO_DIGEST.into(), digest.into());
    notes.insert(annotations::APPLIED.into(), template.digest());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            labels: Some(labels),
            annotations: Some(notes),
            owner_references: repo.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec.clone()),
        status: None,
    }
}
