//! Tests of the Falco output: bodies, answers, and how an absence is noticed.

use std::time::Duration;

use super::*;
use crate::event::{
    Event, Fields, Fingerprint, Form, RecordKind, RetryReason, Span, TransformStats,
};

fn batch(lines: &[&str]) -> Batch {
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    for line in lines {
        let start = bytes.len();
        bytes.extend_from_slice(line.as_bytes());
        events.push(Event {
            offset: start as u64,
            whole: RecordKind::Event,
            form: Form::Json,
            line: Span::new(start, bytes.len()),
            time: 0,
            fields: Fields::default(),
            depth: 1,
        });
    }
    let (generation, passed) = (Fingerprint([1; 16]), TransformStats::default());
    Batch { generation, earlier: Vec::new(), start: 0, end: 1, bytes, events, passed }
}

#[test]
fn a_body_is_one_event_list_of_the_lines_as_they_are() {
    let batch = batch(&[r#"{"auditID":"a"}"#, r#"{"kind":"Gap"}"#, "{}"]);
    let body = body(&batch, &[EventRef::new(0), EventRef::new(1)]);
    let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(value["kind"], "EventList");
    assert_eq!(value["items"], serde_json::json!([{"auditID": "a"}, {"kind": "Gap"}]));
    assert!(body.len() as u64 <= body_bytes(batch.bytes.len() as u64, 2));
}

/// Falco's own answers (`source.go` of the plugin), Go's and those of proxies.
#[test]
fn each_answer_has_its_verdict() {
    let name = |verdict: Verdict| match verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Retry { reason, .. } => format!("retry {reason}"),
        Verdict::TooLarge { own: true, .. } => "halve".to_owned(),
        Verdict::TooLarge { .. } => "halve, then wait".to_owned(),
        Verdict::Stop { hint, .. } => format!("stop: {hint}"),
        other => format!("{other:?}"),
    };
    let table = [
        (200, "", "delivered"),
        (200, "<html>Sign in", "stop: this is no answer of Falco"),
        (200, "ok", "stop: this is no answer of Falco"),
        (202, "", "stop: this is no answer of Falco"),
        (400, "wrong Content Type\n", "stop: a proxy in front of Falco changes"),
        (400, "bad request: http: request body too large\n", "halve"),
        (400, "no bad request: \n", "halve, then wait"),
        (400, "", "halve, then wait"),
        (400, "Client sent an HTTP request to an HTTPS server.\n", "stop: the server speaks HTTPS"),
        (400, "<html>blocked", "stop: this is no answer of Falco"),
        (401, "", "stop: something in front of Falco"),
        (404, "404 page not found\n", "stop: Falco does not listen at this path"),
        (405, "POST method not allowed\n", "stop: Falco does not listen at this path"),
        (408, "", "retry timeout"),
        (413, "", "halve, then wait"),
        (429, "", "retry throttled"),
        (500, "", "retry server_error"),
        (503, "", "retry server_error"),
        (302, "", "stop: the endpoint redirects"),
    ];
    for (status, text, expected) in table {
        let response = Response { status, body: text.into(), ..Response::default() };
        let judged = name(verdict::judge(&response));
        assert!(judged.starts_with(expected), "{status} {text}: {judged}");
        if !expected.contains(':') {
            assert_eq!(judged, expected, "{status} {text}");
        }
    }
}

#[test]
fn an_absence_is_noticed_once_whether_an_answer_failed_or_the_connection_is_a_new_one() {
    let watch = AwayWatch::default();
    let (now, ok) = (Instant::now(), || Ok(Response { status: 200, ..Response::default() }));
    let away = |answered, opened, seconds| {
        watch.note(&answered, opened, now + Duration::from_secs(seconds));
        watch.away.swap(false, Relaxed)
    };
    assert!(!away(ok(), 1, 0), "the first answer of this process");
    assert!(!away(ok(), 1, 1));
    assert!(away(ok(), 2, 2), "Falco was restarted between two bodies");
    assert!(!away(ok(), 2, 3));
    assert!(!away(ok(), 3, 300), "the client closes a connection that is not used for long");
    let lost = Failure::Lost { reason: RetryReason::ConnectionLost, answer: String::new() };
    assert!(away(Err(lost), 3, 301));
    assert!(away(Err(Failure::NotSent { answer: String::new() }), 3, 302));
    let setup = Failure::Setup { answer: String::new(), hint: String::new() };
    assert!(!away(Err(setup), 3, 303));
}
