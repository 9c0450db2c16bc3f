//! Reads what a waiting claim depends on, from the caches; where a cache that lags would make us
//! destroy or fail something, the server is asked.

use super::build::prime_name;
use super::decide::{self, SourceRef, Sources};
use super::plan::{Left, Observed};
use super::rebind::{self, Execution, Prime, Progress, Target, Uid, Verdict, Volume};
use super::state::State;
use crate::context::Stores;
use crate::error::Error;
use crate::reasons;
use crate::restore::chain::Unresolved;
use crate::restore::chain::confirm::{Caches, confirmed};
use crate::restore::observe::pods_of;
use crate::restore::plan::recorded;
use api_types::contract::{annotations, conditions, labels};
use api_types::dp::{Restore, RestorePhase};
use controller_kit::conditions as kit;
use controller_kit::writes::Writer;
use job_runtime::diagnose::diagnose;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use std::sync::Arc;

/// One look. `None` when the claim asks nothing of us.
pub async fn observe(
    claim: Arc<PersistentVolumeClaim>,
    stores: &Stores,
    writer: &Writer,
) -> Result<Option<Observed>, Error> {
    let source = match decide::source_ref(&claim) {
        Ok(None) => return Ok(None),
        Ok(Some(source)) => Ok(source),
        Err(stop) => Err(stop),
    };
    let namespace = claim.namespace().unwrap_or_default();
    let name = prime_name(&claim);
    let class =
        claim.spec.as_ref().and_then(|s| s.storage_class_name.as_deref()).and_then(|c| stores.classes.get("", c));
    let waits = class.as_ref().is_some_and(|c| c.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"));
    let state = State::of(&claim);
    let retry = claim.annotations().get(annotations::RETRY).cloned().unwrap_or_default();
    let target = target(&claim, &state, &retry, waits);

    let mut prime = stores.claims.get(&namespace, &name);
    let mut execution = stores.restores.get(&namespace, &name);
    if target.attempt > 0 && target.volume_name.is_none() {
        let started = prime.as_ref().is_some_and(|p| p.annotations().contains_key(annotations::EXECUTION));
        if execution.is_none() && started {
            execution = writer.get(&writer.namespaced::<Restore>(&namespace), &name).await?.map(Arc::new);
        }
        if prime.is_none() && execution.is_some() {
            prime = writer.get(&writer.namespaced::<PersistentVolumeClaim>(&namespace), &name).await?.map(Arc::new);
        }
    }
    let prime_seen = prime.as_ref().map(|p| prime_of(p, &target.uid, waits));
    let volumes = volumes(&target, prime_seen.as_ref(), stores, writer).await?;
    let execution_says = execution.as_ref().and_then(|r| said(r, stores, &namespace, &name));
    let left = if execution.is_none() { left_behind(stores, &namespace, &name) } else { Left::default() };
    let intent = match source {
        Ok(source) => {
            let decided = intent(&claim, &source, class.as_deref(), execution.as_deref(), stores);
            confirmed(decided, writer).await?
        }
        Err(stop) => Err(stop),
    };
    let proven_provision_only = volumes.1;
    Ok(Some(Observed {
        rebind: rebind::Observed {
            execution: execution.as_ref().map(|r| execution_of(r, &target.uid)),
            mode: state.mode(),
            target,
            prime: prime_seen,
            volumes: volumes.0,
            leftovers: left.block,
        },
        accept: claim.annotations().get(annotations::ACCEPT).cloned().filter(|a| !a.is_empty()),
        claim,
        state,
        retry,
        intent,
        execution_says,
        left,
        prime_name: name,
        proven_provision_only,
        accounts: vec![],
    }))
}

/// What an execution that is gone has left. A pod that ended mounts nothing any more, but it still holds
/// its claim: it is named, and does not block.
fn left_behind(stores: &Stores, namespace: &str, name: &str) -> Left {
    let of_execution = |j: &Job| {
        j.namespace().as_deref() == Some(namespace) && j.labels().get(labels::RESTORE).is_some_and(|r| r == name)
    };
    let jobs = stores.jobs.select(of_execution);
    let pods = pods_of(stores, namespace, name);
    let ended = |p: &Arc<Pod>| {
        let phase = p.status.as_ref().and_then(|s| s.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let orphan = |j: &&Arc<Job>| j.owner_references().is_empty() && j.metadata.deletion_timestamp.is_none();
    let names_of_pods = pods.iter().map(|p| format!("Pod {}", p.name_any()));
    Left {
        block: !jobs.is_empty() || !pods.iter().all(ended),
        names: jobs.iter().map(|j| format!("Job {}", j.name_any())).chain(names_of_pods).collect(),
        orphans: jobs.iter().filter(orphan).map(|j| (j.name_any(), j.uid().unwrap_or_default())).collect(),
    }
}

fn intent(
    claim: &PersistentVolumeClaim,
    source: &SourceRef,
    class: Option<&StorageClass>,
    execution: Option<&Restore>,
    stores: &Stores,
) -> Result<decide::Intent, Unresolved> {
    let source_restore = match source.kind.as_str() {
        "Restore" => stores.restores.get(&source.namespace, &source.name),
        _ => None,
    };
    let wanted = decide::backup_ref(source, source_restore.as_deref());
    let (namespace, name) = wanted.unwrap_or_default();
    let backup = stores.backups.get(&namespace, &name);
    let shelf = Caches { stores, namespace: &namespace };
    // While it runs no other base is looked for; the next attempt chooses again.
    let running =
        execution.filter(|e| e.status.as_ref().and_then(|s| s.phase.as_ref()) == Some(&RestorePhase::Running));
    let first = running.and_then(|e| recorded(e).first()).map(|a| a.backup_name.as_str());
    let sources = Sources {
        claim,
        class,
        source_restore: source_restore.as_deref(),
        backup: backup.as_ref(),
        shelf: &shelf,
        base: first.filter(|base| *base != name),
    };
    decide::decide(&sources, source)
}

fn target(claim: &PersistentVolumeClaim, state: &State, retry: &str, waits: bool) -> Target {
    let notes = claim.annotations();
    let conditions = claim.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let stored = conditions.iter().find(|c| c.type_ == conditions::claim::RESTORE);
    let node = notes.get(annotations::SELECTED_NODE).cloned().filter(|n| waits && !n.is_empty());
    Target {
        uid: Uid(state.uid.clone()),
        deleting: claim.metadata.deletion_timestamp.is_some(),
        volume_name: claim.spec.as_ref().and_then(|s| s.volume_name.clone()).filter(|n| !n.is_empty()),
        bind_completed: notes.contains_key(annotations::BIND_COMPLETED),
        bound_by_controller: notes.contains_key(annotations::BOUND_BY_CONTROLLER),
        attempt: state.attempt,
        stored: match stored.map(|c| c.status.as_str()) {
            Some("True") => Verdict::Restored,
            Some("False") => Verdict::Failed,
            Some(_) => Verdict::Waiting,
            None => Verdict::Unset,
        },
        retry_asked: !retry.is_empty() && retry != state.retry,
        accepted: notes.get(annotations::ACCEPT).is_some_and(|a| !a.is_empty()),
        needs_node: waits && node.is_none(),
        node,
    }
}

fn number(notes: &std::collections::BTreeMap<String, String>, key: &str) -> u32 {
    notes.get(key).and_then(|n| n.parse().ok()).unwrap_or_default()
}

fn owned(owners: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference], uid: &Uid) -> bool {
    owners.iter().any(|o| o.uid == uid.0)
}

fn prime_of(claim: &PersistentVolumeClaim, target: &Uid, waits: bool) -> Prime {
    let notes = claim.annotations();
    let bound = claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
    Prime {
        uid: Uid(claim.uid().unwrap_or_default()),
        ours: owned(claim.owner_references(), target),
        attempt: number(notes, annotations::ATTEMPT),
        started: notes.contains_key(annotations::EXECUTION),
        deleting: claim.metadata.deletion_timestamp.is_some(),
        provisioner_asked: [annotations::STORAGE_PROVISIONER, annotations::BETA_STORAGE_PROVISIONER]
            .iter()
            .any(|key| notes.contains_key(*key)),
        bound_to: claim.spec.as_ref().and_then(|s| s.volume_name.clone()).filter(|n| bound && !n.is_empty()),
        gave_back: notes.contains_key(annotations::NODE_GIVEN_BACK),
        made_for: notes.get(annotations::MADE_FOR_NODE).cloned().filter(|n| waits && !n.is_empty()),
        node: notes.get(annotations::SELECTED_NODE).cloned().filter(|n| waits && !n.is_empty()),
    }
}

fn execution_of(restore: &Restore, target: &Uid) -> Execution {
    let notes = restore.annotations();
    let status = restore.status.as_ref();
    let progress = match status.and_then(|s| s.phase.as_ref()) {
        Some(RestorePhase::Completed) => Progress::Done,
        Some(RestorePhase::Failed) => {
            let stage = status.and_then(|s| kit::get(&s.conditions, conditions::restore::PREPARE_DATA));
            if stage.is_some_and(|c| c.reason == reasons::JOB_VANISHED) { Progress::Lost } else { Progress::Failed }
        }
        _ => Progress::Running,
    };
    Execution {
        attempt: number(notes, annotations::ATTEMPT),
        prime: Uid(notes.get(annotations::PRIME_UID).cloned().unwrap_or_default()),
        deleting: restore.metadata.deletion_timestamp.is_some(),
        ours: owned(restore.owner_references(), target),
        progress,
    }
}

/// What the execution says: the diagnosis of its pod, else its own first blocker.
fn said(restore: &Restore, stores: &Stores, namespace: &str, name: &str) -> Option<(&'static str, String)> {
    let status = restore.status.as_ref()?;
    if status.phase == Some(RestorePhase::Completed) {
        return None;
    }
    if status.phase != Some(RestorePhase::Failed)
        && let Some(found) = pods_of(stores, namespace, name).iter().find_map(|p| diagnose(p))
    {
        return Some((found.trouble.reason(), found.message));
    }
    let blocker = status.conditions.iter().find(|c| c.status != "True")?;
    let reason = match reasons::known(&blocker.reason) {
        Some(reason) if reason != reasons::PROCESSING => reason,
        _ => reasons::POPULATING_DATA,
    };
    let message =
        if blocker.message.is_empty() { format!("Restore {name} is running") } else { blocker.message.clone() };
    Some((reason, message))
}

fn volume_of(volume: &PersistentVolume) -> Volume {
    let claim = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref());
    Volume {
        name: volume.name_any(),
        claimed_by: claim.and_then(|c| c.uid.clone()).map(Uid),
        proof: volume.annotations().get(annotations::POPULATED_TARGET_UID).cloned().map(Uid),
    }
}

/// The volumes that matter, and whether the target's was only provisioned.
async fn volumes(
    target: &Target,
    prime: Option<&Prime>,
    stores: &Stores,
    writer: &Writer,
) -> Result<(Vec<Volume>, bool), Error> {
    let mut found: Vec<Arc<PersistentVolume>> =
        stores.volumes.select(|v| v.annotations().get(annotations::POPULATED_TARGET_UID) == Some(&target.uid.0));
    let bound = target.volume_name.as_ref().or(prime.and_then(|p| p.bound_to.as_ref()));
    if let Some(name) = bound.filter(|name| !found.iter().any(|v| v.name_any() == **name)) {
        let cached = stores.volumes.get("", name);
        let holder = cached.as_ref().and_then(|v| v.spec.as_ref()?.claim_ref.as_ref()?.uid.clone());
        let expected = target.volume_name.is_none() && prime.is_some_and(|p| holder.as_ref() == Some(&p.uid.0));
        let settled = matches!(target.stored, Verdict::Restored | Verdict::Failed);
        if expected || settled {
            found.extend(cached);
        } else {
            let fresh = writer.get(&writer.cluster::<PersistentVolume>(), name).await?;
            found.extend(fresh.map(Arc::new));
        }
    }
    let own = found.iter().find(|v| target.volume_name.as_ref() == Some(&v.name_any()));
    let mode = own.and_then(|v| v.annotations().get(annotations::POPULATED_MODE).cloned());
    let provision_only = mode.as_deref() == Some(annotations::POPULATED_MODE_PROVISIONED);
    Ok((found.iter().map(|v| volume_of(v)).collect(), provision_only))
}
