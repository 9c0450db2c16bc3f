//! A proxy between an operator and the API server that crashes at a chosen write.
//!
//! Takes plain HTTP/1.1 on 127.0.0.1, gives TLS and an identity (administrator or service account) towards the real
//! server. Streams watches unbuffered, and can freeze or close them or expire their history. Records every request in a
//! journal, and hits chosen ones with a [`Fault`]: a plan names verb, resource, name and ordinal (a [`Key`] and a
//! number), never a time. After a cut everything is refused until [`CrashProxy::heal`], so that the operator can be
//! killed and started again with nothing happening in between. Upgrades (exec, attach) are not supported.
//!
//! Crash at every write, before and after:
//! ```no_run
//! # use test_kit::*;
//! # async fn example(server: &ApiServer, operator: operator::OperatorBuilder, dir: &std::path::Path) {
//! for n in 1.. {
//!     let proxy = CrashProxy::start(server, Identity::Admin).await;
//!     proxy.arm(Fault::cut_before(n));
//!     let mut operator = operator.clone().kubeconfig(proxy.kubeconfig(dir)).start().await;
//!     tokio::select! {
//!         _ = proxy.cut() => { operator.kill(); proxy.heal(); operator.restart().await; }
//!         () = async { /* the end state is there without a cut */ } => break,
//!     }
//!     // wait for the end state and compare it with that of the uninterrupted run
//! }
//! # }
//! ```

mod fault;
mod forward;
mod journal;
mod key;
mod request;
mod watches;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kube::{Client, Config};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use fault::Fault;
pub use journal::JournalEntry;
pub use key::{Key, stable};
pub use request::Request;

use crate::api_server::{ApiServer, kubeconfig};
use fault::Armed;
use journal::Journal;
use watches::{WatchAct, Watches};

/// Whom the server takes the proxy's requests for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// `system:masters`.
    Admin,
    /// A service account, which must exist.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Identity {
    /// A service account.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

type Counts = Box<dyn Fn(&Request) -> bool + Send + Sync>;

/// What connections and the test share.
struct Shared {
    upstream: Client,
    counts: Counts,
    state: Mutex<State>,
    link: watch::Sender<Link>,
    watches: watch::Sender<Watches>,
}

#[derive(Default)]
struct State {
    journal: Journal,
    armed: Armed,
}

/// Whether anything passes.
#[derive(Debug, Clone, Default)]
struct Link {
    /// How often it was cut: a connection ends when this is no longer what it was at its beginning.
    cuts: usize,
    broken: bool,
    /// The write at which it was cut.
    at: Option<JournalEntry>,
}

/// A running proxy; it ends with its value.
pub struct CrashProxy {
    shared: Arc<Shared>,
    port: u16,
    accepting: JoinHandle<()>,
}

impl CrashProxy {
    /// Starts a proxy that counts all writes but leases, events and reviews.
    pub async fn start(server: &ApiServer, identity: Identity) -> Self {
        Self::start_counting(server, identity, |request| !request.is_noise()).await
    }

    /// Starts a proxy that counts the writes `counts` holds for.
    pub async fn start_counting(
        server: &ApiServer,
        identity: Identity,
        counts: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Self {
        let mut config: Config = match &identity {
            Identity::Admin => server.config(),
            Identity::ServiceAccount { namespace, name } => server.config_for(namespace, name).await,
        };
        config.default_retry = false; // repeating is the operator's business, and would be counted wrongly
        let shared = Arc::new(Shared {
            upstream: Client::try_from(config).expect("a client from our own settings"),
            counts: Box::new(counts),
            state: Mutex::default(),
            link: watch::Sender::new(Link::default()),
            watches: watch::Sender::new(Watches::default()),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("listen on 127.0.0.1");
        let port = listener.local_addr().expect("address of our own socket").port();
        let accepting = tokio::spawn(forward::accept(listener, shared.clone()));
        Self { shared, port, accepting }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Writes a kubeconfig for the operator into `dir` and gives its path.
    pub fn kubeconfig(&self, dir: impl AsRef<Path>) -> PathBuf {
        let path = dir.as_ref().join(format!("crash-proxy-{}.conf", self.port));
        let config = kubeconfig(&json!({ "server": self.url() }), &json!({}));
        std::fs::write(&path, config.to_string()).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        path
    }

    /// Settings for a client of the test itself through the proxy.
    pub fn config(&self) -> Config {
        Config::new(self.url().parse().expect("our own address is one"))
    }

    /// Arms a fault; it counts from now on. Several may be armed; the first armed that hits a request acts.
    pub fn arm(&self, fault: Fault) {
        self.shared.state.lock().unwrap().armed.arm(fault);
    }

    /// The armed faults that have hit nothing yet, as text.
    pub fn unfired(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().armed.unfired()
    }

    /// The end of a play: takes all faults away; panics with those that have hit nothing, and the journal.
    #[track_caller]
    pub fn assert_fired(&self) {
        let unfired = self.disarm();
        assert!(unfired.is_empty(), "not fired: {}\n{}", unfired.join("; "), self.journal());
    }

    /// Takes all faults away; gives those that have hit nothing. The others have, or are about to: a write that is cut
    /// after it was done may still be on its way.
    pub fn disarm(&self) -> Vec<String> {
        let mut state = self.shared.state.lock().unwrap();
        let unfired = state.armed.unfired();
        state.armed.disarm();
        unfired
    }

    /// Waits until the link is cut and gives the write at which it was (at once when it already is).
    pub async fn cut(&self) -> JournalEntry {
        let mut link = self.shared.link.subscribe();
        let link = link.wait_for(|link| link.broken && link.at.is_some()).await.expect("we hold the sender");
        link.at.clone().expect("just looked")
    }

    /// Cuts the link now: resets all connections and refuses everything until [`heal`](Self::heal).
    pub fn cut_now(&self) {
        self.shared.cut(None);
    }

    /// `true` between a cut and the healing.
    pub fn is_cut(&self) -> bool {
        self.shared.link.borrow().broken
    }

    /// Lets requests pass again. Armed faults stay as they are; the one that cut is used up.
    pub fn heal(&self) {
        self.shared.link.send_modify(|link| {
            link.broken = false;
            link.at = None;
        });
    }

    /// Freezes the watches of a resource (plural, such as `persistentvolumeclaims`): their events are held back; lists
    /// and gets still pass.
    pub fn pause_watch(&self, resource: &str) {
        self.watch(WatchAct::Freeze, resource);
    }

    /// Delivers what was held back, and everything after it.
    pub fn resume_watch(&self, resource: &str) {
        self.shared.watches.send_modify(|watches| watches.thaw(resource));
    }

    /// Ends the watches of a resource as a server does; they may go on from where they were.
    pub fn close_watch(&self, resource: &str) {
        self.watch(WatchAct::Close, resource);
    }

    /// Ends the watches of a resource and expires their history: 410 Gone until the client has listed anew.
    pub fn expire_watch(&self, resource: &str) {
        self.watch(WatchAct::Expire, resource);
    }

    fn watch(&self, act: WatchAct, resource: &str) {
        self.shared.watches.send_modify(|watches| watches.take(act, resource));
    }

    /// The counted writes so far, in the order of their arrival.
    pub fn writes(&self) -> Vec<JournalEntry> {
        self.shared.state.lock().unwrap().journal.writes()
    }

    /// All requests so far: reads, watches, leases and events too.
    pub fn requests(&self) -> Vec<JournalEntry> {
        self.shared.state.lock().unwrap().journal.all()
    }

    /// The writes of the journal as text, one write per line, for messages.
    pub fn journal(&self) -> String {
        let lines: Vec<String> = self.writes().iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    /// Forgets the requests so far; numbers and ordinals begin at 1 again. Faults go on counting.
    pub fn clear_journal(&self) {
        self.shared.state.lock().unwrap().journal.clear();
    }
}

impl Drop for CrashProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.cut(None); // connections end too
    }
}

impl Shared {
    fn cut(&self, at: Option<JournalEntry>) {
        self.link.send_modify(|link| {
            link.cuts += 1;
            link.broken = true;
            link.at = at;
        });
    }
}
