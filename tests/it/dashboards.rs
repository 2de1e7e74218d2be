//! The dashboards in `etc/grafana`: what Grafana needs to load them, and each query of the agent's dashboard in a real
//! Prometheus. Queries to Loki and Elasticsearch are in `tests/backends/dashboards.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::command::{exceeded_by_few, recorded, root};
use crate::docs::check_metrics;
use crate::prometheus::Prometheus;
use crate::sources::read;
use kit::agent::Agent;
use kit::grafana::{dashboard, filled, queries};
use kit::log_writer::LogWriter;
use kit::{FakeStore, free_port, tables, wait_for};

/// Each dashboard and the kind of its data source.
const ALL: &[(&str, &str)] = &[
    ("agent.json", "prometheus"),
    ("trail-elasticsearch.json", "elasticsearch"),
    ("trail-loki.json", "loki"),
];

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

#[test]
fn a_dashboard_loads_in_any_grafana_and_asks_the_data_source_that_the_reader_chooses() {
    let shipped = ["logs", "row", "stat", "table", "timeseries"];
    let mut uids = BTreeSet::new();
    for (file, source) in ALL {
        let dashboard = dashboard(file);
        assert!(uids.insert(dashboard["uid"].to_string()), "{file}: another one has its uid");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let chosen = variables.iter().find(|one| one["type"] == "datasource").unwrap();
        assert_eq!((&chosen["name"], &chosen["query"]), (&"datasource".into(), &(*source).into()));
        let names: BTreeSet<_> =
            variables.iter().map(|one| one["name"].as_str().unwrap()).collect();
        for panel in panels(&dashboard) {
            let kind = panel["type"].as_str().unwrap();
            assert!(shipped.contains(&kind), "{file}: {kind} may be a plugin");
            if kind != "row" {
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {panel}");
                assert_eq!(panel["datasource"]["type"], *source, "{file}: {panel}");
            }
        }
        for query in queries(&dashboard) {
            for part in query.target.to_string().split('$').skip(1) {
                let name: String =
                    part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let known = names.contains(name.as_str()) || name.starts_with("__");
                assert!(known, "{file}: {}: ${name} is no variable", query.panel);
            }
        }
    }
}

#[test]
fn panels_have_ids_of_their_own_and_lie_beside_each_other() {
    for (file, _) in ALL {
        let dashboard = dashboard(file);
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(&dashboard) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {panel}");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{file}: {panel}");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{file}: {panel} covers another one");
                }
            }
        }
    }
}

#[test]
fn the_trail_looks_the_same_from_loki_and_from_elasticsearch() {
    let shape = |file| -> Vec<_> {
        let dashboard = dashboard(file);
        let shape = |panel: &Value| {
            ["type", "title", "gridPos"].map(|key| panel[key].to_string()).join(" ")
        };
        panels(&dashboard).iter().map(shape).collect()
    };
    assert_eq!(shape("trail-loki.json"), shape("trail-elasticsearch.json"));
}

#[test]
fn every_metric_of_the_agents_dashboard_is_exposed() {
    let file = "etc/grafana/agent.json";
    // The dashboard's uid begins like a metric.
    assert!(check_metrics(Path::new(file), &read(file)) > 40);
}

/// An agent with every kind of trouble: an output that is down, one that refuses some events, a hole in the log, and a
/// file that nobody follows.
fn troubled(dir: &Path, store: &FakeStore) -> (Agent, LogWriter) {
    let log = dir.join("log/audit.log");
    fs::create_dir(dir.join("log")).unwrap();
    for entry in fs::read_dir(root().join("etc/recorded/audit")).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, log.with_file_name(from.file_name().unwrap())).unwrap();
    }
    fs::write(log.with_file_name("audit.log.old.zst"), "\n").unwrap();
    let mut writer = LogWriter::new(&log);
    writer.append(&[&[0; 200][..], b"\n"].concat());
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let config = [
        "heartbeat = \"1s\"\n".to_owned(),
        tables::input("apiserver", &log),
        tables::elasticsearch(&nobody, "logs-kubernetes.audit_logs-down", ""),
        tables::search(&store.url, "").replace("300ms", "5s"),
        tables::archive(&dir.join("archive.ndjson")),
    ];
    (Agent::start(dir, &config.concat()), writer)
}

#[test]
fn every_query_of_the_agents_dashboard_returns_rows_from_prometheus_and_every_rule_can_be_evaluated()
 {
    let dir = tempfile::tempdir().unwrap();
    let store = FakeStore::refusing_longer(exceeded_by_few());
    let (agent, mut writer) = troubled(dir.path(), &store);
    let rules = root().join("etc/prometheus/auditrail.rules.yaml");
    let Some(prometheus) = Prometheus::start(dir.path(), agent.port(), &rules) else { return };

    let events = recorded();
    let mut lines = events.split_inclusive(|byte| *byte == b'\n');
    let values = [("instance", ".*"), ("input", ".*"), ("output", ".*"), ("__rate_interval", "1m")];
    let mut open: Vec<_> = queries(&dashboard("agent.json"))
        .into_iter()
        .map(|query| (query.panel, filled(query.target["expr"].as_str().unwrap(), &values)))
        .collect();
    assert!(open.len() > 40);
    wait_for("every query to return rows", Duration::from_mins(2), || {
        // The rates are those of a log that grows.
        writer.append(&lines.by_ref().take(20).collect::<Vec<_>>().concat());
        thread::sleep(Duration::from_secs(1));
        open.retain(|(_, query)| !prometheus.rows(query).is_ok_and(|rows| rows > 0));
        if open.is_empty() { Ok(()) } else { Err(format!("{open:#?}")) }
    });

    for name in ["instance", "input", "output"] {
        let question = format!("label/{name}/values?match[]=auditrail_output_whole");
        assert!(!prometheus.ask(&question).unwrap().as_array().unwrap().is_empty(), "{name}");
    }
    wait_for("every rule to be evaluated", Duration::from_mins(1), || {
        let data = prometheus.ask("rules")?;
        let groups = data["groups"].as_array().ok_or("no groups")?;
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let bad: Vec<_> = rules.filter(|rule| rule["health"] != "ok").collect();
        if bad.is_empty() && !groups.is_empty() { Ok(()) } else { Err(format!("{bad:#?}")) }
    });
}
