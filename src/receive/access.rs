//! Who may send to a receiver: its certificate, the CA of its clients, and credentials. All of it is in files that
//! somebody may replace while the agent runs (cert-manager, rotated tokens).
//!
//! New connections and requests are judged by what the files hold now. A connection that began before the certificates
//! changed ends after the request that is under way, so that no request fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::credentials::Credentials;
use crate::config::{Auth, WebhookInput, WebhookTls};
use crate::telemetry::{FindingKind, InputFinding, InputStats};
use crate::tls::{UnusableFile, WatchedFiles, certificates, private_key, provider, roots_in};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);

/// Who may send to a receiver.
pub(crate) struct Access {
    input: Arc<str>,
    tls: Option<WebhookTls>,
    auth: Auth,
    files: Vec<PathBuf>,
    gate: watch::Sender<Arc<Gate>>,
}

/// What the files hold.
pub(super) struct Gate {
    /// `None`: plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) credentials: Credentials,
}

impl Access {
    /// Reads the files of a receiver.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(super) fn new(webhook: &WebhookInput) -> Result<Self, UnusableFile> {
        let (tls, auth) = (webhook.tls.clone(), webhook.auth.clone());
        let files = webhook.files().into_iter().map(|(path, _)| path.to_owned()).collect();
        let gate = watch::Sender::new(Arc::new(Gate::read(tls.as_ref(), &auth)?));
        Ok(Self { input: Arc::clone(&webhook.log.name), tls, auth, files, gate })
    }

    /// What holds now, and word of each change.
    pub(super) fn gate(&self) -> watch::Receiver<Arc<Gate>> {
        self.gate.subscribe()
    }

    /// Reads the files again whenever one has changed, until `stopped`. What cannot be used leaves what holds in force,
    /// and is tried again: a certificate and its key are rarely replaced in one step.
    pub(super) async fn follow(&self, stats: &InputStats, mut stopped: watch::Receiver<bool>) {
        if self.files.is_empty() {
            return;
        }
        let mut watched = WatchedFiles::new(self.files.clone());
        let mut ticks = tokio::time::interval(LOOK);
        let mut again = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            let look = tokio::task::block_in_place(|| {
                (watched.changed() || again).then(|| Gate::read(self.tls.as_ref(), &self.auth))
            });
            match look {
                None => {}
                Some(Ok(gate)) => {
                    again = false;
                    self.gate.send_replace(Arc::new(gate));
                    tracing::info!(
                        input = &*self.input,
                        "webhook: certificates and credentials were read again"
                    );
                    stats.set_finding(FindingKind::CertificatesUnusable, None);
                }
                Some(Err(UnusableFile { what, hint })) => {
                    again = true;
                    let finding =
                        InputFinding::warning(FindingKind::CertificatesUnusable, what, hint);
                    stats.set_finding(FindingKind::CertificatesUnusable, Some(finding));
                }
            }
        }
    }
}

impl Gate {
    fn read(tls: Option<&WebhookTls>, auth: &Auth) -> Result<Self, UnusableFile> {
        let tls = tls.map(acceptor).transpose()?;
        Ok(Self { tls, credentials: Credentials::read(auth)? })
    }
}

fn acceptor(tls: &WebhookTls) -> Result<TlsAcceptor, UnusableFile> {
    let WebhookTls { certificate, key, client_ca } = tls;
    let fault =
        |error| UnusableFile::new(format!("TLS: {error}"), "this is a fault of the program");
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(fault)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => builder.with_client_cert_verifier(verifier(file)?),
    };
    let built = builder.with_single_cert(certificates(certificate)?, private_key(key)?);
    let mut config = built.map_err(|error| {
        let hint = match error {
            rustls::Error::InconsistentKeys(_) => {
                "`tls.cert_file` and `tls.key_file` must belong together"
            }
            _ => "they must hold a certificate and its RSA, ECDSA or Ed25519 key, not encrypted",
        };
        UnusableFile::new(format!("{} and {}: {error}", certificate.display(), key.display()), hint)
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn verifier(
    file: &Path,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, UnusableFile> {
    let roots = Arc::new(roots_in(file, "tls.client_ca_file")?);
    WebPkiClientVerifier::builder_with_provider(roots, provider()).build().map_err(|error| {
        UnusableFile::new(
            format!("{}: {error}", file.display()),
            "`tls.client_ca_file` must hold CA certificates",
        )
    })
}
