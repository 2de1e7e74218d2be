//! What a search answers, as far as it is looked at, and what an answer that cannot be read on means.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::Elasticsearch;
use super::verdict::{error_of, said};
use crate::output::http::{Failure, Response, excerpt};
use crate::output::{LookUp, Reason};

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
    usable(store.ask(&format!("{scope}/_search"), &parameters, query, ANSWER).await)
}

/// The answer to a search, if it speaks for all there is.
pub(super) fn searched<'a, S: Deserialize<'a>>(body: &'a [u8]) -> Result<Searched<S>, LookUp> {
    let searched: Searched<S> = read(body)?;
    complete(!searched.timed_out && searched.shards.failed == 0, body)?;
    Ok(searched)
}

pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, LookUp> {
    // Something that is no Elasticsearch cannot be asked, but neither can it be told from a passing fault.
    serde_json::from_slice(body).map_err(|_| retry(None, Reason::BadAnswer, excerpt(body)))
}

/// Whether the answer speaks for all there is.
pub(super) fn complete(complete: bool, body: &[u8]) -> Result<(), LookUp> {
    if complete { Ok(()) } else { Err(retry(None, Reason::ServerError, excerpt(body))) }
}

fn retry(after: Option<Duration>, reason: Reason, answer: String) -> LookUp {
    LookUp::Retry { after, reason, answer }
}

/// The body of an answer that can be read on; `None` where there is no index, so nothing stored.
pub(super) fn usable(answer: Result<Response, Failure>) -> Result<Option<Bytes>, LookUp> {
    let response = match answer {
        Ok(response) => response,
        Err(Failure::NotSent { answer }) => return Err(retry(None, Reason::Connect, answer)),
        Err(Failure::Lost { reason, answer }) => return Err(retry(None, reason, answer)),
        Err(Failure::Setup { answer, hint }) => {
            return Err(retry(None, Reason::Connect, format!("{answer}: {hint}")));
        }
    };
    let answer = format!("{} {}", response.status, said(&response.body)).trim_end().to_owned();
    match response.status {
        200 if response.body.trim_ascii().is_empty() => {
            Err(LookUp::Unavailable { answer: "an empty answer".to_owned() })
        }
        200 => Ok(Some(response.body)),
        404 if error_of(&response.body)
            .is_some_and(|error| error.kind == "index_not_found_exception") =>
        {
            Ok(None)
        }
        429 => Err(retry(response.retry_after, Reason::Throttled, answer)),
        408 | 500.. => Err(retry(response.retry_after, Reason::ServerError, answer)),
        _ => Err(LookUp::Unavailable { answer }),
    }
}
