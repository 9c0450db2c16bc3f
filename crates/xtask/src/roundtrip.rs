//! Decode, encode, compare: no object may lose a field on its way through our types.

use anyhow::{Result, bail};
use api_types::dp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifests::Manifest;

/// What a round trip changed; empty when nothing.
pub fn differences(manifest: &Manifest) -> Result<Vec<String>> {
    let encoded = encode(&manifest.kind, &manifest.object)?;
    let mut found = Vec::new();
    compare("", &normal(manifest.object.clone()), &normal(encoded), &mut found);
    Ok(found)
}

/// The object as our type of this kind writes it.
pub fn encode(kind: &str, object: &Value) -> Result<Value> {
    match kind {
        "ActionSet" => through::<dp::ActionSet>(object),
        "Backup" => through::<dp::Backup>(object),
        "BackupPolicy" => through::<dp::BackupPolicy>(object),
        "BackupPolicyTemplate" => through::<dp::BackupPolicyTemplate>(object),
        "BackupRepo" => through::<dp::BackupRepo>(object),
        "BackupSchedule" => through::<dp::BackupSchedule>(object),
        "Restore" => through::<dp::Restore>(object),
        "StorageProvider" => through::<dp::StorageProvider>(object),
        other => bail!("kind {other:?} is not of the group"),
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
