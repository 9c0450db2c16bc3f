//! Restores of what a backup was, or is to be, taken of: derived from claims and Restores (design D13). Pure.

use crate::context::names_our_source;
use api_types::contract::conditions::claim::RESTORE;
use api_types::contract::names::populate_target_uid;
use api_types::contract::{annotations, labels};
use api_types::dp::{BackupPolicy, Restore, RestorePhase};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// What is backed up: pods of a namespace by their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    namespace: String,
    /// Of the selector, without the role: that moves between pods.
    labels: BTreeMap<String, String>,
}

/// How far a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Restored, or accepted by the user.
    Proven,
    /// Failed.
    Failed,
    /// Not ended.
    Running,
}

impl Target {
    /// The pods that these labels select; `None` where they say nothing.
    pub fn new(namespace: &str, selector: &BTreeMap<String, String>) -> Option<Self> {
        let mut labels = selector.clone();
        labels.remove(labels::ROLE);
        (!labels.is_empty()).then(|| Target { namespace: namespace.to_owned(), labels })
    }

    /// The targets of every method of a policy.
    pub fn of_policy(policy: &BackupPolicy) -> Vec<Self> {
        let namespace = policy.namespace().unwrap_or_default();
        let own = policy.spec.target.iter().chain(&policy.spec.targets);
        let methods = policy.spec.backup_methods.iter().flat_map(|m| m.target.iter().chain(&m.targets));
        let all = own.chain(methods).filter_map(|t| t.pod_selector.as_ref());
        all.filter_map(|s| Target::new(&namespace, &s.match_labels)).collect()
    }

    /// How far the restore into this claim is, if there is one and it is a claim of the target.
    pub fn claim(&self, claim: &PersistentVolumeClaim) -> Option<Progress> {
        let of = names_our_source(claim)
            && claim.namespace().as_deref() == Some(&self.namespace)
            && self.has(claim.labels());
        of.then(|| {
            let conditions = claim.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
            let status = conditions.iter().find(|c| c.type_ == RESTORE).map(|c| c.status.as_str());
            match status {
                _ if claim.annotations().contains_key(annotations::ACCEPT) => Progress::Proven,
                Some("True") => Progress::Proven,
                Some("False") => Progress::Failed,
                _ => Progress::Running,
            }
        })
    }

    /// How far a user's Restore is, if it writes into the target. Those of claims count with their claims.
    pub fn restore(&self, restore: &Restore) -> Option<Progress> {
        let own = restore.namespace().as_deref() == Some(&self.namespace);
        if !own || populate_target_uid(&restore.name_any()).is_some() || !self.is_written_by(restore) {
            return None;
        }
        Some(match restore.status.as_ref().and_then(|s| s.phase.as_ref()) {
            _ if restore.annotations().contains_key(annotations::ACCEPT) => Progress::Proven,
            Some(RestorePhase::Completed | RestorePhase::AsDataSource) => Progress::Proven,
            Some(RestorePhase::Failed) => Progress::Failed,
            _ => Progress::Running,
        })
    }

    fn is_written_by(&self, restore: &Restore) -> bool {
        let data = restore.spec.prepare_data_config.as_ref();
        let own = data.into_iter().flat_map(|d| &d.volume_claims);
        let templates = data.and_then(|d| d.volume_claims_template.as_ref()).into_iter().flat_map(|t| &t.templates);
        let claims = own.chain(templates).map(|c| &c.metadata.labels);
        let ready = restore.spec.ready_config.as_ref();
        let by_job = ready.and_then(|r| r.job_action.as_ref()).map(|j| &j.target.pod_selector.match_labels);
        let by_exec = ready.and_then(|r| r.exec_action.as_ref()?.target.as_ref()?.pod_selector.match_labels.as_ref());
        claims.chain(by_job).chain(by_exec).chain([restore.labels()]).any(|labels| self.has(labels))
    }

    /// Whether something with these labels belongs to the target: of its Cluster and of no other part of it; without a
    /// Cluster, with every label of the selector.
    fn has(&self, found: &BTreeMap<String, String>) -> bool {
        let Some(cluster) = self.labels.get(labels::INSTANCE).filter(|c| !c.is_empty()) else {
            return self.labels.iter().all(|(key, value)| found.get(key) == Some(value));
        };
        let agrees = |key: &str| match (self.labels.get(key), found.get(key)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        found.get(labels::INSTANCE) == Some(cluster) && agrees(labels::COMPONENT_NAME) && agrees(labels::SHARDING_NAME)
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // literals of `json!`
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn target(selector: Value) -> Target {
        Target::new("n", &serde_json::from_value(selector).unwrap()).unwrap()
    }

    fn claim(labels: Value, status: Option<&str>) -> PersistentVolumeClaim {
        let conditions = status.map(|s| json!([{"type": "Restore", "status": s}]));
        serde_json::from_value(json!({
            "metadata": {"name": "data-0", "namespace": "n", "labels": labels},
            "spec": {"dataSourceRef": {"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": "b"}},
            "status": {"conditions": conditions}}))
        .unwrap()
    }

    #[test]
    fn claims_of_the_target_say_how_far_its_restore_is() {
        let db = target(
            json!({"app.kubernetes.io/instance": "c", "apps.kubeblocks.io/component-name": "db", "kubeblocks.io/role": "leader"}),
        );
        let own = json!({"app.kubernetes.io/instance": "c", "apps.kubeblocks.io/component-name": "db"});
        for (status, progress) in [
            (None, Progress::Running),
            (Some("Unknown"), Progress::Running),
            (Some("True"), Progress::Proven),
            (Some("False"), Progress::Failed),
        ] {
            assert_eq!(db.claim(&claim(own.clone(), status)), Some(progress));
        }
        let mut accepted = claim(own, Some("False"));
        accepted.annotations_mut().insert(annotations::ACCEPT.into(), "seen".into());
        assert_eq!(db.claim(&accepted), Some(Progress::Proven));
        assert_eq!(db.claim(&claim(json!({"app.kubernetes.io/instance": "c"}), None)), Some(Progress::Running));
        assert_eq!(
            db.claim(&claim(
                json!({"app.kubernetes.io/instance": "c", "apps.kubeblocks.io/component-name": "proxy"}),
                None
            )),
            None
        );
        assert_eq!(db.claim(&claim(json!({"app.kubernetes.io/instance": "d"}), None)), None);
        assert_eq!(db.claim(&claim(json!({}), None)), None);
        let plain = target(json!({"app": "db", "tier": "1"}));
        assert_eq!(plain.claim(&claim(json!({"app": "db", "tier": "1", "x": "y"}), None)), Some(Progress::Running));
        assert_eq!(plain.claim(&claim(json!({"app": "db"}), None)), None);
        assert_eq!(Target::new("n", &BTreeMap::new()), None);
        assert_eq!(Target::new("n", &BTreeMap::from([(labels::ROLE.to_owned(), "leader".to_owned())])), None);
    }

    #[test]
    fn restores_into_the_target_count_by_what_they_write() {
        let db = target(json!({"app": "db"}));
        let restore = |name: &str, spec: Value, phase: Option<&str>| -> Restore {
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n"},
                "spec": spec, "status": {"phase": phase}}))
            .unwrap()
        };
        let template = json!({"backup": {"name": "b", "namespace": "n"}, "prepareDataConfig": {"volumeClaimsTemplate":
            {"replicas": 1, "templates": [{"metadata": {"name": "d", "labels": {"app": "db"}}, "volumeClaimSpec": {}}]}}});
        assert_eq!(db.restore(&restore("r", template.clone(), None)), Some(Progress::Running));
        assert_eq!(db.restore(&restore("r", template.clone(), Some("Running"))), Some(Progress::Running));
        assert_eq!(db.restore(&restore("r", template.clone(), Some("Failed"))), Some(Progress::Failed));
        assert_eq!(db.restore(&restore("r", template.clone(), Some("Completed"))), Some(Progress::Proven));
        assert_eq!(db.restore(&restore("kb-populate-1", template, Some("Running"))), None);
        let ready = json!({"backup": {"name": "b", "namespace": "n"}, "readyConfig": {"jobAction": {"target":
            {"podSelector": {"matchLabels": {"app": "db"}}}}}});
        assert_eq!(db.restore(&restore("r", ready, Some("Running"))), Some(Progress::Running));
        let other = json!({"backup": {"name": "b", "namespace": "n"}});
        assert_eq!(db.restore(&restore("r", other, Some("Running"))), None);
    }
}
