//! Reads what a claim's annotations ask of a restore (behaviour-restore §2.1; design D24). Pure.

use crate::error::Stop;
use crate::reasons;
use crate::restore::chain::time;
use api_types::contract::{annotations, annotations as keys};
use api_types::dp::{ParameterPair, VolumeClaimRestorePolicy};
use k8s_openapi::api::core::v1::{EnvVar, PersistentVolumeClaim};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Names that make a program load code; creating a claim must not become running code with the
/// repository's keys (design D24).
const LOADS_CODE: [&str; 12] = [
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "IFS",
    "PATH",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "GCONV_PATH",
    "JAVA_TOOL_OPTIONS",
];
const LOADS_CODE_PREFIXES: [&str; 4] = ["LD_", "PYTHON", "GLIBC_", "BASH_FUNC_"];

/// What the annotations of a claim say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Explicit target of the backup.
    pub target: Option<String>,
    /// Explicit source pod of that target.
    pub source_pod: Option<String>,
    /// In what order the volumes of one component are filled.
    pub policy: VolumeClaimRestorePolicy,
    /// More environment for the restore action.
    pub env: Vec<EnvVar>,
    /// Point in time, UTC, whole seconds.
    pub restore_time: Option<String>,
    /// The rest, by name.
    pub parameters: Vec<ParameterPair>,
}

/// Reads the annotations.
///
/// # Errors
/// Terminal, naming the annotation, where one can not be parsed.
pub fn read(claim: &PersistentVolumeClaim) -> Result<Asked, Stop> {
    let notes = claim.annotations();
    let mut rest: BTreeMap<String, String> = match notes.get(annotations::RESTORE_PARAMETERS) {
        None => BTreeMap::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            Stop::terminal(
                reasons::INVALID_RESTORE_PARAMETERS,
                format!("annotation {}: not a JSON map of text to text: {error}", annotations::RESTORE_PARAMETERS),
            )
        })?,
    };
    let mut take = |key: &str| rest.remove(key).filter(|v| !v.is_empty());
    let own = |key: &str| notes.get(key).cloned().filter(|v| !v.is_empty());
    let target = take(keys::SOURCE_TARGET_NAME).or_else(|| own(keys::SOURCE_TARGET_NAME));
    let source_pod = take(keys::SOURCE_TARGET_POD_NAME).or_else(|| own(keys::SOURCE_TARGET_POD_NAME));
    let policy = policy(take(keys::VOLUME_RESTORE_POLICY).as_deref())?;
    let env = env(take(keys::RESTORE_ENV).as_deref())?;
    take(keys::DEFER_POST_READY);
    // Parameters become variables of the restore action, under their own names.
    if let Some(name) = rest.keys().find(|name| loads_code(name)) {
        return Err(Stop::terminal(
            reasons::INVALID_RESTORE_PARAMETERS,
            format!("annotation {}: {name} makes programs load code and is not taken", annotations::RESTORE_PARAMETERS),
        ));
    }
    Ok(Asked {
        target,
        source_pod,
        policy,
        env,
        restore_time: restore_time(own(annotations::RESTORE_PITR).as_deref())?,
        parameters: rest.into_iter().map(|(name, value)| ParameterPair { name, value }).collect(),
    })
}

fn loads_code(name: &str) -> bool {
    LOADS_CODE.contains(&name) || LOADS_CODE_PREFIXES.iter().any(|p| name.starts_with(p))
}

fn policy(text: Option<&str>) -> Result<VolumeClaimRestorePolicy, Stop> {
    match text {
        None | Some("Parallel") => Ok(VolumeClaimRestorePolicy::Parallel),
        Some("Serial") => Err(Stop::terminal(
            reasons::NOT_SERVED_YET,
            format!("parameter {}: Serial is not served yet", keys::VOLUME_RESTORE_POLICY),
        )),
        Some(other) => Err(Stop::terminal(
            reasons::INVALID_VOLUME_RESTORE_POLICY,
            format!("parameter {}: {other:?} is neither Parallel nor Serial", keys::VOLUME_RESTORE_POLICY),
        )),
    }
}

fn env(text: Option<&str>) -> Result<Vec<EnvVar>, Stop> {
    let Some(text) = text else { return Ok(vec![]) };
    let refused =
        |why: String| Stop::terminal(reasons::INVALID_RESTORE_ENV, format!("parameter {}: {why}", keys::RESTORE_ENV));
    let vars: Vec<EnvVar> =
        serde_json::from_str(text).map_err(|e| refused(format!("not a JSON list of variables: {e}")))?;
    for var in &vars {
        if var.value_from.is_some() {
            return Err(refused(format!("{} has valueFrom; only literal values are taken", var.name)));
        }
        if loads_code(&var.name) {
            return Err(refused(format!("{} makes programs load code and is not taken", var.name)));
        }
    }
    Ok(vars)
}

fn restore_time(text: Option<&str>) -> Result<Option<String>, Stop> {
    let at = text.map(time::parse).transpose().map_err(|stop| Stop {
        message: format!("annotation {}: {}", annotations::RESTORE_PITR, stop.message),
        ..stop
    })?;
    Ok(at.map(time::text))
}
