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
use test_kit::{ApiServer, CrashProxy, Fault, Identity, Operator};

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
    let (seen, mut news) = tokio::sync::mpsc::unbounded_channel();
    let watch = tokio::spawn(async move {
        let mut objects = pin!(watcher(through, watcher::Config::default()).default_backoff().applied_objects());
        while let Some(object) = objects.next().await {
            if let Ok(object) = object {
                let _ = seen.send(object.name_any());
            }
        }
    });
    let mut next = async |wanted: &str| loop {
        let name = tokio::time::timeout(SOON, news.recv()).await.unwrap_or_else(|_| panic!("no {wanted}")).unwrap();
        if name == wanted {
            break;
        }
    };
    let post = PostParams::default();
    direct.create(&post, &map("first")).await.unwrap();
    next("first").await;
    proxy.pause_watch("configmaps");
    direct.create(&post, &map("second")).await.unwrap();
    let late = tokio::time::timeout(Duration::from_millis(400), next("second")).await;
    assert!(late.is_err(), "held back");
    proxy.resume_watch("configmaps");
    next("second").await;

    // A cut ends the watch; it comes again by itself.
    proxy.cut_now();
    direct.create(&post, &map("third")).await.unwrap();
    proxy.heal();
    next("third").await;
    watch.abort();
    assert!(proxy.writes().is_empty(), "{ns}: only reads");
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
