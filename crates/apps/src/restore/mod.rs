//! The restore intent: on its way down to claim templates (`intent`), and what came of it on its way up (`fold`), both
//! pure; and in events (`tell`).

pub mod fold;
pub mod intent;
pub mod tell;

use api_types::contract::conditions::cluster::RESTORE;
use controller_kit::conditions as kit;
use fold::Verdict;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Stores the verdict of one level in its condition `Restore`.
///
/// True is final: nothing that happens to the claims later takes it back (behaviour-apps §3, case 10). False is not,
/// since the data protection operator may be asked to try again. Without a verdict the condition goes, unless it is True.
pub fn store(list: &mut Vec<Condition>, verdict: Option<Verdict>, generation: Option<i64>, now: Timestamp) {
    if kit::is_true(list, RESTORE) {
        return;
    }
    match verdict {
        Some(verdict) => kit::set(list, RESTORE, verdict.status, verdict.reason, verdict.message, generation, now),
        None => list.retain(|c| c.type_ != RESTORE),
    }
}
