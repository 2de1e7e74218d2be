//! Builds the body of a push: `logproto.PushRequest`, encoded straight from the batch, so that each line is copied
//! once.
//!
//! The messages are those of grafana/loki `pkg/push/push.proto`: `PushRequest { streams = 1 }`, `Stream { labels = 1,
//! entries = 2 }`, `Entry { timestamp = 1, line = 2, structuredMetadata = 3 }`, `LabelPair { name = 1, value = 2 }`,
//! `Timestamp { seconds = 1, nanos = 2 }`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::config::MetadataField;
use crate::event::{Batch, Nanos, Record, RecordKind};
use crate::output::EventRef;

/// Longest metadata value in bytes. Names, URIs and user agents can be of any length; Loki accepts 64 KiB of structured
/// metadata per entry.
const VALUE: usize = 1024;
/// Estimated bytes of an entry beside its line.
pub(super) const AROUND: usize = 448;

/// The label of the streams that hold no events: gaps, and heartbeats. Such a record has the present time, and Loki
/// refuses entries that are an hour older than the newest entry of their stream. In a backlog, such a record in the
/// shared stream would make Loki refuse all events after it.
pub(super) const OWN: &str = "auditrail";
/// The value of that label for heartbeats.
pub(super) const HEARTBEAT: &str = "heartbeat";

/// The value of [`OWN`] for the stream of a record; `None` for events.
pub(super) fn own_stream(kind: RecordKind) -> Option<&'static str> {
    match kind {
        RecordKind::Event | RecordKind::Torn => None,
        RecordKind::Gap => Some("gap"),
        RecordKind::Heartbeat => Some(HEARTBEAT),
    }
}

/// The label with the hour, for one stream per hour.
const HOUR: &str = "hour";

/// The labels of the stream, without the hour.
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    pub(super) fn new(labels: impl Iterator<Item = (String, String)>) -> Self {
        Self(labels.collect())
    }

    /// The labels as a selector, which is also how a push names its stream. `hour`: hours since 1970, if it is a label.
    /// `own`: the value of [`OWN`]; the selector without that label matches all streams.
    pub(super) fn text(&self, hour: Option<Nanos>, own: Option<&str>) -> String {
        let hour = hour.and_then(|hour| jiff::Timestamp::from_second(hour * 3600).ok());
        let hour = hour.map(|stamp| (HOUR.to_owned(), stamp.strftime("%Y-%m-%dT%H").to_string()));
        let own = own.map(|own| (OWN.to_owned(), own.to_owned()));
        let all: BTreeMap<_, _> = self.0.clone().into_iter().chain(hour).chain(own).collect();
        let mut text = String::from("{");
        for (name, value) in &all {
            let comma = if text.len() > 1 { ", " } else { "" };
            // Loki parses label values as Go strings.
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(text, "{comma}{name}=\"{value}\"");
        }
        text.push('}');
        text
    }
}

/// The body of one push of the picked events, uncompressed, built in `body`.
pub(super) fn body<'a>(
    body: &'a mut Vec<u8>,
    labels: &str,
    batch: &Batch,
    picks: &[EventRef],
    metadata: &[MetadataField],
) -> &'a [u8] {
    let lines: usize =
        picks.iter().map(|pick| batch.events[pick.event as usize].line.range().len()).sum();
    let mut head = Vec::with_capacity(labels.len() + 8);
    field(&mut head, 1, labels.as_bytes());
    // The header of the stream holds its length, which is known only at the end: leave room for it in front.
    let room = head.len() + 12;
    body.clear();
    body.resize(room, 0);
    body.reserve(lines + picks.len() * AROUND);
    let mut scratch = Vec::with_capacity(2 * AROUND);
    for pick in picks {
        entry(body, &mut scratch, batch.record(pick.event as usize), metadata);
    }
    let mut front = Vec::with_capacity(room);
    front.push(1 << 3 | 2);
    varint(&mut front, (head.len() + body.len() - room) as u64);
    front.extend_from_slice(&head);
    let start = room - front.len();
    body[start..room].copy_from_slice(&front);
    &body[start..]
}

fn entry(
    body: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    record: Record<'_>,
    metadata: &[MetadataField],
) {
    scratch.clear();
    let time = record.event.time;
    let (seconds, nanos) = (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000));
    // The length of the timestamp comes before it: one byte, filled in afterwards, since a timestamp is shorter than
    // 128 bytes.
    scratch.extend_from_slice(&[1 << 3 | 2, 0, 1 << 3]);
    // int64: a negative number is encoded as its two's complement.
    varint(scratch, seconds.cast_unsigned());
    if nanos > 0 {
        scratch.push(2 << 3);
        varint(scratch, nanos.cast_unsigned());
    }
    scratch[1] = u8::try_from(scratch.len() - 2).unwrap_or_default();
    let before_line = scratch.len();
    for which in metadata {
        let (name, value) = value(record, *which);
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        let value = &value[..value.floor_char_boundary(VALUE)];
        scratch.push(3 << 3 | 2);
        varint(
            scratch,
            (2 + varint_len(name.len()) + name.len() + varint_len(value.len()) + value.len())
                as u64,
        );
        field(scratch, 1, name.as_bytes());
        field(scratch, 2, value.as_bytes());
    }
    let line = record.line;
    body.push(2 << 3 | 2);
    varint(body, (scratch.len() + 1 + varint_len(line.len()) + line.len()) as u64);
    body.extend_from_slice(&scratch[..before_line]);
    field(body, 2, line);
    body.extend_from_slice(&scratch[before_line..]);
}

fn value(record: Record<'_>, which: MetadataField) -> (&'static str, Option<Cow<'_, str>>) {
    let fields = &record.event.fields;
    let (name, span) = match which {
        MetadataField::AuditLevel => ("audit_level", fields.level),
        MetadataField::Stage => ("stage", fields.stage),
        MetadataField::Verb => ("verb", fields.verb),
        MetadataField::User => ("user", fields.username),
        MetadataField::Resource => ("resource", fields.resource),
        MetadataField::Subresource => ("subresource", fields.subresource),
        MetadataField::Namespace => ("namespace", fields.namespace),
        MetadataField::Name => ("name", fields.name),
        MetadataField::Code => ("code", fields.code),
        MetadataField::UserAgent => ("user_agent", fields.user_agent),
        MetadataField::RequestUri => ("request_uri", fields.request_uri),
        MetadataField::SourceIp => return ("source_ip", record.source_ip()),
        MetadataField::ApiGroup => {
            return ("api_group", record.member(fields.object_ref, "apiGroup"));
        }
        MetadataField::Decision => {
            return (
                "decision",
                record.member(fields.annotations, "authorization.k8s.io/decision"),
            );
        }
        MetadataField::ImpersonatedUser => {
            return ("impersonated_user", record.member(fields.impersonated_user, "username"));
        }
    };
    (name, record.text(span))
}

/// Appends a length-delimited field.
fn field(to: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    to.push(number << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push((number & 0x7f) as u8);
}

fn varint_len(number: usize) -> usize {
    (usize::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::config;
    use crate::event::{Event, Fingerprint, Span, TransformStats, pieces};

    #[derive(Clone, PartialEq, Message)]
    struct PushRequest {
        #[prost(message, repeated, tag = "1")]
        streams: Vec<LokiStream>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct LokiStream {
        #[prost(string, tag = "1")]
        labels: String,
        #[prost(message, repeated, tag = "2")]
        entries: Vec<LogEntry>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct LogEntry {
        #[prost(message, optional, tag = "1")]
        timestamp: Option<Timestamp>,
        #[prost(bytes = "vec", tag = "2")]
        line: Vec<u8>,
        #[prost(message, repeated, tag = "3")]
        metadata: Vec<LabelPair>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct LabelPair {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Timestamp {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }

    fn batch(lines: &[&[u8]]) -> Batch {
        let mut batch = Batch {
            generation: Fingerprint([0; 16]),
            earlier: Vec::new(),
            start: 0,
            end: 0,
            bytes: Vec::new(),
            events: Vec::new(),
            passed: TransformStats::default(),
        };
        for line in lines {
            let at = batch.bytes.len();
            batch.bytes.extend_from_slice(line);
            pieces(line, true, |piece| {
                let line = Span::new(at, at + line.len());
                let (form, fields) = (piece.form, piece.fields);
                let time = piece.time.unwrap_or(-1);
                batch.events.push(Event {
                    offset: at as u64,
                    whole: RecordKind::Event,
                    form,
                    line,
                    time,
                    fields,
                    depth: 1,
                });
            });
        }
        batch
    }

    #[test]
    fn an_independent_decoder_reads_what_was_written() {
        let long = format!(
            r#"{{"auditID":"a","verb":"ge\u0074","objectRef":{{"name":"{}"}},"stageTimestamp":"2026-11-21T06:25:22.000001Z"}}"#,
            "é".repeat(3000)
        );
        let batch =
            batch(&[long.as_bytes(), b"\xff not an event", br#"{"verb":"","level":"Metadata"}"#]);
        let picks = [0, 1, 2].map(EventRef::new);
        let metadata = [MetadataField::Verb, MetadataField::Name, MetadataField::AuditLevel];
        // The buffer was used before.
        let mut room = vec![7; 100];
        let body = body(&mut room, "{a=\"b\"}", &batch, &picks, &metadata);
        let push = PushRequest::decode(body).unwrap();
        let [stream] = &push.streams[..] else { panic!("one stream") };
        assert_eq!(stream.labels, "{a=\"b\"}");
        let [first, second, third] = &stream.entries[..] else { panic!("three entries") };
        assert_eq!(first.line, long.as_bytes());
        assert_eq!(first.timestamp, Some(Timestamp { seconds: 1_795_242_322, nanos: 1000 }));
        let pairs: Vec<_> =
            first.metadata.iter().map(|pair| (pair.name.as_str(), pair.value.len())).collect();
        assert_eq!(pairs, [("verb", 3), ("name", 1024)]);
        assert_eq!((second.line.as_slice(), second.metadata.len()), (&b"\xff not an event"[..], 0));
        assert_eq!(second.timestamp, Some(Timestamp { seconds: -1, nanos: 999_999_999 }));
        assert_eq!(third.metadata.len(), 1);
    }

    #[test]
    fn a_status_code_is_metadata_if_it_is_a_number_however_it_is_written() {
        for (code, expected) in [("404", 1), ("\"404\"", 1), ("null", 0), ("\"\"", 0), ("\"x\"", 0)]
        {
            let line =
                format!(r#"{{"kind":"Event","responseStatus":{{"metadata":{{}},"code":{code}}}}}"#);
            let batch = batch(&[line.as_bytes()]);
            let mut room = Vec::new();
            let picks = [EventRef::new(0)];
            let body = body(&mut room, "{}", &batch, &picks, &[MetadataField::Code]);
            let push = PushRequest::decode(body).unwrap();
            assert_eq!(push.streams[0].entries[0].metadata.len(), expected, "{code}");
        }
    }

    #[test]
    fn each_field_that_can_be_chosen_is_found_in_the_event() {
        let line = r#"{"kind":"Event","level":"Metadata","auditID":"a","stage":"Panic","requestURI":"/a?b=c","v\u0065rb":"get","user":{"username":"alice"},"impersonatedUser":{"username":"root"},"sourceIPs":["8.8.8.8","10.0.0.7"],"userAgent":"curl \"7\"","objectRef":{"resource":"roles","namespace":"n","n\u0061me":"m","apiGroup":"rbac.authorization.k8s.io","subresource":"s"},"responseStatus":{"c\u006fde":"403"},"annotations":{"authorization.k8s.io/decision":"forbid"}}"#;
        let batch = batch(&[line.as_bytes()]);
        let mut room = Vec::new();
        let all = config::Loki::all_metadata();
        let body = body(&mut room, "{}", &batch, &[EventRef::new(0)], &all);
        let push = PushRequest::decode(body).unwrap();
        let found: Vec<_> = push.streams[0].entries[0]
            .metadata
            .iter()
            .map(|pair| (pair.name.as_str(), pair.value.as_str()))
            .collect();
        let expected = [
            ("audit_level", "Metadata"),
            ("stage", "Panic"),
            ("verb", "get"),
            ("user", "alice"),
            ("resource", "roles"),
            ("namespace", "n"),
            ("name", "m"),
            ("code", "403"),
            ("source_ip", "10.0.0.7"),
            ("user_agent", "curl \"7\""),
            ("api_group", "rbac.authorization.k8s.io"),
            ("decision", "forbid"),
            ("subresource", "s"),
            ("impersonated_user", "root"),
            ("request_uri", "/a?b=c"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn labels_are_sorted_and_quoted_and_the_hour_is_one_of_them() {
        let labels = Labels::new(
            [("node", "a\"\\\n"), ("job", "k")]
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter(),
        );
        assert_eq!(labels.text(None, None), r#"{job="k", node="a\"\\\n"}"#);
        assert_eq!(
            labels.text(None, own_stream(RecordKind::Gap)),
            r#"{auditrail="gap", job="k", node="a\"\\\n"}"#
        );
        assert_eq!(
            labels.text(Some(498_678), None),
            r#"{hour="2026-11-21T06", job="k", node="a\"\\\n"}"#
        );
    }

    #[test]
    fn a_varint_is_as_long_as_foreseen() {
        for number in [0, 1, 127, 128, 16383, 16384, 1 << 20, 1 << 31] {
            let mut out = Vec::new();
            varint(&mut out, number as u64);
            assert_eq!(out.len(), varint_len(number), "{number}");
        }
    }
}
