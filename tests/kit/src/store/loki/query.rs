//! Log queries and counts. Within one shard of a stream, a log query deduplicates repeats and a count includes them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::http::{Answer, Request};
use super::Loki;
use super::labels::{Labels, Selector};
use super::limits::HOUR;
use super::store::{Entry, Stream};

/// Largest number of entries in one answer.
const ENTRIES: usize = 5000;
/// Longest time range of a query: 30 days and an hour, in nanoseconds.
const LENGTH: i64 = 721 * HOUR;
/// Largest answer, in bytes, that the querier can pass on over gRPC.
const GRPC: usize = 4 << 20;

fn refuse(status: u16, text: impl Into<String>) -> Answer {
    Answer::text(status, text.into() + "\n")
}

/// Whether a query can see an entry: Loki looks for older entries in storage only, so those that were not flushed are
/// invisible (`query_ingesters_within`).
fn seen(loki: &Loki, entry: &Entry) -> bool {
    let within = loki.settings.query_ingesters_within;
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    within == 0 || entry.flushed || entry.ns > now - within
}

fn between<'a>(
    loki: &'a Loki,
    stream: &'a Stream,
    range: Range<i64>,
) -> impl Iterator<Item = &'a Entry> {
    let entries = stream.entries.range((range.start, 0)..(range.end, 0));
    entries.map(|(_, entry)| entry).filter(move |entry| seen(loki, entry))
}

/// `query_range` with a selector.
pub(super) fn range(loki: &Loki, tenant: &str, request: &Request) -> Answer {
    let number = |name: &str| request.parameter(name).and_then(|text| text.parse::<i64>().ok());
    let (Some(start), Some(end)) = (number("start"), number("end")) else {
        return refuse(400, "could not parse 'start' parameter");
    };
    let limit = number("limit").map_or(100, |limit| usize::try_from(limit).unwrap_or(0));
    let selector = match Selector::parse(request.parameter("query").unwrap_or_default()) {
        Ok(selector) => selector,
        Err(why) => return refuse(400, format!("parse error at line 1, col 1: {why}")),
    };
    if end < start {
        return refuse(400, "end timestamp must not be before or equal to start time");
    }
    if limit > ENTRIES {
        let text = "max entries limit per query exceeded, limit > max_entries_limit_per_query";
        return refuse(400, format!("{text} ({limit} > {ENTRIES})"));
    }
    if end - start > LENGTH {
        let hours = (end - start) / HOUR;
        let text = "the query time range exceeds the limit";
        return refuse(400, format!("{text} (query length: {hours}h0m0s, limit: 30d1h)"));
    }
    let backward = request.parameter("direction") != Some("forward");
    let mut found = Vec::new();
    for stream in loki.store.of(tenant).filter(|stream| selector.finds(&stream.labels)) {
        let mut known = HashSet::new();
        for entry in between(loki, stream, start..end) {
            if known.insert((entry.shard, entry.ns, &entry.line, &entry.metadata)) {
                found.push((stream, entry));
            }
        }
    }
    found.sort_by_key(|(_, entry)| entry.ns);
    if backward {
        found.reverse();
    }
    found.truncate(limit);
    let answer = Answer::json(200, &streams(loki, &found));
    if answer.body.len() > GRPC {
        let size = answer.body.len();
        let text =
            "rpc error: code = ResourceExhausted desc = grpc: received message larger than max";
        return refuse(500, format!("{text} ({size} vs. {GRPC})"));
    }
    answer
}

/// The streams of an answer. Structured metadata is shown among the labels.
fn streams(loki: &Loki, found: &[(&Stream, &Entry)]) -> Value {
    let mut streams: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
    for (stream, entry) in found {
        let mut labels = stream.labels.clone();
        labels.extend(entry.metadata.clone());
        if loki.settings.shard_streams {
            labels.entry("detected_level".to_owned()).or_insert_with(|| "unknown".to_owned());
        }
        streams.entry(labels).or_default().push(json!([entry.ns.to_string(), entry.line]));
    }
    let result: Vec<_> = streams
        .into_iter()
        .map(|(labels, values)| json!({"stream": labels, "values": values}))
        .collect();
    json!({"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}})
}

/// `sum(count_over_time(SELECTOR[Nh]))` at a point in time.
pub(super) fn instant(loki: &Loki, tenant: &str, request: &Request) -> Answer {
    let query = request.parameter("query").unwrap_or_default();
    let asked = || {
        let inner = query.strip_prefix("sum(count_over_time(")?.strip_suffix("h]))")?;
        let (selector, hours) = inner.rsplit_once('[')?;
        let end = request.parameter("time")?.parse::<i64>().ok()?;
        Some((Selector::parse(selector).ok()?, hours.parse::<i64>().ok()?, end))
    };
    let Some((selector, hours, end)) = asked() else {
        return refuse(400, "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER");
    };
    // The time range excludes its start and includes its end.
    let range = end - hours * HOUR + 1..end + 1;
    let streams = loki.store.of(tenant).filter(|stream| selector.finds(&stream.labels));
    let count: usize = streams.map(|stream| between(loki, stream, range.clone()).count()).sum();
    let sample = json!({"metric": {}, "value": [end / 1_000_000_000, count.to_string()]});
    let result = if count == 0 { Vec::new() } else { vec![sample] };
    Answer::json(
        200,
        &json!({"status": "success", "data": {"resultType": "vector", "result": result}}),
    )
}
