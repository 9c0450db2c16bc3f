//! Turns: at most so many Jobs of backups at once in a repository and on a node (ADR 0025).
//!
//! In: the Backups and BackupRepos of the caches. Out: whose turn it is, and everybody else's place. What is known here is
//! derived from the objects and can be lost at any time, but for one thing: a turn that was given counts until the cache
//! shows what was made of it, so that no two looks at once, and no lagging cache, give the last place twice.

pub mod claim;
#[cfg(test)]
mod explore;
pub mod order;
pub mod place;
mod state;
#[cfg(test)]
mod tests;

use crate::context::Context;
use crate::error::Error;
use api_types::contract::annotations;
use api_types::dp::{Backup, BackupRepo};
use claim::JobOf;
use controller_kit::Key;
use controller_kit::drive::Again;
use controller_kit::queue::Queue;
use jiff::Timestamp;
use kube::ResourceExt;
use order::{Held, Limits, Verdict};
use state::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who waits, who is at work, and who comes next. All looks at Backups share one.
#[derive(Default)]
pub struct Turns {
    state: Mutex<State>,
    queue: Arc<Queue>,
}

/// Wakes the Backups whose turn has come, and those whose place is told otherwise than it is.
pub async fn reconcile(_: Key, context: Arc<Context>, backups: Arc<Queue>) -> Result<Again, Error> {
    for key in context.turns.concerned() {
        backups.add(key);
    }
    Ok(Again::OnEvent)
}

impl Turns {
    /// With the operator's limits; 0 is none.
    pub fn new(repo: u32, node: u32) -> Self {
        Turns { state: Mutex::new(State::new(Limits { repo, node, ..Limits::default() })), queue: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a look at all turns; gets one key however often it is asked.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Whether it matters on which node a Job runs.
    pub fn limits_nodes(&self) -> bool {
        self.state().limits_nodes()
    }

    fn poke(&self, changed: bool) {
        if changed {
            self.queue.add(Key::new("", "turns"));
        }
    }

    /// Takes note of a Backup as the cache shows it; `there` is false once it is gone.
    pub fn see(&self, backup: &Backup, there: bool) {
        let changed = self.state().see(backup, there);
        self.poke(changed);
    }

    /// Takes note of what a repository says of its limit.
    pub fn see_repo(&self, repo: &BackupRepo, there: bool) {
        let changed = self.state().set_limit(repo.name_any(), limit_of(repo).filter(|_| there));
        self.poke(changed);
    }

    /// Forgets what is known under a name that the cache does not have.
    pub fn forget(&self, key: &Key) {
        let changed = self.state().forget(key);
        self.poke(changed);
    }

    /// What keeps a Backup that waits from its turn, as far as is known without a look at its pods.
    pub fn held(&self, backup: &Backup) -> Option<Held> {
        let waits = backup.status.as_ref().and_then(|s| s.queue.as_ref()).is_some_and(|q| q.waits());
        if !waits {
            return None;
        }
        match self.state().verdict(&backup.uid()?)? {
            Verdict::Turn => None,
            Verdict::Held(held) => Some(held),
        }
    }

    /// Asks for a turn for each of these Jobs of a Backup. Who has it must say so by [`Turns::sending`] before the write
    /// that takes it, else it goes back with [`Turns::looked`]. Who has not waits from now on.
    pub fn ask(&self, backup: &Backup, jobs: &[JobOf]) -> Vec<Verdict> {
        let (verdicts, changed) = self.state().ask(backup, jobs);
        self.poke(changed);
        verdicts
    }

    /// The write that takes the turns of this look is about to be made, for this version of the Backup.
    pub fn sending(&self, backup: &Backup, now: Timestamp) {
        self.state().sending(backup, now);
    }

    /// The server has refused that write.
    pub fn refused(&self, backup: &Backup) {
        self.state().refused(&backup.uid().unwrap_or_default());
    }

    /// A look at a Backup is over. What it was given and did not take goes back; after one that `failed` nobody waits for
    /// this Backup until it was looked at again: it may fail for ever.
    pub fn looked(&self, backup: &Backup, failed: bool) {
        let changed = self.state().looked(&backup.uid().unwrap_or_default(), failed);
        self.poke(changed);
    }

    /// Backups whose turn it is, and those whose status tells another place than theirs.
    pub fn concerned(&self) -> Vec<Key> {
        self.state().concerned()
    }
}

/// The limit that a repository sets itself; none where it says nothing that can be read.
pub fn limit_of(repo: &BackupRepo) -> Option<u32> {
    let text = repo.annotations().get(annotations::MAX_CONCURRENT_JOBS)?;
    let limit = text.trim().parse().ok();
    if limit.is_none() {
        let (name, key) = (repo.name_any(), annotations::MAX_CONCURRENT_JOBS);
        tracing::warn!(
            "BackupRepo {name}: metadata.annotations[{key}]: {text:?} is no number from 0; it is passed over"
        );
    }
    limit
}
