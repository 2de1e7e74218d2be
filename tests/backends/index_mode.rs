//! Index mode: Elasticsearch 7.10.2, the last version under a free licence, with one index per day. An id is unique in
//! its index, and 409 means that the event is already stored.

use std::fs;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use tempfile::TempDir;

use crate::elastic::Elastic;
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::events::{Expected, Maker, log_of};
use kit::{tables, wait_for};

const LIMIT: Duration = Duration::from_mins(3);
const INDICES: &str = "kubernetes-audit-*";

/// Without the agent's index template, which uses a field type of x-pack; this server maps fields dynamically.
fn config(elastic: &Elastic, dir: &TempDir) -> String {
    let more = "timeout = \"5s\"\nbatch = { max_events = 500 }\nmax_bytes_per_second = \"2MiB\"\nsetup_template = \"never\"";
    let output = tables::elasticsearch(&elastic.url(), "STREAM", more);
    let index = "index = \"kubernetes-audit-%Y.%m.%d\"";
    tables::input("apiserver", &dir.path().join("audit.log"))
        + &output.replace("data_stream = \"STREAM\"", index)
}

/// The events are of two days. The agent and the server are killed, and then the state directory is lost.
#[test]
fn every_event_is_in_its_day_s_index_once_after_kills_and_a_lost_state_directory() {
    if !have(&[Server::Elasticsearch]) {
        return;
    }
    let mut elastic = Elastic::seven();
    let dir = TempDir::new().unwrap();
    let mut maker = Maker::from_ago(SignedDuration::from_hours(25));
    let mut events: Vec<Expected> = (0..3000).map(|_| maker.event(500)).collect();
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    events.extend((3000..6000).map(|number| {
        let event = maker.event(500);
        renamed(event, number)
    }));
    fs::write(dir.path().join("audit.log"), log_of(&events)).unwrap();
    let mut agent = Agent::start(dir.path(), &config(&elastic, &dir));
    for (number, life) in [900, 300, 2500].into_iter().enumerate() {
        thread::sleep(Duration::from_millis(life));
        agent.kill();
        if number == 1 {
            elastic.kill();
        }
        agent.resume();
        if number == 1 {
            elastic.resume();
        }
    }
    elastic.wait_count(INDICES, events.len(), LIMIT);
    agent.stop_done();
    elastic.assert_holds(INDICES, &events);

    fs::remove_dir_all(agent.state_dir()).unwrap();
    fs::create_dir(agent.state_dir()).unwrap();
    agent.resume();
    wait_for("everything to be delivered again", LIMIT, || {
        let delivered = agent.events("elasticsearch", "delivered");
        if delivered == events.len() { Ok(()) } else { Err(delivered.to_string()) }
    });
    agent.stop_done();
    elastic.assert_holds(INDICES, &events);
}

/// The event under an auditID that no other `Maker` uses.
fn renamed(mut event: Expected, number: usize) -> Expected {
    let id = format!("00000000-0000-4000-8001-{number:012}");
    event.line = event.line.replacen(&event.audit_id, &id, 1);
    event.audit_id = id;
    event
}
