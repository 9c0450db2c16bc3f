//! What the snapshots of an action came to. Pure.

use super::VolumeSnapshot;
use super::plan::{Expected, is_of};
use crate::backup::fold::{Limits, Progress, Yield};
use crate::error::Stop;
use crate::reasons;
use api_types::dp::{BackupTimeRange, VolumeSnapshotStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

/// What a driver says that no time mends.
const FINAL: [&str; 3] = [
    "default snapshot class",
    "failed to get input parameters to create snapshot",
    "cannot find CSI PersistentVolumeSource",
];

/// How far an action is. `begun` says that all its snapshots were there once.
pub fn progress(
    wanted: &[Expected],
    found: &[VolumeSnapshot],
    uid: &str,
    begun: bool,
    limits: Limits,
    now: Timestamp,
) -> Option<Progress> {
    let mut mine = Vec::new();
    for expected in wanted {
        match found.iter().find(|s| s.name_any() == expected.name && is_of(s, uid)) {
            Some(snapshot) => mine.push((expected, snapshot)),
            None if begun => {
                let why = format!("VolumeSnapshot {} was deleted before it was ready", expected.name);
                return Some(Progress::Failed { at: None, why });
            }
            None => return None,
        }
    }
    let state = |s: &VolumeSnapshot| s.status.clone().unwrap_or_default();
    let ready = |s: &VolumeSnapshot| state(s).ready_to_use == Some(true);
    if mine.iter().all(|(_, s)| ready(s)) {
        return Some(Progress::Succeeded { at: None, left: left(&mine) });
    }
    let (expected, waiting) = mine.into_iter().find(|(_, s)| !ready(s))?;
    let since = waiting.creation_timestamp().map_or(now, |t| t.0);
    let age = now.duration_since(since);
    let said = state(waiting).error.and_then(|e| e.message).unwrap_or_default();
    let name = &expected.name;
    if FINAL.iter().any(|text| said.contains(text)) {
        return Some(Progress::Failed { at: None, why: format!("VolumeSnapshot {name}: {said}") });
    }
    let late = !said.is_empty() && age >= limits.start || limits.action.is_some_and(|limit| age >= limit);
    if late {
        let what = if said.is_empty() { "it is not ready" } else { &said };
        let after = api_types::duration::format(age);
        let why = format!("{}: VolumeSnapshot {name} after {after}: {what}", reasons::DEADLINE_EXCEEDED);
        return Some(Progress::Failed { at: None, why });
    }
    let blocked =
        (!said.is_empty()).then(|| Stop::wait(reasons::VOLUME_NOT_SUPPORTED, format!("VolumeSnapshot {name}: {said}")));
    Some(Progress::Running { blocked })
}

/// When a snapshot that is not ready is late at the latest.
pub fn late_at(found: &[VolumeSnapshot], limits: Limits) -> Option<Timestamp> {
    let pending = found.iter().filter(|s| s.status.as_ref().and_then(|s| s.ready_to_use) != Some(true));
    let late = |s: &VolumeSnapshot| {
        let troubled = s.status.as_ref().is_some_and(|s| s.error.is_some());
        let limit = if troubled { Some(limits.start) } else { limits.action };
        s.creation_timestamp()?.0.checked_add(limit?).ok()
    };
    pending.filter_map(late).min()
}

/// Sizes add up; the data is of the moment the snapshots were taken.
fn left(mine: &[(&Expected, &VolumeSnapshot)]) -> Yield {
    let states = || mine.iter().filter_map(|(_, s)| s.status.as_ref());
    let sizes: Vec<u64> = states().filter_map(|s| bytes(&s.restore_size.as_ref()?.0)).collect();
    let times: Vec<Timestamp> = states().filter_map(|s| s.creation_time.as_ref()).map(|t| t.0).collect();
    let range = times.iter().min().zip(times.iter().max()).map(|(start, end)| BackupTimeRange {
        time_zone: None,
        start: Some(Time(*start)),
        end: Some(Time(*end)),
    });
    let one = |(expected, snapshot): &(&Expected, &VolumeSnapshot)| VolumeSnapshotStatus {
        name: Some(expected.name.clone()),
        content_name: snapshot.status.as_ref().and_then(|s| s.bound_volume_snapshot_content_name.clone()),
        volume_name: Some(expected.volume.clone()),
        size: snapshot.status.as_ref().and_then(|s| s.restore_size.as_ref()).map(|q| q.0.clone()),
        target_name: None,
    };
    Yield {
        total_size: (!sizes.is_empty()).then(|| sizes.iter().sum::<u64>().to_string()),
        time_range: range,
        extras: vec![],
        snapshots: mine.iter().map(one).collect(),
    }
}

/// Bytes of a Kubernetes quantity; `None` where it is none, or no whole number of bytes.
fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match quantity.get(digits.len()..)? {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    const LIMITS: Limits =
        Limits { start: SignedDuration::from_secs(600), action: Some(SignedDuration::from_hours(24)) };

    fn snapshot(name: &str, status: &Value) -> VolumeSnapshot {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"holdfast.dev/owner-uid": "u"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"source": {}}, "status": status,
        }))
        .unwrap()
    }

    fn at(minutes: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn bd29_every_error_ends_and_only_what_is_ready_counts() {
        let wanted = ["a", "b"].map(|n| Expected { name: n.into(), volume: format!("v-{n}") });
        let ready = json!({"readyToUse": true, "restoreSize": "1Gi", "creationTime": "2026-01-01T00:00:05Z",
            "boundVolumeSnapshotContentName": "content"});
        let look = |b: &Value, begun: bool, minutes: i64| {
            let found = [snapshot("a", &ready), snapshot("b", b)];
            progress(&wanted, &found, "u", begun, LIMITS, at(minutes))
        };
        let failed = |seen: Option<Progress>| match seen {
            Some(Progress::Failed { why, .. }) => why,
            other => panic!("{other:?}"),
        };
        let Some(Progress::Succeeded { left, .. }) = look(&ready, true, 1) else { panic!("both are ready") };
        assert_eq!(left.total_size.as_deref(), Some("2147483648"));
        assert_eq!(left.snapshots[1].volume_name.as_deref(), Some("v-b"));
        assert_eq!(left.time_range.unwrap().end.unwrap().0, at(0) + SignedDuration::from_secs(5));

        assert_eq!(
            look(&json!(null), true, 60),
            Some(Progress::Running { blocked: None }),
            "a large volume takes long"
        );
        let unknown = json!({"error": {"message": "rpc error: quota"}});
        assert!(matches!(look(&unknown, true, 9), Some(Progress::Running { blocked: Some(_) })));
        assert!(failed(look(&unknown, true, 10)).contains("rpc error: quota"));
        assert!(failed(look(&json!(null), true, 24 * 60)).contains("DeadlineExceeded"));
        let known = json!({"error": {"message": "cannot find CSI PersistentVolumeSource for volume x"}});
        assert!(failed(look(&known, true, 0)).contains("CSI"));
        assert_eq!(late_at(&[snapshot("b", &unknown)], LIMITS), Some(at(10)));

        let missing = |begun| progress(&wanted, &[snapshot("a", &ready)], "u", begun, LIMITS, at(1));
        assert_eq!(missing(false), None, "the rest is made");
        assert!(failed(missing(true)).contains("was deleted"));
        assert_eq!(
            progress(&wanted, &[snapshot("a", &ready), snapshot("b", &ready)], "other", false, LIMITS, at(1)),
            None
        );
    }

    #[test]
    fn quantities() {
        assert_eq!(["5", "1Ki", "2G", "x", "1.5Gi"].map(bytes), [Some(5), Some(1024), Some(2_000_000_000), None, None]);
    }
}
