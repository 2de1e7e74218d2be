//! Queries, as far as the agent and its tests send them: which documents match.

use serde_json::Value;

use super::indices::Document;
use super::json::{at, scalar};

/// Whether a document matches the query; `None` if the stand-in does not understand the query.
pub(super) fn finds(query: &Value, id: &str, document: &Document) -> Option<bool> {
    let (kind, what) = query.as_object()?.iter().next()?;
    let field = || what.as_object()?.iter().next();
    let values = |path: &str| -> Vec<String> {
        at(&document.source, path).into_iter().filter_map(scalar).collect()
    };
    Some(match kind.as_str() {
        "match_all" => true,
        "ids" => what["values"].as_array()?.iter().any(|value| value == id),
        "exists" => !values(what["field"].as_str()?).is_empty(),
        "term" | "match_phrase" => {
            let (path, value) = field()?;
            let wanted = value.as_object().and_then(|value| value.get("value")).unwrap_or(value);
            let wanted = scalar(&wanted.to_string())?;
            values(path).contains(&wanted)
        }
        "terms" => {
            let (path, list) = field()?;
            let stored = values(path);
            list.as_array()?.iter().any(|value| {
                value.as_str().is_some_and(|value| stored.iter().any(|one| one == value))
            })
        }
        "range" => {
            let (path, bounds) = field()?;
            (path == "@timestamp").then_some(())?;
            document.millis.is_some_and(|millis| within(bounds, millis))
        }
        "bool" => return bool_finds(what, id, document),
        _ => return None,
    })
}

fn bool_finds(what: &Value, id: &str, document: &Document) -> Option<bool> {
    let list = |name: &str| match &what[name] {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let all = |name: &str| -> Option<Vec<bool>> {
        list(name).iter().map(|query| finds(query, id, document)).collect()
    };
    let should = all("should")?;
    let least = what["minimum_should_match"].as_u64().unwrap_or(0);
    let met = should.iter().filter(|found| **found).count() as u64;
    let every = all("filter")?.into_iter().chain(all("must")?).all(|found| found);
    Some(every && !all("must_not")?.contains(&true) && met >= least)
}

fn within(bounds: &Value, millis: i64) -> bool {
    let bound = |name: &str| {
        let value = bounds.get(name)?;
        value.as_i64().or_else(|| {
            let text = value.as_str()?;
            text.parse()
                .ok()
                .or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()))
        })
    };
    bound("gte").is_none_or(|from| millis >= from)
        && bound("gt").is_none_or(|from| millis > from)
        && bound("lt").is_none_or(|to| millis < to)
        && bound("lte").is_none_or(|to| millis <= to)
}
