//! Backup repositories: observe → plan → apply → status.
//!
//! | file | |
//! |---|---|
//! | `parameters`, `render`, `rendered`, `claim`, `secret`, `precheck`, `names` | what a repository is made of; pure |
//! | `plan`, `check`, `serve`, `removal` | what it needs next; pure |
//! | `reach` | how pods of a namespace reach it; for the rooms of backups and restores |
//! | `observe`, `apply`, `watches` | I/O |

pub mod apply;
pub mod check;
pub mod claim;
pub mod names;
pub mod observe;
pub mod parameters;
pub mod plan;
pub mod precheck;
pub mod reach;
pub mod removal;
pub mod render;
pub mod rendered;
pub mod secret;
pub mod serve;
pub mod watches;

use crate::context::Context;
use crate::error::Error;
use controller_kit::Key;
use controller_kit::drive::Again;

use std::sync::Arc;

/// One look at one repository.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(repo) = context.stores.repos.get("", &key.name) else {
        hands.watches.follow(&key, &[]);
        return Ok(Again::OnEvent);
    };
    let going = repo.metadata.deletion_timestamp.is_some();
    let named = if going { vec![] } else { rendered::named_secrets(&repo, &context.own_namespace) };
    // Before they are read, so that no change falls between.
    hands.watches.follow(&key, &named);
    let seen = observe::observe(repo, &context, &hands.writer).await?;
    let plan = plan::plan(&seen, controller_kit::clock::now());
    Box::pin(hands.apply(&seen, plan, &context)).await
}
