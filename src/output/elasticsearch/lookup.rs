//! Asks whether events are stored, by their ids, over everything that the target may have written to.
//!
//! `create` guards one backing index only, and after a rollover an id is stored twice; a search sees them all. A
//! refresh comes first, since a search sees nothing younger than the last one.
//!
//! Where a file was altered, its events may be stored under an earlier id, or another event may: what is found there
//! counts only if it is the same event.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;

use super::Elasticsearch;
use super::answer::{ANSWER, Shards, complete, read, search, searched, usable};
use super::stored::{self, Source};
use crate::event::Batch;
use crate::output::{LookUp, Pick};

/// Most ids of one search.
const IDS: usize = 1000;

#[derive(Deserialize)]
struct Refreshed {
    #[serde(rename = "_shards")]
    shards: Shards,
}

/// One id of one event.
struct Asked {
    id: String,
    pick: usize,
    /// From before its file was altered.
    earlier: bool,
}

/// Which of the picks are stored in `scope`.
pub(super) async fn look_up(
    store: &Elasticsearch,
    scope: &str,
    batch: &Batch,
    picks: &[Pick],
) -> LookUp {
    let ids = asked(batch, picks);
    let is_it =
        |asked: &Asked, source: &Source| source.is(batch.record(picks[asked.pick].event as usize));
    found(store, scope, &ids, !batch.earlier.is_empty(), is_it).await.map_or_else(
        |end| end,
        |stored| {
            let mut found = vec![false; picks.len()];
            ids.iter().zip(stored).for_each(|(asked, stored)| found[asked.pick] |= stored);
            LookUp::Found(found)
        },
    )
}

/// Whether a look-up would be answered.
pub(super) async fn try_out(store: &Elasticsearch, scope: &str) -> LookUp {
    let id = Asked { id: "auditrail-check".to_owned(), pick: 0, earlier: false };
    found(store, scope, &[id], false, |_, _| true).await.map_or_else(|end| end, LookUp::Found)
}

/// Every id under which the picks may be stored.
fn asked(batch: &Batch, picks: &[Pick]) -> Vec<Asked> {
    let mut asked = Vec::with_capacity(picks.len() * (1 + batch.earlier.len()));
    for (pick, index) in picks.iter().map(|pick| pick.event as usize).enumerate() {
        asked.push(Asked { id: batch.position(index).id(), pick, earlier: false });
        let earlier = batch.earlier_positions(index);
        asked.extend(earlier.map(|position| Asked { id: position.id(), pick, earlier: true }));
    }
    asked
}

/// Which of the ids are stored; `is_it` compares what stands under an earlier one.
async fn found(
    store: &Elasticsearch,
    scope: &str,
    ids: &[Asked],
    compare: bool,
    is_it: impl Fn(&Asked, &Source) -> bool,
) -> Result<Vec<bool>, LookUp> {
    let mut found = vec![false; ids.len()];
    if !refresh(store, scope).await? {
        return Ok(found);
    }
    let place: HashMap<&str, usize> =
        ids.iter().enumerate().map(|(at, asked)| (asked.id.as_str(), at)).collect();
    let mut open: Vec<Range<usize>> =
        (0..ids.len()).step_by(IDS).map(|at| at..(at + IDS).min(ids.len())).collect();
    while let Some(range) = open.pop() {
        let (query, size) = question(&ids[range.clone()], compare);
        let Some(body) = search(store, scope, query).await? else { return Ok(found) };
        let searched = searched::<Source>(&body)?;
        for hit in &searched.hits.hits {
            let Some(&at) = place.get(hit.id.as_str()) else { continue };
            found[at] |= !ids[at].earlier
                || hit.source.as_ref().is_some_and(|source| is_it(&ids[at], source));
        }
        // Ids stored many times over can crowd others out: ask again for fewer.
        if searched.hits.total.value > size && range.len() > 1 {
            let middle = range.start + range.len() / 2;
            open.extend([range.start..middle, middle..range.end]);
        }
    }
    Ok(found)
}

/// Makes a search see what is stored by now; `false` where there is no index, so nothing stored.
pub(super) async fn refresh(store: &Elasticsearch, scope: &str) -> Result<bool, LookUp> {
    let answer = store
        .ask(&format!("{scope}/_refresh"), &[("ignore_unavailable", "false")], Bytes::new(), ANSWER)
        .await;
    let Some(body) = usable(answer)? else { return Ok(false) };
    let refreshed: Refreshed = read(&body)?;
    complete(refreshed.shards.failed == 0, &body)?;
    Ok(true)
}

/// The body of a search for ids, and how many hits it asks for: twice as many, for those stored twice.
fn question(ids: &[Asked], compare: bool) -> (Bytes, usize) {
    let size = ids.len() * 2;
    let ids: Vec<_> = ids.iter().map(|asked| &asked.id).collect();
    let source = if compare { serde_json::json!(stored::FIELDS) } else { false.into() };
    let query = serde_json::json!({
        "query": { "ids": { "values": ids } }, "size": size, "_source": source, "track_total_hits": true, "sort": ["_doc"],
    });
    (query.to_string().into(), size)
}

/// Any answer is understood or refused.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(response: crate::output::http::Response) {
    use super::answer::Searched;
    let status = response.status;
    match usable(Ok(response)) {
        Ok(None) => assert_eq!(status, 404, "only what is not there holds nothing"),
        Ok(Some(body)) => {
            assert_eq!(status, 200);
            let _ = (read::<Refreshed>(&body).is_ok(), read::<Searched<Source>>(&body).is_ok());
        }
        Err(end) => assert!(!matches!(end, LookUp::Found(_))),
    }
}
