//! `verify` against real stores: it reports nothing if everything is stored, and every missing, changed or duplicate
//! event by name.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::loki::Loki;
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::events::{Expected, Maker, expected, log_of};
use kit::store::loki::Settings;
use kit::{LogWriter, tables};

const LIMIT: Duration = Duration::from_mins(2);
const CROWD: usize = 300;

/// More events than fit on one page, all within one hour, and many within one millisecond.
fn events() -> Vec<Expected> {
    let mut maker = Maker::from_ago(SignedDuration::from_hours(3));
    let mut events: Vec<Expected> = (0..6000).map(|_| maker.event(200)).collect();
    let stamp = events[1000].stage_timestamp.clone();
    for event in &mut events[1000..1000 + CROWD] {
        event.line = event.line.replace(&event.stage_timestamp, &stamp);
    }
    expected(&log_of(&events))
}

/// The byte offsets in the log at which these events begin.
fn offsets(events: &[Expected], places: &[usize]) -> Vec<u64> {
    let mut at = 0;
    let mut starts = Vec::new();
    for event in events {
        starts.push(at);
        at += event.line.len() as u64 + 1;
    }
    places.iter().map(|place| starts[*place]).collect()
}

/// Exit code, and the result of `verify --json` for its one pair of input and output.
fn verify(agent: &Agent, more: &[&str]) -> (Option<i32>, Value) {
    let (code, out, err) = agent.command(&[&["verify", "--json"][..], more].concat());
    let all: Value =
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(all["pairs"].as_array().map(Vec::len), Some(1), "{out}{err}");
    (code, all["pairs"][0].clone())
}

fn places(found: &Value) -> Vec<(String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |event: &Value| (text(&event["file"]), event["offset"].as_u64().unwrap());
    found.as_array().unwrap().iter().map(one).collect()
}

fn tally(on_disk: usize, in_store: usize, rest: [usize; 4]) -> Value {
    let [missing, doubled, extra, different] = rest;
    json!({
        "on_disk": on_disk, "in_store": in_store, "missing": missing, "doubled": doubled, "extra": extra,
        "different": different,
    })
}

/// Changes a byte of the body, so that it is still the same event.
fn change(line: &str) -> String {
    line.replacen("xxxx", "yxxx", 1)
}

fn put(elastic: &Elastic, stream: &str, id: &str, document: &Value) {
    elastic.ask("PUT", &format!("/{stream}/_create/{id}"), &document.to_string()).unwrap();
}

/// Deletes in the backing index: the server that is built here has no delete by query.
fn delete(elastic: &Elastic, stream: &str, id: &str) {
    let query = json!({"query": {"ids": {"values": [id]}}}).to_string();
    let found = elastic.ask("POST", &format!("/{stream}/_search"), &query).unwrap();
    let index = found["hits"]["hits"][0]["_index"].as_str().unwrap();
    elastic.ask("DELETE", &format!("/{index}/_doc/{id}?refresh=true"), "").unwrap();
}

#[test]
fn what_is_deleted_doubled_or_changed_in_elasticsearch_is_named_and_repaired() {
    let elastic = Elastic::shared();
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("audit.log");
    let events = events();
    fs::write(&log, log_of(&events)).unwrap();
    let stream = "logs-kubernetes.audit_logs-verify";
    let tables =
        tables::input("apiserver", &log) + &tables::elasticsearch(&elastic.url(), stream, "");
    let mut agent = Agent::start(dir.path(), &tables);
    elastic.wait_count(stream, events.len(), LIMIT);
    agent.stop_done();
    let (code, clean) = verify(&agent, &[]);
    assert_eq!(clean["total"], tally(6000, 6000, [0; 4]), "{clean}");
    assert_eq!(code, Some(0));

    let document = |place: usize| {
        let id = &events[place].audit_id;
        elastic.search(stream, "kubernetes.audit.auditID", id, &[]).remove(0)
    };
    // One event becomes a duplicate, another is changed.
    put(&elastic, stream, "copy", &document(7).source);
    let mut other = document(8);
    let gone = [8, 20, 1100, 1101, 5999];
    for place in gone {
        delete(&elastic, stream, &document(place).id);
    }
    other.source["kubernetes"]["audit"]["requestObject"]["pad"] = "other".into();
    put(&elastic, stream, &other.id, &other.source);
    // An event that the agent has not read yet is not missing; it is reported as pending.
    let later = log_of(&[Maker::from_ago(SignedDuration::from_mins(5)).event(10)]);
    LogWriter::new(&log).append(&later);

    let (code, found) = verify(&agent, &[]);
    assert_eq!(found["total"], tally(6000, 5997, [4, 1, 0, 1]), "{found}");
    assert_eq!((code, &found["beside"]["pending"]), (Some(1), &1.into()));
    let wanted = |places: &[usize]| -> Vec<(String, u64)> {
        offsets(&events, places).into_iter().map(|at| ("audit.log".to_owned(), at)).collect()
    };
    assert_eq!(places(&found["missing"]), wanted(&[20, 1100, 1101, 5999]));
    assert_eq!(places(&found["different"]), wanted(&[8]));
    assert_eq!(found["missing"][0]["user"], "alice");

    // `--repair` beside the running agent, from the log that the agent follows.
    agent.resume();
    let (code, out, err) = agent.command(&["verify", "--repair"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("patch configmaps default/made-21 by alice, 200"), "{out}");
    elastic.wait_count(stream, 6002, LIMIT);
    agent.stop_done();
    let (code, repaired) = verify(&agent, &[]);
    assert_eq!(repaired["total"], tally(6001, 6002, [0, 1, 0, 1]), "{repaired}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_file_that_was_never_pushed_to_loki_is_named_event_by_event() {
    let loki = Loki::stand_in(Settings::raised());
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("audit.log");
    let events = events();
    fs::write(&log, log_of(&events)).unwrap();
    let tables = tables::input("apiserver", &log) + &tables::loki(&loki.url(), "verify", "");
    let mut agent = Agent::start(dir.path(), &tables);
    loki.wait_count("{job=\"verify\"}", &events, LIMIT);
    // Beside the running agent, which may not have written its last acknowledgement to the checkpoint yet.
    let (code, beside) = verify(&agent, &[]);
    assert_eq!((code, &beside["total"]["missing"]), (Some(0), &0.into()), "{beside}");
    agent.stop_done();
    let (code, clean) = verify(&agent, &[]);
    assert_eq!(clean["total"], tally(6000, 6000, [0; 4]), "{clean}");
    assert_eq!(code, Some(0));

    // Older, but not so old that Loki would refuse it in the same stream.
    let mut maker = Maker::from_ago(SignedDuration::from_mins(210));
    let older: Vec<Expected> = (0..50).map(|_| maker.event(200)).collect();
    let backup = "audit-2020-01-01T00-00-00.000.log";
    fs::write(dir.path().join(backup), log_of(&older)).unwrap();
    // One line differs from what was sent.
    let mut changed = log_of(&events);
    let at = usize::try_from(offsets(&events, &[30])[0]).unwrap();
    let line = change(&events[30].line);
    changed[at..at + line.len()].copy_from_slice(line.as_bytes());
    fs::write(&log, changed).unwrap();

    let (code, found) = verify(&agent, &[]);
    assert_eq!(found["total"], tally(6050, 6000, [50, 0, 0, 1]), "{found}");
    assert_eq!(code, Some(1));
    let all: Vec<usize> = (0..50).collect();
    let wanted: Vec<_> =
        offsets(&older, &all).into_iter().map(|at| (backup.to_owned(), at)).collect();
    assert_eq!(places(&found["missing"]), wanted);
    assert_eq!(places(&found["different"]), [("audit.log".to_owned(), offsets(&events, &[30])[0])]);
    // `verify` queries only the time after `--since`, and only the files that are named.
    let (code, later) = verify(&agent, &["--since", &events[0].stage_timestamp]);
    assert_eq!((code, &later["total"]["missing"]), (Some(0), &0.into()));
    let (code, named) = verify(&agent, &[Path::new(dir.path()).join(backup).to_str().unwrap()]);
    assert_eq!((code, &named["total"]["missing"]), (Some(1), &50.into()));

    let (code, out, err) = agent.command(&["verify", "--repair"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("and 30 more: --all names them"), "{out}");
    let (code, repaired) = verify(&agent, &[]);
    assert_eq!(repaired["total"], tally(6050, 6050, [0, 0, 0, 1]), "{repaired}");
    assert_eq!(code, Some(0));
}

/// In the flat layout, with documents in safe form, in two backing indices, beside the documents of another node.
#[test]
fn opensearch_is_read_over_all_its_indices_and_another_node_is_not_extra() {
    if !have(&[Server::OpenSearch2]) {
        return;
    }
    let elastic = Elastic::open_search(Server::OpenSearch2, &[]);
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("audit.log");
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let mut events: Vec<Expected> = (0..700).map(|_| maker.event(100)).collect();
    events.push(maker.event_with(br#"{"data":1,"data":2}"#).0);
    events.push(maker.event_with(&[b"[".repeat(1500), b"]".repeat(1500)].concat()).0);
    fs::write(&log, log_of(&events)).unwrap();
    let stream = "logs-kubernetes.audit_logs-verify";
    let tables = tables::input("apiserver", &log)
        + &tables::elasticsearch(&elastic.url(), stream, "layout = \"flat\"");
    let mut agent = Agent::start(dir.path(), &tables);
    elastic.wait_count(stream, events.len(), LIMIT);
    agent.stop_done();
    let mut document = elastic.search(stream, "auditID", &events[7].audit_id, &[]).remove(0);
    // The same id again in a new backing index, where a `create` does not see the first one.
    elastic.rollover(stream);
    put(&elastic, stream, &document.id, &document.source);
    document.source["node"] = "cp-2".into();
    document.source["auditID"] = "of another".into();
    put(&elastic, stream, "of-another", &document.source);
    delete(&elastic, stream, &elastic.search(stream, "auditID", &events[9].audit_id, &[])[0].id);

    let (code, found) = verify(&agent, &[]);
    assert_eq!(found["total"], tally(702, 702, [1, 1, 0, 0]), "{found}");
    assert_eq!(code, Some(1));
    assert_eq!(places(&found["missing"]), [("audit.log".to_owned(), offsets(&events, &[9])[0])]);
}
