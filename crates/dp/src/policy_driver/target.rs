//! The pods a policy made for a component backs up (contract-dp §12). Pure.

use crate::cluster::Part;
use api_types::contract::{labels, names};
use api_types::dp::{BackupTarget, ConnectionCredential, PodSelector, TargetInstance};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

/// One component that is backed up: the part itself, or a shard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name of the component within its Cluster.
    pub component: String,
    /// Sharding it is a shard of.
    pub sharding: Option<String>,
}

/// What is the same for all targets of a part.
pub struct Scene<'a> {
    /// Name of the Cluster.
    pub cluster: &'a str,
    /// The component or sharding.
    pub part: &'a Part,
}

impl Scene<'_> {
    /// The target that a template describes, for one member. A shard's target has its component's name.
    ///
    /// Fields that the API server fills in are filled in here, so that what is stored is what was meant.
    pub fn target(&self, template: &TargetInstance, member: &Member) -> BackupTarget {
        let role = Some(template.role.as_str()).filter(|role| !role.is_empty() && self.part.replicas > 1);
        let fallback = template.fallback_role.as_deref().filter(|f| !f.is_empty() && !template.role.is_empty());
        BackupTarget {
            name: member.sharding.is_some().then(|| member.component.clone()),
            pod_selector: Some(PodSelector {
                match_labels: self.labels(member, role),
                fallback_label_selector: fallback.map(|role| LabelSelector {
                    match_labels: Some(self.labels(member, Some(role))),
                    match_expressions: None,
                }),
                strategy: Some(template.strategy()),
                use_parent_selected_pods: template.use_parent_selected_pods,
                ..PodSelector::default()
            }),
            connection_credential: template.account.as_deref().filter(|a| !a.is_empty()).map(|account| {
                ConnectionCredential {
                    secret_name: names::account_secret(self.cluster, &member.component, account),
                    username_key: Some(names::ACCOUNT_USERNAME_KEY.into()),
                    password_key: Some(names::ACCOUNT_PASSWORD_KEY.into()),
                    ..ConnectionCredential::default()
                }
            }),
            container_port: template.container_port.clone(),
            ..BackupTarget::default()
        }
    }

    /// A target that is there stays as its user left it, but for what follows the Cluster: the role is selected only
    /// where there is more than one pod, and whether the parent's pods are used again is the template's.
    pub fn kept(&self, old: &BackupTarget, template: &TargetInstance) -> BackupTarget {
        let mut target = old.clone();
        if let Some(selector) = target.pod_selector.as_mut() {
            if self.part.replicas <= 1 {
                selector.match_labels.remove(labels::ROLE);
            } else if !template.role.is_empty() {
                selector.match_labels.entry(labels::ROLE.into()).or_insert_with(|| template.role.clone());
            }
            selector.use_parent_selected_pods = template.use_parent_selected_pods;
        }
        target
    }

    fn labels(&self, member: &Member, role: Option<&str>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            (labels::INSTANCE.to_owned(), self.cluster.to_owned()),
            (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_APPS.to_owned()),
            (labels::COMPONENT_NAME.to_owned(), member.component.clone()),
        ]);
        if let Some(sharding) = &member.sharding {
            all.insert(labels::SHARDING_NAME.into(), sharding.clone());
        }
        if let Some(role) = role {
            all.insert(labels::ROLE.into(), role.to_owned());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn part(replicas: u64) -> Part {
        Part { name: "db".into(), replicas, ..Part::default() }
    }

    fn template(value: Value) -> TargetInstance {
        serde_json::from_value(value).unwrap()
    }

    fn alone() -> Member {
        Member { component: "db".into(), sharding: None }
    }

    #[test]
    fn a_role_is_selected_among_several_pods_only() {
        let wanted = template(json!({"role": "secondary", "fallbackRole": "primary", "account": "kb_admin"}));
        for (replicas, role) in [(1, None), (0, None), (2, Some("secondary"))] {
            let part = part(replicas);
            let target = Scene { cluster: "c", part: &part }.target(&wanted, &alone());
            let selector = target.pod_selector.unwrap();
            assert_eq!(selector.match_labels.get(labels::ROLE).map(String::as_str), role, "{replicas}");
            let fallback = selector.fallback_label_selector.unwrap().match_labels.unwrap();
            assert_eq!(fallback[labels::ROLE], "primary");
            assert_eq!(target.connection_credential.unwrap().secret_name, "c-db-account-kb-admin");
            assert_eq!(target.name, None);
        }
        for no_fallback in [json!({"role": "", "fallbackRole": "primary"}), json!({"role": "a"})] {
            let part = part(3);
            let target = Scene { cluster: "c", part: &part }.target(&template(no_fallback), &alone());
            assert_eq!(target.pod_selector.unwrap().fallback_label_selector, None);
        }
    }

    #[test]
    fn a_shard_has_a_target_of_its_own_name() {
        let part = Part { sharding: true, ..part(2) };
        let member = Member { component: "shard-x1".into(), sharding: Some("shard".into()) };
        let target =
            Scene { cluster: "c", part: &part }.target(&template(json!({"role": "", "account": "root"})), &member);
        assert_eq!(
            serde_json::to_value(&target).unwrap(),
            json!({
                "name": "shard-x1",
                "podSelector": {"strategy": "Any", "matchLabels": {
                    "app.kubernetes.io/instance": "c", "app.kubernetes.io/managed-by": "kubeblocks",
                    "apps.kubeblocks.io/component-name": "shard-x1", "apps.kubeblocks.io/sharding-name": "shard"}},
                "connectionCredential": {"secretName": "c-shard-x1-account-root", "usernameKey": "username",
                    "passwordKey": "password"},
            })
        );
    }

    #[test]
    fn bd33_what_a_user_changed_stays_and_what_follows_the_cluster_follows() {
        let old: BackupTarget = serde_json::from_value(json!({
            "podSelector": {"matchLabels": {"kubeblocks.io/role": "chosen", "mine": "1"}, "strategy": "All"},
            "connectionCredential": {"secretName": "mine"},
        }))
        .unwrap();
        let wanted = template(json!({"role": "secondary", "useParentSelectedPods": true}));
        let role = |target: &BackupTarget| {
            target.pod_selector.as_ref().unwrap().match_labels.get(labels::ROLE).cloned().unwrap_or_default()
        };
        let (many, one) = (part(2), part(1));
        let kept = Scene { cluster: "c", part: &many }.kept(&old, &wanted);
        assert_eq!(role(&kept), "chosen", "a role of the user's choice");
        assert_eq!(kept.pod_selector.as_ref().unwrap().use_parent_selected_pods, Some(true));
        assert_eq!(kept.connection_credential, old.connection_credential);
        let single = Scene { cluster: "c", part: &one }.kept(&kept, &wanted);
        assert_eq!(role(&single), "", "one pod has whatever role");
        assert_eq!(role(&Scene { cluster: "c", part: &many }.kept(&single, &wanted)), "secondary");
    }
}
