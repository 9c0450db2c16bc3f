//! Which policies and schedules a Cluster lacks, and how those it has differ. Pure.

use super::build::Source;
use super::schedule::{has_method, schedule};
use super::target::Member;
use crate::cluster::{Cluster, Component, Part};
use api_types::contract::{annotations, events, labels, names};
use api_types::dp::{
    ActionSet, BackupMethod, BackupPolicy, BackupPolicySpec, BackupPolicyTemplate, BackupSchedule, BackupType,
    EncryptionConfig,
};
use controller_kit::diff::merge_diff;
use kube::ResourceExt;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look at the caches.
pub struct Observed {
    /// The Cluster; not on its way out.
    pub cluster: Arc<Cluster>,
    /// All templates, by name.
    pub templates: Vec<Arc<BackupPolicyTemplate>>,
    /// All action sets, by name.
    pub action_sets: BTreeMap<String, Arc<ActionSet>>,
    /// Components of the Cluster, by name.
    pub components: Vec<Arc<Component>>,
    /// Policies of the namespace that the Cluster owns, or that have a name that it may want.
    pub policies: Vec<Arc<BackupPolicy>>,
    /// Schedules likewise.
    pub schedules: Vec<Arc<BackupSchedule>>,
    /// Encryption of policies that say nothing.
    pub encryption: Option<EncryptionConfig>,
}

/// One write.
#[derive(Debug)]
pub enum Step<K> {
    /// It is not there.
    Create(Box<K>),
    /// It is there, and differs by this merge patch.
    Change(Arc<K>, Value),
}

/// What is to be done, and what can not be.
#[derive(Debug, Default)]
pub struct Plan {
    /// Writes of policies; they come first.
    pub policies: Vec<Step<BackupPolicy>>,
    /// Writes of schedules.
    pub schedules: Vec<Step<BackupSchedule>>,
    /// Event reason and message, for the Cluster.
    pub problems: Vec<(&'static str, String)>,
}

/// What `seen` lacks.
pub fn plan(seen: &Observed) -> Plan {
    let mut plan = Plan::default();
    let mut policies = Vec::new();
    for part in seen.cluster.parts() {
        if let Some(policy) = of_part(seen, &part, &mut plan) {
            policies.push(policy);
        }
    }
    let backup = seen.cluster.backup().unwrap_or_default();
    if !policies.is_empty() && !policies.iter().any(|policy| has_method(&backup, policy)) {
        let known: Vec<&str> = policies.iter().flat_map(|p| &p.backup_methods).map(|m| m.name.as_str()).collect();
        plan.problems.push((
            events::cluster::BACKUP_METHOD_NOT_FOUND,
            format!("spec.backup.method: no component has {}; there are {}", backup.method, known.join(", ")),
        ));
    }
    plan
}

/// Plans one component or sharding, and gives its policy as it should be.
fn of_part(seen: &Observed, part: &Part, plan: &mut Plan) -> Option<BackupPolicySpec> {
    let definition = part.definition.as_ref()?;
    let matched = |t: &&Arc<BackupPolicyTemplate>| {
        t.status.as_ref().is_some_and(|s| s.matched_comp_defs.iter().any(|d| d == definition))
    };
    let template = seen.templates.iter().find(matched)?;
    let components = components(seen, part);
    let members = members(&seen.cluster, part, &components);
    let version = part.service_version.as_deref().or_else(|| components.first().and_then(|c| c.service_version()));
    let source = Source {
        cluster: &seen.cluster,
        part,
        template,
        members: &members,
        version,
        encryption: seen.encryption.as_ref(),
    };
    let old = match own(seen, part, &seen.policies, &source.name(names::BACKUP_POLICY_SUFFIX)) {
        Ok(old) => old,
        Err(why) => {
            plan.problems.extend(why);
            return None;
        }
    };
    // A first policy with some of the shards would give backups that lack the others; their Components wake us.
    let expected = if part.sharding { part.shards.max(1) } else { 1 };
    let whole = members.len() as u64 >= expected || (old.is_some() && !members.is_empty());
    if !whole {
        return None;
    }
    let policy = source.policy(old.map(AsRef::as_ref));
    let name = policy.name_any();
    plan.policies.extend(step(old, &policy));

    let type_of = |method: &str| type_of(policy.spec.method(method)?, &seen.action_sets);
    match own(seen, part, &seen.schedules, &source.name(names::BACKUP_SCHEDULE_SUFFIX)) {
        Ok(old) => {
            let wanted = schedule(&source, (&name, &policy.spec), old.map(AsRef::as_ref), &type_of);
            plan.schedules.extend(wanted.and_then(|wanted| step(old, &wanted)));
        }
        Err(why) => plan.problems.extend(why),
    }
    Some(policy.spec)
}

fn components<'a>(seen: &'a Observed, part: &Part) -> Vec<&'a Component> {
    let key = if part.sharding { labels::SHARDING_NAME } else { labels::COMPONENT_NAME };
    let of = |c: &&Arc<Component>| c.labels().get(key) == Some(&part.name) && c.metadata.deletion_timestamp.is_none();
    seen.components.iter().filter(of).map(AsRef::as_ref).collect()
}

fn members(cluster: &Cluster, part: &Part, components: &[&Component]) -> Vec<Member> {
    if !part.sharding {
        return vec![Member { component: part.name.clone(), sharding: None }];
    }
    let name = cluster.name_any();
    let shard = |c: &&Component| Member { component: c.short_name(&name), sharding: Some(part.name.clone()) };
    let mut shards: Vec<Member> = components.iter().map(shard).collect();
    shards.sort_by(|a, b| a.component.cmp(&b.component));
    shards
}

fn type_of(method: &BackupMethod, action_sets: &BTreeMap<String, Arc<ActionSet>>) -> Option<BackupType> {
    match method.action_set_name() {
        Some(name) => action_sets.get(name).map(|a| a.spec.backup_type.clone()),
        None => method.snapshot_volumes().then_some(BackupType::Full),
    }
}

/// The object of a part that this Cluster owns, whatever its name: one made by another operator may be cut otherwise.
///
/// # Errors
/// The wanted name is taken. By an object of a Cluster that is gone: nothing to say, it goes too, and that wakes us.
fn own<'a, K: kube::Resource<DynamicType = ()>>(
    seen: &Observed,
    part: &Part,
    objects: &'a [Arc<K>],
    wanted: &str,
) -> Result<Option<&'a Arc<K>>, Option<(&'static str, String)>> {
    let key = if part.sharding { labels::SHARDING_NAME } else { labels::COMPONENT_NAME };
    let uid = seen.cluster.uid();
    let owned = |o: &&Arc<K>| o.owner_references().iter().any(|r| r.kind == "Cluster" && Some(&r.uid) == uid.as_ref());
    let of_part = |o: &&Arc<K>| {
        o.labels().get(key) == Some(&part.name) && o.annotations().contains_key(annotations::BACKUP_POLICY_TEMPLATE)
    };
    if let Some(named) = objects.iter().find(|o| o.name_any() == wanted) {
        if named.meta().deletion_timestamp.is_some() {
            return Err(None);
        }
        if owned(&named) {
            return Ok(Some(named));
        }
        let of_another =
            named.owner_references().iter().any(|r| r.kind == "Cluster" && r.name == seen.cluster.name_any());
        let message = format!(
            "{} {wanted} is not of this Cluster; delete it, so that it can be made from {}'s template",
            K::kind(&()),
            part.name
        );
        return Err((!of_another).then_some((events::cluster::RECONCILE_BACKUP_POLICY_FAIL, message)));
    }
    let alive = |o: &&Arc<K>| o.meta().deletion_timestamp.is_none();
    Ok(objects.iter().filter(owned).filter(of_part).filter(alive).min_by_key(|o| o.name_any()))
}

/// What makes `old` the wanted object; nothing where it is.
fn step<K>(old: Option<&Arc<K>>, wanted: &K) -> Option<Step<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + Serialize,
{
    let Some(old) = old else {
        return Some(Step::Create(Box::new(wanted.clone())));
    };
    let mut patch = merge_diff(&shown(old.as_ref()), &shown(wanted))?;
    // Guarded, so that what somebody else wrote meanwhile is seen first.
    let guard = json!({"uid": old.uid(), "resourceVersion": old.resource_version()});
    let metadata = patch.as_object_mut()?.entry("metadata").or_insert_with(|| json!({}));
    metadata.as_object_mut()?.extend(guard.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
    Some(Step::Change(Arc::clone(old), patch))
}

/// The fields the driver writes.
fn shown<K: kube::Resource<DynamicType = ()> + Serialize>(object: &K) -> Value {
    let spec = serde_json::to_value(object).ok().and_then(|mut whole| whole.get_mut("spec").map(Value::take));
    json!({"metadata": {"labels": object.labels(), "annotations": object.annotations()}, "spec": spec})
}
