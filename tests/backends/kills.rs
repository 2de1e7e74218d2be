//! The agent is killed again and again while events stream in.

use std::fs;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::corpus;
use crate::elastic::{self, Elastic};
use crate::loki::{self, Loki};
use crate::rotating_writer::Writer;
use crate::servers::{Server, have, unique};
use kit::agent::Agent;
use kit::events::{Expected, Maker, expected, log_of};
use kit::tables;

/// How long the agent lives each time, in milliseconds: sometimes long enough to resolve what was in doubt, sometimes
/// not.
const LIVES_MS: [u64; 10] = [1500, 400, 3200, 900, 2600, 4100, 150, 2900, 3600, 1100];

/// Promises 1 and 2 (nothing lost, no duplicates) under SIGKILL. Loki has default settings, so it splits a stream into
/// shards. The data stream rolls over to a new backing index between two kills; there `create` does not find an earlier
/// copy.
#[test]
fn ten_kills_and_two_rollovers_lose_nothing_and_double_nothing() {
    if !have(&[Server::Lumberjack]) {
        return;
    }
    let (loki, elastic) = (Loki::defaults(), Elastic::users_or_shared());
    let dir = TempDir::new().unwrap();
    let stream = &unique(elastic::OWN, "logs-kubernetes.audit_logs-kills");
    let (job, selector) = loki::job("kills");
    let mut config = tables::input("apiserver", &dir.path().join("audit/audit.log"));
    // A short time-out, because the agent waits that long before it looks up the requests that were in flight when it
    // was killed.
    config += &tables::loki(&loki.url(), &job, "timeout = \"2s\"");
    config += &tables::elasticsearch(&elastic.url(), stream, "timeout = \"2s\"");
    let writer = Writer::start(
        &corpus::plain_file(dir.path()),
        dir.path(),
        &[
            "-events=60000",
            "-megabytes-per-second=2.5",
            "-max-size=10",
            "-max-line=200000",
            "-compress",
            "-redate",
            "-fresh-ids",
        ],
    );

    let mut agent = Agent::start(dir.path(), &config);
    for (kill, life) in LIVES_MS.into_iter().enumerate() {
        thread::sleep(Duration::from_millis(life));
        let roll_over = kill == 3 || kill == 7;
        if roll_over {
            // On a busy machine nothing may have been delivered yet.
            elastic.wait_count(stream, 1, Duration::from_mins(1));
        }
        agent.kill();
        if roll_over {
            elastic.rollover(stream);
        }
        agent.resume();
    }
    let events = expected(&writer.written());
    loki.wait_count(&selector, &events, Duration::from_secs(90));
    elastic.wait_count(stream, events.len(), Duration::from_secs(90));
    agent.stop_done();
    loki.assert_holds(&selector, &events);
    elastic.assert_holds(stream, &events);
}

/// Loki returns at most 4 MiB in one answer, and needs a quarter of a minute to refuse more. So the agent must look up
/// lines of megabytes that are in doubt in short time ranges.
#[test]
fn kills_among_lines_of_megabytes_lose_nothing_and_double_nothing() {
    let loki = Loki::raised();
    let (job, selector) = loki::job("megabytes");
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<Expected> =
        (0..300).map(|n| maker.event(if n % 10 == 9 { 1_500_000 } else { 2000 })).collect();
    fs::write(dir.path().join("audit.log"), log_of(&events)).unwrap();
    let more = "timeout = \"2s\"\nmax_bytes_per_second = \"8MiB\"";
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::loki(&loki.url(), &job, more);

    let mut agent = Agent::start(dir.path(), &config);
    for life in [700, 1500, 3500, 1200] {
        thread::sleep(Duration::from_millis(life));
        agent.kill();
        agent.resume();
    }
    loki.wait_count(&selector, &events, Duration::from_secs(90));
    agent.stop_done();
    loki.assert_holds(&selector, &events);
}
