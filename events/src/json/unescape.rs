//! Unescapes JSON strings and Go's quoted strings. Broken UTF-8 becomes U+FFFD; no input is refused.

use std::borrow::Cow;

/// The text of a JSON string, given without its quotes. A lone surrogate becomes U+FFFD.
pub fn unescape(raw: &[u8]) -> Cow<'_, str> {
    repaired(unescape_bytes(raw))
}

/// The bytes of a JSON string, given without its quotes. Broken UTF-8 is kept.
pub fn unescape_bytes(raw: &[u8]) -> Cow<'_, [u8]> {
    replace_escapes(raw, |tail, out| match tail {
        [b'u', hex @ ..] => match (code_unit(hex), hex.get(4..)) {
            (Some(high @ 0xd800..=0xdbff), Some([b'\\', b'u', low @ ..])) => {
                if let Some(low @ 0xdc00..=0xdfff) = code_unit(low) {
                    push(out, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
                    11
                } else {
                    push(out, high);
                    5
                }
            }
            (Some(unit), _) => {
                push(out, unit);
                5
            }
            (None, _) => 0,
        },
        _ => simple(tail, out),
    })
}

/// The text of a string as Go's `strconv.Quote` writes it, given without its quotes.
pub fn unescape_go(raw: &[u8]) -> Cow<'_, str> {
    let bytes = replace_escapes(raw, |tail, out| match tail {
        [b'x', hex @ ..] => {
            numeric(hex, 2, 16, |code| out.push(u8::try_from(code).unwrap_or(b'?')))
        }
        [b'u', hex @ ..] => numeric(hex, 4, 16, |code| push(out, code)),
        [b'U', hex @ ..] => numeric(hex, 8, 16, |code| push(out, code)),
        [b'a', ..] => {
            out.push(7);
            1
        }
        [b'v', ..] => {
            out.push(11);
            1
        }
        _ => simple(tail, out),
    });
    repaired(bytes)
}

fn repaired(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(
            String::from_utf8(bytes)
                .unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned()),
        ),
    }
}

/// Copies `raw` and hands the bytes after each backslash to `escape`, which returns how many it consumed.
/// Zero means "no such escape": the backslash then stands for itself.
fn replace_escapes(raw: &[u8], escape: impl Fn(&[u8], &mut Vec<u8>) -> usize) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return Cow::Borrowed(raw) };
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    let mut next = Some(first);
    while let Some(backslash) = next {
        out.extend_from_slice(&raw[at..backslash]);
        let taken = escape(&raw[backslash + 1..], &mut out);
        if taken == 0 {
            out.push(b'\\');
        }
        at = backslash + 1 + taken;
        next = memchr::memchr(b'\\', &raw[at..]).map(|more| at + more);
    }
    out.extend_from_slice(&raw[at..]);
    Cow::Owned(out)
}

/// The escapes that both notations share.
fn simple(tail: &[u8], out: &mut Vec<u8>) -> usize {
    let byte = match tail.first() {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(&same @ (b'"' | b'\\' | b'/' | b'\'')) => same,
        _ => return 0,
    };
    out.push(byte);
    1
}

fn numeric(digits: &[u8], count: usize, radix: u32, put: impl FnOnce(u32)) -> usize {
    match digits.get(..count).and_then(|text| parse(text, radix)) {
        Some(code) => {
            put(code);
            1 + count
        }
        None => 0,
    }
}

fn code_unit(hex: &[u8]) -> Option<u32> {
    parse(hex.get(..4)?, 16)
}

fn parse(digits: &[u8], radix: u32) -> Option<u32> {
    digits
        .iter()
        .try_fold(0_u32, |sum, digit| Some((sum << 4) | char::from(*digit).to_digit(radix)?))
}

fn push(out: &mut Vec<u8>, code: u32) {
    let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn go_escapes_that_json_does_not_know_are_undone() {
        assert_eq!(
            unescape_go(br#"a\x41\a\v\u00e9\U0001f600\"q\""#),
            "aA\u{7}\u{b}\u{e9}\u{1f600}\"q\""
        );
    }

    #[test]
    fn what_a_hostile_body_holds_becomes_replacement_characters() {
        assert_eq!(unescape(br"\ud800x"), "\u{fffd}x");
        assert_eq!(unescape(br"\ud83d\ude00"), "\u{1f600}");
        assert_eq!(unescape(b"\xff"), "\u{fffd}");
        assert_eq!(unescape(br"\q\u12"), r"\q\u12");
        assert_eq!(unescape(br"a\"), r"a\");
    }

    proptest! {
        #[test]
        fn json_text_reads_as_serde_json_reads_it(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(unescape(&written.as_bytes()[1..written.len() - 1]), text);
        }

        #[test]
        fn no_bytes_cause_a_panic(raw in any::<Vec<u8>>()) {
            let _ = (unescape(&raw), unescape_go(&raw));
        }
    }
}
