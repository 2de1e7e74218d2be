//! The request as the server saw it when it asked the policy, rebuilt from what it wrote afterwards.
//!
//! | attribute | in JSON lines | in lines of the text format |
//! |---|---|---|
//! | user, groups | `user`; `{}` is nobody | `user=`, `groups=` |
//! | verb | `verb` | `method=` |
//! | path | `requestURI` before the `?`, decoded | the same, from `uri=` |
//! | a resource? which? | `objectRef` | the path |
//! | namespace, name | `objectRef`, but see below | the path, and the query's field selector |
//!
//! On create, update, delete and deletecollection the server adds to `objectRef` what it finds in the body, after the
//! policy was asked; there the path decides. On all others `objectRef` is what the policy was asked about.
//!
//! Not to be had from an event: a request whose URI has no path at all, `GET http://host`, is written as one for `/`.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::event::{Form, Record, RecordKind, Span, walk};

use super::uri::{self, Target, Text};

/// The attributes that rules look at; what costs more than a few steps is only made when a rule asks for it.
#[derive(Debug)]
pub(super) struct Request<'a> {
    record: Record<'a>,
    /// The user's name; `None` is nobody.
    pub(super) user: Option<Text<'a>>,
    pub(super) verb: Text<'a>,
    pub(super) path: &'a [u8],
    target: OnceCell<Option<Target<'a>>>,
}

/// The decoded path of a record; `None` for what is no event of an API server, of which a policy says nothing.
pub(super) fn path<'a>(record: &Record<'a>) -> Option<Text<'a>> {
    let event = record.event;
    if event.whole != RecordKind::Event || event.form == Form::Unreadable {
        return None;
    }
    let uri = event.fields.request_uri;
    let raw = record.raw(uri)?;
    // Neither notation escapes a question mark, and seldom anything before it.
    let end = memchr::memchr(b'?', raw).unwrap_or(raw.len());
    let at = uri.start as usize;
    Some(uri::decode(bytes(record, Span::new(at, at + end))))
}

impl<'a> Request<'a> {
    /// `path` is what [`path`] made of the same record.
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

    /// The resource; `None` for a request for something else.
    pub(super) fn target(&self) -> Option<&Target<'a>> {
        self.target.get_or_init(|| self.find_target()).as_ref()
    }

    fn find_target(&self) -> Option<Target<'a>> {
        let fields = &self.record.event.fields;
        if self.record.event.form == Form::Legacy {
            let uri = self.record.text(fields.request_uri)?;
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            return uri::target(self.path, &self.verb, query.as_bytes());
        }
        self.record.raw(fields.object_ref)?;
        let mut target = Target {
            group: self.group(),
            resource: bytes(&self.record, fields.resource),
            subresource: bytes(&self.record, fields.subresource),
            namespace: bytes(&self.record, fields.namespace),
            name: bytes(&self.record, fields.name),
        };
        if matches!(&*self.verb, b"create" | b"update" | b"delete" | b"deletecollection") {
            // A path that is not understood is that of a server with other prefixes.
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
        walk::members(record.line, start, |key, value| match key {
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

    /// Whether the user is in any of the groups that `wanted` says yes to.
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
