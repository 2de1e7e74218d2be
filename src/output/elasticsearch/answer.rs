//! What a search answers, as far as it is looked at, and what an answer that cannot be read on means.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Elasticsearch;
use super::verdict::{CREDENTIALS, error_of, said};
use crate::output::http::{Failure, Response, excerpt};
use crate::output::{LookUp, Reason, stranger};

/// Bytes of an answer that are held.
pub(super) const ANSWER: usize = 2 * 1024 * 1024;

#[derive(Deserialize)]
pub(super) struct Shards {
    pub(super) failed: u64,
}

/// `S` is what is looked at of a document.
#[derive(Deserialize)]
pub(super) struct Searched<S> {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    pub(super) hits: Hits<S>,
}

#[derive(Deserialize)]
pub(super) struct Hits<S> {
    pub(super) total: Total,
    #[serde(default = "Vec::new")]
    pub(super) hits: Vec<Hit<S>>,
}

#[derive(Deserialize)]
pub(super) struct Total {
    pub(super) value: usize,
}

#[derive(Deserialize)]
pub(super) struct Hit<S> {
    #[serde(rename = "_id")]
    pub(super) id: String,
    /// Absent where it was not asked for.
    #[serde(default = "none", rename = "_source")]
    pub(super) source: Option<S>,
}

fn none<S>() -> Option<S> {
    None
}

/// What is asked of a store, so that it can be asked again.
pub(super) struct Question<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// `None`: by `GET`.
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

/// Asks for documents of `scope`, of all shards or of none; `None` where there is no index, so nothing stored.
pub(super) async fn search(
    store: &Elasticsearch,
    scope: &str,
    query: Bytes,
) -> Result<Option<Bytes>, LookUp> {
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

/// The answer to a search, if it speaks for all there is.
pub(super) fn searched<'a, S: Deserialize<'a>>(body: &'a [u8]) -> Result<Searched<S>, LookUp> {
    let searched: Searched<S> = read(body)?;
    complete(!searched.timed_out && searched.shards.failed == 0, body)?;
    Ok(searched)
}

pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, LookUp> {
    // Something that is no Elasticsearch cannot be asked, but neither can it be told from a passing fault.
    // As a whole: the parser does not look at the text of fields that it passes over.
    let whole = std::str::from_utf8(body).ok();
    let read = whole.and_then(|text| serde_json::from_str(text).ok());
    read.ok_or_else(|| retry(None, Reason::BadAnswer, excerpt(body)))
}

/// Whether the answer speaks for all there is.
pub(super) fn complete(complete: bool, body: &[u8]) -> Result<(), LookUp> {
    if complete { Ok(()) } else { Err(retry(None, Reason::ServerError, excerpt(body))) }
}

fn retry(after: Option<Duration>, reason: Reason, answer: String) -> LookUp {
    LookUp::Retry { after, reason, answer }
}

/// The body of an answer that can be read on; `None` where there is no index, so nothing stored.
///
/// Only the store itself can say that it may not be asked. Where somebody else turns the question away, the store is
/// asked for an answer to a bulk request without documents: what lets only bulk requests pass is a configuration, what
/// lets nothing pass is an outage.
pub(super) async fn usable(
    store: &Elasticsearch,
    question: &Question<'_>,
) -> Result<Option<Bytes>, LookUp> {
    let (answer, hint) = match settled(question.ask(store).await) {
        Ok(found) => return Ok(found),
        Err(Unusable::Said(end)) => return Err(end),
        Err(Unusable::Stranger { answer, hint }) => (answer, hint),
    };
    if !is_there(store).await {
        return Err(retry(None, Reason::BadAnswer, format!("{answer}: {hint}")));
    }
    // The store may have come back between the two: asked again, it is certain.
    match settled(question.ask(store).await) {
        Ok(found) => Ok(found),
        Err(Unusable::Said(end)) => Err(end),
        Err(Unusable::Stranger { answer, .. }) => Err(LookUp::Unavailable { answer }),
    }
}

/// Why an answer cannot be read on.
pub(super) enum Unusable {
    Said(LookUp),
    Stranger { answer: String, hint: String },
}

pub(super) fn settled(answer: Result<Response, Failure>) -> Result<Option<Bytes>, Unusable> {
    let said_so = |end| Err(Unusable::Said(end));
    let response = match answer {
        Ok(response) => response,
        Err(Failure::NotSent { answer }) => return said_so(retry(None, Reason::Connect, answer)),
        Err(Failure::Lost { reason, answer }) => return said_so(retry(None, reason, answer)),
        Err(Failure::Setup { answer, hint }) => {
            return said_so(retry(None, Reason::Connect, format!("{answer}: {hint}")));
        }
    };
    let error = error_of(&response.body).filter(|error| !error.kind.is_empty());
    let answer = format!("{} {}", response.status, said(&response.body)).trim_end().to_owned();
    match (response.status, error) {
        (200, None) if response.body.trim_ascii().is_empty() && response.product.is_some() => {
            said_so(LookUp::Unavailable { answer: "an empty answer".to_owned() })
        }
        (200, _) if response.body.trim_ascii_start().starts_with(b"{") => Ok(Some(response.body)),
        (404, Some(error)) if error.kind == "index_not_found_exception" => Ok(None),
        (429, _) => said_so(retry(response.retry_after, Reason::Throttled, answer)),
        (408 | 500.., _) => said_so(retry(response.retry_after, Reason::ServerError, answer)),
        (_, Some(error)) if error.kind == "api_not_available_exception" => {
            let answer = format!("this store is serverless and has no such interface ({answer})");
            said_so(LookUp::Unavailable { answer })
        }
        (400.., Some(_)) => said_so(LookUp::Unavailable { answer }),
        (401, _) if !stranger::is_page(&response) => {
            Err(Unusable::Stranger { answer, hint: CREDENTIALS.to_owned() })
        }
        _ => Err(Unusable::Stranger {
            answer,
            hint: stranger::way_out(&response, "Elasticsearch", "/_search"),
        }),
    }
}

/// Does a store answer bulk requests there at the moment?
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
