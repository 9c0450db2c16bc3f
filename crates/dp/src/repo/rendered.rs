//! What a repository is made of: everything its provider's templates give, and the digest of it all. Pure.

use super::claim::{self, ClaimTemplate};
use super::names::digest_of;
use super::parameters::{Parameters, Texts};
use super::reach::{Purpose, entry};
use super::render::{Dot, render};
use api_types::contract::annotations;
use api_types::contract::conditions::repo as conditions;
use api_types::contract::labels;
use api_types::contract::reasons::repo as reasons;
use api_types::dp::{AccessMethod, BackupRepo, DeletionPolicy, StorageProvider};
use k8s_openapi::api::core::v1::SecretReference;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// A Secret that the repository names, as it was read just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSeen {
    /// There is none.
    Missing,
    /// It may not be read, or is no text; why.
    Unusable(String),
    /// Its data.
    Found(Texts),
}

/// Secrets by namespace and name.
pub type Secrets = BTreeMap<(String, String), SecretSeen>;

/// A step towards Ready that fails: the condition that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Type of the condition.
    pub condition: &'static str,
    /// Its reason.
    pub reason: &'static str,
    /// Names the object, the field and the way out.
    pub message: String,
}

impl Fault {
    /// A condition that is False.
    pub fn new(condition: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Fault { condition, reason, message: message.into() }
    }
}

/// Namespace and name of a Secret; the operator's own namespace where the reference names none.
pub fn place(reference: &SecretReference, own_namespace: &str) -> (String, String) {
    let namespace = reference.namespace.clone().filter(|n| !n.is_empty());
    (namespace.unwrap_or_else(|| own_namespace.to_owned()), reference.name.clone().unwrap_or_default())
}

/// All Secrets that a repository names.
pub fn named_secrets(repo: &BackupRepo, own_namespace: &str) -> Vec<(String, String)> {
    let of_namespaces =
        repo.spec.namespaces.iter().flat_map(|n| [&n.credential, &n.read_credential, &n.delete_credential]);
    let all = std::iter::once(&repo.spec.credential).chain(of_namespaces).flatten();
    let mut places: Vec<_> = all.map(|reference| place(reference, own_namespace)).collect();
    places.sort();
    places.dedup();
    places
}

/// What a repository and its provider give, before anything of it exists.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Data of the CSI driver's Secret.
    pub driver_secret: Option<Texts>,
    /// The generated class.
    pub class: Option<StorageClass>,
    /// What claims are made from, with access method Mount.
    pub claim: Option<ClaimTemplate>,
    /// The mover's configuration with the repository's own key, with access method Tool.
    pub config: Option<String>,
    /// Changes with all of it.
    pub digest: String,
}

/// What rendering needs.
pub struct Source<'a> {
    /// The repository.
    pub repo: &'a BackupRepo,
    /// Its provider.
    pub provider: &'a StorageProvider,
    /// The Secrets it names.
    pub secrets: &'a Secrets,
    /// The operator's own namespace.
    pub own_namespace: &'a str,
}

fn given(template: Option<&String>) -> Option<&str> {
    template.map(String::as_str).filter(|t| !t.trim().is_empty())
}

impl Source<'_> {
    /// The parameters with that Secret as the last layer.
    fn parameters(&self, secret: Option<&SecretReference>) -> Result<Parameters, Fault> {
        let missing =
            |message| Fault::new(conditions::PARAMETERS_CHECKED, reasons::CREDENTIAL_SECRET_NOT_FOUND, message);
        let mut layers = Vec::new();
        if let Some(reference) = secret {
            let (namespace, name) = place(reference, self.own_namespace);
            match self.secrets.get(&(namespace.clone(), name.clone())) {
                Some(SecretSeen::Found(data)) => layers.push(data),
                Some(SecretSeen::Unusable(why)) => return Err(missing(format!("Secret {namespace}/{name}: {why}"))),
                Some(SecretSeen::Missing) | None => {
                    return Err(missing(format!("there is no Secret {namespace}/{name}; create it")));
                }
            }
        }
        let all = Parameters::layered(self.provider, &self.repo.spec.config, &layers);
        all.check(self.provider)
            .map_err(|why| Fault::new(conditions::PARAMETERS_CHECKED, reasons::INVALID_PARAMETERS, why))?;
        Ok(all)
    }

    /// Parameters with the repository's own key.
    ///
    /// # Errors
    /// Condition `ParametersChecked`.
    pub fn own_parameters(&self) -> Result<Parameters, Fault> {
        self.parameters(self.repo.spec.credential.as_ref())
    }

    /// The mover's configuration for one namespace and purpose.
    ///
    /// # Errors
    /// The Secret that is missing, the parameter that is wrong, or what the template engine says.
    pub fn configuration(&self, namespace: &str, purpose: Purpose) -> Result<String, Fault> {
        let own = entry(self.repo, namespace);
        let for_purpose = own.and_then(|n| match purpose {
            Purpose::Write => None,
            Purpose::Read => n.read_credential.as_ref(),
            Purpose::Delete => n.delete_credential.as_ref(),
        });
        let key = for_purpose.or(own.and_then(|n| n.credential.as_ref())).or(self.repo.spec.credential.as_ref());
        self.config_with(&self.parameters(key)?)
    }

    fn config_with(&self, parameters: &Parameters) -> Result<String, Fault> {
        let template = given(self.provider.spec.datasafed_config_template.as_ref()).unwrap_or_default();
        let dot = Dot { parameters: parameters.values.clone(), ..Dot::default() };
        render("datasafedConfigTemplate", template, &dot)
            .map_err(|why| self.invalid(&format!("datasafedConfigTemplate: {why}")))
    }

    fn invalid(&self, why: &str) -> Fault {
        let name = self.provider.name_any();
        Fault::new(
            conditions::STORAGE_PROVIDER_READY,
            reasons::INVALID_STORAGE_PROVIDER,
            format!("StorageProvider {name}: {why}"),
        )
    }

    /// Everything, with the names that the status records.
    ///
    /// # Errors
    /// The condition of the part that does not render.
    pub fn render(&self, parameters: &Parameters) -> Result<Rendered, Fault> {
        let mut rendered =
            Rendered { driver_secret: None, class: None, claim: None, config: None, digest: String::new() };
        if self.repo.spec.access_method() == AccessMethod::Tool {
            rendered.config = Some(self.config_with(parameters)?);
        } else {
            let mut dot = self.dot(parameters);
            rendered.driver_secret = self.driver_secret(&dot)?;
            rendered.class = self.class(&dot)?;
            let status = self.repo.status.as_ref();
            dot.class = status.and_then(|s| s.generated_storage_class_name.clone()).unwrap_or_default();
            rendered.claim = Some(claim::template(self.repo, self.provider, &dot).map_err(|why| {
                let text =
                    format!("StorageProvider {}: persistentVolumeClaimTemplate: {why}", self.provider.name_any());
                Fault::new(conditions::PVC_TEMPLATE_CHECKED, reasons::BAD_PVC_TEMPLATE, text)
            })?);
        }
        rendered.digest = self.digest(parameters);
        Ok(rendered)
    }

    fn dot(&self, parameters: &Parameters) -> Dot {
        let secret = self.repo.status.as_ref().and_then(|s| s.generated_csi_driver_secret.clone());
        let secret = secret.filter(|_| given(self.provider.spec.csi_driver_secret_template.as_ref()).is_some());
        let driver_secret = secret.map(|s| (s.name.unwrap_or_default(), s.namespace.unwrap_or_default()));
        Dot {
            parameters: parameters.values.clone(),
            driver_secret: driver_secret.unwrap_or_default(),
            class: String::new(),
        }
    }

    fn driver_secret(&self, dot: &Dot) -> Result<Option<Texts>, Fault> {
        let Some(template) = given(self.provider.spec.csi_driver_secret_template.as_ref()) else {
            return Ok(None);
        };
        let bad = |why: &str| {
            let text = format!("StorageProvider {}: csiDriverSecretTemplate: {why}", self.provider.name_any());
            Fault::new(conditions::STORAGE_CLASS_CREATED, reasons::PREPARE_CSI_SECRET_FAILED, text)
        };
        let text = render("csiDriverSecretTemplate", template, dot).map_err(|e| bad(&e.to_string()))?;
        // What the decoder says may quote a key.
        let data: Option<Texts> =
            serde_saphyr::from_str(&text).map_err(|_| bad("what it renders is no YAML map of texts"))?;
        Ok(Some(data.unwrap_or_default()))
    }

    fn class(&self, dot: &Dot) -> Result<Option<StorageClass>, Fault> {
        let Some(template) = given(self.provider.spec.storage_class_template.as_ref()) else {
            return Ok(None);
        };
        let bad = |why: String| {
            let text = format!("StorageProvider {}: storageClassTemplate: {why}", self.provider.name_any());
            Fault::new(conditions::STORAGE_CLASS_CREATED, reasons::PREPARE_STORAGE_CLASS_FAILED, text)
        };
        let text = render("storageClassTemplate", template, dot).map_err(|e| bad(e.to_string()))?;
        let mut class: StorageClass = serde_saphyr::from_str(&text).map_err(|e| bad(e.to_string()))?;
        let repo = self.repo;
        class.volume_binding_mode = Some("Immediate".into());
        class.reclaim_policy = match repo.spec.pv_reclaim_policy {
            DeletionPolicy::Retain => Some("Retain".into()),
            DeletionPolicy::Delete => Some("Delete".into()),
            DeletionPolicy::Other(_) => class.reclaim_policy,
        };
        let applied = digest_of(&class);
        let meta = &mut class.metadata;
        meta.name = repo.status.as_ref().and_then(|s| s.generated_storage_class_name.clone());
        meta.namespace = None;
        meta.labels = Some(BTreeMap::from([
            (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
            (labels::BACKUP_REPO_NAME.to_owned(), repo.name_any()),
        ]));
        meta.annotations.get_or_insert_default().insert(annotations::APPLIED.into(), applied);
        meta.owner_references = repo.controller_owner_ref(&()).map(|o| vec![o]);
        Ok(Some(class))
    }

    /// Of parameters and templates; beside the reference's, of what else a check is about (behaviour-backup D15), and of
    /// the keys of namespaces.
    fn digest(&self, parameters: &Parameters) -> String {
        let spec = &self.provider.spec;
        let keys: Vec<_> = self
            .repo
            .spec
            .namespaces
            .iter()
            .flat_map(|n| [&n.credential, &n.read_credential, &n.delete_credential])
            .map(|reference| match reference.as_ref().map(|r| self.secrets.get(&place(r, self.own_namespace))) {
                Some(Some(SecretSeen::Found(data))) => Some(data),
                _ => None,
            })
            .collect();
        digest_of(&(
            &parameters.values,
            [
                &spec.storage_class_template,
                &spec.persistent_volume_claim_template,
                &spec.csi_driver_secret_template,
                &spec.datasafed_config_template,
            ],
            (self.repo.spec.access_method(), &self.repo.spec.path_prefix, &self.repo.spec.volume_capacity),
            keys,
        ))
    }
}
