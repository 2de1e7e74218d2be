//! Whether a stored document is a certain event: by what tells one event from another in every form and layout.

use serde::Deserialize;

use crate::event::{Record, Span};

/// What is asked for of a document.
pub(super) const FIELDS: [&str; 8] = [
    "auditID",
    "stage",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "kubernetes.audit.auditID",
    "kubernetes.audit.stage",
    "kubernetes.audit.requestReceivedTimestamp",
    "kubernetes.audit.stageTimestamp",
];
/// Of a longer string the safe form holds only the beginning.
const LONG: usize = 1000;

/// The part of a document that was asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    #[serde(flatten)]
    flat: Envelope,
    kubernetes: Kubernetes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kubernetes {
    audit: Envelope,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Envelope {
    #[serde(rename = "auditID")]
    audit_id: Option<String>,
    stage: Option<String>,
    request_received_timestamp: Option<String>,
    stage_timestamp: Option<String>,
}

impl Source {
    /// Whether it is that event. One without any of the fields is never said to be: it is sent again.
    pub(super) fn is(&self, record: Record<'_>) -> bool {
        let fields = &record.event.fields;
        [&self.flat, &self.kubernetes.audit].iter().any(|stored| {
            let parts = [
                (&stored.audit_id, fields.audit_id),
                (&stored.stage, fields.stage),
                (&stored.request_received_timestamp, fields.received),
                (&stored.stage_timestamp, fields.stage_time),
            ];
            let same = |(stored, span): &(&Option<String>, Span)| {
                matches(stored.as_deref(), record, *span)
            };
            parts.iter().all(same) && parts.iter().any(|(stored, _)| stored.is_some())
        })
    }
}

/// Whether a field is stored as the event has it. Time stamps that are none, or of older versions under other names,
/// are not stored.
fn matches(stored: Option<&str>, record: Record<'_>, span: Span) -> bool {
    match (stored, record.text(span)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(stored), Some(text)) => {
            stored == text || (stored.len() >= LONG && text.starts_with(stored))
        }
    }
}
