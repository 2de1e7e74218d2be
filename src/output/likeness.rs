//! What makes two events the same event, and the same to the letter: for look-ups and for `verify`.
//!
//! The API server says of each event when it came, when the stage was reached, the audit id and the stage. An event that
//! has all of these is known by them; in the remains of one they may be those of another, so that it is known in a
//! store's own way: by its line, or by the id it was given.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::event::{Fingerprint, Form, Span, pieces, text};

/// Hashes with a key of this process alone: who writes into a store cannot know what would pass for something else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest(RandomState, RandomState);

/// What is known of one event, as an output would send it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EventIdentity {
    pub(crate) identity: Fingerprint,
    /// Of all that is compared, in the usual form and in the safe one.
    pub(crate) content: u64,
    pub(crate) fallback: u64,
}

impl Digest {
    /// 64 bits over some pieces and where one ends.
    pub(crate) fn short(&self, pieces: &[&[u8]]) -> u64 {
        hash(&self.0, pieces)
    }

    /// 128 bits over the same.
    pub(crate) fn long(&self, pieces: &[&[u8]]) -> Fingerprint {
        let mut raw = [0; 16];
        raw[..8].copy_from_slice(&hash(&self.0, pieces).to_be_bytes());
        raw[8..].copy_from_slice(&hash(&self.1, pieces).to_be_bytes());
        Fingerprint(raw)
    }

    /// The identity of an event by its line, or, where that does not tell, by something else.
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

/// stageTimestamp, requestReceivedTimestamp, auditID and stage of the one event that a line is; `None` if it is none, or
/// one of them is missing.
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
            Form::Legacy => text::go(raw),
            Form::Json | Form::Unreadable => text::json(raw),
        })
    };
    let fields = &piece.fields;
    let (received, stage) = (part(fields.received)?, part(fields.stage)?);
    Some([part(fields.stage_time)?, received, part(fields.audit_id)?, stage])
}

/// A line as text. Stores write one U+FFFD for each broken byte, we one for each broken sequence: runs count as one.
pub(super) fn repaired(line: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(line) {
        Cow::Borrowed(text) => shortened(text),
        Cow::Owned(text) => Cow::Owned(shortened(&text).into_owned()),
    }
}

/// The same for what is text already.
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
