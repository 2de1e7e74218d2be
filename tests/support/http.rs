//! A blocking HTTP client for tests: plain text in, status and bytes out.

use std::fmt::Write;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as text, at most the first 2,000 bytes: enough to see what is wrong.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body[..self.body.len().min(2000)]).into_owned()
    }

    /// The body of an answer that must be a success.
    pub(crate) fn json(&self) -> Result<Value, String> {
        if self.status >= 300 {
            return Err(format!("HTTP {}: {}", self.status, self.text()));
        }
        serde_json::from_slice(&self.body).map_err(|error| format!("{error} in {}", self.text()))
    }
}

static CLIENT: LazyLock<(Runtime, reqwest::Client)> = LazyLock::new(|| {
    // Built without a provider of its own; an earlier one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build();
    (Runtime::new().unwrap(), client.unwrap())
});

/// `GET`, without headers of our own.
pub(crate) fn get(url: &str) -> Result<Answer, String> {
    send("GET", url, &[], Vec::new())
}

/// Any request. `Err` when there was no answer.
pub(crate) fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, String> {
    send_by(&CLIENT.1, method, url, headers, body)
}

/// A client that trusts these certificates.
pub(crate) fn trusting(pem: &[u8]) -> reqwest::Client {
    // The other one brings the provider along.
    LazyLock::force(&CLIENT);
    let trusted = reqwest::Certificate::from_pem_bundle(pem).unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1));
    client.tls_certs_only(trusted).build().unwrap()
}

/// The same with a client of one's own.
pub(crate) fn send_by(
    client: &reqwest::Client,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, String> {
    let runtime = &CLIENT.0;
    let mut request = client.request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.body(body);
    }
    runtime.block_on(async {
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|error| error.to_string())?.to_vec();
        Ok(Answer { status, body })
    })
}

/// A value as it may stand in a query string.
pub(crate) fn escape(value: &str) -> String {
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
