//! Claims of a Cluster that is restored: which target and volume each gets, when an empty volume is right, and that
//! nothing at all is never called restored (behaviour-apps §4, behaviour-restore §4; design D7).

use api_types::contract::{annotations, labels};
use e2e_api::apps_objects::{claim, cluster, cluster_alone, component, install_kinds, part, selector};
use e2e_api::chains;
use e2e_api::objects::{
    self, completed_status, condition, create, message, prepare_data, set_backup_status, until_restore, volume_of,
};
use e2e_api::populate::{CALM, assert_filled, assert_nothing_was_made, events_of, until_execution, writes};
use e2e_api::{Company, IMMEDIATE, PATIENCE, Stage};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::{Value, json};
use test_kit::wait;
use tokio::sync::OnceCell;

async fn stage(name: &str) -> (Stage, &'static Company) {
    static KINDS: OnceCell<()> = OnceCell::const_new();
    let (stage, company) = e2e_api::stage(name).await;
    KINDS.get_or_init(|| install_kinds(stage.server)).await;
    (stage, company)
}

/// Backup `b` of component `db` of Cluster `old`, volume `data`; `change` may alter its status.
async fn backup_of_db(stage: &Stage, restore: Value, change: impl FnOnce(&mut Value)) {
    let actions = objects::action_set(stage, restore).await;
    let skip = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    create(stage, "Backup", "b", &skip, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    let mut status = completed_status(stage, "b", &actions);
    status["target"]["podSelector"] = selector("old", "db");
    // A role is a pod's, never a claim's.
    status["target"]["podSelector"]["matchLabels"]["kubeblocks.io/role"] = json!("leader");
    change(&mut status);
    set_backup_status(stage, "b", &status).await;
}

async fn make(stage: &Stage, component: &str, volume: &str, ordinal: usize) -> PersistentVolumeClaim {
    claim("c", component, volume, ordinal, IMMEDIATE).create(&stage.client, &stage.namespace).await
}

/// An empty volume, on purpose: the proof says so, no Job ran, the message says why.
async fn assert_provisioned(stage: &Stage, company: &Company, name: &str, why: &[&str]) {
    let claim = until_restore(stage, name, "True", "Provisioned").await;
    let volume = volume_of(stage, &claim).await;
    assert_eq!(volume.annotations()[annotations::POPULATED_MODE], "provisioned");
    assert_eq!(condition(&claim, "Populating").unwrap().reason.as_deref(), Some("Provisioned"));
    let said = message(&claim);
    for part in why {
        assert!(said.contains(part), "{part}: {said}");
    }
    let written = company.executor.written_to(&stage.namespace, &objects::prime_name(&claim));
    assert!(written.is_empty(), "{written:?}");
    wait::eventually(PATIENCE, "events that say why", async || {
        let events = events_of(stage, name).await;
        let told = |reason: &str| events.iter().any(|(r, text)| r == reason && why.iter().all(|p| text.contains(p)));
        if told("StartToVolumePopulate") && told("VolumePopulateSucceed") { Ok(()) } else { Err(format!("{events:?}")) }
    })
    .await;
}

const OTHER: [&str; 2] = ["not of what Backup b was made of", "apps.kubeblocks.io/component-name=db"];

/// Cases 11 and 18, D7c: beside the component that was backed up, another gets empty volumes and says why; the claims may
/// come in any order.
#[tokio::test]
async fn restore_11_apps_18_a_component_that_was_not_backed_up_is_provisioned() {
    let (stage, company) = stage("sentinel").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    cluster(&stage, "c", &[part("sentinel", "s", &["data"]), part("db", "d", &["data"])]).await;
    // The sentinel comes first, and alone: the Cluster says that data will come.
    let sentinel = make(&stage, "sentinel", "data", 0).await;
    assert_provisioned(&stage, company, &sentinel.name_any(), &OTHER).await;
    let db = make(&stage, "db", "data", 0).await;
    let db = until_restore(&stage, &db.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &db).await;
}

/// Case 8: a log lists no volumes; its base says which are filled, of which component, and what stays empty beside them.
#[tokio::test]
async fn restore_8_the_base_of_a_log_says_which_volumes_are_filled() {
    let (stage, company) = stage("base").await;
    let (full, log) = (chains::of_type(&stage, "Full").await, chains::of_type(&stage, "Continuous").await);
    let of_db = |status: &mut Value| {
        status["target"]["podSelector"] = selector("old", "db");
        status["target"]["podSelector"]["matchLabels"]["app"] = Value::Null; // of the fixture
    };
    chains::made(&stage, "base", &full, 3, of_db).await;
    chains::made(&stage, "b", &log, 0, |status| {
        of_db(status);
        status["phase"] = json!("Running");
        status["timeRange"] = json!({"start": "2026-11-21T01:00:00Z", "end": "2026-11-21T06:00:00Z"});
        status["backupMethod"]["targetVolumes"] = Value::Null;
    })
    .await;
    cluster(&stage, "c", &[part("sentinel", "s", &["data"]), part("db", "d", &["data", "tmp"])]).await;
    for (component, volume) in [("sentinel", "data"), ("db", "tmp"), ("db", "data")] {
        let wanted = claim("c", component, volume, 0, IMMEDIATE);
        let wanted = wanted.annotation(annotations::RESTORE_PITR, "2026-11-21T04:00:00Z");
        wanted.create(&stage.client, &stage.namespace).await;
    }
    let db = until_restore(&stage, "data-c-db-0", "True", "Succeed").await;
    let written = company.executor.written_to(&stage.namespace, &objects::prime_name(&db));
    let jobs: Vec<String> = written.into_iter().filter_map(|w| w.job).collect();
    assert!(jobs.len() == 2 && jobs[0].ends_with("-base-0") && jobs[1].ends_with("-b-0"), "{jobs:?}");
    assert_provisioned(&stage, company, "data-c-sentinel-0", &["not of what Backup base was made of"]).await;
    assert_provisioned(&stage, company, "tmp-c-db-0", &["volume tmp is not in Backup base"]).await;
}

/// D7c without any object of an apps operator: an empty volume waits until a claim comes that gets data.
#[tokio::test]
async fn d7c_without_a_cluster_object_an_empty_volume_waits_for_one_with_data() {
    let (stage, company) = stage("no-objects").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    let sentinel = make(&stage, "sentinel", "data", 0).await;
    let waiting = until_restore(&stage, &sentinel.name_any(), "Unknown", "WaitForOtherVolumes").await;
    assert!(message(&waiting).contains("Cluster c"), "{}", message(&waiting));
    // A claim of another Cluster, or asked for directly, is no witness.
    claim("another", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    test_kit::builders::Claim::new("direct", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_restore(&stage, "direct", "True", "Succeed").await;
    until_restore(&stage, "data-another-db-0", "True", "Succeed").await;
    wait::stays(CALM, "it waits", async || {
        let seen = objects::claims(&stage).get(&sentinel.name_any()).await.map_err(|e| e.to_string())?;
        if condition(&seen, "Restore").is_some_and(|c| c.status == "Unknown") { Ok(()) } else { Err(message(&seen)) }
    })
    .await;
    let db = make(&stage, "db", "data", 0).await;
    assert_provisioned(&stage, company, &sentinel.name_any(), &OTHER).await;
    let db = until_restore(&stage, &db.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &db).await;
}

/// The Cluster itself may come late: it is waited for by name.
#[tokio::test]
async fn d7c_a_cluster_that_comes_late_decides() {
    let (stage, company) = stage("late-cluster").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    let sentinel = make(&stage, "sentinel", "data", 0).await;
    until_restore(&stage, &sentinel.name_any(), "Unknown", "WaitForOtherVolumes").await;
    cluster_alone(
        &stage,
        "c",
        &json!({"componentSpecs": [part("sentinel", "s", &["data"]), part("db", "d", &["data"])]}),
    )
    .await;
    assert_provisioned(&stage, company, &sentinel.name_any(), &OTHER).await;
}

/// Case 7, D7b: a component that was backed up, none of whose volumes was, fails; nothing is made for it.
#[tokio::test]
async fn restore_7_a_component_none_of_whose_volumes_was_backed_up_fails() {
    let (stage, company) = stage("no-path").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    cluster(&stage, "c", &[part("db", "d", &["renamed", "log"])]).await;
    for volume in ["renamed", "log"] {
        let claim = make(&stage, "db", volume, 0).await;
        let claim = until_restore(&stage, &claim.name_any(), "False", "NoDataRestored").await;
        let said = message(&claim);
        for part in [format!("volume {volume} is not in Backup b"), "component db".into(), "volumes data".into()] {
            assert!(said.contains(&part), "{part}: {said}");
        }
    }
    assert_nothing_was_made(&stage, company);
}

/// Case 7 with a method that names no volume at all: no object is needed to say so.
#[tokio::test]
async fn restore_7_a_backup_without_volumes_fails_every_component() {
    let (stage, company) = stage("no-volumes").await;
    backup_of_db(&stage, prepare_data(), |status| {
        status["backupMethod"].as_object_mut().unwrap().remove("targetVolumes");
    })
    .await;
    for component in ["db", "sentinel"] {
        let claim = make(&stage, component, "data", 0).await;
        let claim = until_restore(&stage, &claim.name_any(), "False", "NoDataRestored").await;
        assert!(message(&claim).contains("holds no volume"), "{}", message(&claim));
    }
    assert_nothing_was_made(&stage, company);
}

/// D7b: a volume beside the one that was backed up is provisioned, whichever comes first.
#[tokio::test]
async fn d7b_a_volume_beside_the_one_with_data_is_provisioned() {
    let (stage, company) = stage("beside").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    let log = make(&stage, "db", "log", 0).await;
    let waiting = until_restore(&stage, &log.name_any(), "Unknown", "WaitForOtherVolumes").await;
    assert!(message(&waiting).contains("Component c-db"), "{}", message(&waiting));
    component(&stage, "c", &part("db", "d", &["log", "data"])).await;
    assert_provisioned(&stage, company, &log.name_any(), &["volume log is not in Backup b"]).await;
    let data = make(&stage, "db", "data", 0).await;
    let data = until_restore(&stage, &data.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &data).await;
    let late = make(&stage, "db", "log", 1).await;
    assert_provisioned(&stage, company, &late.name_any(), &["volume log is not in Backup b"]).await;
}

/// Case 19, D7b: a renamed component fails; with source-target-name, by parameter or annotation, it restores.
#[tokio::test]
async fn apps_19_d7b_a_renamed_component_fails_unless_its_target_is_named() {
    let (stage, company) = stage("renamed").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    cluster(&stage, "c", &[part("database", "d", &["data"])]).await;
    let refused = make(&stage, "database", "data", 0).await;
    let refused = until_restore(&stage, &refused.name_any(), "False", "NoDataRestored").await;
    let said = message(&refused);
    for part in ["the Cluster would start empty", annotations::SOURCE_TARGET_NAME, OTHER[1]] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_nothing_was_made(&stage, company);
    let parameters = json!({(annotations::SOURCE_TARGET_NAME): "db"}).to_string();
    let named = [
        claim("c", "database", "data", 1, IMMEDIATE).annotation(annotations::SOURCE_TARGET_NAME, "db"),
        claim("c", "database", "data", 2, IMMEDIATE).annotation(annotations::RESTORE_PARAMETERS, &parameters),
    ];
    for claim in named {
        let claim = claim.create(&stage.client, &stage.namespace).await;
        let claim = until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
        assert_filled(&stage, company, &claim).await;
    }
}

fn targets(status: &mut Value, named: &[(&str, Value)]) {
    status.as_object_mut().unwrap().remove("target");
    let target = |(name, selector): &(&str, Value)| json!({"name": name, "podSelector": selector, "selectedTargetPods": [format!("old-{name}-0")]});
    status["targets"] = named.iter().map(target).collect();
}

/// Cases 10 and 20, and the other way round: of several targets exactly one must fit; else both, or all, are named.
#[tokio::test]
async fn restore_10_apps_20_of_several_targets_exactly_one_must_fit() {
    let (stage, company) = stage("several").await;
    backup_of_db(&stage, prepare_data(), |status| {
        let twin = json!({"matchLabels": {"app.kubernetes.io/managed-by": "kubeblocks", "apps.kubeblocks.io/component-name": "twin"}});
        targets(status, &[("db", selector("old", "db")), ("one", twin.clone()), ("two", twin)]);
    })
    .await;
    let twin = make(&stage, "twin", "data", 0).await;
    let twin = until_restore(&stage, &twin.name_any(), "False", "AmbiguousSource").await;
    let said = message(&twin);
    assert!(said.contains("one") && said.contains("two") && !said.contains("db,"), "{said}");
    let none = make(&stage, "other", "data", 0).await;
    let none = until_restore(&stage, &none.name_any(), "False", "TargetNotFound").await;
    assert!(message(&none).contains("db, one, two"), "{}", message(&none));
    let wrong = claim("c", "db", "data", 1, IMMEDIATE).annotation(annotations::SOURCE_TARGET_NAME, "three");
    let wrong = wrong.create(&stage.client, &stage.namespace).await;
    let wrong = until_restore(&stage, &wrong.name_any(), "False", "TargetNotFound").await;
    assert!(message(&wrong).contains("no target three"), "{}", message(&wrong));
    assert_nothing_was_made(&stage, company);
    let db = make(&stage, "db", "data", 0).await;
    let db = until_restore(&stage, &db.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &db).await;
    assert_eq!(until_execution(&stage, &db).await.data["spec"]["backup"]["sourceTargetName"], "db");
}

/// Case 24: of a target with strategy All, pod i takes the data of source ordinal i; with an instance template the pod
/// must be named.
#[tokio::test]
async fn apps_24_a_pod_takes_the_data_of_its_ordinal() {
    let (stage, company) = stage("all-pods").await;
    backup_of_db(&stage, prepare_data(), |status| {
        status["target"]["podSelector"]["strategy"] = json!("All");
        status["target"]["selectedTargetPods"] = json!(["old-db-0", "old-db-1", "old-db-2"]);
    })
    .await;
    for ordinal in [2, 0] {
        let claim = make(&stage, "db", "data", ordinal).await;
        let claim = until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
        assert_filled(&stage, company, &claim).await;
        let spec = &until_execution(&stage, &claim).await.data["spec"]["prepareDataConfig"];
        let policy = &spec["requiredPolicyForAllPodSelection"];
        assert_eq!(policy["dataRestorePolicy"], "OneToMany");
        assert_eq!(policy["sourceOfOneToMany"]["targetPodName"], format!("old-db-{ordinal}"));
    }
    let template = |name: usize| {
        claim("c", "db", "data", name, IMMEDIATE)
            .label(labels::POD_NAME, "c-db-big-1")
            .label(labels::INSTANCE_TEMPLATE, "big")
    };
    let unnamed = template(5).create(&stage.client, &stage.namespace).await;
    let unnamed = until_restore(&stage, &unnamed.name_any(), "False", "SourcePodNotFound").await;
    assert!(message(&unnamed).contains(annotations::SOURCE_TARGET_POD_NAME), "{}", message(&unnamed));
    let named = template(6).annotation(annotations::SOURCE_TARGET_POD_NAME, "old-db-1");
    let named = named.create(&stage.client, &stage.namespace).await;
    until_restore(&stage, &named.name_any(), "True", "Succeed").await;
}

/// Case 5: parameters arrive sorted and without the reserved keys; case 4: without an annotation there are none.
#[tokio::test]
async fn apps_5_parameters_are_sorted_and_reserved_keys_stay_behind() {
    let (stage, _) = stage("parameters").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    let parameters = json!({
        "b": "2", "a": "1", (annotations::SOURCE_TARGET_NAME): "db", (annotations::VOLUME_RESTORE_POLICY): "Parallel",
        (annotations::RESTORE_ENV): "[]", (annotations::DEFER_POST_READY): "true", (annotations::SOURCE_TARGET_POD_NAME): "old-db-0",
    });
    let with =
        claim("c", "db", "data", 0, IMMEDIATE).annotation(annotations::RESTORE_PARAMETERS, &parameters.to_string());
    let with = with.create(&stage.client, &stage.namespace).await;
    let spec = until_execution(&stage, &with).await.data["spec"].clone();
    assert_eq!(spec["parameters"], json!([{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]));
    let without = make(&stage, "db", "data", 1).await;
    let spec = until_execution(&stage, &without).await.data["spec"].clone();
    assert_eq!((spec.get("parameters"), spec.get("restoreTime")), (None, None));
}

/// Case 6: a misspelled policy fails the claim, naming the key.
#[tokio::test]
async fn apps_6_a_policy_in_the_wrong_case_is_refused() {
    let (stage, company) = stage("serial").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    let parameters = json!({(annotations::VOLUME_RESTORE_POLICY): "serial"}).to_string();
    let claim = claim("c", "db", "data", 0, IMMEDIATE).annotation(annotations::RESTORE_PARAMETERS, &parameters);
    let claim = claim.create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, &claim.name_any(), "False", "InvalidVolumeRestorePolicy").await;
    assert!(message(&claim).contains(annotations::VOLUME_RESTORE_POLICY), "{}", message(&claim));
    assert_nothing_was_made(&stage, company);
}

/// Case 9: the target's selector asks for a role, which no claim has. The volume is the annotation's, else that of the
/// template's label.
#[tokio::test]
async fn restore_9_a_claim_fits_without_a_role_and_names_its_volume() {
    let (stage, company) = stage("volume").await;
    backup_of_db(&stage, prepare_data(), |_| {}).await;
    let by_note = claim("c", "db", "pgdata", 0, IMMEDIATE).annotation(annotations::RESTORE_VOLUME_TEMPLATE, "data");
    let by_label = claim("c", "db", "data", 1, IMMEDIATE).annotation(annotations::RESTORE_VOLUME_TEMPLATE, "");
    for claim in [by_note, by_label] {
        let claim = claim.create(&stage.client, &stage.namespace).await;
        let claim = until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
        assert_filled(&stage, company, &claim).await;
    }
}

/// What is not served yet is said before anything is made: postReady of a Cluster (case 29), shards without a target
/// (case 21). D7e: an ActionSet without any stage fails also a volume that would stay empty.
#[tokio::test]
async fn apps_21_29_what_is_not_served_yet_is_said_before_anything_is_made() {
    let (stage, company) = stage("not-served").await;
    let post_ready = json!({"postReady": [{"exec": {"container": "db", "command": ["sh", "-c", "true"]}}]});
    backup_of_db(&stage, post_ready, |_| {}).await;
    for component in ["db", "sentinel"] {
        let claim = make(&stage, component, "data", 0).await;
        let claim = until_restore(&stage, &claim.name_any(), "False", "NotServedYet").await;
        assert!(message(&claim).contains("restore.postReady is not run for a Cluster yet"), "{}", message(&claim));
    }
    objects::action_set(&stage, json!({})).await;
    for component in ["db", "sentinel"] {
        let claim = make(&stage, component, "data", 1).await;
        until_restore(&stage, &claim.name_any(), "False", "NoRestoreAction").await;
    }
    objects::action_set(&stage, prepare_data()).await;
    let mut status =
        objects::dp(&stage.client, "Backup", &stage.namespace).get("b").await.unwrap().data["status"].clone();
    targets(&mut status, &[("s-1", selector("old", "s-1")), ("s-2", selector("old", "s-2"))]);
    status["target"] = Value::Null;
    set_backup_status(&stage, "b", &status).await;
    let shard = claim("c", "s-9", "data", 0, IMMEDIATE).label(labels::SHARDING_NAME, "s");
    let shard = shard.create(&stage.client, &stage.namespace).await;
    let shard = until_restore(&stage, &shard.name_any(), "False", "NotServedYet").await;
    assert!(message(&shard).contains(annotations::SOURCE_TARGET_NAME), "{}", message(&shard));
    assert_nothing_was_made(&stage, company);
    assert!(writes(&stage, company).iter().all(|w| w.request.resource != "secrets"));
}
