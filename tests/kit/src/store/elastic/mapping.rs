//! Field types of an index, from its template, and whether the fields of a document match them.

use serde_json::Value;

use super::error::Error;
use super::json::{members, scalar};

/// Longest term that Lucene accepts, in bytes.
const TERM: usize = 32_766;

/// The type of a field; `None` if the field is not mapped.
pub(super) fn kind<'a>(mappings: &'a Value, path: &str) -> Option<&'a str> {
    let mut at = mappings;
    for name in path.split('.') {
        at = at.get("properties").or_else(|| at.get("fields"))?.get(name)?;
    }
    Some(at.get("type").and_then(Value::as_str).unwrap_or("object"))
}

/// Whether the index maps new fields dynamically (dynamic mapping). This decides which fields can be searched.
pub(super) fn is_dynamic(mappings: &Value) -> bool {
    mappings.get("dynamic").is_none_or(|dynamic| *dynamic == true || *dynamic == "true")
}

/// Fails unless the fields of a document match their mapped types. `malformed`: `index.mapping.ignore_malformed`.
pub(super) fn check(
    mappings: &Value,
    malformed: bool,
    id: &str,
    source: &str,
) -> Result<(), Error> {
    let Some(properties) = mappings.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (name, value) in members(source) {
        let Some(field) = properties.get(&name) else { continue };
        check_field(field, malformed, id, &name, value.get())?;
    }
    Ok(())
}

fn check_field(
    field: &Value,
    malformed: bool,
    id: &str,
    name: &str,
    value: &str,
) -> Result<(), Error> {
    if value.starts_with('[') {
        let list: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(value).unwrap_or_default();
        return list.iter().try_for_each(|one| check_field(field, malformed, id, name, one.get()));
    }
    let kind = field.get("type").and_then(Value::as_str).unwrap_or("object");
    let ignored = field.get("ignore_malformed").and_then(Value::as_bool).unwrap_or(malformed);
    let text = scalar(value);
    let fits = match (kind, &text) {
        _ if value == "null" => true,
        ("object" | "nested", None) => return check(field, malformed, id, value),
        ("object" | "nested", Some(_)) => {
            let reason = format!(
                "object mapping for [{name}] tried to parse field [{name}] as object, but found a concrete value"
            );
            return Err(Error::parsing(format!("[1:1] {reason}")));
        }
        ("flattened", _) => value.starts_with('{'),
        ("keyword", Some(text)) => {
            let limited = field.get("ignore_above").is_some();
            if !limited && text.len() > TERM {
                let reason = format!(
                    "Document contains at least one immense term in field=\"{name}\" (whose UTF8 encoding is longer than the max length {TERM}), all of which were skipped."
                );
                return Err(Error::parsing(format!("[1:1] {reason}")));
            }
            true
        }
        ("long" | "integer", Some(text)) => ignored || text.parse::<f64>().is_ok(),
        ("date", Some(text)) => {
            ignored || text.parse::<jiff::Timestamp>().is_ok() || text.parse::<i64>().is_ok()
        }
        ("long" | "integer" | "date" | "boolean" | "ip", None) => ignored,
        ("keyword" | "text", None) => false,
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let shown: String = text.unwrap_or_else(|| value.to_owned()).chars().take(50).collect();
    Err(Error::parsing(format!(
        "[1:23] failed to parse field [{name}] of type [{kind}] in document with id '{id}'. Preview of field's value: '{shown}'"
    )))
}
