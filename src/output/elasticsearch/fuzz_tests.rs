//! Fuzz targets: the invariants of any answer of Elasticsearch, and of the document for any line.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::body::Body;
use super::document::DocumentFrame;
use super::verdict::Sent;
use super::{content_digest, lookup, scan, verdict};
use crate::config::{Compression, Layout, Target};
use crate::event::{Event, Record, pieces};
use crate::output::http::Response;
use crate::output::{Answer, Verdict};

/// The verdicts on up to four documents; the bits of `fallback` say how many there are and which are in safe form.
pub(in crate::output) fn answer(response: Response, fallback: u8) -> Answer {
    let sent: Vec<_> = (0..fallback % 5)
        .map(|bit| Sent { id: format!("a{bit}"), fallback: fallback >> 3 >> bit & 1 == 1 })
        .collect();
    let answer = verdict::judge(&response, &sent);
    let (status, body) = (response.status, response.body.clone());
    scan::fuzz(&body);
    lookup::fuzz(response);
    match &answer {
        Answer::Whole(verdict) => {
            assert!(
                !matches!(verdict, Verdict::Delivered | Verdict::Refuse { .. }),
                "each document has its own answer"
            );
            let own = matches!(
                verdict,
                Verdict::Split { own: true, .. } | Verdict::TooLarge { own: true, .. }
            );
            let says_why = serde_json::from_slice::<Value>(&body)
                .is_ok_and(|body| body["error"]["type"].is_string());
            let victoria = body.trim_ascii().is_empty()
                || body.trim_ascii_start().starts_with(b"cannot decode log message #");
            assert!(!own || says_why || victoria, "not the store's words: {verdict:?}");
        }
        Answer::Each(verdicts) => {
            assert!(status == 200 && verdicts.len() == sent.len());
            for (verdict, sent) in verdicts.iter().zip(&sent) {
                assert!(
                    sent.fallback || !matches!(verdict, Verdict::Refuse { .. }),
                    "not tried safely"
                );
            }
            slowly(&body, verdicts);
        }
    }
    answer
}

/// A document is delivered only if its own item says so, and refused only if its item says why.
fn slowly(body: &[u8], verdicts: &[Verdict]) {
    let Ok(slow) = serde_json::from_slice::<Value>(body) else { return };
    for (index, verdict) in verdicts.iter().enumerate() {
        let item = &slow["items"][index];
        let one = item.get("create");
        let Some(status) = one.and_then(|one| one["status"].as_u64()) else { continue };
        let aside = one.is_some_and(|one| one["failure_store"] == "used");
        let stored = (200..300).contains(&status) && !aside;
        assert_eq!(stored, *verdict == Verdict::Delivered, "{item}");
        if matches!(verdict, Verdict::Refuse { .. }) {
            assert!(aside || one.is_some_and(|one| one["error"]["type"].is_string()), "{item}");
        }
    }
}

/// Writes a line as a document in each layout and form: valid JSON if the line is, and always in safe form.
pub(in crate::output) fn documents(line: &[u8], ended: bool) {
    pieces(line, ended, |piece| {
        let event = Event {
            offset: 7,
            whole: piece.whole,
            form: piece.form,
            line: piece.at,
            time: piece.time.unwrap_or_default(),
            fields: piece.fields,
            depth: piece.depth,
        };
        let record = Record { event: &event, line: &line[piece.at.range()] };
        for layout in [Layout::Elastic, Layout::Flat] {
            document(record, layout, false);
            document(record, layout, true);
        }
    });
}

fn document(record: Record<'_>, layout: Layout, fallback: bool) {
    let target = Target::DataStream("logs-kubernetes.audit_logs-default".into());
    let frame = DocumentFrame::new(layout, &target, "n\"1", Some("c"), None);
    let mut body = Body::new(Compression::None, 0);
    let became_safe = frame.write(record, fallback, 0, &mut body);
    assert!(became_safe || !fallback);
    let Ok(document) = body.finish() else { return };
    assert!(!document.contains(&b'\n'), "a newline would end the document");
    let is_json = |bytes: &[u8]| {
        std::str::from_utf8(bytes)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    };
    let shown = || String::from_utf8_lossy(&document);
    assert!(is_json(&document) || !(became_safe || is_json(record.line)), "{}", shown());
    // The parser limits the depth of values.
    let Ok(value) = serde_json::from_slice::<Value>(&document) else { return };
    assert!(value["@timestamp"].is_string(), "{}", shown());
    content_digest::fuzz(layout, record, &document, became_safe);
    if became_safe {
        let original = value["event"]["original"].as_str().unwrap_or_default();
        assert_eq!(original, String::from_utf8_lossy(record.line));
        return;
    }
    // This parser keeps the last of duplicate names; a store refuses them, and then gets the safe form.
    if memchr::memmem::find_iter(record.line, b"\"annotations\"").count() > 1 {
        return;
    }
    let Ok(mut line) = serde_json::from_slice::<Value>(record.line) else { return };
    if layout == Layout::Elastic && underscored(&mut line) {
        assert_eq!(value["kubernetes"]["audit"], line, "{}", shown());
    }
}

/// Replaces the dots in annotation names by underscores; `false` if two names became equal.
fn underscored(line: &mut Value) -> bool {
    let Some(annotations) = line.get_mut("annotations").and_then(Value::as_object_mut) else {
        return true;
    };
    let before = std::mem::take(annotations);
    let count = before.len();
    annotations.extend(before.into_iter().map(|(name, value)| (name.replace('.', "_"), value)));
    annotations.len() == count
}
