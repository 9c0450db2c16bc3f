//! Cluster, Component and ComponentDefinition, as far as this operator reads them (behaviour-apps §12).
//!
//! They belong to the apps operator, ours or another, and their kinds may be missing: then they are as good as absent.
//! The caches keep of each object only what the policy driver reads ([`Cluster::prune`] and its siblings); whoever needs
//! the whole object asks for it by name.

use crate::kind::kind;
use api_types::apps::ClusterBackup;
use api_types::contract::{APPS_GROUP, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the kinds.
pub const VERSION: &str = "v1";

macro_rules! kind_of_apps {
    ($(#[$meta:meta])* $name:ident, $plural:literal, $scope:ty) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct $name {
            /// Name, labels, UID.
            #[serde(default)]
            pub metadata: ObjectMeta,
            /// Everything that was asked for; read field by field, so that no other field can be in the way.
            #[serde(default)]
            pub spec: Value,
            /// What its operator says of it, read in the same way.
            #[serde(default)]
            pub status: Value,
        }

        kind!($name, APPS_GROUP, VERSION, $plural, $scope);
    };
}

kind_of_apps!(
    /// A database cluster of several components.
    Cluster, "clusters", NamespaceResourceScope
);
kind_of_apps!(
    /// One component of a Cluster, named `<cluster>-<component>`.
    Component, "components", NamespaceResourceScope
);
kind_of_apps!(
    /// What an addon says about one kind of component.
    ComponentDefinition, "componentdefinitions", ClusterResourceScope
);

fn list<'a>(spec: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    spec.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str).filter(|t| !t.is_empty())
}

/// Names of the volume claim templates of a component's spec, those of its instance templates included.
fn volumes(spec: &Value) -> BTreeSet<String> {
    let of_instances = list(spec, "instances").flat_map(|i| list(i, "volumeClaimTemplates"));
    let all = list(spec, "volumeClaimTemplates").chain(of_instances);
    all.filter_map(|t| text(t, "name")).map(str::to_owned).collect()
}

/// A component, or the components of a sharding, as `Cluster.spec` describes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Name in the spec.
    pub name: String,
    /// It is a sharding: its components have names of their own.
    pub sharding: bool,
    /// ComponentDefinition as the spec names it; exact once the apps operator has resolved it.
    pub definition: Option<String>,
    /// Labels its claims carry for sure.
    pub labels: BTreeMap<String, String>,
    /// Its volume claim templates.
    pub volumes: BTreeSet<String>,
    /// Version of the database, where the spec says it.
    pub service_version: Option<String>,
    /// Pods of the component, or of each shard.
    pub replicas: u64,
    /// Shards of a sharding.
    pub shards: u64,
}

/// What happens to the rest when a Cluster is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationPolicy {
    /// It may not be deleted.
    DoNotTerminate,
    /// Its backups stay.
    Delete,
    /// Its backups go with it.
    WipeOut,
    /// None of the others, or none at all.
    Other,
}

/// Name of the CRD of a kind of the apps operator.
pub fn crd_of<K: Resource<DynamicType = ()>>() -> String {
    format!("{}.{}", K::plural(&()), K::group(&()))
}

/// Leaves of `value` the fields that `keep` names.
fn only(value: &Value, keep: &[&str]) -> Value {
    let fields = value.as_object().into_iter().flatten();
    let kept = fields.filter(|(key, _)| keep.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(kept.collect())
}

fn each(value: &Value, field: &str, pruned: impl Fn(&Value) -> Value) -> Value {
    list(value, field).map(pruned).collect()
}

fn prune_metadata(metadata: &mut ObjectMeta) {
    metadata.annotations = None;
    metadata.managed_fields = None;
    metadata.owner_references = None;
}

impl Cluster {
    /// Leaves what the cache is for: parts with definition, version and number of pods, how it is backed up, and what
    /// happens to its backups.
    pub fn prune(&mut self) {
        const PART: [&str; 4] = ["name", "componentDef", "serviceVersion", "replicas"];
        prune_metadata(&mut self.metadata);
        self.metadata.labels = None;
        let sharding = |sharding: &Value| {
            let template = only(sharding.get("template").unwrap_or(&Value::Null), &PART);
            json!({"name": sharding.get("name"), "shards": sharding.get("shards"), "template": template})
        };
        self.spec = json!({
            "backup": self.spec.get("backup"), "terminationPolicy": self.spec.get("terminationPolicy"),
            "componentSpecs": each(&self.spec, "componentSpecs", |part| only(part, &PART)),
            "shardings": each(&self.spec, "shardings", sharding),
        });
    }

    /// How it is to be backed up; `None` also where that can not be read.
    pub fn backup(&self) -> Option<ClusterBackup> {
        let backup = self.spec.get("backup").filter(|b| b.is_object())?;
        serde_json::from_value(backup.clone()).ok()
    }

    /// What happens to its backups when it is deleted.
    pub fn termination_policy(&self) -> TerminationPolicy {
        match text(&self.spec, "terminationPolicy") {
            Some("DoNotTerminate") => TerminationPolicy::DoNotTerminate,
            Some("Delete") => TerminationPolicy::Delete,
            Some("WipeOut") => TerminationPolicy::WipeOut,
            _ => TerminationPolicy::Other,
        }
    }

    /// Every component and sharding of the spec.
    pub fn parts(&self) -> Vec<Part> {
        let component = |spec: &Value| Some(self.part(text(spec, "name")?, spec, false));
        let sharding = |spec: &Value| {
            let shards = spec.get("shards").and_then(Value::as_u64).unwrap_or_default();
            Some(Part { shards, ..self.part(text(spec, "name")?, spec.get("template")?, true) })
        };
        let components = list(&self.spec, "componentSpecs").filter_map(component);
        components.chain(list(&self.spec, "shardings").filter_map(sharding)).collect()
    }

    fn part(&self, name: &str, spec: &Value, sharding: bool) -> Part {
        let own = spec.get("labels").and_then(Value::as_object).into_iter().flatten();
        let mut all: BTreeMap<String, String> =
            own.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let identity = if sharding { labels::SHARDING_NAME } else { labels::COMPONENT_NAME };
        all.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_APPS.into());
        all.insert(labels::INSTANCE.into(), self.name_any());
        all.insert(identity.into(), name.into());
        Part {
            name: name.into(),
            sharding,
            definition: text(spec, "componentDef").map(str::to_owned),
            labels: all,
            volumes: volumes(spec),
            service_version: text(spec, "serviceVersion").map(str::to_owned),
            replicas: spec.get("replicas").and_then(Value::as_u64).unwrap_or(1),
            shards: 0,
        }
    }
}

impl Cluster {
    /// Its phase, empty where it says none.
    pub fn phase(&self) -> &str {
        text(&self.status, "phase").unwrap_or_default()
    }

    /// It is being deleted, and nothing forbids that.
    pub fn is_going(&self) -> bool {
        let kept = text(&self.spec, "terminationPolicy") == Some("DoNotTerminate");
        self.metadata.deletion_timestamp.is_some() && !kept
    }

    /// It is being restored: its spec asks for it, and no verdict is there yet (behaviour-backup §19).
    pub fn is_being_restored(&self) -> bool {
        let asked = self.spec.get("restore").is_some_and(|r| !r.is_null());
        let verdict = list(&self.status, "conditions").find(|c| text(c, "type") == Some("Restore"));
        let settled = verdict.and_then(|c| text(c, "status")).is_some_and(|s| s == "True" || s == "False");
        asked && !settled
    }
}

impl Component {
    /// Leaves what the cache is for: whose it is, and its version.
    pub fn prune(&mut self) {
        prune_metadata(&mut self.metadata);
        self.spec = only(&self.spec, &["compDef", "serviceVersion"]);
    }

    /// Version of its database.
    pub fn service_version(&self) -> Option<&str> {
        text(&self.spec, "serviceVersion")
    }

    /// Its name within the Cluster `cluster`.
    pub fn short_name(&self, cluster: &str) -> String {
        let name = self.name_any();
        let labelled = self.labels().get(labels::COMPONENT_NAME).filter(|l| !l.is_empty());
        let stripped =
            || name.strip_prefix(cluster).and_then(|rest| rest.strip_prefix('-')).unwrap_or(&name).to_owned();
        labelled.cloned().unwrap_or_else(stripped)
    }

    /// Name of the object of a component of a Cluster.
    pub fn name_of(cluster: &str, component: &str) -> String {
        format!("{cluster}-{component}")
    }

    /// Its ComponentDefinition.
    pub fn definition(&self) -> Option<&str> {
        text(&self.spec, "compDef")
    }

    /// Its volume claim templates.
    pub fn volumes(&self) -> BTreeSet<String> {
        volumes(&self.spec)
    }

    /// Accounts that are switched off for it.
    pub fn disabled_accounts(&self) -> BTreeSet<&str> {
        let off = |a: &&Value| a.get("disabled").and_then(Value::as_bool) == Some(true);
        list(&self.spec, "systemAccounts").filter(off).filter_map(|a| text(a, "name")).collect()
    }
}

impl ComponentDefinition {
    /// Leaves the name: that is what templates are matched with.
    pub fn prune(&mut self) {
        prune_metadata(&mut self.metadata);
        self.metadata.labels = None;
        self.spec = Value::Null;
    }

    /// Names of the accounts such a component has.
    pub fn accounts(&self) -> BTreeSet<&str> {
        list(&self.spec, "systemAccounts").filter_map(|a| text(a, "name")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn parts_of_a_cluster_have_the_labels_and_volumes_of_their_claims() {
        let cluster: Cluster = of(json!({
            "apiVersion": "apps.kubeblocks.io/v1", "kind": "Cluster", "metadata": {"name": "c", "namespace": "n"},
            "spec": {
                "componentSpecs": [
                    {"name": "db", "componentDef": "db-1", "labels": {"tier": "gold"},
                     "volumeClaimTemplates": [{"name": "data"}], "instances": [{"name": "big", "volumeClaimTemplates": [{"name": "log"}]}]},
                    {"componentDef": "nameless"},
                ],
                "shardings": [{"name": "shard", "shards": 2, "template": {"componentDef": "s-1", "volumeClaimTemplates": [{"name": "data"}]}}],
            },
        }));
        let parts = cluster.parts();
        let names: Vec<(&str, bool)> = parts.iter().map(|p| (p.name.as_str(), p.sharding)).collect();
        assert_eq!(names, [("db", false), ("shard", true)]);
        assert_eq!(parts[0].volumes, BTreeSet::from(["data".to_owned(), "log".to_owned()]));
        assert_eq!(parts[0].labels["tier"], "gold");
        assert_eq!(parts[0].labels["apps.kubeblocks.io/component-name"], "db");
        assert_eq!(parts[1].labels["apps.kubeblocks.io/sharding-name"], "shard");
        assert!(!parts[1].labels.contains_key("apps.kubeblocks.io/component-name"));
    }

    #[test]
    fn a_pruned_cluster_answers_as_the_whole_one() {
        let whole = json!({
            "metadata": {"name": "c", "namespace": "n", "uid": "u", "annotations": {"big": "x"}},
            "spec": {
                "terminationPolicy": "WipeOut", "backup": {"method": "full", "pitrEnabled": true}, "schedulingPolicy": {"a": 1},
                "componentSpecs": [{"name": "db", "componentDef": "db-1", "serviceVersion": "8.0", "replicas": 3,
                    "resources": {"limits": {"cpu": 1}}}],
                "shardings": [{"name": "s", "shards": 2, "template": {"componentDef": "s-1", "env": [{"name": "A"}]}}],
            },
        });
        let (whole, mut pruned): (Cluster, Cluster) = (of(whole.clone()), of(whole));
        pruned.prune();
        assert!(pruned.annotations().is_empty() && !pruned.spec.to_string().contains("limits"), "{}", pruned.spec);
        assert_eq!((pruned.backup(), pruned.termination_policy()), (whole.backup(), TerminationPolicy::WipeOut));
        let parts = pruned.parts();
        let seen = |p: &Part| (p.name.clone(), p.definition.clone(), p.service_version.clone(), p.replicas, p.shards);
        assert_eq!(parts.iter().map(seen).collect::<Vec<_>>(), whole.parts().iter().map(seen).collect::<Vec<_>>());
        assert_eq!((parts[0].replicas, parts[1].shards), (3, 2));
    }

    #[test]
    fn odd_specs_are_read_as_far_as_they_go() {
        for spec in [json!(null), json!({}), json!({"systemAccounts": null}), json!({"systemAccounts": [{}, 3]})] {
            let definition: ComponentDefinition = of(json!({"metadata": {"name": "d"}, "spec": spec}));
            assert!(definition.accounts().is_empty());
        }
        let component: Component = of(json!({"metadata": {}, "spec": {"compDef": "d", "systemAccounts": [
            {"name": "on"}, {"name": "off", "disabled": true}]}}));
        assert_eq!(component.disabled_accounts(), BTreeSet::from(["off"]));
        assert_eq!((component.definition(), component.volumes().len()), (Some("d"), 0));
    }
}
