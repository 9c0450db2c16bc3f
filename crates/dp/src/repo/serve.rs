//! Decides what namespaces get of a Ready repository (behaviour-backup §11.4, D15, design D23). Pure.

use super::plan::{Conditions, Observed, Plan, Step};
use super::reach::{Purpose, admits, configuration, has_own_key};
use super::rendered::{Fault, Rendered, Source};
use super::secret::Wanted;
use api_types::contract::reasons::repo as reasons;
use api_types::contract::{annotations, conditions::repo as conditions};
use api_types::dp::{AccessMethod, StorageProvider};
use controller_kit::conditions::Status;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// How many names a message lists.
const SHOWN: usize = 10;

/// Decides, once the repository is Ready.
pub fn plan(seen: &Observed, plan: &mut Plan, rendered: &Rendered, now: Timestamp) {
    let repo = &seen.repo;
    let wanted: BTreeSet<String> =
        seen.waiting.iter().map(|w| w.namespace.clone()).filter(|ns| admits(repo, ns)).collect();
    let known: BTreeSet<String> = plan.status.prepared_namespaces.iter().cloned().collect();
    let is_tool = repo.spec.access_method() == AccessMethod::Tool;
    let mut faults = Vec::new();
    if !wanted.is_subset(&known) {
        // Recorded before anything is made there (design D8): Secrets can not be listed when they are to change or go.
        // The write wakes it.
        plan.status.prepared_namespaces = known.union(&wanted).cloned().collect();
    } else if let (true, Some(provider)) = (is_tool, seen.provider.as_deref()) {
        let source = Source { repo, provider, secrets: &seen.secrets, own_namespace: &seen.own_namespace };
        configurations(seen, plan, &source, &wanted, &mut faults);
    } else {
        claims(seen, plan, rendered);
    }
    let mut write = Conditions { status: &mut plan.status, generation: repo.metadata.generation, now };
    if is_tool {
        shared_credential(seen, &mut write);
    }
    match faults.into_iter().next().or_else(|| outdated(seen, rendered)) {
        Some(fault) => write.set(fault.condition, Status::False, fault.reason, &fault.message),
        None => write.clear(conditions::PARAMETERS_APPLIED),
    }
}

fn claims(seen: &Observed, plan: &mut Plan, rendered: &Rendered) {
    for waiting in seen.waiting.iter().filter(|w| admits(&seen.repo, &w.namespace)) {
        if let (false, Some(template)) = (waiting.claim_here, &rendered.claim) {
            let namespace = waiting.namespace.clone();
            plan.steps.push(Step::CreateClaim { namespace, template: Box::new(template.clone()) });
        }
        plan.steps.push(Step::Wake(waiting.clone()));
    }
}

fn configurations(
    seen: &Observed,
    plan: &mut Plan,
    source: &Source<'_>,
    wanted: &BTreeSet<String>,
    faults: &mut Vec<Fault>,
) {
    let repo = &seen.repo;
    let marked = repo.annotations().get(annotations::NEED_UPDATE_TOOL_CONFIG).map(String::as_str) == Some("true");
    // Stored together with the digest that has just passed.
    let just_now = plan.steps.iter().any(|s| matches!(s, Step::StoreDigest { stale: true, .. }));
    let stale = marked && !just_now;
    let known = plan.status.prepared_namespaces.clone();
    for namespace in known.iter().filter(|ns| admits(repo, ns)) {
        if !stale && !wanted.contains(namespace) {
            continue;
        }
        match of_namespace(seen, source, namespace) {
            Ok(all) => {
                plan.steps.extend(all.into_iter().map(Step::ApplySecret));
                let here = seen.waiting.iter().filter(|w| w.namespace == *namespace).cloned();
                plan.steps.extend(here.map(Step::Wake));
            }
            // One namespace without its key holds back no other.
            Err(fault) => faults.push(Fault {
                condition: conditions::PARAMETERS_APPLIED,
                message: format!("namespace {namespace}: {}", fault.message),
                ..fault
            }),
        }
    }
    if stale && faults.is_empty() {
        plan.steps.push(Step::Refreshed);
    }
}

/// The configurations of one namespace: one, and one more for each purpose that has a key of its own.
fn of_namespace(seen: &Observed, source: &Source<'_>, namespace: &str) -> Result<Vec<Wanted>, Fault> {
    let repo = &seen.repo;
    let mut all = Vec::new();
    for purpose in Purpose::ALL {
        let separate = purpose == Purpose::Write || has_own_key(repo, namespace, purpose);
        if let (true, Some(name)) = (separate, configuration(repo, namespace, purpose)) {
            all.push(Wanted::configuration(namespace, &name, source.configuration(namespace, purpose)?));
        }
    }
    Ok(all)
}

/// Whoever can read Secrets in one of several namespaces with the same key can read and delete the backups of all.
fn shared_credential(seen: &Observed, write: &mut Conditions<'_>) {
    let Some(provider) = seen.provider.as_deref() else {
        return;
    };
    let shared = sharing(seen, provider, &write.status.prepared_namespaces);
    if shared.is_empty() {
        return write.clear(conditions::SHARED_CREDENTIAL);
    }
    let text = format!(
        "namespaces {} use one key; list them in spec.namespaces, each with a credential of its own that is confined to \
         its prefix",
        shown(&shared)
    );
    write.set(conditions::SHARED_CREDENTIAL, Status::True, reasons::SHARED_CREDENTIAL, &text);
}

fn sharing(seen: &Observed, provider: &StorageProvider, namespaces: &[String]) -> Vec<String> {
    if seen.repo.spec.namespaces.is_empty() {
        return if namespaces.len() > 1 { namespaces.to_vec() } else { vec![] };
    }
    let source = Source { repo: &seen.repo, provider, secrets: &seen.secrets, own_namespace: &seen.own_namespace };
    let mut by_key: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
    for namespace in namespaces.iter().filter(|ns| admits(&seen.repo, ns)) {
        for purpose in Purpose::ALL {
            if let Ok(text) = source.configuration(namespace, purpose) {
                by_key.entry(text).or_default().insert(namespace);
            }
        }
    }
    let shared: BTreeSet<&String> = by_key.into_values().filter(|users| users.len() > 1).flatten().collect();
    shared.into_iter().cloned().collect()
}

/// Names, at most a few of them.
pub fn shown(names: &[String]) -> String {
    let text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => text,
        Some(more) => format!("{text} and {more} more"),
    }
}

/// What was made from other parameters and can not follow: classes and claims are immutable (behaviour-backup D15).
fn outdated(seen: &Observed, rendered: &Rendered) -> Option<Fault> {
    let fault = |reason, message| Some(Fault::new(conditions::PARAMETERS_APPLIED, reason, message));
    let way_out = "it can not change; make another BackupRepo for the new settings, or set them back";
    let applied = |notes: &BTreeMap<String, String>| notes.get(annotations::APPLIED).cloned();
    if let (Some(class), Some(there)) = (&rendered.class, &seen.class) {
        let (now, then) = (applied(class.annotations()), applied(there.annotations()));
        if then.is_some() && now != then {
            let name = there.name_any();
            let text = format!("StorageClass {name} was made from other parameters: {way_out}");
            return fault(reasons::STORAGE_CLASS_OUTDATED, text);
        }
    }
    let digest = rendered.claim.as_ref()?.digest();
    let name = seen.repo.status.as_ref().and_then(|s| s.backup_pvc_name.clone()).unwrap_or_default();
    let of_namespaces = seen.claims.iter().filter(|c| c.name_any() == name);
    let mut old: Vec<String> = of_namespaces
        .filter(|c| applied(c.annotations()).is_some_and(|then| then != digest))
        .map(|c| c.namespace().unwrap_or_default())
        .collect();
    old.sort();
    if old.is_empty() {
        return None;
    }
    let text = format!("claim {name} in namespaces {} was made from other parameters: {way_out}", shown(&old));
    fault(reasons::CLAIMS_OUTDATED, text)
}
