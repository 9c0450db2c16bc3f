//! What a policy says about keeping backups. Pure.

use api_types::contract::annotations;
use api_types::dp::{BackupPolicy, RetentionPolicy};
use kube::ResourceExt;

/// How many backups of a method are kept, beside their retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// So many of the latest completed never expire.
    pub keep_latest: usize,
    /// More completed scheduled ones than this expire before their time.
    pub most: Option<usize>,
}

impl Default for Rules {
    /// The last good backup stays, also where the policy is gone.
    fn default() -> Self {
        Rules { keep_latest: 1, most: None }
    }
}

impl Rules {
    /// The rules of a policy. `retentionPolicy: none`, written out, is the one way to let the last backup expire.
    ///
    /// # Errors
    /// The annotation that can not be read: nothing is deleted then.
    pub fn of(policy: Option<&BackupPolicy>) -> Result<Self, String> {
        let Some(policy) = policy else {
            return Ok(Rules::default());
        };
        let by_field = usize::from(policy.spec.retention_policy != Some(RetentionPolicy::None));
        let keep_latest = count(policy, annotations::KEEP_LATEST)?.unwrap_or(by_field);
        let most = count(policy, annotations::MAX_BACKUPS)?;
        if most.is_some_and(|most| most < keep_latest) {
            return Err(format!(
                "BackupPolicy {}: annotation {} is less than the {keep_latest} backups that never expire",
                policy.name_any(),
                annotations::MAX_BACKUPS
            ));
        }
        Ok(Rules { keep_latest, most })
    }
}

fn count(policy: &BackupPolicy, key: &str) -> Result<Option<usize>, String> {
    let Some(text) = policy.annotations().get(key) else {
        return Ok(None);
    };
    match text.trim().parse::<usize>() {
        Ok(count) if count > 0 => Ok(Some(count)),
        _ => Err(format!("BackupPolicy {}: annotation {key}: {text:?} is no number from 1", policy.name_any())),
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // literals of `json!`
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(retention: Option<&str>, annotations: Value) -> Result<(usize, Option<usize>), String> {
        let policy: BackupPolicy = serde_json::from_value(json!({
            "metadata": {"name": "p", "annotations": annotations}, "spec": {"retentionPolicy": retention}}))
        .unwrap();
        Rules::of(Some(&policy)).map(|r| (r.keep_latest, r.most))
    }

    #[test]
    fn the_last_good_backup_stays_unless_the_policy_says_none() {
        assert_eq!(Rules::of(None), Ok(Rules { keep_latest: 1, most: None }));
        assert_eq!(of(None, json!({})), Ok((1, None)));
        assert_eq!(of(Some("retainLatestBackup"), json!({})), Ok((1, None)));
        assert_eq!(of(Some("none"), json!({})), Ok((0, None)));
        assert_eq!(of(Some("none"), json!({"holdfast.dev/keep-latest": "2"})), Ok((2, None)));
        let both = json!({"holdfast.dev/keep-latest": "3", "holdfast.dev/max-backups": "30"});
        assert_eq!(of(None, both), Ok((3, Some(30))));
    }

    #[test]
    fn what_can_not_be_read_deletes_nothing() {
        for bad in ["0", "-1", "x", "", "1.5"] {
            for key in ["holdfast.dev/keep-latest", "holdfast.dev/max-backups"] {
                assert!(of(None, json!({key: bad})).unwrap_err().contains(key), "{key}={bad}");
            }
        }
        let less = of(None, json!({"holdfast.dev/keep-latest": "3", "holdfast.dev/max-backups": "2"}));
        assert!(less.unwrap_err().contains("less than the 3"));
    }
}
