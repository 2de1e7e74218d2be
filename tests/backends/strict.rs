//! Loki 1.6.1, the last one under a free licence: it takes each stream in strict order and tells no repeats apart. The agent keeps the
//! order of its pushes with `in_flight = 1` only.

use std::fs;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::loki::Loki;
use crate::servers::{Server, have};
use crate::support::agent::Agent;
use crate::support::events::{Expected, Maker, log_of};
use crate::support::{tables, wait_for};

const LIMIT: Duration = Duration::from_mins(3);
const SELECTOR: &str = "{job=\"strict\"}";

/// An audit log is in order of time where requests are short. What is under way at a kill is looked up by `query_range`, as in a Loki of today.
#[test]
fn a_log_in_order_of_time_arrives_once_in_a_strict_loki_though_the_agent_is_killed() {
    if !have(&[Server::Loki]) {
        return;
    }
    let loki = Loki::strict();
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<Expected> = (0..20_000).map(|_| maker.event(500)).collect();
    fs::write(dir.path().join("audit.log"), log_of(&events)).unwrap();
    let more = "in_flight = 1\ntimeout = \"2s\"\nbatch = { max_events = 500 }\nmax_bytes_per_second = \"3MiB\"";
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::loki(&loki.url(), "strict", more);
    let mut agent = Agent::start(dir.path(), &config);
    for life in [900, 300, 2500, 1200] {
        thread::sleep(Duration::from_millis(life));
        agent.kill();
        agent.resume();
    }
    loki.wait_count(SELECTOR, &events, LIMIT);
    agent.stop_done();
    loki.assert_holds(SELECTOR, &events);
}

/// What is older than the newest of its stream is refused there, in words of the store's own: it is put aside as a dead letter,
/// never lost, and costs its neighbours nothing.
#[test]
fn what_a_strict_loki_refuses_for_its_order_is_put_aside_and_the_rest_arrives_once() {
    if !have(&[Server::Loki]) {
        return;
    }
    let loki = Loki::strict();
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let mut events: Vec<Expected> = (0..300).map(|_| maker.event(500)).collect();
    // A long request ends late: its event stands behind younger ones.
    for place in [40, 120, 250] {
        let late = events.remove(place);
        events.insert(place + 20, late);
    }
    fs::write(dir.path().join("audit.log"), log_of(&events)).unwrap();
    let config = tables::input("apiserver", &dir.path().join("audit.log"))
        + &tables::loki(&loki.url(), "strict", "in_flight = 1\nbatch = { max_events = 10 }");
    let mut agent = Agent::start(dir.path(), &config);
    wait_for("all events to be stored or put aside", LIMIT, || {
        let done = ["delivered", "refused"].map(|result| agent.events("loki", result));
        if done[0] + done[1] == events.len() { Ok(()) } else { Err(format!("{done:?}")) }
    });
    agent.stop();
    let state = agent.state();
    let (aside, stored): (Vec<Expected>, Vec<Expected>) =
        events.into_iter().partition(|event| state.contains(&event.audit_id));
    assert_eq!(aside.len(), 3, "put aside");
    loki.assert_holds(SELECTOR, &stored);
}
