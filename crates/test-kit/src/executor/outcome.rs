//! What shall become of pods: outcomes, and rules that choose one per pod.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Runs, then every container exits 0; the first one leaves `message` as its termination message.
    Succeed {
        /// Termination message.
        message: Option<String>,
    },
    /// Runs, then the first container exits with `exit` and leaves `message`; the others exit 0.
    Fail {
        /// Exit code, not 0.
        exit: i32,
        /// Termination message.
        message: Option<String>,
    },
    /// Runs, then each named container ends as said; the others exit 0.
    End(Vec<ContainerEnd>),
    /// The first init container fails; the pod never runs and writes nothing.
    FailInit {
        /// Exit code, not 0.
        exit: i32,
        /// Termination message.
        message: Option<String>,
    },
    /// Runs and stays Running and Ready.
    Hold,
    /// Stays Pending: no node takes it.
    NeverStart,
    /// Gets a node, then stays Pending: its image cannot be pulled.
    ImagePullBackOff,
    /// As if its node had died: nothing is reported any more, and a deletion of the pod does not finish.
    Unresponsive,
}

/// How one container ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Name of the container.
    pub container: String,
    /// Exit code.
    pub exit: i32,
    /// Termination message.
    pub message: Option<String>,
}

impl Outcome {
    /// Succeeds without a message.
    pub fn succeed() -> Self {
        Self::Succeed { message: None }
    }

    /// Succeeds with a termination message.
    pub fn succeed_with(message: impl Into<String>) -> Self {
        Self::Succeed { message: Some(message.into()) }
    }

    /// Fails with a termination message.
    pub fn fail(exit: i32, message: impl Into<String>) -> Self {
        Self::Fail { exit, message: Some(message.into()) }
    }
}

type Choose = Box<dyn FnMut(&Pod) -> Option<Outcome> + Send>;

struct Rule {
    choose: Choose,
    /// Set for rules of the next n pods: how many are left, and who got it.
    counted: Option<(usize, HashMap<String, Outcome>)>,
}

/// The rules, the last one first. Pods of Jobs succeed and others hold when no rule has a say.
#[derive(Default)]
pub(super) struct Plan {
    rules: Vec<Rule>,
}

impl Plan {
    pub fn add(&mut self, choose: Choose) {
        self.rules.push(Rule { choose, counted: None });
    }

    /// A rule for the next `times` pods that `choose` wants.
    pub fn add_counted(&mut self, times: usize, choose: Choose) {
        self.rules.push(Rule { choose, counted: Some((times, HashMap::new())) });
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// The outcome for `pod` as the rules are now.
    pub fn outcome(&mut self, pod: &Pod) -> Outcome {
        let uid = pod.uid().unwrap_or_default();
        for rule in self.rules.iter_mut().rev() {
            let Some((left, given)) = &mut rule.counted else {
                if let Some(outcome) = (rule.choose)(pod) {
                    return outcome;
                }
                continue;
            };
            if let Some(outcome) = given.get(&uid) {
                return outcome.clone();
            }
            if *left > 0
                && let Some(outcome) = (rule.choose)(pod)
            {
                *left -= 1;
                given.insert(uid, outcome.clone());
                return outcome;
            }
        }
        if job_of(pod).is_some() { Outcome::succeed() } else { Outcome::Hold }
    }
}

/// Name of the Job a pod belongs to.
pub(super) fn job_of(pod: &Pod) -> Option<&str> {
    let labels = pod.metadata.labels.as_ref()?;
    labels.get("batch.kubernetes.io/job-name").or_else(|| labels.get("job-name")).map(String::as_str)
}

/// What rules by prefix compare with: the Job's name, else the pod's own.
pub(super) fn rule_name(pod: &Pod) -> &str {
    job_of(pod).or(pod.metadata.name.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, job: Option<&str>) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.uid = Some(uid.to_owned());
        pod.metadata.name = Some("p".to_owned());
        pod.metadata.labels =
            job.map(|job| [("batch.kubernetes.io/job-name".to_owned(), job.to_owned())].into_iter().collect());
        pod
    }

    #[test]
    fn last_rule_first_and_a_counted_rule_sticks_to_its_pods() {
        let mut plan = Plan::default();
        assert_eq!(plan.outcome(&pod("1", Some("j"))), Outcome::succeed());
        assert_eq!(plan.outcome(&pod("1", None)), Outcome::Hold);
        plan.add(Box::new(|_| Some(Outcome::NeverStart)));
        plan.add_counted(1, Box::new(|p| (rule_name(p) == "j").then(|| Outcome::fail(3, "no"))));
        assert_eq!(plan.outcome(&pod("1", None)), Outcome::NeverStart);
        assert_eq!(plan.outcome(&pod("1", Some("j"))), Outcome::fail(3, "no"));
        assert_eq!(plan.outcome(&pod("1", Some("j"))), Outcome::fail(3, "no"), "the same pod again");
        assert_eq!(plan.outcome(&pod("2", Some("j"))), Outcome::NeverStart, "used up");
    }
}
