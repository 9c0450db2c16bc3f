//! What a backup is started with and keeps in its status (behaviour-backup D17, D25; users-and-reliability K10). Pure.

use api_types::dp::{ActionSetSpec, Backup, BackupActionSpec, BackupInputs, BackupPolicy};

/// Copies of what the policy and the ActionSet say now.
pub fn taken(policy: &BackupPolicy, actions: Option<&ActionSetSpec>) -> BackupInputs {
    BackupInputs {
        backoff_limit: Some(policy.spec.backoff_limit()),
        action_set: actions.map(|spec| Box::new(backup_half(spec))),
    }
}

/// An ActionSet without what only a restore reads.
pub fn backup_half(spec: &ActionSetSpec) -> ActionSetSpec {
    ActionSetSpec {
        backup_type: spec.backup_type.clone(),
        env: spec.env.clone(),
        env_from: spec.env_from.clone(),
        backup: spec.backup.clone(),
        parameters_schema: None,
        restore: None,
    }
}

/// Of a backup that has ended only what its deletion needs is kept: thousands of them are held in memory.
pub fn ended(inputs: &mut Option<BackupInputs>) {
    let Some(inputs) = inputs else { return };
    let needed = inputs.action_set.take().filter(|spec| spec.backup.as_ref().is_some_and(|b| b.pre_delete.is_some()));
    inputs.action_set = needed.map(|mut spec| {
        let pre_delete = spec.backup.take().and_then(|b| b.pre_delete);
        spec.backup = Some(BackupActionSpec { pre_delete, ..BackupActionSpec::default() });
        spec
    });
}

/// Whether the backup keeps copies of its own; one that the reference started does not.
pub fn kept(backup: &Backup) -> Option<&BackupInputs> {
    backup.status.as_ref()?.inputs.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bd17_a_backup_that_ended_keeps_what_its_deletion_needs_and_nothing_else() {
        let policy: BackupPolicy =
            serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"backoffLimit": 5}})).unwrap();
        let spec = |pre_delete: bool| -> ActionSetSpec {
            let mut backup = json!({"backupData": {"image": "i", "command": ["c"]}, "withParameters": ["p"]});
            if pre_delete {
                backup["preDelete"] = json!({"image": "d", "command": ["rm"]});
            }
            serde_json::from_value(json!({
                "backupType": "Full", "env": [{"name": "A", "value": "1"}], "backup": backup,
                "restore": {"prepareData": {"image": "i", "command": ["c"]}},
            }))
            .unwrap()
        };
        let mut inputs = Some(taken(&policy, Some(&spec(true))));
        let kept = inputs.as_ref().and_then(|i| i.action_set.clone()).unwrap();
        assert!(kept.restore.is_none() && kept.backup.as_ref().unwrap().backup_data.is_some());
        ended(&mut inputs);
        let left = inputs.unwrap();
        assert_eq!(left.backoff_limit, Some(5));
        let left = left.action_set.unwrap();
        assert_eq!(left.env.len(), 1, "env of the ActionSet names images");
        let parts = left.backup.unwrap();
        assert!(parts.pre_delete.is_some() && parts.backup_data.is_none() && parts.with_parameters.is_empty());

        let mut inputs = Some(taken(&policy, Some(&spec(false))));
        ended(&mut inputs);
        assert_eq!(inputs.unwrap().action_set, None);
    }
}
