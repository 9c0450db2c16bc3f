//! Which snapshots an action takes, and of which class. Pure.

use super::{
    GROUP, IS_DEFAULT_CLASS, VERSION, VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotSource, VolumeSnapshotSpec,
};
use crate::backup::build::{with_owner, workload_labels};
use crate::error::Stop;
use crate::reasons;
use api_types::dp::{ActionStatus, Backup, BackupMethod, BackupStatusTarget};
use controller_kit::names;
use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

/// One snapshot that belongs to an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Name of the object.
    pub name: String,
    /// Volume of the pod.
    pub volume: String,
}

/// The snapshots of the action on this pod, in the order of the method.
pub fn expected(
    backup: &Backup,
    method: &BackupMethod,
    target: &BackupStatusTarget,
    pod_index: usize,
) -> Vec<Expected> {
    let volumes = method.target_volumes.as_ref().map(|v| v.volumes.as_slice()).unwrap_or_default();
    let (uid, of) = (backup.uid().unwrap_or_default(), backup.name_any());
    let index = pod_index.to_string();
    let one = |volume: &String| {
        let wire = match target.name() {
            "" => format!("{of}-{index}-{volume}"),
            target => format!("{of}-{target}-{index}-{volume}"),
        };
        let name = names::child(&wire, &[&uid, "snapshot", target.name(), &index, volume]);
        Expected { name, volume: volume.clone() }
    };
    volumes.iter().map(one).collect()
}

/// As [`expected`], for a recorded action.
pub fn expected_of(backup: &Backup, action: &ActionStatus) -> Vec<Expected> {
    let Some(status) = &backup.status else { return vec![] };
    let Some(method) = &status.backup_method else { return vec![] };
    let chains = crate::backup::chain::chains(status.targets(), method, None);
    let step = chains.iter().flatten().find(|s| Some(s.name.as_str()) == action.name.as_deref());
    step.map(|s| expected(backup, method, s.target, s.pod_index)).unwrap_or_default()
}

/// Name of the claim behind each expected snapshot.
///
/// # Errors
/// Terminal, naming the volume that is no claim, or the field that names none.
pub fn claims(pod: &Pod, method: &BackupMethod, wanted: &[Expected]) -> Result<Vec<String>, Stop> {
    let refuse = |what: String| Err(Stop::terminal(reasons::VOLUME_NOT_SUPPORTED, what));
    if wanted.is_empty() {
        return refuse(format!(
            "method {}: targetVolumes.volumes names no volume; a snapshot needs the names of the pod's volumes",
            method.name
        ));
    }
    let volumes = pod.spec.as_ref().and_then(|s| s.volumes.as_deref()).unwrap_or_default();
    let mut claims = Vec::new();
    for Expected { volume, .. } in wanted {
        let Some(found) = volumes.iter().find(|v| v.name == *volume) else {
            return refuse(format!("targetVolumes.volumes: pod {} has no volume {volume}", pod.name_any()));
        };
        let Some(claim) = &found.persistent_volume_claim else {
            return refuse(format!(
                "targetVolumes.volumes: volume {volume} of pod {} is no PersistentVolumeClaim; only those can be \
                 snapshot",
                pod.name_any()
            ));
        };
        claims.push(claim.claim_name.clone());
    }
    Ok(claims)
}

/// The driver behind a volume.
///
/// # Errors
/// Terminal where it is no CSI driver.
pub fn driver<'a>(volume: &'a PersistentVolume, claim: &str) -> Result<&'a str, Stop> {
    let csi = volume.spec.as_ref().and_then(|s| s.csi.as_ref());
    csi.map(|c| c.driver.as_str()).ok_or_else(|| {
        Stop::terminal(
            reasons::VOLUME_NOT_SUPPORTED,
            format!(
                "PersistentVolumeClaim {claim}: its PersistentVolume {} has no CSI driver, and only those take snapshots",
                volume.name_any()
            ),
        )
    })
}

/// The class for a driver: the default one where there is one, else the first by name (behaviour-backup D29).
///
/// # Errors
/// Wait until there is one.
pub fn class(driver: &str, classes: &[VolumeSnapshotClass]) -> Result<String, Stop> {
    let default = |c: &VolumeSnapshotClass| c.annotations().get(IS_DEFAULT_CLASS).map(String::as_str) == Some("true");
    let of = classes.iter().filter(|c| c.driver == driver);
    let best = of.min_by_key(|c| (!default(c), c.name_any()));
    best.map(ResourceExt::name_any).ok_or_else(|| {
        Stop::wait(
            reasons::SNAPSHOT_CLASS_NOT_FOUND,
            format!("no VolumeSnapshotClass has the driver {driver}; make one"),
        )
    })
}

/// The object. `labels` of the Backup travel with it.
pub fn build(backup: &Backup, wanted: &Expected, claim: &str, class: &str) -> VolumeSnapshot {
    VolumeSnapshot {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "VolumeSnapshot".into(),
        metadata: ObjectMeta {
            name: Some(wanted.name.clone()),
            namespace: backup.namespace(),
            labels: Some(with_owner(workload_labels(backup), backup)),
            ..ObjectMeta::default()
        },
        spec: VolumeSnapshotSpec {
            volume_snapshot_class_name: Some(class.to_owned()),
            source: VolumeSnapshotSource { persistent_volume_claim_name: Some(claim.to_owned()) },
        },
        status: None,
    }
}

/// Whether the snapshot belongs to that backup.
pub fn is_of(snapshot: &VolumeSnapshot, uid: &str) -> bool {
    snapshot.labels().get(job_runtime::OWNER_UID_LABEL).map(String::as_str) == Some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn bd29_the_default_class_of_the_driver_is_preferred() {
        let class_of = |name: &str, driver: &str, default: &str| -> VolumeSnapshotClass {
            of(json!({"metadata": {"name": name, "annotations": {IS_DEFAULT_CLASS: default}}, "driver": driver}))
        };
        let all = [class_of("a", "d", "false"), class_of("z", "d", "true"), class_of("0", "other", "true")];
        assert_eq!(class("d", &all), Ok("z".into()));
        assert_eq!(class("d", &all[..1]), Ok("a".into()));
        assert_eq!(class("none", &all).unwrap_err().reason, reasons::SNAPSHOT_CLASS_NOT_FOUND);
    }

    #[test]
    fn each_volume_has_its_snapshot_and_what_is_none_is_named() {
        let backup: Backup = of(json!({"metadata": {"name": "b", "namespace": "n", "uid": "u"}, "spec": {}}));
        let method =
            |volumes: Value| -> BackupMethod { of(json!({"name": "s", "targetVolumes": {"volumes": volumes}})) };
        let target: BackupStatusTarget = of(json!({"name": "t"}));
        let two = method(json!(["data", "log"]));
        let names: Vec<String> = expected(&backup, &two, &target, 1).into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["b-t-1-data", "b-t-1-log"]);
        let pod: Pod = of(json!({"metadata": {"name": "db-0"}, "spec": {"containers": [], "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}},
            {"name": "log", "persistentVolumeClaim": {"claimName": "log-db-0"}},
            {"name": "tmp", "emptyDir": {}}]}}));
        let claims_of = |method: &BackupMethod| claims(&pod, method, &expected(&backup, method, &target, 1));
        assert_eq!(claims_of(&two), Ok(vec!["data-db-0".into(), "log-db-0".into()]));
        for (volumes, part) in [
            (json!([]), "targetVolumes.volumes names no volume"),
            (json!(["gone"]), "pod db-0 has no volume gone"),
            (json!(["tmp"]), "volume tmp of pod db-0 is no PersistentVolumeClaim"),
        ] {
            let said = claims_of(&method(volumes)).unwrap_err().message;
            assert!(said.contains(part), "{said}");
        }
    }
}
