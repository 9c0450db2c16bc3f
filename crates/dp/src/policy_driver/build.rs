//! The BackupPolicy of one component or sharding (contract-dp §12, behaviour-backup §10). Pure.

use super::target::{Member, Scene};
use crate::cluster::{Cluster, Part};
use crate::template::matching;
use api_types::contract::{annotations, labels, names};
use api_types::dp::{
    BackupMethod, BackupMethodTemplate, BackupPolicy, BackupPolicySpec, BackupPolicyTemplate, BackupTarget,
    EncryptionConfig, TargetInstance, TemplateEnvVar,
};
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

/// What a policy and its schedule are made from.
pub struct Source<'a> {
    /// The Cluster.
    pub cluster: &'a Cluster,
    /// Its component or sharding.
    pub part: &'a Part,
    /// The template.
    pub template: &'a BackupPolicyTemplate,
    /// The component, or the shards.
    pub members: &'a [Member],
    /// Version of the database, where known.
    pub version: Option<&'a str>,
    /// Encryption of backups whose policy says nothing.
    pub encryption: Option<&'a EncryptionConfig>,
}

impl Source<'_> {
    /// `<cluster>-<part><suffix>`, cut with a hash (rule 40).
    pub fn name(&self, suffix: &str) -> String {
        let wire = format!("{}-{}{suffix}", self.cluster.name_any(), self.part.name);
        let uid = self.cluster.uid().unwrap_or_default();
        controller_kit::names::child(&wire, &[&uid, &self.part.name, suffix])
    }

    /// Name, owner, labels and annotations of policy and schedule; what `old` has besides stays.
    pub fn metadata(&self, suffix: &str, old: Option<&ObjectMeta>) -> ObjectMeta {
        let mut meta = ObjectMeta {
            name: Some(self.name(suffix)),
            namespace: self.cluster.namespace(),
            owner_references: self.owner().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        if let Some(old) = old {
            meta = ObjectMeta { managed_fields: None, ..old.clone() };
        }
        let identity = if self.part.sharding { labels::SHARDING_NAME } else { labels::COMPONENT_NAME };
        let definition = self.part.definition.clone().unwrap_or_default();
        meta.labels.get_or_insert_default().extend([
            (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_APPS.to_owned()),
            (labels::INSTANCE.to_owned(), self.cluster.name_any()),
            (labels::COMPONENT_DEFINITION.to_owned(), definition),
            (identity.to_owned(), self.part.name.clone()),
        ]);
        let notes = meta.annotations.get_or_insert_default();
        notes.insert(annotations::IS_DEFAULT_POLICY.into(), labels::TRUE.into());
        notes.insert(annotations::BACKUP_POLICY_TEMPLATE.into(), self.template.name_any());
        if let Some(reference) = self.template.annotations().get(annotations::RECONFIGURE_REF) {
            notes.insert(annotations::RECONFIGURE_REF.into(), reference.clone());
        }
        meta
    }

    /// The Cluster, as an owner that does not hold back its own foreground deletion.
    fn owner(&self) -> Option<OwnerReference> {
        self.cluster.controller_owner_ref(&())
    }

    /// The policy as it should be: `old` where it is, with what the driver keeps in step.
    pub fn policy(&self, old: Option<&BackupPolicy>) -> BackupPolicy {
        let mut spec = old.map_or_else(|| self.fresh(), |old| old.spec.clone());
        let backup = self.cluster.backup().unwrap_or_default();
        if let Some(repo) = backup.repo_name.filter(|name| !name.is_empty()) {
            spec.backup_repo_name = Some(repo);
        }
        if spec.encryption_config.is_none() {
            spec.encryption_config = self.encryption.cloned();
        }
        if old.is_none_or(|policy| !is_frozen(policy)) {
            spec.backup_methods = self.methods(&spec);
            spec.backoff_limit = Some(self.template.spec.backoff_limit.unwrap_or(2));
            spec.retention_policy.clone_from(&self.template.spec.retention_policy);
            self.step_targets(&mut spec);
        }
        BackupPolicy {
            metadata: self.metadata(names::BACKUP_POLICY_SUFFIX, old.map(|old| &old.metadata)),
            spec,
            status: None,
        }
    }

    fn fresh(&self) -> BackupPolicySpec {
        BackupPolicySpec {
            path_prefix: Some(format!(
                "/{}-{}/{}",
                self.cluster.name_any(),
                self.cluster.uid().unwrap_or_default(),
                self.part.name
            )),
            use_kopia: Some(false),
            ..BackupPolicySpec::default()
        }
    }

    fn scene<'a>(&'a self, cluster: &'a str) -> Scene<'a> {
        Scene { cluster, part: self.part }
    }

    fn step_targets(&self, spec: &mut BackupPolicySpec) {
        let any = TargetInstance::default();
        let template = self.template.spec.target.as_ref().unwrap_or(&any);
        let cluster = self.cluster.name_any();
        let scene = self.scene(&cluster);
        if self.part.sharding {
            spec.target = None;
            spec.targets = self.shards(template, &spec.targets);
        } else if let Some(member) = self.members.first() {
            // A list of targets is a user's own work.
            if spec.targets.is_empty() {
                let old = spec.target.as_ref().filter(|target| target.pod_selector.is_some());
                spec.target = Some(old.map_or_else(|| scene.target(template, member), |t| scene.kept(t, template)));
            }
        }
    }

    /// One target per shard; those of shards that are gone are dropped.
    fn shards(&self, template: &TargetInstance, old: &[BackupTarget]) -> Vec<BackupTarget> {
        let cluster = self.cluster.name_any();
        let scene = self.scene(&cluster);
        let of = |member: &Member| {
            let old = old.iter().find(|target| target.name() == member.component);
            old.map_or_else(|| scene.target(template, member), |target| scene.kept(target, template))
        };
        self.members.iter().map(of).collect()
    }

    /// The template's methods, with the targets that the methods of `old` have.
    fn methods(&self, old: &BackupPolicySpec) -> Vec<BackupMethod> {
        self.template.spec.backup_methods.iter().map(|m| self.method(m, old.method(&m.name))).collect()
    }

    fn method(&self, template: &BackupMethodTemplate, old: Option<&BackupMethod>) -> BackupMethod {
        let mut method = BackupMethod {
            name: template.name.clone(),
            compatible_method: template.compatible_method.clone(),
            snapshot_volumes: Some(template.snapshot_volumes()),
            action_set_name: template.action_set_name.clone(),
            target_volumes: template.target_volumes.clone(),
            env: template.env.iter().filter_map(|v| self.env(v)).collect(),
            runtime_settings: template.runtime_settings.clone(),
            ..BackupMethod::default()
        };
        let Some(own) = &template.target else {
            return method;
        };
        let cluster = self.cluster.name_any();
        let scene = self.scene(&cluster);
        if self.part.sharding {
            // The reference builds these from the template's own target, whatever the method's says (contract-dp §12).
            let of = self.template.spec.target.as_ref().unwrap_or(own);
            method.targets = self.shards(of, old.map_or(&[], |m| &m.targets));
        } else if let Some(member) = self.members.first() {
            let kept = old.and_then(|m| m.target.as_ref()).filter(|target| target.pod_selector.is_some());
            method.target = Some(kept.map_or_else(|| scene.target(own, member), |t| scene.kept(t, own)));
        }
        method
    }

    /// The value mapped to the version, else the literal one; without either the variable is left out.
    fn env(&self, variable: &TemplateEnvVar) -> Option<EnvVar> {
        let mapped = variable.value_from.as_ref().and_then(|from| {
            let version = self.version?;
            let found = |fits: &dyn Fn(&str) -> bool| {
                let mapping = from.version_mapping.iter();
                mapping.filter(|m| m.service_versions.iter().any(|v| fits(v))).map(|m| m.mapped_value.clone()).next()
            };
            // The exact version first, over all of them (rule 41).
            found(&|v| v == version).or_else(|| found(&|v| matching::matches(v, version)))
        });
        let value = mapped.or_else(|| variable.value.clone())?;
        Some(EnvVar { name: variable.name.clone(), value: Some(value), value_from: None })
    }
}

/// Whether its user took a policy out of the template's hands.
pub fn is_frozen(policy: &BackupPolicy) -> bool {
    policy.annotations().get(annotations::DISABLE_SYNC_FROM_TEMPLATE).is_some_and(|v| v == labels::TRUE)
}
