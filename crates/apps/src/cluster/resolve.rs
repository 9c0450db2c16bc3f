//! Which ComponentDefinition a component means (behaviour-apps §11.1, §11.4). Pure.

use crate::error::Stop;
use api_types::apps::{ClusterComponentSpec, ComponentDefinition};
use api_types::contract::apps_reasons as reasons;
use kube::ResourceExt;
use std::sync::Arc;

/// The definition a component means: the one of that name, else the newest whose name begins so or matches the
/// pattern. Newest is last by name.
///
/// # Errors
/// Wait `ComponentDefinitionNotFound`; Terminal `NotServedYet` where no definition is named (a topology would say).
pub fn definition<'a>(
    component: &ClusterComponentSpec,
    all: &'a [Arc<ComponentDefinition>],
) -> Result<&'a Arc<ComponentDefinition>, Stop> {
    let name = super::build::name_of(component);
    let Some(wanted) = component.component_def.as_deref().filter(|d| !d.is_empty()) else {
        let text =
            format!("spec.componentSpecs[{name}].componentDef is empty: topologies are not served yet, name one");
        return Err(Stop::terminal(reasons::refused::NOT_SERVED_YET, text));
    };
    if let Some(exact) = all.iter().find(|d| d.name_any() == wanted) {
        return Ok(exact);
    }
    let pattern = regex_lite::Regex::new(wanted).ok();
    let matches = |d: &&Arc<ComponentDefinition>| {
        let name = d.name_any();
        name.starts_with(wanted) || pattern.as_ref().is_some_and(|p| p.is_match(&name))
    };
    all.iter().filter(matches).max_by_key(|d| d.name_any()).ok_or_else(|| {
        let text = format!("spec.componentSpecs[{name}].componentDef: there is no ComponentDefinition {wanted}");
        Stop::wait(reasons::refused::COMPONENT_DEFINITION_NOT_FOUND, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definitions(names: &[&str]) -> Vec<Arc<ComponentDefinition>> {
        let one = |name: &&str| {
            let runtime = json!({"containers": []});
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"runtime": runtime}})).unwrap()
        };
        names.iter().map(|n| Arc::new(one(n))).collect()
    }

    fn wanted(definition: &str) -> ClusterComponentSpec {
        serde_json::from_value(json!({"name": "db", "componentDef": definition, "replicas": 1})).unwrap()
    }

    #[test]
    fn exact_beats_newest_by_prefix_or_pattern() {
        let all = definitions(&["toy-1.0", "toy-1.2", "toy", "other"]);
        let found = |text: &str| definition(&wanted(text), &all).map(|d| d.name_any()).map_err(|s| s.reason);
        assert_eq!(found("toy"), Ok("toy".into()));
        assert_eq!(found("toy-1"), Ok("toy-1.2".into()));
        assert_eq!(found("^to.*0$"), Ok("toy-1.0".into()));
        assert_eq!(found("nothing"), Err("ComponentDefinitionNotFound"));
        assert_eq!(found(""), Err("NotServedYet"));
    }
}
