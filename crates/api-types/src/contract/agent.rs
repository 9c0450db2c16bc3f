//! The agent in pods of a component: how actions reach it and how roles come back.

/// Container of the agent.
pub const CONTAINER: &str = "kbagent";
/// Init container that copies the agent into the image of an action.
pub const INIT_CONTAINER: &str = "init-kbagent";
/// Where the copy is mounted.
pub const PATH_SHARED: &str = "/kubeblocks";
/// Port of calls.
pub const PORT: i32 = 3501;
/// Name of that port.
pub const PORT_NAME: &str = "http";
/// Port of streams.
pub const STREAMING_PORT: i32 = 3502;
/// Path of calls that run an action.
pub const PATH_ACTION: &str = "/v1.0/action";

/// Environment: the actions, JSON.
pub const ENV_ACTIONS: &str = "KB_AGENT_ACTION";
/// Environment: the probes, JSON.
pub const ENV_PROBES: &str = "KB_AGENT_PROBE";
/// Environment: the streaming actions, JSON.
pub const ENV_STREAMING: &str = "KB_AGENT_STREAMING";
/// Environment: tasks to run once, JSON.
pub const ENV_TASKS: &str = "KB_AGENT_TASK";

/// Environment of `accountProvision`: name of the account.
pub const ENV_ACCOUNT_NAME: &str = "KB_ACCOUNT_NAME";
/// Environment of `accountProvision`: its password.
pub const ENV_ACCOUNT_PASSWORD: &str = "KB_ACCOUNT_PASSWORD";
/// Environment of `accountProvision`: the statement.
pub const ENV_ACCOUNT_STATEMENT: &str = "KB_ACCOUNT_STATEMENT";

/// Probe that tells the role of a pod.
pub const PROBE_ROLE: &str = "roleProbe";
/// `reportingController` of events with results of probes.
pub const EVENT_CONTROLLER: &str = "kbagent";
/// `fieldPath` in those events.
pub const EVENT_FIELD_PATH: &str = "spec.containers{kbagent}";
