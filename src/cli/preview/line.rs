//! An event in one line, for people: when, who, what, and with which result.

use std::borrow::Cow;

use crate::event::{Nanos, Record, rfc3339};
use crate::telemetry::{Time, human};

/// Widths of the columns. A longer text moves the columns after it.
const WHO: usize = 32;
const VERB: usize = 7;
const OBJECT: usize = 48;
/// Most characters of one text.
const LONGEST: usize = 160;

/// The line of an event, without control characters.
pub(in crate::cli) fn of(record: &Record<'_>) -> String {
    let time = Time::from_nanos(time(record));
    if !record.is_event() {
        return format!("{time:.3}  no event: {} bytes", record.line.len());
    }
    let fields = &record.event.fields;
    let verb = shown(record.text(fields.verb));
    let (who, object, result) = (who(record), object(record), result(record));
    let text = format!("{time:.3}  {who:WHO$}  {verb:VERB$}  {object:OBJECT$}  {result}");
    text.trim_end().to_owned()
}

/// When the API server received the request, or else the event time.
fn time(record: &Record<'_>) -> Nanos {
    let received = record.raw(record.event.fields.received).and_then(rfc3339);
    received.unwrap_or(record.event.time)
}

fn shown(text: Option<Cow<'_, str>>) -> String {
    human::line(&text.unwrap_or_default(), LONGEST)
}

/// `alice`, or `alice as system:admin` if she impersonates.
fn who(record: &Record<'_>) -> String {
    let fields = &record.event.fields;
    let user = shown(record.text(fields.username));
    match record.member(fields.impersonated_user, "username") {
        Some(other) => format!("{user} as {}", shown(Some(other))),
        None => user,
    }
}

/// `pods/exec shop/web-1` and the like; the path where there is no object.
fn object(record: &Record<'_>) -> String {
    let fields = &record.event.fields;
    let text = |at| record.text(at).filter(|text| !text.is_empty());
    let Some(resource) = text(fields.resource) else {
        let uri = text(fields.request_uri).unwrap_or_default();
        let path = uri.split('?').next().unwrap_or_default();
        return shown(Some(path.into()));
    };
    let mut object = resource.into_owned();
    if let Some(subresource) = text(fields.subresource) {
        object = format!("{object}/{subresource}");
    }
    match (text(fields.namespace), text(fields.name)) {
        (Some(namespace), Some(name)) => object = format!("{object} {namespace}/{name}"),
        (Some(namespace), None) => object = format!("{object} {namespace}/"),
        (None, Some(name)) => object = format!("{object} {name}"),
        (None, None) => {}
    }
    shown(Some(object.into()))
}

/// The code of the answer; its reason if the request failed; the stage if it is not the last one.
fn result(record: &Record<'_>) -> String {
    let fields = &record.event.fields;
    let mut result = shown(record.text(fields.code));
    if result.starts_with(['4', '5'])
        && let Some(reason) = record.member(fields.response_status, "reason")
    {
        result = format!("{result} {}", shown(Some(reason)));
    }
    match record.text(fields.stage) {
        Some(stage) if stage != "ResponseComplete" => {
            format!("{result} {}", shown(Some(stage))).trim_start().to_owned()
        }
        _ => result,
    }
}
