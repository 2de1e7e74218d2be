//! Answers one request. The statuses, and what the API server makes of each (client-go's `rest/with_retry.go` and
//! apiserver's `plugin/pkg/audit/webhook`):
//!
//! | status | when | the API server |
//! |---|---|---|
//! | 200 | the body is durable, or was within the last ten minutes | is done with the batch |
//! | 400 | it is no list of events; what is readable is stored | tries four times more, then drops it |
//! | 401 | credentials are missing or wrong | the same |
//! | 405, 415 | not `POST`, or compressed: a mistake in the configuration | the same |
//! | 413 | longer than the whole spool | the same |
//! | 503 with `Retry-After` | the spool is full, or the disk refuses | tries again after that time |
//!
//! No answer has a body or a `Content-Type`: the API server takes a 200 with a malformed one for an error.

use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::time::{Instant as TokioInstant, timeout_at};

use super::access::Gate;
use super::body::{BodyLines, ReadBody};
use super::credentials::NotAllowed;
use super::memory::BodyMemory;
use super::receiver::Receiver;
use super::sender::Sender;
use crate::own_log::{AppendOutcome, BodyFacts, NotAppended};
use crate::telemetry::{LogLimiter, Time};

/// Seconds after which a refused sender tries again. Within one attempt, of 30 s, client-go tries up to ten times.
const RETRY: HeaderValue = HeaderValue::from_static("2");
/// A sender that is silent for this long in the middle of a body is given up: the API server gives an attempt 30 s.
const SILENT: Duration = Duration::from_secs(30);
/// A body takes no longer than this.
const LONGEST: Duration = Duration::from_mins(2);
/// How long the rest of a refused body is read, so that the sender reads the answer before the connection ends.
const REST: Duration = Duration::from_secs(5);
/// Time between two log lines about one kind of refusal.
const AGAIN: Duration = Duration::from_mins(10);

/// An answer without a body.
pub(super) type EmptyResponse = Response<Empty<Bytes>>;

/// Answers the requests to one receiver.
pub(super) struct Answers {
    receiver: Receiver,
    memory: Arc<BodyMemory>,
    /// What was logged; `None` is a handshake that failed.
    said: Mutex<LogLimiter<Option<Discriminant<RequestRefusal>>>>,
}

/// Why a request is not answered 200.
#[derive(Debug, thiserror::Error)]
enum RequestRefusal {
    /// With the value of `WWW-Authenticate`.
    #[error(
        "a request without credentials: write them into the user of the API server's kubeconfig"
    )]
    NoCredentials(HeaderValue),
    /// The same.
    #[error(
        "a request with wrong credentials: the kubeconfig of the API server and the configuration here differ"
    )]
    WrongCredentials(HeaderValue),
    #[error("a request that is no POST: the API server sends none")]
    Method,
    #[error(
        "a compressed body: the API server never compresses; take the proxy between that does it away"
    )]
    Compressed,
    /// Longer than `spool.max_bytes`.
    #[error(
        "a body of {0} bytes does not fit into the spool: raise `spool.max_bytes`, or set --audit-webhook-truncate-enabled for the API server"
    )]
    TooLong(u64),
    #[error("events are refused and sent again later: {0}")]
    NotAppended(NotAppended),
    #[error("a body is no list of events from byte {at} on: {why}; what stands before is stored")]
    Unreadable { at: u64, why: &'static str },
    /// The sender left, or was silent for too long.
    #[error("the sender left in the middle of a body, of which nothing is stored")]
    Gone,
}

impl Answers {
    pub(super) fn new(receiver: Receiver, memory: Arc<BodyMemory>) -> Self {
        Self { receiver, memory, said: Mutex::new(LogLimiter::every(AGAIN)) }
    }

    /// Shows the state of the spool. Call it about once a second.
    pub(super) fn show_space(&self) {
        self.receiver.show_space();
    }

    /// Answers one request. `gate` is who may send now.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        gate: &Gate,
        from: &Sender,
    ) -> EmptyResponse {
        let (head, mut body) = request.into_parts();
        let answered = match gate.credentials.check(&head.headers) {
            Ok(user) => {
                let from = from.or_user(user);
                self.take(&head.method, &head.headers, &mut body, &from).await
            }
            Err(why) => {
                let challenge = gate.credentials.challenge();
                Err(match why {
                    NotAllowed::Missing => RequestRefusal::NoCredentials(challenge),
                    NotAllowed::Wrong => RequestRefusal::WrongCredentials(challenge),
                })
            }
        };
        let answer = match &answered {
            Ok(()) => Response::new(Empty::new()),
            Err(refusal) => self.refuse(refusal, from),
        };
        self.receiver.stats.answered(answer.status().as_u16());
        if answered.is_err() {
            tokio::spawn(pass_rest(body));
        }
        answer
    }

    async fn take(
        &self,
        method: &Method,
        headers: &HeaderMap,
        body: &mut Incoming,
        from: &Sender,
    ) -> Result<(), RequestRefusal> {
        if method != Method::POST {
            return Err(RequestRefusal::Method);
        }
        let coded = headers.get(CONTENT_ENCODING);
        if coded.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(RequestRefusal::Compressed);
        }
        let length =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length: u64 = length.unwrap_or_default();
        let spool = &self.receiver.spool;
        if length > spool.space().max_bytes() {
            return Err(RequestRefusal::TooLong(length));
        }
        let full = |why| RequestRefusal::NotAppended(NotAppended::Full(why));
        spool.space().room(length).map_err(full)?;
        let received = Time::now().nanos();
        let read = self.read(body).await?;
        let ReadBody { body, digest, events, is_empty, bytes, unreadable, share } = read;
        if !is_empty {
            let sender = from.name();
            let facts = BodyFacts { digest, events, bytes, sender, received };
            let stored = spool.append(body, facts).await.map_err(RequestRefusal::NotAppended)?;
            self.receiver.stats.stored(events, stored == AppendOutcome::Repeated);
        }
        drop(share);
        match unreadable {
            None => Ok(()),
            Some(body) => Err(RequestRefusal::Unreadable { at: body.at, why: body.why }),
        }
    }

    async fn read(&self, body: &mut Incoming) -> Result<ReadBody, RequestRefusal> {
        let spool = &self.receiver.spool;
        let mut lines = BodyLines::new(&self.memory, &self.receiver.key);
        let end = TokioInstant::now() + LONGEST;
        loop {
            let deadline = end.min(TokioInstant::now() + SILENT);
            match timeout_at(deadline, body.frame()).await {
                Ok(None) => return lines.finish(spool).map_err(RequestRefusal::NotAppended),
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        lines.push(data, spool).map_err(RequestRefusal::NotAppended)?;
                    }
                }
                Ok(Some(Err(_))) | Err(_) => return Err(RequestRefusal::Gone),
            }
        }
    }

    fn refuse(&self, refusal: &RequestRefusal, from: &Sender) -> EmptyResponse {
        let mut answer = Response::new(Empty::new());
        *answer.status_mut() = refusal.status();
        match refusal {
            RequestRefusal::NoCredentials(challenge)
            | RequestRefusal::WrongCredentials(challenge) => {
                answer.headers_mut().insert(WWW_AUTHENTICATE, challenge.clone());
            }
            RequestRefusal::Method => {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            RequestRefusal::NotAppended(_) => {
                answer.headers_mut().insert(RETRY_AFTER, RETRY);
            }
            _ => {}
        }
        self.log(refusal, from);
        answer
    }

    fn log(&self, refusal: &RequestRefusal, from: &Sender) {
        let status = Some(refusal.status().as_u16());
        self.say(Some(discriminant(refusal)), from, status, refusal);
    }

    /// Says that a connection came to nothing.
    pub(super) fn no_tls(&self, from: &Sender, why: &str) {
        self.say(None, from, None, format_args!("no TLS connection: {why}"));
    }

    /// Logs something of this kind, but not more often than [`AGAIN`] allows.
    fn say(
        &self,
        kind: Option<Discriminant<RequestRefusal>>,
        from: &Sender,
        status: Option<u16>,
        what: impl fmt::Display,
    ) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unsaid) = said.now(kind, Instant::now()) else { return };
        drop(said);
        let input = &*self.receiver.input;
        let repeated = (unsaid > 0).then_some(unsaid);
        tracing::warn!(input, %from, status, repeated, "webhook: {what}");
    }
}

impl RequestRefusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoCredentials(_) | Self::WrongCredentials(_) => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Compressed => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotAppended(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreadable { .. } => StatusCode::BAD_REQUEST,
            Self::Gone => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Reads what is left of a body, and drops it.
async fn pass_rest(mut body: Incoming) {
    let end = TokioInstant::now() + REST;
    while let Ok(Some(Ok(_))) = timeout_at(end, body.frame()).await {}
}
