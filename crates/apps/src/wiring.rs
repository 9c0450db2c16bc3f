//! Which caches exist, which controller sees which, and what wakes an object.

use crate::context::{Context, Stores};
use crate::{cluster, component, definition, instanceset, ops};
use api_types::contract::labels;
use controller_kit::Key;
use controller_kit::events::Events;
use controller_kit::queue::Queue;
use controller_kit::run::Runtime;
use controller_kit::stores::{Scope, Watched};
use controller_kit::writes::Writer;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Label selector of everything this operator makes in namespaces.
const OURS: &str = "app.kubernetes.io/managed-by=kubeblocks";

/// One queue per controller.
#[derive(Clone, Default)]
struct Queues {
    clusters: Arc<Queue>,
    components: Arc<Queue>,
    definitions: Arc<Queue>,
    sets: Arc<Queue>,
    requests: Arc<Queue>,
}

/// Starts the caches; [`fill_stores`] waits until they are filled.
pub fn start_stores(runtime: &Runtime) -> Stores {
    let stores = Stores::default();
    let (client, metrics, stop) = (&runtime.client, &runtime.metrics, &runtime.stop);
    let namespaces = runtime.settings.namespaces.clone();
    let all = Scope { namespaces: namespaces.clone(), labels: None };
    let ours = Scope { namespaces, labels: Some(OURS) };
    stores.component_definitions.watch_cluster(client, &Scope::default(), metrics, stop);
    stores.classes.watch_cluster(client, &Scope::default(), metrics, stop);
    stores.clusters.watch_namespaced(client, &all, metrics, stop);
    stores.components.watch_namespaced(client, &all, metrics, stop);
    stores.sets.watch_namespaced(client, &all, metrics, stop);
    stores.requests.watch_namespaced(client, &all, metrics, stop);
    stores.pods.watch_namespaced(client, &ours, metrics, stop);
    stores.claims.watch_namespaced(client, &ours, metrics, stop);
    stores.services.watch_namespaced(client, &ours, metrics, stop);
    stores.config_maps.watch_namespaced(client, &ours, metrics, stop);
    stores.service_accounts.watch_namespaced(client, &ours, metrics, stop);
    stores
}

/// Waits until every cache has listed once.
pub async fn fill_stores(stores: &Stores) {
    stores.component_definitions.ready().await;
    stores.classes.ready().await;
    stores.clusters.ready().await;
    stores.components.ready().await;
    stores.sets.ready().await;
    stores.requests.ready().await;
    stores.pods.ready().await;
    stores.claims.ready().await;
    stores.services.ready().await;
    stores.config_maps.ready().await;
    stores.service_accounts.ready().await;
}

/// Shows all caches under `/debug/state`.
pub fn show_stores(runtime: &Runtime, stores: &Stores) {
    let show = |store: Box<dyn Watched>| runtime.health.show_store(store);
    show(Box::new(stores.component_definitions.clone()));
    show(Box::new(stores.classes.clone()));
    show(Box::new(stores.clusters.clone()));
    show(Box::new(stores.components.clone()));
    show(Box::new(stores.sets.clone()));
    show(Box::new(stores.requests.clone()));
    show(Box::new(stores.pods.clone()));
    show(Box::new(stores.claims.clone()));
    show(Box::new(stores.services.clone()));
    show(Box::new(stores.config_maps.clone()));
    show(Box::new(stores.service_accounts.clone()));
}

/// Starts every controller, as leader.
pub fn start_controllers(runtime: &Runtime, stores: &Stores, controllers: &mut JoinSet<()>) {
    let queues = Queues::default();
    wake_by_events(stores, &queues);
    seed(stores, &queues);
    let context = Arc::new(Context { stores: stores.clone() });
    let writer = |manager| Writer::new(runtime.client.clone(), manager, runtime.metrics.clone());
    let events = |controller| Events::new(runtime.client.clone(), controller, &runtime.settings.identity);
    macro_rules! start {
        ($name:literal, $queue:ident, $reconcile:path, $hands:expr) => {{
            let (driver, context, hands) = (runtime.driver($name, &queues.$queue), Arc::clone(&context), $hands);
            let stop = runtime.stop.clone();
            controllers.spawn(driver.run(move |key| $reconcile(key, Arc::clone(&context), hands.clone()), stop));
        }};
    }
    start!("definition", definitions, definition::reconcile, writer("holdfast-apps/definition"));
    start!("ops", requests, ops::reconcile, writer("holdfast-apps/ops"));
    start!(
        "cluster",
        clusters,
        cluster::reconcile,
        cluster::apply::Hands { writer: writer("holdfast-apps/cluster"), events: events("holdfast-apps/cluster") }
    );
    start!(
        "component",
        components,
        component::reconcile,
        component::apply::Hands {
            writer: writer("holdfast-apps/component"),
            events: events("holdfast-apps/component")
        }
    );
    start!(
        "instanceset",
        sets,
        instanceset::reconcile,
        instanceset::apply::Hands {
            writer: writer("holdfast-apps/instanceset"),
            events: events("holdfast-apps/instanceset"),
        }
    );
}

/// Every object that is there when the controllers start is looked at once.
fn seed(stores: &Stores, queues: &Queues) {
    queues.definitions.add_all(&stores.component_definitions.select(|_| true));
    queues.clusters.add_all(&stores.clusters.select(|_| true));
    queues.components.add_all(&stores.components.select(|_| true));
    queues.sets.add_all(&stores.sets.select(|_| true));
    queues.requests.add_all(&stores.requests.select(|_| true));
}

/// The key a label names, beside the object.
fn labelled<K: Resource>(object: &K, label: &str) -> Option<Key> {
    let name = object.meta().labels.as_ref()?.get(label)?;
    Some(Key::new(object.meta().namespace.clone().unwrap_or_default(), name.clone()))
}

/// What wakes what. Each wait in a plan names one of these.
fn wake_by_events(stores: &Stores, queues: &Queues) {
    let queue = Arc::clone(&queues.requests);
    stores.requests.on_change(move |o| queue.add(Key::of(o)));
    let (clusters, queue) = (Arc::clone(&queues.clusters), Arc::clone(&queues.clusters));
    stores.clusters.on_change(move |o| queue.add(Key::of(o)));
    // A Component wakes itself and its Cluster, a set itself, its Component and its Cluster (which counts its claims).
    let (queue, up) = (Arc::clone(&queues.components), Arc::clone(&clusters));
    stores.components.on_change(move |o| {
        queue.add(Key::of(o));
        up.add_some(Key::of_owner(o, "Cluster"));
    });
    let (queue, up) = (Arc::clone(&queues.sets), Arc::clone(&queues.components));
    stores.sets.on_change(move |o| {
        queue.add(Key::of(o));
        up.add_some(Key::of_owner(o, "Component"));
    });
    let queue = Arc::clone(&queues.sets);
    stores.pods.on_change(move |o| queue.add_some(labelled(o, labels::WORKLOADS_INSTANCE)));
    let queue = Arc::clone(&queues.sets);
    stores.claims.on_change(move |o| queue.add_some(labelled(o, labels::WORKLOADS_INSTANCE)));
    let (sets, components) = (Arc::clone(&queues.sets), Arc::clone(&queues.components));
    stores.services.on_change(move |o| {
        sets.add_some(Key::of_owner(o, "InstanceSet"));
        components.add_some(Key::of_owner(o, "Component"));
    });
    let queue = Arc::clone(&queues.components);
    stores.config_maps.on_change(move |o| queue.add_some(Key::of_owner(o, "Component")));
    let queue = Arc::clone(&queues.components);
    stores.service_accounts.on_change(move |o| queue.add_some(Key::of_owner(o, "Component")));
    // A definition wakes what uses it, and every Cluster: one may mean it by a prefix.
    let (queue, components) = (Arc::clone(&queues.definitions), Arc::clone(&queues.components));
    let (all_components, all_clusters) = (stores.components.clone(), stores.clusters.clone());
    stores.component_definitions.on_change(move |definition| {
        queue.add(Key::of(definition));
        let name = definition.name_any();
        components.add_all(&all_components.select(|c| c.spec.comp_def == name));
        clusters.add_all(&all_clusters.select(|_| true));
    });
}
