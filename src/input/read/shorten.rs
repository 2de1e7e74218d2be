//! Builds the shortened line that replaces one longer than `max_line_bytes`.

/// Adds to an envelope an annotation with the length of the original line, whose bodies were removed.
///
/// The annotation is in the event itself: whoever finds the event must see that it is incomplete.
pub(crate) fn shortened(envelope: &[u8], length: u64) -> Vec<u8> {
    let note = format!(r#""auditrail.io/over-long-line-bytes":"{length}""#);
    let mut line = Vec::with_capacity(envelope.len() + note.len() + 20);
    if let Some(at) = memchr::memmem::rfind(envelope, br#""annotations":{"#) {
        let inside = at + br#""annotations":{"#.len();
        line.extend_from_slice(&envelope[..inside]);
        line.extend_from_slice(note.as_bytes());
        if envelope.get(inside) != Some(&b'}') {
            line.push(b',');
        }
        line.extend_from_slice(&envelope[inside..]);
    } else {
        let ended = envelope.trim_ascii_end();
        // A line edited by hand may have trailing blanks.
        let body = ended.strip_suffix(b"}").unwrap_or(ended).trim_ascii_end();
        line.extend_from_slice(if body.is_empty() { b"{" } else { body });
        if body.len() > 1 {
            line.push(b',');
        }
        line.extend_from_slice(format!(r#""annotations":{{{note}}}}}"#).as_bytes());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_event_says_how_long_it_was() {
        for envelope in [
            r#"{"a":1}"#,
            "{}",
            r#"{"a":1,"annotations":{}}"#,
            r#"{"annotations":{"x":"y"},"z":2}"#,
            "",
        ] {
            let line = shortened(envelope.as_bytes(), 7);
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(
                value["annotations"]["auditrail.io/over-long-line-bytes"], "7",
                "{envelope}"
            );
        }
    }
}
