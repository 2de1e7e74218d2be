//! One audit event: its raw line, where it stands, and the fields that other rooms ask for, found without parsing a body.
//!
//! A line is never changed and never copied here. [`Event`] holds offsets into the bytes of its [`Batch`];
//! [`Record`] joins the two for reading. `decode.rs` finds the fields of JSON lines, `legacy.rs` those of the text
//! format, `unwrap.rs` the events inside other lines (`frame.rs`: parts of lines; `probe.rs`: which objects are searched; `stamp.rs`:
//! times elsewhere), `walk.rs` and `block.rs` step over bodies, `text.rs` undoes the escapes of both, `time.rs` reads time stamps. `position.rs`, `identity.rs`,
//! `cursor.rs`, `marks.rs` and `seen_generations.rs` hold the words that input, pipeline and checkpoint share; `gap.rs` is the
//! event that says that some are lost.

use std::borrow::Cow;

mod block;
mod cursor;
mod decode;
mod format;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz_tests;
mod gap;
mod groups;
mod identity;
mod inside;
mod legacy;
mod marks;
mod position;
mod probe;
mod seen_generations;
mod stamp;
pub(crate) mod text;
mod time;
mod transform_stats;
mod unwrap;
pub(crate) mod walk;

pub(crate) use cursor::{Cursor, Key, Mark, Progress};
pub(crate) use decode::{Piece, pieces, plain};
pub(crate) use format::Format;
pub(crate) use frame::Frame;
pub(crate) use gap::{Extent, GapFacts, GapPlace, GapRecord};
pub(crate) use identity::{IdScheme, Ids, LogName};
pub(crate) use marks::{Earlier, Marks};
pub(crate) use position::{Fingerprint, Position, RecordKind};
pub(crate) use seen_generations::{LastSeen, Readable, SeenGenerations, Sightings};
pub(crate) use time::{Nanos, rfc3339};
pub(crate) use transform_stats::TransformStats;
pub(crate) use unwrap::{OddLine, unwrap};

/// A stretch of a line, in bytes from the line's start. Empty stretches stand for what is absent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// A stretch of a line or buffer; none is 4 GiB long, since the input hands out no such line.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let cut = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: cut(start), end: cut(end) }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// How the line is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// A JSON object: `audit.k8s.io` v1, v1beta1 or v1alpha1.
    Json,
    /// `--audit-log-format=legacy`: strings are quoted as Go does it.
    Legacy,
    /// Neither: the remains of an event, or something that is none.
    Unreadable,
}

/// Where the fields of an event stand in its line.
///
/// For strings the span is the text between the quotes, escapes undone by [`Record::text`]; for objects, arrays and
/// numbers it is the value as written, braces included. Names are those of `audit.k8s.io/v1`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fields {
    pub(crate) level: Span,
    pub(crate) audit_id: Span,
    pub(crate) stage: Span,
    pub(crate) request_uri: Span,
    pub(crate) verb: Span,
    /// The object.
    pub(crate) user: Span,
    /// `user.username`.
    pub(crate) username: Span,
    /// The object.
    pub(crate) impersonated_user: Span,
    /// The array; in legacy lines the one address, without brackets.
    pub(crate) source_ips: Span,
    pub(crate) user_agent: Span,
    /// The object.
    pub(crate) object_ref: Span,
    /// `objectRef.resource` and its neighbours.
    pub(crate) resource: Span,
    pub(crate) subresource: Span,
    pub(crate) namespace: Span,
    pub(crate) name: Span,
    /// The object.
    pub(crate) response_status: Span,
    /// `responseStatus.code`: digits.
    pub(crate) code: Span,
    /// The body, any JSON value.
    pub(crate) request_object: Span,
    /// The body, any JSON value.
    pub(crate) response_object: Span,
    /// `requestReceivedTimestamp`, or `timestamp` of older versions.
    pub(crate) received: Span,
    /// `stageTimestamp`, or `metadata.creationTimestamp` of older versions.
    pub(crate) stage_time: Span,
    /// The object.
    pub(crate) annotations: Span,
}

impl Fields {
    /// All of them, to be moved when their line changes.
    pub(crate) fn all_mut(&mut self) -> [&mut Span; 22] {
        let Self {
            level,
            audit_id,
            stage,
            request_uri,
            verb,
            user,
            username,
            impersonated_user,
            source_ips,
            user_agent,
            object_ref,
            resource,
            subresource,
            namespace,
            name,
            response_status,
            code,
            request_object,
            response_object,
            received,
            stage_time,
            annotations,
        } = self;
        [
            level,
            audit_id,
            stage,
            request_uri,
            verb,
            user,
            username,
            impersonated_user,
            source_ips,
            user_agent,
            object_ref,
            resource,
            subresource,
            namespace,
            name,
            response_status,
            code,
            request_object,
            response_object,
            received,
            stage_time,
            annotations,
        ]
    }
}

/// One event of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Decompressed bytes of its generation before its first byte.
    pub(crate) offset: u64,
    pub(crate) whole: RecordKind,
    pub(crate) form: Form,
    /// Where its line stands in the batch's bytes, newline not included.
    pub(crate) line: Span,
    /// Event time: its stage time, or that of the event before it where it has none of its own.
    pub(crate) time: Nanos,
    pub(crate) fields: Fields,
    /// Deepest nesting of objects and arrays in the line.
    pub(crate) depth: u32,
}

/// Consecutive events of one generation, together with the bytes they stand in.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) generation: Fingerprint,
    /// Fingerprints under which the same bytes may have been delivered before their file was altered.
    pub(crate) earlier: Vec<Fingerprint>,
    /// Its offsets are not those of the server's log: events are known by their content alone.
    pub(crate) by_content: bool,
    /// Decompressed offset at which the batch begins and, one past its last newline, ends.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) passed: TransformStats,
}

impl Batch {
    /// The event at an index below `events.len()`, with its line.
    pub(crate) fn record(&self, index: usize) -> Record<'_> {
        let event = &self.events[index];
        Record { event, line: &self.bytes[event.line.range()] }
    }

    /// The identity of the event at an index.
    pub(crate) fn position(&self, index: usize) -> Position {
        let event = &self.events[index];
        let generation = match event.whole {
            RecordKind::Event | RecordKind::Torn => self.generation,
            // Its fingerprint is its own, and a batch may hold several.
            RecordKind::Gap => self.own_print(index).unwrap_or(self.generation),
        };
        Position { generation, offset: event.offset, whole: event.whole }
    }

    fn own_print(&self, index: usize) -> Option<Fingerprint> {
        let record = self.record(index);
        record.text(record.event.fields.audit_id)?.parse().ok()
    }

    /// The identities that the same event may have had before its file was altered.
    pub(crate) fn earlier_positions(&self, index: usize) -> impl Iterator<Item = Position> {
        let position = self.position(index);
        self.earlier
            .iter()
            .map(move |fingerprint| Position { generation: *fingerprint, ..position })
    }
}

/// An event with its line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) event: &'a Event,
    pub(crate) line: &'a [u8],
}

impl<'a> Record<'a> {
    /// Whether it is an event of the API server, not just any line.
    pub(crate) fn is_event(&self) -> bool {
        unwrap::is_event(self.line, self.event.form, &self.event.fields)
    }

    /// Whether it can be what is left of an event.
    pub(crate) fn is_torn_event(&self) -> bool {
        let begins = self.line.iter().zip(decode::MARK).all(|(a, b)| a == b);
        self.event.whole == RecordKind::Torn && (begins || !self.event.fields.audit_id.is_empty())
    }

    /// The bytes of a field as written, `None` where it is absent.
    pub(crate) fn raw(&self, span: Span) -> Option<&'a [u8]> {
        if span.is_empty() { None } else { self.line.get(span.range()) }
    }

    /// The text of a field, escapes undone and broken UTF-8 repaired, `None` where it is absent.
    pub(crate) fn text(&self, span: Span) -> Option<Cow<'a, str>> {
        let raw = self.raw(span)?;
        Some(match self.event.form {
            Form::Legacy => text::go(raw),
            Form::Json | Form::Unreadable => text::json(raw),
        })
    }
}
