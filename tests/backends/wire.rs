//! The wire format of a push: Loki's own message types, another implementation, decode labels, timestamps, lines and
//! metadata as the agent meant them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::corpus;
use crate::servers::{Process, Server, built, have};
use kit::agent::Agent;
use kit::events::{Expected, Maker, assert_exactly_once, expected, log_of};
use kit::{free_port, http, tables, wait_for};

/// Starts the receiver that decodes pushes; returns it and its URL.
fn receiver(dir: &Path) -> (Process, String) {
    let port = free_port();
    let mut command = Command::new(built("bin/receiver"));
    command.arg(format!("-listen=127.0.0.1:{port}"));
    let mut receiver = Process::start("receiver", &mut command, dir);
    let url = format!("http://127.0.0.1:{port}");
    wait_for("the receiver to listen", Duration::from_secs(30), || {
        receiver.alive()?;
        http::get(&format!("{url}/entries")).map(drop)
    });
    (receiver, url)
}

/// Ships a log to the receiver; returns the decoded entries.
fn shipped(dir: &Path, url: &str, events: usize, more: &str) -> Vec<Value> {
    let config =
        tables::input("apiserver", &dir.join("audit.log")) + &tables::loki(url, "wire", more);
    let mut agent = Agent::start(dir, &config);
    wait_for("all events to be delivered", Duration::from_mins(1), || {
        let delivered = agent.events("loki", "delivered");
        if delivered == events { Ok(()) } else { Err(delivered.to_string()) }
    });
    agent.stop_done();
    let text = http::get(&format!("{url}/entries")).unwrap().body;
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// Metadata is extracted from the event after redaction, whichever fields are configured.
#[test]
fn metadata_never_holds_what_redaction_blanks() {
    if !have(&[Server::Receiver]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let (_receiver, url) = receiver(dir.path());
    let secret = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJkZXBsb3llciIsImV4cCI6MX0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg";
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "2b1f7a54-7f6c-4e51-a1b2-b7d1a9f0c3aa",
        "stage": "ResponseComplete", "requestURI": format!("/api/v1/namespaces/a/services/s/proxy/x?token={secret}&b=c"), "verb": "get",
        "user": {"username": format!("bearer {secret}")}, "impersonatedUser": {"username": format!("bearer {secret}")},
        "sourceIPs": ["203.0.113.9", "10.4.0.9"], "userAgent": format!("curl/8 Authorization: Bearer {secret}"),
        "objectRef": {"resource": "services", "namespace": "a", "name": format!("token={secret}"), "apiGroup": "", "apiVersion": "v1", "subresource": "proxy"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-21T06:25:22.533537Z", "stageTimestamp": "2026-11-21T06:25:22.612771Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    fs::write(dir.path().join("audit.log"), format!("{event}\n")).unwrap();
    let all = "transform = { redact = \"default\" }\nmetadata = [\"audit_level\", \"stage\", \"verb\", \"user\", \"resource\", \
               \"subresource\", \"namespace\", \"name\", \"code\", \"source_ip\", \"user_agent\", \"api_group\", \"decision\", \
               \"impersonated_user\", \"request_uri\"]";
    let entries = shipped(dir.path(), &url, 1, all);
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    let metadata = &entry["metadata"];
    assert!(!entry.to_string().contains(&secret[..40]), "{entry}");
    let line: Value = serde_json::from_str(entry["line"].as_str().unwrap()).unwrap();
    for (name, expected) in [
        ("user", &line["user"]["username"]),
        ("impersonated_user", &line["impersonatedUser"]["username"]),
        ("user_agent", &line["userAgent"]),
        ("request_uri", &line["requestURI"]),
        ("name", &line["objectRef"]["name"]),
        ("source_ip", &json!("10.4.0.9")),
        ("decision", &json!("allow")),
        ("code", &json!("200")),
    ] {
        assert_eq!(&metadata[name], expected, "{name}: {entry}");
    }
    // An empty value counts as missing.
    assert_eq!(metadata.get("api_group"), None, "{entry}");
}

/// Every recorded event, and made ones with bodies that are not UTF-8.
#[test]
fn what_is_pushed_is_decoded_by_lokis_own_types_as_it_was_meant() {
    if !have(&[Server::Receiver]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let (_receiver, url) = receiver(dir.path());
    let mut events = expected(&fs::read(corpus::plain_file(dir.path())).unwrap());
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let (odd, line) = maker.event_with(b"{\"a\":\"\xff\xfe\"}");
    fs::write(dir.path().join("audit.log"), [log_of(&events), line].concat()).unwrap();
    events.push(odd);
    let entries = shipped(dir.path(), &url, events.len(), "tenant = \"team-a\"");
    let found = entries
        .iter()
        .map(|entry| (entry["ns"].as_i64().unwrap(), entry["line"].as_str().unwrap().to_owned()));
    let wanted = events.iter().map(|event| (event.ns, event.line.clone()));
    assert_exactly_once("the receiver", found, wanted);
    // Concurrent pushes arrive in any order.
    let by_line: HashMap<_, _> =
        entries.iter().map(|entry| (entry["line"].as_str(), entry)).collect();
    for event in &events {
        assert_meant(by_line[&Some(&*event.line)], event);
    }
}

fn assert_meant(entry: &Value, event: &Expected) {
    let labels = entry["labels"].as_str().unwrap();
    for label in ["job=\"wire\"", "cluster=\"test\"", "node=\"cp-1\"", "input=\"apiserver\""] {
        assert!(labels.contains(label), "{labels}");
    }
    assert_eq!(entry["tenant"], "team-a");
    let metadata = &entry["metadata"];
    assert_eq!(metadata["stage"], event.stage.as_str(), "{metadata}");
    let Ok(line) = serde_json::from_str::<Value>(&event.line) else { return };
    for (name, value) in [
        ("verb", &line["verb"]),
        ("user", &line["user"]["username"]),
        ("namespace", &line["objectRef"]["namespace"]),
        ("audit_level", &line["level"]),
        (
            "source_ip",
            line["sourceIPs"].as_array().and_then(|ips| ips.last()).unwrap_or(&Value::Null),
        ),
        ("user_agent", &line["userAgent"]),
        ("api_group", &line["objectRef"]["apiGroup"]),
        ("decision", &line["annotations"]["authorization.k8s.io/decision"]),
    ] {
        if let Some(value) = value.as_str().filter(|value| !value.is_empty()) {
            assert_eq!(metadata[name], value, "{name} of {}", event.line);
        }
    }
}
