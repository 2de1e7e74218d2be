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

    /// Whether it is that event.
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
        // Of the two layouts, one is empty.
        match (of(&self.flat), of(&self.kubernetes.audit)) {
            (Same::Yes, _) | (_, Same::Yes) => Same::Yes,
            (Same::No, _) | (_, Same::No) => Same::No,
            (Same::Undecided, Same::Undecided) => Same::Undecided,
        }
    }

    /// As [`Source::is`], for documents that were searched by their auditID: what is not stored counts as the same. One
    /// without any of the fields is never said to be the event: it is sent again.
    pub(super) fn may_be(&self, record: Record<'_>) -> bool {
        let fields = &record.event.fields;
        [&self.flat, &self.kubernetes.audit].iter().any(|stored| {
            let parts = [
                (&stored.audit_id, fields.audit_id),
                (&stored.stage, fields.stage),
                (&stored.request_received_timestamp, fields.received),
                (&stored.stage_timestamp, fields.stage_time),
            ];
            let known = parts.iter().filter(|(stored, _)| stored.is_some());
            let mut same = known.map(|(stored, span)| matches(stored.as_deref(), record, *span));
            let first = same.next();
            first == Some(Same::Yes) && same.all(|same| same == Same::Yes)
        })
    }
}

/// Whether a stored document is an event, as far as four of its fields tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Same {
    Yes,
    No,
    /// Not all four are in both: time stamps that are none, or of older versions under other names, are not stored, and the
    /// remains of an event have those of another.
    Undecided,
}

/// Whether a field is stored as the event has it.
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
        let source: Source = serde_json::from_str(document).unwrap();
        let batch = batch(&[event]);
        let same = source.is(batch.record(0));
        assert!(same != Same::Yes || source.may_be(batch.record(0)));
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
        let dated = r#"{"auditID":"a","stage":"Panic"}"#;
        let source: Source = serde_json::from_str(dated).unwrap();
        assert!(source.may_be(batch(&[EVENT]).record(0)));
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
            let source: Source = serde_json::from_str(document).unwrap();
            source.is(batch(&[event.as_bytes()]).record(0))
        };
        // A client of the API server may choose its auditID.
        for document in ["{}", r#"{"auditID":"a"}"#, r#"{"auditID":"a","stage":"Panic"}"#] {
            assert_eq!(same(document), Same::Undecided, "{document}");
        }
        assert_eq!(same(r#"{"auditID":"b"}"#), Same::No);
    }
}
