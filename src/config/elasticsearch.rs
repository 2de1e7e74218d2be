//! `type = "elasticsearch"`: Elasticsearch, OpenSearch and other stores with a `_bulk` API.

use super::ConfigError;
use super::http::{Http, USUAL_TIMEOUT, endpoint, is_telling};
use super::item::Item;
use super::table::Table;

/// The settings of an Elasticsearch or OpenSearch output.
#[derive(Clone, Debug)]
pub(crate) struct Elasticsearch {
    pub(crate) http: Http,
    /// Base URLs: at least one, without a query.
    pub(crate) endpoints: Vec<String>,
    pub(crate) target: Target,
    pub(crate) layout: Layout,
    pub(crate) compression: Compression,
    /// Query parameters added to every URL.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) setup_template: SetupTemplate,
}

/// Where documents are stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// A data stream, by name.
    DataStream(String),
    /// An index name in which `%Y`, `%m`, `%d`, `%H` stand for the event time.
    Index(String),
}

/// The shape of a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Layout {
    /// The same fields as Elastic's Kubernetes integration makes.
    Elastic,
    /// The event's own fields at the top level, next to `@timestamp`.
    Flat,
}

/// Content encoding of a request body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Compression {
    Gzip,
    None,
}

/// Whether the index template is installed at start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SetupTemplate {
    /// Only if no template matches the name, or the matching one of highest priority is the built-in `logs-*-*`.
    Auto,
    Never,
}

pub(super) const LAYOUTS: [(&str, Layout); 2] =
    [("elastic", Layout::Elastic), ("flat", Layout::Flat)];
pub(super) const COMPRESSIONS: [(&str, Compression); 2] =
    [("gzip", Compression::Gzip), ("none", Compression::None)];
pub(super) const TEMPLATES: [(&str, SetupTemplate); 2] =
    [("auto", SetupTemplate::Auto), ("never", SetupTemplate::Never)];

impl Elasticsearch {
    pub(super) fn read(table: &mut Table<'_>) -> Result<Self, ConfigError> {
        let list = table.need("endpoints", "endpoints = [\"http://127.0.0.1:9200\"]")?;
        let (mut endpoints, mut urls) = (Vec::new(), Vec::new());
        for item in list.list()? {
            let url = endpoint(&item)?;
            if url.query().is_some() {
                return Err(
                    item.wrong("must hold no query: write `query = { key = \"value\" }` beside it")
                );
            }
            if urls.contains(&url) {
                return Err(item.wrong("named twice: remove one"));
            }
            endpoints.push(item.text()?);
            urls.push(url);
        }
        if endpoints.is_empty() {
            return Err(list.wrong("name at least one URL, as in `[\"http://127.0.0.1:9200\"]`"));
        }
        let layout = table.or("layout", Layout::Elastic, |item| item.choice(&LAYOUTS))?;
        Ok(Self {
            http: Http::read(table, &urls, true, USUAL_TIMEOUT)?,
            endpoints,
            target: Target::read(table, layout)?,
            layout,
            compression: table
                .or("compression", Compression::Gzip, |item| item.choice(&COMPRESSIONS))?,
            query: table.get("query").map_or(Ok(Vec::new()), |item| query(&item.hide()))?,
            setup_template: table
                .or("setup_template", SetupTemplate::Auto, |item| item.choice(&TEMPLATES))?,
        })
    }
}

impl Target {
    fn read(table: &mut Table<'_>, layout: Layout) -> Result<Self, ConfigError> {
        match (table.get("data_stream"), table.get("index")) {
            (Some(_), Some(index)) => {
                Err(index.wrong("`data_stream` stands beside it: keep one of the two"))
            }
            (None, None) => Ok(Self::DataStream("logs-kubernetes.audit_logs-default".into())),
            (Some(item), None) => {
                let name = item.filled()?;
                index_name(&item, &name)?;
                // Every document repeats the three parts in `data_stream.*`, and Elasticsearch compares them with the
                // name.
                let parts: Vec<&str> = name.splitn(3, '-').collect();
                if layout == Layout::Elastic && (parts.len() < 3 || parts.contains(&"")) {
                    let way_out = "or write `layout = \"flat\"` for another name";
                    return Err(item.wrong(format!("must be type-dataset-namespace, as in \"logs-kubernetes.audit_logs-default\", {way_out}")));
                }
                Ok(Self::DataStream(name))
            }
            (None, Some(item)) => {
                let pattern = item.filled()?;
                // A pattern is valid if the name that it makes is valid.
                let mut name = pattern.clone();
                for (field, example) in [("%Y", "2026"), ("%m", "11"), ("%d", "21"), ("%H", "07")] {
                    name = name.replace(field, example);
                }
                if name.contains('%') {
                    return Err(item.wrong("`%` is followed by `Y`, `m`, `d` or `H`, as in \"kubernetes-audit-%Y.%m.%d\""));
                }
                index_name(&item, &name)?;
                Ok(Self::Index(pattern))
            }
        }
    }
}

/// Checks a name by Elasticsearch's rules for index names.
fn index_name(item: &Item<'_>, name: &str) -> Result<(), ConfigError> {
    let refused = |c: char| {
        c.is_uppercase() || c.is_whitespace() || c.is_control() || "\\/*?\"<>|,#:".contains(c)
    };
    if name.contains(refused) || name.starts_with(['-', '_', '+', '.']) || name.len() > 255 {
        let what =
            "a name is lower case, up to 255 bytes, without white space or any of \\/*?\"<>|,#:";
        return Err(item.wrong(format!("{what}, and does not begin with - _ + or .")));
    }
    Ok(())
}

fn query(item: &Item<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut pairs = Vec::new();
    for (key, value) in item.table()?.entries() {
        if key == "filter_path" {
            return Err(value.wrong("must stay out: auditrail needs an answer for every event"));
        }
        let text = if is_telling(&key) { value.secret()? } else { value.text()? };
        pairs.push((key, text));
    }
    Ok(pairs)
}
