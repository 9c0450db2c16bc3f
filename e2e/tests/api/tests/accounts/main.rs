//! Accounts of a Cluster's databases: saved on its Backups, put back before a restored database starts
//! (behaviour-apps §6, design D21).

mod key;
mod restored;
mod saved;

use e2e_api::{Company, Stage};
use tokio::sync::OnceCell;

/// A stage on which the apps operator's kinds are served.
async fn stage(name: &str) -> (Stage, &'static Company) {
    static KINDS: OnceCell<()> = OnceCell::const_new();
    let (stage, company) = e2e_api::stage(name).await;
    KINDS.get_or_init(|| e2e_api::apps_objects::install_kinds(stage.server)).await;
    (stage, company)
}
