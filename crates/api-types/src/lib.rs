//! Kubernetes API types of Holdfast: the wire contract, no client.
//!
//! Enters: JSON or YAML as written by users, by the reference operators or by ours. Leaves: typed
//! objects that tolerate null and absence, and encode without the fields that were never set.
//! Nothing here talks to a cluster, reads a clock or decides anything.
//!
//! | module | what |
//! |---|---|
//! | [`dp`] | the eight kinds of `dataprotection.kubeblocks.io/v1alpha1` and their CRDs ([`dp::crds`]) |
//! | [`apps`] | the six kinds of `apps.kubeblocks.io/v1` |
//! | [`workloads`] | `InstanceSet` of `workloads.kubeblocks.io/v1` |
//! | [`operations`] | `OpsRequest` of `operations.kubeblocks.io/v1alpha1` |
//! | [`contract`] | every name that both operators, the mover or tests share |
//! | [`retention`] | the text of `retentionPeriod` |
//! | [`duration`] | the text of Go durations |
//! | [`open`] | values below an open schema, kept as they were written |
//! | [`lenient`] | decoding that accepts what Go writers emit |

#[macro_use]
mod wire_enum;
#[macro_use]
pub mod lenient;

pub mod apps;
pub mod contract;
pub mod dp;
pub mod duration;
pub mod open;
pub mod operations;
pub mod retention;
pub mod schema;
pub mod workloads;
