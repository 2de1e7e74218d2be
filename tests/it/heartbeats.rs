//! Heartbeats as an operator sees them in a store: one in a slot at most, whatever happens to the agent and the store,
//! and never at the cost of an event.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use kit::agent::Agent;
use kit::events::Maker;
use kit::store::{Refusal, audit_id};
use kit::{FakeStore, LogWriter, tables, wait_for};

const LIMIT: Duration = Duration::from_mins(1);
const EVERY_SECOND: &str = "heartbeat = \"1s\"\n";

/// An agent with outputs to a fake store.
struct Node {
    agent: Agent,
    store: FakeStore,
    log: LogWriter,
    maker: Maker,
    events: BTreeSet<String>,
    dir: tempfile::TempDir,
}

impl Node {
    /// `outputs`: the tables of its outputs, from the URL of the store and the node's folder.
    fn new(outputs: impl Fn(&str, &Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = FakeStore::new();
        let path = dir.path().join("log/audit.log");
        let mut log = LogWriter::new(&path);
        let mut maker = Maker::from_ago(jiff::SignedDuration::ZERO);
        let line = maker.event_with(b"{}").1;
        let id = audit_id(&String::from_utf8_lossy(&line));
        log.append(&line);
        let config =
            [EVERY_SECOND, &tables::input("apiserver", &path), &outputs(&store.url, dir.path())];
        let agent = Agent::start(dir.path(), &config.concat());
        Self { agent, store, log, maker, events: BTreeSet::from([id]), dir }
    }

    /// The API server writes an event.
    fn write(&mut self) {
        self.maker.set(Timestamp::now());
        let line = self.maker.event_with(b"{}").1;
        self.log.append(&line);
        self.events.insert(audit_id(&String::from_utf8_lossy(&line)));
    }

    /// What the store holds, by its place without the id of a document: heartbeats, and the ids of all else.
    fn stored(&self) -> (Vec<(String, Value)>, Vec<String>) {
        let (mut beats, mut others) = (Vec::new(), Vec::new());
        for stored in &self.store.state().stored {
            let line: Value = serde_json::from_str(&stored.line).unwrap();
            if line["kind"] == "Heartbeat" {
                beats.push((stored.under.clone(), line));
            } else {
                others.push(audit_id(&stored.line));
            }
        }
        (beats, others)
    }

    fn beats(&self, output: &str, result: &str) -> u64 {
        let labels = [("output", output), ("result", result)];
        self.agent.count("auditrail_heartbeats_total", &labels)
    }

    /// Waits for more heartbeats with this result than before.
    fn wait_beats(&self, output: &str, result: &str, more: u64) {
        let before = self.beats(output, result);
        wait_for(&format!("{more} more heartbeats {result}"), LIMIT, || {
            let now = self.beats(output, result);
            if now >= before + more { Ok(()) } else { Err(format!("{now} after {before}")) }
        });
    }

    /// Waits until the store holds each event, and fails if it holds one twice, or if the counters count more.
    fn holds_events_once(&self, copies: usize) {
        wait_for("every event", LIMIT, || {
            let (_, others) = self.stored();
            let found: BTreeSet<_> = others.iter().cloned().collect();
            if found == self.events { Ok(()) } else { Err(format!("{} events", found.len())) }
        });
        assert_eq!(self.stored().1.len(), self.events.len() * copies);
    }
}

#[test]
fn each_output_gets_one_heartbeat_in_a_slot_over_kills_and_restarts_and_every_event_once() {
    let mut node = Node::new(|url, _| {
        tables::search(url, "").replace("300ms", "5s")
            + &tables::loki(url, "hb", "timeout = \"1s\"")
    });
    for life in 0..6_u64 {
        node.write();
        node.wait_beats("search", "delivered", 1);
        node.wait_beats("loki", "delivered", 1);
        if life % 2 == 0 {
            node.agent.kill();
        } else {
            // The drain may end before what was in doubt after a kill is looked up.
            node.agent.stop();
        }
        thread::sleep(Duration::from_millis(70 * life));
        node.agent.resume();
    }
    node.holds_events_once(2);
    assert_eq!(
        node.agent.events("search", "delivered") + node.agent.events("loki", "delivered"),
        0
    );
    node.agent.wait_verdict("whole");

    let (beats, _) = node.stored();
    let mut slots: BTreeMap<String, usize> = BTreeMap::new();
    for (under, beat) in &beats {
        let inside = &beat["heartbeat"];
        let output = inside["output"].as_str().unwrap();
        assert_eq!(under.contains("auditrail=\"heartbeat\""), output == "loki", "{under}");
        assert_eq!((&inside["node"], &inside["cluster"]), (&"cp-1".into(), &"test".into()));
        assert_eq!((&inside["input"], &inside["state"]), (&"apiserver".into(), &"whole".into()));
        *slots.entry(beat["auditID"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(beats.len() >= 12 && slots.values().all(|number| *number == 1), "{slots:?}");
}

#[test]
fn while_the_store_takes_nothing_heartbeats_are_dropped_and_never_made_up_for() {
    let mut node = Node::new(|url, _| tables::search(url, "").replace("300ms", "5s"));
    node.wait_beats("search", "delivered", 1);
    node.store.state().down = Some(503);
    node.write();
    node.wait_beats("search", "dropped", 3);
    let text = node.agent.page("/readyz?verbose").unwrap().text();
    assert!(text.contains("no heartbeat is stored since"), "{text}");
    let up = Timestamp::now();
    let (before, _) = node.stored();
    node.store.state().down = None;
    node.wait_beats("search", "delivered", 2);
    node.holds_events_once(1);
    let (beats, _) = node.stored();
    for (_, beat) in &beats[before.len()..] {
        let at: Timestamp = beat["stageTimestamp"].as_str().unwrap().parse().unwrap();
        assert!(at >= up, "{beat}");
    }
    let log = fs::read_to_string(node.agent.log()).unwrap();
    assert_eq!(
        log.matches("heartbeat is not stored").count(),
        1,
        "one line, not one for each: {log}"
    );
    assert_eq!(log.matches("heartbeats are stored again").count(), 1, "{log}");
    let text = node.agent.page("/readyz?verbose").unwrap().text();
    assert!(!text.contains("heartbeat"), "{text}");
}

#[test]
fn a_heartbeat_that_the_store_refuses_becomes_no_dead_letter_and_stops_nothing() {
    let mut node = Node::new(|url, _| tables::search(url, "").replace("300ms", "5s"));
    node.store.refuse(Refusal::Content, "\"kind\":\"Heartbeat\"");
    node.wait_beats("search", "failed", 2);
    node.write();
    node.wait_beats("search", "failed", 1);
    node.holds_events_once(1);
    node.agent.wait_verdict("whole");
    assert_eq!(node.agent.count("auditrail_dead_letters", &[]), 0);
    assert_eq!(node.agent.events("search", "refused"), 0);
    assert_eq!(node.agent.retries("search"), 0);
    assert_eq!(node.stored().0, []);
}

#[test]
fn a_heartbeat_whose_answer_never_comes_holds_up_no_event() {
    let mut node = Node::new(|url, _| tables::search(url, "in_flight = 1").replace("300ms", "10m"));
    node.store.state().hang = Some("\"kind\":\"Heartbeat\"");
    // The first one is under way for ever.
    node.wait_beats("search", "dropped", 1);
    for _ in 0..5 {
        node.write();
        node.holds_events_once(1);
    }
    node.wait_beats("search", "dropped", 1);
    assert_eq!((node.beats("search", "delivered"), node.beats("search", "failed")), (0, 0));
    node.agent.stop_done();
}

#[test]
fn a_file_output_gets_no_heartbeat_and_has_exactly_the_bytes_of_the_log() {
    let mut node = Node::new(|url, dir| {
        tables::search(url, "").replace("300ms", "5s") + &tables::archive(&dir.join("archive"))
    });
    node.wait_beats("search", "delivered", 2);
    node.write();
    node.holds_events_once(1);
    node.wait_beats("search", "delivered", 2);
    node.agent.kill();
    node.agent.resume();
    node.wait_beats("search", "delivered", 1);
    let bytes = |name: &str| fs::read(node.dir.path().join(name)).unwrap();
    wait_for("the file to hold the log", LIMIT, || {
        let found = bytes("archive").len();
        if found >= bytes("log/audit.log").len() { Ok(()) } else { Err(format!("{found} bytes")) }
    });
    assert!(bytes("archive") == bytes("log/audit.log"));
    assert_eq!(node.agent.count("auditrail_heartbeats_total", &[("output", "archive")]), 0);
}

#[test]
fn a_store_that_works_tells_that_another_one_does_not_without_its_words() {
    let nobody = format!("http://127.0.0.1:{}", kit::free_port());
    let node = Node::new(|url, _| {
        tables::search(url, "").replace("300ms", "5s") + &tables::loki(&nobody, "hb", "")
    });
    let why = wait_for("a heartbeat that says stopped", LIMIT, || {
        let (beats, _) = node.stored();
        let mut stopped = beats.iter().map(|(_, beat)| &beat["heartbeat"]);
        let stopped = stopped.rfind(|inside| inside["state"] == "stopped");
        stopped.map(|inside| inside["why"].as_str().unwrap().to_owned()).ok_or("none".to_owned())
    });
    assert!(why.starts_with("output loki of input apiserver has taken nothing"), "{why}");
    assert!(!why.contains("127.0.0.1"), "only the class of the answer: {why}");
    assert_eq!(node.agent.readyz().unwrap().0, 503);
}
