//! The traffic of the proxy: connections, requests, answers.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::Value;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::Shared;
use super::fault::{Act, Refusal};
use super::journal::JournalEntry;
use super::key::Key;
use super::request::Request;
use super::watches;

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
    let hang_up = Arc::new(Notify::new());
    let service = service_fn(|request| answer(request, shared.clone(), hang_up.clone()));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        _ = link.wait_for(|link| link.cuts != cuts) => reset_on_close(&SockRef::from(&socket)),
        () = hang_up.notified() => reset_on_close(&SockRef::from(&socket)),
        _ = connection => {}
    }
}

/// One request; `hang_up` resets its connection.
async fn answer(incoming: hyper::Request<Incoming>, shared: Arc<Shared>, hang_up: Arc<Notify>) -> kube::Result<Answer> {
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
    let (place, entry, act) = shared.enter(&request, &body);
    let whole = request.is_write();
    match act {
        None => {}
        Some(Act::CutBefore) => {
            shared.cut_at(place, entry);
            return std::future::pending().await; // the connection is reset
        }
        Some(Act::CutAfter) => {
            let _ = forward(head, body, shared.clone(), place, true).await;
            shared.cut_at(place, entry);
            return std::future::pending().await;
        }
        Some(Act::DropReply) => {
            let _ = forward(head, body, shared, place, true).await;
            hang_up.notify_one();
            return std::future::pending().await;
        }
        Some(Act::DelayReply(by)) => {
            let answer = forward(head, body, shared, place, true).await;
            tokio::time::sleep(by).await;
            return answer;
        }
        Some(Act::Answer(refusal)) => return Ok(refuse_with(&refusal)),
        Some(Act::Delay(by)) => tokio::time::sleep(by).await,
        Some(Act::Watch(act, resource)) => shared.watches.send_modify(|watches| watches.take(act, &resource)),
    }
    let mut too_old = false;
    shared.watches.send_if_modified(|watches| {
        too_old = watches.is_too_old(&request);
        false // nobody waits for what was listed
    });
    if too_old {
        shared.note(place, |entry| (entry.fault, entry.status) = (Some("expired"), Some(410)));
        // As the API server says it: the watch begins, and its only event is the error.
        let event = serde_json::json!({"type": "ERROR", "object": Refusal::expired().status()});
        return Ok(json_answer(200, format!("{event}\n")));
    }
    let watched = request.is_watch().then_some(request.resource);
    let answer = forward(head, body, shared.clone(), place, whole).await?;
    Ok(match watched {
        Some(resource) => answer.map(|body| watches::governed(body, resource, shared.watches.subscribe())),
        None => answer,
    })
}

impl Shared {
    /// Writes a request into the journal, and gives its place there, the entry and its fault.
    fn enter(&self, request: &Request, body: &Bytes) -> (usize, JournalEntry, Option<Act>) {
        let counted = request.is_write() && (self.counts)(request);
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let key = Key::of(request, &json);
        let mut state = self.state.lock().unwrap();
        let act = state.armed.hit(request, &key, counted);
        let mut entry = JournalEntry::new(request, key, body, &json);
        entry.fault = act.as_ref().map(Act::name);
        if let Some(Act::Answer(refusal)) = &act {
            entry.status = Some(refusal.code);
        }
        let place = state.journal.add(entry.clone(), counted);
        (place, entry, act)
    }

    /// Cuts the link at an entry: as the journal has it by now, unless that was cleared meanwhile.
    fn cut_at(&self, place: usize, entry: JournalEntry) {
        let now = self.state.lock().unwrap().journal.at(place).cloned();
        self.cut(Some(now.unwrap_or(entry)));
    }

    fn note(&self, place: usize, what: impl FnOnce(&mut JournalEntry)) {
        if let Some(entry) = self.state.lock().unwrap().journal.at(place) {
            what(entry);
        }
    }
}

/// Sends a request on and gives the answer. It goes its way to the end even if the operator is killed meanwhile: what
/// reached the proxy reaches the server. `whole` waits for the whole body, so that the write is surely done.
async fn forward(
    head: hyper::http::request::Parts,
    body: Bytes,
    shared: Arc<Shared>,
    place: usize,
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
        let status = answer.status();
        shared.note(place, |entry| entry.status = Some(status.as_u16()));
        drop_hop_by_hop(answer.headers_mut());
        if whole {
            let (head, body) = answer.into_parts();
            let body = body.collect_bytes().await?;
            let version = if status.is_success() { version_of(&body) } else { None };
            shared.note(place, |entry| entry.version_after = version);
            let body = Full::new(body).map_err(|never| match never {});
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

/// The resourceVersion of the object in an answer; none of one that is gone because its last finalizer was taken off: the
/// server shows the version it had.
fn version_of(body: &Bytes) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let metadata = &json["metadata"];
    let held = metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    let gone = metadata.get("deletionTimestamp").is_some() && !held;
    metadata["resourceVersion"].as_str().filter(|_| !gone).map(str::to_owned)
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
    let mut answer = json_answer(code, status.to_string());
    if code == 429 {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    answer
}

fn json_answer(code: u16, body: String) -> Answer {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).expect("a fault's code is an HTTP status");
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}
