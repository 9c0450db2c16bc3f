//! Actions of a definition: what is run in or against pods at moments of their life.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::EnvEntry;
use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// Which pods an action runs in.
    closed TargetPodSelector {
        /// One, whichever.
        Any => "Any",
        /// Each.
        All => "All",
        /// Those of the role in `matchingKey`.
        Role => "Role",
        /// Those of the ordinals in `matchingKey`.
        Ordinal => "Ordinal",
    }
}

wire_enum! {
    /// Which shards an action runs in.
    closed TargetShardSelector {
        /// One, whichever.
        Any => "Any",
        /// Each.
        All => "All",
    }
}

/// One action: a command, or a call that this release keeps but does not run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// A request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Open<HttpAction>>,
    /// A remote call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Open<GrpcAction>>,
    /// Which pods it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pod_selector: Option<TargetPodSelector>,
    /// Role or ordinals for the selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching_key: Option<String>,
    /// Seconds it may take; 0 leaves it to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub timeout_seconds: Option<i32>,
    /// How often it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// What must hold before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_condition: Option<String>,
    /// Whether nobody waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub non_blocking: Option<bool>,
}

impl Action {
    /// Seconds it may take, if limited.
    pub fn timeout_seconds(&self) -> Option<i32> {
        self.timeout_seconds.filter(|seconds| *seconds > 0)
    }

    /// Which pods it runs in; the older place under `exec` counts where the newer one is empty.
    pub fn target_pod_selector(&self) -> Option<&TargetPodSelector> {
        let old = self.exec.as_ref().and_then(|exec| exec.target_pod_selector.as_ref());
        self.target_pod_selector.as_ref().or(old)
    }

    /// Role or ordinals for the selector, from the newer or the older place.
    pub fn matching_key(&self) -> Option<&str> {
        let old = self.exec.as_ref().and_then(|exec| exec.matching_key.as_deref());
        self.matching_key.as_deref().or(old)
    }
}

/// A command in a container of the pod, or in the agent's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecAction {
    /// Image it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Environment, besides that of the component.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvEntry>,
    /// Command.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Older place of the action's own selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pod_selector: Option<TargetPodSelector>,
    /// Older place of the action's own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching_key: Option<String>,
    /// Container whose image and mounts it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// A request to the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpAction {
    /// Port, number or name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub port: String,
    /// Host; the pod if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `HTTP` or `HTTPS`; default `HTTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Path; default `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Method; default `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Headers.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpHeader>,
    /// Body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Value.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub value: String,
}

/// A remote call to the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcAction {
    /// Port, number or name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub port: String,
    /// Host; the pod if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Service.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub service: String,
    /// Method.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub method: String,
    /// Fields of the request.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub request: BTreeMap<String, String>,
    /// Fields of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<GrpcResponse>,
}

/// Which fields of a response mean what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcResponse {
    /// Field with the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Field with the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// How often something is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// Times at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::plain_integer", extend("default" = 0))]
    pub max_retries: Option<i64>,
    /// Pause between two, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub retry_interval: Option<i64>,
    /// Pause between two, in seconds; wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub retry_interval_seconds: Option<i64>,
}

/// An action that is repeated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// A request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Open<HttpAction>>,
    /// A remote call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Open<GrpcAction>>,
    /// Which pods it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pod_selector: Option<TargetPodSelector>,
    /// Role or ordinals for the selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching_key: Option<String>,
    /// Seconds it may take; 0 leaves it to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub timeout_seconds: Option<i32>,
    /// How often it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// What must hold before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_condition: Option<String>,
    /// Whether nobody waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub non_blocking: Option<bool>,
    /// Seconds before the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay_seconds: Option<i32>,
    /// Seconds between two runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i32>,
    /// Successes in a row that count as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<i32>,
    /// Failures in a row that count as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i32>,
}

impl Probe {
    /// The action that is repeated.
    pub fn action(&self) -> Action {
        Action {
            exec: self.exec.clone(),
            http: self.http.clone(),
            grpc: self.grpc.clone(),
            target_pod_selector: self.target_pod_selector.clone(),
            matching_key: self.matching_key.clone(),
            timeout_seconds: self.timeout_seconds,
            retry_policy: self.retry_policy.clone(),
            pre_condition: self.pre_condition.clone(),
            non_blocking: self.non_blocking,
        }
    }
}

/// An action of a sharding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardingAction {
    /// A command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// A request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Open<HttpAction>>,
    /// A remote call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Open<GrpcAction>>,
    /// Which pods it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pod_selector: Option<TargetPodSelector>,
    /// Which shards it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_shard_selector: Option<TargetShardSelector>,
    /// Role or ordinals for the selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching_key: Option<String>,
    /// Seconds it may take; 0 leaves it to the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub timeout_seconds: Option<i32>,
    /// How often it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// What must hold before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_condition: Option<String>,
    /// Whether nobody waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub non_blocking: Option<bool>,
}

/// Actions at moments of a component's life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentLifecycleActions {
    /// After the component was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_provision: Option<Action>,
    /// Before it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_terminate: Option<Action>,
    /// Tells the role of each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_probe: Option<Probe>,
    /// Tells whether the component is available; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_probe: Option<Open<Probe>>,
    /// Moves a role to another pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switchover: Option<Action>,
    /// After a pod was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_join: Option<Action>,
    /// Before a pod is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_leave: Option<Action>,
    /// Stops writes; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readonly: Option<Open<Action>>,
    /// Allows writes again; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readwrite: Option<Open<Action>>,
    /// Writes the data of a pod to a stream; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dump: Option<Open<Action>>,
    /// Reads the data of a pod from a stream; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_load: Option<Open<Action>>,
    /// Applies changed configuration; not run by this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfigure: Option<Open<Action>>,
    /// Makes, changes or deletes an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_provision: Option<Action>,
}
