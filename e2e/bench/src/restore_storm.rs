//! Many claims at once that wait for their data: how long until all say `Restore=True`, and what the operator asks of the
//! API server for it. Volumes and pods are those of a fake provisioner and a fake executor, which are done at once.

use crate::observe::{AT_ONCE, create, peak, until_leading};
use e2e_api::apps_objects::{claim, cluster, install_kinds, part, selector};
use e2e_api::objects::{self, completed_status, condition, prepare_data, set_backup_status};
use e2e_api::{IMMEDIATE, OPERATOR, Stage, install, process, repository};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use test_kit::api_server::{ApiServer, AuditScope};
use test_kit::{FakeExecutor, Operator, Provisioner, builders};

/// Longest a storm may last.
const PATIENCE: Duration = Duration::from_secs(900);

/// What is measured.
pub struct Storm {
    /// Our binary.
    pub operator: PathBuf,
    /// Command line of another operator for the same wire contract, measured instead.
    pub other: Option<String>,
    /// Claims.
    pub claims: usize,
    /// Volumes get data by a Job each; else they stay empty on purpose.
    pub data: bool,
    /// Requests per second of each controller of kube-controller-manager.
    pub controller_qps: u32,
}

/// The process under test; ends with its value.
enum Subject {
    Ours(Box<Operator>),
    Other(Child),
}

impl Subject {
    async fn start(storm: &Storm, server: &ApiServer, kubeconfig: &Path) -> Self {
        let log = server.dir().join("under-test.log");
        if let Some(line) = &storm.other {
            let log = std::fs::File::create(log).expect("a log");
            let child = Command::new("sh")
                .args(["-c", &format!("exec {line}")])
                .env("KUBECONFIG", kubeconfig)
                .env("CM_NAMESPACE", OPERATOR.0)
                .env("WORKER_CLUSTER_ROLE_NAME", "kubeblocks-dataprotection-worker-role")
                .stdout(log.try_clone().expect("a log"))
                .stderr(log)
                .spawn()
                .expect("the other operator");
            return Subject::Other(child);
        }
        let ours = process(&storm.operator, OPERATOR.0, &log, kubeconfig).env("RUST_LOG", "info").start().await;
        until_leading(&ours).await;
        Subject::Ours(Box::new(ours))
    }

    fn id(&self) -> u32 {
        match self {
            Subject::Ours(operator) => operator.id(),
            Subject::Other(child) => child.id(),
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Subject::Other(child) = self {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What was seen of one claim.
#[derive(Clone, Copy, Default)]
struct Course {
    /// Its prime claim appeared, and was bound.
    prime: (Option<Instant>, Option<Instant>),
    /// The pod that fills it ended.
    filled: Option<Instant>,
    /// It was given its volume, and the binder was done with it.
    rebound: (Option<Instant>, Option<Instant>),
    /// It says `Restore=True`.
    restored: Option<Instant>,
}

/// Prints one line.
pub async fn run(storm: &Storm) {
    let server = ApiServer::builder().audit(AuditScope::Everything).controller_qps(storm.controller_qps).start().await;
    let server: &'static ApiServer = Box::leak(Box::new(server));
    install(server).await;
    install_kinds(server).await;
    server.restart_controller_manager().await; // its collector knows the kinds at once
    let client = server.client();
    let executor = FakeExecutor::start(client.clone()).await;
    let provisioner = Provisioner::start(client.clone()).await;
    let kubeconfig = server.kubeconfig_for(OPERATOR.0, OPERATOR.1).await;
    let subject = Subject::start(storm, server, &kubeconfig).await;
    repository(&client).await;
    let stage = Stage { server, client: client.clone(), namespace: builders::namespace(&client, "storm").await };
    prepare(&stage).await;

    let asked = server.audit().entries.len();
    let cpu = cpu_seconds(subject.id());
    let begun = Instant::now();
    let component = if storm.data { "db" } else { "sentinel" };
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &stage.namespace);
    let watched = tokio::spawn(courses(stage.client.clone(), stage.namespace.clone(), storm.claims));
    create(&api, storm.claims, |i| claim("c", component, "data", i, IMMEDIATE).json().clone()).await;
    let applied = begun.elapsed();
    let courses = watched.await.expect("all claims are restored");
    let seconds = begun.elapsed();

    let all = server.audit().since(asked).of_service_account(OPERATOR.0, OPERATOR.1);
    let counted = all.only(|e| !e.resource.starts_with("leases") && e.verb != "watch");
    let is_write = |verb: &str| !["get", "list", "watch"].contains(&verb);
    if storm.claims == 1 {
        for e in &counted.entries {
            eprintln!("{} {} {} -> {} ({})", e.verb, e.resource, e.name, e.code, e.user_agent);
        }
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &counted.entries {
        *kinds.entry(format!("{} {} {}", entry.verb, entry.resource, entry.code)).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    eprintln!("requests: {kinds:?}; claims were applied in {:.2} s, {AT_ONCE} at a time", applied.as_secs_f64());
    let mut lags: Vec<Duration> =
        courses.iter().filter_map(|c| Some(c.restored?.saturating_duration_since(c.filled?))).collect();
    lags.sort();
    let at = |percent: usize| lags.get((lags.len() * percent / 100).min(lags.len().saturating_sub(1)));
    let ms = |lag: Option<&Duration>| lag.map(|l| rounded(l.as_secs_f64() * 1000.0));
    println!(
        "{}",
        json!({
            "bench": "restore-storm", "mode": if storm.data { "data" } else { "provision" }, "n": storm.claims,
            "operator": if storm.other.is_some() { "other" } else { "ours" },
            "seconds": rounded(seconds.as_secs_f64()),
            "own_s": rounded(seconds.saturating_sub(with_the_binder(&courses)).as_secs_f64()),
            "requests": counted.entries.len(), "writes": counted.entries.iter().filter(|e| is_write(&e.verb)).count(),
            "p50_ms": ms(at(50)), "p99_ms": ms(at(99)),
            "rss_mb": peak(subject.id()), "cpu_s": rounded(cpu_seconds(subject.id()) - cpu),
            "kcm_qps": storm.controller_qps,
        })
    );
    drop((subject, executor, provisioner));
}

/// Cluster `c` with a component that was backed up as `b`, and one that was not.
async fn prepare(stage: &Stage) {
    let actions = objects::action_set(stage, prepare_data()).await;
    let skip = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    let spec = json!({"backupPolicyName": "policy", "backupMethod": "full"});
    objects::create(stage, "Backup", "b", &skip, &spec).await;
    let mut status = completed_status(stage, "b", &actions);
    status["target"]["podSelector"] = selector("old", "db");
    set_backup_status(stage, "b", &status).await;
    cluster(stage, "c", &[part("sentinel", "s", &["data"]), part("db", "d", &["data"])]).await;
}

/// Watches claims and pods until `count` claims of Cluster `c` are restored.
async fn courses(client: kube::Client, namespace: String, count: usize) -> Vec<Course> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let mut claims = std::pin::pin!(watcher(claims, watcher::Config::default()).default_backoff().applied_objects());
    let mut pods = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff().applied_objects());
    let mut seen: BTreeMap<String, Course> = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    loop {
        let now = tokio::select! {
            Some(Ok(claim)) = claims.next() => {
                note_claim(&mut seen, &claim);
                claim.uid()
            }
            Some(Ok(pod)) = pods.next() => {
                note_pod(&mut seen, &pod);
                pod.uid()
            }
            () = tokio::time::sleep_until(end.into()) => panic!("only {} of {count} claims are restored", restored(&seen)),
        };
        if now.is_some() && restored(&seen) >= count {
            return seen.into_values().filter(|c| c.restored.is_some()).collect();
        }
    }
}

fn restored(seen: &BTreeMap<String, Course>) -> usize {
    seen.values().filter(|c| c.restored.is_some()).count()
}

fn note_claim(seen: &mut BTreeMap<String, Course>, claim: &PersistentVolumeClaim) {
    let now = Instant::now();
    let bound = claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
    let name = claim.name_any();
    if let Some(target) = api_types::contract::names::populate_target_uid(&name) {
        let course = seen.entry(target.to_owned()).or_default();
        course.prime.0.get_or_insert(now);
        if bound {
            course.prime.1.get_or_insert(now);
        }
        return;
    }
    let Some(uid) = claim.uid().filter(|_| name.starts_with("data-c-")) else { return };
    let course = seen.entry(uid).or_default();
    if claim.spec.as_ref().is_some_and(|s| s.volume_name.is_some()) {
        course.rebound.0.get_or_insert(now);
    }
    if bound {
        course.rebound.1.get_or_insert(now);
    }
    if condition(claim, "Restore").is_some_and(|c| c.status == "True") {
        course.restored.get_or_insert(now);
    }
}

fn note_pod(seen: &mut BTreeMap<String, Course>, pod: &Pod) {
    let ended = pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Succeeded");
    let of_claim =
        |v: &k8s_openapi::api::core::v1::Volume| v.persistent_volume_claim.as_ref().map(|c| c.claim_name.clone());
    let names: Vec<String> = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()).filter_map(of_claim).collect();
    for target in
        names.iter().filter_map(|name| api_types::contract::names::populate_target_uid(name)).filter(|_| ended)
    {
        seen.entry(target.to_owned()).or_default().filled.get_or_insert_with(Instant::now);
    }
}

/// Time in which at least one claim waited for the binder: from a prime claim to its volume, and from the volume's name on
/// the claim to its being bound.
fn with_the_binder(courses: &[Course]) -> Duration {
    let spans = courses.iter().flat_map(|c| [c.prime, c.rebound]);
    let mut spans: Vec<(Instant, Instant)> = spans.filter_map(|(from, to)| Some((from?, to?))).collect();
    spans.sort();
    let mut total = Duration::ZERO;
    let mut until: Option<Instant> = None;
    for (from, to) in spans {
        let from = until.map_or(from, |until| from.max(until));
        total += to.saturating_duration_since(from);
        until = Some(until.map_or(to, |until| until.max(to)));
    }
    total
}

/// CPU time of a process so far, of user and system.
fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process lives");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        |field: usize| after_name.split_whitespace().nth(field).and_then(|t| t.parse::<u32>().ok()).expect("ticks");
    f64::from(ticks(11) + ticks(12)) / 100.0 // USER_HZ is 100 on every platform of Linux
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
