//! Decode, encode, compare: no object may lose a field on its way through our types.

use anyhow::{Result, bail};
use api_types::{apps, dp, operations, workloads};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifests::Manifest;

/// What a round trip changed; empty when nothing.
pub fn differences(manifest: &Manifest) -> Result<Vec<String>> {
    let encoded = encode(&manifest.api_version, &manifest.kind, &manifest.object)?;
    let mut found = Vec::new();
    compare("", &normal(manifest.object.clone()), &normal(encoded), &mut found);
    found.extend(unreadable_pod(manifest)?);
    Ok(found)
}

/// Why the pod of a definition or workload is not readable: it is kept as text, so that decoding the
/// object around it says nothing about it.
fn unreadable_pod(manifest: &Manifest) -> Result<Option<String>> {
    let object = manifest.object.clone();
    let read = match manifest.kind.as_str() {
        "ComponentDefinition" => {
            serde_json::from_value::<apps::ComponentDefinition>(object)?.spec.runtime.get().map(|_| ())
        }
        "InstanceSet" => serde_json::from_value::<workloads::InstanceSet>(object)?.spec.template.get().map(|_| ()),
        _ => Ok(()),
    };
    Ok(read.err().map(|error| format!("pod not readable: {error}")))
}

/// The object as our type of this kind writes it.
pub fn encode(api_version: &str, kind: &str, object: &Value) -> Result<Value> {
    match (api_version, kind) {
        (dp::API_VERSION, "ActionSet") => through::<dp::ActionSet>(object),
        (dp::API_VERSION, "Backup") => through::<dp::Backup>(object),
        (dp::API_VERSION, "BackupPolicy") => through::<dp::BackupPolicy>(object),
        (dp::API_VERSION, "BackupPolicyTemplate") => through::<dp::BackupPolicyTemplate>(object),
        (dp::API_VERSION, "BackupRepo") => through::<dp::BackupRepo>(object),
        (dp::API_VERSION, "BackupSchedule") => through::<dp::BackupSchedule>(object),
        (dp::API_VERSION, "Restore") => through::<dp::Restore>(object),
        (dp::API_VERSION, "StorageProvider") => through::<dp::StorageProvider>(object),
        (apps::API_VERSION, "Cluster") => through::<apps::Cluster>(object),
        (apps::API_VERSION, "ClusterDefinition") => through::<apps::ClusterDefinition>(object),
        (apps::API_VERSION, "Component") => through::<apps::Component>(object),
        (apps::API_VERSION, "ComponentDefinition") => through::<apps::ComponentDefinition>(object),
        (apps::API_VERSION, "ComponentVersion") => through::<apps::ComponentVersion>(object),
        (apps::API_VERSION, "ShardingDefinition") => through::<apps::ShardingDefinition>(object),
        (workloads::API_VERSION, "InstanceSet") => through::<workloads::InstanceSet>(object),
        (operations::API_VERSION, "OpsRequest") => through::<operations::OpsRequest>(object),
        (_, other) => bail!("kind {other:?} of {api_version} is not served"),
    }
}

fn through<T: Serialize + DeserializeOwned>(object: &Value) -> Result<Value> {
    let typed: T = serde_json::from_value(object.clone())?;
    Ok(serde_json::to_value(typed)?)
}

/// Drops what means nothing on the wire: null, and empty lists and objects (contract-dp §0.2).
pub fn normal(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match value {
        // Items keep their place: an empty item of a list is an item.
        Value::Array(items) => items.into_iter().map(normal).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, normal(value)));
            fields.filter(|(_, value)| !is_empty(value)).collect()
        }
        other => other,
    }
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                match new.get(key) {
                    Some(other) => compare(&format!("{path}.{key}"), value, other, found),
                    None => found.push(format!("{path}.{key} lost: {value}")),
                }
            }
            let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
            found.extend(added.map(|(key, value)| format!("{path}.{key} added: {value}")));
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (value, other)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), value, other, found);
            }
        }
        (old, new) if old == new => {}
        (old, new) => found.push(format!("{path} changed: {old} to {new}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lost_added_and_changed_are_told_apart() {
        let mut found = Vec::new();
        compare("", &json!({"a": 1, "b": [1, 2], "c": "x"}), &json!({"b": [1, 3], "c": "x", "d": 4}), &mut found);
        assert_eq!(found, [".a lost: 1", ".b[1] changed: 2 to 3", ".d added: 4"]);
    }

    #[test]
    fn normal_form_drops_what_means_nothing() {
        let value = json!({"a": null, "b": [], "c": {"d": {}}, "e": [{}], "f": ""});
        assert_eq!(normal(value), json!({"e": [{}], "f": ""}));
    }
}
