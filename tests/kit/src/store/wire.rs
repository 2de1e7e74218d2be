//! The messages of a Loki push, defined again here, and the events in a push and in a bulk, independently of the code
//! under test.

use prost::Message;
use serde_json::Value;

use super::http::Request;
use super::state::Stored;

#[derive(Clone, PartialEq, Message)]
pub struct Push {
    #[prost(message, repeated, tag = "1")]
    pub streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Stream {
    #[prost(string, tag = "1")]
    pub labels: String,
    #[prost(message, repeated, tag = "2")]
    pub entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(message, optional, tag = "1")]
    pub time: Option<Time>,
    /// Bytes, because a line need not be UTF-8.
    #[prost(bytes = "vec", tag = "2")]
    pub line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Pair {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

impl Entry {
    /// Nanoseconds since 1970.
    pub fn ns(&self) -> i64 {
        self.time.as_ref().map_or(0, |time| time.seconds * 1_000_000_000 + i64::from(time.nanos))
    }

    /// Its size in bytes, as the rate limit counts it.
    pub fn bytes(&self) -> usize {
        let metadata = self.metadata.iter().map(|pair| pair.name.len() + pair.value.len());
        self.line.len() + metadata.sum::<usize>()
    }
}

/// The events of a push or a bulk.
pub(super) fn events(request: &Request) -> Vec<Stored> {
    if request.is_bulk() { bulked(request) } else { pushed(request) }
}

fn pushed(request: &Request) -> Vec<Stored> {
    let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
    let push = Push::decode(&*plain).unwrap();
    assert!(push.streams.len() <= 1, "one stream a push, or Loki loses lines behind a 204");
    let tenant = request.header("x-scope-orgid").unwrap_or_default();
    let stored = |labels: &str, entry: Entry| Stored {
        under: labels.to_owned(),
        tenant: tenant.to_owned(),
        time: entry.ns(),
        line: String::from_utf8_lossy(&entry.line).into_owned(),
    };
    let streams = push.streams.into_iter();
    streams
        .flat_map(|stream| {
            let labels = stream.labels;
            stream.entries.into_iter().map(move |entry| stored(&labels, entry)).collect::<Vec<_>>()
        })
        .collect()
}

fn bulked(request: &Request) -> Vec<Stored> {
    let body = String::from_utf8(request.unzipped().unwrap()).unwrap();
    let lines: Vec<_> = body.lines().collect();
    let stored = |pair: &[&str]| {
        let action: Value = serde_json::from_str(pair[0]).unwrap();
        Stored::document(action["create"]["_id"].as_str().unwrap(), pair[1].to_owned())
    };
    lines.chunks(2).map(stored).collect()
}
