//! Brings the mover and a repository into a pod (contract-dp §10.5).
//!
//! Stated differences from the reference: the image of ours has no shell, so the init container
//! calls `/datasafed install`; actions run under `datasafed run` (design D20).

use super::env::literal;
use api_types::contract::pods;
use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EnvVar, PersistentVolumeClaimVolumeSource, PodSpec, Volume, VolumeMount,
};
use mover_protocol as protocol;

/// How a pod reaches its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repository {
    /// Access method `Mount`: the claim of the repository in the pod's namespace.
    Mounted {
        /// Name of that claim.
        claim: String,
    },
}

/// Adds the mover to all containers that are in `spec` now, and the init container that installs it.
pub fn inject(spec: &mut PodSpec, repository: Option<&Repository>, image: &str, zero_resources: bool) {
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    let mut env: Vec<EnvVar> = Vec::new();
    if let Some(Repository::Mounted { claim }) = repository {
        volumes.push(Volume {
            name: pods::VOLUME_BACKUP_DATA.into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                read_only: None,
            }),
            ..Volume::default()
        });
        mounts.push(mount(pods::VOLUME_BACKUP_DATA, protocol::MOUNT_PATH));
        env.push(literal(protocol::env::LOCAL_BACKEND_PATH, protocol::MOUNT_PATH));
    }
    volumes.push(Volume {
        name: pods::VOLUME_DATASAFED_BIN.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    });
    mounts.push(mount(pods::VOLUME_DATASAFED_BIN, protocol::BIN_DIR));
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
