//! The caches: which there are, and what each of them watches.

use crate::cluster::{Cluster, Component, ComponentDefinition, crd_of};
use crate::context::Stores;
use controller_kit::clock;
use controller_kit::run::Runtime;
use controller_kit::served;
use controller_kit::stores::{Scope, Watched};

/// Label selector of everything this operator makes in namespaces.
const OURS: &str = "app.kubernetes.io/managed-by=kubeblocks-dataprotection";

/// Starts the caches; [`fill`] waits until they are filled.
pub fn start(stores: &Stores, runtime: &Runtime) {
    let (client, metrics, stop) = (&runtime.client, &runtime.metrics, &runtime.stop);
    let mut namespaces = runtime.settings.namespaces.clone();
    let of_reference = Scope { namespaces: namespaces.clone(), labels: Some(OURS) };
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
    stores.schedules.watch_namespaced(client, &all, metrics, stop);
    stores.cron_jobs.watch_namespaced(client, &of_reference, metrics, stop);
    stores.claims.watch_namespaced(client, &with_own, metrics, stop);
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
pub async fn fill(stores: &Stores) {
    stores.action_sets.ready().await;
    stores.repos.ready().await;
    stores.providers.ready().await;
    stores.volumes.ready().await;
    stores.classes.ready().await;
    stores.drivers.ready().await;
    stores.backups.ready().await;
    stores.policies.ready().await;
    stores.restores.ready().await;
    stores.schedules.ready().await;
    stores.cron_jobs.ready().await;
    stores.claims.ready().await;
    stores.stateful_sets.ready().await;
    stores.jobs.ready().await;
    stores.pods.ready().await;
    stores.templates.ready().await;
}

/// Shows all caches under `/debug/state`.
pub fn show(runtime: &Runtime, stores: &Stores) {
    let one = |store: Box<dyn Watched>| runtime.health.show_store(store);
    one(Box::new(stores.action_sets.clone()));
    one(Box::new(stores.backups.clone()));
    one(Box::new(stores.policies.clone()));
    one(Box::new(stores.repos.clone()));
    one(Box::new(stores.restores.clone()));
    one(Box::new(stores.schedules.clone()));
    one(Box::new(stores.cron_jobs.clone()));
    one(Box::new(stores.providers.clone()));
    one(Box::new(stores.claims.clone()));
    one(Box::new(stores.volumes.clone()));
    one(Box::new(stores.classes.clone()));
    one(Box::new(stores.stateful_sets.clone()));
    one(Box::new(stores.jobs.clone()));
    one(Box::new(stores.pods.clone()));
    one(Box::new(stores.drivers.clone()));
    one(Box::new(stores.templates.clone()));
    one(Box::new(stores.clusters.clone()));
    one(Box::new(stores.components.clone()));
    one(Box::new(stores.definitions.clone()));
}
