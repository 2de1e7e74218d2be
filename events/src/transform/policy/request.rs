//! Rebuilds the request that the API server asked its policy about, from the event that the server wrote afterwards.
//!
//! | attribute | in JSON lines | in lines of the text format |
//! |---|---|---|
//! | user, groups | `user`; `{}` is no user | `user=`, `groups=` |
//! | verb | `verb` | `method=` |
//! | path | `requestURI` before the `?`, decoded | the same, from `uri=` |
//! | the resource, if any | `objectRef` | the path |
//! | namespace, name | `objectRef`, but see below | the path, and the query's field selector |
//!
//! On create, update, delete and deletecollection the server asks the policy first and adds facts from the body to
//! `objectRef` afterwards. For these verbs the path decides. For all others `objectRef` holds what the policy was
//! asked about.
//!
//! An event does not show one case: a request whose URI has no path at all, `GET http://host`, is written as one for
//! `/`.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::event::{Form, Record, RecordKind, Span};
use crate::json;

use super::uri::{self, RequestTarget, Text};

/// The attributes that rules match. Expensive ones are computed only when a rule needs them.
#[derive(Debug)]
pub(super) struct PolicyRequest<'a> {
    record: Record<'a>,
    /// The user's name; `None` if there is no user.
    pub(super) user: Option<Text<'a>>,
    pub(super) verb: Text<'a>,
    pub(super) path: &'a [u8],
    target: OnceCell<Option<RequestTarget<'a>>>,
}

/// The decoded path of a record; `None` if the record is not an event of an API server, to which a policy does not
/// apply.
pub(super) fn path<'a>(record: &Record<'a>) -> Option<Text<'a>> {
    let event = record.event;
    if event.whole != RecordKind::Event || event.form == Form::Unreadable {
        return None;
    }
    let uri = event.fields.request_uri;
    let raw = record.raw(uri)?;
    // Neither format escapes a question mark, and rarely anything before it.
    let end = memchr::memchr(b'?', raw).unwrap_or(raw.len());
    let at = uri.start as usize;
    Some(uri::decode(bytes(record, Span::new(at, at + end))))
}

impl<'a> PolicyRequest<'a> {
    /// `path` is the result of [`path`] for the same record.
    pub(super) fn new(record: &Record<'a>, path: &'a [u8]) -> Self {
        let fields = &record.event.fields;
        Self {
            record: *record,
            user: record.has_user().then(|| bytes(record, fields.username)),
            verb: bytes(record, fields.verb),
            path,
            target: OnceCell::new(),
        }
    }

    /// The resource; `None` if the request is not for a resource.
    pub(super) fn target(&self) -> Option<&RequestTarget<'a>> {
        self.target.get_or_init(|| self.find_target()).as_ref()
    }

    fn find_target(&self) -> Option<RequestTarget<'a>> {
        let fields = &self.record.event.fields;
        if self.record.event.form == Form::Legacy {
            let uri = self.record.text(fields.request_uri)?;
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            return uri::target(self.path, &self.verb, query.as_bytes());
        }
        self.record.raw(fields.object_ref)?;
        let mut target = RequestTarget {
            group: self.group(),
            resource: bytes(&self.record, fields.resource),
            subresource: bytes(&self.record, fields.subresource),
            namespace: bytes(&self.record, fields.namespace),
            name: bytes(&self.record, fields.name),
        };
        if matches!(&*self.verb, b"create" | b"update" | b"delete" | b"deletecollection") {
            // If the path cannot be interpreted, the server has other prefixes, and `objectRef` is used.
            if let Some(asked) = uri::target(self.path, &self.verb, b"") {
                target.namespace = asked.namespace;
                target.name = asked.name;
            }
        }
        Some(target)
    }

    /// `apiGroup`; in v1alpha1 the part of `apiVersion` before the slash, which no later version has.
    fn group(&self) -> Text<'a> {
        let record = &self.record;
        let mut group = None;
        let mut version = Span::default();
        let start = record.event.fields.object_ref.start as usize;
        json::members(record.line, start, |key, value| match key {
            b"apiGroup" if value.string => group = Some(value.at),
            b"apiVersion" if value.string => version = value.at,
            _ => {}
        });
        match (group, record.raw(version)) {
            (Some(group), _) => bytes(record, group),
            (None, Some(version)) => match memchr::memrchr(b'/', version) {
                Some(slash) => Cow::Borrowed(&version[..slash]),
                None => Text::default(),
            },
            (None, None) => Text::default(),
        }
    }

    /// Whether the user is in a group for which `wanted` returns true.
    pub(super) fn in_group(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        let mut found = false;
        self.record.groups(|group| found = found || wanted(group.as_bytes()));
        found
    }
}

fn bytes<'a>(record: &Record<'a>, span: Span) -> Text<'a> {
    match record.text(span) {
        None => Text::default(),
        Some(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        Some(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
    }
}
