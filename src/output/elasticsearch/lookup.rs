//! The look-up that deduplicates: asks by id whether events are stored, in every index that the target may have written
//! to.
//!
//! `create` prevents duplicates within one backing index only: after a rollover an id may be stored twice. A search
//! covers all backing indices. A refresh comes first, since a search sees no documents stored after the last refresh.
//!
//! An id alone proves nothing: machines cloned from one another, or rolled back, send other events under the same
//! ids, and anybody who may write can take an id beforehand. So a document counts only if it is the event. The fields
//! that the API server wrote decide that or, if they do not suffice, all the content that is sent. The look-up asks
//! for the id of an event now, for the ids that it gets if that one is taken, and for the ids under which it may have
//! been sent earlier.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::Elasticsearch;
use super::answer::{ANSWER, Question, Shards, complete, read, search, searched, usable};
use super::content_digest::is_same;
use super::stored::{self, Same, StoredSource};
use crate::event::Batch;
use crate::output::{EventRef, LookUp, QueryError};

/// Most ids of one search, and most if whole documents are requested.
const IDS: usize = 1000;
const WHOLE: usize = 16;
/// Most copies of one id that are read.
const COPIES: usize = 10_000;

#[derive(Deserialize)]
struct Refreshed {
    #[serde(rename = "_shards")]
    shards: Shards,
}

/// One id of one event that the look-up asks for.
#[derive(Clone)]
struct AskedId {
    id: String,
    pick: usize,
    kind: LookupIdKind,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum LookupIdKind {
    /// The id that an event gets if so many ids before it are taken by other documents; 0 is the first.
    Nth(u8),
    /// The id of an earlier version, or of an earlier name of the log.
    Earlier,
    /// The id from before the log was altered: another event may have that position now.
    Altered,
}

/// The document that is stored under an id.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Stands {
    Nothing,
    Another,
    /// A document whose content the store does not show.
    Hidden,
    Undecided,
    TheEvent,
}

/// Which of the picks are stored in `scope`. `trusting`: a document whose content is hidden counts as the event, since
/// this node has probably sent it.
pub(in crate::output) async fn look_up(
    store: &Elasticsearch,
    scope: &str,
    batch: &Batch,
    picks: &[EventRef],
    trusting: bool,
) -> LookUp {
    let mut found = vec![false; picks.len()];
    let mut open = asked(store, batch, picks);
    if !refresh(store, scope).await? {
        return Ok(found);
    }
    while !open.is_empty() {
        let stands = what_stands(store, scope, batch, picks, &open).await?;
        let mut taken = vec![None; picks.len()];
        for (asked, stands) in open.iter().zip(stands) {
            found[asked.pick] |= match stands {
                Stands::TheEvent => true,
                Stands::Hidden => trusting && asked.kind != LookupIdKind::Altered,
                Stands::Nothing | Stands::Another | Stands::Undecided => false,
            };
            if let LookupIdKind::Nth(nth) = asked.kind {
                // The last id that was asked for decides whether the next one can be in use.
                taken[asked.pick] = (stands == Stands::Another).then_some(nth);
            }
        }
        let next = taken.into_iter().enumerate().filter_map(|(at, nth)| Some((at, nth? + 1)));
        open = next
            .filter(|(at, nth)| !found[*at] && *nth <= EventRef::MOST_OTHERS)
            .map(|(pick, nth)| AskedId {
                id: store.id(batch, EventRef { other: nth, ..picks[pick] }),
                pick,
                kind: LookupIdKind::Nth(nth),
            })
            .collect();
    }
    Ok(found)
}

/// Whether the store answers look-ups; asks for an id that no event has.
pub(super) async fn try_out(store: &Elasticsearch, scope: &str) -> Result<(), QueryError> {
    let asked = AskedId { id: "auditrail-check".to_owned(), pick: 0, kind: LookupIdKind::Nth(0) };
    if refresh(store, scope).await? {
        hits(store, scope, &[asked], false, |_, _| {}).await?;
    }
    Ok(())
}

/// Every id under which the picks may be stored, except the ids that an event gets only if an earlier id is taken.
fn asked(store: &Elasticsearch, batch: &Batch, picks: &[EventRef]) -> Vec<AskedId> {
    let mut asked = Vec::with_capacity(picks.len() * (1 + store.earlier.len()));
    for (at, pick) in picks.iter().enumerate() {
        let index = pick.event as usize;
        let mut ask = |id, kind| asked.push(AskedId { id, pick: at, kind });
        for nth in 0..=pick.other {
            ask(store.id(batch, EventRef { other: nth, ..*pick }), LookupIdKind::Nth(nth));
        }
        let position = batch.position(index);
        for ids in &store.earlier {
            ask(ids.id(&position), LookupIdKind::Earlier);
        }
        for position in batch.earlier_positions(index) {
            ask(store.ids.id(&position), LookupIdKind::Altered);
            for ids in &store.earlier {
                ask(ids.id(&position), LookupIdKind::Altered);
            }
        }
    }
    asked
}

/// The document under each of the ids.
async fn what_stands(
    store: &Elasticsearch,
    scope: &str,
    batch: &Batch,
    picks: &[EventRef],
    ids: &[AskedId],
) -> Result<Vec<Stands>, QueryError> {
    let record = |asked: &AskedId| batch.record(picks[asked.pick].event as usize);
    let mut stands = vec![Stands::Nothing; ids.len()];
    hits(store, scope, ids, false, |at, source| {
        let stored = source
            .map(|source| StoredSource::deserialize(source).map(|it| it.is(record(&ids[at]))));
        let this = match stored {
            None => Stands::Hidden,
            Some(Ok(Same::Yes)) => Stands::TheEvent,
            Some(Ok(Same::Undecided)) => Stands::Undecided,
            // Other writers may have stored anything there.
            Some(Ok(Same::No) | Err(_)) => Stands::Another,
        };
        stands[at] = stands[at].max(this);
    })
    .await?;
    let unsure: Vec<_> = (0..ids.len()).filter(|at| stands[*at] == Stands::Undecided).collect();
    for some in unsure.chunks(WHOLE) {
        let asked: Vec<_> = some.iter().map(|at| ids[*at].clone()).collect();
        for at in some {
            stands[*at] = Stands::Another;
        }
        hits(store, scope, &asked, true, |at, source| {
            if source.is_some_and(|source| is_same(record(&asked[at]), source)) {
                stands[some[at]] = Stands::TheEvent;
            }
        })
        .await?;
    }
    Ok(stands)
}

/// Asks for documents by their ids and passes each one that exists to `take`, with the index of its id. `whole`: the
/// whole document, and not only the identifying fields; a document too large for an answer is then left out.
async fn hits(
    store: &Elasticsearch,
    scope: &str,
    ids: &[AskedId],
    whole: bool,
    mut take: impl FnMut(usize, Option<&Value>),
) -> Result<(), QueryError> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, asked) in ids.iter().enumerate() {
        places.entry(&asked.id).or_default().push(at);
    }
    // Ask for twice as many documents as ids, for those stored twice.
    let parts = (0..ids.len()).step_by(IDS).map(|at| at..(at + IDS).min(ids.len()));
    let mut open: Vec<(Range<usize>, usize)> =
        parts.map(|range| (range.clone(), range.len() * 2)).collect();
    while let Some((range, size)) = open.pop() {
        let query = question(&ids[range.clone()], whole, size);
        let Some(body) = search(store, scope, query).await? else { return Ok(()) };
        let middle = range.start + range.len() / 2;
        let halves =
            [range.start..middle, middle..range.end].map(|range| (range.clone(), range.len() * 2));
        if body.len() >= ANSWER {
            // The answer was cut off: ask for less.
            if range.len() > 1 {
                open.extend(halves);
            } else if size > 1 {
                open.push((range, size / 2));
            } else if !whole {
                // A document exists but is too large to be read: it must not count as missing.
                places
                    .get(ids[range.start].id.as_str())
                    .into_iter()
                    .flatten()
                    .for_each(|at| take(*at, None));
            }
            continue;
        }
        let searched = searched::<Value>(&body)?;
        let total = searched.hits.total()?;
        for hit in &searched.hits.hits {
            for at in places.get(hit.id.as_str()).into_iter().flatten() {
                take(*at, hit.source.as_ref());
            }
        }
        // Ids with many copies can crowd out others: ask again for fewer ids, or for more copies of one.
        if total > size {
            match range.len() {
                1 if size < COPIES => open.push((range, total.min(COPIES))),
                1 => {}
                _ => open.extend(halves),
            }
        }
    }
    Ok(())
}

/// Refreshes, so that a search sees everything stored by now; `false` if there is no index, so nothing is stored.
pub(super) async fn refresh(store: &Elasticsearch, scope: &str) -> Result<bool, QueryError> {
    let path = &format!("{scope}/_refresh");
    let query = &[("ignore_unavailable", "false")];
    let question = Question { path, query, body: Some(Bytes::new()), bound: ANSWER };
    let Some(body) = usable(store, &question).await? else { return Ok(false) };
    let refreshed: Refreshed = read(&body)?;
    complete(refreshed.shards.failed == 0, &body)?;
    Ok(true)
}

/// The body of a search for ids.
fn question(ids: &[AskedId], whole: bool, size: usize) -> Bytes {
    let ids: Vec<_> = ids.iter().map(|asked| &asked.id).collect();
    let source = if whole { true.into() } else { serde_json::json!(stored::FIELDS) };
    let query = serde_json::json!({
        "query": { "ids": { "values": ids } }, "size": size, "_source": source, "track_total_hits": true, "sort": ["_doc"],
    });
    query.to_string().into()
}

/// Fuzz target. Any answer is parsed or refused without a panic.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(response: crate::output::http::Response) {
    use super::answer::{Unusable, settled};
    let status = response.status;
    match settled(Ok(response)) {
        Ok(None) => assert_eq!(status, 404, "only what is not there holds nothing"),
        Ok(Some(body)) => {
            assert_eq!(status, 200);
            let slow: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            if read::<Refreshed>(&body).is_ok() {
                assert!(slow["_shards"]["failed"].is_u64());
            }
            if searched::<Value>(&body).is_ok_and(|searched| searched.hits.total().is_ok()) {
                assert!(slow["timed_out"] == false && slow["_shards"]["failed"] == 0);
                assert!(slow["hits"]["total"]["value"].is_u64(), "{slow}");
            }
        }
        Err(Unusable::Said(_) | Unusable::Stranger { .. }) => {}
    }
}
