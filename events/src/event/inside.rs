//! Fields inside an event's objects and lists that few outputs need. They are found on demand, so reading a log costs
//! nothing for them.

use std::borrow::Cow;

use super::{Form, Record, Span};
use crate::json::{self, elements, members};

impl<'a> Record<'a> {
    /// The text of a string member of an object field, such as `objectRef.apiGroup`; `None` if it is absent. If a name
    /// is repeated, the first one counts. A legacy line has no objects.
    pub fn member(&self, object: Span, name: &str) -> Option<Cow<'a, str>> {
        let line = self.line;
        if object.is_empty() || self.event.form == Form::Legacy {
            return None;
        }
        let mut found = None;
        members(line, object.start as usize, |key, value| {
            if value.string && found.is_none() && json::is_key(key, name) {
                found = Some(json::unescape(&line[value.at.range()]));
            }
        });
        found
    }

    /// The address that the API server itself saw: the last of `sourceIPs`. The client can choose the ones before it.
    pub fn source_ip(&self) -> Option<Cow<'a, str>> {
        let (line, at) = (self.line, self.event.fields.source_ips);
        if self.event.form == Form::Legacy {
            return self.text(at);
        }
        let mut last = None;
        if !at.is_empty() {
            elements(line, at.start as usize, |value| {
                last = value.string.then(|| json::unescape(&line[value.at.range()]));
            });
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use crate::event::{Record, pieces};

    fn read<T>(line: &str, ask: impl Fn(Record<'_>) -> T) -> T {
        let mut found = None;
        pieces(line.as_bytes(), true, |piece| {
            let event = piece.event(0, 0, 0);
            found = Some(ask(Record { line: line.as_bytes(), event: &event }));
        });
        found.unwrap()
    }

    #[test]
    fn members_are_found_whatever_way_their_names_are_written() {
        let line = r#"{"kind":"Event","auditID":"x","objectRef":{"resource":"roles","\u0061piGroup":"rbac.authorization.k8s.io","apiGroup":"second"}}"#;
        let group = |record: Record<'_>| {
            record.member(record.event.fields.object_ref, "apiGroup").map(Cow::into_owned)
        };
        assert_eq!(read(line, group).as_deref(), Some("rbac.authorization.k8s.io"));
        assert_eq!(read(r#"{"kind":"Event","auditID":"x"}"#, group), None);
    }

    #[test]
    fn the_source_is_the_last_address_and_of_a_legacy_line_the_only_one() {
        let address = |record: Record<'_>| record.source_ip().map(Cow::into_owned);
        for (addresses, expected) in [
            (r#"["1.2.3.4","10.0.0.1"]"#, Some("10.0.0.1")),
            (r#"["fd00::1"]"#, Some("fd00::1")),
            ("[]", None),
            ("null", None),
            (r#""10.0.0.1""#, None),
        ] {
            let line = format!(r#"{{"kind":"Event","auditID":"x","sourceIPs":{addresses}}}"#);
            assert_eq!(read(&line, address).as_deref(), expected, "{line}");
        }
    }
}
