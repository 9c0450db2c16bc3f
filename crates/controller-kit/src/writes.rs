//! Calls that change something: each with a deadline, a field manager and a count.

use crate::diff::merge_diff;
use crate::error::ApiError;
use crate::metrics::{Metrics, Request};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

/// Longest a single call may take, the client's own retries included: without it 160 s of retries
/// block a reconcile silently.
const DEADLINE: Duration = Duration::from_secs(15);

/// A kind whose type says how it is named; all of ours and of Kubernetes.
pub trait Object:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
}
impl<K> Object for K where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

/// Writes of one controller.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    manager: &'static str,
    metrics: Metrics,
}

impl Writer {
    /// Writes under the field manager `<operator>/<controller>`.
    pub fn new(client: Client, manager: &'static str, metrics: Metrics) -> Self {
        Writer { client, manager, metrics }
    }

    /// The objects of a kind in one namespace.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Object + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The objects of a cluster-scoped kind.
    pub fn cluster<K>(&self) -> Api<K>
    where
        K: Object + Resource<Scope = k8s_openapi::ClusterResourceScope>,
    {
        Api::all(self.client.clone())
    }

    /// The client, for calls that are not about one object.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads the object from the server, past the caches. `None` also where its kind is not served: the server then
    /// answers 404 without a Status, which the client does not take for a missing object.
    pub async fn get<K: Object>(&self, api: &Api<K>, name: &str) -> Result<Option<K>, ApiError> {
        match self.find(api, name).await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer,
        }
    }

    /// Reads the object from the server, past the caches; `None` only where the server knows the kind and says that there is
    /// no such object.
    pub async fn find<K: Object>(&self, api: &Api<K>, name: &str) -> Result<Option<K>, ApiError> {
        self.call::<K, _>("get", name, api.get_opt(name)).await
    }

    /// Lists objects from the server, past the caches.
    pub async fn list<K: Object>(&self, api: &Api<K>, params: &ListParams) -> Result<Vec<K>, ApiError> {
        let what = params.label_selector.as_deref().unwrap_or("all");
        Ok(self.call::<K, _>("list", what, api.list(params)).await?.items)
    }

    /// Creates an object; the name may be taken, see [`ApiError::is_already_exists`].
    pub async fn create<K: Object>(&self, api: &Api<K>, object: &K) -> Result<K, ApiError> {
        let params = PostParams { field_manager: Some(self.manager.into()), ..PostParams::default() };
        self.call::<K, _>("create", &object.name_any(), api.create(&params, object)).await
    }

    /// Server-side apply, forced: `body` holds exactly the fields this manager owns.
    pub async fn apply<K: Object>(&self, api: &Api<K>, name: &str, body: &Value) -> Result<K, ApiError> {
        let params = PatchParams::apply(self.manager).force();
        self.call::<K, _>("apply", name, api.patch(name, &params, &Patch::Apply(body))).await
    }

    /// Server-side apply to the status subresource, under a manager of its own.
    pub async fn apply_status<K: Object>(&self, api: &Api<K>, name: &str, body: &Value) -> Result<K, ApiError> {
        let manager = format!("{}/status", self.manager);
        let params = PatchParams::apply(&manager).force();
        self.call::<K, _>("apply", name, api.patch_status(name, &params, &Patch::Apply(body))).await
    }

    /// Merge patch of the status subresource; `body` carries uid and resourceVersion where a lost
    /// race would matter.
    pub async fn merge_status<K: Object>(&self, api: &Api<K>, name: &str, body: &Value) -> Result<K, ApiError> {
        let params = PatchParams { field_manager: Some(self.manager.into()), ..PatchParams::default() };
        self.call::<K, _>("patch", name, api.patch_status(name, &params, &Patch::Merge(body))).await
    }

    /// Writes what differs between two statuses of one object as a merge patch, guarded by UID and
    /// resourceVersion; `None` when nothing differs, and then nothing is sent.
    pub async fn store_status<K: Object, S: Serialize>(
        &self,
        api: &Api<K>,
        object: &K,
        old: &S,
        new: &S,
    ) -> Result<Option<K>, ApiError> {
        let name = object.name_any();
        let encode = |status: &S| {
            serde_json::to_value(status)
                .map_err(|error| self.failed::<K>("patch", &name, kube::Error::SerdeError(error)))
        };
        let Some(change) = merge_diff(&encode(old)?, &encode(new)?) else {
            return Ok(None);
        };
        let body = serde_json::json!({
            "metadata": {"uid": object.uid(), "resourceVersion": object.resource_version()},
            "status": change,
        });
        self.merge_status(api, &name, &body).await.map(Some)
    }

    /// Merge patch of the object; `null` removes a key.
    pub async fn merge<K: Object>(&self, api: &Api<K>, name: &str, body: &Value) -> Result<K, ApiError> {
        let params = PatchParams { field_manager: Some(self.manager.into()), ..PatchParams::default() };
        self.call::<K, _>("patch", name, api.patch(name, &params, &Patch::Merge(body))).await
    }

    /// JSON patch: all operations or none, see [`ApiError::is_failed_test`].
    pub async fn json_patch<K: Object>(&self, api: &Api<K>, name: &str, operations: Value) -> Result<K, ApiError> {
        let patch: kube::core::params::Patch<Value> = match serde_json::from_value(operations) {
            Ok(operations) => Patch::Json(operations),
            Err(error) => {
                return Err(self.failed::<K>("patch", name, kube::Error::SerdeError(error)));
            }
        };
        let params = PatchParams { field_manager: Some(self.manager.into()), ..PatchParams::default() };
        self.call::<K, _>("patch", name, api.patch(name, &params, &patch)).await
    }

    /// Deletes the object if it still is the one of `uid`; gone already counts as done.
    pub async fn delete<K: Object>(
        &self,
        api: &Api<K>,
        name: &str,
        uid: &str,
        propagation: PropagationPolicy,
    ) -> Result<(), ApiError> {
        let only = Preconditions { uid: Some(uid.into()), resource_version: None };
        match self.delete_if(api, name, only, propagation).await {
            Err(error) if error.is_conflict() => Ok(()),
            answer => answer,
        }
    }

    /// Deletes the object if nothing in it changed since it was read; gone already counts as done.
    ///
    /// # Errors
    /// A conflict ([`ApiError::is_conflict`]) where it changed: what was decided about it may no longer hold.
    pub async fn delete_as_seen<K: Object>(&self, api: &Api<K>, object: &K) -> Result<(), ApiError> {
        let only = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
        self.delete_if(api, &object.name_any(), only, PropagationPolicy::Background).await
    }

    async fn delete_if<K: Object>(
        &self,
        api: &Api<K>,
        name: &str,
        only: Preconditions,
        propagation: PropagationPolicy,
    ) -> Result<(), ApiError> {
        let params = DeleteParams {
            propagation_policy: Some(propagation),
            preconditions: Some(only),
            ..DeleteParams::default()
        };
        match self.call::<K, _>("delete", name, api.delete(name, &params)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn call<K: Object, T>(
        &self,
        verb: &'static str,
        object: &str,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        let result = tokio::time::timeout(DEADLINE, call).await;
        let code = match &result {
            Ok(Ok(_)) => "2xx".to_owned(),
            Ok(Err(kube::Error::Api(status))) => status.code.to_string(),
            _ => "none".to_owned(),
        };
        let kind = K::kind(&()).into_owned();
        self.metrics.requests.get_or_create(&Request { verb, kind: kind.clone(), code }).inc();
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => Err(self.failed::<K>(verb, object, source)),
            Err(_) => Err(ApiError::Deadline { verb, kind, object: object.into(), after: DEADLINE }),
        }
    }

    #[allow(clippy::unused_self)]
    fn failed<K: Object>(&self, verb: &'static str, object: &str, source: kube::Error) -> ApiError {
        ApiError::Call { verb, kind: K::kind(&()).into_owned(), object: object.into(), source: Box::new(source) }
    }
}
