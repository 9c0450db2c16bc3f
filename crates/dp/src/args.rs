//! Flags of the dp operator. Flag wins over environment, environment over default.

use crate::account::cipher::EncryptionKey;
use crate::action::placement::{self, Placement};
use crate::action::worker;
use crate::policy_driver::encryption;
use api_types::contract::config;
use api_types::dp::EncryptionAlgorithm;
use controller_kit::run::Settings;
use k8s_openapi::api::core::v1::{Affinity, SecretKeySelector};

/// Flags of the operator.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Flags every operator has.
    #[command(flatten)]
    pub settings: Settings,
    /// Image of the mover, installed into every Job.
    #[arg(long, env = config::DATASAFED_IMAGE, default_value = concat!("docker.io/local/datasafed:", env!("CARGO_PKG_VERSION")))]
    pub mover_image: String,
    /// Give containers without requests a limit of zero, so that no LimitRange chooses for them.
    #[arg(long, env = config::ZERO_RESOURCE_FOR_UNSET, default_value_t = true, action = clap::ArgAction::Set)]
    pub zero_resource_for_unset: bool,
    /// Tolerations of pods that need not run beside a database, JSON as in a pod's spec.
    #[arg(long, env = config::CM_TOLERATIONS, value_parser = placement::json::<placement::Tolerations>, default_value = "")]
    pub tolerations: placement::Tolerations,
    /// Affinity of those pods, JSON.
    #[arg(long, env = config::CM_AFFINITY, value_parser = placement::json::<Affinity>, default_value = "")]
    pub affinity: Affinity,
    /// Node selector of those pods, JSON.
    #[arg(long, env = config::CM_NODE_SELECTOR, value_parser = placement::json::<placement::NodeSelector>, default_value = "")]
    pub node_selector: placement::NodeSelector,
    /// Service account that action pods run under, made in each namespace.
    #[arg(long, env = config::WORKER_SERVICE_ACCOUNT_NAME, default_value = config::DEFAULT_WORKER_SERVICE_ACCOUNT)]
    pub worker_service_account: String,
    /// ClusterRole bound to that account.
    #[arg(long, env = config::WORKER_CLUSTER_ROLE_NAME, default_value = config::DEFAULT_WORKER_CLUSTER_ROLE)]
    pub worker_cluster_role: String,
    /// Annotations of accounts of action pods, JSON object: a cloud's identity, for instance.
    #[arg(long, env = config::WORKER_SERVICE_ACCOUNT_ANNOTATIONS, value_parser = placement::json::<worker::Annotations>, default_value = "")]
    pub worker_service_account_annotations: worker::Annotations,
    /// Pull secrets of accounts of action pods that are made, JSON as in a pod's spec; those of accounts that are there are
    /// left alone.
    #[arg(long, env = config::IMAGE_PULL_SECRETS, value_parser = placement::json::<worker::PullSecrets>, default_value = "")]
    pub image_pull_secrets: worker::PullSecrets,
    /// This operator's own image: it brings the client of actions inside database pods.
    #[arg(long, env = "HOLDFAST_IMAGE", default_value = concat!("docker.io/local/holdfast-dp:", env!("CARGO_PKG_VERSION")))]
    pub own_image: String,
    /// Image with kubectl for actions inside database pods; this operator's own when empty.
    #[arg(long, env = config::TOOLS_IMAGE)]
    pub tools_image: Option<String>,
    /// Service account of those actions, in this operator's namespace.
    #[arg(long, env = config::EXEC_WORKER_SERVICE_ACCOUNT_NAME, default_value = config::DEFAULT_EXEC_WORKER_SERVICE_ACCOUNT)]
    pub exec_worker_service_account: String,
    /// Seconds within which a pod of an action must run; then the action has failed.
    #[arg(long, env = "HOLDFAST_ACTION_START_SECONDS", default_value_t = 3600)]
    pub action_start_seconds: u32,
    /// Seconds that one action of a Backup may take, and that a Backup may wait before it begins; 0 is no limit. The
    /// annotation holdfast.dev/action-deadline of a Backup wins.
    #[arg(long, env = "HOLDFAST_ACTION_DEADLINE_SECONDS", default_value_t = 86400)]
    pub action_deadline_seconds: u32,
    /// Jobs of backups that write to one BackupRepo at once; the others wait for their turn. 0 is no limit. Annotation
    /// holdfast.dev/max-concurrent-jobs of a BackupRepo wins.
    #[arg(long, env = "HOLDFAST_MAX_JOBS_PER_REPO", default_value_t = 0)]
    pub max_jobs_per_repo: u32,
    /// Jobs of backups that run at once beside database pods of one node; the others wait for their turn. 0 is no limit.
    #[arg(long, env = "HOLDFAST_MAX_JOBS_PER_NODE", default_value_t = 0)]
    pub max_jobs_per_node: u32,
    /// Service accounts that a Restore may name, comma separated; none when empty.
    #[arg(long, env = "HOLDFAST_ALLOWED_SERVICE_ACCOUNTS", value_delimiter = ',')]
    pub allowed_service_accounts: Vec<String>,
    /// Key that accounts of a Cluster are encrypted with on its Backups; made once and kept in Secret
    /// holdfast-dp-encryption when empty. Better given by the environment: arguments can be seen.
    #[arg(long, env = config::DP_ENCRYPTION_KEY, hide = true, hide_env_values = true)]
    pub encryption_key: Option<EncryptionKey>,
    /// More keys that are tried to decrypt, one per line.
    #[arg(long, env = config::OLD_ENCRYPTION_KEYS, value_delimiter = '\n', hide = true, hide_env_values = true)]
    pub old_encryption_keys: Vec<EncryptionKey>,
    /// Key of a Secret that backups of generated policies are encrypted with, JSON {"name": …, "key": …} in the namespace of
    /// the policy; not encrypted when empty.
    #[arg(long, env = config::DP_BACKUP_ENCRYPTION_SECRET_KEY_REF, value_parser = encryption::key_ref)]
    pub backup_encryption_key_ref: Option<SecretKeySelector>,
    /// Cipher of those backups: AES-128-CFB, AES-192-CFB or AES-256-CFB.
    #[arg(long, env = config::DP_BACKUP_ENCRYPTION_ALGORITHM, value_parser = encryption::algorithm)]
    pub backup_encryption_algorithm: Option<EncryptionAlgorithm>,
    /// Seconds after which a failed pre-check of a BackupRepo is made again.
    #[arg(long, env = "HOLDFAST_REPO_CHECK_RETRY_SECONDS", default_value_t = 60)]
    pub check_retry_seconds: u32,
    /// Seconds by which runs of schedules start late at most, each schedule by its own part of them; a schedule may say
    /// otherwise in annotation holdfast.dev/schedule-jitter.
    #[arg(long, env = "HOLDFAST_SCHEDULE_JITTER_SECONDS", default_value_t = 0)]
    pub schedule_jitter_seconds: u32,
    /// Name of this operator's lease.
    #[arg(long, env = "HOLDFAST_LEASE_NAME", default_value = "holdfast-dp")]
    pub lease_name: String,
    /// The reference's own leader lease, as NAMESPACE/NAME, held as well so that both operators never
    /// act at once; empty to leave it alone.
    #[arg(long, env = "HOLDFAST_FOREIGN_LEASE", default_value = "")]
    pub foreign_lease: String,
}

impl Args {
    /// Where pods run that are bound to no node.
    pub fn placement(&self) -> Placement {
        Placement {
            tolerations: self.tolerations.0.clone(),
            affinity: Some(self.affinity.clone()).filter(|a| *a != Affinity::default()),
            node_selector: self.node_selector.0.clone(),
        }
    }
}
