//! `holdfast-dp`: the data protection operator as a process.

use clap::Parser;
use controller_kit::metrics::Metrics;
use controller_kit::run::{RunError, Runtime, to_the_end};
use controller_kit::writes::Writer;
use dp::args::Args;
use dp::cluster_backup::record::Record;
use dp::context::Stores;
use dp::kubectl::{self, Kubectl};
use dp::metrics::Backups;
use dp::wiring;
use std::process::ExitCode;

/// Backs up and restores databases on Kubernetes: BackupRepos, Backups, Restores, and claims whose
/// dataSourceRef names a Backup.
#[derive(Parser)]
#[command(name = "holdfast-dp", version)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    args: Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Runs a command inside a pod, as the Jobs of exec actions do.
    Kubectl(Kubectl),
}

fn main() -> ExitCode {
    match Cli::parse() {
        Cli { command: Some(Command::Kubectl(call)), .. } => kubectl::run(call),
        Cli { args, command: None } => to_the_end(run(args)),
    }
}

async fn run(args: Args) -> Result<(), RunError> {
    let stores = Stores::default();
    let backups = Backups(stores.backups.clone());
    let metrics = Metrics::new("dp", |registry| registry.register_collector(Box::new(backups)));
    let runtime = Runtime::start(args.settings.clone(), metrics).await?;
    wiring::caches::start(&stores, &runtime);
    wiring::caches::show(&runtime, &stores);
    wiring::caches::fill(&stores).await;
    runtime.health.set_ready(true);
    tracing::info!("caches are filled");
    let writer = Writer::new(runtime.client.clone(), "holdfast-dp/cluster-backup", runtime.metrics.clone());
    let record = Record::new(&args.settings.namespace, &args.lease_name);
    let left = tokio::select! {
        () = runtime.stop.cancelled() => return Ok(()),
        left = record.read(&writer) => left,
    };
    let mut elections = vec![runtime.election(&args.settings.namespace, &args.lease_name)];
    if let Some((namespace, name)) = args.foreign_lease.split_once('/') {
        elections.push(runtime.election(namespace, name));
    }
    let keep = runtime.clone();
    runtime
        .lead(elections, move |controllers| {
            wiring::start_controllers(&keep, &args, &stores, (record, left), controllers);
        })
        .await
}
