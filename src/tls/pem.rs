//! Reads certificates and keys from PEM files. Each error names the file and the way out, and never quotes a key.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that cannot be used, and the way out.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {hint}")]
pub(crate) struct UnusableFile {
    pub(crate) what: String,
    pub(crate) hint: String,
}

impl UnusableFile {
    pub(crate) fn new(what: String, hint: &str) -> Self {
        Self { what, hint: hint.to_owned() }
    }
}

/// The cryptography of every TLS connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The bytes of a file.
///
/// # Errors
/// The file cannot be read.
fn read(path: &Path) -> Result<Vec<u8>, UnusableFile> {
    fs::read(path).map_err(|error| {
        UnusableFile::new(
            format!("cannot read {}: {error}", path.display()),
            "make the file readable by the agent's user",
        )
    })
}

/// The certificates of a file, in their order; at least one.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UnusableFile> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(UnusableFile::new(
            format!("no certificate can be read from {}", path.display()),
            "it must be PEM, with BEGIN CERTIFICATE lines",
        )),
    }
}

/// The private key of a file.
///
/// # Errors
/// The file cannot be read, or holds no private key.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, UnusableFile> {
    // The parser's error is not shown: it may quote the key.
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| {
        UnusableFile::new(
            format!("no private key can be read from {}", path.display()),
            "it must be PEM and not encrypted",
        )
    })
}

/// Why a certificate and a key cannot be used together.
pub(crate) fn unusable_pair(certificate: &Path, key: &Path, error: &rustls::Error) -> UnusableFile {
    let hint = match error {
        rustls::Error::InconsistentKeys(_) => {
            "`tls.cert_file` and `tls.key_file` must belong together"
        }
        _ => "they must hold a certificate and its RSA, ECDSA or Ed25519 key, not encrypted",
    };
    UnusableFile::new(format!("{} and {}: {error}", certificate.display(), key.display()), hint)
}

/// The CA certificates of a file that `key` of the configuration names.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub(crate) fn roots_in(path: &Path, key: &str) -> Result<RootCertStore, UnusableFile> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            let hint = format!("`{key}` must hold CA certificates");
            UnusableFile::new(format!("{}: {error}", path.display()), &hint)
        })?;
    }
    Ok(roots)
}
