//! Claims that name a Backup: which are served, what is chosen for them, what fails them at once.

use e2e_api::objects::{
    self, claims, completed_backup, completed_status, condition, create, message, patch_claim, prepare_data,
    prime_name, set_backup_status, until_restore,
};
use e2e_api::populate::{
    assert_filled, assert_nothing_was_made, events_of, loose_volume, own_class, pods_end, refuse, told, until_pod_runs,
    until_volume, writes,
};
use e2e_api::{IMMEDIATE, PATIENCE, stage};
use kube::ResourceExt;
use serde_json::{Value, json};
use test_kit::builders::{self, Binding, Claim};
use test_kit::{Outcome, wait};

const PARAMETERS: &str = "apps.kubeblocks.io/restore-parameters";
const TARGET: &str = "dataprotection.kubeblocks.io/source-target-name";
const VOLUME: &str = "apps.kubeblocks.io/restore-volume-template";
const RETRY: &str = "holdfast.dev/retry";

/// Case 21: PV claimRef carries the target UID and target volumeName equals the PV.
#[tokio::test]
async fn restore_21_a_claim_gets_the_volume_that_was_filled() {
    let (stage, company) = stage("happy").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    let volume = objects::volume_of(&stage, &claim).await;
    let holder = volume.spec.as_ref().and_then(|s| s.claim_ref.clone()).unwrap();
    assert_eq!(holder.uid, claim.uid());
    assert_eq!(volume.annotations()["dataprotection.kubeblocks.io/populate-from"], "b");
    assert_eq!(assert_filled(&stage, company, &claim).await, 1);
    assert_eq!(condition(&claim, "Populating").unwrap().reason.as_deref(), Some("Succeed"));
}

/// Case 1: a claim without dataSourceRef, or with a VolumeSnapshot, or of another kind of the group,
/// sees no write of ours.
#[tokio::test]
async fn restore_1_claims_of_other_sources_are_left_alone() {
    let (stage, company) = stage("foreign").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let snapshot = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"});
    let policy = json!({"apiGroup": "dataprotection.kubeblocks.io", "kind": "BackupPolicy", "name": "p"});
    let plain = Claim::new("stranger-plain", IMMEDIATE);
    let of = |name: &str, source: &Value| Claim::new(name, IMMEDIATE).data_source_ref(source);
    for claim in [plain, of("stranger-snapshot", &snapshot), of("stranger-policy", &policy)] {
        claim.create(&stage.client, &stage.namespace).await;
    }
    // One that is ours comes last: once it is served, the others had their turn.
    Claim::new("ours", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_restore(&stage, "ours", "True", "Succeed").await;
    let mut touched = writes(&stage, company);
    assert!(touched.iter().any(|w| w.request.name == "ours"), "the journal shows writes:\n{}", told(&touched));
    touched.retain(|w| w.request.name.starts_with("stranger") || w.body.contains("stranger"));
    assert!(touched.is_empty(), "{}", told(&touched));
    for name in ["stranger-plain", "stranger-snapshot", "stranger-policy"] {
        let claim = claims(&stage).get(name).await.unwrap();
        assert!(condition(&claim, "Restore").is_none() && condition(&claim, "Populating").is_none(), "{claim:?}");
    }
}

/// Waits for the one condition that tells what is wrong: reason, and every fragment in the message.
/// Says so in an event too, and made nothing.
async fn until_refused(stage: &e2e_api::Stage, name: &str, reason: &str, fragments: &[&str]) {
    let claim = until_restore(stage, name, "False", reason).await;
    let said = message(&claim);
    for fragment in fragments {
        assert!(said.contains(fragment), "{name}: {fragment:?} is not in {said:?}");
    }
    assert!(!said.contains("Some(") && !said.contains("Error {"), "{name}: not for people: {said:?}");
    let populating = condition(&claim, "Populating").unwrap();
    assert_eq!((populating.status.as_str(), populating.reason.as_deref()), ("True", Some("Failed")));
    assert_eq!(populating.message.as_deref(), Some(said.as_str()));
    wait::eventually(PATIENCE, "an event", async || {
        let events = events_of(stage, name).await;
        let told = events.iter().any(|(reason, text)| reason == "VolumePopulateFailed" && *text == said);
        if told { Ok(()) } else { Err(format!("{events:?}")) }
    })
    .await;
}

/// Cases 6 and D7e: neither stage in the ActionSet fails before any prime claim exists.
#[tokio::test]
async fn restore_6_no_restore_action_fails_before_anything_is_made() {
    let (stage, company) = stage("no-action").await;
    let actions = objects::action_set(&stage, json!({})).await;
    completed_backup(&stage, "b", &actions).await;
    Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_refused(&stage, "data", "NoRestoreAction", &["ActionSet", &actions, "prepareData", "postReady"]).await;
    assert_nothing_was_made(&stage, company);
}

/// D7a, D7e: a volume asked for directly can not be filled by postReady alone.
#[tokio::test]
async fn d7_only_post_ready_does_not_fill_a_volume_asked_for_directly() {
    let (stage, company) = stage("post-ready").await;
    let exec = json!({"postReady": [{"exec": {"container": "db", "command": ["sh", "-c", "true"]}}]});
    let actions = objects::action_set(&stage, exec).await;
    completed_backup(&stage, "b", &actions).await;
    Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_refused(&stage, "data", "NoDataRestored", &["ActionSet", &actions, "running database"]).await;
    assert_nothing_was_made(&stage, company);
}

/// Cases 20 and 26, and a class that can not be populated: told at once.
#[tokio::test]
async fn restore_20_26_volumes_that_can_not_be_filled_fail_at_once() {
    let (stage, company) = stage("unfillable").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let in_tree = format!("in-tree-{}", stage.namespace);
    builders::storage_class(&stage.client, &in_tree, "kubernetes.io/aws-ebs", Binding::Immediate).await;
    let of = |name: &str, class: &str| Claim::new(name, class).from_backup("b");
    of("in-tree", &in_tree).create(&stage.client, &stage.namespace).await;
    of("block", IMMEDIATE).spec("volumeMode", &json!("Block")).create(&stage.client, &stage.namespace).await;
    of("static", "").create(&stage.client, &stage.namespace).await;
    let provisioner = ["StorageClass", in_tree.as_str(), "kubernetes.io/aws-ebs"];
    until_refused(&stage, "in-tree", "InTreeProvisioner", &provisioner).await;
    until_refused(&stage, "block", "BlockVolume", &["spec.volumeMode", "Block"]).await;
    until_refused(&stage, "static", "StaticClass", &["spec.storageClassName"]).await;
    assert_nothing_was_made(&stage, company);
}

/// D24 and input that can not be read: each is told by the name of its annotation, and nothing is made.
#[tokio::test]
async fn d24_bad_annotations_are_refused_by_name() {
    let (stage, company) = stage("bad-input").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let reserved = |key: &str, value: &Value| {
        json!({ (format!("dataprotection.kubeblocks.io/{key}")): value.as_str().map_or_else(|| value.to_string(), str::to_owned) })
            .to_string()
    };
    let env = |vars: Value| reserved("restore-env", &vars);
    let secret = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    let refused_env = |name: &'static str| vec!["dataprotection.kubeblocks.io/restore-env", name];
    let cases: Vec<(&str, &str, String, &str, Vec<&str>)> = vec![
        ("json", PARAMETERS, "{not json".into(), "InvalidRestoreParameters", vec![PARAMETERS, "JSON"]),
        ("numbers", PARAMETERS, r#"{"a": 1}"#.into(), "InvalidRestoreParameters", vec![PARAMETERS, "text"]),
        (
            "loader-parameter",
            PARAMETERS,
            r#"{"LD_PRELOAD": "/x.so"}"#.into(),
            "InvalidRestoreParameters",
            vec![PARAMETERS, "LD_PRELOAD"],
        ),
        ("from-secret", PARAMETERS, env(secret), "InvalidRestoreEnv", refused_env("KEY")),
        (
            "loader",
            PARAMETERS,
            env(json!([{"name": "LD_PRELOAD", "value": "/x.so"}])),
            "InvalidRestoreEnv",
            refused_env("LD_PRELOAD"),
        ),
        (
            "python",
            PARAMETERS,
            env(json!([{"name": "PYTHONSTARTUP", "value": "/x"}])),
            "InvalidRestoreEnv",
            refused_env("PYTHONSTARTUP"),
        ),
        ("env-json", PARAMETERS, env(json!("[")), "InvalidRestoreEnv", refused_env("JSON")),
        (
            "policy",
            PARAMETERS,
            reserved("volume-restore-policy", &json!("Random")),
            "InvalidVolumeRestorePolicy",
            vec!["dataprotection.kubeblocks.io/volume-restore-policy", "Random", "Parallel", "Serial"],
        ),
        (
            "time",
            "apps.kubeblocks.io/restore-pitr",
            "yesterday".into(),
            "InvalidRestoreTime",
            vec!["apps.kubeblocks.io/restore-pitr", "yesterday"],
        ),
        ("target", TARGET, "nobody".into(), "TargetNotFound", vec![TARGET, "Backup two", "nobody", "one"]),
        ("volume", VOLUME, "wal".into(), "VolumeNotInBackup", vec![VOLUME, "Backup two", "wal", "data"]),
    ];
    two_targets(&stage, "two", &actions).await;
    for (name, key, value, ..) in &cases {
        let backup = if *key == TARGET || *key == VOLUME { "two" } else { "b" };
        let mut claim = Claim::new(name, IMMEDIATE).from_backup(backup).annotation(key, value);
        if *key == VOLUME {
            claim = claim.annotation(TARGET, "one");
        }
        claim.create(&stage.client, &stage.namespace).await;
    }
    for (name, _, _, reason, fragments) in &cases {
        until_refused(&stage, name, reason, fragments).await;
    }
    assert_nothing_was_made(&stage, company);
}

/// A literal variable and a known word pass: the refusals above are about what they say.
#[tokio::test]
async fn d24_literals_reach_the_restore_pod() {
    let (stage, company) = stage("literals").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let parameters = json!({
        "dataprotection.kubeblocks.io/restore-env": r#"[{"name":"MODE","value":"fast"}]"#,
        "dataprotection.kubeblocks.io/volume-restore-policy": "Parallel",
    });
    pods_end(&stage, company, Outcome::Hold);
    let claim = Claim::new("data", IMMEDIATE).from_backup("b").annotation(PARAMETERS, &parameters.to_string());
    let claim = claim.create(&stage.client, &stage.namespace).await;
    let pod = until_pod_runs(&stage, &claim).await;
    let env = pod.spec.unwrap().containers.swap_remove(0).env.unwrap();
    let mode = env.iter().find(|v| v.name == "MODE").and_then(|v| v.value.as_deref());
    assert_eq!(mode, Some("fast"), "{env:?}");
    pods_end(&stage, company, Outcome::succeed());
    until_restore(&stage, "data", "True", "Succeed").await;
}

/// A failed Backup fails its claims, with what the Backup says.
#[tokio::test]
async fn restore_a_failed_backup_is_told_with_its_own_words() {
    let (stage, company) = stage("failed-backup").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    set_backup_status(&stage, "b", &json!({"phase": "Failed", "failureReason": "the disk was full"})).await;
    Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_refused(&stage, "data", "BackupFailed", &["Backup b", "the disk was full"]).await;
    assert_nothing_was_made(&stage, company);
}

async fn two_targets(stage: &e2e_api::Stage, name: &str, actions: &str) {
    let annotations = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    create(stage, "Backup", name, &annotations, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    let mut status = completed_status(stage, name, actions);
    let target = |name: &str| json!({"name": name, "podSelector": {"matchLabels": {"app": "db", "part": name}}, "selectedTargetPods": [format!("{name}-0")]});
    status["target"] = Value::Null;
    status["targets"] = json!([target("one"), target("other")]);
    set_backup_status(stage, name, &status).await;
}

/// D7a: two targets, or two volumes, without a choice are ambiguous and the message names the annotation
/// to set; the choice, together with a retry, is enough. Whatever the claim's labels and name.
#[tokio::test]
async fn d7_an_ambiguous_source_names_the_annotation_and_takes_the_choice() {
    let (stage, company) = stage("ambiguous").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    two_targets(&stage, "two-targets", &actions).await;
    completed_backup(&stage, "two-volumes", &actions).await;
    let volumes = json!([{"name": "data", "mountPath": "/data"}, {"name": "wal", "mountPath": "/wal"}]);
    let both = json!({"backupMethod": {"targetVolumes": {"volumeMounts": volumes}}});
    set_backup_status(&stage, "two-volumes", &both).await;
    for (name, backup) in [("by-target", "two-targets"), ("data", "two-volumes")] {
        let claim = Claim::new(name, IMMEDIATE).from_backup(backup).label("app", "db").label("part", "one");
        claim.create(&stage.client, &stage.namespace).await;
    }
    until_refused(&stage, "by-target", "AmbiguousSource", &["Backup two-targets", "one, other", TARGET]).await;
    until_refused(&stage, "data", "AmbiguousSource", &["Backup two-volumes", "data, wal", VOLUME]).await;
    assert_nothing_was_made(&stage, company);

    for (name, key, choice) in [("by-target", TARGET, "other"), ("data", VOLUME, "wal")] {
        patch_claim(&stage, name, json!({"metadata": {"annotations": {(key): choice, (RETRY): "1"}}})).await;
        let claim = until_restore(&stage, name, "True", "Succeed").await;
        assert_eq!(assert_filled(&stage, company, &claim).await, 1);
        let execution = objects::dp(&stage.client, "Restore", &stage.namespace).get(&prime_name(&claim)).await.unwrap();
        let spec = &execution.data["spec"];
        let chosen = if key == TARGET {
            &spec["backup"]["sourceTargetName"]
        } else {
            &spec["prepareDataConfig"]["volumeClaims"][0]["volumeSource"]
        };
        assert_eq!(chosen, choice);
    }
}

/// D7a: one target and one volume are used although neither name nor labels of the claim match them.
#[tokio::test]
async fn d7_one_target_and_one_volume_need_no_choice() {
    let (stage, company) = stage("one").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let claim = Claim::new("quite-another-name", IMMEDIATE).from_backup("b").label("app", "no-db");
    claim.create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, "quite-another-name", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
}

/// D7d: a volume of the claim's class that lies about is what the binder takes, and is refused; the claim
/// gets the volume that was filled, and the other one becomes Available again.
#[tokio::test]
async fn d7_with_the_policy_a_loose_volume_is_not_bound() {
    let (stage, company) = stage("loose").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let class = own_class(&stage, Binding::Immediate).await;
    let loose = loose_volume(&stage, &class, None).await;
    until_volume(&stage, &loose, "Available").await;
    // Held back until the binder tried: else the claim might be bound before it comes by.
    let closed = refuse(company, {
        let namespace = stage.namespace.clone();
        move |r| r.namespace == namespace && r.resource == "persistentvolumeclaims"
    });
    Claim::new("data", &class).from_backup("b").create(&stage.client, &stage.namespace).await;
    wait::eventually(PATIENCE, "the binder is refused", async || {
        let refused = stage
            .server
            .audit()
            .only(|e| e.namespace == stage.namespace && e.resource == "persistentvolumeclaims" && e.code == 403);
        let binder = |user: &str| user.ends_with("persistent-volume-binder");
        if refused.entries.iter().any(|e| binder(&e.user)) { Ok(()) } else { Err(format!("{refused:?}")) }
    })
    .await;
    closed.store(false, std::sync::atomic::Ordering::SeqCst);
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    assert_ne!(claim.spec.as_ref().unwrap().volume_name.as_deref(), Some(loose.as_str()));
    until_volume(&stage, &loose, "Available").await;
}
