//! `holdfast-apps`: the apps operator as a process.

use apps::args::Args;
use apps::wiring;
use clap::Parser;
use controller_kit::metrics::Metrics;
use controller_kit::run::{RunError, Runtime, to_the_end};
use std::process::ExitCode;

fn main() -> ExitCode {
    to_the_end(run(Args::parse()))
}

async fn run(args: Args) -> Result<(), RunError> {
    let runtime = Runtime::start(args.settings.clone(), Metrics::new("apps", |_| {})).await?;
    let stores = wiring::start_stores(&runtime);
    wiring::show_stores(&runtime, &stores);
    wiring::fill_stores(&stores).await;
    runtime.health.set_ready(true);
    tracing::info!("caches are filled");
    let elections = vec![runtime.election(&args.settings.namespace, &args.lease_name)];
    let keep = runtime.clone();
    runtime.lead(elections, move |controllers| wiring::start_controllers(&keep, &stores, controllers)).await
}
