//! A sender of the webhook that speaks TLS, as client-go does.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Runtime;

/// The status and the challenge of an answer, or why there is none.
pub(crate) type Answer = Result<(u16, Option<String>), String>;

/// Sends over TLS, and keeps its connections.
pub(crate) struct HttpsSender {
    runtime: Runtime,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    port: u16,
}

impl HttpsSender {
    /// Trusts some authorities, and has a certificate if one is given.
    pub(crate) fn new(
        port: u16,
        version: Version,
        trusted: &[&str],
        own: Option<&(String, String)>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for ca in trusted {
            roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let https = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
        let mut builder = Client::builder(TokioExecutor::new());
        let client = if version == Version::HTTP_2 {
            builder.http2_only(true).build(https.enable_http2().build())
        } else {
            builder.build(https.enable_http1().build())
        };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        Self { runtime, client, port }
    }

    /// Sends one body. Returns the status and the challenge, or why there is no answer.
    pub(crate) fn send(&self, credentials: Option<&str>, body: &[u8]) -> Answer {
        self.runtime.block_on(self.sending(credentials, body))
    }

    /// Sends bodies at the same time.
    pub(crate) fn send_at_once(&self, bodies: &[Vec<u8>]) -> Vec<Answer> {
        self.runtime.block_on(async {
            let sending = bodies.iter().map(|body| self.sending(None, body));
            let mut sending: Vec<_> = sending.map(|one| (Box::pin(one), None)).collect();
            poll_fn(|context| {
                for (one, answer) in sending.iter_mut().filter(|(_, answer)| answer.is_none()) {
                    if let Poll::Ready(ready) = one.as_mut().poll(context) {
                        *answer = Some(ready);
                    }
                }
                let all = sending.iter().all(|(_, answer)| answer.is_some());
                if all { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            sending.into_iter().filter_map(|(_, answer)| answer).collect()
        })
    }

    async fn sending(&self, credentials: Option<&str>, body: &[u8]) -> Answer {
        let url = format!("https://127.0.0.1:{}/audit?timeout=30s", self.port);
        loop {
            let mut request = Request::post(&url);
            if let Some(credentials) = credentials {
                request = request.header(AUTHORIZATION, credentials);
            }
            let request = request.body(Full::from(body.to_vec())).unwrap();
            let answer = match self.client.request(request).await.map_err(|e| format!("{e:?}")) {
                // The connection ends in order, and this request was not sent: unlike hyper, Go's client sends it over
                // another connection by itself (`canRetryError` of x/net/http2).
                Err(error) if error.contains("GoAway(b\"\", NO_ERROR, Remote)") => continue,
                answer => answer?,
            };
            let challenge = answer.headers().get(WWW_AUTHENTICATE);
            let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
            let status = answer.status().as_u16();
            answer.into_body().collect().await.map_err(|error| error.to_string())?;
            return Ok((status, challenge));
        }
    }
}
