//! Completes events for an output that takes whole events only and refuses none: Falco answers 200, and then drops a
//! body that its parser does not take, and every event without a time. So no such event may leave the node.
//!
//! - An event without a `stageTimestamp` that Go reads, or without an `auditID`, gets them (older versions of the API,
//!   edited logs).
//! - If the parser would not take an event (nested too deeply, or no JSON inside a body), its bodies are cut.
//! - Of a torn line and of the text format, an event is made of the fields that can be read.
//! - A line without any field of an event is left out.
//!
//! An annotation says what was made and what was cut. The same line always becomes the same bytes.
//! Not promised: that the made `auditID` is that of the request.

use super::edit::Edits;
use super::shrink::place_of_annotation;
use super::step::{EventWork, TransformAction, TransformStep};
use crate::event::{Event, Fields, Form, Key, Nanos, Record, pieces, rfc3339, time_text};
use crate::json::{is_strict, skip, string, visit_members};
use crate::transform::response_name;

mod envelope;
#[cfg(test)]
mod tests;

/// Deepest nesting of an event. Falco's parser (fastjson) takes 300 levels, and counts the list around the event and
/// the innermost value.
pub(super) const DEEPEST: usize = 256;

/// Says what was made or cut; search for this name to find such events.
const NOTE: &str = "auditrail.io/completed";

/// The step that completes events.
pub struct Completing {
    /// Key for made ids, so that nobody can choose a line that gets a certain id.
    pub key: Key,
}

impl TransformStep for Completing {
    const ACTIONS: &'static [TransformAction] = &[
        TransformAction::new(Some("completed"), "completed"),
        TransformAction::new(Some("no_event"), "left out, no event"),
    ];

    fn keeps(&self, work: &mut EventWork<'_>) -> bool {
        let fields = &work.record.event.fields;
        let any = [fields.audit_id, fields.stage, fields.verb, fields.request_uri, fields.username]
            .iter()
            .any(|span| !span.is_empty());
        if !any {
            work.did(1);
        }
        any
    }

    fn finish(&self, work: &mut EventWork<'_>) {
        let line = if work.is_changed { &work.changed[work.begin..] } else { work.record.line };
        let Some(completed) = self.completed(line, work.record) else { return };
        work.changed.truncate(work.begin);
        work.changed.extend_from_slice(&completed);
        work.is_changed = true;
        work.done.parse_again = true;
        work.did(0);
    }
}

impl Completing {
    /// The complete form of a line; `None` if it is complete. `original` is the event as it stands in the file.
    fn completed(&self, line: &[u8], original: &Record<'_>) -> Option<Vec<u8>> {
        let Some(members) = EventMembers::of(line) else {
            return Some(self.envelope(line, original, "line"));
        };
        if is_strict(line, DEEPEST) {
            return (!members.are_complete())
                .then(|| self.with_members(line, &members, original, ""));
        }
        for (bodies, cut) in [(1, "responseObject"), (2, "responseObject,requestObject")] {
            let without = without_bodies(line, bodies);
            if is_strict(&without, DEEPEST)
                && let Some(members) = EventMembers::of(&without)
            {
                return Some(self.with_members(&without, &members, original, cut));
            }
        }
        Some(self.envelope(line, original, "line"))
    }

    /// An event of the fields that can be read of a line.
    fn envelope(&self, line: &[u8], original: &Record<'_>, cut: &str) -> Vec<u8> {
        let ended = original.event.form != Form::Unreadable;
        let mut found = (Form::Unreadable, Fields::default());
        let mut first = true;
        pieces(line, ended, |piece| {
            if std::mem::take(&mut first) && piece.at.start == 0 {
                found = (piece.form, piece.fields);
            }
        });
        let (form, fields) = found;
        let event = Event { form, fields, ..*original.event };
        let made = envelope::write(&Record { event: &event, line });
        let members = EventMembers::of(&made).unwrap_or_default();
        self.with_members(&made, &members, original, cut)
    }

    /// The event with the members that it lacks, and the note. `cut`: the parts that were cut, or nothing.
    fn with_members(
        &self,
        line: &[u8],
        members: &EventMembers,
        original: &Record<'_>,
        cut: &str,
    ) -> Vec<u8> {
        let (mut edits, mut made) = (Edits::default(), Vec::new());
        let (mut time, mut id) = (String::new(), String::new());
        if !members.has_time {
            if let Some(at) = &members.time {
                edits.remove_member(at.clone());
            }
            time = format!("\"stageTimestamp\":\"{}\",", time_of(original.event.time));
            made.push("stageTimestamp");
        }
        if !members.has_id {
            id = format!("\"auditID\":\"{}\",", self.id(original));
            made.push("auditID");
        }
        let mut out = Vec::with_capacity(line.len() + 256);
        edits.apply(line, &mut out);
        let mut note = Vec::new();
        for (what, parts) in [("made", made.join(",")), ("cut", cut.to_owned())] {
            if !parts.is_empty() {
                note.push(format!("{what}={parts}"));
            }
        }
        let member = format!(r#""{NOTE}":"{}""#, note.join(" "));
        let (at, text) = place_of_annotation(&out, &member);
        out.splice(at..at, text.into_bytes());
        let inside = 1 + out.iter().position(|byte| *byte == b'{').unwrap_or_default();
        out.splice(inside..inside, time.bytes().chain(id.bytes()));
        out
    }

    fn id(&self, original: &Record<'_>) -> String {
        format!("auditrail-{}-{:x}", self.key.hash(original.line), original.event.offset)
    }
}

/// Go reads years of four digits only.
fn time_of(time: Nanos) -> String {
    time_text(time.max(0))
}

/// The members of an event that Falco needs.
#[derive(Debug, Default)]
struct EventMembers {
    /// Where the first `stageTimestamp` is, from the quote before its key.
    time: Option<std::ops::Range<usize>>,
    /// It is a time that Go's parser reads.
    has_time: bool,
    has_id: bool,
}

impl EventMembers {
    /// `None` if the line is not one whole object. Falco's parser compares keys as they are written, and unescapes
    /// them only if it finds none.
    fn of(line: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        let end = visit_members(line, 0, |member| {
            let end = skip(line, member.value)?;
            match member.key {
                b"stageTimestamp" if found.time.is_none() => {
                    found.time = Some(member.at..end);
                    found.has_time =
                        string(line, member.value).is_some_and(|inside| is_go_time(&line[inside]));
                }
                b"auditID" => found.has_id = true,
                _ => {}
            }
            Some(end)
        })?;
        line[end..].iter().all(u8::is_ascii_whitespace).then_some(found)
    }

    fn are_complete(&self) -> bool {
        self.has_time && self.has_id
    }
}

/// Whether Go's `time.Parse` takes it as RFC 3339: `2006-01-02T15:04:05`, a fraction if there is one, `Z` or an offset.
fn is_go_time(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let Some((head, rest)) = text.split_at_checked(19) else { return false };
    let [y @ .., b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, b':', s0, s1] = head else {
        return false;
    };
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if length == 0 || length > 9 {
                return false;
            }
            &fraction[length..]
        }
        None => rest,
    };
    let zone = match rest {
        b"Z" => true,
        [b'+' | b'-', hours @ .., b':', m0, m1] => {
            hours.len() == 2 && digits(hours) && hours < b"24" && digits(&[*m0, *m1]) && *m0 < b'6'
        }
        _ => false,
    };
    zone && digits(y) && [*s0, *s1] < *b"60" && rfc3339(text).is_some()
}

/// The line without its response body, apart from the name in it, and with `bodies` of 2 without its request body too.
fn without_bodies(line: &[u8], bodies: usize) -> Vec<u8> {
    let mut edits = Edits::default();
    visit_members(line, 0, |member| {
        let end = skip(line, member.value)?;
        if member.is("responseObject") {
            match response_name::rest(line, member.value) {
                Some(rest) => edits.replace(member.value..end, &rest),
                None => edits.remove_member(member.at..end),
            }
        } else if bodies > 1 && member.is("requestObject") {
            edits.remove_member(member.at..end);
        }
        Some(end)
    });
    let mut out = Vec::with_capacity(line.len());
    edits.apply(line, &mut out);
    out
}
