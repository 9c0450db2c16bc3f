//! What travels with an action for the wrapper to save it: the Backup, beside the data (contract-dp §10.7), and the
//! ActionSet, in the manifest of the backup (design D22).

use crate::action::env::literal;
use api_types::contract::{annotations, pods};
use api_types::dp::{ActionSet, Backup};
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, EnvVar, ObjectFieldSelector, Volume};
use mover_protocol::env;
use std::collections::BTreeMap;

/// Where the objects are mounted for the wrapper.
pub const DIR: &str = "/holdfast";
const BACKUP_FILE: &str = "backup.json";
const ACTIONS_FILE: &str = "actions.json";
/// Largest objects that travel as annotations; the limit of all annotations is 256 KiB.
const LIMIT: usize = 200 * 1024;

/// What travels with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    backup: String,
    actions: Option<String>,
}

impl Saved {
    /// The Backup as it is while its action runs, and the ActionSet where there is room for it; `None` where there is
    /// not even room for the Backup.
    pub fn of(backup: &Backup, actions: Option<&ActionSet>) -> Option<Self> {
        let backup = object(backup)?;
        let actions = actions.and_then(action_set).filter(|text| text.len() + backup.len() <= LIMIT);
        Some(Self { backup, actions })
    }

    /// Annotations of the pod.
    pub fn notes(&self) -> BTreeMap<String, String> {
        let actions = self.actions.iter().map(|text| (annotations::ACTION_SET.to_owned(), text.clone()));
        actions.chain([(annotations::BACKUP_OBJECT.to_owned(), self.backup.clone())]).collect()
    }

    /// Tells the wrapper where they are, and where the manifest goes.
    pub fn env(&self, manifests: &str) -> Vec<EnvVar> {
        let mut all = vec![literal(env::BACKUP_OBJECT_FILE, format!("{DIR}/{BACKUP_FILE}"))];
        all.extend(self.actions.iter().map(|_| literal(env::ACTION_SET_FILE, format!("{DIR}/{ACTIONS_FILE}"))));
        all.push(literal(env::MANIFEST_DIR, manifests));
        all
    }

    /// The volume that brings them to the pod.
    pub fn volume(&self) -> Volume {
        let actions = self.actions.iter().map(|_| file(ACTIONS_FILE, annotations::ACTION_SET));
        let items = [file(BACKUP_FILE, annotations::BACKUP_OBJECT)].into_iter().chain(actions).collect();
        Volume {
            name: pods::VOLUME_BACKUP_OBJECT.into(),
            downward_api: Some(DownwardAPIVolumeSource { items: Some(items), ..DownwardAPIVolumeSource::default() }),
            ..Volume::default()
        }
    }
}

fn action_set(actions: &ActionSet) -> Option<String> {
    let object = serde_json::json!({
        "apiVersion": api_types::dp::API_VERSION, "kind": "ActionSet",
        "metadata": {"name": actions.metadata.name, "generation": actions.metadata.generation}, "spec": actions.spec,
    });
    serde_json::to_string(&object).ok()
}

fn object(backup: &Backup) -> Option<String> {
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

fn file(path: &str, annotation: &str) -> DownwardAPIVolumeFile {
    DownwardAPIVolumeFile {
        path: path.into(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{annotation}']"),
            api_version: None,
        }),
        ..DownwardAPIVolumeFile::default()
    }
}
