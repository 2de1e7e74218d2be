//! A store for benches: takes every push as Loki does and every bulk as Elasticsearch does, and counts the events without
//! storing them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use serde_json::json;

use super::http::{self, Answer, Request};

/// A server that runs until the process ends.
#[derive(Clone, Debug)]
pub struct Counting {
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    loki: AtomicU64,
    elasticsearch: AtomicU64,
}

impl Counting {
    /// Starts the server on a free loopback port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &counts));
            }
        });
        Self { address, counts }
    }

    pub fn loki_events(&self) -> u64 {
        self.counts.loki.load(Relaxed)
    }

    pub fn elasticsearch_events(&self) -> u64 {
        self.counts.elasticsearch.load(Relaxed)
    }
}

fn serve(mut stream: TcpStream, counts: &Counts) {
    let _ = stream.set_nodelay(true);
    while let Some(request) = http::read(&mut stream) {
        answer(&request, counts).send(&mut stream, &request.method);
    }
}

fn answer(request: &Request, counts: &Counts) -> Answer {
    if request.is_push() {
        let body = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
        counts.loki.fetch_add(entries(&body), Relaxed);
        return Answer::empty(204);
    }
    if request.method == "GET" && request.path != "/" {
        return Answer::json(404, &json!({}));
    }
    let mut answer = if request.method == "GET" {
        let version = json!({"number": "9.2.1"});
        Answer::json(200, &json!({"tagline": "You Know, for Search", "version": version}))
    } else {
        created(request, counts)
    };
    answer.headers.push(("x-elastic-product", "Elasticsearch".to_owned()));
    answer
}

/// Every document was created. A document takes two lines, action and source, and one item of the answer.
fn created(request: &Request, counts: &Counts) -> Answer {
    let body = request.unzipped().unwrap();
    let lines = memchr::memchr_iter(b'\n', &body).count();
    counts.elasticsearch.fetch_add(lines as u64 / 2, Relaxed);
    let items = vec![r#"{"create":{"status":201}}"#; lines / 2].join(",");
    let answer = format!(r#"{{"took":1,"errors":false,"items":[{items}]}}"#);
    let headers = vec![("content-type", "application/json".to_owned())];
    Answer { status: 200, headers, body: answer.into_bytes() }
}

/// Counts the entries of a push in protobuf: `PushRequest { streams = 1 }`, `Stream { labels = 1, entries = 2 }`.
fn entries(body: &[u8]) -> u64 {
    let streams = fields(body).filter(|(number, _)| *number == 1);
    streams
        .map(|(_, stream)| fields(stream).filter(|(number, _)| *number == 2).count() as u64)
        .sum()
}

/// Number and content of the fields of a protobuf message whose fields are all length-delimited.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let tag = varint(&mut message)?;
        let length = usize::try_from(varint(&mut message)?).unwrap();
        let (field, rest) = message.split_at_checked(length)?;
        message = rest;
        Some((tag >> 3, field))
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
