//! The dashboards of the trail in `etc/grafana`: the agent delivers the recorded log, and each of their queries returns
//! rows; those that show one number show the right one.
//!
//! Queries to Elasticsearch run in `OpenSearch`, as Grafana sends them. Queries in `LogQL` run in the parser and the
//! engine of Loki 2.2, over what the agent delivered to the stand-in; or in a Loki of the user's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::elastic::{self, Elastic};
use crate::loki::{Loki, job};
use crate::servers::{Server, built, have};
use kit::agent::Agent;
use kit::events::{Expected, expected};
use kit::grafana::{Query, dashboard, filled, queries};
use kit::store::loki::{HOUR, SECOND};
use kit::{http, tables};

const LIMIT: Duration = Duration::from_mins(2);
const STREAM: &str = "logs-kubernetes.audit_logs-dashboards";

/// Copies the recorded log to a folder, and adds a hole, which the agent reports as a gap.
fn copied(dir: &Path) -> (PathBuf, Vec<Expected>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/recorded/audit");
    let log = dir.join("log/audit.log");
    fs::create_dir(log.parent().unwrap()).unwrap();
    let mut events = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, log.with_file_name(from.file_name().unwrap())).unwrap();
        if !from.ends_with("README.md") {
            events.extend(expected(&crate::corpus::read(&from).unwrap()));
        }
    }
    let mut live = fs::File::options().append(true).open(&log).unwrap();
    live.write_all(&[0; 200]).unwrap();
    live.write_all(b"\n").unwrap();
    (log, events)
}

/// What the panels with one number have to show.
fn numbers(events: &[Expected]) -> BTreeMap<&'static str, u64> {
    let events: Vec<Value> =
        events.iter().map(|event| serde_json::from_str(&event.line).unwrap()).collect();
    let count = |wanted: &dyn Fn(&Value) -> bool| {
        let done = events.iter().filter(|event| event["stage"] == "ResponseComplete");
        done.filter(|event| wanted(event)).count() as u64
    };
    let object = |event: &Value, key: &str| event["objectRef"][key].as_str().map(str::to_owned);
    let is = |event: &Value, key: &str, wanted: &[&str]| {
        object(event, key).is_some_and(|found| wanted.contains(&found.as_str()))
    };
    let verb = |event: &Value, wanted: &[&str]| wanted.contains(&event["verb"].as_str().unwrap());
    let change = ["create", "update", "patch", "delete", "deletecollection"];
    let numbers = BTreeMap::from([
        ("Events", count(&|_| true)),
        (
            "Denied",
            count(&|event| event["annotations"]["authorization.k8s.io/decision"] == "forbid"),
        ),
        (
            "Reads of Secrets",
            count(&|event| {
                is(event, "resource", &["secrets"]) && verb(event, &["get", "list", "watch"])
            }),
        ),
        (
            "Changes of RBAC",
            count(&|event| {
                is(event, "apiGroup", &["rbac.authorization.k8s.io"]) && verb(event, &change)
            }),
        ),
        (
            "Exec, attach, port-forward",
            count(&|event| is(event, "subresource", &["exec", "attach", "portforward"])),
        ),
        ("Gaps in the trail", 1),
    ]);
    assert!(numbers.values().all(|number| *number > 0), "{numbers:?}");
    numbers
}

/// The time range of the dashboard: from before the first event until now, in nanoseconds.
fn range(events: &[Expected]) -> (i64, i64) {
    let first = events.iter().map(|event| event.ns).min().unwrap();
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap();
    (first - HOUR, now + 60 * SECOND)
}

/// Rows of a query, and the sum of its values.
pub(crate) type Found = Result<(u64, u64), String>;

/// Fails unless each query has found rows, and the right number where it shows one.
fn check(events: &[Expected], found: &[(Query, Found)]) {
    let mut numbers = numbers(events);
    for (query, found) in found {
        let place = format!("{}: {}", query.panel, query.target);
        let (rows, sum) = found.as_ref().unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(*rows > 0, "{place}");
        if query.kind == "stat" {
            let number = numbers.remove(query.panel.as_str()).expect("a panel with one number");
            assert_eq!(*sum, number, "{place}");
        }
    }
    assert!(numbers.is_empty(), "no panel shows {numbers:?}");
}

#[test]
fn every_query_of_the_trail_in_elasticsearch_returns_rows() {
    let own = std::env::var_os(elastic::OWN).is_some_and(|url| !url.is_empty());
    if !own && !have(&[Server::OpenSearch3]) {
        return;
    }
    let elastic = Elastic::users_or_shared();
    let dir = TempDir::new().unwrap();
    let (log, events) = copied(dir.path());
    let config =
        tables::input("apiserver", &log) + &tables::elasticsearch(&elastic.url(), STREAM, "");
    let mut agent = Agent::start(dir.path(), &config);
    elastic.wait_count(STREAM, events.len() + 1, LIMIT);
    agent.stop_done();

    let range = range(&events);
    let run = |query: &Query| {
        let body = question(&query.target, range);
        let answer = elastic.ask("POST", &format!("/{STREAM}/_search"), &body.to_string())?;
        let hits = answer["hits"]["total"]["value"].as_u64().ok_or_else(|| answer.to_string())?;
        if answer["aggregations"].is_null() {
            return Ok((hits, 0));
        }
        Ok(leaves(&answer["aggregations"]))
    };
    let all = queries(&dashboard("trail-elasticsearch.json"));
    let found: Vec<_> = all.into_iter().map(|query| (run(&query), query)).collect();
    check(&events, &found.into_iter().map(|(found, query)| (query, found)).collect::<Vec<_>>());
}

/// The search that Grafana makes of a query: a filter by time and in Lucene's syntax, and one aggregation in the other.
fn question(target: &Value, (from, to): (i64, i64)) -> Value {
    let query = filled(target["query"].as_str().unwrap(), &[("filter", "*")]);
    let mut body = json!({"size": 0, "track_total_hits": true, "query": {"bool": {"filter": [
        {"range": {target["timeField"].as_str().unwrap(): {"gte": from / 1_000_000, "lte": to / 1_000_000, "format": "epoch_millis"}}},
        {"query_string": {"analyze_wildcard": true, "query": query}},
    ]}}});
    assert_eq!(target["metrics"].as_array().unwrap().len(), 1);
    if target["metrics"][0]["type"] == "logs" {
        body["size"] = target["metrics"][0]["settings"]["limit"].as_str().unwrap().parse().unwrap();
        return body;
    }
    assert_eq!(target["metrics"][0]["type"], "count");
    let mut inner = Value::Null;
    for bucket in target["bucketAggs"].as_array().unwrap().iter().rev() {
        let settings = &bucket["settings"];
        let number = |key: &str| settings[key].as_str().unwrap().parse::<u64>().unwrap();
        let mut aggregation = match bucket["type"].as_str().unwrap() {
            "terms" => {
                let order = json!({settings["orderBy"].as_str().unwrap(): settings["order"]});
                let mut terms = json!({"field": bucket["field"], "size": number("size"), "order": order, "min_doc_count": number("min_doc_count")});
                if settings["missing"].is_string() {
                    terms["missing"] = settings["missing"].clone();
                }
                json!({"terms": terms})
            }
            "date_histogram" => {
                assert_eq!(settings["interval"], "auto");
                let seconds = (to - from) / SECOND / 500;
                json!({"date_histogram": {"field": bucket["field"], "fixed_interval": format!("{seconds}s"), "min_doc_count": number("min_doc_count")}})
            }
            other => panic!("{other}"),
        };
        if !inner.is_null() {
            aggregation["aggs"] = inner;
        }
        inner = json!({bucket["id"].as_str().unwrap(): aggregation});
    }
    body["aggs"] = inner;
    body
}

/// The number of innermost buckets that are not empty, and the sum of their counts.
fn leaves(aggregations: &Value) -> (u64, u64) {
    let (mut rows, mut sum) = (0, 0);
    for aggregation in aggregations.as_object().unwrap().values() {
        for bucket in aggregation["buckets"].as_array().unwrap() {
            let inner = bucket.as_object().unwrap().iter().find(|(_, value)| value.is_object());
            let count = bucket["doc_count"].as_u64().unwrap();
            let itself = (u64::from(count > 0), count);
            let (more, counted) =
                inner.map_or(itself, |(name, value)| leaves(&json!({name: value})));
            (rows, sum) = (rows + more, sum + counted);
        }
    }
    (rows, sum)
}

#[test]
fn every_query_of_the_trail_in_loki_returns_rows() {
    if !have(&[Server::LogQl]) {
        return;
    }
    let loki = Loki::raised();
    let (job, selector) = job("dashboards");
    let dir = TempDir::new().unwrap();
    let (log, events) = copied(dir.path());
    let config = tables::input("apiserver", &log) + &tables::loki(&loki.url(), &job, "");
    let mut agent = Agent::start(dir.path(), &config);
    loki.wait_count(&selector, &events, LIMIT);
    agent.stop_done();

    let range = range(&events);
    let streams = streams(&loki, &selector, &events, range);
    let all = queries(&dashboard("trail-loki.json"));
    let questions: Vec<_> = all.iter().map(|query| asked(query, &job, range)).collect();
    let found = logql(&streams, &questions);
    assert_eq!(found.len(), all.len());
    check(&events, &all.into_iter().zip(found).collect::<Vec<_>>());
}

/// Everything that the agent delivered, by stream; metadata are among the labels, as Loki 3 shows them.
fn streams(loki: &Loki, selector: &str, events: &[Expected], range: (i64, i64)) -> Value {
    let mut answers = loki.answers(selector, events);
    let gap = http::escape(&selector.replace('}', ", auditrail=\"gap\"}"));
    let (from, to) = (range.1 - HOUR, range.1);
    let url = format!("{}/loki/api/v1/query_range?query={gap}&start={from}&end={to}", loki.url());
    answers.push(http::get(&url).unwrap().json().unwrap());
    let mut streams: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for stream in answers.iter().flat_map(|answer| answer["data"]["result"].as_array().unwrap()) {
        let labels = stream["stream"].as_object().unwrap().iter();
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        let entries = streams.entry(format!("{{{}}}", labels.join(", "))).or_default();
        for entry in stream["values"].as_array().unwrap() {
            let at: i64 = entry[0].as_str().unwrap().parse().unwrap();
            entries.push(json!({"at": at, "line": entry[1]}));
        }
    }
    let ordered = streams.into_iter().map(|(labels, mut entries)| {
        entries.sort_by_key(|entry| entry["at"].as_i64());
        json!({"labels": labels, "entries": entries})
    });
    ordered.collect()
}

/// A query as Grafana sends it, for the time range of the dashboard.
fn asked(query: &Query, job: &str, (from, to): (i64, i64)) -> Value {
    let seconds = (to - from) / SECOND;
    let (all, step) = (format!("{seconds}s"), format!("{}s", seconds / 500));
    let variables = [
        ("job", job),
        ("cluster", ".*"),
        ("node", ".*"),
        ("namespace", ".*"),
        ("user", ".*"),
        ("__range", &all),
        ("__interval", &step),
    ];
    let text = filled(query.target["expr"].as_str().unwrap(), &variables);
    let step = match query.target["queryType"].as_str().unwrap() {
        "instant" => 0,
        _ => seconds / 500 * SECOND,
    };
    json!({"text": text, "start": from, "end": to, "step": step})
}

/// Runs queries over these streams in the engine of Loki 2.2.
pub(crate) fn logql(streams: &Value, queries: &[Value]) -> Vec<Found> {
    let mut engine = Command::new(built("bin/logql"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let question = json!({"streams": streams, "queries": queries}).to_string();
    engine.stdin.take().unwrap().write_all(question.as_bytes()).unwrap();
    let answer = engine.wait_with_output().unwrap();
    assert!(answer.status.success());
    let answers: Vec<Value> = serde_json::from_slice(&answer.stdout).unwrap();
    let found = |answer: &Value| match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok((answer["rows"].as_u64().unwrap(), answer["sum"].as_u64().unwrap())),
    };
    answers.iter().map(found).collect()
}
