//! Where pods of the operator run that are bound to no node (contract-dp §12, `CM_TOLERATIONS` and its siblings). Pure.

use api_types::contract::labels;
use k8s_openapi::api::core::v1::{Affinity, PodSpec, Toleration};
use serde::Deserialize;
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

/// A flag as the JSON that a pod's spec has there; nothing where it is empty.
///
/// # Errors
/// What is wrong with the text.
pub fn json<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    if text.trim().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|e| format!("no JSON of the kind that a pod's spec has there: {e}"))
}

/// A flag with several tolerations in it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tolerations(pub Vec<Toleration>);

/// A flag with several labels in it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NodeSelector(pub BTreeMap<String, String>);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as value;

    fn placement() -> Placement {
        Placement {
            tolerations: json::<Tolerations>(r#"[{"key": "backup", "operator": "Exists"}]"#).unwrap().0,
            affinity: Some(json(r#"{"podAntiAffinity": {}}"#).unwrap()),
            node_selector: json::<NodeSelector>(r#"{"pool": "backup", "disk": "fast"}"#).unwrap().0,
        }
    }

    fn placed(spec: serde_json::Value) -> serde_json::Value {
        let mut spec: PodSpec = serde_json::from_value(spec).unwrap();
        placement().apply(&mut spec);
        serde_json::to_value(spec).unwrap()
    }

    #[test]
    fn a_pod_that_is_bound_to_no_node_is_placed_and_keeps_what_it_asks_for() {
        let free = placed(value!({"containers": []}));
        assert_eq!(free["tolerations"], value!([{"key": "backup", "operator": "Exists"}]));
        assert_eq!(free["affinity"], value!({"podAntiAffinity": {}}));
        assert_eq!(free["nodeSelector"], value!({"pool": "backup", "disk": "fast"}));
        let own = value!({"containers": [], "nodeSelector": {"pool": "mine"}, "affinity": {"podAffinity": {}},
            "tolerations": [{"key": "own"}]});
        let own = placed(own);
        assert_eq!(own["nodeSelector"], value!({"pool": "mine", "disk": "fast"}));
        assert_eq!(own["affinity"], value!({"podAffinity": {}}));
        assert_eq!(own["tolerations"], value!([{"key": "own"}, {"key": "backup", "operator": "Exists"}]));
    }

    #[test]
    fn a_pod_beside_its_database_stays_there() {
        for bound in [
            value!({"containers": [], "nodeSelector": {labels::HOSTNAME: "n"}}),
            value!({"containers": [], "nodeName": "n"}),
        ] {
            assert_eq!(placed(bound.clone()), bound);
        }
    }

    #[test]
    fn nothing_is_nothing_and_nonsense_is_refused() {
        assert!(json::<Tolerations>("").unwrap().0.is_empty() && json::<Tolerations>("[]").unwrap().0.is_empty());
        assert!(json::<NodeSelector>(r#"{"a": 1}"#).is_err() && json::<Affinity>("[").is_err());
    }
}
