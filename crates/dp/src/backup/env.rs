//! Environment of a backup's action containers, in the order of contract-dp §10.4.

use super::paths;
use crate::action::env::{from_secret, literal, merge};
use crate::error::Stop;
use crate::reasons;
use api_types::contract::{env as names, labels};
use api_types::dp::{ActionSet, ActionSetSpec, Backup, BackupMethod, BackupStatusTarget, BackupType};
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use kube::ResourceExt;
use mover_protocol as protocol;

/// What the environment of one action is made from.
pub struct Source<'a> {
    /// The backup, with the status it runs under.
    pub backup: &'a Backup,
    /// Its actions.
    pub actions: &'a ActionSetSpec,
    /// The ActionSet they came from, its restore half too, where it still has them.
    pub action_set: Option<&'a ActionSet>,
    /// The method it was started with.
    pub method: &'a BackupMethod,
    /// The target, as recorded.
    pub target: &'a BackupStatusTarget,
    /// The pod that is backed up.
    pub pod: &'a Pod,
}

/// Environment of the action containers; the mover's own variables come after it.
///
/// # Errors
/// Terminal when a named port of the target does not exist.
pub fn build(from: &Source<'_>) -> Result<Vec<EnvVar>, Stop> {
    let backup = from.backup;
    let pod = from.pod.name_any();
    let path = backup.status.as_ref().and_then(|s| s.path.clone()).unwrap_or_default();
    let first = from.pod.spec.as_ref().and_then(|s| s.containers.first());
    let mut env = first.and_then(|c| c.env.clone()).unwrap_or_default();
    let role = from.pod.labels().get(labels::ROLE).cloned().unwrap_or_default();
    env.extend([
        literal(protocol::env::BACKUP_NAME, backup.name_any()),
        literal(names::TARGET_POD_NAME, &pod),
        literal(names::TARGET_POD_ROLE, role),
        literal(protocol::env::BACKUP_BASE_PATH, paths::join(&[&path, &paths::relative(from.target, &pod)])),
        literal(protocol::env::BACKUP_INFO_FILE, protocol::INFO_FILE),
        literal(names::TTL, backup.spec.retention_period.clone().unwrap_or_default()),
    ]);
    env.extend(connection(from.target, from.pod)?);
    env.extend(from.actions.env.iter().cloned());
    env.extend(backup.spec.parameters.iter().map(|p| literal(&p.name, &p.value)));
    for (name, label) in [
        (names::KB_CLUSTER_UID, labels::CLUSTER_UID),
        (names::KB_CLUSTER_NAME, labels::INSTANCE),
        (names::KB_COMP_NAME, labels::COMPONENT_NAME),
    ] {
        if let Some(value) = backup.labels().get(label) {
            env.push(literal(name, value));
        }
    }
    env.push(literal(protocol::env::NAMESPACE, backup.namespace().unwrap_or_default()));
    env.extend(lineage(from, &path, &pod));
    merge(&mut env, &from.method.env);
    Ok(env)
}

/// What a backup that builds on others knows of them.
fn lineage(from: &Source<'_>, path: &str, pod: &str) -> Vec<EnvVar> {
    if !matches!(from.actions.backup_type, BackupType::Incremental | BackupType::Differential) {
        return vec![];
    }
    let status = from.backup.status.as_ref();
    let name = |of: Option<&String>| of.cloned().unwrap_or_default();
    vec![
        literal(names::PARENT_BACKUP_NAME, name(status.and_then(|s| s.parent_backup_name.as_ref()))),
        literal(names::BASE_BACKUP_NAME, name(status.and_then(|s| s.base_backup_name.as_ref()))),
        literal(names::TARGET_RELATIVE_PATH, paths::relative(from.target, pod)),
        literal(names::BACKUP_ROOT_PATH, paths::root_of(path)),
    ]
}

/// Host, port, password and user of the database in `pod`.
pub fn connection(target: &BackupStatusTarget, pod: &Pod) -> Result<Vec<EnvVar>, Stop> {
    let credential = target.connection_credential.as_ref();
    let key = |key: Option<&String>| key.filter(|k| !k.is_empty()).cloned();
    let mut env = Vec::new();
    match credential.and_then(|c| Some((c, key(c.host_key.as_ref())?))) {
        Some((c, key)) => env.push(from_secret(names::DB_HOST, &c.secret_name, &key)),
        None => env.push(literal(names::DB_HOST, host(pod))),
    }
    match credential.and_then(|c| Some((c, key(c.port_key.as_ref())?))) {
        Some((c, key)) => env.push(from_secret(names::DB_PORT, &c.secret_name, &key)),
        None => env.push(literal(names::DB_PORT, port(target, pod)?.to_string())),
    }
    if let Some(c) = credential {
        env.push(from_secret(names::DB_PASSWORD, &c.secret_name, c.password_key()));
        env.push(from_secret(names::DB_USER, &c.secret_name, c.username_key()));
    }
    Ok(env)
}

/// `<hostname or name>.<subdomain>` where the pod has a subdomain, else its address.
fn host(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    match spec.and_then(|s| s.subdomain.as_deref()).filter(|s| !s.is_empty()) {
        Some(subdomain) => {
            let own = spec.and_then(|s| s.hostname.clone()).filter(|h| !h.is_empty());
            format!("{}.{subdomain}", own.unwrap_or_else(|| pod.name_any()))
        }
        None => pod.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap_or_default(),
    }
}

fn port(target: &BackupStatusTarget, pod: &Pod) -> Result<i32, Stop> {
    let containers = pod.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
    let Some(wanted) = &target.container_port else {
        let ports = containers.first().and_then(|c| c.ports.as_ref());
        return Ok(ports.and_then(|p| p.first()).map_or(0, |p| p.container_port));
    };
    containers
        .iter()
        .filter(|c| c.name == wanted.container_name)
        .flat_map(|c| c.ports.iter().flatten())
        .find(|p| p.name.as_deref() == Some(&wanted.port_name))
        .map(|p| p.container_port)
        .ok_or_else(|| {
            Stop::terminal(
                reasons::TARGET_PORT_NOT_FOUND,
                format!(
                    "target.containerPort: pod {} has no port {} in container {}; correct the BackupPolicy",
                    pod.name_any(),
                    wanted.port_name,
                    wanted.container_name
                ),
            )
        })
}
