//! Parses audit events: finds the events in a line and the fields in an event. Bodies are skipped, never parsed.
//!
//! Every line comes out, whatever it holds. [`pieces`] splits a line in which a torn event is glued to the next one,
//! and hands out the unreadable part as a piece of its own. A body that JSON parsers refuse (broken UTF-8, lone
//! surrogates, 1e999999, repeated keys, ten thousand levels) does not matter, for a client may send one to hide its
//! request.
//!
//! There is no recursion, and no allocation except for a key written with escapes. The cost of a hostile line is in
//! proportion to its length.

use std::borrow::Cow;

use super::{Event, Fields, Form, Nanos, RecordKind, Span, legacy, rfc3339};
use crate::json::{self, Value, members};

/// Every event of every version begins with this. A client's body can contain it too, so finding it proves nothing.
pub(super) const MARK: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;
/// Most occurrences of [`MARK`] tried in one damaged line; a hostile line could hold a million.
const MARKS_TRIED: usize = 64;

/// Most events split from one line, besides the rest. An event takes more memory than the shortest object has bytes, so
/// the number needs a bound.
const GLUED: usize = 64;

/// A part of a line that is one event, or the rest of a torn one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// In bytes from the line's start; the spans in `fields` count from the piece's start.
    pub at: Span,
    /// Whether it is a whole event.
    pub whole: RecordKind,
    /// The format that its fields were read in.
    pub form: Form,
    /// Its fields, as far as they were found.
    pub fields: Fields,
    /// Its stage time; `None` if it has none that can be read.
    pub time: Option<Nanos>,
    /// Deepest nesting of objects and arrays.
    pub depth: u32,
}

impl Piece {
    /// The event of this piece. Its line begins at index `at` of the batch and at offset `begin` of the generation.
    pub fn event(self, at: usize, begin: u64, time: Nanos) -> Event {
        let Self { at: piece, whole, form, fields, depth, .. } = self;
        let line = Span::new(at + piece.start as usize, at + piece.end as usize);
        Event { offset: begin + u64::from(piece.start), whole, form, line, time, fields, depth }
    }
}

/// The fast path: hands out the event if the whole line is one event with an id and a time. Returns whether it is.
pub fn plain(line: &[u8], each: impl FnOnce(Piece)) -> bool {
    if line.first() == Some(&b'{') {
        return match object(line) {
            Some(found)
                if found.end == line.len()
                    && found.time.is_some()
                    && !found.fields.audit_id.is_empty() =>
            {
                each(event(&found, 0));
                true
            }
            _ => false,
        };
    }
    match legacy::fields(line) {
        Some(fields) => {
            each(legacy_event(line, fields, 0));
            true
        }
        None => false,
    }
}

/// Splits a line, given without its newline, into its events.
///
/// `ended` says whether a newline followed. A line without one is a torn tail. If it is not complete, no part of it
/// is accepted as an event, since a client can choose how a torn body ends.
pub fn pieces(line: &[u8], ended: bool, mut each: impl FnMut(Piece)) {
    let mut at = 0;
    for _ in 0..GLUED {
        let rest = &line[at..];
        match object(rest) {
            Some(found) if found.end == rest.len() => return each(event(&found, at)),
            // An event whose newline was lost; another event may follow it.
            Some(found) if rest.get(found.end) == Some(&b'{') => {
                each(event(&found, at));
                at += found.end;
            }
            _ => break,
        }
    }
    let rest = &line[at..];
    if let Some(fields) = legacy::fields(rest) {
        return each(legacy_event(rest, fields, at));
    }
    if let Some((start, piece)) = if ended { resynchronise(rest) } else { None } {
        each(unreadable(&rest[..start], at, RecordKind::Torn));
        each(Piece { at: Span::new(at + start, line.len()), ..piece });
    } else {
        let torn = !ended || rest.starts_with(b"{");
        each(unreadable(rest, at, if torn { RecordKind::Torn } else { RecordKind::Event }));
    }
}

/// Resynchronises in a damaged line: finds the first mark from which an object reaches exactly to the line's end. An
/// object inside a body never does, for the API server writes its own fields after the bodies.
fn resynchronise(line: &[u8]) -> Option<(usize, Piece)> {
    let marks = memchr::memmem::find_iter(line, MARK).filter(|start| *start > 0).take(MARKS_TRIED);
    for start in marks {
        let found = object(&line[start..]).filter(|found| start + found.end == line.len());
        if let Some(found) = found {
            return Some((start, event(&found, start)));
        }
    }
    let start = legacy::find(line).filter(|start| *start > 0)?;
    Some((start, legacy_event(&line[start..], legacy::fields(&line[start..])?, start)))
}

/// A complete JSON object at the beginning of some bytes.
#[derive(Clone, Copy)]
pub(super) struct Object {
    pub(super) fields: Fields,
    time: Option<Nanos>,
    end: usize,
    depth: u32,
}

pub(super) fn event(found: &Object, at: usize) -> Piece {
    Piece {
        at: Span::new(at, at + found.end),
        whole: RecordKind::Event,
        form: Form::Json,
        fields: found.fields,
        time: found.time,
        depth: found.depth,
    }
}

pub(super) fn legacy_event(line: &[u8], fields: Fields, at: usize) -> Piece {
    let time = rfc3339(&line[..fields.stage_time.end as usize]);
    let at = Span::new(at, at + line.len());
    Piece { at, whole: RecordKind::Event, form: Form::Legacy, fields, time, depth: 0 }
}

pub(super) fn unreadable(line: &[u8], at: usize, whole: RecordKind) -> Piece {
    let at = Span::new(at, at + line.len());
    // The fields before the tear are useful. Something that was never JSON has none.
    let mut fields = Fields::default();
    members(line, 0, |key, value| top(line, &mut fields, key, value));
    Piece { at, whole, form: Form::Unreadable, fields, time: None, depth: 0 }
}

/// Reads the object that `line` begins with, if it is complete.
pub(super) fn object(line: &[u8]) -> Option<Object> {
    let mut fields = Fields::default();
    let mut deepest = 0;
    let end = members(line, 0, |key, value| {
        deepest = deepest.max(value.depth);
        top(line, &mut fields, key, value);
    })?;
    let stamp = |span: Span| rfc3339(line.get(span.range())?);
    let time = stamp(fields.stage_time).or_else(|| stamp(fields.received));
    // A line may end in spaces or a carriage return if a person edited the file; the API server writes neither.
    let blank = line[end..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    Some(Object { fields, time, end: end + blank, depth: deepest + 1 })
}

/// Reads one member of the event. If a key is repeated, the first one counts; the API server repeats none.
fn top(line: &[u8], fields: &mut Fields, key: &[u8], value: Value) {
    if !known(line, fields, key, value)
        && let Some(key) = unescaped(key)
    {
        known(line, fields, &key, value);
    }
}

/// A key with its escapes undone; `None` if it has none. The API server writes none, but the sender of a webhook may.
/// Keys are short, so a loop is faster than memchr.
fn unescaped(key: &[u8]) -> Option<Cow<'_, [u8]>> {
    key.contains(&b'\\').then(|| json::unescape_bytes(key))
}

/// Reads one member if its key is known; returns whether it is.
fn known(line: &[u8], fields: &mut Fields, key: &[u8], value: Value) -> bool {
    let slot = match key {
        b"level" => &mut fields.level,
        b"auditID" => &mut fields.audit_id,
        b"stage" => &mut fields.stage,
        b"requestURI" => &mut fields.request_uri,
        b"verb" => &mut fields.verb,
        b"userAgent" => &mut fields.user_agent,
        b"requestReceivedTimestamp" => return stamp(&mut fields.received, value),
        b"stageTimestamp" => return stamp(&mut fields.stage_time, value),
        // `timestamp` and `metadata` are keys of audit.k8s.io/v1beta1 and v1alpha1. v1beta1 writes them before its
        // newer time stamps, which then replace them.
        b"timestamp" => &mut fields.received,
        b"metadata" => {
            return inner(line, value, |key, value| {
                key == b"creationTimestamp" && absent(&mut fields.stage_time, value)
            });
        }
        b"sourceIPs" => return structure(&mut fields.source_ips, value),
        b"requestObject" => return structure(&mut fields.request_object, value),
        b"responseObject" => return structure(&mut fields.response_object, value),
        b"annotations" => return structure(&mut fields.annotations, value),
        b"impersonatedUser" => return structure(&mut fields.impersonated_user, value),
        b"user" => {
            structure(&mut fields.user, value);
            return inner(line, value, |key, value| {
                key == b"username" && absent(&mut fields.username, value)
            });
        }
        b"objectRef" => {
            structure(&mut fields.object_ref, value);
            return inner(line, value, |key, value| {
                let slot = match key {
                    b"resource" => &mut fields.resource,
                    b"subresource" => &mut fields.subresource,
                    b"namespace" => &mut fields.namespace,
                    b"name" => &mut fields.name,
                    _ => return false,
                };
                absent(slot, value)
            });
        }
        b"responseStatus" => {
            structure(&mut fields.response_status, value);
            return inner(line, value, |key, value| {
                key == b"code" && number(line, &mut fields.code, value)
            });
        }
        _ => return false,
    };
    absent(slot, value)
}

/// Sets a field whose value is a number, if it has no value yet. A status without a code may have `null`, and some
/// senders write the code as a string.
fn number(line: &[u8], slot: &mut Span, value: Value) -> bool {
    let is_number = line[value.at.range()].iter().all(u8::is_ascii_digit);
    if is_number && slot.is_empty() {
        *slot = value.at;
    }
    true
}

/// Sets a string field if it has no value yet.
fn absent(slot: &mut Span, value: Value) -> bool {
    if value.string && slot.is_empty() {
        *slot = value.at;
    }
    true
}

/// Sets a time stamp. It replaces one from an older version's key.
fn stamp(slot: &mut Span, value: Value) -> bool {
    if value.string {
        *slot = value.at;
    }
    true
}

/// Sets a field whose value is kept as written; a string keeps its quotes.
fn structure(slot: &mut Span, value: Value) -> bool {
    if slot.is_empty() {
        let quotes = u32::from(value.string);
        *slot = Span { start: value.at.start - quotes, end: value.at.end + quotes };
    }
    true
}

/// Reads the members of an object; `each` says whether it knows a key.
fn inner(line: &[u8], value: Value, mut each: impl FnMut(&[u8], Value) -> bool) -> bool {
    if value.depth > 0 {
        members(line, value.at.start as usize, |key, value| {
            if !each(key, value)
                && let Some(key) = unescaped(key)
            {
                each(&key, value);
            }
        });
    }
    true
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
