//! Reads what the HTTP client needs for authentication and TLS: headers, client certificate, trusted CA certificates.
//!
//! All of it may be in files that somebody replaces while the agent runs (mounted secrets, rotated tokens,
//! cert-manager). [`Material`] is what the agent read.

use std::path::PathBuf;

use ::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::exchange::Failure;
use crate::config::{Auth, Http, SecretSource, Tls, is_telling};
use crate::tls::{certificates, private_key, provider, roots_in, unusable_pair};

/// Credentials, headers and TLS settings, read from the configuration and its files. Never printed.
pub(super) struct Material {
    /// Configured headers and credentials, all marked sensitive.
    pub(super) headers: HeaderMap,
    /// The secrets among them that must be redacted, in each form that is known here.
    pub(super) sent: Vec<String>,
    pub(super) tls: ClientConfig,
    /// No CA certificate is trusted: there is no `ca_file`, and the system has none.
    pub(super) rootless: bool,
}

impl Material {
    pub(super) fn read(config: &Http) -> Result<Self, Failure> {
        let roots = roots(&config.tls)?;
        let rootless = roots.is_empty();
        let (headers, sent) = headers(config)?;
        Ok(Self { headers, sent, tls: tls(&config.tls, roots)?, rootless })
    }
}

/// The files that a configuration names.
pub(super) fn files(config: &Http) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = config.tls.ca_file.iter().cloned().collect();
    if let Some((certificate, key)) = &config.tls.client {
        files.extend([certificate.clone(), key.clone()]);
    }
    files.extend(config.auth.file().map(|(path, _)| path.to_owned()));
    for (_, source) in &config.headers {
        if let SecretSource::File(path) = source {
            files.push(path.clone());
        }
    }
    files
}

fn setup(answer: String, hint: &str) -> Failure {
    Failure::Setup { answer, hint: hint.to_owned() }
}

fn secret(source: &SecretSource) -> Result<String, Failure> {
    source.read().map_err(|error| setup(error.to_string(), SecretSource::HINT))
}

fn headers(config: &Http) -> Result<(HeaderMap, Vec<String>), Failure> {
    let (mut headers, mut sent) = (HeaderMap::new(), Vec::new());
    for (name, value) in &config.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| {
            setup(format!("`{name}` is not a header name"), "correct it under `headers`")
        })?;
        let value = secret(value)?;
        sent.extend(parts(&value));
        headers.insert(name.clone(), header(value, name.as_str())?);
    }
    let credentials = match &config.auth {
        Auth::None => return Ok((headers, sent)),
        Auth::Basic { username, password } => {
            let password = secret(password)?;
            let pair = format!("{username}:{password}");
            // Add the password by itself: `parts` does not find one that has a space or a colon in it.
            sent.push(password);
            format!("Basic {}", STANDARD.encode(pair))
        }
        Auth::Bearer(token) => format!("Bearer {}", secret(token)?),
        Auth::ApiKey(key) => {
            let key = secret(key)?;
            sent.push(key.clone());
            format!("ApiKey {}", encoded(key))
        }
    };
    sent.extend(parts(&credentials));
    headers.insert(AUTHORIZATION, header(credentials, "Authorization")?);
    Ok((headers, sent))
}

/// The secret parts of a header value: the whole value, the part after an auth scheme, the part after a colon, and the
/// second half of a base64 pair.
fn parts(value: &str) -> Vec<String> {
    let bare = match value.split_once(' ') {
        Some((scheme, rest))
            if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
        {
            rest.trim()
        }
        _ => value,
    };
    let decoded = STANDARD.decode(bare).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let second = decoded.as_deref().and_then(|pair| pair.split_once(':'));
    let second = second.map(|(_, second)| second.to_owned());
    let plain = value.split_once(':').map(|(_, second)| second.trim().to_owned());
    [Some(value.to_owned()), Some(bare.to_owned()), second, plain].into_iter().flatten().collect()
}

/// The values of query parameters whose names say that they are credentials.
pub(super) fn telling(query: &[(String, String)]) -> Vec<String> {
    query.iter().filter(|(name, _)| is_telling(name)).map(|(_, value)| value.clone()).collect()
}

/// The same for the query of a URL.
pub(super) fn in_query(url: &str) -> Vec<String> {
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    let pairs: Vec<_> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    telling(&pairs)
}

/// Takes user and password out of a URL and returns them as an `Authorization` header.
pub(super) fn out_of(url: &mut Url) -> Option<HeaderValue> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = (decoded(url.username()), url.password().map(decoded));
    if user.is_empty() && password.is_none() {
        return None;
    }
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    let pair = STANDARD.encode(format!("{user}:{}", password.unwrap_or_default()));
    header(format!("Basic {pair}"), "Authorization").ok()
}

/// An API key as the `Authorization` header needs it. `id:api_key` is base64-encoded here; Elasticsearch shows that
/// form beside the encoded one when it creates a key. Base64 has no colon, so the two forms can be told apart.
fn encoded(key: String) -> String {
    if key.contains(':') { STANDARD.encode(key) } else { key }
}

fn header(value: String, name: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        setup(
            format!("the value of header {name} has characters that no header takes"),
            "check the file or variable it comes from",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The CA certificates of `ca_file` only, if it is set; otherwise those of the system, which may be none.
fn roots(tls: &Tls) -> Result<RootCertStore, Failure> {
    if let Some(path) = &tls.ca_file {
        return Ok(roots_in(path, "tls.ca_file")?);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(roots)
}

fn tls(tls: &Tls, roots: RootCertStore) -> Result<ClientConfig, Failure> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(format!("TLS: {error}"), "this is a fault of the program"))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &tls.client else {
        return Ok(builder.with_no_client_auth());
    };
    builder
        .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
        .map_err(|error| unusable_pair(certificate, key, &error).into())
}
