//! Reads all documents of a time range for `verify`, page by page, in every backing index.
//!
//! Each page is a search of its own that starts at the last millisecond of the page before. So the store keeps nothing
//! open, and `OpenSearch` works in the same way (its point in time has no tie-breaker to continue from). Only if one
//! millisecond holds more documents than the largest page, the scan reads that millisecond by a scroll.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Elasticsearch;
use super::answer::{Hit, Question, Searched, read, retry, searched, usable};
use super::content_digest::Parts;
use super::flavour::Flavour;
use crate::config::Layout;
use crate::event::{Fingerprint, Nanos, Position, RetryReason};
use crate::output::scan::ScanCursor;
use crate::output::{Digest, MILLI, QueryError, ScanPage, Stored};

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

/// A document as it is written.
type Raw<'a> = &'a RawValue;

/// Why there is no page.
enum End {
    Error(QueryError),
    TooLarge,
}

impl From<QueryError> for End {
    fn from(error: QueryError) -> Self {
        Self::Error(error)
    }
}

/// Reads a time range of one scope.
pub(crate) struct Pager<'a> {
    pub(in crate::output) store: &'a Elasticsearch,
    scope: String,
    at: ScanCursor,
    /// Whether the search can filter by node; `None` until the store was asked.
    filter: Option<bool>,
    /// Leave out the long fields, since a single document is too large.
    bare: bool,
    /// The scroll over a moment with more events than a page; empty if it has yet to begin.
    scroll: Option<String>,
}

impl<'a> Pager<'a> {
    /// `usual`: estimated bytes per line.
    pub(in crate::output) fn new(
        store: &'a Elasticsearch,
        scope: String,
        range: Range<Nanos>,
        usual: usize,
    ) -> Self {
        let at = ScanCursor::new(range, usual);
        Self { store, scope, at, filter: None, bare: false, scroll: None }
    }

    /// Restarts with another time range.
    pub(in crate::output) fn again(&mut self, range: Range<Nanos>) {
        self.at.again(range);
        (self.bare, self.scroll) = (false, None);
    }

    /// Reads the next page. Makes one request; the first call makes several.
    pub(in crate::output) async fn next(&mut self, digest: &Digest) -> ScanPage {
        let page = if self.filter.is_none() {
            self.filter = Some(begin(self.store, &self.scope).await?);
            return Ok(Some(Vec::new()));
        } else if self.at.is_done() {
            return Ok(None);
        } else if let Some(scroll) = self.scroll.take() {
            self.moment(&scroll, digest).await
        } else {
            self.page(digest).await
        };
        match page {
            Ok(page) => return Ok(page),
            Err(End::Error(error)) => return Err(error),
            Err(End::TooLarge) if self.at.limit > 1 && !self.at.crowded => self.at.shrink(),
            // One moment holds more than fits into a page: the scroll asks for less at a time.
            Err(End::TooLarge) if self.at.crowded => {
                (self.at.limit, self.at.crowded) = (self.at.fitting(), false);
                self.scroll = Some(String::new());
            }
            Err(End::TooLarge) if !self.bare => self.bare = true,
            Err(End::TooLarge) => {
                let answer = "a single document is larger than can be held".to_owned();
                return Err(QueryError::Unavailable { answer });
            }
        }
        Ok(Some(Vec::new()))
    }

    /// The documents from the current position on, or of that one millisecond only.
    async fn page(&mut self, digest: &Digest) -> Result<Option<Vec<Stored>>, End> {
        let from = self.at.from.div_euclid(MILLI);
        // If a moment fills a page, ask for that moment only.
        let until = if self.at.crowded { from + 1 } else { self.at.until.div_euclid(MILLI) };
        let mut query = self.question(from, until);
        query["sort"] = json!([{"@timestamp": {"order": "asc", "numeric_type": "date", "unmapped_type": "date"}}]);
        let Some(body) = search(self.store, &format!("{}/_search", self.scope), &query).await?
        else {
            self.at.from = self.at.until;
            return Ok(None);
        };
        let searched = searched::<Raw<'_>>(&body)?;
        let (count, full) = (searched.hits.hits.len(), searched.hits.hits.len() >= self.at.limit);
        let last = searched.hits.hits.last().map(millis).transpose()?;
        let stored = stored(&self.store.log.node, &searched, None, self.bare, digest)?;
        match last {
            Some(last) if full && last > from => {
                (self.at.from, self.at.crowded, self.bare) = (last * MILLI, false, false);
            }
            Some(_) if full && self.at.limit < WINDOW => {
                (self.at.limit, self.at.crowded) = ((self.at.limit * 4).min(WINDOW), true);
            }
            // An empty scroll id means that the scroll has yet to begin.
            Some(_) if full => (self.at.crowded, self.scroll) = (false, Some(String::new())),
            _ => (self.at.from, self.at.crowded, self.bare) = (until * MILLI, false, false),
        }
        self.at.learn(count, body.len());
        Ok(Some(stored))
    }

    /// A page of the current millisecond, by a scroll.
    async fn moment(&mut self, scroll: &str, digest: &Digest) -> Result<Option<Vec<Stored>>, End> {
        let from = self.at.from.div_euclid(MILLI);
        // If anything fails, the scroll starts again from its beginning.
        self.scroll = Some(String::new());
        let body = if scroll.is_empty() {
            let mut query = self.question(from, from + 1);
            query["sort"] = json!(["_doc"]);
            search(self.store, &format!("{}/_search?scroll=1m", self.scope), &query).await?
        } else {
            search(self.store, "_search/scroll", &json!({"scroll": "1m", "scroll_id": scroll}))
                .await?
        };
        let Some(body) = body else { return Err(lost()) };
        let searched = searched::<Raw<'_>>(&body)?;
        let stored = stored(&self.store.log.node, &searched, Some(from), self.bare, digest)?;
        if searched.hits.hits.is_empty() {
            (self.at.from, self.scroll, self.bare) = ((from + 1) * MILLI, None, false);
        } else {
            self.scroll = Some(searched.scroll.ok_or_else(lost)?);
        }
        Ok(Some(stored))
    }

    /// The query for a range of milliseconds.
    fn question(&self, from: i64, until: i64) -> serde_json::Value {
        let range =
            json!({"range": {"@timestamp": {"gte": from, "lt": until, "format": "epoch_millis"}}});
        let mut filter = vec![range];
        if self.filter == Some(true) {
            // A phrase query matches the whole name, whatever the type of the field.
            filter.push(
                json!({"match_phrase": {field(self.store.config.layout): self.store.log.node}}),
            );
        }
        let source = if self.bare { json!(FIELDS) } else { true.into() };
        json!({"query": {"bool": {"filter": filter}}, "size": self.at.limit, "_source": source, "track_total_hits": false})
    }
}

/// Asks which server it is, refreshes the index, and finds out whether a search can filter by node.
async fn begin(store: &Elasticsearch, scope: &str) -> Result<bool, QueryError> {
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
        return Err(QueryError::Unavailable { answer: answer.to_owned() });
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
fn allowed(answer: Result<Option<Bytes>, QueryError>) -> Result<Option<Bytes>, QueryError> {
    match answer {
        Err(QueryError::Unavailable { .. }) => Ok(None),
        other => other,
    }
}

/// The field of a document that names the node that sent it.
fn field(layout: Layout) -> &'static str {
    match layout {
        Layout::Elastic => "host.name",
        Layout::Flat => "node",
    }
}

fn lost() -> End {
    let answer = "the scroll has ended before its time".to_owned();
    QueryError::Retry { after: None, reason: RetryReason::BadAnswer, answer }.into()
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

fn millis(hit: &Hit<Raw<'_>>) -> Result<i64, End> {
    let millis = hit.sort.first().and_then(serde_json::Value::as_i64);
    millis.ok_or_else(|| {
        let answer = "a document without a time".to_owned();
        End::Error(QueryError::Unavailable { answer })
    })
}

/// The documents of a page that this node sent, without heartbeats.
fn stored(
    node: &str,
    searched: &Searched<Raw<'_>>,
    at: Option<i64>,
    bare: bool,
    digest: &Digest,
) -> Result<Vec<Stored>, End> {
    let mut all = Vec::with_capacity(searched.hits.hits.len());
    for hit in &searched.hits.hits {
        let document = hit.source.map_or("", RawValue::get);
        let parts = Parts::of(document.as_bytes());
        if parts.node.as_deref() != Some(node) || is_heartbeat(&hit.id) {
            continue;
        }
        let no_index =
            || retry(None, RetryReason::BadAnswer, "a document without an index".to_owned());
        let index = hit.index.as_deref().ok_or_else(no_index)?;
        let position = Position::raw_of_id(&hit.id);
        all.push(Stored {
            millis: at.map_or_else(|| millis(hit), Ok)?,
            identity: digest
                .identity(&parts.line(), position.as_ref().map_or(hit.id.as_bytes(), |raw| raw)),
            content: (!bare).then(|| parts.content(digest)),
            place: digest.short(&[index.as_bytes(), hit.id.as_bytes()]),
            generation: generation(&hit.id),
            gap: parts.is_gap(),
        });
    }
    Ok(all)
}

fn is_heartbeat(id: &str) -> bool {
    Position::of_id(id).is_some_and(|(_, kind)| kind == Position::HEARTBEAT)
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
    if let Ok(searched) = searched::<Raw<'_>>(body)
        && let Ok(stored) = stored("n", &searched, None, false, &Digest::default())
    {
        assert!(stored.len() <= searched.hits.hits.len());
    }
}
