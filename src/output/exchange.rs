//! A request and its answer, or why there is none; and what may be shown of them.
//!
//! No error and no `Debug` output contains a secret. Texts from a server are shortened by [`excerpt`], since they may
//! contain log lines.

use std::fmt;
use std::time::Duration;

use ::http::Method;
use bytes::Bytes;
use url::Url;

use super::finding::Finding;
use super::secrets;
use crate::event::RetryReason;
use crate::tls::UnusableFile;

/// Most bytes of an answer that are shown to people.
const SHOWN: usize = 512;
/// A longer part of a URL path is not shown, in bytes.
const LONGEST_WORD: usize = 64;

/// A request without the credentials, which the client adds.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method, shown_url(&self.url), self.body.len())
    }
}

/// An answer; its body is cut at the caller's bound.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The value of the header; empty if there is none.
    pub(crate) content_type: String,
    /// Where a redirect points.
    pub(crate) location: Option<String>,
    /// `X-elastic-product`: Elasticsearch sends it, and no proxy has a reason to.
    pub(crate) product: Option<String>,
    pub(crate) body: Bytes,
}

impl Response {
    /// Whether the `Content-Type` header allows this media type; without the header any type is possible.
    pub(crate) fn may_be(&self, kind: &str) -> bool {
        let named = self.content_type.split(';').next().unwrap_or_default().trim();
        named.is_empty() || named.eq_ignore_ascii_case(kind)
    }
}

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server received nothing, or nothing that it would process.
    NotSent { answer: String },
    /// Something was sent; nobody knows whether the server processed it.
    Lost { reason: RetryReason, answer: String },
    /// A file that the configuration names cannot be used.
    Setup { answer: String, hint: String },
}

impl Failure {
    /// The finding of a `check` that got no answer. `running` says what should run there, as in "Loki runs".
    pub(crate) fn finding(self, running: &str) -> Finding {
        match self {
            Self::NotSent { answer } | Self::Lost { answer, .. } => Finding::fail(
                format!("cannot be reached: {answer}"),
                format!("check `endpoint`, `tls` and that {running}; the agent waits for it"),
            ),
            Self::Setup { answer, hint } => Finding::fail(answer, hint),
        }
    }
}

impl From<UnusableFile> for Failure {
    fn from(UnusableFile { what, hint }: UnusableFile) -> Self {
        Self::Setup { answer: what, hint }
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

/// A URL without user, password and query, for people. A part of its path that may be a token becomes `***`: some
/// services authenticate the sender by the path alone.
pub(crate) fn shown_url(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(not a URL)".to_owned() };
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

/// Whether a part of a path is a name that a person chose, such as `v1` or the name of a data stream.
fn is_word(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    part.len() <= LONGEST_WORD && digits <= 4 && part.bytes().all(fits)
}

/// The beginning of an answer's body on one line, for people.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // Read a little more than is shown, so that the cut never shows half a character.
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN + 4)]);
    let end = text.floor_char_boundary(SHOWN);
    let shown = secrets::one_line(&text[..end]);
    let shown = shown.trim();
    if body.len() > SHOWN { format!("{shown}…") } else { shown.to_owned() }
}
