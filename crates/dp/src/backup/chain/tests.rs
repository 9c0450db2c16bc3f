use super::*;
use serde_json::{Value, json};

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn actions(on_error: &str) -> ActionSetSpec {
    of(json!({"backupType": "Full", "backup": {
        "preBackup": [{"exec": {"command": ["a"], "onError": on_error}}, {"job": {"image": "i", "command": ["b"]}}],
        "backupData": {"image": "i", "command": ["c"], "onError": on_error},
        "postBackup": [{"exec": {"command": ["d"]}}],
    }}))
}

fn target(name: &str, pods: &[&str]) -> BackupStatusTarget {
    of(json!({"name": name, "selectedTargetPods": pods}))
}

fn names(chains: &[Chain<'_>]) -> Vec<Vec<String>> {
    chains.iter().map(|c| c.iter().map(|s| s.name.clone()).collect()).collect()
}

#[test]
fn every_pod_has_its_own_chain_named_as_the_reference_names_it() {
    let spec = actions("Fail");
    let method: BackupMethod = of(json!({"name": "m", "actionSetName": "a"}));
    let targets = [target("", &["p0"]), target("t", &["q0", "q1"])];
    let all = chains(&targets, &method, Some(&spec));
    assert_eq!(
        names(&all),
        [
            vec!["dp-prebackup-0-0", "dp-prebackup-1-0", "dp-backup-0", "dp-postbackup-0-0"],
            vec!["dp-prebackup-t-0-0", "dp-prebackup-t-1-0", "dp-backup-t-0", "dp-postbackup-t-0-0"],
            vec!["dp-prebackup-t-0-1", "dp-prebackup-t-1-1", "dp-backup-t-1", "dp-postbackup-t-0-1"],
        ]
    );
    assert!(all[0][0].is_exec() && !all[0][1].is_exec());
    let snapshot: BackupMethod = of(json!({"name": "m", "snapshotVolumes": true}));
    let targets = [target("t", &["p0"])];
    assert_eq!(names(&chains(&targets, &snapshot, None)), [vec!["createVolumeSnapshot-t-0"]]);
}

#[test]
fn bd23_a_chain_stops_at_the_first_failure_unless_it_may_go_on() {
    let method: BackupMethod = of(json!({"name": "m", "actionSetName": "a"}));
    let targets = [target("", &["p0"])];
    let status = |phases: [&str; 4]| -> Vec<ActionStatus> {
        let all = ["dp-prebackup-0-0", "dp-prebackup-1-0", "dp-backup-0", "dp-postbackup-0-0"];
        all.iter().zip(phases).map(|(name, phase)| of(json!({"name": name, "phase": phase}))).collect()
    };
    for (on_error, phases, wanted) in [
        ("Fail", ["New", "New", "New", "New"], Next::Begin(0)),
        ("Fail", ["Running", "New", "New", "New"], Next::Await),
        ("Fail", ["Completed", "New", "New", "New"], Next::Begin(1)),
        ("Fail", ["Failed", "New", "New", "New"], Next::Over),
        ("Continue", ["Failed", "New", "New", "New"], Next::Begin(1)),
        ("Fail", ["Completed", "Completed", "Failed", "New"], Next::Over),
        ("Continue", ["Completed", "Completed", "Failed", "New"], Next::Begin(3)),
        ("Fail", ["Completed", "Completed", "Completed", "Completed"], Next::Over),
    ] {
        let spec = actions(on_error);
        let all = chains(&targets, &method, Some(&spec));
        assert_eq!(next(&all[0], &status(phases)), wanted, "{on_error} {phases:?}");
    }
    let spec = actions("Continue");
    let all = chains(&targets, &method, Some(&spec));
    let may_fail: Vec<bool> = all[0].iter().map(Step::may_fail).collect();
    assert_eq!(may_fail, [true, false, false, false], "a backup without its data is never good");
}
