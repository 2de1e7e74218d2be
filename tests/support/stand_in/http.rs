//! The HTTP server of a stand-in: reads whole requests, writes whole answers, one request at a time.

use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use flate2::read::MultiGzDecoder;

/// Largest body that is read, in bytes; a larger one is read as empty. No other limit applies.
const LARGEST: usize = 512 << 20;

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// A stand-in: computes the answer to each request.
pub(crate) trait Service: Send + 'static {
    fn answer(&mut self, request: &Request) -> Answer;
}

impl Request {
    /// A parameter of the query string.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, decompressed if `Content-Encoding` is gzip; `Err` if it is not valid gzip.
    pub(crate) fn unzipped(&self) -> Result<Vec<u8>, std::io::Error> {
        if self.header("content-encoding") != Some("gzip") {
            return Ok(self.body.clone());
        }
        let mut plain = Vec::new();
        MultiGzDecoder::new(&*self.body).read_to_end(&mut plain)?;
        Ok(plain)
    }
}

impl Answer {
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: text.into().into_bytes() }
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: value.to_string().into_bytes() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// Serves on loopback until the process ends.
pub(crate) fn serve(port: u16, service: impl Service) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let service: Shared = Arc::new(Mutex::new(service));
        axum::serve(listener, Router::new().fallback(handle).with_state(service)).await.unwrap();
    });
}

type Shared = Arc<Mutex<dyn Service>>;

async fn handle(State(service): State<Shared>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let url = url::Url::parse(&format!("http://x{}", parts.uri)).unwrap();
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: parts.headers,
        // A body that cannot be read to its end is empty: the client has gone and sees no answer.
        body: to_bytes(body, LARGEST).await.unwrap_or_default().to_vec(),
    };
    let answer = service.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}
