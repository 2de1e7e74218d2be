//! Lowers the audit level of an event: removes the parts that the API server would not have written at that level.
//!
//! A level is never raised. An event with more than its own level allows (no API server writes one) loses the excess
//! too. Lines that are not JSON have no bodies to find; they are left to redaction.

use super::edit::Edits;
use super::level::Level;
use crate::event::{Form, Record};
use crate::json::{Member, skip, string, visit_members};

/// Annotation prefix of the patches of mutating webhooks. The API server adds them from level Request up.
const PATCHES: &str = "patch.webhook.admission.k8s.io/";

/// Removes the parts that level `to` does not allow, and rewrites `level`. The caller drops events whose level
/// becomes `None`; this function treats `None` as `Metadata`.
pub(super) fn lower(record: &Record<'_>, to: Level, edits: &mut Edits) {
    if record.event.form != Form::Json || to == Level::RequestResponse {
        return;
    }
    let line = record.line;
    // Looks at every member of the line. The recorded fields are not enough: they hold only the first of duplicate
    // keys.
    visit_members(line, 0, |member| {
        let end = skip(line, member.value)?;
        if member.is("level") {
            level(line, &member, end, to, edits);
        } else if member.is("responseObject")
            || (to <= Level::Metadata && member.is("requestObject"))
        {
            edits.remove_member(member.at..end);
        } else if to <= Level::Metadata && member.is("annotations") {
            patches(line, &member, end, edits);
        }
        Some(end)
    });
}

fn level(line: &[u8], member: &Member<'_>, end: usize, to: Level, edits: &mut Edits) {
    let written = string(line, member.value).and_then(|at| std::str::from_utf8(&line[at]).ok());
    // A level that cannot be read may be any level.
    if written.and_then(Level::parse).is_none_or(|written| written > to) {
        edits.replace(member.value..end, format!("\"{}\"", to.name()).as_bytes());
    }
}

/// Removes the webhooks' patches, and the whole of `annotations` if nothing else is in it.
fn patches(line: &[u8], annotations: &Member<'_>, end: usize, edits: &mut Edits) {
    let (mut found, mut others) = (false, false);
    visit_members(line, annotations.value, |member| {
        let end = skip(line, member.value)?;
        if is_patch(&member) {
            edits.remove_member(member.at..end);
            found = true;
        } else {
            others = true;
        }
        Some(end)
    });
    if found && !others {
        edits.remove_member(annotations.at..end);
    }
}

/// Whether an annotation is the patch of a mutating webhook.
pub(super) fn is_patch(annotation: &Member<'_>) -> bool {
    annotation.key.starts_with(PATCHES.as_bytes())
        || (annotation.key.contains(&b'\\') && annotation.name().starts_with(PATCHES))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transform::record_tests::record;

    #[track_caller]
    fn check(line: &str, to: Level, expected: &str) {
        let mut edits = Edits::default();
        let mut out = Vec::new();
        record(line.as_bytes(), |record| lower(record, to, &mut edits));
        edits.apply(line.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    const LINE: &str = r#"{"level":"RequestResponse","verb":"create","requestObject":{"a":1},"responseObject":{"b":2},"annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"x","authorization.k8s.io/decision":"allow"}}"#;

    #[test]
    fn each_level_has_what_the_server_writes_at_it() {
        check(LINE, Level::RequestResponse, LINE);
        check(
            LINE,
            Level::Request,
            r#"{"level":"Request","verb":"create","requestObject":{"a":1},"annotations":{"patch.webhook.admission.k8s.io/round_0_index_0":"x","authorization.k8s.io/decision":"allow"}}"#,
        );
        check(
            LINE,
            Level::Metadata,
            r#"{"level":"Metadata","verb":"create","annotations":{"authorization.k8s.io/decision":"allow"}}"#,
        );
    }

    #[test]
    fn a_level_never_goes_up_and_what_it_does_not_allow_goes_all_the_same() {
        check(
            r#"{"level":"None","stage":"Panic"}"#,
            Level::Request,
            r#"{"level":"None","stage":"Panic"}"#,
        );
        check(
            r#"{"level":"Metadata","responseObject":1}"#,
            Level::Request,
            r#"{"level":"Metadata"}"#,
        );
        check(
            r#"{"level":7,"verb":"get"}"#,
            Level::Metadata,
            r#"{"level":"Metadata","verb":"get"}"#,
        );
    }

    #[test]
    fn repeated_and_escaped_keys_hide_nothing() {
        check(
            r#"{"level":"Request","requestObject":1,"request\u004fbject":2,"requestObject":3,"responseObject":[],"response\u004Fbject":4,"lev\u0065l":"RequestResponse","annotations":{"a":"b"},"annotations":{"patch\u002ewebhook.admission.k8s.io/r":"x"}}"#,
            Level::Metadata,
            r#"{"level":"Metadata","lev\u0065l":"Metadata","annotations":{"a":"b"}}"#,
        );
    }

    #[test]
    fn annotations_go_with_the_last_patch_and_stay_when_they_were_empty() {
        check(
            r#"{"level":"Request","annotations":{"patch.webhook.admission.k8s.io/a":"x","patch.webhook.admission.k8s.io/b":"y"}}"#,
            Level::Metadata,
            r#"{"level":"Metadata"}"#,
        );
        let empty = r#"{"level":"Metadata","annotations":{}}"#;
        check(empty, Level::Metadata, empty);
    }

    #[test]
    fn a_body_of_ten_thousand_levels_goes_like_any_other() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let line = format!(r#"{{"requestObject":{deep},"level":"Request"}}"#);
        check(&line, Level::Metadata, r#"{"level":"Metadata"}"#);
    }

    proptest! {
        /// Compares with a slow reference implementation, on events with members in any order, some duplicate or
        /// escaped.
        #[test]
        fn lowering_takes_the_same_as_a_slow_reading_and_nothing_else(
            members in prop::collection::vec(prop::sample::select(&[
                r#""level":"RequestResponse""#, r#""level" : "Metadata""#, r#""verb":"get""#, r#""requestObject":{"level":"x","annotations":{"patch.webhook.admission.k8s.io/a":1}}"#,
                r#""responseObject":[ ] "#, r#""response\u004fbject":null"#, r#""annotations":{"a":"b","patch.webhook.admission.k8s.io/a":"c"}"#,
                r#""annotations":{"patch.webhook.admission.k8s.io/a":"}"}"#, r#""annotations":{}"#, r#""user":{"requestObject":1}"#,
            ][..]), 0..8),
            to in prop::sample::select(&[Level::Metadata, Level::Request, Level::RequestResponse][..]),
        ) {
            let line = format!("{{{}}}", members.join(","));
            let mut edits = Edits::default();
            let mut out = Vec::new();
            record(line.as_bytes(), |record| lower(record, to, &mut edits));
            edits.apply(line.as_bytes(), &mut out);
            let kept: Vec<String> = members.iter().filter_map(|member| slow(member, to)).collect();
            let expected = format!("{{{}}}", kept.join(","));
            let squeeze = |text: &str| text.replace(' ', "");
            prop_assert_eq!(squeeze(std::str::from_utf8(&out).unwrap()), squeeze(&expected));
        }
    }

    fn slow(member: &str, to: Level) -> Option<String> {
        let patches = member.contains("patch.webhook") && member.starts_with(r#""annotations"#);
        match to {
            Level::RequestResponse => Some(member.into()),
            _ if member.starts_with(r#""resp"#) => None,
            _ if member.contains("RequestResponse") => {
                Some(member.replace("RequestResponse", to.name()))
            }
            Level::Metadata if member.starts_with(r#""requestObject"#) => None,
            Level::Metadata if patches && member.contains(r#""a":"b""#) => {
                Some(r#""annotations":{"a":"b"}"#.into())
            }
            Level::Metadata if patches => None,
            _ => Some(member.into()),
        }
    }
}
