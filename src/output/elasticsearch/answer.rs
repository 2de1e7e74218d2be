//! Parses answers to searches, and decides what an unusable answer means: retry, unavailable, or nothing stored.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Elasticsearch;
use super::verdict::{CREDENTIALS, error_of, said};
use crate::event::RetryReason;
use crate::output::http::{Failure, Response, excerpt};
use crate::output::{QueryError, stranger};

/// Most bytes of an answer that are read.
pub(super) const ANSWER: usize = 2 * 1024 * 1024;

#[derive(Deserialize)]
pub(super) struct Shards {
    pub(super) failed: u64,
}

/// The answer to a search. `S` is the type for the parsed part of a document. What was not requested is absent.
#[derive(Deserialize)]
pub(super) struct Searched<S> {
    #[serde(default, rename = "_scroll_id")]
    pub(super) scroll: Option<String>,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    pub(super) hits: Hits<S>,
}

#[derive(Deserialize)]
pub(super) struct Hits<S> {
    total: Option<Total>,
    #[serde(default = "Vec::new")]
    pub(super) hits: Vec<Hit<S>>,
}

#[derive(Deserialize)]
struct Total {
    value: usize,
}

impl<S> Hits<S> {
    /// The number of documents that match, of an answer that has to tell it.
    pub(super) fn total(&self) -> Result<usize, QueryError> {
        let no_total =
            || retry(None, RetryReason::BadAnswer, "an answer without a total".to_owned());
        self.total.as_ref().map(|total| total.value).ok_or_else(no_total)
    }
}

#[derive(Deserialize)]
pub(super) struct Hit<S> {
    #[serde(rename = "_index")]
    pub(super) index: Option<String>,
    #[serde(rename = "_id")]
    pub(super) id: String,
    #[serde(default = "none", rename = "_source")]
    pub(super) source: Option<S>,
    #[serde(default)]
    pub(super) sort: Vec<Value>,
}

fn none<S>() -> Option<S> {
    None
}

/// A request to the store that can be repeated.
pub(super) struct Question<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// `None`: sent by `GET`.
    pub(super) body: Option<Bytes>,
    /// Most bytes that are read of the answer to a `POST`.
    pub(super) bound: usize,
}

impl Question<'_> {
    async fn ask(&self, store: &Elasticsearch) -> Result<Response, Failure> {
        match &self.body {
            None => store.get(self.path, self.query).await,
            Some(body) => store.ask(self.path, self.query, body.clone(), self.bound).await,
        }
    }
}

/// Searches documents of `scope`, in all shards or in none; `None` if there is no index, so nothing is stored.
pub(super) async fn search(
    store: &Elasticsearch,
    scope: &str,
    query: Bytes,
) -> Result<Option<Bytes>, QueryError> {
    let parameters = [
        ("allow_partial_search_results", "false"),
        (
            "filter_path",
            "timed_out,_shards.failed,hits.total.value,hits.hits._id,hits.hits._source",
        ),
    ];
    let path = &format!("{scope}/_search");
    let question = Question { path, query: &parameters, body: Some(query), bound: ANSWER };
    usable(store, &question).await
}

/// The answer to a search, if it covers everything that is stored.
pub(super) fn searched<'a, S: Deserialize<'a>>(body: &'a [u8]) -> Result<Searched<S>, QueryError> {
    let searched: Searched<S> = read(body)?;
    complete(!searched.timed_out && searched.shards.failed == 0, body)?;
    Ok(searched)
}

pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, QueryError> {
    // A server other than Elasticsearch cannot be queried, but its answer looks like a temporary fault: retry. The
    // UTF-8 of the whole body is checked, since the JSON parser does not check the text of fields that it skips.
    let whole = std::str::from_utf8(body).ok();
    let read = whole.and_then(|text| serde_json::from_str(text).ok());
    read.ok_or_else(|| retry(None, RetryReason::BadAnswer, excerpt(body)))
}

/// Fails with a retry if the answer does not cover everything that is stored.
pub(super) fn complete(complete: bool, body: &[u8]) -> Result<(), QueryError> {
    if complete { Ok(()) } else { Err(retry(None, RetryReason::ServerError, excerpt(body))) }
}

pub(super) fn retry(after: Option<Duration>, reason: RetryReason, answer: String) -> QueryError {
    QueryError::Retry { after, reason, answer }
}

/// The body of a usable answer; `None` if there is no index, so nothing is stored.
///
/// Only the store itself can say that it does not allow the query. If something else rejects the query, the agent sends
/// the store a bulk request without documents. If the store answers that one, the other server is configured to let
/// only bulk requests pass, so the look-up is unavailable. If not, it is an outage: retry.
pub(super) async fn usable(
    store: &Elasticsearch,
    question: &Question<'_>,
) -> Result<Option<Bytes>, QueryError> {
    let (answer, hint) = match settled(question.ask(store).await) {
        Ok(found) => return Ok(found),
        Err(Unusable::Said(end)) => return Err(end),
        Err(Unusable::Stranger { answer, hint }) => (answer, hint),
    };
    if !is_there(store).await {
        return Err(retry(None, RetryReason::BadAnswer, format!("{answer}: {hint}")));
    }
    // The store may have come back between the two requests: the second answer is certain.
    match settled(question.ask(store).await) {
        Ok(found) => Ok(found),
        Err(Unusable::Said(end)) => Err(end),
        Err(Unusable::Stranger { answer, .. }) => Err(QueryError::Unavailable { answer }),
    }
}

/// Why an answer is not usable.
pub(super) enum Unusable {
    Said(QueryError),
    Stranger { answer: String, hint: String },
}

pub(super) fn settled(answer: Result<Response, Failure>) -> Result<Option<Bytes>, Unusable> {
    let said_so = |end| Err(Unusable::Said(end));
    let response = match answer {
        Ok(response) => response,
        Err(Failure::NotSent { answer }) => {
            return said_so(retry(None, RetryReason::Connect, answer));
        }
        Err(Failure::Lost { reason, answer }) => return said_so(retry(None, reason, answer)),
        Err(Failure::Setup { answer, hint }) => {
            return said_so(retry(None, RetryReason::Connect, format!("{answer}: {hint}")));
        }
    };
    let error = error_of(&response.body).filter(|error| !error.kind.is_empty());
    let answer = format!("{} {}", response.status, said(&response.body)).trim_end().to_owned();
    match (response.status, error) {
        (200, None) if response.body.trim_ascii().is_empty() && response.product.is_some() => {
            said_so(QueryError::Unavailable { answer: "an empty answer".to_owned() })
        }
        (200, _) if response.body.trim_ascii_start().starts_with(b"{") => Ok(Some(response.body)),
        (404, Some(error)) if error.kind == "index_not_found_exception" => Ok(None),
        (429, _) => said_so(retry(response.retry_after, RetryReason::Throttled, answer)),
        (408 | 500.., _) => said_so(retry(response.retry_after, RetryReason::ServerError, answer)),
        (_, Some(error)) if error.kind == "api_not_available_exception" => {
            let answer = format!("this store is serverless and has no such interface ({answer})");
            said_so(QueryError::Unavailable { answer })
        }
        (400.., Some(_)) => said_so(QueryError::Unavailable { answer }),
        (401, _) if !stranger::is_page(&response) => {
            Err(Unusable::Stranger { answer, hint: CREDENTIALS.to_owned() })
        }
        _ => Err(Unusable::Stranger {
            answer,
            hint: stranger::way_out(&response, "Elasticsearch", "/_search"),
        }),
    }
}

/// Whether a store answers bulk requests at the endpoint at the moment.
async fn is_there(store: &Elasticsearch) -> bool {
    #[derive(Deserialize)]
    struct Items {
        #[expect(dead_code, reason = "it has to be there")]
        items: Vec<IgnoredAny>,
    }
    let headers = vec![("content-type", "application/x-ndjson".to_owned())];
    match store.post("_bulk", &[], headers, Bytes::new(), ANSWER).await {
        Ok(Response { status: 200, body, .. }) => serde_json::from_slice::<Items>(&body).is_ok(),
        Ok(Response { status: 400..=499, body, .. }) => {
            error_of(&body).is_some_and(|error| !error.kind.is_empty())
        }
        _ => false,
    }
}
