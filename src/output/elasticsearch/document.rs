//! Builds the document that is stored for an event.
//!
//! `layout = "elastic"` makes the fields that Elastic's Kubernetes integration makes of an audit event (its ingest
//! pipeline `audit_logs`, as of 2026), so that Elastic's detection rules and dashboards work:
//!
//! | field | from |
//! |---|---|
//! | `@timestamp` | the event's stage time |
//! | `event.kind`, `.dataset`, `.action`, `.outcome` | `event`, the data set, `verb`, the authorization decision |
//! | `user.name`, `user.id`, `user_agent.original` | `user.username`, `user.uid`, `userAgent` |
//! | `source.ip`, `client.ip` | `sourceIPs`, see `addresses.rs` |
//! | `related.user`, `related.ip` | the same values again |
//! | `event.ingested` | the time at which the request was made |
//! | `log.file.path`, `log.offset` | the log that the input follows, and the offset of the event in it |
//! | `orchestrator.*` | `apiVersion`, `objectRef`, the configured cluster |
//! | `kubernetes.audit` | the event, with underscores for the dots in annotation names |
//!
//! There are two differences from the integration, and no search can see them: empty members are kept, and so is
//! `metadata` of the bodies, which is not indexed. The line is copied around the annotations; bodies are neither
//! parsed nor serialised again. Fields that describe the agent and not the event (`host`, `agent`, `input`,
//! `data_stream`) are built once, in [`DocumentFrame`].
//!
//! `event.ingested` differs each time an event is sent. No comparison uses it: the id decides whether an event is
//! stored, and `content_digest.rs` compares `kubernetes.audit` and `event.original` only.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::Path;

use super::addresses::Addresses;
use super::body::Body;
use super::facts::{Facts, member, outcome};
use crate::config::{Layout, Target};
use crate::event::{Form, Nanos, Record, RecordKind};
use crate::json::{self, blank, escaped, skip, visit_members};

/// Elasticsearch refuses a document nested deeper than 1000 levels; this leaves room for the levels around the line.
const DEEPEST: u32 = 900;
/// The version of the Elastic Common Schema (ECS) that the field names are from.
const ECS: &str = "8.11.0";

/// The parts that are the same in every document of an output.
pub(super) struct DocumentFrame {
    layout: Layout,
    /// The bytes between the time and the event's own fields.
    head: Vec<u8>,
    /// The same for the record of a gap, and for a heartbeat.
    gap_head: Vec<u8>,
    heartbeat_head: Vec<u8>,
    /// `"cluster":{"name":…},`, or nothing.
    cluster: Vec<u8>,
    /// `,"file":{"path":…}`, or nothing.
    file: Vec<u8>,
}

impl DocumentFrame {
    /// `path`: of the log that the events were written to.
    pub(super) fn new(
        layout: Layout,
        target: &Target,
        node: &str,
        cluster: Option<&str>,
        path: Option<&Path>,
    ) -> Self {
        let head = |kind| head(layout, target, kind, &escaped(node), cluster);
        let own = |name| [b"\"cluster\":{\"name\":\"", &*escaped(name), b"\"},"].concat();
        let cluster = cluster.filter(|_| layout == Layout::Elastic).map(own).unwrap_or_default();
        // ECS: "an error occurred during the ingestion of this event".
        let gap_head = head(b"pipeline_error");
        // ECS: "metrics with fixed or categorical values", for instance about the health of a service.
        let heartbeat_head = head(b"state");
        Self {
            layout,
            head: head(b"event"),
            gap_head,
            heartbeat_head,
            cluster,
            file: path.map(file).unwrap_or_default(),
        }
    }

    /// Writes the document of an event that is sent `now`, without a newline. Returns whether it is in safe form,
    /// either because the caller asked for it or because the store would refuse the line as it is.
    pub(super) fn write(
        &self,
        record: Record<'_>,
        fallback: bool,
        now: Nanos,
        out: &mut Body,
    ) -> bool {
        let fallback = fallback || !presentable(record);
        out.put(b"{\"@timestamp\":\"");
        write_time(record.event.time, out);
        let kind = record.event.whole;
        out.put(match kind {
            RecordKind::Event | RecordKind::Torn => &self.head,
            RecordKind::Gap => &self.gap_head,
            RecordKind::Heartbeat => &self.heartbeat_head,
        });
        match self.layout {
            Layout::Elastic => {
                let facts = match kind {
                    RecordKind::Gap => Facts::of_gap(),
                    RecordKind::Heartbeat => Facts::of_heartbeat(),
                    _ if fallback => super::fallback::facts(record),
                    _ => facts(record),
                };
                out.put(b",\"ingested\":\"");
                write_time(now, out);
                out.put(b"\"");
                facts.write(&self.cluster, fallback.then_some(record.line), out);
                out.put(b",\"log\":{\"offset\":");
                number(record.event.offset, out);
                out.put(&self.file);
                out.put(b"},\"kubernetes\":{\"audit\":");
                if fallback {
                    out.put(b"{");
                    super::fallback::envelope(record, out);
                    out.put(b"}");
                } else {
                    splice(record, out);
                }
                out.put(b"}}");
            }
            Layout::Flat if fallback => {
                super::fallback::envelope(record, out);
                out.put(b",\"event\":{\"original\":\"");
                out.put_escaped(record.line);
                out.put(b"\"}}");
            }
            Layout::Flat => out.put(&record.line.trim_ascii_start()[1..]),
        }
        fallback
    }
}

/// `,"file":{"path":…}`, the path of a log.
fn file(path: &Path) -> Vec<u8> {
    [b",\"file\":{\"path\":\"", &*escaped(&path.to_string_lossy()), b"\"}"].concat()
}

/// The bytes between the time and the event's own fields; `kind` is ECS's `event.kind`.
fn head(
    layout: Layout,
    target: &Target,
    kind: &[u8],
    node: &[u8],
    cluster: Option<&str>,
) -> Vec<u8> {
    let mut head = Vec::new();
    let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| head.extend_from_slice(piece));
    match layout {
        Layout::Elastic => {
            put(&[b"\",\"ecs\":{\"version\":\"", ECS.as_bytes(), b"\"},"]);
            if let Some((kind, set, space)) = parts(target) {
                let [kind, set, space] = [kind, set, space].map(escaped);
                put(&[b"\"data_stream\":{\"type\":\"", &kind, b"\",\"dataset\":\"", &set]);
                put(&[b"\",\"namespace\":\"", &space, b"\"},"]);
            }
            put(&[
                b"\"host\":{\"name\":\"",
                node,
                b"\"},\"agent\":{\"type\":\"auditrail\",\"version\":\"",
            ]);
            put(&[env!("CARGO_PKG_VERSION").as_bytes(), b"\"},\"input\":{\"type\":\"file\"},"]);
            let set = parts(target).map_or("kubernetes.audit_logs", |(_, set, _)| set);
            put(&[b"\"event\":{\"kind\":\"", kind, b"\",\"dataset\":\"", &escaped(set), b"\""]);
        }
        Layout::Flat => {
            if let Some(cluster) = cluster {
                put(&[b"\",\"cluster\":\"", &escaped(cluster)]);
            }
            put(&[b"\",\"node\":\"", node, b"\","]);
        }
    }
    head
}

/// Type, data set and namespace in the name of a data stream (`type-dataset-namespace`).
fn parts(target: &Target) -> Option<(&str, &str, &str)> {
    let Target::DataStream(name) = target else { return None };
    let (kind, rest) = name.split_once('-')?;
    let (set, space) = rest.split_once('-')?;
    Some((kind, set, space))
}

/// Whether the line can be part of a document unchanged. Duplicate keys and the like are left for the store to find.
pub(super) fn presentable(record: Record<'_>) -> bool {
    record.event.form == Form::Json
        && record.event.whole != RecordKind::Torn
        && record.event.depth <= DEEPEST
        && has_members(record.line)
        && std::str::from_utf8(record.line).is_ok()
}

/// Whether the line is an object with at least one member, so that more members can be added.
fn has_members(line: &[u8]) -> bool {
    let inside = line.trim_ascii_start().strip_prefix(b"{");
    inside.is_some_and(|inside| !inside.trim_ascii_start().starts_with(b"}"))
}

fn facts(record: Record<'_>) -> Facts<'_> {
    let fields = &record.event.fields;
    let raw = |span| Cow::Borrowed(record.raw(span).unwrap_or_default());
    let uid = record.raw(fields.user).and_then(|user| member(user, b"uid"));
    Facts {
        api_version: Cow::Borrowed(api_version(record.line).unwrap_or_default()),
        verb: raw(fields.verb),
        outcome: outcome(record),
        username: raw(fields.username),
        uid: Cow::Borrowed(uid.unwrap_or_default()),
        user_agent: raw(fields.user_agent),
        addresses: Addresses::of(record),
        resource: raw(fields.resource),
        namespace: raw(fields.namespace),
        name: raw(fields.name),
    }
}

/// The inside of `apiVersion`. It is one of the first three members in what a server writes, and absent in events sent
/// by webhook.
fn api_version(line: &[u8]) -> Option<&[u8]> {
    let (mut found, mut left) = (None, 3);
    visit_members(line, blank(line, 0), |member| {
        let end = skip(line, member.value)?;
        if member.key == b"apiVersion" {
            found = json::inside(&line[member.value..end]);
            return None;
        }
        left -= 1;
        (left > 0).then_some(end)
    });
    found
}

/// Writes the line, with underscores for the dots in the names of its annotations.
pub(super) fn splice(record: Record<'_>, out: &mut Body) {
    let span = record.event.fields.annotations;
    let Some(annotations) = record.raw(span) else { return out.put(record.line) };
    out.put(&record.line[..span.start as usize]);
    let mut done = 0;
    visit_members(annotations, blank(annotations, 0), |member| {
        let end = skip(annotations, member.value)?;
        // Up to the key, with the quote before it.
        out.put(&annotations[done..=member.at]);
        let mut rest = member.key;
        while let Some(dot) = memchr::memchr(b'.', rest) {
            out.put(&rest[..dot]);
            out.put(b"_");
            rest = &rest[dot + 1..];
        }
        out.put(rest);
        out.put(&annotations[member.at + 1 + member.key.len()..end]);
        done = end;
        Some(end)
    });
    out.put(&annotations[done..]);
    out.put(&record.line[span.end as usize..]);
}

/// Writes a time in UTC with all digits that it has.
pub(super) fn write_time(time: Nanos, out: &mut Body) {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default();
    let mut text = [0_u8; 40];
    let mut rest = &mut text[..];
    if write!(rest, "{time}").is_ok() {
        let left = rest.len();
        out.put(&text[..40 - left]);
    }
}

fn number(number: u64, out: &mut Body) {
    let mut text = [0_u8; 20];
    let mut rest = &mut text[..];
    if write!(rest, "{number}").is_ok() {
        let left = rest.len();
        out.put(&text[..20 - left]);
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
