//! The safe form (fallback) of a document, which no store refuses for the shape of a body: the fields of the envelope,
//! repaired and shortened, and the whole line as one string. So nobody can hide an event by sending an odd body.

use std::borrow::Cow;
use std::net::IpAddr;

use super::addresses::Addresses;
use super::body::Body;
use super::document::{Facts, member, offset_in, outcome};
use super::json::{escape, escaped, members, string};
use crate::event::{Record, RecordKind, Span, rfc3339};

/// Longest string in bytes. Elasticsearch refuses keywords over 32,766 bytes, and Elastic's mappings (ours too) do not
/// index keywords over 1,024 characters. The whole line still contains the rest.
const LONGEST: usize = 1024;
/// Most groups of a user that are written.
const GROUPS: usize = 64;

/// The common names of [`Facts`], with repaired and shortened values.
pub(super) fn facts(record: Record<'_>) -> Facts<'_> {
    let fields = &record.event.fields;
    let clean = |span| Cow::Owned(field(record, span));
    let uid = record.raw(fields.user).and_then(|user| member(user, b"uid"));
    Facts {
        api_version: Cow::default(),
        verb: clean(fields.verb),
        outcome: outcome(record),
        username: clean(fields.username),
        uid: Cow::Owned(uid.map(|uid| inner(record, uid)).unwrap_or_default()),
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

/// The same for a slice of the line.
fn inner(record: Record<'_>, slice: &[u8]) -> Vec<u8> {
    let start = offset_in(record.line, slice);
    let place = u32::try_from(start).ok().zip(u32::try_from(start + slice.len()).ok());
    place.map(|(start, end)| field(record, Span { start, end })).unwrap_or_default()
}

fn short(text: &str) -> Vec<u8> {
    escaped(&text[..text.floor_char_boundary(LONGEST)])
}

/// The members of an event object without its bodies: never empty, and valid JSON whatever the line was.
pub(super) fn envelope(record: Record<'_>, out: &mut Body) {
    let fields = &record.event.fields;
    let is_gap = record.event.whole == RecordKind::Gap;
    out.put(if is_gap { b"\"kind\":\"Gap\"" } else { b"\"kind\":\"Event\"" });
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
        person(record, record.raw(fields.user), out);
    });
    put_object(b"impersonatedUser", out, |out| {
        let user = record.raw(fields.impersonated_user);
        let name = user.and_then(|user| member(user, b"username"));
        put_string(b"username", &name.map(|name| inner(record, name)).unwrap_or_default(), out);
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
fn person(record: Record<'_>, user: Option<&[u8]>, out: &mut Body) {
    for (name, value) in members(user.unwrap_or_default()) {
        match name {
            b"uid" => put_string(
                b"uid",
                &string(value).map(|uid| inner(record, uid)).unwrap_or_default(),
                out,
            ),
            b"groups" => {
                let groups: Vec<_> = members(value)
                    .take(GROUPS)
                    .filter_map(|(_, group)| string(group).map(|group| inner(record, group)))
                    .collect();
                put_list(b"groups", &groups, out);
            }
            _ => (),
        }
    }
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

/// The whole line as the inside of a JSON string; invalid UTF-8 becomes U+FFFD.
pub(super) fn original(line: &[u8], out: &mut Body) {
    for chunk in line.utf8_chunks() {
        escape(chunk.valid(), &mut |piece| out.put(piece));
        if !chunk.invalid().is_empty() {
            out.put("\u{fffd}".as_bytes());
        }
    }
}
