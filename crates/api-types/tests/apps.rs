//! What the types of the apps side must accept and give, whatever wrote the object.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test says so")]

use api_types::apps::{
    Cluster, ClusterDefinition, ComponentDefinition, ComponentObjectRef, ComponentPhase, LetterCase, TerminationPolicy,
};
use api_types::operations::{OpsRequest, OpsType};
use api_types::workloads::InstanceSet;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(api_version: &str, kind: &str, rest: &Value) -> T {
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "x" } });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

fn cluster(spec: &Value) -> Cluster {
    read("apps.kubeblocks.io/v1", "Cluster", &json!({ "spec": spec }))
}

fn definition(spec: &Value) -> ComponentDefinition {
    read("apps.kubeblocks.io/v1", "ComponentDefinition", &json!({ "spec": spec }))
}

#[test]
fn absent_and_null_spec_are_read() {
    for rest in [json!({}), json!({ "spec": null, "status": null })] {
        let cluster: Cluster = read("apps.kubeblocks.io/v1", "Cluster", &rest);
        // Nothing may be deleted because a policy is missing.
        assert_eq!(cluster.spec.termination_policy, TerminationPolicy::DoNotTerminate);
        let set: InstanceSet = read("workloads.kubeblocks.io/v1", "InstanceSet", &rest);
        assert_eq!((set.spec.replicas(), set.status), (1, None));
        let ops: OpsRequest = read("operations.kubeblocks.io/v1alpha1", "OpsRequest", &rest);
        assert_eq!(ops.spec.type_, OpsType::Custom);
    }
}

#[test]
fn unknown_words_are_kept() {
    let rest = json!({ "status": { "phase": "Melting", "components": { "a": { "phase": "Odd" } } } });
    let cluster: Cluster = read("apps.kubeblocks.io/v1", "Cluster", &rest);
    let status = cluster.status.unwrap();
    assert_eq!(status.components["a"].phase, Some(ComponentPhase::Other("Odd".to_owned())));
    assert_eq!(serde_json::to_value(status).unwrap(), rest["status"]);
}

#[test]
fn odd_values_below_open_objects_stop_nothing() {
    let spec = json!({ "terminationPolicy": "Delete", "componentSpecs": [{
        "name": "a", "replicas": 2,
        "env": [{ "name": "N", "valueFrom": { "newerRef": { "key": "k" } } }],
        "resources": { "limits": { "cpu": 1 }, "newer": true },
        "instances": [{ "name": "i", "replicas": "many" }],
    }] });
    let cluster = cluster(&spec);
    assert_eq!(serde_json::to_value(&cluster.spec).unwrap(), spec);
    let component = &cluster.spec.component_specs[0];
    assert_eq!(component.resources.as_ref().unwrap().get().unwrap().limits.unwrap()["cpu"].0, "1");
    assert!(component.instances[0].get().is_err(), "told when it is read");
    assert_eq!(component.env[0].to_env_var().unwrap().name, "N");
}

#[test]
fn defaults_stand_in_where_an_object_predates_them() {
    let cluster =
        cluster(&json!({ "componentSpecs": [{ "name": "a", "volumeClaimTemplates": [{ "name": "data" }] }] }));
    assert_eq!(cluster.spec.component_specs[0].replicas(), 1);
    assert!(!cluster.spec.component_specs[0].stop());
    let definition = definition(&json!({ "roles": [{ "name": "r" }] }));
    assert_eq!(definition.spec.pod_management_policy().as_str(), "OrderedReady");
    assert_eq!(definition.spec.update_strategy().as_str(), "Serial");
    assert_eq!(definition.spec.role("r").unwrap().update_priority(), 0);
}

#[test]
fn old_name_of_the_password_policy_counts_until_the_new_one_is_there() {
    let accounts = json!([
        { "name": "old", "passwordGenerationPolicy": { "length": 10, "letterCase": "UpperCases" } },
        { "name": "both", "passwordConfig": { "length": 20 }, "passwordGenerationPolicy": { "length": 10 } },
        { "name": "none" },
    ]);
    let definition = definition(&json!({ "systemAccounts": accounts }));
    let accounts = &definition.spec.system_accounts;
    let old = accounts[0].password_config().unwrap();
    assert_eq!((old.length(), old.num_digits(), old.letter_case()), (10, 4, LetterCase::UpperCases));
    assert_eq!(accounts[1].password_config().unwrap().length(), 20);
    assert!(accounts[2].password_config().is_none());
    assert_eq!(serde_json::to_value(accounts).unwrap()[0]["passwordGenerationPolicy"]["length"], 10);
}

#[test]
fn a_selector_counts_from_either_place() {
    let definition = definition(&json!({ "lifecycleActions": {
        "switchover": { "exec": { "command": ["x"], "targetPodSelector": "Role", "matchingKey": "primary" } },
        "roleProbe": { "exec": { "command": ["y"] }, "targetPodSelector": "Any", "timeoutSeconds": 0 },
    } }));
    let actions = definition.spec.lifecycle_actions.unwrap();
    let switchover = actions.switchover.unwrap();
    assert_eq!(switchover.target_pod_selector().unwrap().as_str(), "Role");
    assert_eq!(switchover.matching_key(), Some("primary"));
    let probe = actions.role_probe.unwrap().action();
    assert_eq!((probe.target_pod_selector().unwrap().as_str(), probe.timeout_seconds()), ("Any", None));
}

#[test]
fn objects_of_variables_are_read_alike() {
    let definition = definition(&json!({ "vars": [{ "name": "V", "valueFrom": { "serviceVarRef": {
        "compDef": "", "name": "headless", "optional": true,
        "multipleClusterObjectOption": { "strategy": "combined", "combinedOption": {} },
    } } }] }));
    let source = definition.spec.vars[0].value_from.as_ref().unwrap().service_var_ref.as_ref().unwrap();
    assert_eq!((source.comp_def(), source.name(), source.optional()), (None, Some("headless"), true));
    let option = source.multiple().unwrap().get().unwrap();
    assert!(option.is_combined());
    assert_eq!(option.delimiters(), (",", ":"));
}

#[test]
fn the_default_topology_stands_in_for_none() {
    let rest = json!({ "spec": { "topologies": [{ "name": "a" }, { "name": "b", "default": true }] } });
    let definition: ClusterDefinition = read("apps.kubeblocks.io/v1", "ClusterDefinition", &rest);
    for (asked, found) in [(None, Some("b")), (Some(""), Some("b")), (Some("a"), Some("a")), (Some("c"), None)] {
        assert_eq!(definition.spec.topology(asked).map(|topology| topology.name.as_str()), found, "{asked:?}");
    }
}
