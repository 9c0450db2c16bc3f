//! Flags of the apps operator. Flag wins over environment, environment over default.

use controller_kit::run::Settings;

/// Runs databases on Kubernetes: Clusters, Components and InstanceSets, and restores them from a backup by handing
/// their claims to the data protection operator.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "holdfast-apps", version, about, long_about = None)]
pub struct Args {
    /// Flags every operator has.
    #[command(flatten)]
    pub settings: Settings,
    /// Name of this operator's lease.
    #[arg(long, env = "HOLDFAST_LEASE_NAME", default_value = "holdfast-apps")]
    pub lease_name: String,
}
