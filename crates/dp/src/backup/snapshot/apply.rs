//! Takes, looks at and deletes the snapshots of a backup.

use super::plan::{self, Expected, is_of};
use super::{VolumeSnapshot, VolumeSnapshotClass};
use crate::awaited::Marks;
use crate::backup::apply::Hands;
use crate::error::{Error, Stop};
use crate::reasons;
use api_types::dp::{Backup, BackupMethod};
use controller_kit::Key;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{ListParams, PropagationPolicy};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

fn api(hands: &Hands, backup: &Backup) -> Api<VolumeSnapshot> {
    hands.writer.namespaced(&backup.namespace().unwrap_or_default())
}

fn selector(backup: &Backup) -> String {
    format!("{OWNER_UID_LABEL}={}", backup.uid().unwrap_or_default())
}

/// All snapshots of the backup; `None` where the kind is not installed.
pub async fn list(hands: &Hands, backup: &Backup) -> Result<Option<Vec<VolumeSnapshot>>, Error> {
    let params = ListParams::default().labels(&selector(backup));
    match hands.writer.list(&api(hands, backup), &params).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Looks at the backup again when its snapshots are no longer as they were seen.
pub fn follow(hands: &Hands, backup: &Backup, seen: &[VolumeSnapshot]) {
    let version = |s: &VolumeSnapshot| s.resource_version();
    let marks: Marks = seen.iter().filter_map(|s| Some((s.name_any(), version(s)?))).collect();
    let config = watcher::Config::default().labels(&selector(backup));
    hands.targets.awaited.changes(Key::of(backup), "snapshots", api(hands, backup), config, marks, version);
}

/// Makes the snapshots of one action.
pub async fn take(
    hands: &Hands,
    backup: &Backup,
    method: &BackupMethod,
    wanted: &[Expected],
    pod: &Pod,
) -> Result<Result<(), Stop>, Error> {
    let claims = match plan::claims(pod, method, wanted) {
        Ok(claims) => claims,
        Err(stop) => return Ok(Err(stop)),
    };
    let classes = match hands.writer.list(&hands.writer.cluster::<VolumeSnapshotClass>(), &ListParams::default()).await
    {
        Ok(classes) => classes,
        Err(error) if error.is_not_found() => {
            follow_classes(hands, backup, &[]);
            return Ok(Err(Stop::wait(
                reasons::SNAPSHOTS_NOT_INSTALLED,
                "the kinds of snapshot.storage.k8s.io/v1 are not installed in this cluster; install the snapshot \
                 controller and a CSI driver that takes snapshots",
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let mut objects = Vec::new();
    for (expected, claim) in wanted.iter().zip(&claims) {
        let volume = match volume_of(hands, backup, claim).await? {
            Ok(volume) => volume,
            Err(stop) => return Ok(Err(stop)),
        };
        match plan::driver(&volume, claim).and_then(|driver| plan::class(driver, &classes)) {
            Ok(class) => objects.push(plan::build(backup, expected, claim, &class)),
            Err(stop) => {
                follow_classes(hands, backup, &classes);
                return Ok(Err(stop));
            }
        }
    }
    let uid = backup.uid().unwrap_or_default();
    for object in objects {
        let name = object.name_any();
        match hands.writer.create(&api(hands, backup), &object).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {
                let found = hands.writer.get(&api(hands, backup), &name).await?;
                if !found.is_none_or(|s| is_of(&s, &uid)) {
                    return Ok(Err(Stop::terminal(
                        reasons::SNAPSHOT_NAME_COLLISION,
                        format!("VolumeSnapshot {name} belongs to somebody else; delete it or rename the Backup"),
                    )));
                }
            }
            Err(error) if error.is_invalid() => {
                return Ok(Err(Stop::terminal(reasons::JOB_REFUSED, controller_kit::error::chain(&error))));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Ok(()))
}

async fn volume_of(hands: &Hands, backup: &Backup, claim: &str) -> Result<Result<PersistentVolume, Stop>, Error> {
    let claims: Api<PersistentVolumeClaim> = hands.writer.namespaced(&backup.namespace().unwrap_or_default());
    let found = hands.writer.get(&claims, claim).await?;
    let bound = found.and_then(|c| c.spec?.volume_name).filter(|n| !n.is_empty());
    let unbound = || {
        let what = format!("PersistentVolumeClaim {claim} is not bound to a volume");
        Stop::wait(reasons::VOLUME_NOT_SUPPORTED, what)
    };
    let volume = match bound {
        Some(name) => hands.writer.get(&hands.writer.cluster::<PersistentVolume>(), &name).await?,
        None => None,
    };
    if volume.is_none() {
        let bound = |c: &PersistentVolumeClaim| c.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
        hands.targets.awaited.object(Key::of(backup), claims, claim, bound);
    }
    Ok(volume.ok_or_else(unbound))
}

/// Looks at the backup again when there are other classes.
fn follow_classes(hands: &Hands, backup: &Backup, seen: &[VolumeSnapshotClass]) {
    let mark = |c: &VolumeSnapshotClass| Some(c.driver.clone());
    let marks: Marks = seen.iter().map(|c| (c.name_any(), c.driver.clone())).collect();
    let api = hands.writer.cluster::<VolumeSnapshotClass>();
    hands.targets.awaited.changes(Key::of(backup), "classes", api, watcher::Config::default(), marks, mark);
}

/// Deletes the snapshots of the backup; true when none is left.
pub async fn all_gone(hands: &Hands, backup: &Backup) -> Result<bool, Error> {
    let took =
        backup.status.as_ref().is_some_and(|s| s.backup_method.as_ref().is_some_and(BackupMethod::snapshot_volumes));
    if !took {
        return Ok(true);
    }
    let Some(found) = list(hands, backup).await? else { return Ok(true) };
    for snapshot in found.iter().filter(|s| s.metadata.deletion_timestamp.is_none()) {
        let uid = snapshot.uid().unwrap_or_default();
        hands.writer.delete(&api(hands, backup), &snapshot.name_any(), &uid, PropagationPolicy::Background).await?;
    }
    if !found.is_empty() {
        follow(hands, backup, &found);
    }
    Ok(found.is_empty())
}
