//! The user who made the request, and the user's groups. An impersonated user is not considered.

use std::borrow::Cow;

use super::{Form, Record, legacy};
use crate::json::{self, elements, members};

impl<'a> Record<'a> {
    /// Whether a user was authenticated: `user` is `{}` if authentication failed.
    pub fn has_user(&self) -> bool {
        let fields = &self.event.fields;
        let written = |byte: &u8| !matches!(byte, b'{' | b'}' | b' ' | b'\t' | b'\r');
        !fields.username.is_empty()
            || self.raw(fields.user).is_some_and(|user| user.iter().any(written))
            || self.event.form == Form::Legacy && legacy::groups(self.line).is_some()
    }

    /// Hands out the user's groups, as text.
    pub fn groups(&self, mut each: impl FnMut(Cow<'a, str>)) {
        let line = self.line;
        let user = self.event.fields.user;
        match self.event.form {
            Form::Legacy => legacy_groups(line, each),
            // Without this arm, the walk would start at the event itself.
            _ if user.is_empty() => {}
            Form::Json | Form::Unreadable => {
                members(line, user.start as usize, |key, value| {
                    if key == b"groups" && value.depth > 0 {
                        elements(line, value.at.start as usize, |group| {
                            if group.string {
                                each(json::unescape(&line[group.at.range()]));
                            }
                        });
                    }
                });
            }
        }
    }
}

fn legacy_groups<'a>(line: &[u8], mut each: impl FnMut(Cow<'a, str>)) {
    let Some(at) = legacy::groups(line) else { return };
    let list = json::unescape_go(&line[at.range()]);
    let mut rest = list.as_bytes();
    while let Some(open) = memchr::memchr(b'"', rest) {
        let Some(close) = legacy::close(rest, open + 1) else { return };
        each(Cow::Owned(json::unescape_go(&rest[open + 1..close]).into_owned()));
        rest = &rest[close + 1..];
    }
}

#[cfg(test)]
mod tests {
    use crate::event::{Event, RecordKind, Span, pieces};

    use super::*;

    /// Whether there is a user, and the user's groups.
    fn user(line: &str) -> (bool, Vec<String>) {
        let mut found = None;
        pieces(line.as_bytes(), true, |piece| found = Some(piece));
        let piece = found.unwrap();
        let event = Event {
            offset: 0,
            whole: RecordKind::Event,
            form: piece.form,
            line: Span::new(0, line.len()),
            time: 0,
            fields: piece.fields,
            depth: piece.depth,
        };
        let record = Record { event: &event, line: line.as_bytes() };
        let mut groups = Vec::new();
        record.groups(|group| groups.push(group.into_owned()));
        (record.has_user(), groups)
    }

    #[test]
    fn groups_are_those_of_the_authenticated_user_with_escapes_undone() {
        let line = r#"{"impersonatedUser":{"username":"x","groups":["no"]},"groups":["no"],"user":{"username":"u","groups":["a\u0026b","c"],"extra":{"groups":["no"]}}}"#;
        assert_eq!(user(line), (true, vec!["a&b".to_owned(), "c".to_owned()]));
        assert_eq!(user(r#"{"user":{"uid":"1"}}"#), (true, Vec::new()));
    }

    #[test]
    fn where_authentication_failed_there_is_nobody() {
        assert_eq!(user(r#"{"user":{},"groups":["no"]}"#), (false, Vec::new()));
        assert_eq!(user(r#"{"groups":["no"]}"#), (false, Vec::new()));
    }

    #[test]
    fn groups_of_a_text_line_are_quoted_twice() {
        let line = |user: &str, groups: &str| {
            format!(
                r#"2017-03-21T03:57:09Z AUDIT: id="groups=\"no\"" user="{user}" groups="{groups}" uri="/""#
            )
        };
        let groups = r#"\"a,\\\"b\",\"c\\u00e9\""#;
        assert_eq!(
            user(&line("u", groups)),
            (true, vec!["a,\"b".to_owned(), "c\u{e9}".to_owned()])
        );
        assert_eq!(user(&line("<none>", "<none>")), (false, Vec::new()));
    }
}
