//! What a backup does to each target pod, in order: hooks, data, snapshot, hooks (behaviour-backup §3.6). Pure.
//!
//! A chain works on one pod, one action after the other; chains run side by side, and one that fails stops no other
//! (behaviour-backup §16.16).

use super::build::{action_name, hook_name};
use api_types::contract::names::{CREATE_VOLUME_SNAPSHOT_PREFIX, POST_BACKUP_PREFIX, PRE_BACKUP_PREFIX};
use api_types::dp::{
    ActionErrorMode, ActionPhase, ActionSetSpec, ActionSpec, ActionStatus, ActionType, BackupDataActionSpec,
    BackupMethod, BackupStatus, BackupStatusTarget, BackupType,
};

/// What one action does.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// Runs before or after the data.
    Hook(&'a ActionSpec),
    /// Writes the data, and ends.
    Data(&'a BackupDataActionSpec),
    /// Writes the data until it is told to stop.
    Archive(&'a BackupDataActionSpec),
    /// Takes snapshots of the pod's volumes.
    Snapshot,
}

/// One action of a chain.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// Name in `status.actions`.
    pub name: String,
    /// What it does.
    pub work: Work<'a>,
    /// Target it belongs to.
    pub target: &'a BackupStatusTarget,
    /// Pod it works on.
    pub pod: &'a str,
    /// Number of that pod among those of its target.
    pub pod_index: usize,
}

impl Step<'_> {
    /// What a failure means for the actions after it, and but for the data also for the backup.
    pub fn on_error(&self) -> ActionErrorMode {
        match self.work {
            Work::Hook(spec) => {
                let exec = spec.exec.as_ref().map(api_types::dp::ExecActionSpec::on_error);
                exec.or_else(|| spec.job.as_ref().map(api_types::dp::JobActionSpec::on_error)).unwrap_or_default()
            }
            Work::Data(spec) | Work::Archive(spec) => spec.on_error.clone().unwrap_or_default(),
            Work::Snapshot => ActionErrorMode::Fail,
        }
    }

    /// Whether the backup is good although this action failed. Never without its data (behaviour-backup D23).
    pub fn may_fail(&self) -> bool {
        matches!(self.work, Work::Hook(_)) && self.on_error() == ActionErrorMode::Continue
    }

    /// Whether it runs in the operator's namespace.
    pub fn is_exec(&self) -> bool {
        matches!(self.work, Work::Hook(spec) if spec.exec.is_some())
    }

    /// What runs it, as the status says it.
    pub fn action_type(&self) -> ActionType {
        match self.work {
            Work::Hook(_) | Work::Data(_) => ActionType::Job,
            Work::Archive(_) => ActionType::StatefulSet,
            Work::Snapshot => ActionType::VolumeSnapshot,
        }
    }
}

/// All actions of one target pod, in order.
pub type Chain<'a> = Vec<Step<'a>>;

/// One chain for each target pod, in the order of the status.
pub fn chains<'a>(
    targets: &'a [BackupStatusTarget],
    method: &BackupMethod,
    actions: Option<&'a ActionSetSpec>,
) -> Vec<Chain<'a>> {
    let pods = targets.iter().flat_map(|t| t.selected_target_pods.iter().enumerate().map(move |(i, pod)| (t, i, pod)));
    pods.map(|(target, pod_index, pod)| chain(target, pod_index, pod, method, actions)).collect()
}

/// As [`chains`], for what the status has recorded; none where the ActionSet does not tell of all that is recorded, and
/// then nothing can be begun or said to be over.
pub fn recorded<'a>(status: &'a BackupStatus, actions: Option<&'a ActionSetSpec>) -> Vec<Chain<'a>> {
    let Some(method) = &status.backup_method else { return vec![] };
    let all = chains(status.targets(), method, actions);
    let told = |a: &ActionStatus| all.iter().flatten().any(|s| a.name.as_deref() == Some(s.name.as_str()));
    if status.actions.iter().all(told) { all } else { vec![] }
}

fn chain<'a>(
    target: &'a BackupStatusTarget,
    pod_index: usize,
    pod: &'a str,
    method: &BackupMethod,
    actions: Option<&'a ActionSetSpec>,
) -> Chain<'a> {
    let step = |name, work| Step { name, work, target, pod, pod_index };
    let parts = actions.and_then(|a| a.backup.as_ref());
    let hook = |prefix: &'static str| {
        move |(i, spec): (usize, &'a ActionSpec)| (hook_name(prefix, target.name(), i, pod_index), Work::Hook(spec))
    };
    let mut all = Vec::new();
    if let Some(parts) = parts {
        all.extend(parts.pre_backup.iter().enumerate().map(hook(PRE_BACKUP_PREFIX)));
    }
    if let Some(data) = parts.and_then(|p| p.backup_data.as_ref()) {
        let continuous = actions.is_some_and(|a| a.backup_type == BackupType::Continuous);
        let work = if continuous { Work::Archive(data) } else { Work::Data(data) };
        all.push((action_name(target.name(), pod_index), work));
    }
    if method.snapshot_volumes() {
        all.push((numbered(CREATE_VOLUME_SNAPSHOT_PREFIX, target.name(), pod_index), Work::Snapshot));
    }
    if let Some(parts) = parts {
        all.extend(parts.post_backup.iter().enumerate().map(hook(POST_BACKUP_PREFIX)));
    }
    all.into_iter().map(|(name, work)| step(name, work)).collect()
}

fn numbered(prefix: &str, target: &str, index: usize) -> String {
    if target.is_empty() { format!("{prefix}-{index}") } else { format!("{prefix}-{target}-{index}") }
}

/// What a chain needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Its action at this place has not begun, and may.
    Begin(usize),
    /// An action is at work.
    Await,
    /// Every action that is to run has ended.
    Over,
}

/// What `chain` needs next, by what its actions came to.
pub fn next(chain: &Chain<'_>, actions: &[ActionStatus]) -> Next {
    for (place, step) in chain.iter().enumerate() {
        match phase_of(&step.name, actions) {
            ActionPhase::Completed => {}
            ActionPhase::Failed if step.on_error() == ActionErrorMode::Continue => {}
            ActionPhase::Failed => return Next::Over,
            ActionPhase::New => return Next::Begin(place),
            _ => return Next::Await,
        }
    }
    Next::Over
}

/// Whether nothing of `chain` has begun.
pub fn is_fresh(chain: &Chain<'_>, actions: &[ActionStatus]) -> bool {
    let no_object = |a: &ActionStatus| a.object_ref.as_ref().is_none_or(|r| r.uid.is_none());
    let fresh = |a: &ActionStatus| a.phase == Some(ActionPhase::New) && no_object(a);
    chain.iter().all(|s| actions.iter().any(|a| a.name.as_deref() == Some(s.name.as_str()) && fresh(a)))
}

/// Phase of the action of that name; one that is not recorded has not begun.
pub fn phase_of(name: &str, actions: &[ActionStatus]) -> ActionPhase {
    let found = actions.iter().find(|a| a.name.as_deref() == Some(name));
    found.and_then(|a| a.phase.clone()).unwrap_or(ActionPhase::New)
}

/// Place of the action of that name in `status.actions`.
pub fn place_of(name: &str, actions: &[ActionStatus]) -> Option<usize> {
    actions.iter().position(|a| a.name.as_deref() == Some(name))
}

#[cfg(test)]
mod tests;
