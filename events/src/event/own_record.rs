//! The common parts of the agent's own records: gaps and heartbeats. The agent sends them like events. The API
//! server never writes such a line: its `apiVersion` is `auditrail/v1`, and its `kind` is that of the record.

use serde::Serialize;

use super::time::time_text;
use super::{Batch, Event, Fingerprint, Nanos, RecordKind, Span, TransformStats, pieces};

/// The names of the log and of the output that a record is about.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RecordNames<'a> {
    /// The node's name.
    pub node: &'a str,
    /// The cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<&'a str>,
    /// The input's name.
    pub input: &'a str,
    /// The output's name.
    pub output: &'a str,
}

/// The line of a record. `auditID`, `stage` and the time stamps have the names that every output looks for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnLine<'a, D> {
    kind: &'static str,
    api_version: &'static str,
    #[serde(rename = "auditID")]
    audit_id: Fingerprint,
    stage: &'static str,
    request_received_timestamp: &'a str,
    stage_timestamp: &'a str,
    message: &'a str,
    #[serde(flatten)]
    details: D,
}

/// A time to the microsecond, as the API server writes time stamps.
pub(super) fn to_microsecond(time: Nanos) -> Nanos {
    time - time.rem_euclid(1000)
}

/// The line of a record that is made at `now`; `message` is for people, and `details` has one member with the rest.
///
/// # Errors
/// If `details` cannot be written as JSON.
pub(super) fn own_line(
    kind: &'static str,
    audit_id: Fingerprint,
    now: Nanos,
    message: &str,
    details: impl Serialize,
) -> serde_json::Result<String> {
    let stamp = &time_text(now);
    serde_json::to_string(&OwnLine {
        kind,
        api_version: "auditrail/v1",
        audit_id,
        stage: kind,
        request_received_timestamp: stamp,
        stage_timestamp: stamp,
        message,
        details,
    })
}

/// A batch with one event for each record. A record is its line, and the offset of its position.
pub(super) fn own_batch<'a>(
    generation: Fingerprint,
    kind: RecordKind,
    records: impl IntoIterator<Item = (&'a str, u64)>,
) -> Batch {
    let mut batch = Batch {
        generation,
        start: 0,
        end: 0,
        bytes: Vec::new(),
        events: Vec::new(),
        passed: TransformStats::default(),
        earlier: Vec::new(),
    };
    for (text, offset) in records {
        let at = batch.bytes.len();
        batch.bytes.extend_from_slice(text.as_bytes());
        let line = Span::new(at, batch.bytes.len());
        batch.bytes.push(b'\n');
        pieces(text.as_bytes(), true, |piece| {
            batch.events.push(Event {
                offset,
                whole: kind,
                form: piece.form,
                line,
                time: piece.time.unwrap_or_default(),
                fields: piece.fields,
                depth: piece.depth,
            });
        });
    }
    batch
}
