//! The crash proxy with an ordinary client, and with a process under test that is killed at every write.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use test_kit::builders::{cluster_admin_account, namespace};
use test_kit::operator::free_port;
use test_kit::wait::{eventually, stays};
use test_kit::{ApiServer, CrashProxy, Fault, Identity, Key, Operator};

const SOON: Duration = Duration::from_secs(15);

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap()
}

async fn names(maps: &Api<ConfigMap>) -> Vec<String> {
    let list = maps.list(&ListParams::default()).await.unwrap();
    list.items.iter().map(ResourceExt::name_any).filter(|name| name != "kube-root-ca.crt").collect()
}

struct Bench {
    proxy: CrashProxy,
    /// Past the proxy.
    direct: Api<ConfigMap>,
    /// Through it.
    through: Api<ConfigMap>,
    ns: String,
}

async fn bench(identity: Identity) -> Bench {
    let server = ApiServer::shared().await;
    let ns = namespace(&server.client(), "proxy").await;
    let proxy = CrashProxy::start(server, identity).await;
    let mut config = proxy.config();
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    Bench { direct: Api::namespaced(server.client(), &ns), through: Api::namespaced(client, &ns), ns, proxy }
}

#[tokio::test]
async fn cuts_before_and_after_a_write() {
    let Bench { proxy, direct, through, .. } = bench(Identity::Admin).await;
    let post = PostParams::default();
    proxy.arm(Fault::cut_before(2));
    through.create(&post, &map("one")).await.unwrap();
    through.create(&post, &map("two")).await.unwrap_err();
    let cut = tokio::time::timeout(SOON, proxy.cut()).await.unwrap();
    assert_eq!((cut.n, cut.status, cut.fault), (2, None, Some("cut before")));
    assert!(cut.body.contains("two"));
    assert!(proxy.is_cut());
    through.get("one").await.unwrap_err();
    through.create(&post, &map("refused")).await.unwrap_err();
    assert_eq!(names(&direct).await, ["one"]);

    proxy.heal();
    proxy.arm(Fault::cut_after(1));
    through.create(&post, &map("three")).await.unwrap_err();
    let cut = proxy.cut().await;
    assert_eq!((cut.n, cut.status, cut.fault), (3, Some(201), Some("cut after")));
    assert_eq!(names(&direct).await, ["one", "three"]);
    proxy.heal();

    through
        .patch("one", &PatchParams::apply("me"), &Patch::Apply(json!({ "apiVersion": "v1", "kind": "ConfigMap" })))
        .await
        .unwrap();
    through.delete("three", &DeleteParams::default()).await.unwrap();
    let journal = proxy.writes();
    let seen: Vec<_> = journal
        .iter()
        .map(|e| {
            (
                e.n,
                e.request.method.as_str(),
                e.request.name.as_str(),
                e.request.content_type.as_str(),
                e.status,
                e.was_done(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, "POST", "", "application/json", Some(201), true),
            (2, "POST", "", "application/json", None, false),
            (3, "POST", "", "application/json", Some(201), true),
            (4, "PATCH", "one", "application/apply-patch+yaml", Some(200), true),
            (5, "DELETE", "three", "application/json", Some(200), true),
        ],
        "{}",
        proxy.journal()
    );
}

#[tokio::test]
async fn answers_and_delays() {
    let Bench { proxy, direct, through, .. } = bench(Identity::Admin).await;
    let post = PostParams::default();
    proxy.arm(Fault::answer(1, 409).times(2));
    for _ in 0..2 {
        let error = through.create(&post, &map("a")).await.unwrap_err();
        assert!(matches!(&error, kube::Error::Api(status) if status.is_conflict()), "{error}");
    }
    through.create(&post, &map("a")).await.unwrap();
    proxy.arm(Fault::answer(1, 504).when(|r| r.method == "GET" && r.name == "a"));
    let error = through.get("a").await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 504), "{error}");
    through.get("a").await.unwrap();
    proxy.arm(Fault::delay(1, Duration::from_millis(300)));
    let start = std::time::Instant::now();
    through.create(&post, &map("b")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(names(&direct).await, ["a", "b"]);
    let faults: Vec<_> = proxy.writes().iter().map(|e| (e.fault, e.status)).collect();
    let answered = (Some("answered"), Some(409));
    assert_eq!(faults, [answered, answered, (None, Some(201)), (Some("delayed"), Some(201))]);
}

#[tokio::test]
async fn watches_pass_and_stand_still() {
    let Bench { proxy, direct, through, ns } = bench(Identity::Admin).await;
    let mut watched = Watched::start(through);
    let post = PostParams::default();
    direct.create(&post, &map("first")).await.unwrap();
    watched.until("first").await;
    proxy.pause_watch("configmaps");
    direct.create(&post, &map("second")).await.unwrap();
    let late = tokio::time::timeout(Duration::from_millis(400), watched.until("second")).await;
    assert!(late.is_err(), "held back");
    proxy.resume_watch("configmaps");
    watched.until("second").await;

    // A cut ends the watch; it comes again by itself.
    proxy.cut_now();
    direct.create(&post, &map("third")).await.unwrap();
    proxy.heal();
    watched.until("third").await;
    watched.task.abort();
    assert!(proxy.writes().is_empty(), "{ns}: only reads");
}

#[tokio::test]
async fn a_reply_is_dropped_or_late_and_nothing_else_suffers() {
    let Bench { proxy, direct, through, .. } = bench(Identity::Admin).await;
    let post = PostParams::default();
    let mut events = pin!(watcher(through.clone(), watcher::Config::default()).default_backoff());
    let mut seen = async |name: &str| {
        while let Some(event) = tokio::time::timeout(SOON, events.next()).await.unwrap_or_else(|_| panic!("no {name}"))
        {
            let event = event.unwrap_or_else(|e| panic!("the watch is not interrupted: {e}"));
            let (watcher::Event::Apply(map) | watcher::Event::InitApply(map)) = event else { continue };
            if map.name_any() == name {
                return;
            }
        }
    };
    through.create(&post, &map("first")).await.unwrap();
    seen("first").await;

    proxy.arm(Fault::drop_reply(1).on(Key::new("create", "configmaps", "dropped")));
    through.create(&post, &map("other")).await.unwrap();
    let error = through.create(&post, &map("dropped")).await.unwrap_err();
    assert!(!matches!(error, kube::Error::Api(_)), "no answer at all: {error}");
    assert!(!proxy.is_cut());
    seen("dropped").await;
    proxy.assert_fired();
    let error = through.create(&post, &map("dropped")).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.is_already_exists()), "it was done: {error}");

    let by = Duration::from_secs(2);
    proxy.arm(Fault::delay_reply(1, by));
    let start = std::time::Instant::now();
    let late = async {
        through.create(&post, &map("late")).await.unwrap();
        start.elapsed()
    };
    let done = async {
        eventually(SOON, "done at once", async || direct.get("late").await.map_err(|e| e.to_string())).await;
        start.elapsed()
    };
    let (told, done) = tokio::join!(late, done);
    assert!(told >= by && done < told, "done after {done:?}, told after {told:?}");
    let faults: Vec<_> = proxy.writes().iter().map(|e| (e.fault, e.status)).collect();
    let wanted = [
        (None, Some(201)),
        (None, Some(201)),
        (Some("reply dropped"), Some(201)),
        (None, Some(409)),
        (Some("reply delayed"), Some(201)),
    ];
    assert_eq!(faults, wanted);
}

/// A watch through the proxy: `next` waits for a name; what fails on the way is kept.
struct Watched {
    names: tokio::sync::mpsc::UnboundedReceiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    fn start(maps: Api<ConfigMap>) -> Self {
        let (seen, names) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut objects = pin!(watcher(maps, watcher::Config::default()).default_backoff().applied_objects());
            while let Some(object) = objects.next().await {
                if let Ok(object) = object {
                    let _ = seen.send(object.name_any());
                }
            }
        });
        Self { names, task }
    }

    /// One that has seen an object and goes on by a watch.
    async fn under_way(proxy: &CrashProxy, direct: &Api<ConfigMap>, through: &Api<ConfigMap>) -> Self {
        let mut watched = Self::start(through.clone());
        direct.create(&PostParams::default(), &map("first")).await.unwrap();
        watched.until("first").await;
        until_asked(proxy, "watch", 1).await;
        watched
    }

    async fn until(&mut self, wanted: &str) {
        loop {
            let name = tokio::time::timeout(SOON, self.names.recv()).await;
            assert!(name.is_ok(), "no {wanted}");
            if name.unwrap().unwrap() == wanted {
                return;
            }
        }
    }
}

fn asked(proxy: &CrashProxy, verb: &str) -> usize {
    proxy.requests().iter().filter(|e| e.key.verb == verb && e.request.resource == "configmaps").count()
}

async fn until_asked(proxy: &CrashProxy, verb: &str, times: usize) {
    eventually(SOON, &format!("{verb}, {times} times"), async || {
        let seen = asked(proxy, verb);
        if seen >= times { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn watches_are_closed_and_go_on_from_where_they_were() {
    let Bench { proxy, direct, through, .. } = bench(Identity::Admin).await;
    let post = PostParams::default();
    let mut watched = Watched::under_way(&proxy, &direct, &through).await;
    // By a plan, and frozen: what was held back is not lost.
    proxy.arm(Fault::freeze_watch(1, "configmaps").on(Key::new("create", "configmaps", "at")));
    proxy.arm(Fault::close_watch(2, "configmaps").on(Key::new("create", "configmaps", "at")));
    through.create(&post, &map("at")).await.unwrap();
    direct.create(&post, &map("held")).await.unwrap();
    assert_eq!(proxy.unfired(), ["watch closed of configmaps at create configmaps at #2"]);
    through.create(&post, &map("at")).await.unwrap_err(); // there already; the plan counts it
    proxy.assert_fired();
    until_asked(&proxy, "watch", 2).await;
    proxy.resume_watch("configmaps");
    watched.until("at").await;
    watched.until("held").await;
    assert_eq!(asked(&proxy, "list"), 1, "nothing was listed anew");
    watched.task.abort();
}

#[tokio::test]
async fn expired_history_must_be_listed_anew() {
    let Bench { proxy, direct, through, .. } = bench(Identity::Admin).await;
    let post = PostParams::default();
    let mut watched = Watched::under_way(&proxy, &direct, &through).await;
    proxy.arm(Fault::expire_watch(1, "configmaps").on(Key::new("create", "configmaps", "at")));
    through.create(&post, &map("at")).await.unwrap();
    proxy.assert_fired();
    until_asked(&proxy, "list", 2).await;
    let gone: Vec<_> = proxy.requests().into_iter().filter(|e| e.fault == Some("expired")).collect();
    assert!(!gone.is_empty(), "the watch that went on was refused");
    assert!(gone.iter().all(|e| e.key.verb == "watch" && e.status == Some(410)), "{gone:?}");
    direct.create(&post, &map("after")).await.unwrap();
    watched.until("after").await;
    assert_eq!(asked(&proxy, "list"), 2);
    watched.task.abort();
}

#[tokio::test]
async fn the_journal_tells_versions_ordinals_and_bodies() {
    let Bench { proxy, through, .. } = bench(Identity::Admin).await;
    let made = through.create(&PostParams::default(), &map("a")).await.unwrap();
    let patch = |version: &Option<String>| json!({"metadata": {"resourceVersion": version}, "data": {"k": "v"}});
    let first = Patch::Merge(patch(&made.resource_version()));
    let changed = through.patch("a", &PatchParams::default(), &first).await.unwrap();
    let again = Patch::Merge(patch(&changed.resource_version()));
    through.patch("a", &PatchParams::default(), &again).await.unwrap();
    through.patch("a", &PatchParams::default(), &first).await.unwrap_err();
    through.get("a").await.unwrap();
    let all = proxy.requests();
    let told: Vec<_> = all
        .iter()
        .map(|e| {
            let known = |version: &Option<String>| version.is_some();
            (e.n, e.key.to_string(), e.ordinal, known(&e.version_before), known(&e.version_after), e.changed_nothing())
        })
        .collect();
    let wanted = [
        (1, "create configmaps a", 1, false, true, false),
        (2, "patch configmaps a", 1, true, true, false),
        (3, "patch configmaps a", 2, true, true, true),
        (4, "patch configmaps a", 3, true, false, false),
        (0, "get configmaps a", 1, false, false, false),
    ];
    assert_eq!(told, wanted.map(|(n, key, ordinal, b, a, same)| (n, key.to_owned(), ordinal, b, a, same)));
    let kept = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/kept"]}}));
    let kept = through.patch("a", &PatchParams::default(), &kept).await.unwrap();
    through.delete("a", &DeleteParams::default()).await.unwrap();
    let version = proxy.writes().last().and_then(|e| e.version_after.clone());
    assert_ne!(version, kept.resource_version());
    let let_go = Patch::Merge(json!({"metadata": {"resourceVersion": version, "finalizers": null}}));
    through.patch("a", &PatchParams::default(), &let_go).await.unwrap();
    assert!(!proxy.writes().last().unwrap().changed_nothing(), "it is gone, with the version it had");
    assert_eq!(all[1].version_before, made.resource_version());
    assert_eq!(all[1].version_after, changed.resource_version());
    assert_eq!(all[1].body_hash, all[3].body_hash);
    assert_ne!(all[1].body_hash, all[2].body_hash);
    let panic = tokio::spawn(async move {
        proxy.arm(Fault::cut_before(1).on(Key::new("delete", "configmaps", "a")));
        proxy.assert_fired();
    });
    let panic = panic.await.unwrap_err().into_panic().downcast::<String>().unwrap();
    assert!(panic.starts_with("not fired: cut before delete configmaps a #1"), "{panic}");
}

#[tokio::test]
async fn noise_is_not_counted_and_the_identity_is_that_of_the_account() {
    let server = ApiServer::shared().await;
    let ns = namespace(&server.client(), "account").await;
    cluster_admin_account(&server.client(), &ns, "dp").await;
    let proxy = CrashProxy::start(server, Identity::service_account(&ns, "dp")).await;
    let client = Client::try_from(proxy.config()).unwrap();
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(client.clone(), &ns);
    let lease = serde_json::from_value(json!({ "metadata": { "name": "l" } })).unwrap();
    leases.create(&PostParams::default(), &lease).await.unwrap();
    assert!(proxy.writes().is_empty());
    let maps: Api<ConfigMap> = Api::namespaced(client, &ns);
    maps.create(&PostParams::default(), &map("m")).await.unwrap();
    assert_eq!(proxy.writes().len(), 1);
    eventually(SOON, "both writes are in the audit log under the account's name", async || {
        let log = server.audit().of_service_account(&ns, "dp");
        let resources: Vec<&str> = log.entries.iter().map(|e| e.resource.as_str()).collect();
        if resources == ["leases", "configmaps"] { Ok(()) } else { Err(format!("{resources:?}")) }
    })
    .await;
}

/// The pattern of the crash tests: the end state is the same, whichever write the operator was killed at.
#[tokio::test]
async fn an_operator_is_killed_at_every_write() {
    let server = ApiServer::shared().await;
    let dir = tempfile::tempdir().unwrap();
    let faults: [fn(usize) -> Fault; 2] = [Fault::cut_before, Fault::cut_after];
    for fault in faults {
        for n in 1..=3 {
            let ns = namespace(&server.client(), "killed").await;
            let proxy = CrashProxy::start(server, Identity::Admin).await;
            proxy.arm(fault(n));
            let port = free_port();
            let program = Operator::built("examples/small_operator");
            let mut operator = Operator::builder(program, dir.path().join(format!("{ns}.log")))
                .args([port.to_string(), ns.clone()])
                .kubeconfig(proxy.kubeconfig(dir.path()))
                .health_port(port)
                .start()
                .await;
            let cut = tokio::time::timeout(SOON, proxy.cut()).await.unwrap_or_else(|_| panic!("{}", operator.log()));
            assert_eq!(cut.n, n);
            operator.kill();
            proxy.heal();
            let maps: Api<ConfigMap> = Api::namespaced(server.client(), &ns);
            let done = if cut.fault == Some("cut after") { n } else { n - 1 };
            stays(Duration::from_millis(50), "nothing happens while it is dead", async || {
                let names = names(&maps).await;
                if names.len() == done { Ok(()) } else { Err(format!("{names:?}\n{}", proxy.journal())) }
            })
            .await;
            operator.restart().await;
            eventually(SOON, "all three steps", async || {
                let names = names(&maps).await;
                if names == ["step-1", "step-2", "step-3"] { Ok(()) } else { Err(format!("{names:?}")) }
            })
            .await;
        }
    }
}
