//! What a continuous entry wants its database set to when it is switched (behaviour-backup §8.4). Pure.
//!
//! The reference sends an OpsRequest then. Nothing serves one here yet, so the entry says what is to be set by hand, and
//! goes on.

use api_types::contract::annotations;
use api_types::dp::BackupSchedule;
use kube::ResourceExt;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Parameters by method.
type Wanted = BTreeMap<String, Vec<Pair>>;

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    name: String,
    enable: Wanted,
    disable: Wanted,
}

/// What is to be set for the entry of that method, as a sentence; `None` where nothing is, or it was.
///
/// # Errors
/// The annotation that can not be read.
pub fn by_hand(schedule: &BackupSchedule, method: &str, enabled: bool) -> Result<Option<String>, String> {
    let wanted = read::<Reference>(schedule, annotations::RECONFIGURE_REF)?;
    // Rule 36: by method, and absent is empty.
    let applied = read::<BTreeMap<String, Vec<Pair>>>(schedule, annotations::LAST_APPLIED_CONFIGURATIONS)?;
    let pairs = if enabled { &wanted.enable } else { &wanted.disable }.get(method);
    let before = applied.get(method);
    let Some(pairs) = pairs.filter(|pairs| before != Some(pairs) && (enabled || before.is_some())) else {
        return Ok(None);
    };
    let set: Vec<String> = pairs.iter().map(|p| format!("{}={}", p.key, p.value)).collect();
    Ok(Some(format!(
        "the database is not reconfigured by this operator: set {} in {} by hand, then record it in annotation {}",
        set.join(", "),
        if wanted.name.is_empty() { "its configuration" } else { &wanted.name },
        annotations::LAST_APPLIED_CONFIGURATIONS
    )))
}

fn read<T: Default + for<'a> Deserialize<'a>>(schedule: &BackupSchedule, key: &str) -> Result<T, String> {
    let text = schedule.annotations().get(key).map(|t| t.trim()).filter(|t| !t.is_empty());
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map(Option::unwrap_or_default).map_err(|e| format!("metadata.annotations[{key}]: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(enabled: bool, applied: Option<&str>) -> Result<Option<String>, String> {
        let wanted = r#"{"name": "conf", "key": "k", "enable": {"log": [{"key": "archive_command", "value": "on"}]},
            "disable": {"log": [{"key": "archive_command", "value": "off"}]}}"#;
        let schedule: BackupSchedule = serde_json::from_value(json!({"metadata": {"name": "s", "annotations": {
            "dataprotection.kubeblocks.io/reconfigure-ref": wanted,
            "dataprotection.kubeblocks.io/last-applied-configurations": applied.unwrap_or_default()}}}))
        .unwrap();
        by_hand(&schedule, "log", enabled)
    }

    #[test]
    fn rule_36_what_is_to_be_set_is_told_by_method_until_it_is_recorded() {
        assert!(said(true, None).unwrap().unwrap().contains("set archive_command=on in conf by hand"));
        assert_eq!(said(true, Some(r#"{"log": [{"key": "archive_command", "value": "on"}]}"#)), Ok(None));
        assert!(said(false, Some(r#"{"log": [{"key": "archive_command", "value": "on"}]}"#)).unwrap().is_some());
        assert_eq!(said(false, None), Ok(None), "first seen switched off: nothing was ever set");
        assert!(said(true, Some("{")).unwrap_err().contains("last-applied-configurations"));
        assert_eq!(by_hand(&BackupSchedule::default(), "log", true), Ok(None));
    }
}
