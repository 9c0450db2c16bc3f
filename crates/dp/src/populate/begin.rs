//! What is asked of the API server once, when an attempt is about to begin: whether an empty volume is right for this
//! claim, and which account Secrets must be there before its database starts.
//!
//! Nothing of it is asked again while the attempt runs, nor ever after `Restore` is True (design D5).

use super::decide::Intent;
use super::evidence::{self, Told, Witness};
use super::plan::Observed;
use super::rebind::{self, Next, Verdict, Write};
use super::source::{NoData, asked_by_apps};
use crate::account;
use crate::cluster::{Cluster, Component};
use crate::context::Context;
use crate::error::{Error, Stop};
use api_types::contract::labels;
use api_types::dp::Backup;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

/// Whether the next write begins the first attempt, or one that the user asked for.
fn begins(seen: &Observed) -> bool {
    let voided = seen.state.attempt > 0 && seen.rebind.target.stored != Verdict::Failed;
    !voided && matches!(rebind::next(&seen.rebind), Next::Write(Write::BeginAttempt { .. }))
}

/// Completes a look at a claim of an apps operator; other claims have neither a component nor accounts.
pub async fn complete(mut seen: Observed, context: &Context, writer: &Writer) -> Result<Observed, Error> {
    let Ok(intent) = &seen.intent else {
        return Ok(seen);
    };
    if !asked_by_apps(&seen.claim) || !begins(&seen) {
        return Ok(seen);
    }
    let (namespace, name) = &intent.backup;
    let Some(backup) = context.stores.backups.get(namespace, name) else {
        return Ok(seen); // gone since the decision; its event brings another look
    };
    let Some(holder) = context.stores.backups.get(namespace, &intent.holder) else {
        return Ok(seen);
    };
    if let Some(stop) = empty_is_wrong(&seen.claim, intent, &holder, context, writer).await? {
        seen.intent = Err(stop);
        return Ok(seen);
    }
    match account::observe::observe(&seen.claim, &backup, &context.keys, writer).await? {
        Ok(steps) => seen.accounts = steps,
        Err(stop) => seen.intent = Err(stop),
    }
    Ok(seen)
}

async fn empty_is_wrong(
    claim: &PersistentVolumeClaim,
    intent: &Intent,
    backup: &Backup,
    context: &Context,
    writer: &Writer,
) -> Result<Option<Stop>, Error> {
    let Some(why) = &intent.no_data else {
        return Ok(None);
    };
    let others = context.stores.claims.select(|other| evidence::same_restore(other, claim));
    let by_claims = evidence::by_claims(claim, backup, why, &others);
    if by_claims != Witness::Awaited {
        return Ok(evidence::stop(claim, backup, why, by_claims));
    }
    let asked = ask(claim, why, writer).await?;
    let stop = evidence::stop(claim, backup, why, evidence::by_objects(backup, why, &asked.told));
    Ok(match (stop, asked.missing) {
        (Some(stop), Some((kind, name))) => Some(stop.until(kind, &name)),
        (stop, _) => stop,
    })
}

/// What was asked.
#[derive(Default)]
struct Asked {
    told: Told,
    /// The object that would have told, where it does not exist.
    missing: Option<(&'static str, String)>,
}

/// One object: the claim's own Component, or the Cluster.
async fn ask(claim: &PersistentVolumeClaim, why: &NoData, writer: &Writer) -> Result<Asked, Error> {
    let namespace = claim.namespace().unwrap_or_default();
    let label = |key: &str| claim.labels().get(key).filter(|v| !v.is_empty());
    let Some(cluster) = label(labels::INSTANCE) else {
        return Ok(Asked::default());
    };
    match (why, label(labels::COMPONENT_NAME)) {
        (NoData::VolumeNotBackedUp { .. }, Some(component)) => {
            let name = Component::name_of(cluster, component);
            let found = writer.get(&writer.namespaced::<Component>(&namespace), &name).await?;
            let missing = found.is_none().then_some(("Component", name));
            Ok(Asked { told: Told { own_volumes: found.map(|c| c.volumes()), parts: None }, missing })
        }
        (NoData::VolumeNotBackedUp { .. }, None) => Ok(Asked::default()),
        (NoData::OtherComponent, _) => {
            let found = writer.get(&writer.namespaced::<Cluster>(&namespace), cluster).await?;
            let missing = found.is_none().then(|| ("Cluster", cluster.clone()));
            Ok(Asked { told: Told { own_volumes: None, parts: found.map(|c| c.parts()) }, missing })
        }
    }
}
