//! What the pods of actions have in common: resources, rights, tolerations.

use super::placement::Placement;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, ResourceRequirements, SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Images and switches of the operator that go into pods.
#[derive(Clone, Debug)]
pub struct PodSettings {
    /// `DATASAFED_IMAGE`.
    pub mover_image: String,
    /// `DATAPROTECTION_ZERO_RESOURCE_FOR_UNSET`.
    pub zero_resources: bool,
    /// Name of the worker's service account.
    pub worker_account: String,
    /// `CM_TOLERATIONS`, `CM_AFFINITY`, `CM_NODE_SELECTOR`.
    pub placement: Placement,
}

/// Capabilities an action keeps: it restores files of any owner into volumes (design D12).
const KEPT: [&str; 6] = ["DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID", "KILL"];

/// Security context of an action container: uid 0 as the wire contract has it, with the few
/// capabilities it needs.
pub fn action_container() -> SecurityContext {
    SecurityContext {
        run_as_user: Some(0),
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: Some(KEPT.map(String::from).to_vec()) }),
        ..SecurityContext::default()
    }
}

/// Security context of a container of ours, at the restricted Pod Security level but for the user,
/// which the pod sets.
pub fn restricted_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

/// Pod security context of pods that hold only containers of ours. `fs_group` makes a repository
/// volume writable for the unprivileged user.
pub fn restricted_pod() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(65532),
        run_as_group: Some(65532),
        fs_group: Some(65532),
        seccomp_profile: Some(runtime_default()),
        ..PodSecurityContext::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }
}

/// Limits of zero where a container asks for nothing, so that a namespace's LimitRange does not
/// choose for it (contract-dp §10.6, `DATAPROTECTION_ZERO_RESOURCE_FOR_UNSET`).
pub fn zero_unset(container: &mut Container) {
    let resources = container.resources.get_or_insert_with(ResourceRequirements::default);
    for name in ["cpu", "memory"] {
        let requested = resources.requests.as_ref().is_some_and(|r| r.contains_key(name));
        let limits = resources.limits.get_or_insert_default();
        if !requested && !limits.contains_key(name) {
            limits.insert(name.into(), Quantity("0".into()));
        }
    }
}
