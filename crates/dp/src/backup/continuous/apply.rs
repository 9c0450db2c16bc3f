//! Keeps the archives of a continuous backup where their pods are.

use super::plan::{self, Look, Need};
use super::{build, pick, sets_of};
use crate::backup::apply::{Hands, by};
use crate::backup::chain::{self, Work};
use crate::backup::env::Source;
use crate::backup::plan::Observed;
use crate::backup::{observe, plan as backup_plan, run, start, status, storage};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Error, Stop};
use crate::reasons;
use crate::repo::reach::Purpose;
use api_types::contract::{annotations, events as event_reasons, labels};
use api_types::dp::{ActionSetSpec, Backup, BackupPhase, BackupStatus, BackupTarget};
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::error::Class;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::sync::Arc;

/// One look at a continuous backup that runs, failed, or is completed and wanted again.
pub async fn follow(hands: &Hands, seen: &Observed, context: &Context) -> Result<Again, Error> {
    let backup = seen.backup.as_ref();
    let now = clock::now();
    let cluster = cluster(hands, backup).await?;
    if let Some(cluster) = &cluster {
        start::follow_cluster(hands, backup, cluster);
    }
    let completed = backup.phase() == BackupPhase::Completed;
    if let Some(why) = plan::over(seen, cluster.as_ref()) {
        // Its StatefulSets go after that is stored. Nothing would be lost the other way round: whether it is over is told by
        // its schedule and its Cluster, not by what is left of it.
        if !completed && hands.store(backup, &plan::completed(backup, now)).await? {
            hands.events.normal(backup, event_reasons::backup::SCHEDULE_DISABLED, &format!("completed: {why}")).await;
        }
        return Ok(Again::OnEvent);
    }
    if completed {
        // Wanted again: it begins anew, in the same archive.
        let next = backup_plan::start(seen, now);
        return Box::pin(hands.apply(seen, next, context)).await;
    }
    let look = look(hands, seen, cluster).await?;
    let sets = sets_of(&context.stores, backup);
    let pods = observe::pods_of(&context.stores, backup);
    let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    let plan::Followed { status: mut next, needs, superfluous, look_by } =
        plan::follow(seen, &look, &sets, &pods, &context.exec.namespace, now);
    let before = backup.status.as_ref();
    let expected = |s: &BackupStatus| {
        s.actions
            .iter()
            .map(|a| (a.name.clone(), a.object_ref.as_ref().and_then(|r| r.name.clone())))
            .collect::<Vec<_>>()
    };
    if before.is_none_or(|old| expected(old) != expected(&next)) {
        // What is expected is stored before it is made (design D8); the change brings the next look.
        hands.store(backup, &next).await?;
        return Ok(Again::OnEvent);
    }
    for set in &superfluous {
        hands.delete_set(set).await?;
    }
    for need in needs {
        let outcome = match &need {
            Need::Begin(place) => run::begin(hands, seen, *place, &mut next, context).await?,
            Need::Archive { place, pod } => keep(hands, seen, &look, *place, pod, &sets, &mut next, context).await?,
            Need::Rest(name) => {
                rest(hands, backup, name, &sets).await?;
                Err(Stop::wait(
                    reasons::TARGET_POD_NOT_FOUND,
                    "no pod of the target is available; the archive goes on with the first one",
                ))
            }
            Need::Nothing => Ok(()),
        };
        tell(&need, outcome, backup, &mut next);
    }
    hands.store(backup, &next).await?;
    Ok(by(look_by))
}

/// What one chain could not do goes into the status.
fn tell(need: &Need, outcome: Result<(), Stop>, backup: &Backup, next: &mut BackupStatus) {
    let Err(stop) = outcome else { return };
    match (stop.class, need) {
        (Class::Terminal, Need::Begin(place) | Need::Archive { place, .. }) => {
            crate::backup::fold::refused_action(next, *place, &stop, clock::now());
            next.phase = Some(BackupPhase::Failed);
            next.failure_reason = Some(status::refusal(&stop));
        }
        _ => status::blocked(next, &stop, backup.metadata.generation, clock::now()),
    }
}

async fn cluster(hands: &Hands, backup: &Backup) -> Result<Option<Cluster>, Error> {
    let of = backup.labels();
    let (Some(name), Some(_)) = (of.get(labels::INSTANCE), of.get(labels::CLUSTER_UID)) else { return Ok(None) };
    let api = hands.writer.namespaced::<Cluster>(&backup.namespace().unwrap_or_default());
    Ok(hands.writer.get(&api, name).await?)
}

/// The targets and actions in force: the policy's and the ActionSet's while they are there, else the recorded ones.
async fn look(hands: &Hands, seen: &Observed, cluster: Option<Cluster>) -> Result<Look, Error> {
    let backup = seen.backup.as_ref();
    let none = BackupStatus::default();
    let recorded = backup.status.as_ref().unwrap_or(&none);
    let policy = seen.policy.as_ref();
    let of_policy = policy.and_then(|p| p.spec.method(&backup.spec.backup_method));
    let method = of_policy.or(recorded.backup_method.as_ref()).cloned().unwrap_or_default();
    let mut several = recorded.target.is_none();
    let mut targets: Vec<BackupTarget> = recorded.targets().iter().map(plain).collect();
    if let (Some(policy), Some(method)) = (policy, of_policy) {
        let now = policy.spec.targets_of(method);
        if !now.is_empty() {
            targets = now.to_vec();
            several = method.target.is_none() && (!method.targets.is_empty() || policy.spec.target.is_none());
        }
    }
    let mut picked = Vec::new();
    for (number, target) in targets.into_iter().enumerate() {
        let same = recorded.targets().iter().find(|t| t.name == target.name || !several);
        let followed = same.map(|t| t.selected_target_pods.clone()).unwrap_or_default();
        let matching = hands.targets.matching(backup, &target).await?;
        hands.targets.follow(backup, number, &target, &matching, pick::mark);
        let pods = pick::pick(&target, &followed, matching.in_force());
        picked.push((target, pods));
    }
    let actions = seen.action_set.as_ref().map(|a| a.spec.clone()).or_else(|| seen.actions().cloned());
    Ok(Look { cluster, targets: picked, several, method, actions })
}

fn plain(target: &api_types::dp::BackupStatusTarget) -> BackupTarget {
    BackupTarget {
        name: target.name.clone(),
        pod_selector: target.pod_selector.clone(),
        connection_credential: target.connection_credential.clone(),
        resources: target.resources.clone(),
        service_account_name: target.service_account_name.clone(),
        container_port: target.container_port.clone(),
    }
}

fn api(hands: &Hands, backup: &Backup) -> Api<StatefulSet> {
    hands.writer.namespaced(&backup.namespace().unwrap_or_default())
}

/// Makes the StatefulSet of one archive, or makes it what it should be; a digest says whether it is.
#[allow(clippy::too_many_arguments, reason = "one look at one archive")]
async fn keep(
    hands: &Hands,
    seen: &Observed,
    look: &Look,
    place: usize,
    pod: &str,
    sets: &[Arc<StatefulSet>],
    next: &mut BackupStatus,
    context: &Context,
) -> Result<Result<(), Stop>, Error> {
    let backup = seen.backup.as_ref();
    let recorded = next.clone();
    let none = ActionSetSpec::default();
    let actions = look.actions.as_ref().unwrap_or(&none);
    let chains = chain::chains(recorded.targets(), &look.method, Some(actions));
    let name = recorded.actions.get(place).and_then(|a| a.name.clone()).unwrap_or_default();
    let step = chains.iter().flatten().find(|s| s.name == name);
    let found = look.targets.iter().flat_map(|(_, pods)| pods).find(|p| p.name_any() == pod);
    let (Some(step), Some(pod)) = (step, found) else {
        return Ok(Err(Stop::wait(reasons::ACTION_SET_NOT_FOUND, "the ActionSet of this backup's method is gone")));
    };
    let Work::Archive(data) = step.work else { return Ok(Ok(())) };
    let source = Source { backup, actions, action_set: None, method: &look.method, target: step.target, pod };
    let storage = storage::reached(backup, seen.repo.as_deref(), Purpose::Write);
    if storage.is_none() {
        return Ok(Err(Stop::wait(reasons::BACKUP_REPO_NOT_FOUND, "the BackupRepo of this backup is gone")));
    }
    let entry = plan::schedule_entry(seen);
    let wanted = match build::set(&source, step, data, entry, storage.as_ref(), &context.pods) {
        Ok(wanted) => wanted,
        Err(refused) => return Ok(Err(refused)),
    };
    match sets.iter().find(|s| s.name_any() == wanted.name_any()) {
        Some(set) if is_applied(set, &wanted) => return Ok(Ok(())),
        Some(set) => return update(hands, backup, set, &wanted).await.map(Ok),
        None => {}
    }
    context.workers.ensure(&hands.writer, &backup.namespace().unwrap_or_default()).await?;
    let made = match hands.writer.create(&api(hands, backup), &wanted).await {
        Ok(made) => made,
        Err(error) if error.is_already_exists() => {
            let there = hands.writer.get(&api(hands, backup), &wanted.name_any()).await?;
            match there {
                Some(set) if super::owned_by(&set, &backup.uid().unwrap_or_default()) => set,
                Some(set) => {
                    return Ok(Err(Stop::terminal(
                        reasons::JOB_NAME_COLLISION,
                        format!(
                            "StatefulSet {} belongs to somebody else; delete it or rename the Backup",
                            set.name_any()
                        ),
                    )));
                }
                None => return Err(error.into()),
            }
        }
        Err(error) if error.is_invalid() => {
            return Ok(Err(Stop::terminal(reasons::JOB_REFUSED, controller_kit::error::chain(&error))));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(action) = next.actions.get_mut(place) {
        let unsure = super::fold::Health::Unsure(clock::now());
        super::fold::record(action, &made, &unsure, clock::now());
    }
    Ok(Ok(()))
}

fn digest_of(set: &StatefulSet) -> Option<&String> {
    set.annotations().get(annotations::APPLIED)
}

fn is_applied(set: &StatefulSet, wanted: &StatefulSet) -> bool {
    let replicas = |s: &StatefulSet| s.spec.as_ref().and_then(|s| s.replicas);
    digest_of(set) == digest_of(wanted) && replicas(set) == replicas(wanted)
}

/// Template and replicas are replaced whole: lists of variables may name one twice, which no apply takes.
async fn update(hands: &Hands, backup: &Backup, set: &StatefulSet, wanted: &StatefulSet) -> Result<(), Error> {
    let spec = wanted.spec.as_ref();
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": set.uid()},
        {"op": "replace", "path": "/spec/template", "value": spec.map(|s| &s.template)},
        {"op": "replace", "path": "/spec/replicas", "value": spec.and_then(|s| s.replicas)},
        {"op": "add", "path": "/metadata/annotations/holdfast.dev~1applied", "value": digest_of(wanted)},
    ]);
    hands.writer.json_patch(&api(hands, backup), &set.name_any(), operations).await?;
    Ok(())
}

/// Frees the volumes of a pod that is gone (behaviour-backup §16.29).
async fn rest(hands: &Hands, backup: &Backup, name: &str, sets: &[Arc<StatefulSet>]) -> Result<(), Error> {
    let Some(set) = sets.iter().find(|s| s.name_any() == name) else { return Ok(()) };
    if set.spec.as_ref().and_then(|s| s.replicas) == Some(0) {
        return Ok(());
    }
    let body = json!({"metadata": {"uid": set.uid()}, "spec": {"replicas": 0}});
    match hands.writer.merge(&api(hands, backup), name, &body).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
