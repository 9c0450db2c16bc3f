//! What a BackupPolicy's status says. Pure.

use api_types::contract::names::MAX_NAME;
use api_types::dp::{BackupPolicy, BackupPolicyStatus, BackupTarget, Phase};
use kube::ResourceExt;
use std::collections::BTreeSet;

/// Available, or Unavailable with the field that is wrong.
pub fn status(policy: &BackupPolicy) -> BackupPolicyStatus {
    let own = unlabelled(&policy.name_any()).or_else(|| problem("spec.targets", &policy.spec.targets));
    let of_methods = || {
        let mut methods = policy.spec.backup_methods.iter();
        methods.find_map(|m| problem(&format!("spec.backupMethods[{}].targets", m.name), &m.targets))
    };
    let message = own.or_else(of_methods);
    BackupPolicyStatus {
        phase: Some(if message.is_none() { Phase::Available } else { Phase::Unavailable }),
        message,
        observed_generation: policy.metadata.generation,
    }
}

/// A policy's name is a label of its backups: one that is too long would have each of them refused (behaviour-backup D10).
fn unlabelled(name: &str) -> Option<String> {
    let length = name.len();
    (length > MAX_NAME).then(|| {
        format!("metadata.name: {length} characters; backups carry it as a label, which takes {MAX_NAME}: use a shorter name")
    })
}

fn problem(field: &str, targets: &[BackupTarget]) -> Option<String> {
    let mut seen = BTreeSet::new();
    for target in targets {
        if target.name().is_empty() {
            return Some(format!("{field}: each target needs a name"));
        }
        if !seen.insert(target.name()) {
            return Some(format!("{field}: the name {} stands twice", target.name()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn said(name: &str, spec: &Value) -> Option<String> {
        let policy: BackupPolicy = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        let told = status(&policy);
        assert_eq!(told.message.is_none(), told.phase == Some(Phase::Available));
        told.message
    }

    #[test]
    fn bd10_what_no_backup_could_use_is_said_by_the_policy() {
        let method = |targets: Value| json!({"target": {}, "backupMethods": [{"name": "full", "targets": targets}]});
        let long = "a".repeat(64);
        for (name, spec, wanted) in [
            ("p", method(json!([{"name": "a"}, {"name": "b"}])), ""),
            ("p", method(json!([{"name": "a"}, {}])), "spec.backupMethods[full].targets: each target needs a name"),
            (
                "p",
                method(json!([{"name": "a"}, {"name": "a"}])),
                "spec.backupMethods[full].targets: the name a stands twice",
            ),
            ("p", json!({"targets": [{"name": ""}]}), "spec.targets: each target needs a name"),
            ("p", json!({"targets": [{"name": "a"}, {"name": "a"}]}), "spec.targets: the name a stands twice"),
            (long.get(..63).unwrap(), json!({"target": {}}), ""),
            (long.as_str(), json!({"target": {}}), "metadata.name: 64 characters"),
        ] {
            let message = said(name, &spec).unwrap_or_default();
            assert!(message.starts_with(wanted) && message.is_empty() == wanted.is_empty(), "{message} ≠ {wanted}");
        }
    }
}
