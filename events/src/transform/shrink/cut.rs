//! Truncates a string without splitting an escape or a character, and adds how many bytes are missing.

use std::ops::Range;

/// Appends the inside of a quoted string, at most `cap` bytes of it and a mark. Returns whether anything was cut.
pub(super) fn cut(raw: &[u8], cap: usize, out: &mut Vec<u8>) -> bool {
    if raw.len() <= cap {
        out.extend_from_slice(raw);
        return false;
    }
    let kept = &raw[..end(raw, cap)];
    out.extend_from_slice(kept);
    out.extend_from_slice(format!("...[{} more bytes]", raw.len() - kept.len()).as_bytes());
    true
}

/// The last place at or before `cap` where the string can be cut.
fn end(raw: &[u8], cap: usize) -> usize {
    let mut at = 0;
    // Where the high surrogate of a pair begins, if it comes just before.
    let mut half: Option<usize> = None;
    loop {
        let backslash = memchr::memchr(b'\\', &raw[at..cap]).map(|found| at + found);
        if backslash != Some(at) {
            half = None;
        }
        let Some(backslash) = backslash else { return character(raw, at..cap) };
        let next = backslash + escape(&raw[backslash + 1..]);
        if next > cap {
            return half.unwrap_or(backslash);
        }
        half = if is_half(&raw[backslash..]) && half.is_none() { Some(backslash) } else { None };
        at = next;
        if at == cap {
            return half.unwrap_or(cap);
        }
    }
}

/// The length of an escape of JSON or Go, including the backslash; `tail` is the text after the backslash.
fn escape(tail: &[u8]) -> usize {
    match tail.first() {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        _ => 2,
    }
}

/// Whether this is a high surrogate, `\ud800` to `\udbff`.
fn is_half(escape: &[u8]) -> bool {
    matches!(escape, [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..])
}

/// The end of the last whole character in a range without escapes.
fn character(raw: &[u8], within: Range<usize>) -> usize {
    let mut at = within.end;
    // The next byte continues a character, so go back to that character's first byte, at most three bytes.
    for _ in 0..3 {
        if at > within.start && raw.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
            at -= 1;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut_at(raw: &str, cap: usize) -> String {
        let mut out = Vec::new();
        cut(raw.as_bytes(), cap, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_cut_string_says_how_much_is_missing() {
        assert_eq!(cut_at("0123456789", 10), "0123456789");
        assert_eq!(cut_at("0123456789", 4), "0123...[6 more bytes]");
    }

    #[test]
    fn escapes_pairs_and_characters_stay_whole() {
        assert_eq!(cut_at(r"ab\u0041", 7), "ab...[6 more bytes]");
        assert_eq!(cut_at(r#"a\"b"#, 2), "a...[3 more bytes]");
        assert_eq!(cut_at(r"\ud83d\ude00xx", 13), r"\ud83d\ude00x...[1 more bytes]");
        assert_eq!(cut_at(r"\ud83d\ude00xx", 8), "...[14 more bytes]");
        assert_eq!(cut_at(r"\ud83d\ude00xx", 6), "...[14 more bytes]");
        assert_eq!(cut_at("aé€😀", 5), "aé...[7 more bytes]");
        assert_eq!(cut_at("aé€😀", 9), "aé€...[4 more bytes]");
    }

    proptest! {
        #[test]
        fn a_string_that_json_accepts_is_still_one(text in any::<String>(), cap in 0..60_usize, escaped in any::<bool>()) {
            let json = serde_json::to_string(&text).unwrap();
            let mut raw = json[1..json.len() - 1].to_owned();
            if escaped {
                let units: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                raw = units.concat();
            }
            let short = cut_at(&raw, cap);
            let read: String = serde_json::from_str(&format!("\"{short}\"")).unwrap();
            if raw.len() > cap {
                let kept = read.rsplit_once("...[").unwrap().0;
                prop_assert!(text.starts_with(kept));
                prop_assert!(short.len() <= cap + 24);
            } else {
                prop_assert_eq!(read, text);
            }
        }
    }
}
