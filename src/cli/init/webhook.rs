//! `init --webhook`: the receiver's certificates, the kubeconfig of the API server, and the flags to set.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::written::write;
use crate::config::valid_address;
use crate::disk;
use crate::tls::{IssuedCertificates, YEARS};

/// The name of the API server in its certificate.
const CLIENT: &str = "kube-apiserver";

/// A receiver that `init` sets up.
#[derive(Debug)]
pub(super) struct WebhookSetup {
    /// Host and port by which the API server reaches it.
    address: String,
    /// The host without brackets.
    host: String,
    port: String,
    /// The directory of its files.
    directory: PathBuf,
}

impl WebhookSetup {
    /// `address` is `HOST:PORT`; the files stand beside the configuration.
    ///
    /// # Errors
    /// The address is none.
    pub(super) fn new(address: &str, config: &Path) -> anyhow::Result<Self> {
        let valid = valid_address(address);
        let parts = valid.as_deref().and_then(|valid| valid.rsplit_once(':'));
        let parts = parts.and_then(|(host, port)| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            let is_host = bare.parse::<IpAddr>().is_ok() || host.chars().all(is_name);
            (is_host && port.parse() != Ok(0_u16)).then(|| (bare.to_owned(), port.to_owned()))
        });
        let (host, port) = parts.ok_or_else(|| {
            anyhow!("--webhook={address}: write the host and the port by which the API server reaches this machine, such as 10.0.0.5:9886")
        })?;
        let above = std::path::absolute(disk::above(config))
            .with_context(|| format!("cannot make {} absolute", config.display()))?;
        Ok(Self { address: address.to_owned(), host, port, directory: above.join("webhook") })
    }

    /// The address to listen on: a name may stand for any address of this machine.
    pub(super) fn listen(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(_) => self.address.clone(),
            Err(_) if self.host == "localhost" => format!("127.0.0.1:{}", self.port),
            Err(_) => format!("0.0.0.0:{}", self.port),
        }
    }

    /// A file of the receiver: `tls.crt`, `tls.key`, `clients.crt` or `kubeconfig`.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the certificates and writes all files.
    ///
    /// # Errors
    /// The certificates cannot be made, or a file cannot be written.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let made = IssuedCertificates::new(&self.host, CLIENT)
            .with_context(|| format!("cannot make certificates for {}", self.host))?;
        for (name, text) in [
            ("tls.crt", &made.receiver.certificate),
            ("tls.key", &made.receiver.key),
            ("clients.crt", &made.ca),
            ("kubeconfig", &self.kubeconfig(&made)),
        ] {
            write(&self.file(name), text)?;
        }
        Ok(())
    }

    fn kubeconfig(&self, made: &IssuedCertificates) -> String {
        let data = |pem: &str| STANDARD.encode(pem);
        format!(
            "\
# For --audit-webhook-config-file of the API server. It holds a private key. Written by `auditrail init --webhook`; its
# certificates are valid for {YEARS} years.
apiVersion: v1
kind: Config
clusters:
- name: auditrail
  cluster:
    server: https://{}/
    certificate-authority-data: {}
users:
- name: {CLIENT}
  user:
    client-certificate-data: {}
    client-key-data: {}
contexts:
- name: auditrail
  context: {{cluster: auditrail, user: {CLIENT}}}
current-context: auditrail
",
            self.address,
            data(&made.ca),
            data(&made.client.certificate),
            data(&made.client.key)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WEBHOOK_LISTEN;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let listen = |address: &str| {
            let setup = WebhookSetup::new(address, Path::new("/etc/auditrail/auditrail.toml"));
            setup.map(|setup| setup.listen()).map_err(|error| error.to_string())
        };
        for (address, expected) in [
            (WEBHOOK_LISTEN, WEBHOOK_LISTEN),
            ("localhost:1", "127.0.0.1:1"),
            ("10.0.0.5:9886", "10.0.0.5:9886"),
            ("[::1]:9886", "[::1]:9886"),
            ("audit.example.org:443", "0.0.0.0:443"),
        ] {
            assert_eq!(listen(address).as_deref(), Ok(expected), "{address}");
        }
        for address in [
            "",
            "9886",
            "h",
            "h:",
            "h:0",
            "h:65536",
            ":1",
            "a b:1",
            "https://h:1",
            "[h]:1",
            "a\"b:1",
        ] {
            let error = listen(address).unwrap_err();
            assert!(error.contains("such as 10.0.0.5:9886"), "{address}: {error}");
        }
    }
}
