//! Walks through JSON as it is written, without parsing values (a skipping parser).
//!
//! There is no recursion and no allocation. The walk ends at anything that is not JSON. A key is the raw text between
//! its quotes, escapes included.
//!
//! [`members`] and [`elements`] find the end of a value before they show it, so a caller that descends some levels
//! reads the same bytes once per level. [`visit_members`] and [`visit_elements`] let the caller step into a value
//! instead, and stop the walk once the caller needs nothing more.

use std::borrow::Cow;
use std::ops::Range;

use super::block::container_end;
use super::{Span, unescape};

/// A value in a line.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// Its range; for a string, between the quotes.
    pub at: Span,
    /// Whether it is a string.
    pub string: bool,
    /// Deepest nesting of objects and arrays in it; 0 if it is neither.
    pub depth: u32,
}

/// A member of an object, as the walk meets it.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The bytes between the quotes of the key, with escapes.
    pub key: &'a [u8],
    /// Place of the quote before the key.
    pub at: usize,
    /// Place where the value begins: the opening quote, for a string.
    pub value: usize,
}

impl Member<'_> {
    /// Whether the key equals `name` once its escapes are undone.
    pub fn is(&self, name: &str) -> bool {
        is_key(self.key, name)
    }

    /// The key with its escapes undone.
    pub fn name(&self) -> Cow<'_, str> {
        unescape(self.key)
    }
}

/// Whether a key as it is written equals `name` once its escapes are undone.
pub fn is_key(key: &[u8], name: &str) -> bool {
    key == name.as_bytes() || (key.contains(&b'\\') && unescape(key) == name)
}

/// Walks the members of the object that begins at `from`. Returns where it ends, or `None` if it does not.
pub fn members(line: &[u8], from: usize, mut each: impl FnMut(&[u8], Value)) -> Option<usize> {
    visit_members(line, from, |member| {
        let (value, end) = value(line, member.value)?;
        each(member.key, value);
        Some(end)
    })
}

/// Walks the elements of the array that begins at `from`. Returns where it ends, or `None` if it does not.
pub fn elements(line: &[u8], from: usize, mut each: impl FnMut(Value)) -> Option<usize> {
    visit_elements(line, from, |at| {
        let (value, end) = value(line, at)?;
        each(value);
        Some(end)
    })
}

/// Walks the object that begins at `from`. `each` returns the end of the member's value, as [`skip`] does, or `None`
/// to stop. Returns the end of the object, or `None` if `each` stopped the walk or the object does not end.
#[inline]
pub fn visit_members<'a>(
    line: &'a [u8],
    from: usize,
    mut each: impl FnMut(Member<'a>) -> Option<usize>,
) -> Option<usize> {
    visit(line, from, *b"{}", |at| {
        if line.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(line, at + 1)?;
        let colon = blank(line, key_end + 1);
        if line.get(colon) != Some(&b':') {
            return None;
        }
        each(Member { key: &line[at + 1..key_end], at, value: blank(line, colon + 1) })
    })
}

/// Walks the array that begins at `from`, as [`visit_members`] walks an object. `each` gets the place where an element
/// begins.
#[inline]
pub fn visit_elements(
    line: &[u8],
    from: usize,
    each: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    visit(line, from, *b"[]", each)
}

/// The one loop over a container between two brackets.
#[inline]
fn visit(
    line: &[u8],
    from: usize,
    [open, close]: [u8; 2],
    mut each: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    if line.get(from) != Some(&open) {
        return None;
    }
    let mut at = blank(line, from + 1);
    if line.get(at) == Some(&close) {
        return Some(at + 1);
    }
    loop {
        let end = each(at)?;
        at = blank(line, end);
        match line.get(at)? {
            b',' => at = blank(line, at + 1),
            byte if *byte == close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The value of the first member with this key, as it is written. The key has to be written without escapes.
pub fn member<'a>(object: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    visit_members(object, blank(object, 0), |member| {
        let end = skip(object, member.value)?;
        if member.key == key {
            found = Some(&object[member.value..end]);
            return None;
        }
        Some(end)
    });
    found
}

/// The inside of a value that is a string.
pub fn inside(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// The end of the value that begins at `from`, including the closing quote.
#[inline]
pub fn skip(line: &[u8], from: usize) -> Option<usize> {
    value(line, from).map(|(_, end)| end)
}

/// The range of the string whose opening quote is at `from`, without its quotes; `None` for another kind of value.
pub fn string(line: &[u8], from: usize) -> Option<Range<usize>> {
    if line.get(from) != Some(&b'"') {
        return None;
    }
    Some(from + 1..string_end(line, from + 1)?)
}

/// Skips the value that begins at `from`. Returns it and the index after it; `None` if it is malformed or the line ends
/// first.
pub fn value(line: &[u8], from: usize) -> Option<(Value, usize)> {
    let (string, depth, start, end, after) = match line.get(from)? {
        b'"' => {
            let end = string_end(line, from + 1)?;
            (true, 0, from + 1, end, end + 1)
        }
        b'{' | b'[' => {
            let (end, depth) = container_end(line, from)?;
            (false, depth, from, end, end)
        }
        b',' | b'}' | b']' | b':' => return None,
        _ => {
            let length = line[from..].iter().position(|byte| b",}] \t\r\n".contains(byte))?;
            (false, 0, from, from + length, from + length)
        }
    };
    Some((Value { at: Span::new(start, end), string, depth }, after))
}

/// The index of the quote that ends the string whose first byte is at `from`.
#[inline]
pub fn string_end(line: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += mark(line.get(at..)?)?;
        if line[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The index of the first quote or backslash.
#[inline]
fn mark(text: &[u8]) -> Option<usize> {
    // Most strings are short: a call to memchr costs more than two steps of eight bytes.
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().take(2).enumerate() {
        let word = u64::from_le_bytes(*word);
        let marks = equal(word, b'"') | equal(word, b'\\');
        if marks != 0 {
            return Some(8 * index + marks.trailing_zeros() as usize / 8);
        }
    }
    match text.get(16..) {
        Some(far) => memchr::memchr2(b'"', b'\\', far).map(|at| at + 16),
        None => {
            rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).map(|at| at + 8 * words.len())
        }
    }
}

/// Marks the bytes of a word that equal `byte`. Only the lowest set bit is exact: it is in the first such byte.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero = word ^ (ONES * u64::from(byte));
    zero.wrapping_sub(ONES) & !zero & (ONES << 7)
}

/// The first place from `at` on that is not white space.
#[inline]
pub fn blank(line: &[u8], mut at: usize) -> usize {
    while matches!(line.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &str) {
        let (bytes, mut found) = (value.as_bytes(), Vec::new());
        let text = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
        let from = blank(bytes, 0);
        visit_members(bytes, from, |member| {
            let end = skip(bytes, member.value)?;
            found.push(format!("{}={}", text(member.key), text(&bytes[member.value..end])));
            Some(end)
        });
        visit_elements(bytes, from, |at| {
            let end = skip(bytes, at)?;
            found.push(text(&bytes[at..end]));
            Some(end)
        });
        assert_eq!(found.join(" | "), expected, "in {value}");
    }

    #[test]
    fn a_walk_goes_into_values_and_comes_out_behind_them() {
        let line = br#"{ "a" : [{"b":1}, 2] ,"\u0063":{"d":"}"},"e":null}"#;
        let mut seen = Vec::new();
        let end = visit_members(line, 0, |member| {
            seen.push(member.name().into_owned());
            match line[member.value] {
                b'[' => visit_elements(line, member.value, |at| {
                    seen.push(format!("@{at}"));
                    skip(line, at)
                }),
                b'{' => visit_members(line, member.value, |inner| {
                    seen.push(inner.name().into_owned());
                    skip(line, inner.value)
                }),
                _ => skip(line, member.value),
            }
        });
        assert_eq!(end, Some(line.len()));
        assert_eq!(seen, ["a", "@9", "@18", "c", "d", "e"]);
    }

    #[test]
    fn a_key_is_known_however_it_is_written() {
        let key = |key| Member { key, at: 0, value: 0 };
        assert!(key(br"level").is("level") && key(br"lev\u0065l").is("level"));
        assert!(!key(br"lev\u0065l2").is("level") && !key(br"\ud800").is("level"));
        assert!(!key(b"\\\xff").is("level"));
    }

    #[test]
    fn members_are_given_as_written() {
        check(r#"{"a":"x","b":{"c":[1,"}"]},"d":7}"#, r#"a="x" | b={"c":[1,"}"]} | d=7"#);
        check(" { \"a\" :\n[ ] , \"b\\\"\" : \"\\\\\" } ", r#"a=[ ] | b\"="\\""#);
        check(r#"["10.0.0.1","::1"]"#, r#""10.0.0.1" | "::1""#);
        check("{}", "");
    }

    #[test]
    fn what_is_no_object_ends_early_and_never_panics() {
        for torn in [
            "", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "[\"\\", "nonsense", "{,}",
            "[,", "{\"a\":}",
        ] {
            check(torn, "");
        }
        check("{\"a\":1,\"b\":\"x", "a=1");
    }

    #[test]
    fn the_first_member_with_a_key_is_found_in_what_is_whole_before_it() {
        let object = br#" {"a":{"b":1},"b":"x","b":"y","c":"#;
        assert_eq!(member(object, b"b").and_then(inside), Some(&b"x"[..]));
        assert_eq!(member(object, b"c"), None);
        assert_eq!(member(b"[\"b\"]", b"b"), None);
    }

    /// Reference implementation, byte by byte.
    fn slowly(line: &[u8], mut at: usize) -> Option<usize> {
        while *line.get(at)? != b'"' {
            at += if line[at] == b'\\' { 2 } else { 1 };
        }
        Some(at)
    }

    proptest! {
        #[test]
        fn the_end_of_a_string_is_found_as_by_single_bytes(
            line in "[a!#-\u{7f}\u{e9}]{0,40}[\"\\\\a]{0,6}[a\"\\\\\u{1}\u{20ac}]{0,30}",
        ) {
            let line = line.as_bytes();
            for from in 0..=line.len() {
                prop_assert_eq!(string_end(line, from), slowly(line, from));
            }
        }
    }
}
