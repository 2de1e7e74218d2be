//! A minimal JSON reader that picks members out of an object without decoding them, and a writer for strings. Bodies
//! are never read with it.

/// The members of an object, or the elements of an array with empty names, as they are written: names without quotes,
/// values with quotes. Ends early at invalid JSON.
pub(super) struct Members<'a> {
    rest: &'a [u8],
    named: bool,
}

pub(super) fn members(value: &[u8]) -> Members<'_> {
    let value = value.trim_ascii();
    match value.split_first() {
        Some((b'{', rest)) => Members { rest, named: true },
        Some((b'[', rest)) => Members { rest, named: false },
        _ => Members { rest: &[], named: false },
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest.trim_ascii_start();
        let mut name = &rest[..0];
        if self.named {
            let (b'"', after) = rest.split_first()? else { return None };
            let end = string_end(after)?;
            name = &after[..end];
            rest = after[end + 1..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        }
        let end = value_end(rest)?;
        let value = &rest[..end];
        rest = rest[end..].trim_ascii_start();
        self.rest = rest.strip_prefix(b",").unwrap_or_default();
        Some((name, value))
    }
}

/// The index of the closing quote of a string; `bytes` begins just after the opening quote.
pub(super) fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The length of the value that the bytes begin with; never zero.
fn value_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            b'"' => at += string_end(&bytes[at + 1..])? + 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return (at > 0).then_some(at),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return (at > 0).then_some(at),
            byte if depth == 0 && byte.is_ascii_whitespace() => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The inside of a value that is a string.
pub(super) fn string(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Passes a text piece by piece to `put`, escaped as the inside of a JSON string.
pub(super) fn escape(text: &str, put: &mut impl FnMut(&[u8])) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        put(&bytes[done..at]);
        done = at + 1;
        match byte {
            b'"' => put(b"\\\""),
            b'\\' => put(b"\\\\"),
            b'\n' => put(b"\\n"),
            b'\t' => put(b"\\t"),
            _ => put(format!("\\u{byte:04x}").as_bytes()),
        }
    }
    put(&bytes[done..]);
}

/// A text escaped as the inside of a JSON string.
pub(super) fn escaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    escape(text, &mut |piece| out.extend_from_slice(piece));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        let found: Vec<_> = members(value.as_bytes())
            .map(|(name, value)| {
                format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            })
            .collect();
        assert_eq!(found.join(" | "), expected, "in {value}");
    }

    #[test]
    fn members_are_given_as_written() {
        check(r#"{"a":"x","b":{"c":[1,"}"]},"d":7}"#, r#"a="x" | b={"c":[1,"}"]} | d=7"#);
        check(r#" { "a" : [ ] , "b\"" : "\\" } "#, r#"a=[ ] | b\"="\\""#);
        check(r#"["10.0.0.1","::1"]"#, r#"="10.0.0.1" | ="::1""#);
        check("{}", "");
    }

    #[test]
    fn what_is_no_object_ends_early_and_never_panics() {
        for torn in [
            "", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "[\"\\", "nonsense", "{,}",
            "[,", "{\"a\":}",
        ] {
            assert_eq!(members(torn.as_bytes()).count(), 0, "in {torn}");
        }
        check("{\"a\":1,\"b\":\"x", "a=1");
    }

    #[test]
    fn an_escaped_text_reads_back_as_itself() {
        let text: String = ('\0'..'\u{ff}').chain(['\u{2028}', '😀']).collect();
        let json = [b"\"", escaped(&text).as_slice(), b"\""].concat();
        assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
    }
}
