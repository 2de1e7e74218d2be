//! Handles the API server's errors about a field: `spec.password: Invalid value: "x": must be longer`.
//!
//! The wording is that of `Error` in `util/validation/field/errors.go` of apimachinery.

use std::ops::Range;

use super::name_words::in_name;
use super::quoting::closing;
use super::secret_names::judge;

/// The kinds of errors, as they follow the field and its colon. Of the kinds that quote a value, the list has only
/// those that [`value`] finds; the words of the others are too general.
const KINDS: &[&[u8]] = &[
    b"Required value",
    b"Duplicate value",
    b"Invalid value",
    b"Unsupported value",
    b"Forbidden",
    b"Too long",
    b"Too many",
    b"Too few",
];

/// Whether the text after a name and its colon is such an error and not a value. A password may begin with the same
/// words, so a colon or the end of the text has to follow.
pub(super) fn begins(text: &[u8]) -> bool {
    let rest = KINDS.iter().find_map(|kind| text.strip_prefix(*kind));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b": "))
}

/// The value quoted after `Invalid value: `, whose ` value: ` is at `at`. If it is a structure, everything that
/// follows.
pub(super) fn value(text: &[u8], at: usize) -> Option<Range<usize>> {
    const TYPES: &[&[u8]] =
        &[b"object", b"string", b"integer", b"number", b"boolean", b"array", b"null"];
    let before = text[..at].trim_ascii_end();
    let word = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (before, word) = before.split_at(before.len() - word);
    if ![&b"invalid"[..], b"unsupported", b"duplicate"].iter().any(|w| word.eq_ignore_ascii_case(w))
    {
        return None;
    }
    let start = at + b" value: ".len();
    let rest = &text[start..];
    let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
    if let Some(quote) = rest.get(backslashes).filter(|byte| b"\"'`".contains(byte)) {
        let start = start + backslashes + 1;
        let at = start..closing(text, start, *quote, backslashes);
        return (!TYPES.contains(&&text[at.clone()])).then_some(at);
    }
    let scalar =
        rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(byte));
    let scalar = &rest[..scalar.count()];
    let literal = [&b"true"[..], b"false", b"null", b"nil"].contains(&scalar);
    let number = scalar.iter().all(|byte| byte.is_ascii_digit() || b".+-eE".contains(byte));
    if scalar.is_empty() || !literal && !number {
        return (!rest.is_empty()).then_some(start..text.len());
    }
    hides(before, scalar).then_some(start..start + scalar.len())
}

/// Whether a number or a literal is a secret because of the field before it. The field ends with its colon.
fn hides(before: &[u8], scalar: &[u8]) -> bool {
    let Some(path) = before.trim_ascii_end().strip_suffix(b":") else { return false };
    let name = path.iter().rev().take(128).take_while(|byte| in_name(**byte)).count();
    let name = str::from_utf8(&path[path.len() - name..]);
    name.is_ok_and(|name| judge(name).hides_scalar(scalar))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_that_begins_like_an_error_is_none() {
        for text in ["Required value", "Invalid value: 1: must be", "Too many: 5: must have"] {
            assert!(begins(text.as_bytes()), "{text}");
        }
        for text in ["Too many secrets", "Forbidden!", "Invalid values", "Not found: \"x\""] {
            assert!(!begins(text.as_bytes()), "{text}");
        }
    }
}
