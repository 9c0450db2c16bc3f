//! Chooses what a backup works on: method, repository and target pods (behaviour-backup §3.2, §3.5).

use crate::action::parameters;
use crate::error::Stop;
use crate::reasons;
use crate::repo::reach;
use api_types::dp::{
    ActionSet, Backup, BackupActionSpec, BackupMethod, BackupPolicy, BackupRepo, BackupStatusTarget, BackupTarget,
    BackupType, Phase, PodSelectionStrategy,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The method of the policy that the backup names.
///
/// # Errors
/// Wait while the policy is not Available, Terminal where the method can not be carried out.
pub fn method<'a>(backup: &Backup, policy: &'a BackupPolicy) -> Result<&'a BackupMethod, Stop> {
    let name = &backup.spec.backup_method;
    let of = policy.name_any();
    if policy.status.as_ref().and_then(|s| s.phase.as_ref()) == Some(&Phase::Unavailable) {
        let why = policy.status.as_ref().and_then(|s| s.message.clone()).unwrap_or_default();
        return Err(Stop::wait(reasons::BACKUP_POLICY_UNAVAILABLE, format!("BackupPolicy {of} is Unavailable: {why}")));
    }
    let method = policy.spec.method(name).ok_or_else(|| {
        let known: Vec<&str> = policy.spec.backup_methods.iter().map(|m| m.name.as_str()).collect();
        Stop::terminal(
            reasons::BACKUP_METHOD_NOT_FOUND,
            format!("spec.backupMethod: BackupPolicy {of} has no method {name}; it has {}", known.join(", ")),
        )
    })?;
    if method.action_set_name().is_none() && !method.snapshot_volumes() {
        return Err(Stop::terminal(
            reasons::NO_BACKUP_ACTION,
            format!("method {name} of BackupPolicy {of} has neither actionSetName nor snapshotVolumes"),
        ));
    }
    Ok(method)
}

/// What the backups of a method are: what its ActionSet says, full where it only takes snapshots.
pub fn backup_type(actions: Option<&ActionSet>) -> BackupType {
    actions.map(|a| a.spec.backup_type.clone()).unwrap_or_default()
}

/// Whether the ActionSet's backup half can be carried out with these parameters. `None` is a method that only takes
/// snapshots.
///
/// # Errors
/// Terminal, naming the field.
pub fn check_actions(backup: &Backup, method: &BackupMethod, actions: Option<&ActionSet>) -> Result<(), Stop> {
    let Some(actions) = actions else {
        return match backup.spec.parameters.first() {
            None => Ok(()),
            Some(parameter) => Err(Stop::terminal(
                reasons::INVALID_PARAMETERS,
                format!("spec.parameters: method {} has no ActionSet that could take {}", method.name, parameter.name),
            )),
        };
    };
    let name = actions.name_any();
    let none = BackupActionSpec::default();
    let parts = actions.spec.backup.as_ref();
    if parts.is_none_or(|b| b.backup_data.is_none()) && !method.snapshot_volumes() {
        return Err(Stop::terminal(reasons::NO_BACKUP_ACTION, format!("ActionSet {name} has no backup.backupData")));
    }
    let parts = parts.unwrap_or(&none);
    for (field, hooks) in [("preBackup", &parts.pre_backup), ("postBackup", &parts.post_backup)] {
        for (i, hook) in hooks.iter().enumerate() {
            let wrong = match (&hook.exec, &hook.job) {
                (Some(exec), None) if exec.command.is_empty() => "exec.command is empty",
                (Some(exec), None) => match exec.timeout.as_deref().map(api_types::duration::parse) {
                    Some(Err(_)) => "exec.timeout is no duration such as 30s or 1h",
                    _ => continue,
                },
                (None, Some(_)) => continue,
                (Some(_), Some(_)) => "it has both exec and job; keep one",
                (None, None) => "it has neither exec nor job",
            };
            return Err(Stop::terminal(
                reasons::INVALID_ACTION,
                format!("ActionSet {name}: backup.{field}[{i}]: {wrong}"),
            ));
        }
    }
    parameters::check(&backup.spec.parameters, &parts.with_parameters, actions)
        .map_err(|why| Stop::terminal(reasons::INVALID_PARAMETERS, format!("spec.parameters: ActionSet {name}: {why}")))
}

/// Name of the repository: the backup's label, the policy's choice, or the single default one.
///
/// # Errors
/// Wait where there is no default repository, or more than one.
pub fn repo_name(backup: &Backup, policy: &BackupPolicy, defaults: &[String]) -> Result<String, Stop> {
    let label = backup.labels().get(api_types::contract::labels::BACKUP_REPO_NAME).cloned();
    let chosen = label.or_else(|| policy.spec.backup_repo_name.clone()).filter(|n| !n.is_empty());
    match (chosen, defaults) {
        (Some(name), _) => Ok(name),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Stop::wait(
            reasons::BACKUP_REPO_NOT_FOUND,
            "no BackupRepo is named in BackupPolicy.spec.backupRepoName, and none is Ready and annotated \
             dataprotection.kubeblocks.io/is-default-repo=true",
        )),
        (None, several) => Err(Stop::wait(
            reasons::BACKUP_REPO_NOT_FOUND,
            format!(
                "BackupRepos {} are all annotated as default; keep one, or name one in the BackupPolicy",
                several.join(", ")
            ),
        )),
    }
}

/// Whether the repository can be used now, and from `namespace`.
///
/// # Errors
/// Wait until it is Ready (behaviour-backup D13: not being Ready for a moment is no failed backup), and until it admits
/// the namespace.
pub fn check_repo(repo: &BackupRepo, namespace: &str) -> Result<(), Stop> {
    let name = repo.name_any();
    if !reach::admits(repo, namespace) {
        return Err(Stop::wait(
            reasons::BACKUP_REPO_FORBIDDEN,
            format!("BackupRepo {name}: spec.namespaces does not list {namespace}"),
        ));
    }
    if repo.is_ready() {
        return Ok(());
    }
    let status = repo.status.as_ref();
    let blocker = status.and_then(|s| s.conditions.iter().find(|c| c.status != "True"));
    let why = blocker.map_or_else(|| "it was not checked yet".to_owned(), |c| format!("{}: {}", c.reason, c.message));
    Err(Stop::wait(reasons::BACKUP_REPO_NOT_READY, format!("BackupRepo {name} is not Ready: {why}")))
}

/// A target whose pods were chosen.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// As the status records it.
    pub target: BackupStatusTarget,
    /// Labels of the first of its pods: whose they are.
    pub labels: BTreeMap<String, String>,
    /// Claims that its pods mount.
    pub claims: Vec<String>,
    /// Nodes of its pods, in their order.
    pub nodes: Vec<Option<String>>,
}

fn nodes_of(pods: &[&Pod]) -> Vec<Option<String>> {
    pods.iter().map(|p| p.spec.as_ref()?.node_name.clone().filter(|n| !n.is_empty())).collect()
}

fn claims_of(pods: &[&Pod]) -> Vec<String> {
    let volumes = pods.iter().filter_map(|p| p.spec.as_ref()?.volumes.as_ref()).flatten();
    volumes.filter_map(|v| Some(v.persistent_volume_claim.as_ref()?.claim_name.clone())).collect()
}

/// The pods that were chosen before: by name, whatever their labels and state are now, because a switchover moves the
/// role label (behaviour-backup §16.14).
///
/// # Errors
/// Wait while one of them is missing.
pub fn same_pods(target: &BackupTarget, before: &[String], pods: &[Pod]) -> Result<Chosen, Stop> {
    let there = |name: &String| pods.iter().find(|p| p.name_any() == *name);
    if let Some(missing) = before.iter().find(|name| there(name).is_none()) {
        return Err(Stop::wait(
            reasons::TARGET_POD_NOT_FOUND,
            format!("target pod {missing}, which the parent of this backup chose, is gone"),
        ));
    }
    let found: Vec<&Pod> = before.iter().filter_map(there).collect();
    let labels = found.first().map(|p| p.labels().clone()).unwrap_or_default();
    let mut recorded = BackupStatusTarget::from(target.clone());
    recorded.selected_target_pods = before.to_vec();
    Ok(Chosen { target: recorded, labels, claims: claims_of(&found), nodes: nodes_of(&found) })
}

/// The pods of one target to back up, chosen from those its selector matches (behaviour-backup
/// §3.5): the first available by name, or all of them.
///
/// # Errors
/// Wait until there is one.
pub fn target_pods(target: &BackupTarget, mut pods: Vec<Pod>) -> Result<Chosen, Stop> {
    pods.sort_by_key(ResourceExt::name_any);
    let selector = target.pod_selector.as_ref();
    let all = target.strategy() == PodSelectionStrategy::All;
    let chosen: Vec<&Pod> =
        if all { pods.iter().collect() } else { pods.iter().filter(|p| is_available(p)).take(1).collect() };
    let Some(first) = chosen.first() else {
        let labels = selector.map(|s| format!("{:?}", s.match_labels)).unwrap_or_default();
        let found = if pods.is_empty() {
            format!("no pod matches {labels}")
        } else {
            format!("none of {} pods that match {labels} is Ready", pods.len())
        };
        return Err(Stop::wait(reasons::TARGET_POD_NOT_FOUND, format!("target.podSelector: {found}")));
    };
    let mut recorded = BackupStatusTarget::from(target.clone());
    recorded.selected_target_pods = chosen.iter().map(|p| p.name_any()).collect();
    Ok(Chosen {
        target: recorded,
        labels: first.labels().clone(),
        claims: claims_of(&chosen),
        nodes: nodes_of(&chosen),
    })
}

/// Ready and not going away.
pub fn is_available(pod: &Pod) -> bool {
    let ready = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && ready.is_some_and(|c| c.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// After a switchover the role label selects another pod; a child goes on with the one that its parent used.
    #[test]
    fn rule_14_a_recorded_pod_is_found_by_its_name_whatever_its_labels_are_now() {
        let pod = |name: &str, role: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {"kubeblocks.io/role": role}}})).unwrap()
        };
        let target: BackupTarget = serde_json::from_value(json!({
            "podSelector": {"matchLabels": {"kubeblocks.io/role": "secondary"}}}))
        .unwrap();
        let pods = [pod("db-0", "secondary"), pod("db-1", "primary")];
        let same = same_pods(&target, &["db-1".to_owned()], &pods).unwrap();
        assert_eq!(same.target.selected_target_pods, ["db-1"]);
        let gone = same_pods(&target, &["db-2".to_owned()], &pods).unwrap_err();
        assert!(gone.message.contains("db-2"), "{}", gone.message);
    }
}
