//! Storage providers: Ready when the CSI driver they name is there (behaviour-backup §12).

pub mod status;

use crate::context::Context;
use crate::error::Error;
use api_types::contract::FINALIZER;
use api_types::dp::StorageProvider;
use controller_kit::drive::Again;
use controller_kit::writes::Writer;
use controller_kit::{Key, clock};
use kube::ResourceExt;
use serde_json::json;
use std::sync::Arc;

/// One look at one provider.
pub async fn reconcile(key: Key, context: Arc<Context>, writer: Writer) -> Result<Again, Error> {
    let Some(provider) = context.stores.providers.get("", &key.name) else {
        return Ok(Again::OnEvent);
    };
    let api = writer.cluster::<StorageProvider>();
    // Left by old versions of the reference; nobody else would take it off (rule 45).
    if provider.finalizers().iter().any(|f| f == FINALIZER) {
        let kept: Vec<&String> = provider.finalizers().iter().filter(|f| *f != FINALIZER).collect();
        let body = json!({"metadata": {
            "uid": provider.uid(), "resourceVersion": provider.resource_version(), "finalizers": kept,
        }});
        writer.merge(&api, &key.name, &body).await?;
        return Ok(Again::OnEvent);
    }
    let driver = provider.spec.csi_driver_name.clone().unwrap_or_default();
    let installed = driver.is_empty() || context.stores.drivers.get("", &driver).is_some();
    let old = provider.status.clone().unwrap_or_default();
    let new = status::status(&provider, installed, clock::now());
    writer.store_status(&api, provider.as_ref(), &old, &new).await?;
    Ok(Again::OnEvent)
}
