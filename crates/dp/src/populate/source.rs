//! Chooses target, pod and volume of a backup for one claim (behaviour-restore §4; design D7). Pure.

use super::parameters::Asked;
use crate::error::Stop;
use crate::reasons;
use api_types::contract::{annotations, labels};
use api_types::dp::{Backup, BackupStatusTarget, PodSelectionStrategy, PodSelector};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use std::collections::{BTreeMap, BTreeSet};

/// Keys that a pod has and a claim has not; they say nothing about which component a claim is of.
const NOT_ON_CLAIMS: [&str; 2] = [labels::INSTANCE, labels::ROLE];

/// What a claim gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Data.
    Data {
        /// Target of the backup; `None` where it has no name.
        target: Option<String>,
        /// Source pod, where the backup holds several.
        pod: Option<String>,
        /// Volume of the backup.
        volume: String,
    },
    /// An empty volume.
    Empty(NoData),
}

/// Why there is nothing to be written into a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoData {
    /// The backup's only target is another component.
    OtherComponent,
    /// The component was backed up, this volume of it was not.
    VolumeNotBackedUp {
        /// Its name in the backup, if it were there.
        volume: String,
    },
}

impl NoData {
    /// For people.
    pub fn told(&self, backup: &Backup) -> String {
        let name = backup.name_any();
        match self {
            Self::OtherComponent => {
                let target = backup.status.as_ref().and_then(|s| s.targets().first());
                let of = target.map(selector_text).unwrap_or_default();
                format!("the claim is not of what Backup {name} was made of ({of})")
            }
            Self::VolumeNotBackedUp { volume } => {
                format!("volume {volume} is not in Backup {name} (status.backupMethod.targetVolumes)")
            }
        }
    }
}

fn selector_text(target: &BackupStatusTarget) -> String {
    let exact = effective(target).match_labels.into_iter().flatten();
    exact.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// Whether the apps operator made this claim; else a user asks for data directly (design D7a).
pub fn asked_by_apps(claim: &PersistentVolumeClaim) -> bool {
    claim.annotations().get(annotations::RESTORE_SOURCE_KIND).is_some_and(|v| !v.is_empty())
}

/// What this claim gets from this backup.
///
/// # Errors
/// Terminal where the choice is ambiguous or names what the backup does not have.
pub fn choose(claim: &PersistentVolumeClaim, backup: &Backup, asked: &Asked) -> Result<Choice, Stop> {
    let Some(target) = target(claim, backup, asked)? else {
        return Ok(Choice::Empty(NoData::OtherComponent));
    };
    match volume(claim, backup)? {
        Ok(volume) => {
            let pod = source_pod(claim, target, asked)?;
            Ok(Choice::Data { target: target.name.clone(), pod, volume })
        }
        Err(volume) => Ok(Choice::Empty(NoData::VolumeNotBackedUp { volume })),
    }
}

fn target<'a>(
    claim: &PersistentVolumeClaim,
    backup: &'a Backup,
    asked: &Asked,
) -> Result<Option<&'a BackupStatusTarget>, Stop> {
    let name = backup.name_any();
    let Some(status) = &backup.status else {
        return Ok(None);
    };
    if let Some(wanted) = &asked.target {
        // A single recorded target is meant whatever name was asked for (contract-dp §11).
        let found = status.target.as_ref().or_else(|| status.targets.iter().find(|t| t.name() == wanted));
        return found.map(Some).ok_or_else(|| {
            let known: Vec<&str> = status.targets.iter().map(BackupStatusTarget::name).collect();
            Stop::terminal(
                reasons::TARGET_NOT_FOUND,
                format!(
                    "{}: Backup {name} has no target {wanted}; it has {}",
                    annotations::SOURCE_TARGET_NAME,
                    known.join(", ")
                ),
            )
        });
    }
    let all = status.targets();
    if all.is_empty() {
        return Err(Stop::terminal(reasons::TARGET_NOT_FOUND, format!("Backup {name} recorded no target")));
    }
    if !asked_by_apps(claim) {
        return match all {
            [only] => Ok(Some(only)),
            several => Err(ambiguous(&name, several, annotations::SOURCE_TARGET_NAME)),
        };
    }
    if status.target.is_none() && claim.labels().contains_key(labels::SHARDING_NAME) {
        return Err(Stop::terminal(
            reasons::NOT_SERVED_YET,
            format!("restoring shards without {} is not served yet", annotations::SOURCE_TARGET_NAME),
        ));
    }
    if let [only] = all {
        return Ok((!contradicts(only, claim)).then_some(only));
    }
    let fitting: Vec<&BackupStatusTarget> = all.iter().filter(|t| !contradicts(t, claim)).collect();
    match fitting.as_slice() {
        [only] => Ok(Some(only)),
        [] => {
            let known: Vec<&str> = all.iter().map(BackupStatusTarget::name).collect();
            Err(Stop::terminal(
                reasons::TARGET_NOT_FOUND,
                format!(
                    "no target of Backup {name} fits this claim's labels; it has {}: choose one with {}",
                    known.join(", "),
                    annotations::SOURCE_TARGET_NAME
                ),
            ))
        }
        several => {
            let several: Vec<BackupStatusTarget> = several.iter().map(|t| (*t).clone()).collect();
            Err(ambiguous(&name, &several, annotations::SOURCE_TARGET_NAME))
        }
    }
}

fn ambiguous(backup: &str, several: &[BackupStatusTarget], key: &str) -> Stop {
    let names: Vec<&str> = several.iter().map(BackupStatusTarget::name).collect();
    Stop::terminal(
        reasons::AMBIGUOUS_SOURCE,
        format!("Backup {backup} has targets {}; choose one with annotation {key}", names.join(", ")),
    )
}

/// A target's selector, without the keys that claims do not carry.
fn effective(target: &BackupStatusTarget) -> LabelSelector {
    let mut effective = target.pod_selector.as_ref().map(PodSelector::label_selector).unwrap_or_default();
    if let Some(exact) = &mut effective.match_labels {
        exact.retain(|key, _| !NOT_ON_CLAIMS.contains(&key.as_str()));
    }
    if let Some(more) = &mut effective.match_expressions {
        more.retain(|r| !NOT_ON_CLAIMS.contains(&r.key.as_str()));
    }
    effective
}

fn matches(selector: LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    // An operator nobody knows matches nothing.
    Selector::try_from(selector).is_ok_and(|selector| selector.matches(labels))
}

/// The target's selector excludes this claim (upstream #10445).
fn contradicts(target: &BackupStatusTarget, claim: &PersistentVolumeClaim) -> bool {
    !matches(effective(target), claim.labels())
}

/// Whether a target is of a component of which not all labels are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// A known label says no.
    No,
    /// It depends on a label that is not known.
    Unknown,
    /// Yes.
    Yes,
}

/// Whether `target` is of the component whose claims carry `labels` for sure, those of `absent` never, and maybe others.
pub fn fit(target: &BackupStatusTarget, labels: &BTreeMap<String, String>, absent: &[&str]) -> Fit {
    let selector = effective(target);
    let known = |key: &str| labels.contains_key(key) || absent.contains(&key);
    let exact = selector.match_labels.into_iter().flatten().map(|(key, value)| {
        let one = BTreeMap::from([(key.clone(), value)]);
        (key, LabelSelector { match_labels: Some(one), match_expressions: None })
    });
    let more = selector.match_expressions.into_iter().flatten().map(|requirement| {
        let key = requirement.key.clone();
        (key, LabelSelector { match_labels: None, match_expressions: Some(vec![requirement]) })
    });
    let each = exact.chain(more).map(|(key, one)| match (known(&key), matches(one, labels)) {
        (false, _) => Fit::Unknown,
        (true, true) => Fit::Yes,
        (true, false) => Fit::No,
    });
    each.min().unwrap_or(Fit::Yes)
}

/// Names of the volumes that a backup holds.
pub fn volumes_of(backup: &Backup) -> BTreeSet<&str> {
    let method = backup.status.as_ref().and_then(|s| s.backup_method.as_ref());
    let listed = method.and_then(|m| m.target_volumes.as_ref());
    let Some(listed) = listed else {
        return BTreeSet::new();
    };
    let mounted = listed.volume_mounts.iter().map(|m| m.name.as_str());
    listed.volumes.iter().map(String::as_str).chain(mounted).collect()
}

/// The volume to read; where the backup lacks it, the name it would have.
fn volume(claim: &PersistentVolumeClaim, backup: &Backup) -> Result<Result<String, String>, Stop> {
    let name = backup.name_any();
    let all = volumes_of(backup);
    let explicit = claim.annotations().get(annotations::RESTORE_VOLUME_TEMPLATE).filter(|v| !v.is_empty());
    let texts = || all.iter().copied().collect::<Vec<_>>().join(", ");
    if asked_by_apps(claim) {
        let wanted =
            explicit.or_else(|| claim.labels().get(labels::VCT_NAME)).cloned().unwrap_or_else(|| claim.name_any());
        return Ok(if all.contains(wanted.as_str()) { Ok(wanted) } else { Err(wanted) });
    }
    let mut only = all.iter();
    match (explicit, only.next(), only.next()) {
        (Some(wanted), _, _) if all.contains(wanted.as_str()) => Ok(Ok(wanted.clone())),
        (Some(wanted), _, _) => Err(Stop::terminal(
            reasons::VOLUME_NOT_IN_BACKUP,
            format!(
                "annotation {}: Backup {name} has no volume {wanted}; it has {}",
                annotations::RESTORE_VOLUME_TEMPLATE,
                texts()
            ),
        )),
        (None, None, _) => Err(Stop::terminal(
            reasons::VOLUME_NOT_IN_BACKUP,
            format!("Backup {name} recorded no volume (status.backupMethod.targetVolumes); it can not fill a claim"),
        )),
        (None, Some(only), None) => Ok(Ok((*only).to_owned())),
        (None, Some(_), Some(_)) => Err(Stop::terminal(
            reasons::AMBIGUOUS_SOURCE,
            format!(
                "Backup {name} has volumes {}; choose one with annotation {}",
                texts(),
                annotations::RESTORE_VOLUME_TEMPLATE
            ),
        )),
    }
}

/// The pod whose data is read, where the backup holds several (strategy All).
fn source_pod(
    claim: &PersistentVolumeClaim,
    target: &BackupStatusTarget,
    asked: &Asked,
) -> Result<Option<String>, Stop> {
    if target.strategy() != PodSelectionStrategy::All {
        return Ok(None);
    }
    let pods = &target.selected_target_pods;
    let missing = |what: String| {
        let known = pods.join(", ");
        Stop::terminal(
            reasons::SOURCE_POD_NOT_FOUND,
            format!("{what}; the backup holds {known}: choose one with {}", annotations::SOURCE_TARGET_POD_NAME),
        )
    };
    if let Some(wanted) = &asked.source_pod {
        return if pods.contains(wanted) {
            Ok(Some(wanted.clone()))
        } else {
            Err(missing(format!("pod {wanted} was not backed up")))
        };
    }
    if let [only] = pods.as_slice() {
        return Ok(Some(only.clone()));
    }
    let own = claim.labels().get(labels::POD_NAME);
    if let Some(own) = own.filter(|own| pods.contains(own)) {
        return Ok(Some(own.clone()));
    }
    if claim.labels().get(labels::INSTANCE_TEMPLATE).is_some_and(|t| !t.is_empty()) {
        return Err(missing("a claim of an instance template names no source pod".into()));
    }
    let ordinal = |pod: &str| pod.rsplit_once('-').and_then(|(_, n)| n.parse::<u32>().ok());
    let wanted = own.and_then(|own| ordinal(own));
    let same: Vec<&String> = pods.iter().filter(|p| wanted.is_some() && ordinal(p) == wanted).collect();
    match same.as_slice() {
        [only] => Ok(Some((*only).clone())),
        _ => Err(missing("no single source pod has this claim's ordinal".into())),
    }
}
