//! `bench NAME`: measures a process against a real API server and prints one JSON line per figure set.
// A measurement that can not be made ends the run; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod backup_scale;
mod idle;
mod node_cluster;
mod observe;

use clap::{Parser, Subcommand};
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
    /// How long a Cluster of two trivial pods takes on the one-node cluster: created, and restored.
    NodeCluster {
        /// Clusters of each sort; their medians are printed.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
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
        Bench::NodeCluster { runs } => node_cluster::run(runs).await,
    }
}
