//! Reads the accounts of a running Cluster: which there are from its definitions, their passwords from Secrets by name
//! (design D12: Secrets are never listed).

use super::sealed::Accounts;
use super::{Scope, Secrecy};
use crate::cluster::{Cluster, Component, ComponentDefinition};
use crate::error::Error;
use api_types::contract::labels;
use api_types::contract::names::{ACCOUNT_PASSWORD_KEY, ACCOUNT_USERNAME_KEY};
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Accounts of a Cluster, and what could not be found out about them.
#[derive(Debug, Default)]
pub struct Collected {
    /// Passwords by component or sharding and account.
    pub accounts: Accounts,
    /// What is missing, for people.
    pub missing: Vec<String>,
}

struct Collecting<'a> {
    writer: &'a Writer,
    cluster: &'a Cluster,
    definitions: BTreeMap<String, Option<Arc<ComponentDefinition>>>,
    found: Collected,
}

/// The accounts of all components of `cluster`: a restored Cluster has all of them. `backed_up` holds the labels of pods
/// that are backed up: they name the components of shards.
pub async fn collect(
    writer: &Writer,
    cluster: &Cluster,
    backed_up: &[BTreeMap<String, String>],
) -> Result<Collected, Error> {
    let mut of = Collecting { writer, cluster, definitions: BTreeMap::new(), found: Collected::default() };
    // Component, its sharding, its definition as the Cluster names it.
    let mut components: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    let mut shardings: BTreeMap<String, Option<String>> = BTreeMap::new();
    for part in cluster.parts() {
        if part.sharding {
            shardings.insert(part.name, part.definition);
        } else {
            components.insert(part.name, (None, part.definition));
        }
    }
    for pod in backed_up {
        let sharding = pod.get(labels::SHARDING_NAME);
        if let Some(component) = pod.get(labels::COMPONENT_NAME) {
            components.entry(component.clone()).or_insert((sharding.cloned(), None));
        }
        if let Some(sharding) = sharding {
            shardings.entry(sharding.clone()).or_default();
        }
    }
    for (component, (sharding, named)) in components {
        let definition = of.component(&component, named).await?;
        if let (Some(sharding), Some(definition)) = (sharding, definition) {
            shardings.insert(sharding, Some(definition));
        }
    }
    for (sharding, named) in shardings {
        of.sharding(&sharding, named).await?;
    }
    Ok(of.found)
}

impl Collecting<'_> {
    /// Takes the accounts of one component; gives the name of its definition.
    async fn component(&mut self, name: &str, named: Option<String>) -> Result<Option<String>, Error> {
        let namespace = self.cluster.namespace().unwrap_or_default();
        let object = Component::name_of(&self.cluster.name_any(), name);
        let component = self.writer.get(&self.writer.namespaced::<Component>(&namespace), &object).await?;
        let definition = component.as_ref().and_then(|c| c.definition().map(str::to_owned)).or(named);
        let Some(definition) = definition else {
            self.found.missing.push(format!("the ComponentDefinition of component {name}"));
            return Ok(None);
        };
        let Some(known) = self.definition(&definition).await? else {
            self.found.missing.push(format!("ComponentDefinition {definition} of component {name}"));
            return Ok(None);
        };
        let disabled: BTreeSet<&str> = component.as_ref().map(Component::disabled_accounts).unwrap_or_default();
        for account in known.accounts() {
            let there = self.take(name, &Scope::Component(name), account).await?;
            if !there && !disabled.contains(account) {
                self.found.missing.push(format!("account {account} of component {name}"));
            }
        }
        Ok(Some(definition))
    }

    /// Takes the accounts that the components of a sharding share; there need not be any.
    async fn sharding(&mut self, name: &str, named: Option<String>) -> Result<(), Error> {
        let Some(definition) = named else { return Ok(()) };
        let Some(known) = self.definition(&definition).await? else { return Ok(()) };
        for account in known.accounts() {
            self.take(name, &Scope::Sharding(name), account).await?;
        }
        Ok(())
    }

    async fn definition(&mut self, name: &str) -> Result<Option<Arc<ComponentDefinition>>, Error> {
        if let Some(known) = self.definitions.get(name) {
            return Ok(known.clone());
        }
        let read = self.writer.get(&self.writer.cluster::<ComponentDefinition>(), name).await?.map(Arc::new);
        self.definitions.insert(name.to_owned(), read.clone());
        Ok(read)
    }

    /// Whether the account has a Secret with user name and password.
    async fn take(&mut self, owner: &str, scope: &Scope<'_>, account: &str) -> Result<bool, Error> {
        let namespace = self.cluster.namespace().unwrap_or_default();
        let name = scope.secret_name(&self.cluster.name_any(), account);
        let secret = self.writer.get(&self.writer.namespaced::<Secret>(&namespace), &name).await?;
        let data = secret.and_then(|s| s.data).unwrap_or_default();
        let (Some(_), Some(password)) = (data.get(ACCOUNT_USERNAME_KEY), data.get(ACCOUNT_PASSWORD_KEY)) else {
            return Ok(false);
        };
        let of_owner = self.found.accounts.entry(owner.to_owned()).or_default();
        of_owner.insert(account.to_owned(), Secrecy(password.0.clone()));
        Ok(true)
    }
}
