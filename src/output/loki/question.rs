//! One question to Loki's `query_range`, and why there may be no answer to it.

use std::ops::Range;

use ::http::Method;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Loki, verdict};
use crate::event::Nanos;
use crate::output::http::{Failure, Request, Response, excerpt};
use crate::output::{LookUp, Reason, Verdict, stranger, unanswered};

/// Bytes of an answer that are held.
pub(super) const HELD: usize = 8 << 20;

/// Where something was sent to.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Scope {
    pub(super) tenant: String,
    pub(super) selector: String,
}

impl Scope {
    /// What [`Scope::to_text`] made; or else why it cannot be asked.
    pub(super) fn of_text(text: &str) -> Result<Self, String> {
        let unknown =
            |_| format!("the checkpoint names an unknown scope: {}", excerpt(text.as_bytes()));
        serde_json::from_str(text).map_err(unknown)
    }

    pub(super) fn to_text(&self) -> String {
        // A struct of two strings is always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The entries of a stretch of time, at most `limit`.
pub(super) struct Question {
    pub(super) range: Range<Nanos>,
    pub(super) limit: usize,
    pub(super) newest_first: bool,
}

/// Why an answer could not be had.
pub(super) enum Trouble {
    Unavailable(String),
    Later(LookUp),
    /// It was larger than is held, or than Loki gives: ask for less.
    TooLarge,
    /// The stretch of time is longer than Loki's `max_query_length`.
    TooLong(String),
}

/// The body of the answer.
pub(super) async fn ask(loki: &Loki, scope: &Scope, question: &Question) -> Result<Bytes, Trouble> {
    let mut response = request(loki, scope, question).await?;
    if !matches!(response.status, 200 | 408 | 429 | 500..) && !says_why(&response) {
        // No right to read, or no Loki at all at the moment? Then a push of nothing is not answered as Loki does either.
        match loki.push(super::nothing()).await {
            // Loki may have come back between the two: asked again, it is certain.
            Ok(push) if verdict::takes_nothing(&push) => {
                response = request(loki, scope, question).await?;
            }
            _ => return Err(stranger(&response)),
        }
    }
    read(response, question.limit)
}

/// Whether a refusal is one of those that a smaller question answers.
fn says_why(response: &Response) -> bool {
    let says = |what: &str| memchr::memmem::find(&response.body, what.as_bytes()).is_some();
    response.status == 400
        && (says("max entries limit") || says("time range exceeds the limit"))
        && !stranger::is_page(response)
}

/// An answer that says nothing of what is stored.
pub(super) fn stranger(response: &Response) -> Trouble {
    let hint = stranger::way_out(response, "Loki", "/loki/api/v1/query_range");
    later(Reason::BadAnswer, format!("{}: {hint}", stranger::shown(response)))
}

fn read(response: Response, limit: usize) -> Result<Bytes, Trouble> {
    let answer = stranger::shown(&response);
    let says = |what: &str| memchr::memmem::find(&response.body, what.as_bytes()).is_some();
    match response.status {
        200 if stranger::is_page(&response) => Err(stranger(&response)),
        200 if response.body.len() >= HELD => Err(Trouble::TooLarge),
        200 => Ok(response.body),
        429 => Err(Trouble::Later(LookUp::Retry {
            after: response.retry_after,
            reason: Reason::Throttled,
            answer,
        })),
        400 if limit > 1 && says("max entries limit") => Err(Trouble::TooLarge),
        400 if says("time range exceeds the limit") => Err(Trouble::TooLong(answer)),
        500 if limit > 1 && says("larger than max") => Err(Trouble::TooLarge),
        408 | 500..=599 => Err(later(Reason::ServerError, answer)),
        _ => Err(Trouble::Unavailable(answer)),
    }
}

/// One request.
async fn request(loki: &Loki, scope: &Scope, question: &Question) -> Result<Response, Trouble> {
    let Question { range, limit, newest_first } = question;
    let query = [
        ("query", scope.selector.clone()),
        ("start", range.start.to_string()),
        ("end", range.end.to_string()),
        ("limit", limit.to_string()),
        ("direction", if *newest_first { "backward" } else { "forward" }.to_owned()),
    ];
    let url = Url::parse_with_params(&format!("{}/loki/api/v1/query_range", loki.base), query);
    let url = url.map_err(|error| Trouble::Unavailable(error.to_string()))?.to_string();
    // The cache of the query front end remembers for how long there was nothing.
    let mut headers = vec![("cache-control", "no-cache".to_owned())];
    Loki::add_tenant(&mut headers, &scope.tenant);
    let request = Request { method: Method::GET, url, headers, body: Bytes::new() };
    loki.client.send_keeping(request, HELD).await.map_err(|failure| match failure {
        Failure::Setup { answer, .. } | Failure::NotSent { answer } => {
            later(Reason::Connect, answer)
        }
        lost @ Failure::Lost { .. } => match unanswered(lost) {
            Verdict::Doubt { reason, answer } => later(reason, answer),
            other => later(Reason::ConnectionLost, format!("{other:?}")),
        },
    })
}

/// An answer with 200 that is no answer of Loki's: whether anything is stored is as unknown as before.
pub(super) fn not_understood(error: &serde_json::Error, body: &[u8]) -> Trouble {
    let answer = format!("200 {}: this is no answer of Loki: {error}", excerpt(body));
    later(Reason::BadAnswer, answer)
}

fn later(reason: Reason, answer: String) -> Trouble {
    Trouble::Later(LookUp::Retry { after: None, reason, answer })
}
