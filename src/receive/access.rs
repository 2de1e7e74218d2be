//! Who may send to a receiver: its certificate, the CA of its clients, and credentials. All of it is in files that
//! somebody may replace while the agent runs (cert-manager, rotated tokens).
//!
//! New connections and requests are judged by what the files hold now. `service.rs` ends older connections.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::credentials::Credentials;
use crate::config::{WebhookInput, WebhookTls};
use crate::telemetry::{FindingKind, InputFinding, InputStats};
use crate::tls::{
    UnusableFile, WatchedFiles, certificates, private_key, provider, roots_in, unusable_pair,
};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);

/// Who may send to a receiver.
pub(crate) struct Access {
    webhook: WebhookInput,
    watched: Mutex<WatchedFiles>,
    gate: watch::Sender<Arc<Gate>>,
}

/// The certificates and credentials that are in force.
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
        // Before the files are read, so that a change in between is noticed.
        let files = webhook.files().into_iter().map(|(path, _)| path.to_owned());
        let watched = Mutex::new(WatchedFiles::new(files.collect()));
        let gate = watch::Sender::new(Arc::new(Gate::read(webhook)?));
        Ok(Self { webhook: webhook.clone(), watched, gate })
    }

    /// What holds now, and word of each change.
    pub(super) fn gate(&self) -> watch::Receiver<Arc<Gate>> {
        self.gate.subscribe()
    }

    /// Reads the files again whenever one has changed, until `stopped`. What cannot be used leaves what holds in force,
    /// and is tried again: a certificate and its key are rarely replaced in one step.
    pub(super) async fn follow(&self, stats: &InputStats, mut stopped: watch::Receiver<bool>) {
        if self.webhook.files().is_empty() {
            return;
        }
        let mut ticks = tokio::time::interval(LOOK);
        let mut again = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            let look = tokio::task::block_in_place(|| {
                let changed = self.watched.lock().unwrap_or_else(PoisonError::into_inner).changed();
                (changed || again).then(|| Gate::read(&self.webhook))
            });
            match look {
                None => {}
                Some(Ok(gate)) => {
                    again = false;
                    self.gate.send_replace(Arc::new(gate));
                    tracing::info!(
                        input = &*self.webhook.log.name,
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
    fn read(webhook: &WebhookInput) -> Result<Self, UnusableFile> {
        let tls = webhook.tls.as_ref().map(acceptor).transpose()?;
        Ok(Self { tls, credentials: Credentials::read(&webhook.auth)? })
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
    let mut config = built.map_err(|error| unusable_pair(certificate, key, &error))?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use http::HeaderMap;
    use http::header::{AUTHORIZATION, HeaderValue};

    use super::*;
    use crate::config::Config;
    use crate::telemetry::{Identity, Telemetry};
    use crate::tls::IssuedCertificates;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_changes_before_anybody_follows_it_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let made = IssuedCertificates::new("localhost", "client").unwrap();
        fs::write(path("crt"), made.receiver.certificate).unwrap();
        fs::write(path("key"), made.receiver.key).unwrap();
        fs::write(path("token"), "first").unwrap();
        let config = format!(
            "[inputs.a]\ntype = \"webhook\"\ntls = {{ cert_file = '{0}/crt', key_file = '{0}/key' }}\n\
             bearer_token_file = '{0}/token'\n[outputs.o]\ntype = \"file\"\npath = \"-\"\n",
            dir.path().display()
        );
        fs::write(path("toml"), config).unwrap();
        let config = Config::load(&path("toml")).unwrap();
        let access = Access::new(config.webhooks().next().unwrap()).unwrap();
        fs::write(path("token"), "the second").unwrap();
        let telemetry = Telemetry::new(Identity { node: "n".into(), cluster: None, version: "0" });
        let stats = telemetry.input("a");
        let (_stop, stopped) = watch::channel(false);
        let mut gate = access.gate();
        tokio::select! {
            changed = gate.changed() => changed.unwrap(),
            () = access.follow(&stats, stopped) => unreachable!("it was not stopped"),
            () = tokio::time::sleep(Duration::from_mins(1)) => panic!("nobody noticed"),
        }
        let with = |token| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(token))]);
        let credentials = &gate.borrow().credentials;
        assert!(credentials.check(&with("Bearer the second")).is_ok());
        assert!(credentials.check(&with("Bearer first")).is_err());
    }
}
