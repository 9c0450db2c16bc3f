//! Decides how a BackupRepo goes (behaviour-backup §11.5, D36). Pure.

use super::plan::{Conditions, Observed, Plan, Step};
use super::serve::shown;
use api_types::contract::reasons::repo as reasons;
use api_types::contract::{FINALIZER, conditions::repo as conditions};
use api_types::dp::BackupRepoPhase;
use controller_kit::conditions::Status;
use jiff::Timestamp;
use kube::ResourceExt;

/// Backups hold it, failed ones too: their files would be orphaned. Then claims, and when they are gone, the rest.
pub fn plan(seen: &Observed, plan: &mut Plan, now: Timestamp) {
    let repo = &seen.repo;
    if !repo.finalizers().iter().any(|f| f == FINALIZER) {
        return;
    }
    plan.status.phase = Some(BackupRepoPhase::Deleting);
    let mut write = Conditions { status: &mut plan.status, generation: repo.metadata.generation, now };
    if !seen.backups.is_empty() {
        let text = format!("Backups lie in it; delete them first: {}", shown(&seen.backups));
        write.set(conditions::DERIVED_OBJECTS_DELETED, Status::False, reasons::HAVE_ASSOCIATED_BACKUPS, &text);
        return;
    }
    if seen.check.is_some() || seen.check_claim {
        plan.steps.push(Step::EndCheck);
    }
    if !seen.claims.is_empty() {
        let names: Vec<String> =
            seen.claims.iter().map(|c| format!("{}/{}", c.namespace().unwrap_or_default(), c.name_any())).collect();
        let text = format!("claims of it are being deleted: {}", shown(&names));
        write.set(conditions::DERIVED_OBJECTS_DELETED, Status::False, reasons::HAVE_RESIDUAL_PVCS, &text);
        plan.steps.push(Step::DeleteClaims);
        return;
    }
    plan.steps.extend([Step::DeleteRest, Step::Release]);
}
