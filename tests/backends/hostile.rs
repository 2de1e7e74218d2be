//! Hostile bodies: request bodies that a client can choose so that a store refuses the event or fails on it (reference
//! section 1.2).

use std::fs;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;

use crate::elastic::{self, Elastic};
use crate::loki::{self, Loki};
use crate::servers::unique;
use kit::agent::Agent;
use kit::events::{Expected, Maker};
use kit::tables;

/// A description of a body, its bytes, and whether Elasticsearch refuses it unchanged.
type Body = (&'static str, Vec<u8>, bool);

fn bodies() -> Vec<Body> {
    let nested = |depth| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    let digits = |count| format!("{{\"n\":{}}}", "7".repeat(count)).into_bytes();
    vec![
        ("duplicate keys", br#"{"data":{"a":"1"},"data":{"a":"2"}}"#.to_vec(), true),
        ("invalid UTF-8", b"{\"a\":\"\xff\xfe\"}".to_vec(), true),
        ("1,500 levels", nested(1500), true),
        ("9,000 levels", nested(9000), true),
        ("1,500 digits", digits(1500), true),
        ("a number beyond 64 bit", digits(40), false),
        ("an exponent beyond all floats", br#"{"n":1e999999}"#.to_vec(), false),
        ("half a surrogate pair", br#"{"a":"\ud800"}"#.to_vec(), false),
        ("an escaped NUL", br#"{"a":"\u0000"}"#.to_vec(), false),
        ("a JSON patch", br#"[{"op":"add","path":"/data/a","value":"1"}]"#.to_vec(), false),
        ("a scalar", br#""only a string""#.to_vec(), false),
        ("strings for objects", br#"{"metadata":"m","spec":["s"],"rules":1}"#.to_vec(), false),
        ("names of dots", br#"{"a.b":1,"a":{"b":2},"":3,".":4,"..":5}"#.to_vec(), false),
        ("a string of 40,000 bytes", format!("{{\"a\":\"{}\"}}", "y".repeat(40_000)).into(), false),
    ]
}

/// A hostile event cannot hide: a search by auditID finds it, with the whole line if the store did not accept the body.
/// The events around it are stored as usual. Loki has the bytes of all of them.
#[test]
fn events_with_hostile_bodies_are_found_in_both_and_their_neighbours_are_as_usual() {
    check(&Elastic::users_or_shared());
}

/// The same with the stand-in for Elasticsearch 8, whose errors have other wordings than those of `OpenSearch`.
#[test]
fn events_with_hostile_bodies_are_found_in_an_elasticsearch_of_today() {
    check(&Elastic::stand_in(kit::store::elastic::Settings::default()));
}

fn check(elastic: &Elastic) {
    let loki = Loki::raised();
    let (job, selector) = loki::job("hostile");
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let (mut log, mut neighbours, mut hostile) = (Vec::new(), Vec::new(), Vec::new());
    for body in bodies() {
        for _ in 0..5 {
            let (event, line) = maker.event_with(br#"{"data":{"a":"b"}}"#);
            neighbours.push(event);
            log.extend(line);
        }
        let (event, line) = maker.event_with(&body.1);
        hostile.push((body, event));
        log.extend(line);
    }
    fs::write(dir.path().join("audit.log"), log).unwrap();
    let stream = &unique(elastic::OWN, "logs-kubernetes.audit_logs-hostile");
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::loki(&loki.url(), &job, "")
        + &tables::elasticsearch(&elastic.url(), stream, "");
    let mut agent = Agent::start(dir.path(), &config);

    let events: Vec<Expected> =
        neighbours.iter().chain(hostile.iter().map(|(_, event)| event)).cloned().collect();
    loki.wait_count(&selector, &events, Duration::from_mins(1));
    elastic.wait_count(stream, events.len(), Duration::from_mins(1));
    agent.stop_done();
    loki.assert_holds(&selector, &events);
    elastic.assert_holds(stream, &events);
    for ((what, _, refused), event) in &hostile {
        assert_searchable(elastic, stream, what, *refused, event);
    }
    for event in &neighbours {
        let document = &elastic.search(stream, "kubernetes.audit.auditID", &event.audit_id, &[])[0];
        assert_eq!(document.source["kubernetes"]["audit"]["requestObject"]["data"]["a"], "b");
        assert_eq!(document.source["event"]["original"], Value::Null, "a neighbour in safe form");
    }
}

fn assert_searchable(elastic: &Elastic, stream: &str, what: &str, refused: bool, event: &Expected) {
    let body = ["kubernetes.audit.requestObject"];
    let found = elastic.search(stream, "kubernetes.audit.auditID", &event.audit_id, &body);
    assert_eq!(found.len(), 1, "{what}: documents found by auditID");
    let original = &found[0].source["event"]["original"];
    if refused || *original != Value::Null {
        assert_eq!(original.as_str(), Some(event.line.as_str()), "{what}: event.original");
    }
}
