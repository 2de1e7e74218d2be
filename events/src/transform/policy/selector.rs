//! The one name that a list or watch may ask for: `fieldSelector=metadata.name=x` in its query.
//!
//! Follows `url.ParseQuery`, the decoding of `ListOptions` and `fields.ParseSelector`. Only lines of the legacy text
//! format need it; in other lines `objectRef` has the name. If the server cannot parse a label selector, it ignores
//! the name; this file does not check that, because such a request fails.

use std::borrow::Cow;

/// The name, if the query asks for one object and the server can parse the query.
pub(super) fn name(query: &[u8]) -> Option<Vec<u8>> {
    let fields = parameter(query, b"fieldSelector")?;
    let number = |key| match parameter(query, key) {
        None => true,
        Some(text) => std::str::from_utf8(&text).is_ok_and(|text| text.parse::<i64>().is_ok()),
    };
    if !number(b"timeoutSeconds") || !number(b"limit") {
        return None;
    }
    let name = exact(&fields)?;
    let segment = name != b"." && name != b".." && !name.iter().any(|byte| b"/%".contains(byte));
    segment.then_some(name)
}

/// The first value of a parameter. Parts that Go does not accept as parameters are skipped.
fn parameter(query: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    query.split(|byte| *byte == b'&').filter(|pair| !pair.contains(&b';')).find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        (unescape(&pair[..equals])? == key).then(|| unescape(value)).flatten()
    })
}

/// The value of a hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Decodes `+` and percent escapes; `None` where Go reports an error.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => digit(*bytes.next()?)? << 4 | digit(*bytes.next()?)?,
            other => *other,
        });
    }
    Some(out)
}

/// The value that a field selector requires for `metadata.name`. Of several, the one whose term sorts first counts, as
/// in the API server.
fn exact(selector: &[u8]) -> Option<Vec<u8>> {
    let mut terms = terms(selector);
    terms.sort_unstable();
    let mut found = None;
    for term in terms.into_iter().filter(|term| !term.is_empty()) {
        // If any term cannot be parsed, the whole selector is invalid.
        let operator = term.iter().enumerate().position(|(at, byte)| {
            *byte == b'=' || *byte == b'!' && term.get(at + 1) == Some(&b'=')
        })?;
        let (field, rest) = term.split_at(operator);
        let length = if rest.starts_with(b"==") || rest.starts_with(b"!=") { 2 } else { 1 };
        let value = value(&rest[length..])?;
        if field == b"metadata.name" && rest[0] == b'=' && found.is_none() {
            found = Some(value.into_owned());
        }
    }
    found
}

/// Splits at commas that are not escaped by a backslash.
fn terms(selector: &[u8]) -> Vec<&[u8]> {
    let mut escaped = false;
    selector
        .split(|byte| {
            let comma = *byte == b',' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            comma
        })
        .collect()
}

/// Decodes the backslash escapes of a value; `None` if a backslash is missing or escapes nothing.
fn value(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.iter().any(|byte| br"\,=".contains(byte)) {
        return Some(text.into());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => *bytes.next().filter(|next| br"\,=".contains(next))?,
            b',' | b'=' => return None,
            other => *other,
        });
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    fn check(query: &str, expected: Option<&str>) {
        let found = super::name(query.as_bytes()).map(|name| String::from_utf8(name).unwrap());
        assert_eq!(found.as_deref(), expected, "{query}");
    }

    #[test]
    fn the_name_is_found_however_it_is_written() {
        check("fieldSelector=metadata.name%3Da", Some("a"));
        check("watch=1&fieldSelector=metadata.name==a", Some("a"));
        check("fieldSelector=spec.nodeName=n,metadata.name=a%5C%2Cb", Some("a,b"));
        check("fieldSelector=metadata.name=b,metadata.name=a", Some("a"));
        check("field%53elector=metadata.name=a+b", Some("a b"));
        check("fieldSelector=metadata.name=a&fieldSelector=metadata.name=b", Some("a"));
    }

    #[test]
    fn what_the_server_cannot_read_has_no_name() {
        check("", None);
        check("fieldSelector=metadata.name!=a", None);
        check("fieldSelector=metadata.name=a,what", None);
        check("fieldSelector=metadata.name=a,x==", Some("a"));
        check("fieldSelector=metadata.name=a,x=b=c", None);
        check(r"fieldSelector=metadata.name=a\b", None);
        check(r"fieldSelector=metadata.name=a\", None);
        check("fieldSelector=metadata.name=a/b", None);
        check("fieldSelector=metadata.name=..", None);
        check("fieldSelector=metadata.name=a;b", None);
        check("fieldSelector=metadata.name%3", None);
        check("fieldSelector=metadata.name=a&limit=many", None);
        check("fieldSelector=metadata.name=a&limit=&watch=1", None);
        check("fieldSelector=metadata.name=a&timeoutSeconds=-5", Some("a"));
    }
}
