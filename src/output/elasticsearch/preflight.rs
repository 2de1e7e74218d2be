//! The preflight of a replay: what would go wrong with events of a time range, beyond what `check.rs` reports. It is
//! reported before the first push and writes nothing.
//!
//! Elasticsearch has no problem with old events as such: they are stored in the index that is written to now, and
//! deleted with it. The preflight warns about a data stream that accepts only certain times, deletes soon, or puts
//! refused documents into a failure store.

use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use super::verdict::said;
use super::{Elasticsearch, check};
use crate::config::Target;
use crate::event::{Nanos, rfc3339};
use crate::output::door::Texts as _;
use crate::output::finding::Finding;
use crate::output::http::Response;

/// Elasticsearch's own watermarks are at 85, 90 and 95 percent; at the last one it refuses writes.
const FULL: u32 = 90;

/// A data stream as `GET _data_stream/NAME` describes it. The members differ by version and licence.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DataStream {
    ilm_policy: Option<String>,
    lifecycle: Option<Lifecycle>,
    failure_store: Value,
    time_series: Option<TimeSeries>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lifecycle {
    enabled: Option<bool>,
    effective_retention: Option<String>,
    data_retention: Option<String>,
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
pub(super) async fn preflight(store: &Elasticsearch, times: Range<Nanos>) -> Vec<Finding> {
    let mut findings = check::check(store).await;
    if findings.iter().any(Finding::is_failure) {
        return findings;
    }
    if let Target::DataStream(name) = &store.config.target {
        // The data stream does not exist yet, is hidden, or the server lacks this API: nothing is known, so nothing is
        // reported.
        if let Some(body) = told(store, &format!("_data_stream/{name}"), "").await {
            let policy = of_stream(&body).and_then(|stream| stream.ilm_policy.clone());
            let policy = match policy {
                Some(policy) => told(store, &format!("_ilm/policy/{policy}"), "").await,
                None => None,
            };
            findings.extend(stream(&body, policy.as_ref(), times));
        }
    }
    let wanted = "*.settings.index.blocks";
    if let Some(body) = told(store, &format!("{}/_settings", store.scope()), wanted).await {
        findings.extend(blocks(&body));
    }
    let url = "_cat/allocation";
    if let Ok(Response { status: 200, body, .. }) =
        store.get(url, &[("format", "json"), ("h", "node,disk.percent")]).await
    {
        findings.extend(serde_json::from_slice(&body).ok().and_then(|rows: Value| disk(&rows)));
    }
    findings
}

/// An answer in JSON; `None` if there is none.
async fn told(store: &Elasticsearch, path: &str, filter: &str) -> Option<Value> {
    let filter = [("filter_path", filter)];
    let query = if filter[0].1.is_empty() { &filter[..0] } else { &filter[..] };
    let response = store.get(path, query).await.ok()?;
    if response.status != 200 {
        let answer = said(&response.body).shown(|| Some(store.secrets()));
        tracing::debug!(path, status = response.status, answer, "not told");
        return None;
    }
    serde_json::from_slice(&response.body).ok()
}

fn of_stream(body: &Value) -> Option<DataStream> {
    DataStream::deserialize(body.get("data_streams")?.get(0)?).ok()
}

fn stream(body: &Value, policy: Option<&Value>, times: Range<Nanos>) -> Vec<Finding> {
    let Some(stream) = of_stream(body) else { return Vec::new() };
    let mut findings = Vec::new();
    if let Some(series) = &stream.time_series {
        findings.extend(bounds(series, times));
    }
    // Elasticsearch answers 201 for a document in the failure store. `verdict.rs` recognises that, but a proxy may
    // remove the word from the answer.
    if stream.failure_store.get("enabled").and_then(Value::as_bool) == Some(true) {
        findings.push(Finding::warn(
            "the data stream has a failure store: what it refuses is kept there as well, beside the safe form or the dead letter made of it",
            "turn it off while the replay lasts (PUT _data_stream/NAME/_options), or look into NAME::failures afterwards",
        ));
    }
    let lifecycle = stream.lifecycle.filter(|lifecycle| lifecycle.enabled != Some(false));
    let kept = lifecycle.and_then(|cycle| cycle.effective_retention.or(cycle.data_retention));
    let ends = policy.and_then(|policy| {
        let policy = policy.as_object()?.values().next()?;
        policy["policy"]["phases"]["delete"]["min_age"].as_str()
    });
    if let Some(kept) = ends.or(kept.as_deref()) {
        findings.push(Finding::warn(
            format!("the data stream deletes an index {kept} after it was rolled over: what is replayed now goes into the present one, and with it"),
            "nothing needs to be done where that is long enough; else raise the retention, or replay into a data stream of its own",
        ));
    }
    findings
}

/// A time series data stream accepts only events between the bounds of its indices.
fn bounds(series: &TimeSeries, times: Range<Nanos>) -> Option<Finding> {
    let start =
        series.temporal_ranges.iter().filter_map(|range| rfc3339(range.start.as_bytes())).min()?;
    let end =
        series.temporal_ranges.iter().filter_map(|range| rfc3339(range.end.as_bytes())).max()?;
    (times.start < start || times.end > end).then(|| {
        let first = series.temporal_ranges.first().map_or("", |range| &range.start);
        Finding::fail(
            format!("the data stream is one of time series, and takes no event from before {first}"),
            "name another data stream: time series are for metrics, and keep one document of those that share a moment",
        )
    })
}

/// Warns about indices that are read-only or blocked for reading.
fn blocks(body: &Value) -> Option<Finding> {
    let blocked = body.as_object()?.iter().find_map(|(index, settings)| {
        let blocks = settings["settings"]["index"]["blocks"].as_object()?;
        let (name, _) = blocks.iter().find(|(name, value)| {
            let is_set = value.as_str() == Some("true") || value.as_bool() == Some(true);
            // Older indices of a data stream may be closed for writing.
            is_set && matches!(name.as_str(), "read_only_allow_delete" | "read_only" | "read")
        })?;
        Some((index, name))
    });
    let (index, block) = blocked?;
    Some(Finding::warn(
        format!("{index} is blocked (`index.blocks.{block}`)"),
        "free disk space if it is `read_only_allow_delete`, which Elasticsearch then takes off itself; else take the block off",
    ))
}

/// Warns about nodes whose disk is nearly full.
fn disk(rows: &Value) -> Option<Finding> {
    let percent = |row: &Value| row["disk.percent"].as_str()?.parse::<u32>().ok();
    let fullest =
        rows.as_array()?.iter().filter_map(|row| Some((percent(row)?, row["node"].as_str()?)));
    let (percent, node) = fullest.max()?;
    (percent >= FULL).then(|| {
        Finding::warn(
            format!("the disk of {node} is {percent}% full: from 90% on Elasticsearch puts no new index there, and at 95% it refuses to write"),
            "free disk space before the replay; one that is refused waits until there is some",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::finding::FindingState;

    const AT: Nanos = 1_795_242_322_000_000_000;

    #[test]
    fn what_a_data_stream_would_refuse_hide_or_delete_is_told() {
        let found = |stream_of: Value, policy: Option<Value>| {
            let body = json!({"data_streams": [stream_of]});
            let findings = stream(&body, policy.as_ref(), AT..AT + 1);
            findings.iter().map(|finding| (finding.state, finding.what.clone())).collect::<Vec<_>>()
        };
        assert_eq!(
            found(
                json!({"name": "x", "lifecycle": {"enabled": true}, "failure_store": {"enabled": false}}),
                None
            ),
            []
        );
        let kept =
            found(json!({"lifecycle": {"enabled": true, "effective_retention": "7d"}}), None);
        assert!(
            matches!(&kept[..], [(FindingState::Warn, what)] if what.contains("7d after")),
            "{kept:?}"
        );
        let policy = json!({"p": {"policy": {"phases": {"delete": {"min_age": "30d"}}}}});
        let kept = found(json!({"ilm_policy": "p"}), Some(policy));
        assert!(
            matches!(&kept[..], [(FindingState::Warn, what)] if what.contains("30d after")),
            "{kept:?}"
        );
        let failures = found(json!({"failure_store": {"enabled": true}}), None);
        assert!(
            matches!(&failures[..], [(FindingState::Warn, what)] if what.contains("failure store"))
        );
        let series = |start: &str| json!({"time_series": {"temporal_ranges": [{"start": start, "end": "2026-11-21T09:00:00.000Z"}]}});
        assert_eq!(found(series("2026-11-21T04:00:00.000Z"), None), []);
        let late = found(series("2026-11-21T07:00:00.000Z"), None);
        assert!(
            matches!(&late[..], [(FindingState::Fail, what)] if what.contains("before 2026-11-21T07"))
        );
        for odd in
            [json!(null), json!({}), json!({"data_streams": []}), json!({"data_streams": [7]})]
        {
            assert_eq!(stream(&odd, None, AT..AT), []);
        }
    }

    #[test]
    fn a_full_disk_and_a_block_are_told() {
        let rows = json!([{"node": "a", "disk.percent": "91"}, {"node": "UNASSIGNED", "disk.percent": null}]);
        assert!(disk(&rows).is_some_and(|finding| finding.what.contains("a is 91% full")));
        assert_eq!(disk(&json!([{"node": "a", "disk.percent": "86"}])), None);
        let body = |name: &str| json!({"i": {"settings": {"index": {"blocks": {name: "true"}}}}});
        assert!(blocks(&body("read_only_allow_delete")).is_some());
        assert_eq!(blocks(&body("write")), None);
        assert_eq!(blocks(&json!({"i": 7})), None);
    }
}
