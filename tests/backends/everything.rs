//! Ships all recorded logs at once to both back ends.

use std::time::Duration;

use tempfile::TempDir;

use crate::corpus;
use crate::elastic::{self, Elastic};
use crate::loki::{self, Loki};
use crate::servers::unique;
use kit::agent::Agent;
use kit::events::Expected;
use kit::tables;

/// Promises 1 and 2 without faults: each recorded event is stored exactly once, in Loki, byte for byte at its
/// stageTimestamp, and in Elasticsearch. This includes lines of 2.5 MB and a log of which only backups are left.
#[test]
fn every_recorded_event_is_in_loki_and_elasticsearch_exactly_once() {
    let (loki, elastic) = (Loki::raised(), Elastic::users_or_shared());
    let dir = TempDir::new().unwrap();
    let recorded = corpus::copy_all(dir.path());
    let stream = &unique(elastic::OWN, "logs-kubernetes.audit_logs-everything");
    let (job, selector) = loki::job("everything");
    let mut config = tables::loki(&loki.url(), &job, "");
    config += &tables::elasticsearch(&elastic.url(), stream, "");
    for log in &recorded {
        config += &tables::input(&log.name, &log.path);
    }
    let mut agent = Agent::start(dir.path(), &config);

    let all: Vec<Expected> = recorded.iter().flat_map(|log| log.events.clone()).collect();
    loki.wait_count(&selector, &all, Duration::from_mins(3));
    elastic.wait_count(stream, all.len(), Duration::from_mins(3));
    agent.stop_done();
    elastic.assert_holds(stream, &all);
    for log in &recorded {
        loki.assert_holds(&format!("{{job=\"{job}\", input=\"{}\"}}", log.name), &log.events);
    }
}
