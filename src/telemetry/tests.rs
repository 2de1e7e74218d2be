//! Tests of readiness and liveness as an operator sees them, and a busy agent's statistics for other tests to show.

use super::*;
use crate::event::RetryReason;

const SECOND: i64 = 1_000_000_000;
const MINUTE: Duration = Duration::from_mins(1);

/// 2025-11-21T08:00:00Z plus this many seconds.
pub(crate) fn at(seconds: i64) -> Time {
    Time::from_nanos((1_763_712_000 + seconds) * SECOND)
}

/// One input followed for a while; one healthy output, one that cannot be reached, and one that has stopped.
pub(crate) fn busy() -> Telemetry {
    let identity = Identity { node: "cp-1".into(), cluster: Some("prod".into()), version: "0.1.0" };
    let telemetry = Telemetry::new(identity);
    let input = telemetry.input("apiserver");
    input.bytes.add(734_003_200);
    input.events.add(412_345);
    input.torn_lines.inc();
    input.last_event.set(Some(at(60)));
    input.last_write.set(Some(at(60)));
    input.generations.set(8);
    input.backups.set(7);
    input.pins.set(3);
    input.pinned_bytes.set(157_286_400);
    input.hold_bytes.set(52_428_800);
    input.hold_max_bytes.set(2 << 30);
    input.set_watch(Watch::Inotify);

    let loki = telemetry.pair("apiserver", "loki");
    loki.events.of(EventResult::Delivered).add(412_300);
    loki.last_success.set(Some(at(60)));
    loki.oldest_pending.set(Some(at(59)));
    loki.lag_bytes.set(90_112);
    loki.in_flight.set(2);
    loki.begins(at(-7_200));
    loki.gap_seen(GapSeen {
        reason: "torn_line".into(),
        file: "audit-2025-11-21T07-40-00.000.log".into(),
        bytes: 120,
        at_least: false,
        from: Some(at(-1_201)),
        to: Some(at(-1_200)),
        detected: at(-1_190),
    });
    loki.latency.observe(Duration::from_millis(180));
    loki.requests.answered(204, Duration::from_millis(12), 65_536);
    loki.lookups.of(LookupResult::Found).inc();
    loki.heartbeats.count(at(0), HeartbeatResult::Delivered);
    loki.set_cursor(DeliveredUpTo {
        generation: [0xa7; 16],
        file: Some("audit.log".into()),
        offset: 48_211_033,
        event_time: Some(at(59)),
    });

    let search = telemetry.pair("apiserver", "search");
    search.events.of(EventResult::Delivered).add(398_111);
    search.events.of(EventResult::Refused).add(2);
    search.set_letters(2, 4_096, 0, Some(at(-3_600)));
    search.requests.answered(200, Duration::from_millis(80), 131_072);
    search.requests.unanswered(Outcome::Connect, Duration::from_millis(1), 0);
    search.last_success.set(Some(at(-65)));
    search.oldest_pending.set(Some(at(-66)));
    search.lag_bytes.set(25_165_824);
    search.set_time_to_loss(Some(Duration::from_mins(90)));
    search.begins(at(-7_200));
    search.retrying(at(-65), RetryReason::Connect, "connection refused by 10.0.0.7:9200");
    search.set_cursor(DeliveredUpTo {
        generation: [0x3c; 16],
        file: Some("audit-2025-11-21T07-40-00.000.log.gz".into()),
        offset: 9_000,
        event_time: Some(at(-66)),
    });

    let archive = telemetry.pair("apiserver", "archive");
    archive.oldest_pending.set(Some(at(-4_000)));
    archive.lag_bytes.set(734_003_200);
    archive.stopped(at(0), "No space left on device", "free space under /var/lib/auditrail");

    telemetry.disk().saved(at(59));
    telemetry.disk().state_bytes.set(12_288);
    telemetry.disk().max_bytes.set(1 << 30);
    telemetry.set_memory_bound(512 << 20);
    let webhook = telemetry.webhook("hook");
    webhook.answered(200);
    webhook.answered(503);
    webhook.stored(400, false);
    webhook.stored(400, true);
    webhook.spool_bytes.set(690_000);
    webhook.spool_max_bytes.set(1 << 30);
    telemetry
}

#[test]
fn an_outage_makes_unready_only_once_it_lasts_and_a_stop_does_at_once() {
    let telemetry = busy();
    let early = telemetry.readiness(at(-10), MINUTE);
    assert_eq!(
        early,
        [
            "output archive of input apiserver has stopped (No space left on device): free space under /var/lib/auditrail"
        ]
    );
    let late = telemetry.readiness(at(60), MINUTE);
    assert_eq!(late.len(), 2);
    assert_eq!(
        late[0],
        "output search of input apiserver has taken nothing for 2m 5s (connect: connection refused by 10.0.0.7:9200): \
         see that the back end is up and can be reached from this node"
    );
}

#[test]
fn an_agent_is_ready_only_while_events_can_arrive() {
    let telemetry = Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" });
    let input = telemetry.input("apiserver");
    let links = InputFinding::warning(FindingKind::NoLinks, "no link can be made", "own the log");
    input.set_finding(links.kind, Some(links));
    assert_eq!(telemetry.readiness(at(0), MINUTE), [""; 0]);
    let missing = InputFinding::failure(FindingKind::LogMissing, "/a is not there", "set `path`");
    input.set_finding(missing.kind, Some(missing));
    assert_eq!(
        telemetry.readiness(at(0), MINUTE),
        ["input apiserver: /a is not there: set `path`"]
    );
    input.set_finding(FindingKind::LogMissing, None);
    assert_eq!(telemetry.readiness(at(0), MINUTE), [""; 0]);
}

#[test]
fn a_checkpoint_that_cannot_be_saved_and_a_spent_budget_are_unready_until_they_are_mended() {
    let telemetry = Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" });
    telemetry.disk().save_failed(at(0), "Read-only file system".into());
    telemetry.disk().set_spent(at(0), Some("1 GiB of 1 GiB used".into()));
    let reasons = telemetry.readiness(at(0), MINUTE);
    assert!(reasons[0].contains("(Read-only file system)"), "{reasons:?}");
    assert!(reasons[1].contains("(1 GiB of 1 GiB used)"), "{reasons:?}");
    telemetry.disk().saved(at(1));
    telemetry.disk().set_spent(at(1), None);
    assert_eq!(telemetry.readiness(at(2), MINUTE), [""; 0]);
    assert_eq!(telemetry.disk().checkpoint_errors.get(), 1);
}

#[test]
fn a_loop_that_stops_turning_is_named_and_one_that_ended_is_not() {
    let telemetry = Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" });
    let now = Instant::now();
    let reader = telemetry.heart("reader of input apiserver");
    let ended = telemetry.heart("pipeline to loki");
    assert_eq!(telemetry.liveness(now + Duration::from_secs(59)), [""; 0]);
    drop(ended);
    let stuck = telemetry.liveness(now + Duration::from_secs(62));
    assert_eq!(stuck, ["reader of input apiserver has not moved for 1m 2s"]);
    reader.beat();
    assert_eq!(telemetry.liveness(now + Duration::from_secs(59)), [""; 0]);
}

#[test]
fn a_loop_that_does_not_move_is_a_reason_not_to_be_ready_and_not_to_say_whole() {
    let telemetry = Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" });
    let began = Instant::now();
    let _reader = telemetry.heart("reading api for loki");
    let check = |seconds| {
        let stuck = telemetry.0.hearts.stuck(began + Duration::from_secs(seconds));
        [Check::loops(&stuck, at(100))]
    };
    assert_eq!(telemetry.verdict_of(&check(59), at(100)).state, TrailState::Whole);
    let verdict = telemetry.verdict_of(&check(75), at(100));
    assert_eq!(verdict.state, TrailState::Stopped);
    assert!(verdict.why.contains("reading api for loki has not moved for 1m 1"), "{verdict}");
    assert!(verdict.since.is_some_and(|since| (at(24)..=at(26)).contains(&since)), "{verdict}");
}

#[test]
fn a_heartbeat_that_is_not_stored_is_a_warning_until_one_is() {
    let telemetry = Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0" });
    let pair = telemetry.pair("api", "loki");
    let warnings = || {
        let checks = telemetry.checks(at(50), MINUTE);
        checks.into_iter().flat_map(|check| check.warnings).collect::<Vec<_>>()
    };
    pair.heartbeats.count(at(1), HeartbeatResult::Delivered);
    assert_eq!(warnings(), [""; 0]);
    pair.heartbeats.count(at(2), HeartbeatResult::Dropped);
    pair.heartbeats.count(at(3), HeartbeatResult::Failed);
    let warned = warnings();
    assert!(
        warned[0].starts_with("no heartbeat is stored since 2025-11-21T08:00:02Z"),
        "{warned:?}"
    );
    assert_eq!(telemetry.readiness(at(50), MINUTE), [""; 0], "events arrive all the same");
    pair.heartbeats.count(at(4), HeartbeatResult::Delivered);
    assert_eq!(warnings(), [""; 0]);
}

#[test]
fn the_same_name_gives_the_same_numbers() {
    let telemetry = busy();
    telemetry.clone().input("apiserver").events.inc();
    assert_eq!(telemetry.input("apiserver").events.get(), 412_346);
    telemetry.pair("apiserver", "loki").in_flight.set(3);
    assert_eq!(telemetry.snapshot(at(60), MINUTE).pairs.len(), 3);
}
