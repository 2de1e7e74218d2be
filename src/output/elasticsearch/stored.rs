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
pub(super) const LONG: usize = 1000;

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
    /// Its auditID and stage time, the latter empty where it is not stored.
    pub(super) fn key(&self) -> Option<(&str, &str)> {
        [&self.kubernetes.audit, &self.flat].into_iter().find_map(|stored| {
            Some((
                stored.audit_id.as_deref()?,
                stored.stage_timestamp.as_deref().unwrap_or_default(),
            ))
        })
    }

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

#[cfg(test)]
mod tests {
    use super::super::tests::batch;
    use super::*;

    const EVENT: &[u8] = br#"{"kind":"Event","auditID":"a","stage":"Panic","requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z"}"#;

    fn is(document: &str, event: &[u8]) -> bool {
        let source: Source = serde_json::from_str(document).unwrap();
        source.is(batch(&[event]).record(0))
    }

    #[test]
    fn an_event_is_recognised_in_every_layout_and_another_in_its_place_is_not_taken_for_it() {
        let event = std::str::from_utf8(EVENT).unwrap();
        let layouts =
            |event: &str| [event.to_owned(), format!(r#"{{"kubernetes":{{"audit":{event}}}}}"#)];
        assert!(layouts(event).iter().all(|document| is(document, EVENT)));
        for (from, to) in [
            ("\"a\"", "\"b\""),
            ("Panic", "ResponseComplete"),
            ("533537", "533538"),
            ("612771", "612772"),
        ] {
            let other = event.replace(from, to);
            assert!(!layouts(&other).iter().any(|document| is(document, EVENT)), "{other}");
        }
        assert!(!is("{}", EVENT) && !is("{}", b"{}") && !is(event, b"{}"));
    }

    #[test]
    fn what_the_safe_form_shortened_is_the_same_event() {
        let long = "x".repeat(1500);
        let event = format!(r#"{{"auditID":"{long}","stage":"Panic"}}"#);
        let short = format!(r#"{{"auditID":"{}","stage":"Panic"}}"#, &long[..1024]);
        assert!(is(&short, event.as_bytes()));
        assert!(!is(r#"{"auditID":"xx","stage":"Panic"}"#, event.as_bytes()));
    }
}
