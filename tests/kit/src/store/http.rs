//! The HTTP of the fake store: reads whole requests and writes whole answers, over plain sockets, which it can break.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use flate2::read::MultiGzDecoder;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    /// With their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// Computes the answer to each request.
pub trait Service: Send + 'static {
    fn answer(&mut self, request: &Request) -> Answer;
}

impl<F: FnMut(&Request) -> Answer + Send + 'static> Service for F {
    fn answer(&mut self, request: &Request) -> Answer {
        self(request)
    }
}

impl Request {
    /// A request for this target: path and query string.
    pub fn new(method: &str, target: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Self {
        let url = url::Url::parse(&format!("http://x{target}")).unwrap();
        let lower = |(name, value): &(&str, &str)| (name.to_lowercase(), (*value).to_owned());
        Self {
            method: method.to_owned(),
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            headers: headers.iter().map(lower).collect(),
            body,
        }
    }

    /// A parameter of the query string.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body, decompressed if `Content-Encoding` is gzip; `Err` if it is not valid gzip.
    pub fn unzipped(&self) -> Result<Vec<u8>, io::Error> {
        if self.header("content-encoding") != Some("gzip") {
            return Ok(self.body.clone());
        }
        let mut plain = Vec::new();
        MultiGzDecoder::new(&*self.body).read_to_end(&mut plain)?;
        Ok(plain)
    }

    pub(super) fn is_push(&self) -> bool {
        self.path == "/loki/api/v1/push"
    }

    pub(super) fn is_bulk(&self) -> bool {
        self.path.ends_with("/_bulk")
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

impl Answer {
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: text.into().into_bytes() }
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: value.to_string().into_bytes() }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Sends it; a client that has gone does not matter.
    pub(super) fn send(&self, stream: &mut TcpStream, method: &str) {
        let mut bytes = format!("HTTP/1.1 {} X\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes());
        if method != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        let _ = stream.write_all(&bytes);
    }
}

/// Reads the next request; `None` once the client has closed the connection.
pub(super) fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut all, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    let end = loop {
        if let Some(at) = memchr::memmem::find(&all, b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let headers: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut request = Request::new(method, target, &headers, Vec::new());
    let length: usize = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    while all.len() < end + length {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
        }
    }
    request.body = all.split_off(end);
    Some(request)
}

/// Whether the client has closed the connection. Its request may still be in the socket's buffer, long after it timed
/// out.
pub(super) fn is_given_up(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Waits until the client closes the connection.
pub(super) fn hang(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}
