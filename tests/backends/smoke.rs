//! Smoke test of the other back ends that speak one of the two protocols: they store everything, exactly once, as long
//! as nothing fails.

use std::fs;
use std::time::Duration;

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::servers::{Server, have};
use crate::victoria::Victoria;
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::{tables, wait_for};

const LIMIT: Duration = Duration::from_mins(1);

fn made(count: usize) -> Vec<Expected> {
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    (0..count).map(|_| maker.event(500)).collect()
}

#[test]
fn victorialogs_takes_every_event_once_by_either_protocol() {
    if !have(&[Server::VictoriaLogs]) {
        return;
    }
    let victoria = Victoria::start();
    let dir = TempDir::new().unwrap();
    let events = made(2000);
    fs::write(dir.path().join("audit.log"), log_of(&events)).unwrap();
    let more = "setup_template = \"never\"\nquery = { _time_field = \"@timestamp\", \
                _msg_field = \"kubernetes.audit.requestURI\", _stream_fields = \"orchestrator.cluster.name\" }";
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::loki(&format!("{}/insert", victoria.url()), "smoke", "")
        + &tables::elasticsearch(
            &format!("{}/insert/elasticsearch", victoria.url()),
            "logs-kubernetes.audit_logs-smoke",
            more,
        );
    let mut agent = Agent::start(dir.path(), &config);

    for query in ["{job=\"smoke\"}", "\"orchestrator.cluster.name\":=test"] {
        wait_for("VictoriaLogs to show all events", LIMIT, || match victoria.count(query)? {
            found if found >= events.len() => Ok(()),
            found => Err(format!("{query}: {found} of {}", events.len())),
        });
    }
    agent.stop_done();
    for query in ["{job=\"smoke\"}", "\"orchestrator.cluster.name\":=test"] {
        assert_eq!(victoria.count(query).unwrap(), events.len(), "{query}");
    }
    // This server shows structured metadata as fields.
    for field in [
        "verb:=patch",
        "user:=alice",
        "code:=200",
        "audit_level:=Request",
        "source_ip:=198.51.100.7",
        "user_agent:=kubectl/v1.34.4",
    ] {
        let query = format!("{{job=\"smoke\"}} {field}");
        assert_eq!(victoria.count(&query).unwrap(), events.len(), "{query}");
    }
}

#[test]
fn opensearch_2_takes_every_event_once_even_a_hostile_one() {
    check(Server::OpenSearch2);
}

#[test]
fn opensearch_3_takes_every_event_once_even_a_hostile_one() {
    check(Server::OpenSearch3);
}

fn check(server: Server) {
    if !have(&[server]) {
        return;
    }
    let elastic = Elastic::open_search(server, &[]);
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let mut events: Vec<Expected> = (0..2000).map(|_| maker.event(500)).collect();
    events.push(maker.event_with(br#"{"data":1,"data":2}"#).0);
    events.push(maker.event_with(&[b"[".repeat(1500), b"]".repeat(1500)].concat()).0);
    fs::write(dir.path().join("audit.log"), log_of(&events)).unwrap();
    let stream = "logs-kubernetes.audit_logs-opensearch";
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::elasticsearch(&elastic.url(), stream, "");
    let mut agent = Agent::start(dir.path(), &config);

    elastic.wait_count(stream, events.len(), LIMIT);
    agent.stop_done();
    elastic.assert_holds(stream, &events);
}
