//! The HTTP client against real sockets: what a server, a network or a file can do to a request.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use ::http::Method;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use super::*;
use crate::config::{Auth, Http, SecretSource, Tls};
use crate::event::RetryReason;

mod given_up;
mod proxies;
mod reports;

fn http() -> Http {
    Http {
        tls: Tls::default(),
        auth: Auth::None,
        timeout: Duration::from_millis(600),
        proxy: None,
        headers: Vec::new(),
    }
}

fn request(url: &str) -> Request {
    Request {
        method: Method::POST,
        url: url.to_owned(),
        headers: Vec::new(),
        body: Bytes::from_static(b"body"),
    }
}

/// Serves every connection with `serve` in its own thread.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    url
}

/// Reads one request: the head and the four bytes of its body.
fn read_request(stream: &mut impl std::io::Read) -> String {
    let mut all = Vec::new();
    let mut chunk = [0; 1024];
    while !all.ends_with(b"\r\n\r\nbody") {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => all.extend_from_slice(&chunk[..n]),
        }
    }
    String::from_utf8(all).unwrap()
}

fn answer(stream: &mut impl std::io::Write, head: &str, body: &[u8]) {
    let _ = write!(stream, "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(body);
    let _ = stream.flush();
}

/// Answers each request on a connection with the head of that request.
fn echo(mut stream: TcpStream) {
    loop {
        let request = read_request(&mut stream);
        if request.is_empty() {
            return;
        }
        answer(&mut stream, "200 OK", request.as_bytes());
    }
}

async fn failure(url: &str) -> Failure {
    Client::new(&http()).unwrap().send(request(url)).await.unwrap_err()
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let found = failure(&format!("http://127.0.0.1:{port}/x")).await;
    assert!(
        matches!(&found, Failure::NotSent { answer } if answer.contains("refused")),
        "{found:?}"
    );
    let found = failure("http://no-such-host.invalid/").await;
    assert!(matches!(found, Failure::NotSent { .. }), "{found:?}");
}

#[tokio::test]
async fn no_answer_in_time_leaves_doubt() {
    let url = listen(|mut stream| {
        read_request(&mut stream);
        thread::sleep(Duration::from_secs(3));
    });
    let found = failure(&url).await;
    assert!(matches!(found, Failure::Lost { reason: RetryReason::Timeout, .. }), "{found:?}");
}

#[tokio::test]
async fn an_answer_that_stops_half_way_leaves_doubt() {
    let url = listen(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
        thread::sleep(Duration::from_secs(3));
    });
    let found = failure(&url).await;
    assert!(matches!(found, Failure::Lost { reason: RetryReason::Timeout, .. }), "{found:?}");
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_leaves_doubt() {
    let url = listen(|mut stream| drop(read_request(&mut stream)));
    let found = failure(&url).await;
    assert!(
        matches!(found, Failure::Lost { reason: RetryReason::ConnectionLost, .. }),
        "{found:?}"
    );
}

/// A request may be sent twice only if the server cannot have read the first one.
#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let url = listen(|mut stream| {
        read_request(&mut stream);
        answer(&mut stream, "200 OK", b"one");
    });
    let client = Client::new(&http()).unwrap();
    for _ in 0..3 {
        assert_eq!(client.send(request(&url)).await.unwrap().body, "one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_huge_answer_is_cut_and_read_no_further() {
    let url = listen(|mut stream| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 500 Oh\r\ncontent-length: 100000000000\r\n\r\n");
        while stream.write_all(&[b'x'; 8192]).is_ok() {}
    });
    let client = Client::new(&http()).unwrap();
    assert_eq!(client.send(request(&url)).await.unwrap().body.len(), 64 * 1024);
    assert_eq!(client.send_keeping(request(&url), 100_001).await.unwrap().body.len(), 100_001);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let url = listen(|mut stream| {
        read_request(&mut stream);
        answer(&mut stream, "307 No\r\nlocation: http://127.0.0.1:1/", b"");
    });
    assert_eq!(Client::new(&http()).unwrap().send(request(&url)).await.unwrap().status, 307);
}

#[tokio::test]
async fn a_token_file_that_changes_is_read_again_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let url = listen(echo);
    let client =
        Client::new(&Http { auth: Auth::Bearer(SecretSource::File(file.clone())), ..http() })
            .unwrap();
    let sent = async || {
        String::from_utf8(client.send(request(&url)).await.unwrap().body.to_vec()).unwrap()
    };
    assert!(sent().await.contains("authorization: Bearer first\r\n"));
    for (content, expected) in [("second", "second"), (" ", "second"), ("third", "third")] {
        std::fs::write(dir.path().join("new"), content).unwrap();
        std::fs::rename(dir.path().join("new"), &file).unwrap();
        tokio::time::sleep(LOOK_AGAIN + Duration::from_millis(50)).await;
        let head = sent().await;
        assert!(head.contains(&format!("authorization: Bearer {expected}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn every_kind_of_credentials_is_sent_and_none_is_shown() {
    let url = listen(echo);
    let secret = || SecretSource::Inline("geheim".to_owned());
    let kinds = [
        (Auth::Basic { username: "u".to_owned(), password: secret() }, "Basic dTpnZWhlaW0="),
        (Auth::Bearer(secret()), "Bearer geheim"),
        (Auth::ApiKey(secret()), "ApiKey geheim"),
        (Auth::ApiKey(SecretSource::Inline("id:geheim".to_owned())), "ApiKey aWQ6Z2VoZWlt"),
    ];
    for (auth, expected) in kinds {
        let client =
            Client::new(&Http { auth, headers: vec![("x-tenant".to_owned(), secret())], ..http() })
                .unwrap();
        let body = client.send(request(&url)).await.unwrap().body;
        let head = String::from_utf8_lossy(&body);
        assert!(head.contains(expected) && head.contains("x-tenant: geheim"), "{head}");
        assert!(!format!("{client:?}").contains("geheim"));
    }
}

#[tokio::test]
async fn a_password_in_a_url_is_used_and_not_shown() {
    let url = listen(echo).replace("//", "//u:geheim@");
    let client = Client::new(&http()).unwrap();
    let body = client.send(request(&url)).await.unwrap().body;
    assert!(String::from_utf8_lossy(&body).contains("Basic dTpnZWhlaW0="));
    let found = failure("http://u:geheim@no-such-host.invalid/x?key=geheim").await;
    assert!(!format!("{found:?} {found}").contains("geheim"), "{found:?}");
    assert!(!format!("{:?}", request("http://u:geheim@h/")).contains("geheim"));
    let proxy =
        Client::new(&Http { proxy: Some("http://u:geheim@[".to_owned()), ..http() }).unwrap_err();
    assert!(!format!("{proxy:?} {proxy}").contains("geheim"), "{proxy:?}");
}

/// A certificate authority with a server and a client certificate, as files.
struct Authority {
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.path().join("ca"), issuer.pem()).unwrap();
        for (name, usage) in [
            ("server", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            std::fs::write(dir.path().join(name), params.signed_by(&key, &issuer).unwrap().pem())
                .unwrap();
            std::fs::write(dir.path().join(format!("{name}-key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The TLS configuration of a server that requires a client certificate of this authority, or none.
    fn tls(&self, wants_certificate: bool) -> Arc<rustls::ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca")).unwrap()).unwrap();
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if wants_certificate {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let certificate = CertificateDer::from_pem_file(self.path("server")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path("server-key")).unwrap();
        Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
    }

    fn serve(&self, wants_certificate: bool) -> String {
        let config = self.tls(wants_certificate);
        let url = listen(move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if !read_request(&mut stream).is_empty() {
                answer(&mut stream, "200 OK", b"private");
            }
            stream.conn.send_close_notify();
            let _ = stream.flush();
        });
        url.replace("http:", "https:")
    }
}

fn trusting(ca: &Path, client: Option<(PathBuf, PathBuf)>) -> Http {
    Http { tls: Tls { ca_file: Some(ca.to_owned()), client }, ..http() }
}

#[tokio::test]
async fn a_server_is_trusted_by_its_ca_file_alone() {
    let (ours, others) = (Authority::new(), Authority::new());
    let url = ours.serve(false);
    let client = Client::new(&trusting(&ours.path("ca"), None)).unwrap();
    assert_eq!(client.send(request(&url)).await.unwrap().body, "private");
    for config in [trusting(&others.path("ca"), None), http()] {
        let found = Client::new(&config).unwrap().send(request(&url)).await.unwrap_err();
        let text = found.to_string();
        assert!(matches!(found, Failure::NotSent { .. } | Failure::Setup { .. }), "{found:?}");
        assert!(text.contains("certificate"), "{text}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_without_one_nothing_was_sent() {
    let authority = Authority::new();
    let url = authority.serve(true);
    let pair = Some((authority.path("client"), authority.path("client-key")));
    let client = Client::new(&trusting(&authority.path("ca"), pair)).unwrap();
    assert_eq!(client.send(request(&url)).await.unwrap().body, "private");
    let without = Client::new(&trusting(&authority.path("ca"), None)).unwrap();
    let found = without.send(request(&url)).await.unwrap_err();
    assert!(matches!(found, Failure::NotSent { .. }), "{found:?}");
}

#[test]
fn a_file_that_is_no_good_is_named_with_what_it_should_be() {
    let authority = Authority::new();
    std::fs::write(authority.path("empty"), "").unwrap();
    let pair =
        |certificate: &str, key: &str| Some((authority.path(certificate), authority.path(key)));
    let cases = [
        (trusting(&authority.path("missing"), None), "cannot read"),
        (trusting(&authority.path("empty"), None), "BEGIN CERTIFICATE"),
        (trusting(&authority.path("ca"), pair("client", "empty")), "not encrypted"),
        (trusting(&authority.path("ca"), pair("client", "server-key")), "belong together"),
        (
            Http { auth: Auth::ApiKey(SecretSource::File(authority.path("empty"))), ..http() },
            "is empty",
        ),
    ];
    for (config, expected) in cases {
        let error = Client::new(&config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_wait_is_read_from_seconds_or_a_date_and_bounded() {
    let now: jiff::Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
    let cases = [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("99999999999", Some(300)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ("soon", None),
        ("-1", None),
    ];
    for (value, expected) in cases {
        assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value}");
    }
}

#[test]
fn an_excerpt_is_one_short_line() {
    assert_eq!(excerpt(b" a\nb\x1b[31m\xff "), "a b [31m\u{fffd}");
    let long = excerpt("é".repeat(1000).as_bytes());
    assert_eq!(long.chars().count(), 257);
    assert!(long.ends_with("é…"));
}

#[test]
fn a_part_of_a_path_that_may_be_a_token_is_not_shown() {
    for (url, expected) in [
        ("http://loki:3100/loki/api/v1/push", "http://loki:3100/loki/api/v1/push"),
        (
            "http://es:9200/logs-kubernetes.audit_logs-prod2/_bulk",
            "http://es:9200/logs-kubernetes.audit_logs-prod2/_bulk",
        ),
        ("https://user:word@host/a/", "https://host/a/"),
        ("http://host/S3CR3T-hunter2/push?key=1", "http://host/***/push"),
        ("http://host/services/T0AB/xoxb", "http://host/services/***/xoxb"),
        ("http://host/7f3a9c1e5b2d/push", "http://host/***/push"),
        ("http://host/%73ecret/push", "http://host/***/push"),
        ("http://host/", "http://host/"),
    ] {
        assert_eq!(shown_url(url), expected);
    }
}
