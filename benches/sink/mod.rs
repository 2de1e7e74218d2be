//! A fake back end for benchmarks and tests. It accepts every push as Loki does and every bulk request as Elasticsearch
//! does, and counts the events without storing them.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use flate2::read::MultiGzDecoder;

/// A server that runs until the process ends.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    loki: AtomicU64,
    elasticsearch: AtomicU64,
}

impl Sink {
    pub(crate) fn loki_events(&self) -> u64 {
        self.counts.loki.load(Relaxed)
    }

    pub(crate) fn elasticsearch_events(&self) -> u64 {
        self.counts.elasticsearch.load(Relaxed)
    }
}

/// Starts the server on a free loopback port.
pub(crate) fn start() -> Sink {
    let counts = Arc::<Counts>::default();
    let router = Router::new()
        .route("/loki/api/v1/push", post(push))
        .route("/_bulk", post(bulk))
        .route("/{*path}", post(bulk))
        .route("/", get(root))
        .fallback(|| async { (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "application/json")], "{}") })
        .layer(DefaultBodyLimit::max(64 << 20))
        .with_state(Arc::clone(&counts));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    Sink { address, counts }
}

async fn push(State(counts): State<Arc<Counts>>, body: Bytes) -> StatusCode {
    let body = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    counts.loki.fetch_add(entries(&body), Relaxed);
    StatusCode::NO_CONTENT
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

/// Answers that every document was created. A document takes two lines, action and source, and one item of the answer.
async fn bulk(
    State(counts): State<Arc<Counts>>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let mut plain = Vec::new();
    let body = if headers.get("content-encoding").is_some_and(|value| value == "gzip") {
        MultiGzDecoder::new(&*body).read_to_end(&mut plain).unwrap();
        &plain
    } else {
        &*body
    };
    let lines = memchr::memchr_iter(b'\n', body).count() as u64;
    counts.elasticsearch.fetch_add(lines / 2, Relaxed);
    let items = vec![r#"{"create":{"status":201}}"#; usize::try_from(lines / 2).unwrap()].join(",");
    let answer = format!(r#"{{"took":1,"errors":false,"items":[{items}]}}"#);
    elastic(answer)
}

async fn root() -> impl IntoResponse {
    elastic(
        r#"{"name":"sink","version":{"number":"9.2.1"},"tagline":"You Know, for Search"}"#
            .to_owned(),
    )
}

fn elastic(answer: String) -> impl IntoResponse {
    ([(CONTENT_TYPE.as_str(), "application/json"), ("x-elastic-product", "Elasticsearch")], answer)
}
