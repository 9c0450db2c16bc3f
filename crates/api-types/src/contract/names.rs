//! Prefixes and fixed parts of object names.

/// Prime claim and execution Restore: prefix before the claim's UID.
pub const POPULATE_PREFIX: &str = "kb-populate-";
/// postReady Restore: prefix before the Component's UID.
pub const POST_READY_RESTORE_PREFIX: &str = "restore-";
/// postReady Restore: suffix after it.
pub const POST_READY_RESTORE_SUFFIX: &str = "-post-ready";
/// Backup Job and action.
pub const BACKUP_DATA_PREFIX: &str = "dp-backup";
/// Job and action before a backup.
pub const PRE_BACKUP_PREFIX: &str = "dp-prebackup";
/// Job and action after a backup.
pub const POST_BACKUP_PREFIX: &str = "dp-postbackup";
/// Action that takes a snapshot.
pub const CREATE_VOLUME_SNAPSHOT_PREFIX: &str = "createVolumeSnapshot";
/// Infix of a delete Job.
pub const DELETE_INFIX: &str = "delete";
/// Infix of a pre-delete Job.
pub const PRE_DELETE_INFIX: &str = "predelete";
/// Job that fills volumes.
pub const PREPARE_DATA_PREFIX: &str = "restore-preparedata";
/// Job against the started database.
pub const POST_READY_PREFIX: &str = "restore-post-ready";
/// Action of a Restore that fills volumes: prefix before its number.
pub const PREPARE_DATA_ACTION_PREFIX: &str = "prepareData-";
/// Action of a Restore against the started database: prefix before its number.
pub const POST_READY_ACTION_PREFIX: &str = "postReady-";
/// `objectKey` of a Job in a Restore's status: prefix before its name.
pub const JOB_OBJECT_KEY_PREFIX: &str = "Job/";
/// Pre-check Job of a repository, its claim and its secret.
pub const PRE_CHECK_PREFIX: &str = "pre-check";
/// Claim made from a repository.
pub const REPO_PVC_PREFIX: &str = "pvc";
/// Mover configuration made from a repository.
pub const REPO_TOOL_CONFIG_PREFIX: &str = "tool-config";
/// Secret made from a repository.
pub const REPO_SECRET_PREFIX: &str = "secret";
/// Storage class made from a repository.
pub const REPO_STORAGE_CLASS_PREFIX: &str = "sc";
/// Policy made for a component: suffix after `<cluster>-<component>`.
pub const BACKUP_POLICY_SUFFIX: &str = "-backup-policy";
/// Schedule made for a component: suffix after `<cluster>-<component>`.
pub const BACKUP_SCHEDULE_SUFFIX: &str = "-backup-schedule";
/// Role binding of a service account: suffix after its name.
pub const ROLE_BINDING_SUFFIX: &str = "-rolebinding";
/// Account secret: infix of `<cluster>-<component>-account-<account>`.
pub const ACCOUNT_INFIX: &str = "-account-";
/// Key of the user name in an account secret.
pub const ACCOUNT_USERNAME_KEY: &str = "username";
/// Key of the password in an account secret.
pub const ACCOUNT_PASSWORD_KEY: &str = "password";

/// Longest name of a Job, pod or label value.
pub const MAX_NAME: usize = 63;
/// Longest name of a continuous backup's StatefulSet.
pub const MAX_STATEFUL_SET_NAME: usize = 52;
/// Longest name of a `CronJob`'s first part.
pub const MAX_CRON_JOB_PREFIX: usize = 30;
/// Characters of a UID that names carry.
pub const UID_PREFIX: usize = 8;

/// The first eight characters of a UID, as names carry them.
pub fn uid8(uid: &str) -> &str {
    uid.get(..UID_PREFIX).unwrap_or(uid)
}

/// Name of the prime claim and of the execution Restore of a claim.
pub fn populate(claim_uid: &str) -> String {
    format!("{POPULATE_PREFIX}{claim_uid}")
}

/// UID of the claim that a prime claim or execution Restore of this name is for.
pub fn populate_target_uid(name: &str) -> Option<&str> {
    name.strip_prefix(POPULATE_PREFIX).filter(|uid| !uid.is_empty())
}

/// Name of the postReady Restore of a Component.
pub fn post_ready_restore(component_uid: &str) -> String {
    format!("{POST_READY_RESTORE_PREFIX}{component_uid}{POST_READY_RESTORE_SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "4d1ee9a9-7f5d-41de-90ea-05a2d3e8e874";

    #[test]
    fn populate_names_read_back() {
        assert_eq!(populate_target_uid(&populate(UID)), Some(UID));
        assert_eq!(populate_target_uid("kb-populate-"), None);
        assert_eq!(populate_target_uid("data-c1-0"), None);
    }

    #[test]
    fn uid_names_fit() {
        assert!(populate(UID).len() <= MAX_NAME);
        assert!(post_ready_restore(UID).len() <= MAX_NAME);
        assert_eq!(uid8(UID), "4d1ee9a9");
        assert_eq!(uid8("short"), "short");
    }
}
