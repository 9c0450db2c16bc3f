//! Where pods of the operator run that are bound to no node (contract-dp §12, `CM_TOLERATIONS` and its siblings). Pure.

use api_types::contract::labels;
use k8s_openapi::api::core::v1::{Affinity, PodSpec, Toleration};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// What the installation wants of such pods; what a pod asks for itself wins.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// Added to the pod's own.
    pub tolerations: Vec<Toleration>,
    /// Where the pod has none.
    pub affinity: Option<Affinity>,
    /// Labels the pod does not choose itself.
    pub node_selector: BTreeMap<String, String>,
}

impl Placement {
    /// Puts it on a pod, unless that is bound to one node already.
    pub fn apply(&self, spec: &mut PodSpec) {
        let bound = spec.node_selector.as_ref().is_some_and(|s| s.contains_key(labels::HOSTNAME));
        if bound || spec.node_name.is_some() {
            return;
        }
        if !self.tolerations.is_empty() {
            spec.tolerations.get_or_insert_default().extend(self.tolerations.iter().cloned());
        }
        if spec.affinity.is_none() {
            spec.affinity.clone_from(&self.affinity);
        }
        for (key, value) in &self.node_selector {
            spec.node_selector.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Tolerations as JSON.
///
/// # Errors
/// What is wrong with the text, as of each of these.
pub fn tolerations(text: &str) -> Result<Tolerations, String> {
    Ok(Tolerations(json(text)?.unwrap_or_default()))
}

/// An affinity as JSON.
///
/// # Errors
/// See [`tolerations`].
pub fn affinity(text: &str) -> Result<Affinity, String> {
    Ok(json(text)?.unwrap_or_default())
}

/// A node selector as JSON.
///
/// # Errors
/// See [`tolerations`].
pub fn node_selector(text: &str) -> Result<NodeSelector, String> {
    Ok(NodeSelector(json(text)?.unwrap_or_default()))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<Option<T>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map_err(|e| format!("no JSON of the kind that a pod's spec has there: {e}"))
}

/// A flag with several tolerations in it.
#[derive(Clone, Debug, Default)]
pub struct Tolerations(pub Vec<Toleration>);

/// A flag with several labels in it.
#[derive(Clone, Debug, Default)]
pub struct NodeSelector(pub BTreeMap<String, String>);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn placement() -> Placement {
        Placement {
            tolerations: tolerations(r#"[{"key": "backup", "operator": "Exists"}]"#).unwrap().0,
            affinity: Some(affinity(r#"{"podAntiAffinity": {}}"#).unwrap()),
            node_selector: node_selector(r#"{"pool": "backup", "disk": "fast"}"#).unwrap().0,
        }
    }

    fn placed(spec: serde_json::Value) -> serde_json::Value {
        let mut spec: PodSpec = serde_json::from_value(spec).unwrap();
        placement().apply(&mut spec);
        serde_json::to_value(spec).unwrap()
    }

    #[test]
    fn a_pod_that_is_bound_to_no_node_is_placed_and_keeps_what_it_asks_for() {
        let free = placed(json!({"containers": []}));
        assert_eq!(free["tolerations"], json!([{"key": "backup", "operator": "Exists"}]));
        assert_eq!(free["affinity"], json!({"podAntiAffinity": {}}));
        assert_eq!(free["nodeSelector"], json!({"pool": "backup", "disk": "fast"}));
        let own = json!({"containers": [], "nodeSelector": {"pool": "mine"}, "affinity": {"podAffinity": {}},
            "tolerations": [{"key": "own"}]});
        let own = placed(own);
        assert_eq!(own["nodeSelector"], json!({"pool": "mine", "disk": "fast"}));
        assert_eq!(own["affinity"], json!({"podAffinity": {}}));
        assert_eq!(own["tolerations"], json!([{"key": "own"}, {"key": "backup", "operator": "Exists"}]));
    }

    #[test]
    fn a_pod_beside_its_database_stays_there() {
        for bound in [
            json!({"containers": [], "nodeSelector": {labels::HOSTNAME: "n"}}),
            json!({"containers": [], "nodeName": "n"}),
        ] {
            assert_eq!(placed(bound.clone()), bound);
        }
    }

    #[test]
    fn nothing_is_nothing_and_nonsense_is_refused() {
        assert!(tolerations("").unwrap().0.is_empty() && tolerations("[]").unwrap().0.is_empty());
        assert!(node_selector(r#"{"a": 1}"#).is_err() && affinity("[").is_err());
    }
}
