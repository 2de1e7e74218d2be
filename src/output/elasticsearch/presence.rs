//! Whether the store holds any document of a time range. A replay asks once before it begins. If there is none, its
//! events need no look-up.
//!
//! Any document of the target counts, whichever node wrote it: the same log may have been shipped under another name.

use std::ops::Range;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::Elasticsearch;
use super::answer::{search, searched};
use super::lookup::refresh;
use crate::event::Nanos;
use crate::output::QueryError;

const SECOND: i64 = 1_000_000_000;

/// Whether anything is stored in `scope` in this time range.
pub(in crate::output) async fn holds_any(
    store: &Elasticsearch,
    scope: &str,
    range: Range<Nanos>,
) -> Result<bool, QueryError> {
    if !refresh(store, scope).await? {
        return Ok(false);
    }
    let Some(body) = search(store, scope, question(range)).await? else { return Ok(false) };
    Ok(searched::<IgnoredAny>(&body)?.hits.total()? > 0)
}

/// The query, with a second added at both ends: stores keep milliseconds, and compare a time that is mapped as a
/// keyword as text. Documents without a time that can be searched count too.
fn question(range: Range<Nanos>) -> Bytes {
    let second = |time: i64| {
        jiff::Timestamp::from_second(time).map(|stamp| stamp.to_string()).unwrap_or_default()
    };
    let from = second(range.start.div_euclid(SECOND).saturating_sub(1));
    let to = second(range.end.div_euclid(SECOND).saturating_add(2));
    let query = serde_json::json!({
        "size": 0,
        "terminate_after": 1,
        "track_total_hits": true,
        "query": { "bool": {
            "should": [
                { "range": { "@timestamp": { "gte": from, "lte": to } } },
                { "bool": { "must_not": { "exists": { "field": "@timestamp" } } } },
            ],
            "minimum_should_match": 1,
        } },
    });
    query.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_asked_for_with_a_second_to_spare() {
        let at = 1_795_242_322_533_537_000;
        let question = String::from_utf8(question(at..at + 1).to_vec()).unwrap();
        assert!(question.contains("2026-11-21T06:25:21Z"), "{question}");
        assert!(question.contains("2026-11-21T06:25:24Z"), "{question}");
    }
}
