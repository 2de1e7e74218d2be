//! Redacts one line: as an event in JSON or in the text format, or whole, if it cannot be parsed.

use super::extract::is_extract;
use super::{Redaction, Scratch};
use crate::event::{Form, Record};
use crate::transform::edit::Edits;

impl Redaction {
    /// Adds the replacements for one line to `edits`; their places refer to the line as it was written. A line that
    /// cannot be parsed is replaced whole by its extract.
    pub fn edits(&self, record: &Record<'_>, edits: &mut Edits, scratch: &mut Scratch) {
        let read = match record.event.form {
            Form::Json if !is_event(record) => None,
            Form::Json => self.envelope(record, edits, scratch),
            Form::Legacy => self.legacy(record, edits),
            Form::Unreadable => None,
        };
        if read.is_none() {
            let mut extract = Vec::new();
            self.fields(record, &mut extract);
            edits.replace(0..record.line.len(), &extract);
        }
    }
}

/// Whether a JSON object has at least one field of an event, or is an extract of one. Anything that wraps events (a
/// container's log, a list) could hold secrets in any place.
fn is_event(record: &Record<'_>) -> bool {
    let fields = &record.event.fields;
    let own = [fields.audit_id, fields.stage, fields.verb, fields.request_uri];
    own.iter().any(|at| !at.is_empty()) || is_extract(record.line)
}
