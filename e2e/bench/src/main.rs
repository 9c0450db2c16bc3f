//! `bench NAME`: measures a process against a real API server and prints one JSON line per figure set.
// A measurement that can not be made ends the run; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod backup_scale;
mod idle;
mod node_cluster;
mod observe;
mod restore_storm;

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Parser)]
#[command(about = "Measures the operators; see each command")]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// What each operator costs while nothing happens, alone and beside 5,000 foreign objects of each kind.
    Idle {
        /// An operator's binary, as it goes into the image; several times for several operators.
        #[arg(long, required = true)]
        operator: Vec<PathBuf>,
        /// The image's archive, in the order of the operators.
        #[arg(long)]
        image: Vec<PathBuf>,
        /// Seconds to watch it.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Foreign pods, claims, Jobs and Secrets, each this many.
        #[arg(long, default_value_t = 5000)]
        foreign: usize,
    },
    /// What the dp operator costs at rest beside many completed Backups and schedules.
    BackupScale {
        /// The operator's binary, as it goes into the image.
        #[arg(long)]
        operator: PathBuf,
        /// Completed Backups.
        #[arg(long, default_value_t = 10_000)]
        backups: usize,
        /// Enabled schedules.
        #[arg(long, default_value_t = 200)]
        schedules: usize,
        /// Seconds to watch it.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Many claims at once that wait for their data; volumes and Jobs are done at once.
    RestoreStorm {
        /// The operator's binary, as it goes into the image.
        #[arg(long)]
        operator: PathBuf,
        /// Command line of another operator for the same wire contract, to be measured instead; it gets KUBECONFIG.
        #[arg(long)]
        other: Option<String>,
        /// Claims.
        #[arg(long, default_value_t = 100)]
        claims: usize,
        /// What the claims get.
        #[arg(long, value_enum, default_value_t = Mode::Data)]
        mode: Mode,
        /// Requests per second of each controller of kube-controller-manager; a cluster's default is 20.
        #[arg(long, default_value_t = 500)]
        controller_qps: u32,
    },
    /// How long a Cluster of two trivial pods takes on the one-node cluster: created, and restored.
    NodeCluster {
        /// Clusters of each sort; their medians are printed.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Empty volumes, on purpose.
    Provision,
    /// Volumes that a Job fills.
    Data,
}

#[tokio::main]
async fn main() {
    match Args::parse().bench {
        Bench::Idle { operator, image, seconds, foreign } => {
            idle::run(&operator, &image, seconds, foreign).await;
        }
        Bench::BackupScale { operator, backups, schedules, seconds } => {
            backup_scale::run(&operator, backups, schedules, seconds).await;
        }
        Bench::RestoreStorm { operator, other, claims, mode, controller_qps } => {
            let data = mode == Mode::Data;
            restore_storm::run(&restore_storm::Storm { operator, other, claims, data, controller_qps }).await;
        }
        Bench::NodeCluster { runs } => node_cluster::run(runs).await,
    }
}
