//! Tests of completing from outside: what becomes of which line.

use proptest::prelude::*;
use serde_json::Value;

use super::super::fuzz_tests::batch;
use super::*;
use crate::event::Batch;
use crate::transform::{Chain, TransformScratch};

const TIME: &str = "2026-11-21T06:25:22.533537Z";

fn completed(line: &[u8], ended: bool) -> Batch {
    let mut one = batch(line, ended);
    for event in &mut one.events {
        // The reader gives an event without a time that of the event before it.
        event.time = event.time.max(1_000_000_000);
    }
    let chain = Chain { completing: Some(Completing { key: Key([1; 32]) }), ..Chain::default() };
    chain.apply(1, &mut one, &mut TransformScratch::default());
    one
}

/// What the one event of a line becomes.
fn check(line: &str) -> Value {
    let batch = completed(line.as_bytes(), true);
    assert_eq!(batch.events.len(), 1, "{line}");
    let line = batch.record(0).line;
    assert!(is_strict(line, DEEPEST));
    let members = EventMembers::of(line).unwrap();
    assert!(members.are_complete(), "{}", String::from_utf8_lossy(line));
    serde_json::from_slice(line).unwrap()
}

fn note(event: &Value) -> &str {
    event["annotations"][NOTE].as_str().unwrap_or_default()
}

#[test]
fn a_whole_event_stays_byte_for_byte() {
    for time in [TIME, "2026-11-21T06:25:22Z", "2026-11-21T07:25:22.5+01:00"] {
        let line = format!(
            r#"{{"kind":"Event","auditID":"a","stage":"Panic","stageTimestamp":"{time}","annotations":{{}}}}"#
        );
        let batch = completed(line.as_bytes(), true);
        assert_eq!(batch.record(0).line, line.as_bytes());
        assert_eq!(batch.passed.actions.iter().sum::<u64>(), 0);
    }
}

#[test]
fn what_falco_needs_and_an_event_lacks_is_made_and_marked() {
    let old = check(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1","metadata":{"creationTimestamp":"2018-01-01T00:00:00Z"},"auditID":"a","stage":"ResponseComplete","verb":"get"}"#,
    );
    assert_eq!(old["stageTimestamp"], "2018-01-01T00:00:00.000000Z");
    assert_eq!((note(&old), &old["auditID"]), ("made=stageTimestamp", &"a".into()));
    for time in ["null", "7", r#""""#, r#""2026-11-21T06:25:60Z""#, r#""2026-11-21 06:25:22Z""#] {
        let event = check(&format!(r#"{{"stageTimestamp":{time},"verb":"get","auditID":"a"}}"#));
        assert_eq!(note(&event), "made=stageTimestamp", "{time}");
    }
    let nameless =
        check(&format!(r#"{{"verb":"get","stageTimestamp":"{TIME}","annotations":{{"a":"b"}}}}"#));
    let id = nameless["auditID"].as_str().unwrap();
    assert!(id.starts_with("auditrail-") && id.len() > 40, "{id}");
    assert_eq!((note(&nameless), &nameless["annotations"]["a"]), ("made=auditID", &"b".into()));
}

#[test]
fn a_body_that_would_cost_the_whole_request_is_cut_and_the_rest_arrives() {
    let deep = ["[".repeat(400), "]".repeat(400)].concat();
    let event = |request: &str, response: &str| {
        check(&format!(
            r#"{{"auditID":"a","verb":"create","requestObject":{request},"responseObject":{response},"stageTimestamp":"{TIME}"}}"#
        ))
    };
    let named = format!(r#"{{"metadata":{{"name":"web-x7"}},"spec":{deep}}}"#);
    let one = event(r#"{"a":1}"#, &named);
    assert_eq!(one["responseObject"].to_string(), r#"{"metadata":{"name":"web-x7"}}"#);
    assert_eq!((note(&one), &one["requestObject"]["a"]), ("cut=responseObject", &1.into()));
    let other = event("[1 2]", "{}");
    assert_eq!(note(&other), "cut=responseObject,requestObject");
    assert_eq!((&other["verb"], other.get("requestObject")), (&"create".into(), None));
}

#[test]
fn a_torn_line_and_the_text_format_become_events_of_what_can_be_read() {
    let torn = r#"{"kind":"Event","level":"Request","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"create","user":{"username":"eve","groups":["g"]},"sourceIPs":["10.0.0.9"],"objectRef":{"resource":"pods","name":"x"},"requestObject":{"spec":{"conta"#;
    let batch = completed(torn.as_bytes(), false);
    let event: Value = serde_json::from_slice(batch.record(0).line).unwrap();
    assert_eq!((&event["verb"], &event["user"]["username"]), (&"create".into(), &"eve".into()));
    assert_eq!(
        (&event["objectRef"]["name"], note(&event)),
        (&"x".into(), "made=stageTimestamp cut=line")
    );
    let text = r#"2017-03-21T03:57:09.106841886-04:00 AUDIT: id="c9" stage="ResponseComplete" ip="127.0.0.1" method="delete" user="admin" groups="\"system:masters\",\"x\"" as="<self>" asgroups="<lookup>" user-agent="kubectl/\x41" namespace="default" uri="/api/v1/namespaces/default/pods/web" response="200""#;
    let event = check(text);
    assert_eq!(event["user"]["groups"], serde_json::json!(["system:masters", "x"]));
    assert_eq!(event["objectRef"]["resource"], "pods");
    assert_eq!(
        (&event["objectRef"]["name"], &event["userAgent"]),
        (&"web".into(), &"kubectl/A".into())
    );
    assert_eq!((&event["responseStatus"]["code"], &event["auditID"]), (&200.into(), &"c9".into()));
}

#[test]
fn a_line_that_is_no_event_is_left_out_and_counted() {
    for line in ["hello", r#"{"a":1}"#, "[]", "{", r#"{"requestObject":{"verb":"get"}}"#] {
        let batch = completed(line.as_bytes(), true);
        assert_eq!((batch.events.len(), batch.passed.left_out), (0, 1), "{line}");
    }
}

proptest! {
    #[test]
    fn whatever_a_line_holds_what_leaves_is_one_event_that_falco_takes(
        start in prop::sample::select(&["", "{", r#"{"verb":"get""#, r#"{"auditID":7,"stageTimestamp":null,"verb":"#][..]),
        middle in prop::collection::vec(any::<u8>(), 0..60),
        deep in 0..400_usize,
        end in prop::sample::select(&["", "}", r#","stage":"Panic"}"#, r#""}"#][..]),
        ended in any::<bool>(),
    ) {
        let nested = format!(r#","requestObject":{}1{}"#, "[".repeat(deep), "]".repeat(deep));
        let line = [start.as_bytes(), &middle, nested.as_bytes(), end.as_bytes()].concat();
        for line in line.split(|byte| *byte == b'\n') {
            let batch = completed(line, ended);
            for index in 0..batch.events.len() {
                let line = batch.record(index).line;
                prop_assert!(is_strict(line, DEEPEST), "{}", String::from_utf8_lossy(line));
                prop_assert!(EventMembers::of(line).is_some_and(|members| members.are_complete()));
            }
        }
    }
}
