//! The pod of an action that runs an image of its own: data, hooks, archives (contract-dp §10.4–§10.6). Pure.

use super::saved::{self, Saved};
use crate::action::env::literal;
use crate::action::image;
use crate::action::mover::{self, Storage, mount};
use crate::action::pod::{self, PodSettings};
use crate::backup::env::{self, Source};
use crate::backup::paths;
use crate::error::Stop;
use api_types::contract::{labels, pods};
use api_types::dp::JobActionSpec;
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, EnvVar, PodSpec, Volume, VolumeMount};
use kube::ResourceExt;
use mover_protocol as protocol;
use std::collections::BTreeMap;

/// What runs in the pod.
pub struct Action<'a> {
    /// Name of its container.
    pub container: String,
    /// Image and command.
    pub job: &'a JobActionSpec,
    /// Seconds between two looks of the sidecar that reports progress, where there is one.
    pub agent_seconds: Option<i32>,
    /// Annotation of the Backup that the sidecar reports to, where several would write over one another.
    pub reports_to: Option<String>,
    /// What comes with the pod to be saved.
    pub saved: Option<&'a Saved>,
    /// Variables of the action alone, after all others.
    pub more_env: Vec<EnvVar>,
    /// `Never` for what ends, `Always` for what does not.
    pub restart_policy: &'static str,
}

/// The pod, with the mover and the repository in it.
///
/// # Errors
/// Terminal when the action can not be built from what the policy says.
pub fn spec(
    from: &Source<'_>,
    action: &Action<'_>,
    storage: Option<&Storage>,
    settings: &PodSettings,
) -> Result<PodSpec, Stop> {
    let env = env::build(from)?;
    let first = from.pod.spec.as_ref().and_then(|s| s.containers.first());
    let mut env_from = first.and_then(|c| c.env_from.clone()).unwrap_or_default();
    env_from.extend(from.actions.env_from.iter().cloned());

    let mut volumes = vec![Volume {
        name: pods::VOLUME_MANAGER_SHARED.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }];
    let mut mounts = vec![mount(pods::VOLUME_MANAGER_SHARED, protocol::MANAGER_DIR)];
    let on_node = action.job.run_on_target_pod_node();
    if on_node {
        let (found, at) = target_volumes(from);
        volumes.extend(found);
        mounts.extend(at);
    }
    let mut container = Container {
        name: action.container.clone(),
        image: Some(image::expand(&action.job.image, &env)),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(mover::wrapped(&action.job.command)),
        env: Some(env),
        env_from: (!env_from.is_empty()).then_some(env_from),
        volume_mounts: Some(mounts),
        resources: from.method.runtime_settings.as_ref().and_then(|r| r.resources.clone()),
        security_context: Some(pod::action_container()),
        ..Container::default()
    };
    let mut agent = action.agent_seconds.map(|seconds| agent(&container, seconds, action, settings));
    if settings.zero_resources {
        pod::zero_unset(&mut container);
        agent.iter_mut().for_each(pod::zero_unset);
    }
    if let Some(saved) = action.saved {
        volumes.push(saved.volume());
        container.volume_mounts.get_or_insert_default().push(mount(pods::VOLUME_BACKUP_OBJECT, saved::DIR));
        container.env.get_or_insert_default().extend(saved.env(&manifests(from)));
    }
    let own_account = from.target.service_account_name.clone().filter(|n| !n.is_empty());
    let mut spec = PodSpec {
        containers: vec![container],
        init_containers: agent.map(|a| vec![a]),
        volumes: Some(volumes),
        restart_policy: Some(action.restart_policy.into()),
        service_account_name: Some(own_account.unwrap_or_else(|| settings.worker_account.clone())),
        ..PodSpec::default()
    };
    if on_node {
        place_beside(&mut spec, from);
    } else {
        settings.placement.apply(&mut spec);
    }
    mover::inject(&mut spec, storage, &settings.mover_image, settings.zero_resources);
    if let Some(first) = spec.containers.first_mut() {
        first.env.get_or_insert_default().extend(action.more_env.iter().cloned());
    }
    Ok(spec)
}

/// Directory of the manifest: each pod that stores something for itself has its own.
fn manifests(from: &Source<'_>) -> String {
    let path = from.backup.status.as_ref().and_then(|s| s.path.as_deref()).unwrap_or_default();
    let all = paths::manifests(path, &from.backup.uid().unwrap_or_default());
    paths::join(&[&all, &paths::relative(from.target, &from.pod.name_any())])
}

/// The native sidecar that reports progress while the action runs.
fn agent(container: &Container, seconds: i32, action: &Action<'_>, settings: &PodSettings) -> Container {
    let mut env = container.env.clone().unwrap_or_default();
    env.push(literal(protocol::env::CHECK_INTERVAL, seconds.to_string()));
    env.extend(action.reports_to.as_ref().map(|key| literal(protocol::env::REPORT_ANNOTATION, key.clone())));
    Container {
        name: pods::CONTAINER_MANAGER.into(),
        image: Some(settings.mover_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/datasafed".into(), "agent".into()]),
        env: Some(env),
        env_from: container.env_from.clone(),
        volume_mounts: Some(vec![mount(pods::VOLUME_MANAGER_SHARED, protocol::MANAGER_DIR)]),
        security_context: Some(pod::restricted_container()),
        restart_policy: Some("Always".into()),
        ..Container::default()
    }
}

/// Volumes of the target pod that the method names, each once, and its mounts of those that exist
/// (behaviour-backup §16.20).
fn target_volumes(from: &Source<'_>) -> (Vec<Volume>, Vec<VolumeMount>) {
    let Some(wanted) = &from.method.target_volumes else {
        return (vec![], vec![]);
    };
    let all = from.pod.spec.as_ref().and_then(|s| s.volumes.as_deref()).unwrap_or_default();
    let named = |volume: &&Volume| {
        if wanted.volumes.is_empty() {
            wanted.volume_mounts.iter().any(|m| m.name == volume.name)
        } else {
            wanted.volumes.contains(&volume.name)
        }
    };
    let found: Vec<Volume> = all.iter().filter(named).cloned().collect();
    let exists = |name: &String| found.iter().any(|v| v.name == *name);
    let mounts = wanted.volume_mounts.iter().filter(|m| exists(&m.name)).cloned().collect();
    (found, mounts)
}

/// Same node and tolerations as the target pod: its volumes can be mounted only there.
fn place_beside(spec: &mut PodSpec, from: &Source<'_>) {
    let target = from.pod.spec.as_ref();
    spec.tolerations = target.and_then(|s| s.tolerations.clone());
    if let Some(node) = target.and_then(|s| s.node_name.clone()) {
        spec.node_selector = Some(BTreeMap::from([(labels::HOSTNAME.to_owned(), node)]));
    }
}

#[cfg(test)]
mod tests;
