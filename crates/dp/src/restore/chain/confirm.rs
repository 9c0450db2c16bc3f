//! What the caches lack of a chain is asked of the server, and the caches as a shelf.

use super::{Shelf, Unresolved};
use crate::context::Stores;
use crate::error::{Error, Stop};
use crate::reasons;
use api_types::dp::{ActionSet, Backup};
use controller_kit::writes::Writer;
use std::sync::Arc;

/// The caches as seen from one namespace.
pub struct Caches<'a> {
    /// All of them.
    pub stores: &'a Stores,
    /// Namespace of the Backups.
    pub namespace: &'a str,
}

impl Shelf for Caches<'_> {
    fn backup(&self, name: &str) -> Option<Arc<Backup>> {
        self.stores.backups.get(self.namespace, name)
    }

    fn backups(&self, wanted: &dyn Fn(&Backup) -> bool) -> Vec<Arc<Backup>> {
        self.stores.backups.select_in(self.namespace, wanted)
    }

    fn action_set(&self, name: &str) -> Option<Arc<ActionSet>> {
        self.stores.action_sets.get("", name)
    }
}

/// A parent that only the cache lacks is waited for; one that the server lacks too is gone, and with it the chain.
///
/// # Errors
/// The call to the server failed: nothing is known then, and the chain is not broken (behaviour-restore §17.34).
pub async fn confirmed<T>(resolved: Result<T, Unresolved>, writer: &Writer) -> Result<Result<T, Stop>, Error> {
    Ok(match resolved {
        Ok(found) => Ok(found),
        Err(Unresolved::Stop(stop)) => Err(stop),
        Err(Unresolved::Missing { key, gone }) => {
            let there = writer.get(&writer.namespaced::<Backup>(&key.namespace), &key.name).await?;
            Err(match there {
                Some(_) => Stop::wait(reasons::BACKUP_NOT_FOUND, format!("Backup {} was not seen yet", key.name)),
                None => gone,
            })
        }
    })
}
