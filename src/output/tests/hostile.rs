//! Hostile answers in a store's place, over real sockets: each row is an answer, and the expected verdict of either
//! store.
//!
//! For every row: no event counts as delivered or refused unless the store said so; the timeout bounds how long the
//! request takes, and a limit how much is read; credentials are sent nowhere else and appear in no text.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use super::elasticsearch::tests::{batch, configured, log, picks};
use super::*;
use crate::config::{self, Auth, Compression, SecretSource};

mod bulk_rows;
mod rows;

use bulk_rows::nearly;
use rows::{broken_bodies, broken_heads, failures, redirects, successes};

const TIMEOUT: Duration = Duration::from_millis(1200);
/// Most bytes that a server can write: kernel buffers, and the longest answer that the client reads.
const MOST: u64 = 24 << 20;
const TOKEN: &str = "tok-9f27c1d04be86a35";

/// What a server does on a connection after it has read a request; it gets the body of the request.
type Serve = Box<dyn Fn(&mut Peer, &str) + Send + Sync>;

/// The server's end of a connection, and a counter of the bytes that it could write.
struct Peer {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Peer {
    /// Writes bytes; returns whether that worked.
    fn put(&mut self, bytes: &[u8]) -> bool {
        self.written.fetch_add(bytes.len() as u64, SeqCst);
        self.stream.write_all(bytes).is_ok()
    }

    /// Writes until the client stops reading, for ten seconds at most.
    fn endless(&mut self, bytes: &[u8], pause: Duration) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) && self.put(bytes) {
            thread::sleep(pause);
        }
    }
}

struct Row {
    name: &'static str,
    serve: Serve,
    loki: &'static str,
    elastic: &'static str,
}

fn row(
    name: &'static str,
    loki: &'static str,
    elastic: &'static str,
    serve: impl Fn(&mut Peer, &str) + Send + Sync + 'static,
) -> Row {
    Row { name, serve: Box::new(serve), loki, elastic }
}

/// Serves one row, and counts the bytes that it could write.
fn serve(row: Arc<Serve>) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let written = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&written);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (row, written) = (Arc::clone(&row), Arc::clone(&counter));
            thread::spawn(move || {
                let mut peer = Peer { stream, written };
                if let Some(body) = request(&mut peer.stream) {
                    row(&mut peer, &body);
                }
            });
        }
    });
    (url, written)
}

/// Reads one request and returns its body.
fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut all, mut chunk) = (Vec::new(), [0; 8192]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        all.extend_from_slice(&chunk[..read]);
        let Some(head) = memchr::memmem::find(&all, b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&all[..head]).to_ascii_lowercase();
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if all.len() >= head + 4 + length.unwrap_or(0) {
            return Some(String::from_utf8_lossy(&all[head + 4..]).into_owned());
        }
    }
}

fn auth() -> config::Http {
    let mut http = configured(&[], Compression::None).http;
    (http.auth, http.timeout) = (Auth::Bearer(SecretSource::Inline(TOKEN.to_owned())), TIMEOUT);
    http
}

fn loki(endpoint: String) -> Output {
    let config = config::Loki::plain(auth(), endpoint);
    Output::Loki(Box::new(Loki::new(&config, &log()).unwrap()))
}

fn elastic(endpoint: String) -> Output {
    let config =
        config::Elasticsearch { http: auth(), ..configured(&[endpoint], Compression::None) };
    Output::Elasticsearch(Box::new(Elasticsearch::new(&config, log(), None, &[]).unwrap()))
}

/// The verdict in one word, with its reason.
fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Retry { reason, .. } => format!("Retry({reason:?})"),
        Verdict::Doubt { reason, .. } => format!("Doubt({reason:?})"),
        Verdict::Split { own, .. } => format!("Split({own})"),
        Verdict::TooLarge { own, .. } => format!("TooLarge({own})"),
        other => format!("{other:?}").split([' ', '{']).next().unwrap().to_owned(),
    }
}

/// Sends two events and looks them up.
async fn ask(output: Output, written: Arc<AtomicU64>) -> (String, String, Duration, u64) {
    let batch = batch(&[br#"{"auditID":"a"}"#, br#"{"auditID":"b"}"#]);
    let began = Instant::now();
    let answer = output.send(&batch, &picks(2)).await;
    let (took, written) = (began.elapsed(), written.load(SeqCst));
    let verdicts = match &answer {
        Answer::Whole(verdict) => vec![verdict],
        Answer::Each(verdicts) => verdicts.iter().collect(),
    };
    let mut words: Vec<_> = verdicts.iter().map(|verdict| word(verdict)).collect();
    words.dedup();
    let found = output.look_up(&output.scope(), &batch, &picks(2), true).await;
    (words.join(" "), format!("{answer:?} {found:?}"), took, written)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_delivers_refuses_leaks_or_fills_memory_that_the_store_did_not_give() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let to = format!("http://{}/loki/api/v1/push?token={TOKEN}", elsewhere.local_addr().unwrap());
    let tables =
        [broken_heads(), broken_bodies(), successes(), failures(), nearly(), redirects(&to)];
    // Only a few at a time, so that a loaded machine answers within the timeout.
    let turns = Arc::new(tokio::sync::Semaphore::new(16));
    let mut under_way = tokio::task::JoinSet::new();
    for row in tables.into_iter().flatten() {
        let Row { name, serve: row, loki: for_loki, elastic: for_elastic } = row;
        let row = Arc::new(row);
        for (store, expected) in [("Loki", for_loki), ("Elasticsearch", for_elastic)] {
            let (url, written) = serve(Arc::clone(&row));
            let output = if store == "Loki" { loki(url) } else { elastic(url) };
            let turns = Arc::clone(&turns);
            under_way.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                (name, store, expected, ask(output, written).await)
            });
        }
    }
    let mut wrong = Vec::new();
    while let Some(ended) = under_way.join_next().await {
        let (name, store, expected, (found, texts, took, written)) = ended.unwrap();
        for (what, is_wrong) in [
            ("not as expected", found != expected),
            ("shows a secret", texts.contains(&TOKEN[4..])),
            ("found by a look-up", texts.contains("Ok([true")),
            ("a long text", texts.len() > 8192),
            ("took long", took > TIMEOUT * 3),
            ("took many bytes", written > MOST),
        ] {
            if is_wrong {
                let texts = &texts[..texts.floor_char_boundary(400)];
                wrong.push(format!(
                    "{name}, {store}: {what}: {found}, not {expected}, {took:?}, {written} bytes: {texts}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(elsewhere.accept().is_err(), "a redirect was followed");
}
