//! The Falco output against a stand-in in Go, which reads with the JSON parser of Falco's plugin (`servers/falco`).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use tempfile::TempDir;

use crate::corpus;
use crate::servers::{Process, Server, built, have};
use kit::agent::Agent;
use kit::events::{Expected, Maker, assert_exactly_once, log_of};
use kit::{free_port, http, tables, wait_for};

/// Falco drops larger events, and the agent leaves room below that.
const MOST_BYTES: u64 = 240 * 1024;

/// How often the agent is killed.
const KILLS: usize = 20;

/// A running stand-in.
struct Falco {
    url: String,
    port: u16,
    process: Process,
}

impl Falco {
    fn start(dir: &Path, port: u16, arguments: &[&str]) -> Self {
        let mut command = Command::new(built("bin/falco-stand-in"));
        command.arg(format!("-listen=127.0.0.1:{port}")).args(arguments);
        let mut process = Process::start("falco", &mut command, dir);
        let url = format!("http://127.0.0.1:{port}");
        wait_for("Falco to listen", Duration::from_secs(30), || {
            process.alive()?;
            http::get(&format!("{url}/counts")).map(drop)
        });
        Self { url, port, process }
    }

    fn endpoint(&self) -> String {
        format!("{}/k8s-audit?source=auditrail", self.url)
    }

    fn ask(&self, page: &str) -> Value {
        http::get(&format!("{}/{page}", self.url)).unwrap().json().unwrap()
    }

    fn post(&self, page: &str) {
        http::send("POST", &format!("{}/{page}", self.url), &[], Vec::new()).unwrap();
    }

    /// Waits until rules have seen this many events.
    fn wait_events(&self, events: usize) {
        wait_for(&format!("{events} events"), Duration::from_mins(3), || {
            let counts = self.ask("counts");
            if counts["events"].as_u64() >= Some(events as u64) {
                Ok(())
            } else {
                Err(counts.to_string())
            }
        });
    }

    /// Everything that rules have seen, after checks that hold for any test: nothing was dropped, nothing was near the
    /// bound, and there was one request at a time.
    fn seen(&self) -> Vec<Value> {
        let all = self.ask("seen");
        assert_eq!(all["dropped"], serde_json::json!({}), "dropped without a word");
        assert_eq!(all["refused"], 0);
        assert!(all["together"].as_u64() <= Some(1), "one body in flight: {}", all["together"]);
        let events = all["events"].as_array().unwrap().clone();
        for event in &events {
            assert!(event["bytes"].as_u64() < Some(MOST_BYTES), "{event}");
        }
        events
    }
}

fn output(falco: &Falco, more: &str) -> String {
    format!(
        "[outputs.falco]\ntype = \"falco\"\nendpoint = \"{}\"\nretry = {{ min = \"50ms\", max = \"500ms\" }}\n\
         transform = {{ redact = \"off\", max_event_bytes = \"off\" }}\n{more}\n",
        falco.endpoint()
    )
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap()
}

fn identity(event: &Value) -> (String, String) {
    (text(event, "id").to_owned(), text(event, "stage").to_owned())
}

/// What Falco gets of these events.
fn wanted(events: &[Expected]) -> Vec<(String, String)> {
    let wanted = events.iter().filter(|event| event.stage != "RequestReceived");
    wanted.map(|event| (event.audit_id.clone(), event.stage.clone())).collect()
}

/// Events of the response, since Falco gets no others.
fn responses(maker: &mut Maker, count: usize) -> Vec<Expected> {
    (0..count).map(|_| maker.event(600)).collect()
}

fn append(path: &Path, events: &[Expected]) {
    use std::io::Write as _;
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(&log_of(events)).unwrap();
}

#[test]
fn rules_of_falco_see_every_event_of_the_recorded_logs_once_and_falco_drops_none() {
    if !have(&[Server::Falco]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    for log in corpus::copy_all(dir.path()) {
        let dir = dir.path().join(format!("{}-run", log.name));
        fs::create_dir(&dir).unwrap();
        let falco = Falco::start(&dir, free_port(), &[]);
        let config = tables::input("apiserver", &log.path) + &output(&falco, "");
        let mut agent = Agent::start(&dir, &config);
        let wanted = wanted(&log.events);
        falco.wait_events(wanted.len());
        agent.stop_done();
        let seen = falco.seen();
        assert_exactly_once(&log.name, seen.iter().map(identity), wanted);
        for event in &seen {
            assert_eq!(event["note"], "", "these are whole events already");
        }
        println!("{}: {} events, none dropped", log.name, seen.len());
    }
}

#[test]
fn twenty_kills_lose_nothing_and_repeat_one_body_each_at_most() {
    if !have(&[Server::Falco]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    // Most kills come after Falco took a body and before the agent has its answer.
    let falco = Falco::start(dir.path(), free_port(), &["-late=40ms"]);
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events = responses(&mut maker, 80_000);
    let path = dir.path().join("audit.log");
    append(&path, &events);
    let config = tables::input("apiserver", &path) + &output(&falco, "");
    let mut agent = Agent::start(dir.path(), &config);
    let bodies = || falco.ask("counts")["bodies"].as_u64().unwrap();
    for kill in 0..KILLS {
        let before = bodies();
        wait_for("the agent to send", Duration::from_mins(1), || {
            if bodies() > before { Ok(()) } else { Err(before.to_string()) }
        });
        thread::sleep(Duration::from_millis(11 * (kill as u64 % 7)));
        agent.kill();
        agent.resume();
    }
    let mut known = HashSet::new();
    wait_for("every event", Duration::from_mins(3), || {
        known = falco.seen().iter().map(identity).collect();
        if known.len() >= events.len() { Ok(()) } else { Err(known.len().to_string()) }
    });
    agent.stop_done();
    let (mut seen, mut repeating, mut repeated) = (HashSet::new(), HashSet::new(), 0);
    for event in falco.seen() {
        if !seen.insert(identity(&event)) {
            repeated += 1;
            repeating.insert(event["body"].as_u64().unwrap());
        }
    }
    println!("{repeated} events repeated in {} bodies by {KILLS} kills", repeating.len());
    assert!(repeated > 0, "no kill came while a body was in doubt");
    assert!(repeating.len() <= KILLS && repeated <= KILLS * 500, "{repeated} {repeating:?}");
    assert_eq!(seen, wanted(&events).into_iter().collect());
}

#[test]
fn a_falco_that_stops_reading_stops_nothing_else_and_gets_everything_once_when_it_goes_on() {
    if !have(&[Server::Falco]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let falco = Falco::start(dir.path(), free_port(), &[]);
    falco.post("stop");
    let archive = dir.path().join("archive.ndjson");
    let path = dir.path().join("audit.log");
    let config = tables::input("apiserver", &path)
        + &output(&falco, "batch = { max_events = 20, max_age = \"10ms\" }")
        + &tables::archive(&archive);
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    // More than 50 bodies of 20 events.
    let events = responses(&mut maker, 3000);
    append(&path, &events);
    let mut agent = Agent::start(dir.path(), &config);
    wait_for("the file to get everything", Duration::from_mins(1), || {
        let lines = fs::read_to_string(&archive).unwrap_or_default().lines().count();
        if lines == events.len() { Ok(()) } else { Err(lines.to_string()) }
    });
    wait_for("Falco's queue to be full", Duration::from_mins(1), || {
        let delivered = agent.events("falco", "delivered");
        if delivered >= 50 * 20 { Ok(()) } else { Err(delivered.to_string()) }
    });
    assert_eq!(falco.ask("counts")["events"], 0);
    let later = responses(&mut maker, 100);
    append(&path, &later);
    wait_for("the file to get what is new", Duration::from_mins(1), || {
        let lines = fs::read_to_string(&archive).unwrap_or_default().lines().count();
        if lines == events.len() + later.len() { Ok(()) } else { Err(lines.to_string()) }
    });
    assert!(agent.events("falco", "delivered") < events.len());
    falco.post("go");
    falco.wait_events(events.len() + later.len());
    agent.stop_done();
    let all = [wanted(&events), wanted(&later)].concat();
    assert_exactly_once("Falco", falco.seen().iter().map(identity), all);
}

/// How often each event was seen, by its identity.
type Counts = HashMap<(String, String), usize>;

/// Plays a Falco that is killed with bodies in its queue; returns what rules have seen of the events in the end, and
/// the events.
fn killed_with_a_queue(more: &str, restart_at_once: bool) -> (Counts, Vec<Expected>) {
    let dir = TempDir::new().unwrap();
    let falco = Falco::start(dir.path(), free_port(), &[]);
    let path = dir.path().join("audit.log");
    let more = format!("batch = {{ max_events = 20, max_age = \"10ms\" }}\n{more}");
    let config = tables::input("apiserver", &path) + &output(&falco, &more);
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let mut events = responses(&mut maker, 200);
    append(&path, &events);
    let mut agent = Agent::start(dir.path(), &config);
    falco.wait_events(200);
    falco.post("stop");
    let queued = responses(&mut maker, 400);
    append(&path, &queued);
    events.extend(queued);
    wait_for("Falco to acknowledge what it has queued", Duration::from_mins(1), || {
        let delivered = agent.events("falco", "delivered");
        if delivered == 600 { Ok(()) } else { Err(delivered.to_string()) }
    });
    let before = falco.seen();
    let port = falco.port;
    drop(falco.process);
    let more = responses(&mut maker, 1);
    if !restart_at_once {
        append(&path, &more);
        wait_for("the agent to notice", Duration::from_mins(1), || {
            let retries = agent.retries("falco");
            if retries > 0 { Ok(()) } else { Err(String::new()) }
        });
    }
    let falco = Falco::start(dir.path(), port, &[]);
    if restart_at_once {
        append(&path, &more);
    }
    events.extend(more);
    let last = wanted(&events).pop().unwrap();
    let mut counts = HashMap::new();
    wait_for("the newest event, and quiet", Duration::from_mins(1), || {
        let after = falco.seen();
        let found = after.iter().filter(|event| identity(event) == last).count();
        let was = counts.values().sum::<usize>();
        counts.clear();
        for event in before.iter().chain(&after) {
            *counts.entry(identity(event)).or_default() += 1;
        }
        thread::sleep(Duration::from_secs(2));
        let is_quiet = was == counts.values().sum::<usize>();
        if found > 0 && is_quiet { Ok(()) } else { Err(format!("{found} {was}")) }
    });
    agent.stop_done();
    (counts, events)
}

#[test]
fn with_a_resend_window_nothing_is_missing_after_a_falco_died_with_a_queue() {
    if !have(&[Server::Falco]) {
        return;
    }
    for restart_at_once in [false, true] {
        let (seen, events) = killed_with_a_queue("resend_window = \"1m\"", restart_at_once);
        let missing = wanted(&events).iter().filter(|one| !seen.contains_key(*one)).count();
        assert_eq!(missing, 0, "restarted at once: {restart_at_once}");
        assert!(seen.values().all(|times| *times <= 3), "sent again, but not for ever");
    }
}

/// Why the window exists, and that its test can fail.
#[test]
fn without_a_resend_window_what_stood_in_the_queue_of_a_falco_that_died_is_lost_and_nothing_repeats()
 {
    if !have(&[Server::Falco]) {
        return;
    }
    let (seen, events) = killed_with_a_queue("", false);
    let missing = wanted(&events).iter().filter(|one| !seen.contains_key(*one)).count();
    assert_eq!(missing, 400);
    assert!(seen.values().all(|times| *times == 1));
}

#[test]
fn old_torn_deep_and_odd_lines_become_events_that_falco_takes_and_the_rest_is_left_out() {
    if !have(&[Server::Falco]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let falco = Falco::start(dir.path(), free_port(), &[]);
    let path = dir.path().join("audit.log");
    let deep = ["[".repeat(2000), "]".repeat(2000)].concat();
    let time = "2026-11-21T06:25:22.533537Z";
    let large = "x".repeat(400_000);
    let lines = [
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1","metadata":{"creationTimestamp":"2018-01-01T00:00:00Z"},"auditID":"old","stage":"ResponseComplete","verb":"get"}"#.to_owned(),
        r#"2017-03-21T03:57:09.106841886-04:00 AUDIT: id="text" stage="ResponseComplete" ip="127.0.0.1" method="delete" user="admin" groups="\"g\"" as="<self>" asgroups="<lookup>" user-agent="k" namespace="default" uri="/api/v1/namespaces/default/pods/web" response="200""#.to_owned(),
        format!(r#"{{"kind":"Event","auditID":"deep","stage":"ResponseComplete","verb":"patch","requestObject":{deep},"stageTimestamp":"{time}"}}"#),
        format!(r#"{{"kind":"Event","auditID":"odd","stage":"ResponseComplete","verb":"patch","requestObject":[1e999999,"\ud800",1 2],"stageTimestamp":"{time}"}}"#),
        format!(r#"{{"kind":"Event","auditID":"hostile","stage":"ResponseComplete","verb":"patch","requestObject":[1e999999,"\ud800\u0000"],"stageTimestamp":"{time}"}}"#),
        format!(r#"{{"kind":"Event","auditID":"large","stage":"ResponseComplete","verb":"create","requestObject":{{"a":1}},"responseObject":{{"metadata":{{"name":"web-x7k2"}},"spec":"{large}"}},"stageTimestamp":"{time}"}}"#),
        format!(r#"{{"kind":"Event","stage":"ResponseComplete","verb":"list","stageTimestamp":"{time}"}}"#),
        r#"{"kind":"Event","auditID":"timeless","stage":"Panic","verb":"list","stageTimestamp":null}"#.to_owned(),
        r#"{"kind":"Event","level":"Request","auditID":"torn","stage":"ResponseComplete","verb":"create","requestObject":{"a"#.to_owned(),
        "hello".to_owned(),
        format!(r#"{{"kind":"Event","auditID":"received","stage":"RequestReceived","verb":"list","stageTimestamp":"{time}"}}"#),
        format!(r#"{{"kind":"Event","auditID":"last","stage":"ResponseComplete","verb":"list","stageTimestamp":"{time}"}}"#),
    ];
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let config = tables::input("apiserver", &path) + &output(&falco, "");
    let mut agent = Agent::start(dir.path(), &config);
    let mut seen = Vec::new();
    wait_for("the last event", Duration::from_mins(1), || {
        seen = falco.seen();
        let ids: Vec<_> = seen.iter().map(|event| text(event, "id").to_owned()).collect();
        if ids.iter().any(|id| id == "last") { Ok(()) } else { Err(format!("{ids:?}")) }
    });
    let action = |action| {
        agent.count("auditrail_transform_events_total", &[("output", "falco"), ("action", action)])
    };
    assert_eq!((action("no_event"), action("stage_omitted")), (1, 1));
    agent.stop_done();
    let notes: HashMap<_, _> =
        seen.iter().map(|event| (text(event, "id"), text(event, "note"))).collect();
    let ours = notes.keys().filter(|id| id.starts_with("auditrail-")).count();
    assert_eq!(ours, 1, "{notes:?}");
    for (id, note) in [
        ("old", "made=stageTimestamp"),
        ("deep", "cut=responseObject,requestObject"),
        ("odd", "cut=responseObject,requestObject"),
        ("hostile", ""),
        ("large", ""),
        ("timeless", "made=stageTimestamp"),
        ("torn", "made=stageTimestamp cut=line"),
        ("last", ""),
    ] {
        assert_eq!(notes.get(id), Some(&note), "{id}: {notes:?}");
    }
    assert!(notes.contains_key("text") && !notes.contains_key("received"));
    let large = seen.iter().find(|event| event["id"] == "large").unwrap();
    assert_eq!(large["response_name"], "web-x7k2");
    // The torn line is a gap, too, which a rule can look for.
    assert!(seen.iter().any(|event| event["kind"] == "Gap" && event["stage"] == "Gap"));
}

#[test]
fn check_knows_falco_from_a_wrong_path_and_says_what_it_does_not_promise() {
    if !have(&[Server::Falco]) {
        return;
    }
    let dir = TempDir::new().unwrap();
    let falco = Falco::start(dir.path(), free_port(), &[]);
    let path = dir.path().join("audit.log");
    fs::write(&path, "").unwrap();
    let config = tables::input("apiserver", &path) + &output(&falco, "");
    let mut agent = Agent::start(dir.path(), &config);
    let said = agent.command(&["check"]).1;
    assert!(
        said.contains("k8saudit answers at this URL") && said.contains("knows no repeats"),
        "{said}"
    );
    let (code, out, error) = agent.command(&["verify"]);
    assert_eq!(code, Some(2), "{out}{error}");
    assert!(error.contains("Falco"), "{error}");
    agent.stop_done();
    agent.configure(&config.replace("/k8s-audit", "/elsewhere"));
    let said = agent.command(&["check"]).1;
    assert!(said.contains("open_params"), "{said}");
    assert_eq!(falco.ask("counts")["bodies"], 0, "no check sends an event");
}
