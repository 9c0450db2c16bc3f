//! `cargo xtask <command>`: see `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{arrows, conformance, crds, rbac, server};

#[derive(Parser)]
#[command(about = "Generators and checks of the workspace")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the CRDs into their charts.
    Crds {
        /// Write nothing; fail on a difference or an oversized CRD.
        #[arg(long)]
        check: bool,
    },
    /// Compare CRDs and types with the wire contract.
    Conformance {
        /// Also apply the CRDs to this API server and create every manifest there as a dry run.
        #[arg(long, conflicts_with = "kubeconfig")]
        server: Option<String>,
        /// The same, with the API server of this kubeconfig.
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
    },
    /// Compare dependencies between crates with the design.
    Arrows,
    /// Write the rules of the charts' roles.
    Rbac {
        /// Write nothing; fail on a difference.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let fine = match Args::parse().command {
        Command::Crds { check: false } => crds::write()?,
        Command::Crds { check: true } => crds::check()?,
        Command::Conformance { server, kubeconfig } => {
            let local = conformance::run()?;
            let target = server.map(server::Target::Url).or(kubeconfig.map(server::Target::Kubeconfig));
            local & target.map_or(Ok(true), |target| server::run(&target))?
        }
        Command::Arrows => arrows::run()?,
        Command::Rbac { check: false } => rbac::write()?,
        Command::Rbac { check: true } => rbac::check()?,
    };
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
