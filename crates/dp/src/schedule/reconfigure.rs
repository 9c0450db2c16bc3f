//! What a continuous entry wants its database set to when it is switched (behaviour-backup §8.4). Pure.
//!
//! A change is recorded on the schedule, with the name of its OpsRequest, before that is made: whatever is switched or
//! crashes meanwhile, it is finished or given up before the next one begins (§16.35). The entry itself goes on. Where nobody
//! serves OpsRequests it says what is to be set by hand.

use crate::cluster::Cluster;
use api_types::contract::{annotations, labels};
use api_types::dp::BackupSchedule;
use api_types::operations::{ChangedParameter, OpsPhase, OpsRequest, OpsRequestSpec, OpsType, Reconfigure};
use controller_kit::names;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Cluster phases in which the reference takes an OpsRequest that reconfigures.
const RECONFIGURABLE: [&str; 4] = ["Running", "Updating", "Abnormal", "Failed"];

/// Parameters by method.
type Wanted = BTreeMap<String, Vec<Pair>>;

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    name: String,
    enable: Wanted,
    disable: Wanted,
}

/// A change that was begun, as annotation [`annotations::RECONFIGURING`] holds it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Begun {
    request: String,
    method: String,
    parameters: Vec<Pair>,
}

/// A continuous entry: its method, and whether it is on.
pub type Switch = (String, bool);

/// The OpsRequest of the change that is or would be under way.
#[derive(Clone, Debug, Default)]
pub enum Request {
    /// Its kind is not served.
    #[default]
    NotServed,
    /// It is not there.
    Absent,
    /// It is there.
    There(Box<OpsRequest>),
}

/// What is to be done, one thing at a time; each brings the next look.
#[derive(Clone, Debug)]
pub enum Step {
    /// Merge these annotations into the schedule as it was seen.
    Note(Value),
    /// Create it.
    Send(Box<OpsRequest>),
    /// Look again when it changes.
    Follow(Box<OpsRequest>),
}

/// What came of one look.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is to be done.
    pub step: Option<Step>,
    /// By method: why its database is not set yet.
    pub told: BTreeMap<String, String>,
    /// What is wrong.
    pub problems: Vec<String>,
}

#[derive(Default)]
struct Notes {
    reference: Reference,
    applied: Wanted,
    begun: Option<Begun>,
    generation: u64,
}

/// Name of the OpsRequest that [`plan`] wants to know about; `None` where no entry is to be reconfigured.
pub fn request_name(schedule: &BackupSchedule, switches: &[Switch]) -> Option<String> {
    let notes = Notes::read(schedule).ok()?;
    if let Some(begun) = &notes.begun {
        return Some(begun.request.clone());
    }
    let (_, enabled) = switches.iter().find(|(method, enabled)| notes.wants(method, *enabled).is_some())?;
    Some(notes.next_name(schedule, *enabled))
}

/// What is to be done so that the database follows `switches`. Parameters are compared by method, and those of an entry
/// that was never on are left alone.
pub fn plan(
    schedule: &BackupSchedule,
    switches: &[Switch],
    cluster: Option<&Arc<Cluster>>,
    request: &Request,
) -> Outcome {
    let mut outcome = Outcome::default();
    let notes = match Notes::read(schedule) {
        Ok(notes) => notes,
        Err(why) => {
            outcome.problems.push(why);
            return outcome;
        }
    };
    let wanted: Vec<(&str, bool, &Vec<Pair>)> = switches
        .iter()
        .filter_map(|(method, enabled)| Some((method.as_str(), *enabled, notes.wants(method, *enabled)?)))
        .collect();
    let served = !matches!(request, Request::NotServed) && cluster.is_some();
    if !served || part(schedule).is_none() {
        for (method, _, pairs) in &wanted {
            let why = "nobody here serves OpsRequests for it, so set";
            outcome.told.insert((*method).to_owned(), format!("{why} {}", notes.by_hand(pairs)));
        }
        return outcome;
    }
    if let Some(begun) = &notes.begun {
        let still = wanted.iter().any(|(method, _, pairs)| *method == begun.method && **pairs == begun.parameters);
        outcome.go_on(schedule, &notes, begun, still, cluster, request);
        let waits = format!("waits for OpsRequest {}, which sets method {}", begun.request, begun.method);
        for (method, ..) in &wanted {
            outcome.told.entry((*method).to_owned()).or_insert_with(|| waits.clone());
        }
    } else if let Some((method, enabled, pairs)) = wanted.first() {
        let request = notes.next_name(schedule, *enabled);
        let begun = Begun { request, method: (*method).to_owned(), parameters: (*pairs).clone() };
        outcome.told.insert((*method).to_owned(), format!("OpsRequest {} is to set {}", begun.request, list(pairs)));
        outcome.step = Some(notes.begin(&begun));
    }
    outcome
}

impl Outcome {
    /// A change was begun: its request is made, followed, and recorded.
    fn go_on(
        &mut self,
        schedule: &BackupSchedule,
        notes: &Notes,
        begun: &Begun,
        still: bool,
        cluster: Option<&Arc<Cluster>>,
        request: &Request,
    ) {
        let recorded = |parameters: &[Pair]| {
            let mut applied = notes.applied.clone();
            applied.insert(begun.method.clone(), parameters.to_vec());
            Some(Step::Note(json!({
                annotations::RECONFIGURING: null, annotations::LAST_APPLIED_CONFIGURATIONS: text(&applied),
            })))
        };
        let done = || recorded(&begun.parameters);
        // Nobody wants it any more, and it may have been done, in whole or in part: whatever is wanted next is set over it.
        let unknown = || recorded(&[]);
        match request {
            // Recorded by hand meanwhile.
            _ if notes.applied.get(&begun.method) == Some(&begun.parameters) => self.step = done(),
            Request::NotServed => {}
            Request::Absent if !still => self.step = unknown(),
            Request::Absent => {
                let phase = cluster.map(|c| c.phase()).unwrap_or_default();
                let name = cluster.map(|c| c.name_any()).unwrap_or_default();
                if RECONFIGURABLE.contains(&phase) {
                    self.step = request_of(schedule, begun, &name).map(|r| Step::Send(Box::new(r)));
                } else {
                    let why = format!("waits until Cluster {name} can be reconfigured; its phase is {phase:?}");
                    self.told.insert(begun.method.clone(), why);
                }
            }
            // Of a schedule of this name that was deleted, or of somebody else: what it did is not known here.
            Request::There(there) if there.annotations().get(annotations::SCHEDULE_UID) != schedule.uid().as_ref() => {
                let enabled = notes.reference.enable.get(&begun.method) == Some(&begun.parameters);
                let begun = Begun { request: notes.next_name(schedule, enabled), ..begun.clone() };
                self.step = Some(notes.begin(&begun));
            }
            Request::There(there) => match there.status.as_ref().and_then(|s| s.phase.clone()) {
                Some(OpsPhase::Succeed) => self.step = done(),
                Some(OpsPhase::Failed | OpsPhase::Cancelled | OpsPhase::Aborted) if !still => self.step = unknown(),
                Some(phase @ (OpsPhase::Failed | OpsPhase::Cancelled | OpsPhase::Aborted)) => {
                    self.problems.push(format!(
                        "OpsRequest {} is {}: delete it, and it is made anew; or set {}",
                        begun.request,
                        phase.as_str(),
                        notes.by_hand(&begun.parameters)
                    ));
                    self.step = Some(Step::Follow(there.clone()));
                }
                phase => {
                    let phase = phase.as_ref().map_or("not begun", OpsPhase::as_str);
                    let why = format!("OpsRequest {} sets {}: {phase}", begun.request, list(&begun.parameters));
                    self.told.insert(begun.method.clone(), why);
                    self.step = Some(Step::Follow(there.clone()));
                }
            },
        }
    }
}

impl Notes {
    fn read(schedule: &BackupSchedule) -> Result<Self, String> {
        let generation = schedule.annotations().get(annotations::RECONFIGURE_GENERATION);
        Ok(Notes {
            reference: read(schedule, annotations::RECONFIGURE_REF)?,
            // Rule 36: by method, and absent is empty.
            applied: read(schedule, annotations::LAST_APPLIED_CONFIGURATIONS)?,
            begun: read(schedule, annotations::RECONFIGURING)?,
            generation: generation.and_then(|g| g.parse().ok()).unwrap_or_default(),
        })
    }

    /// What is to be set for an entry; `None` where nothing is, or it was, or nothing ever was that would be taken back.
    fn wants(&self, method: &str, enabled: bool) -> Option<&Vec<Pair>> {
        let pairs = if enabled { &self.reference.enable } else { &self.reference.disable }.get(method)?;
        let before = self.applied.get(method);
        (before != Some(pairs) && (enabled || before.is_some())).then_some(pairs)
    }

    fn next_name(&self, schedule: &BackupSchedule, enabled: bool) -> String {
        let verb = if enabled { "enable" } else { "disable" };
        let name = format!("{}-{verb}-{}", schedule.name_any(), self.generation + 1);
        names::child(&name, &[&schedule.uid().unwrap_or_default(), verb, &(self.generation + 1).to_string()])
    }

    /// The annotations with which a change begins.
    fn begin(&self, begun: &Begun) -> Step {
        Step::Note(json!({
            annotations::RECONFIGURING: text(begun),
            annotations::RECONFIGURE_GENERATION: (self.generation + 1).to_string(),
        }))
    }

    fn by_hand(&self, pairs: &[Pair]) -> String {
        let of = &self.reference.name;
        format!(
            "{} in {} by hand, then record it in annotation {}",
            list(pairs),
            if of.is_empty() { "its configuration" } else { of },
            annotations::LAST_APPLIED_CONFIGURATIONS
        )
    }
}

/// The component or sharding a schedule is for.
fn part(schedule: &BackupSchedule) -> Option<&String> {
    let own = schedule.labels();
    own.get(labels::COMPONENT_NAME).or_else(|| own.get(labels::SHARDING_NAME))
}

fn request_of(schedule: &BackupSchedule, begun: &Begun, cluster: &str) -> Option<OpsRequest> {
    let changed = |p: &Pair| ChangedParameter { key: p.key.clone(), value: Some(p.value.clone()) };
    let own = [
        (labels::INSTANCE, cluster.to_owned()),
        (labels::MANAGED_BY, labels::MANAGED_BY_DP.to_owned()),
        (labels::BACKUP_SCHEDULE, schedule.name_any()),
    ];
    Some(OpsRequest {
        metadata: ObjectMeta {
            name: Some(begun.request.clone()),
            namespace: schedule.namespace(),
            labels: Some(own.map(|(key, value)| (key.to_owned(), value)).into()),
            annotations: schedule.uid().map(|uid| [(annotations::SCHEDULE_UID.to_owned(), uid)].into()),
            ..ObjectMeta::default()
        },
        spec: OpsRequestSpec {
            cluster_name: Some(cluster.to_owned()),
            type_: OpsType::Reconfiguring,
            reconfigures: vec![Reconfigure {
                component_name: part(schedule)?.clone(),
                parameters: begun.parameters.iter().map(changed).collect(),
            }],
            ..OpsRequestSpec::default()
        },
        status: None,
    })
}

fn list(pairs: &[Pair]) -> String {
    let all: Vec<String> = pairs.iter().map(|p| format!("{}={}", p.key, p.value)).collect();
    all.join(", ")
}

fn text(value: &impl Serialize) -> Value {
    Value::String(serde_json::to_value(value).unwrap_or_default().to_string())
}

fn read<T: Default + for<'a> Deserialize<'a>>(schedule: &BackupSchedule, key: &str) -> Result<T, String> {
    let text = schedule.annotations().get(key).map(|t| t.trim()).filter(|t| !t.is_empty());
    let parsed = text.map(serde_json::from_str).transpose();
    parsed.map(Option::unwrap_or_default).map_err(|e| format!("metadata.annotations[{key}]: {e}"))
}

#[cfg(test)]
mod tests;
