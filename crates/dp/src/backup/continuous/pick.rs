//! Which pods of a target an archive is written from. Pure.

use crate::backup::select::is_available;
use api_types::contract::labels;
use api_types::dp::{BackupTarget, PodSelectionStrategy};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// The pods to follow now, of those that match; empty where the archive must rest.
///
/// With strategy Any the pod that is followed now stays while it is as good as any other, so that two looks never
/// disagree; one that is only not Ready is kept until another takes its place, because the archive holds its volume.
pub fn pick(target: &BackupTarget, now: &[String], mut matching: Vec<Pod>) -> Vec<Pod> {
    matching.sort_by_key(ResourceExt::name_any);
    let stays = |p: &Pod| p.metadata.deletion_timestamp.is_none();
    if target.strategy() == PodSelectionStrategy::All {
        return matching.into_iter().filter(stays).collect();
    }
    let followed = |p: &&Pod| now.contains(&p.name_any());
    let best = matching.iter().filter(|p| is_available(p));
    let chosen = best.clone().find(followed).or_else(|| best.clone().next());
    let kept = chosen.or_else(|| matching.iter().filter(|p| stays(p)).find(followed));
    kept.cloned().into_iter().collect()
}

/// What of a database pod decides whether, and how, an archive is written from it.
pub fn mark(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref();
    let node = spec.and_then(|s| s.node_name.as_deref()).unwrap_or_default();
    let ip = pod.status.as_ref().and_then(|s| s.pod_ip.as_deref()).unwrap_or_default();
    let role = pod.labels().get(labels::ROLE).map(String::as_str).unwrap_or_default();
    let going = pod.metadata.deletion_timestamp.is_some();
    Some(format!("{} {node} {ip} {role} {going} {}", pod.uid().unwrap_or_default(), is_available(pod)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, ready: bool, going: bool) -> Pod {
        let mut pod = json!({"metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}});
        if going {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn rule_15_the_choice_is_stable_and_follows_what_is_available() {
        let target = |strategy: &str| -> BackupTarget {
            serde_json::from_value(json!({"podSelector": {"strategy": strategy}})).unwrap()
        };
        for (what, strategy, now, pods, wanted) in [
            ("the first by name", "Any", vec![], vec![pod("b", true, false), pod("a", true, false)], vec!["a"]),
            ("the same again", "Any", vec!["b"], vec![pod("a", true, false), pod("b", true, false)], vec!["b"]),
            ("the primary moved", "Any", vec!["b"], vec![pod("a", true, false), pod("b", false, false)], vec!["a"]),
            ("a restart", "Any", vec!["b"], vec![pod("b", false, false)], vec!["b"]),
            ("on its way out", "Any", vec!["b"], vec![pod("b", true, true)], vec![]),
            ("never one that is not Ready", "Any", vec![], vec![pod("a", false, false)], vec![]),
            (
                "all, Ready or not",
                "All",
                vec![],
                vec![pod("b", false, false), pod("a", true, false), pod("c", true, true)],
                vec!["a", "b"],
            ),
        ] {
            let now: Vec<String> = now.into_iter().map(String::from).collect();
            let names: Vec<String> = pick(&target(strategy), &now, pods).iter().map(ResourceExt::name_any).collect();
            assert_eq!(names, wanted, "{what}");
        }
    }
}
