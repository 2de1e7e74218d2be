//! Writes an event of the fields that can be read of a line: of a torn one, of one in the text format, or of one that a
//! strict parser does not take. The result is JSON, whatever the line holds.

use crate::event::{Form, Record, Span, rfc3339};
use crate::json::escaped;
use crate::transform::policy::with_target;

/// Longest text of a field, in bytes before it is escaped. With it, the longest event stays below what Falco takes.
const LONGEST: usize = 2048;
/// Most groups of a user.
const GROUPS: usize = 64;
/// Longest name of a group.
const GROUP: usize = 256;

/// The event.
pub(super) fn write(record: &Record<'_>) -> Vec<u8> {
    let fields = &record.event.fields;
    let text = |span| record.text(span).unwrap_or_default().into_owned();
    let mut out = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1""#.to_vec();
    for (name, span) in [
        ("level", fields.level),
        ("auditID", fields.audit_id),
        ("stage", fields.stage),
        ("requestURI", fields.request_uri),
        ("verb", fields.verb),
    ] {
        put(name, &text(span), &mut out);
    }
    object("user", &mut out, |out| {
        put("username", &text(fields.username), out);
        let mut groups = Vec::new();
        record.groups(|group| {
            if groups.len() < GROUPS {
                groups.push(quoted(&group, GROUP));
            }
        });
        list("groups", &groups, out);
    });
    object("impersonatedUser", &mut out, |out| {
        let name = record.member(fields.impersonated_user, "username");
        put("username", &name.unwrap_or_default(), out);
    });
    let address = record.source_ip().map(|address| quoted(&address, GROUP));
    list("sourceIPs", &address.into_iter().collect::<Vec<_>>(), &mut out);
    put("userAgent", &text(fields.user_agent), &mut out);
    object("objectRef", &mut out, |out| object_ref(record, out));
    if let Some(code) = number(record, fields.code) {
        out.extend_from_slice(
            format!(",\"responseStatus\":{{\"metadata\":{{}},\"code\":{code}}}").as_bytes(),
        );
    }
    for (name, span) in
        [("requestReceivedTimestamp", fields.received), ("stageTimestamp", fields.stage_time)]
    {
        if let Some(time) = record.raw(span).filter(|time| rfc3339(time).is_some()) {
            put(name, &String::from_utf8_lossy(time), &mut out);
        }
    }
    object("annotations", &mut out, |out| {
        for name in ["authorization.k8s.io/decision", "authorization.k8s.io/reason"] {
            put(name, &record.member(fields.annotations, name).unwrap_or_default(), out);
        }
    });
    out.push(b'}');
    out
}

/// The object that the request is for. The text format has only its namespace; the rest follows from the URI.
fn object_ref(record: &Record<'_>, out: &mut Vec<u8>) {
    let fields = &record.event.fields;
    if record.event.form == Form::Legacy {
        with_target(record, |target| {
            for (name, value) in [
                ("resource", &target.resource),
                ("namespace", &target.namespace),
                ("name", &target.name),
                ("apiGroup", &target.group),
                ("subresource", &target.subresource),
            ] {
                put(name, &String::from_utf8_lossy(value), out);
            }
        });
        return;
    }
    let text = |span| record.text(span).unwrap_or_default();
    put("resource", &text(fields.resource), out);
    put("namespace", &text(fields.namespace), out);
    put("name", &text(fields.name), out);
    put("apiGroup", &record.member(fields.object_ref, "apiGroup").unwrap_or_default(), out);
    put("subresource", &text(fields.subresource), out);
}

fn number(record: &Record<'_>, span: Span) -> Option<u16> {
    std::str::from_utf8(record.raw(span)?).ok()?.parse().ok()
}

fn quoted(text: &str, longest: usize) -> Vec<u8> {
    let text = &text[..text.floor_char_boundary(longest)];
    [b"\"", &*escaped(text), b"\""].concat()
}

/// A member, unless its text is empty.
fn put(name: &str, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        out.extend_from_slice(&quoted(text, LONGEST));
    }
}

fn list(name: &str, elements: &[Vec<u8>], out: &mut Vec<u8>) {
    if !elements.is_empty() {
        out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
        out.extend_from_slice(&elements.join(&b","[..]));
        out.push(b']');
    }
}

/// A member that is an object. `fill` begins each member with a comma.
fn object(name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inside = Vec::new();
    fill(&mut inside);
    out.extend_from_slice(format!(",\"{name}\":{{").as_bytes());
    out.extend_from_slice(inside.strip_prefix(b",").unwrap_or_default());
    out.push(b'}');
}
