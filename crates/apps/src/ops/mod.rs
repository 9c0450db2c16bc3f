//! OpsRequests are accepted and not served yet; each says so instead of hanging in silence.

use crate::context::Context;
use crate::error::Error;
use api_types::operations::OpsRequest;
use controller_kit::drive::Again;
use controller_kit::writes::Writer;
use controller_kit::{Key, clock};
use kube::ResourceExt;
use std::sync::Arc;

/// One look at one request.
pub async fn reconcile(key: Key, context: Arc<Context>, writer: Writer) -> Result<Again, Error> {
    let Some(request) = context.stores.requests.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let old = request.status.clone().unwrap_or_default();
    let mut new = old.clone();
    let text = "OpsRequests are not served yet; change the Cluster itself, or create a Backup".to_owned();
    crate::unserved::store(&mut new.conditions, &[text], request.metadata.generation, clock::now());
    let api = writer.namespaced::<OpsRequest>(&request.namespace().unwrap_or_default());
    writer.store_status(&api, request.as_ref(), &old, &new).await?;
    Ok(Again::OnEvent)
}
