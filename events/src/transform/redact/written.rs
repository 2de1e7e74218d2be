//! Maps places between a decoded text and the JSON string that it was read from.

use std::ops::Range;

/// The places of parts of the text (in order) in the string as it is written, without its quotes. `None` if the bytes
/// of the string are not UTF-8.
pub(super) fn places(written: &[u8], parts: &[Range<usize>]) -> Option<Vec<Range<usize>>> {
    str::from_utf8(written).ok()?;
    let mut cursor = WrittenCursor { written, at: 0, text: 0 };
    Some(parts.iter().map(|part| cursor.seek(part.start)..cursor.seek(part.end)).collect())
}

/// The places in the text of places in the string (in order).
pub(super) fn texts(written: &[u8], places: impl Iterator<Item = usize>) -> Option<Vec<usize>> {
    str::from_utf8(written).ok()?;
    let mut cursor = WrittenCursor { written, at: 0, text: 0 };
    Some(places.map(|place| cursor.read(place)).collect())
}

/// Walks through the string and the text at once.
struct WrittenCursor<'w> {
    written: &'w [u8],
    /// A place in the string, and the same place in the text.
    at: usize,
    text: usize,
}

impl WrittenCursor<'_> {
    /// The place in the text of a place in the string; places must not decrease from call to call. A place within an
    /// escape maps to the place of the escape.
    fn read(&mut self, place: usize) -> usize {
        while self.at < place {
            let rest = &self.written[self.at..];
            let wanted = place - self.at;
            let Some(plain) = memchr::memchr(b'\\', &rest[..wanted.min(rest.len())]) else {
                (self.at, self.text) = (place, self.text + wanted);
                break;
            };
            let (length, bytes) = escape(&rest[plain..]);
            if self.at + plain + length > place {
                return self.text + plain;
            }
            self.at += plain + length;
            self.text += plain + bytes;
        }
        self.text
    }

    /// The place in the string of a byte of the text; places must not decrease from call to call.
    fn seek(&mut self, text: usize) -> usize {
        while self.text < text {
            let rest = &self.written[self.at..];
            let wanted = text - self.text;
            let plain = memchr::memchr(b'\\', &rest[..wanted.min(rest.len())]);
            let Some(plain) = plain else {
                (self.at, self.text) = ((self.at + wanted).min(self.written.len()), text);
                break;
            };
            let (length, bytes) = escape(&rest[plain..]);
            self.at += plain + length;
            self.text += plain + bytes;
        }
        self.at
    }
}

/// The length of the escape that a string begins with, and the length of the text it stands for.
fn escape(rest: &[u8]) -> (usize, usize) {
    // An invalid escape is a backslash, as `event::text` reads it.
    let pair = rest.starts_with(b"\\u") && rest.get(6..8) == Some(b"\\u");
    for length in [2, 6].into_iter().chain(pair.then_some(12)).rev() {
        let Some(escape) = rest.get(..length) else { continue };
        let text = crate::json::unescape(escape);
        if text.chars().count() == 1 && !(length == 2 && text == "\\" && escape != b"\\\\") {
            return (length, text.len());
        }
    }
    (1, 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json;

    proptest! {
        #[test]
        fn a_part_reads_as_what_stands_at_its_place(written in r#"([a-zäü€ ]|\\\\[ntbrf"/]|\\\\\\\\|\\\\u00e4|\\\\ud83d\\\\ude00|\\\\ud83dx|\\\\uzz|😀){0,12}"#, from in 0..12_usize, length in 0..12_usize) {
            let text = json::unescape(written.as_bytes()).into_owned();
            let starts: Vec<_> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let (from, to) = (starts[from.min(starts.len() - 1)], starts[(from + length).min(starts.len() - 1)]);
            let part = from..to;
            let place = places(written.as_bytes(), std::slice::from_ref(&part)).unwrap().remove(0);
            prop_assert_eq!(json::unescape(&written.as_bytes()[place]).into_owned(), text[from..to].to_owned());
        }
    }
}
