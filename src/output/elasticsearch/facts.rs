//! What a document in Elastic's layout says of an event under common (ECS) names, beside the event itself.

use std::borrow::Cow;

use super::addresses::Addresses;
use super::body::Body;
use crate::event::Record;
use crate::json;

/// The values that the integration writes twice: in the event, and under a common (ECS) name. Each is the inside of a
/// JSON string.
#[derive(Default)]
pub(super) struct Facts<'a> {
    pub(super) api_version: Cow<'a, [u8]>,
    pub(super) verb: Cow<'a, [u8]>,
    pub(super) outcome: &'static str,
    pub(super) username: Cow<'a, [u8]>,
    pub(super) uid: Cow<'a, [u8]>,
    pub(super) user_agent: Cow<'a, [u8]>,
    pub(super) addresses: Addresses,
    pub(super) resource: Cow<'a, [u8]>,
    pub(super) namespace: Cow<'a, [u8]>,
    pub(super) name: Cow<'a, [u8]>,
}

/// The inside of a string member of an object.
pub(super) fn member<'a>(object: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    json::member(object, name).and_then(json::inside)
}

pub(super) fn outcome(record: Record<'_>) -> &'static str {
    let annotations = record.raw(record.event.fields.annotations).unwrap_or_default();
    match member(annotations, b"authorization.k8s.io/decision") {
        Some(b"allow") => "success",
        Some(b"forbid") => "failure",
        _ => "",
    }
}

impl Facts<'_> {
    /// A gap has no user, and no API server took part in it.
    pub(super) fn of_gap() -> Self {
        Self { verb: Cow::Borrowed(b"gap"), outcome: "failure", ..Self::default() }
    }

    /// A heartbeat has no outcome either: `heartbeat.state` says what the trail is like.
    pub(super) fn of_heartbeat() -> Self {
        Self { verb: Cow::Borrowed(b"heartbeat"), ..Self::default() }
    }

    /// Continues inside the object `event`. In safe form the whole line is added there.
    pub(super) fn write(&self, cluster: &[u8], original: Option<&[u8]>, out: &mut Body) {
        field(b",\"action\":\"", &self.verb, b"\"", out);
        field(b",\"outcome\":\"", self.outcome.as_bytes(), b"\"", out);
        if let Some(line) = original {
            out.put(b",\"original\":\"");
            out.put_escaped(line);
            out.put(b"\"");
        }
        out.put(b"},\"orchestrator\":{");
        out.put(cluster);
        field(b"\"api_version\":\"", &self.api_version, b"\",", out);
        field(b"\"namespace\":\"", &self.namespace, b"\",", out);
        match (self.resource.is_empty(), self.name.is_empty()) {
            (true, true) => (),
            (false, true) => field(b"\"resource\":{\"type\":\"", &self.resource, b"\"},", out),
            (true, false) => field(b"\"resource\":{\"name\":\"", &self.name, b"\"},", out),
            (false, false) => {
                field(b"\"resource\":{\"type\":\"", &self.resource, b"\",\"name\":\"", out);
                field(b"", &self.name, b"\"},", out);
            }
        }
        out.put(b"\"type\":\"kubernetes\"}");
        self.write_who(out);
    }

    fn write_who(&self, out: &mut Body) {
        match (self.username.is_empty(), self.uid.is_empty()) {
            (true, true) => (),
            (false, true) => field(b",\"user\":{\"name\":\"", &self.username, b"\"}", out),
            (true, false) => field(b",\"user\":{\"id\":\"", &self.uid, b"\"}", out),
            (false, false) => {
                field(b",\"user\":{\"name\":\"", &self.username, b"\",\"id\":\"", out);
                field(b"", &self.uid, b"\"}", out);
            }
        }
        field(b",\"user_agent\":{\"original\":\"", &self.user_agent, b"\"}", out);
        let Addresses { all, distinct } = &self.addresses;
        field(b",\"source\":{\"ip\":[", all, b"]}", out);
        field(b",\"client\":{\"ip\":[", all, b"]}", out);
        if self.username.is_empty() && self.uid.is_empty() && all.is_empty() {
            return;
        }
        out.put(b",\"related\":{");
        let mut before: &[u8] = b"";
        let uid: &[u8] = if self.uid == self.username { b"" } else { &self.uid };
        if !(uid.is_empty() && self.username.is_empty()) {
            out.put(b"\"user\":[");
            field(b"\"", uid, b"\"", out);
            if !uid.is_empty() && !self.username.is_empty() {
                out.put(b",");
            }
            field(b"\"", &self.username, b"\"", out);
            out.put(b"]");
            before = b",";
        }
        if !distinct.is_empty() {
            out.put(before);
            field(b"\"ip\":[", distinct, b"]", out);
        }
        out.put(b"}");
    }
}

/// Writes a value with the text before and after it; writes nothing if the value is empty.
fn field(before: &[u8], value: &[u8], after: &[u8], out: &mut Body) {
    if !value.is_empty() {
        out.put(before);
        out.put(value);
        out.put(after);
    }
}
