//! Helpers that the tests of this module share: a line goes in, the redacted line comes out.

use super::*;
use crate::event::{Event, Record, RecordKind, pieces};
use crate::transform::edit::Edits;

mod field;
mod hostile;
mod kinds;
mod leaks;
mod property;
mod rules;
mod useful;

pub(super) fn masking() -> Redaction {
    Redaction::new(Rules { key: Some(Key([7; 32])), ..Rules::default() }, Mode::Mask).unwrap()
}

/// The redacted pieces of a line, one after the other.
pub(super) fn leaves(redaction: &Redaction, line: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    pieces(line, true, |piece| {
        let event = Event {
            offset: 0,
            whole: piece.whole,
            form: piece.form,
            line: piece.at,
            time: 0,
            fields: piece.fields,
            depth: piece.depth,
        };
        assert_ne!(piece.whole, RecordKind::Gap);
        let record = Record { event: &event, line: &line[piece.at.range()] };
        let mut scratch = Scratch::default();
        let mut once = |out: &mut Vec<u8>| {
            let mut edits = Edits::default();
            redaction.edits(&record, &mut edits, &mut scratch);
            edits.apply(record.line, out);
        };
        once(&mut out);
        if record.line.len() > 100_000 {
            return;
        }
        // The buffers kept from event to event do not change the result.
        let mut again = Vec::new();
        once(&mut again);
        assert!(out.ends_with(&again));
    });
    out
}

pub(super) fn text(redaction: &Redaction, line: &str) -> String {
    String::from_utf8(leaves(redaction, line.as_bytes())).unwrap()
}

/// An event as the API server writes it, for a resource and with additional members.
pub(super) fn event(resource: &str, members: &str) -> String {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let sub = if subresource.is_empty() {
        String::new()
    } else {
        format!(r#","subresource":"{subresource}""#)
    };
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"15cd68e0-5d91-4011-a160-4f93a4b80180","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/ns/{resource}/x","verb":"create","user":{{"username":"admin","groups":["system:masters"]}},"sourceIPs":["127.0.0.1"],"userAgent":"kubectl/v1.34.4 (linux/amd64) kubernetes/f5c9a3b","objectRef":{{"resource":"{resource}","namespace":"ns","name":"x","apiVersion":"v1"{sub}}},"responseStatus":{{"metadata":{{}},"code":201}}{}{members},"requestReceivedTimestamp":"2026-11-21T06:27:41.546047Z","stageTimestamp":"2026-11-21T06:27:41.549259Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}}}"#,
        if members.is_empty() { "" } else { "," }
    )
}

/// Fails and shows the first place at which the two differ.
#[track_caller]
pub(super) fn same(what: &str, out: &str, line: &str) {
    let at = out.bytes().zip(line.bytes()).take_while(|(a, b)| a == b).count();
    let near = |text: &str| {
        let from = text.floor_char_boundary(at.saturating_sub(60));
        text[from..text.floor_char_boundary(at + 60)].to_owned()
    };
    assert!(out == line, "{what}\n{}\n{}", near(line), near(out));
}
