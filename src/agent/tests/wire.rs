//! Reads pushes and bulks and answers them, independently of the code that writes them.

use prost::Message;
use serde_json::{Value, json};

use super::fake::{Request, Stored};

#[derive(Clone, PartialEq, Message)]
struct Push {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    time: Option<Time>,
    #[prost(string, tag = "2")]
    line: String,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

pub(super) fn pushed(request: &Request) -> Vec<Stored> {
    let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
    let push = Push::decode(&*plain).unwrap();
    assert!(push.streams.len() <= 1, "one stream a push, or Loki loses lines behind a 204");
    let mut all = Vec::new();
    for stream in push.streams {
        for entry in stream.entries {
            let time = entry.time.unwrap();
            all.push(Stored {
                under: stream.labels.clone(),
                tenant: request.tenant.clone(),
                time: time.seconds * 1_000_000_000 + i64::from(time.nanos),
                line: entry.line,
            });
        }
    }
    all
}

pub(super) fn bulked(request: &Request) -> Vec<Stored> {
    let text = std::str::from_utf8(&request.body).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let stored = |pair: &[&str]| {
        let action: Value = serde_json::from_str(pair[0]).unwrap();
        Stored {
            under: action["create"]["_id"].as_str().unwrap().to_owned(),
            tenant: String::new(),
            time: 0,
            line: pair[1].to_owned(),
        }
    };
    lines.chunks(2).map(stored).collect()
}

/// A bulk answer with a status for each document, by its index.
pub(super) fn items(documents: &[Stored], status: impl Fn(usize) -> u16) -> String {
    let item = |(at, document): (usize, &Stored)| {
        let status = status(at);
        let kind = match status {
            201 => return json!({"create": {"_id": document.under, "status": status}}),
            400 => "document_parsing_exception",
            409 => "version_conflict_engine_exception",
            403 => "cluster_block_exception",
            _ => "es_rejected_execution_exception",
        };
        let error = json!({"type": kind, "reason": "full"});
        json!({"create": {"_id": document.under, "status": status, "error": error}})
    };
    let items: Vec<_> = documents.iter().enumerate().map(item).collect();
    json!({"errors": true, "items": items}).to_string()
}

/// The parts of a document for a request of these fields, of all, or of none.
pub(super) fn only(document: &str, fields: &Value) -> Value {
    let is_asked = |name: &str| match fields {
        Value::Array(fields) => fields
            .iter()
            .filter_map(Value::as_str)
            .any(|field| field.split('.').next() == Some(name)),
        other => *other != Value::Bool(false),
    };
    let mut document: Value = serde_json::from_str(document).unwrap();
    if let Value::Object(members) = &mut document {
        members.retain(|name, _| is_asked(name));
    }
    document
}
