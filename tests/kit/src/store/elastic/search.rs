//! `_search`, scrolls, `_count`, `_refresh` and `_field_caps`, over every backing index of a data stream.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::http::{Answer, Request};
use super::Elastic;
use super::error::{Error, unparsable};
use super::indices::{Document, Index};
use super::json::{at, members};
use super::mapping;
use super::query::finds;
use super::security::{Caller, READ};

const WINDOW: usize = 10_000;

/// The state of a scroll. The scroll id is this state, encoded, so the server stores nothing.
#[derive(Deserialize, Serialize)]
struct Scroll {
    target: String,
    body: Value,
    from: usize,
}

struct Hit<'a> {
    index: &'a str,
    id: &'a str,
    document: &'a Document,
}

fn lenient(request: &Request) -> bool {
    request.parameter("ignore_unavailable") == Some("true")
}

fn asked(request: &Request) -> Result<Value, Error> {
    if request.body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(&request.body).map_err(unparsable)
}

/// The hits of a search, in the order of their indices.
fn found<'a>(
    store: &'a Elastic,
    target: &str,
    lenient: bool,
    body: &Value,
) -> Result<Vec<Hit<'a>>, Error> {
    let all = json!({"match_all": {}});
    let query = body.get("query").unwrap_or(&all);
    let mut hits = Vec::new();
    for name in store.indices.resolve(target, lenient)? {
        let index = &store.indices.all[name];
        let start = hits.len();
        for (id, document) in candidates(index, query) {
            match finds(query, id, document) {
                Some(true) => hits.push(Hit { index: name, id, document }),
                Some(false) => (),
                None => {
                    return Err(Error::whole(
                        400,
                        "parsing_exception",
                        format!("unknown query [{query}]"),
                    ));
                }
            }
        }
        hits[start..].sort_by_key(|hit| hit.document.sequence);
    }
    Ok(hits)
}

/// The documents that a query is tested against. For a query by ids these are only the documents with those ids,
/// however many others the index holds.
fn candidates<'a>(index: &'a Index, query: &Value) -> Vec<(&'a String, &'a Document)> {
    let visible = |(_, document): &(&String, &Document)| document.visible;
    match query["ids"]["values"].as_array() {
        Some(ids) => {
            let ids: HashSet<_> = ids.iter().filter_map(Value::as_str).collect();
            let under = |id: &str| index.documents.get_key_value(id);
            ids.into_iter().filter_map(under).filter(visible).collect()
        }
        None => index.documents.iter().filter(visible).collect(),
    }
}

pub(super) fn search(
    store: &Elastic,
    caller: &Caller,
    target: &str,
    request: &Request,
) -> Result<Answer, Error> {
    caller.may(target, READ, "indices:data/read/search")?;
    let mut body = asked(request)?;
    for name in ["size", "from"] {
        if let Some(number) = request.parameter(name).and_then(|text| text.parse::<u64>().ok()) {
            body[name] = number.into();
        }
    }
    let scroll = request.parameter("scroll").is_some();
    page(store, target, lenient(request), body, scroll)
}

pub(super) fn scroll(store: &Elastic, request: &Request) -> Result<Answer, Error> {
    let named = asked(request)?;
    let lost = || Error::whole(404, "search_phase_execution_exception", "all shards failed");
    let name = named["scroll_id"].as_str().ok_or_else(lost)?;
    let text = BASE64_STANDARD.decode(name).map_err(|_| lost())?;
    let Scroll { target, mut body, from } = serde_json::from_slice(&text).map_err(|_| lost())?;
    body["from"] = from.into();
    page(store, &target, true, body, true)
}

fn page(
    store: &Elastic,
    target: &str,
    lenient: bool,
    body: Value,
    scroll: bool,
) -> Result<Answer, Error> {
    let mut hits = found(store, target, lenient, &body)?;
    let sorted = body["sort"].to_string().contains("@timestamp");
    if sorted {
        hits.sort_by_key(|hit| hit.document.millis.unwrap_or(i64::MAX));
    }
    let number = |name: &str, default| {
        body[name].as_u64().map_or(default, |number| usize::try_from(number).unwrap())
    };
    let (size, from, total) = (number("size", 10), number("from", 0), hits.len());
    if !scroll && size + from > WINDOW {
        let reason = format!(
            "Result window is too large, from + size must be less than or equal to: [{WINDOW}] but was [{}]",
            size + from
        );
        return Err(Error::illegal(reason));
    }
    let shown: Vec<_> =
        hits.iter().skip(from).take(size).map(|hit| shown(hit, &body["_source"], sorted)).collect();
    let mut hits = json!({"max_score": null});
    if body["track_total_hits"] != false {
        hits["total"] = json!({"value": total, "relation": "eq"});
    }
    // Assembled by hand, so that the source of each document is returned byte for byte.
    let mut text = json!({"took": 1, "timed_out": false, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}, "hits": hits});
    if scroll {
        let next = Scroll { target: target.to_owned(), body, from: from + size };
        text["_scroll_id"] = BASE64_STANDARD.encode(serde_json::to_vec(&next).unwrap()).into();
    }
    text["hits"]["hits"] = "HITS".into();
    let text = text.to_string().replacen("\"HITS\"", &format!("[{}]", shown.join(",")), 1);
    let headers = vec![("content-type", "application/json".to_owned())];
    Ok(Answer { status: 200, headers, body: text.into_bytes() })
}

fn shown(hit: &Hit<'_>, source: &Value, sorted: bool) -> String {
    let mut head = json!({"_index": hit.index, "_id": hit.id, "_score": null});
    if sorted {
        head["sort"] = json!([hit.document.millis]);
    }
    let head = head.to_string();
    match filtered(&hit.document.source, source) {
        Some(source) => format!("{},\"_source\":{source}}}", &head[..head.len() - 1]),
        None => head,
    }
}

/// The part of a document that `_source` asks for; `None` for none.
fn filtered(source: &str, wanted: &Value) -> Option<String> {
    let names = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    match wanted {
        Value::Bool(false) => None,
        Value::Array(_) => Some(only(source, &names(wanted))),
        Value::Object(parts) if parts.contains_key("excludes") => {
            Some(without(source, "", &names(&wanted["excludes"])))
        }
        Value::Object(parts) if parts.contains_key("includes") => {
            Some(only(source, &names(&wanted["includes"])))
        }
        _ => Some(source.to_owned()),
    }
}

fn only(source: &str, names: &[String]) -> String {
    let mut kept = json!({});
    for name in names {
        let values: Vec<&RawValue> = at(source, name)
            .into_iter()
            .filter_map(|value| serde_json::from_str(value).ok())
            .collect();
        let Some(value) =
            values.first().and_then(|value| serde_json::from_str::<Value>(value.get()).ok())
        else {
            continue;
        };
        let mut place = &mut kept;
        for part in name.split('.') {
            place = &mut place[part];
        }
        *place = value;
    }
    kept.to_string()
}

fn without(source: &str, before: &str, names: &[String]) -> String {
    let mut kept = Vec::new();
    for (name, value) in members(source) {
        let path = format!("{before}{name}");
        if names.contains(&path) {
            continue;
        }
        let inside = format!("{path}.");
        let value = if names.iter().any(|name| name.starts_with(&inside)) {
            without(value.get(), &inside, names)
        } else {
            value.get().to_owned()
        };
        kept.push(format!("{}:{value}", json!(name)));
    }
    format!("{{{}}}", kept.join(","))
}

pub(super) fn count(
    store: &Elastic,
    caller: &Caller,
    target: &str,
    request: &Request,
) -> Result<Answer, Error> {
    caller.may(target, READ, "indices:data/read/search")?;
    let mut body = asked(request)?;
    if let Some((field, value)) = request.parameter("q").and_then(|q| q.split_once(':')) {
        body = json!({"query": {"term": {field: value}}});
    }
    let count = found(store, target, lenient(request), &body)?.len();
    Ok(Answer::json(
        200,
        &json!({"count": count, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}}),
    ))
}

/// Refresh: makes everything that is stored visible to searches.
pub(super) fn show(store: &mut Elastic) {
    let all = store.indices.all.values_mut().flat_map(|index| index.documents.values_mut());
    all.for_each(|document| document.visible = true);
}

pub(super) fn refresh(
    store: &mut Elastic,
    caller: &Caller,
    target: &str,
    request: &Request,
) -> Result<Answer, Error> {
    caller.may(target, &["maintenance", "manage", "all"], "indices:admin/refresh")?;
    let names: Vec<_> =
        store.indices.resolve(target, lenient(request))?.into_iter().map(str::to_owned).collect();
    for name in &names {
        let index = store.indices.all.get_mut(name).expect("it was resolved");
        index.documents.values_mut().for_each(|document| document.visible = true);
    }
    let shards = json!({"total": names.len() * 2, "successful": names.len(), "failed": 0});
    Ok(Answer::json(200, &json!({"_shards": shards})))
}

pub(super) fn caps(
    store: &Elastic,
    caller: &Caller,
    target: &str,
    request: &Request,
) -> Result<Answer, Error> {
    caller.may(
        target,
        &["view_index_metadata", "read", "manage", "all"],
        "indices:data/read/field_caps",
    )?;
    let names = store.indices.resolve(target, lenient(request))?;
    let mut fields = Map::new();
    for field in request.parameter("fields").unwrap_or_default().split(',') {
        let mut kinds = BTreeMap::new();
        for name in &names {
            let mappings = store.indices.all[*name].mappings();
            let guessed = mapping::is_dynamic(mappings).then_some("keyword");
            match mapping::kind(mappings, field).or(guessed) {
                Some(kind) => kinds
                    .insert(kind, json!({"type": kind, "searchable": true, "aggregatable": true})),
                None if request.parameter("include_unmapped") == Some("true") => kinds.insert(
                    "unmapped",
                    json!({"type": "unmapped", "searchable": false, "aggregatable": false}),
                ),
                None => None,
            };
        }
        if !kinds.is_empty() {
            fields.insert(field.to_owned(), json!(kinds));
        }
    }
    Ok(Answer::json(200, &json!({"indices": names, "fields": fields})))
}
