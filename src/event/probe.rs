//! What kind of thing a JSON object is: an event, something whose content a client of some server chose, or a wrapper.

use super::Fields;
use super::walk::members;

/// Members of records about a request: what its client sent stands in their other members.
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

/// The same, where their value is a string: as objects they are fields of the Elastic Common Schema.
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

/// What the members of an object say about it.
#[derive(Default)]
pub(super) struct Probe<'a> {
    kind: Option<&'a [u8]>,
    api_version: Option<&'a [u8]>,
    reports: bool,
    /// `ts`, `msg`, and `v` or `caller`: klog in JSON.
    klog: [bool; 3],
}

impl<'a> Probe<'a> {
    /// Of the object that begins at `from`.
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

    /// An event as the log backend writes it, or an item of a webhook's list, which has neither kind nor version.
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

    /// It is no wrapper but a record or an object with content of its own, in which an event proves nothing.
    pub(super) fn is_opaque(&self, fields: &Fields) -> bool {
        let list = self.is_audit() && self.kind.is_some_and(|kind| kind.ends_with(b"List"));
        let object = self.kind.is_some() && self.api_version.is_some() && !list;
        object || self.reports || self.is_klog() || !fields.audit_id.is_empty()
    }

    /// A message of a Kubernetes component, with `--logging-format=json`.
    pub(super) fn is_klog(&self) -> bool {
        self.klog == [true; 3]
    }
}
