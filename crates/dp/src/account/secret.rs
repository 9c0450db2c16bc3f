//! What the Secret of a restored account must become (behaviour-apps §6, behaviour-restore §12). Pure.
//!
//! A Secret is written once per Backup and owner, and carries that Backup's UID from then on: a password that was changed
//! since is left alone, also when a later volume of the same component is restored from the same Backup.

use super::{Scope, Secrecy};
use api_types::contract::names::{ACCOUNT_PASSWORD_KEY, ACCOUNT_USERNAME_KEY};
use api_types::contract::{annotations, labels};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An account that is to be there.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Whose it is.
    pub scope: Scope<'a>,
    /// Name of the Cluster.
    pub cluster: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Component or Cluster; plain, not controller.
    pub owner: OwnerReference,
    /// Account.
    pub account: &'a str,
    /// Its password at the time of the Backup.
    pub password: &'a Secrecy<Vec<u8>>,
    /// UID of the Backup.
    pub backup: &'a str,
}

/// One write.
#[derive(Clone, PartialEq)]
pub enum Step {
    /// There is none.
    Create(Box<Secret>),
    /// Merge patch of the one that is there, guarded by UID and resourceVersion.
    Patch {
        /// Name of the Secret.
        name: String,
        /// The patch.
        body: Value,
    },
    /// It is immutable and says something else: deleted, then created.
    Replace {
        /// UID of the one to delete.
        uid: String,
        /// The one to create.
        with: Box<Secret>,
    },
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Create(secret) => write!(f, "Create({})", secret.name_any()),
            Self::Patch { name, .. } => write!(f, "Patch({name})"),
            Self::Replace { uid, with } => write!(f, "Replace({}, {uid})", with.name_any()),
        }
    }
}

/// It is being deleted: what is written into it goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeingDeleted;

impl Wanted<'_> {
    /// Name of its Secret.
    pub fn name(&self) -> String {
        self.scope.secret_name(self.cluster, self.account)
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let (key, name) = match self.scope {
            Scope::Component(name) => (labels::COMPONENT_NAME, name),
            Scope::Sharding(name) => (labels::SHARDING_NAME, name),
        };
        let all = [
            // Without it the apps operator would not find the Secret among its own.
            (labels::MANAGED_BY, labels::MANAGED_BY_APPS),
            (labels::INSTANCE, self.cluster),
            (key, name),
            (labels::SYSTEM_ACCOUNT, self.account),
        ];
        all.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn notes(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (annotations::SYSTEM_ACCOUNT_PROVISIONED.to_owned(), labels::TRUE.to_owned()),
            (annotations::RESTORED_FROM_BACKUP.to_owned(), self.backup.to_owned()),
        ])
    }

    fn data(&self) -> BTreeMap<String, ByteString> {
        BTreeMap::from([
            (ACCOUNT_USERNAME_KEY.to_owned(), ByteString(self.account.as_bytes().to_vec())),
            (ACCOUNT_PASSWORD_KEY.to_owned(), ByteString(self.password.0.clone())),
        ])
    }

    fn secret(&self) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(self.name()),
                namespace: Some(self.namespace.to_owned()),
                labels: Some(self.labels()),
                annotations: Some(self.notes()),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            data: Some(self.data()),
            type_: Some("Opaque".into()),
            ..Secret::default()
        }
    }

    /// What is to be written, given what is there; nothing when it was written before.
    pub fn step(&self, there: Option<&Secret>) -> Result<Option<Step>, BeingDeleted> {
        let Some(there) = there else {
            return Ok(Some(Step::Create(Box::new(self.secret()))));
        };
        if there.metadata.deletion_timestamp.is_some() {
            return Err(BeingDeleted);
        }
        let owned = there.owner_references().iter().any(|o| o.uid == self.owner.uid);
        let restored = there.annotations().get(annotations::RESTORED_FROM_BACKUP);
        if owned && restored.map(String::as_str) == Some(self.backup) {
            return Ok(None);
        }
        let data = self.data();
        let same = data.iter().all(|(key, value)| there.data.as_ref().and_then(|d| d.get(key)) == Some(value));
        if there.immutable == Some(true) && !same {
            let uid = there.uid().unwrap_or_default();
            return Ok(Some(Step::Replace { uid, with: Box::new(self.secret()) }));
        }
        let mut metadata = json!({
            "uid": there.uid(), "resourceVersion": there.resource_version(),
            "labels": self.labels(), "annotations": self.notes(),
        });
        if !owned && let Some(metadata) = metadata.as_object_mut() {
            let owners: Vec<&OwnerReference> = there.owner_references().iter().chain([&self.owner]).collect();
            metadata.insert("ownerReferences".into(), json!(owners));
        }
        let mut body = json!({"metadata": metadata});
        if !same && let Some(body) = body.as_object_mut() {
            body.insert("data".into(), json!(data));
        }
        Ok(Some(Step::Patch { name: self.name(), body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: "apps.kubeblocks.io/v1".into(),
            kind: "Component".into(),
            name: "c-db".into(),
            uid: uid.into(),
            ..OwnerReference::default()
        }
    }

    fn wanted(password: &Secrecy<Vec<u8>>) -> Wanted<'_> {
        Wanted {
            scope: Scope::Component("db"),
            cluster: "c",
            namespace: "n",
            owner: owner("component"),
            account: "kb_admin",
            password,
            backup: "backup",
        }
    }

    fn there(change: &Value) -> Secret {
        let mut body = json!({
            "metadata": {"name": "c-db-account-kb-admin", "namespace": "n", "uid": "s", "resourceVersion": "7",
                "ownerReferences": [owner("component")]},
            "data": {"username": "a2JfYWRtaW4=", "password": "cmFuZG9t"},
        });
        for (key, value) in change.as_object().unwrap() {
            if key == "metadata" {
                for (key, value) in value.as_object().unwrap() {
                    body["metadata"][key] = value.clone();
                }
            } else {
                body[key] = value.clone();
            }
        }
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn apps_25_a_missing_secret_is_made_as_the_wire_has_it() {
        let password = Secrecy(b"old".to_vec());
        let Ok(Some(Step::Create(made))) = wanted(&password).step(None) else { panic!("to be created") };
        insta::assert_yaml_snapshot!(made, @r#"
        apiVersion: v1
        kind: Secret
        data:
          password: b2xk
          username: a2JfYWRtaW4=
        metadata:
          annotations:
            apps.kubeblocks.io/system-account-provisioned: "true"
            holdfast.dev/restored-from-backup: backup
          labels:
            app.kubernetes.io/instance: c
            app.kubernetes.io/managed-by: kubeblocks
            apps.kubeblocks.io/component-name: db
            apps.kubeblocks.io/system-account: kb_admin
          name: c-db-account-kb-admin
          namespace: n
          ownerReferences:
            - apiVersion: apps.kubeblocks.io/v1
              kind: Component
              name: c-db
              uid: component
        type: Opaque
        "#);
    }

    #[test]
    fn apps_25_the_password_of_one_that_is_there_is_put_back_in_place() {
        let password = Secrecy(b"old".to_vec());
        let Ok(Some(Step::Patch { name, body })) = wanted(&password).step(Some(&there(&json!({})))) else {
            panic!("to be patched")
        };
        assert_eq!(name, "c-db-account-kb-admin");
        assert_eq!(body["data"], json!({"username": "a2JfYWRtaW4=", "password": "b2xk"}));
        assert_eq!((&body["metadata"]["uid"], &body["metadata"]["resourceVersion"]), (&json!("s"), &json!("7")));
        assert_eq!(body["metadata"]["annotations"]["apps.kubeblocks.io/system-account-provisioned"], "true");
        assert_eq!(body["metadata"].get("ownerReferences"), None, "it has its owner");
        let stranger = there(&json!({"metadata": {"ownerReferences": [owner("earlier")]}}));
        let Ok(Some(Step::Patch { body, .. })) = wanted(&password).step(Some(&stranger)) else {
            panic!("to be patched")
        };
        assert_eq!(body["metadata"]["ownerReferences"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn restore_65_one_that_was_restored_from_this_backup_is_left_alone() {
        let password = Secrecy(b"old".to_vec());
        let note = |backup: &str| json!({"metadata": {"annotations": {annotations::RESTORED_FROM_BACKUP: backup}}});
        assert_eq!(wanted(&password).step(Some(&there(&note("backup")))), Ok(None));
        assert!(wanted(&password).step(Some(&there(&note("another")))).unwrap().is_some());
        let mut copied = there(&note("backup"));
        copied.metadata.owner_references = Some(vec![owner("earlier")]);
        assert!(wanted(&password).step(Some(&copied)).unwrap().is_some(), "of an earlier Component of the name");
    }

    #[test]
    fn an_immutable_one_is_replaced_only_if_it_says_something_else() {
        let password = Secrecy(b"old".to_vec());
        let other = there(&json!({"immutable": true}));
        let step = wanted(&password).step(Some(&other)).unwrap().unwrap();
        assert!(matches!(&step, Step::Replace { uid, .. } if uid == "s"), "{step:?}");
        let same = there(&json!({"immutable": true, "data": {"username": "a2JfYWRtaW4=", "password": "b2xk"}}));
        let Ok(Some(Step::Patch { body, .. })) = wanted(&password).step(Some(&same)) else { panic!("to be patched") };
        assert_eq!(body.get("data"), None, "its data can not be written, nor need they");
    }

    #[test]
    fn one_that_goes_away_is_not_written_and_no_step_shows_a_password() {
        let password = Secrecy(b"hush".to_vec());
        let going = there(&json!({"metadata": {"deletionTimestamp": "2026-11-21T00:00:00Z"}}));
        assert_eq!(wanted(&password).step(Some(&going)), Err(BeingDeleted));
        let steps = [None, Some(there(&json!({}))), Some(there(&json!({"immutable": true})))];
        for there in steps {
            let shown = format!("{:?} {:?}", wanted(&password).step(there.as_ref()), wanted(&password));
            assert!(!shown.contains("hush") && !shown.contains("aHVzaA"), "{shown}");
        }
    }
}
