//! Heartbeats in real stores: they are found by what the documents say, `verify` ignores them, and the rules in `etc/loki`
//! and `etc/elasticsearch` notice a node that sends none any more.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dashboards::logql;
use crate::elastic::Elastic;
use crate::loki::{Loki, job};
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::store::loki::SECOND;
use kit::{http, tables, wait_for};

const LIMIT: Duration = Duration::from_mins(1);
const EVENTS: usize = 50;

/// A log with some events, and an agent that sends heartbeats to these outputs.
fn started(dir: &Path, outputs: &str) -> (Agent, Vec<Expected>) {
    let mut maker = Maker::from_ago(SignedDuration::from_mins(1));
    let events: Vec<_> = (0..EVENTS).map(|_| maker.event(100)).collect();
    let log = dir.join("audit.log");
    fs::write(&log, log_of(&events)).unwrap();
    let config = ["heartbeat = \"1s\"\n", &tables::input("apiserver", &log), outputs].concat();
    (Agent::start(dir, &config), events)
}

/// Waits until an output has confirmed this many heartbeats.
fn wait_beats(agent: &Agent, output: &str, beats: u64) {
    wait_for("heartbeats", LIMIT, || {
        let labels = [("output", output), ("result", "delivered")];
        let found = agent.count("auditrail_heartbeats_total", &labels);
        if found >= beats { Ok(()) } else { Err(found.to_string()) }
    });
}

/// `verify` finds each event once, and nothing else.
fn verified(agent: &Agent, pairs: usize) {
    let (code, out, error) = agent.command(&["verify", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    let all = told["pairs"].as_array().unwrap();
    assert_eq!((code, all.len()), (Some(0), pairs), "{out}{error}");
    for pair in all {
        let total = &pair["total"];
        for key in ["on_disk", "in_store"] {
            assert_eq!(total[key], EVENTS, "{key}: {out}");
        }
        for key in ["missing", "doubled", "extra", "different"] {
            assert_eq!(total[key], 0, "{key}: {out}");
        }
        assert!(!pair.to_string().contains("heartbeat"), "{pair}");
    }
}

/// The expression of each rule for Loki.
fn rules() -> Vec<(String, String)> {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/loki/auditrail.rules.yaml"),
    );
    let text = text.unwrap();
    let rule = |part: &str| {
        let name = part.lines().next().unwrap().to_owned();
        let expression = part.split("expr: ").nth(1).unwrap().split("labels: {severity").next();
        (name, expression.unwrap().trim_start_matches('|').trim().to_owned())
    };
    text.split("- alert: ").skip(1).map(rule).collect()
}

/// Which rules have rows, so many minutes from now.
fn firing(streams: &Value, minutes: i64) -> Vec<String> {
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap() + minutes * 60 * SECOND;
    let rules = rules();
    let asked: Vec<_> = rules
        .iter()
        .map(|(_, text)| json!({"text": text, "start": now, "end": now, "step": 0}))
        .collect();
    let found = logql(streams, &asked);
    let rows = |found: Result<(u64, u64), String>| found.unwrap().0 > 0;
    rules
        .into_iter()
        .zip(found)
        .filter(|(_, found)| rows(found.clone()))
        .map(|((name, _), _)| name)
        .collect()
}

/// The heartbeats of this job, as the engine takes them.
fn heartbeats(loki: &Loki, job: &str) -> (Value, usize) {
    let selector = http::escape(&format!("{{job=\"{job}\", auditrail=\"heartbeat\"}}"));
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    let (from, to) = (now - 600 * SECOND, now + 60 * SECOND);
    let url = format!(
        "{}/loki/api/v1/query_range?query={selector}&start={from}&end={to}&limit=1000&direction=forward",
        loki.url()
    );
    let answer = http::get(&url).unwrap().json().unwrap();
    let mut count = 0;
    let streams = answer["data"]["result"].as_array().unwrap().iter().map(|stream| {
        let labels = ["auditrail", "cluster", "input", "job", "node"];
        let labels = labels.map(|name| format!("{name}={}", stream["stream"][name]));
        let entries = stream["values"].as_array().unwrap();
        count += entries.len();
        let entry = |entry: &Value| json!({"at": entry[0].as_str().unwrap().parse::<i64>().unwrap(), "line": entry[1]});
        let entries: Vec<_> = entries.iter().map(entry).collect();
        json!({"labels": format!("{{{}}}", labels.join(", ")), "entries": entries})
    });
    let streams = streams.collect();
    (streams, count)
}

#[test]
fn in_loki_a_killed_node_is_absent_within_its_time_and_no_event_is_counted_twice() {
    let loki = Loki::raised();
    let (job, selector) = job("heartbeats");
    let dir = TempDir::new().unwrap();
    let (mut agent, events) = started(dir.path(), &tables::loki(&loki.url(), &job, ""));
    loki.wait_count(&selector, &events, LIMIT);
    wait_beats(&agent, "loki", 3);
    agent.kill();
    agent.resume();
    wait_beats(&agent, "loki", 2);
    verified(&agent, 1);
    agent.kill();

    let (streams, count) = heartbeats(&loki, &job);
    assert!(count >= 5, "{count}");
    let mut ids: Vec<_> = streams[0]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let line: Value = serde_json::from_str(entry["line"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&line["kind"], &line["heartbeat"]["state"]),
                (&"Heartbeat".into(), &"whole".into())
            );
            line["auditID"].to_string()
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "one in a slot");
    if !have(&[Server::LogQl]) {
        return;
    }
    assert_eq!(firing(&streams, 0), [""; 0]);
    assert_eq!(firing(&streams, 17), ["AuditrailHeartbeatAbsent", "AuditrailHeartbeatsAllAbsent"]);
    assert_eq!(
        firing(&streams, 26 * 60),
        ["AuditrailHeartbeatsAllAbsent"],
        "a node that was removed"
    );
    let stopped = streams.to_string().replace(r#"\"state\":\"whole\""#, r#"\"state\":\"stopped\""#);
    let stopped: Value = serde_json::from_str(&stopped).unwrap();
    assert_eq!(firing(&stopped, 0), ["AuditrailHeartbeatSaysStopped"]);
}

/// The nodes that the monitor names, so many minutes from now; in Elastic's layout or the flat one.
fn absent(elastic: &Elastic, target: &str, elastic_layout: bool, minutes: i64) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("etc/elasticsearch/heartbeat-absent.opensearch.json");
    let now = Timestamp::now() + SignedDuration::from_mins(minutes);
    let mut text = fs::read_to_string(file).unwrap().replace("\"now-", &format!("\"{now:.3}||-"));
    if elastic_layout {
        text = text
            .replace("kind.keyword", "kubernetes.audit.kind")
            .replace("node.keyword", "host.name");
    }
    let monitor: Value = serde_json::from_str(&text).unwrap();
    let query = &monitor["inputs"][0]["search"]["query"];
    elastic.ask("POST", &format!("/{target}/_refresh"), "").unwrap();
    let answer = elastic.ask("POST", &format!("/{target}/_search"), &query.to_string()).unwrap();
    let buckets = answer["aggregations"]["nodes"]["buckets"].as_array();
    let buckets = buckets.unwrap_or_else(|| panic!("{answer}"));
    buckets.iter().map(|bucket| bucket["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn in_opensearch_a_killed_node_is_absent_within_its_time_in_both_layouts() {
    if !have(&[Server::OpenSearch3]) {
        return;
    }
    let elastic = Elastic::shared();
    let (stream, index) = ("logs-kubernetes.audit_logs-heartbeats", "kubernetes-audit-heartbeats");
    let flat = format!(
        "[outputs.flat]\ntype = \"elasticsearch\"\nendpoints = [\"{}\"]\nindex = \"{index}\"\n\
         layout = \"flat\"\nsetup_template = \"never\"\n",
        elastic.url()
    );
    let dir = TempDir::new().unwrap();
    let outputs = tables::elasticsearch(&elastic.url(), stream, "") + &flat;
    let (mut agent, _) = started(dir.path(), &outputs);
    for output in ["elasticsearch", "flat"] {
        wait_beats(&agent, output, 3);
    }
    agent.kill();
    agent.resume();
    for (output, target) in [("elasticsearch", stream), ("flat", index)] {
        wait_beats(&agent, output, 2);
        elastic.wait_count(target, EVENTS + 5, LIMIT);
    }
    verified(&agent, 2);
    agent.kill();

    elastic.ask("POST", &format!("/{stream}/_refresh"), "").unwrap();
    for (field, value) in [
        ("kubernetes.audit.kind", "Heartbeat"),
        ("event.kind", "state"),
        ("event.action", "heartbeat"),
        ("kubernetes.audit.heartbeat.state", "whole"),
        ("kubernetes.audit.heartbeat.output", "elasticsearch"),
    ] {
        assert!(elastic.search(stream, field, value, &[]).len() >= 5, "{field}");
    }
    for (target, elastic_layout) in [(stream, true), (index, false)] {
        let absent = |minutes| absent(&elastic, target, elastic_layout, minutes);
        assert_eq!(absent(0), [""; 0], "{target}");
        assert_eq!(absent(17), ["cp-1"], "{target}");
        assert_eq!(absent(26 * 60), [""; 0], "a node that was removed: {target}");
    }
}
