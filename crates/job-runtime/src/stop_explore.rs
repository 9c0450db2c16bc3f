//! Walks every world of one Job with up to three pods: its controller, a kubelet that may lose its node, and an
//! operator whose caches of pods and of Jobs lag apart, and which may be killed between any two steps.
//!
//! What must never be: a result counts while a process of some pod of the Job runs, or may start later.

use crate::stop::{STOPPED_FOR, Turn, counts, turn};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::collections::{HashSet, VecDeque};

const MOST_PODS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PodTruth {
    phase: Phase,
    deleting: bool,
    /// Its containers run, whatever the API server knows.
    process: bool,
    /// The Job's counters hold it; only then does its finalizer go.
    counted: bool,
}

impl PodTruth {
    fn ended(self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct JobTruth {
    suspended: bool,
    stopped_for: Option<usize>,
    failed: u8,
    complete: bool,
}

/// Pods by the order they were made; `None` is gone.
type Pods = Vec<Option<PodTruth>>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct World {
    pods: Pods,
    job: JobTruth,
    /// What the Job controller has read of `job.suspended`.
    suspension_known: bool,
    /// The operator's caches.
    pods_seen: Pods,
    job_seen: JobTruth,
    /// A write of the operator on its way.
    in_flight: Option<Turn>,
    /// A result counted before the Job said Complete.
    counted: bool,
    /// A process runs whose pod is gone from the API server.
    orphan: bool,
    losses_left: u8,
}

fn as_job(job: &JobTruth) -> Job {
    let mut object = json!({
        "metadata": {"name": "j", "uid": "job"},
        "spec": {"suspend": job.suspended, "template": {"spec": {"containers": []}}},
        "status": {"failed": job.failed},
    });
    if let Some(pod) = job.stopped_for {
        object["metadata"]["annotations"] = json!({STOPPED_FOR: format!("pod-{pod}")});
    }
    if job.complete {
        object["status"]["conditions"] = json!([{"type": "Complete", "status": "True"}]);
    }
    serde_json::from_value(object).unwrap()
}

fn as_pods(pods: &Pods) -> Vec<Pod> {
    let one = |(i, pod): (usize, &Option<PodTruth>)| {
        let pod = (*pod)?;
        let mut object = json!({
            "metadata": {"name": format!("p{i}"), "uid": format!("pod-{i}"),
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "job"}]},
            "status": {"phase": format!("{:?}", pod.phase)},
        });
        if pod.ended() {
            let exit = i32::from(pod.phase == Phase::Failed);
            object["status"]["containerStatuses"] = json!([{"name": "main", "image": "i", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"terminated": {"exitCode": exit}}}]);
        }
        Some(serde_json::from_value(object).unwrap())
    };
    pods.iter().enumerate().filter_map(one).collect()
}

impl World {
    fn with(&self, change: impl FnOnce(&mut World)) -> World {
        let mut next = self.clone();
        change(&mut next);
        next
    }

    fn each_pod(&self, wanted: impl Fn(PodTruth) -> bool, change: impl Fn(&mut World, usize)) -> Vec<World> {
        let fits = |(i, pod): (usize, &Option<PodTruth>)| pod.is_some_and(&wanted).then_some(i);
        self.pods.iter().enumerate().filter_map(fits).map(|i| self.with(|w| change(w, i))).collect()
    }

    fn pod(&mut self, index: usize) -> &mut PodTruth {
        self.pods[index].as_mut().unwrap()
    }

    fn job_controller(&self) -> Vec<World> {
        let mut next = Vec::new();
        if self.suspension_known != self.job.suspended {
            next.push(self.with(|w| w.suspension_known = w.job.suspended));
        }
        let alive = |p: &PodTruth| !p.ended() && !p.deleting;
        let succeeded = self.pods.iter().flatten().any(|p| p.phase == Phase::Succeeded);
        let idle = !self.pods.iter().flatten().any(alive) && !succeeded && !self.job.complete;
        if idle && !self.suspension_known && self.pods.len() < MOST_PODS {
            let pod = PodTruth { phase: Phase::Pending, deleting: false, process: false, counted: false };
            next.push(self.with(|w| w.pods.push(Some(pod))));
        }
        if self.suspension_known {
            next.extend(self.each_pod(|p| alive(&p), |w, i| w.pod(i).deleting = true));
        }
        let lost =
            |p: PodTruth| !p.counted && (p.phase == Phase::Failed || (p.deleting && p.phase != Phase::Succeeded));
        next.extend(self.each_pod(lost, |w, i| {
            w.pod(i).counted = true;
            w.job.failed += 1;
        }));
        let won = |p: PodTruth| !p.counted && p.phase == Phase::Succeeded;
        next.extend(self.each_pod(won, |w, i| {
            w.pod(i).counted = true;
            w.job.complete = true;
        }));
        next
    }

    fn node(&self) -> Vec<World> {
        let mut next = self.each_pod(
            |p| p.phase == Phase::Pending && !p.deleting,
            |w, i| {
                w.pod(i).phase = Phase::Running;
                w.pod(i).process = true;
            },
        );
        for phase in [Phase::Succeeded, Phase::Failed] {
            let ends = |p: PodTruth| p.phase == Phase::Running && p.process && (!p.deleting || phase == Phase::Failed);
            next.extend(self.each_pod(ends, |w, i| {
                w.pod(i).phase = phase;
                w.pod(i).process = false;
            }));
        }
        // A lost node's process ends some day, and nobody is told.
        next.extend(self.each_pod(|p| p.ended() && p.process, |w, i| w.pod(i).process = false));
        if self.orphan {
            next.push(self.with(|w| w.orphan = false));
        }
        let remove = |w: &mut World, i: usize| {
            w.orphan |= w.pod(i).process;
            w.pods[i] = None;
        };
        // Counted and being deleted, or deleted by hand after it was counted.
        next.extend(self.each_pod(|p| p.counted && (p.deleting || p.ended()), remove));
        if self.losses_left > 0 {
            // The node is cut off: the pod is evicted and called Failed while its process goes on.
            next.extend(self.each_pod(
                |p| p.phase == Phase::Running && !p.ended(),
                |w, i| {
                    w.losses_left -= 1;
                    w.pod(i).deleting = true;
                    w.pod(i).phase = Phase::Failed;
                },
            ));
            // Somebody takes the finalizer off an ended pod of a stopped Job and deletes it. (Off a running pod, or
            // before the Job controller knows of the stop, no reader could tell that another pod follows.)
            next.extend(self.each_pod(
                |p| p.ended() && !p.process && self.suspension_known,
                |w, i| {
                    w.losses_left -= 1;
                    w.pods[i] = None;
                },
            ));
            // Somebody deletes the pod.
            next.extend(self.each_pod(
                |p| !p.deleting,
                |w, i| {
                    w.losses_left -= 1;
                    w.pod(i).deleting = true;
                },
            ));
        }
        next
    }

    fn operator(&self) -> Vec<World> {
        let mut next = vec![
            self.with(|w| w.pods_seen.clone_from(&w.pods)),
            self.with(|w| w.job_seen.clone_from(&w.job)),
            self.with(|w| w.in_flight = None), // killed
        ];
        if let Some(write) = &self.in_flight {
            next.push(self.with(|w| {
                w.in_flight = None;
                match write {
                    Turn::Stop { pod } => {
                        w.job.suspended = true;
                        w.job.stopped_for = Some(pod.trim_start_matches("pod-").parse().unwrap());
                    }
                    Turn::Resume => {
                        w.job.suspended = false;
                        w.job.stopped_for = None;
                    }
                }
            }));
        }
        let (job, pods) = (as_job(&self.job_seen), as_pods(&self.pods_seen));
        // A stored result is final: its Job is not turned any more.
        if let Some(turn) = turn(&job, &pods, "main").filter(|_| !self.counted) {
            next.push(self.with(|w| w.in_flight = Some(turn)));
        }
        if counts(&job, &pods, "main").is_some() {
            next.push(self.with(|w| w.counted = true));
        }
        next
    }

    /// The Job is at its end, or somebody who is not hostile has a step that brings it there.
    fn goes_on(&self) -> bool {
        let known = self.pods_seen == self.pods && self.job_seen == self.job;
        let stopped = self.job.suspended && self.suspension_known;
        let nothing_left = !self.pods.iter().flatten().any(|p| !p.counted);
        !(known && stopped && nothing_left && !self.job.complete && !self.counted)
            || matches!(turn(&as_job(&self.job_seen), &as_pods(&self.pods_seen), "main"), Some(Turn::Resume))
    }
}

#[test]
fn d9_a_result_counts_only_when_no_other_pod_ever_runs() {
    let start = World { losses_left: 2, ..World::default() };
    let mut known = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    let (mut early, mut resumed) = (0, 0);
    while let Some(world) = queue.pop_front() {
        let running = world.orphan || world.pods.iter().flatten().any(|p| p.process);
        assert!(!(world.counted && running), "counted while a pod runs: {world:#?}");
        assert!(world.goes_on(), "stopped for ever: {world:#?}");
        early += usize::from(world.counted && !world.job.complete);
        resumed += usize::from(world.in_flight == Some(Turn::Resume));
        for next in [world.job_controller(), world.node(), world.operator()].into_iter().flatten() {
            if known.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    println!("explored {} worlds, {early} with a result before Complete, {resumed} about to resume", known.len());
    assert!(early > 0, "no result ever counts early");
}
