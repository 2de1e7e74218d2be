//! Tests of the server as a probe, a scraper and a browser use it, over real connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Hosts, serve};
use crate::telemetry::tests::busy;
use crate::telemetry::{FindingKind, Identity, InputFinding, Telemetry};

struct Running {
    at: SocketAddr,
    end: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn start(telemetry: Telemetry) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = ended.await;
    };
    let served = tokio::spawn(serve(
        listener,
        telemetry,
        Duration::from_mins(1),
        Hosts::default(),
        shutdown,
    ));
    Running { at, end, served }
}

/// Sends one request and reads until the server closes: head and body.
async fn ask(at: SocketAddr, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.to_lowercase(), body.into())
}

fn idle() -> Telemetry {
    Telemetry::new(Identity { node: "cp-1".into(), cluster: None, version: "0.1.0" })
}

#[tokio::test]
async fn every_route_answers_what_its_reader_expects() {
    let server = start(busy()).await;
    for (path, status, kind, part) in [
        ("/", 200, "text/html; charset=utf-8", "<strong>Stopped</strong>"),
        (
            "/metrics",
            200,
            "text/plain; version=0.0.4; charset=utf-8",
            "auditrail_output_lag_bytes{",
        ),
        ("/livez", 200, "text/plain", "ok\n"),
        ("/readyz", 503, "text/plain", "output archive of input apiserver has stopped"),
        ("/?fragment", 200, "text/html; charset=utf-8", "<strong>Stopped</strong>"),
        ("/readyz?verbose", 503, "text/plain", "trail stopped since 2025-11-21T07:58:55Z: output"),
        (
            "/readyz?verbose",
            503,
            "text/plain",
            "[-]output archive of input apiserver: output archive",
        ),
        ("/readyz?verbose=1", 503, "text/plain", "[+]checkpoint ok\n"),
        ("/status", 200, "application/json", "\"node\": \"cp-1\""),
        ("/favicon.ico", 404, "text/plain", "not found"),
        ("/metrics/", 404, "text/plain", "not found"),
    ] {
        let (head, body) = ask(server.at, "GET", path).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{path}: {head}");
        let is_page = kind.starts_with("text/html");
        assert_eq!(head.contains("script-src 'sha256-"), is_page, "{path}: {head}");
        assert_eq!(head.matches("content-security-policy").count(), 1, "{path}: {head}");
        for header in ["x-frame-options: deny", "referrer-policy: no-referrer", "nosniff"] {
            assert!(head.contains(header), "{path}: no {header} in {head}");
        }
        assert!(body.contains(part), "{path}: {body}");
    }
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_asks_for_and_caches_are_told_that_there_are_two() {
    let server = start(busy()).await;
    for (accept, kind, ends) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", false),
        (
            "text/plain;q=0.5\r\nAccept: application/openmetrics-text;version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            true,
        ),
    ] {
        let line = format!("/metrics HTTP/1.1\r\nAccept: {accept}\r\nX-Rest:");
        let (head, body) = ask(server.at, "GET", &line).await;
        assert!(head.contains(&format!("content-type: {kind}\r\n")), "{accept}: {head}");
        assert!(head.contains("vary: accept"), "{head}");
        assert_eq!(body.ends_with("# EOF\n"), ends, "{accept}");
    }
}

#[tokio::test]
async fn an_agent_that_is_well_is_ready_and_says_what_it_looked_at() {
    let telemetry = idle();
    let input = telemetry.input("apiserver");
    let warning =
        InputFinding::warning(FindingKind::NoLinks, "no link can be made in /hold", "own the log");
    input.set_finding(warning.kind, Some(warning));
    let server = start(telemetry).await;
    let (head, body) = ask(server.at, "GET", "/readyz").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, "ok\n");
    let (_, body) = ask(server.at, "GET", "/readyz?verbose").await;
    assert_eq!(
        body,
        "trail whole: no event is delivered yet, and none is known to be lost\n\
         [+]input apiserver ok\n[!]input apiserver: no link can be made in /hold: own the log\n\
         [+]checkpoint ok\n[+]disk budget ok\nok\n"
    );
    let (_, body) = ask(server.at, "GET", "/").await;
    assert!(body.contains("no link can be made in /hold: own the log"), "{body}");
}

#[tokio::test]
async fn a_log_that_is_not_there_makes_readyz_red_with_the_way_out() {
    let telemetry = idle();
    let missing =
        InputFinding::failure(FindingKind::LogMissing, "/nowhere is not there", "set `path`");
    telemetry.input("apiserver").set_finding(missing.kind, Some(missing));
    let server = start(telemetry).await;
    let (head, body) = ask(server.at, "GET", "/readyz").await;
    assert!(head.starts_with("http/1.1 503 "), "{head}");
    assert_eq!(body, "input apiserver: /nowhere is not there: set `path`\n");
}

#[tokio::test]
async fn head_has_the_same_head_without_a_body_and_nothing_else_is_allowed() {
    let server = start(busy()).await;
    for path in ["/", "/metrics", "/livez", "/readyz", "/status"] {
        let (got, _) = ask(server.at, "GET", path).await;
        let (head, body) = ask(server.at, "HEAD", path).await;
        assert_eq!(head.lines().next(), got.lines().next(), "{path}");
        assert_eq!(body, "", "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let (head, _) = ask(server.at, method, path).await;
            assert!(head.starts_with("http/1.1 405 "), "{method} {path}: {head}");
            assert!(head.contains("allow: get,head"), "{method} {path}: {head}");
        }
    }
}

#[tokio::test]
async fn a_request_with_an_endless_head_is_refused() {
    let server = start(idle()).await;
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let line = format!("X-Filler: {}\r\n", "a".repeat(8000));
    let mut sent = 0;
    while sent < 4 << 20 && stream.write_all(line.as_bytes()).await.is_ok() {
        sent += line.len();
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(sent < 4 << 20 || answer.starts_with(b"HTTP/1.1 431"), "took {sent} bytes of headers");
}

/// Whether the server closes the connection within `limit`, whatever it sends before.
async fn ends_within(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(limit, stream.read_to_end(&mut rest)).await.is_ok()
}

/// Uses the real clock, since the kernel's side of a connection knows no other.
#[tokio::test]
async fn who_sends_nothing_is_cut_off_after_two_seconds_and_a_trickle_after_ten() {
    let server = start(busy()).await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(server.at).await.unwrap();
    let mut answered = TcpStream::connect(server.at).await.unwrap();
    answered.write_all(b"GET /livez HTTP/1.1\r\nHost: agent\r\n\r\n").await.unwrap();
    let (mut reader, mut writer) = TcpStream::connect(server.at).await.unwrap().into_split();
    let trickle = tokio::spawn(async move {
        while writer.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    assert!(ends_within(&mut silent, Duration::from_secs(5)).await);
    assert!(began.elapsed() > Duration::from_millis(1900), "{:?}", began.elapsed());
    assert!(ends_within(&mut answered, Duration::from_secs(5)).await);
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(13), reader.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "a trickle keeps its connection");
    assert!(began.elapsed() > Duration::from_secs(9), "{:?}", began.elapsed());
    trickle.await.unwrap();
}

/// Twice as many slow clients as the server serves at once, in each way of being slow.
#[tokio::test]
async fn slow_senders_and_slow_readers_in_every_place_keep_nobody_from_an_answer() {
    let server = start(busy()).await;
    let mut held = Vec::new();
    for round in 0..2 * super::listener::SERVED {
        let mut slow = TcpStream::connect(server.at).await.unwrap();
        let sent: &[u8] = match round % 3 {
            0 => b"G",
            1 => b"GET /metrics HTTP/1.1\r\nHost: agent\r\nX-Slow: ",
            // Many requests whose answers the client does not read.
            _ => &b"GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n".repeat(200),
        };
        slow.write_all(sent).await.unwrap();
        held.push(slow);
    }
    let began = Instant::now();
    for _ in 0..20 {
        let (answer, _) = ask(server.at, "GET", "/livez").await;
        assert!(answer.starts_with("http/1.1 200 "), "{answer}");
    }
    // Well before any of them times out.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_client_that_leaves_half_of_its_connection_open_gets_its_answer() {
    let server = start(busy()).await;
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: agent\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn of_a_thousand_requests_at_once_on_one_connection_the_first_is_answered() {
    let server = start(busy()).await;
    let mut stream = TcpStream::connect(server.at).await.unwrap();
    stream.write_all(&b"GET /livez HTTP/1.1\r\nHost: agent\r\n\r\n".repeat(1000)).await.unwrap();
    let mut answers = Vec::new();
    // Bytes that the server did not read turn the end into a reset.
    let _ = stream.read_to_end(&mut answers).await;
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 1, "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
}

/// The status line and the head of the answer to a request with this head.
async fn head_of(at: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.lines().next().unwrap().into(), body.into())
}

#[tokio::test]
async fn a_name_that_a_stranger_may_own_is_refused_on_every_page_with_the_key_that_allows_it() {
    let server = start(busy()).await;
    for path in ["/", "/metrics", "/livez", "/readyz", "/status", "/nothing"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: evil.example:9885\r\n");
        let (line, body) = head_of(server.at, &request).await;
        assert_eq!(line, "HTTP/1.1 421 Misdirected Request", "{path}");
        assert!(body.contains("`allowed_hosts`") && !body.contains("cp-1"), "{path}: {body}");
    }
    for (request, expected) in [
        ("GET /livez HTTP/1.1\r\nHost: 10.0.0.7:9885\r\n", "200"),
        ("GET /livez HTTP/1.1\r\nHost: auditrail.auditrail.svc\r\n", "200"),
        ("GET /livez HTTP/1.0\r\n", "200"),
        ("GET /livez HTTP/1.0\r\nHost: evil.example\r\n", "421"),
        ("GET /livez HTTP/1.1\r\n", "400"),
        ("GET /livez HTTP/1.1\r\nHost:\r\n", "421"),
        ("GET /livez HTTP/1.1\r\nHost: agent\r\nHost: evil.example\r\n", "400"),
        ("GET http://evil.example/livez HTTP/1.1\r\nHost: agent\r\n", "421"),
        ("GET http://agent/livez HTTP/1.1\r\nHost: agent\r\n", "200"),
        ("GET /livez HTTP/1.1\r\nHost: \u{e9}vil\r\n", "421"),
    ] {
        let (line, _) = head_of(server.at, request).await;
        assert!(line.split(' ').nth(1) == Some(expected), "{request}: {line}");
    }
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_connection_that_says_nothing() {
    let server = start(idle()).await;
    let mut silent = TcpStream::connect(server.at).await.unwrap();
    silent.write_all(b"GET / HT").await.unwrap();
    let _also_silent = TcpStream::connect(server.at).await.unwrap();
    ask(server.at, "GET", "/livez").await; // All have been accepted by now.
    server.end.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(3), server.served).await;
    ended.expect("did not end").unwrap().unwrap();
}
