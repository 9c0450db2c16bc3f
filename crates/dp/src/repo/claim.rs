//! The claim of a mounted repository, from the provider's template. Pure.

use super::render::render;
use crate::error::Stop;
use api_types::contract::reasons::repo as reasons;
use api_types::contract::{annotations, labels};
use api_types::dp::{BackupRepo, StorageProvider};
use controller_kit::names;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Size asked for where the repository names none.
const DEFAULT_CAPACITY: &str = "20Gi";

#[derive(Deserialize)]
struct Rendered {
    #[serde(default)]
    spec: Option<PersistentVolumeClaimSpec>,
}

/// Defaults of the provider's schema, then the repository's `config`; later wins. All values are
/// texts, as templates see them.
pub fn parameters(repo: &BackupRepo, provider: &StorageProvider) -> BTreeMap<String, String> {
    let schema = provider.spec.parameters_schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    let properties = schema.and_then(|s| s.get("properties")).and_then(serde_json::Value::as_object);
    let defaults = properties.into_iter().flatten().filter_map(|(key, property)| {
        let value = property.get("default")?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((key.clone(), text))
    });
    let mut all: BTreeMap<String, String> = defaults.collect();
    all.extend(repo.spec.config.clone());
    all
}

/// The first parameter the provider requires and the repository lacks.
pub fn missing_parameter(provider: &StorageProvider, given: &BTreeMap<String, String>) -> Option<String> {
    let schema = provider.spec.parameters_schema.as_ref()?.open_api_v3_schema.as_ref()?;
    let required = schema.get("required")?.as_array()?;
    let names = required.iter().filter_map(serde_json::Value::as_str);
    names.filter(|name| given.get(*name).is_none_or(String::is_empty)).map(str::to_owned).next()
}

/// The claim's spec, with the wire's defaults: `ReadWriteMany`, `Filesystem`, the repository's size.
///
/// # Errors
/// Terminal `BadPVCTemplate` with what the template engine or the decoder says.
pub fn spec(
    repo: &BackupRepo,
    provider: &StorageProvider,
    parameters: &BTreeMap<String, String>,
) -> Result<PersistentVolumeClaimSpec, Stop> {
    let name = provider.name_any();
    let bad = |why: String| {
        Stop::terminal(
            reasons::BAD_PVC_TEMPLATE,
            format!("StorageProvider {name}: persistentVolumeClaimTemplate: {why}"),
        )
    };
    let template = provider.spec.persistent_volume_claim_template.as_deref().unwrap_or_default();
    let text = render("persistentVolumeClaimTemplate", template, parameters).map_err(|e| bad(e.to_string()))?;
    let rendered: Rendered = serde_saphyr::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let mut spec = rendered.spec.unwrap_or_default();
    spec.access_modes.get_or_insert_with(|| vec!["ReadWriteMany".into()]);
    spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
    let size = repo.spec.volume_capacity.clone().unwrap_or_else(|| Quantity(DEFAULT_CAPACITY.into()));
    let requests = spec.resources.get_or_insert_default().requests.get_or_insert_default();
    requests.entry("storage".into()).or_insert(size);
    Ok(spec)
}

/// `pvc-<repo>-<6 digits>`: the same for the same repository object, so that a crash makes no second.
pub fn name(repo: &BackupRepo) -> String {
    let digest = hex::encode(Sha256::digest(repo.uid().unwrap_or_default()));
    format!("pvc-{}-{}", names::cut(&repo.name_any(), 52), digest.get(..6).unwrap_or_default())
}

/// A claim of the repository in `namespace`.
pub fn build(
    repo: &BackupRepo,
    name: &str,
    namespace: &str,
    spec: PersistentVolumeClaimSpec,
    digest: &str,
) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            labels: Some(BTreeMap::from([
                (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
                (labels::BACKUP_REPO_NAME.to_owned(), repo.name_any()),
            ])),
            annotations: Some(BTreeMap::from([(annotations::BACKUP_REPO_DIGEST.to_owned(), digest.to_owned())])),
            owner_references: repo.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// Changes with the parameters and the provider's templates.
pub fn digest(provider: &StorageProvider, parameters: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (key, value) in parameters {
        hash.update(format!("{key}={value};"));
    }
    let spec = &provider.spec;
    for template in [
        &spec.storage_class_template,
        &spec.persistent_volume_claim_template,
        &spec.csi_driver_secret_template,
        &spec.datasafed_config_template,
    ] {
        hash.update(template.as_deref().unwrap_or_default());
        hash.update([0]);
    }
    hex::encode(hash.finalize()).get(..32).unwrap_or_default().to_owned()
}
