//! What a play leaves behind, without what differs from run to run.

use crate::{Company, OPERATOR, Stage};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use test_kit::crash_proxy::stable;
use test_kit::wait;

/// Everything that can be compared, by what it is: objects, how often the operator created each, what pods wrote to.
pub type EndState = BTreeMap<String, Value>;

/// Kinds that tell of the way, not of the end.
const OF_THE_WAY: [&str; 4] = ["Event", "Lease", "EndpointSlice", "Endpoints"];

async fn kinds(stage: &Stage) -> Vec<ApiResource> {
    let found = Discovery::new(stage.client.clone()).run_aggregated().await.expect("the kinds of the server");
    let all = found.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let wanted = all.filter(|(kind, can)| {
        can.scope == Scope::Namespaced
            && can.supports_operation(verbs::LIST)
            && !OF_THE_WAY.contains(&kind.kind.as_str())
    });
    wanted.map(|(kind, _)| kind).collect()
}

/// The state now. Every kind of the server is looked at, so that nothing is left behind unseen.
pub async fn of(stage: &Stage, company: &Company) -> EndState {
    let mut state = EndState::new();
    for kind in kinds(stage).await {
        let api: Api<DynamicObject> = Api::namespaced_with(stage.client.clone(), &stage.namespace, &kind);
        let Ok(found) = api.list(&ListParams::default()).await else { continue }; // reviews and the like
        for object in found.items {
            add(&mut state, stage, &kind.kind, &object);
        }
    }
    for kind in ["Job", "Pod"] {
        let resource = test_kit::builders::resource(if kind == "Job" { "batch/v1" } else { "v1" }, kind);
        let api: Api<DynamicObject> = Api::namespaced_with(stage.client.clone(), OPERATOR.0, &resource);
        let of = format!("dataprotection.kubeblocks.io/backup-namespace={}", stage.namespace);
        for object in api.list(&ListParams::default().labels(&of)).await.expect("list").items {
            add(&mut state, stage, &format!("{kind} of the operator"), &object);
        }
    }
    for volume in company.provisioner.alive().await {
        if volume.claim.starts_with(&format!("{}/", stage.namespace)) {
            state.insert(clean_text(stage, &format!("volume of {}", volume.claim)), json!(volume.phase));
        }
    }
    let mut created: BTreeMap<String, usize> = BTreeMap::new();
    for entry in company.proxy.writes() {
        let ours = entry.request.namespace == stage.namespace || entry.body.contains(&stage.namespace);
        if ours && entry.was_done() && entry.status == Some(201) {
            *created.entry(clean_text(stage, &entry.key.to_string())).or_default() += 1;
        }
    }
    for (what, times) in created {
        state.insert(format!("times: {what}"), json!(times));
    }
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    for w in company.executor.written().into_iter().filter(|w| w.namespace == stage.namespace) {
        let job = w.job.unwrap_or_default();
        *written
            .entry(clean_text(stage, &format!("{job} mounted {} read_only={}", w.claim, w.read_only)))
            .or_default() += 1;
    }
    for (what, times) in written {
        state.insert(format!("pods: {what}"), json!(times));
    }
    state
}

/// The state once it no longer changes.
pub async fn at_rest(stage: &Stage, company: &Company) -> EndState {
    let mut last = of(stage, company).await;
    wait::eventually(LONG, "nothing changes any more", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = std::mem::replace(&mut last, of(stage, company).await);
        let changed = difference(&before, &last);
        if changed.is_empty() { Ok(last.clone()) } else { Err(changed) }
    })
    .await
}

/// Waits until the state is as `wanted`; panics with what differs, and the writes.
pub async fn until(stage: &Stage, company: &Company, wanted: &EndState) {
    let mut left = "nothing was seen".to_owned();
    let end = std::time::Instant::now() + LONG;
    while !left.is_empty() {
        left = difference(wanted, &of(stage, company).await);
        let journal = || company.proxy.journal();
        assert!(left.is_empty() || std::time::Instant::now() < end, "not as without a crash:\n{left}\n{}", journal());
    }
}

/// What is on its way when a play ends comes within this time.
const LONG: Duration = Duration::from_secs(15);

fn add(state: &mut EndState, stage: &Stage, kind: &str, object: &DynamicObject) {
    let mut value = serde_json::to_value(object).expect("an object is JSON");
    clean(&mut value, stage);
    let name = clean_text(stage, &format!("{kind} {}", object.name_any()));
    let twins = state.keys().filter(|key| key.split(" (").next() == Some(&name)).count();
    state.insert(if twins == 0 { name } else { format!("{name} ({})", twins + 1) }, value);
}

/// Fields that no two runs have in common.
const CHANGING: [&str; 9] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "observedGeneration",
    "duration",
    "podIP",
    "podIPs",
    "hostIP",
    "hostIPs",
];

fn clean(value: &mut Value, stage: &Stage) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !CHANGING.contains(&name.as_str()));
            fields.values_mut().for_each(|field| clean(field, stage));
            let renamed = std::mem::take(fields).into_iter().map(|(name, field)| (clean_text(stage, &name), field));
            fields.extend(renamed.collect::<Vec<_>>());
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, stage)),
        Value::String(text) => *text = clean_text(stage, text),
        _ => {}
    }
}

fn clean_text(stage: &Stage, text: &str) -> String {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return "INSTANT".to_owned();
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.to_owned(); // sizes are no hashes
    }
    if text.starts_with("kube-api-access-") {
        return "kube-api-access".to_owned();
    }
    stable(&text.replace(&stage.namespace, "NAMESPACE"))
}

/// What differs, in lines; empty when nothing does.
pub fn difference(wanted: &EndState, seen: &EndState) -> String {
    let names: BTreeSet<&String> = wanted.keys().chain(seen.keys()).collect();
    let mut lines = Vec::new();
    for name in names {
        match (wanted.get(name), seen.get(name)) {
            (Some(a), Some(b)) => compare(name, a, b, &mut lines),
            (Some(_), None) => lines.push(format!("{name} is missing")),
            (None, Some(b)) => lines.push(format!("{name} should not be there: {:.500}", b.to_string())),
            (None, None) => {}
        }
    }
    lines.join("\n")
}

fn compare(path: &str, wanted: &Value, seen: &Value, lines: &mut Vec<String>) {
    match (wanted, seen) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let field = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
                compare(&format!("{path}.{name}"), &field(a), &field(b), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{index}]"), a, b, lines);
            }
        }
        (a, b) if a == b => {}
        (a, b) => lines.push(format!("{path}: {a} became {b}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let state = |value: Value| EndState::from([("Backup b".to_owned(), value)]);
        let wanted = state(json!({"status": {"phase": "Completed", "actions": [{"name": "a"}]}}));
        assert_eq!(difference(&wanted, &wanted.clone()), "");
        let other = state(json!({"status": {"phase": "Failed", "actions": [{"name": "b"}]}}));
        let said = difference(&wanted, &other);
        assert!(said.contains(r#"Backup b.status.phase: "Completed" became "Failed""#), "{said}");
        assert!(said.contains(r#"Backup b.status.actions[0].name: "a" became "b""#), "{said}");
        let mut more = wanted.clone();
        more.insert("Job left".into(), json!({}));
        assert_eq!(difference(&wanted, &more), "Job left should not be there: {}");
        assert_eq!(difference(&more, &wanted), "Job left is missing");
    }
}
