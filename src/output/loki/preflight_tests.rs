use super::super::limits::read;
use super::*;
use crate::output::finding::FindingState;

/// The relevant keys, as Loki 3.7 shows them with default settings.
const DEFAULTS: &str = "
limits_config:
  ingestion_rate_mb: 4
  ingestion_burst_size_mb: 6
  reject_old_samples: true
  reject_old_samples_max_age: 1w
  creation_grace_period: 10m
  max_line_size: 256KB
  max_line_size_truncate: false
  max_global_streams_per_user: 5000
  unordered_writes: true
  per_stream_rate_limit: 3MB
  per_stream_rate_limit_burst: 15MB
  max_query_lookback: 0s
  max_query_length: 30d1h
  retention_period: 0s
  shard_streams:
    enabled: true
    time_sharding_enabled: false
  allow_structured_metadata: true
ingester:
  max_chunk_age: 2h0m0s
  query_store_max_look_back_period: 2h41m0s
querier:
  query_ingesters_within: 3h0m0s
compactor:
  retention_enabled: false
schema_config:
  configs:
  - from: \"2024-01-01\"
";

/// 2026-11-21T06:25:22Z.
const NOW: Nanos = 1_795_242_322_000_000_000;

/// The findings for events that are `ago` hours old, with these changes of the settings.
fn said(ago: Nanos, change: &[(&str, &str)]) -> Vec<Finding> {
    let mut text = DEFAULTS.to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let replay = Replay {
        times: NOW - ago * HOUR..NOW - ago * HOUR + 30 * MINUTE,
        now: NOW,
        metadata: true,
    };
    replay.findings(&read(text.as_bytes()).unwrap())
}

#[track_caller]
fn finds(findings: &[Finding], state: FindingState, part: &str) {
    let found = findings.iter().any(|finding| {
        finding.state == state && format!("{}: {}", finding.what, finding.hint).contains(part)
    });
    assert!(found, "no {state:?} with {part} in {findings:#?}");
}

#[test]
fn a_loki_as_it_comes_takes_the_last_hour_and_says_how_fast() {
    let findings = said(1, &[]);
    assert!(!findings.iter().any(Finding::is_failure), "{findings:#?}");
    finds(
        &findings,
        FindingState::Warn,
        "4.0 MiB a second at the most (`ingestion_rate_mb: 4`), 14 GiB an hour",
    );
    finds(&findings, FindingState::Ok, "takes lines up to 256KB");
    assert_eq!(findings.len(), 2, "{findings:#?}");
}

#[test]
fn events_older_than_the_limit_are_told_with_the_value_that_is_needed() {
    let findings = said(24 * 30, &[]);
    finds(
        &findings,
        FindingState::Fail,
        "older than 1w (`reject_old_samples_max_age`), and the oldest here is 30 days old",
    );
    finds(&findings, FindingState::Fail, "reject_old_samples_max_age: 721h");
    finds(&findings, FindingState::Fail, "--since 2026-11-14T06:35:22Z");
    finds(&findings, FindingState::Warn, "ingester.query_store_max_look_back_period: -1s");
    let off = said(24 * 30, &[("reject_old_samples: true", "reject_old_samples: false")]);
    assert!(!off.iter().any(Finding::is_failure), "{off:#?}");
}

#[test]
fn a_window_that_is_shorter_than_a_stream_is_told() {
    finds(&said(3, &[("2h0m0s", "1h")]), FindingState::Warn, "max_chunk_age: 2h");
    let sharded =
        [("2h0m0s", "1h"), ("time_sharding_enabled: false", "time_sharding_enabled: true")];
    assert!(!said(3, &sharded).iter().any(|finding| finding.what.contains("max_chunk_age")));
}

#[test]
fn what_would_be_refused_cut_hidden_or_deleted_is_named() {
    let table = [
        (-1, "max_line_size: 256KB", "max_line_size: 0B", FindingState::Fail, "--until"),
        (
            1,
            "size_truncate: false",
            "size_truncate: true",
            FindingState::Fail,
            "max_line_size_truncate",
        ),
        (
            1,
            "unordered_writes: true",
            "unordered_writes: false",
            FindingState::Fail,
            "unordered_writes",
        ),
        (1, "metadata: true", "metadata: false", FindingState::Fail, "allow_structured_metadata"),
        (1, "2024-01-01", "2026-11-21T00", FindingState::Ok, "takes lines"),
        (7, "2024-01-01", "2026-11-21", FindingState::Fail, "--since 2026-11-21T00:00:00Z"),
        (1, "size_mb: 6", "size_mb: 0.5", FindingState::Warn, "`ingestion_burst_size_mb`"),
        (1, "rate_mb: 4", "rate_mb: 100", FindingState::Ok, "100.0 MiB a second"),
        (1, "    enabled: true", "    enabled: false", FindingState::Warn, "3.0 MiB a second"),
        (
            4,
            "period: 2h41m0s",
            "period: 0s",
            FindingState::Warn,
            "querier.query_ingesters_within: 0",
        ),
        (1, "per_user: 5000", "per_user: 0.5", FindingState::Warn, "max_global_streams_per_user"),
        (2, "lookback: 0s", "lookback: 1h", FindingState::Warn, "max_query_lookback"),
        (1, "30d1h", "10m", FindingState::Warn, "max_query_length"),
    ];
    for (ago, from, to, state, part) in table {
        finds(&said(ago, &[(from, to)]), state, part);
    }
    let kept = [
        ("retention_period: 0s", "retention_period: 1d"),
        ("retention_enabled: false", "retention_enabled: true"),
    ];
    finds(&said(48, &kept), FindingState::Warn, "retention_period: 49h");
    assert!(!said(12, &kept).iter().any(|finding| finding.what.contains("deletes")));
}

#[test]
fn settings_that_say_nothing_are_no_findings() {
    let replay = Replay { times: 0..NOW, now: NOW, metadata: true };
    assert_eq!(replay.findings(&Settings::default()), []);
}
