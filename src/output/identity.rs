//! When two events are the same event, and when they have the same content: for look-ups and for `verify`.
//!
//! The API server writes four fields that identify an event: stageTimestamp, requestReceivedTimestamp, auditID and
//! stage. An event that has all of them is identified by them. In the rest of a torn line they may belong to another
//! event, so each store identifies those in its own way: by the line, or by the id.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::event::{Fingerprint, Form, Span, pieces};
use crate::json;

/// Hashes with random keys of this process: nobody who writes into a store can craft a collision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(RandomState, RandomState);

/// The identity and content digests of one event, as an output would send it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EventIdentity {
    pub(crate) identity: Fingerprint,
    /// Digests of all compared content, in the usual form and in safe form.
    pub(crate) content: u64,
    pub(crate) fallback: u64,
}

impl Digest {
    /// A 64-bit hash over several pieces and their boundaries.
    pub(crate) fn short(&self, pieces: &[&[u8]]) -> u64 {
        hash(&self.0, pieces)
    }

    /// A 128-bit hash over the same.
    pub(crate) fn long(&self, pieces: &[&[u8]]) -> Fingerprint {
        let mut raw = [0; 16];
        raw[..8].copy_from_slice(&hash(&self.0, pieces).to_be_bytes());
        raw[8..].copy_from_slice(&hash(&self.1, pieces).to_be_bytes());
        Fingerprint(raw)
    }

    /// The identity of an event by its line; by `otherwise` if the line does not identify it.
    pub(super) fn identity(&self, line: &str, otherwise: &[u8]) -> Fingerprint {
        match parts(line) {
            Some(parts) => self.long(&parts.each_ref().map(|part| part.as_bytes())),
            None => self.long(&[otherwise]),
        }
    }
}

fn hash(state: &RandomState, pieces: &[&[u8]]) -> u64 {
    let mut hasher = state.build_hasher();
    for piece in pieces {
        hasher.write_usize(piece.len());
        hasher.write(piece);
    }
    hasher.finish()
}

/// stageTimestamp, requestReceivedTimestamp, auditID and stage of the one event in a line; `None` if the line does not
/// hold exactly one event, or a field is missing.
pub(super) fn parts(line: &str) -> Option<[Cow<'_, str>; 4]> {
    let (mut count, mut found) = (0, None);
    pieces(line.as_bytes(), true, |piece| {
        count += 1;
        found = (piece.form != Form::Unreadable).then_some(piece);
    });
    let piece = found.filter(|_| count == 1)?;
    let part = |span: Span| {
        let raw = line.as_bytes().get(span.range()).filter(|raw| !raw.is_empty())?;
        Some(match piece.form {
            Form::Legacy => json::unescape_go(raw),
            Form::Json | Form::Unreadable => json::unescape(raw),
        })
    };
    let fields = &piece.fields;
    let (received, stage) = (part(fields.received)?, part(fields.stage)?);
    Some([part(fields.stage_time)?, received, part(fields.audit_id)?, stage])
}

/// A line as text, without invalid UTF-8. Stores write one U+FFFD per invalid byte, we write one per invalid sequence:
/// runs are shortened to one, so both compare equal.
pub(super) fn repaired(line: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(text) => shortened(text),
        Cow::Owned(text) => Cow::Owned(shortened(&text).into_owned()),
    }
}

/// Shortens runs of U+FFFD in text.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    if !text.contains("\u{fffd}\u{fffd}") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char != '\u{fffd}' || !out.ends_with('\u{fffd}') {
            out.push(char);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_apart_and_so_are_processes() {
        let (one, other) = (Digest::default(), Digest::default());
        assert_eq!(one.long(&[b"ab", b"c"]), one.long(&[b"ab", b"c"]));
        assert_ne!(one.long(&[b"ab", b"c"]), one.long(&[b"a", b"bc"]));
        assert_ne!(one.short(&[b"ab"]), other.short(&[b"ab"]));
    }

    #[test]
    fn an_escape_makes_no_other_event() {
        let line = |id: &str| {
            format!(
                r#"{{"auditID":"{id}","stage":"Panic","requestReceivedTimestamp":"1","stageTimestamp":"2"}}"#
            )
        };
        assert_eq!(parts(&line("a<b")), parts(&line(r"a\u003cb")));
        assert_ne!(parts(&line("a")), parts(&line("b")));
        assert_eq!(parts(r#"{"auditID":"a"}"#), None);
        assert_eq!(parts("no event"), None);
    }
}
