//! The table of hostile answers, each with the expected verdicts of Loki's output and Elasticsearch's.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use super::{Peer, Row, TIMEOUT, row};

/// The server sends these bytes and closes the connection.
fn bytes(
    name: &'static str,
    loki: &'static str,
    elastic: &'static str,
    answer: impl Into<Vec<u8>>,
) -> Row {
    let answer = answer.into();
    row(name, loki, elastic, move |peer, _| {
        peer.put(&answer);
    })
}

/// A well-formed HTTP answer with the right length.
fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub(super) fn json(body: impl AsRef<[u8]>) -> Vec<u8> {
    http("200 OK", "content-type: application/json\r\nx-elastic-product: Elasticsearch\r\n", body)
}

/// A gzip bomb: each kilobyte unpacks to a megabyte of NUL bytes.
fn bomb() -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..32 {
        packed.write_all(&vec![0; 1 << 20]).unwrap();
    }
    packed.finish().unwrap()
}

const LOST: &str = "Doubt(ConnectionLost)";
const LATE: &str = "Doubt(Timeout)";

/// Heads that no server should send.
pub(super) fn broken_heads() -> Vec<Row> {
    let (lost, late) = (LOST, LATE);
    let endless = |line: &'static [u8]| {
        move |peer: &mut Peer, _: &str| {
            peer.put(b"HTTP/1.1 200 OK\r\n");
            peer.endless(&line.repeat(64), Duration::ZERO);
        }
    };
    vec![
        row("an endless head", lost, lost, endless(b"x-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n")),
        row("an endless header", lost, lost, endless(b"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")),
        bytes(
            "a header of 1 MiB",
            lost,
            lost,
            http("204 No", &format!("x-a: {}\r\n", "b".repeat(1 << 20)), ""),
        ),
        bytes("a thousand headers", lost, lost, http("204 No", &"x-a: b\r\n".repeat(1000), "")),
        row("1xx without an end", late, late, |peer, _| {
            peer.endless(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(64), Duration::from_millis(1));
        }),
        row("early hints without an end", late, late, |peer, _| {
            peer.endless(
                b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
                Duration::from_millis(1),
            );
        }),
        bytes(
            "101",
            "Stranger",
            "Stranger",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ),
        row("a head of one byte now and then", late, late, |peer, _| {
            peer.put(b"HTTP/1.1 204 No\r\n");
            peer.endless(b"x", Duration::from_millis(100));
        }),
        row("silence", late, late, |_, _| thread::sleep(TIMEOUT * 2)),
        bytes("nothing", lost, lost, ""),
        bytes("half a head", lost, lost, "HTTP/1.1 20"),
        bytes("HTTP/0.9", lost, lost, "stored\n"),
        bytes("HTTP/2", lost, lost, "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
        bytes("HTTP/3.7", lost, lost, "HTTP/3.7 204 No\r\n\r\n"),
        bytes("another protocol", lost, lost, "SSH-2.0-OpenSSH_9.9\r\n"),
        bytes("a status of two digits", lost, lost, "HTTP/1.1 20 OK\r\n\r\n"),
        bytes("a header that folds", lost, lost, "HTTP/1.1 204 No\r\nx-a: b\r\n c\r\n\r\n"),
        bytes("a header with a NUL", lost, lost, "HTTP/1.1 204 No\r\nx-a: b\0c\r\n\r\n"),
        row("a reset", lost, lost, |peer, _| reset(peer)),
    ]
}

/// Bodies that no server should send.
pub(super) fn broken_bodies() -> Vec<Row> {
    let (lost, late) = (LOST, LATE);
    vec![
        bytes("a negative length", lost, lost, "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
        bytes(
            "a length beyond 64 bits",
            lost,
            lost,
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nabc",
        ),
        bytes(
            "a length that is not reached",
            lost,
            lost,
            "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551614\r\n\r\nabc",
        ),
        bytes(
            "two lengths",
            lost,
            lost,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        ),
        bytes(
            "a length beside chunks",
            "Stranger",
            "Stranger",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ),
        bytes(
            "a chunk of a wrong size",
            lost,
            lost,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc",
        ),
        bytes(
            "a chunk of no size",
            lost,
            lost,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        ),
        row("chunks without an end", "Stranger", "Split(false)", |peer, _| {
            peer.put(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            peer.endless(&[&b"10000\r\n"[..], &[b'a'; 65536], b"\r\n"].concat(), Duration::ZERO);
        }),
        row("a refusal without an end", "Split(false)", "Stop", |peer, _| {
            peer.put(b"HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n");
            peer.endless(&[&b"10000\r\n"[..], &[b'a'; 65536], b"\r\n"].concat(), Duration::ZERO);
        }),
        row("a body of one byte now and then", late, late, |peer, _| {
            peer.put(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
            peer.endless(b"x", Duration::from_millis(100));
        }),
        row("a reset in the body", lost, lost, |peer, _| {
            peer.put(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
            thread::sleep(Duration::from_millis(100));
            reset(peer);
        }),
    ]
}

fn reset(peer: &Peer) {
    rustix::net::sockopt::set_socket_linger(&peer.stream, Some(Duration::ZERO)).unwrap();
}

/// A page for people, and its header.
const PAGE: &str = "<html><title>Sign in</title></html>";
const HTML: &str = "content-type: text/html\r\n";

/// Well-formed answers of various servers that report success.
pub(super) fn successes() -> Vec<Row> {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let digits = format!("{{\"errors\":false,\"took\":{},\"items\":[]}}", "9".repeat(50_000));
    vec![
        bytes("204", "Delivered", "Stranger", http("204 No Content", "", "")),
        bytes(
            "204 with cookies",
            "Delivered",
            "Stranger",
            http("204 No Content", "set-cookie: sid=1; Path=/\r\n", ""),
        ),
        bytes("204 of HTTP/1.0", "Delivered", "Stranger", "HTTP/1.0 204 No\r\n\r\n"),
        bytes("204 with a body", "Stranger", "Stranger", http("204 No Content", "", "stored")),
        bytes(
            "204 in chunks",
            "Stranger",
            "Stranger",
            "HTTP/1.1 204 No\r\ntransfer-encoding: chunked\r\n\r\n6\r\nstored\r\n0\r\n\r\n",
        ),
        row("204 and a reset", "Delivered", "Stranger", |peer, _| {
            peer.put(&http("204 No Content", "connection: keep-alive\r\n", ""));
            thread::sleep(Duration::from_millis(100));
            reset(peer);
        }),
        bytes("205", "Stranger", "Stranger", http("205 Reset Content", "", "")),
        bytes(
            "206",
            "Stranger",
            "Stranger",
            http("206 Partial Content", "content-range: bytes 0-1/9\r\n", "{}"),
        ),
        bytes("299", "Stranger", "Stranger", http("299 Odd", "", "")),
        bytes("200 without a body", "Stranger", "Stranger", http("200 OK", "", "")),
        bytes("200 with a page", "Stranger", "Stranger", http("200 OK", HTML, PAGE)),
        bytes(
            "200 and garbage behind",
            "Stranger",
            "Stranger",
            [json("{}"), b"garbage".to_vec()].concat(),
        ),
        bytes(
            "a bomb in gzip",
            "Stranger",
            "Stranger",
            http("200 OK", "content-encoding: gzip\r\n", bomb()),
        ),
        bytes(
            "brotli",
            "Stranger",
            "Stranger",
            http("200 OK", "content-encoding: br\r\n", b"\x0b\x02\x80{}\x03"),
        ),
        bytes(
            "zstd",
            "Stranger",
            "Stranger",
            http("200 OK", "content-encoding: zstd\r\n", b"\x28\xb5\x2f\xfd\x04\x00\x11\x00\x00{}"),
        ),
        bytes("a deep nest", "Stranger", "Stranger", json(nested)),
        bytes("huge numbers", "Stranger", "Doubt(BadAnswer)", json(digits)),
    ]
}

/// Well-formed answers of various servers that report a failure.
pub(super) fn failures() -> Vec<Row> {
    let mut rows = vec![
        bytes(
            "NUL and broken UTF-8",
            "Split(false)",
            "Stop",
            http("400 Bad", "content-type: text/plain\r\n", b"a\0b\xff\xfe\xc3\x28 c"),
        ),
        bytes(
            "marks that turn a line around",
            "Split(false)",
            "Stop",
            http("400 Bad", "", "a\u{202e}b\u{2066}c\u{200b}d\x1b[31m\x07\x7f"),
        ),
        bytes("401 of a proxy", "Stop", "Stop", http("401 No", HTML, PAGE)),
        bytes("403 of a firewall", "Stop", "Stop", http("403 No", HTML, PAGE)),
        bytes("407", "Stop", "Stop", http("407 Proxy", "proxy-authenticate: Basic\r\n", "")),
        bytes(
            "413 of a proxy",
            "TooLarge(false)",
            "TooLarge(false)",
            http("413 Large", HTML, PAGE),
        ),
        bytes("418", "Stop", "Stop", http("418 Tea", "", "short and stout")),
        bytes("451", "Stop", "Stop", http("451 Law", "", "")),
        bytes("499", "Stop", "Stop", http("499 Odd", "", "")),
        bytes(
            "511",
            "Doubt(ServerError)",
            "Doubt(ServerError)",
            http("511 Network Authentication Required", HTML, PAGE),
        ),
        bytes("599", "Doubt(ServerError)", "Doubt(ServerError)", http("599 Odd", "", "")),
        bytes("600", "Stranger", "Stranger", http("600 Odd", "", "")),
        bytes("999", "Stranger", "Stranger", http("999 Odd", "", "")),
    ];
    for after in [
        "99999999999999999999",
        "-5",
        "NaN",
        "1e9",
        "Wed, 21 Oct 2099 07:28:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "\u{ff11}",
    ] {
        let answer = http("429 Slow", &format!("retry-after: {after}\r\n"), "slow");
        rows.push(bytes(
            "429 with any Retry-After",
            "Retry(Throttled)",
            "Retry(Throttled)",
            answer,
        ));
    }
    rows
}

/// Redirects to a host that must not be contacted.
pub(super) fn redirects(to: &str) -> Vec<Row> {
    let names = ["300", "301", "302", "303", "304", "305", "307", "308", "399"];
    names
        .map(|status| {
            bytes(
                status,
                "Stop",
                "Stop",
                http(&format!("{status} Away"), &format!("location: {to}\r\n"), ""),
            )
        })
        .into()
}
