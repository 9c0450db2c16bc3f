//! The Backup object that travels with its action, for the wrapper to save it beside the data (contract-dp §10.7).

use api_types::contract::{annotations, pods};
use api_types::dp::Backup;
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, ObjectFieldSelector, Volume};

/// Where the object is mounted for the wrapper.
pub const DIR: &str = "/holdfast";
/// The file in it.
pub const FILE: &str = "backup.json";
/// Largest object that travels as an annotation; the limit of all annotations is 256 KiB.
const LIMIT: usize = 200 * 1024;

/// The Backup as JSON, as it is while its action runs; the wrapper pushes it into the repository.
pub fn object(backup: &Backup) -> Option<String> {
    let mut object = backup.clone();
    object.metadata.managed_fields = None;
    let notes = object.metadata.annotations.get_or_insert_default();
    notes.remove("kubectl.kubernetes.io/last-applied-configuration");
    notes.remove(annotations::ENCRYPTED_SYSTEM_ACCOUNTS); // the cache knows only that it is there
    if let Some(status) = &mut object.status {
        // The scripts of the ActionSet are in the manifest of the backup, not here.
        super::super::inputs::ended(&mut status.inputs);
    }
    let text = serde_json::to_string(&object).ok()?;
    (text.len() <= LIMIT).then_some(text)
}

/// The volume that brings it to the pod.
pub fn volume() -> Volume {
    Volume {
        name: pods::VOLUME_BACKUP_OBJECT.into(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![DownwardAPIVolumeFile {
                path: FILE.into(),
                field_ref: Some(ObjectFieldSelector {
                    field_path: format!("metadata.annotations['{}']", annotations::BACKUP_OBJECT),
                    api_version: None,
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}
