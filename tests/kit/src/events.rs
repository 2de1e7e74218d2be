//! Audit events for tests: makes events shaped as the API server writes them, and checks for exactly-once delivery.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs;
use std::hash::Hash;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::LogWriter;

/// One event as a test expects to find it: its line and the fields that identify it.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Without the newline; invalid UTF-8 is replaced by U+FFFD, as in JSON answers of a store.
    pub line: String,
    pub audit_id: String,
    pub stage: String,
    /// As written, e.g. `2026-11-21T06:25:22.533537Z`.
    pub stage_timestamp: String,
    /// The same in nanoseconds since 1970.
    pub ns: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    stage_timestamp: String,
}

/// Parses whole lines into events.
pub fn expected(bytes: &[u8]) -> Vec<Expected> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let envelope: Envelope = serde_json::from_slice(line).unwrap();
            Expected {
                line: String::from_utf8_lossy(line).into_owned(),
                ns: nanoseconds(&envelope.stage_timestamp),
                audit_id: envelope.audit_id,
                stage: envelope.stage,
                stage_timestamp: envelope.stage_timestamp,
            }
        })
        .collect()
}

/// An RFC 3339 time in nanoseconds since 1970.
pub fn nanoseconds(time: &str) -> i64 {
    i64::try_from(time.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
}

/// Makes events, each a millisecond later than the one before.
pub struct Maker {
    at: Timestamp,
    made: usize,
}

impl Maker {
    /// The first event will be this long ago.
    pub fn from_ago(ago: SignedDuration) -> Self {
        Self::from(Timestamp::now() - ago)
    }

    /// The first event will be a millisecond after this.
    pub fn from(at: Timestamp) -> Self {
        Self { at, made: 0 }
    }

    /// The next event will be a millisecond after this.
    pub fn set(&mut self, at: Timestamp) {
        self.at = at;
    }

    /// One event whose `requestObject` is `{"pad":"xxx..."}` of about this many bytes.
    pub fn event(&mut self, bytes: usize) -> Expected {
        self.event_with(format!("{{\"pad\":\"{}\"}}", "x".repeat(bytes)).as_bytes()).0
    }

    /// One event with these bytes as its `requestObject`. Returns the expected event and the line itself: the two
    /// differ where the bytes are not UTF-8.
    pub fn event_with(&mut self, request_object: &[u8]) -> (Expected, Vec<u8>) {
        self.made += 1;
        self.at += SignedDuration::from_millis(1);
        let audit_id = format!("00000000-0000-4000-8000-{:012}", self.made);
        let time = self.at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let mut line = format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"{audit_id}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/configmaps/made-{n}?fieldManager=test","verb":"patch","user":{{"username":"alice","groups":["dev","system:authenticated"]}},"sourceIPs":["198.51.100.7"],"userAgent":"kubectl/v1.34.4","objectRef":{{"resource":"configmaps","namespace":"default","name":"made-{n}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestObject":"#,
            n = self.made
        )
        .into_bytes();
        line.extend_from_slice(request_object);
        line.extend_from_slice(
            format!(r#","requestReceivedTimestamp":"{time}","stageTimestamp":"{time}","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}}}"#)
                .as_bytes(),
        );
        let expected = Expected {
            line: String::from_utf8_lossy(&line).into_owned(),
            audit_id,
            stage: "ResponseComplete".to_owned(),
            ns: nanoseconds(&time),
            stage_timestamp: time,
        };
        line.push(b'\n');
        (expected, line)
    }
}

/// A log of made events, and everything written to it so far.
pub struct EventLog {
    pub log: LogWriter,
    pub maker: Maker,
    pub written: Vec<u8>,
}

impl EventLog {
    /// An empty log at this path. Its events begin this long ago.
    pub fn from_ago(ago: SignedDuration, live: impl Into<PathBuf>) -> Self {
        let live = live.into();
        fs::create_dir_all(live.parent().unwrap()).unwrap();
        let log = LogWriter::new(live);
        Self { log, maker: Maker::from_ago(ago), written: Vec::new() }
    }

    /// Appends events with request objects of about this many bytes. Each line takes two writes, so that the agent may
    /// see a torn line.
    pub fn write(&mut self, events: usize, bytes: usize) {
        for _ in 0..events {
            let line = self.maker.event(bytes).line + "\n";
            self.log.append_in_two(line.as_bytes());
            self.written.extend_from_slice(line.as_bytes());
        }
    }
}

/// Whether a gap event (its fields under `gap`) covers this time, in nanoseconds since 1970. An unknown bound covers
/// everything on its side.
pub fn reaches_over(gap: &Value, ns: i64) -> bool {
    let bound = |name: &str| gap[name].as_str().map(nanoseconds);
    bound("from").is_none_or(|from| from <= ns) && bound("to").is_none_or(|to| ns <= to)
}

/// These events as the lines of a log.
pub fn log_of<'a>(events: impl IntoIterator<Item = &'a Expected>) -> Vec<u8> {
    events.into_iter().flat_map(|event| format!("{}\n", event.line).into_bytes()).collect()
}

/// Exactly once: fails unless both hold the same items, each equally often. Reports how many were lost and how many are
/// duplicates.
pub fn assert_exactly_once<T: Debug + Eq + Hash>(
    place: &str,
    found: impl IntoIterator<Item = T>,
    wanted: impl IntoIterator<Item = T>,
) {
    let mut balance: HashMap<T, i64> = HashMap::new();
    for item in wanted {
        *balance.entry(item).or_default() += 1;
    }
    let total = balance.len();
    for item in found {
        *balance.entry(item).or_default() -= 1;
    }
    let lost: Vec<&T> = balance.iter().filter(|(_, n)| **n > 0).map(|(item, _)| item).collect();
    let extra: Vec<&T> = balance.iter().filter(|(_, n)| **n < 0).map(|(item, _)| item).collect();
    let sample = |items: &[&T]| {
        let shown =
            items.iter().take(3).map(|item| format!("{item:?}").chars().take(300).collect());
        shown.collect::<Vec<String>>().join("\n    ")
    };
    assert!(
        lost.is_empty() && extra.is_empty(),
        "{place}: of {total} events {} are lost and {} are there that should not be, or too often\n  lost:\n    {}\n  extra:\n    {}",
        lost.len(),
        extra.len(),
        sample(&lost),
        sample(&extra)
    );
}
