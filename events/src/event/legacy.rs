//! The fields of `--audit-log-format=legacy` lines: `TIME AUDIT: key="value" ...`, strings quoted as Go does it.
//!
//! Written by `EventString` in k8s.io/apiserver `pkg/audit/format.go`. Releases up to 1.7 wrote fewer keys and a
//! separate line for the response, so no key is required. The time stamp is that of the request's receipt.

use super::{Fields, Span};

const MARK: &[u8] = b" AUDIT: ";

/// Reads a line; `None` if it is not one of this format.
pub(super) fn fields(line: &[u8]) -> Option<Fields> {
    let mark = memchr::memmem::find(line.get(..line.len().min(64))?, MARK)?;
    super::rfc3339(&line[..mark])?;
    let mut fields = Fields {
        received: Span::new(0, mark),
        stage_time: Span::new(0, mark),
        ..Fields::default()
    };
    pairs(line, mark + MARK.len(), |key, at| set(&mut fields, key, &line[at.range()], at))?;
    Some(fields)
}

/// The value of `groups=` in a line of this format: the groups, each quoted, then the whole quoted again.
pub(super) fn groups(line: &[u8]) -> Option<Span> {
    let mark = memchr::memmem::find(line.get(..line.len().min(64))?, MARK)?;
    let mut found = None;
    pairs(line, mark + MARK.len(), |key, at| {
        if key == b"groups" && &line[at.range()] != b"<none>" {
            found = Some(at);
        }
    })?;
    found
}

/// Hands out the keys and values from `at` to the end of the line; `None` if something else is there.
fn pairs(line: &[u8], mut at: usize, mut each: impl FnMut(&[u8], Span)) -> Option<()> {
    while at < line.len() {
        let equals = at + memchr::memchr(b'=', &line[at..])?;
        let open = equals + 1;
        if line.get(open) != Some(&b'"') {
            return None;
        }
        let close = close(line, open + 1)?;
        each(&line[at..equals], Span::new(open + 1, close));
        at = match line.get(close + 1) {
            None => return Some(()),
            Some(b' ') => close + 2,
            Some(_) => return None,
        };
    }
    Some(())
}

/// Where a legacy line begins inside a line that starts with the rest of something else.
pub(super) fn find(line: &[u8]) -> Option<usize> {
    let mark = memchr::memmem::rfind(line, MARK)?;
    // RFC 3339: at least 20 bytes, at most 35 with nine digits and a zone.
    (20..=35.min(mark)).rev().map(|length| mark - length).find(|start| {
        line[*start].is_ascii_digit()
            && super::rfc3339(&line[*start..mark]).is_some()
            && fields(&line[*start..]).is_some()
    })
}

/// The index of the quote that ends the string which begins at `from`.
pub(super) fn close(line: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'"', b'\\', line.get(at..)?)?;
        if line[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

fn set(fields: &mut Fields, key: &[u8], value: &[u8], at: Span) {
    // Placeholders of the API server for an empty value.
    if matches!(value, b"<none>" | b"<unknown>" | b"<self>" | b"<lookup>" | b"<deferred>") {
        return;
    }
    match key {
        b"id" => fields.audit_id = at,
        b"stage" => fields.stage = at,
        b"ip" => fields.source_ips = at,
        b"method" => fields.verb = at,
        b"user" => fields.username = at,
        b"user-agent" => fields.user_agent = at,
        b"uri" => fields.request_uri = at,
        b"namespace" => fields.namespace = at,
        b"response" if value.iter().all(u8::is_ascii_digit) => fields.code = at,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"2017-03-21T03:57:09.106841886-04:00 AUDIT: id="c939d2a7-1c37-4ef1-b2f7-4ba9b1e43b53" stage="ResponseComplete" ip="127.0.0.1" method="get" user="admin" groups="\"system:masters\",\"system:authenticated\"" as="<self>" asgroups="<lookup>" user-agent="kubectl/\x41" namespace="default" uri="/api/v1/namespaces/default/pods" response="200""#;

    fn text(line: &str, span: Span) -> &str {
        &line[span.range()]
    }

    #[test]
    fn a_line_of_the_old_format_has_its_fields_and_its_time() {
        let fields = fields(LINE.as_bytes()).unwrap();
        assert_eq!(text(LINE, fields.audit_id), "c939d2a7-1c37-4ef1-b2f7-4ba9b1e43b53");
        assert_eq!(text(LINE, fields.verb), "get");
        assert_eq!(text(LINE, fields.code), "200");
        assert_eq!(text(LINE, fields.stage_time), "2017-03-21T03:57:09.106841886-04:00");
    }

    #[test]
    fn placeholders_are_absent_and_missing_keys_are_no_error() {
        let line = r#"2017-03-21T03:57:09Z AUDIT: id="x" namespace="<none>" response="<deferred>""#;
        let fields = fields(line.as_bytes()).unwrap();
        assert!(fields.namespace.is_empty() && fields.code.is_empty() && fields.stage.is_empty());
    }

    #[test]
    fn a_cut_line_is_not_one_of_this_format() {
        assert_eq!(fields(&LINE.as_bytes()[..LINE.len() - 3]), None);
        assert_eq!(fields(b"hello AUDIT: world"), None);
    }

    #[test]
    fn a_line_glued_to_the_rest_of_another_is_found() {
        assert_eq!(find(format!(r#"{{"kind":"Ev{LINE}"#).as_bytes()), Some(11));
    }
}
