//! The preflight of a replay: what would go wrong with events of a time range, beyond what `check.rs` reports. It is
//! reported before the first push and writes nothing.
//!
//! Elasticsearch accepts old events: it stores them in the index that is written to now, and deletes them with that
//! index. Only a data stream of time series accepts nothing but certain times.

use std::ops::Range;

use serde::Deserialize;

use super::{Elasticsearch, check};
use crate::config::Target;
use crate::event::{Nanos, rfc3339};
use crate::output::finding::Finding;
use crate::output::http::Response;

/// The answer to `GET _data_stream/NAME`. The members differ by version and licence.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DataStreams {
    data_streams: Vec<DataStream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DataStream {
    time_series: TimeSeries,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TimeSeries {
    temporal_ranges: Vec<Bounds>,
}

#[derive(Debug, Deserialize)]
struct Bounds {
    start: String,
    end: String,
}

/// Runs the preflight for events in this time range.
pub(in crate::output) async fn preflight(
    store: &Elasticsearch,
    times: Range<Nanos>,
) -> Vec<Finding> {
    let mut findings = check::check(store).await;
    if let Target::DataStream(name) = &store.config.target
        && !findings.iter().any(Finding::is_failure)
        // The data stream does not exist yet, is hidden, or the server lacks this API: nothing is known, so nothing is
        // reported.
        && let Ok(Response { status: 200, body, .. }) =
            store.get(&format!("_data_stream/{name}"), &[]).await
    {
        findings.extend(bounds(&body, times));
    }
    findings
}

/// A time series data stream accepts only events between the bounds of its indices.
fn bounds(body: &[u8], times: Range<Nanos>) -> Option<Finding> {
    let streams: DataStreams = serde_json::from_slice(body).ok()?;
    let ranges = &streams.data_streams.first()?.time_series.temporal_ranges;
    let start = ranges.iter().filter_map(|range| rfc3339(range.start.as_bytes())).min()?;
    let end = ranges.iter().filter_map(|range| rfc3339(range.end.as_bytes())).max()?;
    (times.start < start || times.end > end).then(|| {
        let first = ranges.first().map_or("", |range| &range.start);
        Finding::fail(
            format!("the data stream is one of time series, and takes no event from before {first}"),
            "name another data stream: time series are for metrics, and keep one document of those that share a moment",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: Nanos = 1_795_242_322_000_000_000;

    #[test]
    fn a_data_stream_of_time_series_that_ends_before_the_events_is_a_failure() {
        let series = |start: &str| {
            let range = json!({"start": start, "end": "2026-11-21T09:00:00.000Z"});
            json!({"data_streams": [{"name": "x", "time_series": {"temporal_ranges": [range]}}]})
        };
        let found = |body: &serde_json::Value| bounds(body.to_string().as_bytes(), AT..AT + 1);
        assert_eq!(found(&series("2026-11-21T04:00:00.000Z")), None);
        let late = found(&series("2026-11-21T07:00:00.000Z")).unwrap();
        assert!(late.is_failure() && late.what.contains("before 2026-11-21T07"), "{late:?}");
        for odd in [
            json!(null),
            json!({}),
            json!({"data_streams": []}),
            json!({"data_streams": [7]}),
            json!({"data_streams": [{"name": "x", "lifecycle": {"enabled": true}}]}),
        ] {
            assert_eq!(found(&odd), None, "{odd}");
        }
    }
}
