//! Walks JSON members with their places, and lets the caller step into a value instead of over it.
//!
//! `event::walk` finds the end of a value before it shows the value, so descending some levels reads the same bytes
//! once per level. This walk reads them once, and the caller can stop it as soon as nothing of interest follows. No
//! recursion and no allocation. Text that is not JSON ends the walk.

use std::borrow::Cow;
use std::ops::Range;

use crate::event::walk;

/// A member of an object, as the walk meets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// The bytes between the quotes of the key, with escapes.
    pub(super) key: &'a [u8],
    /// Place of the quote before the key.
    pub(super) at: usize,
    /// Place where the value begins: the opening quote, for a string.
    pub(super) value: usize,
}

impl Member<'_> {
    /// Whether the key equals `name` once its escapes are decoded.
    pub(super) fn is(&self, name: &str) -> bool {
        self.key == name.as_bytes() || (self.key.contains(&b'\\') && self.name() == name)
    }

    /// The key with its escapes decoded; empty if it cannot be decoded.
    pub(super) fn name(&self) -> Cow<'_, str> {
        if self.key.contains(&b'\\') {
            let quoted = [b"\"", self.key, b"\""].concat();
            return Cow::Owned(serde_json::from_slice(&quoted).unwrap_or_default());
        }
        String::from_utf8_lossy(self.key)
    }
}

/// Walks the object that begins at `from`. `each` returns the end of the member's value, as [`skip`] does, or `None`
/// to stop. Returns the end of the object, or `None` if `each` stopped the walk or the object does not end.
pub(super) fn members<'a>(
    line: &'a [u8],
    from: usize,
    mut each: impl FnMut(Member<'a>) -> Option<usize>,
) -> Option<usize> {
    if line.get(from) != Some(&b'{') {
        return None;
    }
    let mut at = walk::blank(line, from + 1);
    if line.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        if line.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = walk::string_end(line, at + 1)?;
        let colon = walk::blank(line, key_end + 1);
        if line.get(colon) != Some(&b':') {
            return None;
        }
        let value = walk::blank(line, colon + 1);
        let end = each(Member { key: &line[at + 1..key_end], at, value })?;
        at = walk::blank(line, end);
        match line.get(at)? {
            b',' => at = walk::blank(line, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Walks the array that begins at `from`, as [`members`] walks an object. `each` gets the place where an element
/// begins.
pub(super) fn elements(
    line: &[u8],
    from: usize,
    mut each: impl FnMut(usize) -> Option<usize>,
) -> Option<usize> {
    if line.get(from) != Some(&b'[') {
        return None;
    }
    let mut at = walk::blank(line, from + 1);
    if line.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        let end = each(at)?;
        at = walk::blank(line, end);
        match line.get(at)? {
            b',' => at = walk::blank(line, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of the value that begins at `from`, including the closing quote.
#[inline]
pub(super) fn skip(line: &[u8], from: usize) -> Option<usize> {
    walk::value(line, from).map(|(_, end)| end)
}

/// The range of the string whose opening quote is at `from`, without its quotes; `None` for another kind of value.
pub(super) fn string(line: &[u8], from: usize) -> Option<Range<usize>> {
    if line.get(from) != Some(&b'"') {
        return None;
    }
    Some(from + 1..walk::string_end(line, from + 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_into_values_and_comes_out_behind_them() {
        let line = br#"{ "a" : [{"b":1}, 2] ,"\u0063":{"d":"}"},"e":null}"#;
        let mut seen = Vec::new();
        let end = members(line, 0, |member| {
            seen.push(member.name().into_owned());
            match line[member.value] {
                b'[' => elements(line, member.value, |at| {
                    seen.push(format!("@{at}"));
                    skip(line, at)
                }),
                b'{' => members(line, member.value, |inner| {
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
}
