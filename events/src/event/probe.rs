//! Classifies a JSON object: an audit event, a record whose content a client may have chosen, or a wrapper around
//! events.

use super::Fields;
use crate::json::members;

/// Keys that only a record about a request has. Its other members can hold text that the client sent.
const REPORTS: [&[u8]; 10] = [
    b"requestObject",
    b"responseObject",
    b"request",
    b"response",
    b"requestBody",
    b"responseBody",
    b"requestURI",
    b"httpRequest",
    b"protoPayload",
    b"involvedObject",
];

/// Likewise, but only if the value is a string: as objects these keys belong to the Elastic Common Schema.
const REPORTS_AS_TEXT: [&[u8]; 10] = [
    b"request_uri",
    b"uri",
    b"url",
    b"userAgent",
    b"user_agent",
    b"http_user_agent",
    b"remote_addr",
    b"method",
    b"http_method",
    b"verb",
];

/// What the keys of an object reveal about it.
#[derive(Default)]
pub(super) struct Probe<'a> {
    kind: Option<&'a [u8]>,
    api_version: Option<&'a [u8]>,
    reports: bool,
    /// `ts`, `msg`, and `v` or `caller`: klog in JSON.
    klog: [bool; 3],
}

impl<'a> Probe<'a> {
    /// Looks at the object that begins at `from`.
    pub(super) fn of(line: &'a [u8], from: usize) -> Self {
        let mut probe = Self::default();
        members(line, from, |key, value| match key {
            b"kind" if value.string => probe.kind = Some(&line[value.at.range()]),
            b"apiVersion" if value.string => probe.api_version = Some(&line[value.at.range()]),
            b"ts" => probe.klog[0] = true,
            b"msg" => probe.klog[1] = true,
            b"v" | b"caller" => probe.klog[2] = true,
            _ => {
                probe.reports |=
                    REPORTS.contains(&key) || (value.string && REPORTS_AS_TEXT.contains(&key));
            }
        });
        probe
    }

    /// Whether it is an event as the log backend writes it, or an item of a webhook's list, which has neither kind nor
    /// version.
    pub(super) fn is_event(&self, fields: &Fields) -> bool {
        let named = |span: super::Span| !span.is_empty();
        match self.kind {
            Some(b"Event") if self.is_audit() => true,
            Some(b"Event") | None => {
                named(fields.audit_id) && named(fields.level) && named(fields.stage)
            }
            Some(_) => false,
        }
    }

    fn is_audit(&self) -> bool {
        self.api_version.is_some_and(|version| version.starts_with(b"audit.k8s.io"))
    }

    /// Whether it is no wrapper but a record or object with content of its own, in which an event proves nothing.
    pub(super) fn is_opaque(&self, fields: &Fields) -> bool {
        let list = self.is_audit() && self.kind.is_some_and(|kind| kind.ends_with(b"List"));
        let object = self.kind.is_some() && self.api_version.is_some() && !list;
        object || self.reports || self.is_klog() || !fields.audit_id.is_empty()
    }

    /// Whether it is a log message of a Kubernetes component with `--logging-format=json`.
    pub(super) fn is_klog(&self) -> bool {
        self.klog == [true; 3]
    }
}
