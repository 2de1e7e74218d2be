//! The one HTTP client: TLS, credentials, time-outs, bounded answers.
//!
//! A request goes out once: nothing is retried and no redirect is followed here. What matters to the callers is how
//! sure one can be that nothing was processed, and [`Failure`] says it. Proxies named in the environment are not used.
//!
//! Secrets are in no error and no `Debug`. What a server said is shown through [`excerpt`], since it may echo a log, and
//! leaves the room through `door.rs`, since it may echo our [`Secrets`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use tracing::warn;

use super::credentials::{Material, Watched};
use super::meter::Meter;
use super::secrets::{self, Secrets};
use super::{Reason, no_answer};
use crate::config;
use crate::disk::{Step, at};

/// Most bytes kept of an answer where the caller does not say.
const ANSWER: usize = 64 * 1024;
/// Most bytes of an answer that are shown to people.
const SHOWN: usize = 512;
/// A part of a path that is longer is not shown, in bytes.
const LONGEST_WORD: usize = 64;
/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// In place of a body that must not be there.
const BODY_OF_204: &[u8] = b"(a body, which this status does not have)";
const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");
/// Shortest time between two looks at the files.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A request, complete but for credentials.
pub(crate) struct Request {
    pub(crate) method: reqwest::Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method, shown_url(&self.url), self.body.len())
    }
}

/// An answer, its body cut at a bound.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// As the header has it; empty where there is none.
    pub(crate) content_type: String,
    /// Where a redirect points.
    pub(crate) location: Option<String>,
    /// `X-elastic-product`, which Elasticsearch sends and no proxy has a reason to.
    pub(crate) product: Option<String>,
    pub(crate) body: Bytes,
}

impl Response {
    /// Whether the header allows for this media type; an absent header allows for any.
    pub(crate) fn may_be(&self, kind: &str) -> bool {
        let named = self.content_type.split(';').next().unwrap_or_default().trim();
        named.is_empty() || named.eq_ignore_ascii_case(kind)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was sent, or nothing that the server would look at.
    NotSent { answer: String },
    /// Something was sent; what became of it is unknown.
    Lost { reason: Reason, answer: String },
    /// A file that the configuration names cannot be used.
    Setup { answer: String, hint: String },
}

/// Sends requests as one output is configured to.
pub(crate) struct Client {
    config: config::Http,
    // The std lock: held for a look at a few files once a second, never across an await.
    state: Mutex<State>,
    meter: Meter,
}

struct State {
    ready: Ready,
    /// What is sent, and was before a file changed.
    secrets: Secrets,
    watched: Watched,
    looked: Instant,
}

/// Everything a request needs, cheap to clone.
#[derive(Clone)]
struct Ready {
    client: reqwest::Client,
    headers: Arc<reqwest::header::HeaderMap>,
    rootless: bool,
}

impl Client {
    /// Reads every file that the configuration names; the error is always [`Failure::Setup`].
    pub(crate) fn new(config: &config::Http) -> Result<Self, Failure> {
        // The look comes before the reading, so that a change between the two is noticed later.
        let watched = Watched::new(config);
        let (ready, secrets) = build(config)?;
        let state = Mutex::new(State { ready, secrets, watched, looked: Instant::now() });
        Ok(Self { config: config.clone(), state, meter: Meter::default() })
    }

    /// The same, with more that must not be shown: what is sent in URLs.
    pub(super) fn hiding(self, more: &[String]) -> Self {
        self.held().secrets.fix(more.iter().map(String::as_str));
        self
    }

    /// What must not be shown of an answer.
    pub(super) fn secrets(&self) -> Secrets {
        self.held().secrets.clone()
    }

    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_meter(&mut self, meter: Meter) {
        self.meter = meter;
    }

    /// One request and its answer, whatever the status; at most 64 KiB of the body are kept.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Failure> {
        self.send_keeping(request, ANSWER).await
    }

    /// The same with another bound, in bytes. A body of just that length may have been cut.
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
        let mut outgoing =
            ready.client.request(request.method, &request.url).headers((*ready.headers).clone());
        for (name, value) in request.headers {
            outgoing = outgoing.header(name, value);
        }
        let failed = |error: reqwest::Error| no_answer::failure(error, &target);
        at(Step::Send);
        let mut response = outgoing.body(request.body).send().await.map_err(failed)?;
        at(Step::Answer);
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
            // The client passes over it; a store that has stored everything sends none.
            body.extend_from_slice(BODY_OF_204);
        }
        while body.len() < bound {
            match response.chunk().await.map_err(failed)? {
                Some(chunk) => {
                    body.extend_from_slice(&chunk[..chunk.len().min(bound - body.len())]);
                }
                None => break,
            }
        }
        Ok(Response { status, retry_after, content_type, location, product, body: body.freeze() })
    }

    /// The present client, built anew when a file has changed. A file that cannot be used leaves the old one at work.
    fn ready(&self) -> Ready {
        let mut state = self.held();
        if state.looked.elapsed() >= LOOK_AGAIN {
            state.looked = Instant::now();
            // Said once a change, since the look is remembered even where the file is no good.
            if state.watched.changed() {
                match build(&self.config) {
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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { answer } | Self::Lost { answer, .. } => f.write_str(answer),
            Self::Setup { answer, hint } => write!(f, "{answer}: {hint}"),
        }
    }
}

fn build(config: &config::Http) -> Result<(Ready, Secrets), Failure> {
    let Material { headers, sent, tls, rootless } = Material::read(config)?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!("auditrail/", env!("CARGO_PKG_VERSION")))
        .timeout(config.timeout)
        // Shorter than the whole, so that a time-out while connecting is known to be one.
        .connect_timeout(config.timeout / 2);
    if let Some(proxy) = &config.proxy {
        // The URL is in neither message: it may carry a password.
        builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(|_| Failure::Setup {
            answer: "`proxy` is not a URL".to_owned(),
            hint: "write it like http://proxy.example.org:3128".to_owned(),
        })?);
    }
    let client = builder.build().map_err(|error| Failure::Setup {
        answer: format!("no HTTP client: {}", no_answer::chain(&error.without_url())),
        hint: "check `tls` and `proxy`".to_owned(),
    })?;
    let secrets = Secrets::new(sent.iter().map(String::as_str));
    Ok((Ready { client, headers: Arc::new(headers), rootless }, secrets))
}

/// Seconds or an HTTP date, as [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3) has it.
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

/// A URL without user, password and query, for people. A part of its path that may be a token is `***`: some services
/// know who sends by the path alone.
pub(crate) fn shown_url(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else { return "(not a URL)".to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    let parts = url.path().split('/').map(|part| if is_word(part) { part } else { "***" });
    let path = parts.collect::<Vec<_>>().join("/");
    url.set_path(&path);
    if url.set_username("").and_then(|()| url.set_password(None)).is_err() {
        return format!("{}:", url.scheme());
    }
    url.to_string()
}

/// Whether a part of a path is a name that somebody chose, such as `v1` or that of a data stream.
fn is_word(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    part.len() <= LONGEST_WORD && digits <= 4 && part.bytes().all(fits)
}

/// The beginning of an answer's body on one line, for people.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // A little more than is shown, so that a character cut in two is not seen.
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN + 4)]);
    let end = text.floor_char_boundary(SHOWN);
    let shown = secrets::one_line(&text[..end]);
    let shown = shown.trim();
    if body.len() > SHOWN { format!("{shown}…") } else { shown.to_owned() }
}

#[cfg(test)]
mod tests;
