//! CRDs and manifests against a real API server: it is the judge of what they accept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use crate::groups;
use crate::manifests::{self, Manifest};

/// Which API server.
#[derive(Clone, Debug)]
pub enum Target {
    /// Its address; no credentials, certificates unchecked.
    Url(String),
    /// A kubeconfig, its current context.
    Kubeconfig(PathBuf),
}

/// How long a CRD may take to be served.
const ESTABLISH_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Applies the CRDs and creates every manifest as a dry run; prints each refusal and gives whether
/// there is none.
pub fn run(target: &Target) -> Result<bool> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(judge(target))
}

async fn judge(target: &Target) -> Result<bool> {
    let client = Client::try_from(config(target).await?)?;
    for kind in groups::kinds() {
        let name = kind.crd.metadata.name.clone().unwrap_or_default();
        establish(&client, &name, &kind.crd).await.with_context(|| name.clone())?;
        println!("established {name}");
    }
    let dirs = match test_kit::shared_dir() {
        // What the reference was seen to write is of its own CRDs; the apps part is meant for ours too.
        Some(shared) => vec![shared.join("corpus"), shared.join("observed/apps")],
        None => vec![crate::workspace_root().join("crates/api-types/tests/fixtures")],
    };
    let mut fine = true;
    for dir in dirs {
        fine &= create_all(&client, &dir).await?;
    }
    Ok(fine)
}

async fn create_all(client: &Client, dir: &Path) -> Result<bool> {
    let mut manifests = manifests::below(dir)?;
    // Our own fixtures of what other releases stored are to be read, not to be created.
    manifests.retain(|manifest| !manifest.place.starts_with("stored/"));
    let mut refused = 0;
    for manifest in &manifests {
        if let Err(error) = create(client, manifest).await {
            println!("REFUSED {} {}: {}", manifest.place, manifest.kind, error.root_cause());
            refused += 1;
        }
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    println!("dry run: {} manifests of {name}, {refused} refused", manifests.len());
    Ok(refused == 0 && !manifests.is_empty())
}

async fn config(target: &Target) -> Result<Config> {
    match target {
        Target::Url(url) => {
            let mut config = Config::new(url.parse().with_context(|| format!("address {url}"))?);
            config.accept_invalid_certs = true;
            Ok(config)
        }
        Target::Kubeconfig(path) => {
            let kubeconfig = Kubeconfig::read_from(path)?;
            Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
        }
    }
}

async fn establish(client: &Client, name: &str, crd: &CustomResourceDefinition) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply("xtask").force().validation_strict();
    api.patch(name, &params, &Patch::Apply(crd)).await.context("apply")?;
    let looks = ESTABLISH_WITHIN.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        let seen = api.get(name).await?;
        let conditions = seen.status.and_then(|status| status.conditions).unwrap_or_default();
        let is = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        if let Some(bad) = is("NonStructuralSchema").filter(|condition| condition.status == "True") {
            bail!("not structural: {}", bad.message.as_deref().unwrap_or_default());
        }
        if is("Established").is_some_and(|condition| condition.status == "True") {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("not established within {} s", ESTABLISH_WITHIN.as_secs())
}

async fn create(client: &Client, manifest: &Manifest) -> Result<()> {
    let kind = groups::kind(&manifest.api_version, &manifest.kind).context("unknown kind")?;
    let plural = &kind.crd.spec.names.plural;
    let scope = if kind.crd.spec.scope == "Namespaced" { "/namespaces/default" } else { "" };
    let mut object = manifest.object.clone();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        // The schema is judged, not placeholders such as `<name>` or namespaces of examples.
        meta.insert("name".to_owned(), "manifest".into());
        meta.remove("namespace");
        for server_owned in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
            meta.remove(server_owned);
        }
    }
    let path = format!("/apis/{}{scope}/{plural}?dryRun=All&fieldValidation=Strict", kind.api_version);
    let body = serde_json::to_vec(&object)?;
    let request = http::Request::post(path).header(http::header::CONTENT_TYPE, "application/json").body(body)?;
    client.request::<Value>(request).await?;
    Ok(())
}
