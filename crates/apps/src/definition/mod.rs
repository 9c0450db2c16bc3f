//! ComponentDefinitions: says that they were seen, where tools look for it.

use crate::context::Context;
use crate::error::Error;
use api_types::apps::{ComponentDefinition, DefinitionPhase};
use controller_kit::Key;
use controller_kit::drive::Again;
use controller_kit::writes::Writer;
use std::sync::Arc;

/// One look at one definition.
pub async fn reconcile(key: Key, context: Arc<Context>, writer: Writer) -> Result<Again, Error> {
    let Some(definition) = context.stores.component_definitions.get("", &key.name) else {
        return Ok(Again::OnEvent);
    };
    let old = definition.status.clone().unwrap_or_default();
    let mut new = old.clone();
    new.observed_generation = definition.metadata.generation;
    // What the spec lacks shows on the Components that use it: a pod template is complete only there.
    let unreadable = definition.spec.runtime.get().err();
    new.phase = Some(if unreadable.is_none() { DefinitionPhase::Available } else { DefinitionPhase::Unavailable });
    new.message = unreadable.map(|e| format!("spec.runtime: {e}"));
    writer.store_status(&writer.cluster::<ComponentDefinition>(), definition.as_ref(), &old, &new).await?;
    Ok(Again::OnEvent)
}
