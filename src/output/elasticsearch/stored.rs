//! Whether a stored document is a certain event, by the four identifying fields that exist in every form and layout.

use serde::Deserialize;

use crate::event::{Record, Span};

/// The fields of a document that a search asks for.
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
/// The safe form holds only the beginning of a longer string, in bytes.
const LONG: usize = 1000;

/// The requested part of a document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StoredSource {
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

impl StoredSource {
    /// Whether the document is that event.
    pub(super) fn is(&self, record: Record<'_>) -> Same {
        let fields = &record.event.fields;
        let of = |stored: &Envelope| {
            let parts = [
                (&stored.audit_id, fields.audit_id),
                (&stored.stage, fields.stage),
                (&stored.request_received_timestamp, fields.received),
                (&stored.stage_timestamp, fields.stage_time),
            ];
            let same = parts.map(|(stored, span)| matches(stored.as_deref(), record, span));
            if same.contains(&Same::No) {
                Same::No
            } else if same.contains(&Same::Undecided) {
                Same::Undecided
            } else {
                Same::Yes
            }
        };
        // One of the two layouts is empty.
        match (of(&self.flat), of(&self.kubernetes.audit)) {
            (Same::Yes, _) | (_, Same::Yes) => Same::Yes,
            (Same::No, _) | (_, Same::No) => Same::No,
            (Same::Undecided, Same::Undecided) => Same::Undecided,
        }
    }
}

/// Whether a stored document is an event, as far as the four fields show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Same {
    Yes,
    No,
    /// Some field is missing. Invalid timestamps, and those with other names in older versions, are not stored, and the
    /// rest of a torn line has the fields of another event.
    Undecided,
}

/// Whether a field is stored with the value that the event has.
fn matches(stored: Option<&str>, record: Record<'_>, span: Span) -> Same {
    match (stored, record.text(span)) {
        (None, _) => Same::Undecided,
        (Some(_), None) => Same::No,
        (Some(stored), Some(text)) if stored == text => Same::Yes,
        (Some(stored), Some(text)) if stored.len() >= LONG && text.starts_with(stored) => Same::Yes,
        _ => Same::No,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::batch;
    use super::*;

    const EVENT: &[u8] = br#"{"kind":"Event","auditID":"a","stage":"Panic","requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z"}"#;

    fn is(document: &str, event: &[u8]) -> bool {
        let source: StoredSource = serde_json::from_str(document).unwrap();
        let batch = batch(&[event]);
        let same = source.is(batch.record(0));
        same == Same::Yes
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
        let event = std::str::from_utf8(EVENT).unwrap();
        let of = |id: &str| event.replace("\"a\"", &format!("\"{id}\""));
        assert!(is(&of(&long[..1024]), of(&long).as_bytes()));
        assert!(!is(&of("xx"), of(&long).as_bytes()));
    }

    #[test]
    fn what_has_not_all_that_tells_events_apart_is_not_taken_for_one() {
        let event = std::str::from_utf8(EVENT).unwrap();
        let same = |document: &str| {
            let source: StoredSource = serde_json::from_str(document).unwrap();
            source.is(batch(&[event.as_bytes()]).record(0))
        };
        // A client of the API server may choose its auditID.
        for document in ["{}", r#"{"auditID":"a"}"#, r#"{"auditID":"a","stage":"Panic"}"#] {
            assert_eq!(same(document), Same::Undecided, "{document}");
        }
        assert_eq!(same(r#"{"auditID":"b"}"#), Same::No);
    }
}
