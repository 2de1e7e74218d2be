//! `type = "loki"`: endpoint, tenant, labels and structured metadata of a Loki output.

use super::ConfigError;
use super::http::{Http, USUAL_TIMEOUT, endpoint, is_telling};
use super::item::Item;
use super::table::Table;

/// The settings of a Loki output.
#[derive(Clone, Debug)]
pub(crate) struct Loki {
    pub(crate) http: Http,
    /// As written: a base URL, perhaps with a path prefix, or a full push URL. Only a full push URL may have a query.
    pub(crate) endpoint: String,
    /// Value of the header `X-Scope-OrgID`; empty: no header is sent.
    pub(crate) tenant: String,
    /// As configured. The output adds `cluster`, `node` and `input`.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) metadata: Vec<MetadataField>,
    pub(crate) stream_per_hour: bool,
}

#[cfg(test)]
impl Loki {
    /// A configuration with only the required values.
    pub(crate) fn plain(http: Http, endpoint: String) -> Self {
        let (tenant, labels, metadata) = (String::new(), Vec::new(), Vec::new());
        Self { http, endpoint, tenant, labels, metadata, stream_per_hour: false }
    }

    /// All fields that can be chosen.
    pub(crate) fn all_metadata() -> Vec<MetadataField> {
        METADATA.map(|(_, field)| field).into()
    }
}

/// A field of the event that is sent to Loki as structured metadata, under this name in snake case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MetadataField {
    AuditLevel,
    Stage,
    Verb,
    User,
    Resource,
    Subresource,
    Namespace,
    Name,
    Code,
    /// The last of `sourceIPs`: the address that the API server itself saw.
    SourceIp,
    UserAgent,
    ApiGroup,
    /// `allow` or `forbid`, from the annotation `authorization.k8s.io/decision`.
    Decision,
    /// `impersonatedUser.username`.
    ImpersonatedUser,
    RequestUri,
}

pub(super) const METADATA: [(&str, MetadataField); 15] = [
    ("audit_level", MetadataField::AuditLevel),
    ("stage", MetadataField::Stage),
    ("verb", MetadataField::Verb),
    ("user", MetadataField::User),
    ("resource", MetadataField::Resource),
    ("namespace", MetadataField::Namespace),
    ("name", MetadataField::Name),
    ("code", MetadataField::Code),
    ("source_ip", MetadataField::SourceIp),
    ("user_agent", MetadataField::UserAgent),
    ("api_group", MetadataField::ApiGroup),
    ("decision", MetadataField::Decision),
    ("subresource", MetadataField::Subresource),
    ("impersonated_user", MetadataField::ImpersonatedUser),
    ("request_uri", MetadataField::RequestUri),
];

/// How many of [`METADATA`], counted from its beginning, are sent if the configuration has no `metadata`.
const DEFAULTS: usize = 12;

/// Labels that the output adds itself.
const OWN_LABELS: &[&str] = &["cluster", "node", "input", "hour", "auditrail"];

/// Most labels in the configuration: Loki accepts 15 per stream by default, and auditrail adds up to five.
const LABELS: usize = 10;

/// The path of Loki's push API.
const PUSH: &str = "/loki/api/v1/push";

impl Loki {
    pub(super) fn read(table: &mut Table<'_>) -> Result<Self, ConfigError> {
        let at = table.need("endpoint", "endpoint = \"http://127.0.0.1:3100\"")?;
        let url = endpoint(&at)?;
        if url.query().is_some() && !url.path().ends_with(PUSH) {
            return Err(at.wrong(format!("a query is understood after a full push URL only: write it out, as in `…{PUSH}?key=value`")));
        }
        Ok(Self {
            endpoint: if url.query_pairs().any(|(name, _)| is_telling(&name)) {
                at.secret()?
            } else {
                at.text()?
            },
            http: Http::read(table, &[url], false, USUAL_TIMEOUT)?,
            tenant: table.get("tenant").map_or(Ok(String::new()), |item| tenant(&item.hide()))?,
            labels: match table.get("labels") {
                Some(item) => labels(&item)?,
                None => vec![("job".into(), "kubernetes-audit".into())],
            },
            metadata: match table.get("metadata") {
                Some(item) => metadata(&item)?,
                None => METADATA[..DEFAULTS].iter().map(|(_, field)| *field).collect(),
            },
            stream_per_hour: table.or("stream_per_hour", false, Item::flag)?,
        })
    }
}

/// `batch.max_bytes`, which has a bound of its own for Loki.
pub(super) fn batch_bytes(item: &Item<'_>) -> Result<u64, ConfigError> {
    if item.size(0..=u64::MAX)? >= 3 << 20 {
        let why = "Loki never takes a push above 4 MiB once decoded, and metadata needs room beside the lines";
        return Err(item.wrong(format!("must stay below \"3MiB\": {why}")));
    }
    item.size(1 << 10..=3 << 20)
}

/// The characters and lengths that Loki itself accepts.
fn tenant(item: &Item<'_>) -> Result<String, ConfigError> {
    let tenant = item.text()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
    if tenant.len() > 150 || tenant == "." || tenant == ".." || !tenant.chars().all(fits) {
        return Err(item.wrong(
            "a tenant is made of up to 150 letters, digits and `!-_.*'()`, and is not `.` or `..`",
        ));
    }
    Ok(tenant)
}

fn labels(item: &Item<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut labels = Vec::new();
    for (name, value) in item.table()?.entries() {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if OWN_LABELS.contains(&name.as_str()) {
            return Err(value.wrong("this label is set by auditrail itself: choose another name"));
        }
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(fits)
        {
            return Err(item
                .wrong("a label is named with letters, digits and `_`, and begins with no digit"));
        }
        if name.starts_with("__") || name.len() > 1024 {
            return Err(value
                .wrong("a label's name has up to 1024 characters and does not begin with `__`"));
        }
        let text = value.filled()?;
        if text.len() > 2048 {
            return Err(value.wrong("Loki takes up to 2048 bytes in a label"));
        }
        labels.push((name, text));
    }
    if labels.len() > LABELS {
        return Err(item
            .wrong(format!("{} labels: Loki takes 15, of which auditrail needs 5", labels.len())));
    }
    Ok(labels)
}

fn metadata(item: &Item<'_>) -> Result<Vec<MetadataField>, ConfigError> {
    for element in item.list()? {
        if element.text()? == "level" {
            let way_out = "write \"audit_level\"";
            return Err(element.wrong(format!("Loki would take it for a severity: {way_out}")));
        }
    }
    item.selection(&METADATA, "no such field")
}
