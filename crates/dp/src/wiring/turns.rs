//! What the turns are told: Backups that begin, wait, end or go, and what repositories limit.

use crate::context::{Context, Stores};
use kube::ResourceExt;
use std::sync::Arc;

/// Follows the caches from now on.
pub(super) fn follow(stores: &Stores, context: &Arc<Context>) {
    let (of, backups) = (Arc::clone(context), stores.backups.clone());
    stores.backups.on_change(move |backup| {
        let now = backups.get(&backup.namespace().unwrap_or_default(), &backup.name_any());
        of.turns.see(backup, now.is_some_and(|b| b.uid() == backup.uid()));
    });
    let (of, repos) = (Arc::clone(context), stores.repos.clone());
    stores.repos.on_change(move |repo| of.turns.see_repo(repo, repos.get("", &repo.name_any()).is_some()));
    for repo in stores.repos.select(|_| true) {
        context.turns.see_repo(&repo, true);
    }
    stores.backups.visit(|backup| context.turns.see(backup, true));
}
