//! The HTTP client of all outputs: TLS, credentials, timeouts, bounded answers.
//!
//! It sends each request once: it does not retry and follows no redirect. [`Failure`] says how sure a caller can be
//! that the server processed nothing. Proxies named in the environment are not used.
//!
//! Texts from a server leave this module through `door.rs`, since they may repeat our [`Secrets`].

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::http::Uri;
use ::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, RETRY_AFTER, TRANSFER_ENCODING, USER_AGENT,
};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tracing::warn;
use url::Url;

use super::connect::{AGENT, AbortOnDrop, BoxError, Connector};
use super::credentials::{self, Material};
pub(crate) use super::exchange::{Failure, Request, Response, excerpt, shown_url};
use super::meter::Meter;
use super::no_answer;
use super::secrets::Secrets;
use crate::config;
use crate::disk::{FileStep, at};
use crate::tls::WatchedFiles;

/// Most bytes kept of an answer, unless the caller sets another bound.
const ANSWER: usize = 64 * 1024;
/// Longest wait that a server may ask for in `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// Replaces a body that a 204 must not have.
const BODY_OF_204: &[u8] = b"(a body, which this status does not have)";
const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
/// An idle connection is closed after this time.
pub(super) const IDLE: Duration = Duration::from_secs(90);
/// Shortest time between two checks of the credential files.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The HTTP client of one output.
pub(crate) struct Client {
    config: config::Http,
    /// How many connections were opened.
    opened: Arc<AtomicU64>,
    // A std lock: it is held while a few files are checked once a second, never across an await.
    state: Mutex<ConnectionState>,
    meter: Meter,
}

struct ConnectionState {
    ready: Ready,
    /// The credentials that are sent now, and those that were sent before a file changed.
    secrets: Secrets,
    watched: WatchedFiles,
    looked: Instant,
}

/// Everything a request needs, cheap to clone.
#[derive(Clone)]
struct Ready {
    client: legacy::Client<Connector, Full<Bytes>>,
    headers: Arc<HeaderMap>,
    rootless: bool,
}

impl Client {
    /// Reads every file that the configuration names; the error is always [`Failure::Setup`].
    pub(crate) fn new(config: &config::Http) -> Result<Self, Failure> {
        // Record the state of the files before reading them, so that a later check notices a change in between.
        let watched = WatchedFiles::new(credentials::files(config));
        let opened = Arc::default();
        let (ready, secrets) = build(config, &opened)?;
        let state = Mutex::new(ConnectionState { ready, secrets, watched, looked: Instant::now() });
        Ok(Self { config: config.clone(), opened, state, meter: Meter::default() })
    }

    /// The same client with more secrets to redact: those that are sent in URLs.
    pub(super) fn hiding(self, more: &[String]) -> Self {
        self.held().secrets.fix(more.iter().map(String::as_str));
        self
    }

    /// The secrets to redact in an answer.
    pub(super) fn secrets(&self) -> Secrets {
        self.held().secrets.clone()
    }

    fn held(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_meter(&mut self, meter: Meter) {
        self.meter = meter;
    }

    /// How many connections were opened so far.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// Sends one request and returns its answer, whatever the status; keeps at most 64 KiB of the body.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Failure> {
        self.send_keeping(request, ANSWER).await
    }

    /// The same with another bound, in bytes. A body of exactly that length may have been cut.
    pub(crate) async fn send_keeping(
        &self,
        request: Request,
        bound: usize,
    ) -> Result<Response, Failure> {
        let (began, sent) = (Instant::now(), request.body.len());
        let led_to = self.exchange(request, bound).await;
        self.meter.exchanged(began, sent, &led_to);
        led_to
    }

    async fn exchange(&self, request: Request, bound: usize) -> Result<Response, Failure> {
        let ready = self.ready();
        if ready.rootless && request.url.starts_with("https:") {
            return Err(Failure::Setup {
                answer: format!("no CA certificates to trust {} by", shown_url(&request.url)),
                hint: "set `tls.ca_file`, or install the system's CA certificates and restart"
                    .to_owned(),
            });
        }
        let target = shown_url(&request.url);
        let mut outgoing = outgoing(request, &ready.headers).map_err(|error| Failure::Setup {
            answer: format!("{target}: {error}"),
            hint: "write the endpoint like https://logs.example.org:9200".to_owned(),
        })?;
        let abort = AbortOnDrop::of(&mut outgoing);
        let led_to = converse(&ready.client, outgoing, bound);
        match tokio::time::timeout(self.config.timeout, led_to).await {
            Ok(Ok(response)) => {
                abort.answered();
                Ok(response)
            }
            Ok(Err(error)) => Err(no_answer::failure(&*error, &target)),
            Err(_) => Err(no_answer::too_late(&target)),
        }
    }

    /// The current client; rebuilt if a file has changed. If a new file cannot be used, the old client stays in use.
    fn ready(&self) -> Ready {
        let mut state = self.held();
        if state.looked.elapsed() >= LOOK_AGAIN {
            state.looked = Instant::now();
            // Logged once per change, since `changed` remembers the new state even if the file cannot be used.
            if state.watched.changed() {
                match build(&self.config, &self.opened) {
                    Ok((ready, secrets)) => {
                        state.secrets = secrets.after(&state.secrets);
                        state.ready = ready;
                    }
                    Err(failure) => {
                        warn!(%failure, "new credentials not usable, keeping the old ones");
                    }
                }
            }
        }
        state.ready.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeout", &self.config.timeout).finish_non_exhaustive()
    }
}

fn build(config: &config::Http, opened: &Arc<AtomicU64>) -> Result<(Ready, Secrets), Failure> {
    let Material { headers, sent, tls, rootless } = Material::read(config)?;
    let proxy = config.proxy.as_deref().map(proxy).transpose()?;
    // Shorter than the whole timeout, so that a timeout while connecting can be told from one after sending.
    let connector = Connector::new(tls, proxy, config.timeout / 2).counting(opened);
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector);
    let mut all = HeaderMap::new();
    all.insert(USER_AGENT, AGENT);
    all.insert(ACCEPT, HeaderValue::from_static("*/*"));
    all.extend(headers);
    let secrets = Secrets::new(sent.iter().map(String::as_str));
    Ok((Ready { client, headers: Arc::new(all), rootless }, secrets))
}

/// The URI of the proxy. The configuration has been validated already.
fn proxy(url: &str) -> Result<Uri, Failure> {
    let known = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let known = known.and_then(|url| Uri::try_from(url.as_str()).ok());
    // Neither message shows the URL: it may contain a password.
    known.ok_or_else(|| Failure::Setup {
        answer: "`proxy` is not a URL".to_owned(),
        hint: "write it like http://proxy.example.org:3128".to_owned(),
    })
}

/// The request as hyper takes it. Configured headers replace user and password of the URL; the request's own headers
/// replace both.
fn outgoing(
    request: Request,
    configured: &HeaderMap,
) -> Result<::http::Request<Full<Bytes>>, BoxError> {
    let mut url = Url::parse(&request.url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("neither http:// nor https://".into());
    }
    let mut headers = HeaderMap::new();
    if let Some(credentials) = credentials::out_of(&mut url) {
        headers.insert(AUTHORIZATION, credentials);
    }
    headers.extend(configured.clone());
    for (name, value) in request.headers {
        headers.insert(name, HeaderValue::try_from(value)?);
    }
    let mut outgoing = ::http::Request::new(Full::new(request.body));
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = Uri::try_from(url.as_str())?;
    *outgoing.headers_mut() = headers;
    Ok(outgoing)
}

/// Sends a request and reads its answer.
async fn converse(
    client: &legacy::Client<Connector, Full<Bytes>>,
    outgoing: ::http::Request<Full<Bytes>>,
    bound: usize,
) -> Result<Response, BoxError> {
    at(FileStep::Send);
    let mut response = client.request(outgoing).await?;
    at(FileStep::Answer);
    let status = response.status().as_u16();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after =
        header(RETRY_AFTER).and_then(|value| retry_after(value, jiff::Timestamp::now()));
    let content_type = header(CONTENT_TYPE).unwrap_or_default().to_owned();
    let location = header(LOCATION).map(str::to_owned);
    let product = header(PRODUCT).map(str::to_owned);
    let mut body = BytesMut::new();
    let length = header(CONTENT_LENGTH).and_then(|value| value.parse().ok()).unwrap_or(0_u64);
    if status == 204 && (length > 0 || header(TRANSFER_ENCODING).is_some()) {
        // hyper ignores such a body; a store that has stored everything sends none.
        body.extend_from_slice(BODY_OF_204);
    }
    while body.len() < bound {
        let Some(frame) = response.frame().await.transpose()? else { break };
        // Trailers are ignored.
        let chunk = frame.into_data().unwrap_or_default();
        body.extend_from_slice(&chunk[..chunk.len().min(bound - body.len())]);
    }
    Ok(Response { status, retry_after, content_type, location, product, body: body.freeze() })
}

/// `Retry-After`: seconds or an HTTP date, see [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
pub(super) fn retry_after(value: &str, now: jiff::Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
