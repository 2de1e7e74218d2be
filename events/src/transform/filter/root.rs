//! The event itself as a CEL value.

use std::fmt;

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer};
use cel::common::types::{MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};

use super::value::{Boxed, Scan, member, name, no_such, value};
use crate::event::{Form, Record, Span};

/// The whole event. The fields of the envelope were found when the line was read, so reading the verb does not walk
/// over the bodies.
#[derive(Clone, Copy)]
pub(super) struct EventValue<'v> {
    pub(super) record: Record<'v>,
    pub(super) scan: &'v Scan,
}

impl<'v> EventValue<'v> {
    fn member(&self, name: &str) -> Result<Option<Boxed<'v>>, ExecutionError> {
        let line = self.record.line;
        let f = &self.record.event.fields;
        let (span, string): (Span, bool) = match name {
            "level" => (f.level, true),
            "auditID" => (f.audit_id, true),
            "stage" => (f.stage, true),
            "requestURI" => (f.request_uri, true),
            "verb" => (f.verb, true),
            "userAgent" => (f.user_agent, true),
            "requestReceivedTimestamp" => (f.received, true),
            "stageTimestamp" => (f.stage_time, true),
            "user" => (f.user, false),
            "impersonatedUser" => (f.impersonated_user, false),
            "sourceIPs" => (f.source_ips, false),
            "objectRef" => (f.object_ref, false),
            "responseStatus" => (f.response_status, false),
            "requestObject" => (f.request_object, false),
            "responseObject" => (f.response_object, false),
            "annotations" => (f.annotations, false),
            _ => (Span::default(), false),
        };
        if self.record.event.form == Form::Json && !span.is_empty() {
            let from = span.start as usize - usize::from(string);
            return value(line, from, self.scan).map(|(value, _)| Some(value));
        }
        member(line, 0, name, self.scan)
    }
}

impl fmt::Debug for EventValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event")
    }
}

impl Val for EventValue<'_> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'w>(&self) -> Boxed<'w>
    where
        Self: 'w,
    {
        Box::new(*self)
    }
}

impl Indexer for EventValue<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let name = name(key)?;
        self.member(name)?
            .map(|value| CowVal::Owned(value as Boxed<'w>))
            .ok_or_else(|| no_such(name))
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Boxed<'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Container for EventValue<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.member(name(key)?)?.is_some())
    }
}
