//! The safe form (fallback) of a document, which no store refuses for the shape of a body: the fields of the envelope,
//! repaired and shortened, and the whole line as one string. So nobody can hide an event by sending an odd body.

use std::borrow::Cow;
use std::net::IpAddr;

use super::addresses::Addresses;
use super::body::Body;
use super::facts::{Facts, outcome};
use crate::event::{Record, RecordKind, Span, rfc3339};
use crate::json::{elements, escaped, members};

/// Longest string in bytes. Elasticsearch refuses keywords over 32,766 bytes, and Elastic's mappings (ours too) do not
/// index keywords over 1,024 characters. The whole line still contains the rest.
const LONGEST: usize = 1024;
/// Most groups of a user that are written.
const GROUPS: usize = 64;

/// The common names of [`Facts`], with repaired and shortened values.
pub(super) fn facts(record: Record<'_>) -> Facts<'_> {
    let fields = &record.event.fields;
    let clean = |span| Cow::Owned(field(record, span));
    Facts {
        api_version: Cow::default(),
        verb: clean(fields.verb),
        outcome: outcome(record),
        username: clean(fields.username),
        uid: Cow::Owned(inner(record, fields.user, "uid")),
        user_agent: clean(fields.user_agent),
        addresses: Addresses::of(record),
        resource: clean(fields.resource),
        namespace: clean(fields.namespace),
        name: clean(fields.name),
    }
}

/// A field of the event as the inside of a JSON string.
fn field(record: Record<'_>, span: Span) -> Vec<u8> {
    record.text(span).map(|text| short(&text)).unwrap_or_default()
}

/// The same for a string member of an object field.
fn inner(record: Record<'_>, object: Span, name: &str) -> Vec<u8> {
    record.member(object, name).map(|text| short(&text)).unwrap_or_default()
}

fn short(text: &str) -> Vec<u8> {
    escaped(&text[..text.floor_char_boundary(LONGEST)])
}

/// The members of an event object without its bodies: never empty, and valid JSON whatever the line was.
pub(super) fn envelope(record: Record<'_>, out: &mut Body) {
    let fields = &record.event.fields;
    out.put(match record.event.whole {
        RecordKind::Event | RecordKind::Torn => b"\"kind\":\"Event\"".as_slice(),
        RecordKind::Gap => b"\"kind\":\"Gap\"",
        RecordKind::Heartbeat => b"\"kind\":\"Heartbeat\"",
    });
    let strings: [(&[u8], Span); 6] = [
        (b"level", fields.level),
        (b"auditID", fields.audit_id),
        (b"stage", fields.stage),
        (b"requestURI", fields.request_uri),
        (b"verb", fields.verb),
        (b"userAgent", fields.user_agent),
    ];
    for (name, span) in strings {
        put_string(name, &field(record, span), out);
    }
    for (name, span) in [
        (&b"requestReceivedTimestamp"[..], fields.received),
        (b"stageTimestamp", fields.stage_time),
    ] {
        // The store would refuse an invalid timestamp.
        if let Some(time) = record.raw(span).filter(|time| rfc3339(time).is_some()) {
            put_string(name, time, out);
        }
    }
    // Only this address, as earlier versions wrote it: their documents are compared with what would be sent now.
    if let Some(ip) = record.source_ip().and_then(|ip| ip.parse::<IpAddr>().ok()) {
        put_list(b"sourceIPs", &[ip.to_string().into_bytes()], out);
    }
    put_object(b"user", out, |out| {
        put_string(b"username", &field(record, fields.username), out);
        person(record, fields.user, out);
    });
    put_object(b"impersonatedUser", out, |out| {
        let user = fields.impersonated_user;
        put_string(b"username", &inner(record, user, "username"), out);
        person(record, user, out);
    });
    put_object(b"objectRef", out, |out| {
        for (name, span) in [
            (&b"resource"[..], fields.resource),
            (b"subresource", fields.subresource),
            (b"namespace", fields.namespace),
            (b"name", fields.name),
        ] {
            put_string(name, &field(record, span), out);
        }
    });
    let code = record.raw(fields.code).and_then(|code| std::str::from_utf8(code).ok());
    // An HTTP code: three digits fit every mapping.
    if let Some(code) = code.and_then(|code| code.parse::<u16>().ok()) {
        out.put(format!(",\"responseStatus\":{{\"code\":{code}}}").as_bytes());
    }
}

/// The members of a user beside its name. The API server wrote them, but a client may have chosen their values.
fn person(record: Record<'_>, user: Span, out: &mut Body) {
    if user.is_empty() {
        return;
    }
    let line = &record.line[..user.end as usize];
    members(line, user.start as usize, |name, value| match name {
        b"uid" if value.string => put_string(b"uid", &field(record, value.at), out),
        b"groups" => {
            let (mut groups, mut left) = (Vec::new(), GROUPS);
            elements(line, value.at.start as usize, |group| {
                if left > 0 && group.string {
                    groups.push(field(record, group.at));
                }
                left = left.saturating_sub(1);
            });
            put_list(b"groups", &groups, out);
        }
        _ => {}
    });
}

/// Writes a member that is an object; leaves it out if it is empty. `fill` begins every member with a comma, and the
/// first comma is removed.
fn put_object(name: &[u8], out: &mut Body, fill: impl FnOnce(&mut Body)) {
    let mut inside = Body::new(crate::config::Compression::None, 256);
    fill(&mut inside);
    if let Ok(inside) = inside.finish()
        && let Some(inside) = inside.strip_prefix(b",")
    {
        for piece in [b",\"", name, b"\":{", inside, b"}"] {
            out.put(piece);
        }
    }
}

fn put_string(name: &[u8], value: &[u8], out: &mut Body) {
    if !value.is_empty() {
        for piece in [b",\"", name, b"\":\"", value, b"\""] {
            out.put(piece);
        }
    }
}

fn put_list(name: &[u8], values: &[Vec<u8>], out: &mut Body) {
    if !values.is_empty() {
        for piece in [b",\"", name, b"\":[\"", &*values.join(&b"\",\""[..]), b"\"]"] {
            out.put(piece);
        }
    }
}
