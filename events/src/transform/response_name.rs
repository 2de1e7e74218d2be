//! The part of `responseObject` that is kept when the rest of it is cut: its name. If a client lets the API server
//! choose a name (`generateName`), the name stands nowhere else, and rules of Falco read it there (`ka.resp.name`).

use std::ops::Range;

use crate::json::{skip, string, visit_members};

/// The inside of the string `metadata.name` of the object that begins at `body`, as written.
fn name(line: &[u8], body: usize) -> Option<Range<usize>> {
    let mut found = None;
    visit_members(line, body, |member| {
        if found.is_none() && member.is("metadata") {
            visit_members(line, member.value, |inner| {
                if found.is_none() && inner.is("name") {
                    found = string(line, inner.value);
                }
                skip(line, inner.value)
            });
        }
        skip(line, member.value)
    });
    found
}

/// Longest name that is kept, in bytes; Kubernetes allows 253.
const LONGEST: usize = 512;

/// What is left of the body that begins at `body`; `None` if it has no name.
pub(super) fn rest(line: &[u8], body: usize) -> Option<Vec<u8>> {
    let name = name(line, body).filter(|name| name.len() <= LONGEST)?;
    Some([br#"{"metadata":{"name":""#, &line[name], br#""}}"#].concat())
}

#[cfg(test)]
mod tests {
    use super::rest;

    #[test]
    fn the_name_is_kept_and_nothing_else() {
        let left =
            |body: &str| rest(body.as_bytes(), 0).map(|rest| String::from_utf8(rest).unwrap());
        let name = Some(r#"{"metadata":{"name":"web-x7k2"}}"#.to_owned());
        assert_eq!(
            left(r#"{"kind":"Pod","metadata":{"uid":"u","name":"web-x7k2"},"spec":{}}"#),
            name
        );
        assert_eq!(left(r#"{"metadata":{"\u006eame":"web-x7k2"}}"#), name);
        assert_eq!(left(r#"{"spec":{"metadata":{"name":"no"}}}"#), None);
        assert_eq!(left(r#"{"metadata":{"name":7}}"#), None);
        assert_eq!(left("[]"), None);
        assert_eq!(left(&format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "x".repeat(600))), None);
    }
}
