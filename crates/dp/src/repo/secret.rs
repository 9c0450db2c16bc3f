//! Secrets made from a repository. Pure.

use super::names::digest_of;
use super::parameters::Texts;
use api_types::contract::{annotations, labels, pods};
use api_types::dp::BackupRepo;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A Secret of the repository, as it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its content.
    pub data: Texts,
    /// It is the mover's configuration.
    pub is_configuration: bool,
}

impl Wanted {
    /// The mover's configuration.
    pub fn configuration(namespace: &str, name: &str, text: String) -> Self {
        Wanted {
            namespace: namespace.into(),
            name: name.into(),
            data: BTreeMap::from([(pods::FILE_DATASAFED_CONFIG.to_owned(), text)]),
            is_configuration: true,
        }
    }

    /// Changes with its content.
    pub fn digest(&self) -> String {
        digest_of(&self.data)
    }

    /// What is applied; `uid` is that of the Secret that is there.
    pub fn body(&self, repo: &BackupRepo, digest: &str, uid: Option<String>) -> Value {
        let mut labels = BTreeMap::from([
            (labels::MANAGED_BY, labels::MANAGED_BY_DP.to_owned()),
            (labels::BACKUP_REPO_NAME, repo.name_any()),
        ]);
        if self.is_configuration {
            labels.insert(labels::IS_TOOL_CONFIG, labels::TRUE.into());
        }
        let data: BTreeMap<&String, k8s_openapi::ByteString> =
            self.data.iter().map(|(key, text)| (key, k8s_openapi::ByteString(text.clone().into_bytes()))).collect();
        let mut metadata = json!({
            "name": self.name, "namespace": self.namespace, "labels": labels,
            "annotations": {annotations::BACKUP_REPO_DIGEST: digest, annotations::APPLIED: self.digest()},
            "ownerReferences": repo.controller_owner_ref(&()).map(|o| vec![o]),
        });
        if let (Some(uid), Some(fields)) = (uid, metadata.as_object_mut()) {
            fields.insert("uid".into(), uid.into());
        }
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data})
    }
}
