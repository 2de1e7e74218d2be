//! Finds audit events inside other lines: in what a container runtime, a log shipper or a person put around them.
//!
//! There is no list of producers. A line is a text, perhaps with a prefix, and then JSON values. An object or string in
//! them is either an event or may hold one further inside. The event comes out as the wrapper holds it, with escapes
//! undone. It is written over the wrapper's own bytes, so it needs no memory of its own, and its position is inside the
//! line.
//!
//! A client of the API server must not be able to forge an event. So this search never looks inside an event, nor
//! inside an object that reports a request or is a Kubernetes object ([`Probe::is_opaque`]). It accepts a prefix only
//! if the JSON after it reaches the end of the line. If the JSON breaks off, it accepts nothing after that.

use super::decode::{MARK, Piece, event, legacy_event, object, pieces, unreadable};
use super::frame::{self, TextFrame};
use super::probe::Probe;
use super::stamp::any_time;
use super::{Fields, Form, Record, RecordKind, Span, legacy};
use crate::json::{self, Value, blank, elements, members, value};

/// Longest prefix, in bytes.
const PREFIX: usize = 4096;
/// Deepest nesting of wrappers.
const DEPTH: u32 = 16;
/// Longest string that is searched, in bytes: the search needs that much memory.
const LONGEST: usize = 32 << 20;
/// Most events taken from one line, plus one for each [`PER_BYTES`] of it. An event takes more memory than the shortest
/// object has bytes, so the number needs a bound.
const EVENTS: usize = 1024;
const PER_BYTES: usize = 256;

/// What a line held that is not simply one event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OddLine {
    /// Events, and perhaps something else besides.
    Events,
    /// Something else, or the rest of a torn event. It was handed out all the same.
    Foreign,
    /// Messages of the API server itself, comments or headings: nothing was handed out.
    Passed,
}

/// Hands out the events of a line for which [`super::plain`] found nothing, and the unreadable parts.
///
/// Bytes of the line that no piece covers are undefined afterwards.
pub fn unwrap(line: &mut [u8], ended: bool, mut each: impl FnMut(Piece)) -> OddLine {
    let outer = any_time(line);
    let mut dated = |piece: Piece| each(Piece { time: piece.time.or(outer), ..piece });
    let mut all_events = true;
    pieces(line, ended, |piece| all_events &= piece.is_event(line));
    if all_events {
        pieces(line, ended, dated);
        return OddLine::Events;
    }
    match UnwrapSearch::new(line.len()).line(line, 0) {
        Unwrapped::Events(found) => {
            found.into_iter().for_each(dated);
            OddLine::Events
        }
        Unwrapped::Passed => OddLine::Passed,
        Unwrapped::Nothing => {
            if frame::is_message(line) {
                return OddLine::Passed;
            }
            let mut events = false;
            pieces(line, ended, |piece| {
                events |= piece.form == Form::Legacy || piece.is_event(line);
                dated(piece);
            });
            if events { OddLine::Events } else { OddLine::Foreign }
        }
    }
}

/// Whether a line of this format is an event of the API server and not any other JSON object.
pub(super) fn is_event(line: &[u8], form: Form, fields: &Fields) -> bool {
    match form {
        Form::Legacy => true,
        Form::Unreadable => false,
        Form::Json => Probe::of(line, 0).is_event(fields),
    }
}

impl Piece {
    /// Whether it is an event of the API server; `line` is the line that it is a piece of.
    pub fn is_event(&self, line: &[u8]) -> bool {
        is_event(&line[self.at.range()], self.form, &self.fields)
    }
}

impl Record<'_> {
    /// Whether it is an event of the API server and not any other line.
    pub fn is_event(&self) -> bool {
        is_event(self.line, self.event.form, &self.event.fields)
    }

    /// Whether it may be the beginning or the rest of a torn event.
    pub fn is_torn_event(&self) -> bool {
        let begins = self.line.iter().zip(MARK).all(|(a, b)| a == b);
        self.event.whole == RecordKind::Torn && (begins || !self.event.fields.audit_id.is_empty())
    }
}

enum Unwrapped {
    /// At least one event.
    Events(Vec<Piece>),
    Passed,
    Nothing,
}

/// The search through one line.
struct UnwrapSearch {
    pieces: Vec<Piece>,
    /// Most events that may be found.
    room: usize,
    /// Index in `pieces` at which the events of the current record begin. Shippers may keep an event twice, parsed and
    /// raw, so duplicates are looked for within a record.
    record: usize,
}

impl UnwrapSearch {
    fn new(length: usize) -> Self {
        Self { pieces: Vec::new(), room: EVENTS + length / PER_BYTES, record: 0 }
    }

    /// Searches a line, or the text of a line inside a container runtime's frame.
    fn line(mut self, line: &mut [u8], depth: u32) -> Unwrapped {
        let start = frame::leading(line);
        let text = &line[start..];
        if text.is_empty() || frame::is_passed_over(text) {
            return Unwrapped::Passed;
        }
        if let Some(TextFrame { content, stderr, .. }) = frame::cri(text).filter(|_| depth < DEPTH)
        {
            let (from, to) = (start + content.start, start + content.end);
            // The API server writes its log messages to stderr, and they can contain a client's words.
            if stderr && line.get(from) != Some(&b'{') {
                return Unwrapped::Passed;
            }
            return moved(self.line(&mut line[from..to], depth + 1), from);
        }
        let begin = match text[0] {
            b'{' | b'[' => Some(start),
            _ => self.legacy(text, start).or_else(|| brace(text).map(|at| start + at)),
        };
        if !self.pieces.is_empty() {
            return Unwrapped::Events(self.pieces);
        }
        let done = begin.and_then(|begin| self.sequence(line, begin, begin > start, depth));
        match done {
            Some(())
                if self
                    .pieces
                    .iter()
                    .any(|piece| piece.whole == RecordKind::Event && piece.is_event(line)) =>
            {
                Unwrapped::Events(self.pieces)
            }
            _ => Unwrapped::Nothing,
        }
    }

    /// Reads an event of the legacy format, with or without a prefix. Always returns `None`, so that the caller goes on
    /// with its next attempt.
    fn legacy(&mut self, text: &[u8], start: usize) -> Option<usize> {
        const MARK: &[u8] = b" AUDIT: ";
        let at = if legacy::fields(text).is_some() { 0 } else { legacy::find(text)? };
        // The rest of another event must not be discarded as a prefix.
        if at <= PREFIX && memchr::memmem::find(&text[..at], MARK).is_none() {
            let fields = legacy::fields(&text[at..])?;
            self.pieces.push(legacy_event(&text[at..], fields, start + at));
        }
        None
    }

    /// Searches consecutive values; `None` if something else stands between them.
    fn sequence(
        &mut self,
        line: &mut [u8],
        begin: usize,
        prefixed: bool,
        depth: u32,
    ) -> Option<()> {
        let list = line[begin] == b'[';
        let mut at = frame::between(line, begin);
        let mut ends = Vec::new();
        while at < line.len() {
            let is_value = matches!(line[at], b'{' | b'"') || list;
            let end = value(line, at).filter(|_| is_value).map(|(_, end)| end);
            let Some(end) = end else { break };
            if ends.len() >= self.room {
                return None;
            }
            ends.push(Span::new(at, end));
            at = frame::between(line, end);
        }
        let rest = at;
        if rest < line.len() {
            // Words after an event are kept. But the rest of another event, or of a body, proves that this is none.
            let words =
                !prefixed && rest > 0 && line[rest - 1].is_ascii_whitespace() && line[rest] != b'{';
            if !words || ends.is_empty() {
                return None;
            }
        }
        for item in ends {
            let before = self.pieces.len();
            self.record = before;
            self.value(line, item, depth)?;
            if self.pieces.len() == before && !list && line[item.start as usize] == b'{' {
                // An object beside events is handed out as it is.
                let found = object(&line[item.range()])?;
                self.pieces.push(event(&found, item.start as usize));
            }
        }
        if rest < line.len() {
            self.pieces.push(unreadable(&line[rest..], rest, RecordKind::Event));
        }
        Some(())
    }

    /// Searches one value; `None` if it holds more events than the bound allows.
    fn value(&mut self, line: &mut [u8], at: Span, depth: u32) -> Option<()> {
        if depth >= DEPTH || !can_hold_event(&line[at.range()]) {
            return Some(());
        }
        let from = at.start as usize;
        match line[from] {
            b'{' => self.object(line, at, depth),
            b'[' => self.array(line, at, depth),
            b'"' => {
                self.string(line, Span::new(from + 1, at.end as usize - 1), depth);
                Some(())
            }
            _ => Some(()),
        }
    }

    fn object(&mut self, line: &mut [u8], at: Span, depth: u32) -> Option<()> {
        let probe = Probe::of(line, at.start as usize);
        let found = object(&line[at.range()])?;
        if probe.is_event(&found.fields) {
            return self.push(line, event(&found, at.start as usize));
        }
        if probe.is_opaque(&found.fields) {
            return Some(());
        }
        let mut inside = Vec::new();
        members(line, at.start as usize, |_, value| inside.push_within(self.room, outer(value)));
        inside.into_iter().try_for_each(|value| self.value(line, value, depth + 1))
    }

    fn array(&mut self, line: &mut [u8], at: Span, depth: u32) -> Option<()> {
        if let Some(bytes) = byte_array(&line[at.range()]) {
            self.decoded(line, bytes, at.start as usize, depth);
            return Some(());
        }
        let mut inside = Vec::new();
        elements(line, at.start as usize, |value| inside.push_within(self.room, outer(value)));
        for value in inside {
            self.record = self.pieces.len();
            self.value(line, value, depth + 1)?;
        }
        Some(())
    }

    fn string(&mut self, line: &mut [u8], at: Span, depth: u32) {
        if at.range().len() <= LONGEST {
            let decoded = json::unescape_bytes(&line[at.range()]).into_owned();
            self.decoded(line, decoded, at.start as usize, depth);
        }
    }

    /// Searches an unescaped text, and writes it over the escaped one if it holds events.
    fn decoded(&mut self, line: &mut [u8], mut decoded: Vec<u8>, at: usize, depth: u32) {
        // A line break between two values becomes a blank. JSON allows none within a string.
        decoded
            .iter_mut()
            .filter(|byte| matches!(byte, b'\n' | b'\r' | 0))
            .for_each(|byte| *byte = b' ');
        let room = self.room.saturating_sub(self.pieces.len());
        let inner = Self { pieces: Vec::new(), room, record: 0 };
        if let Unwrapped::Events(found) = moved(inner.line(&mut decoded, depth + 1), at) {
            let before = self.pieces.len();
            for piece in found {
                let local = Span::new(piece.at.start as usize - at, piece.at.end as usize - at);
                if !self.is_known(line, &decoded[local.range()], &piece) {
                    self.pieces.push(piece);
                }
            }
            if self.pieces.len() > before {
                line[at..at + decoded.len()].copy_from_slice(&decoded);
            }
        }
    }

    fn push(&mut self, line: &[u8], mut piece: Piece) -> Option<()> {
        let blanks =
            line[piece.at.range()].iter().rev().take_while(|byte| byte.is_ascii_whitespace());
        piece.at.end -= u32::try_from(blanks.count()).unwrap_or_default();
        if self.is_known(line, &line[piece.at.range()], &piece) {
            return Some(());
        }
        if self.pieces.len() >= self.room {
            return None;
        }
        self.pieces.push(piece);
        Some(())
    }

    /// Whether the current record holds the same event already (a duplicate).
    fn is_known(&self, line: &[u8], text: &[u8], piece: &Piece) -> bool {
        let name = |text: &[u8], piece: &Piece| {
            let fields = &piece.fields;
            [fields.audit_id, fields.stage, fields.stage_time]
                .map(|span| text[span.range()].to_vec())
        };
        let same = |known: &Piece| name(&line[known.at.range()], known) == name(text, piece);
        !piece.fields.audit_id.is_empty()
            && self.pieces[self.record..].iter().rev().take(4).any(same)
    }
}

/// Pushes a value unless the bound is reached.
trait PushWithin<T> {
    fn push_within(&mut self, room: usize, value: T);
}

impl<T> PushWithin<T> for Vec<T> {
    fn push_within(&mut self, room: usize, value: T) {
        if self.len() < room {
            self.push(value);
        }
    }
}

/// The range of a value with its quotes.
fn outer(value: Value) -> Span {
    let quotes = u32::from(value.string);
    Span { start: value.at.start - quotes, end: value.at.end + quotes }
}

fn moved(found: Unwrapped, by: usize) -> Unwrapped {
    let Unwrapped::Events(mut pieces) = found else { return found };
    for piece in &mut pieces {
        piece.at = Span::new(piece.at.start as usize + by, piece.at.end as usize + by);
    }
    Unwrapped::Events(pieces)
}

/// Where the JSON after a prefix begins.
fn brace(text: &[u8]) -> Option<usize> {
    let opens = |at: &usize| text.get(blank(text, at + 1)) == Some(&b'"');
    memchr::memchr_iter(b'{', &text[..text.len().min(PREFIX)]).find(opens)
}

/// Whether a value can contain an event, escaped or not.
fn can_hold_event(value: &[u8]) -> bool {
    // `itID` as an array of numbers: so journald writes values that are not all text.
    const ANY: [&[u8]; 4] = [b"auditID", b"audit.k8s.io", b"105,116,73,68", b"105, 116, 73, 68"];
    ANY.iter().any(|word| memchr::memmem::find(value, word).is_some())
}

/// The bytes that an array of numbers encodes.
fn byte_array(text: &[u8]) -> Option<Vec<u8>> {
    let inside = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let number = |digits: &[u8]| std::str::from_utf8(digits.trim_ascii()).ok()?.parse::<u8>().ok();
    inside.split(|byte| *byte == b',').map(number).collect()
}

#[cfg(test)]
#[path = "unwrap_tests.rs"]
mod tests;
