//! `bench NAME`: measures a process against a real API server and prints one JSON line per figure set.
// A measurement that can not be made ends the run; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod idle;
mod node_cluster;

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
        Bench::NodeCluster { runs } => node_cluster::run(runs).await,
    }
}
