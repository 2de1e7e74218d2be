//! Lines and quotes of a text: where a line begins and ends, and where a quoted value does.

use std::ops::Range;

/// Bytes of a line that are looked at; the limit keeps the cost linear in the length of a hostile text.
const LINE: usize = 1024;

/// Whether a name is the first word of its line, apart from the dash of a list item.
pub(super) fn begins_line(text: &[u8], name: usize) -> bool {
    let marks =
        text[..name].iter().rev().take(LINE).take_while(|byte| b" \t-\"'".contains(byte)).count();
    let before = &text[..name - marks];
    // In a script, a line may end with an escaped newline.
    before.last().is_none_or(|byte| *byte == b'\n') || before.ends_with(b"\\n")
}

/// The first line of a text, up to [`LINE`] bytes.
pub(super) fn line_of(text: &[u8]) -> &[u8] {
    let near = &text[..text.len().min(LINE)];
    &near[..memchr::memchr(b'\n', near).unwrap_or(near.len())]
}

/// A value in quotes. A letter before the quote may give its kind: `N'x'`, `b"x"`, `@"x"`.
pub(super) fn quoted(text: &[u8], from: usize) -> Option<Range<usize>> {
    let kind = text.get(from).is_some_and(|byte| b"NnbrufLe@!".contains(byte))
        && matches!(text.get(from + 1), Some(b'\'' | b'"'));
    let from = from + usize::from(kind);
    let (backslashes, quote) = opening(text.get(from..)?);
    let (start, quote) = (from + backslashes + 1, quote?);
    // TOML and Python: triple quotes hold several lines.
    if backslashes == 0 && text[start..].starts_with(&[quote, quote]) {
        let start = start + 2;
        let end = memchr::memmem::find(&text[start..], &[quote, quote, quote]);
        return Some(start..end.map_or(text.len(), |end| start + end));
    }
    let mut end = closing(text, start, quote, backslashes);
    // SQL doubles a quote that is part of the text.
    while quote == b'\'' && backslashes == 0 && text[end..].starts_with(b"''") {
        end = closing(text, end + 2, quote, backslashes);
    }
    Some(start..end)
}

/// The number of backslashes that a text begins with, and the quote after them.
pub(super) fn opening(text: &[u8]) -> (usize, Option<u8>) {
    let backslashes = text.iter().take_while(|byte| **byte == b'\\').count();
    (backslashes, text.get(backslashes).copied().filter(|byte| b"\"'`".contains(byte)))
}

/// The place of the quote that closes the string begun at `start`. It has no more backslashes before it than the
/// opening one.
pub(super) fn closing(text: &[u8], start: usize, quote: u8, backslashes: usize) -> usize {
    for found in memchr::memchr_iter(quote, &text[start..]) {
        let before = text[start..start + found].iter().rev().take_while(|byte| **byte == b'\\');
        let before = before.count();
        if before <= backslashes {
            return start + found - before;
        }
    }
    text.len()
}
