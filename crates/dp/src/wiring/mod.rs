//! Which controller sees what, and how they start.

pub mod caches;
mod turns;
mod wakes;

use crate::args::Args;
use crate::awaited::Awaited;
use crate::cluster_backup::record::{Legacy, Record};
use crate::context::{Context, Stores, names_our_source};
use crate::{
    actionset, backup, cluster_backup, gc, policy, policy_driver, populate, provider, repo, restore, schedule,
    template, turn,
};
use controller_kit::Key;
use controller_kit::events::Events;
use controller_kit::queue::Queue;
use controller_kit::run::Runtime;
use controller_kit::writes::Writer;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One queue per controller.
#[derive(Clone, Default)]
struct Queues {
    action_sets: Arc<Queue>,
    backups: Arc<Queue>,
    claims: Arc<Queue>,
    clusters: Arc<Queue>,
    departures: Arc<Queue>,
    expiry: Arc<Queue>,
    policies: Arc<Queue>,
    providers: Arc<Queue>,
    repos: Arc<Queue>,
    restores: Arc<Queue>,
    schedules: Arc<Queue>,
    templates: Arc<Queue>,
    turns: Arc<Queue>,
}

/// Starts every controller, as leader. `legacy` is what the leader before left about deleted Clusters, and where it is kept.
pub fn start_controllers(
    runtime: &Runtime,
    args: &Args,
    stores: &Stores,
    legacy: (Record, Legacy),
    controllers: &mut JoinSet<()>,
) {
    let (record, left) = legacy;
    stores.departures.resume(left.pending);
    let context = Arc::new(Context::new(args, stores));
    let queues = Queues { turns: Arc::clone(context.turns.queue()), ..Queues::default() };
    let held = gc::HeldByRestores::default();
    connect(stores, &queues, &held, &context);
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
    start!("turn", turns, turn::reconcile, Arc::clone(&queues.backups));
    start!(
        "schedule",
        schedules,
        schedule::reconcile,
        schedule::apply::Hands {
            writer: writer("holdfast-dp/schedule"),
            events: events("holdfast-dp/schedule"),
            awaited: Awaited::new(Arc::clone(&queues.schedules)),
        }
    );
    start!(
        "gc",
        expiry,
        gc::reconcile,
        gc::apply::Hands { writer: writer("holdfast-dp/gc"), events: events("holdfast-dp/gc"), held: held.clone() }
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
        policy_driver::apply::Hands::new(writer("holdfast-dp/policy-driver"), events("holdfast-dp/policy-driver"))
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
        let replayed = replay(runtime, stores, &queues, version, writer("holdfast-dp/cluster-backup"));
        controllers.spawn(replayed);
    }
    controllers.spawn(prepare_keys(&context, writer("holdfast-dp/account"), runtime.stop.clone()));
}

fn prepare_keys(context: &Context, writer: Writer, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
    let keys = Arc::clone(&context.keys);
    async move { keys.prepare(&writer, stop).await }
}

/// From here on events wake; what is there already is looked at once.
fn connect(stores: &Stores, queues: &Queues, held: &gc::HeldByRestores, context: &Arc<Context>) {
    wakes::wake_by_events(stores, queues, held);
    turns::follow(stores, context);
    seed(stores, queues);
}

/// Deletions of Clusters that nobody saw since the leader before.
fn replay(
    runtime: &Runtime,
    stores: &Stores,
    queues: &Queues,
    version: String,
    writer: Writer,
) -> impl Future<Output = ()> + use<> {
    let (departures, queue) = (stores.departures.clone(), Arc::clone(&queues.departures));
    let (namespaces, stop) = (runtime.settings.namespaces.clone(), runtime.stop.clone());
    let all = departures.clone();
    let wake = move || all.list().into_iter().for_each(|d| queue.add(Key::new(d.namespace, d.uid)));
    async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = cluster_backup::replay::replay(writer, namespaces, version, departures, wake) => {}
        }
    }
}

/// Every object that is there when the controllers start is looked at once.
fn seed(stores: &Stores, queues: &Queues) {
    queues.action_sets.add_all(&stores.action_sets.select(|_| true));
    stores.backups.keys(|_| true).into_iter().for_each(|key| queues.backups.add(key));
    queues.claims.add_all(&stores.claims.select(names_our_source));
    queues.policies.add_all(&stores.policies.select(|_| true));
    queues.providers.add_all(&stores.providers.select(|_| true));
    queues.repos.add_all(&stores.repos.select(|_| true));
    queues.restores.add_all(&stores.restores.select(|_| true));
    queues.schedules.add_all(&stores.schedules.select(|_| true));
    stores.backups.visit(|backup| queues.expiry.add(gc::key_of(backup)));
    queues.templates.add_all(&stores.templates.select(|_| true));
    queues.clusters.add_all(&stores.clusters.select(|_| true));
    for departure in stores.departures.list() {
        queues.departures.add(Key::new(departure.namespace, departure.uid));
    }
}
