//! The Jobs of `backup.preDelete`, which run before the files of a backup go (behaviour-backup §6.8). Pure.

use super::job::Shell;
use crate::action::env::{literal, merge};
use crate::action::image;
use crate::action::mover::{self, Storage};
use crate::action::pod::PodSettings;
use crate::backup::{env, paths};
use crate::error::Stop;
use api_types::contract::names::{PRE_DELETE_INFIX, uid8};
use api_types::dp::{ActionSetSpec, Backup, BackupMethod, BackupStatusTarget};
use controller_kit::names as child;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, Pod};
use kube::ResourceExt;
use mover_protocol as protocol;

/// Names of the Jobs: one, or one for each of several targets; none where nothing is to run.
pub fn names(backup: &Backup, actions: Option<&ActionSetSpec>) -> Vec<String> {
    let wanted = actions.and_then(|a| a.backup.as_ref()).is_some_and(|b| b.pre_delete.is_some());
    if !wanted {
        return vec![];
    }
    let uid = backup.uid().unwrap_or_default();
    let name = backup.name_any();
    let several = backup.status.as_ref().map(|s| s.targets.as_slice()).unwrap_or_default();
    let one = |wire: String, part: &str| child::child(&wire, &[&uid, PRE_DELETE_INFIX, part]);
    if several.is_empty() {
        return vec![one(format!("{}-{PRE_DELETE_INFIX}-{name}", uid8(&uid)), "")];
    }
    let of = |(i, target): (usize, &BackupStatusTarget)| {
        let wire = format!("{}-{PRE_DELETE_INFIX}-{i}-{}-{name}", uid8(&uid), target.name());
        one(wire, &i.to_string())
    };
    several.iter().enumerate().map(of).collect()
}

/// The target of the Job at this place.
pub fn target(backup: &Backup, place: usize) -> Option<&BackupStatusTarget> {
    let status = backup.status.as_ref()?;
    if status.targets.is_empty() { status.target.as_ref() } else { status.targets.get(place) }
}

/// The Job at this place. `pod` is a pod of the database, while the Cluster of the backup is there.
///
/// # Errors
/// Terminal where the pod lacks the port that the target names.
pub fn job(
    backup: &Backup,
    actions: &ActionSetSpec,
    place: usize,
    pod: Option<&Pod>,
    storage: Option<&Storage>,
    settings: &PodSettings,
) -> Result<Option<Job>, Stop> {
    let Some(pre_delete) = actions.backup.as_ref().and_then(|b| b.pre_delete.as_ref()) else { return Ok(None) };
    let Some(name) = names(backup, Some(actions)).into_iter().nth(place) else { return Ok(None) };
    let none = BackupMethod::default();
    let method = backup.status.as_ref().and_then(|s| s.backup_method.as_ref()).unwrap_or(&none);
    let env = environment(backup, actions, method, place, pod)?;
    let shell = Shell {
        name,
        image: image::expand(&pre_delete.image, &env),
        command: mover::wrapped(&pre_delete.command),
        env,
        account: Some(settings.worker_account.clone()),
    };
    Ok(Some(super::job::shell(backup, shell, storage, settings)))
}

fn environment(
    backup: &Backup,
    actions: &ActionSetSpec,
    method: &BackupMethod,
    place: usize,
    pod: Option<&Pod>,
) -> Result<Vec<EnvVar>, Stop> {
    let status = backup.status.as_ref();
    let path = status.and_then(|s| s.path.clone()).unwrap_or_default();
    let target = target(backup, place);
    let several = status.is_some_and(|s| !s.targets.is_empty());
    let part = target.filter(|_| several).map(BackupStatusTarget::name).unwrap_or_default();
    let mut env = vec![
        literal(protocol::env::BACKUP_BASE_PATH, paths::join(&[&path, part])),
        literal(protocol::env::BACKUP_NAME, backup.name_any()),
    ];
    if let (Some(pod), Some(target)) = (pod, target) {
        let first = pod.spec.as_ref().and_then(|s| s.containers.first());
        env.extend(first.and_then(|c| c.env.clone()).unwrap_or_default());
        env.extend(env::connection(target, pod)?);
    }
    env.extend(actions.env.iter().cloned());
    merge(&mut env, &method.env);
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn rule_11_one_job_for_each_target_with_the_image_the_method_names() {
        let actions: ActionSetSpec = of(json!({"backupType": "Full", "env": [{"name": "TAG", "value": "1"}],
            "backup": {"preDelete": {"image": "tool:$(TAG)", "command": ["sh", "-c", "x"]}}}));
        let settings = PodSettings {
            mover_image: "m".into(),
            zero_resources: true,
            worker_account: "worker".into(),
            placement: crate::action::placement::Placement::default(),
        };
        let backup: Backup = of(json!({
            "metadata": {"name": "b", "namespace": "n", "uid": "11112222-3333"}, "spec": {},
            "status": {"path": "/n/b", "backupMethod": {"name": "m", "env": [{"name": "TAG", "value": "2"}]},
                "targets": [{"name": "s0"}, {"name": "s1"}]},
        }));
        assert_eq!(names(&backup, Some(&actions)), ["11112222-predelete-0-s0-b", "11112222-predelete-1-s1-b"]);
        let storage = Storage::of(&backup, mover::Repository::Mounted { claim: "c".into() });
        let job = job(&backup, &actions, 1, None, Some(&storage), &settings).unwrap().unwrap();
        let pod = job.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), Some("worker"));
        let container = &pod.containers[0];
        assert_eq!(container.name, "deleter");
        assert_eq!(container.image.as_deref(), Some("tool:2"));
        let env: Vec<(&str, &str)> =
            container.env.iter().flatten().map(|v| (v.name.as_str(), v.value.as_deref().unwrap_or(""))).collect();
        assert_eq!(env[..3], [("DP_BACKUP_BASE_PATH", "/n/b/s1"), ("DP_BACKUP_NAME", "b"), ("TAG", "2")]);
        assert_eq!(names(&backup, None), Vec::<String>::new(), "BD17: without the ActionSet nothing runs");
    }
}
