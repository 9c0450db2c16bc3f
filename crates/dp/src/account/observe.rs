//! Reads what the account Secrets of one waiting claim need, once, when its attempt is about to begin.

use super::Scope;
use super::keyring::KeyRing;
use super::sealed::{self, Accounts};
use super::secret::{BeingDeleted, Step, Wanted};
use crate::cluster::{Cluster, Component};
use crate::error::{Error, Stop};
use crate::reasons;
use api_types::contract::{KIND_BACKUP, annotations, labels};
use api_types::dp::Backup;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

/// Writes that bring back the accounts of the claim's component and sharding, or what keeps them back.
///
/// `backup` may come from the cache, which holds no accounts but knows whether there are any.
pub async fn observe(
    claim: &PersistentVolumeClaim,
    backup: &Backup,
    keys: &KeyRing,
    writer: &Writer,
) -> Result<Result<Vec<Step>, Stop>, Error> {
    let Some(cluster) = label(claim, labels::INSTANCE) else {
        return Ok(Ok(vec![]));
    };
    // A claim that names a Restore is a user's own: it says nothing about accounts.
    let source = claim.spec.as_ref().and_then(|s| s.data_source_ref.as_ref());
    if source.is_none_or(|s| s.kind != KIND_BACKUP) {
        return Ok(Ok(vec![]));
    }
    if !backup.annotations().contains_key(annotations::ENCRYPTED_SYSTEM_ACCOUNTS) {
        return Ok(Ok(vec![]));
    }
    let accounts = match read(backup, keys, writer).await? {
        Ok(accounts) => accounts,
        Err(stop) => return Ok(Err(stop)),
    };
    let namespace = claim.namespace().unwrap_or_default();
    let mut steps = Vec::new();
    for scope in scopes(claim).into_iter().filter(|s| !of(&accounts, s).is_empty()) {
        let owner = match owner(&scope, cluster, &namespace, backup, writer).await? {
            Ok(owner) => owner,
            Err(stop) => return Ok(Err(stop)),
        };
        for (account, password) in of(&accounts, &scope) {
            let wanted = Wanted {
                scope: scope.clone(),
                cluster,
                namespace: &namespace,
                owner: owner.clone(),
                account,
                password,
                backup: backup.metadata.uid.as_deref().unwrap_or_default(),
            };
            let there = writer.get(&writer.namespaced::<Secret>(&namespace), &wanted.name()).await?;
            match wanted.step(there.as_ref()) {
                Ok(step) => steps.extend(step),
                Err(BeingDeleted) => return Ok(Err(going(&wanted.name()))),
            }
        }
    }
    Ok(Ok(steps))
}

fn going(secret: &str) -> Stop {
    let message = format!("Secret {secret} is being deleted; it gets the account's old password when it is gone");
    Stop::wait(reasons::WAIT_FOR_CLEANUP, message).until("Secret", secret)
}

fn label<'a>(claim: &'a PersistentVolumeClaim, key: &str) -> Option<&'a str> {
    claim.labels().get(key).map(String::as_str).filter(|v| !v.is_empty())
}

/// A shard's claim belongs to its component and to its sharding.
fn scopes(claim: &PersistentVolumeClaim) -> Vec<Scope<'_>> {
    let sharding = label(claim, labels::SHARDING_NAME);
    let noted = claim.annotations().get(annotations::RESTORE_COMPONENT).map(String::as_str).filter(|v| !v.is_empty());
    // The note names the sharding where there is one.
    let component = label(claim, labels::COMPONENT_NAME).or(noted.filter(|_| sharding.is_none()));
    component.map(Scope::Component).into_iter().chain(sharding.map(Scope::Sharding)).collect()
}

fn of<'a>(
    accounts: &'a Accounts,
    scope: &Scope<'_>,
) -> &'a std::collections::BTreeMap<String, super::Secrecy<Vec<u8>>> {
    static NONE: std::collections::BTreeMap<String, super::Secrecy<Vec<u8>>> = std::collections::BTreeMap::new();
    let (Scope::Component(name) | Scope::Sharding(name)) = scope;
    accounts.get(*name).unwrap_or(&NONE)
}

/// All accounts of the Backup, opened: a wrong key is told for every claim, not only for those it concerns.
async fn read(backup: &Backup, keys: &KeyRing, writer: &Writer) -> Result<Result<Accounts, Stop>, Error> {
    let (namespace, name) = (backup.namespace().unwrap_or_default(), backup.name_any());
    let fresh = writer.get(&writer.namespaced::<Backup>(&namespace), &name).await?;
    let Some(fresh) = fresh.filter(|b| b.uid() == backup.uid()) else {
        let stop = Stop::wait(reasons::BACKUP_NOT_FOUND, format!("there is no Backup {namespace}/{name}"));
        return Ok(Err(stop));
    };
    let Some(text) = fresh.annotations().get(annotations::ENCRYPTED_SYSTEM_ACCOUNTS) else {
        return Ok(Ok(Accounts::new()));
    };
    let ciphers = keys.ciphers(writer).await?;
    Ok(sealed::open(text, &ciphers).map_err(|unreadable| {
        Stop::terminal(
            reasons::ACCOUNTS_UNDECRYPTABLE,
            format!(
                "Backup {name}, annotation {}: {}; if the backup was made with another encryption key, \
                 add it to the operator's old keys",
                annotations::ENCRYPTED_SYSTEM_ACCOUNTS,
                controller_kit::error::chain(&unreadable)
            ),
        )
    }))
}

/// The object that the Secrets go with.
async fn owner(
    scope: &Scope<'_>,
    cluster: &str,
    namespace: &str,
    backup: &Backup,
    writer: &Writer,
) -> Result<Result<OwnerReference, Stop>, Error> {
    let (kind, name, found) = match scope {
        Scope::Component(component) => {
            let name = Component::name_of(cluster, component);
            let found = writer.get(&writer.namespaced::<Component>(namespace), &name).await?;
            ("Component", name, found.map(|c| (c.owner_ref(&()), c.metadata.deletion_timestamp.is_some())))
        }
        Scope::Sharding(_) => {
            let found = writer.get(&writer.namespaced::<Cluster>(namespace), cluster).await?;
            let found = found.map(|c| (c.owner_ref(&()), c.metadata.deletion_timestamp.is_some()));
            ("Cluster", cluster.to_owned(), found)
        }
    };
    let reason = if kind == "Component" { reasons::WAIT_FOR_COMPONENT } else { reasons::WAIT_FOR_CLUSTER };
    let of = format!("the accounts of Backup {} belong to", backup.name_any());
    Ok(match found {
        Some((Some(owner), false)) => Ok(owner),
        Some(_) => Err(Stop::wait(reason, format!("{of} {kind} {name}, which is being deleted")).until(kind, &name)),
        None => Err(Stop::wait(reason, format!("{of} {kind} {name}, which does not exist")).until(kind, &name)),
    })
}
