//! Secrets and ConfigMaps without which a kubelet does not start a pod. Pure.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, PodSpec, Volume};

/// One object of the pod's namespace that must exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reference {
    Secret(String),
    ConfigMap(String),
}

/// What `pod` mounts or takes environment variables from, optional ones left out.
pub(super) fn references(pod: &Pod) -> BTreeSet<Reference> {
    let Some(spec) = &pod.spec else {
        return BTreeSet::new();
    };
    let mounted = spec.volumes.iter().flatten().flat_map(of_volume);
    mounted.chain(of_environment(spec)).collect()
}

fn of_volume(volume: &Volume) -> Vec<Reference> {
    let mut found = Vec::new();
    if let Some(secret) = &volume.secret {
        found.push(secret_unless(secret.optional, secret.secret_name.as_deref()));
    }
    if let Some(map) = &volume.config_map {
        found.push(map_unless(map.optional, Some(&map.name)));
    }
    let projected = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
    for source in projected {
        if let Some(secret) = &source.secret {
            found.push(secret_unless(secret.optional, Some(&secret.name)));
        }
        if let Some(map) = &source.config_map {
            found.push(map_unless(map.optional, Some(&map.name)));
        }
    }
    found.into_iter().flatten().collect()
}

fn of_environment(spec: &PodSpec) -> Vec<Reference> {
    let mut found = Vec::new();
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        for from in container.env_from.iter().flatten() {
            if let Some(secret) = &from.secret_ref {
                found.push(secret_unless(secret.optional, Some(&secret.name)));
            }
            if let Some(map) = &from.config_map_ref {
                found.push(map_unless(map.optional, Some(&map.name)));
            }
        }
        for from in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
            if let Some(secret) = &from.secret_key_ref {
                found.push(secret_unless(secret.optional, Some(&secret.name)));
            }
            if let Some(map) = &from.config_map_key_ref {
                found.push(map_unless(map.optional, Some(&map.name)));
            }
        }
    }
    found.into_iter().flatten().collect()
}

fn secret_unless(optional: Option<bool>, name: Option<&str>) -> Option<Reference> {
    needed(optional, name).map(Reference::Secret)
}

fn map_unless(optional: Option<bool>, name: Option<&str>) -> Option<Reference> {
    needed(optional, name).map(Reference::ConfigMap)
}

fn needed(optional: Option<bool>, name: Option<&str>) -> Option<String> {
    name.filter(|name| optional != Some(true) && !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_all_but_optional_ones() {
        let pod = serde_json::from_value(json!({ "spec": {
            "volumes": [
                { "name": "a", "secret": { "secretName": "s1" } },
                { "name": "b", "configMap": { "name": "m1", "optional": true } },
                { "name": "c", "projected": { "sources": [{ "configMap": { "name": "m2" } }] } },
                { "name": "d", "emptyDir": {} },
            ],
            "initContainers": [{ "name": "i", "envFrom": [{ "secretRef": { "name": "s2" } }] }],
            "containers": [{ "name": "c", "env": [
                { "name": "A", "valueFrom": { "configMapKeyRef": { "name": "m3", "key": "k" } } },
                { "name": "B", "valueFrom": { "secretKeyRef": { "name": "s3", "key": "k", "optional": true } } },
            ] }],
        } }))
        .unwrap();
        let secret = |name: &str| Reference::Secret(name.to_owned());
        let map = |name: &str| Reference::ConfigMap(name.to_owned());
        assert_eq!(references(&pod), BTreeSet::from([secret("s1"), secret("s2"), map("m2"), map("m3")]));
    }
}
