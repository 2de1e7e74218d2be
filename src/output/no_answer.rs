//! Why a request got no answer (connect error, timeout, TLS error, lost connection), in words for the operator. Also
//! says whether it is certain that the server processed nothing.
//!
//! The client's errors are chains of causes from several libraries. This file finds the deciding cause by its type,
//! and shows the whole chain only if it knows no type in it.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;

use super::exchange::Failure;
use crate::event::RetryReason;

const NO_CONNECTION: &str = "no connection within `timeout`";
const NO_ANSWER: &str = "no answer within `timeout`";

/// The failure for an error; `target` is the URL as it may be shown.
pub(super) fn failure(error: &(dyn StdError + 'static), target: &str) -> Failure {
    let answer = format!("{target}: {}", words(error, target));
    if is_connect(error) || turned_away(error) {
        return Failure::NotSent { answer };
    }
    let reason = if is_timeout(error) { RetryReason::Timeout } else { RetryReason::ConnectionLost };
    Failure::Lost { reason, answer }
}

/// The failure of a request that exceeded the timeout.
pub(super) fn too_late(target: &str) -> Failure {
    Failure::Lost { reason: RetryReason::Timeout, answer: format!("{target}: {NO_ANSWER}") }
}

/// Whether the error came before there was a connection.
fn is_connect(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref().is_some_and(legacy::Error::is_connect)
}

fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// The error in words for an operator.
fn words(error: &(dyn StdError + 'static), target: &str) -> String {
    if let Some(tls) = find::<rustls::Error>(error) {
        return handshake(tls);
    }
    if is_timeout(error) {
        return if is_connect(error) { NO_CONNECTION } else { NO_ANSWER }.to_owned();
    }
    let kind = find::<io::Error>(error).map(io::Error::kind);
    let what = match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused: nothing listens there",
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            "no route to this host"
        }
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof,
        ) => return closed(target),
        _ => "",
    };
    if !what.is_empty() {
        return what.to_owned();
    }
    // The outermost error only says which step hyper was in.
    let chain = chain(error.source().unwrap_or(error));
    if chain.contains("dns error") || chain.contains("failed to lookup address") {
        return "this name cannot be resolved here: check it, and whether the agent uses the cluster's DNS \
                (hostNetwork needs dnsPolicy: ClusterFirstWithHostNet)"
            .to_owned();
    }
    if chain.contains("connection closed before message completed") {
        return closed(target);
    }
    if chain.contains("tunnel error") {
        return format!("the proxy makes no connection to this host: allow it there ({chain})");
    }
    if chain.contains("invalid HTTP") {
        return "what answers there does not speak HTTP: check scheme and port of the endpoint"
            .to_owned();
    }
    chain
}

/// The server closed the connection without an answer. A TLS port does that if a client speaks plain HTTP to it.
fn closed(target: &str) -> String {
    let mut text = "the server closed the connection without an answer".to_owned();
    if target.starts_with("http:") {
        text.push_str(" (if it speaks HTTPS, write https:// in the endpoint)");
    }
    text
}

/// Why the TLS handshake failed.
fn handshake(error: &rustls::Error) -> String {
    use rustls::{CertificateError as Bad, Error};
    let way_out = match error {
        Error::InvalidMessage(_) => {
            return "the server does not speak TLS on this port: write http:// in the endpoint, or name its HTTPS port"
                .to_owned();
        }
        Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "no trusted CA signed the server's certificate: name the CA's file in `tls.ca_file`"
        }
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the server's certificate has expired: renew it, and check this machine's clock"
        }
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet: check this machine's clock"
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name: use a name from its subjectAltName in the endpoint"
        }
        _ if error.to_string().contains("CaUsedAsEndEntity") => {
            "the server shows a CA's own certificate: give it one with basicConstraints=CA:FALSE"
        }
        Error::AlertReceived(_) => {
            "the server refused the TLS connection: check `tls.cert_file` and `tls.key_file`"
        }
        _ => "",
    };
    if way_out.is_empty() { format!("TLS: {error}") } else { format!("{way_out} ({error})") }
}

/// Whether the server refused our client certificate. In TLS 1.3 that happens after the client has written the request,
/// but before the server reads any of it.
fn turned_away(error: &(dyn StdError + 'static)) -> bool {
    use rustls::AlertDescription as Alert;
    let Some(rustls::Error::AlertReceived(alert)) = find::<rustls::Error>(error) else {
        return false;
    };
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure
    )
}

/// The innermost cause of a type. An [`io::Error`] may contain further errors that its `source` skips.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut found = None;
    let mut next = error.source();
    while let Some(at) = next {
        found = at.downcast_ref::<T>().or(found);
        next = match at.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => at.source(),
        };
    }
    found
}

/// An error with its causes, without repeated texts.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(at) = source {
        let cause = at.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = at.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use crate::config::{Auth, Http, Tls};
    use crate::output::http::{Client, Request};

    async fn said(url: &str) -> String {
        let config = Http {
            tls: Tls::default(),
            auth: Auth::None,
            timeout: Duration::from_secs(5),
            proxy: None,
            headers: Vec::new(),
        };
        let (method, url) = (::http::Method::POST, url.to_owned());
        let request = Request { method, url, headers: Vec::new(), body: "x".into() };
        let client = Client::new(&config).unwrap();
        client.send(request).await.unwrap_err().to_string()
    }

    /// A port that answers each connection with these bytes, and closes it.
    fn port(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                use std::io::{Read as _, Write as _};
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer);
            }
        });
        port
    }

    #[tokio::test]
    async fn a_wrong_scheme_port_or_name_is_named_without_the_chain_of_the_libraries() {
        let plain = port(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let (mute, odd) = (port(b""), port(b"SSH-2.0-x\r\n"));
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for (url, expected) in [
            (
                format!("https://127.0.0.1:{plain}/"),
                "does not speak TLS on this port: write http://",
            ),
            (format!("http://127.0.0.1:{mute}/"), "write https://"),
            (format!("http://127.0.0.1:{odd}/"), "does not speak HTTP"),
            (format!("http://127.0.0.1:{nobody}/"), "connection refused"),
            ("http://no-such-host.invalid/".to_owned(), "cannot be resolved"),
        ] {
            let said = said(&url).await;
            // On a machine without CA certificates the client tries nothing over TLS.
            let rootless = said.contains("no CA certificates");
            assert!(said.contains(expected) || rootless, "{url}: {said}");
            assert!(!said.contains("error sending request"), "{said}");
        }
    }
}
