//! Asks whether events are stored, by their ids, over everything that the target may have written to.
//!
//! `create` guards one backing index only, and after a rollover an id is stored twice; a search sees them all. A
//! refresh comes first, since a search sees nothing younger than the last one.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::Elasticsearch;
use super::verdict::{error_of, said};
use crate::output::http::{Failure, Response, excerpt};
use crate::output::{LookUp, Reason};

/// Most ids of one search.
const IDS: usize = 1000;
const ANSWER: usize = 2 * 1024 * 1024;

#[derive(Deserialize)]
struct Refreshed {
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Searched {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    total: Total,
    #[serde(default)]
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Total {
    value: usize,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
}

/// Which of the ids are stored in `scope`.
pub(super) async fn look_up(store: &Elasticsearch, scope: &str, ids: &[String]) -> LookUp {
    match found(store, scope, ids).await {
        Ok(found) => LookUp::Found(found),
        Err(end) => end,
    }
}

async fn found(store: &Elasticsearch, scope: &str, ids: &[String]) -> Result<Vec<bool>, LookUp> {
    let mut found = vec![false; ids.len()];
    let answer = store
        .ask(&format!("{scope}/_refresh"), &[("ignore_unavailable", "false")], Bytes::new(), ANSWER)
        .await;
    let Some(body) = usable(answer)? else { return Ok(found) };
    let refreshed: Refreshed = read(&body)?;
    complete(refreshed.shards.failed == 0, &body)?;
    let place: HashMap<&str, usize> =
        ids.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    let mut open: Vec<Range<usize>> =
        (0..ids.len()).step_by(IDS).map(|at| at..(at + IDS).min(ids.len())).collect();
    while let Some(range) = open.pop() {
        let (query, size) = question(&ids[range.clone()]);
        let parameters = [
            ("allow_partial_search_results", "false"),
            ("filter_path", "timed_out,_shards.failed,hits.total.value,hits.hits._id"),
        ];
        let answer = store.ask(&format!("{scope}/_search"), &parameters, query, ANSWER).await;
        let Some(body) = usable(answer)? else { return Ok(found) };
        let searched: Searched = read(&body)?;
        complete(!searched.timed_out && searched.shards.failed == 0, &body)?;
        for hit in &searched.hits.hits {
            if let Some(&at) = place.get(hit.id.as_str()) {
                found[at] = true;
            }
        }
        // Ids stored many times over can crowd others out: ask again for fewer.
        if searched.hits.total.value > size && range.len() > 1 {
            let middle = range.start + range.len() / 2;
            open.extend([range.start..middle, middle..range.end]);
        }
    }
    Ok(found)
}

/// The body of a search for ids, and how many hits it asks for: twice as many, for those stored twice.
fn question(ids: &[String]) -> (Bytes, usize) {
    let size = ids.len() * 2;
    let query = serde_json::json!({
        "query": { "ids": { "values": ids } }, "size": size, "_source": false, "track_total_hits": true, "sort": ["_doc"],
    });
    (query.to_string().into(), size)
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, LookUp> {
    // Something that is no Elasticsearch cannot be asked, but neither can it be told from a passing fault.
    serde_json::from_slice(body).map_err(|_| retry(None, Reason::BadAnswer, excerpt(body)))
}

fn complete(complete: bool, body: &[u8]) -> Result<(), LookUp> {
    if complete { Ok(()) } else { Err(retry(None, Reason::ServerError, excerpt(body))) }
}

fn retry(after: Option<Duration>, reason: Reason, answer: String) -> LookUp {
    LookUp::Retry { after, reason, answer }
}

/// The body of an answer that can be read on; `None` where there is no index, so nothing stored.
fn usable(answer: Result<Response, Failure>) -> Result<Option<Bytes>, LookUp> {
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

/// Any answer is understood or refused.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(response: Response) {
    let status = response.status;
    match usable(Ok(response)) {
        Ok(None) => assert_eq!(status, 404, "only what is not there holds nothing"),
        Ok(Some(body)) => {
            assert_eq!(status, 200);
            let _ = (read::<Refreshed>(&body).is_ok(), read::<Searched>(&body).is_ok());
        }
        Err(end) => assert!(!matches!(end, LookUp::Found(_))),
    }
}
