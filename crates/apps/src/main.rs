//! `holdfast-apps`: the apps operator as a process.

use apps::args::Args;
use apps::wiring;
use clap::Parser;
use controller_kit::error::chain;
use controller_kit::metrics::Metrics;
use controller_kit::run::{RunError, Runtime};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    // Reconciles wait for the API server most of the time; two threads keep the process small.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => {
            eprintln!("could not start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
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
