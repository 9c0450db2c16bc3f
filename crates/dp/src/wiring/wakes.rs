//! What wakes what.

use super::Queues;
use crate::context::{Stores, names_our_source};
use crate::{backup, gc, populate, restore, schedule};
use api_types::contract::labels;
use api_types::contract::names::populate_target_uid;
use api_types::dp::{Backup, BackupPhase, BackupPolicyTemplate, Restore};
use controller_kit::Key;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What wakes what. Each wait in a plan names one of these.
pub(super) fn wake_by_events(stores: &Stores, queues: &Queues, held: &gc::HeldByRestores) {
    wake_self(stores, queues);
    wake_waiting_claims(stores, queues);
    wake_backups_and_restores(stores, queues);
    wake_repos(stores, queues);
    wake_templates(stores, queues);
    wake_policy_driver(stores, queues);
    wake_cluster_backup(stores, queues);
    wake_schedules(stores, queues);
    wake_expiry(stores, queues, held);
}

/// A template looks at definitions and action sets.
fn wake_templates(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.templates);
    stores.templates.on_change(move |o| queue.add(Key::of(o)));
    let all = {
        let (queue, templates) = (Arc::clone(&queues.templates), stores.templates.clone());
        move || queue.add_all(&templates.select(|_| true))
    };
    let (definitions, wake) = (stores.definitions.clone(), all.clone());
    stores.definitions.on_change(move |_| {
        if definitions.is_settled() {
            wake();
        }
    });
    stores.definitions.on_settled(all);
    let (queue, templates) = (Arc::clone(&queues.templates), stores.templates.clone());
    stores.action_sets.on_change(move |actions| {
        let name = actions.name_any();
        let names = |t: &BackupPolicyTemplate| {
            t.spec.backup_methods.iter().any(|m| m.action_set_name.as_deref() == Some(name.as_str()))
        };
        queue.add_all(&templates.select(names));
    });
}

/// A Cluster's policies follow the Cluster, its Components, the templates and the types of action sets; and they are made
/// again when somebody deletes them.
fn wake_policy_driver(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.clusters);
    stores.clusters.on_change(move |o| queue.add(Key::of(o)));
    let queue = Arc::clone(&queues.clusters);
    stores.components.on_change(move |component| {
        let cluster = component.labels().get(labels::INSTANCE).cloned();
        queue.add_some(cluster.map(|name| Key::new(component.namespace().unwrap_or_default(), name)));
    });
    let queue = Arc::clone(&queues.clusters);
    stores.policies.on_change(move |o| queue.add_some(Key::of_owner(o, "Cluster")));
    let queue = Arc::clone(&queues.clusters);
    stores.schedules.on_change(move |o| queue.add_some(Key::of_owner(o, "Cluster")));
    let all = {
        let (queue, clusters) = (Arc::clone(&queues.clusters), stores.clusters.clone());
        move || queue.add_all(&clusters.select(|_| true))
    };
    let wake = all.clone();
    stores.templates.on_change(move |_| wake());
    let wake = all.clone();
    stores.action_sets.on_change(move |_| wake());
    let wake = all.clone();
    stores.clusters.on_settled(wake);
    let wake = all.clone();
    stores.components.on_settled(wake);
    stores.definitions.on_settled(all);
}

fn wake_cluster_backup(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.departures);
    stores.clusters.on_deleted(move |cluster| {
        queue.add(Key::new(cluster.namespace().unwrap_or_default(), cluster.uid().unwrap_or_default()));
    });
    let (queue, departures) = (Arc::clone(&queues.departures), stores.departures.clone());
    stores.backups.on_change(move |backup| {
        let departure = backup.labels().get(labels::CLUSTER_UID).and_then(|uid| departures.get(uid));
        queue.add_some(departure.map(|d| Key::new(d.namespace, d.uid)));
    });
}

fn wake_self(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.action_sets);
    stores.action_sets.on_change(move |o| queue.add(Key::of(o)));
    let queue = Arc::clone(&queues.policies);
    stores.policies.on_change(move |o| queue.add(Key::of(o)));
    let queue = Arc::clone(&queues.providers);
    stores.providers.on_change(move |o| queue.add(Key::of(o)));
    let queue = Arc::clone(&queues.repos);
    stores.repos.on_change(move |o| queue.add(Key::of(o)));
    let queue = Arc::clone(&queues.backups);
    stores.backups.on_change(move |o| queue.add(Key::of(o)));
    let queue = Arc::clone(&queues.restores);
    stores.restores.on_change(move |o| queue.add(Key::of(o)));
    let (queue, providers) = (Arc::clone(&queues.providers), stores.providers.clone());
    stores.drivers.on_change(move |driver| {
        let name = driver.name_any();
        let of = providers.select(|p| p.spec.csi_driver_name.as_deref() == Some(&name));
        queue.add_all(&of);
    });
}

fn wake_waiting_claims(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.claims);
    stores.claims.on_change(move |claim| {
        if names_our_source(claim) {
            queue.add(Key::of(claim));
        }
        // A prime claim wakes the claim it is filled for.
        queue.add_some(Key::of_owner(claim, "PersistentVolumeClaim"));
    });
    let (queue, claims) = (Arc::clone(&queues.claims), stores.claims.clone());
    stores.volumes.on_change(move |volume| {
        let Some(holder) = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()) else {
            return;
        };
        let (namespace, name) = (holder.namespace.clone().unwrap_or_default(), holder.name.clone().unwrap_or_default());
        if populate_target_uid(&name).is_none() {
            return queue.add(Key::new(namespace, name));
        }
        let prime = claims.get(&namespace, &name);
        queue.add_some(prime.and_then(|p| Key::of_owner(p.as_ref(), "PersistentVolumeClaim")));
    });
    // A claim of a Cluster may be what others of that Cluster wait for.
    let (queue, claims) = (Arc::clone(&queues.claims), stores.claims.clone());
    stores.claims.on_change(move |claim| queue.add_all(&claims.select(|c| populate::waits_for(c, claim))));
    let queue = Arc::clone(&queues.claims);
    stores.restores.on_change(move |restore| queue.add_some(Key::of_owner(restore, "PersistentVolumeClaim")));
    let (queue, claims) = (Arc::clone(&queues.claims), stores.claims.clone());
    stores.classes.on_change(move |class| {
        let name = class.name_any();
        let of = |c: &k8s_openapi::api::core::v1::PersistentVolumeClaim| {
            names_our_source(c) && c.spec.as_ref().and_then(|s| s.storage_class_name.as_deref()) == Some(&name)
        };
        queue.add_all(&claims.select(of));
    });
    // Backups, action sets and source Restores wake every claim that is not settled: there are few.
    let unsettled = {
        let (queue, claims) = (Arc::clone(&queues.claims), stores.claims.clone());
        move || queue.add_all(&claims.select(populate::is_unsettled))
    };
    let wake = unsettled.clone();
    stores.backups.on_change(move |_| wake());
    let wake = unsettled.clone();
    stores.action_sets.on_change(move |_| wake());
    stores.restores.on_change(move |restore| {
        if populate_target_uid(&restore.name_any()).is_none() {
            unsettled();
        }
    });
    // Pods and Jobs of an execution: their end clears the way for the next attempt.
    let (queue, claims) = (Arc::clone(&queues.claims), stores.claims.clone());
    let of_execution = move |namespace: Option<String>, restore: Option<&String>| {
        let Some(uid) = restore.and_then(|r| populate_target_uid(r)) else {
            return;
        };
        let of = |c: &k8s_openapi::api::core::v1::PersistentVolumeClaim| {
            c.uid().as_deref() == Some(uid) && c.namespace() == namespace
        };
        queue.add_all(&claims.select(of));
    };
    let wake = of_execution.clone();
    stores.pods.on_change(move |pod| wake(pod.namespace(), pod.labels().get(labels::RESTORE)));
    stores.jobs.on_change(move |job| of_execution(job.namespace(), job.labels().get(labels::RESTORE)));
}

fn wake_backups_and_restores(stores: &Stores, queues: &Queues) {
    wake_backups_by_their_work(stores, queues);
    let (restores, all_jobs) = (Arc::clone(&queues.restores), stores.jobs.clone());
    stores.jobs.on_change(move |job| restores.add_some(Key::of_owner(job, "Restore")));
    let restores = Arc::clone(&queues.restores);
    stores.pods.on_change(move |pod| {
        let namespace = pod.namespace().unwrap_or_default();
        let job = Key::of_owner(pod, "Job").and_then(|key| all_jobs.get(&namespace, &key.name));
        restores.add_some(job.and_then(|job| Key::of_owner(job.as_ref(), "Restore")));
    });
    // What a Backup or a Restore may wait for wakes those that have not finished, or not started.
    let waiting = {
        let (backup_queue, restore_queue) = (Arc::clone(&queues.backups), Arc::clone(&queues.restores));
        let (backups, restores) = (stores.backups.clone(), stores.restores.clone());
        move || {
            let ended = |b: &Backup| matches!(b.phase(), BackupPhase::Completed | BackupPhase::Failed);
            let unfinished = |b: &Backup| !ended(b) || backup::continuous::is(b);
            backup_queue.add_all(&backups.select_active(unfinished));
            restore_queue.add_all(&restores.select(restore::plan::is_to_begin));
        }
    };
    let wake = waiting.clone();
    stores.policies.on_change(move |_| wake());
    let wake = waiting.clone();
    stores.action_sets.on_change(move |_| wake());
    let wake = waiting.clone();
    stores.repos.on_change(move |_| wake());
    let wake = waiting.clone();
    stores.claims.on_change(move |claim| {
        if claim.labels().contains_key(labels::BACKUP_REPO_NAME) || populate_target_uid(&claim.name_any()).is_some() {
            wake();
        }
    });
    let (restores, queue) = (stores.restores.clone(), Arc::clone(&queues.restores));
    stores.backups.on_change(move |backup| {
        let (namespace, name) = (backup.namespace().unwrap_or_default(), backup.name_any());
        // One that has not begun may wait for any backup of its chain.
        let may_be = |r: &Restore| r.spec.backup.namespace == namespace && restore::plan::is_to_begin(r);
        queue.add_all(&restores.select(|r| restore::reads(r, &namespace, &name) || may_be(r)));
    });
    // A restore that ends lets the deletion of its source go on.
    let queue = Arc::clone(&queues.backups);
    stores.restores.on_change(move |restore| {
        let source = &restore.spec.backup;
        queue.add(Key::new(source.namespace.clone(), source.name.clone()));
        for action in restore::plan::recorded(restore).iter().filter(|a| a.backup_name != source.name) {
            queue.add(Key::new(source.namespace.clone(), action.backup_name.clone()));
        }
    });
}

/// Jobs, StatefulSets and pods of a backup, in whichever namespace; its schedule; the chain it is part of.
fn wake_backups_by_their_work(stores: &Stores, queues: &Queues) {
    // Exec Jobs live in the operator's namespace, where no owner reference can point out of: labels name the Backup.
    let named = {
        let (queue, backups) = (Arc::clone(&queues.backups), stores.backups.clone());
        move |labels: &BTreeMap<String, String>, namespace: &str| {
            if let Some(label) = labels.get(labels::BACKUP_NAME) {
                let home = labels.get(labels::BACKUP_NAMESPACE).map_or(namespace, String::as_str);
                let is = |key: &Key| key.namespace == home && backup::build::name_label(&key.name) == *label;
                backups.keys(is).into_iter().for_each(|key| queue.add(key));
            }
        }
    };
    let (queue, wake) = (Arc::clone(&queues.backups), named.clone());
    stores.jobs.on_change(move |job| match Key::of_owner(job, "Backup") {
        Some(key) => queue.add(key),
        None => wake(job.labels(), &job.namespace().unwrap_or_default()),
    });
    let queue = Arc::clone(&queues.backups);
    stores.stateful_sets.on_change(move |set| queue.add_some(Key::of_owner(set, "Backup")));
    let (queue, all_jobs) = (Arc::clone(&queues.backups), stores.jobs.clone());
    stores.pods.on_change(move |pod| {
        let namespace = pod.namespace().unwrap_or_default();
        named(pod.labels(), &namespace);
        let job = Key::of_owner(pod, "Job").and_then(|key| all_jobs.get(&namespace, &key.name));
        queue.add_some(job.and_then(|job| Key::of_owner(job.as_ref(), "Backup")));
    });
    let (queue, backups) = (Arc::clone(&queues.backups), stores.backups.clone());
    stores.schedules.on_change(move |schedule| {
        let (namespace, name) = (schedule.namespace(), schedule.name_any());
        let of = |b: &Backup| {
            let label = b.labels().get(labels::BACKUP_SCHEDULE);
            // One that has not begun does not say yet whether it is continuous; one that goes waits to be recorded.
            let waits = b.phase() == BackupPhase::New || b.metadata.deletion_timestamp.is_some();
            b.namespace() == namespace && label == Some(&name) && (waits || backup::continuous::is(b))
        };
        queue.add_all(&backups.select_active(of));
    });
    // A parent that is Completed or gone is what its children wait for, and a child that is gone its parent.
    let (queue, backups) = (Arc::clone(&queues.backups), stores.backups.clone());
    stores.backups.on_change(move |changed| {
        let namespace = changed.namespace().unwrap_or_default();
        let status = changed.status.as_ref();
        let on = [status.and_then(|s| s.parent_backup_name.clone()), status.and_then(|s| s.base_backup_name.clone())];
        on.into_iter().flatten().for_each(|name| queue.add(Key::new(namespace.clone(), name)));
        let name = changed.name_any();
        let waits = |b: &Backup| {
            let running = matches!(b.phase(), BackupPhase::New | BackupPhase::InProgress | BackupPhase::Running);
            let of = |field: Option<&String>| field == Some(&name);
            let recorded = b.status.as_ref();
            let parent = recorded.and_then(|s| s.parent_backup_name.as_ref()).or(b.spec.parent_backup_name.as_ref());
            running
                && b.namespace().as_deref() == Some(&namespace)
                && (of(parent) || of(recorded.and_then(|s| s.base_backup_name.as_ref())))
        };
        queue.add_all(&backups.select_active(waits));
    });
}

fn wake_schedules(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.schedules);
    stores.schedules.on_change(move |o| queue.add(Key::of(o)));
    let queue = Arc::clone(&queues.schedules);
    stores.backups.on_change(move |backup| queue.add_some(schedule::key_of(backup)));
    let queue = Arc::clone(&queues.schedules);
    stores.cron_jobs.on_change(move |job| queue.add_some(Key::of_owner(job, "BackupSchedule")));
    let (queue, schedules) = (Arc::clone(&queues.schedules), stores.schedules.clone());
    stores.policies.on_change(move |policy| {
        let (namespace, name) = (policy.namespace(), policy.name_any());
        let of = schedules.select(|s| s.namespace() == namespace && s.spec.backup_policy_name == name);
        queue.add_all(&of);
    });
    let (queue, schedules) = (Arc::clone(&queues.schedules), stores.schedules.clone());
    stores.action_sets.on_change(move |_| queue.add_all(&schedules.select(|_| true)));
    // The end of a restore lets runs go on that it held back.
    let (queue, all) = (Arc::clone(&queues.schedules), stores.clone());
    let held = move |namespace: Option<String>| {
        queue.add_all(&schedule::held_by_restore(&all, &namespace.unwrap_or_default()));
    };
    let wake = held.clone();
    stores.restores.on_change(move |o| wake(o.namespace()));
    stores.claims.on_change(move |o| held(o.namespace()));
    let (queue, all) = (Arc::clone(&queues.schedules), stores.clone());
    stores.clusters.on_change(move |cluster| queue.add_all(&schedule::held_by_cluster(&all, cluster)));
}

fn wake_expiry(stores: &Stores, queues: &Queues, held: &gc::HeldByRestores) {
    let queue = Arc::clone(&queues.expiry);
    stores.backups.on_change(move |backup| queue.add(gc::key_of(backup)));
    let queue = Arc::clone(&queues.expiry);
    stores.policies.on_change(move |policy| queue.add(Key::of(policy)));
    // An entry that is switched off no longer holds its archive.
    let queue = Arc::clone(&queues.expiry);
    stores.schedules.on_change(move |s| {
        queue.add(Key::new(s.namespace().unwrap_or_default(), &s.spec.backup_policy_name));
    });
    let (queue, wake) = (Arc::clone(&queues.expiry), held.clone());
    stores.restores.on_change(move |_| wake.wake(&queue));
    let (queue, wake) = (Arc::clone(&queues.expiry), held.clone());
    stores.claims.on_change(move |_| wake.wake(&queue));
}

fn wake_repos(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.repos);
    let by_label = move |name: Option<&String>| {
        if let Some(name) = name {
            queue.add(Key::new("", name.clone()));
        }
    };
    // Of Jobs and pods only those of a pre-check: those of backups carry the label, too.
    let wake = by_label.clone();
    let of_check = |labels: &std::collections::BTreeMap<String, String>| {
        let name = labels.get(labels::BACKUP_REPO_NAME).filter(|_| !labels.contains_key(labels::BACKUP_NAME));
        name.cloned()
    };
    stores.jobs.on_change(move |o| wake(of_check(o.labels()).as_ref()));
    let wake = by_label.clone();
    stores.pods.on_change(move |o| wake(of_check(o.labels()).as_ref()));
    let wake = by_label.clone();
    stores.claims.on_change(move |o| wake(o.labels().get(labels::BACKUP_REPO_NAME)));
    // Backups and Restores that wait for it; and all that hold it while it is to go.
    let repos = stores.repos.clone();
    let concerned = move |labels: &std::collections::BTreeMap<String, String>, recorded: Option<&String>| {
        let name = labels.get(labels::BACKUP_REPO_NAME).or(recorded)?;
        let going = || repos.get("", name).is_some_and(|r| r.metadata.deletion_timestamp.is_some());
        (labels.contains_key(labels::WAIT_REPO_PREPARATION) || going()).then(|| name.clone())
    };
    let (wake, of) = (by_label.clone(), concerned.clone());
    stores.backups.on_change(move |o| {
        let recorded = o.status.as_ref().and_then(|s| s.backup_repo_name.as_ref());
        wake(of(o.labels(), recorded).as_ref());
    });
    let wake = by_label.clone();
    stores.restores.on_change(move |o| wake(concerned(o.labels(), None).as_ref()));
    // A class that is deleted is made again.
    stores.classes.on_change(move |o| by_label(o.labels().get(labels::BACKUP_REPO_NAME)));
    let (queue, repos) = (Arc::clone(&queues.repos), stores.repos.clone());
    stores.providers.on_change(move |provider| {
        let name = provider.name_any();
        let of = repos.select(|r| r.spec.storage_provider_ref == name);
        queue.add_all(&of);
    });
}
