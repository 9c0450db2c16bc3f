//! What a BackupPolicy's status says. Pure.

use api_types::dp::{BackupPolicy, BackupPolicyStatus, BackupTarget, Phase};
use std::collections::BTreeSet;

/// Available, or Unavailable with the field that is wrong.
pub fn status(policy: &BackupPolicy) -> BackupPolicyStatus {
    let own = problem("spec.targets", &policy.spec.targets);
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
