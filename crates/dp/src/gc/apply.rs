//! Deletes what goes, and says of the rest why it stays.

use super::HeldByRestores;
use super::observe::{Fates, Observed};
use super::status;
use crate::error::Error;
use crate::retention::fate::Fate;
use api_types::contract::events::backup as event;
use api_types::dp::Backup;
use controller_kit::drive::Again;
use controller_kit::error::chain;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use serde_json::json;

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
    /// What the end of a restore wakes.
    pub held: HeldByRestores,
}

impl Hands {
    /// One that can not be deleted does not keep the others.
    pub async fn apply(&self, seen: &Observed, fates: &Fates, now: Timestamp) -> Result<Again, Error> {
        let mut failed = None;
        for backup in &seen.backups {
            let Some(fate) = fates.get(&backup.name_any()) else { continue };
            let done = match fate {
                Fate::Goes(why) => self.delete(backup, why).await,
                other => self.say(backup, status::kept_because(other)).await,
            };
            failed = failed.or(done.err());
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(status::wait(fates, now).map_or(Again::OnEvent, Again::After)),
        }
    }

    fn api(&self, backup: &Backup) -> Api<Backup> {
        self.writer.namespaced(&backup.namespace().unwrap_or_default())
    }

    async fn delete(&self, backup: &Backup, why: &str) -> Result<(), Error> {
        let deleted = self.writer.delete_as_seen(&self.api(backup), backup).await;
        match deleted {
            Ok(()) => self.events.normal(backup, event::EXPIRED, &format!("deleted: {why}")).await,
            Err(error) if error.is_conflict() => return Err(error.into()),
            Err(error) => {
                self.events.warning(backup, event::REMOVE_EXPIRED_FAILED, &chain(&error)).await;
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn say(&self, backup: &Backup, why: Option<&str>) -> Result<(), Error> {
        let said = backup.status.as_ref().and_then(|s| s.kept_because.as_deref());
        if said == why {
            return Ok(());
        }
        let body = json!({
            "metadata": {"uid": backup.uid(), "resourceVersion": backup.resource_version()},
            "status": {"keptBecause": why},
        });
        match self.writer.merge_status(&self.api(backup), &backup.name_any(), &body).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
