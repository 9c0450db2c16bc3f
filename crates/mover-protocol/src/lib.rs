//! What the mover and the data-protection operator tell each other: names of files and
//! environment variables, the result of a run, and the closed set of reasons.
//!
//! The operator never scrapes logs. A container that runs `datasafed run -- CMD` leaves one JSON
//! document of type [`RunResult`] in its termination message; the operator reads it from
//! `containerStatuses[].state.terminated.message`.

use serde::{Deserialize, Serialize};

/// Directory of every action container that holds the mover (contract-dp §10.5).
pub const BIN_DIR: &str = "/bin/datasafed";
/// The mover inside [`BIN_DIR`].
pub const BIN_PATH: &str = "/bin/datasafed/datasafed";
/// Where a repository PVC is mounted (access method `Mount`).
pub const MOUNT_PATH: &str = "/backupdata";
/// Directory shared by an action and its agent.
pub const MANAGER_DIR: &str = "/dp-manager";
/// Where action scripts leave a fragment of `Backup.status` (contract-dp §10.7).
pub const INFO_FILE: &str = "/dp-manager/backup.info";
/// Name, below a backup's base path, of the saved Backup object; scripts of addons read it.
pub const SAVED_OBJECT: &str = "/kubeblocks-backup.json";
/// Name of the manifest of a backup (design D22).
pub const MANIFEST: &str = "holdfast-manifest.json";
/// Objects that a manifest lists at most; of more it tells only how many and how large.
pub const MANIFEST_OBJECTS: usize = 100_000;
/// Largest termination message Kubernetes keeps, in bytes.
pub const TERMINATION_MESSAGE_LIMIT: usize = 4096;
/// Where Kubernetes reads the termination message from.
pub const TERMINATION_LOG: &str = "/dev/termination-log";
/// Where the kubelet puts a pod's token and the CA of the API server.
pub const SERVICE_ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Environment variables that the operator sets for the mover.
pub mod env {
    /// Root of the local backend; its presence selects that backend.
    pub const LOCAL_BACKEND_PATH: &str = "DATASAFED_LOCAL_BACKEND_PATH";
    /// Prefix of every remote path; scripts export it from [`BACKUP_BASE_PATH`].
    pub const BACKEND_BASE_PATH: &str = "DATASAFED_BACKEND_BASE_PATH";
    /// Directory of the mover, for scripts.
    pub const BIN_PATH: &str = "DP_DATASAFED_BIN_PATH";
    /// Base path of one backup's objects in the repository.
    pub const BACKUP_BASE_PATH: &str = "DP_BACKUP_BASE_PATH";
    /// Path of the info file.
    pub const BACKUP_INFO_FILE: &str = "DP_BACKUP_INFO_FILE";
    /// File that holds the Backup object as JSON; `run` pushes it after a successful action.
    pub const BACKUP_OBJECT_FILE: &str = "DATASAFED_MOVER_BACKUP_OBJECT";
    /// Directory in the repository, outside of every backup, that gets [`super::MANIFEST`] after a successful action.
    pub const MANIFEST_DIR: &str = "DATASAFED_MOVER_MANIFEST_DIR";
    /// File that holds the ActionSet as JSON; the manifest keeps a copy.
    pub const ACTION_SET_FILE: &str = "DATASAFED_MOVER_ACTION_SET";
    /// File to which each push adds a line of type [`super::Pushed`]; `run` sets it for its action.
    pub const JOURNAL: &str = "DATASAFED_MOVER_JOURNAL";
    /// Name of the Backup that the agent reports for.
    pub const BACKUP_NAME: &str = "DP_BACKUP_NAME";
    /// Namespace of that Backup.
    pub const NAMESPACE: &str = "KB_NAMESPACE";
    /// Seconds between two looks of the agent.
    pub const CHECK_INTERVAL: &str = "DP_CHECK_INTERVAL";
    /// Annotation of the Backup that the agent reports to, instead of the status: one of several that write at once.
    pub const REPORT_ANNOTATION: &str = "DATASAFED_MOVER_REPORT_ANNOTATION";
    /// What a producer's death does to a push: `signal` (default), `strict` or `off`.
    pub const PRODUCER: &str = "DATASAFED_MOVER_PRODUCER";
    /// Encrypts all objects as the reference does: `AES-128-CFB`, `AES-192-CFB` or `AES-256-CFB`.
    pub const ENCRYPTION_ALGORITHM: &str = "DATASAFED_ENCRYPTION_ALGORITHM";
    /// The secret that keys are derived from, for either kind of encryption.
    pub const ENCRYPTION_PASS_PHRASE: &str = "DATASAFED_ENCRYPTION_PASS_PHRASE";
    /// Encrypts all objects into authenticated envelopes instead; the value is
    /// [`ENVELOPE_AEAD_V1`].
    pub const ENVELOPE: &str = "DATASAFED_MOVER_ENVELOPE";
    /// The one envelope there is.
    pub const ENVELOPE_AEAD_V1: &str = "aead-v1";
    /// Whether zstd objects get the integrity trailer: `on` (default) or `off`.
    pub const ZSTD_TRAILER: &str = "DATASAFED_MOVER_ZSTD_TRAILER";
    /// URL of the API server for the agent, instead of `KUBERNETES_SERVICE_HOST` and `_PORT`.
    pub const API_SERVER: &str = "DATASAFED_MOVER_API_SERVER";
    /// Overrides [`super::SERVICE_ACCOUNT_DIR`]; for tests.
    pub const SERVICE_ACCOUNT_DIR: &str = "DATASAFED_MOVER_SERVICE_ACCOUNT_DIR";
    /// `1`: each push and pull leaves one line of JSON in the termination log. `run` removes it from the environment
    /// of its action, whose result the log is for.
    pub const TERMLOG: &str = "DATASAFED_MOVER_TERMLOG";
    /// Overrides [`super::TERMINATION_LOG`]; for tests.
    pub const TERMINATION_LOG: &str = "DATASAFED_MOVER_TERMLOG_FILE";
}

/// Why an operation of the mover ended as it did; safe as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// It worked.
    Ok,
    /// No such object or directory.
    NotFound,
    /// A directory where a file was expected.
    IsDirectory,
    /// A path outside the base path, or malformed.
    InvalidPath,
    /// The storage refused the credentials.
    AuthFailed,
    /// The bucket, or the root of the local backend, does not exist.
    BucketMissing,
    /// The storage asked to slow down for too long.
    Throttled,
    /// The network failed.
    Network,
    /// TLS could not be agreed on.
    Tls,
    /// What was read is not what was written.
    ChecksumMismatch,
    /// The object is not in the expected codec, or cut short.
    Decode,
    /// Encryption or decryption failed.
    Encrypt,
    /// The command that produced the data, or the action itself, failed.
    Producer,
    /// A signal asked to stop.
    Signal,
    /// No space left.
    NoSpace,
    /// The object is locked against change.
    Locked,
    /// The configuration is wrong.
    Config,
    /// Anything else.
    Internal,
}

/// What an action said about itself in its info file; only these three may reach
/// `Backup.status` (behaviour-backup D5: the file could overwrite any status field).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionInfo {
    /// Size in bytes as text, as scripts write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_size: Option<String>,
    /// Time range that the data covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_range: Option<TimeRange>,
    /// Flat maps of text that restore scripts read back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<std::collections::BTreeMap<String, String>>,
}

/// RFC 3339 instants and the time zone (`±hh:mm`) as scripts write them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeRange {
    /// First instant covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Last instant covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Zone for text shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// What `datasafed run` leaves in the termination message: at most
/// [`TERMINATION_MESSAGE_LIMIT`] bytes of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// Version of this document; 1.
    pub v: u32,
    /// Exit code of the container; 128 + n when signal n ended the action.
    pub exit: i32,
    /// Why.
    pub reason: Reason,
    /// One sentence for people; empty when it worked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What the action reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<ActionInfo>,
    /// Milliseconds from start to end of the action.
    pub elapsed_ms: u64,
    /// What was moved, where something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// The last lines the action wrote to its standard error, cut from the front to fit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log_tail: String,
}

/// What a transfer moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// Bytes that the producer gave, or the consumer got.
    pub bytes: u64,
    /// Bytes that went to the store, or came from it; each once, however often it was sent.
    pub bytes_stored: u64,
    /// Parts of a multipart upload.
    pub parts: u64,
    /// Requests that were sent again.
    pub retries: u64,
}

/// What one push stored: a line of the journal of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// Path in the repository, without a leading slash.
    pub path: String,
    /// The content, before any codec.
    pub content: Content,
}

/// What a stream was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Its length.
    pub bytes: u64,
    /// CRC64NVME, 16 hexadecimal digits.
    pub crc64: String,
}

/// What a backup left in the repository (design D22): kept beside it, never inside of its directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this document; 1. Later ones only add fields.
    pub v: u32,
    /// Directory of the backup's objects in the repository.
    pub path: String,
    /// When the list was made, RFC 3339.
    pub written: String,
    /// The Backup, as it was while its action ran; its method is in `status.backupMethod`.
    pub backup: serde_json::Value,
    /// The ActionSet that made it, and that restores it also when it has changed since.
    pub action_set: serde_json::Value,
    /// How many objects there are.
    pub count: u64,
    /// Their sizes together.
    pub bytes: u64,
    /// The objects, at most [`MANIFEST_OBJECTS`].
    pub objects: Vec<ManifestObject>,
}

/// One object of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestObject {
    /// Path below the directory of the backup.
    pub path: String,
    /// Size as `datasafed list` tells it.
    pub size: u64,
    /// What was pushed; absent where it was not pushed by this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

impl RunResult {
    /// Reads a termination message; `None` when it is not one of ours.
    pub fn parse(message: &str) -> Option<Self> {
        serde_json::from_str::<Self>(message).ok().filter(|result| result.v == 1)
    }

    /// Why the run failed, for people: its message, or `otherwise` where it left none, the exit code, and the last
    /// output where there was any.
    pub fn failure(&self, otherwise: &str) -> String {
        let said = if self.message.is_empty() { otherwise } else { &self.message };
        let told = format!("{said} (exit code {})", self.exit);
        match self.log_tail.trim() {
            "" => told,
            tail => format!("{told}; last output: {tail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bd5_only_three_fields_pass() {
        let info: ActionInfo =
            serde_json::from_str(r#"{"totalSize":"7","phase":"Completed","path":"/x","extras":[{"a":"b"}]}"#).unwrap();
        let back = serde_json::to_value(&info).unwrap();
        assert_eq!(back, serde_json::json!({"totalSize":"7","extras":[{"a":"b"}]}));
    }

    #[test]
    fn failure_names_what_is_known_and_nothing_else() {
        let parse = |text: &str| RunResult::parse(text).unwrap();
        let silent = parse(r#"{"v":1,"exit":3,"reason":"Producer","elapsedMs":5}"#);
        assert_eq!(silent.failure("the pod failed"), "the pod failed (exit code 3)");
        let told = parse(r#"{"v":1,"exit":1,"reason":"NoSpace","message":"full","elapsedMs":5,"logTail":"a\nb\n"}"#);
        assert_eq!(told.failure("the pod failed"), "full (exit code 1); last output: a\nb");
    }

    #[test]
    fn foreign_termination_message_is_not_a_result() {
        assert_eq!(RunResult::parse("Killed"), None);
        assert_eq!(RunResult::parse(r#"{"v":2,"exit":0}"#), None);
    }
}
