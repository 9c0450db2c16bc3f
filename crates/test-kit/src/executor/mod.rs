//! A scheduler and kubelet that run nothing: pods get a node, wait for their claims, run and end as planned.
//!
//! Takes pods that match a label selector (by default those of Jobs, made by the real Job controller); writes their
//! status through the API, driven by watches only. The plan can change at any time and is looked at again for every
//! pod that has not ended: that is how a held pod is released. Remembers which claim each started pod mounted, so that
//! a test can say which volume was written to.

mod node;
mod outcome;
mod references;
mod report;
mod step;
mod work;

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use outcome::{ContainerEnd, Outcome};
pub(crate) use step::SELECTED_NODE;

pub(crate) use node::make_node;
use outcome::Plan;
use work::Work;

/// The label every pod of a Job carries.
const JOB_PODS: &str = "batch.kubernetes.io/job-name";

/// A pod that started with a claim mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Namespace of pod and claim.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the Job it belongs to.
    pub job: Option<String>,
    /// Name of the claim.
    pub claim: String,
    /// UID of the claim when the pod started.
    pub claim_uid: String,
    /// The volume the claim was bound to when the pod started.
    pub pv: String,
    /// Mounted read-only.
    pub read_only: bool,
}

/// What the test and the running task share.
struct Shared {
    plan: Mutex<Plan>,
    plan_changed: watch::Sender<()>,
    written: Mutex<Vec<Written>>,
}

/// The running executor; it ends with its value (pods stay as they are then).
pub struct FakeExecutor {
    shared: Arc<Shared>,
    client: Client,
    task: JoinHandle<()>,
}

/// Which pods, on which nodes; see [`FakeExecutor::builder`].
pub struct FakeExecutorBuilder {
    client: Client,
    selector: String,
    namespace: Option<String>,
    nodes: Vec<String>,
}

impl FakeExecutorBuilder {
    /// Label selector of the pods to run; default the pods of Jobs, empty for all.
    #[must_use]
    pub fn selector(mut self, selector: &str) -> Self {
        selector.clone_into(&mut self.selector);
        self
    }

    /// Every pod, not only those of Jobs. Pods without a Job stay Running unless a rule says otherwise.
    #[must_use]
    pub fn all_pods(self) -> Self {
        self.selector("")
    }

    /// Only pods of this namespace; default all.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// One more node beside `node-a`.
    #[must_use]
    pub fn node(mut self, name: &str) -> Self {
        self.nodes.push(name.to_owned());
        self
    }

    /// Makes the nodes and starts.
    pub async fn start(self) -> FakeExecutor {
        for node in &self.nodes {
            make_node(&self.client, node).await;
        }
        let shared = Arc::new(Shared {
            plan: Mutex::default(),
            plan_changed: watch::Sender::new(()),
            written: Mutex::default(),
        });
        let client = self.client.clone();
        let work = Work::new(self, shared.clone());
        FakeExecutor { shared, client, task: tokio::spawn(work.run()) }
    }
}

impl FakeExecutor {
    /// Runs the pods of Jobs in all namespaces on `node-a`; all succeed until a rule says otherwise.
    pub async fn start(client: Client) -> Self {
        Self::builder(client).start().await
    }

    /// Starts to describe an executor.
    pub fn builder(client: Client) -> FakeExecutorBuilder {
        FakeExecutorBuilder { client, selector: JOB_PODS.to_owned(), namespace: None, nodes: vec!["node-a".to_owned()] }
    }

    /// Pods whose Job's name (or own name, without a Job) begins with `prefix` end as `outcome`. The last rule that
    /// matches counts, also for pods that already wait or run.
    pub fn plan(&self, prefix: &str, outcome: Outcome) {
        let prefix = prefix.to_owned();
        self.plan_with(move |pod| outcome::rule_name(pod).starts_with(&prefix).then(|| outcome.clone()));
    }

    /// As [`plan`](Self::plan), for the next `times` pods only; earlier rules hold for those after.
    pub fn plan_times(&self, prefix: &str, times: usize, outcome: Outcome) {
        let prefix = prefix.to_owned();
        let choose = move |pod: &Pod| outcome::rule_name(pod).starts_with(&prefix).then(|| outcome.clone());
        self.change(|plan| plan.add_counted(times, Box::new(choose)));
    }

    /// `choose` decides; `None` leaves a pod to the rules before. It is asked at every change of a pod.
    pub fn plan_with(&self, choose: impl FnMut(&Pod) -> Option<Outcome> + Send + 'static) {
        self.change(|plan| plan.add(Box::new(choose)));
    }

    /// Lets held, unschedulable or unpullable pods succeed: [`plan`](Self::plan) with [`Outcome::succeed`].
    pub fn release(&self, prefix: &str) {
        self.plan(prefix, Outcome::succeed());
    }

    /// Forgets all rules.
    pub fn clear_plans(&self) {
        self.change(Plan::clear);
    }

    fn change(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.shared.plan.lock().unwrap());
        self.shared.plan_changed.send_replace(());
    }

    /// Makes one more node with condition Ready.
    pub async fn add_node(&self, name: &str) {
        make_node(&self.client, name).await;
    }

    /// Every claim that every started pod mounted, in the order of the starts.
    pub fn written(&self) -> Vec<Written> {
        self.shared.written.lock().unwrap().clone()
    }

    /// The entries of [`written`](Self::written) for one claim.
    pub fn written_to(&self, namespace: &str, claim: &str) -> Vec<Written> {
        self.written().into_iter().filter(|w| w.namespace == namespace && w.claim == claim).collect()
    }
}

impl Drop for FakeExecutor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
