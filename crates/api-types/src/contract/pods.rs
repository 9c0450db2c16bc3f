//! Containers, volumes, mount paths and files inside pods of actions.

/// Container of a backup's data action.
pub const CONTAINER_BACKUP_DATA: &str = "backupdata";
/// Side container of a backup.
pub const CONTAINER_MANAGER: &str = "manager";
/// Container of a restore action.
pub const CONTAINER_RESTORE: &str = "restore";
/// Side container of a restore, in the reference.
pub const CONTAINER_RESTORE_MANAGER: &str = "restore-manager";
/// Container of a delete or pre-delete Job.
pub const CONTAINER_DELETER: &str = "deleter";
/// Container of a repository's pre-check Job.
pub const CONTAINER_PRE_CHECK: &str = "pre-check";
/// Container of a `CronJob`.
pub const CONTAINER_BACKUP_SCHEDULE: &str = "backup-schedule";
/// Init container that copies the mover's binary.
pub const CONTAINER_COPY_DATASAFED: &str = "dp-copy-datasafed";
/// Script in the mover's image that copies it; its argument is the directory.
pub const INSTALL_DATASAFED_SCRIPT: &str = "/scripts/install-datasafed.sh";

/// Volume shared by the data action and its side container.
pub const VOLUME_MANAGER_SHARED: &str = "manager-shared-volume";
/// Where it is mounted.
pub const PATH_MANAGER_SHARED: &str = "/dp-manager";
/// File where the script leaves its facts.
pub const FILE_BACKUP_INFO: &str = "/dp-manager/backup.info";
/// Added to [`FILE_BACKUP_INFO`]: the script gave up.
pub const SUFFIX_EXIT: &str = ".exit";

/// Volume of a mounted repository.
pub const VOLUME_BACKUP_DATA: &str = "dp-backup-data";
/// Where it is mounted.
pub const PATH_BACKUP_DATA: &str = "/backupdata";
/// Volume of the mover's configuration.
pub const VOLUME_DATASAFED_CONFIG: &str = "dp-datasafed-config";
/// Where it is mounted.
pub const PATH_DATASAFED_CONFIG: &str = "/etc/datasafed";
/// Key of the secret, and name of the file.
pub const FILE_DATASAFED_CONFIG: &str = "datasafed.conf";
/// Volume of the mover's binary.
pub const VOLUME_DATASAFED_BIN: &str = "dp-datasafed-bin";
/// Where it is mounted.
pub const PATH_DATASAFED_BIN: &str = "/bin/datasafed";

/// Volume of a restored claim: prefix of its name.
pub const VOLUME_CLAIM_PREFIX: &str = "dp-claim-";
/// Volume of a claim from a template: prefix of its name.
pub const VOLUME_CLAIM_TEMPLATE_PREFIX: &str = "dp-claim-tpl-";
/// Downward volume of a restore.
pub const VOLUME_DOWNWARD: &str = "downward-volume";
/// Downward volume of the side container.
pub const VOLUME_DOWNWARD_SIDECAR: &str = "downward-volume-sidecard";
/// Where it is mounted.
pub const PATH_DOWNWARD: &str = "/dp_downward";
/// File with the backup's extras, a JSON array.
pub const FILE_STATUS_EXTRAS: &str = "status_extras";
/// File that reads `true` when the side container may end.
pub const FILE_STOP_RESTORE_MANAGER: &str = "stop_restore_manager";

/// Volume of a pre-check Job with Mount access.
pub const VOLUME_PRE_CHECK: &str = "backup-pvc";
/// Where it is mounted.
pub const PATH_PRE_CHECK: &str = "/backup";
/// File group of the pre-check.
pub const PRE_CHECK_FS_GROUP: i64 = 65532;

/// The Backup object, below its base path in the repository.
pub const FILE_BACKUP_OBJECT: &str = "kubeblocks-backup.json";
/// Manifests of all backups in the repository; a directory per backup UID.
pub const DIR_MANIFESTS: &str = "_manifests/v1";
/// The manifest in that directory.
pub const FILE_MANIFEST: &str = "holdfast-manifest.json";

/// Volume that brings the Backup object to the wrapper of its action.
pub const VOLUME_BACKUP_OBJECT: &str = "holdfast-backup-object";
