//! When an owned object must be written again. Pure.
//!
//! What the API server stores has more fields than we ask for (defaults, other writers), so a comparison looks only at
//! what is wanted; what is no longer wanted shows in the digest of the last thing we applied, kept beside it.
#![allow(
    clippy::indexing_slicing,
    reason = "a key of a JSON object: reading a missing one gives null, writing makes it"
)]

use api_types::contract::annotations::APPLIED;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Every value of `wanted` stands in `stored`; lists of equal length item by item.
pub fn covers(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| stored.get(key).map_or_else(|| is_nothing(value), |s| covers(s, value)))
        }
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len() && stored.iter().zip(wanted).all(|(s, w)| covers(s, w))
        }
        (stored, wanted) => stored == wanted,
    }
}

/// Typed objects do not keep empty lists and maps.
fn is_nothing(wanted: &Value) -> bool {
    match wanted {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// A reference to the object that owns another, as its controller. A deletion in the foreground waits for what is owned.
pub fn owner<K: Resource<DynamicType = ()>>(object: &K) -> Option<Vec<OwnerReference>> {
    let reference = object.controller_owner_ref(&())?;
    Some(vec![OwnerReference { block_owner_deletion: Some(true), ..reference }])
}

/// Adds the digest of `body` to its annotations, so that a later look sees what was applied.
pub fn with_digest(mut body: Value) -> Value {
    let digest = hex::encode(Sha256::digest(body.to_string()));
    let digest = digest.get(..16).unwrap_or_default().to_owned();
    body["metadata"]["annotations"][APPLIED] = Value::String(digest);
    body
}

/// Name in the metadata of a body.
pub fn name_in(body: &Value) -> &str {
    body["metadata"]["name"].as_str().unwrap_or_default()
}

/// Whether `wanted`, made by [`with_digest`], must be applied over `stored`.
pub fn differs(stored: Option<&Value>, wanted: &Value) -> bool {
    stored.is_none_or(|stored| !covers(stored, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_of_the_server_are_no_difference_and_a_dropped_key_is_one() {
        let old = with_digest(
            json!({"metadata": {"annotations": {"a": "1"}}, "spec": {"list": [{"name": "x"}], "none": []}}),
        );
        let mut stored = old.clone();
        stored["spec"].as_object_mut().unwrap().remove("none");
        stored["spec"]["list"][0]["protocol"] = json!("TCP");
        stored["metadata"]["uid"] = json!("u");
        assert!(!differs(Some(&stored), &old));
        let new = with_digest(json!({"metadata": {}, "spec": {"list": [{"name": "x"}]}}));
        assert!(differs(Some(&stored), &new), "annotation a is to go");
        stored["spec"]["list"][0]["name"] = json!("y");
        assert!(differs(Some(&stored), &old), "changed by somebody else");
        assert!(differs(None, &old));
    }
}
