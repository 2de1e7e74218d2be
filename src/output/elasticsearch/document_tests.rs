//! Compares our documents with a slow, independent implementation of the integration's pipeline.

use serde_json::{Map, Value, json};

use super::super::tests::{RECORDED, batch};
use super::*;
use crate::config::Compression;
use crate::event::{
    Batch, Extent, Fingerprint, GapFacts, GapPlace, GapRecord, HeartbeatFacts, HeartbeatNames,
    HeartbeatRecord, RecordNames,
};

/// The time at which the documents are sent.
const SENT: Nanos = 1_795_242_400_000_000_000;

fn stream() -> Target {
    Target::DataStream("logs-kubernetes.audit_logs-default".to_owned())
}

fn written(batch: &Batch, index: usize, layout: Layout, fallback: bool) -> (bool, Vec<u8>) {
    let mut out = Body::new(Compression::None, 0);
    let path = Path::new("/var/log/kubernetes/audit \"1\".log");
    let frame = DocumentFrame::new(layout, &stream(), "cp-\"1\"", Some("prod"), Some(path));
    let fallback = frame.write(batch.record(index), fallback, SENT, &mut out);
    (fallback, out.finish().unwrap().to_vec())
}

#[track_caller]
fn document(line: &[u8], layout: Layout, fallback: bool) -> (bool, Value) {
    let (fallback, bytes) = written(&batch(&[line]), 0, layout, fallback);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (fallback, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// The pipeline's document for a line, step by step under the names of the steps.
fn pipeline(line: &str) -> Value {
    let mut audit: Value = serde_json::from_str(line).unwrap();
    let mut event = json!({
        "kind": "event",
        "dataset": "kubernetes.audit_logs",
        "action": audit["verb"],
        "ingested": "2026-11-21T06:26:40Z",
    });
    if let Some(annotations) = audit.get("annotations").cloned() {
        match annotations["authorization.k8s.io/decision"].as_str() {
            Some("allow") => event["outcome"] = "success".into(),
            Some("forbid") => event["outcome"] = "failure".into(),
            _ => (),
        }
        let renamed: Map<_, _> = annotations
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.replace('.', "_"), value.clone()))
            .collect();
        audit["annotations"] = renamed.into();
    }
    let source = audit["sourceIPs"].clone();
    let mut related_ips: Vec<Value> = Vec::new();
    for ip in source.as_array().into_iter().flatten() {
        if !related_ips.contains(ip) {
            related_ips.push(ip.clone());
        }
    }
    let mut related: Vec<Value> = Vec::new();
    for user in [&audit["user"]["uid"], &audit["user"]["username"]] {
        if !related.contains(user) {
            related.push(user.clone());
        }
    }
    let time: jiff::Timestamp = audit["stageTimestamp"].as_str().unwrap().parse().unwrap();
    let mut document = json!({
        "@timestamp": time.to_string(),
        "ecs": { "version": "8.11.0" },
        "data_stream": { "type": "logs", "dataset": "kubernetes.audit_logs", "namespace": "default" },
        "host": { "name": "cp-\"1\"" },
        "agent": { "type": "auditrail", "version": env!("CARGO_PKG_VERSION") },
        "input": { "type": "file" },
        "log": { "offset": 0, "file": { "path": "/var/log/kubernetes/audit \"1\".log" } },
        "event": event,
        "orchestrator": {
            "type": "kubernetes",
            "cluster": { "name": "prod" },
            "api_version": audit["apiVersion"],
            "namespace": audit["objectRef"]["namespace"],
            "resource": { "type": audit["objectRef"]["resource"], "name": audit["objectRef"]["name"] },
        },
        "user": { "name": audit["user"]["username"], "id": audit["user"]["uid"] },
        "user_agent": { "original": audit["userAgent"] },
        "source": { "ip": source },
        "client": { "ip": source },
        "related": { "user": related, "ip": related_ips },
        "kubernetes": { "audit": audit },
    });
    without_empty(&mut document);
    document
}

/// The last step of the pipeline: removes empty members.
fn without_empty(value: &mut Value) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(all) => {
            all.values_mut().for_each(without_empty);
            all.retain(|_, value| !empty(value));
        }
        Value::Array(all) => {
            all.iter_mut().for_each(without_empty);
            all.retain(|value| !empty(value));
        }
        _ => (),
    }
}

#[test]
fn recorded_events_become_what_the_integration_makes_of_them() {
    for line in RECORDED.lines() {
        let (fallback, mut document) = document(line.as_bytes(), Layout::Elastic, false);
        without_empty(&mut document);
        assert!(!fallback);
        assert_eq!(document, pipeline(line), "from {line}");
    }
}

#[test]
fn bodies_and_all_else_of_the_line_are_the_same_bytes() {
    for line in RECORDED.lines() {
        let (_, bytes) = written(&batch(&[line.as_bytes()]), 0, Layout::Elastic, false);
        let text = String::from_utf8(bytes).unwrap();
        let until = line.find("\"annotations\":").unwrap_or(line.len());
        assert!(text.contains(&line[..until]), "{text}");
        let (_, flat) = written(&batch(&[line.as_bytes()]), 0, Layout::Flat, false);
        assert!(flat.ends_with(&line.as_bytes()[1..]));
    }
}

#[test]
fn a_flat_document_has_the_events_fields_at_the_top() {
    for line in RECORDED.lines() {
        let (_, mut document) = document(line.as_bytes(), Layout::Flat, false);
        let top = document.as_object_mut().unwrap();
        assert_eq!(top.remove("cluster"), Some(json!("prod")));
        assert_eq!(top.remove("node"), Some(json!("cp-\"1\"")));
        assert!(top.remove("@timestamp").is_some());
        assert_eq!(document, serde_json::from_str::<Value>(line).unwrap());
    }
}

#[test]
fn each_address_on_the_way_can_be_searched_for_and_what_is_none_is_left_out() {
    let seen = |ips: &str| {
        let line = format!(
            r#"{{"kind":"Event","sourceIPs":{ips},"stageTimestamp":"2026-01-01T00:00:00Z"}}"#
        );
        let (_, document) = document(line.as_bytes(), Layout::Elastic, false);
        assert_eq!(document["source"], document["client"]);
        (document["source"]["ip"].clone(), document["related"]["ip"].clone())
    };
    let same = |value: Value| (value.clone(), value);
    assert_eq!(seen(r#"["8.8.8.8","10.0.0.7"]"#), same(json!(["8.8.8.8", "10.0.0.7"])));
    assert_eq!(seen(r#"["8.8.8.8","fd00::7"]"#), same(json!(["8.8.8.8", "fd00::7"])));
    assert_eq!(seen(r#"["junk",7,"10.0.0.7"]"#), same(json!(["10.0.0.7"])));
    assert_eq!(
        seen(r#"["10.0.0.7","8.8.8.8","10.0.0.7"]"#),
        (json!(["10.0.0.7", "8.8.8.8", "10.0.0.7"]), json!(["10.0.0.7", "8.8.8.8"]))
    );
    assert_eq!(seen("[]"), same(Value::Null));
    assert_eq!(seen(r#"["junk"]"#), same(Value::Null));
}

/// A client may send a header with thousands of addresses.
#[test]
fn of_very_many_addresses_those_nearest_to_the_server_are_repeated() {
    let all: Vec<_> = (0..5000).map(|n| format!("\"10.0.{}.{}\"", n / 250, n % 250)).collect();
    let line = format!(r#"{{"kind":"Event","sourceIPs":[{}]}}"#, all.join(","));
    let (_, document) = document(line.as_bytes(), Layout::Elastic, false);
    let seen = document["source"]["ip"].as_array().unwrap();
    assert_eq!((seen.len(), &seen[15]), (16, &json!("10.0.19.249")));
    assert_eq!(document["kubernetes"]["audit"]["sourceIPs"].as_array().unwrap().len(), 5000);
}

#[test]
fn events_with_next_to_nothing_in_them_are_still_documents() {
    for line in [
        r#"{"user":{}}"#,
        r#"{"annotations":{}}"#,
        r#"{"user":{"uid":"u"},"objectRef":{"name":"n"}}"#,
        "{\"annotations\":{\"a.b\":\"c.d\"}}",
    ] {
        for layout in [Layout::Elastic, Layout::Flat] {
            for fallback in [false, true] {
                document(line.as_bytes(), layout, fallback);
            }
        }
    }
}

/// Reference section 1.2: none of these lines may be lost, and none may be refused.
#[test]
fn a_hostile_line_goes_out_in_safe_form_with_its_fields_and_its_whole_text() {
    let bodies: [&[u8]; 3] = [
        b"{\"a\":\"\xff\xfe\"}",
        &[b"[".repeat(2000), b"]".repeat(2000)].concat(),
        b"\"\xed\xa0\x80\"",
    ];
    for body in bodies {
        let head = br#"{"kind":"Event","verb":"patch","user":{"username":"eve\"\u0001","groups":["a","b"]},"requestObject":"#;
        let tail = br#","responseStatus":{"code":403},"stageTimestamp":"2026-01-01T00:00:00Z","annotations":{"authorization.k8s.io/decision":"forbid"}}"#;
        let line = [&head[..], body, tail].concat();
        for layout in [Layout::Elastic, Layout::Flat] {
            let (fallback, document) = document(&line, layout, false);
            let audit = if layout == Layout::Elastic {
                &document["kubernetes"]["audit"]
            } else {
                &document
            };
            assert!(fallback);
            assert_eq!(audit["user"], json!({ "username": "eve\"\u{1}", "groups": ["a", "b"] }));
            assert_eq!(
                (&audit["verb"], &audit["responseStatus"]["code"]),
                (&json!("patch"), &json!(403))
            );
            assert_eq!(audit.get("requestObject"), None);
            assert_eq!(document["event"]["original"], String::from_utf8_lossy(&line).as_ref());
            if layout == Layout::Elastic {
                assert_eq!(
                    (&document["event"]["outcome"], &document["user"]["name"]),
                    (&json!("failure"), &json!("eve\"\u{1}"))
                );
            }
        }
    }
}

#[test]
fn in_safe_form_no_string_is_longer_than_an_index_takes_but_the_line_itself() {
    let long = "é".repeat(40_000);
    let line = format!(
        r#"{{"kind":"Event","requestURI":"{long}","auditID":"{long}","stageTimestamp":"not a time"}}"#
    );
    let (_, document) = document(line.as_bytes(), Layout::Elastic, true);
    let audit = &document["kubernetes"]["audit"];
    assert_eq!(audit["requestURI"].as_str().unwrap().len(), 1024);
    assert_eq!(audit.get("stageTimestamp"), None);
    assert_eq!(document["event"]["original"], line);
}

#[test]
fn a_gap_is_told_from_events_in_each_layout_and_form() {
    let place = GapPlace {
        generation: Fingerprint([7; 16]),
        altered: 0,
        offset: 5,
        extent: Extent::Rest,
        reason: "backup_gone".to_owned(),
    };
    let facts = GapFacts {
        names: RecordNames { node: "cp-1", cluster: Some("prod"), input: "api", output: "es" },
        file: "audit.log",
        bytes: 7,
        at_least: true,
        times: 1,
        from: None,
        to: None,
    };
    let gap = GapRecord::new(place, facts, "it is gone", 1_000).unwrap();
    let batch = GapRecord::batch([&gap]);
    for (layout, fallback) in [
        (Layout::Elastic, false),
        (Layout::Elastic, true),
        (Layout::Flat, false),
        (Layout::Flat, true),
    ] {
        let (in_safe_form, bytes) = written(&batch, 0, layout, fallback);
        assert_eq!(in_safe_form, fallback);
        // A store would refuse duplicate names.
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let again = serde_json::to_vec(&document).unwrap();
        assert_eq!(again.len(), bytes.len(), "{}", String::from_utf8_lossy(&bytes));
        let audit = match layout {
            Layout::Elastic => &document["kubernetes"]["audit"],
            Layout::Flat => &document,
        };
        assert_eq!((&audit["kind"], &audit["stage"]), (&json!("Gap"), &json!("Gap")));
        assert_eq!(audit["auditID"], gap.id.to_string());
        assert_eq!(document["@timestamp"], "1970-01-01T00:00:00.000001Z");
        if layout == Layout::Elastic {
            let event = &document["event"];
            assert_eq!(
                (&event["kind"], &event["action"], &event["outcome"]),
                (&json!("pipeline_error"), &json!("gap"), &json!("failure"))
            );
            assert_eq!(document["log"]["offset"], 5);
        }
        if fallback {
            assert_eq!(document["event"]["original"], gap.line);
        } else {
            assert_eq!(
                (&audit["gap"]["bytes_at_least"], &audit["message"]),
                (&json!(7), &json!("it is gone"))
            );
        }
    }
}

#[test]
fn a_heartbeat_is_a_document_of_its_own_kind_in_each_layout() {
    let (node, cluster, input, output) = ("cp-1", Some("prod"), "api", "es");
    let names = RecordNames { node, cluster, input, output };
    let names = HeartbeatNames { names, interval_seconds: 300 };
    let facts = HeartbeatFacts { state: "behind", why: "late", ..HeartbeatFacts::default() };
    let batch = HeartbeatRecord::new(names, facts, 0, 1_000).unwrap().batch();
    for layout in [Layout::Elastic, Layout::Flat] {
        let (in_safe_form, bytes) = written(&batch, 0, layout, false);
        assert!(!in_safe_form);
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let again = serde_json::to_vec(&document).unwrap();
        assert_eq!(again.len(), bytes.len(), "{}", String::from_utf8_lossy(&bytes));
        let audit = match layout {
            Layout::Elastic => &document["kubernetes"]["audit"],
            Layout::Flat => &document,
        };
        let state = &audit["heartbeat"]["state"];
        assert_eq!((&audit["kind"], state), (&json!("Heartbeat"), &json!("behind")));
        if layout == Layout::Elastic {
            let event = &document["event"];
            let told = (&event["kind"], &event["action"], event.get("outcome"));
            assert_eq!(told, (&json!("state"), &json!("heartbeat"), None));
        }
    }
}

#[test]
fn what_is_no_event_is_kept_as_text() {
    let (fallback, document) =
        document(b"E1121 panic: \xc3\x28 {\"kind\":", Layout::Elastic, false);
    assert!(fallback);
    assert_eq!(document["event"]["original"], "E1121 panic: \u{fffd}( {\"kind\":");
}

proptest::proptest! {
    /// No line makes it panic, and the safe form is always JSON.
    #[test]
    fn the_safe_form_of_anything_is_json(line in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        document(&line, Layout::Elastic, true);
        document(&[b"{\"verb\":\"", &line[..], b"\"}"].concat(), Layout::Flat, true);
    }
}
