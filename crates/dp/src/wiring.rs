//! Which caches exist, which controller sees which, and what wakes an object.

use crate::account::keyring::KeyRing;
use crate::action::exec::ExecSettings;
use crate::action::pod::PodSettings;
use crate::action::worker::{WorkerNames, Workers};
use crate::args::Args;
use crate::awaited::Awaited;
use crate::backup::fold::Limits;
use crate::cluster::{Cluster, Component, ComponentDefinition, crd_of};
use crate::cluster_backup::record::{Legacy, Record};
use crate::context::{Context, Stores, names_our_source};
use crate::{actionset, backup, cluster_backup, policy, policy_driver, populate, provider, repo, restore, template};
use api_types::contract::labels;
use api_types::contract::names::populate_target_uid;
use api_types::dp::{Backup, BackupPhase, BackupPolicyTemplate};
use controller_kit::events::Events;
use controller_kit::queue::Queue;
use controller_kit::run::Runtime;
use controller_kit::served;
use controller_kit::stores::{Scope, Watched};
use controller_kit::writes::Writer;
use controller_kit::{Key, clock};
use jiff::SignedDuration;
use kube::ResourceExt;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Label selector of everything this operator makes in namespaces.
const OURS: &str = "app.kubernetes.io/managed-by=kubeblocks-dataprotection";

/// One queue per controller.
#[derive(Clone, Default)]
struct Queues {
    action_sets: Arc<Queue>,
    backups: Arc<Queue>,
    claims: Arc<Queue>,
    clusters: Arc<Queue>,
    departures: Arc<Queue>,
    policies: Arc<Queue>,
    providers: Arc<Queue>,
    repos: Arc<Queue>,
    restores: Arc<Queue>,
    templates: Arc<Queue>,
}

/// Starts the caches; [`fill_stores`] waits until they are filled.
pub fn start_stores(stores: &Stores, runtime: &Runtime) {
    let (client, metrics, stop) = (&runtime.client, &runtime.metrics, &runtime.stop);
    let mut namespaces = runtime.settings.namespaces.clone();
    let all = Scope { namespaces: namespaces.clone(), labels: None };
    // Pre-checks run in the operator's own namespace, also when only others are served.
    if !namespaces.is_empty() && !namespaces.contains(&runtime.settings.namespace) {
        namespaces.push(runtime.settings.namespace.clone());
    }
    let ours = Scope { namespaces: namespaces.clone(), labels: Some(OURS) };
    let with_own = Scope { namespaces, labels: None };
    let cluster = Scope::default();
    stores.action_sets.watch_cluster(client, &cluster, metrics, stop);
    stores.repos.watch_cluster(client, &cluster, metrics, stop);
    stores.providers.watch_cluster(client, &cluster, metrics, stop);
    stores.volumes.watch_cluster(client, &cluster, metrics, stop);
    stores.classes.watch_cluster(client, &cluster, metrics, stop);
    stores.drivers.watch_cluster(client, &cluster, metrics, stop);
    stores.backups.watch_namespaced(client, &all, metrics, stop);
    stores.policies.watch_namespaced(client, &all, metrics, stop);
    stores.restores.watch_namespaced(client, &all, metrics, stop);
    stores.claims.watch_namespaced(client, &with_own, metrics, stop);
    stores.schedules.watch_namespaced(client, &all, metrics, stop);
    stores.stateful_sets.watch_namespaced(client, &ours, metrics, stop);
    stores.jobs.watch_namespaced(client, &ours, metrics, stop);
    stores.pods.watch_namespaced(client, &ours, metrics, stop);
    stores.templates.watch_cluster(client, &cluster, metrics, stop);
    // Kinds of the apps operator come and go.
    stores.clusters.while_served(served::follow(client, &crd_of::<Cluster>(), stop));
    stores.components.while_served(served::follow(client, &crd_of::<Component>(), stop));
    stores.definitions.while_served(served::follow(client, &crd_of::<ComponentDefinition>(), stop));
    let departures = stores.departures.clone();
    stores.clusters.on_deleted(move |cluster| departures.note(cluster, clock::now()));
    stores.clusters.watch_namespaced(client, &all, metrics, stop);
    stores.components.watch_namespaced(client, &all, metrics, stop);
    stores.definitions.watch_cluster(client, &cluster, metrics, stop);
}

/// Waits until every cache has listed once.
pub async fn fill_stores(stores: &Stores) {
    stores.action_sets.ready().await;
    stores.repos.ready().await;
    stores.providers.ready().await;
    stores.volumes.ready().await;
    stores.classes.ready().await;
    stores.drivers.ready().await;
    stores.backups.ready().await;
    stores.policies.ready().await;
    stores.restores.ready().await;
    stores.claims.ready().await;
    stores.schedules.ready().await;
    stores.stateful_sets.ready().await;
    stores.jobs.ready().await;
    stores.pods.ready().await;
    stores.templates.ready().await;
}

/// Shows all caches under `/debug/state`.
pub fn show_stores(runtime: &Runtime, stores: &Stores) {
    let show = |store: Box<dyn Watched>| runtime.health.show_store(store);
    show(Box::new(stores.action_sets.clone()));
    show(Box::new(stores.backups.clone()));
    show(Box::new(stores.policies.clone()));
    show(Box::new(stores.repos.clone()));
    show(Box::new(stores.restores.clone()));
    show(Box::new(stores.providers.clone()));
    show(Box::new(stores.claims.clone()));
    show(Box::new(stores.volumes.clone()));
    show(Box::new(stores.classes.clone()));
    show(Box::new(stores.schedules.clone()));
    show(Box::new(stores.stateful_sets.clone()));
    show(Box::new(stores.jobs.clone()));
    show(Box::new(stores.pods.clone()));
    show(Box::new(stores.drivers.clone()));
    show(Box::new(stores.templates.clone()));
    show(Box::new(stores.clusters.clone()));
    show(Box::new(stores.components.clone()));
    show(Box::new(stores.definitions.clone()));
}

/// Starts every controller, as leader.
/// `legacy` is what the leader before left about deleted Clusters, and where it is kept.
pub fn start_controllers(
    runtime: &Runtime,
    args: &Args,
    stores: &Stores,
    legacy: (Record, Legacy),
    controllers: &mut JoinSet<()>,
) {
    let (record, left) = legacy;
    stores.departures.resume(left.pending);
    let queues = Queues::default();
    wake_by_events(stores, &queues);
    seed(stores, &queues);
    let context = Arc::new(context(args, stores));
    let writer = |manager| Writer::new(runtime.client.clone(), manager, runtime.metrics.clone());
    let events = |controller| Events::new(runtime.client.clone(), controller, &runtime.settings.identity);
    macro_rules! start {
        ($name:literal, $queue:ident, $reconcile:path, $hands:expr) => {{
            let (driver, context, hands) = (runtime.driver($name, &queues.$queue), Arc::clone(&context), $hands);
            let stop = runtime.stop.clone();
            controllers.spawn(driver.run(move |key| $reconcile(key, Arc::clone(&context), hands.clone()), stop));
        }};
    }
    start!("provider", providers, provider::reconcile, writer("holdfast-dp/provider"));
    start!("actionset", action_sets, actionset::reconcile, writer("holdfast-dp/actionset"));
    start!("policy", policies, policy::reconcile, writer("holdfast-dp/policy"));
    start!(
        "repo",
        repos,
        repo::reconcile,
        repo::apply::Hands {
            writer: writer("holdfast-dp/repo"),
            watches: repo::watches::Watches::new(
                runtime.client.clone(),
                Arc::clone(&queues.repos),
                runtime.stop.clone()
            ),
        }
    );
    start!(
        "backup",
        backups,
        backup::reconcile,
        backup::apply::Hands {
            writer: writer("holdfast-dp/backup"),
            events: events("holdfast-dp/backup"),
            targets: backup::targets::Targets {
                writer: writer("holdfast-dp/backup"),
                awaited: Awaited::new(Arc::clone(&queues.backups)),
            },
        }
    );
    start!(
        "restore",
        restores,
        restore::reconcile,
        restore::apply::Hands { writer: writer("holdfast-dp/restore"), events: events("holdfast-dp/restore") }
    );
    start!(
        "populate",
        claims,
        populate::reconcile,
        populate::apply::Hands {
            writer: writer("holdfast-dp/populate"),
            events: events("holdfast-dp/populate"),
            awaited: Awaited::new(Arc::clone(&queues.claims)),
        }
    );
    start!("template", templates, template::reconcile, writer("holdfast-dp/template"));
    start!(
        "policy-driver",
        clusters,
        policy_driver::reconcile,
        policy_driver::apply::Hands {
            writer: writer("holdfast-dp/policy-driver"),
            events: events("holdfast-dp/policy-driver"),
            said: policy_driver::apply::Said::default(),
        }
    );
    start!(
        "cluster-backup",
        departures,
        cluster_backup::reconcile,
        cluster_backup::Hands {
            writer: writer("holdfast-dp/cluster-backup"),
            events: events("holdfast-dp/cluster-backup"),
            record,
        }
    );
    if let Some(version) = left.version {
        let (writer, departures) = (writer("holdfast-dp/cluster-backup"), stores.departures.clone());
        let (namespaces, queue, stop) =
            (runtime.settings.namespaces.clone(), Arc::clone(&queues.departures), runtime.stop.clone());
        let all = departures.clone();
        let wake = move || all.list().into_iter().for_each(|d| queue.add(Key::new(d.namespace, d.uid)));
        controllers.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = cluster_backup::replay::replay(writer, namespaces, version, departures, wake) => {}
            }
        });
    }
    let (keys, writer, stop) = (Arc::clone(&context.keys), writer("holdfast-dp/account"), runtime.stop.clone());
    controllers.spawn(async move { keys.prepare(&writer, stop).await });
}

fn context(args: &Args, stores: &Stores) -> Context {
    let names = WorkerNames { account: args.worker_service_account.clone(), role: args.worker_cluster_role.clone() };
    Context {
        stores: stores.clone(),
        pods: PodSettings {
            mover_image: args.mover_image.clone(),
            zero_resources: args.zero_resource_for_unset,
            worker_account: args.worker_service_account.clone(),
        },
        exec: ExecSettings::new(
            &args.settings.namespace,
            args.tools_image.as_deref(),
            &args.mover_image,
            &args.exec_worker_service_account,
        ),
        limits: Limits {
            start: SignedDuration::from_secs(args.action_start_seconds.into()),
            action: Some(SignedDuration::from_secs(args.action_deadline_seconds.into()))
                .filter(SignedDuration::is_positive),
        },
        workers: Workers::new(names),
        keys: Arc::new(KeyRing::new(
            args.encryption_key.clone(),
            args.old_encryption_keys.clone(),
            &args.settings.namespace,
        )),
        check_retry: SignedDuration::from_secs(args.check_retry_seconds.into()),
        default_encryption: policy_driver::encryption::default_config(
            args.backup_encryption_key_ref.clone(),
            args.backup_encryption_algorithm.clone(),
        ),
        own_namespace: args.settings.namespace.clone(),
        allowed_accounts: args.allowed_service_accounts.clone(),
    }
}

/// Every object that is there when the controllers start is looked at once.
fn seed(stores: &Stores, queues: &Queues) {
    queues.action_sets.add_all(&stores.action_sets.select(|_| true));
    queues.backups.add_all(&stores.backups.select(|_| true));
    queues.claims.add_all(&stores.claims.select(names_our_source));
    queues.policies.add_all(&stores.policies.select(|_| true));
    queues.providers.add_all(&stores.providers.select(|_| true));
    queues.repos.add_all(&stores.repos.select(|_| true));
    queues.restores.add_all(&stores.restores.select(|_| true));
    queues.templates.add_all(&stores.templates.select(|_| true));
    queues.clusters.add_all(&stores.clusters.select(|_| true));
    for departure in stores.departures.list() {
        queues.departures.add(Key::new(departure.namespace, departure.uid));
    }
}

/// What wakes what. Each wait in a plan names one of these.
fn wake_by_events(stores: &Stores, queues: &Queues) {
    wake_self(stores, queues);
    wake_waiting_claims(stores, queues);
    wake_backups_and_restores(stores, queues);
    wake_repos(stores, queues);
    wake_templates(stores, queues);
    wake_policy_driver(stores, queues);
    wake_cluster_backup(stores, queues);
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
            backup_queue.add_all(&backups.select(unfinished));
            let fresh = |r: &api_types::dp::Restore| r.status.as_ref().is_none_or(|s| s.phase.is_none());
            restore_queue.add_all(&restores.select(fresh));
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
        let of = restores.select(|r| r.spec.backup.name == name && r.spec.backup.namespace == namespace);
        queue.add_all(&of);
    });
    // A restore that ends lets the deletion of its source go on.
    let queue = Arc::clone(&queues.backups);
    stores.restores.on_change(move |restore| {
        let source = &restore.spec.backup;
        queue.add(Key::new(source.namespace.clone(), source.name.clone()));
    });
}

/// Jobs, StatefulSets and pods of a backup, in whichever namespace; its schedule; the chain it is part of.
fn wake_backups_by_their_work(stores: &Stores, queues: &Queues) {
    // Exec Jobs live in the operator's namespace, where no owner reference can point out of: the UID is a label.
    let by_uid = {
        let (queue, backups) = (Arc::clone(&queues.backups), stores.backups.clone());
        move |uid: Option<&String>| {
            if let Some(uid) = uid {
                queue.add_all(&backups.select(|b| b.metadata.uid.as_ref() == Some(uid)));
            }
        }
    };
    let (queue, wake) = (Arc::clone(&queues.backups), by_uid.clone());
    stores.jobs.on_change(move |job| match Key::of_owner(job, "Backup") {
        Some(key) => queue.add(key),
        None if job.labels().contains_key(labels::BACKUP_NAME) => wake(job.labels().get(job_runtime::OWNER_UID_LABEL)),
        None => {}
    });
    let queue = Arc::clone(&queues.backups);
    stores.stateful_sets.on_change(move |set| queue.add_some(Key::of_owner(set, "Backup")));
    let (queue, all_jobs, all_backups) = (Arc::clone(&queues.backups), stores.jobs.clone(), stores.backups.clone());
    stores.pods.on_change(move |pod| {
        let namespace = pod.namespace().unwrap_or_default();
        if let Some(label) = pod.labels().get(labels::BACKUP_NAME) {
            let home = pod.labels().get(labels::BACKUP_NAMESPACE).unwrap_or(&namespace);
            let is =
                |b: &Backup| b.namespace().as_ref() == Some(home) && backup::build::name_label(&b.name_any()) == *label;
            queue.add_all(&all_backups.select(is));
        }
        let job = Key::of_owner(pod, "Job").and_then(|key| all_jobs.get(&namespace, &key.name));
        queue.add_some(job.and_then(|job| Key::of_owner(job.as_ref(), "Backup")));
    });
    let (queue, backups) = (Arc::clone(&queues.backups), stores.backups.clone());
    stores.schedules.on_change(move |schedule| {
        let (namespace, name) = (schedule.namespace(), schedule.name_any());
        let of = |b: &Backup| {
            let label = b.labels().get(labels::BACKUP_SCHEDULE);
            b.namespace() == namespace && label == Some(&name) && backup::continuous::is(b)
        };
        queue.add_all(&backups.select(of));
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
        queue.add_all(&backups.select(waits));
    });
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
