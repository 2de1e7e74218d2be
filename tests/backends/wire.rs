//! What a push means to Loki's own message types: labels, times, lines and metadata, as another implementation decodes them.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;

use crate::corpus;
use crate::servers::{Process, Server, built, have};
use crate::support::agent::Agent;
use crate::support::events::{Expected, Maker, assert_exactly_once, expected, log_of};
use crate::support::{free_port, http, tables, wait_for};

/// Every recorded event, and made ones with bodies that are not UTF-8.
#[test]
fn what_is_pushed_is_decoded_by_lokis_own_types_as_it_was_meant() {
    if !have(&[Server::Receiver]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let port = free_port();
    let mut command = Command::new(built("bin/receiver"));
    command.arg(format!("-listen=127.0.0.1:{port}"));
    let mut receiver = Process::start("receiver", &mut command, dir.path());
    let url = format!("http://127.0.0.1:{port}");
    wait_for("the receiver to listen", Duration::from_secs(30), || {
        receiver.alive()?;
        http::get(&format!("{url}/entries")).map(drop)
    });
    let mut events = expected(&fs::read(corpus::plain_file(dir.path())).unwrap());
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let (odd, line) = maker.event_with(b"{\"a\":\"\xff\xfe\"}");
    fs::write(dir.path().join("audit.log"), [log_of(&events), line].concat()).unwrap();
    events.push(odd);
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::loki(&url, "wire", "tenant = \"team-a\"");
    let mut agent = Agent::start(dir.path(), &config);
    wait_for("all events to be delivered", Duration::from_mins(1), || {
        let delivered = agent.events("loki", "delivered");
        if delivered == events.len() { Ok(()) } else { Err(delivered.to_string()) }
    });
    agent.stop_done();
    let text = http::get(&format!("{url}/entries")).unwrap().body;
    let entries: Vec<Value> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let found = entries
        .iter()
        .map(|entry| (entry["ns"].as_i64().unwrap(), entry["line"].as_str().unwrap().to_owned()));
    let wanted = events.iter().map(|event| (event.ns, event.line.clone()));
    assert_exactly_once("the receiver", found, wanted);
    // Pushes under way at once arrive in any order.
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
    ] {
        if let Some(value) = value.as_str().filter(|value| !value.is_empty()) {
            assert_eq!(metadata[name], value, "{name} of {}", event.line);
        }
    }
}
