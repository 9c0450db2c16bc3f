//! What a Component asks for that a later version brings. It is named, never passed over in silence; what a database
//! would start wrongly without is refused. Pure.

use api_types::apps::{Component, ComponentDefinition};
use serde_json::Value;

/// Fields of the two specs that are not served yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unserved {
    /// Without these the database would not be what its definition says: nothing is made.
    pub refused: Vec<String>,
    /// These are left out, and the rest is made.
    pub left_out: Vec<String>,
}

/// Fields of a definition, and whether a database must not start without.
const OF_DEFINITION: [(&str, bool); 12] = [
    ("configs", true),
    ("scripts", true),
    ("hostNetwork", true),
    ("sidecarContainers", true),
    ("serviceRefDeclarations", true),
    ("roles", false),
    ("lifecycleActions", false),
    ("policyRules", false),
    ("exporter", false),
    ("logConfigs", false),
    ("available", false),
    ("replicasLimit", false),
];

/// Fields of a component, and whether a database must not start without.
const OF_COMPONENT: [(&str, bool); 9] = [
    ("instances", true),
    ("configs", true),
    ("serviceRefs", true),
    ("tlsConfig", true),
    ("sidecars", true),
    ("network", true),
    ("services", false),
    ("podUpgradePolicy", false),
    ("customActions", false),
];

/// Names every field that is set and not served yet.
pub fn unserved(component: &Component, definition: &ComponentDefinition) -> Unserved {
    let mut found = Unserved::default();
    let spec = serde_json::to_value(&definition.spec).unwrap_or_default();
    collect("ComponentDefinition spec", &spec, &OF_DEFINITION, &mut found);
    let spec = serde_json::to_value(&component.spec).unwrap_or_default();
    collect("spec", &spec, &OF_COMPONENT, &mut found);
    for account in &component.spec.system_accounts {
        if account.secret_ref.is_some() {
            found.refused.push(format!("spec.systemAccounts[{}].secretRef", account.name));
        }
    }
    for service in &definition.spec.services {
        let each = format!("ComponentDefinition spec.services[{}]", service.name);
        if service.role_selector.as_ref().is_some_and(|r| !r.is_empty()) {
            found.left_out.push(format!("{each}.roleSelector"));
        }
        if service.pod_service == Some(true) {
            found.left_out.push(format!("{each}.podService"));
        }
    }
    let runtime = definition.spec.runtime.get().unwrap_or_default();
    for container in runtime.containers.iter().filter(|c| c.image.as_ref().is_none_or(String::is_empty)) {
        let name = &container.name;
        found
            .refused
            .push(format!("ComponentDefinition spec.runtime.containers[{name}] without image (ComponentVersion)"));
    }
    found
}

fn collect(path: &str, spec: &Value, fields: &[(&str, bool)], found: &mut Unserved) {
    for (field, needed) in fields {
        let set = match spec.get(field) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => map.get("enable").is_none_or(|e| e != &Value::Bool(false)) && !map.is_empty(),
            Some(_) => true,
        };
        if set {
            let name = format!("{path}.{field}");
            if *needed { found.refused.push(name) } else { found.left_out.push(name) }
        }
    }
}
