//! The traffic of the proxy: connections, requests, answers.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::Shared;
use super::fault::{Act, Refusal};
use super::journal::JournalEntry;
use super::request::Request;

type Answer = Response<UnsyncBoxBody<Bytes, kube::Error>>;

/// Accepts until aborted. While the link is broken, every connection is reset at once.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let link = shared.link.borrow().clone();
        if link.broken {
            reset_on_close(&SockRef::from(&stream));
            continue;
        }
        tokio::spawn(serve(stream, link.cuts, shared.clone()));
    }
}

/// Closing then sends a reset, not an orderly end.
fn reset_on_close(socket: &SockRef<'_>) {
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// Serves one connection until it ends or the link is cut.
async fn serve(stream: TcpStream, cuts: usize, shared: Arc<Shared>) {
    // A second handle on the socket: the first one is inside the connection when the cut comes.
    let Ok(socket) = SockRef::from(&stream).try_clone() else {
        return;
    };
    let mut link = shared.link.subscribe();
    let service = service_fn(|request| answer(request, shared.clone()));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        _ = link.wait_for(|link| link.cuts != cuts) => reset_on_close(&SockRef::from(&socket)),
        _ = connection => {}
    }
}

async fn answer(incoming: hyper::Request<Incoming>, shared: Arc<Shared>) -> kube::Result<Answer> {
    let (head, body) = incoming.into_parts();
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let request = Request::new(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), content_type);
    if head.headers.contains_key(header::UPGRADE) {
        return Ok(refuse(
            501,
            &serde_json::json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 501,
                "message": "the crash proxy does not pass on upgrades (exec, attach, port-forward)",
            }),
        ));
    }
    let Ok(body) = body.collect().await else {
        return std::future::pending().await;
    }; // the operator is gone
    let body = body.to_bytes();
    let (entry, act) = shared.enter(&request, &body);
    match act {
        None => {}
        Some(Act::CutBefore) => {
            shared.cut(entry.as_ref().and_then(|n| shared.entry(*n)).or_else(|| Some(unlisted(&request, &body))));
            return std::future::pending().await; // the connection is reset
        }
        Some(Act::CutAfter) => {
            let status =
                forward(head, body.clone(), shared.clone(), entry, true).await.ok().map(|a| a.status().as_u16());
            let cut = entry.and_then(|n| shared.entry(n)).or_else(|| Some(unlisted(&request, &body)));
            shared.cut(cut.map(|entry| JournalEntry { status: entry.status.or(status), ..entry }));
            return std::future::pending().await;
        }
        Some(Act::Answer(refusal)) => return Ok(refuse_with(&refusal)),
        Some(Act::Delay(by)) => tokio::time::sleep(by).await,
    }
    let watched = request.is_watch().then_some(request.resource);
    let answer = forward(head, body, shared.clone(), entry, false).await?;
    Ok(match watched {
        Some(resource) => answer.map(|body| pausable(body, resource, &shared)),
        None => answer,
    })
}

impl Shared {
    /// Counts a request, writes it into the journal if it counts, and gives its number there and its fault.
    fn enter(&self, request: &Request, body: &Bytes) -> (Option<usize>, Option<Act>) {
        let counted = request.is_write() && (self.counts)(request);
        let mut state = self.state.lock().unwrap();
        let act = state.armed.hit(request, counted);
        if !counted {
            return (None, act);
        }
        let mut entry = JournalEntry { n: state.journal.len() + 1, ..unlisted(request, body) };
        match &act {
            None => {}
            Some(Act::CutBefore) => entry.fault = Some("cut before"),
            Some(Act::CutAfter) => entry.fault = Some("cut after"),
            Some(Act::Delay(_)) => entry.fault = Some("delayed"),
            Some(Act::Answer(refusal)) => {
                entry.fault = Some("answered");
                entry.status = Some(refusal.code);
            }
        }
        state.journal.push(entry);
        (Some(state.cleared + state.journal.len() - 1), act)
    }

    /// The entry that [`enter`](Self::enter) numbered so, if it was not cleared meanwhile.
    fn entry(&self, number: usize) -> Option<JournalEntry> {
        let state = self.state.lock().unwrap();
        number.checked_sub(state.cleared).and_then(|index| state.journal.get(index)).cloned()
    }

    fn note_status(&self, number: Option<usize>, status: StatusCode) {
        let mut state = self.state.lock().unwrap();
        let index = number.and_then(|number| number.checked_sub(state.cleared));
        if let Some(entry) = index.and_then(|index| state.journal.get_mut(index)) {
            entry.status = Some(status.as_u16());
        }
    }
}

/// An entry for a request that is in no journal: a read, or a write that does not count.
fn unlisted(request: &Request, body: &Bytes) -> JournalEntry {
    let body = String::from_utf8_lossy(body).into_owned();
    JournalEntry { n: 0, request: request.clone(), body, status: None, fault: None }
}

/// Sends a request on and gives the answer. It goes its way to the end even if the operator is killed meanwhile: what
/// reached the proxy reaches the server. `whole` waits for the whole body, so that the write is surely done.
async fn forward(
    head: hyper::http::request::Parts,
    body: Bytes,
    shared: Arc<Shared>,
    entry: Option<usize>,
    whole: bool,
) -> kube::Result<Answer> {
    let sent = tokio::spawn(async move {
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut request = hyper::Request::builder().method(head.method).uri(target);
        if let Some(headers) = request.headers_mut() {
            headers.extend(head.headers);
            drop_hop_by_hop(headers);
            for name in [header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION] {
                headers.remove(name);
            }
        }
        let request = request.body(Body::from(body)).map_err(kube::Error::HttpError)?;
        let mut answer = shared.upstream.send(request).await?;
        shared.note_status(entry, answer.status());
        drop_hop_by_hop(answer.headers_mut());
        if whole {
            let (head, body) = answer.into_parts();
            let body = Full::new(body.collect_bytes().await?).map_err(|never| match never {});
            return Ok(Response::from_parts(head, body.boxed_unsync()));
        }
        Ok(answer.map(BodyExt::boxed_unsync))
    });
    match sent.await {
        // An answer the server did not give; the operator sees a gateway that failed.
        Ok(Err(e)) => Ok(refuse_with(&Refusal::gateway(&e))),
        Ok(answer) => answer,
        Err(_) => std::future::pending().await, // the runtime ends
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER] {
        headers.remove(name);
    }
    headers.remove(HeaderName::from_static("keep-alive"));
}

fn refuse_with(refusal: &Refusal) -> Answer {
    refuse(refusal.code, &refusal.status())
}

fn refuse(code: u16, status: &serde_json::Value) -> Answer {
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).expect("a fault's code is an HTTP status");
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if code == 429 {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    answer
}

/// A watch's body whose frames wait while its resource is paused.
fn pausable(
    body: UnsyncBoxBody<Bytes, kube::Error>,
    resource: String,
    shared: &Shared,
) -> UnsyncBoxBody<Bytes, kube::Error> {
    let paused = shared.paused.subscribe();
    let frames = stream::unfold((body, paused, resource), async |(mut body, mut paused, resource)| {
        let frame: kube::Result<Frame<Bytes>> = body.frame().await?;
        // An error means that the proxy is gone; then nothing holds the frame back.
        let _ = paused.wait_for(|paused| !paused.contains(&resource)).await;
        Some((frame, (body, paused, resource)))
    });
    StreamBody::new(Box::pin(frames)).boxed_unsync()
}
