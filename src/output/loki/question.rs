//! One `query_range` request to Loki, and the reasons why there may be no usable answer.

use std::ops::Range;

use ::http::Method;
use bytes::Bytes;
use url::Url;

use super::scope::Scope;
use super::{Loki, verdict};
use crate::event::{Nanos, RetryReason};
use crate::output::http::{Failure, Request, Response, excerpt};
use crate::output::verdict::unanswered;
use crate::output::{QueryError, Verdict, stranger};

/// Most bytes of an answer that are read.
pub(super) const HELD: usize = 8 << 20;
/// Most bytes of an answer to a look-up.
pub(in crate::output) const LOOK_UP: u64 = HELD as u64;

/// A query for the entries of a time range, at most `limit`.
pub(super) struct Question {
    pub(super) range: Range<Nanos>,
    pub(super) limit: usize,
}

/// Why there is no usable answer.
pub(super) enum Trouble {
    Unavailable(String),
    Later(QueryError),
    /// The answer was larger than is read, or than Loki returns: ask for less.
    TooLarge,
    /// The time range is longer than Loki's `max_query_length`.
    TooLong(String),
}

/// Asks Loki and returns the body of its answer.
pub(super) async fn ask(loki: &Loki, scope: &Scope, question: &Question) -> Result<Bytes, Trouble> {
    let mut response = request(loki, scope, question).await?;
    if !matches!(response.status, 200 | 408 | 429 | 500..) && !says_why(&response) {
        // Either there is no permission to query, or Loki is not reachable at all at the moment. In the second case a
        // push without streams is not answered as Loki would either.
        match loki.push(super::nothing()).await {
            // Loki may have come back between the two requests: the second answer is certain.
            Ok(push) if verdict::takes_nothing(&push) => {
                response = request(loki, scope, question).await?;
            }
            _ => return Err(stranger(&response)),
        }
    }
    read(response, question.limit)
}

/// Whether Loki refused the query because it asks for too much.
fn says_why(response: &Response) -> bool {
    let says = |what: &str| memchr::memmem::find(&response.body, what.as_bytes()).is_some();
    response.status == 400
        && (says("max entries limit") || says("time range exceeds the limit"))
        && !stranger::is_page(response)
}

/// An answer that does not come from Loki, so it says nothing about what is stored: retry.
pub(super) fn stranger(response: &Response) -> Trouble {
    let hint = stranger::way_out(response, "Loki", "/loki/api/v1/query_range");
    later(RetryReason::BadAnswer, format!("{}: {hint}", stranger::shown(response)))
}

fn read(response: Response, limit: usize) -> Result<Bytes, Trouble> {
    let answer = stranger::shown(&response);
    let says = |what: &str| memchr::memmem::find(&response.body, what.as_bytes()).is_some();
    match response.status {
        200 if stranger::is_page(&response) => Err(stranger(&response)),
        200 if response.body.len() >= HELD => Err(Trouble::TooLarge),
        200 => Ok(response.body),
        429 => Err(Trouble::Later(QueryError::Retry {
            after: response.retry_after,
            reason: RetryReason::Throttled,
            answer,
        })),
        400 if limit > 1 && says("max entries limit") => Err(Trouble::TooLarge),
        400 if says("time range exceeds the limit") => Err(Trouble::TooLong(answer)),
        500 if limit > 1 && says("larger than max") => Err(Trouble::TooLarge),
        408 | 500..=599 => Err(later(RetryReason::ServerError, answer)),
        _ => Err(Trouble::Unavailable(answer)),
    }
}

/// Sends one request.
async fn request(loki: &Loki, scope: &Scope, question: &Question) -> Result<Response, Trouble> {
    let Question { range, limit } = question;
    let query = [
        ("query", scope.selector.clone()),
        ("start", range.start.to_string()),
        ("end", range.end.to_string()),
        ("limit", limit.to_string()),
        ("direction", "forward".to_owned()),
    ];
    let url = Url::parse_with_params(&format!("{}/loki/api/v1/query_range", loki.base), query);
    let url = url.map_err(|error| Trouble::Unavailable(error.to_string()))?.to_string();
    // The cache of the query frontend remembers for a while that a range was empty.
    let mut headers = vec![("cache-control", "no-cache".to_owned())];
    Loki::add_tenant(&mut headers, &scope.tenant);
    let request = Request { method: Method::GET, url, headers, body: Bytes::new() };
    loki.client.send_keeping(request, HELD).await.map_err(|failure| match failure {
        Failure::Setup { answer, .. } | Failure::NotSent { answer } => {
            later(RetryReason::Connect, answer)
        }
        lost @ Failure::Lost { .. } => match unanswered(lost) {
            Verdict::Doubt { reason, answer } => later(reason, answer),
            other => later(RetryReason::ConnectionLost, format!("{other:?}")),
        },
    })
}

/// A 200 that does not parse as Loki's answer: whether anything is stored is as unknown as before.
pub(super) fn not_understood(error: &serde_json::Error, body: &[u8]) -> Trouble {
    let answer = format!("200 {}: this is no answer of Loki: {error}", excerpt(body));
    later(RetryReason::BadAnswer, answer)
}

fn later(reason: RetryReason, answer: String) -> Trouble {
    Trouble::Later(QueryError::Retry { after: None, reason, answer })
}
