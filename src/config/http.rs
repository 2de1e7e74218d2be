//! Settings of every HTTP output: TLS, credentials, timeout, proxy, headers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::http::header::{HeaderName, HeaderValue};
use url::Url;

use super::item::Item;
use super::table::Table;
use super::{ConfigError, SecretSource};

/// Settings of every HTTP output.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) tls: Tls,
    pub(crate) auth: Auth,
    /// Timeout of one request, from connecting to the last byte of the response. Default 10 s; for Falco 5 min.
    pub(crate) timeout: Duration,
    /// URL of an HTTP proxy.
    pub(crate) proxy: Option<String>,
    pub(crate) headers: Vec<(String, SecretSource)>,
}

/// `tls`: certificates. The files are read again when they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    /// Client certificate and key (mTLS); both or neither.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// Credentials of every request: those that an output sends, or those that a webhook asks for.
#[derive(Clone, Debug, Default)]
pub(crate) enum Auth {
    #[default]
    None,
    Basic {
        username: String,
        password: SecretSource,
    },
    Bearer(SecretSource),
    /// Elasticsearch's `Authorization: ApiKey`.
    ApiKey(SecretSource),
}

/// Default time-out of a store that answers at once.
pub(super) const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

const TIMEOUT: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_mins(10);

/// Headers that the outputs set themselves, and how to set each in the configuration, if there is a key for it.
const OWN_HEADERS: [(&str, &str); 8] = [
    ("x-scope-orgid", "set `tenant`"),
    ("content-type", ""),
    ("content-encoding", ""),
    ("content-length", ""),
    ("transfer-encoding", ""),
    ("connection", ""),
    ("host", ""),
    ("accept-encoding", ""),
];

impl Http {
    /// `api_keys`: whether this back end supports API keys. `timeout`: the default.
    pub(super) fn read(
        table: &mut Table<'_>,
        urls: &[Url],
        api_keys: bool,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        let tls = table.get("tls");
        if let Some(item) = tls.as_ref().filter(|_| urls.iter().all(|url| url.scheme() != "https"))
        {
            return Err(item.wrong("has no effect on a http:// URL: write https://, or remove it"));
        }
        let auth = Auth::read(table, api_keys)?;
        Ok(Self {
            tls: tls.map_or(Ok(Tls::default()), |item| Tls::read(&item))?,
            timeout: table.or("timeout", timeout, |item| item.duration(TIMEOUT))?,
            proxy: match table.get("proxy") {
                None => None,
                Some(item) => Some(proxy(&item)?),
            },
            headers: match table.get("headers") {
                None => Vec::new(),
                Some(item) => headers(item, !matches!(auth, Auth::None))?,
            },
            auth,
        })
    }
}

impl Tls {
    fn read(item: &Item<'_>) -> Result<Self, ConfigError> {
        let mut table = item.table()?;
        let ca_file = table.given("ca_file", Item::path)?;
        let client = match (table.get("cert_file"), table.get("key_file")) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert.path()?, key.path()?)),
            (Some(cert), None) => return Err(cert.wrong("`key_file` is missing beside it")),
            (None, Some(key)) => return Err(key.wrong("`cert_file` is missing beside it")),
        };
        table.finish()?;
        Ok(Self { ca_file, client })
    }
}

impl Auth {
    pub(super) fn read(table: &mut Table<'_>, api_keys: bool) -> Result<Self, ConfigError> {
        let mut found = Vec::new();
        if let Some(item) = table.get("basic_auth") {
            let item = item.hide();
            found.push((Self::basic(&item)?, item));
        }
        if let Some((token, item)) = secret(table, "bearer_token", "bearer_token_file")? {
            found.push((Self::Bearer(token), item));
        }
        if api_keys && let Some((key, item)) = secret(table, "api_key", "api_key_file")? {
            found.push((Self::ApiKey(key), item));
        }
        match found.get(1) {
            Some((_, second)) => {
                Err(second.wrong("credentials are given twice in this table: keep one of them"))
            }
            None => Ok(found.pop().map_or(Self::None, |(auth, _)| auth)),
        }
    }

    /// The file that holds the secret, if it is in one, with its key.
    pub(crate) fn file(&self) -> Option<(&Path, &'static str)> {
        let (secret, key) = match self {
            Self::None => return None,
            Self::Basic { password, .. } => (password, "password_file"),
            Self::Bearer(token) => (token, "bearer_token_file"),
            Self::ApiKey(key) => (key, "api_key_file"),
        };
        match secret {
            SecretSource::File(path) => Some((path, key)),
            SecretSource::Inline(_) => None,
        }
    }

    fn basic(item: &Item<'_>) -> Result<Self, ConfigError> {
        let mut table = item.table()?;
        let name = table.need("username", "username = \"auditrail\"")?;
        let username = name.filled()?;
        if username.contains(':') {
            return Err(name.wrong("a user name of basic authentication cannot hold a colon"));
        }
        let Some((password, _)) = secret(&mut table, "password", "password_file")? else {
            // Reading the key once more reports a misspelt key, or says which one is missing.
            return Err(
                match table.need("password_file", "password_file = \"/etc/auditrail/password\"") {
                    Ok(item) => item.wrong("must not be empty"),
                    Err(error) => error,
                },
            );
        };
        table.finish()?;
        Ok(Self::Basic { username, password })
    }
}

/// A secret given in the configuration itself or by the path of a file.
fn secret<'a>(
    table: &mut Table<'a>,
    key: &'static str,
    file_key: &'static str,
) -> Result<Option<(SecretSource, Item<'a>)>, ConfigError> {
    match (table.get(key).map(Item::hide), table.get(file_key)) {
        (None, None) => Ok(None),
        (Some(item), None) => Ok(Some((SecretSource::Inline(item.secret()?), item))),
        (None, Some(item)) => Ok(Some((SecretSource::File(item.secret_path(key)?), item))),
        (Some(item), Some(_)) => {
            Err(item.wrong(format!("`{file_key}` stands beside it: keep one of the two")))
        }
    }
}

/// Parses the URL of a back end.
pub(super) fn endpoint(item: &Item<'_>) -> Result<Url, ConfigError> {
    let text = item.text()?;
    let Ok(url) = Url::parse(&text) else {
        return Err(item.wrong("write a URL such as \"http://127.0.0.1:3100\""));
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(item.wrong("write a URL that begins with http:// or https:// and names a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let way_out = "write `basic_auth = { username = \"…\", password_file = \"…\" }` beside it";
        return Err(item.wrong(format!("must hold no user and password: {way_out}")));
    }
    if url.fragment().is_some() || text.contains(char::is_whitespace) {
        return Err(item.wrong("a URL of a back end holds no white space and no `#`"));
    }
    Ok(url)
}

fn proxy(item: &Item<'_>) -> Result<String, ConfigError> {
    let text = item.text()?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            if url.username().is_empty() && url.password().is_none() {
                return Ok(text);
            }
            Err(item
                .wrong("credentials for a proxy are not supported by this version: remove them"))
        }
        _ => Err(item.wrong("write the URL of an HTTP proxy, such as \"http://10.0.0.1:3128\"")),
    }
}

/// `headers`, each a text or `{ file = "…" }`. Their values are treated as secrets.
fn headers(
    item: Item<'_>,
    authenticated: bool,
) -> Result<Vec<(String, SecretSource)>, ConfigError> {
    let mut headers = Vec::new();
    for (name, value) in item.hide().table()?.entries() {
        let Ok(known) = HeaderName::from_bytes(name.as_bytes()) else {
            // Somebody may have pasted a whole header with its value as the name, so the error does not show it.
            let what = "headers: a name in it is none of an HTTP header: write `headers = { Name = \"value\" }`";
            return Err(value.error(what.to_owned()));
        };
        if let Some((_, hint)) = OWN_HEADERS.iter().find(|(own, _)| *own == known.as_str()) {
            let way_out = if hint.is_empty() { "remove it" } else { hint };
            return Err(value.wrong(format!("auditrail sets this header itself: {way_out}")));
        }
        if authenticated && known == ::http::header::AUTHORIZATION {
            return Err(value.wrong("credentials are given twice in this table: keep one of them"));
        }
        let source = if value.is_table() {
            let mut table = value.table()?;
            let path = table.need("file", "file = \"/etc/auditrail/token\"")?;
            let path = path.secret_path(&name)?;
            table.finish()?;
            SecretSource::File(path)
        } else {
            let text = if is_telling(&name) { value.secret()? } else { value.text()? };
            if HeaderValue::from_str(&text).is_err() {
                return Err(
                    value.wrong("the value of a header is one line without control characters")
                );
            }
            SecretSource::Inline(text)
        };
        headers.push((name, source));
    }
    Ok(headers)
}

/// Whether a header or query parameter of this name is usually a secret.
pub(crate) fn is_telling(name: &str) -> bool {
    const PARTS: [&str; 9] =
        ["key", "token", "secret", "pass", "pwd", "auth", "cookie", "cred", "sig"];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}
