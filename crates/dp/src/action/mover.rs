//! Brings the mover and a repository into a pod (contract-dp §10.5).
//!
//! Stated differences from the reference: the image of ours has no shell, so the init container
//! calls `/datasafed install`; actions run under `datasafed run` (design D20).

use super::env::{from_secret, literal};
use api_types::contract::{env as names, labels, pods};
use api_types::dp::{Backup, EncryptionConfig};
use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EnvVar, PersistentVolumeClaimVolumeSource, PodSpec, SecretVolumeSource, Volume,
    VolumeMount,
};
use kube::ResourceExt;
use mover_protocol as protocol;

/// How a pod reaches its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repository {
    /// Access method `Mount`: the claim of the repository in the pod's namespace.
    Mounted {
        /// Name of that claim.
        claim: String,
    },
    /// Access method `Tool`: the mover's configuration in the pod's namespace.
    Tool {
        /// Name of the Secret that holds it.
        secret: String,
    },
}

/// Where a pod finds a backup, and how its objects are encrypted.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// How it reaches the repository.
    pub repository: Repository,
    /// The pass phrase, in the pod's namespace, and the cipher.
    pub encryption: Option<EncryptionConfig>,
    /// The authenticated envelope instead of that cipher (ADR 0017).
    pub envelope: Option<String>,
    /// Directory of the deduplicating repository, where the backup lies in one (ADR 0018).
    pub deduplicated: Option<String>,
}

impl Storage {
    /// Of a backup that has started: the encryption that it recorded then, whatever policy and repository say now.
    pub fn of(backup: &Backup, repository: Repository) -> Self {
        Storage {
            repository,
            encryption: backup.status.as_ref().and_then(|s| s.encryption_config.clone()),
            envelope: backup.labels().get(labels::ENVELOPE).cloned(),
            deduplicated: backup.status.as_ref().and_then(|s| s.kopia_repo_path.clone()).filter(|p| !p.is_empty()),
        }
    }

    fn volume(&self) -> (Volume, VolumeMount) {
        match &self.repository {
            Repository::Mounted { claim } => {
                let volume = Volume {
                    name: pods::VOLUME_BACKUP_DATA.into(),
                    persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                        claim_name: claim.clone(),
                        read_only: None,
                    }),
                    ..Volume::default()
                };
                (volume, mount(pods::VOLUME_BACKUP_DATA, protocol::MOUNT_PATH))
            }
            Repository::Tool { secret } => config_volume(secret),
        }
    }

    fn env(&self) -> Vec<EnvVar> {
        let mut env = Vec::new();
        if matches!(self.repository, Repository::Mounted { .. }) {
            env.push(literal(protocol::env::LOCAL_BACKEND_PATH, protocol::MOUNT_PATH));
        }
        env.extend(self.deduplicated.iter().map(|root| literal(names::DATASAFED_KOPIA_REPO_ROOT, root)));
        if let Some(config) = &self.encryption {
            let phrase = &config.pass_phrase_secret_key_ref;
            env.push(literal(protocol::env::ENCRYPTION_ALGORITHM, config.algorithm.to_string()));
            env.push(from_secret(protocol::env::ENCRYPTION_PASS_PHRASE, &phrase.name, &phrase.key));
        }
        // Also without a pass phrase: the mover then refuses, and nothing lands in the clear.
        env.extend(self.envelope.iter().map(|envelope| literal(protocol::env::ENVELOPE, envelope)));
        env
    }
}

/// The mover's configuration, readable to the pod.
pub fn config_volume(secret: &str) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: pods::VOLUME_DATASAFED_CONFIG.into(),
        secret: Some(SecretVolumeSource { secret_name: Some(secret.into()), ..SecretVolumeSource::default() }),
        ..Volume::default()
    };
    let mut mount = mount(pods::VOLUME_DATASAFED_CONFIG, pods::PATH_DATASAFED_CONFIG);
    mount.read_only = Some(true);
    (volume, mount)
}

/// Adds the mover to all containers that are in `spec` now, and the init container that installs it.
pub fn inject(spec: &mut PodSpec, storage: Option<&Storage>, image: &str, zero_resources: bool) {
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    if let Some(storage) = storage {
        let (volume, mount) = storage.volume();
        volumes.push(volume);
        mounts.push(mount);
    }
    volumes.push(Volume {
        name: pods::VOLUME_DATASAFED_BIN.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    });
    mounts.push(mount(pods::VOLUME_DATASAFED_BIN, protocol::BIN_DIR));
    let mut env = storage.map(Storage::env).unwrap_or_default();
    env.push(literal(protocol::env::BIN_PATH, protocol::BIN_DIR));

    let sidecars = spec.init_containers.iter_mut().flatten();
    for container in spec.containers.iter_mut().chain(sidecars) {
        container.volume_mounts.get_or_insert_default().extend(mounts.iter().cloned());
        container.env.get_or_insert_default().extend(env.iter().cloned());
    }
    let mut installer = Container {
        name: pods::CONTAINER_COPY_DATASAFED.into(),
        image: Some(image.into()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/datasafed".into(), "install".into(), protocol::BIN_DIR.into()]),
        volume_mounts: Some(vec![mount(pods::VOLUME_DATASAFED_BIN, protocol::BIN_DIR)]),
        security_context: Some(super::pod::restricted_container()),
        ..Container::default()
    };
    if zero_resources {
        super::pod::zero_unset(&mut installer);
    }
    spec.init_containers.get_or_insert_default().insert(0, installer);
    spec.volumes.get_or_insert_default().extend(volumes);
}

/// `command` under the wrapper that knows its exact exit and reports it (design D20).
pub fn wrapped(command: &[String]) -> Vec<String> {
    let wrapper = [protocol::BIN_PATH, "run", "--"].map(String::from);
    wrapper.into_iter().chain(command.iter().cloned()).collect()
}

/// A writable mount of a whole volume.
pub fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.into(), mount_path: path.into(), ..VolumeMount::default() }
}
