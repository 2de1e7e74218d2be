//! Gap reporting: lost events are reported in the stores, where people search.

use std::fs;
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::elastic::{self, Elastic};
use crate::loki::{self, Loki};
use crate::servers::unique;
use kit::agent::Agent;
use kit::events::{Expected, Maker, expected, log_of};
use kit::{LogWriter, tables, wait_for};

const LIMIT: Duration = Duration::from_mins(1);

/// Promise 4, under kills, in a backlog of two hours. A gap event has the current time. Loki with default settings
/// refuses entries that are an hour older than the latest of their stream. So the events after the gap would be lost if
/// they shared a stream with it.
#[test]
fn a_hole_in_a_backlog_is_found_once_in_both_and_costs_no_event_after_it() {
    let (loki, elastic) = (Loki::defaults(), Elastic::users_or_shared());
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_hours(2));
    let events: Vec<Expected> = (0..400).map(|_| maker.event(500)).collect();
    let log = dir.path().join("audit.log");
    let mut first = log_of(&events[..200]);
    let offset = first.len() as u64;
    first.extend([0; 5000]);
    first.push(b'\n');
    fs::write(&log, first).unwrap();
    let stream = &unique(elastic::OWN, "logs-kubernetes.audit_logs-gaps");
    let (job, events_of) = loki::job("gaps");
    let gaps_of = &format!("{{job=\"{job}\", auditrail=\"gap\"}}");
    let config = tables::input("apiserver", &log)
        + &tables::loki(&loki.url(), &job, "timeout = \"2s\"")
        + &tables::elasticsearch(&elastic.url(), stream, "timeout = \"2s\"");
    let mut agent = Agent::start(dir.path(), &config);
    for life in [300, 900, 1500] {
        thread::sleep(Duration::from_millis(life));
        agent.kill();
        agent.resume();
    }
    let now = Expected {
        ns: i64::try_from(Timestamp::now().as_nanosecond()).unwrap(),
        ..events[0].clone()
    };
    let found = wait_for("Loki to show the gap", LIMIT, || {
        match &loki.lines(gaps_of, std::slice::from_ref(&now))[..] {
            [(_, line)] => Ok(line.clone()),
            other => Err(format!("{} gaps", other.len())),
        }
    });
    elastic.wait_count(stream, 201, LIMIT);
    LogWriter::new(&log).append(&log_of(&events[200..]));
    loki.wait_count(&events_of, &events, LIMIT);
    elastic.wait_count(stream, events.len() + 1, LIMIT);
    agent.stop_done();

    let gap = &expected(found.as_bytes())[..];
    loki.assert_holds(gaps_of, gap);
    loki.assert_holds(&events_of, &events);
    let line: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&line["kind"], &line["gap"]["reason"]), (&"Gap".into(), &"nul_hole".into()));
    assert_eq!((&line["gap"]["bytes"], &line["gap"]["offset"]), (&5000.into(), &offset.into()));

    for (field, value) in [
        ("kubernetes.audit.kind", "Gap"),
        ("event.kind", "pipeline_error"),
        ("kubernetes.audit.gap.reason", "nul_hole"),
        ("kubernetes.audit.gap.bytes", "5000"),
    ] {
        let documents = elastic.search(stream, field, value, &[]);
        let [document] = &documents[..] else { panic!("{} found by {field}", documents.len()) };
        let source = &document.source;
        assert_eq!(source["event"]["original"], Value::Null, "in safe form");
        assert_eq!(source["kubernetes"]["audit"]["gap"]["output"], "elasticsearch");
    }
    let is_event =
        |document: &crate::elastic::Document| document.source["event"]["kind"] == "event";
    let all = elastic.documents(stream, &["event.kind"]);
    assert_eq!((all.len(), all.iter().filter(|one| is_event(one)).count()), (401, 400));
}
