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
/// Variables of a component, a `ConfigMap`: suffix after the Component's name.
pub const ENV_SUFFIX: &str = "-env";
/// Headless Service of a component: suffix after the Component's name.
pub const HEADLESS_SUFFIX: &str = "-headless";
/// Domain of Services.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// Name that stands for the headless Service in a variable.
pub const HEADLESS_SERVICE: &str = "headless";
/// Service account of a component's pods: prefix before the Component's name.
pub const SERVICE_ACCOUNT_PREFIX: &str = "kb-";
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

/// Name of the Component, and of its `InstanceSet`; a shard's name has its identity.
pub fn component(cluster: &str, component: &str) -> String {
    format!("{cluster}-{component}")
}

/// Name of the `ConfigMap` with a Component's variables.
pub fn env_config_map(component: &str) -> String {
    format!("{component}{ENV_SUFFIX}")
}

/// Name of a Component's headless Service.
pub fn headless_service(component: &str) -> String {
    format!("{component}{HEADLESS_SUFFIX}")
}

/// Name of the service account of a Component's pods.
pub fn service_account(component: &str) -> String {
    format!("{SERVICE_ACCOUNT_PREFIX}{component}")
}

/// Name of a pod of an `InstanceSet`; an empty template is the one without a name.
pub fn instance(instance_set: &str, template: &str, ordinal: i32) -> String {
    if template.is_empty() {
        return format!("{instance_set}-{ordinal}");
    }
    format!("{instance_set}-{template}-{ordinal}")
}

/// Name of a pod's claim. `prefix` is the annotation of the template, if it has one: it replaces the
/// template's name, and the `InstanceSet`'s in the pod name.
pub fn instance_claim(template: &str, prefix: Option<&str>, instance_set: &str, pod: &str) -> String {
    let Some(prefix) = prefix else {
        return format!("{template}-{pod}");
    };
    let rest = pod.strip_prefix(instance_set).and_then(|rest| rest.strip_prefix('-'));
    format!("{prefix}-{}", rest.unwrap_or(pod))
}

/// Name of the Secret of a component's account; `_` cannot be in it.
pub fn account_secret(cluster: &str, component: &str, account: &str) -> String {
    format!("{cluster}-{component}{ACCOUNT_INFIX}{}", account.replace('_', "-"))
}

/// Name of the Secret of an account that all shards share.
pub fn sharding_account_secret(cluster: &str, sharding: &str, account: &str) -> String {
    format!("{cluster}-{sharding}-{}", account.replace('_', "-"))
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
    fn names_of_a_component() {
        let name = component("c1", "toy");
        assert_eq!((env_config_map(&name), headless_service(&name)), ("c1-toy-env".into(), "c1-toy-headless".into()));
        assert_eq!(service_account(&name), "kb-c1-toy");
        let pods = [instance(&name, "", 0), instance(&name, "big", 2)];
        assert_eq!(pods, ["c1-toy-0", "c1-toy-big-2"]);
        assert_eq!(instance_claim("data", None, &name, "c1-toy-0"), "data-c1-toy-0");
        assert_eq!(instance_claim("data", Some("old"), &name, "c1-toy-big-2"), "old-big-2");
        assert_eq!(account_secret("c1", "toy", "kb_admin"), "c1-toy-account-kb-admin");
        assert_eq!(sharding_account_secret("c1", "shard", "kb_admin"), "c1-shard-kb-admin");
    }

    #[test]
    fn uid_names_fit() {
        assert!(populate(UID).len() <= MAX_NAME);
        assert!(post_ready_restore(UID).len() <= MAX_NAME);
        assert_eq!(uid8(UID), "4d1ee9a9");
        assert_eq!(uid8("short"), "short");
    }
}
