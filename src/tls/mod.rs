//! Certificates and private keys: what both sides of TLS need, the outputs that connect (`output`) and the webhook that
//! listens (`receive`).
//!
//! All of it is in PEM files that somebody may replace while the agent runs (mounted Secrets, cert-manager). `pem.rs`
//! reads them, and `watched.rs` notices cheaply that one has changed. `name.rs` reads the name in a certificate,
//! and `issue.rs` makes certificates for `auditrail init --webhook`.

mod issue;
mod name;
mod pem;
mod watched;

pub(crate) use issue::{IssuedCertificates, YEARS};
pub(crate) use name::common_name;
pub(crate) use pem::{UnusableFile, certificates, private_key, provider, roots_in, unusable_pair};
pub(crate) use watched::WatchedFiles;
