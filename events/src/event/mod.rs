//! One audit event: its raw line, its position in the log, and the fields that other rooms need, found without parsing
//! request or response bodies.
//!
//! This room never changes or copies a line (except that `unwrap.rs` undoes escapes in place). [`Event`] holds offsets
//! into the bytes of its [`Batch`]; [`Record`] joins the two for reading.
//!
//! - Parsing: `decode.rs` finds the fields of JSON lines, `legacy.rs` those of the text format. `unwrap.rs` finds
//!   events inside other lines, with `frame.rs` (partial lines of container runtimes), `probe.rs` (which objects are
//!   searched) and `stamp.rs` (time stamps in other places). `time.rs` reads time stamps, `format.rs` names logs that
//!   hold no audit events. The room `json` walks through lines and undoes escapes.
//! - Shared by input, pipeline and checkpoint: `position.rs` and `identity.rs` (fingerprints and document ids, for
//!   idempotent writes), `cursor.rs` (progress and watermark), `marks.rs`, `key.rs` and `seen_generations.rs`.
//! - `list_splitter.rs` splits the body of a webhook request into the lines that the log would hold.
//! - `gap.rs` makes the event that reports lost events, `heartbeat.rs` the record that says that the agent works, and
//!   `own_record.rs` what the two have in common; `reason.rs` says why events are lost or sent again.

use std::borrow::Cow;

use crate::json;

mod cursor;
mod decode;
mod format;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz_tests;
mod gap;
mod groups;
mod heartbeat;
mod identity;
mod inside;
mod key;
mod legacy;
mod list_splitter;
mod marks;
mod own_record;
mod position;
mod probe;
mod reason;
mod seen_generations;
mod stamp;
mod time;
mod transform_stats;
mod unwrap;

pub use cursor::{Cursor, FileMark, Progress};
pub use decode::{Piece, pieces, plain};
pub use format::Format;
pub use frame::TextFrame;
pub use gap::{Extent, GapFacts, GapPlace, GapRecord};
pub use heartbeat::{HeartbeatFacts, HeartbeatNames, HeartbeatRecord, HeartbeatTime};
pub use identity::{IdScheme, Ids, LogName};
pub use key::{Key, KeyedHasher};
pub use list_splitter::{ListSplitter, SplitBody, UnreadableBody};
pub use marks::{Earlier, Mark, Marks};
pub use own_record::RecordNames;
pub use position::{Fingerprint, Position, RecordKind};
pub use reason::{GapReason, Label, RetryReason, labels};
pub use seen_generations::{LastSeen, Readable, SeenGenerations, Sightings};
pub(crate) use time::time_text;
pub use time::{Nanos, nanos, rfc3339};
pub use transform_stats::{TRANSFORM_ACTIONS, TransformStats};
pub use unwrap::{OddLine, unwrap};

pub use crate::json::Span;

/// The format of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A JSON object: `audit.k8s.io` v1, v1beta1 or v1alpha1.
    Json,
    /// `--audit-log-format=legacy`: strings are quoted as by Go's `strconv.Quote`.
    Legacy,
    /// Neither: the remains of a torn event, or a line that is no event.
    Unreadable,
}

/// Declares the fields once, for the struct and for [`Fields::all_mut`].
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The byte ranges of an event's fields in its line.
        ///
        /// For a string the range is the text between the quotes; [`Record::text`] undoes its escapes. For objects, arrays and
        /// numbers it is the value as written, braces included. Names are those of `audit.k8s.io/v1`.
        ///
        /// Many fields: one for each field of an event that some room needs.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct Fields { $($(#[$doc])* pub $name: Span,)* }

        impl Fields {
            /// All fields, so that they can be shifted when the line changes.
            pub fn all_mut(&mut self) -> [&mut Span; 22] {
                [$(&mut self.$name,)*]
            }
        }
    };
}

fields! {
    /// `level`.
    level,
    /// `auditID`.
    audit_id,
    /// `stage`.
    stage,
    /// `requestURI`.
    request_uri,
    /// `verb`.
    verb,
    /// The object.
    user,
    /// `user.username`.
    username,
    /// The object.
    impersonated_user,
    /// The array. In legacy lines: the single address, without brackets.
    source_ips,
    /// `userAgent`.
    user_agent,
    /// The object.
    object_ref,
    /// `objectRef.resource` and its neighbours.
    resource,
    /// `objectRef.subresource`.
    subresource,
    /// `objectRef.namespace`.
    namespace,
    /// `objectRef.name`.
    name,
    /// The object.
    response_status,
    /// `responseStatus.code`: digits.
    code,
    /// The body, any JSON value.
    request_object,
    /// The body, any JSON value.
    response_object,
    /// `requestReceivedTimestamp`, or `timestamp` of older versions.
    received,
    /// `stageTimestamp`, or `metadata.creationTimestamp` of older versions.
    stage_time,
    /// The object.
    annotations,
}

/// One event of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Offset of its first byte in the generation, in decompressed bytes.
    pub offset: u64,
    /// Whether it is a whole event.
    pub whole: RecordKind,
    /// The format that its fields were read in.
    pub form: Form,
    /// Its line in the batch's bytes, without the newline.
    pub line: Span,
    /// Event time: its stage time, or the time of the event before it if it has none.
    pub time: Nanos,
    /// Its fields, as far as they were found.
    pub fields: Fields,
    /// Deepest nesting of objects and arrays in the line.
    pub depth: u32,
}

/// Consecutive events of one generation, together with the bytes they stand in.
#[derive(Debug)]
pub struct Batch {
    /// The generation that the events are in.
    pub generation: Fingerprint,
    /// Fingerprints under which the same bytes may have been delivered before the file was altered. Outputs use them to
    /// avoid duplicates.
    pub earlier: Vec<Fingerprint>,
    /// Decompressed offsets: the batch begins at `start`; `end` is one past its last newline.
    pub start: u64,
    /// One past the last newline, in decompressed bytes.
    pub end: u64,
    /// The bytes that the lines of the events stand in.
    pub bytes: Vec<u8>,
    /// The events, in order.
    pub events: Vec<Event>,
    /// What the transform did to the batch.
    pub passed: TransformStats,
}

impl Batch {
    /// The event at an index below `events.len()`, with its line.
    pub fn record(&self, index: usize) -> Record<'_> {
        let event = &self.events[index];
        Record { event, line: &self.bytes[event.line.range()] }
    }

    /// The identity of the event at an index.
    pub fn position(&self, index: usize) -> Position {
        let event = &self.events[index];
        let generation = match event.whole {
            // The batch of a heartbeat holds nothing else.
            RecordKind::Event | RecordKind::Torn | RecordKind::Heartbeat => self.generation,
            // Every gap has a fingerprint of its own, and a batch may hold several gaps.
            RecordKind::Gap => self.own_print(index).unwrap_or(self.generation),
        };
        Position { generation, offset: event.offset, whole: event.whole }
    }

    fn own_print(&self, index: usize) -> Option<Fingerprint> {
        let record = self.record(index);
        record.text(record.event.fields.audit_id)?.parse().ok()
    }

    /// The positions that the same event may have had before its file was altered.
    pub fn earlier_positions(&self, index: usize) -> impl Iterator<Item = Position> {
        let position = self.position(index);
        self.earlier
            .iter()
            .map(move |fingerprint| Position { generation: *fingerprint, ..position })
    }
}

/// An event with its line.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its line, without the newline.
    pub line: &'a [u8],
}

impl<'a> Record<'a> {
    /// The bytes of a field as written; `None` if it is absent.
    pub fn raw(&self, span: Span) -> Option<&'a [u8]> {
        if span.is_empty() { None } else { self.line.get(span.range()) }
    }

    /// The text of a field; `None` if it is absent. Escapes are undone, and broken UTF-8 is replaced.
    pub fn text(&self, span: Span) -> Option<Cow<'a, str>> {
        let raw = self.raw(span)?;
        Some(match self.event.form {
            Form::Legacy => json::unescape_go(raw),
            Form::Json | Form::Unreadable => json::unescape(raw),
        })
    }
}
