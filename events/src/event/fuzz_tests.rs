//! Fuzzing of arbitrary bytes as a line, and as the body of a webhook request: checks the invariants, and compares with a slow parse by `serde_json` if that
//! accepts the line too.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Event, Fields, Form, OddLine, Piece, Record, RecordKind, Span, list_splitter, pieces, rfc3339,
    unwrap,
};
use crate::json;

/// The first byte says whether a newline ended the lines; the rest is split into lines, each read on its own.
pub fn lines(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    rest.split(|byte| *byte == b'\n').for_each(|line| {
        check(line, first & 1 == 1);
        unwraps(line, first & 1 == 1);
    });
}

/// A webhook's body after two bytes that say how it is cut: it is split as a slow splitter does, and the log's reader
/// takes each line for what it is.
pub fn split(data: &[u8]) {
    let Some(found) = list_splitter::reference_tests::compare(data) else { return };
    for (index, line) in (0..).zip(found.lines.split_inclusive(|byte| *byte == b'\n')) {
        let whole = if index < found.events { RecordKind::Event } else { RecordKind::Torn };
        read_back(&line[..line.len() - 1], whole);
    }
}

/// A line from a webhook's body is one event, or a torn one in which no event is found.
fn read_back(line: &[u8], whole: RecordKind) {
    let mut read = Vec::new();
    pieces(line, true, |piece| read.push((piece.whole, piece.at)));
    assert_eq!(read, [(whole, Span::new(0, line.len()))]);
    if whole == RecordKind::Torn {
        assert_eq!(unwrap(&mut line.to_vec(), true, |_| {}), OddLine::Foreign);
    }
}

/// The pieces of an odd line are in order and do not overlap, and each piece that is an event is read as one event by
/// itself.
fn unwraps(line: &[u8], ended: bool) {
    let mut bytes = line.to_vec();
    let mut found: Vec<Piece> = Vec::new();
    let odd = unwrap(&mut bytes, ended, |piece| found.push(piece));
    let mut at = 0;
    for piece in &found {
        assert!(at <= piece.at.start && piece.at.end as usize <= line.len());
        at = piece.at.end;
        let text = &bytes[piece.at.range()];
        within(piece, text);
        if piece.form == Form::Json {
            let mut alone = 0;
            pieces(text, true, |again| {
                assert_eq!((again.form, again.fields), (piece.form, piece.fields));
                alone += 1;
            });
            assert_eq!(alone, 1);
        }
    }
    assert!(odd != OddLine::Passed || found.is_empty());
}

/// Reads one line and checks the invariants of its pieces.
fn check(line: &[u8], ended: bool) {
    let mut found: Vec<Piece> = Vec::new();
    let mut at = 0;
    pieces(line, ended, |piece| {
        assert_eq!(piece.at.start, at, "the pieces of a line cover it");
        at = piece.at.end;
        found.push(piece);
    });
    assert_eq!(at as usize, line.len());
    for piece in &found {
        let bytes = &line[piece.at.range()];
        within(piece, bytes);
        match (piece.form, piece.whole) {
            (Form::Unreadable, RecordKind::Event) => {
                assert!(ended, "a tail that is no event is torn");
            }
            (Form::Unreadable, RecordKind::Torn) => {}
            (Form::Unreadable, RecordKind::Gap | RecordKind::Heartbeat) => {
                panic!("no line is a record of the agent's own")
            }
            (Form::Json, whole) => {
                assert!(whole == RecordKind::Event && bytes.starts_with(b"{"));
            }
            (Form::Legacy, whole) => {
                assert!(whole == RecordKind::Event && piece.time.is_some());
            }
        }
    }
    let json = line.starts_with(b"{").then(|| serde_json::from_slice::<Members>(line).ok());
    if let Some(members) = json.flatten() {
        assert_eq!(found.len(), 1, "what a parser takes for an object is one event");
        assert_eq!(found[0].form, Form::Json);
        assert_eq!(found[0].depth, depth(line));
        compare(line, &found[0], &members);
    }
}

/// Every field lies within its piece, can be read, and equals what was written there.
fn within(piece: &Piece, bytes: &[u8]) {
    let event = Event {
        offset: 0,
        whole: piece.whole,
        form: piece.form,
        line: piece.at,
        time: 0,
        fields: piece.fields,
        depth: piece.depth,
    };
    let record = Record { event: &event, line: bytes };
    for span in spans(&piece.fields) {
        assert!(span.start <= span.end && span.end as usize <= bytes.len(), "{span:?}");
        let _ = record.text(span);
        if let Some(raw) = record.raw(span) {
            same_text(raw);
            same_time(raw);
        }
    }
}

/// If a JSON parser accepts a string, its text is the same.
fn same_text(raw: &[u8]) {
    let quoted = [b"\"", raw, b"\""].concat();
    if let Ok(slow) = serde_json::from_slice::<String>(&quoted) {
        assert_eq!(json::unescape(raw), slow);
    }
    let _ = json::unescape_go(raw);
}

/// The library accepts every time stamp that the fast path accepts, with the same result.
fn same_time(raw: &[u8]) {
    let slow = std::str::from_utf8(raw).ok().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let slow = slow.and_then(|stamp| i64::try_from(stamp.as_nanosecond()).ok());
    assert_eq!(rfc3339(raw), slow, "{}", String::from_utf8_lossy(raw));
}

fn spans(fields: &Fields) -> [Span; 22] {
    let mut fields = *fields;
    fields.all_mut().map(|span| *span)
}

/// Compares the fields with those of the slow parse, if no key is escaped.
fn compare(line: &[u8], piece: &Piece, members: &Members<'_>) {
    let all = |name: &'static str| members.0.iter().filter(move |(key, _)| *key == Some(name));
    if members.0.iter().any(|(key, _)| key.is_none()) {
        return;
    }
    let shown = |span: Span| &line[span.range()];
    let f = &piece.fields;
    for (name, span) in [
        ("level", f.level),
        ("auditID", f.audit_id),
        ("stage", f.stage),
        ("requestURI", f.request_uri),
        ("verb", f.verb),
        ("userAgent", f.user_agent),
    ] {
        let first = all(name).find_map(|(_, value)| inside(value).filter(|text| !text.is_empty()));
        assert_eq!(shown(span), first.unwrap_or_default().as_bytes(), "{name}");
    }
    for (name, span) in [
        ("user", f.user),
        ("impersonatedUser", f.impersonated_user),
        ("sourceIPs", f.source_ips),
        ("objectRef", f.object_ref),
        ("responseStatus", f.response_status),
        ("requestObject", f.request_object),
        ("responseObject", f.response_object),
        ("annotations", f.annotations),
    ] {
        let first = all(name).map(|(_, value)| value.get()).next();
        assert_eq!(shown(span), first.unwrap_or_default().as_bytes(), "{name}");
    }
    for (name, span) in [("stageTimestamp", f.stage_time), ("requestReceivedTimestamp", f.received)]
    {
        if let Some(last) = all(name).filter_map(|(_, value)| inside(value)).next_back()
            && !["metadata", "timestamp"].iter().any(|old| all(old).next().is_some())
        {
            assert_eq!(shown(span), last.as_bytes(), "{name}");
        }
    }
}

/// The text between the quotes of a string, as written.
fn inside(value: &RawValue) -> Option<&str> {
    value.get().strip_prefix('"')?.strip_suffix('"')
}

/// Deepest nesting, computed byte by byte.
fn depth(line: &[u8]) -> u32 {
    let (mut depth, mut deepest, mut string, mut escaped) = (0_u32, 0, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if string => escaped = true,
            b'"' => string = !string,
            b'{' | b'[' if !string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// The members of an object in order, repeated ones included. A key with escapes is `None`.
struct Members<'a>(Vec<(Option<&'a str>, &'a RawValue)>);

struct Key<'a>(Option<&'a str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            all.push((key, value));
        }
        Ok(Members(all))
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Some(text)))
    }

    fn visit_str<E>(self, _: &str) -> Result<Key<'de>, E> {
        Ok(Key(None))
    }
}
