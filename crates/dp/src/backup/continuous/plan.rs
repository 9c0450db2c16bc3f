//! Decides what the archives of a continuous backup need next. Pure.

use super::fold::{self, Health};
use super::{entry, is_wanted};
use crate::backup::chain::{self, Chain, Next, Step, Work};
use crate::backup::fold as actions_fold;
use crate::backup::inputs;
use crate::backup::plan::Observed;
use crate::backup::status as record;
use crate::cluster::Cluster;
use api_types::contract::labels;
use api_types::dp::{
    ActionPhase, ActionSetSpec, ActionStatus, ActionType, Backup, BackupMethod, BackupPhase, BackupStatus,
    BackupStatusTarget, BackupTarget,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::sync::Arc;

/// What a look outside the caches found.
pub struct Look {
    /// The Cluster of the backup, where it is of one.
    pub cluster: Option<Cluster>,
    /// The targets in force, each with the pods to follow; none of them where the archive must rest.
    pub targets: Vec<(BackupTarget, Vec<Pod>)>,
    /// The policy lists several targets, or one.
    pub several: bool,
    /// The method in force.
    pub method: BackupMethod,
    /// The actions in force.
    pub actions: Option<ActionSetSpec>,
}

/// Why a continuous backup is over for now; `None` while it is to be written.
pub fn over(seen: &Observed, cluster: Option<&Cluster>) -> Option<&'static str> {
    if !is_wanted(seen) {
        return Some("its schedule no longer wants it");
    }
    let uid = seen.backup.labels().get(labels::CLUSTER_UID)?;
    match cluster {
        None => Some("its Cluster is gone"),
        Some(cluster) if cluster.uid().as_ref() != Some(uid) => Some("its Cluster is gone, another has its name"),
        Some(cluster) if cluster.is_going() => Some("its Cluster is being deleted"),
        Some(cluster) if cluster.phase() == "Stopped" => Some("its Cluster is stopped"),
        Some(_) => None,
    }
}

/// The status of a backup that is over (behaviour-backup §3.13): it expires by its age from now on.
pub fn completed(backup: &Backup, now: Timestamp) -> BackupStatus {
    let mut status = backup.status.clone().unwrap_or_default();
    record::unblocked(&mut status);
    status.phase = Some(BackupPhase::Completed);
    status.failure_reason = None;
    status.completion_timestamp = Some(Time(now));
    let start = status.start_timestamp.as_ref().map_or(now, |t| t.0);
    status.duration = Some(api_types::duration::format(now.duration_since(start)));
    status.expiration = record::expiration(backup, now);
    for action in &mut status.actions {
        action.phase = Some(ActionPhase::Completed);
        action.completion_timestamp.get_or_insert(Time(now));
        action.failure_reason = None;
        if action.action_type == Some(ActionType::StatefulSet) {
            action.available_replicas = Some(0);
        }
    }
    inputs::ended(&mut status.inputs);
    status
}

/// What one chain needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Begin the action at this place of `status.actions`.
    Begin(usize),
    /// Keep the archive at this place as it should be, from this pod.
    Archive {
        /// Place in `status.actions`.
        place: usize,
        /// Pod to write it from.
        pod: String,
    },
    /// Its archive rests: scale it to zero.
    Rest(String),
    /// Nothing, for now.
    Nothing,
}

/// What the backup needs, with the status after this look.
pub struct Followed {
    /// To be stored.
    pub status: BackupStatus,
    /// What the chains need.
    pub needs: Vec<Need>,
    /// StatefulSets that no target needs any more.
    pub superfluous: Vec<Arc<StatefulSet>>,
    /// The next deadline.
    pub look_by: Option<Timestamp>,
}

/// Folds what is seen and says what is needed.
pub fn follow(
    seen: &Observed,
    look: &Look,
    sets: &[Arc<StatefulSet>],
    pods: &[&Pod],
    exec_namespace: &str,
    now: Timestamp,
) -> Followed {
    let backup = &seen.backup;
    let mut status = backup.status.clone().unwrap_or_default();
    record::unblocked(&mut status);
    let targets = retarget(&mut status, look);
    status.backup_method = Some(look.method.clone());
    if let (Some(kept), Some(actions)) = (&mut status.inputs, &look.actions) {
        kept.action_set = Some(Box::new(inputs::backup_half(actions)));
    }
    let chains = chain::chains(&targets, &look.method, look.actions.as_ref());
    let old = std::mem::take(&mut status.actions);
    status.actions = chains.iter().flatten().map(|step| carried(backup, step, &old, exec_namespace)).collect();
    let mut look_by = fold_jobs(&mut status, &old, seen, now);
    let mut needs = Vec::new();
    for (chain, resting) in chains.iter().zip(resting(look)) {
        let need = need(chain, &status.actions, resting, backup);
        if let Some((step, place)) = archive(chain, &status.actions)
            && let Some(set) = sets.iter().find(|s| s.name_any() == super::build::name(backup, step))
            && let Some(action) = status.actions.get_mut(place)
            && !matches!(need, Need::Begin(_) | Need::Nothing)
        {
            let health = if resting { Health::Resting } else { fold::health(set, pods, seen.limits, now) };
            look_by = fold::record(action, set, &health, now).into_iter().chain(look_by).min();
            if super::build::is_one_of_several(backup, step) {
                fold::reported(action, backup);
            }
        }
        needs.push(need);
    }
    actions_fold::gather(&mut status);
    verdict(&mut status, &chains);
    let wanted: Vec<String> = chains
        .iter()
        .flatten()
        .filter(|s| matches!(s.work, Work::Archive(_)))
        .map(|s| super::build::name(backup, s))
        .collect();
    let superfluous = sets.iter().filter(|s| !wanted.contains(&s.name_any())).cloned().collect();
    Followed { status, needs, superfluous, look_by }
}

/// Targets with the pods that are followed now; one that rests keeps the pods it had, for its paths and names.
fn retarget(status: &mut BackupStatus, look: &Look) -> Vec<BackupStatusTarget> {
    let had = |target: &BackupTarget| {
        let all = status.targets();
        let same = all.iter().find(|t| t.name == target.name || (all.len() == 1 && !look.several));
        same.map(|t| t.selected_target_pods.clone()).unwrap_or_default()
    };
    let one = |(target, pods): &(BackupTarget, Vec<Pod>)| {
        let mut recorded = BackupStatusTarget::from(target.clone());
        let chosen: Vec<String> = pods.iter().map(ResourceExt::name_any).collect();
        recorded.selected_target_pods = if chosen.is_empty() { had(target) } else { chosen };
        recorded
    };
    let targets: Vec<BackupStatusTarget> = look.targets.iter().map(one).collect();
    if look.several {
        (status.target, status.targets) = (None, targets.clone());
    } else {
        (status.target, status.targets) = (targets.first().cloned(), vec![]);
    }
    targets
}

/// For each chain, whether its target has no pod to follow.
fn resting(look: &Look) -> impl Iterator<Item = bool> {
    let chains =
        |(_, pods): &(BackupTarget, Vec<Pod>)| if pods.is_empty() { vec![true] } else { vec![false; pods.len()] };
    look.targets.iter().flat_map(chains).collect::<Vec<_>>().into_iter()
}

fn carried(backup: &Backup, step: &Step<'_>, old: &[ActionStatus], exec_namespace: &str) -> ActionStatus {
    let fresh = record::new_action(backup, step, exec_namespace);
    let Some(known) = old.iter().find(|a| a.name == fresh.name) else { return fresh };
    let mut kept = known.clone();
    let name = |a: &ActionStatus| a.object_ref.as_ref().and_then(|r| r.name.clone());
    if matches!(step.work, Work::Archive(_)) {
        kept.target_pod_name.clone_from(&fresh.target_pod_name);
        if name(&kept) != name(&fresh) {
            kept.object_ref = fresh.object_ref; // another pod of strategy All has this number now
        }
    }
    kept
}

fn fold_jobs(status: &mut BackupStatus, old: &[ActionStatus], seen: &Observed, now: Timestamp) -> Option<Timestamp> {
    let mut look_by = None;
    for action in status.actions.iter_mut().filter(|a| a.action_type == Some(ActionType::Job)) {
        let Some(place) = old.iter().position(|a| a.name == action.name) else { continue };
        let Some(outcome) = seen.outcomes.get(place) else { continue };
        let due = actions_fold::fold_hook(action, outcome, seen.limits, now);
        look_by = due.into_iter().chain(look_by).min();
    }
    look_by
}

/// The archive of a chain, once all that comes before it has been done.
fn archive<'a, 'b>(chain: &'b Chain<'a>, actions: &[ActionStatus]) -> Option<(&'b Step<'a>, usize)> {
    let step = chain.iter().find(|s| matches!(s.work, Work::Archive(_)))?;
    Some((step, chain::place_of(&step.name, actions)?))
}

fn need(chain: &Chain<'_>, actions: &[ActionStatus], resting: bool, backup: &Backup) -> Need {
    let Some((step, place)) = archive(chain, actions) else { return Need::Nothing };
    let before: Chain<'_> = chain.iter().take_while(|s| !matches!(s.work, Work::Archive(_))).cloned().collect();
    match chain::next(&before, actions) {
        Next::Begin(_) if resting => Need::Nothing,
        Next::Begin(at) => {
            let hook = before.get(at).and_then(|s| chain::place_of(&s.name, actions));
            hook.map_or(Need::Nothing, Need::Begin)
        }
        Next::Await => Need::Nothing,
        Next::Over if before.iter().any(|s| stops(s, actions)) => Need::Nothing,
        Next::Over if resting => Need::Rest(super::build::name(backup, step)),
        Next::Over => Need::Archive { place, pod: step.pod.to_owned() },
    }
}

fn stops(step: &Step<'_>, actions: &[ActionStatus]) -> bool {
    chain::phase_of(&step.name, actions) == ActionPhase::Failed && !step.may_fail()
}

/// The phase says whether every archive is written; one that is not is named. It never expires (behaviour-backup D1).
fn verdict(status: &mut BackupStatus, chains: &[Chain<'_>]) {
    let forgiven =
        |a: &ActionStatus| chains.iter().flatten().any(|s| a.name.as_deref() == Some(s.name.as_str()) && s.may_fail());
    let failed: Vec<String> = status
        .actions
        .iter()
        .filter(|a| a.phase == Some(ActionPhase::Failed) && !forgiven(a))
        .map(|a| {
            let (name, why) = (a.name.as_deref().unwrap_or_default(), a.failure_reason.as_deref().unwrap_or("failed"));
            format!("{name}: {why}")
        })
        .collect();
    status.phase = Some(if failed.is_empty() { BackupPhase::Running } else { BackupPhase::Failed });
    status.failure_reason = (!failed.is_empty()).then(|| format!("there are failed actions: {}", failed.join("; ")));
    status.expiration = None;
    status.completion_timestamp = None;
    status.duration = None;
}

/// The entry's say in what the pods get.
pub fn schedule_entry(seen: &Observed) -> Option<&api_types::dp::SchedulePolicy> {
    entry(seen)
}
