//! The part of a document that is compared: the event in it, as the agent would write it now.
//!
//! In Elastic's layout that is `kubernetes.audit`, in the flat layout the members that an audit event has; in safe form
//! also the whole line in `event.original`. Other fields are ignored, since an ingest pipeline may have added them. The
//! order of members, the escapes in strings and the spelling of fractions carry no meaning, so they make no difference.

use std::borrow::Cow;

use super::body::Body;
use super::document::{presentable, splice};
use super::{facts, fallback};
use crate::config::{Compression, Layout};
use crate::event::Record;
use crate::json::{self, blank, inside, member, skip, string_end, visit_members};
use crate::output::identity::{repaired, shortened};
use crate::output::{Digest, EventIdentity};

/// All members that an event can have: those of every version of `audit.k8s.io`, those of a gap, and those of the
/// record that replaces a line without an event.
const EVENT: [&[u8]; 24] = [
    b"kind",
    b"apiVersion",
    b"metadata",
    b"level",
    b"timestamp",
    b"auditID",
    b"stage",
    b"requestURI",
    b"verb",
    b"user",
    b"impersonatedUser",
    b"authenticationMetadata",
    b"sourceIPs",
    b"userAgent",
    b"objectRef",
    b"responseStatus",
    b"requestObject",
    b"responseObject",
    b"requestReceivedTimestamp",
    b"stageTimestamp",
    b"annotations",
    b"gap",
    b"bytes",
    b"hash",
];

/// The parts of a stored document.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// The object that contains the event's members.
    audit: &'a [u8],
    original: Option<Cow<'a, str>>,
    /// The node that sent it.
    pub(super) node: Option<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    /// Splits a document of either layout.
    pub(super) fn of(document: &'a [u8]) -> Self {
        let mut parts = Parts { audit: document, ..Parts::default() };
        each_member(document, |name, value| match name {
            b"kubernetes" => {
                if let Some(audit) = member(value, b"audit") {
                    parts.audit = audit;
                }
            }
            b"event" => parts.original = facts::member(value, b"original").map(json::unescape),
            b"host" => parts.node = facts::member(value, b"name").map(json::unescape),
            b"node" => parts.node = inside(value).map(json::unescape).or(parts.node.take()),
            _ => {}
        });
        parts
    }

    /// The line that identifies the event.
    pub(super) fn line(&self) -> Cow<'_, str> {
        match &self.original {
            Some(line) => shortened(line),
            None => repaired(self.audit),
        }
    }

    pub(super) fn is_gap(&self) -> bool {
        facts::member(self.audit, b"kind") == Some(b"Gap")
    }

    pub(super) fn content(&self, digest: &Digest) -> u64 {
        let original =
            self.original.as_deref().map(|line| digest.short(&[shortened(line).as_bytes()]));
        joined(event(self.audit, digest), original, digest)
    }
}

/// Passes each member of an object to `take`, as it is written.
fn each_member<'a>(object: &'a [u8], mut take: impl FnMut(&'a [u8], &'a [u8])) {
    visit_members(object, blank(object, 0), |member| {
        let end = skip(object, member.value)?;
        take(member.key, &object[member.value..end]);
        Some(end)
    });
}

/// Whether a stored document is this event, by all the content that is sent, in either layout and form.
pub(super) fn is_same(record: Record<'_>, document: &serde_json::Value) -> bool {
    let (digest, document) = (Digest::default(), document.to_string());
    let stored = Parts::of(document.as_bytes()).content(&digest);
    [Layout::Elastic, Layout::Flat].iter().any(|layout| {
        let sent = identity(*layout, record, &[], &digest);
        stored == sent.content || stored == sent.fallback
    })
}

/// Identity and content of an event as it would be sent; `position` identifies it if its line does not.
pub(super) fn identity(
    layout: Layout,
    record: Record<'_>,
    position: &[u8],
    digest: &Digest,
) -> EventIdentity {
    let line = repaired(record.line);
    let envelope = written(|out| {
        out.put(b"{");
        fallback::envelope(record, out);
        out.put(b"}");
    });
    let original = digest.short(&[line.as_bytes()]);
    let fallback = joined(event(&envelope, digest), Some(original), digest);
    let content = if presentable(record) {
        joined(usual(layout, record, digest), None, digest)
    } else {
        fallback
    };
    EventIdentity { identity: digest.identity(&line, position), content, fallback }
}

fn usual(layout: Layout, record: Record<'_>, digest: &Digest) -> u64 {
    match layout {
        Layout::Elastic => event(&written(|out| splice(record, out)), digest),
        Layout::Flat => event(record.line, digest),
    }
}

fn written(write: impl FnOnce(&mut Body)) -> bytes::Bytes {
    let mut body = Body::new(Compression::None, 4096);
    write(&mut body);
    // Nothing is compressed, so this cannot fail.
    body.finish().unwrap_or_default()
}

fn joined(event: u64, original: Option<u64>, digest: &Digest) -> u64 {
    match original {
        Some(line) => digest.short(&[b"safe", &event.to_be_bytes(), &line.to_be_bytes()]),
        None => event,
    }
}

/// A digest of an event, from its members.
fn event(object: &[u8], digest: &Digest) -> u64 {
    let mut sum = 0_u64;
    each_member(object, |name, value| {
        if EVENT.contains(&name) {
            sum = sum.wrapping_add(pair(digest.short(&[name]), canonical(value, digest), digest));
        }
    });
    sum
}

fn pair(name: u64, value: u64, digest: &Digest) -> u64 {
    digest.short(&[&name.to_be_bytes(), &value.to_be_bytes()])
}

/// An object or array that is not closed yet.
struct ContentLevel {
    object: bool,
    /// Digest of the members so far; independent of their order in an object, but not in an array.
    sum: u64,
    count: u64,
    /// The name that was read last.
    name: Option<u64>,
}

/// A digest of a JSON value that ignores how it is written. Invalid JSON counts as its bytes. Does not recurse.
fn canonical(value: &[u8], digest: &Digest) -> u64 {
    let mut levels: Vec<ContentLevel> = Vec::new();
    let mut at = 0;
    let odd = || digest.short(&[b"odd", value]);
    while let Some(&byte) = value.get(at) {
        let done = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' => {
                at += 1;
                continue;
            }
            b'{' | b'[' => {
                levels.push(ContentLevel { object: byte == b'{', sum: 0, count: 0, name: None });
                at += 1;
                continue;
            }
            b'}' | b']' => {
                at += 1;
                let Some(ContentLevel { object, sum, count, .. }) = levels.pop() else {
                    return odd();
                };
                let kind: &[u8] = if object { b"{" } else { b"[" };
                digest.short(&[kind, &sum.to_be_bytes(), &count.to_be_bytes()])
            }
            b'"' => {
                let Some(end) = string_end(value, at + 1) else { return odd() };
                let text = json::unescape(&value[at + 1..end]);
                at = end + 1;
                match levels.last_mut() {
                    Some(level) if level.object && level.name.is_none() => {
                        level.name = Some(digest.short(&[text.as_bytes()]));
                        continue;
                    }
                    _ => digest.short(&[b"\"", text.as_bytes()]),
                }
            }
            _ => {
                let rest = &value[at..];
                let ends =
                    |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n');
                let end = rest.iter().position(ends).unwrap_or(rest.len()).max(1);
                at += end;
                scalar(&rest[..end], digest)
            }
        };
        match levels.last_mut() {
            None => return done,
            Some(level) => {
                level.count += 1;
                level.sum = match level.name.take() {
                    Some(name) => level.sum.wrapping_add(pair(name, done, digest)),
                    None => pair(level.sum, done, digest),
                };
            }
        }
    }
    odd()
}

/// A digest of a number, `true`, `false` or `null`.
fn scalar(text: &[u8], digest: &Digest) -> u64 {
    let fraction = text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    match number.filter(|number| fraction && number.is_finite()) {
        Some(number) => digest.short(&[b"f", &number.to_bits().to_be_bytes()]),
        None => digest.short(&[b"i", text]),
    }
}

/// Fuzz target. A document that was just built is recognised, whatever the line holds.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(layout: Layout, record: Record<'_>, document: &[u8], fallback: bool) {
    // An API server writes no event members with these names; they would be mistaken for members of the document.
    let names = [&b"\"event\""[..], b"\"kubernetes\"", b"\"node\"", b"\"host\""];
    if names.iter().any(|name| memchr::memmem::find(record.line, name).is_some()) {
        return;
    }
    let digest = Digest::default();
    let own = identity(layout, record, b"id", &digest);
    let parts = Parts::of(document);
    let wanted = if fallback { own.fallback } else { own.content };
    let shown = || String::from_utf8_lossy(document);
    assert_eq!(parts.content(&digest), wanted, "{}", shown());
    assert_eq!(digest.identity(&parts.line(), b"id"), own.identity, "{}", shown());
}

#[cfg(test)]
mod tests {
    use super::super::tests::batch;
    use super::*;
    use crate::config::Target;

    const EVENT: &str = r#"{"kind":"Event","auditID":"a","stage":"Panic","requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stageTimestamp":"2026-11-21T06:25:22.612771Z","requestObject":{"a":[1,{"b":"<"}],"c":1.50},"annotations":{"a.b/c":"d"}}"#;

    fn document(layout: Layout, line: &str, fallback: bool) -> Vec<u8> {
        let target = Target::DataStream("logs-a-b".to_owned());
        let frame =
            super::super::document::DocumentFrame::new(layout, &target, "n", Some("c"), None);
        let batch = batch(&[line.as_bytes()]);
        written(|out| {
            frame.write(batch.record(0), fallback, 0, out);
        })
        .to_vec()
    }

    fn compare(layout: Layout, line: &str, document: &[u8]) -> (bool, bool, bool) {
        let digest = Digest::default();
        let parts = Parts::of(document);
        let own = identity(layout, batch(&[line.as_bytes()]).record(0), b"", &digest);
        let content = parts.content(&digest);
        let same = digest.identity(&parts.line(), b"") == own.identity;
        (same, content == own.content, content == own.fallback)
    }

    #[test]
    fn what_is_sent_is_recognised_in_every_layout_and_form() {
        for layout in [Layout::Elastic, Layout::Flat] {
            let usual = document(layout, EVENT, false);
            assert_eq!(compare(layout, EVENT, &usual), (true, true, false));
            assert_eq!(Parts::of(&usual).node.as_deref(), Some("n"));
            let fallback = document(layout, EVENT, true);
            assert_eq!(compare(layout, EVENT, &fallback), (true, false, true));
        }
    }

    #[test]
    fn order_escapes_and_what_a_pipeline_adds_make_no_difference() {
        let stored = r#"{"event":{"ingested":"x"},"kubernetes":{"audit":{"annotations":{"a_b/c":"d"},"requestObject":{"c":1.5,"a":[1,{"b":"\u003c"}]},"stageTimestamp":"2026-11-21T06:25:22.612771Z","requestReceivedTimestamp":"2026-11-21T06:25:22.533537Z","stage":"Panic","auditID":"a","kind":"Event"},"more":1}}"#;
        assert_eq!(compare(Layout::Elastic, EVENT, stored.as_bytes()), (true, true, false));
        for (from, to) in [("[1,", "[2,"), ("Event", "Evil"), ("1.5", "1.6"), ("\"c\":1.5,", "")] {
            let other = stored.replace(from, to);
            assert!(!compare(Layout::Elastic, EVENT, other.as_bytes()).1, "{from} {to}");
        }
    }

    #[test]
    fn a_gap_and_what_is_no_json_are_told_without_a_panic() {
        assert!(Parts::of(br#"{"kubernetes":{"audit":{"kind":"Gap"}}}"#).is_gap());
        let digest = Digest::default();
        for odd in ["", "]", "}", "{", "[", "\"", "{\"a", "{]", "[}", "-", "{\"a\":}", "\u{0}"] {
            let _ =
                (canonical(odd.as_bytes(), &digest), Parts::of(odd.as_bytes()).content(&digest));
        }
        assert_eq!(canonical(b"[[1],2]", &digest), canonical(b" [ [ 1 ] , 2 ] ", &digest));
        assert_ne!(canonical(b"[[1],2]", &digest), canonical(b"[[1,2]]", &digest));
        assert_ne!(canonical(b"[1,2]", &digest), canonical(b"[2,1]", &digest));
    }
}
