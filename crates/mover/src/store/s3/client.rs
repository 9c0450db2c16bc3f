//! Requests: addressed, signed, sent, and sent again where that can help (mover.md §4.2.7).
//!
//! Enters: a [`Call`]. Leaves: what the caller reads from the reply, or a [`Failure`]. Reading the
//! reply belongs to the request, so that a reply that is cut short is asked for again. Each try
//! is signed anew; a clock that the server finds wrong is corrected once from its `Date`.

use std::io::{self, Read};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use ureq::http::{HeaderMap, Request, Response};
use ureq::{Agent, Body, SendBody};

use super::failure::{CallResult, Failure};
use super::settings::Settings;
use super::sign::{self, Signed, UNSIGNED};
use super::throttle::Throttled;
use super::tls;
use crate::tuning::tuning;
use crate::{clock, fill, progress};

const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// Longest wait that a server may ask for.
pub const PATIENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);
/// A connection on which nothing moves for so long is dead.
const IDLE: Duration = Duration::from_secs(120);
/// Completing a large upload takes object stores minutes.
const ANSWER: Duration = Duration::from_secs(300);
/// What one system call can take from a connection: fewer calls, and what was taken is still in
/// the processor's cache when it is copied on.
const INPUT: usize = 256 * 1024;
/// Largest reply that is read into memory: a page of 1000 keys of 1 KiB, encoded, fits.
const REPLY_LIMIT: u64 = 16 << 20;

/// What a request carries.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// A small document, part of the signature.
    Document(&'a [u8]),
    /// Data, protected by a checksum header.
    Data(&'a [u8]),
}

/// One request.
pub struct Call<'a> {
    /// Method.
    pub method: &'static str,
    /// Bucket; empty for the service itself.
    pub bucket: &'a str,
    /// Key; empty for the bucket.
    pub key: &'a [u8],
    /// Query parameters, not encoded.
    pub query: Vec<(&'static str, String)>,
    /// Headers with lower-case names; those starting `x-amz-`, and `content-md5`, are signed.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub payload: Payload<'a>,
    /// Tries; 0 for the usual number.
    pub tries: u32,
}

impl<'a> Call<'a> {
    /// A request for an object or, with an empty key, a bucket.
    pub fn new(method: &'static str, bucket: &'a str, key: &'a [u8]) -> Self {
        Self { method, bucket, key, query: Vec::new(), headers: Vec::new(), payload: Payload::None, tries: 0 }
    }

    /// With a query parameter.
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With more headers.
    pub fn headers(mut self, headers: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// With a body.
    pub fn payload(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }

    /// With this number of tries.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// How messages name it: never with its query or headers.
    pub fn what(&self) -> String {
        if self.key.is_empty() {
            return format!("{} s3://{}", self.method, self.bucket);
        }
        format!("{} s3://{}/{}", self.method, self.bucket, String::from_utf8_lossy(self.key))
    }
}

/// A client of one endpoint; shared by all threads.
pub struct Client {
    /// Its settings.
    pub settings: Settings,
    agent: Agent,
    /// Seconds that the server's clock is ahead of ours.
    skew: AtomicI64,
}

impl Client {
    /// A client; connects to nothing yet.
    pub fn new(settings: Settings) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("datasafed/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_write(Some(IDLE))
            .timeout_recv_response(Some(IDLE))
            .timeout_per_read(Some(IDLE))
            .max_idle_connections(64)
            .max_idle_connections_per_host(64)
            .input_buffer_size(INPUT)
            .output_buffer_size(64 * 1024)
            .tls_config(tls::config(settings.scheme == "https", !settings.no_check_certificate))
            .build()
            .new_agent();
        Self { settings, agent, skew: AtomicI64::new(0) }
    }

    /// Sends a request until it succeeds, cannot, or was tried often enough; `read` takes what it
    /// needs from the reply.
    pub fn call<T>(&self, call: &Call<'_>, read: impl Fn(Response<Body>) -> io::Result<T>) -> CallResult<T> {
        let tries = if call.tries == 0 { tuning().tries.unwrap_or(TRIES) } else { call.tries };
        let mut pause = FIRST_PAUSE;
        let mut attempt = 0;
        let mut clock_set = false;
        loop {
            attempt += 1;
            let failure = match self.once(call, None).and_then(|reply| {
                read(reply).map_err(|error| Failure::network(&call.what(), format!("read the reply: {error}")))
            }) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.code == "RequestTimeTooSkewed" && !clock_set {
                // `once` has learned the server's time.
                clock_set = true;
                progress::RETRIES.add(1);
                continue;
            }
            if attempt >= tries || !failure.retryable() {
                return Err(failure);
            }
            progress::RETRIES.add(1);
            std::thread::sleep(failure.retry_after.map_or_else(|| jittered(pause), |asked| asked.min(PATIENCE)));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends a request and takes the whole reply as text.
    pub fn text(&self, call: &Call<'_>) -> CallResult<(HeaderMap, String)> {
        self.call(call, text)
    }

    /// Sends a request once, bounded in time as a whole where `within` says so.
    pub fn once(&self, call: &Call<'_>, within: Option<Duration>) -> CallResult<Response<Body>> {
        let what = call.what();
        let reply = self.send(call, within).map_err(|error| transport(&what, &error))?;
        if reply.status().is_success() {
            return Ok(reply);
        }
        let status = reply.status().as_u16();
        let retry_after = header(reply.headers(), "retry-after").and_then(|text| text.parse().ok());
        let date = header(reply.headers(), "date").map(str::to_owned);
        let (_, body) = text(reply).unwrap_or_default();
        let failure = Failure::refused(&what, status, &body, retry_after.map(Duration::from_secs));
        if failure.code == "RequestTimeTooSkewed"
            && let Some(theirs) = date.and_then(|date| rfc2822::parse(&date).ok())
            && let Ok(ours) = Timestamp::try_from(clock::now())
        {
            self.skew.store(theirs.timestamp().duration_since(ours).as_secs(), Ordering::Relaxed);
        }
        Err(failure)
    }

    fn send(&self, call: &Call<'_>, within: Option<Duration>) -> Result<Response<Body>, ureq::Error> {
        let settings = &self.settings;
        let (host, mut path) = if settings.dialect.virtual_host && !call.bucket.is_empty() {
            (format!("{}.{}", call.bucket, settings.host), format!("{}/", settings.base))
        } else if call.bucket.is_empty() {
            (settings.host.clone(), format!("{}/", settings.base))
        } else {
            let slash = if call.key.is_empty() { "" } else { "/" };
            (settings.host.clone(), format!("{}/{}{slash}", settings.base, call.bucket))
        };
        path.push_str(&sign::encode(call.key, true));
        let mut query: Vec<_> = call
            .query
            .iter()
            .map(|(name, value)| {
                format!("{}={}", sign::encode(name.as_bytes(), false), sign::encode(value.as_bytes(), false))
            })
            .collect();
        query.sort_unstable();
        let query = query.join("&");

        let skew = SignedDuration::from_secs(self.skew.load(Ordering::Relaxed));
        let now = Timestamp::try_from(clock::now()).unwrap_or_default();
        let time = now.saturating_add(skew).unwrap_or(now).strftime("%Y%m%dT%H%M%SZ").to_string();
        let hash = match call.payload {
            Payload::None => sign::sha256(b""),
            Payload::Document(document) => sign::sha256(document),
            Payload::Data(_) => UNSIGNED.to_owned(),
        };
        let mut headers: Vec<(&str, &str)> = call.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.push(("host", &host));
        headers.push(("x-amz-content-sha256", &hash));
        headers.push(("x-amz-date", &time));
        if let Some(token) = settings.credentials.as_ref().and_then(|found| found.session_token.as_deref()) {
            headers.push(("x-amz-security-token", token));
        }
        headers.sort_unstable();
        let signed: Vec<_> = headers
            .iter()
            .copied()
            .filter(|(name, _)| name.starts_with("x-amz-") || matches!(*name, "host" | "content-md5"))
            .collect();

        let address = if query.is_empty() {
            format!("{}://{host}{path}", settings.scheme)
        } else {
            format!("{}://{host}{path}?{query}", settings.scheme)
        };
        let mut request = Request::builder().method(call.method).uri(address);
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        if let Some(credentials) = &settings.credentials {
            let signed = Signed {
                method: call.method,
                path: &path,
                query: &query,
                headers: &signed,
                payload: &hash,
                time: &time,
            };
            request = request.header("authorization", signed.authorization(credentials, &settings.region));
        }
        match call.payload {
            // An empty body must still say its length where a method has one.
            Payload::None if matches!(call.method, "PUT" | "POST") => self.run(request, &b""[..], within),
            Payload::None => self.run(request, (), within),
            Payload::Document(document) => self.run(request, document, within),
            Payload::Data(data) if tuning().bandwidth.is_none() => self.run(request, data, within),
            Payload::Data(data) => {
                let mut body = Throttled::new(data);
                let request = request.header("content-length", data.len());
                self.run(request, SendBody::from_reader(&mut body), within)
            }
        }
    }

    fn run(
        &self,
        request: ureq::http::request::Builder,
        body: impl ureq::AsSendBody,
        within: Option<Duration>,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = request.body(body)?;
        let patient = request.method() == "POST";
        if within.is_none() && !patient {
            return self.agent.run(request);
        }
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(within)
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(ANSWER))
            .build();
        self.agent.run(request)
    }
}

fn transport(what: &str, error: &ureq::Error) -> Failure {
    let tls = match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => {
            error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        }
        _ => false,
    };
    let message = match error {
        ureq::Error::Io(error) => crate::error::plain(error),
        other => other.to_string(),
    };
    Failure { tls, ..Failure::network(what, message) }
}

/// Headers and body of a reply.
pub fn text(reply: Response<Body>) -> io::Result<(HeaderMap, String)> {
    let (head, body) = reply.into_parts();
    let mut text = Vec::new();
    body.into_with_config().limit(REPLY_LIMIT).reader().read_to_end(&mut text)?;
    Ok((head.headers, String::from_utf8_lossy(&text).into_owned()))
}

/// One header's text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Between half of a pause and all of it, so that many movers do not return at once.
pub fn jittered(pause: Duration) -> Duration {
    let [random] = fill::random().unwrap_or_default();
    pause.mul_f64(0.5 + f64::from(random) / 512.0)
}
