//! The answers of a fake store to questions: look-ups by id, look-ups by selector and time, and what it is.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::state::Stored;

/// The answer to a question.
pub(super) fn found(stored: &[Stored], request: &Request) -> Answer {
    let path = request.path.as_str();
    if path.ends_with("/query_range") {
        in_range(stored, request)
    } else if path.ends_with("/_search") {
        by_id(stored, request)
    } else if path.ends_with("/_refresh") {
        Answer::json(200, &json!({"_shards": {"failed": 0}}))
    } else if path.starts_with("/loki/") {
        Answer::text(404, "404 page not found\n")
    } else if path == "/" {
        let version = json!({"number": "9.1.0"});
        Answer::json(200, &json!({"tagline": "You Know, for Search", "version": version}))
    } else {
        Answer::json(200, &json!({}))
    }
}

fn by_id(stored: &[Stored], request: &Request) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body).unwrap();
    let Some(ids) = asked["query"]["ids"]["values"].as_array() else {
        // The agent asks whether anything is stored at all.
        return hits(stored.len(), &[]);
    };
    let ids: HashSet<_> = ids.iter().filter_map(Value::as_str).collect();
    let shown = |stored: &Stored| json!({"_id": stored.under, "_source": only(&stored.line, &asked["_source"])});
    let found = stored.iter().filter(|stored| ids.contains(&*stored.under));
    let found: Vec<_> = found.map(shown).collect();
    hits(found.len(), &found)
}

fn hits(total: usize, found: &[Value]) -> Answer {
    let hits = json!({"total": {"value": total}, "hits": found});
    Answer::json(200, &json!({"timed_out": false, "_shards": {"failed": 0}, "hits": hits}))
}

/// The parts of a document for a request of these fields, of all, or of none. Its values are not parsed unless they are
/// asked for: a look-up may find hundreds of large documents.
fn only(document: &str, fields: &Value) -> Value {
    let is_asked = |name: &str| match fields {
        Value::Array(fields) => fields
            .iter()
            .filter_map(Value::as_str)
            .any(|field| field.split('.').next() == Some(name)),
        other => *other != Value::Bool(false),
    };
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(document).unwrap();
    let asked = members.into_iter().filter(|(name, _)| is_asked(name));
    let value = |value: &RawValue| serde_json::from_str::<Value>(value.get()).unwrap();
    Value::Object(asked.map(|(name, raw)| (name, value(raw))).collect())
}

fn in_range(stored: &[Stored], request: &Request) -> Answer {
    let number = |name: &str| request.parameter(name).unwrap().parse::<i64>().unwrap();
    let (start, end) = (number("start"), number("end"));
    let selector = request.parameter("query").unwrap();
    let tenant = request.header("x-scope-orgid").unwrap_or_default();
    let mut found: Vec<_> = stored
        .iter()
        .filter(|stored| stored.tenant == tenant)
        .filter(|stored| is_selected(&stored.under, selector))
        .filter(|stored| (start..end).contains(&stored.time))
        .collect();
    found.sort_by_key(|stored| stored.time);
    found.truncate(usize::try_from(number("limit")).unwrap());
    let values: Vec<_> =
        found.iter().map(|stored| json!([stored.time.to_string(), stored.line])).collect();
    let result = json!([{"stream": {}, "values": values}]);
    Answer::json(
        200,
        &json!({"status": "success", "data": {"resultType": "streams", "result": result}}),
    )
}

/// A selector also matches streams with more labels, as in Loki.
fn is_selected(labels: &str, selector: &str) -> bool {
    let inside = |text: &str| text[1..text.len() - 1].to_owned();
    let labels: Vec<_> = inside(labels).split(", ").map(str::to_owned).collect();
    inside(selector).split(", ").all(|matcher| labels.iter().any(|label| label == matcher))
}
