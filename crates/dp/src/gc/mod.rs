//! Removes expired Backups. One key is one policy of a namespace: its Backups are decided about together, and a timer
//! runs to the first of their expirations. Nothing is scanned by the hour (BD21 has no place here).
//!
//! Only the objects are deleted here; what is stored goes with the Backup controller.

pub mod apply;
pub mod observe;
pub mod status;

use crate::context::Context;
use crate::error::Error;
use api_types::dp::Backup;
use controller_kit::Key;
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::queue::Queue;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// One look at the Backups of one policy.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let seen = observe::observe(&key, &context.stores);
    let now = clock::now();
    let fates = seen.fates(now);
    hands.held.note(&key, &fates);
    Box::pin(hands.apply(&seen, &fates, now)).await
}

/// The key that decides about a Backup: the policy it names, there or not.
pub fn key_of(backup: &Backup) -> Key {
    Key::new(backup.namespace().unwrap_or_default(), &backup.spec.backup_policy_name)
}

/// Policies whose Backups a restore holds: looked at again whenever a restore gets on.
#[derive(Clone, Default)]
pub struct HeldByRestores(Arc<Mutex<BTreeSet<Key>>>);

impl HeldByRestores {
    fn note(&self, key: &Key, fates: &observe::Fates) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if status::is_held_by_restore(fates) {
            held.insert(key.clone());
        } else {
            held.remove(key);
        }
    }

    /// Looks at all of them again.
    pub fn wake(&self, queue: &Queue) {
        for key in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            queue.add(key.clone());
        }
    }
}
