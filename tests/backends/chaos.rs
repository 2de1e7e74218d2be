//! Chaos test: the agent, Loki and Elasticsearch are killed, in turns and together, while the log is written and
//! rotated.

use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::corpus;
use crate::elastic::Elastic;
use crate::loki::Loki;
use crate::rotating_writer::Writer;
use crate::servers::{Server, have};
use kit::agent::Agent;
use kit::events::expected;
use kit::store::{elastic, loki};
use kit::tables;

/// Which processes are killed, and for how long they stay down.
#[derive(Clone, Copy, Debug)]
struct Death {
    agent: bool,
    loki: bool,
    elastic: bool,
    milliseconds: u64,
}

/// Each alone, each with another, all at once. The agent is also killed while the others are down, so that it starts
/// with requests in doubt that it cannot look up yet.
const DEATHS: [Death; 7] = [
    Death { agent: false, loki: true, elastic: false, milliseconds: 300 },
    Death { agent: false, loki: false, elastic: true, milliseconds: 300 },
    Death { agent: true, loki: true, elastic: false, milliseconds: 700 },
    Death { agent: true, loki: false, elastic: true, milliseconds: 100 },
    Death { agent: true, loki: true, elastic: true, milliseconds: 500 },
    Death { agent: true, loki: false, elastic: false, milliseconds: 50 },
    Death { agent: true, loki: true, elastic: true, milliseconds: 1500 },
];

/// Promises 1 and 2 (nothing lost, no duplicates) when nothing is reliable. Loki has default settings, so it splits a
/// stream into shards. The data stream rolls over meanwhile. Both stores and the agent are killed and started again
/// under load.
#[test]
fn opensearch_loki_and_agent_killed_under_load_lose_nothing_and_double_nothing() {
    if have(&[Server::OpenSearch2, Server::Lumberjack]) {
        check(Elastic::open_search(Server::OpenSearch2, &[]));
    }
}

/// The same with the stand-in for Elasticsearch 8, whose errors have other wordings than those of `OpenSearch`.
#[test]
fn elasticsearch_loki_and_agent_killed_under_load_lose_nothing_and_double_nothing() {
    if have(&[Server::Lumberjack]) {
        check(Elastic::stand_in(elastic::Settings::default()));
    }
}

fn check(mut elastic: Elastic) {
    let mut loki = Loki::stand_in(loki::Settings::default());
    let dir = TempDir::new().unwrap();
    let stream = "logs-kubernetes.audit_logs-chaos";
    let mut config = tables::input("apiserver", &dir.path().join("audit/audit.log"));
    config += &tables::loki(&loki.url(), "chaos", "timeout = \"2s\"");
    config += &tables::elasticsearch(&elastic.url(), stream, "timeout = \"2s\"");
    let options = [
        "-events=80000",
        "-megabytes-per-second=2.5",
        "-max-size=10",
        "-max-line=200000",
        "-compress",
        "-redate",
        "-fresh-ids",
    ];
    let mut agent = Agent::start(dir.path(), &config);
    let writer = Writer::start(&corpus::plain_file(dir.path()), dir.path(), &options);
    elastic.wait_count(stream, 1, Duration::from_mins(1));
    for (number, death) in DEATHS.into_iter().enumerate() {
        thread::sleep(Duration::from_millis(1200));
        if number % 3 == 2 {
            elastic.rollover(stream);
        }
        die(death, &mut agent, &mut loki, &mut elastic);
    }
    let events = expected(&writer.written());
    loki.wait_count("{job=\"chaos\"}", &events, Duration::from_mins(2));
    elastic.wait_count(stream, events.len(), Duration::from_mins(2));
    agent.stop_done();
    loki.assert_holds("{job=\"chaos\"}", &events);
    elastic.assert_holds(stream, &events);
}

fn die(death: Death, agent: &mut Agent, loki: &mut Loki, elastic: &mut Elastic) {
    println!("{death:?}");
    if death.loki {
        loki.kill();
    }
    if death.elastic {
        elastic.kill();
    }
    if death.agent {
        agent.kill();
    }
    thread::sleep(Duration::from_millis(death.milliseconds));
    // The agent starts first, while the back ends are down or not ready yet.
    if death.agent {
        agent.resume();
    }
    if death.loki {
        loki.resume();
    }
    if death.elastic {
        elastic.resume();
    }
}
