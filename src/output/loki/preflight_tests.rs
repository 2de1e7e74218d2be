use super::*;
use crate::output::finding::FindingState;

/// The relevant keys, as Loki 3.7 shows them with default settings.
const DEFAULTS: &str = "
limits_config:
  reject_old_samples: true
  reject_old_samples_max_age: 1w
  creation_grace_period: 10m
  max_line_size: 256KB
  max_line_size_truncate: false
  unordered_writes: true
  max_query_lookback: 0s
  allow_structured_metadata: true
ingester:
  query_store_max_look_back_period: 2h41m0s
querier:
  query_ingesters_within: 3h0m0s
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
    replay.findings(&Settings::read(text.as_bytes()).unwrap())
}

#[track_caller]
fn finds(findings: &[Finding], state: FindingState, part: &str) {
    let found = findings.iter().any(|finding| {
        finding.state == state && format!("{}: {}", finding.what, finding.hint).contains(part)
    });
    assert!(found, "no {state:?} with {part} in {findings:#?}");
}

#[test]
fn a_loki_as_it_comes_takes_the_last_hour() {
    assert_eq!(said(1, &[]), []);
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
    let off = said(24 * 30, &[("reject_old_samples: true", "reject_old_samples: false")]);
    assert!(!off.iter().any(Finding::is_failure), "{off:#?}");
}

#[test]
fn what_would_be_refused_cut_or_hidden_is_named() {
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
        (7, "2024-01-01", "2026-11-21", FindingState::Fail, "--since 2026-11-21T00:00:00Z"),
        (2, "lookback: 0s", "lookback: 1h", FindingState::Warn, "max_query_lookback"),
    ];
    for (ago, from, to, state, part) in table {
        finds(&said(ago, &[(from, to)]), state, part);
    }
    // A first day of the schema that is no later than the events.
    assert_eq!(said(1, &[("2024-01-01", "2026-11-21T00")]), []);
}

#[test]
fn settings_that_say_nothing_are_no_findings() {
    let replay = Replay { times: 0..NOW, now: NOW, metadata: true };
    assert_eq!(replay.findings(&Settings::default()), []);
}
