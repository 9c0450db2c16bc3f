//! Whether anybody's data comes back beside a claim that only gets an empty volume (design D7b, D7c). Pure.
//!
//! An empty volume is right for a volume or component that was not backed up, and wrong where nothing at all would be
//! restored: a database would start empty and be called restored. So an empty volume needs a witness:
//!
//! | the claim | witness |
//! |---|---|
//! | of the component that was backed up, its volume was not | a volume of the same component that was |
//! | of another component | a component of the same Cluster that was backed up, with a volume that was |
//!
//! A witness is another claim whose own choice is data, or what the apps operator's objects say will come. Claims come
//! one after another, with ordered pods each only when the one before is bound: so the objects decide where they are
//! there, and only without them is it awaited that such a claim comes. "None" is said only by objects, never by absence.

use super::parameters;
use super::source::{self, Choice, Fit, NoData};
use crate::cluster::Part;
use crate::error::Stop;
use crate::reasons;
use api_types::contract::{annotations, labels};
use api_types::dp::{Backup, BackupStatus};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Whether something is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// Yes.
    Found,
    /// No, whatever claims still come.
    None,
    /// Not known yet.
    Awaited,
}

/// What the apps operator's objects say, as far as one was asked.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Volume claim templates of the claim's own Component; `None` where it does not exist.
    pub own_volumes: Option<BTreeSet<String>>,
    /// Components and shardings of the Cluster; `None` where it does not exist.
    pub parts: Option<Vec<Part>>,
}

/// What the cache alone says.
pub fn by_claims(
    claim: &PersistentVolumeClaim,
    backup: &Backup,
    why: &NoData,
    others: &[Arc<PersistentVolumeClaim>],
) -> Witness {
    if source::volumes_of(backup).is_empty() {
        return Witness::None; // nobody's volume was backed up
    }
    let component = |c: &PersistentVolumeClaim| c.labels().get(labels::COMPONENT_NAME).cloned();
    let counts = |other: &PersistentVolumeClaim| match why {
        NoData::VolumeNotBackedUp { .. } => component(other) == component(claim),
        NoData::OtherComponent => true,
    };
    let restored = |other: &PersistentVolumeClaim| {
        let choice = parameters::read(other).and_then(|asked| source::choose(other, backup, &asked));
        other.metadata.deletion_timestamp.is_none() && matches!(choice, Ok(Choice::Data { .. }))
    };
    if others.iter().any(|other| same_restore(other, claim) && counts(other) && restored(other)) {
        Witness::Found
    } else {
        Witness::Awaited
    }
}

/// What the objects say.
pub fn by_objects(backup: &Backup, why: &NoData, told: &Told) -> Witness {
    let backed_up = source::volumes_of(backup);
    let has_one = |volumes: &BTreeSet<String>| volumes.iter().any(|v| backed_up.contains(v.as_str()));
    match why {
        NoData::VolumeNotBackedUp { .. } => match &told.own_volumes {
            Some(volumes) if has_one(volumes) => Witness::Found,
            Some(_) => Witness::None,
            None => Witness::Awaited,
        },
        NoData::OtherComponent => {
            let Some(parts) = &told.parts else {
                return Witness::Awaited;
            };
            let targets = backup.status.as_ref().map(BackupStatus::targets).unwrap_or_default();
            let fits = parts.iter().filter(|p| has_one(&p.volumes)).flat_map(|part| {
                let absent: &[&str] = if part.sharding { &[] } else { &[labels::SHARDING_NAME] };
                targets.iter().map(move |t| source::fit(t, &part.labels, absent))
            });
            match fits.max() {
                Some(Fit::Yes) => Witness::Found,
                Some(Fit::Unknown) => Witness::Awaited,
                Some(Fit::No) | None => Witness::None,
            }
        }
    }
}

/// Nothing is restored, or that is not known yet.
pub fn stop(claim: &PersistentVolumeClaim, backup: &Backup, why: &NoData, witness: Witness) -> Option<Stop> {
    let of = |key: &str| claim.labels().get(key).map_or("(a label that the claim lacks)", String::as_str);
    let (cluster, component) = (of(labels::INSTANCE), of(labels::COMPONENT_NAME));
    let known: Vec<&str> = source::volumes_of(backup).into_iter().collect();
    let held = if known.is_empty() { "no volume".to_owned() } else { format!("volumes {}", known.join(", ")) };
    let name = backup.name_any();
    let reason = why.told(backup);
    match witness {
        Witness::Found => None,
        Witness::Awaited => Some(Stop::wait(
            reasons::WAIT_FOR_OTHER_VOLUMES,
            match why {
                NoData::VolumeNotBackedUp { .. } => format!(
                    "{reason}: this claim would get an empty volume; waiting until Component {cluster}-{component}, or \
                     a claim of it, says that another of its volumes is restored"
                ),
                NoData::OtherComponent => format!(
                    "{reason}: this claim would get an empty volume; waiting until Cluster {cluster}, or a claim of it, \
                     says that another component is restored"
                ),
            },
        )),
        Witness::None => Some(Stop::terminal(
            reasons::NO_DATA_RESTORED,
            match why {
                NoData::VolumeNotBackedUp { .. } => format!(
                    "{reason}, nor any other of component {component}: Backup {name} holds {held}, so the component \
                     would start empty"
                ),
                NoData::OtherComponent => format!(
                    "{reason}, nor is any other component of Cluster {cluster} with one of its volumes: Backup {name} \
                     holds {held}, so the Cluster would start empty; choose the target with {}",
                    annotations::SOURCE_TARGET_NAME
                ),
            },
        )),
    }
}

/// Both claims are of one restore of one Cluster.
pub fn same_restore(one: &PersistentVolumeClaim, other: &PersistentVolumeClaim) -> bool {
    let instance = |c: &PersistentVolumeClaim| c.labels().get(labels::INSTANCE).cloned().filter(|i| !i.is_empty());
    let source = |c: &PersistentVolumeClaim| {
        let source = c.spec.as_ref()?.data_source_ref.as_ref()?;
        Some((source.kind.clone(), source.name.clone()))
    };
    one.uid() != other.uid()
        && one.namespace() == other.namespace()
        && source::asked_by_apps(one)
        && source::asked_by_apps(other)
        && instance(one).is_some()
        && instance(one) == instance(other)
        && source(one) == source(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use serde_json::{Value, json};

    fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn claim(component: &str, volume: &str) -> PersistentVolumeClaim {
        let name = format!("{volume}-c-{component}-0");
        of(json!({
            "metadata": {"name": name, "namespace": "n", "uid": name,
                "annotations": {annotations::RESTORE_SOURCE_KIND: "Backup", annotations::RESTORE_VOLUME_TEMPLATE: volume},
                "labels": {labels::INSTANCE: "c", labels::COMPONENT_NAME: component, labels::MANAGED_BY: "kubeblocks"}},
            "spec": {"dataSourceRef": {"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": "b"}},
        }))
    }

    fn backup(volumes: &[&str], selector: &Value) -> Backup {
        of(json!({
            "metadata": {"name": "b", "namespace": "n"}, "spec": {"backupPolicyName": "p", "backupMethod": "m"},
            "status": {"target": {"podSelector": {"matchLabels": selector}},
                "backupMethod": {"name": "m", "targetVolumes": {"volumes": volumes}}},
        }))
    }

    fn db() -> Value {
        json!({labels::INSTANCE: "old", labels::COMPONENT_NAME: "db", labels::MANAGED_BY: "kubeblocks", labels::ROLE: "leader"})
    }

    fn why(claim: &PersistentVolumeClaim, backup: &Backup) -> Option<NoData> {
        match source::choose(claim, backup, &parameters::Asked::default()).unwrap() {
            Choice::Empty(why) => Some(why),
            Choice::Data { .. } => None,
        }
    }

    fn parts(spec: &Value) -> Told {
        let cluster: Cluster = of(json!({"metadata": {"name": "c"}, "spec": spec}));
        Told { parts: Some(cluster.parts()), own_volumes: None }
    }

    #[test]
    fn d7b_nobody_is_a_witness_where_no_volume_was_backed_up() {
        let backup = backup(&[], &db());
        let own = claim("db", "data");
        let why = why(&own, &backup).unwrap();
        let witness = by_claims(&own, &backup, &why, &[Arc::new(claim("db", "log"))]);
        assert_eq!(witness, Witness::None);
        let stop = stop(&own, &backup, &why, witness).unwrap();
        assert_eq!(stop.reason, reasons::NO_DATA_RESTORED);
        assert!(stop.message.contains("holds no volume") && stop.message.contains("component db"), "{}", stop.message);
    }

    #[test]
    fn d7b_a_volume_beside_is_witnessed_by_its_component_only() {
        let backup = backup(&["data"], &db());
        let log = claim("db", "log");
        let why = why(&log, &backup).unwrap();
        assert_eq!(why, NoData::VolumeNotBackedUp { volume: "log".into() });
        let by = |others: &[PersistentVolumeClaim]| {
            let others: Vec<_> = others.iter().cloned().map(Arc::new).collect();
            by_claims(&log, &backup, &why, &others)
        };
        assert_eq!(by(&[]), Witness::Awaited);
        assert_eq!(by(&[log.clone(), claim("other", "data")]), Witness::Awaited, "neither itself nor another's");
        assert_eq!(by(&[claim("db", "data")]), Witness::Found);
        let mut foreign = claim("db", "data");
        foreign.metadata.labels.as_mut().unwrap().insert(labels::INSTANCE.into(), "another".into());
        assert_eq!(by(&[foreign]), Witness::Awaited);
        let told =
            |names: &[&str]| Told { own_volumes: Some(names.iter().map(|n| (*n).to_owned()).collect()), parts: None };
        assert_eq!(by_objects(&backup, &why, &told(&["log", "data"])), Witness::Found);
        assert_eq!(by_objects(&backup, &why, &told(&["log"])), Witness::None);
        assert_eq!(by_objects(&backup, &why, &Told::default()), Witness::Awaited);
    }

    #[test]
    fn d7c_another_component_is_witnessed_by_the_one_that_was_backed_up() {
        let backup = backup(&["data"], &db());
        let own = claim("sentinel", "data");
        let why = why(&own, &backup).unwrap();
        assert_eq!(why, NoData::OtherComponent);
        assert_eq!(by_claims(&own, &backup, &why, &[Arc::new(claim("db", "log"))]), Witness::Awaited);
        assert_eq!(by_claims(&own, &backup, &why, &[Arc::new(claim("db", "data"))]), Witness::Found);
        let component = |name: &str, volume: &str| json!({"name": name, "volumeClaimTemplates": [{"name": volume}]});
        let told = |components: &[Value]| parts(&json!({"componentSpecs": components}));
        let sentinel = component("sentinel", "data");
        let witness = |told: &Told| by_objects(&backup, &why, told);
        assert_eq!(witness(&told(&[sentinel.clone(), component("db", "data")])), Witness::Found);
        assert_eq!(witness(&told(&[sentinel.clone(), component("db", "renamed")])), Witness::None, "no volume of it");
        assert_eq!(witness(&told(&[sentinel.clone(), component("renamed", "data")])), Witness::None);
        assert_eq!(witness(&told(&[])), Witness::None);
        assert_eq!(witness(&Told::default()), Witness::Awaited);
        // A component of a sharding has a name of its own: it may be the one.
        let shard = json!({"shardings": [{"name": "s", "template": {"volumeClaimTemplates": [{"name": "data"}]}}]});
        assert_eq!(witness(&parts(&shard)), Witness::Awaited);
        let text = stop(&own, &backup, &why, Witness::None).unwrap().message;
        assert!(text.contains("apps.kubeblocks.io/component-name=db") && text.contains("source-target-name"), "{text}");
    }

    #[test]
    fn a_label_that_only_claims_have_decides_nothing_before_they_come() {
        let mut selector = db();
        selector["team"] = json!("a");
        let backup = backup(&["data"], &selector);
        let spec = json!({"componentSpecs": [{"name": "db", "volumeClaimTemplates": [{"name": "data"}]}]});
        assert_eq!(by_objects(&backup, &NoData::OtherComponent, &parts(&spec)), Witness::Awaited);
        let known = json!({"componentSpecs": [{"name": "db", "labels": {"team": "a"}, "volumeClaimTemplates": [{"name": "data"}]}]});
        assert_eq!(by_objects(&backup, &NoData::OtherComponent, &parts(&known)), Witness::Found);
        let other = json!({"componentSpecs": [{"name": "db", "labels": {"team": "b"}, "volumeClaimTemplates": [{"name": "data"}]}]});
        assert_eq!(by_objects(&backup, &NoData::OtherComponent, &parts(&other)), Witness::None);
    }
}
