//! The Falco output against a small server in this process that answers as Falco does. `tests/backends/falco.rs` has a
//! stand-in on the JSON parser of Falco's plugin.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use kit::agent::Agent;
use kit::events::{Expected, Maker, assert_exactly_once, log_of};
use kit::{tables, wait_for};
use serde_json::Value;

/// The id of the event that is refused.
static POISON: Mutex<String> = Mutex::new(String::new());

/// What a body is answered, by its number and its text.
type Answers = fn(usize, &str) -> (u16, &'static str);

/// A server on a port of its own, and the ids of the events in the bodies that it answered with 200.
struct Falco {
    url: String,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Falco {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/k8s-audit", listener.local_addr().unwrap());
        let taken = Arc::<Mutex<Vec<String>>>::default();
        let (kept, count) = (Arc::clone(&taken), Arc::<Mutex<usize>>::default());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, count) = (Arc::clone(&kept), Arc::clone(&count));
                thread::spawn(move || while serve(&stream, answers, &count, &kept).is_some() {});
            }
        });
        Self { url, taken }
    }

    fn output(&self) -> String {
        format!(
            "[outputs.falco]\ntype = \"falco\"\nendpoint = \"{}\"\nbatch = {{ max_age = \"20ms\" }}\n\
             retry = {{ min = \"10ms\", max = \"50ms\" }}\n",
            self.url
        )
    }

    fn wait(&self, events: usize) -> Vec<String> {
        wait_for("Falco to take every event", Duration::from_secs(30), || {
            let taken = self.taken.lock().unwrap();
            if taken.len() >= events { Ok(taken.clone()) } else { Err(taken.len().to_string()) }
        })
    }
}

/// Answers one request; `None` once the connection has ended.
fn serve(
    mut stream: &TcpStream,
    answers: Answers,
    count: &Mutex<usize>,
    taken: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(
        head.starts_with("post /k8s-audit ") && head.contains("content-type: application/json")
    );
    assert!(!head.contains("content-encoding"), "Falco unpacks nothing");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    let number = {
        let mut count = count.lock().unwrap();
        *count += 1;
        *count
    };
    let (status, text) = answers(number, &body);
    if status == 200 {
        let list: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(list["kind"], "EventList");
        let ids = list["items"].as_array().unwrap().iter();
        taken.lock().unwrap().extend(ids.map(|item| item["auditID"].as_str().unwrap().to_owned()));
    }
    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    stream.write_all(answer.as_bytes()).ok()
}

fn written(dir: &Path, count: usize) -> (Vec<Expected>, String) {
    let mut maker = Maker::from_ago(SignedDuration::from_mins(10));
    let events: Vec<_> = (0..count).map(|_| maker.event(400)).collect();
    let path = dir.join("audit.log");
    fs::write(&path, log_of(&events)).unwrap();
    (events, tables::input("apiserver", &path))
}

#[test]
fn a_body_that_falco_refuses_is_halved_until_its_one_event_is_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (events, input) = written(dir.path(), 40);
    POISON.lock().unwrap().clone_from(&events[17].audit_id);
    let falco = Falco::start(|_, body| {
        let is_poisoned = body.contains(&*POISON.lock().unwrap());
        if is_poisoned { (400, "bad request: something odd\n") } else { (200, "") }
    });
    let mut agent = Agent::start(dir.path(), &(input + &falco.output()));
    let taken = falco.wait(39);
    wait_for("the dead letter", Duration::from_secs(10), || {
        let refused = agent.events("falco", "refused");
        if refused == 1 { Ok(()) } else { Err(refused.to_string()) }
    });
    let (code, listed, _) = agent.command(&["dead-letters", "list"]);
    assert!(code == Some(0) && listed.contains("something odd"), "{listed}");
    agent.stop_done();
    let others = events.iter().filter(|event| event.audit_id != events[17].audit_id);
    assert_exactly_once("Falco", taken, others.map(|event| event.audit_id.clone()));
}

#[test]
fn a_falco_that_is_busy_gets_everything_once_when_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let (events, input) = written(dir.path(), 1200);
    let falco = Falco::start(|number, _| if number % 4 == 0 { (200, "") } else { (503, "busy") });
    let mut agent = Agent::start(dir.path(), &(input + &falco.output()));
    let taken = falco.wait(events.len());
    agent.stop_done();
    assert_exactly_once("Falco", taken, events.into_iter().map(|event| event.audit_id));
}

/// An answer that cannot be Falco's stops the output and delivers nothing.
#[test]
fn a_page_of_a_proxy_is_not_taken_for_falcos_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (events, input) = written(dir.path(), 3);
    let falco =
        Falco::start(|number, _| (200, if number == 1 { "<html>Sign in</html>" } else { "" }));
    let mut agent = Agent::start(dir.path(), &(input + &falco.output()));
    wait_for("the events", Duration::from_secs(30), || {
        let delivered = agent.events("falco", "delivered");
        if delivered == events.len() { Ok(()) } else { Err(delivered.to_string()) }
    });
    agent.stop_done();
    let sent = falco.taken.lock().unwrap().len();
    assert_eq!(sent, 2 * events.len(), "they were sent again after the page");
}
