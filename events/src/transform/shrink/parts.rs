//! Removes a part of a JSON event, step by step.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::order::ShrinkOrder;
use crate::event::Fields;
use crate::json::{Member, skip, visit_members};
use crate::transform::cuts::{Cut, NOTE};
use crate::transform::edit::Edits;
use crate::transform::lower::is_patch;
use crate::transform::managed_fields::{each_metadata, in_body};
use crate::transform::response_name;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
static LAST_APPLIED_KEY: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(LAST_APPLIED.as_bytes()));

/// Annotations that are kept: the decision, and notes that a part of the event is missing.
pub(super) const KEPT_ANNOTATIONS: [&str; 4] = [
    "authorization.k8s.io/decision",
    "authorization.k8s.io/reason",
    "audit.k8s.io/truncated",
    "auditrail.io/over-long-line-bytes",
];

/// The edits of a line so far.
pub(super) struct ShrinkStep<'a> {
    line: &'a [u8],
    fields: &'a Fields,
    order: ShrinkOrder,
    pub(super) edits: Edits,
    /// Whether the current step found anything.
    found: bool,
}

impl<'a> ShrinkStep<'a> {
    pub(super) fn new(line: &'a [u8], fields: &'a Fields, order: ShrinkOrder) -> Self {
        let mut step = Self { line, fields, order, edits: Edits::default(), found: false };
        // Removes the annotation of an earlier shrinking, and `annotations` that are not an object and so cannot hold
        // a new one.
        step.each_inside(&["annotations"], |note| note.is(NOTE));
        step.envelope(|member| member.is("annotations") && line.get(member.value) != Some(&b'{'));
        step
    }

    /// Removes a part, on top of the parts removed before; returns whether there was any.
    pub(super) fn take(&mut self, cut: Cut) -> bool {
        self.found = false;
        match cut {
            Cut::ManagedFields => self.managed_fields(),
            Cut::LastApplied => self.last_applied(),
            Cut::ResponseObject => self.response_object(),
            Cut::RequestObject => self.envelope(|member| member.is("requestObject")),
            Cut::WebhookPatches => self.each_inside(&["annotations"], is_patch),
            Cut::Annotations => self.each_inside(&["annotations"], |annotation| {
                !is_patch(annotation)
                    && !annotation.is(NOTE)
                    && !KEPT_ANNOTATIONS.iter().any(|kept| annotation.is(kept))
            }),
            Cut::Extra => self.each_inside(&["user", "impersonatedUser"], |part| part.is("extra")),
            Cut::Groups => {
                self.each_inside(&["user", "impersonatedUser"], |part| part.is("groups"));
            }
            Cut::Strings | Cut::Rest | Cut::Tail => {}
        }
        self.found
    }

    fn managed_fields(&mut self) {
        let before = self.edits.len();
        for body in [self.fields.request_object, self.fields.response_object] {
            in_body(self.line, body, &mut self.edits);
        }
        self.found = self.edits.len() > before;
    }

    fn last_applied(&mut self) {
        let line = self.line;
        for body in [self.fields.request_object, self.fields.response_object] {
            each_metadata(line, body, &LAST_APPLIED_KEY, |member, _| {
                if member.key != b"annotations" {
                    return;
                }
                visit_members(line, member.value, |annotation| {
                    let end = skip(line, annotation.value)?;
                    if annotation.is(LAST_APPLIED) {
                        self.edits.remove_member(annotation.at..end);
                        self.found = true;
                    }
                    Some(end)
                });
            });
        }
    }

    fn response_object(&mut self) {
        if self.order == ShrinkOrder::Usual {
            return self.envelope(|member| member.is("responseObject"));
        }
        let line = self.line;
        visit_members(line, 0, |member| {
            let end = skip(line, member.value)?;
            if member.is("responseObject") {
                match response_name::rest(line, member.value) {
                    Some(rest) => self.edits.replace(member.value..end, &rest),
                    None => self.edits.remove_member(member.at..end),
                }
                self.found = true;
            }
            Some(end)
        });
    }

    /// Removes members of the event itself.
    fn envelope(&mut self, goes: impl Fn(&Member<'_>) -> bool) {
        self.object(0, &goes);
    }

    /// Removes members of objects in the event.
    fn each_inside(&mut self, objects: &[&str], goes: impl Fn(&Member<'_>) -> bool) {
        visit_members(self.line, 0, |member| {
            if objects.iter().any(|name| member.is(name)) {
                self.object(member.value, &goes);
            }
            skip(self.line, member.value)
        });
    }

    fn object(&mut self, from: usize, goes: &impl Fn(&Member<'_>) -> bool) {
        visit_members(self.line, from, |member| {
            let end = skip(self.line, member.value)?;
            if goes(&member) {
                self.edits.remove_member(member.at..end);
                self.found = true;
            }
            Some(end)
        });
    }
}

/// The place for one more annotation in an event, and the text to insert there.
pub(in crate::transform) fn place_of_annotation(line: &[u8], annotation: &str) -> (usize, String) {
    let (mut inside, mut any) = (None, false);
    let end = visit_members(line, 0, |member| {
        any = true;
        if inside.is_none() && member.is("annotations") && line.get(member.value) == Some(&b'{') {
            inside = Some(member.value + 1);
        }
        skip(line, member.value)
    });
    if let Some(at) = inside {
        let empty = line[at..].trim_ascii_start().starts_with(b"}");
        return (at, format!("{annotation}{}", if empty { "" } else { "," }));
    }
    let comma = if any { "," } else { "" };
    let brace = end.unwrap_or(line.len()).saturating_sub(1);
    (brace, format!(r#"{comma}"annotations":{{{annotation}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_finds_its_place_in_every_envelope() {
        for envelope in [
            r#"{"a":1}"#,
            "{}",
            r#"{"a":1,"annotations":{}}  "#,
            r#"{"annotations":{ "x":"y"},"z":2}"#,
            r#"{"annot\u0061tions":{ },"requestObject":{"annotations":{}}}"#,
        ] {
            let (at, text) = place_of_annotation(envelope.as_bytes(), r#""n":"v""#);
            let line = [&envelope[..at], &text, &envelope[at..]].concat();
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["annotations"]["n"], "v", "{line}");
        }
    }
}
