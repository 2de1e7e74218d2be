//! Reads all documents of a time range for `verify`, page by page, in every backing index.
//!
//! Each page is a search of its own that starts at the last millisecond of the page before. So the store keeps nothing
//! open, and `OpenSearch` works in the same way (its point in time has no tie-breaker to continue from). Only if one
//! millisecond holds more documents than the largest page, the scan reads that millisecond by a scroll.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Elasticsearch;
use super::answer::{Question, Shards, complete, read, usable};
use super::flavour::Flavour;
use super::likeness::Parts;
use crate::config::Layout;
use crate::event::{Fingerprint, Position};
use crate::output::{Digest, LookUp, MILLI, ScanCursor, ScanPage, Stored};

/// Most bytes of an answer that are read.
const HELD: usize = 8 << 20;
/// Most documents of one page: the default of `index.max_result_window`.
const WINDOW: usize = 10_000;
/// Most bytes of an answer that is not a page.
const SMALL: usize = 1 << 20;
/// The fields to request if whole documents are too large.
const FIELDS: [&str; 12] = [
    "host.name",
    "node",
    "kind",
    "auditID",
    "stage",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "kubernetes.audit.kind",
    "kubernetes.audit.auditID",
    "kubernetes.audit.stage",
    "kubernetes.audit.requestReceivedTimestamp",
    "kubernetes.audit.stageTimestamp",
];

#[derive(Deserialize)]
struct Searched<'a> {
    #[serde(default, rename = "_scroll_id")]
    scroll: Option<String>,
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    #[serde(borrow)]
    hits: Hits<'a>,
}

#[derive(Deserialize)]
struct Hits<'a> {
    #[serde(borrow, default)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_index")]
    index: String,
    #[serde(rename = "_id")]
    id: String,
    #[serde(borrow, default, rename = "_source")]
    source: Option<&'a RawValue>,
    #[serde(default)]
    sort: Vec<serde_json::Value>,
}

/// Why there is no page.
enum End {
    ScanPage(ScanPage),
    TooLarge,
}

impl From<LookUp> for End {
    fn from(end: LookUp) -> Self {
        Self::ScanPage(end.into())
    }
}

/// Reads the next page. Makes one request; the first call makes several.
pub(super) async fn scan(
    store: &Elasticsearch,
    scope: &str,
    walk: &mut ScanCursor,
    digest: &Digest,
) -> ScanPage {
    let told = if walk.filter.is_none() {
        match begin(store, scope).await {
            Ok(filter) => {
                walk.filter = Some(filter);
                Ok(ScanPage::Page(Vec::new()))
            }
            Err(told) => Err(End::ScanPage(told)),
        }
    } else if walk.from >= walk.until {
        Ok(ScanPage::End)
    } else if let Some(scroll) = walk.scroll.take() {
        moment(store, scope, walk, &scroll, digest).await
    } else {
        page(store, scope, walk, digest).await
    };
    told.unwrap_or_else(|end| match end {
        End::ScanPage(told) => told,
        End::TooLarge if walk.limit > 1 && !walk.crowded => {
            walk.shrink();
            ScanPage::Page(Vec::new())
        }
        // One moment holds more than fits into a page: the scroll asks for less at a time.
        End::TooLarge if walk.crowded => {
            (walk.limit, walk.crowded) = (walk.fitting(), false);
            walk.scroll = Some(String::new());
            ScanPage::Page(Vec::new())
        }
        End::TooLarge if !walk.bare => {
            walk.bare = true;
            ScanPage::Page(Vec::new())
        }
        End::TooLarge => ScanPage::Unavailable {
            answer: "a single document is larger than can be held".to_owned(),
        },
    })
}

/// Asks which server it is, refreshes the index, and finds out whether a search can filter by node.
async fn begin(store: &Elasticsearch, scope: &str) -> Result<bool, ScanPage> {
    #[derive(Deserialize)]
    struct Caps {
        #[serde(default)]
        fields: std::collections::HashMap<String, std::collections::HashMap<String, Cap>>,
    }
    #[derive(Deserialize)]
    struct Cap {
        #[serde(default)]
        searchable: bool,
    }
    let root = Question { path: "", query: &[], body: None, bound: SMALL };
    if let Some(root) = allowed(usable(store, &root).await)?
        && Flavour::of(&root, true) == Some(Flavour::VictoriaLogs)
    {
        let answer = "VictoriaLogs does not answer searches in the way of Elasticsearch: it cannot be verified";
        return Err(ScanPage::Unavailable { answer: answer.to_owned() });
    }
    let lenient = [("ignore_unavailable", "true")];
    let path = &format!("{scope}/_refresh");
    let refresh = Question { path, query: &lenient, body: Some(Bytes::new()), bound: SMALL };
    allowed(usable(store, &refresh).await)?;
    let field = field(store.config.layout);
    let query = [("fields", field), ("include_unmapped", "true"), ("ignore_unavailable", "true")];
    let path = &format!("{scope}/_field_caps");
    let caps = Question { path, query: &query, body: None, bound: SMALL };
    let Some(body) = allowed(usable(store, &caps).await)? else {
        return Ok(false);
    };
    let caps: Caps = read(&body)?;
    let searchable = caps
        .fields
        .get(field)
        .is_some_and(|types| types.iter().all(|(kind, cap)| kind != "unmapped" && cap.searchable));
    Ok(searchable)
}

/// A request that is denied is optional: `None`.
fn allowed(answer: Result<Option<Bytes>, LookUp>) -> Result<Option<Bytes>, ScanPage> {
    match answer {
        Err(LookUp::Unavailable { .. }) => Ok(None),
        other => other.map_err(ScanPage::from),
    }
}

/// The field of a document that names the node that sent it.
fn field(layout: Layout) -> &'static str {
    match layout {
        Layout::Elastic => "host.name",
        Layout::Flat => "node",
    }
}

/// The documents from the current position on, or of that one millisecond only.
async fn page(
    store: &Elasticsearch,
    scope: &str,
    walk: &mut ScanCursor,
    digest: &Digest,
) -> Result<ScanPage, End> {
    let from = walk.from.div_euclid(MILLI);
    // If a moment fills a page, ask for that moment only.
    let until = if walk.crowded { from + 1 } else { walk.until.div_euclid(MILLI) };
    let mut query = question(store, walk, from, until);
    query["sort"] =
        json!([{"@timestamp": {"order": "asc", "numeric_type": "date", "unmapped_type": "date"}}]);
    let Some(body) = search(store, &format!("{scope}/_search"), &query).await? else {
        walk.from = walk.until;
        return Ok(ScanPage::End);
    };
    let searched = searched(&body)?;
    let (count, full) = (searched.hits.hits.len(), searched.hits.hits.len() >= walk.limit);
    let last = searched.hits.hits.last().map(millis).transpose()?;
    let stored = stored(&store.log.node, &searched, None, walk.bare, digest)?;
    match last {
        Some(last) if full && last > from => {
            (walk.from, walk.crowded, walk.bare) = (last * MILLI, false, false);
        }
        Some(_) if full && walk.limit < WINDOW => {
            (walk.limit, walk.crowded) = ((walk.limit * 4).min(WINDOW), true);
        }
        // An empty scroll id means that the scroll has yet to begin.
        Some(_) if full => (walk.crowded, walk.scroll) = (false, Some(String::new())),
        _ => (walk.from, walk.crowded, walk.bare) = (until * MILLI, false, false),
    }
    walk.learn(count, body.len());
    Ok(ScanPage::Page(stored))
}

/// A page of the current millisecond, by a scroll.
async fn moment(
    store: &Elasticsearch,
    scope: &str,
    walk: &mut ScanCursor,
    scroll: &str,
    digest: &Digest,
) -> Result<ScanPage, End> {
    let from = walk.from.div_euclid(MILLI);
    // If anything fails, the scroll starts again from its beginning.
    walk.scroll = Some(String::new());
    let body = if scroll.is_empty() {
        let mut query = question(store, walk, from, from + 1);
        query["sort"] = json!(["_doc"]);
        search(store, &format!("{scope}/_search?scroll=1m"), &query).await?
    } else {
        search(store, "_search/scroll", &json!({"scroll": "1m", "scroll_id": scroll})).await?
    };
    let Some(body) = body else { return Err(lost()) };
    let searched = searched(&body)?;
    let stored = stored(&store.log.node, &searched, Some(from), walk.bare, digest)?;
    if searched.hits.hits.is_empty() {
        (walk.from, walk.scroll, walk.bare) = ((from + 1) * MILLI, None, false);
    } else {
        walk.scroll = Some(searched.scroll.ok_or_else(lost)?);
    }
    Ok(ScanPage::Page(stored))
}

fn lost() -> End {
    let answer = "the scroll has ended before its time".to_owned();
    LookUp::Retry { after: None, reason: crate::output::Reason::BadAnswer, answer }.into()
}

fn question(store: &Elasticsearch, walk: &ScanCursor, from: i64, until: i64) -> serde_json::Value {
    let range =
        json!({"range": {"@timestamp": {"gte": from, "lt": until, "format": "epoch_millis"}}});
    let mut filter = vec![range];
    if walk.filter == Some(true) {
        // A phrase query matches the whole name, whatever the type of the field.
        filter.push(json!({"match_phrase": {field(store.config.layout): store.log.node}}));
    }
    let source = if walk.bare { json!(FIELDS) } else { true.into() };
    json!({"query": {"bool": {"filter": filter}}, "size": walk.limit, "_source": source, "track_total_hits": false})
}

async fn search(
    store: &Elasticsearch,
    path: &str,
    query: &serde_json::Value,
) -> Result<Option<Bytes>, End> {
    let (path, scroll) = path.split_once('?').unwrap_or((path, ""));
    let mut parameters = vec![(
        "filter_path",
        "_scroll_id,timed_out,_shards.failed,hits.hits._index,hits.hits._id,hits.hits._source,hits.hits.sort",
    )];
    if path != "_search/scroll" {
        parameters.push(("allow_partial_search_results", "false"));
        parameters.push(("ignore_unavailable", "true"));
    }
    parameters.extend(scroll.split_once('='));
    let body = Some(query.to_string().into());
    let found = usable(store, &Question { path, query: &parameters, body, bound: HELD }).await?;
    if found.as_ref().is_some_and(|body| body.len() >= HELD) {
        return Err(End::TooLarge);
    }
    Ok(found)
}

fn searched(body: &[u8]) -> Result<Searched<'_>, End> {
    let searched: Searched<'_> = read(body)?;
    complete(!searched.timed_out && searched.shards.failed == 0, body)?;
    Ok(searched)
}

fn millis(hit: &Hit<'_>) -> Result<i64, End> {
    let millis = hit.sort.first().and_then(serde_json::Value::as_i64);
    millis.ok_or_else(|| {
        let answer = "a document without a time".to_owned();
        End::ScanPage(ScanPage::Unavailable { answer })
    })
}

/// The documents of a page that this node sent.
fn stored(
    node: &str,
    searched: &Searched<'_>,
    at: Option<i64>,
    bare: bool,
    digest: &Digest,
) -> Result<Vec<Stored>, End> {
    let mut all = Vec::with_capacity(searched.hits.hits.len());
    for hit in &searched.hits.hits {
        let document = hit.source.map_or("", RawValue::get);
        let parts = Parts::of(document.as_bytes());
        if parts.node.as_deref() != Some(node) {
            continue;
        }
        let position = Position::raw_of_id(&hit.id);
        all.push(Stored {
            millis: at.map_or_else(|| millis(hit), Ok)?,
            identity: digest
                .identity(&parts.line(), position.as_ref().map_or(hit.id.as_bytes(), |raw| raw)),
            content: (!bare).then(|| parts.content(digest)),
            place: digest.short(&[hit.index.as_bytes(), hit.id.as_bytes()]),
            generation: generation(&hit.id),
            gap: parts.is_gap(),
        });
    }
    Ok(all)
}

/// The generation in one of our ids; `None` for other ids.
fn generation(id: &str) -> Option<Fingerprint> {
    Position::of_id(id)
        .filter(|(_, kind)| *kind <= Position::GAP)
        .map(|(fingerprint, _)| fingerprint)
}

/// Fuzz target. Any answer is parsed or refused without a panic.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(body: &[u8]) {
    if let Ok(searched) = searched(body)
        && let Ok(stored) = stored("n", &searched, None, false, &Digest::default())
    {
        assert!(stored.len() <= searched.hits.hits.len());
    }
}
