//! The Job that runs a command inside the target pod, from the operator's namespace (behaviour-backup §3.12). Pure.
//!
//! Stated differences from the reference: the Job belongs to its Backup by UID label, for owner references can not
//! cross namespaces (design D20); its account may exec only in namespaces where such an action ran (D33); the last
//! output of a failed command is its termination message.

use super::{Bounds, assembled, container_name, job_name, with_owner, workload_labels};
use crate::action::exec::ExecSettings;
use crate::action::pod;
use api_types::contract::labels;
use api_types::dp::{Backup, ExecActionSpec};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

/// Attempts after the first one, whatever the policy says (contract-dp §10.6).
const BACKOFF_LIMIT: i32 = 2;

/// The Job of `exec` for `target`; `deadline` holds where the action names no timeout.
pub fn job(
    backup: &Backup,
    action: &str,
    exec: &ExecActionSpec,
    target: &Pod,
    deadline: Option<i64>,
    settings: &ExecSettings,
    zero_resources: bool,
) -> Job {
    let namespace = backup.namespace().unwrap_or_default();
    let first = || target.spec.as_ref().and_then(|s| s.containers.first()).map(|c| c.name.clone());
    let inside = exec.container.clone().filter(|c| !c.is_empty()).or_else(first).unwrap_or_default();
    let mut args: Vec<String> =
        ["-n", &namespace, "exec", &target.name_any(), "-c", &inside, "--"].map(String::from).into();
    args.extend(exec.command.iter().cloned());
    let mut container = Container {
        name: container_name(action),
        image: Some(settings.image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(settings.kubectl.clone()),
        args: Some(args),
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        security_context: Some(pod::restricted_container()),
        ..Container::default()
    };
    if zero_resources {
        pod::zero_unset(&mut container);
    }
    let mut labels = workload_labels(backup);
    labels.insert(labels::BACKUP_NAMESPACE.into(), namespace);
    let labels = with_owner(labels, backup);
    let timeout = exec.timeout().map(|t| i64::try_from(t.as_secs().max(1)).unwrap_or(i64::MAX));
    let bounds = Bounds { backoff_limit: BACKOFF_LIMIT, deadline: timeout.or(deadline) };
    let own = ObjectMeta {
        name: Some(job_name(backup, action)),
        namespace: Some(settings.namespace.clone()),
        labels: Some(labels),
        ..ObjectMeta::default()
    };
    let spec = PodSpec {
        containers: vec![container],
        restart_policy: Some("Never".into()),
        service_account_name: Some(settings.account.clone()),
        security_context: Some(pod::restricted_pod()),
        tolerations: Some(vec![Toleration { operator: Some("Exists".into()), ..Toleration::default() }]),
        ..PodSpec::default()
    };
    assembled(own.clone(), own, spec, bounds)
}
