//! The API server's webhook: what is answered 200 is delivered once, whatever happens in between.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use kit::agent::Agent;
use kit::store::Do;
use kit::{FakeStore, free_port, http, tables, wait_for};
use serde_json::Value;

/// Time-out for each wait, long enough for a slow machine.
pub(crate) const SOON: Duration = Duration::from_mins(2);
const NAMED: &str = r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#;

/// An answer of the receiver.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
}

/// An agent with a webhook.
pub(crate) struct Receiver {
    _dir: tempfile::TempDir,
    out: PathBuf,
    pub(crate) agent: Agent,
    pub(crate) port: u16,
}

impl Receiver {
    /// `more` are further keys of the input, `output` is the table of the output; `OUT` in it stands for a file.
    pub(crate) fn start(more: &str, output: &str) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let out = dir.path().join("out.ndjson");
        let input =
            format!("[inputs.hook]\ntype = \"webhook\"\nlisten = \"127.0.0.1:{port}\"\n{more}\n");
        let output = output.replace("OUT", &out.display().to_string());
        let agent = Agent::start(dir.path(), &format!("{input}{output}"));
        Self { _dir: dir, out, agent, port }.listening()
    }

    /// Writes the events to a file.
    fn to_file() -> Self {
        Self::start("spool = { min_free = \"1MiB\" }", &tables::archive(Path::new("OUT")))
    }

    fn listening(self) -> Self {
        wait_for("the webhook to listen", SOON, || {
            TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())
        });
        self
    }

    /// The lines that the file output has written.
    fn delivered(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.out).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn wait_delivered(&self, count: usize) -> Vec<String> {
        wait_for("all events in the file", SOON, || match self.delivered() {
            lines if lines.len() >= count => Ok(lines),
            lines => Err(format!("{} of {count}", lines.len())),
        })
    }

    fn post(&self, body: &[u8]) -> Answer {
        post(self.port, body, Way::Length).unwrap()
    }

    /// The files of the spool.
    fn spool(&self) -> Vec<String> {
        let entries = fs::read_dir(self.agent.state_dir().join("spool/hook")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// How a body is sent.
#[derive(Clone, Copy)]
enum Way {
    Length,
    Chunked,
    /// The sender leaves before it has read the answer.
    Unheard,
}

/// Sends one body; `Err` where there is no answer.
fn post(port: u16, body: &[u8], way: Way) -> Result<Answer, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(said)?;
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut request = "POST /audit?timeout=30s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n".to_owned();
    let mut bytes = Vec::new();
    match way {
        Way::Chunked => {
            request += "Transfer-Encoding: chunked\r\n\r\n";
            bytes.extend_from_slice(request.as_bytes());
            for chunk in body.chunks(1000) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        Way::Length | Way::Unheard => {
            write!(request, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
            bytes.extend_from_slice(request.as_bytes());
            bytes.extend_from_slice(body);
        }
    }
    stream.write_all(&bytes).map_err(said)?;
    if matches!(way, Way::Unheard) {
        stream.shutdown(Shutdown::Write).map_err(said)?;
        return Err("the answer was not read".into());
    }
    let mut head = String::new();
    stream.read_to_string(&mut head).map_err(said)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.ok_or_else(|| format!("no HTTP: {head:?}"))?, head })
}

/// A list of these lines, as the API server's webhook posts it.
pub(crate) fn list<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let items: Vec<_> = lines.map(|line| line.replacen(NAMED, "", 1)).collect();
    format!(
        "{{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{{}},\"items\":[{}]}}\n",
        items.join(",")
    )
    .into_bytes()
}

/// The recorded events that ship with the project.
fn recorded() -> Vec<String> {
    let text = fs::read_to_string("tests/data/audit-events.ndjson").unwrap();
    text.lines().map(str::to_owned).collect()
}

/// An event of its own for each number.
pub(crate) fn event(number: usize, body: usize) -> String {
    format!(
        "{{{NAMED}\"level\":\"Metadata\",\"auditID\":\"{number:032}\",\"stage\":\"ResponseComplete\",\"requestURI\":\"/{}\",\"verb\":\"get\",\"stageTimestamp\":\"2026-11-27T10:00:00.{:06}Z\",\"requestReceivedTimestamp\":\"2026-11-27T10:00:00.000000Z\"}}",
        "x".repeat(body),
        number % 1_000_000
    )
}

/// The numbers of events, as they were delivered.
fn numbers(lines: &[String]) -> Vec<usize> {
    let number = |line: &String| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["auditID"].as_str().unwrap().parse().unwrap()
    };
    lines.iter().map(number).collect()
}

fn indented(body: &[u8]) -> Vec<u8> {
    // Not through a tree: the order of the members and the numbers stay as they are.
    let (mut out, mut text, mut escaped) = (Vec::new(), false, false);
    for &byte in body {
        out.push(byte);
        match byte {
            b'"' if !escaped => text = !text,
            b'{' | b'[' | b',' | b':' if !text => out.extend_from_slice(b"\n\t "),
            _ => {}
        }
        escaped = text && byte == b'\\' && !escaped;
    }
    out
}

#[test]
fn what_is_posted_is_delivered_as_the_log_would_hold_it_however_it_is_posted() {
    let receiver = Receiver::to_file();
    let lines = recorded();
    let array = format!("[{}]", lines.join(","));
    let renamed = |mark: &str| -> Vec<String> {
        lines
            .iter()
            .map(|line| line.replacen("\"auditID\":\"", &format!("\"auditID\":\"{mark}"), 1))
            .collect()
    };
    let mut expected = lines.clone();
    assert_eq!(receiver.post(&list(lines.iter().map(String::as_str))).status, 200);
    for (mark, way) in [("a", Way::Length), ("b", Way::Chunked)] {
        let lines = renamed(mark);
        let body = indented(&list(lines.iter().map(String::as_str)));
        assert_eq!(post(receiver.port, &body, way).unwrap().status, 200);
        expected.extend(lines);
    }
    let array = array.replace("\"auditID\":\"", "\"auditID\":\"c");
    assert_eq!(receiver.post(array.as_bytes()).status, 200);
    expected.extend(renamed("c"));
    for line in renamed("d") {
        assert_eq!(receiver.post(line.as_bytes()).status, 200);
        expected.push(line);
    }
    let mut found = receiver.wait_delivered(expected.len());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_body_that_is_sent_again_is_delivered_once_also_after_a_kill() {
    let mut receiver = Receiver::to_file();
    let body = list([event(1, 10).as_str(), event(2, 10).as_str()].into_iter());
    // Two bodies that begin with the same event are two bodies.
    let other = list([event(1, 10).as_str(), event(3, 10).as_str()].into_iter());
    let unheard = post(receiver.port, &body, Way::Unheard);
    assert!(unheard.is_err());
    assert_eq!(receiver.post(&body).status, 200);
    assert_eq!(receiver.post(&other).status, 200);
    receiver.agent.kill();
    receiver.agent.resume();
    let receiver = receiver.listening();
    assert_eq!(receiver.post(&body).status, 200);
    assert_eq!(receiver.post(&event(4, 0).into_bytes()).status, 200);
    let found = wait_for("the last event", SOON, || {
        let found = numbers(&receiver.delivered());
        if found.contains(&4) { Ok(found) } else { Err(format!("{found:?}")) }
    });
    assert_eq!(found, [1, 2, 1, 3, 4]);
    assert!(receiver.agent.count("auditrail_webhook_repeated_events_total", &[]) >= 2);
}

#[test]
fn ten_kills_under_load_lose_nothing_that_was_answered_and_double_nothing() {
    let mut receiver = Receiver::to_file();
    let (port, done, next) = (receiver.port, AtomicBool::new(false), AtomicUsize::new(0));
    let answered = Mutex::new(HashSet::new());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let batch = next.fetch_add(1, Relaxed);
                    let range = batch * 20..(batch + 1) * 20;
                    // Now and then a body that is too long for memory.
                    let long = if batch % 40 == 7 { 300_000 } else { 500 };
                    let events: Vec<_> = range.clone().map(|number| event(number, long)).collect();
                    let body = list(events.iter().map(String::as_str));
                    // The API server tries again until it is answered 200. One answer in five is lost.
                    let mut times = 0;
                    loop {
                        times += 1;
                        let lost = batch % 5 == 0 && times == 1;
                        let way = if lost { Way::Unheard } else { Way::Length };
                        match post(port, &body, way) {
                            Ok(Answer { status: 200, .. }) => break,
                            Ok(Answer { status: 503, .. }) | Err(_) => {}
                            Ok(other) => panic!("{other:?}"),
                        }
                        thread::sleep(Duration::from_millis(20));
                    }
                    answered.lock().unwrap().extend(range);
                }
            });
        }
        for kill in 0..10 {
            thread::sleep(Duration::from_millis(300 + 70 * kill));
            receiver.agent.kill();
            thread::sleep(Duration::from_millis(50 * kill));
            receiver.agent.resume();
        }
        thread::sleep(Duration::from_millis(500));
        done.store(true, Relaxed);
    });
    let answered = answered.into_inner().unwrap();
    let receiver = receiver.listening();
    receiver.wait_delivered(answered.len());
    let found = numbers(&receiver.delivered());
    let once: HashSet<_> = found.iter().copied().collect();
    assert_eq!(found.len(), once.len(), "some events are there twice");
    assert_eq!(once, answered);
}

#[test]
fn a_full_spool_refuses_at_once_and_loses_nothing_that_it_has_taken() {
    let store = FakeStore::new();
    store.script((0..10_000).map(|_| Do::Answer(503, "later")));
    let more = "spool = { max_bytes = \"1MiB\", min_free = \"1MiB\" }";
    let receiver = Receiver::start(more, &tables::search(&store.url, ""));
    let mut taken = 0;
    let refused = loop {
        let events: Vec<_> = (0..20).map(|one| event(taken * 20 + one, 1000)).collect();
        let answer = receiver.post(&list(events.iter().map(String::as_str)));
        match answer.status {
            200 => taken += 1,
            _ => break answer,
        }
        assert!(taken < 200, "a spool of 1 MiB took {taken} bodies");
    };
    assert_eq!(refused.status, 503);
    assert!(refused.head.to_lowercase().contains("\r\nretry-after: 2\r\n"), "{}", refused.head);
    assert!(!refused.head.to_lowercase().contains("content-type"), "{}", refused.head);
    let readyz = receiver.agent.wait_readyz(503, SOON);
    assert!(readyz.contains("spool.max_bytes"), "{readyz}");
    store.state().script.clear();
    wait_for("the store to hold all", SOON, || match store.counts() {
        counts if counts.len() == taken * 20 && counts.values().all(|times| *times == 1) => Ok(()),
        counts => Err(format!("{} of {}", counts.len(), taken * 20)),
    });
    let begun = Instant::now();
    while receiver.post(event(1_000_000, 0).as_bytes()).status != 200 {
        assert!(begun.elapsed() < SOON, "it takes nothing any more: {:?}", receiver.spool());
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_can_never_be_taken_is_told_apart_and_what_is_readable_of_it_is_kept() {
    let more = "spool = { max_bytes = \"1MiB\", min_free = \"1MiB\" }";
    let receiver = Receiver::start(more, &tables::archive(Path::new("OUT")));
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    let status = |method, headers: &[(&str, &str)], body: &[u8]| {
        http::send(method, &url, headers, body.to_vec()).unwrap().status
    };
    assert_eq!(status("GET", &[], b""), 405);
    assert_eq!(status("POST", &[("Content-Encoding", "gzip")], b"x"), 415);
    assert_eq!(status("POST", &[], &vec![b' '; 2 << 20]), 413);
    assert_eq!(status("POST", &[], b"audit"), 400);
    assert_eq!(status("POST", &[], b"{\"kind\":\"EventList\",\"items\":null}"), 200);
    let mut cut = list([event(1, 0).as_str(), event(2, 0).as_str()].into_iter());
    cut.truncate(cut.len() - 40);
    assert_eq!(status("POST", &[], &cut), 400);
    // The rest of the second event is delivered too, as a torn line, and reported.
    let found = receiver.wait_delivered(2);
    assert!(found.iter().any(|line| *line == event(1, 0)), "{found:?}");
    wait_for("the gap", SOON, || {
        let torn = receiver.agent.count("auditrail_gaps_total", &[("reason", "torn_line")]);
        if torn == 1 { Ok(()) } else { Err(format!("{torn} gaps")) }
    });
}

#[test]
fn hundreds_of_silent_connections_keep_nobody_out() {
    let receiver = Receiver::to_file();
    let slow: Vec<_> = (0..600)
        .filter_map(|one| {
            let mut stream = TcpStream::connect(("127.0.0.1", receiver.port)).ok()?;
            let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n[";
            // Some have sent nothing, some a part of the head, some a part of the body.
            let sent = &head.as_bytes()[..[0, 10, head.len()][one % 3]];
            stream.write_all(sent).ok()?;
            Some(stream)
        })
        .collect();
    assert!(slow.len() > 500);
    for number in 0..20 {
        assert_eq!(receiver.post(event(number, 100).as_bytes()).status, 200);
    }
    receiver.wait_delivered(20);
    drop(slow);
}

#[test]
fn a_spool_is_for_the_agent_alone_and_removed_when_every_output_has_passed_it() {
    let mut receiver = Receiver::to_file();
    for number in 0..5 {
        assert_eq!(receiver.post(event(number, 100).as_bytes()).status, 200);
    }
    receiver.wait_delivered(5);
    for file in receiver.spool() {
        let path = receiver.agent.state_dir().join("spool/hook").join(file);
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }
    receiver.agent.stop_done();
    receiver.agent.resume();
    let receiver = receiver.listening();
    wait_for("the old file to be removed", SOON, || match receiver.spool() {
        files if files.len() == 1 => Ok(()),
        files => Err(format!("{files:?}")),
    });
    assert_eq!(receiver.post(event(3, 100).as_bytes()).status, 200);
    assert_eq!(receiver.delivered().len(), 5);
}
