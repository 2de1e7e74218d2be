//! Loki 1.6.1, the last version under a free licence. It accepts each stream in strict order of time only, and does not
//! deduplicate. The agent sends pushes in order only with `in_flight = 1`.

use std::fs;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::loki::Loki;
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::{tables, wait_for};

const LIMIT: Duration = Duration::from_mins(3);
const SELECTOR: &str = "{job=\"strict\"}";

/// An audit log is in order of time if its requests are short. After a kill, the agent looks up in-flight requests with
/// `query_range`, as in a current Loki.
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

/// Loki 1.6 refuses an entry that is older than the newest of its stream, with an error of its own wording. The event
/// becomes a dead letter, is never lost, and does not affect its neighbours.
#[test]
fn what_a_strict_loki_refuses_for_its_order_is_put_aside_and_the_rest_arrives_once() {
    if !have(&[Server::Loki]) {
        return;
    }
    let loki = Loki::strict();
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let mut events: Vec<Expected> = (0..300).map(|_| maker.event(500)).collect();
    // A long request ends late, so its event comes after newer ones.
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
