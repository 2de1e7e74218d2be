//! Walks through the members of JSON as it is written, without parsing values (a skipping parser).
//!
//! There is no recursion and no allocation. The walk ends at anything that is not JSON. A key is the raw text between
//! its quotes, escapes included.

use super::Span;
use super::block::container_end;

/// A value: its range (between the quotes, for a string) and its depth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) at: Span,
    pub(crate) string: bool,
    /// Deepest nesting of objects and arrays in it; 0 if it is neither.
    pub(crate) depth: u32,
}

/// Walks the members of the object that begins at `from`. Returns where it ends, or `None` if it does not.
pub(crate) fn members(
    line: &[u8],
    from: usize,
    mut each: impl FnMut(&[u8], Value),
) -> Option<usize> {
    if line.get(from) != Some(&b'{') {
        return None;
    }
    let mut at = blank(line, from + 1);
    if line.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        if line.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(line, at + 1)?;
        let key = &line[at + 1..key_end];
        at = blank(line, key_end + 1);
        if line.get(at) != Some(&b':') {
            return None;
        }
        let (value, end) = value(line, blank(line, at + 1))?;
        each(key, value);
        at = blank(line, end);
        match line.get(at)? {
            b',' => at = blank(line, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Walks the elements of the array that begins at `from`. Returns where it ends, or `None` if it does not.
pub(crate) fn elements(line: &[u8], from: usize, mut each: impl FnMut(Value)) -> Option<usize> {
    if line.get(from) != Some(&b'[') {
        return None;
    }
    let mut at = blank(line, from + 1);
    if line.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        let (value, end) = value(line, at)?;
        each(value);
        at = blank(line, end);
        match line.get(at)? {
            b',' => at = blank(line, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Skips the value that begins at `from`. Returns it and the index after it; `None` if it is malformed or the line ends
/// first.
pub(crate) fn value(line: &[u8], from: usize) -> Option<(Value, usize)> {
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
            let length = line[from..].iter().position(|byte| b",}] \t\r".contains(byte))?;
            (false, 0, from, from + length, from + length)
        }
    };
    Some((Value { at: Span::new(start, end), string, depth }, after))
}

/// The index of the quote that ends the string whose first byte is at `from`.
#[inline]
pub(crate) fn string_end(line: &[u8], from: usize) -> Option<usize> {
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

#[inline]
pub(crate) fn blank(line: &[u8], mut at: usize) -> usize {
    while matches!(line.get(at), Some(b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
