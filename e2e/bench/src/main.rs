//! `bench NAME`: measures a process against a real API server and prints one JSON line per figure set.
// A measurement that can not be made ends the run; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod idle;

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
    /// What an operator costs while nothing happens, alone and beside 5,000 foreign objects of each kind.
    Idle {
        /// The operator's binary, as it goes into the image.
        #[arg(long)]
        operator: PathBuf,
        /// The image's archive.
        #[arg(long)]
        image: Option<PathBuf>,
        /// Seconds to watch it.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Foreign pods, claims, Jobs and Secrets, each this many.
        #[arg(long, default_value_t = 5000)]
        foreign: usize,
    },
}

#[tokio::main]
async fn main() {
    match Args::parse().bench {
        Bench::Idle { operator, image, seconds, foreign } => {
            idle::run(&operator, image.as_deref(), seconds, foreign).await;
        }
    }
}
