//! From the claims of a restore to one verdict (behaviour-apps §3; design D6). Pure.
//!
//! The same claims are counted at every level: an InstanceSet folds its own, a Component and a Cluster those below.

use api_types::contract::{annotations, apps_reasons as reasons, conditions::claim::RESTORE, reasons::populating};
use controller_kit::conditions::Status;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// What is known of one claim that is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Name of the claim.
    pub claim: String,
    /// How far it is.
    pub state: ClaimState,
}

/// How far one claim is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// Not created yet.
    Missing,
    /// It is marked for a restore and has no data source: whatever binds it is empty.
    SourceDropped,
    /// Created; the data protection operator has said nothing about it yet.
    Unheard,
    /// On its way: reason and message of the data protection operator.
    Waiting(String, String),
    /// Restored; `true` where the volume is empty because the backup holds nothing for it.
    Done(bool),
    /// Failed, with the message.
    Failed(String),
}

/// A condition `Restore` as a level is to store it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Status.
    pub status: Status,
    /// One of the wire's reasons, or `RestorePending`.
    pub reason: &'static str,
    /// `n/m`, then the first blocker.
    pub message: String,
}

/// Whether annotations of a claim or a claim template mark it for a restore.
pub fn is_marked(notes: &BTreeMap<String, String>) -> bool {
    notes.get(annotations::RESTORE_SOURCE_KIND).is_some_and(|kind| !kind.is_empty())
}

/// Whether a marked claim came without its data source: the API server drops the whole reference of a claim that
/// names a namespace in it (behaviour-apps §2.1).
pub fn source_dropped(claim: &PersistentVolumeClaim) -> bool {
    is_marked(claim.annotations()) && claim.spec.as_ref().is_none_or(|s| s.data_source_ref.is_none())
}

/// What is known of the claim of that name.
pub fn outlook(name: &str, claim: Option<&PersistentVolumeClaim>) -> Outlook {
    let state = claim.map_or(ClaimState::Missing, |claim| {
        let list = claim.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let Some(told) = list.iter().find(|c| c.type_ == RESTORE) else {
            return if source_dropped(claim) { ClaimState::SourceDropped } else { ClaimState::Unheard };
        };
        let (reason, message) = (told.reason.clone().unwrap_or_default(), told.message.clone().unwrap_or_default());
        match told.status.as_str() {
            "True" => ClaimState::Done(reason == populating::PROVISIONED),
            "False" => ClaimState::Failed(message),
            _ => ClaimState::Waiting(reason, message),
        }
    });
    Outlook { claim: name.to_owned(), state }
}

/// The verdict over all claims of one level. `None` where there is none to restore.
///
/// A failure beats what is missing; True needs every claim.
pub fn fold(claims: &[Outlook]) -> Option<Verdict> {
    if claims.is_empty() {
        return None;
    }
    let done = claims.iter().filter(|c| matches!(c.state, ClaimState::Done(_))).count();
    let counted = format!("{done}/{} claims restored", claims.len());
    if let Some((claim, why)) = claims.iter().find_map(failure) {
        return Some(Verdict {
            status: Status::False,
            reason: reasons::restore::FAILED,
            message: cut(format!("{counted}; PVC {claim} restore failed: {why}")),
        });
    }
    if done == claims.len() {
        let empty: Vec<&str> =
            claims.iter().filter(|c| c.state == ClaimState::Done(true)).map(|c| c.claim.as_str()).collect();
        let told = if empty.is_empty() {
            String::new()
        } else {
            format!("; provisioned without data, as the backup holds none for them: {}", empty.join(", "))
        };
        return Some(Verdict {
            status: Status::True,
            reason: reasons::restore::COMPLETED,
            message: cut(format!("{counted}{told}")),
        });
    }
    Some(Verdict {
        status: Status::Unknown,
        reason: reasons::restore::RUNNING,
        message: cut(format!("{counted}; {}", blocker(claims))),
    })
}

fn failure(outlook: &Outlook) -> Option<(&str, String)> {
    match &outlook.state {
        ClaimState::Failed(why) => Some((&outlook.claim, why.clone())),
        ClaimState::SourceDropped => Some((
            &outlook.claim,
            format!(
                "{}: it is marked for a restore but has no dataSourceRef, so it would be bound empty; \
                 delete the claim, it is made again",
                reasons::restore::DATA_SOURCE_DROPPED
            ),
        )),
        _ => None,
    }
}

/// The first thing that is waited for: what the data protection operator names, else its silence, else claims that
/// are not there.
fn blocker(claims: &[Outlook]) -> String {
    let told = claims.iter().find_map(|c| match &c.state {
        ClaimState::Waiting(reason, message) => Some(format!("{reason}: PVC {}: {message}", c.claim)),
        _ => None,
    });
    let unheard = || {
        claims.iter().find(|c| c.state == ClaimState::Unheard).map(|c| {
            format!(
                "{}: the data protection operator has not answered for PVC {} yet; is it installed?",
                reasons::restore::WAITING_FOR_DATA_PROTECTION,
                c.claim
            )
        })
    };
    told.or_else(unheard).unwrap_or_else(|| {
        let mut names: Vec<&str> =
            claims.iter().filter(|c| c.state == ClaimState::Missing).map(|c| c.claim.as_str()).collect();
        names.sort_unstable();
        format!("waiting for PVCs to be created: {}", names.join(","))
    })
}

/// Nothing can be restored yet, because nothing is to run.
pub fn pending(why: &str) -> Verdict {
    Verdict { status: Status::Unknown, reason: reasons::restore::PENDING, message: why.to_owned() }
}

/// Longest message a condition takes is 32,768 bytes; lists of claims are cut well before, at a character.
fn cut(mut message: String) -> String {
    const LIMIT: usize = 4096;
    if message.len() > LIMIT {
        let end = (0..=LIMIT).rev().find(|i| message.is_char_boundary(*i)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(name: &str, state: ClaimState) -> Outlook {
        Outlook { claim: name.into(), state }
    }

    #[test]
    fn apps_8_a_failure_beats_what_is_missing() {
        let all = [claim("a", ClaimState::Missing), claim("b", ClaimState::Failed("no key".into()))];
        let verdict = fold(&all).unwrap();
        assert_eq!((verdict.status, verdict.reason), (Status::False, "RestoreFailed"));
        assert_eq!(verdict.message, "0/2 claims restored; PVC b restore failed: no key");
    }

    #[test]
    fn apps_9_what_is_missing_is_named() {
        let all =
            [claim("a", ClaimState::Done(false)), claim("c", ClaimState::Missing), claim("b", ClaimState::Missing)];
        let verdict = fold(&all).unwrap();
        assert_eq!((verdict.status, verdict.reason), (Status::Unknown, "RestoreRunning"));
        assert_eq!(verdict.message, "1/3 claims restored; waiting for PVCs to be created: b,c");
    }

    #[test]
    fn true_needs_every_claim_and_says_which_are_empty() {
        assert_eq!(fold(&[]), None);
        let verdict = fold(&[claim("a", ClaimState::Done(false)), claim("b", ClaimState::Done(true))]).unwrap();
        assert_eq!((verdict.status, verdict.reason), (Status::True, "RestoreCompleted"));
        assert!(verdict.message.ends_with("holds none for them: b"), "{}", verdict.message);
    }

    #[test]
    fn silence_is_named_and_a_word_of_the_other_operator_comes_first() {
        let verdict = fold(&[claim("a", ClaimState::Unheard)]).unwrap();
        assert!(verdict.message.contains("WaitingForDataProtection"), "{}", verdict.message);
        let told = ClaimState::Waiting("BackupNotFound".into(), "there is no Backup n/b".into());
        let verdict = fold(&[claim("a", ClaimState::Unheard), claim("b", told)]).unwrap();
        assert_eq!(verdict.message, "0/2 claims restored; BackupNotFound: PVC b: there is no Backup n/b");
    }

    #[test]
    fn apps_45_a_long_message_is_cut_at_a_character() {
        let verdict = fold(&[claim("a", ClaimState::Failed("ü".repeat(40_000)))]).unwrap();
        assert!(verdict.message.len() < 32_768 && verdict.message.ends_with('…'));
    }
}
