//! Removes `metadata.managedFields`, which says who owns which field of an object. It is often half of a body, and of
//! no use to an auditor.
//!
//! The rules are the API server's own for `omitManagedFields`: both bodies, each item of a list and each object of a
//! Table, but not a patch, which is the client's own text.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::edit::Edits;
use super::step::{EventWork, TransformAction, TransformStep};
use crate::event::{Form, Record, Span};
use crate::json::{Member, skip, visit_elements, visit_members};

static MANAGED_FIELDS: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#""managedFields""#));

/// The step that removes them.
pub struct ManagedFields {
    /// From every event, and not only from those for which the policy asks for it.
    pub always: bool,
}

impl TransformStep for ManagedFields {
    const ACTIONS: &'static [TransformAction] = &[TransformAction::new(None, "managedFields cut")];

    fn edit(&self, work: &mut EventWork<'_>) {
        let before = work.edits.len();
        if self.always || work.omit_managed_fields {
            omit_managed_fields(work.record, work.edits);
        }
        if work.edits.len() > before {
            work.did(0);
        }
    }
}

/// Removes `managedFields` from the bodies of an event.
fn omit_managed_fields(record: &Record<'_>, edits: &mut Edits) {
    let fields = &record.event.fields;
    if record.event.form != Form::Json {
        return;
    }
    if record.raw(fields.verb) != Some(b"patch") {
        in_body(record.line, fields.request_object, edits);
    }
    in_body(record.line, fields.response_object, edits);
}

/// Removes `managedFields` from one body.
pub(super) fn in_body(line: &[u8], body: Span, edits: &mut Edits) {
    each_metadata(line, body, &MANAGED_FIELDS, |member, end| {
        if member.key == b"managedFields" {
            edits.remove_member(member.at..end);
        }
    });
}

/// Calls `each` for every member of every `metadata` in a body (of the object itself, or of its items and rows), with
/// the end of its value. Stops after the last occurrence of `needle`, so most bodies are not walked at all.
pub(super) fn each_metadata(
    line: &[u8],
    body: Span,
    needle: &Finder<'_>,
    mut each: impl FnMut(Member<'_>, usize),
) {
    let Some(bytes) = line.get(body.range()) else { return };
    let Some(last) = needle.find_iter(bytes).last() else { return };
    let mut walk = ManagedFieldsWalk { line, last: body.start as usize + last, each: &mut each };
    walk.object(body.start as usize, true);
}

/// A walk through a body. Each method returns the end of a value, or `None` once nothing more can be found.
struct ManagedFieldsWalk<'a, 'e> {
    line: &'a [u8],
    last: usize,
    each: &'e mut dyn FnMut(Member<'_>, usize),
}

impl ManagedFieldsWalk<'_, '_> {
    /// Walks an object of the API. Only the top object may be a list or Table.
    fn object(&mut self, from: usize, top: bool) -> Option<usize> {
        let line = self.line;
        visit_members(line, from, |member| match (member.key, line.get(member.value)) {
            (b"metadata", Some(b'{')) => visit_members(line, member.value, |inner| {
                if inner.at > self.last {
                    return None;
                }
                let end = skip(line, inner.value)?;
                (self.each)(inner, end);
                Some(end)
            }),
            (b"items", Some(b'[')) if top => {
                visit_elements(line, member.value, |at| self.item(at, Self::object))
            }
            (b"rows", Some(b'[')) if top => {
                visit_elements(line, member.value, |at| self.item(at, Self::row))
            }
            _ => self.skip(member.value),
        })
    }

    fn row(&mut self, from: usize, _: bool) -> Option<usize> {
        let line = self.line;
        visit_members(line, from, |member| match member.key {
            b"object" => self.item(member.value, Self::object),
            _ => self.skip(member.value),
        })
    }

    fn item(
        &mut self,
        at: usize,
        inside: fn(&mut Self, usize, bool) -> Option<usize>,
    ) -> Option<usize> {
        if self.line.get(at) == Some(&b'{') { inside(self, at, false) } else { self.skip(at) }
    }

    fn skip(&self, from: usize) -> Option<usize> {
        if from > self.last { None } else { skip(self.line, from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::record_tests::record;

    fn omitted(line: &str) -> String {
        let mut edits = Edits::default();
        let mut out = Vec::new();
        record(line.as_bytes(), |record| omit_managed_fields(record, &mut edits));
        edits.apply(line.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[track_caller]
    fn check(line: &str, expected: &str) {
        assert_eq!(omitted(line), expected);
    }

    #[test]
    fn managed_fields_go_from_both_bodies_with_the_right_commas() {
        check(
            r#"{"verb":"update","requestObject":{"metadata":{"managedFields":[{"a":1}]},"spec":1},"responseObject":{"metadata":{"name":"x","managedFields":[],"uid":"y"}}}"#,
            r#"{"verb":"update","requestObject":{"metadata":{},"spec":1},"responseObject":{"metadata":{"name":"x","uid":"y"}}}"#,
        );
    }

    #[test]
    fn managed_fields_go_from_items_and_rows() {
        check(
            r#"{"verb":"list","responseObject":{"metadata":{},"items":[{"metadata":{"name":"a","managedFields":[1]}},7,{"spec":{},"metadata":{"managedFields":[1]},"x":1}]}}"#,
            r#"{"verb":"list","responseObject":{"metadata":{},"items":[{"metadata":{"name":"a"}},7,{"spec":{},"metadata":{},"x":1}]}}"#,
        );
        check(
            r#"{"verb":"list","responseObject":{"kind":"Table","rows":[{"cells":["a"],"object":{"metadata":{"managedFields":[1],"name":"a"}}},{"object":null}]}}"#,
            r#"{"verb":"list","responseObject":{"kind":"Table","rows":[{"cells":["a"],"object":{"metadata":{"name":"a"}}},{"object":null}]}}"#,
        );
    }

    #[test]
    fn a_patch_and_what_only_looks_alike_stay() {
        let patch = r#"{"verb":"patch","requestObject":{"metadata":{"managedFields":[1],"x":2}}}"#;
        check(patch, patch);
        let template = r#"{"verb":"create","requestObject":{"spec":{"template":{"metadata":{"managedFields":[1]}},"items":[{"metadata":{"managedFields":[1]}}]},"data":{"managedFields":"managedFields"},"managedFields":1}}"#;
        check(template, template);
        let text =
            r#"{"verb":"create","requestObject":{"metadata":{"name":"\"managedFields\":1"}}}"#;
        check(text, text);
        let scalar = r#"{"verb":"create","requestObject":"\"managedFields\"","responseObject":["managedFields"]}"#;
        check(scalar, scalar);
    }

    #[test]
    fn ten_thousand_levels_and_broken_text_are_no_obstacle() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let line = |metadata: &str| {
            format!(r#"{{"verb":"get","responseObject":{{"spec":{deep},"metadata":{metadata}}}}}"#)
        };
        let after = omitted(&line(&format!(r#"{{"managedFields":{deep},"a":"\ud800"}}"#)));
        assert!(after == line(r#"{"a":"\ud800"}"#));
    }

    #[test]
    fn recorded_events_lose_their_managed_fields_and_nothing_else() {
        let mut found = 0;
        for line in include_str!("../../../tests/data/audit-events.ndjson").lines() {
            let mut expected: serde_json::Value = serde_json::from_str(line).unwrap();
            for body in ["requestObject", "responseObject"] {
                if body == "requestObject" && expected["verb"] == "patch" {
                    continue;
                }
                let Some(body) = expected.get_mut(body) else { continue };
                found += strip(body);
                let items = body.get_mut("items").and_then(|items| items.as_array_mut());
                found += items.into_iter().flatten().map(strip).sum::<usize>();
            }
            let after: serde_json::Value = serde_json::from_str(&omitted(line)).unwrap();
            assert_eq!(after, expected);
        }
        assert!(found > 3, "{found}");
    }

    fn strip(object: &mut serde_json::Value) -> usize {
        let metadata = object.get_mut("metadata").and_then(|metadata| metadata.as_object_mut());
        usize::from(metadata.is_some_and(|metadata| metadata.remove("managedFields").is_some()))
    }
}
