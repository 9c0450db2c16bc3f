//! Environment of action containers and of the mover.

/// Name of the Backup.
pub const BACKUP_NAME: &str = "DP_BACKUP_NAME";
/// Name of the target pod.
pub const TARGET_POD_NAME: &str = "DP_TARGET_POD_NAME";
/// Role of the target pod.
pub const TARGET_POD_ROLE: &str = "DP_TARGET_POD_ROLE";
/// Directory of this target's data in the repository.
pub const BACKUP_BASE_PATH: &str = "DP_BACKUP_BASE_PATH";
/// Directory of all backups of the policy.
pub const BACKUP_ROOT_PATH: &str = "DP_BACKUP_ROOT_PATH";
/// Path below the backup: target name, pod name.
pub const TARGET_RELATIVE_PATH: &str = "DP_TARGET_RELATIVE_PATH";
/// File where the script leaves size, time range and extras.
pub const BACKUP_INFO_FILE: &str = "DP_BACKUP_INFO_FILE";
/// Retention as text.
pub const TTL: &str = "DP_TTL";
/// Retention in seconds, for continuous backups.
pub const TTL_SECONDS: &str = "DP_TTL_SECONDS";
/// Pause between two archives of a continuous backup, `<seconds>s`.
pub const ARCHIVE_INTERVAL: &str = "DP_ARCHIVE_INTERVAL";
/// Host of the database.
pub const DB_HOST: &str = "DP_DB_HOST";
/// Port of the database.
pub const DB_PORT: &str = "DP_DB_PORT";
/// User of the database.
pub const DB_USER: &str = "DP_DB_USER";
/// Password of the database.
pub const DB_PASSWORD: &str = "DP_DB_PASSWORD";
/// Backup this one builds on.
pub const PARENT_BACKUP_NAME: &str = "DP_PARENT_BACKUP_NAME";
/// First backup of the chain.
pub const BASE_BACKUP_NAME: &str = "DP_BASE_BACKUP_NAME";
/// Backups between the first and this one, oldest first, comma separated.
pub const ANCESTOR_INCREMENTAL_BACKUP_NAMES: &str = "DP_ANCESTOR_INCREMENTAL_BACKUP_NAMES";
/// Last moment of the backup.
pub const BACKUP_STOP_TIME: &str = "DP_BACKUP_STOP_TIME";
/// First moment of the base backup.
pub const BASE_BACKUP_START_TIME: &str = "DP_BASE_BACKUP_START_TIME";
/// The same in Unix seconds.
pub const BASE_BACKUP_START_TIMESTAMP: &str = "DP_BASE_BACKUP_START_TIMESTAMP";
/// Last moment of the base backup.
pub const BASE_BACKUP_STOP_TIME: &str = "DP_BASE_BACKUP_STOP_TIME";
/// The same in Unix seconds.
pub const BASE_BACKUP_STOP_TIMESTAMP: &str = "DP_BASE_BACKUP_STOP_TIMESTAMP";
/// Moment to restore.
pub const RESTORE_TIME: &str = "DP_RESTORE_TIME";
/// The same in Unix seconds.
pub const RESTORE_TIMESTAMP: &str = "DP_RESTORE_TIMESTAMP";
/// Go time layout of the times above; read from the action set's env only.
pub const TIME_FORMAT: &str = "DP_TIME_FORMAT";
/// Seconds between two checks of the side container; read by scripts.
pub const CHECK_INTERVAL: &str = "DP_CHECK_INTERVAL";
/// UID of the Cluster.
pub const KB_CLUSTER_UID: &str = "KB_CLUSTER_UID";
/// Name of the Cluster.
pub const KB_CLUSTER_NAME: &str = "KB_CLUSTER_NAME";
/// Component.
pub const KB_COMP_NAME: &str = "KB_COMP_NAME";
/// Namespace.
pub const KB_NAMESPACE: &str = "KB_NAMESPACE";

/// Directory of the mover's binary.
pub const DATASAFED_BIN_PATH: &str = "DP_DATASAFED_BIN_PATH";
/// Root of a mounted repository.
pub const DATASAFED_LOCAL_BACKEND_PATH: &str = "DATASAFED_LOCAL_BACKEND_PATH";
/// Directory all mover paths are below; scripts set it.
pub const DATASAFED_BACKEND_BASE_PATH: &str = "DATASAFED_BACKEND_BASE_PATH";
/// Root of the deduplicating repository.
pub const DATASAFED_KOPIA_REPO_ROOT: &str = "DATASAFED_KOPIA_REPO_ROOT";
/// Cipher.
pub const DATASAFED_ENCRYPTION_ALGORITHM: &str = "DATASAFED_ENCRYPTION_ALGORITHM";
/// Pass phrase.
pub const DATASAFED_ENCRYPTION_PASS_PHRASE: &str = "DATASAFED_ENCRYPTION_PASS_PHRASE";
