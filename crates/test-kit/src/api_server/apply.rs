//! Applies YAML: namespaces and CRDs first, then, once the CRDs are served, the rest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value;

use super::ApiServer;
use crate::wait::{eventually, watch_until};

const PATIENCE: Duration = Duration::from_secs(20);

impl ApiServer {
    /// Server-side applies every document of every `.yaml`, `.yml` and `.json` file of a directory (not of its
    /// subdirectories), in the order of their names but namespaces and CRDs first. Returns when the CRDs are served.
    pub async fn apply_dir(&self, dir: impl AsRef<Path>) {
        let dir = dir.as_ref();
        let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("read {}: {e}", dir.display()));
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("a directory entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{} holds no YAML", dir.display());
        let documents = files.iter().flat_map(|file| documents_of(file)).collect();
        self.apply_documents(documents).await;
    }

    /// As [`apply_dir`](Self::apply_dir), for one file.
    pub async fn apply_file(&self, file: impl AsRef<Path>) {
        self.apply_documents(documents_of(file.as_ref())).await;
    }

    /// As [`apply_dir`](Self::apply_dir), for a text of one or more documents.
    pub async fn apply_yaml(&self, text: &str) {
        self.apply_documents(parse(text, "YAML text")).await;
    }

    async fn apply_documents(&self, documents: Vec<Value>) {
        let client = self.client();
        let (first, rest): (Vec<Value>, Vec<Value>) = documents
            .into_iter()
            .partition(|d| matches!(d["kind"].as_str(), Some("Namespace" | "CustomResourceDefinition")));
        for document in &first {
            apply(&client, document).await;
        }
        for name in first.iter().filter(|d| d["kind"] == "CustomResourceDefinition").map(|d| &d["metadata"]["name"]) {
            until_established(&client, name.as_str().expect("a CRD has a name")).await;
        }
        for document in &rest {
            apply(&client, document).await;
        }
    }
}

fn documents_of(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()));
    parse(&text, &file.display().to_string())
}

/// The documents of a YAML text, Lists unfolded, empty ones left out.
fn parse(text: &str, origin: &str) -> Vec<Value> {
    let documents: Vec<Option<Value>> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{origin} is not YAML: {e}"));
    let unfold = |document: Value| match document.get("items").and_then(Value::as_array) {
        Some(items) if document["kind"] == "List" => items.clone(),
        _ => vec![document],
    };
    documents.into_iter().flatten().filter(|d| !d.is_null()).flat_map(unfold).collect()
}

/// Server-side applies one document, to its own namespace or `default`.
async fn apply(client: &Client, document: &Value) {
    let object: DynamicObject =
        serde_json::from_value(document.clone()).unwrap_or_else(|e| panic!("not a Kubernetes object: {e}: {document}"));
    let types = object.types.clone().unwrap_or_else(|| panic!("no apiVersion and kind: {document}"));
    let name = object.metadata.name.clone().unwrap_or_else(|| panic!("no name: {document}"));
    let gvk = GroupVersionKind::try_from(&types).unwrap_or_else(|e| panic!("{types:?}: {e}"));
    // A CRD that is established may still be missing from discovery for a moment.
    let (resource, capabilities) = eventually(PATIENCE, &format!("{gvk:?} is served"), async || {
        pinned_kind(client, &gvk).await.map_err(|e| e.to_string())
    })
    .await;
    let api: Api<DynamicObject> = if capabilities.scope == Scope::Cluster {
        Api::all_with(client.clone(), &resource)
    } else {
        let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
        Api::namespaced_with(client.clone(), namespace, &resource)
    };
    let result = api.patch(&name, &PatchParams::apply("test-kit").force(), &Patch::Apply(document)).await;
    result.unwrap_or_else(|e| panic!("apply {} {name}: {e}", types.kind));
}

async fn until_established(client: &Client, name: &str) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    watch_until(&crds, name, PATIENCE, |crd| {
        let conditions = crd.status.iter().flat_map(|s| s.conditions.iter().flatten());
        conditions.into_iter().any(|c| c.type_ == "Established" && c.status == "True")
    })
    .await;
}
