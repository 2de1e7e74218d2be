//! The webhook of a real API server, which also writes its log: the log says what must have arrived.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::apiserver::ApiServer;
use crate::elastic::{self, Elastic};
use crate::servers::{Server, have, unique};
use kit::agent::Agent;
use kit::events::{Expected, assert_exactly_once, expected};
use kit::{free_port, tables, wait_for};

/// How long the receiver lives and is away each time, in milliseconds.
const LIVES: [(u64, u64); 10] = [
    (1500, 200),
    (400, 1500),
    (2200, 50),
    (900, 4000),
    (1600, 900),
    (2100, 100),
    (150, 2500),
    (1900, 300),
    (2600, 6000),
    (1100, 700),
];

/// Everything arrives by both ways, each event once and byte for byte, although the receiver is killed ten times. Only what
/// the server says that it lost may be missing: it gives up a batch that met no receiver five times, and drops what comes
/// while it shuts down.
#[test]
fn ten_kills_of_the_receiver_lose_and_double_no_event_of_a_real_api_server() {
    if !have(&[Server::KubeApi]) {
        return;
    }
    let (dir, port) = (TempDir::new().unwrap(), free_port());
    let elastic = Elastic::users_or_shared();
    let stream = &unique(elastic::OWN, "logs-kubernetes.audit_logs-webhook");
    let mut server = ApiServer::with_webhook(port);
    let archive = dir.path().join("out-{input}.ndjson");
    let config = format!(
        "{}[inputs.hook]\ntype = \"webhook\"\nlisten = \"127.0.0.1:{port}\"\nspool = {{ min_free = \"1MiB\" }}\n{}{}",
        tables::input("apiserver", &server.audit_log()),
        tables::archive(&archive),
        tables::elasticsearch(&elastic.url(), stream, "timeout = \"2s\"\ninputs = [\"hook\"]"),
    );
    let mut agent = Agent::start(dir.path(), &config);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for client in 0..3 {
            let (server, done) = (&server, &done);
            scope.spawn(move || traffic(server, client, done));
        }
        for (life, away) in LIVES {
            thread::sleep(Duration::from_millis(life));
            agent.kill();
            thread::sleep(Duration::from_millis(away));
            agent.resume();
        }
        done.store(true, Relaxed);
    });
    // Batches that met no receiver are tried again within 40 s. The server gives them up when it ends.
    thread::sleep(Duration::from_secs(40));
    server.end();
    let logged = server.logged().unwrap();
    assert!(logged.len() > 500, "{} events are no load", logged.len());
    let arrived = |input: &str| -> Vec<Expected> {
        let path = dir.path().join(format!("out-{input}.ndjson"));
        expected(&fs::read(path).unwrap_or_default())
    };
    let lost = server.lost();
    println!("{} events, of which the server says that it lost {lost}", logged.len());
    assert!(lost * 10 < logged.len(), "{lost} of {} were not even sent", logged.len());
    for (input, least) in [("apiserver", logged.len()), ("hook", logged.len() - lost)] {
        wait_for("every event by both ways", Duration::from_mins(2), || {
            match arrived(input).len() {
                count if count >= least => Ok(()),
                count => Err(format!("{input}: {count} of {least}")),
            }
        });
    }
    agent.stop_done();
    let lines = |events: &[Expected]| -> Vec<String> {
        events.iter().map(|event| event.line.clone()).collect()
    };
    assert_exactly_once("apiserver", lines(&arrived("apiserver")), lines(&logged));
    let sent = arrived("hook");
    let known: HashSet<_> = lines(&sent).into_iter().collect();
    let expected = lines(&logged).into_iter().filter(|line| known.contains(line));
    assert_exactly_once("hook", lines(&sent), expected);
    elastic.wait_count(stream, sent.len(), Duration::from_secs(90));
    elastic.assert_holds(stream, &sent);
}

/// Makes objects and deletes them, reads lists, and asks for what is not there.
pub(crate) fn traffic(server: &ApiServer, client: usize, done: &AtomicBool) {
    let maps = "/api/v1/namespaces/default/configmaps";
    let mut made = 0;
    while !done.load(Relaxed) {
        made += 1;
        let name = format!("made-{client}-{made}");
        let data = "x\\n\\u003c".repeat(if made % 20 == 0 { 20_000 } else { 20 });
        let body =
            format!("{{\"metadata\":{{\"name\":\"{name}\"}},\"data\":{{\"a\":\"{data}\"}}}}");
        server.ask("POST", maps, &[("Content-Type", "application/json")], &body);
        server.ask("GET", maps, &[], "");
        server.ask("DELETE", &format!("{maps}/{name}"), &[], "");
        server.ask("GET", &format!("{maps}/none-{made}"), &[], "");
    }
}
