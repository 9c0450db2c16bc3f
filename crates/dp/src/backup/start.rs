//! Starts a backup: its pods are chosen, whose they are is recorded, then the status it runs under is stored.

use super::apply::Hands;
use super::gate;
use super::origin::Origin;
use super::plan::{Observed, Ready};
use super::select::Chosen;
use super::{status, turn};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Error, Stop};
use crate::reasons;
use crate::turn::claim::JobOf;
use api_types::contract::labels;
use api_types::dp::{Backup, BackupTarget, BackupType};
use controller_kit::{Key, clock};
use kube::ResourceExt;
use kube::runtime::watcher;

/// Starts the backup, or says what it waits for.
pub async fn start(hands: &Hands, seen: &Observed, ready: Ready, context: &Context) -> Result<(), Error> {
    let backup = seen.backup.as_ref();
    if let Some(held) = context.turns.held(backup) {
        // Its pods are chosen when its turn comes.
        let queue = backup.status.as_ref().and_then(|s| s.queue.as_deref());
        let (repo, node) = queue.map(|q| (q.repo_name.clone(), q.node_name.clone())).unwrap_or_default();
        return turn::wait(hands, backup, &JobOf { repo, node, ..JobOf::default() }, &held).await;
    }
    let mut chosen: Vec<Chosen> = Vec::new();
    for target in &ready.targets {
        let before = pods_of_parent(&ready, target);
        match hands.targets.choose(backup, target, &before).await? {
            Ok(recorded) => chosen.push(recorded),
            Err(stop) => {
                hands.block(backup, &stop).await?;
                match before.first() {
                    Some(pod) => hands.targets.wake_on(backup, pod),
                    None => hands.targets.wake_on_any(backup, target),
                }
                return Ok(());
            }
        }
    }
    if let Some(stop) = held_back(hands, seen, &ready, &chosen, context).await? {
        return hands.block(backup, &stop).await;
    }
    let all = turn::jobs(&ready, &chosen);
    let jobs = match turn::take(&context.turns, backup, all) {
        Ok(jobs) => jobs,
        Err(held) => return turn::wait(hands, backup, &held.0, &held.1).await,
    };
    let origin = Origin { writer: &hands.writer, events: &hands.events, keys: &context.keys };
    let Some(backup) = origin.record(backup, &chosen).await? else {
        return Ok(());
    };
    let targets = chosen.into_iter().map(|c| c.target).collect();
    let next = status::started(&backup, ready.into_start(targets, jobs, &context.exec.namespace), clock::now());
    turn::store(hands, &backup, &next, &context.turns).await?;
    Ok(())
}

/// The pods of this target that the parent backup used, where they are to be used again.
fn pods_of_parent(ready: &Ready, target: &BackupTarget) -> Vec<String> {
    let again = target.pod_selector.as_ref().is_some_and(api_types::dp::PodSelector::use_parent_selected_pods);
    let Some(parent) = ready.parent.as_ref().filter(|_| again) else { return vec![] };
    let alone = parent.targets.len() == 1;
    let same = parent.targets.iter().find(|t| alone || t.name() == target.name.as_deref().unwrap_or_default());
    same.map(|t| t.selected_target_pods.clone()).unwrap_or_default()
}

/// Why the backup may not begin now although its pods are there: the database is being made or restored.
async fn held_back(
    hands: &Hands,
    seen: &Observed,
    ready: &Ready,
    chosen: &[Chosen],
    context: &Context,
) -> Result<Option<Stop>, Error> {
    let backup = seen.backup.as_ref();
    let cluster = cluster_of(hands, backup, chosen).await?;
    if ready.backup_type == BackupType::Continuous
        && let Some(cluster) = cluster.as_ref().filter(|c| c.phase() == "Creating")
    {
        follow_cluster(hands, backup, cluster);
        return Ok(Some(Stop::wait(
            reasons::CLUSTER_CREATING,
            format!("Cluster {} is still being created; its archive begins when it runs", cluster.name_any()),
        )));
    }
    let Some(why) = gate::restoring(backup, chosen, cluster.as_ref(), &context.stores) else { return Ok(None) };
    if gate::is_scheduled(backup) {
        if let Some(cluster) = &cluster {
            follow_cluster(hands, backup, cluster);
        }
        return Ok(Some(Stop::wait(
            reasons::RESTORE_IN_PROGRESS,
            format!("{why}; the backup begins when that is done"),
        )));
    }
    // A user's own backup runs all the same (design D13).
    let note = format!("{why}; this backup may hold a half restored database");
    hands.events.warning(backup, reasons::RESTORE_IN_PROGRESS, &note).await;
    Ok(None)
}

/// The Cluster of the chosen pods, where there is one.
async fn cluster_of(hands: &Hands, backup: &Backup, chosen: &[Chosen]) -> Result<Option<Cluster>, Error> {
    let instance = chosen.last().and_then(|c| c.labels.get(labels::INSTANCE)).filter(|i| !i.is_empty());
    let Some(instance) = instance else { return Ok(None) };
    let api = hands.writer.namespaced::<Cluster>(&backup.namespace().unwrap_or_default());
    Ok(hands.writer.get(&api, instance).await?)
}

/// Looks at the backup again when what matters of its Cluster changes.
pub fn follow_cluster(hands: &Hands, backup: &Backup, cluster: &Cluster) {
    let name = cluster.name_any();
    let marks = gate::mark(cluster).map(|mark| (name.clone(), mark)).into_iter().collect();
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let api = hands.writer.namespaced::<Cluster>(&backup.namespace().unwrap_or_default());
    hands.targets.awaited.changes(Key::of(backup), "cluster", api, config, marks, gate::mark);
}
