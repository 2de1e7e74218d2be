//! The look-up that deduplicates by content: which of some events are stored under any id. It searches by auditID and
//! compares the fields that the API server wrote.
//!
//! Events from standard input or from joined gzip members have offsets of their own, so their ids only show whether
//! this very input sent them. Each document counts for one event: if a batch holds two equal events and one is stored,
//! one is missing.
//!
//! Promised: no event counts as missing while a shard failed, or if auditIDs cannot be searched. Not promised: that
//! lines without an auditID, and the rest of torn lines, are found under another id.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Elasticsearch;
use super::answer::{ANSWER, Hit, Question, read, search, searched, usable};
use super::stored::{self, LONG, StoredSource};
use crate::event::{Batch, Form, Position, Record, RecordKind};
use crate::output::{EventRef, LookUp, MILLI};

/// The fields that hold an auditID: in both layouts, and as a server names them with a dynamic mapping.
const AUDIT_IDS: [&str; 4] =
    ["kubernetes.audit.auditID", "kubernetes.audit.auditID.keyword", "auditID", "auditID.keyword"];
/// Most auditIDs of one query: an event is logged at up to three stages.
const IDS: usize = 300;
/// Most documents of one answer, and of one whose query cannot be split further.
const PAGE: usize = 1000;
const LAST: usize = 4000;
/// Milliseconds added at both ends, since stores keep only milliseconds of a time.
const SPARE: i64 = 1000;

/// A part of a query.
struct Part {
    /// A range of indices into the auditIDs.
    ids: Range<usize>,
    /// Milliseconds.
    times: Range<i64>,
    /// Also matches documents without a time that can be searched.
    untimed: bool,
}

/// Which of the picks are stored; `found` marks those that are stored under their own ids.
pub(super) async fn look_up(
    store: &Elasticsearch,
    scope: &str,
    batch: &Batch,
    picks: &[EventRef],
    found: Vec<bool>,
) -> LookUp {
    let record = |pick: &EventRef| batch.record(pick.event as usize);
    let open: Vec<_> = picks.iter().zip(&found).filter(|(_, found)| !**found).collect();
    let mut ids: Vec<_> = open.iter().filter_map(|(pick, _)| audit_id(record(pick))).collect();
    ids.sort_unstable();
    ids.dedup();
    let times = open.iter().map(|(pick, _)| record(pick).event.time.div_euclid(MILLI));
    let (from, to) = times.fold((i64::MAX, i64::MIN), |(from, to), at| (from.min(at), to.max(at)));
    if ids.is_empty() {
        return LookUp::Found(found);
    }
    let whole = Part {
        ids: 0..ids.len(),
        times: from.saturating_sub(SPARE)..to.saturating_add(1 + SPARE),
        untimed: true,
    };
    // Documents under the ids of this batch are counted already.
    let own: HashSet<_> =
        picks.iter().map(|pick| batch.position(pick.event as usize).raw()).collect();
    let mut wanted = Wanted::new(picks.iter().map(record).collect(), found);
    let take = |hit: Hit<Value>| {
        let is_own = Position::raw_of_id(&hit.id).is_some_and(|raw| own.contains(&raw));
        if !is_own && is_whole(&hit.id) {
            wanted.put(&hit.source.unwrap_or_default());
        }
    };
    match each_hit(store, scope, &ids, whole, take).await {
        Ok(()) => LookUp::Found(wanted.found),
        Err(end) => end,
    }
}

/// The auditID that an event is searched by. `None` for a longer one, which is not indexed, and for the rest of a torn
/// line, which has the auditID of the event.
fn audit_id(record: Record<'_>) -> Option<String> {
    if record.event.whole != RecordKind::Event || record.event.form == Form::Unreadable {
        return None;
    }
    record.text(record.event.fields.audit_id).filter(|id| id.len() < LONG).map(Into::into)
}

/// Whether a document holds a whole event and not the rest of a torn line, as far as its id shows: [`Position::id`].
fn is_whole(id: &str) -> bool {
    Position::of_id(id).is_none_or(|(_, kind)| kind == Position::WHOLE)
}

/// The events to find documents for. Each document counts for one event and is not kept.
struct Wanted<'a> {
    records: Vec<Record<'a>>,
    found: Vec<bool>,
    /// By auditID and stage time, and by auditID alone: an invalid stage time is not stored.
    places: HashMap<(String, String), Vec<usize>>,
}

impl<'a> Wanted<'a> {
    fn new(records: Vec<Record<'a>>, found: Vec<bool>) -> Self {
        let mut places: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, record) in records.iter().enumerate().filter(|(at, _)| !found[*at]) {
            let Some(id) = audit_id(*record) else { continue };
            let time = record.text(record.event.fields.stage_time).unwrap_or_default();
            places.entry((id.clone(), String::new())).or_default().push(at);
            if !time.is_empty() {
                places.entry((id, time.into_owned())).or_default().push(at);
            }
        }
        Self { records, found, places }
    }

    fn put(&mut self, source: &Value) {
        // Other writers may have stored anything in the target.
        let Ok(source) = StoredSource::deserialize(source) else { return };
        let Some((id, time)) = source.key() else { return };
        let Some(places) = self.places.get_mut(&(id.to_owned(), time.to_owned())) else { return };
        let Self { records, found, .. } = self;
        if let Some(at) = places.iter().position(|at| !found[*at] && source.may_be(records[*at])) {
            found[places.swap_remove(at)] = true;
        }
    }
}

/// Passes every document with one of the auditIDs to `take`; splits the query so that each answer fits.
async fn each_hit(
    store: &Elasticsearch,
    scope: &str,
    ids: &[String],
    whole: Part,
    mut take: impl FnMut(Hit<Value>),
) -> Result<(), LookUp> {
    let Part { ids: all, times, untimed } = whole;
    if !searchable(store, scope).await? {
        return Ok(());
    }
    let mut open: Vec<Part> = all
        .step_by(IDS)
        .map(|at| Part { ids: at..(at + IDS).min(ids.len()), times: times.clone(), untimed })
        .collect();
    while let Some(part) = open.pop() {
        let most = if part.is_last() { LAST } else { PAGE };
        let query = question(&ids[part.ids.clone()], &part, most);
        let Some((total, page)) = page(store, scope, query).await? else { continue };
        if total <= most {
            page.into_iter().for_each(&mut take);
        } else if let Some(parts) = part.halves() {
            open.extend(parts);
        } else {
            let answer = format!("more than {most} documents share an auditID and a moment");
            return Err(LookUp::Unavailable { answer });
        }
    }
    Ok(())
}

impl Part {
    /// Whether the part cannot be split further.
    fn is_last(&self) -> bool {
        self.ids.len() <= 1 && self.times.end - self.times.start <= 1
    }

    /// Splits a part. Clients that always send the same auditID fill more than one answer: those are split by time.
    fn halves(self) -> Option<[Self; 2]> {
        let Self { ids, times, untimed } = self;
        if ids.len() > 1 {
            let middle = ids.start + ids.len() / 2;
            let half = |ids| Self { ids, times: times.clone(), untimed };
            return Some([half(ids.start..middle), half(middle..ids.end)]);
        }
        let middle = times.start + (times.end - times.start) / 2;
        (middle > times.start).then(|| {
            let first = Self { ids: ids.clone(), times: times.start..middle, untimed };
            [first, Self { ids, times: middle..times.end, untimed: false }]
        })
    }
}

fn question(ids: &[String], part: &Part, most: usize) -> Bytes {
    let stamp = |milli: i64| {
        jiff::Timestamp::from_millisecond(milli).map(|stamp| stamp.to_string()).unwrap_or_default()
    };
    let named: Vec<_> = AUDIT_IDS.iter().map(|field| json!({ "terms": { *field: ids } })).collect();
    let (from, to) = (stamp(part.times.start), stamp(part.times.end));
    let mut timed = vec![json!({ "range": { "@timestamp": { "gte": from, "lt": to } } })];
    if part.untimed {
        timed.push(json!({ "bool": { "must_not": { "exists": { "field": "@timestamp" } } } }));
    }
    let query = json!({
        "query": { "bool": { "filter": [
            { "bool": { "should": named, "minimum_should_match": 1 } },
            { "bool": { "should": timed, "minimum_should_match": 1 } },
        ] } },
        "size": most, "_source": stored::FIELDS, "track_total_hits": true, "sort": ["_doc"],
    });
    query.to_string().into()
}

/// The number of documents, and those that fit one answer; `None` if there is no index.
async fn page(
    store: &Elasticsearch,
    scope: &str,
    query: Bytes,
) -> Result<Option<(usize, Vec<Hit<Value>>)>, LookUp> {
    let Some(body) = search(store, scope, query).await? else { return Ok(None) };
    if body.len() >= ANSWER {
        // The answer was cut off, so there are more documents than fit.
        return Ok(Some((usize::MAX, Vec::new())));
    }
    let searched = searched::<Value>(&body)?;
    Ok(Some((searched.hits.total.value, searched.hits.hits)))
}

/// Whether auditIDs can be searched; `false` if nothing is stored at all. Otherwise the look-up is unavailable.
async fn searchable(store: &Elasticsearch, scope: &str) -> Result<bool, LookUp> {
    #[derive(Deserialize)]
    struct Mapped {
        fields: HashMap<String, HashMap<String, Type>>,
    }
    #[derive(Deserialize)]
    struct Type {
        searchable: bool,
    }
    let parameters =
        [("fields", &*AUDIT_IDS.join(",")), ("filter_path", "indices,fields.*.*.searchable")];
    let path = &format!("{scope}/_field_caps");
    let question = Question { path, query: &parameters, body: Some(Bytes::new()), bound: ANSWER };
    let Some(body) = usable(store, &question).await? else { return Ok(false) };
    if let Ok(Mapped { fields }) = read(&body) {
        let mut types = fields.values().flatten();
        // A `text` field is searched by words, so it cannot be used.
        if types.any(|(name, kind)| name == "keyword" && kind.searchable) {
            return Ok(true);
        }
    }
    let any = json!({ "size": 0, "terminate_after": 1, "track_total_hits": true });
    match page(store, scope, any.to_string().into()).await? {
        None | Some((0, _)) => Ok(false),
        Some(_) => Err(LookUp::Unavailable {
            answer: format!(
                "auditID is not indexed as a keyword in {scope}, so what has no place in the server's log cannot be looked up"
            ),
        }),
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
