//! A blocking HTTP client for tests: takes a request, returns status and bytes. It follows no redirect.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::runtime::Runtime;

/// The response of a server.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text, at most its first 2,000 bytes, for messages of failing tests.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]).into_owned()
    }

    /// The body as JSON; `Err` unless the status is below 300 and the body parses.
    pub fn json(&self) -> Result<Value, String> {
        if self.status >= 300 {
            return Err(format!("HTTP {}: {}", self.status, self.text()));
        }
        serde_json::from_slice(&self.body).map_err(|error| format!("{error} in {}", self.text()))
    }
}

pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

const LIMIT: Duration = Duration::from_mins(1);

static CLIENT: LazyLock<(Runtime, Client)> =
    LazyLock::new(|| (Runtime::new().unwrap(), client(RootCertStore::empty())));

fn client(roots: RootCertStore) -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(HttpsConnector::from((tcp, tls)))
}

/// Sends a `GET` without headers of our own.
pub fn get(url: &str) -> Result<Answer, String> {
    send("GET", url, &[], Vec::new())
}

/// Sends any request. `Err` when there was no answer.
pub fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, String> {
    send_by(&CLIENT.1, method, url, headers, body)
}

/// A client that trusts these CA certificates.
pub fn trusting(pem: &[u8]) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    client(roots)
}

/// Like [`send`], with the caller's own client.
pub fn send_by(
    client: &Client,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, String> {
    let url = url::Url::parse(url).map_err(|error| error.to_string())?;
    let mut request = ::http::Request::builder().method(method).uri(url.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = client.request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(Answer { status, body: body.to_bytes().to_vec() })
    };
    let exchange = async { tokio::time::timeout(LIMIT, exchange).await };
    CLIENT.0.block_on(exchange).map_err(|_| "no answer within a minute".to_owned())?
}

/// A value, percent-encoded for a query string.
pub fn escape(value: &str) -> String {
    let mut escaped = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                escaped.push(char::from(byte));
            }
            _ => write!(escaped, "%{byte:02X}").unwrap(),
        }
    }
    escaped
}
