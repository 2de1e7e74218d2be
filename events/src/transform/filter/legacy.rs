//! Turns a line of the legacy text format into the JSON event that the API server would have written, as far as the
//! line has the facts.

use serde_json::{Map, Value};

use crate::event::{Event, Record, Span, pieces};

/// Calls `see` with the line as JSON.
pub(super) fn as_json<T>(
    record: &Record<'_>,
    see: impl FnOnce(&Record<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let line = json(record);
    let mut found = None;
    pieces(&line, true, |piece| found = Some(piece));
    let Some(piece) = found else { return Err("the line cannot be read".into()) };
    let event = Event { form: piece.form, fields: piece.fields, line: piece.at, ..*record.event };
    see(&Record { event: &event, line: &line })
}

fn json(record: &Record<'_>) -> Vec<u8> {
    let f = &record.event.fields;
    let text = |span: Span| record.text(span).map(|text| Value::String(text.into_owned()));
    let mut event = Map::new();
    for (name, span) in [
        ("auditID", f.audit_id),
        ("stage", f.stage),
        ("requestURI", f.request_uri),
        ("verb", f.verb),
        ("userAgent", f.user_agent),
        ("requestReceivedTimestamp", f.received),
        ("stageTimestamp", f.stage_time),
    ] {
        event.extend(text(span).map(|value| (name.to_owned(), value)));
    }
    let user: Map<_, _> =
        text(f.username).map(|name| ("username".to_owned(), name)).into_iter().collect();
    event.insert("user".into(), Value::Object(user));
    event.extend(
        text(f.source_ips).map(|address| ("sourceIPs".into(), Value::Array(vec![address]))),
    );
    event.extend(text(f.namespace).map(|name| {
        ("objectRef".into(), Value::Object(Map::from_iter([("namespace".to_owned(), name)])))
    }));
    let code = record.text(f.code).and_then(|code| code.parse::<u32>().ok());
    event.extend(code.map(|code| {
        let status = Map::from_iter([("code".to_owned(), Value::from(code))]);
        ("responseStatus".into(), Value::Object(status))
    }));
    Value::Object(event).to_string().into_bytes()
}
