//! Checks whether the server's JSON parser would accept a document, and extracts single fields. It builds no tree,
//! because hostile bodies play with depth and size.

use std::collections::{BTreeMap, HashSet};

use serde_json::value::RawValue;

const DEPTH: usize = 1000;
const DIGITS: usize = 1000;

/// Returns the document as text, or the reason for which the server's parser refuses it: depth, long numbers, duplicate
/// fields. Malformed JSON is left to serde, whose errors are clearer.
pub(super) fn check(bytes: &[u8]) -> Result<&str, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err("failed to parse: Invalid UTF-8 middle byte".to_owned());
    };
    let (mut open, mut at) = (Vec::<Option<HashSet<&str>>>::new(), 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => open.push(Some(HashSet::new())),
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = at + string(&bytes[at..]);
                let after = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace());
                if let (Some(Some(names)), Some(b':')) = (open.last_mut(), after)
                    && !names.insert(&text[at..end])
                {
                    let name = text[at..end].trim_matches('"');
                    return Err(format!("[1:{end}] Duplicate field '{name}'"));
                }
                at = end;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let length = bytes[at..]
                    .iter()
                    .take_while(|byte| {
                        matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                    })
                    .count();
                if length > DIGITS {
                    return Err(format!(
                        "Number value length ({length}) exceeds the maximum allowed ({DIGITS})"
                    ));
                }
                at += length;
                continue;
            }
            _ => (),
        }
        if open.len() > DEPTH {
            return Err(format!(
                "Document nesting depth ({}) exceeds the maximum allowed ({DEPTH})",
                open.len()
            ));
        }
        at += 1;
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) if value.get().starts_with('{') => Ok(text),
        Ok(_) => Err("[1:1] failed to parse, document is not an object".to_owned()),
        Err(error) => Err(format!("[1:{}] failed to parse: {error}", error.column())),
    }
}

/// The length in bytes of the string that begins here, including its quotes.
fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The members of an object; empty for any other value.
pub(super) fn members(value: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(value).unwrap_or_default()
}

/// The values at a dotted path; in a list, those of each element.
pub(super) fn at<'a>(value: &'a str, path: &str) -> Vec<&'a str> {
    if value.starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(value).unwrap_or_default();
        return list.into_iter().flat_map(|one| at(one.get(), path)).collect();
    }
    if path.is_empty() {
        return vec![value];
    }
    let members = members(value);
    if let Some(whole) = members.get(path) {
        return at(whole.get(), "");
    }
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    members
        .get(first)
        .filter(|_| !rest.is_empty())
        .map_or(Vec::new(), |value| at(value.get(), rest))
}

/// A string, number or boolean as text; `None` for null, objects and lists.
pub(super) fn scalar(value: &str) -> Option<String> {
    match value.as_bytes().first()? {
        b'"' => serde_json::from_str(value).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(value.to_owned()),
    }
}
