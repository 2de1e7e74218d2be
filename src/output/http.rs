//! The one HTTP client: TLS, credentials, time-outs, bounded answers.

use std::time::Duration;

use bytes::Bytes;

use super::Reason;

/// A request, complete but for credentials.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: reqwest::Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// An answer, its body cut at a bound.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was sent.
    NotSent { answer: String },
    /// Something was sent; what became of it is unknown.
    Lost { reason: Reason, answer: String },
    /// A file that the configuration names cannot be used.
    Setup { answer: String, hint: String },
}
