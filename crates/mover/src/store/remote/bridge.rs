//! OpenDAL over our own HTTP client.
//!
//! Enters: requests of OpenDAL. Leaves: replies. Each request runs in a thread of the runtime, so
//! that trust, proxies, time limits and the bandwidth limit are those of the S3 store, and no
//! second HTTP client and TLS set-up is in the binary.

use std::future::Future;
use std::io::Read;
use std::sync::OnceLock;

use futures::stream;
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use ureq::http::{Request, Response};
use ureq::{Agent, SendBody};

use super::transport;
use crate::store::s3::throttle::Throttled;

/// Bytes of a reply that are handed over at a time.
const PIECE: usize = 256 * 1024;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Runs to the end on the one runtime of this process, which begins with the first call.
pub fn wait<T>(work: impl Future<Output = T>) -> crate::error::Result<T> {
    if RUNTIME.get().is_none() {
        let made = Builder::new_current_thread()
            .enable_time()
            .thread_keep_alive(std::time::Duration::from_secs(1))
            .build()
            .map_err(|error| crate::error::Error::io("start a runtime", error))?;
        let _ = RUNTIME.set(made);
    }
    match RUNTIME.get() {
        Some(runtime) => Ok(runtime.block_on(work)),
        None => Err(crate::error::Error::Config("the runtime did not start".to_owned())),
    }
}

/// The client.
pub struct Bridge {
    agent: Agent,
}

impl Bridge {
    /// A client.
    pub fn new(https: bool, verify: bool) -> Self {
        Self { agent: transport::agent(https, verify) }
    }
}

impl HttpTransport for Bridge {
    async fn fetch(&self, request: Request<Buffer>) -> Result<Response<HttpBody>> {
        let agent = self.agent.clone();
        let (head, told) = oneshot::channel();
        let (pieces, mut coming) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || exchange(&agent, request, head, &pieces));
        let reply = told.await.map_err(|_| Error::new(ErrorKind::Unexpected, "the request was given up"))??;
        let length = reply
            .headers()
            .get("content-length")
            .filter(|_| !reply.headers().contains_key("content-encoding"))
            .and_then(|text| text.to_str().ok()?.parse().ok());
        let body = stream::poll_fn(move |context| coming.poll_recv(context));
        let length = length.filter(|_| reply.extensions().get::<Headless>().is_none());
        Ok(reply.map(|()| HttpBody::new(body, length)))
    }
}

/// The reply to a HEAD, whose length is not that of its body.
#[derive(Clone)]
struct Headless;

fn exchange(
    agent: &Agent,
    request: Request<Buffer>,
    head: oneshot::Sender<Result<Response<()>>>,
    pieces: &mpsc::Sender<Result<Buffer>>,
) {
    let (parts, body) = request.into_parts();
    let headless = parts.method == "HEAD";
    let mut ours = Request::builder().method(parts.method).uri(parts.uri);
    let bodiless =
        body.is_empty() && matches!(ours.method_ref().map(ureq::http::Method::as_str), Some("GET" | "HEAD" | "DELETE"));
    for (name, value) in &parts.headers {
        if name != "host" {
            ours = ours.header(name, value);
        }
    }
    let length = body.len();
    let sent = if bodiless {
        ours.body(()).map_err(ureq::Error::from).and_then(|request| agent.run(request))
    } else {
        if !parts.headers.contains_key("content-length") {
            ours = ours.header("content-length", length);
        }
        let mut body = Throttled::new(body);
        ours.body(SendBody::from_reader(&mut body)).map_err(ureq::Error::from).and_then(|request| agent.run(request))
    };
    let reply = match sent {
        Ok(reply) => reply,
        Err(error) => {
            let failure = Error::new(ErrorKind::Unexpected, transport::said(&error));
            let _ = head.send(Err(if transport::is_tls(&error) { failure } else { failure.set_temporary() }));
            return;
        }
    };
    let (mut parts, body) = reply.into_parts();
    if headless {
        parts.extensions.insert(Headless);
    }
    if head.send(Ok(Response::from_parts(parts, ()))).is_err() {
        return;
    }
    let mut body = Throttled::new(body.into_reader());
    loop {
        let mut piece = vec![0; PIECE];
        let got = match body.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                Ok(Buffer::from(piece))
            }
            Err(error) => Err(Error::new(ErrorKind::Unexpected, crate::error::plain(&error)).set_temporary()),
        };
        let ended = got.is_err();
        if pieces.blocking_send(got).is_err() || ended {
            return;
        }
    }
}
